# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The steps of a network: each knows its value, its gradients and its derivative along a direction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from randnla._backend import validate
from randnla.curvature import Conv2d, Dense

Array = npt.NDArray[Any]
Parameters = Mapping[str, Any]


class Step(Protocol):
    """One function of a network, of its input x and of parameters."""

    def forward(self, parameters: Parameters, x: Array) -> Array:
        """The value."""

    def backward(self, parameters: Parameters, x: Array, g: Array) -> Array:
        """The gradient in x of ``<g, value>``."""

    def tangent(self, parameters: Parameters, tangents: Parameters, x: Array, moved: Array) -> Array:
        """The derivative of the value where x moves by `moved` and the parameters by `tangents`."""


class Pointwise:
    """An activation, number by number."""

    def __init__(self, name: str) -> None:
        self.name = validate.choice(name, ("tanh", "relu", "sigmoid", "linear"), name="activation")

    def forward(self, parameters: Parameters, x: Array) -> Array:
        """The value."""
        if self.name == "tanh":
            return np.tanh(x)
        if self.name == "sigmoid":
            return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))
        return np.maximum(x, 0) if self.name == "relu" else x

    def _slope(self, x: Array) -> Array:
        if self.name == "tanh":
            return np.asarray(1.0 - np.tanh(x) ** 2)
        if self.name == "sigmoid":
            return np.asarray(0.25 * (1.0 - np.tanh(0.5 * x) ** 2))
        return (x > 0).astype(x.dtype) if self.name == "relu" else np.ones_like(x)

    def backward(self, parameters: Parameters, x: Array, g: Array) -> Array:
        """The gradient in x."""
        return np.asarray(g * self._slope(x))

    def tangent(self, parameters: Parameters, tangents: Parameters, x: Array, moved: Array) -> Array:
        """The derivative along a direction."""
        return np.asarray(moved * self._slope(x))


class Flatten:
    """Every sample as a vector."""

    def forward(self, parameters: Parameters, x: Array) -> Array:
        """The value."""
        return x.reshape(len(x), -1)

    def backward(self, parameters: Parameters, x: Array, g: Array) -> Array:
        """The gradient in x."""
        return g.reshape(x.shape)

    def tangent(self, parameters: Parameters, tangents: Parameters, x: Array, moved: Array) -> Array:
        """The derivative along a direction."""
        return moved.reshape(len(moved), -1)


class Affine:
    """A dense layer."""

    def __init__(self, name: str, layer: Dense) -> None:
        self.name, self.layer = name, layer

    def forward(self, parameters: Parameters, x: Array) -> Array:
        """The value."""
        weight, bias = parted(parameters[self.name])
        return x @ weight.T if bias is None else x @ weight.T + bias

    def backward(self, parameters: Parameters, x: Array, g: Array) -> Array:
        """The gradient in x."""
        return np.asarray(g @ parted(parameters[self.name])[0])

    def gradient(self, x: Array, g: Array) -> Any:
        """The gradient in the parameters, in their structure."""
        return (g.T @ x, g.sum(axis=0)) if self.layer.bias else g.T @ x

    def tangent(self, parameters: Parameters, tangents: Parameters, x: Array, moved: Array) -> Array:
        """The derivative along a direction."""
        out = np.asarray(moved @ parted(parameters[self.name])[0].T)
        return out + self.forward(tangents, x) if self.name in tangents else out


class Convolve:
    """A convolution over two axes with zeros around the image."""

    def __init__(self, name: str, layer: Conv2d) -> None:
        self.name, self.layer = name, layer

    def _windows(self, x: Array) -> Array:
        """(n, channels, height, width, kernel...): what the kernel sees at each position."""
        padded = np.pad(x, ((0, 0), (0, 0), *self.layer.margins))
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.layer.kernel, axis=(2, 3))
        down, right = self.layer.stride
        return windows[:, :, ::down, ::right]

    def _product(self, x: Array, weight: Array) -> Array:
        return np.moveaxis(np.tensordot(self._windows(x), weight, ((1, 4, 5), (1, 2, 3))), -1, 1)

    def forward(self, parameters: Parameters, x: Array) -> Array:
        """The value."""
        weight, bias = parted(parameters[self.name])
        value = self._product(x, weight)
        return value if bias is None else value + bias[:, None, None]

    def backward(self, parameters: Parameters, x: Array, g: Array) -> Array:
        """The gradient in x."""
        weight, _ = parted(parameters[self.name])
        (top, bottom), (left, right) = self.layer.margins
        height, width = x.shape[2:]
        out = np.zeros((*x.shape[:2], height + top + bottom, width + left + right), x.dtype)
        down, over = self.layer.stride
        rows, columns = g.shape[2:]
        for i, j in np.ndindex(*self.layer.kernel):
            seen = out[:, :, i : i + down * rows : down, j : j + over * columns : over]
            seen += np.moveaxis(np.tensordot(g, weight[:, :, i, j], (1, 0)), -1, 1)
        return out[:, :, top : top + height, left : left + width]

    def gradient(self, x: Array, g: Array) -> Any:
        """The gradient in the parameters, in their structure."""
        weight = np.tensordot(g, self._windows(x), ((0, 2, 3), (0, 2, 3)))
        return (weight, g.sum(axis=(0, 2, 3))) if self.layer.bias else weight

    def tangent(self, parameters: Parameters, tangents: Parameters, x: Array, moved: Array) -> Array:
        """The derivative along a direction."""
        out = self._product(moved, parted(parameters[self.name])[0])
        return out + self.forward(tangents, x) if self.name in tangents else out


def parted(value: Any) -> tuple[Array, Array | None]:
    """Weight and bias of a layer."""
    return value if isinstance(value, tuple) else (value, None)

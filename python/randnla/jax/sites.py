# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Where the parameters of a layer lie in a tree, and how they, inputs and gradients become matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from randnla._backend.errors import InputError
from randnla.curvature import Conv1d, Conv2d, Dense, Embedding, ScaleShift

Factors = tuple[tuple[Any, ...], tuple[Any, ...]]
# Layouts of inputs, kernels and outputs, channels last.
DIMENSIONS = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC")}
HIGHEST = lax.Precision.HIGHEST  # accelerators would multiply in fewer digits


@dataclass(frozen=True)
class Site:
    """A layer, and the paths of its parameters.

    Parameters
    ----------
    layer : Dense, Conv1d, Conv2d, Embedding or ScaleShift
        Of `randnla.curvature`. A convolution's ``padding`` is 0: its inputs are recorded with their margins.
    weight : str
        Path of the kernel, as "hidden/kernel": keys, indices and attribute names joined by slashes.
        Of `ScaleShift` the scale.
    bias : str, optional
        Of `ScaleShift` the shift.

    Raises
    ------
    InputError
        The layer has a bias and no path is given, or the reverse.

    Notes
    -----
    Kernels are (inputs, outputs) and (height, width, channels, outputs), tables (size, dim).

    Examples
    --------
    >>> from randnla.curvature import Dense
    >>> from randnla.jax import Site
    >>> site = Site(Dense(784, 10), "params/Dense_0/kernel", "params/Dense_0/bias")
    >>> site.layer.shape
    (10, 785)
    """

    layer: Any
    weight: str | None
    bias: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.layer, (Dense, Conv1d, Conv2d, Embedding, ScaleShift)):
            raise InputError(f"layer: expected a layer of randnla.curvature, got {type(self.layer).__name__}")
        first, second = self._wanted
        if (self.weight is not None, self.bias is not None) != (first, second):
            wanted = " and ".join("a path" if one else "None" for one in (first, second))
            raise InputError(
                f"weight, bias: expected {wanted} for {self.layer}, got {self.weight!r} and {self.bias!r}"
            )

    @property
    def _wanted(self) -> tuple[bool, bool]:
        if isinstance(self.layer, ScaleShift):
            return self.layer.scale, self.layer.shift
        return True, bool(getattr(self.layer, "bias", False))

    @property
    def paths(self) -> tuple[str, ...]:
        """Of its parameters, weight first."""
        return tuple(path for path in (self.weight, self.bias) if path is not None)

    def pack(self, leaves: dict[str, Any], dtype: Any) -> Any:
        """The gradients of the parameters as the matrix of the layer."""
        rows, columns = self.layer.shape
        if isinstance(self.layer, ScaleShift):
            return jnp.stack([leaves[path].reshape(-1) for path in self.paths]).astype(dtype)
        weight = leaves[self.paths[0]]
        if isinstance(self.layer, Embedding):
            return weight.reshape(rows, columns).astype(dtype)
        matrix = jnp.moveaxis(jnp.moveaxis(weight, -1, 0), -1, 1).reshape(rows, -1).astype(dtype)
        if self.bias is None:
            return matrix
        return jnp.concatenate([matrix, leaves[self.bias].reshape(rows, 1).astype(dtype)], axis=1)

    def unpack(self, matrix: Any, leaves: dict[str, Any]) -> dict[str, Any]:
        """The reverse of `pack`, in the shapes and dtypes of the leaves."""
        if isinstance(self.layer, ScaleShift):
            parts = list(matrix)
        elif isinstance(self.layer, Embedding):
            parts = [matrix]
        else:
            kernel = leaves[self.paths[0]].shape
            body = matrix[:, : matrix.shape[1] - (self.bias is not None)]
            body = body.reshape(kernel[-1], *kernel[-2:-1], *kernel[:-2])
            parts = [jnp.moveaxis(jnp.moveaxis(body, 1, -1), 0, -1), matrix[:, -1]]
        return {
            path: part.reshape(leaves[path].shape).astype(leaves[path].dtype)
            for path, part in zip(self.paths, parts, strict=False)
        }

    def check(self, leaves: dict[str, Any], name: str) -> None:
        """Raise InputError where a parameter is not there or not of the shape of the layer."""
        for path in self.paths:
            if path not in leaves:
                raise InputError(f"{name}: expected a parameter {path!r}, there are {', '.join(leaves)}")
            if not jnp.issubdtype(leaves[path].dtype, jnp.floating):
                raise InputError(f"{name}: expected real floating numbers, {path!r} has {leaves[path].dtype}")
        rows, columns = self.layer.shape
        size = sum(leaves[path].size for path in self.paths)
        if size != rows * columns:
            shapes = [tuple(leaves[path].shape) for path in self.paths]
            raise InputError(
                f"{name}: expected {rows * columns} parameters for {self.layer}, got shapes {shapes}"
            )


def leaves_of(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by their paths."""
    return {path_of(keys): leaf for keys, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def path_of(keys: Any) -> str:
    """Keys, indices and names joined by slashes."""
    parts = (getattr(key, "key", getattr(key, "idx", getattr(key, "name", key))) for key in keys)
    return "/".join(str(part) for part in parts)


def rows_of(layer: Any, factors: Factors, dtype: Any) -> tuple[Any, Any]:
    """Recorded inputs and output gradients as rows.

    Parameters
    ----------
    layer : Dense, Conv1d, Conv2d or Embedding
    factors : (inputs, gradients)
        Tuples with an array a use of the layer: (samples, ...), and (draws, samples, ...).
    dtype : dtype

    Returns
    -------
    a : (samples, uses, columns) array, or (samples, uses) of indices
    g : (draws, samples, uses, rows) array
    """
    inputs, gradients = factors
    width = gradients[0].shape[-1]
    g = jnp.concatenate([y.reshape(*y.shape[:2], -1, width) for y in gradients], axis=2).astype(dtype)
    if isinstance(layer, Embedding):
        return jnp.concatenate([x.reshape(len(x), -1) for x in inputs], axis=1), g
    if isinstance(layer, Dense):
        arrays = [x.reshape(len(x), -1, layer.inputs) for x in inputs]
    else:
        arrays = [_patches(layer, x).reshape(len(x), -1, layer.shape[1] - layer.bias) for x in inputs]
    a = jnp.concatenate(arrays, axis=1).astype(dtype)
    if layer.bias:
        a = jnp.concatenate([a, jnp.ones((*a.shape[:2], 1), dtype)], axis=2)
    if layer.sharing == "reduce":
        a, g = a.mean(axis=1, keepdims=True), g.sum(axis=2, keepdims=True)
    return a, g


def _patches(layer: Any, x: Any) -> Any:
    """(samples, positions ..., channels * kernel): the channel first, as kernels are packed."""
    return lax.conv_general_dilated_patches(
        x,
        layer.kernel,
        layer.stride,
        "VALID",
        rhs_dilation=layer.dilation,
        dimension_numbers=DIMENSIONS[len(layer.kernel)],
        precision=HIGHEST,
    )

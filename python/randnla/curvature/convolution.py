# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Convolutions as dense layers that are used at every position, on patches of their inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.kernels.dense import Array

from .rows import SHARING, Rows, listed, packed, parts_of, shared_rows, unpacked
from .workspace import Workspace


@dataclass(frozen=True)
class Convolution:
    """A convolution over any number of axes; `Conv1d` and `Conv2d` are it with one and with two.

    Parameters
    ----------
    channels, outputs : int
    kernel : int or tuple of int
    stride, dilation : int or tuple of int, default 1
    padding : int, tuple of int, "valid" or "same", default 0
        Zeros on both sides of every axis.
    bias : bool, default True
    sharing : {"expand", "reduce"}, default "expand"
        As of `Dense`; the uses are the positions.

    Notes
    -----
    Inputs have shape (samples, channels, ...), output gradients (samples, outputs, ...), in any memory
    layout. The gradient matrix is (outputs, channels * kernel + bias). Patches are copied once, into a
    buffer that is kept: samples * positions * (channels * kernel + bias) numbers.

    *Algorithm*: Grosse and Martens (2016).
    """

    channels: int
    outputs: int
    kernel: Any
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    bias: bool = True
    sharing: str = "expand"

    AXES = 0

    def __post_init__(self) -> None:
        validate.integer(self.channels, name="channels", low=1)
        validate.integer(self.outputs, name="outputs", low=1)
        for name in ("kernel", "stride", "dilation"):
            object.__setattr__(self, name, self._each(getattr(self, name), name, 1))
        if isinstance(self.padding, str):
            validate.choice(self.padding, ("valid", "same"), name="padding")
            if self.padding == "same" and any(s != 1 for s in self.stride):
                raise InputError(
                    f"padding: expected numbers, for 'same' takes a stride of 1; got {self.stride}"
                )
        else:
            object.__setattr__(self, "padding", self._each(self.padding, "padding", 0))
        validate.flag(self.bias, name="bias")
        validate.choice(self.sharing, SHARING, name="sharing")

    def _each(self, value: Any, name: str, low: int) -> tuple[int, ...]:
        values = value if isinstance(value, (tuple, list)) else (value,) * self.AXES
        if len(values) != self.AXES:
            raise InputError(f"{name}: expected an integer or {self.AXES} of them, got {value!r}")
        return tuple(validate.integer(v, name=name, low=low) for v in values)

    @property
    def margins(self) -> tuple[tuple[int, int], ...]:
        """Zeros before and behind each axis."""
        if self.padding == "valid":
            return ((0, 0),) * self.AXES
        if self.padding == "same":
            totals = [d * (k - 1) for k, d in zip(self.kernel, self.dilation, strict=True)]
            return tuple((total // 2, total - total // 2) for total in totals)
        return tuple((p, p) for p in self.padding)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the gradient as a matrix."""
        return self.outputs, self.channels * math.prod(self.kernel) + self.bias

    @property
    def sides(self) -> tuple[str, str]:
        """Gradients on the left, patches on the right."""
        return "g", "a"

    def rows(self, a: Any, g: Any, workspace: Workspace, *, dtype: Any, samples: int | None = None) -> Rows:
        """Patches and output gradients as rows.

        Raises
        ------
        InputError
            Shapes do not fit the layer or each other.
        """
        arrays = [self._input(x) for x in listed(a)]
        gradients = [self._output_gradient(y) for y in listed(g)]
        width = self.shape[1]
        several = len(arrays) > 1
        patches = []
        for i, x in enumerate(arrays):
            positions = self._positions(x.shape[2:])
            name = f"patches {i}" if several else "a"
            out = workspace.take(name, (len(x), math.prod(positions), width), dtype)
            self._gather(x, positions, out, workspace)
            patches.append(out)
        return shared_rows(patches, gradients, samples, self.sharing, workspace, dtype, ones=False)

    def _input(self, a: Any) -> Array:
        host = namespace.to_host(a, name="a")
        if host.ndim != 2 + self.AXES or host.shape[1] != self.channels or host.dtype.kind not in "fiub":
            raise InputError(
                f"a: expected real numbers of shape (samples, {self.channels}, {self.AXES} axes), got "
                f"{host.dtype} {host.shape}"
            )
        return host

    def _output_gradient(self, g: Any) -> Array:
        host = namespace.to_host(g, name="g")
        if host.ndim != 2 + self.AXES or host.shape[1] != self.outputs or host.dtype.kind not in "fiub":
            raise InputError(
                f"g: expected real numbers of shape (samples, {self.outputs}, {self.AXES} axes), got "
                f"{host.dtype} {host.shape}"
            )
        return np.moveaxis(host, 1, -1).reshape(len(host), -1, self.outputs)

    def _positions(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        positions = tuple(
            (n + sum(m) - d * (k - 1) - 1) // s + 1
            for n, m, k, s, d in zip(
                sizes, self.margins, self.kernel, self.stride, self.dilation, strict=True
            )
        )
        if min(positions) < 1:
            raise InputError(f"a: expected axes that hold the kernel {self.kernel}, got {sizes}")
        return positions

    def _gather(self, x: Array, positions: tuple[int, ...], out: Array, workspace: Workspace) -> None:
        """Write the patches of x into out (samples, positions, width), a 1 behind each if there is a bias."""
        margins = self.margins
        if any(sum(m) for m in margins):
            shape = (*x.shape[:2], *(n + sum(m) for n, m in zip(x.shape[2:], margins, strict=True)))
            padded = workspace.take("padded", shape, x.dtype)
            padded.fill(0)
            inside = tuple(slice(m[0], m[0] + n) for n, m in zip(x.shape[2:], margins, strict=True))
            padded[(slice(None), slice(None), *inside)] = x
            x = padded
        steps = x.strides[2:]
        windows = np.lib.stride_tricks.as_strided(
            x,
            (len(x), *positions, self.channels, *self.kernel),
            (
                x.strides[0],
                *(s * t for s, t in zip(self.stride, steps, strict=True)),
                x.strides[1],
                *(d * t for d, t in zip(self.dilation, steps, strict=True)),
            ),
            writeable=False,
        )
        body = out[:, :, : out.shape[2] - self.bias]
        unit = out.itemsize
        wide = math.prod(self.kernel)
        tails = [unit * math.prod(self.kernel[i + 1 :]) for i in range(self.AXES)]
        heads = [out.strides[1] * math.prod(positions[i + 1 :]) for i in range(self.AXES)]
        target = np.lib.stride_tricks.as_strided(
            body, windows.shape, (out.strides[0], *heads, unit * wide, *tails), writeable=True
        )
        np.copyto(target, windows, casting="same_kind" if x.dtype.kind == "f" else "unsafe")
        if self.bias:
            out[:, :, -1] = 1

    def pack(self, gradient: Any, workspace: Workspace, *, dtype: Any) -> Array:
        """A gradient as a matrix.

        Raises
        ------
        InputError
        """
        weight, bias = parts_of(gradient, bias=self.bias)
        return packed(weight, bias, (self.outputs, self.shape[1] - self.bias), workspace, dtype)

    def unpack(self, matrix: Array, gradient: Any) -> Any:
        """A matrix in the structure, the shapes, the dtypes and the kind of `gradient`."""
        return unpacked(matrix, gradient, bias=self.bias)


class Conv1d(Convolution):
    __doc__ = Convolution.__doc__ and Convolution.__doc__.replace(
        "over any number of axes; `Conv1d` and `Conv2d` are it with one and with two.", "over one axis."
    )
    AXES = 1


class Conv2d(Convolution):
    __doc__ = Convolution.__doc__ and Convolution.__doc__.replace(
        "over any number of axes; `Conv1d` and `Conv2d` are it with one and with two.", "over two axes."
    )
    AXES = 2

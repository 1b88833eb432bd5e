# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Convolutions as dense layers that are used at every position, on patches of their inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.kernels.dense import Array

from ..rows import SHARING, Plain, Rows, cast, listed, packed, parts_of, shared_rows, unpacked
from ..workspace import Workspace

_CACHE = 1 << 21  # bytes of patches written at a time
_ENTRIES = 16  # of a kernel; larger ones are copied window by window, smaller ones entry by entry


@dataclass(frozen=True)
class Convolution:
    """A convolution over some axes: `Conv1d` and `Conv2d` say how many, in `AXES`.

    Notes
    -----
    *Algorithm*: Grosse and Martens (2016): a dense layer whose uses are the positions, on patches. Reduced,
    sums over positions are taken of the input itself, entry by entry of the kernel.
    """

    channels: int
    outputs: int
    kernel: Any
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    bias: bool = True
    sharing: str = "expand"
    groups: int = 1

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
        if validate.integer(self.groups, name="groups", low=1) != 1:
            raise InputError(f"groups: expected 1, one matrix of weights for all channels; got {self.groups}")

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
        patches = [self._patches(x, workspace) for x in listed(a)]
        outputs = [self._output_gradient(y) for y in listed(g)]
        return shared_rows(patches, outputs, samples, self.sharing, workspace, dtype, ones=self.bias)

    def _patches(self, a: Any, workspace: Workspace) -> Patches:
        host = self._array(a, "a", self.channels)
        return Patches(host, self, self._positions(host.shape[2:]), workspace)

    def _output_gradient(self, g: Any) -> Plain:
        return Plain(np.moveaxis(self._array(g, "g", self.outputs), 1, -1))

    def _array(self, array: Any, name: str, channels: int) -> Array:
        host = namespace.to_host(array, name=name)
        if host.ndim != 2 + self.AXES or host.shape[1] != channels or host.dtype.kind not in "fiub":
            raise InputError(
                f"{name}: expected real numbers of shape (samples, {channels}, {self.AXES} more axes), got "
                f"{host.dtype} {host.shape}"
            )
        return host

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


@dataclass(frozen=True)
class Patches:
    """What a kernel sees of an input (samples, channels, ...) at each of its positions, zeros around it.

    Attributes
    ----------
    array : array
    layer : Convolution
    positions : tuple of int
    workspace : Workspace
    """

    array: Array
    layer: Convolution
    positions: tuple[int, ...]
    workspace: Workspace

    @property
    def samples(self) -> int:
        """Along the first axis."""
        return len(self.array)

    @property
    def width(self) -> int:
        """Numbers that the kernel sees."""
        return self.layer.shape[1] - self.layer.bias

    def flat(self, dtype: Any) -> None:
        """They are never there already."""
        return

    def write(self, out: Array) -> None:
        """Patches into out (samples, positions in all, width)."""
        block = out.reshape(self.samples, *self.positions, self.layer.channels, *self.layer.kernel)
        if math.prod(self.layer.kernel) > _ENTRIES:
            cast(block, self._windows())
            return
        step = max(1, _CACHE // (out.itemsize * out.shape[1] * out.shape[2]))
        for start in range(0, self.samples, step):
            chosen = slice(start, start + step)
            self._write_entries(self.array[chosen], block[chosen])

    def _windows(self) -> Array:
        """A view (samples, positions, channels, kernel) of the input, zeros around it."""
        layer, x = self.layer, self.array
        if any(map(sum, layer.margins)):
            bordered = [n + sum(m) for n, m in zip(x.shape[2:], layer.margins, strict=True)]
            inside: list[Any] = [
                slice(m[0], m[0] + n) for n, m in zip(x.shape[2:], layer.margins, strict=True)
            ]
            padded = self.workspace.take("padded", (*x.shape[:2], *bordered), x.dtype)
            padded.fill(0)
            padded[(..., *inside)] = x
            x = padded
        spans = [d * (k - 1) + 1 for k, d in zip(layer.kernel, layer.dilation, strict=True)]
        windows = np.lib.stride_tricks.sliding_window_view(x, spans, axis=tuple(range(2, x.ndim)))
        steps = [slice(None, None, step) for step in (*layer.stride, *layer.dilation)]
        return np.moveaxis(windows[(slice(None), slice(None), *steps)], 1, 1 + layer.AXES)

    def _write_entries(self, x: Array, block: Array) -> None:
        for entry, inside, source in self._taps():
            target = block[entry]
            for axis, run in enumerate(inside, 1):
                along = np.moveaxis(target, axis, 0)
                along[: run.start] = 0
                along[run.stop :] = 0
            seen = x[(slice(None), slice(None), *source)]
            cast(target[(slice(None), *inside)], np.moveaxis(seen, 1, -1))

    def total(self, out: Array) -> None:
        """Sums over the positions into out (samples, width)."""
        block = out.reshape(self.samples, self.layer.channels, *self.layer.kernel)
        axes = tuple(range(2, self.array.ndim))
        with np.errstate(over="ignore", invalid="ignore"):
            for tap, _, source in self._taps():
                seen = self.array[(slice(None), slice(None), *source)]
                np.sum(seen, axis=axes, dtype=out.dtype, out=block[tap])

    def _taps(self) -> Iterator[tuple[tuple[Any, ...], tuple[slice, ...], tuple[slice, ...]]]:
        """Entries of the kernel, the positions at which each lies on the input, and where it does."""
        layer = self.layer
        for entry in np.ndindex(*layer.kernel):
            inside, source = [], []
            for k, size, count, stride, dilation, margin in zip(
                entry,
                self.array.shape[2:],
                self.positions,
                layer.stride,
                layer.dilation,
                layer.margins,
                strict=True,
            ):
                first = k * dilation - margin[0]  # position p sees the entry first + p stride
                low = min(max(0, -(first // stride)), count)
                high = max(low, min(count, (size - 1 - first) // stride + 1))
                inside.append(slice(low, high))
                seen = slice(first + low * stride, first + high * stride, stride) if low < high else slice(0)
                source.append(seen)
            yield (..., *entry), tuple(inside), tuple(source)


class Conv1d(Convolution):
    """A convolution over one axis, of time or the like, as a layer of an engine.

    Parameters
    ----------
    channels, outputs : int
    kernel : int
    stride, dilation : int, default 1
    padding : int, "valid" or "same", default 0
        Zeros on both sides.
    bias : bool, default True
    sharing : {"expand", "reduce"}, default "expand"
        As of `Dense`; the uses are the positions.
    groups : int, default 1
        Others are refused: the gradient of a grouped convolution is not one matrix.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    Inputs have shape (samples, channels, length), output gradients (samples, outputs, length), in any
    memory layout. The gradient matrix is (outputs, channels * kernel + bias).

    *Algorithm*: Grosse and Martens (2016).

    *Cost*: patches are copied once, into a buffer that is kept, of samples * positions * columns numbers;
    "reduce" takes one position's.

    Examples
    --------
    >>> from randnla.curvature import Conv1d
    >>> Conv1d(4, 8, kernel=5).shape
    (8, 21)
    """

    AXES = 1


class Conv2d(Convolution):
    """A convolution over two axes, of images, as a layer of an engine.

    Parameters
    ----------
    channels, outputs : int
    kernel : int or (int, int)
    stride, dilation : int or (int, int), default 1
    padding : int or (int, int), "valid" or "same", default 0
        Zeros on both sides of each axis.
    bias : bool, default True
    sharing : {"expand", "reduce"}, default "expand"
        As of `Dense`; the uses are the positions.
    groups : int, default 1
        Others are refused: the gradient of a grouped convolution is not one matrix.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    Inputs have shape (samples, channels, height, width), output gradients (samples, outputs, height,
    width), in any memory layout. The gradient matrix is (outputs, channels * kernel area + bias).

    *Algorithm*: Grosse and Martens (2016).

    *Cost*: patches are copied once, into a buffer that is kept, of samples * positions * columns numbers;
    "reduce" takes one position's.

    Examples
    --------
    >>> from randnla.curvature import Conv2d
    >>> Conv2d(3, 16, kernel=3, padding=1).shape
    (16, 28)
    """

    AXES = 2

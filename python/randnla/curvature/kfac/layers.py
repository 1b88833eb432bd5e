# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Layers whose gradient is a sum of outer products, and how their inputs and gradients become rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.kernels.dense import Array

from ..rows import (
    SHARING,
    Plain,
    Rows,
    arrangement,
    cast,
    like,
    listed,
    packed,
    parts_of,
    plain,
    shared_rows,
    sized,
    stacked,
    summed,
    unpacked,
)
from ..workspace import Workspace


class Layer(Protocol):
    """What an engine asks of a layer."""

    @property
    def shape(self) -> tuple[int, int]:
        """Of the gradient as a matrix."""

    @property
    def sides(self) -> tuple[str, str]:
        """Which rows the left and the right factor average: "a", "g" or "index"."""

    def rows(self, a: Any, g: Any, workspace: Workspace, *, dtype: Any, samples: int | None = None) -> Rows:
        """Inputs and output gradients as rows, in buffers of the workspace where a copy is needed."""

    def pack(self, gradient: Any, workspace: Workspace, *, dtype: Any) -> Array:
        """A gradient in the shapes of the framework as a matrix."""

    def unpack(self, matrix: Array, gradient: Any) -> Any:
        """A matrix in the structure, the shapes, the dtypes and the kind of `gradient`."""


@dataclass(frozen=True)
class Dense:
    """``z = W a + b``, at one or more positions of every sample.

    Parameters
    ----------
    inputs, outputs : int
    bias : bool, default True
    sharing : {"expand", "reduce"}, default "expand"
        Where a sample uses the layer T times (in time, in space, in several places of the network): expand
        counts every use as a gradient of its own, reduce averages a and adds g over the uses first
        (Eschenhagen and others, 2023).

    Notes
    -----
    The gradient matrix is (outputs, inputs + bias), the bias last; a gradient is W's, or a pair (W's, b's).
    Inputs have shape (samples, ..., inputs), output gradients (samples, ..., outputs).

    Examples
    --------
    >>> from randnla.curvature import Dense
    >>> Dense(784, 10).shape
    (10, 785)
    """

    inputs: int
    outputs: int
    bias: bool = True
    sharing: str = "expand"

    def __post_init__(self) -> None:
        validate.integer(self.inputs, name="inputs", low=1)
        validate.integer(self.outputs, name="outputs", low=1)
        validate.flag(self.bias, name="bias")
        validate.choice(self.sharing, SHARING, name="sharing")

    @property
    def shape(self) -> tuple[int, int]:
        """Of the gradient as a matrix."""
        return self.outputs, self.inputs + self.bias

    @property
    def sides(self) -> tuple[str, str]:
        """Gradients on the left, inputs on the right."""
        return "g", "a"

    def rows(self, a: Any, g: Any, workspace: Workspace, *, dtype: Any, samples: int | None = None) -> Rows:
        """Inputs and output gradients as rows.

        Raises
        ------
        InputError
            Shapes do not fit the layer or each other.
        """
        inputs = [plain(x, "a", self.inputs, dtype) for x in listed(a)]
        outputs = [plain(x, "g", self.outputs, dtype) for x in listed(g)]
        return shared_rows(inputs, outputs, samples, self.sharing, workspace, dtype, ones=self.bias)

    def pack(self, gradient: Any, workspace: Workspace, *, dtype: Any) -> Array:
        """A gradient as a matrix; no copy where there is no bias and the dtype is that of the engine.

        Raises
        ------
        InputError
        """
        weight, bias = parts_of(gradient, bias=self.bias)
        return packed(weight, bias, (self.outputs, self.inputs), workspace, dtype)

    def unpack(self, matrix: Array, gradient: Any) -> Any:
        """A matrix in the structure, the shapes, the dtypes and the kind of `gradient`."""
        return unpacked(matrix, gradient, bias=self.bias)


@dataclass(frozen=True)
class Embedding:
    """Rows of a table: the gradient of a sample is its output gradient in the row of its index.

    Parameters
    ----------
    size, dim : int
        Rows and columns of the table.

    Notes
    -----
    Inputs are integer indices (samples, ...), output gradients (samples, ..., dim). The factor of the inputs
    is diagonal: the frequencies of the indices.

    Examples
    --------
    >>> from randnla.curvature import Embedding
    >>> Embedding(1000, 16).shape
    (1000, 16)
    """

    size: int
    dim: int

    def __post_init__(self) -> None:
        validate.integer(self.size, name="size", low=1)
        validate.integer(self.dim, name="dim", low=1)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the gradient as a matrix."""
        return self.size, self.dim

    @property
    def sides(self) -> tuple[str, str]:
        """Indices on the left, gradients on the right."""
        return "index", "g"

    def rows(self, a: Any, g: Any, workspace: Workspace, *, dtype: Any, samples: int | None = None) -> Rows:
        """Indices and output gradients as rows.

        Raises
        ------
        InputError
            Shapes do not fit the layer or each other.
        """
        indices = [self._indices(x) for x in listed(a)]
        outputs = [plain(x, "g", self.dim, dtype) for x in listed(g)]
        batch = arrangement(indices, outputs, samples)
        flat = stacked(indices, batch, workspace, "a", np.int64)
        g = stacked(outputs, batch, workspace, "g", dtype)
        return Rows(flat[:, 0], g, batch.samples, batch.uses, batch.groups)

    def _indices(self, a: Any) -> Plain:
        host = namespace.to_host(a, name="a")
        if host.dtype.kind not in "iu" or host.ndim == 0:
            raise InputError(
                f"a: expected integer indices of shape (samples, ...), got {host.dtype} {host.shape}"
            )
        low, high = (int(host.min()), int(host.max())) if host.size else (0, 0)
        if low < 0 or high >= self.size:
            raise InputError(f"a: expected indices in [0, {self.size}), got {low if low < 0 else high}")
        return Plain(host[..., None])

    def pack(self, gradient: Any, workspace: Workspace, *, dtype: Any) -> Array:
        """A gradient as a matrix.

        Raises
        ------
        InputError
        """
        weight, bias = parts_of(gradient, bias=False)
        return packed(weight, bias, self.shape, workspace, dtype)

    def unpack(self, matrix: Array, gradient: Any) -> Any:
        """A matrix in the shape, the dtype and the kind of `gradient`."""
        return unpacked(matrix, gradient, bias=False)


@dataclass(frozen=True)
class ScaleShift:
    """``z = scale * x + shift`` unit by unit: the affine part of a normalization.

    Parameters
    ----------
    size : int
        Units.
    channel_axis : int, default 1
        The axis of the units in inputs and gradients; 1 in batch normalization, -1 in layer normalization.
    scale, shift : bool, default True
        Which of the two there are.

    Notes
    -----
    Inputs are the normalized x, of the shape of the output gradients. The gradient matrix has a row for
    the scale and one for the shift.

    Examples
    --------
    >>> from randnla.curvature import ScaleShift
    >>> ScaleShift(64).shape
    (2, 64)
    """

    size: int
    channel_axis: int = 1
    scale: bool = True
    shift: bool = True

    def __post_init__(self) -> None:
        validate.integer(self.size, name="size", low=1)
        if validate.integer(self.channel_axis, name="channel_axis") == 0:
            raise InputError("channel_axis: expected another axis than that of the samples, got 0")
        if not (validate.flag(self.scale, name="scale") | validate.flag(self.shift, name="shift")):
            raise InputError("scale, shift: expected one of the two to be True")

    @property
    def shape(self) -> tuple[int, int]:
        """Of the gradient as a matrix."""
        return self.scale + self.shift, self.size

    @property
    def sides(self) -> tuple[str, str]:
        """It is no Kronecker product."""
        return "", ""

    def rows(self, a: Any, g: Any, workspace: Workspace, *, dtype: Any, samples: int | None = None) -> Rows:
        """Gradients of every sample with respect to scale (as `a`) and shift (as `g`).

        Raises
        ------
        InputError
            Shapes do not fit the layer or each other.
        """
        inputs = [Plain(self._by_unit(x, "a")) for x in listed(a)]
        outputs = [Plain(self._by_unit(y, "g")) for y in listed(g)]
        batch = arrangement(inputs, outputs, samples)
        products = [Products(x.array, y.array) for x, y in zip(inputs, outputs, strict=True)]
        none = np.zeros((batch.samples, 0), dtype)
        scales = summed(products, batch, workspace, "a", dtype) if self.scale else none
        shifts = summed(outputs, batch, workspace, "g", dtype) if self.shift else none
        return Rows(scales, shifts, batch.samples, 1)

    def _by_unit(self, array: Any, name: str) -> Array:
        host = namespace.to_host(array, name=name)
        axis = self.channel_axis + host.ndim if self.channel_axis < 0 else self.channel_axis
        if not 0 < axis < host.ndim or host.shape[axis] != self.size or host.dtype.kind not in "fiub":
            raise InputError(
                f"{name}: expected real numbers, {self.size} units along axis {self.channel_axis}, got "
                f"{host.dtype} {host.shape}"
            )
        return np.moveaxis(host, axis, -1)

    def pack(self, gradient: Any, workspace: Workspace, *, dtype: Any) -> Array:
        """A gradient, or a pair of them, as a matrix.

        Raises
        ------
        InputError
        """
        parts = listed(gradient)
        if len(parts) != self.shape[0]:
            raise InputError(f"gradient: expected {self.shape[0]} arrays, got {len(parts)}")
        out = workspace.take("gradient", self.shape, dtype)
        for row, part in zip(out, parts, strict=True):
            cast(row, sized(part, (self.size,), "gradient", dtype).reshape(-1))
        return out

    def unpack(self, matrix: Array, gradient: Any) -> Any:
        """A matrix in the structure, the shapes, the dtypes and the kind of `gradient`."""
        made = tuple(like(row, part) for row, part in zip(matrix, listed(gradient), strict=True))
        return made if isinstance(gradient, (tuple, list)) else made[0]


@dataclass(frozen=True)
class Products(Plain):
    """Products of an array (samples, ..., width) with another of its shape, which are only ever summed."""

    other: Array

    def total(self, out: Array) -> None:
        """Sums over the positions into out (samples, width)."""
        axes = list(range(self.array.ndim))
        with np.errstate(over="ignore", invalid="ignore"):
            np.einsum(
                self.array, axes, self.other, axes, [0, axes[-1]], out=out, dtype=out.dtype, casting="unsafe"
            )

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

from .rows import (
    SHARING,
    Rows,
    arrangement,
    checked,
    like,
    listed,
    packed,
    parts_of,
    shared_rows,
    sized,
    stacked,
    unpacked,
)
from .workspace import Workspace


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
        inputs = [checked(x, "a", self.inputs, dtype) for x in listed(a)]
        outputs = [checked(x, "g", self.outputs, dtype) for x in listed(g)]
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
        indices = []
        for x in listed(a):
            array = namespace.to_host(x, name="a")
            if array.dtype.kind not in "iu" or array.ndim == 0:
                raise InputError(f"a: expected integer indices of shape (samples, ...), got {array.dtype}")
            indices.append(array.reshape(len(array), -1, 1))
        outputs = [checked(x, "g", self.dim, dtype) for x in listed(g)]
        count, uses = arrangement(indices, outputs, samples)
        flat = stacked(indices, count, uses, workspace, "a", np.int64)
        return Rows(flat[:, 0], stacked(outputs, count, uses, workspace, "g", dtype), count, uses)

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
        scales, shifts = [], []
        for x, y in zip(listed(a), listed(g), strict=True):
            x, y = (self._by_unit(array, name, dtype) for array, name in ((x, "a"), (y, "g")))
            if x.shape != y.shape:
                raise InputError(f"g: expected shape {x.shape} as that of a, got {y.shape}")
            scales.append(np.einsum("nuc,nuc->nc", x, y)[:, None])
            shifts.append(y.sum(axis=1)[:, None])
        count, uses = arrangement(scales, shifts, samples)
        total = [np.concatenate(part, axis=1 if uses > 1 else 0) for part in (scales, shifts)]
        first, second = (part.reshape(count, -1, self.size).sum(axis=1) for part in total)
        none = np.zeros((count, 0), first.dtype)
        return Rows(first if self.scale else none, second if self.shift else none, count, 1)

    def _by_unit(self, array: Any, name: str, dtype: Any) -> Array:
        host = namespace.to_host(array, name=name)
        if host.ndim < 2 or host.shape[self.channel_axis] != self.size:
            raise InputError(
                f"{name}: expected {self.size} units along axis {self.channel_axis}, got shape {host.shape}"
            )
        moved = np.moveaxis(host, self.channel_axis, -1)
        return moved.reshape(len(moved), -1, self.size).astype(dtype, copy=False)

    def pack(self, gradient: Any, workspace: Workspace, *, dtype: Any) -> Array:
        """A gradient, or a pair of them, as a matrix.

        Raises
        ------
        InputError
        """
        parts = gradient if isinstance(gradient, tuple) else (gradient,)
        if len(parts) != self.shape[0]:
            raise InputError(f"gradient: expected {self.shape[0]} arrays, got {len(parts)}")
        out = workspace.take("gradient", self.shape, dtype)
        for row, part in zip(out, parts, strict=True):
            row[...] = sized(part, (self.size,), "gradient").reshape(-1)
        return out

    def unpack(self, matrix: Array, gradient: Any) -> Any:
        """A matrix in the structure, the shapes, the dtypes and the kind of `gradient`."""
        parts = gradient if isinstance(gradient, tuple) else (gradient,)
        made = tuple(like(row, part) for row, part in zip(matrix, parts, strict=True))
        return made if isinstance(gradient, tuple) else made[0]

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Inputs and gradients of layers as rows of a batch, and gradients of parameters as matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.kernels.dense import Array

from .workspace import Workspace

SHARING = ("expand", "reduce")


@dataclass(frozen=True)
class Rows:
    """A batch of a layer as rows, the samples one after the other, each with all of its uses.

    Attributes
    ----------
    a : (samples * uses, columns) array
        Inputs with the 1 of the bias last; (samples * uses,) indices of an embedding.
    g : (samples * uses, rows) array
        Gradients with respect to outputs.
    samples : int
    uses : float
        A sample's, in the mean. The factors are ``uses * mean(a a^T)`` and ``mean(g g^T)`` over rows.
    groups : tuple of (samples, uses)
        Samples with as many uses each, one after the other; of one group unless given.
    """

    a: Array
    g: Array
    samples: int
    uses: float
    groups: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if not self.groups:
            object.__setattr__(self, "groups", ((self.samples, int(self.uses)),))

    def by_sample(self) -> tuple[Array, Array]:
        """a and g as (samples, uses, width); where samples have fewer uses than others, rows of zeros."""
        if len(self.groups) == 1:
            shape = self.groups[0]
            return self.a.reshape(*shape, self.a.shape[-1]), self.g.reshape(*shape, self.g.shape[-1])
        most, made = max(uses for _, uses in self.groups), []
        for rows in (self.a, self.g):
            out = np.zeros((self.samples, most, rows.shape[-1]), rows.dtype)
            sample = start = 0
            for count, uses in self.groups:
                block = rows[start : start + count * uses]
                out[sample : sample + count, :uses] = block.reshape(count, uses, -1)
                sample, start = sample + count, start + count * uses
            made.append(out)
        return made[0], made[1]


class Part(Protocol):
    """One of the arrays of a batch, or what is made of it: numbers for every position of every sample."""

    @property
    def samples(self) -> int:
        """Along the first axis."""

    @property
    def positions(self) -> tuple[int, ...]:
        """Axes between the samples and the numbers."""

    @property
    def width(self) -> int:
        """Numbers at a position."""

    def flat(self, dtype: Any) -> Array | None:
        """Rows that are there already, or None."""

    def write(self, out: Array) -> None:
        """Rows into out (samples, positions in all, width)."""

    def total(self, out: Array) -> None:
        """Sums over the positions into out (samples, width)."""


@dataclass(frozen=True)
class Plain:
    """An array (samples, ..., width) as it is, in any memory layout."""

    array: Array

    @property
    def samples(self) -> int:
        """Along the first axis."""
        return len(self.array)

    @property
    def positions(self) -> tuple[int, ...]:
        """Axes between the first and the last."""
        return self.array.shape[1:-1]

    @property
    def width(self) -> int:
        """Along the last axis."""
        return int(self.array.shape[-1])

    def flat(self, dtype: Any) -> Array | None:
        """The array itself where its dtype and its layout are those of rows."""
        if self.array.dtype != dtype or not (self.array.ndim == 2 or self.array.flags.c_contiguous):
            return None
        return self.array.reshape(-1, self.width)

    def write(self, out: Array) -> None:
        """Rows into out (samples, positions in all, width)."""
        cast(out.reshape(self.array.shape), self.array)  # only splits an axis: a view

    def total(self, out: Array) -> None:
        """Sums over the positions into out (samples, width)."""
        between = tuple(range(1, self.array.ndim - 1))
        with np.errstate(over="ignore", invalid="ignore"):
            np.sum(self.array, axis=between, dtype=out.dtype, out=out)


def cast(out: Array, array: Array) -> None:
    """Write an array into another of its shape; what does not fit its dtype becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        np.copyto(out, array, casting="unsafe")


def listed(arrays: Any) -> Sequence[Any]:
    """One array, or several, as several."""
    return arrays if isinstance(arrays, (list, tuple)) else [arrays]


def plain(array: Any, name: str, width: int, dtype: Any) -> Plain:
    """Numbers (samples, ..., width) on the host.

    Raises
    ------
    InputError
    """
    host = namespace.to_host(array, name=name)
    if host.ndim < 2 or host.shape[-1] != width or host.dtype.kind not in "fciub":
        raise InputError(
            f"{name}: expected numbers of shape (samples, ..., {width}), got {host.dtype} {host.shape}"
        )
    if host.dtype.kind == "c" and np.dtype(dtype).kind != "c":
        raise InputError(f"{name}: expected real numbers, got {host.dtype}")
    return Plain(host)


@dataclass(frozen=True)
class Arrangement:
    """How several arrays make a batch.

    Attributes
    ----------
    samples : int
        Of the batch.
    places : tuple of (slice, slice)
        The samples and the uses that each array stands for.
    groups : tuple of (samples, uses)
        As of `Rows`: several where parts of a batch have different numbers of positions.
    """

    samples: int
    places: tuple[tuple[slice, slice], ...]
    groups: tuple[tuple[int, int], ...]

    @property
    def rows(self) -> int:
        """Of all uses of all samples."""
        return sum(samples * uses for samples, uses in self.groups)

    @property
    def uses(self) -> float:
        """Of a sample, in the mean; an integer where it is the same of all."""
        return self.groups[0][1] if len(self.groups) == 1 else self.rows / self.samples


def arrangement(inputs: Sequence[Part], outputs: Sequence[Part], samples: int | None) -> Arrangement:
    """Whether arrays are parts of a batch, or uses of all of its samples.

    Raises
    ------
    InputError
        Inputs and outputs do not fit each other, or several arrays do not make a batch.
    """
    if len(inputs) != len(outputs) or not inputs:
        raise InputError(
            f"g: expected as many arrays as a has, {len(inputs)}, at least 1; got {len(outputs)}"
        )
    for x, y in zip(inputs, outputs, strict=True):
        wanted, given = (x.samples, *x.positions), (y.samples, *y.positions)
        if wanted != given:
            raise InputError(f"g: expected samples and positions {wanted} as a has, got {given}")
        if 0 in wanted:
            raise InputError(f"a: expected at least one sample and position, got {wanted}")
    lengths, uses = [x.samples for x in inputs], [math.prod(x.positions) for x in inputs]
    total = sum(lengths)
    if samples is None or validate.integer(samples, name="samples", low=1) == total:
        alike = len(set(uses)) == 1
        groups = ((total, uses[0]),) if alike else tuple(zip(lengths, uses, strict=True))
        return Arrangement(total, tuple((place, slice(None)) for place in _runs(lengths)), groups)
    if any(length != samples for length in lengths):
        raise InputError(f"samples: expected {total}, or the length of every array, {lengths}; got {samples}")
    places = tuple((slice(None), place) for place in _runs(uses))
    return Arrangement(samples, places, ((samples, sum(uses)),))


def _runs(lengths: Sequence[int]) -> list[slice]:
    ends = np.cumsum(lengths).tolist()
    return [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]


def shared_rows(
    inputs: Sequence[Part],
    outputs: Sequence[Part],
    samples: int | None,
    sharing: str,
    workspace: Workspace,
    dtype: Any,
    *,
    ones: bool,
) -> Rows:
    """Rows of inputs and output gradients, every use a row or reduced to one a sample.

    Raises
    ------
    InputError
        Inputs and outputs do not fit each other, or several arrays do not make a batch.
    """
    batch = arrangement(inputs, outputs, samples)
    if sharing == "reduce" and batch.uses > 1:
        a = summed(inputs, batch, workspace, "a", dtype, ones=ones)
        start = 0
        for count, uses in batch.groups:
            a[start : start + count, : inputs[0].width] /= uses
            start += count
        return Rows(a, summed(outputs, batch, workspace, "g", dtype), batch.samples, 1)
    a = stacked(inputs, batch, workspace, "a", dtype, ones=ones)
    g = stacked(outputs, batch, workspace, "g", dtype)
    return Rows(a, g, batch.samples, batch.uses, batch.groups)


def stacked(
    parts: Sequence[Part],
    batch: Arrangement,
    workspace: Workspace,
    name: str,
    dtype: Any,
    *,
    ones: bool = False,
) -> Array:
    """Rows (samples * uses, width), with a column of ones at the end if asked for.

    One array that needs neither ones nor another dtype or layout stays where it is.
    """
    width = parts[0].width
    there = parts[0].flat(dtype) if len(parts) == 1 and not ones else None
    if there is not None:
        return there
    out = workspace.take(name, (batch.rows, width + ones), dtype)
    if len(batch.groups) == 1:
        whole = out.reshape(batch.samples, -1, width + ones)
        for part, (chosen, uses) in zip(parts, batch.places, strict=True):
            part.write(whole[chosen, uses, :width])
    else:
        ends = np.cumsum([samples * uses for samples, uses in batch.groups])
        for part, (samples, each), end in zip(parts, batch.groups, ends.tolist(), strict=True):
            block = out[end - samples * each : end].reshape(samples, each, width + ones)
            part.write(block[:, :, :width])
    if ones:
        out[:, width] = 1
    return out


def summed(
    parts: Sequence[Part],
    batch: Arrangement,
    workspace: Workspace,
    name: str,
    dtype: Any,
    *,
    ones: bool = False,
) -> Array:
    """Sums over all uses (samples, width), with a column of ones at the end if asked for."""
    width = parts[0].width
    out = workspace.take(name, (batch.samples, width + ones), dtype)
    for k, (part, (chosen, _)) in enumerate(zip(parts, batch.places, strict=True)):
        target = out[chosen, :width]
        if k and part.samples == batch.samples:  # a further use of the same samples
            further = workspace.take("further use", target.shape, dtype)
            part.total(further)
            target += further
        else:
            part.total(target)
    if ones:
        out[:, width] = 1
    return out


def parts_of(gradient: Any, *, bias: bool) -> tuple[Any, Any]:
    """The weight's and the bias's part of a gradient.

    Raises
    ------
    InputError
    """
    pair = isinstance(gradient, (tuple, list))
    if pair != bias or (pair and len(gradient) != 2):
        wanted = "a pair (weight, bias)" if bias else "one array, for there is no bias"
        raise InputError(f"gradient: expected {wanted}, got {type(gradient).__name__}")
    return (gradient[0], gradient[1]) if pair else (gradient, None)


def sized(array: Any, shape: tuple[int, ...], name: str, dtype: Any) -> Array:
    """On the host, with as many numbers in the first axis and in all as `shape` says; real if `dtype` is.

    Raises
    ------
    InputError
    """
    host = namespace.to_host(array, name=name)
    if host.dtype.kind not in ("fciub" if np.dtype(dtype).kind == "c" else "fiub"):
        raise InputError(f"{name}: expected numbers that {np.dtype(dtype)} holds, got {host.dtype}")
    if host.size != math.prod(shape) or host.ndim == 0 or (len(shape) > 1 and host.shape[0] != shape[0]):
        raise InputError(f"{name}: expected shape {shape} or a refinement of it, got {host.shape}")
    return host


def packed(weight: Any, bias: Any, shape: tuple[int, int], workspace: Workspace, dtype: Any) -> Array:
    """Weight and bias gradients side by side; the weight's as it is where that is possible."""
    given = sized(weight, shape, "gradient", dtype)
    if bias is None and given.dtype == dtype and (given.shape == shape or given.flags.c_contiguous):
        return given.reshape(shape)
    out = workspace.take("gradient", (shape[0], shape[1] + (bias is not None)), dtype)
    cast(out[:, : shape[1]].reshape(given.shape), given)
    if bias is not None:
        cast(out[:, -1], sized(bias, shape[:1], "gradient", dtype).reshape(-1))
    return out


def unpacked(matrix: Array, gradient: Any, *, bias: bool) -> Any:
    """The reverse of `packed`, in new arrays."""
    if not bias:
        return like(matrix, gradient)
    return like(matrix[:, :-1], gradient[0]), like(matrix[:, -1], gradient[1])


def like(array: Array, model: Any) -> Any:
    """An array in the shape and the kind of another, and in its dtype unless that is one of integers.

    What is complex stays so.
    """
    kind = namespace.kind_of(model)
    model = model if hasattr(model, "dtype") else np.asarray(model)
    shape = tuple(model.shape)
    made = namespace.restore(kind, array if array.shape == shape else array.reshape(shape))
    if made.dtype == model.dtype:
        return made
    holding = "complex floating" if array.dtype.kind == "c" else ("real floating", "complex floating")
    if not (np if kind.is_numpy else kind.namespace).isdtype(model.dtype, holding):
        return made
    return made.astype(model.dtype) if kind.is_numpy else kind.namespace.astype(made, model.dtype)

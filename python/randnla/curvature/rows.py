# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Inputs and gradients of layers as rows of a batch, and gradients of parameters as matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla._backend import namespace
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
    samples, uses : int
        The factors are ``uses * mean(a a^T)`` and ``mean(g g^T)`` over rows.
    """

    a: Array
    g: Array
    samples: int
    uses: int


def listed(arrays: Any) -> Sequence[Any]:
    """One array, or several, as several."""
    return arrays if isinstance(arrays, (list, tuple)) else [arrays]


def checked(array: Any, name: str, width: int, dtype: Any) -> Array:
    """(samples, ..., width) as (samples, uses, width) on the host, a view where that is possible."""
    host = namespace.to_host(array, name=name)
    if host.ndim < 2 or host.shape[-1] != width or host.dtype.kind not in "fciub":
        raise InputError(
            f"{name}: expected numbers of shape (samples, ..., {width}), got {host.dtype} {host.shape}"
        )
    if host.dtype.kind == "c" and np.dtype(dtype).kind != "c":
        raise InputError(f"{name}: expected real numbers, got {host.dtype}")
    return host if host.ndim == 3 else host.reshape(len(host), -1, width)


def arrangement(inputs: Sequence[Array], outputs: Sequence[Array], samples: int | None) -> tuple[int, int]:
    """Samples and uses of several arrays (samples, uses, .), which are parts of a batch or uses of all of it.

    Raises
    ------
    InputError
    """
    if len(inputs) != len(outputs) or not inputs:
        raise InputError(f"g: expected as many arrays as a has, {len(inputs)}; got {len(outputs)}")
    for x, y in zip(inputs, outputs, strict=True):
        if x.shape[:2] != y.shape[:2] or 0 in x.shape[:2]:
            raise InputError(
                f"g: expected {x.shape[:2]} samples and uses as a has, at least 1; got {y.shape[:2]}"
            )
    lengths, uses = [len(x) for x in inputs], inputs[0].shape[1]
    if any(x.shape[1] != uses for x in inputs):
        raise InputError(f"a: expected as many uses in every array, got {[x.shape[1] for x in inputs]}")
    total = sum(lengths)
    if samples is None or samples == total:
        return total, uses
    if any(length != samples for length in lengths):
        raise InputError(f"samples: expected {total}, or the length of every array, {lengths}; got {samples}")
    return samples, uses * len(inputs)


def shared_rows(
    inputs: Sequence[Array],
    outputs: Sequence[Array],
    samples: int | None,
    sharing: str,
    workspace: Workspace,
    dtype: Any,
    *,
    ones: bool,
) -> Rows:
    """Rows of inputs and output gradients (samples, uses, .), every use a row or reduced to one a sample."""
    if sharing == "reduce":
        inputs = [x.mean(axis=1, keepdims=True) for x in inputs]
        outputs = [y.sum(axis=1, keepdims=True) for y in outputs]
    count, uses = arrangement(inputs, outputs, samples)
    a = stacked(inputs, count, uses, workspace, "a", dtype, ones=ones)
    g = stacked(outputs, count, uses, workspace, "g", dtype)
    if sharing == "reduce" and uses > 1:
        a, g = a.reshape(count, uses, -1).mean(axis=1), g.reshape(count, uses, -1).sum(axis=1)
        uses = 1
    return Rows(a, g, count, uses)


def stacked(
    arrays: Sequence[Array],
    samples: int,
    uses: int,
    workspace: Workspace,
    name: str,
    dtype: Any,
    *,
    ones: bool = False,
) -> Array:
    """Arrays (., ., width) as rows (samples * uses, width), with a column of ones at the end if asked for.

    One array that needs neither ones nor another dtype stays where it is.
    """
    width = arrays[0].shape[2]
    if len(arrays) == 1 and not ones and arrays[0].dtype == dtype:
        return arrays[0].reshape(samples * uses, width)
    out = workspace.take(name, (samples, uses, width + ones), dtype)
    body = out[:, :, :width]
    start, shared = 0, len(arrays) > 1 and sum(map(len, arrays)) != samples
    for array in arrays:
        n, t = array.shape[:2]
        if shared:
            body[:, start : start + t] = array
            start += t
        else:
            body[start : start + n] = array
            start += n
    if ones:
        out[:, :, width] = 1
    return out.reshape(samples * uses, width + ones)


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


def sized(array: Any, shape: tuple[int, ...], name: str) -> Array:
    """On the host, with as many numbers in the first axis and in all as `shape` says."""
    host = namespace.to_host(array, name=name)
    if host.size != math.prod(shape) or host.ndim == 0 or (len(shape) > 1 and host.shape[0] != shape[0]):
        raise InputError(f"{name}: expected shape {shape} or a refinement of it, got {host.shape}")
    return host


def packed(weight: Any, bias: Any, shape: tuple[int, int], workspace: Workspace, dtype: Any) -> Array:
    """Weight and bias gradients side by side; the weight's as it is where that is possible."""
    matrix = sized(weight, shape, "gradient")
    if bias is None and matrix.dtype == dtype and matrix.ndim == 2:
        return matrix
    out = workspace.take("gradient", (shape[0], shape[1] + (bias is not None)), dtype)
    out[:, : shape[1]].reshape(matrix.shape if bias is None else shape)[...] = matrix.reshape(
        matrix.shape if bias is None else shape
    )
    if bias is not None:
        out[:, -1] = sized(bias, shape[:1], "gradient").reshape(-1)
    return out


def unpacked(matrix: Array, gradient: Any, *, bias: bool) -> Any:
    """The reverse of `packed`, in new arrays."""
    if not bias:
        return like(matrix, gradient)
    return like(matrix[:, :-1], gradient[0]), like(matrix[:, -1], gradient[1])


def like(array: Array, model: Any) -> Any:
    """An array in the shape, the floating dtype and the kind of another."""
    kind = namespace.kind_of(model)
    shape = tuple(model.shape)
    made = array if array.shape == shape else array.reshape(shape)
    if kind.is_numpy and made.dtype != model.dtype and model.dtype.kind == "f":
        made = made.astype(model.dtype)
    return namespace.restore(kind, made)

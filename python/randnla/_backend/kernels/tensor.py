# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Products of a dense tensor with the columns of factor matrices, without unfolded copies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla import _core

from .dense import gemm

Array = NDArray[Any]

# Numbers of a partly contracted block: what the second cache holds beside the operands of gemm.
BLOCK = 1 << 17


def by_stride(T: Array) -> tuple[Array, list[int]]:
    """`T` with its axes in the order of decreasing strides, and that order: C order if it is dense."""
    order = sorted(range(T.ndim), key=lambda axis: (-abs(T.strides[axis]), axis))
    return T.transpose(order), order


def slabs(T: Array, per_row: int) -> Iterator[tuple[slice, Array]]:
    """Runs of the first axis as contiguous arrays, packed one by one where `T` is not contiguous."""
    rows = max(1, BLOCK // max(1, per_row))
    for start in range(0, T.shape[0], rows):
        part = slice(start, min(start + rows, T.shape[0]))
        yield part, np.ascontiguousarray(T[part])


def mttkrp(T: Array, factors: Sequence[Array], mode: int) -> Array:
    """``unfold(T, mode) @ khatri_rao(factors but mode)``: (d_mode, r), one matrix product and short sums.

    Parameters
    ----------
    T : (d_0, ..., d_{K-1}) array of float32 or float64, any strides
    factors : sequence of (d_k, r) arrays
        The one of `mode` is not read.
    mode : int

    Returns
    -------
    (d_mode, r) array
    """
    # The axis of smallest stride is summed first (the largest, where `mode` is the smallest itself): that
    # is a product of a matrix view of T with one factor, 2 d r flops. What is left is d / d_k times as
    # small and is summed against the other factors while it is in the cache.
    ordered, order = by_stride(T)
    inputs = [factors[axis] for axis in order]
    position = order.index(mode)
    r = inputs[1 if position == 0 else 0].shape[1]
    out = np.zeros((T.shape[mode], r), T.dtype)
    if T.size == 0 or r == 0:
        return out
    if _is_fused(ordered, position, r):
        _core.mttkrp(ordered, *map(np.ascontiguousarray, inputs), position, out)
    elif position == ordered.ndim - 1:
        _last(ordered, inputs, out)
    else:
        _leading(ordered, inputs, position, out)
    return out


def _is_fused(T: Array, mode: int, r: int) -> bool:
    """True where the compiled product takes it: three axes, sums that stay in the cache."""
    if T.ndim != 3 or not T.flags.aligned or any(step % T.itemsize for step in T.strides):
        return False
    return T.shape[1] * r <= 2 * BLOCK and (mode == 0 or T.shape[mode] * r <= 2 * BLOCK)


def _leading(T: Array, factors: list[Array], mode: int, out: Array) -> None:
    shape, last = T.shape, factors[-1]
    r = last.shape[1]
    for part, slab in slabs(T, math.prod(shape[1:-1]) * r):
        W = gemm(slab.reshape(-1, shape[-1]), last).reshape(*slab.shape[:-1], r)
        for axis in range(T.ndim - 2, mode, -1):  # the last of those left
            W = np.einsum("...jr,jr->...r", W, factors[axis])
        for axis in range(mode):  # the first of those left
            W = np.einsum("j...r,jr->...r", W, factors[axis][part] if axis == 0 else factors[axis])
        if mode == 0:
            out[part] = W
        else:
            out += W


def _last(T: Array, factors: list[Array], out: Array) -> None:
    first, shape = factors[0], T.shape
    r = first.shape[1]
    if T.ndim == 2:
        gemm(T.T, first, out)
        return
    step = max(1, BLOCK // max(1, math.prod(shape[2:]) * r))
    for start in range(0, shape[1], step):
        part = slice(start, min(start + step, shape[1]))
        block = T[:, part]
        rest = block.shape[1:]
        W = _columns(block, first).reshape(*rest, r)
        W = np.einsum("j...r,jr->...r", W, factors[1][part])
        for factor in factors[2:-1]:
            W = np.einsum("j...r,jr->...r", W, factor)
        out += W


def _columns(block: Array, first: Array) -> Array:
    # A run of the second axis of a contiguous tensor is a matrix with the row stride of the whole.
    inner = block.strides[-1]
    steps = block.strides[1:]
    size = math.prod(block.shape[1:])
    dense = inner == block.itemsize and all(
        steps[i] == steps[i + 1] * block.shape[i + 2] for i in range(len(steps) - 1)
    )
    if dense:
        view = np.lib.stride_tricks.as_strided(
            block, (block.shape[0], size), (block.strides[0], inner), writeable=False
        )
        return gemm(view.T, first)
    out = np.zeros((size, first.shape[1]), block.dtype)
    for part, slab in slabs(block, size):
        gemm(slab.reshape(-1, size).T, first[part], out, beta=1.0)
    return out


def khatri_rao(factors: Sequence[Array]) -> Array:
    """Columnwise Kronecker products: (prod d_k, r)."""
    out = factors[0]
    for factor in factors[1:]:
        out = (out[:, None, :] * factor).reshape(len(out) * len(factor), out.shape[1])
    return out


def cp_residual(T: Array, weights: Array, factors: Sequence[Array]) -> float:
    """Frobenius norm of ``T - sum_j weights_j a_0j o ... o a_{K-1}j``, block by block."""
    ordered, order = by_stride(T)
    inputs = [factors[axis] for axis in order]
    scaled = inputs[0] * weights
    total = 0.0
    for part, slab in slabs(ordered, math.prod(ordered.shape[1:])):
        rows = khatri_rao([scaled[part], *inputs[1:-1]])
        flat = slab.reshape(-1, slab.shape[-1]) - gemm(rows, np.ascontiguousarray(inputs[-1].T))
        total += float(np.sum(np.square(flat, dtype=np.float64)))
    return math.sqrt(total)

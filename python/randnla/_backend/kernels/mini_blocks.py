# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Many small symmetric matrices that are averaged from outer products, inverted and applied at every step.

They lie side by side in groups of 16: an array (groups, n (n + 1) / 2, 16) of the lower triangles by rows.
Of float32 and float64 only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from randnla import _core
from randnla._backend.kernels.dense import Array

LANES: int = _core.block_lanes


def zeros(count: int, order: int, dtype: Any) -> Array:
    """`count` zero matrices."""
    return np.zeros((-(-count // LANES), order * (order + 1) // 2, LANES), dtype)


def average(A: Array, X: Array, *, scale: float, keep: float, weight: float) -> None:
    """``A_i = keep A_i + weight (scale x_i) (scale x_i)^T`` of the rows x_i, which are contiguous."""
    _core.mini_blocks_average(A, X, scale, keep, weight)


def direct(A: Array, G: Array, M: Array, out: Array, *, keep: float, weight: float, scale: float) -> bool:
    """``M = keep M + weight G`` and ``out_i = scale A_i m_i``; whether all of it is finite."""
    return bool(_core.mini_blocks_direct(A, G, M, keep, weight, scale, out))


def apply(A: Array, X: Array) -> Array:
    """``A_i x_i`` of every row."""
    out = np.empty(X.shape, X.dtype)
    _core.mini_blocks_apply(A, X, out)
    return out


def invert(A: Array, count: int, order: int, *, scale: float, shift: float, wide: bool) -> tuple[Array, int]:
    """``(scale A_i + shift I)^-1``, and how many have none; `wide` computes float32 in float64."""
    out = np.empty(A.shape, A.dtype)
    return out, int(_core.mini_blocks_invert(A, count, order, scale, shift, out, wide))


def packed(A: Array, count: int) -> Array:
    """Lower triangles by rows, one matrix after the other: (count, n (n + 1) / 2)."""
    return np.ascontiguousarray(A.transpose(0, 2, 1).reshape(-1, A.shape[1])[:count])


def grouped(triangles: Array, dtype: Any) -> Array:
    """The reverse of `packed`."""
    count, entries = triangles.shape
    padded = np.zeros((-(-count // LANES) * LANES, entries), dtype)
    padded[:count] = triangles
    return np.ascontiguousarray(padded.reshape(-1, LANES, entries).transpose(0, 2, 1))


def traces(A: Array, count: int, order: int) -> Array:
    """Of every matrix, in float64."""
    steps = np.arange(order)
    diagonals = A[:, steps * (steps + 3) // 2]  # (groups, order, lanes)
    return np.asarray(diagonals.sum(axis=1, dtype=np.float64).reshape(-1)[:count])


def unfolded(triangles: Array, order: int) -> Array:
    """Lower triangles as symmetric matrices (count, n, n)."""
    whole = np.empty((len(triangles), order, order), triangles.dtype)
    rows, columns = np.tril_indices(order)
    whole[:, rows, columns] = triangles
    whole[:, columns, rows] = triangles
    return whole

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Oracle of ``kernels.sparse_maps``: Floyd's algorithm column by column, products in plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend.generic.streams import blocks, stream_key

Array = NDArray[Any]


def _words(kind: str, key: tuple[int, int], first: int, count: int, row: int) -> Array:
    """Words of `count` blocks: blocks x words a column x lanes."""
    words = blocks(first, count, row, key)
    return words.reshape(count, 1, 64) if kind == "countsketch" else words


def _columns(kind: str, key: tuple[int, int], d: int, nnz: int, start: int, stop: int) -> tuple[Array, Array]:
    lanes, per_row = (64, 1) if kind == "countsketch" else (16, 4)
    first = start // lanes
    count = (stop - 1) // lanes - first + 1
    positions = np.empty((count * lanes, nnz), np.int64)
    signs = np.empty((count * lanes, nnz), np.int8)
    for z in range(nnz):
        q, w = divmod(z, per_row)
        words = _words(kind, key, first, count, q)[:, w].reshape(-1)
        low = _words(kind, key, first, count, 2**32 + q)[:, w].reshape(-1)
        t = d - nnz + z
        for column in range(len(words)):
            v = int(words[column]) >> 1
            if d <= 2**16:
                r = v * (t + 1) >> 31
            else:
                r = (v << 32 | int(low[column])) * (t + 1) >> 63
            positions[column, z] = t if r in positions[column, :z] else r
        signs[:, z] = np.where(words & np.uint32(1), -1, 1)
    return positions[start - first * lanes :][: stop - start], signs[start - first * lanes :][: stop - start]


def sparse_map_columns(
    *, kind: str, seed: int, stream: int, d: int, nnz: int, col_start: int, col_stop: int, dtype: Any
) -> tuple[Array, Array]:
    """Positions (columns x nnz, int64) and signs (int8) of the nonzeros of a range of columns."""
    bits = 8 * np.dtype(dtype).itemsize
    key = stream_key(kind=kind, seed=seed, stream=stream, element_bits=bits)
    nnz = 1 if kind == "countsketch" else nnz
    if col_stop <= col_start:
        return np.empty((0, nnz), np.int64), np.empty((0, nnz), np.int8)
    return _columns(kind, key, d, nnz, col_start, col_stop)


def stretch_of_rows(d: int, nnz: int, rows: int) -> int:
    """Rows of A that are summed together, of `rows` of them."""
    if nnz > 1 or d >= 2**16:
        return rows
    parts = next((p for p in (8, 4, 2) if p <= min(rows // 4096, rows // 16 // d)), 1)
    return rows if parts == 1 else min(2**19, -(-rows // parts))


def apply_sparse_map(
    A: Array,
    out: Array,
    *,
    kind: str,
    seed: int,
    stream: int,
    d: int,
    nnz: int,
    row_start: int = 0,
    col_start: int = 0,
    scale: float = 1.0,
    adjoint: bool = False,
) -> Array:
    """``out = scale * S @ A`` or ``scale * S.T @ A``, summed in the order the kernel promises."""
    rows, columns = (len(A), len(out)) if adjoint else (len(out), len(A))
    positions, signs = sparse_map_columns(
        kind=kind, seed=seed, stream=stream, d=d, nnz=nnz,
        col_start=col_start, col_stop=col_start + columns, dtype=A.dtype,
    )  # fmt: skip
    total, sums = np.zeros(out.shape, out.dtype), np.zeros(out.shape, out.dtype)
    stretch = columns if adjoint else stretch_of_rows(d, nnz, columns)
    for j in range(columns):
        if j > 0 and j % stretch == 0:
            total += sums
            sums[...] = 0
        for position, sign in zip(positions[j].tolist(), signs[j].tolist(), strict=True):
            i = position - row_start
            if not 0 <= i < rows:
                continue
            target, source = (j, i) if adjoint else (i, j)
            sums[target] += A.dtype.type(sign) * A[source]
    out[...] = out.dtype.type(scale) * (total + sums)
    return out

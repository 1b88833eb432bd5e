# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Random maps with few nonzeros a column: SparseSign and CountSketch."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from randnla import _core
from randnla._backend.device import is_device
from randnla._backend.kernels import device_maps
from randnla._backend.kernels.streams import KINDS

Real = NDArray[Any]
SparseKind = Literal["sparse_sign", "countsketch"]


def sparse_map_columns(
    *,
    kind: SparseKind,
    seed: int,
    stream: int,
    d: int,
    nnz: int,
    col_start: int,
    col_stop: int,
    dtype: Any,
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Positions and signs of the nonzeros of columns ``col_start .. col_stop - 1``.

    Parameters
    ----------
    kind : {"sparse_sign", "countsketch"}
    seed, stream : int
        Below 2**64.
    d : int
        Rows of the map, below 2**63.
    nnz : int
        Nonzeros a column, 1 to d; CountSketch has one, whatever is given.
    dtype : dtype
        float32 or float64: the two have different streams.

    Returns
    -------
    positions : ndarray, int64, (columns, nnz)
        Distinct within a row, in the order of their draw.
    signs : ndarray, int8, (columns, nnz)
        +1 or -1.

    Raises
    ------
    InputError
        If `nnz`, `d`, `kind` or the range is out of bounds.

    Notes
    -----
    *Algorithm*: Floyd's sampling without replacement (Bentley & Floyd, CACM 1987), 16 columns at once.
    """
    count = max(0, col_stop - col_start)
    nnz = 1 if kind == "countsketch" else nnz
    positions = np.empty((count, nnz), np.int64)
    signs = np.empty((count, nnz), np.int8)
    _core.sparse_map_columns(
        kind, seed, stream, d, nnz, col_start, 8 * np.dtype(dtype).itemsize,
        positions.reshape(-1), signs.reshape(-1),
    )  # fmt: skip
    return positions, signs


def apply_sparse_map(
    A: Real,
    out: Real,
    *,
    kind: SparseKind,
    seed: int,
    stream: int,
    d: int,
    nnz: int,
    row_start: int = 0,
    col_start: int = 0,
    scale: float = 1.0,
    adjoint: bool = False,
) -> Real:
    """Apply a block of a sparse map, or its transpose, to a dense matrix.

    Parameters
    ----------
    A : ndarray
        float32 or float64, any layout.
    out : ndarray
        Of the type of `A`, any layout, not overlapping `A`: receives ``scale * S @ A`` with S the rows
        ``row_start ..`` and columns ``col_start ..`` of the map, ``out.rows x A.rows``; if `adjoint`,
        ``scale * S.T @ A`` with S ``A.rows x out.rows``.
    kind, seed, stream, d, nnz
        As in `sparse_map_columns`.

    Returns
    -------
    out : ndarray

    Raises
    ------
    InputError
        If shapes, types or the block do not fit.
    CapacityError
        If the block has 2**31 rows or more.

    Notes
    -----
    *Algorithm*: panels of columns one cache line wide, packed chunk by chunk; each row of a chunk is
    added, with its signs, into the `nnz` rows of sums of its panel, which stay in L2. With AVX-512 and
    wide `A` the nonzeros of a chunk are sorted by output row instead, so that sums stay in registers.
    CountSketch reads contiguous rows of `A` in turn, each thread a stretch of them, or sorted by the row of
    `out` they go to. An entry sums over ascending rows of A in the order of the draw, then is scaled: its
    bits depend neither on the number of threads nor on the layouts. With one nonzero a column, ``d < 2**16``
    and 32 d rows of A or more (at least 8192), it is the sum in turn of the sums of 2, 4 or 8 stretches of
    A, of at most 2**19 rows: as many as leave each 4096 rows and 16 d.

    *Cost*: nnz m n additions, one pass over A. Scratch: a table of 2 MB, and per thread about 0.7 MB;
    sorted, up to 7 MB of tables, 6 MB of sums and 8.5 MB of tiles; with one nonzero a column, up to
    16 MB of sums; sums above 4 MB a panel (d > 2**16) go straight to `out`.
    """
    if is_device(A):
        number = KINDS[kind]
        device_maps.apply_sparse_map(
            A, out, kind=number, seed=seed, stream=stream, d=d, nnz=nnz, scale=scale, adjoint=adjoint
        )
    else:
        _core.apply_sparse_map(kind, seed, stream, d, nnz, row_start, col_start, scale, adjoint, A, out)
    return out

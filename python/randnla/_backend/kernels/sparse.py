# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sparse matrices in compressed rows: products with dense matrices and with random maps."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from randnla import _core

from . import dense

Real = NDArray[Any]
Index = NDArray[Any]
SketchKind = Literal["gaussian", "sign", "sparse_sign", "countsketch"]


def _same_index_type(indptr: Index, indices: Index) -> Index:
    # SciPy gives both one type; a mixed pair costs a copy of the short one, indptr.
    return indptr if indptr.dtype == indices.dtype else indptr.astype(indices.dtype)


def csr_matmul(
    indptr: Index,
    indices: Index,
    data: Real,
    X: Real,
    out: Real,
    *,
    adjoint: bool = False,
) -> Real:
    """Product of a CSR matrix, or of its transpose, with a dense matrix on the thread team.

    Parameters
    ----------
    indptr, indices, data : ndarray
        The matrix A in compressed rows, int32 or int64 indices, contiguous. Rows need not be sorted;
        repeated columns add up. A CSC matrix is the CSR form of its transpose.
    X : ndarray
        Dense operand of the type of `data`, any layout; ``A.cols x n``, or ``A.rows x n`` if `adjoint`.
    out : ndarray
        Receives the product, any layout, ``A.rows x n``, or ``A.cols x n`` if `adjoint`.
    adjoint : bool
        Multiply by the transpose of A.

    Returns
    -------
    out : ndarray

    Raises
    ------
    InputError
        If the index arrays do not describe a matrix of that shape. They are read once in full before
        the first use, so that a hostile index is refused and never followed.

    Notes
    -----
    *Algorithm*: row by row, sums in registers; the transpose scatters, the columns of X cut over the
    team. Every entry of the result sums over the stored entries in order (ascending rows for the
    transpose), so the bits depend neither on the number of threads nor on the layouts.

    *Cost*: 2 nnz n flops, one pass over A per thread, at most 8 MB (or one cache line a row) of
    scratch where a layout has to be packed.
    """
    rows = len(indptr) - 1
    indptr = _same_index_type(indptr, indices)
    if adjoint:
        _core.csr_transposed_matmul(indptr, indices, data, rows, out.shape[0], X, out)
    else:
        _core.csr_matmul(indptr, indices, data, rows, X.shape[0], X, out)
    return out


def sampled_product(indptr: Index, indices: Index, L: Real, R: Real) -> Real:
    """Entries of ``L @ R.T`` where a CSR pattern has its own.

    Parameters
    ----------
    indptr, indices : ndarray
        Of a pattern of m rows and n columns, int32 or int64.
    L : (m, k) array
    R : (n, k) array

    Returns
    -------
    (nnz,) array
        In the order of `indices`.

    Raises
    ------
    InputError
        The pattern does not fit.

    Notes
    -----
    Real factors on the thread team, each entry a sum of its own in a fixed order; complex ones in NumPy, some
    rows of the factors at a time. *Cost*: 2 nnz k flops; R is read nnz / n times.
    """
    dtype = np.result_type(L, R)
    out = np.empty(len(indices), dtype)
    L, R = (np.ascontiguousarray(X, dtype) for X in (L, R))
    if dtype.kind == "f" and dense.is_compiled(L):
        _core.csr_sampled_product(_same_index_type(indptr, indices), indices, L, R, out)
        return out
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    step = max(1, (1 << 19) // max(1, L.shape[1]))
    for start in range(0, len(out), step):
        part = slice(start, start + step)
        out[part] = np.einsum("ij,ij->i", L[rows[part]], R[indices[part]])
    return out


def csr_sketch(
    indptr: Index,
    indices: Index,
    data: Real,
    shape: tuple[int, int],
    out: Real,
    *,
    kind: SketchKind,
    seed: int,
    stream: int,
    d: int,
    nnz: int = 1,
    row_start: int = 0,
    col_start: int = 0,
    scale: float = 1.0,
    axis: Literal[0, 1] = 0,
) -> Real:
    """Apply a random map to a CSR matrix without storing either densely.

    Parameters
    ----------
    indptr, indices, data : ndarray
        The matrix A in compressed rows, as in `csr_matmul`.
    shape : (int, int)
        Of A.
    out : ndarray
        Of the type of `data`, any layout. With S the rows ``row_start ..`` and columns ``col_start ..`` of
        the map, receives ``scale * S @ A`` (``out.rows x A.cols``) for `axis` 0, ``scale * S @ A.T``
        (``out.rows x A.rows``) for `axis` 1. For a CSC matrix pass its arrays, the transposed shape and
        the other axis.
    kind : {"gaussian", "sign", "sparse_sign", "countsketch"}
    seed, stream : int
        Below 2**64.
    d, nnz : int
        Rows of the whole map and nonzeros a column, for the sparse kinds.
    axis : {0, 1}
        The index of A that the columns of S meet.

    Returns
    -------
    out : ndarray

    Raises
    ------
    InputError
        If the index arrays do not describe a matrix of that shape, or shapes, types or block do not fit.

    Notes
    -----
    The transpose, ``S.T @ A``, of a tall result is as large as a dense A and not offered.

    *Algorithm*: dense maps: strips of 32 (float32) or 16 rows of S are generated for 2048 columns at a
    time and each stored entry of A adds one multiple of a strip's column. Sparse maps: each stored entry
    is added, with its sign, to `nnz` places of `out`. Sums run over ascending columns of the map for
    sorted rows; the bits depend neither on the number of threads nor on the layout of `out`.

    *Cost*: 2 d nnz(A) flops and d m random numbers (dense; again for every 65536 columns of `out`), or
    nnz nnz(A) additions. Scratch: at most 9 MB per thread.
    """
    indptr = _same_index_type(indptr, indices)
    rows, cols = shape
    _core.csr_sketch(
        indptr, indices, data, rows, cols, out, kind, seed, stream, d, nnz, row_start, col_start, scale, axis
    )
    return out

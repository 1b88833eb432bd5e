# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sparse matrices in compressed rows: products with dense matrices and with random maps."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from randnla import _core

Real = NDArray[Any]
Index = NDArray[Any]


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

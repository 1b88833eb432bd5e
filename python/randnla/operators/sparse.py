# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A SciPy sparse matrix as an operator; it never becomes dense."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.sparse

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import dense, sparse
from randnla.operators.base import Array, LinearOperator


class Sparse(LinearOperator):
    """A SciPy sparse matrix or array; CSR and CSC are kept as they are, other formats become CSR.

    Parameters
    ----------
    A : sparse matrix or sparse array of shape (m, n)
    name : str
        What errors call it.
    check_finite : bool, default True
        Whether drivers are to look for NaN and Inf.

    Examples
    --------
    >>> import numpy as np, scipy.sparse
    >>> A = Sparse(scipy.sparse.eye_array(3, format="csr"))
    >>> A.matmat(np.ones(3))
    array([1., 1., 1.])
    """

    def __init__(self, A: Any, *, name: str = "A", check_finite: bool = True) -> None:
        if not scipy.sparse.issparse(A):
            raise InputError(f"{name}: expected a SciPy sparse matrix, got {type(A).__name__}")
        if A.ndim != 2:
            raise InputError(f"{name}: expected 2 dimensions, got {A.ndim} (shape {A.shape})")
        dtype = validate.working_dtype(A.dtype, name=name)
        # One format for the kernels; duplicates (COO) are summed by the conversion.
        matrix = A if A.format in ("csr", "csc") else scipy.sparse.csr_array(A)
        if matrix.dtype != dtype or not matrix.dtype.isnative:
            matrix = matrix.astype(dtype)
        self.matrix: Any = matrix
        rows, cols = matrix.shape
        super().__init__((rows, cols), dtype, check_finite=check_finite)

    def _matmat(self, X: Array) -> Array:
        if self._compiled(X):
            return self._multiply(X, self.shape[0], adjoint=self.matrix.format == "csc")
        return _product(self.matrix, X)

    def _compiled(self, X: Array) -> bool:
        return X.dtype == self.dtype and self.dtype.kind == "f" and dense.is_compiled(X)

    def _multiply(self, X: Array, rows: int, *, adjoint: bool) -> Array:
        # The arrays of a CSC matrix are those of its transpose in CSR.
        out = np.empty((rows, X.shape[1]), dtype=self.dtype)
        held = self.matrix
        return sparse.csr_matmul(held.indptr, held.indices, held.data, X, out, adjoint=adjoint)

    def _rmatmat(self, Y: Array) -> Array:
        if self._compiled(Y):
            return self._multiply(Y, self.shape[1], adjoint=self.matrix.format == "csr")
        # .T is a view of the same arrays in the other format.
        if self.dtype.kind != "c":
            return _product(self.matrix.T, Y)
        return _product(self.matrix.T, Y.conj()).conj()

    def sketch(self, S: Any) -> Array:
        """``S @ A``, by the map's own routine for sparse input."""
        self._match(S.shape[1], self.shape[0], "S @ A", S.shape)
        return np.asarray(S.apply_sparse(self.matrix))

    def rsketch(self, S: Any) -> Array:
        """``A @ S.T``, by the map's own routine for sparse input."""
        self._match(S.shape[1], self.shape[1], "A @ S.T", S.shape)
        return np.asarray(S.apply_sparse(self.matrix.T)).T

    @property
    def T(self) -> LinearOperator:
        """The transposed matrix: the same arrays read the other way."""
        return Sparse(self.matrix.T, check_finite=self.check_finite)

    def frobenius_norm(self) -> float:
        """The Frobenius norm, safe from overflow."""
        matrix = self.matrix
        if not matrix.has_canonical_format:
            matrix = matrix.copy()
            matrix.sum_duplicates()
        seen = dense.screen(matrix.data[None])
        return seen.frobenius_norm if seen.finite else math.nan

    def require_finite(self, *, name: str = "A") -> None:
        """Raise `NonFiniteError` naming count and first index (row by row) of NaN and Inf."""
        if validate.is_finite(self.matrix.data):
            return
        entries = self.matrix.tocoo()
        bad = ~np.isfinite(entries.data)
        rows, cols = entries.row[bad], entries.col[bad]
        first = np.lexsort((cols, rows))[0]
        raise validate.non_finite(name, int(bad.sum()), (int(rows[first]), int(cols[first])))

    def to_dense(self) -> Array:
        """The matrix as an array."""
        return np.asarray(self.matrix.toarray())


# Multiply-adds of one call of SciPy, which answers no Ctrl-C: .04 s of complex128 on one core.
_CALL_SIZE = 1 << 25


def _product(matrix: Any, X: Array) -> Array:
    """``matrix @ X`` in SciPy, some columns at a time: Ctrl-C is answered between calls only."""
    step = max(1, _CALL_SIZE // max(1, matrix.nnz))
    if X.ndim < 2 or X.shape[1] <= step:
        return np.asarray(matrix @ X)
    out = np.empty((matrix.shape[0], X.shape[1]), np.result_type(matrix.dtype, X.dtype))
    for j in range(0, X.shape[1], step):
        out[:, j : j + step] = matrix @ X[:, j : j + step]
    return out

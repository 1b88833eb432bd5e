# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The inverse of a dense matrix by its Cholesky or LU factors."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from randnla._backend import validate
from randnla._backend.errors import BreakdownError
from randnla._backend.kernels import dense
from randnla.operators.base import Array
from randnla.operators.structured import Structured

# Rows and columns that are compared at a time.
TILE = 256


def is_hermitian(A: Array) -> bool:
    """Whether A equals its conjugate transpose to the rounding of a product that made it."""
    if A.shape[0] != A.shape[1]:
        return False
    n = len(A)
    slack = 8 * np.finfo(A.dtype).eps * np.sqrt(max(1, n)) * np.abs(A).max(initial=0.0)
    # Tile by tile: both halves are in the caches together, and no difference of the size of A is made.
    return all(
        bool(np.abs(A[i : i + TILE, j : j + TILE] - A[j : j + TILE, i : i + TILE].conj().T).max() <= slack)
        for i in range(0, n, TILE)
        for j in range(0, i + 1, TILE)
    )


def lu_factors(A: Array, what: str = "its LU factorization") -> tuple[Array, Array]:
    """LU factors and pivots of a square A.

    Raises
    ------
    BreakdownError
        A pivot is zero.
    """
    (getrf,) = scipy.linalg.get_lapack_funcs(("getrf",), (A,))
    lu, pivots, info = getrf(A)
    if info > 0:
        raise BreakdownError(f"A: singular, pivot {info - 1} of {what} is zero")
    return lu, pivots


class FactoredInverse(Structured):
    """``A^-1`` of a dense A, factored when made: Cholesky where A is Hermitian positive definite, else LU.

    Attributes
    ----------
    path : str
        "cholesky" or "lu".
    """

    def __init__(self, A: Array, *, check_finite: bool = True) -> None:
        super().__init__(A.shape, A.dtype, check_finite=check_finite)
        self._require_square("inverse")
        validate.require_finite(A, name="A")
        self.path = "lu"
        if is_hermitian(A):
            try:
                self.factor: Any = scipy.linalg.cho_factor(A, lower=True, check_finite=False)
                self.path = "cholesky"
            except np.linalg.LinAlgError:
                pass
        if self.path == "lu":
            self.factor = lu_factors(A)

    def _solve(self, B: Array, trans: int) -> Array:
        B = B.astype(np.result_type(self.dtype, B.dtype), copy=False)
        if self.path == "cholesky":
            return np.asarray(scipy.linalg.cho_solve(self.factor, B, check_finite=False))
        return np.asarray(scipy.linalg.lu_solve(self.factor, B, trans=trans, check_finite=False))

    def _matmat(self, X: Array) -> Array:
        return self._solve(X, 0)

    def _rmatmat(self, Y: Array) -> Array:
        return self._solve(Y, 2)

    def diag(self) -> Array:
        """The diagonal of the inverse; costs a solve with the identity."""
        return np.diagonal(self.to_dense()).copy()

    def inverse(self) -> Structured:
        """The product of the factors: A again, to rounding."""
        from randnla.operators.dense import Dense

        n = self.shape[0]
        if self.path == "cholesky":
            L = np.tril(self.factor[0])
            return Dense(dense.gemm(L, L.conj().T), check_finite=self.check_finite)
        lu, pivots = self.factor
        A = dense.gemm(np.tril(lu, -1) + np.eye(n, dtype=lu.dtype), np.triu(lu))
        for i in range(n - 1, -1, -1):
            A[[i, pivots[i]]] = A[[pivots[i], i]]
        return Dense(A, check_finite=self.check_finite)

    def slogdet(self) -> tuple[Any, float]:
        """From the diagonal of the factors."""
        diagonal = np.diagonal(self.factor[0]).astype(np.result_type(self.dtype, np.float64))
        size = np.abs(diagonal)
        if self.path == "cholesky":
            return 1.0, -2.0 * float(np.log(size).sum())
        swaps = int(np.count_nonzero(self.factor[1] != np.arange(self.shape[0])))
        sign = (diagonal / size).prod() * (-1.0) ** swaps
        return (1 / sign).item(), -float(np.log(size).sum())

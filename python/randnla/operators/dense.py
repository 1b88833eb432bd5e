# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""An array as an operator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import BreakdownError, InputError
from randnla._backend.kernels import dense, qr
from randnla.operators.base import Array, LinearOperator
from randnla.operators.factored import FactoredInverse, is_hermitian
from randnla.operators.structured import Structured, magnitude_ratio, require_positive


class Dense(Structured):
    """An array of any layout, real or complex, taken without a copy where its dtype allows.

    Parameters
    ----------
    A : array of shape (m, n)
        bool, integer, float16/32/64, complex64/128; torch, JAX and other DLPack arrays on the CPU too.
    name : str
        What errors call it.
    check_finite : bool, default True
        Whether drivers are to look for NaN and Inf. Making the operator does not read `A`.

    Raises
    ------
    InputError
        `A` is not two-dimensional or holds no supported numbers.

    Examples
    --------
    >>> import numpy as np
    >>> A = Dense(np.arange(6).reshape(2, 3))
    >>> A.shape, A.dtype
    ((2, 3), dtype('float64'))
    >>> A.rmatmat(np.ones(2))
    array([3., 5., 7.])
    """

    def __init__(self, A: Any, *, name: str = "A", check_finite: bool = True) -> None:
        self.array: Array = validate.as_matrix(A, name=name)
        rows, cols = self.array.shape
        super().__init__((rows, cols), self.array.dtype, check_finite=check_finite)

    def _matmat(self, X: Array) -> Array:
        return dense.gemm(self.array, X)

    def _rmatmat(self, Y: Array) -> Array:
        if self.dtype.kind != "c":
            return dense.gemm(self.array.T, Y)
        # Conjugate the thin factor twice rather than copy A once.
        return dense.matmul(self.array.T, Y.conj()).conj()

    def sketch(self, S: Any) -> Array:
        """``S @ A`` by the map's own kernel."""
        self._match(S.shape[1], self.shape[0], "S @ A", S.shape)
        return np.asarray(S.apply(self.array))

    def rsketch(self, S: Any) -> Array:
        """``A @ S.T`` by the map's own kernel."""
        self._match(S.shape[1], self.shape[1], "A @ S.T", S.shape)
        return np.asarray(S.apply(self.array.T)).T

    @property
    def T(self) -> LinearOperator:
        """The transposed array, a view."""
        return Dense(self.array.T, check_finite=self.check_finite)

    def frobenius_norm(self) -> float:
        """The Frobenius norm, safe from overflow and underflow; one pass or two, no copy."""
        seen = dense.screen(self.array)
        return seen.frobenius_norm if seen.finite else math.nan

    def require_finite(self, *, name: str = "A") -> None:
        """Raise `NonFiniteError` naming count and first index of NaN and Inf."""
        validate.require_finite(self.array, name=name)

    def to_dense(self) -> Array:
        """The array itself, not a copy."""
        return self.array

    def diag(self) -> Array:
        """The diagonal, a view."""
        return np.diagonal(self.array)

    def inverse(self) -> FactoredInverse:
        """The inverse by Cholesky factors where A is Hermitian positive definite, else by LU factors."""
        return FactoredInverse(self.array, check_finite=self.check_finite)

    def slogdet(self) -> tuple[Any, float]:
        """From the factors of `inverse`; zero where a pivot is."""
        try:
            sign, value = self.inverse().slogdet()
        except BreakdownError:
            return 0.0, -math.inf
        return 1 / sign, -value

    def eigh(self) -> tuple[Array, Array]:
        """Eigenvalues (ascending) and eigenvectors of a Hermitian matrix, by LAPACK.

        Raises
        ------
        InputError
            The matrix is not Hermitian to rounding.
        """
        self.require_finite()
        if not is_hermitian(self.array):
            raise InputError("A: expected a Hermitian matrix; (A + A.conj().T) / 2 is one")
        return qr.small_eigh(self.array)

    def _function(self, f: Any, what: str, *, semidefinite: bool) -> Dense:
        w, V = self.eigh()
        # Rounding may push a zero eigenvalue of a semidefinite matrix below zero.
        tiny = len(w) * np.finfo(self.dtype).eps * float(np.abs(w).max(initial=0.0))
        w = np.where(np.abs(w) <= tiny, 0.0, w) if semidefinite else w
        require_positive(w, what, semidefinite=semidefinite)
        root = V * np.sqrt(f(w))  # f(A) = (V f^1/2) (V f^1/2)^H is Hermitian to the bit where BLAS is
        return Dense(dense.gemm(root, root.conj().T), check_finite=self.check_finite)

    def sqrt(self) -> Dense:
        """The positive semidefinite root, by all eigenvectors."""
        return self._function(np.sqrt, "sqrt", semidefinite=True)

    def inverse_sqrt(self) -> Dense:
        """The inverse root, by all eigenvectors."""
        return self._function(lambda x: 1 / np.sqrt(x), "inverse_sqrt", semidefinite=False)

    def condition(self) -> float:
        """From all singular values."""
        self.require_finite()
        return magnitude_ratio(qr.small_svd(self.array)[1])

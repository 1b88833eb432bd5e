# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""An array as an operator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.kernels import dense
from randnla.operators.base import Array, LinearOperator


class Dense(LinearOperator):
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
        return np.asarray(self.array.T @ Y.conj()).conj()

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

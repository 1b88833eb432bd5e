# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Operators that know more of themselves than their products: solves, determinants, roots."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import numpy as np

from randnla._backend import namespace
from randnla._backend.errors import BreakdownError, InputError
from randnla.operators.base import Array, LinearOperator


class Structured(LinearOperator):
    """Base of operators with closed forms; what a class has none of raises `InputError` and says why.

    Subclasses give `diag`, and of `inverse`, `slogdet`, `sqrt`, `inverse_sqrt` and `condition` what they
    have. `inverse`, `sqrt` and `inverse_sqrt` return operators: what is factored is kept in them.
    """

    @abstractmethod
    def diag(self) -> Array:
        """The diagonal, shape (min(m, n),)."""

    def trace(self) -> Any:
        """Sum of the diagonal, accumulated in float64."""
        self._require_square("trace")
        wide = np.complex128 if self.dtype.kind == "c" else np.float64
        return self.diag().sum(dtype=wide).item()

    def inverse(self) -> LinearOperator:
        """The inverse as an operator that is factored once.

        Raises
        ------
        InputError
            The operator is not square or has no inverse in closed form.
        BreakdownError
            It is singular.
        """
        raise self._none("inverse")

    def solve(self, B: Any) -> Any:
        """``A^-1 B`` for B of shape (n,), (n, k) or (..., n, k), an array of the kind of B.

        Keep `inverse` to solve again without factoring. As in products, NaN and Inf in B are not looked for:
        they come out as IEEE arithmetic has them.
        """
        return self.inverse().matmat(B)

    def slogdet(self) -> tuple[Any, float]:
        """Sign (or phase) of the determinant and the logarithm of its magnitude."""
        raise self._none("determinant")

    def logdet(self) -> float:
        """Logarithm of a positive determinant.

        Raises
        ------
        BreakdownError
            The determinant is not positive; `slogdet` gives its sign.
        """
        sign, value = self.slogdet()
        if not (np.real(sign) > 0 and abs(np.imag(sign)) <= 1e-6):
            raise BreakdownError(f"A: expected a positive determinant, got one of sign {sign}; see slogdet")
        return value

    def eigh(self) -> tuple[Array, Array]:
        """Eigenvalues and an orthonormal basis of eigenvectors of a Hermitian operator, as arrays."""
        raise self._none("eigendecomposition")

    def sqrt(self) -> LinearOperator:
        """The positive semidefinite square root of a Hermitian positive semidefinite operator."""
        raise self._none("square root")

    def inverse_sqrt(self) -> LinearOperator:
        """The positive definite inverse square root of a Hermitian positive definite operator."""
        raise self._none("inverse square root")

    def condition(self) -> float:
        """Condition number in the 2-norm, or an upper bound of it; inf where the operator is singular."""
        raise self._none("condition number")

    def quadform(self, X: Any) -> Any:
        """``x^H A x`` of a vector, or of every column of X (..., n, k); real where A is Hermitian."""
        self._require_square("quadform")
        kind = namespace.kind_of(X)
        X = self._block(X, self.shape[1], "X.H A X", "X")
        wide = np.result_type(self.dtype, X.dtype, np.float64)
        sums = "i,i->" if X.ndim == 1 else "...ij,...ij->...j"
        values = np.einsum(sums, X.conj(), self.matmat(X), dtype=wide)
        return values.item() if X.ndim == 1 else namespace.restore(kind, values)

    def _require_square(self, what: str) -> None:
        if self.shape[0] != self.shape[1]:
            raise InputError(f"A: {what} needs a square operator, got shape {self.shape}")

    def _none(self, what: str) -> InputError:
        return InputError(f"A: {type(self).__name__} of this form has no {what} in closed form")


def structured(op: LinearOperator, what: str) -> Structured:
    """`op` where it is structured.

    Raises
    ------
    InputError
        It is known by its products only.
    """
    if not isinstance(op, Structured):
        raise InputError(f"A: {what} needs factors in closed form, got a {type(op).__name__}")
    return op


def require_positive(values: Array, what: str, *, semidefinite: bool = False) -> None:
    """Refuse eigenvalues that a root or the logarithm cannot take.

    Raises
    ------
    BreakdownError
        One is negative, or zero unless `semidefinite`.
    """
    least = float(np.min(values, initial=math.inf))
    if least < 0 or (least == 0 and not semidefinite):
        kind = "semidefinite" if semidefinite else "definite"
        raise BreakdownError(f"A: {what} needs a positive {kind} operator, got the eigenvalue {least:.3g}")


def magnitude_ratio(values: Array) -> float:
    """Largest over least magnitude; inf where one is 0, 1 where there are none."""
    size = np.abs(values)
    if not size.size:
        return 1.0
    return float(size.max() / size.min()) if size.min() > 0 else math.inf

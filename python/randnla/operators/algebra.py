# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Operators made of operators: transposes, products, sums, scalings. All lazy."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla.operators.base import Array, LinearOperator


class Adjoint(LinearOperator):
    """The conjugate transpose of an operator."""

    def __init__(self, base: LinearOperator) -> None:
        super().__init__((base.shape[1], base.shape[0]), base.dtype, check_finite=base.check_finite)
        self.base = base

    def _matmat(self, X: Array) -> Array:
        return self.base.rmatmat(X)

    def _rmatmat(self, Y: Array) -> Array:
        return self.base.matmat(Y)

    def sketch(self, S: Any) -> Array:
        """``S @ A.H`` is ``(A @ S.T).H``."""
        return self.base.rsketch(S).conj().T

    def rsketch(self, S: Any) -> Array:
        """``A.H @ S.T`` is ``(S @ A).H``."""
        return self.base.sketch(S).conj().T

    def frobenius_norm(self) -> float | None:
        """That of the operator itself."""
        return self.base.frobenius_norm()

    def require_finite(self, *, name: str = "A") -> None:
        """As for the operator itself; the index named is that of its entry."""
        self.base.require_finite(name=name)

    @property
    def H(self) -> LinearOperator:
        """The operator itself."""
        return self.base


class Transposed(Adjoint):
    """The transpose of an operator: A^T X = conj(A^H conj(X))."""

    def _matmat(self, X: Array) -> Array:
        return self.base.rmatmat(X.conj()).conj()

    def _rmatmat(self, Y: Array) -> Array:
        return self.base.matmat(Y.conj()).conj()

    def sketch(self, S: Any) -> Array:
        """``S @ A.T`` is ``(A @ S.T).T``."""
        return self.base.rsketch(S).T

    def rsketch(self, S: Any) -> Array:
        """``A.T @ S.T`` is ``(S @ A).T``."""
        return self.base.sketch(S).T

    @property
    def T(self) -> LinearOperator:
        """The operator itself."""
        return self.base

    @property
    def H(self) -> LinearOperator:
        """The conjugate of the operator."""
        return self.base if self.dtype.kind != "c" else Adjoint(self)


class Product(LinearOperator):
    """``left @ right``."""

    def __init__(self, left: LinearOperator, right: LinearOperator) -> None:
        if left.shape[1] != right.shape[0]:
            raise InputError(f"left @ right: shapes {left.shape} and {right.shape} do not fit")
        super().__init__(
            (left.shape[0], right.shape[1]),
            np.result_type(left.dtype, right.dtype),
            check_finite=left.check_finite or right.check_finite,
        )
        self.left, self.right = left, right

    def _matmat(self, X: Array) -> Array:
        return self.left.matmat(self.right.matmat(X))

    def _rmatmat(self, Y: Array) -> Array:
        return self.right.rmatmat(self.left.rmatmat(Y))

    def sketch(self, S: Any) -> Array:
        """``(S @ left) @ right``."""
        return self.right.rmatmat(self.left.sketch(S).conj().T).conj().T

    def rsketch(self, S: Any) -> Array:
        """``left @ (right @ S.T)``."""
        return self.left.matmat(self.right.rsketch(S))

    def require_finite(self, *, name: str = "A") -> None:
        """Both factors."""
        self.left.require_finite(name=f"{name} (left factor)")
        self.right.require_finite(name=f"{name} (right factor)")


class Sum(LinearOperator):
    """``left + right``."""

    def __init__(self, left: LinearOperator, right: LinearOperator) -> None:
        if left.shape != right.shape:
            raise InputError(f"left + right: shapes {left.shape} and {right.shape} differ")
        super().__init__(
            left.shape,
            np.result_type(left.dtype, right.dtype),
            check_finite=left.check_finite or right.check_finite,
        )
        self.left, self.right = left, right

    def _matmat(self, X: Array) -> Array:
        return self.left.matmat(X) + self.right.matmat(X)

    def _rmatmat(self, Y: Array) -> Array:
        return self.left.rmatmat(Y) + self.right.rmatmat(Y)

    def sketch(self, S: Any) -> Array:
        """``S @ left + S @ right``."""
        return self.left.sketch(S) + self.right.sketch(S)

    def rsketch(self, S: Any) -> Array:
        """``left @ S.T + right @ S.T``."""
        return self.left.rsketch(S) + self.right.rsketch(S)

    def require_finite(self, *, name: str = "A") -> None:
        """Both terms."""
        self.left.require_finite(name=f"{name} (left term)")
        self.right.require_finite(name=f"{name} (right term)")


class Scaled(LinearOperator):
    """``scalar * base``."""

    def __init__(self, scalar: Any, base: LinearOperator) -> None:
        if not isinstance(scalar, numbers.Complex):
            raise InputError(f"scalar: expected a number, got {validate.shown(scalar)}")
        value = complex(scalar)
        if not np.isfinite(value):
            raise InputError(f"scalar: expected a finite number, got {scalar}")
        # A Python number does not widen float32, as in NumPy.
        dtype = base.dtype if value.imag == 0 else np.result_type(base.dtype, np.complex64)
        super().__init__(base.shape, dtype, check_finite=base.check_finite)
        self.scalar: float | complex = value.real if value.imag == 0 else value
        self.base = base

    def _matmat(self, X: Array) -> Array:
        return self.base.matmat(X) * self.scalar

    def _rmatmat(self, Y: Array) -> Array:
        return self.base.rmatmat(Y) * self.scalar.conjugate()

    def sketch(self, S: Any) -> Array:
        """``scalar * (S @ base)``."""
        return self.base.sketch(S) * self.scalar

    def rsketch(self, S: Any) -> Array:
        """``scalar * (base @ S.T)``."""
        return self.base.rsketch(S) * self.scalar

    def frobenius_norm(self) -> float | None:
        """``|scalar|`` times that of the operator."""
        norm = self.base.frobenius_norm()
        return None if norm is None else abs(self.scalar) * norm

    def require_finite(self, *, name: str = "A") -> None:
        """The operator itself."""
        self.base.require_finite(name=name)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Operators made of operators: transposes, products, sums, scalings. All lazy."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import BreakdownError, InputError
from randnla.operators.base import Array, LinearOperator
from randnla.operators.structured import Structured, structured


class Adjoint(Structured):
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

    def diag(self) -> Array:
        """The conjugate of the diagonal."""
        return structured(self.base, "diag").diag().conj()

    def _turned(self, op: LinearOperator) -> LinearOperator:
        """What becomes of a function of the operator."""
        return op.H

    def inverse(self) -> LinearOperator:
        """The inverse of the operator, turned likewise."""
        return self._turned(structured(self.base, "inverse").inverse())

    def eigh(self) -> tuple[Array, Array]:
        """Those of the operator, which is Hermitian."""
        return structured(self.base, "eigenvectors").eigh()

    def sqrt(self) -> LinearOperator:
        """The root of the operator, turned likewise."""
        return self._turned(structured(self.base, "sqrt").sqrt())

    def inverse_sqrt(self) -> LinearOperator:
        """The inverse root of the operator, turned likewise."""
        return self._turned(structured(self.base, "inverse_sqrt").inverse_sqrt())

    def slogdet(self) -> tuple[Any, float]:
        """The conjugate sign, the same magnitude."""
        sign, value = structured(self.base, "slogdet").slogdet()
        return np.conj(sign).item(), value

    def condition(self) -> float:
        """That of the operator itself."""
        return structured(self.base, "condition").condition()

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

    def diag(self) -> Array:
        """That of the operator itself."""
        return structured(self.base, "diag").diag()

    def _turned(self, op: LinearOperator) -> LinearOperator:
        return op.T

    def eigh(self) -> tuple[Array, Array]:
        """Those of the operator, which is Hermitian, the vectors conjugated."""
        w, V = structured(self.base, "eigenvectors").eigh()
        return w, V.conj()

    def slogdet(self) -> tuple[Any, float]:
        """That of the operator itself."""
        return structured(self.base, "slogdet").slogdet()

    @property
    def T(self) -> LinearOperator:
        """The operator itself."""
        return self.base

    @property
    def H(self) -> LinearOperator:
        """The conjugate of the operator."""
        return self.base if self.dtype.kind != "c" else Adjoint(self)


class Product(Structured):
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

    def diag(self) -> Array:
        """The diagonal, by products with blocks of the identity."""
        return _diagonal_by_products(self)

    def inverse(self) -> LinearOperator:
        """``right^-1 @ left^-1`` of square factors."""
        self._require_square_factors("inverse")
        left, right = structured(self.left, "inverse"), structured(self.right, "inverse")
        return Product(right.inverse(), left.inverse())

    def slogdet(self) -> tuple[Any, float]:
        """From those of square factors."""
        self._require_square_factors("slogdet")
        s1, v1 = structured(self.left, "slogdet").slogdet()
        s2, v2 = structured(self.right, "slogdet").slogdet()
        return s1 * s2, v1 + v2

    def condition(self) -> float:
        """The product of those of square factors, an upper bound."""
        self._require_square_factors("condition")
        return (
            structured(self.left, "condition").condition() * structured(self.right, "condition").condition()
        )

    def _require_square_factors(self, what: str) -> None:
        if self.left.shape[0] != self.left.shape[1] or self.right.shape[0] != self.right.shape[1]:
            raise InputError(
                f"A: {what} of a product needs square factors, got {self.left.shape} and {self.right.shape}"
            )

    def require_finite(self, *, name: str = "A") -> None:
        """Both factors."""
        self.left.require_finite(name=f"{name} (left factor)")
        self.right.require_finite(name=f"{name} (right factor)")


class Sum(Structured):
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

    def diag(self) -> Array:
        """The sum of the diagonals."""
        return structured(self.left, "diag").diag() + structured(self.right, "diag").diag()

    def require_finite(self, *, name: str = "A") -> None:
        """Both terms."""
        self.left.require_finite(name=f"{name} (left term)")
        self.right.require_finite(name=f"{name} (right term)")


class Scaled(Structured):
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

    def diag(self) -> Array:
        """``scalar`` times the diagonal."""
        return structured(self.base, "diag").diag() * self.scalar

    def inverse(self) -> LinearOperator:
        """``1 / scalar`` times the inverse."""
        if self.scalar == 0:
            raise BreakdownError("A: singular, it is 0 times an operator")
        return Scaled(1 / self.scalar, structured(self.base, "inverse").inverse())

    def slogdet(self) -> tuple[Any, float]:
        """From that of the operator."""
        self._require_square("slogdet")
        sign, value = structured(self.base, "slogdet").slogdet()
        if self.scalar == 0:
            return 0.0, -math.inf
        size, n = abs(self.scalar), self.shape[0]
        return sign * (self.scalar / size) ** n, value + n * math.log(size)

    def sqrt(self) -> LinearOperator:
        """``scalar^1/2`` times the root, for a nonnegative scalar."""
        return Scaled(math.sqrt(self._positive("sqrt")), structured(self.base, "sqrt").sqrt())

    def inverse_sqrt(self) -> LinearOperator:
        """``scalar^-1/2`` times the inverse root, for a positive scalar."""
        size = self._positive("inverse_sqrt")
        if size == 0:
            raise BreakdownError("A: singular, it is 0 times an operator")
        return Scaled(1 / math.sqrt(size), structured(self.base, "inverse_sqrt").inverse_sqrt())

    def condition(self) -> float:
        """That of the operator itself."""
        return structured(self.base, "condition").condition() if self.scalar else math.inf

    def _positive(self, what: str) -> float:
        if isinstance(self.scalar, complex) or self.scalar < 0:
            raise BreakdownError(f"A: {what} needs a nonnegative factor, got {self.scalar}")
        return self.scalar

    def require_finite(self, *, name: str = "A") -> None:
        """The operator itself."""
        self.base.require_finite(name=name)


def _diagonal_by_products(op: LinearOperator, width: int = 64) -> Array:
    m, n = op.shape
    out = np.empty(min(m, n), op.dtype)
    for start in range(0, out.size, width):
        stop = min(out.size, start + width)
        block = np.zeros((n, stop - start), op.dtype)
        block[np.arange(start, stop), np.arange(stop - start)] = 1
        out[start:stop] = np.diagonal(op.matmat(block)[start:stop])
    return out

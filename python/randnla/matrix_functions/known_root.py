# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A root P as the solvers see it: products, solves and (P^2 + s)^-1, by closed forms where there are any.

All is worked in float64 (complex128) on 2^-e P, with e the exponent of its largest entry or eigenvalue.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse
import scipy.sparse.linalg

from randnla._backend.errors import BreakdownError, InputError
from randnla._backend.kernels import dense, qr
from randnla.lowrank.error import column_norms, frobenius
from randnla.lowrank.scaling import unit_roundoff
from randnla.operators import LinearOperator

from .lanczos import extreme_values

Array = npt.NDArray[Any]
TINY = float(np.finfo(np.float64).tiny)
EPS = float(np.finfo(np.float64).eps)
SLACK = 1e3 * EPS
"""A negative eigenvalue that is rounding, over the norm; more where the root came in single precision."""


class KnownRoot(ABC):
    """Hermitian positive (semi)definite P of order n.

    Attributes
    ----------
    exponent : int
        This is 2^-exponent times what the user gave.
    path : str
        How shifted systems are solved.
    range_basis : array of shape (n, r) or None
        Where P is a multiple of the identity plus low rank, a basis of the range of that.
    exact_solves : bool
        Up to rounding; not those by conjugate gradients.
    single : bool
        Products are those of an operator of single precision.
    slack : float
        A negative eigenvalue that is rounding, over the norm.
    """

    path = ""
    range_basis: Array | None = None
    exact_solves = True
    single = False
    slack = SLACK

    def __init__(self, n: int, dtype: Any, exponent: int) -> None:
        self.n, self.dtype, self.exponent = n, np.dtype(dtype), exponent

    @abstractmethod
    def apply(self, X: Array) -> Array:
        """``P X``."""

    @abstractmethod
    def solve(self, X: Array) -> Array:
        """``P^-1 X``."""

    def settled_solve(self, X: Array) -> Array:
        """`solve`, or a BreakdownError where that is far off."""
        return self.solve(X)

    @abstractmethod
    def shifted(self, s: float, X: Array) -> Array:
        """``(P^2 + s I)^-1 X`` for s > 0."""

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Of the eigenvalues of P; estimates where no closed form knows them."""
        # In single precision a Lanczos vector of double would be rounded by the product.
        narrow = np.dtype(np.complex64 if self.dtype.kind == "c" else np.float32)
        kind = narrow if self.single else self.dtype
        low, high = extreme_values(self.apply, self.n, kind, name="root")
        require_semidefinite(low, high, self.slack)
        try:
            inner = extreme_values(
                self.settled_solve, self.n, self.dtype, name="the inverse of root", exact=self.exact_solves
            )[1]
            low = 1 / inner if inner > 0 else 0.0
        except (BreakdownError, InputError):  # not Hermitian: rounding of a singular P
            low = 0.0
        return max(low, 0.0), high

    def norm_of_square(self) -> float | None:
        """``|P^2|_F``, None where only products would tell."""
        return None

    def rounding(self, X: Array, PX: Array) -> Array:
        """What the columns of P X may be off by as `apply` returns them."""
        unit = unit_roundoff(np.float32) if self.single else EPS
        return 2 * math.sqrt(self.n) * unit * self.interval[1] * column_norms(X)


def rounding_of(dtype: Any, n: int) -> float:
    """The `slack` of a root of order n that came in this dtype."""
    return max(SLACK, 2 * n * unit_roundoff(np.dtype(dtype)))


def require_semidefinite(low: float, high: float, slack: float) -> None:
    """Refuse a least eigenvalue that is negative beyond rounding."""
    if low < -slack * max(high, -low):
        raise BreakdownError(
            f"root: expected a positive semidefinite operator, "
            f"got an eigenvalue {low / max(high, -low):.3g} times its norm"
        )


class EigenRoot(KnownRoot):
    """``U diag(values) U^H`` with an orthogonal operator U, or none."""

    path = "eigenvalues"

    def __init__(
        self,
        values: Array,
        basis: LinearOperator | None,
        exponent: int,
        dtype: Any,
        *,
        definite: bool = True,
        slack: float = SLACK,
    ) -> None:
        super().__init__(values.size, dtype, exponent)
        self.basis = basis
        high = float(values.max(initial=0.0))
        low = min(float(values.min(initial=math.inf)), high)
        if definite:
            require_semidefinite(low, high, slack)
            values, low = np.maximum(values, 0.0), max(low, 0.0)
        self.values = values
        self.interval = (low, high)

    def _function(self, values: Array, X: Array) -> Array:
        if self.basis is None:
            return values[:, None] * X
        inner: Array = values[:, None] * self.basis.rmatmat(X)
        return self.basis.matmat(inner)

    def apply(self, X: Array) -> Array:
        return self._function(self.values, X)

    def solve(self, X: Array) -> Array:
        if not self.values.all():
            raise BreakdownError("root: singular, an eigenvalue is zero")
        return self._function(1 / self.values, X)

    def shifted(self, s: float, X: Array) -> Array:
        return self._function(1 / (self.values**2 + s), X)

    def norm_of_square(self) -> float:
        return frobenius(self.values[None] ** 2)

    def rounding(self, X: Array, PX: Array) -> Array:
        return EPS * column_norms(PX) if self.basis is None else super().rounding(X, PX)


class ConstantRoot(KnownRoot):
    """``alpha I + Q diag(w) Q^H`` with orthonormal Q."""

    path = "constant plus low rank"

    def __init__(self, n: int, alpha: float, Q: Array, w: Array, exponent: int, slack: float = SLACK) -> None:
        super().__init__(n, Q.dtype, exponent)
        self.alpha, self.range_basis, self.w = alpha, Q, w
        values = alpha + w if Q.shape[1] >= n else np.append(alpha + w, alpha)
        low, high = float(values.min()), float(values.max())
        require_semidefinite(low, high, slack)
        self.interval = (max(low, 0.0), high)

    def _function(self, f: Callable[[Any], Any], X: Array) -> Array:
        Q = self.range_basis
        assert Q is not None
        base = f(self.alpha) if Q.shape[1] < self.n else 0.0
        rest = f(self.alpha + self.w) - base
        return base * X + dense.gemm(Q, rest[:, None] * dense.gemm(Q.conj().T, X))

    def apply(self, X: Array) -> Array:
        return self._function(lambda x: x, X)

    def solve(self, X: Array) -> Array:
        if self.interval[0] <= 0:
            raise BreakdownError("root: singular, an eigenvalue is zero")
        return self._function(lambda x: 1 / x, X)

    def shifted(self, s: float, X: Array) -> Array:
        return self._function(lambda x: 1 / (x**2 + s), X)

    def norm_of_square(self) -> float:
        rest = max(self.n - self.w.size, 0) * self.alpha**4
        return math.sqrt(rest + float(((self.alpha + self.w) ** 4).sum()))

    def rounding(self, X: Array, PX: Array) -> Array:
        return super().rounding(X, PX) if self.w.size else EPS * column_norms(PX)


class DenseRoot(KnownRoot):
    """An array: a Cholesky factorization a shift."""

    path = "cholesky"

    def __init__(self, P: Array, exponent: int) -> None:
        super().__init__(len(P), P.dtype, exponent)
        self.P = P

    @cached_property
    def square(self) -> Array:
        """``P^2``."""
        S = dense.gemm(self.P, self.P)
        return (S + S.conj().T) / 2

    @cached_property
    def _factors(self) -> tuple[Array, Array]:
        factor = qr.small_cholesky(self.P)
        if factor is None:
            raise BreakdownError(
                "root: expected a positive definite matrix, its Cholesky factorization failed"
            )
        return factor, reversed_adjoint(factor)

    def apply(self, X: Array) -> Array:
        return dense.gemm(self.P, X)

    def solve(self, X: Array) -> Array:
        return solve_cholesky(*self._factors, X)

    def shifted(self, s: float, X: Array) -> Array:
        S = self.square.copy()
        S[np.diag_indices(self.n)] += s
        factor = qr.small_cholesky(S)
        while factor is None:  # s below the rounding of P^2: a larger one is as good
            s = max(4 * s, EPS * float(np.trace(self.square).real))
            S[np.diag_indices(self.n)] += s
            factor = qr.small_cholesky(S)
        return solve_cholesky(factor, reversed_adjoint(factor), X)

    def norm_of_square(self) -> float:
        return frobenius(self.square)


def reversed_adjoint(C: Array) -> Array:
    """``J C^H J`` with the reversal J: upper triangular where C is."""
    return np.ascontiguousarray(C.conj().T[::-1, ::-1])


def solve_cholesky(C: Array, flipped: Array, X: Array) -> Array:
    """``(C^H C)^-1 X`` for an upper triangular C and its `reversed_adjoint`."""
    # X^H C^-1 C^-H, where C^-H = J (J C^H J)^-1 J.
    half = qr.triangular_solve_right(np.ascontiguousarray(X.conj().T), C)
    done = qr.triangular_solve_right(np.ascontiguousarray(half[:, ::-1]), flipped)
    return np.ascontiguousarray(done[:, ::-1].conj().T)


class SparseRoot(KnownRoot):
    """A sparse matrix: a sparse LU factorization a shift."""

    path = "sparse factors"

    def __init__(self, P: Any, exponent: int, slack: float = SLACK) -> None:
        super().__init__(P.shape[0], P.dtype, exponent)
        self.slack = slack
        self.P = scipy.sparse.csr_array(P)

    @cached_property
    def square(self) -> Any:
        """``P^2``."""
        return scipy.sparse.csc_array(self.P @ self.P)

    @cached_property
    def _factor(self) -> Any:
        return _sparse_factor(self.P)

    def apply(self, X: Array) -> Array:
        return np.asarray(self.P @ X)

    def solve(self, X: Array) -> Array:
        return self._solve(self._factor, X)

    def shifted(self, s: float, X: Array) -> Array:
        return self._solve(_sparse_factor(self.square + s * scipy.sparse.eye_array(self.n)), X)

    def _solve(self, factor: Any, X: Array) -> Array:
        if np.iscomplexobj(X) and not np.iscomplexobj(self.P.data):
            return self._solve(factor, X.real) + 1j * self._solve(factor, X.imag)
        return np.asarray(factor.solve(np.array(X, order="F")))

    def norm_of_square(self) -> float:
        return frobenius(self.square.data[None])


def _sparse_factor(M: Any) -> Any:
    try:
        return scipy.sparse.linalg.splu(
            scipy.sparse.csc_matrix(M),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
    except RuntimeError as error:
        raise BreakdownError(f"root: its sparse factorization failed: {error}") from None

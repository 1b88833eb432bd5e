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

from randnla._backend.errors import BreakdownError
from randnla._backend.kernels import dense, qr
from randnla.lowrank.error import frobenius
from randnla.lowrank.scaling import in_units, scale_by_power
from randnla.operators import LinearOperator

from .lanczos import extreme_values

Array = npt.NDArray[Any]
TINY = float(np.finfo(np.float64).tiny)
EPS = float(np.finfo(np.float64).eps)


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
    """

    path = ""
    range_basis: Array | None = None
    exact_solves = True

    def __init__(self, n: int, dtype: Any, exponent: int) -> None:
        self.n, self.dtype, self.exponent = n, np.dtype(dtype), exponent

    @abstractmethod
    def apply(self, X: Array) -> Array:
        """``P X``."""

    @abstractmethod
    def solve(self, X: Array) -> Array:
        """``P^-1 X``."""

    @abstractmethod
    def shifted(self, s: float, X: Array) -> Array:
        """``(P^2 + s I)^-1 X`` for s > 0."""

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Of the eigenvalues of P; estimates where no closed form knows them."""
        low, high = extreme_values(self.apply, self.n, self.dtype, name="root")
        require_semidefinite(low, high)
        try:
            inner = extreme_values(
                self.solve, self.n, self.dtype, name="the inverse of root", exact=self.exact_solves
            )[1]
            low = 1 / inner if inner > 0 else 0.0
        except BreakdownError:
            low = 0.0
        return low, high

    def norm_of_square(self) -> float | None:
        """``|P^2|_F``, None where only products would tell."""
        return None


def require_semidefinite(low: float, high: float) -> None:
    """Refuse a least eigenvalue that is negative beyond rounding."""
    if low < -1e3 * EPS * max(high, -low):
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
    ) -> None:
        super().__init__(values.size, dtype, exponent)
        self.basis = basis
        high = float(values.max(initial=0.0))
        low = min(float(values.min(initial=math.inf)), high)
        if definite:
            require_semidefinite(low, high)
            values, low = np.maximum(values, 0.0), max(low, 0.0)
        self.values = values
        self.interval = (low, high)

    def _function(self, values: Array, X: Array) -> Array:
        if self.basis is None:
            return values[:, None] * X
        return self.basis.matmat(values[:, None] * self.basis.rmatmat(X))

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


class ConstantRoot(KnownRoot):
    """``alpha I + Q diag(w) Q^H`` with orthonormal Q."""

    path = "constant plus low rank"

    def __init__(self, n: int, alpha: float, Q: Array, w: Array, exponent: int) -> None:
        super().__init__(n, Q.dtype, exponent)
        self.alpha, self.range_basis, self.w = alpha, Q, w
        values = alpha + w if Q.shape[1] >= n else np.append(alpha + w, alpha)
        low, high = float(values.min()), float(values.max())
        require_semidefinite(low, high)
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

    def __init__(self, P: Any, exponent: int) -> None:
        super().__init__(P.shape[0], P.dtype, exponent)
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


class ProductRoot(KnownRoot):
    """Known by products only: conjugate gradients for every system."""

    path = "conjugate gradients"
    exact_solves = False

    def __init__(self, op: LinearOperator, exponent: int, dtype: Any) -> None:
        super().__init__(op.shape[0], dtype, exponent)
        self.op = op

    def apply(self, X: Array) -> Array:
        # Products stay in the precision of the operator.
        kind = self.op.dtype if self.op.dtype.kind == "c" or X.dtype.kind != "c" else X.dtype
        return np.asarray(self.op.matmat(X.astype(kind, copy=False)).astype(X.dtype) * 2.0**-self.exponent)

    def solve(self, X: Array) -> Array:
        return conjugate_gradients(self.apply, X)

    def shifted(self, s: float, X: Array) -> Array:
        return conjugate_gradients(lambda Y: self.apply(self.apply(Y)) + s * Y, X)


def conjugate_gradients(product: Callable[[Array], Array], B: Array, *, tol: float = 1e-12) -> Array:
    """``A^-1 B`` for Hermitian definite A, all columns at once, in at most 10 sqrt(n) + 200 steps."""
    X, R = np.zeros_like(B), B.copy()
    D, rho = R.copy(), _squares(R)
    goal = tol**2 * rho
    for _ in range(200 + 10 * math.isqrt(len(B))):
        live = rho > goal
        if not live.any():
            break
        W = product(D)
        curvature = np.einsum("ij,ij->j", D.conj(), W).real
        step = np.where(live & (curvature > 0), rho / np.where(curvature > 0, curvature, 1.0), 0.0)
        if not step.any():
            break
        X += step * D
        R -= step * W
        new = _squares(R)
        D = R + (new / np.maximum(rho, TINY)) * D
        rho = new
    return X


def _squares(R: Array) -> Array:
    return np.asarray(np.einsum("ij,ij->j", R.conj(), R).real)


class CorrectedRoot(KnownRoot):
    """``P_0 + Y diag(w) Y^H`` for a known root P_0: Woodbury on the systems of that."""

    def __init__(self, base: KnownRoot, Y: Array, w: Array) -> None:
        super().__init__(base.n, np.result_type(base.dtype, Y.dtype), base.exponent)
        self.base, self.Y, self.w = base, Y.astype(self.dtype), w
        self.path, self.exact_solves = f"{base.path} and Woodbury", base.exact_solves
        # P^2 = P_0^2 + [Y, P_0 Y] [[w Y^H Y w, w], [w, 0]] [Y, P_0 Y]^H
        q = w.size
        self._both = np.concatenate([self.Y, base.apply(self.Y)], axis=1)
        self._core = np.zeros((2 * q, 2 * q), self.dtype)
        self._core[:q, :q] = w[:, None] * dense.gemm(self.Y.conj().T, self.Y) * w
        self._core[:q, q:] = self._core[q:, :q] = np.diag(w)

    def apply(self, X: Array) -> Array:
        return self.base.apply(X) + dense.gemm(self.Y, self.w[:, None] * dense.gemm(self.Y.conj().T, X))

    @cached_property
    def _inverse(self) -> tuple[Array, Array]:
        solved = self.base.solve(self.Y)
        return solved, _capacitance(self.Y, solved, np.diag(self.w).astype(self.dtype))

    def solve(self, X: Array) -> Array:
        solved, core = self._inverse
        return self.base.solve(X) - dense.gemm(solved, dense.gemm(core, dense.gemm(solved.conj().T, X)))

    def shifted(self, s: float, X: Array) -> Array:
        q = self._both.shape[1]
        solved = self.base.shifted(s, np.concatenate([self._both, X], axis=1))
        B, rest = np.ascontiguousarray(solved[:, :q]), np.ascontiguousarray(solved[:, q:])
        core = _capacitance(self._both, B, self._core)
        return rest - dense.gemm(B, dense.gemm(core, dense.gemm(B.conj().T, X)))

    def norm_of_square(self) -> float | None:
        norm = self.base.norm_of_square()
        if norm is None:
            return None
        K, B = self._core, self._both
        gram, product = dense.gram(B), self.base.apply(B)
        cross = float(np.real(np.trace(dense.gemm(K, dense.gram(product)))))
        KG = dense.gemm(K, gram)
        own = float(np.real(np.trace(dense.gemm(KG, KG))))
        return math.sqrt(max(norm**2 + 2 * cross + own, 0.0))


def _capacitance(B: Array, solved: Array, K: Array) -> Array:
    """``(I + K B^H M^-1 B)^-1 K`` from ``M^-1 B``."""
    # K is Hermitian: X = inner^-1 K has X^H = K (inner^H)^-1 = K R^-1 Q^H with inner^H = Q R.
    inner = np.eye(len(K)) + dense.gemm(K, dense.gemm(B.conj().T, solved))
    Q, R = qr.householder_qr(inner.conj().T)
    if len(K) and not np.all(np.abs(np.diagonal(R)) > 0):
        raise BreakdownError("root: singular, a pivot of the capacitance is zero")
    half = qr.triangular_solve_right(K.astype(R.dtype), R)
    return np.ascontiguousarray(dense.gemm(half, Q.conj().T).conj().T)


class InverseOf(KnownRoot):
    """``P^-1`` by the systems of P."""

    def __init__(self, root: KnownRoot) -> None:
        super().__init__(root.n, root.dtype, -root.exponent)
        self.root, self.path, self.range_basis = root, root.path, root.range_basis
        self.exact_solves = root.exact_solves
        low, high = root.interval
        if low <= 0:
            raise BreakdownError("root: singular, expected a positive definite operator for this update")
        self.interval = (1 / high, 1 / low)

    def apply(self, X: Array) -> Array:
        return self.root.solve(X)

    def solve(self, X: Array) -> Array:
        return self.root.apply(X)

    def shifted(self, s: float, X: Array) -> Array:
        # (P^-2 + s)^-1 = (P^2 + 1/s)^-1 P^2 / s: in this order nothing cancels.
        return self.root.shifted(1 / s, self.root.apply(self.root.apply(X))) / s


class Shrunk(KnownRoot):
    """``2^-k P``: in the units of a change that is far larger than P."""

    def __init__(self, root: KnownRoot, k: int) -> None:
        super().__init__(root.n, root.dtype, root.exponent + k)
        self.root, self.k, self.path, self.range_basis = root, k, root.path, root.range_basis
        self.exact_solves = root.exact_solves
        low, high = root.interval
        self.interval = (math.ldexp(low, -k), math.ldexp(high, -k))

    def apply(self, X: Array) -> Array:
        return scale_by_power(np.array(self.root.apply(X)), -self.k)

    def solve(self, X: Array) -> Array:
        return scale_by_power(np.array(self.root.solve(X)), self.k)

    def shifted(self, s: float, X: Array) -> Array:
        inner = self.root.shifted(in_units(s, 2 * self.k), X)
        return scale_by_power(np.array(inner), 2 * self.k)

    def norm_of_square(self) -> float | None:
        norm = self.root.norm_of_square()
        return None if norm is None else math.ldexp(norm, -2 * self.k)

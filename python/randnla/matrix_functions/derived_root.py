# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Roots from roots: with a low-rank correction, inverted, in other units."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from randnla._backend.errors import BreakdownError
from randnla._backend.kernels import dense, qr
from randnla.lowrank.error import column_norms
from randnla.lowrank.scaling import in_units, scale_by_power

from .known_root import EPS, Array, KnownRoot


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

    def rounding(self, X: Array, PX: Array) -> Array:
        low = EPS * float(np.abs(self.w).max(initial=0.0)) * column_norms(X)
        return self.base.rounding(X, PX) + low

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

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A root known by its products only."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from randnla._backend.errors import BreakdownError
from randnla.lowrank.scaling import unit_roundoff
from randnla.operators import LinearOperator

from .known_root import TINY, Array, KnownRoot, rounding_of

STEPS = 5000
"""Products for one system at most: what a condition of 1e5 takes."""


class ProductRoot(KnownRoot):
    """Known by products only: Krylov spaces of P for every system."""

    path = "conjugate gradients"
    exact_solves = False

    def __init__(self, op: LinearOperator, exponent: int, dtype: Any) -> None:
        super().__init__(op.shape[0], dtype, exponent)
        self.op = op
        self.single, self.slack = unit_roundoff(op.dtype) > 1e-10, rounding_of(op.dtype, self.n)
        self.tol = 1e-6 if self.single else 1e-12

    def apply(self, X: Array) -> Array:
        # Products stay in the precision of the operator.
        kind = self.op.dtype if self.op.dtype.kind == "c" or X.dtype.kind != "c" else X.dtype
        return np.asarray(self.op.matmat(X.astype(kind, copy=False)).astype(X.dtype) * 2.0**-self.exponent)

    def solve(self, X: Array) -> Array:
        return conjugate_gradients(self.apply, X, self.tol)[0]

    def settled_solve(self, X: Array) -> Array:
        """`solve`, or a BreakdownError where conjugate gradients do not converge."""
        solved, converged = conjugate_gradients(self.apply, X, self.tol)
        if not converged:
            raise BreakdownError("root: singular, as far as conjugate gradients can tell")
        return solved

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Of the eigenvalues of P; below what STEPS steps resolve there is nothing to aim at."""
        low, high = super().interval
        return max(low, 1e-5 * high), high

    def shifted(self, s: float, X: Array) -> Array:
        return solve_square(self.apply, s, X, self.tol)


def conjugate_gradients(product: Callable[[Array], Array], B: Array, tol: float) -> tuple[Array, bool]:
    """``A^-1 B`` for definite A, all columns at once, in at most STEPS steps; and whether these did."""
    X, R = np.zeros_like(B), B.copy()
    D, rho = R.copy(), _squares(R)
    goal = tol**2 * rho
    for _ in range(STEPS):
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
    return X, not (rho > goal).any()


def _squares(R: Array) -> Array:
    return np.asarray(np.einsum("ij,ij->j", R.conj(), R).real)


def solve_square(product: Callable[[Array], Array], s: float, B: Array, tol: float) -> Array:
    """``(P^2 + s I)^-1 B`` for Hermitian P >= 0 and s > 0, all columns at once, in at most STEPS steps."""
    # (P^2 + s)^-1 = -Im (P + i s^1/2)^-1 / s^1/2, all else real. Galerkin in the Krylov space of P for the
    # right-hand side takes steps like cond(P)^1/2, conjugate gradients for P^2 + s like cond(P). By Lanczos,
    # P Q = Q T, and T + i s^1/2 = L U without pivots: its real part is definite (Freund, 1990).
    sigma, width = math.sqrt(s), 2 if np.iscomplexobj(B) else 1

    def wide(numbers: Array) -> Array:  # of a column, for its real and its imaginary part
        return np.repeat(numbers, width)

    B = np.ascontiguousarray(B)
    size = np.sqrt(_squares(B))
    live = size > 0
    Q, last = B / np.where(live, size, 1.0), np.zeros_like(B)
    X = np.zeros((len(B), width * B.shape[1]))
    D = np.zeros(X.shape, np.complex128)
    off, pivot, zeta = np.zeros(size.size), np.ones(size.size, complex), size.astype(complex)
    lower = -np.ones(size.size, complex)
    for _ in range(STEPS):
        if not live.any():
            break
        W = product(Q) - off * last
        alpha = np.einsum("ij,ij->j", Q.conj(), W).real
        W -= alpha * Q
        zeta = -lower * zeta
        pivot = alpha + 1j * sigma - lower * off
        D = (Q.view(np.float64) - wide(off) * D) / wide(pivot)
        X -= (wide(np.where(live, zeta, 0.0)) * D).imag / sigma
        off = np.sqrt(_squares(W))
        lower = off / pivot
        live &= np.abs(lower * zeta) > tol * size  # the residual
        last, Q = Q, W / np.where(off > 0, off, 1.0)
    return X.view(B.dtype)

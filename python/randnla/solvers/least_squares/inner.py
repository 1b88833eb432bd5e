# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Solutions of N w = c for a nearly orthonormal B P: by Cholesky, heavy ball, conjugate gradients, LSQR."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from randnla._backend.kernels import qr
from randnla.lowrank.error import column_norms
from randnla.qr.cqrrpt import condition_bound

from ..krylov.golub_kahan import LSQR
from .tall import Array

Normal = Callable[[Array], Array]

# A round of inner iterations takes the residual down by this; refinement does the rest.
ROUND = 1e-8


@dataclass(frozen=True)
class Exact:
    """Cholesky factor K of N."""

    K: Array
    condition: float

    @classmethod
    def of(cls, G: Array) -> Exact | None:
        """None where N is not definite: B P is far from orthonormal."""
        K = qr.small_cholesky(G) if np.isfinite(G).all() else None
        if K is None:
            return None
        inverse = scipy.linalg.solve_triangular(K, np.eye(len(K)), check_finite=False) if len(K) else K
        return cls(K, condition_bound(G, inverse) ** 2 if len(K) else 1.0)

    def solve(self, c: Array) -> Array:
        """N^-1 c."""
        if not len(c):
            return c
        half = scipy.linalg.solve_triangular(self.K, c, trans="C", check_finite=False)
        return np.asarray(scipy.linalg.solve_triangular(self.K, half, check_finite=False))


def heavy_ball(
    normal: Normal, c: Array, goal: Array, distortion: float, limit: int
) -> tuple[Array, int, bool]:
    """w, iterations, and whether N c - w fell to `goal`; False, too, where the iteration diverges.

    w_{i+1} = w_i + alpha (c - N w_i) + beta (w_i - w_{i-1}), beta = distortion^2 and alpha = (1 - beta)^2,
    the best choice where the eigenvalues of N lie in [(1 + distortion)^-2, (1 - distortion)^-2]; each step
    leaves the fraction `distortion` of the error.
    """
    beta = distortion**2
    alpha = (1 - beta) ** 2
    w, step, first = np.zeros_like(c), np.zeros_like(c), column_norms(c)
    r = c
    for i in range(1, limit + 1):
        step = alpha * r + beta * step
        w = w + step
        r = c - normal(w)
        size = column_norms(r)
        if np.all(size <= goal):
            return w, i, True
        if not np.all(size <= 10 * first + goal):
            return w, i, False
    return w, limit, False


def conjugate_gradients(normal: Normal, c: Array, goal: Array, limit: int) -> tuple[Array, int, bool]:
    """The same by conjugate gradients, all columns side by side."""
    w, r = np.zeros_like(c), c.copy()
    p, rho = r, column_norms(r) ** 2
    for i in range(1, limit + 1):
        live = np.sqrt(rho) > goal
        if not live.any():
            return w, i - 1, True
        Np = normal(p)
        curvature = np.einsum("ij,ij->j", p.conj(), Np).real
        safe = live & (curvature > 0)
        alpha = np.where(safe, rho / np.where(safe, curvature, 1.0), 0.0)
        w = w + alpha * p
        r = r - alpha * Np
        fresh = column_norms(r) ** 2
        p = r + np.where(rho > 0, fresh / np.where(rho > 0, rho, 1.0), 0.0) * p
        rho = fresh
    return w, limit, bool(np.all(np.sqrt(rho) <= goal))


def lsqr(
    forward: Callable[[Array], Array], adjoint: Callable[[Array], Array], b: Array, tol: float, limit: int
) -> tuple[Array, int, bool]:
    """Least squares with a well conditioned matrix M, columns side by side (Paige and Saunders, 1982).

    Stops where ||M^H r|| <= tol ||M|| ||r|| or ||r|| <= tol ||b|| for every column, by the recurrences.
    """
    run, start = LSQR(forward, adjoint, b), column_norms(b)
    for i in range(limit):
        if np.all((run.gradient <= tol * run.norm * run.residual) | (run.residual <= tol * start)):
            return run.X, i, True
        run.step()
    return run.X, limit, False


def rounds_limit(distortion: float) -> int:
    """Iterations that take the error down by `ROUND`, twice as many as the rate tells, and some."""
    return 20 + math.ceil(2 * math.log(ROUND) / math.log(min(max(distortion, 0.05), 0.9)))

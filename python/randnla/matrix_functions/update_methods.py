# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Four ways to solve the equation of a root update; each returns factors in the frame of the root."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla._backend.errors import BreakdownError
from randnla._backend.kernels import dense, qr

from .known_root import EPS, TINY
from .problem import Array, Problem
from .riccati import Pieces, RationalBasis, decay, orthonormal, poles, refine
from .riemannian import Energy, descent, trust_region

Callback = Callable[[dict[str, Any]], None] | None

MOST_ROUNDS = 4


@dataclass(frozen=True)
class Solved:
    """``X ~ Y diag(d) Y^H``, orthonormal Y, the largest d in magnitude first."""

    Y: Array
    d: Array
    steps: int
    method: str


def planned_poles(problem: Problem, tol: float) -> int:
    """As many as the decay of the singular values of X asks for, and three for what Galerkin loses."""
    wanted = problem.goal(tol) / max(problem.size, TINY)
    return math.ceil(math.log(4 / max(wanted, EPS)) / decay(*_interval(problem))) + 3


def _interval(problem: Problem) -> tuple[float, float]:
    """Of the eigenvalues of both roots; but a change that leaves all others far behind is a few outliers."""
    low, high = problem.frame.interval
    after = math.hypot(high, float(problem.sizes[0]))
    return max(low, EPS * high), min(after, 4 * high)


def rational(problem: Problem, tol: float, rank: int | None, callback: Callback) -> Solved:
    """Rational Krylov with planned poles; where the certificate is not met, again with more."""
    low, high = _interval(problem)
    count, used = planned_poles(problem, tol), 0
    best: tuple[float, Array, Array] | None = None
    for _ in range(MOST_ROUNDS):
        basis = _start(problem)
        for s in poles(low, high, count):
            used += 1
            if basis.V.shape[1] >= problem.frame.n or not basis.extend(float(s)):
                break
        Y, d = problem.on(basis.V, basis.PV)
        error = _error(problem, Y, d)
        _report(callback, used, error)
        gained = best is None or error < 0.3 * best[0]
        if best is None or error < best[0]:
            best = (error, Y, d)
        if error <= _enough(problem, 0.9 * tol) or not gained or basis.V.shape[1] >= problem.frame.n:
            break
        # Sets of poles are optimal as a whole, so that the basis starts afresh.
        count += math.ceil(math.log(4 * error / tol) / decay(low, high)) + 1
    assert best is not None
    return Solved(best[1], best[2], used, "rational")


def _start(problem: Problem) -> RationalBasis:
    if problem.steep is None:
        return RationalBasis(problem.frame, problem.start, product=problem.frame)
    return RationalBasis(problem.frame, problem.steep, product=problem.known, more=problem.change)


def _error(problem: Problem, Y: Array, d: Array) -> float:
    pieces = Pieces(problem.known, Y, problem.change, problem.sigma)
    return pieces.residual(np.diag(d)) / pieces.size if pieces.size > 0 else 0.0


def _enough(problem: Problem, tol: float) -> float:
    """The tolerance, or what rounding lets one have, over the norm of the change."""
    return max(problem.goal(tol), problem.floor) / max(problem.size, TINY)


def _report(callback: Callback, iteration: int, error: float) -> None:
    if callback is not None:
        callback({"iteration": iteration, "error": error})


def exact(problem: Problem, tol: float, rank: int | None, callback: Callback) -> Solved:
    """F = alpha I + Q diag(w) Q^H: the span of Q and W is invariant, Galerkin on it exact.

    So is that of W alone where F is zero, or rounding beside W.
    """
    Q, V = problem.frame.range_basis, problem.start if problem.steep is None else problem.steep
    if Q is not None:
        V, _ = orthonormal(np.concatenate([Q.astype(V.dtype), V], axis=1))
    Y, d = problem.on(V, problem.projected.apply(V))
    _report(callback, 1, _error(problem, Y, d))
    return Solved(Y, d, 1, "exact")


def whole(problem: Problem, tol: float, rank: int | None, callback: Callback) -> Solved:
    """All eigenvectors of P^2 + sigma C C^H: independent of the projections, for reference."""
    known, n = problem.known, problem.known.n
    P = known.apply(np.eye(n, dtype=known.dtype))
    P = (P + P.conj().T) / 2
    change = problem.sigma * dense.gemm(problem.change, problem.change.conj().T)
    w, V = qr.small_eigh(dense.gemm(P, P) + change)
    if w[0] < -1e3 * EPS * n * max(float(w[-1]), known.interval[1] ** 2):
        raise BreakdownError(
            f"Z: the downdate leaves the cone, an eigenvalue of {w[0] / w[-1]:.3g} of the norm is left"
        )
    values = np.sqrt(np.maximum(w, 0.0))
    X = dense.gemm(V * values, V.conj().T) - P
    d, U = qr.small_eigh(refine((X + X.conj().T) / 2, P, values, V, change))
    order = np.argsort(-np.abs(d), kind="stable")
    kept = order[np.abs(d[order]) > EPS * np.abs(d).max()]
    Y = np.ascontiguousarray(U[:, kept])
    _report(callback, 1, _error(problem, Y, d[kept]))
    return Solved(Y, d[kept], 1, "dense")


def riemannian(problem: Problem, tol: float, rank: int | None, callback: Callback) -> Solved:
    """Trust regions at growing rank, each started from the last and the steepest new directions."""
    n, r = problem.frame.n, problem.rank
    energy = Energy(problem.frame, problem.W)
    F = np.zeros((n, 0), problem.start.dtype)
    best: tuple[float, Array, Array] | None = None
    steps, stalls = 0, 0
    cap = min(n, rank if rank is not None else n)
    while F.shape[1] < cap:
        new = descent(problem.frame, F, problem.W, min(r, cap - F.shape[1]))
        if not new.shape[1]:
            break
        F, done = trust_region(energy, np.concatenate([F, new], axis=1))
        steps += done
        Q, R, _ = qr.cholesky_qr(F)
        U, s, _ = qr.small_svd(R)
        Y, d = problem.in_root(dense.gemm(Q, U), s**2)
        error = _error(problem, Y, d)
        _report(callback, steps, error)
        stalls = stalls + 1 if best is not None and error > 0.7 * best[0] else 0
        if best is None or error < best[0]:
            best = (error, Y, d)
        if error <= _enough(problem, tol) or stalls == 3:
            break
    if best is None:
        return Solved(F, np.zeros(0), steps, "riemannian")
    return Solved(best[1], best[2], steps, "riemannian")


def merged(Y: Array, d: Array, Y0: Array, d0: Array) -> tuple[Array, Array]:
    """``Y diag(d) Y^H + Y0 diag(d0) Y0^H`` as orthonormal factors and values, the largest first."""
    Q, R, _ = qr.cholesky_qr(np.concatenate([Y, Y0], axis=1))
    core = dense.gemm(R * np.concatenate([d, d0]), R.conj().T)
    w, U = qr.small_eigh((core + core.conj().T) / 2)
    order = np.argsort(-np.abs(w), kind="stable")
    return dense.gemm(Q, np.ascontiguousarray(U[:, order])), w[order]


SOLVERS: dict[str, Callable[[Problem, float, int | None, Callback], Solved]] = {
    "rational": rational,
    "exact": exact,
    "dense": whole,
    "riemannian": riemannian,
}

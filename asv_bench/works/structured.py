# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Solves with damped Kronecker products and with windows of gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import peers_structured as peers
from conditions import find
from numpy.typing import NDArray

from .base import Bar, Case, Contender, Work

Array = NDArray[Any]


@lru_cache(maxsize=1)
def _curvature(n: int, decay: float) -> tuple[Array, Array, Array]:
    """A and B in float32 with eigenvalues (i + 1)^-decay, and a right-hand side."""
    rng = np.random.default_rng(0)
    factors = []
    for _ in range(2):
        U = np.linalg.qr(rng.standard_normal((n, n)))[0]
        A = (U * (np.arange(n) + 1.0) ** -decay) @ U.T
        factors.append(np.ascontiguousarray((A + A.T) / 2, dtype=np.float32))
    return factors[0], factors[1], rng.standard_normal((n, n)).astype(np.float32)


def _residual(A: Array, B: Array, V: Array, damping: float) -> Any:
    A, B, V = (X.astype(np.float64) for X in (A, B, V))

    def error(who: str, W: Array) -> float:
        """Relative residual of (A kron B + damping I) W = V."""
        wide = np.asarray(W, dtype=np.float64)
        return float(np.linalg.norm(A @ wide @ B + damping * wide - V) / np.linalg.norm(V))

    return error


def _cached_exact(n: int) -> Case:
    """The solve alone: everything that does not depend on the right-hand side is there already."""
    damped = find("randnla", "DampedKronecker")
    A, B, V = _curvature(n, 1.0)
    K = damped(A, B, 1e-3, form="exact")
    K.solve_matrix(V)
    eigen = [np.linalg.eigh(X) for X in (A, B)]

    def contenders() -> dict[str, Contender]:
        P, Q = eigen[0][1], eigen[1][1]
        return {
            "torch cached eigh": peers.torch_kronecker_apply(eigen, V, 1e-3),
            "by hand cached eigh": lambda: peers.by_hand_kronecker_apply(eigen, V, 1e-3),
            "four torch products": peers.torch_four_products(P, Q, V),
            "four numpy products": lambda: peers.four_products(P, Q, V),
        }

    residual = _residual(A, B, V, 1e-3)
    return Case(
        lambda: K.solve_matrix(V),
        contenders,
        lambda who, W: None if who.startswith("four") else residual(who, W),
    )


def _least_rank(solve: Callable[[int], Array], residual: Any, target: float) -> int:
    """The least rank that reaches the residual, to within 2."""
    low, high = 4, 400
    while high - low > 2:
        middle = (low + high) // 2
        if residual("", solve(middle)) <= 0.98 * target:
            high = middle
        else:
            low = middle
    return high


def _low_rank(n: int, decay: float, damping: float, target: float, *, spread: bool) -> Case:
    """From the two matrices to a solution of the residual `target`, everyone with the least rank for it.

    Without `spread` what ours truncates counts as zero: the solve then takes half the products, at a rank
    that is a little higher.
    """
    damped, low = find("randnla", "DampedKronecker"), find("randnla", "DiagonalPlusLowRank")
    nystrom = find("randnla", "nystrom")
    A, B, V = _curvature(n, decay)
    residual = _residual(A, B, V, damping)

    def ours(rank: int) -> Array:
        factors = []
        for X in (A, B):
            r = nystrom(X, rank, oversample=10, rng=0)
            tau = max(0.0, float((X.trace(dtype=np.float64) - r.w.sum()) / (n - rank))) if spread else 0.0
            factors.append(low(tau, r.V, r.w - np.float32(tau)))
        return np.asarray(damped(*factors, damping, form="exact").solve_matrix(V))

    def by_hand(rank: int, *, spread: bool) -> Array:
        return peers.by_hand_kronecker_low_rank(A, B, V, damping, rank, spread=spread)

    def contenders() -> dict[str, Contender]:
        found = {
            spread: _least_rank(lambda k, spread=spread: by_hand(k, spread=spread), residual, target)
            for spread in (False, True)
        }
        return {
            "by hand rsvd": lambda: by_hand(found[False], spread=False),
            "by hand rsvd, trace spread": lambda: by_hand(found[True], spread=True),
            "torch two eigh": lambda: peers.torch_kronecker_solve(A, B, V, damping),
            "linear_operator": lambda: peers.linear_operator_kronecker_solve(A, B, V, damping),
        }

    rank = _least_rank(ours, residual, target)
    return Case(lambda: ours(rank), contenders, residual)


def _low_rank_apply(n: int, rank: int, damping: float) -> Case:
    """The solve alone, with eigenvectors at hand."""
    damped, low = find("randnla", "DampedKronecker"), find("randnla", "DiagonalPlusLowRank")
    A, B, V = _curvature(n, 1.5)
    eigen = []
    for X in (A, B):
        w, U = np.linalg.eigh(X)
        w, U = w[: -rank - 1 : -1].copy(), np.ascontiguousarray(U[:, : -rank - 1 : -1])
        eigen.append((w, U, np.float32((X.trace() - w.sum()) / (n - rank))))
    K = damped(*(low(tau, U, w - tau) for w, U, tau in eigen), damping, form="exact")
    K.solve_matrix(V)

    def contenders() -> dict[str, Contender]:
        return {
            "by hand": lambda: peers.by_hand_kronecker_low_rank_apply(eigen, V, damping),
            "torch": peers.torch_kronecker_low_rank_apply(eigen, V, damping),
        }

    return Case(lambda: K.solve_matrix(V), contenders, _residual(A, B, V, damping))


def _window(d: int, m: int) -> Case:
    gradient_window = find("randnla.curvature", "GradientWindow")
    rng = np.random.default_rng(0)
    window = gradient_window(d, m, 0.1)
    # Rows go in without their inner products, which this row does not time: m^2 d of them.
    G = window._held.rows[:m]
    for g in G:
        rng.standard_normal(out=g, dtype=np.float32)
    window._gram[:] = np.eye(m) * d
    window._order = list(range(m))
    x = rng.standard_normal(d, dtype=np.float32)
    window.solve(x)
    c = rng.standard_normal(m, dtype=np.float32)
    return Case(
        lambda: window.solve(x),
        lambda: {"torch two products": peers.torch_window_products(G, x, c)},
    )


_SIZE = 1024
WORKS = [
    Work(
        "kron exact solve, cached",
        "float32",
        f"{_SIZE}x{_SIZE}",
        lambda _: _cached_exact(_SIZE),
        Bar("time", 1.1, ("four torch products", "four numpy products")),
    ),
    *(
        Work(
            f"kron low rank to {target:g}",
            "float32",
            f"{_SIZE}x{_SIZE} i^-{decay}",
            lambda _, decay=decay, damping=damping, target=target, spread=spread: _low_rank(
                _SIZE, decay, damping, target, spread=spread
            ),
            Bar("time", 0.6, ("by hand rsvd",)),
            error_limit=target,
            rounds=9,
            note=f"damping {damping:g}; eigenvectors of both factors included, least rank for the residual",
        )
        for decay, damping, target, spread in (
            (1.5, 1e-3, 1e-2, True),
            (1.5, 1e-2, 4e-4, True),
            (2.0, 1e-2, 1e-4, False),
        )
    ),
    *(
        Work(
            f"kron low-rank apply r={rank}",
            "float32",
            f"{_SIZE}x{_SIZE}",
            lambda _, rank=rank: _low_rank_apply(_SIZE, rank, 1e-2),
            quick=False,
        )
        for rank in (110, 220)
    ),
    Work("window solve m=512", "float32", "d=200000", lambda _: _window(200_000, 512), Bar("time", 1.05)),
    Work(
        "window solve m=512",
        "float32",
        "d=1000000",
        lambda _: _window(1_000_000, 512),
        Bar("time", 1.05),
        rounds=7,
        quick=False,
    ),
]

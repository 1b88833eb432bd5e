# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Robust principal components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import peers_robust
from conditions import find

from .base import Bar, Case, Contender, Work

TOL = 1e-7


def _rpca(n: int, rank: int, share: float, method: str, peers: tuple[str, ...]) -> Case:
    """The papers' matrices: Gaussian factors, errors uniform up to five times the mean entry."""
    rpca = find("randnla.robust", "rpca")
    rng = np.random.default_rng(0)
    L = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, n))
    D, top, step = L.copy(), 5 * np.abs(L[:200]).mean(), 500
    for start in range(0, n, step):  # without arrays of random numbers of the size of D
        block = D[start : start + step]
        wrong = rng.random(block.shape) < share
        block[wrong] += rng.uniform(-top, top, np.count_nonzero(wrong))
    size = np.linalg.norm(L)

    def contenders() -> Mapping[str, Contender]:
        found: dict[str, Contender] = {
            "accaltproj": lambda: rpca(D, rank, method="accaltproj", tol=TOL, rng=0),
            "accaltproj by hand": lambda: peers_robust.by_hand_projections(D, rank, TOL),
            "projections by svd": lambda: peers_robust.svd_projections(D, rank, TOL),
        }
        return {name: found[name] for name in peers}

    def error(who: str, found: Any) -> float:
        U, s, V = found if isinstance(found, tuple) else (found.L.U, found.L.C, found.L.V)
        return float(np.linalg.norm((U * s) @ V.T - L) / size)

    return Case(lambda: rpca(D, rank, method=method, tol=TOL, rng=0), contenders, error)


WORKS = [
    *[
        Work(
            f"rpca {method}",
            "float64",
            "5000 x 5000, r = 5, 30 % wrong",
            lambda _, method=method: _rpca(5000, 5, 0.3, method, ("accaltproj", "accaltproj by hand")),
            bar=Bar("time", 0.1),
            error_limit=1e-6,
            rounds=1,
            quick=False,
            note="our alternating projections, and the same in NumPy",
        )  # type: ignore[misc]
        for method in ("ircur", "riecur")
    ],
    Work(
        "rpca ircur, svd",
        "float64",
        "1000 x 1000, r = 5, 30 % wrong",
        lambda _: _rpca(1000, 5, 0.3, "ircur", ("projections by svd",)),
        bar=Bar("time", 1 / 30),
        error_limit=1e-6,
        rounds=2,
        note="alternating projections with a whole SVD at each step",
    ),
]

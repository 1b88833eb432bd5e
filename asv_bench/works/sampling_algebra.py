# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Draws by weights, and queries of a recommender."""

from __future__ import annotations

from typing import Any

import numpy as np
import peers
from conditions import find

from .base import Bar, Case, Contender, Work

WEIGHTS, DRAWS = 10**7, 10**6


def _draws(method: str) -> Case:
    squares = np.random.default_rng(0).random(WEIGHTS)
    v = find("randnla.quantum_inspired", "SQVector")(np.sqrt(squares), method=method)

    def contenders() -> dict[str, Contender]:
        rng, p = np.random.default_rng(0), squares / squares.sum()
        ends = np.cumsum(squares)
        return {
            "numpy choice": lambda: peers.numpy_choice(p, DRAWS, rng),
            "by hand searchsorted": lambda: peers.by_hand_searchsorted(ends, DRAWS, rng),
        }

    return Case(lambda: v.sample(DRAWS, rng=0), contenders, units=float(DRAWS))


def _query() -> Case:
    """Ten items for one of 600 users of 10000 items, directions found before."""
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 10, 600), rng.integers(0, 10, 10000)
    ratings = (users[:, None] == items) * (rng.random((600, 10000)) < 0.3) * 1.0
    model = find("randnla.quantum_inspired", "Recommender")(ratings, 10, rng=0)

    def contenders() -> dict[str, Contender]:
        V = np.linalg.svd(ratings, full_matrices=False)[2][:10]

        def by_hand() -> Any:
            row = ((ratings[7] @ V.T) @ V) ** 2
            return rng.choice(10000, 10, p=row / row.sum())

        return {"by hand projection and choice": by_hand}

    return Case(lambda: model.query(7, 10, rng=0), contenders)


def _draw_work(method: str, rate: float) -> Work:
    return Work(
        f"draws by weight, {method}",
        "float64",
        f"{DRAWS} of {WEIGHTS}",
        lambda threads: _draws(method),
        Bar("rate", rate),
        quick=False,
    )


WORKS = [
    _draw_work("tree", 0.008),
    _draw_work("alias", 0.025),
    Work("recommendation query", "float64", "600 x 10000", lambda threads: _query()),
]

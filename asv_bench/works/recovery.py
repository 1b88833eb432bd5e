# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Completion of matrices of low rank."""

from __future__ import annotations

from typing import Any

import numpy as np
import peers_recovery
from conditions import find

from .base import Bar, Case, Work


def _complete(n: int, rank: int, oversampling: float) -> Case:
    complete = find("randnla.recovery", "complete")
    rng = np.random.default_rng(0)
    U, V = rng.standard_normal((n, rank)), rng.standard_normal((n, rank))
    places = rng.choice(n * n, int(oversampling * rank * (2 * n - rank)), replace=False)
    i, j = places // n, places % n
    samples = i, j, np.einsum("kr,kr->k", U[i], V[j])
    size = np.linalg.norm(np.linalg.qr(U)[1] @ np.linalg.qr(V)[1].T)

    def error(who: str, found: Any) -> float:
        """Of the whole matrix, from the factors of the difference."""
        left, s, right = (found.U, found.s, found.Vh.T) if hasattr(found, "Vh") else found
        both = np.linalg.qr(np.hstack([left * s, U]))[1], np.linalg.qr(np.hstack([right, -V]))[1]
        return float(np.linalg.norm(both[0] @ both[1].T) / size)

    return Case(
        lambda: complete(samples, (n, n), rank, rng=0),
        lambda: {"by hand": lambda: peers_recovery.by_hand_irls(samples, n, rank, 1e-10)},
        error,
    )


WORKS = [
    Work(
        "complete",
        "float64",
        "2000 x 2000, r = 10, oversampling 3",
        lambda _: _complete(2000, 10, 3.0),
        bar=Bar("time", 0.5, ("by hand",)),
        error_limit=1e-8,
        rounds=3,
    ),
]

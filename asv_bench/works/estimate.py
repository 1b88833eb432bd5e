# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Traces at equal products, and determinants where a product is cheap; errors are relative."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import peers
import peers_structured
import scipy.sparse
from conditions import find
from numpy.typing import NDArray

from .base import Bar, Case, Contender, Work

Array = NDArray[Any]


@lru_cache(maxsize=1)
def _decaying(n: int) -> tuple[Array, float]:
    d = 0.7 ** np.arange(n)
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0]
    A = (Q * d) @ Q.T
    return (A + A.T) / 2, float(d.sum())


def _trace(n: int, budget: int, method: str) -> Case:
    trace = find("randnla", "trace")
    A, true = _decaying(n)

    def contenders() -> dict[str, Contender]:
        rng = np.random.default_rng(0)
        return {"Hutch++ by hand": lambda: peers.by_hand_hutchpp(A, budget, rng)}

    def error(who: str, result: Any) -> float:
        return abs(float(result) / true - 1)

    return Case(lambda: trace(A, budget, method=method, rng=0), contenders, error)


@lru_cache(maxsize=1)
def _grid() -> tuple[Any, Array, float]:
    """The Laplacian of a grid of 50 by 60 and a tenth of the identity."""
    sides = [
        scipy.sparse.diags_array([-np.ones(k - 1), 2 * np.ones(k), -np.ones(k - 1)], offsets=[-1, 0, 1])
        for k in (50, 60)
    ]
    A = (scipy.sparse.kronsum(*sides) + 0.1 * scipy.sparse.eye_array(3000)).tocsr()
    whole = A.toarray()
    return A, whole, float(np.linalg.slogdet(whole)[1])


def _logdet(tol: float) -> Case:
    logdet = find("randnla", "logdet")
    A, whole, true = _grid()

    def contenders() -> dict[str, Contender]:
        return {
            "numpy cholesky": lambda: 2 * np.log(np.diag(np.linalg.cholesky(whole))).sum(),
            "numpy slogdet": lambda: np.linalg.slogdet(whole)[1],
            "linear_operator 10 x 20": peers_structured.linear_operator_logdet(A, 10, 20),  # its defaults
            "linear_operator 256 x 20": peers_structured.linear_operator_logdet(A, 256, 20),
        }

    def error(who: str, result: Any) -> float:
        return abs(float(result) / true - 1)

    return Case(lambda: logdet(A, tol=tol, rng=0), contenders, error)


WORKS = [
    Work(
        f"trace {method}",
        "float64",
        "1000, 0.7^i, 120 products",
        lambda _, method=method: _trace(1000, 120, method),  # type: ignore[misc]
        quick=method == "xtrace",
        note="the error is what differs: see the last column",
    )
    for method in ("xtrace", "xnystrace", "hutchpp")
] + [
    Work(
        "logdet",
        "float64",
        "3000 grid, sparse, tol 1e-3",
        lambda _: _logdet(1e-3),
        bar=Bar("time", 0.3, ("numpy cholesky",)),
        error_limit=1e-3,
        rounds=7,
    )
]

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Epochs of SketchySGD beside those of plain stochastic gradients by hand, and what they come to."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import scipy.optimize
import scipy.special

from randnla.curvature import Logistic
from randnla.optim import SketchySGD

from .base import Bar, Case, Contender, Work
from .data import Array

EPOCHS, BATCH = 20, 256
RATES = np.logspace(-1, 3, 10)


@lru_cache(maxsize=1)
def _problem(n: int, p: int) -> tuple[Array, Array, float, float]:
    """Features whose singular values fall as 1 / i, labels -1 and 1, the ridge, and the minimum."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p)) / np.arange(1, p + 1)
    z = X @ (rng.standard_normal(p) * np.arange(1, p + 1) ** 0.5)
    y = np.where(z + 0.5 * rng.standard_normal(n) > 0, 1.0, -1.0)
    ridge = 1e-2 / n
    model = Logistic(ridge=ridge)
    found = scipy.optimize.minimize(
        lambda w: (model.loss(X, y, w), model.gradient(X, y, w)),
        np.zeros(p),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 5000, "maxfun": 10000, "ftol": 1e-15, "gtol": 1e-9},
    )
    return X, y, ridge, float(found.fun)


def _by_hand(X: Array, y: Array, ridge: float, rate: float, epochs: int) -> Array:
    """Plain stochastic gradients, as one writes them in NumPy."""
    w, rng = np.zeros(X.shape[1]), np.random.default_rng(0)
    for _ in range(epochs):
        order = rng.permutation(len(X))
        for start in range(0, len(X), BATCH):
            rows = order[start : start + BATCH]
            A, b = X[rows], y[rows]
            slopes = -b * scipy.special.expit(-b * (A @ w))
            w -= rate * (A.T @ slopes / len(rows) + ridge * w)
    return w


def _epochs(n: int, p: int) -> Case:
    X, y, ridge, least = _problem(n, p)
    model = Logistic(ridge=ridge)

    def excess(w: Array) -> float:
        return float(model.loss(X, y, w)) - least

    best = min(RATES, key=lambda rate: excess(_by_hand(X, y, ridge, rate, EPOCHS)))

    def contenders() -> dict[str, Contender]:
        return {"SGD by hand, best of 10": lambda: _by_hand(X, y, ridge, best, EPOCHS)}

    def error(who: str, result: Any) -> float:
        """What is left of the objective above its minimum."""
        return excess(result.coef_ if who == "ours" else result)

    return Case(lambda: SketchySGD("logistic", epochs=EPOCHS, rng=0).fit(X, y), contenders, error)


WORKS = [
    Work(
        f"SketchySGD, {EPOCHS} epochs",
        "float64",
        f"{n}x{p} b={BATCH}",
        lambda _, n=n, p=p: _epochs(n, p),  # type: ignore[misc]
        bar,
        quick=p <= 500,
        rounds=5,
        note=f"errors: the objective above its minimum{note}",
    )
    for n, p, bar, note in (
        (5000, 200, None, "; batches so small that Python's calls around them count"),
        (20000, 1000, Bar("time", 2.0), ""),
    )
]

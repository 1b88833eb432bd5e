# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Kernel matrices of points: products that never hold the matrix, and partial Cholesky factors."""

from __future__ import annotations

from typing import Any

import numpy as np
import peers
from conditions import find

from . import data
from .base import Bar, Case, Contender, Work


def _product(n: int, dim: int, k: int, dtype: str) -> Case:
    kernel_matrix = find("randnla", "KernelMatrix")
    X, V, h = data.gaussian(n, dim, dtype), np.ones((n, k), dtype), 3.0
    K = kernel_matrix(X, bandwidth=h)

    def contenders() -> dict[str, Contender]:
        return {
            "sklearn rbf_kernel": lambda: peers.sklearn_kernel_product(X, V, h),
            "scipy cdist": lambda: peers.scipy_kernel_product(X, V, h),
            "torch cdist": lambda: peers.torch_kernel_product(X, V, h),
        }

    rows = np.arange(0, n, max(1, n // 50))
    wide = X.astype(np.float64)
    squares = ((wide[rows, None] - wide[None]) ** 2).sum(axis=2)
    exact = np.exp(squares / (-2 * h * h)).sum(axis=1, keepdims=True)

    def error(who: str, result: Any) -> float:
        return float(np.max(np.abs(np.asarray(result)[rows] - exact) / exact))

    return Case(lambda: K @ V, contenders, error)


def _cholesky(n: int, dim: int, k: int) -> Case:
    kernel_matrix, rpcholesky = find("randnla", "KernelMatrix"), find("randnla", "rpcholesky")
    X, h = data.gaussian(n, dim, "float64"), 3.0
    K = kernel_matrix(X, bandwidth=h)

    def contenders() -> dict[str, Contender]:
        return {
            "by hand": lambda: peers.by_hand_rpcholesky(X, h, k, np.random.default_rng(0)),
            "ours, one pivot a step": lambda: rpcholesky(K, k, method="simple", rng=0).F,
        }

    def error(who: str, result: Any) -> float:
        """Share of the trace that is left."""
        return 1 - float(np.vdot(result, result)) / n

    return Case(lambda: rpcholesky(K, k, rng=0).F, contenders, error)


WORKS = [
    Work(
        "kernel product k=50",
        "float64",
        "8000x8000 dim 10",
        lambda t: _product(8000, 10, 50, "float64"),
        Bar("time", 0.4),
        rounds=5,
    ),
    Work(
        "kernel product k=50",
        "float32",
        "8000x8000 dim 10",
        lambda t: _product(8000, 10, 50, "float32"),
        Bar("time", 0.4),
        rounds=5,
        quick=False,
    ),
    Work(
        "rpcholesky k=500",
        "float64",
        "20000x20000 dim 10",
        lambda t: _cholesky(20_000, 10, 500),
        Bar("time", 0.25),
        error_over_best=1.05,
        rounds=3,
        seconds=20,
        quick=False,
    ),
]

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What `method="auto"` costs against the best deterministic route, on a grid of shapes and ranks.

The promise: at most 1.1 times that route where it takes over a millisecond, and 100 us more below.
The error of an SVD is the larger of two, each over what may be had: of A - U diag(s) Vh over the best of
that rank, and of U^H U and Vh Vh^H from the identity over 30 u min(m, n), the threshold of LAPACK's own
tests for square matrices. A Gram matrix alone exceeds the second by factors of up to 10^5: it takes
another QR to return what the others do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import peers
from conditions import find

from . import data
from .base import Bar, Case, Contender, Work
from .lowrank import principal_components

NEVER_SLOWER = Bar("time", 1.1, allowance_ms=0.1)

DETERMINISTIC_PCA = replace(
    NEVER_SLOWER, against=("by hand Gram + eigh", "sklearn covariance_eigh", "numpy full")
)

SVD_GRID = [
    (30, 20, 5),
    (100, 80, 10),
    (100, 80, 60),
    (500, 400, 20),
    (1000, 1000, 10),
    (1000, 1000, 100),
    (1000, 1000, 500),
    (2000, 2000, 50),
    (5000, 200, 10),
    (5000, 200, 150),
    (20000, 100, 50),
    (200, 5000, 50),
]
EIGH_GRID = [(50, 5), (200, 20), (500, 50), (1000, 50), (1000, 400), (2000, 100)]
PCA_GRID = [
    (30, 20, 5),
    (100, 80, 10),
    (500, 50, 10),
    (2000, 200, 50),
    (20000, 200, 50),
    (100000, 50, 10),
    (1000, 1000, 500),
    (5000, 1000, 20),
]


def _svd(m: int, n: int, k: int, dtype: str) -> Case:
    svd = find("randnla", "svd")
    A, s = data.decaying(m, n, dtype, "poly")

    def contenders() -> dict[str, Contender]:
        return {
            "by hand Gram + eigh": lambda: peers.by_hand_gram_svd(A, k),
            "by hand Gram + eigh + QR": lambda: peers.by_hand_gram_qr_svd(A, k),
            "numpy svd": lambda: peers.numpy_svd(A, k),
        }

    def error(who: str, result: Any) -> float:
        U, values, Vh = tuple(result)[:3]
        best = np.hypot(data.tail(s, k), data.rounding(np.linalg.norm(s), min(m, n), dtype))
        orthonormal = 15 * np.finfo(dtype).eps * min(m, n)
        skew = max(data.skewness(U), data.skewness(Vh.T)) / orthonormal
        return max(data.frobenius_error(A, U, values, Vh) / best, skew)

    return Case(lambda: svd(A, k, rng=0), contenders, error)


def _eigh(n: int, k: int, dtype: str) -> Case:
    eigh = find("randnla", "eigh")
    A, w = data.semidefinite(n, dtype, "poly")

    def contenders() -> dict[str, Contender]:
        return {"scipy eigh": lambda: peers.scipy_eigh(A, k), "numpy eigh": lambda: peers.numpy_eigh(A, k)}

    def error(who: str, result: Any) -> float:
        values, V = tuple(result)[:2]
        return data.frobenius_error(A, V, values, V.T) / data.tail(w, k)

    return Case(lambda: eigh(A, k, rng=0), contenders, error)


def _row(name: str, dtype: str, shape: str, build: Any, bar: Bar = NEVER_SLOWER) -> Work:
    return Work(name, dtype, shape, build, bar, error_limit=1.05, quick=False, rounds=9, seconds=4)


DTYPES = ("float32", "float64")
WORKS = [
    *(
        _row("svd auto", t, f"{m}x{n} k={k}", lambda _, m=m, n=n, k=k, t=t: _svd(m, n, k, t))
        for m, n, k in SVD_GRID
        for t in DTYPES
    ),
    *(
        _row("eigh auto", t, f"{n}x{n} k={k}", lambda _, n=n, k=k, t=t: _eigh(n, k, t))
        for n, k in EIGH_GRID
        for t in DTYPES
    ),
    *(
        _row(
            "pca auto",
            t,
            f"{m}x{n} k={k}",
            lambda _, m=m, n=n, k=k, t=t: principal_components(m, n, k, t, full=m * n <= 10**6),
            DETERMINISTIC_PCA,
        )
        for m, n, k in PCA_GRID
        for t in DTYPES
    ),
]

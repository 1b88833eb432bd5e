# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Exact fixed point beside float32: Gram matrices in slices, and what sign sketches gain a decomposition."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from conditions import find, has_tiles

from . import data
from .base import Bar, Case, Contender, Work


def _gram(m: int, n: int, slices: int) -> Case:
    gram = find("randnla._backend.kernels.fixed_point", "gram")
    A, out = data.gaussian(m, n, "float32"), np.empty((n, n), np.float32)

    @cache
    def exact() -> Any:
        return A[:, :64].T.astype(np.float64) @ A.astype(np.float64)

    def error(name: str, result: Any) -> float:
        return float(np.linalg.norm(np.asarray(result)[:64] - exact()) / np.linalg.norm(exact()))

    return Case(lambda: gram(A, out, slices=slices), lambda: {"numpy A.T @ A": lambda: A.T @ A}, error)


def _svd(k: int, q: int, sketch: str, precision: str = "full") -> Case:
    svd = find("randnla", "svd")
    A, s = data.decaying(8000, 2000, "float32", "exp")

    def run(sketch: str, precision: str) -> Contender:
        options = {"sketch": sketch, "precision": precision, "power_iters": q, "method": "subspace"}
        return lambda: svd(A, k, rng=0, **options)

    def error(name: str, result: Any) -> float:
        return data.frobenius_error(A, *tuple(result)[:3]) / data.tail(s, k)

    return Case(run(sketch, precision), lambda: {"Gaussian map, float32": run("gaussian", "full")}, error)


WORKS = [
    *(
        Work(
            f"gram, {slices} slices",
            "float32",
            f"{m}x{n}",
            lambda _, m=m, n=n, slices=slices: _gram(m, n, slices),  # type: ignore[misc]
            Bar("fraction", 3.0) if has_tiles() else None,
            quick=False,
            rounds=5,
            note="" if has_tiles() else "no bar: without byte units the exact result is the slower one",
        )
        for m, n in ((65536, 256), (16384, 1024))
        for slices in (2, 3)
    ),
    *(
        Work(
            f"svd of a sign sketch q={q}",
            "float32",
            "8000x2000 exp(-i/15) k=100",
            lambda _, q=q: _svd(100, q, "sign"),  # type: ignore[misc]
            Bar("time", 1.0),
            error_over_best=spread,
            quick=False,
            rounds=7,
            note="one seed each: without power iterations errors of either map vary by some percent",
        )
        for q, spread in ((0, 1.1), (2, 1.02))
    ),
    Work(
        "svd q=2, two slices",
        "float32",
        "8000x2000 exp(-i/15) k=100",
        lambda _: _svd(100, 2, "gaussian", "two_slices"),
        error_over_best=1.02,
        quick=False,
        rounds=5,
        note="no bar: without byte units the exact result is the slower one",
    ),
]

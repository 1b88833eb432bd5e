# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Least squares; the error is the relative backward error of Karlson and Walden."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import peers
from conditions import find
from numpy.typing import NDArray

from .base import Bar, Case, Contender, Work

Array = NDArray[Any]


@lru_cache(maxsize=1)
def _problem(m: int, n: int, condition: float, dtype: str) -> tuple[Array, Array, Array, Array]:
    """A with singular values from 1 to 1 / condition, b with a residual of 1e-3; s and V^T of A."""
    rng = np.random.default_rng(0)
    U = np.linalg.qr(rng.standard_normal((m, n)))[0]
    V = np.linalg.qr(rng.standard_normal((n, n)))[0]
    s = np.logspace(0, -np.log10(condition), n)
    A = ((U * s) @ V.T).astype(dtype)
    x = rng.standard_normal(n)
    b = A @ (x / np.linalg.norm(x)) + 1e-3 * rng.standard_normal(m) / np.sqrt(m)
    return A, b.astype(dtype), s, V.T


def _lstsq(m: int, n: int, condition: float, dtype: str, method: str) -> Case:
    lstsq = find("randnla", "lstsq")
    A, b, s, Vh = _problem(m, n, condition, dtype)

    def contenders() -> dict[str, Contender]:
        return {
            "numpy normal equations": lambda: peers.by_hand_normal_equations(A, b),
            "scipy gelsd": lambda: peers.scipy_lstsq(A, b, "gelsd"),
            "scipy gelsy": lambda: peers.scipy_lstsq(A, b, "gelsy"),
            "numpy lstsq": lambda: peers.numpy_lstsq(A, b),
            "torch lstsq": lambda: peers.torch_lstsq(A, b),
        }

    def error(who: str, result: Any) -> float:
        x = np.asarray(result.x if who == "ours" else result, dtype=np.float64)
        r = b - A.astype(np.float64) @ x
        t = (Vh @ (A.T @ r)) / np.hypot(s * np.linalg.norm(x), np.linalg.norm(r))
        return float(np.linalg.norm(t) / np.linalg.norm(s))

    return Case(lambda: lstsq(A, b, method=method, rng=0), contenders, error)


def _work(
    condition: float, against: str, bar: Bar | None, *, method: str = "auto", dtype: str = "float64",
    quick: bool = False,
) -> Work:  # fmt: skip
    return Work(
        f"lstsq {method} / {against}",
        dtype,
        f"100000x300 cond {condition:.0e}",
        lambda _: _lstsq(100_000, 300, condition, dtype, method),
        bar,
        quick=quick,
        rounds=5,
        seconds=30.0,
    )


WORKS = [
    _work(1e6, "normal", Bar("time", 1.8, ("numpy normal equations",), threads=(2,)), quick=True),
    _work(1e6, "gelsd", Bar("time", 1 / 3.5, ("scipy gelsd",), threads=(2,))),
    _work(1e12, "gelsd", None),
    _work(1e6, "gelsd", None, method="spir"),
    _work(1e6, "gelsd", None, method="fossils"),
    _work(1e3, "gelsd", None, dtype="float32"),
]

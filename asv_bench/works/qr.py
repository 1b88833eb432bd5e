# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Orthogonalization of tall matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import peers
from conditions import find

from . import data
from .base import Bar, Case, Contender, Work


def _qr(m: int, n: int, dtype: str, method: str) -> Case:
    qr = find("randnla", "qr")
    A = data.gaussian(m, n, dtype)

    def contenders() -> dict[str, Contender]:
        return {
            "scipy qr": lambda: peers.scipy_qr(A),
            "numpy qr": lambda: peers.numpy_qr(A),
            "torch qr": lambda: peers.torch_qr(A),
            "by hand CholeskyQR2": lambda: peers.by_hand_cholesky_qr2(A),
        }

    def error(who: str, result: Any) -> float:
        Q = np.asarray(next(iter(result)), dtype=np.float64)
        return float(np.linalg.norm(Q.T @ Q - np.eye(n), 2))

    return Case(lambda: qr(A, method=method), contenders, error)


def _work(m: int, n: int, dtype: str, method: str, bar: Bar | None, *, quick: bool = True) -> Work:
    return Work(f"qr {method}", dtype, f"{m}x{n}", lambda t: _qr(m, n, dtype, method), bar, quick=quick)


WORKS = [
    _work(100_000, 60, "float32", "auto", None),
    _work(100_000, 60, "float64", "auto", None),
    _work(100_000, 300, "float32", "auto", None, quick=False),
    _work(100_000, 60, "float64", "householder", None, quick=False),
    _work(2000, 1000, "float64", "auto", None, quick=False),
]

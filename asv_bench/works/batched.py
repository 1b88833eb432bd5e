# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Inverses of many small positive definite matrices."""

from __future__ import annotations

import numpy as np
import peers
from numpy.typing import NDArray

from randnla._backend.kernels.batched import batched_inverse

from .base import Bar, Case, Contender, Work


def _inverse(count: int, n: int, dtype: str) -> Case:
    X = np.random.default_rng(0).standard_normal((count, n, n + 4))
    A = (X @ X.transpose(0, 2, 1) / n + 0.1 * np.eye(n)).astype(dtype)

    def contenders() -> dict[str, Contender]:
        return {
            "torch inv": lambda: peers.torch_batched_inv(A),
            "torch cholesky_inverse": lambda: peers.torch_batched_cholesky_inverse(A),
            "numpy inv": lambda: peers.numpy_batched_inv(A),
        }

    wide = A[:64].astype(np.float64)

    def error(who: str, result: NDArray[np.floating]) -> float:
        """Largest |A X - I| of the first 64."""
        return float(np.abs(wide @ result[:64] - np.eye(n)).max())

    return Case(lambda: batched_inverse(A)[0], contenders, error)


WORKS = [
    Work(
        "batched SPD inverse",
        dtype,
        f"{count}x{n}x{n}",
        lambda _, count=count, n=n, dtype=dtype: _inverse(count, n, dtype),
        Bar("time", bar),
        quick=dtype == "float32",
    )
    for dtype in ("float32", "float64")
    for count, n, bar in ((8192, 10, 0.2), (2048, 26, 0.25), (512, 129, 0.4))
]

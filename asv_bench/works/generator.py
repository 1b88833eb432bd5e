# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Random numbers: filling an array with the entries of a map."""

from __future__ import annotations

from typing import Any

import numpy as np
import peers
from conditions import find

from .base import Bar, Case, Contender, Work

SHAPE = (1000, 20000)


def _fill(kind: str, dtype: str) -> Case:
    fill = find("randnla._backend.kernels.streams", "fill_dense_map")
    mine = np.empty(SHAPE, dtype=dtype)

    def ours() -> np.ndarray:
        fill(mine, kind=kind, seed=1, stream=0)
        return mine

    def contenders() -> dict[str, Contender]:
        rng = np.random.default_rng(0)
        if kind == "sign":
            return {"numpy integers": lambda: rng.integers(0, 2, SHAPE, dtype=np.int8)}
        theirs, torches = np.empty(SHAPE, dtype=dtype), np.empty(SHAPE, dtype=dtype)
        return {
            "numpy standard_normal": lambda: peers.numpy_normal(theirs, rng),
            "torch normal_": lambda: peers.torch_normal(torches),
        }

    def error(name: str, result: Any) -> float | None:
        """|variance - 1|: what the standard normal law promises."""
        if kind == "sign":
            return None
        return abs(float(np.var(np.asarray(result)[:100], dtype=np.float64)) - 1)

    return Case(ours, contenders, error, units=float(np.prod(SHAPE)))


def _to_dense(dtype: str) -> Case:
    S = find("randnla.sketching", "Gaussian")(*SHAPE, rng=1, dtype=np.dtype(dtype))

    def contenders() -> dict[str, Contender]:
        rng = np.random.default_rng(0)
        return {
            "numpy standard_normal": lambda: rng.standard_normal(SHAPE, dtype=np.dtype(dtype)),
            "torch randn": lambda: peers.torch_randn(SHAPE, dtype),
        }

    return Case(S.to_dense, contenders, units=float(np.prod(SHAPE)))


def _fill_work(kind: str, dtype: str, rate: float | None) -> Work:
    bar = Bar("rate", rate, threads=(2,)) if rate else None
    return Work(
        f"{kind} fill", dtype, "1000x20000", lambda t: _fill(kind, dtype), bar, quick=rate is not None
    )


WORKS = [
    _fill_work("gaussian", "float32", 1.4),
    _fill_work("gaussian", "float64", 0.6),
    _fill_work("sign", "float32", None),
    Work(
        "gaussian to_dense",
        "float32",
        "1000x20000",
        lambda t: _to_dense("float32"),
        quick=False,
        note="allocates its result, whose fresh pages cost more than the numbers",
    ),
]

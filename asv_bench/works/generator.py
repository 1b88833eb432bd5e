# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Random numbers: filling an array with the entries of a map."""

from __future__ import annotations

import numpy as np
import peers
import torch
from conditions import find

from .base import Bar, Case, Work

SHAPE = (1000, 20000)


def _fill(kind: str, dtype: str) -> Case:
    fill = find("randnla._backend.kernels.streams", "fill_dense_map")
    mine, theirs, torches = (np.empty(SHAPE, dtype=dtype) for _ in range(3))
    rng = np.random.default_rng(0)
    contenders = {
        "numpy standard_normal": lambda: peers.numpy_normal(theirs, rng),
        "torch normal_": lambda: peers.torch_normal(torch.from_numpy(torches)),
    }
    if kind == "sign":
        contenders = {"numpy integers": lambda: rng.integers(0, 2, SHAPE, dtype=np.int8)}

    def ours() -> np.ndarray:
        fill(mine, kind=kind, seed=1, stream=0)
        return mine

    def error(name: str, result: object) -> float | None:
        """|variance - 1|: what the standard normal law promises."""
        return (
            abs(float(np.var(np.asarray(result)[:100], dtype=np.float64)) - 1) if kind == "gaussian" else None
        )

    return Case(ours, contenders, error, units=float(np.prod(SHAPE)))


def _to_dense(dtype: str) -> Case:
    S = find("randnla.sketching", "Gaussian")(*SHAPE, rng=1, dtype=np.dtype(dtype))
    rng = np.random.default_rng(0)
    contenders = {
        "numpy standard_normal": lambda: rng.standard_normal(SHAPE, dtype=np.dtype(dtype)),
        "torch randn": lambda: torch.randn(SHAPE, dtype=getattr(torch, dtype)),
    }
    return Case(S.to_dense, contenders, units=float(np.prod(SHAPE)))


WORKS = [
    Work(
        "gaussian fill",
        "float32",
        "1000x20000",
        lambda t: _fill("gaussian", "float32"),
        Bar("rate", 1.4, threads=(2,)),
    ),
    Work(
        "gaussian fill",
        "float64",
        "1000x20000",
        lambda t: _fill("gaussian", "float64"),
        Bar("rate", 0.6, threads=(2,)),
    ),
    Work("sign fill", "float32", "1000x20000", lambda t: _fill("sign", "float32"), quick=False),
    Work(
        "gaussian to_dense",
        "float32",
        "1000x20000",
        lambda t: _to_dense("float32"),
        quick=False,
        note="allocates its result, whose fresh pages cost more than the numbers",
    ),
]

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Dense maps generated on the fly, against the GEMM with the map already in memory."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import peers
import scipy.sparse as sp
from conditions import find, has_tiles

from . import data
from .base import Bar, Case, Contender, Work


def _sketch(kind: str, d: int, m: int, n: int, dtype: str, order: str = "C") -> Case:
    S = find("randnla.sketching", {"gaussian": "Gaussian", "sign": "Sign"}[kind])(
        d, m, rng=0, dtype=np.dtype(dtype)
    )
    A = data.gaussian(m, n, dtype, order)
    dense = cache(S.to_dense)

    def contenders() -> dict[str, Contender]:
        rng = np.random.default_rng(0)
        by_hand = peers.by_hand_gaussian if kind == "gaussian" else peers.by_hand_sign
        calls: dict[str, Contender] = {
            "numpy GEMM": lambda: peers.gemm(dense(), A),
            "torch GEMM": lambda: peers.torch_gemm(dense(), A),
            "by hand": lambda: by_hand(A, d, rng),
        }
        if kind == "gaussian":
            calls["torch by hand"] = lambda: peers.torch_gaussian(A, d)
        return calls

    @cache
    def exact() -> Any:
        return dense().astype(np.float64) @ A[:, :8].astype(np.float64)

    def error(name: str, result: Any) -> float | None:
        """Rounding error against float64, for those who use the same map."""
        if "by hand" in name:
            return None
        return float(np.linalg.norm(np.asarray(result)[:, :8] - exact()) / np.linalg.norm(exact()))

    return Case(lambda: S @ A, contenders, error)


def _work(
    kind: str, d: int, dtype: str, share: float | None, *, order: str = "C", quick: bool = True
) -> Work:
    layout = "" if order == "C" else " columns"
    bar = Bar("fraction", share, ("numpy GEMM",)) if share else None
    return Work(
        f"{kind} sketch d={d}",
        dtype,
        f"20000x1000{layout}",
        lambda t: _sketch(kind, d, 20000, 1000, dtype, order),
        bar,
        quick=quick,
    )


def _sparse(d: int, m: int, n: int, per_row: int, dtype: str, layout: str) -> Case:
    S = find("randnla.sketching", "Gaussian")(d, m, rng=0, dtype=np.dtype(dtype))
    rng = np.random.default_rng(0)
    indices = np.sort(rng.integers(0, n, (m, per_row)), axis=1).ravel().astype(np.int32)
    values = rng.standard_normal(m * per_row).astype(dtype)
    A = sp.csr_array((values, indices, np.arange(0, m * per_row + 1, per_row, dtype=np.int32)), shape=(m, n))
    A = A if layout == "csr" else A.tocsc()
    # Rows of its transpose lie in one piece, as SciPy's product wants them.
    dense = cache(lambda: np.asfortranarray(S.to_dense()))

    @cache
    def exact() -> Any:
        return dense()[:8].astype(np.float64) @ A.astype(np.float64)

    def error(name: str, result: Any) -> float:
        return float(np.linalg.norm(np.asarray(result)[:8] - exact()) / np.linalg.norm(exact()))

    return Case(
        lambda: S @ A, lambda: {"scipy, the map given": lambda: peers.scipy_dense_map(A, dense())}, error
    )


def _sparse_work(dtype: str, layout: str, *, quick: bool) -> Work:
    return Work(
        "gaussian sketch of sparse data d=256",
        dtype,
        f"100000x5000 {layout}",
        lambda t: _sparse(256, 100_000, 5000, 20, dtype, layout),
        Bar("time", 0.5),
        quick=quick,
        note="20 nonzeros a row; SciPy runs on one thread and is spared generating the map",
    )


WORKS = [
    _work("gaussian", 256, "float32", 0.88),
    _work("gaussian", 1000, "float32", 0.88, quick=False),
    _work("gaussian", 256, "float64", 0.82),
    _work("gaussian", 1000, "float64", 0.82, quick=False),
    _work("gaussian", 256, "float32", 0.88, order="F", quick=False),
    _work("sign", 64, "float32", 3.0 if has_tiles() else 1.0),
    _work("sign", 256, "float32", 4.0 if has_tiles() else 1.5),
    _work("sign", 1024, "float32", 4.5 if has_tiles() else 1.7, quick=False),
    _work("sign", 256, "float32", 4.0 if has_tiles() else 1.2, order="F", quick=False),
    _work("sign", 256, "float64", None, quick=False),
    _sparse_work("float32", "csr", quick=True),
    _sparse_work("float32", "csc", quick=False),
    _sparse_work("float64", "csr", quick=False),
    _sparse_work("float64", "csc", quick=False),
]

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sparse maps, against moving the same array once (inputs of 160 MB and more: memory, not cache)."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import peers
import scipy.sparse as sp
from conditions import find

from . import data
from .base import Bar, Case, Contender, Work


def _materialized(kind: str, seed: int, d: int, m: int, nnz: int, dtype: str) -> sp.csr_array:
    """The very map as a scipy matrix, scaled so that E[S^T S] = I."""
    columns = find("randnla._backend.kernels.sparse_maps", "sparse_map_columns")
    positions, signs = columns(
        kind=kind, seed=seed, stream=0, d=d, nnz=nnz, col_start=0, col_stop=m, dtype=np.dtype(dtype)
    )
    values = signs.ravel().astype(dtype) / np.dtype(dtype).type(np.sqrt(nnz))
    return sp.csr_array((values, (positions.ravel(), np.repeat(np.arange(m), nnz))), shape=(d, m))


def _apply(kind: str, d: int, m: int, n: int, dtype: str, order: str, threads: int) -> Case:
    name, nnz = {"sparse_sign": ("SparseSign", 8), "countsketch": ("CountSketch", 1)}[kind]
    S = find("randnla.sketching", name)(d, m, rng=0, dtype=np.dtype(dtype))
    A = data.gaussian(m, n, dtype, order)
    S_csr = cache(lambda: _materialized(kind, 0, d, m, nnz, dtype))

    def contenders() -> dict[str, Contender]:
        out, rng = np.empty_like(A), np.random.default_rng(0)
        calls: dict[str, Contender] = {
            "copyto": lambda: peers.copyto(A, out, threads),
            "scipy sparse product": lambda: peers.scipy_sparse_product(S_csr(), A),
        }
        if kind == "countsketch":
            calls["A.sum(0)"] = lambda: peers.column_sum(A)
            calls["clarkson_woodruff"] = lambda: peers.clarkson_woodruff(A, d, 0)
            calls["by hand"] = lambda: peers.by_hand_countsketch(A, d, rng)
        else:
            calls["sklearn SparseRandomProjection"] = lambda: peers.sklearn_sparse_projection(A, d, nnz, 0)
        return calls

    @cache
    def exact() -> Any:
        return S_csr().astype(np.float64) @ A[:, :8].astype(np.float64)

    def error(who: str, result: Any) -> float | None:
        """Rounding error of those who use the same map, distortion of the norm for the others."""
        if who in ("ours", "scipy sparse product"):
            return float(np.linalg.norm(np.asarray(result)[:, :8] - exact()) / np.linalg.norm(exact()))
        return None if who in ("copyto", "A.sum(0)") else data.norm_distortion(A, result)

    return Case(lambda: S @ A, contenders, error)


def _sampling() -> Case:
    columns = find("randnla._backend.kernels.sparse_maps", "sparse_map_columns")
    m, d, nnz = 400_000, 1000, 8

    def contenders() -> dict[str, Contender]:
        rng = np.random.default_rng(0)
        return {"numpy integers, repeats allowed": lambda: peers.numpy_sparse_columns(m, d, nnz, rng)}

    def ours() -> Any:
        return columns(
            kind="sparse_sign",
            seed=0,
            stream=0,
            d=d,
            nnz=nnz,
            col_start=0,
            col_stop=m,
            dtype=np.dtype(np.float32),
        )

    return Case(ours, contenders, units=float(m * nnz))


def _sparse_sign(d: int, m: int, n: int, dtype: str, order: str, *, quick: bool = True) -> Work:
    layout = "rows" if order == "C" else "columns"
    return Work(
        f"sparse sign d={d}",
        dtype,
        f"{m}x{n} {layout}",
        lambda t: _apply("sparse_sign", d, m, n, dtype, order, t),
        Bar("time", 1.4, ("copyto",), threads=(2,)),
        quick=quick,
    )


def _countsketch(dtype: str, bar: float, order: str = "C", *, quick: bool = True) -> Work:
    layout = "rows" if order == "C" else "columns"
    return Work(
        "countsketch d=4000",
        dtype,
        f"200000x200 {layout}",
        lambda t: _apply("countsketch", 4000, 200_000, 200, dtype, order, t),
        Bar("time", bar, ("A.sum(0)",), threads=(2,)) if order == "C" else None,
        quick=quick,
    )


WORKS = [
    _sparse_sign(1000, 40000, 1000, "float32", "C"),
    _sparse_sign(1000, 40000, 1000, "float32", "F"),
    _sparse_sign(1000, 20000, 1000, "float64", "C", quick=False),
    _sparse_sign(1000, 20000, 1000, "float64", "F", quick=False),
    _sparse_sign(800, 200_000, 200, "float32", "C", quick=False),
    _sparse_sign(800, 200_000, 200, "float32", "F", quick=False),
    _sparse_sign(256, 40000, 1000, "float32", "C", quick=False),
    Work(
        "sparse sign sampling",
        "float32",
        "1000x400000",
        lambda t: _sampling(),
        Bar("rate", 0.3, threads=(2,)),
    ),
    _countsketch("float32", 0.8),
    _countsketch("float64", 1.0, quick=False),
    _countsketch("float32", 1.0, "F", quick=False),
]

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Orthogonalization of tall matrices."""

from __future__ import annotations

from typing import Any

import peers
from conditions import find

from . import data
from .base import Bar, Case, Contender, Work


def _orthogonality(who: str, result: Any) -> float:
    return data.skewness(next(iter(result)))


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

    return Case(lambda: qr(A, method=method), contenders, _orthogonality)


def _work(m: int, n: int, dtype: str, method: str, bar: Bar | None, *, quick: bool = True) -> Work:
    return Work(f"qr {method}", dtype, f"{m}x{n}", lambda t: _qr(m, n, dtype, method), bar, quick=quick)


def _pivoted_tall(m: int, n: int, dtype: str) -> Case:
    """Pivots and an explicit Q, against LAPACK's, Cholesky QR by hand, and ours without pivots."""
    pivoted_qr, qr = find("randnla", "pivoted_qr"), find("randnla", "qr")
    A = data.gaussian(m, n, dtype, "F")

    def contenders() -> dict[str, Contender]:
        return {
            "scipy pivoted qr": lambda: peers.scipy_pivoted_qr(A),
            "by hand syrk potrf trsm": lambda: peers.by_hand_cholesky_qr(A),
            "randnla qr": lambda: qr(A, rng=0),
        }

    return Case(lambda: pivoted_qr(A, rng=0), contenders, _orthogonality)


def _pivoted_square(n: int, dtype: str) -> Case:
    """LAPACK's format, Q left in reflectors."""
    pivoted_qr = find("randnla", "pivoted_qr")
    A = data.gaussian(n, n, dtype, "F")

    def contenders() -> dict[str, Contender]:
        return {"geqp3": lambda: peers.lapack_geqp3(A), "geqrf": lambda: peers.lapack_geqrf(A)}

    return Case(lambda: pivoted_qr(A, mode="raw", rng=0), contenders)


def _tsqr(m: int, n: int, dtype: str) -> Case:
    qr = find("randnla", "qr")
    A = data.gaussian(m, n, dtype, "F")

    def contenders() -> dict[str, Contender]:
        return {
            "geqrf orgqr": lambda: peers.lapack_geqrf_orgqr(A),
            "numpy qr": lambda: peers.numpy_qr(A),
        }

    return Case(lambda: qr(A, method="tsqr"), contenders, _orthogonality)


def _utv(n: int, dtype: str) -> Case:
    utv = find("randnla", "utv")
    A = data.gaussian(n, n, dtype)
    return Case(lambda: utv(A, rng=0), lambda: {"numpy svd": lambda: peers.numpy_svd(A, n)}, _orthogonality)


def _tall_bar(name: str, bar: Bar, *, quick: bool = False) -> Work:
    return Work(
        f"pivoted_qr / {name}",
        "float32",
        "100000x300",
        lambda t: _pivoted_tall(100_000, 300, "float32"),
        bar,
        quick=quick,
        rounds=5,
    )


def _square_bar(name: str, value: float) -> Work:
    bar = Bar("time", value, (name,))
    return Work(
        f"pivoted_qr raw / {name}",
        "float64",
        "2000x2000",
        lambda t: _pivoted_square(2000, "float64"),
        bar,
        quick=False,
        rounds=7,
    )


def _tsqr_work(m: int, n: int, dtype: str, *, quick: bool = False) -> Work:
    bar = Bar("time", 1.0, ("geqrf orgqr",))
    return Work("qr tsqr", dtype, f"{m}x{n}", lambda t: _tsqr(m, n, dtype), bar, quick=quick)


WORKS = [
    _work(100_000, 60, "float32", "auto", None),
    _work(100_000, 60, "float64", "auto", None),
    _work(100_000, 300, "float32", "auto", None, quick=False),
    _work(100_000, 60, "float64", "householder", None, quick=False),
    _work(2000, 1000, "float64", "auto", None, quick=False),
    _tall_bar("geqp3", Bar("time", 0.2, ("scipy pivoted qr",), threads=(2,)), quick=True),
    _tall_bar("by hand", Bar("time", 1.5, ("by hand syrk potrf trsm",), threads=(2,))),
    _tall_bar("qr", Bar("time", 1.9, ("randnla qr",), threads=(2,))),
    _square_bar("geqp3", 1 / 3.5),
    _square_bar("geqrf", 1.4),
    _tsqr_work(100_000, 60, "float64", quick=True),
    _tsqr_work(100_000, 10, "float32"),
    _tsqr_work(20_000, 300, "float64"),
    Work("utv", "float64", "1000x1000", lambda t: _utv(1000, "float64"), quick=False, rounds=5),
]

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Decompositions; the error beside every time is the Frobenius error over the best one of that rank."""

from __future__ import annotations

from typing import Any

import numpy as np
import peers
from conditions import find

from . import data
from .base import Bar, Case, Contender, Work


def _svd(
    m: int, n: int, k: int, dtype: str, kind: str, *, slow: bool, method: str = "auto", q: int = 2
) -> Case:
    svd = find("randnla", "svd")
    A, s = data.decaying(m, n, dtype, kind)

    def contenders() -> dict[str, Contender]:
        rng = np.random.default_rng(0)
        calls: dict[str, Contender] = {
            "torch svd_lowrank": lambda: peers.torch_svd_lowrank(A, k, 2),
            "sklearn randomized_svd": lambda: peers.sklearn_randomized_svd(A, k, 2, 0),
            "sklearn randomized_svd LU": lambda: peers.sklearn_randomized_svd(A, k, 2, 0, "LU"),
            "by hand": lambda: peers.by_hand_rsvd(A, k, 2, rng),
        }
        if slow:
            calls["scipy svds arpack"] = lambda: peers.scipy_svds(A, k, "arpack", 0)
            calls["scipy svds propack"] = lambda: peers.scipy_svds(A, k, "propack", 0)
            calls["scipy svds lobpcg"] = lambda: peers.scipy_svds(A, k, "lobpcg", 0)
        return calls

    def error(who: str, result: Any) -> float:
        return data.frobenius_error(A, *tuple(result)[:3]) / data.tail(s, k)

    return Case(lambda: svd(A, k, power_iters=q, method=method, rng=0), contenders, error)


def _qb(m: int, n: int, tol: float, dtype: str, method: str) -> Case:
    qb = find("randnla", "qb")
    A, s = data.decaying(m, n, dtype, "exp")
    size = float(np.linalg.norm(s))
    # What the peers that take a rank must be told: the least that meets the tolerance.
    told = next(k for k in range(s.size) if data.tail(s, k) <= 0.98 * tol * size)

    def contenders() -> dict[str, Contender]:
        rng = np.random.default_rng(0)
        return {
            "by hand QB": lambda: peers.by_hand_qb(A, tol, 32, 1, rng),
            "torch svd_lowrank, rank told": lambda: peers.torch_svd_lowrank(A, told, 2),
            "sklearn QR, rank told": lambda: peers.sklearn_randomized_svd(A, told, 2, 0, "QR"),
        }

    def error(who: str, result: Any) -> float:
        """Over the tolerance: at most 1 counts."""
        factors = tuple(result)
        Q, B = factors if len(factors) == 2 else (factors[0] * factors[1], factors[2])
        return data.frobenius_error(A, Q, np.ones(len(B)), B) / (tol * size)

    return Case(lambda: qb(A, tol=tol, method=method, rng=0), contenders, error)


def _sparse_svd(m: int, n: int, density: float, k: int, dtype: str) -> Case:
    svd = find("randnla", "svd")
    A = data.sparse(m, n, density, dtype)

    def contenders() -> dict[str, Contender]:
        return {
            "sklearn randomized_svd": lambda: peers.sklearn_randomized_svd(A, k, 2, 0),
            "sklearn randomized_svd LU": lambda: peers.sklearn_randomized_svd(A, k, 2, 0, "LU"),
            "sklearn randomized_svd QR": lambda: peers.sklearn_randomized_svd(A, k, 2, 0, "QR"),
        }

    norm = float(np.linalg.norm(A.data.astype(np.float64)))

    def error(who: str, result: Any) -> float:
        """Relative to |A|_F: the best error of this matrix is not known in closed form."""
        return data.frobenius_error(A, *tuple(result)[:3]) / norm

    return Case(lambda: svd(A, k, power_iters=2, rng=0), contenders, error)


def _eigen(n: int, k: int, dtype: str, kind: str, ours: str) -> Case:
    solve = find("randnla", ours)
    A, w = data.semidefinite(n, dtype, kind)

    def contenders() -> dict[str, Contender]:
        rng = np.random.default_rng(0)
        return {
            "by hand q=2": lambda: peers.by_hand_eigen(A, k, 2, rng),
            "by hand q=1": lambda: peers.by_hand_eigen(A, k, 1, rng),
            "by hand Nystrom": lambda: peers.by_hand_nystrom(A, k, rng),
            "by hand Nystrom p=64": lambda: peers.by_hand_nystrom(A, k, rng, 64),
            "torch svd_lowrank q=2": lambda: peers.torch_eigen(A, k, 2),
            "scipy lobpcg": lambda: peers.scipy_lobpcg(A, k, rng),
            "scipy eigsh": lambda: peers.scipy_eigsh(A, k, 0),
        }

    def error(who: str, result: Any) -> float:
        values, V = tuple(result)[:2]
        return data.frobenius_error(A, V, values, V.T) / data.tail(w, k)

    return Case(lambda: solve(A, k, rng=0), contenders, error)


def principal_components(m: int, n: int, k: int, dtype: str, *, full: bool = False) -> Case:
    pca = find("randnla", "pca")
    A = data.decaying(m, n, dtype, "exp")[0]

    def ours() -> peers.Components:
        found = pca(A, k, rng=0)
        return found.components, found.mean, found.scores

    def contenders() -> dict[str, Contender]:
        exact = {"numpy full": lambda: peers.numpy_pca(A, k)} if full else {}
        return {
            **exact,
            "by hand Gram + eigh": lambda: peers.by_hand_pca(A, k),
            "sklearn covariance_eigh": lambda: peers.sklearn_pca(A, k, "covariance_eigh", 0),
            "sklearn randomized": lambda: peers.sklearn_pca(A, k, "randomized", 0),
        }

    mean = A.mean(0, dtype=np.float64)
    wide = A.astype(np.float64) - mean
    left = float(np.sum(np.linalg.eigvalsh(wide.T @ wide)[:-k]))
    best = float(np.hypot(np.sqrt(max(left, 0.0)), data.rounding(np.linalg.norm(wide), min(m, n), dtype)))

    def error(who: str, result: Any) -> float:
        """Distance of mean + scores components to the data over the least possible at rank k."""
        components, center, scores = result
        total = 0.0
        for start in range(0, m, 8192):
            rows = slice(start, start + 8192)
            R = A[rows] - center.astype(np.float64) - scores[rows].astype(np.float64) @ components
            total += float(np.vdot(R, R))
        return float(np.sqrt(total)) / best

    return Case(ours, contenders, error)


def _single_pass(m: int, n: int, k: int, step: int, dtype: str) -> Case:
    streaming = find("randnla", "StreamingSVD")
    A, s = data.decaying(m, n, dtype, "exp")

    def ours() -> Any:
        stream = streaming(A.shape, k, dtype=A.dtype, rng=0)
        for start in range(0, m, step):
            stream.update(A[start : start + step], rows=slice(start, start + step))
        return stream.result()

    def contenders() -> dict[str, Contender]:
        rng = np.random.default_rng(0)
        return {"by hand": lambda: peers.by_hand_single_pass(A, k, step, rng)}

    def error(who: str, result: Any) -> float:
        return data.frobenius_error(A, *tuple(result)[:3]) / data.tail(s, k)

    return Case(ours, contenders, error)


def _appended(m: int, n: int, k: int, step: int, dtype: str, ours: str) -> Case:
    """Row spaces of k directions from blocks of rows; the error is that of projecting on them."""
    made = find("randnla", ours)
    A, s = data.decaying(m, n, dtype, "exp")
    size = k if ours == "IncrementalSVD" else 2 * k

    def run() -> Any:
        held = made(n, size, dtype=A.dtype)
        for start in range(0, m, step):
            held.update(A[start : start + step])
        return held.result()

    def error(who: str, result: Any) -> float:
        Vh = np.asarray(tuple(result)[-1])[:k].astype(np.float64)
        return data.frobenius_error(A, A @ Vh.T, np.ones(k), Vh) / data.tail(s, k)

    return Case(
        run,
        lambda: {"sklearn IncrementalPCA": lambda: peers.sklearn_incremental_pca(A, k, step)},
        error,
    )


_REACH = ("torch svd_lowrank",)
WORKS = [
    Work(
        "svd k=50 q=2",
        "float32",
        "5000x2000 exp(-i/15)",
        lambda t: _svd(5000, 2000, 50, "float32", "exp", slow=False),
        Bar("time", 0.7, _REACH),
        error_limit=1.02,
    ),
    Work(
        "svd k=50 q=2",
        "float32",
        "5000x2000 i^-1.5",
        lambda t: _svd(5000, 2000, 50, "float32", "poly", slow=True),
        Bar("time", 0.7, _REACH),
        error_limit=1.02,
        quick=False,
    ),
    Work(
        "svd k=50 q=2",
        "float64",
        "5000x2000 exp(-i/15)",
        lambda t: _svd(5000, 2000, 50, "float64", "exp", slow=False),
        Bar("time", 0.7, _REACH),
        error_limit=1.02,
        quick=False,
        note="the bar of float32; RandLAPACK's .075 s at 163 GFLOP/s is no Python peer",
    ),
    Work(
        "svd krylov k=50 q=1",
        "float32",
        "5000x2000 i^-1.5",
        lambda t: _svd(5000, 2000, 50, "float32", "poly", slow=False, method="krylov", q=1),
        error_limit=1.02,
        quick=False,
        note="four products where the peers take six, at equal error",
    ),
    Work(
        "svd farpca k=50 q=2",
        "float32",
        "5000x2000 i^-1.5",
        lambda t: _svd(5000, 2000, 50, "float32", "poly", slow=False, method="farpca"),
        error_limit=1.02,
        quick=False,
    ),
    *(
        Work(
            f"qb tol=1e-3 {method}",
            "float64",
            "5000x2000 exp(-i/15)",
            lambda t, method=method: _qb(5000, 2000, 1e-3, "float64", method),  # type: ignore[misc]
            error_limit=1.0,
            rounds=5,
            quick=False,
        )
        for method in ("ei", "pass_efficient", "farpca")
    ),
    Work(
        "svd sparse k=100 q=2",
        "float64",
        "100000x20000 CSR 1e-3",
        lambda t: _sparse_svd(100_000, 20_000, 1e-3, 100, "float64"),
        Bar("time", 0.6),
        error_over_best=1.005,
        rounds=5,
        seconds=30,
    ),
    Work(
        "nystrom PSD k=64",
        "float32",
        "4096x4096 exp(-i/15)",
        lambda t: _eigen(4096, 64, "float32", "exp", "nystrom"),
        Bar("time", 0.6),
        error_limit=1.02,
        rounds=9,
        quick=False,
        note="the same bar as eigh PSD: a user of semidefinite matrices may call either",
    ),
    Work(
        "nystrom PSD k=64",
        "float32",
        "4096x4096 i^-1.5",
        lambda t: _eigen(4096, 64, "float32", "poly", "nystrom"),
        Bar("time", 0.6),
        error_limit=1.02,
        rounds=9,
        quick=False,
        note="the same bar as eigh PSD: a user of semidefinite matrices may call either",
    ),
    Work(
        "eigh PSD k=64",
        "float32",
        "4096x4096 exp(-i/15)",
        lambda t: _eigen(4096, 64, "float32", "exp", "eigh"),
        Bar("time", 0.6),
        error_limit=1.02,
        rounds=9,
    ),
    Work(
        "eigh PSD k=64",
        "float32",
        "4096x4096 i^-1.5",
        lambda t: _eigen(4096, 64, "float32", "poly", "eigh"),
        Bar("time", 0.6),
        error_limit=1.02,
        rounds=9,
        quick=False,
    ),
    Work(
        "nystrom k=64 defaults",
        "float32",
        "4096x4096 exp(-i/15)",
        lambda t: _eigen(4096, 64, "float32", "exp", "nystrom"),
        Bar("time", 0.4, ("by hand q=2",)),
        error_limit=1.1,
        rounds=9,
    ),
    Work(
        "nystrom k=64 defaults",
        "float32",
        "4096x4096 i^-1.5",
        lambda t: _eigen(4096, 64, "float32", "poly", "nystrom"),
        Bar("time", 0.4, ("by hand q=2",)),
        error_limit=1.1,
        rounds=9,
        quick=False,
    ),
    Work(
        "single pass k=20",
        "float32",
        "8000x2000 blocks of 500",
        lambda t: _single_pass(8000, 2000, 20, 500, "float32"),
        Bar("time", 1.0),
        quick=False,
        note="by hand holds its maps and certifies nothing",
    ),
    Work(
        "incremental SVD k=20",
        "float64",
        "20000x500 blocks of 100",
        lambda t: _appended(20_000, 500, 20, 100, "float64", "IncrementalSVD"),
        Bar("time", 0.6),
        quick=False,
    ),
    Work(
        "frequent directions k=20",
        "float64",
        "20000x500 blocks of 100",
        lambda t: _appended(20_000, 500, 20, 100, "float64", "FrequentDirections"),
        Bar("time", 0.6),
        quick=False,
        note="40 rows kept, for 20 directions",
    ),
    Work(
        "pca k=50 auto",
        "float32",
        "200000x200",
        lambda t: principal_components(200_000, 200, 50, "float32"),
        Bar("time", 1.1),
        error_limit=1.02,
        quick=False,
    ),
]

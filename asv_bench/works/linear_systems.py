# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Definite systems, ridge paths and general systems at equal residuals."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg as spla
from conditions import find
from numpy.typing import NDArray

from .base import Bar, Case, Contender, Work

Array = NDArray[Any]


def _points(n: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 3))
    return X, np.sin(2 * X[:, 0]) * X[:, 1] + 0.1 * rng.standard_normal(n)


def _kernel_ridge(n: int, alpha: float) -> Case:
    solve, kernel = find("randnla", "solve"), find("randnla", "KernelMatrix")
    X, y = _points(n)
    K = kernel(X, bandwidth=1.0)

    def ours(preconditioner: str | None) -> Contender:
        return lambda: solve(K, y, shift=alpha, preconditioner=preconditioner, rng=0).x

    def contenders() -> dict[str, Contender]:
        found: dict[str, Contender] = {"plain cg": ours(None), "nystrom": ours("nystrom")}
        try:
            from sklearn.kernel_ridge import KernelRidge
        except ImportError:
            return found
        theirs = KernelRidge(alpha=alpha, kernel="rbf", gamma=0.5)
        found["sklearn KernelRidge"] = lambda: theirs.fit(X, y).dual_coef_
        return found

    def error(who: str, x: Any) -> float:
        return float(np.linalg.norm(K @ x + alpha * x - y) / np.linalg.norm(y))

    return Case(ours("rpcholesky"), contenders, error)


@lru_cache(maxsize=1)
def _definite(n: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    A = (Q * (1e3 / np.arange(1, n + 1) ** 2)) @ Q.T
    return (A + A.T) / 2, rng.standard_normal(n)


def _solve(n: int, shift: float) -> Case:
    solve = find("randnla", "solve")
    A, b = _definite(n)
    shifted = A + shift * np.eye(n)

    def contenders() -> dict[str, Contender]:
        return {
            "scipy cg": lambda: spla.cg(shifted, b, rtol=1e-8, maxiter=20 * n)[0],
            "scipy cholesky": lambda: scipy.linalg.cho_solve(scipy.linalg.cho_factor(shifted), b),
        }

    def error(who: str, x: Any) -> float:
        return float(np.linalg.norm(shifted @ x - b) / np.linalg.norm(b))

    return Case(lambda: solve(A, b, shift=shift, rng=0).x, contenders, error)


def _gmres(side: int, method: str) -> Case:
    gmres = find("randnla", "gmres")
    off = np.ones(side - 1)
    line = scipy.sparse.diags_array([-1.2 * off, 2 * np.ones(side), -0.8 * off], offsets=[-1, 0, 1])
    A, b = scipy.sparse.kronsum(line, line).tocsr(), np.ones(side**2)

    def contenders() -> dict[str, Contender]:
        return {"scipy gmres": lambda: spla.gmres(A, b, rtol=1e-8, restart=200, maxiter=10)[0]}

    def error(who: str, x: Any) -> float:
        return float(np.linalg.norm(A @ x - b) / np.linalg.norm(b))

    return Case(lambda: gmres(A, b, method=method, restart=200, rng=0).x, contenders, error)


def _ridge(m: int, n: int, count: int) -> Case:
    ridge = find("randnla", "ridge")
    rng = np.random.default_rng(0)
    A = rng.standard_normal((m, n)) * np.geomspace(1, 1e-3, n)
    b, alphas = rng.standard_normal(m), np.geomspace(1e-4, 1e2, count)

    def contenders() -> dict[str, Contender]:
        def normal() -> Array:
            G, c = A.T @ A, A.T @ b
            return np.stack([scipy.linalg.solve(G + a * np.eye(n), c, assume_a="pos") for a in alphas])

        found: dict[str, Contender] = {"normal equations": normal}
        try:
            from sklearn.linear_model import Ridge
        except ImportError:
            return found
        for solver in ("cholesky", "lsqr"):
            found[f"sklearn Ridge {solver}"] = lambda solver=solver: np.stack(  # type: ignore[misc]
                [Ridge(a, fit_intercept=False, solver=solver, tol=1e-10).fit(A, b).coef_ for a in alphas]
            )
        return found

    def error(who: str, X: Any) -> float:
        rest = [A.T @ (b - A @ x) - a * x for a, x in zip(alphas, X, strict=True)]
        return float(max(np.linalg.norm(r) for r in rest) / np.linalg.norm(A.T @ b))

    return Case(lambda: ridge(A, b, alphas, rng=0).x, contenders, error)


WORKS = [
    Work(
        "kernel ridge rpcholesky",
        "float64",
        "4000 x 3, alpha 1e-1",
        lambda _: _kernel_ridge(4000, 1e-1),
        bar=Bar("time", 1 / 3, ("plain cg",)),
        error_limit=1e-7,
        rounds=5,
    ),
    Work(
        "solve nystrom",
        "float64",
        "2000, j^-2, shift 1e-3",
        lambda _: _solve(2000, 1e-3),
        error_limit=1e-7,
        rounds=7,
    ),
    *[
        Work(
            f"gmres {method}",
            "float64",
            "100 x 100 grid, sparse",
            lambda _, method=method: _gmres(100, method),
            error_limit=1e-7,
            rounds=5,
        )  # type: ignore[misc]
        for method in ("rgs", "truncated")
    ],
    Work(
        "ridge path",
        "float64",
        "20000 x 300, 10 alphas",
        lambda _: _ridge(20000, 300, 10),
        error_limit=1e-7,
        rounds=7,
    ),
    Work(
        "ridge one alpha",
        "float64",
        "20000 x 300",
        lambda _: _ridge(20000, 300, 1),
        error_limit=1e-7,
        rounds=7,
        quick=False,
    ),
]

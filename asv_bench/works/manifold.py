# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Operators and equations on a torus known by points at random."""

from __future__ import annotations

from typing import Any

import numpy as np
import peers_structured
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from conditions import find
from numpy.typing import NDArray

from .base import Bar, Case, Contender, Work

Array = NDArray[Any]


def _torus(n: int) -> Array:
    t, p = np.random.default_rng(0).uniform(0, 2 * np.pi, (2, n))
    return np.c_[(2 + np.cos(t)) * np.cos(p), (2 + np.cos(t)) * np.sin(p), np.sin(t)]


def _operator(n: int, k: int, threads: int) -> Case:
    laplacian = find("randnla.manifold", "laplacian")
    X = _torus(n)
    u = X[:, 2]
    made = laplacian(X, neighbors=k)
    wanted = made.apply(u)

    def contenders() -> dict[str, Contender]:
        return {
            "scipy query alone": lambda: peers_structured.scipy_neighbors(X, k, threads),
            "by hand": lambda: peers_structured.by_hand_diffusion_operator(X, k, threads, made.bandwidth),
        }

    def error(who: str, found: Any) -> float | None:
        if who == "scipy query alone":
            return None
        stiffness, mass = found[0], found[1]
        return float(np.linalg.norm((stiffness @ u) / mass - wanted) / np.linalg.norm(wanted))

    return Case(lambda: laplacian(X, neighbors=k), contenders, error)


def _solve(n: int, preconditioner: str | None) -> Case:
    solve = find("randnla.manifold", "solve_elliptic")
    laplacian = find("randnla.manifold", "laplacian")
    X = _torus(n)
    f = X[:, 2] + X[:, 0] * X[:, 1]

    def theirs() -> Array:
        made = laplacian(X)
        A = (made.stiffness + sp.diags_array(made.mass)).tocsr()
        jacobi = sp.diags_array(1 / A.diagonal())
        return np.asarray(spla.cg(A, made.mass * f, rtol=1e-8, maxiter=5000, M=jacobi)[0])

    made = laplacian(X)

    def error(who: str, found: Any) -> float:
        u = found if isinstance(found, np.ndarray) else found.u
        return float(np.linalg.norm(made.apply(u) + u - f) / np.linalg.norm(f))

    return Case(
        lambda: solve(X, f, a=1.0, preconditioner=preconditioner, rng=0),
        lambda: {"our operator, scipy cg": theirs},
        error,
    )


WORKS = [
    Work(
        "diffusion operator",
        "float64",
        "100000 x 3, k = 128",
        lambda threads: _operator(100_000, 128, threads),
        bar=Bar("time", 2.0, ("scipy query alone",), threads=(2,)),
        rounds=3,
        quick=False,
        note="neighbors, bandwidth, symmetric rows",
    ),
    Work(
        "diffusion operator",
        "float64",
        "10000 x 3, k = 128",
        lambda threads: _operator(10_000, 128, threads),
        rounds=5,
    ),
    *[
        Work(
            f"elliptic solve {name or 'plain'}",
            "float64",
            "20000 x 3, k = 128",
            lambda _, name=name: _solve(20_000, name),
            error_limit=1e-6,
            rounds=3,
            quick=False,
        )  # type: ignore[misc]
        for name in (None, "sparsified")
    ],
]

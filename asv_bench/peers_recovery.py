# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A contender for matrix completion: the same iteration written plainly in NumPy and SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

Array = NDArray[Any]


def _triplets(L: Array, R: Array, E: Any, Q: Array, sweeps: int) -> tuple[Array, Array, Array]:
    """Subspace iteration on L R + E."""
    for _ in range(sweeps):
        Y = np.linalg.qr(L @ (R @ Q) + E @ Q)[0]
        Q, T = np.linalg.qr(R.T @ (L.T @ Y) + E.T @ Y)
    W, s, Zt = np.linalg.svd(T.T)
    return Y @ W, s, Q @ Zt.T


def by_hand_irls(
    positions: tuple[Array, Array, Array], n: int, r: int, tol: float
) -> tuple[Array, Array, Array]:
    """MatrixIRLS (Kuemmerle and Mayrink Verdun, 2021) of an n x n matrix of rank r: L, R and the rest E.

    Conjugate gradients in the tangent space at each step, from the iterate, to a thousandth of its smoothing.
    """
    i, j, v = positions
    order = np.lexsort((j, i))
    i, j, v = i[order], j[order], v[order]

    def sparse(values: Array) -> Any:
        return scipy.sparse.csr_array((values, (i, j)), shape=(n, n))

    L, R, E, eps = np.zeros((n, 0)), np.zeros((0, n)), sparse(v), np.inf
    U, s, V = _triplets(L, R, E, np.random.default_rng(0).standard_normal((n, r + 6)), 5)
    for _ in range(60):
        eps = min(eps, s[r])
        if eps <= tol * s[0]:
            break
        k = np.count_nonzero(s > eps * (1 + 1e-8))
        start, (U, s, V) = V, (U[:, :k], s[:k], V[:, :k])
        edge = eps / (s - eps)
        a = [eps**2 / (np.outer(s, s) - eps**2), edge[:, None], edge[None]]

        def split(Z: Any, U: Array = U, V: Array = V) -> list[Array]:
            ZV, G = Z @ V, U.T @ (Z @ V)
            return [G, (Z.T @ U).T - G @ V.T, ZV - U @ G]

        def factors(g: list[Array], U: Array = U, V: Array = V) -> tuple[Array, Array]:
            return np.hstack([U, g[2]]), np.vstack([g[0] @ V.T + g[1], V.T])

        def at(L: Array, R: Array) -> Array:
            return np.einsum("kr,kr->k", L[i], R.T[j])

        def system(
            g: list[Array], a: list[Array] = a, split: Any = split, factors: Any = factors
        ) -> list[Array]:
            return [w * x + y for w, x, y in zip(a, g, split(sparse(at(*factors(g)))), strict=True)]

        b = split(sparse(v))
        g = [np.diag(s), np.zeros((k, n)), np.zeros((n, k))]
        rest = [x - y for x, y in zip(b, system(g), strict=True)]
        z = [x / (w + 1) for w, x in zip(a, rest, strict=True)]
        p, rho, goal = z, _inner(rest, z), min(1e-4, 1e-3 * eps / s[0]) * _inner(b, b) ** 0.5
        while _inner(rest, rest) ** 0.5 > goal:
            q = system(p)
            alpha = rho / _inner(p, q)
            g = [x + alpha * y for x, y in zip(g, p, strict=True)]
            rest = [x - alpha * y for x, y in zip(rest, q, strict=True)]
            z = [x / (w + 1) for w, x in zip(a, rest, strict=True)]
            rho, last = _inner(rest, z), rho
            p = [x + rho / last * y for x, y in zip(z, p, strict=True)]
        L, R = factors(g)
        E = sparse(v - at(L, R))
        U, s, V = _triplets(L, R, E, start, 2)
    return U[:, :r], s[:r], V[:, :r]


def _inner(f: list[Array], g: list[Array]) -> float:
    return float(sum(np.vdot(x, y) for x, y in zip(f, g, strict=True)))

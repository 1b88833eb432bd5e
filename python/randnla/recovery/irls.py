# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Reweighted least squares on the singular values of H(X) (Kuemmerle, Maggioni and Tang, 2022)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from randnla._backend.kernels import dense, qr
from randnla._backend.kernels.weighted_draws import uniforms

from .hankel import Array, Hankel, Samples

SPARE = 6
"""Singular triplets beyond the rank."""
SMALL = 160
"""Below this order the Hankel matrix is factored whole."""
FLOOR = 32 * float(np.finfo(np.float64).eps)
"""Of relative residuals: what solves can leave."""


@dataclass
class Triplets:
    """Leading singular triplets."""

    U: Array
    s: Array
    V: Array

    def cut(self, k: int) -> Triplets:
        """The first k."""
        return Triplets(*(np.ascontiguousarray(X) for X in (self.U[:, :k], self.s[:k], self.V[:, :k])))


def leading(H: Hankel, count: int, start: Array | None, seed: int) -> Triplets:
    """`count` triplets by subspace iteration, from those of the step before."""
    m, n = H.shape
    count = min(count, m, n)
    if min(m, n) <= SMALL:
        U, s, Vh = qr.small_svd(H.matmat(np.eye(n)))
        return Triplets(U, s, Vh.conj().T).cut(count)
    turned, sweeps = H.adjoint(), 2
    Q = start
    if Q is None:
        Q, sweeps = uniforms(n * count, seed=seed, stream=0).reshape(n, count) - 0.5, 5
    for _ in range(sweeps):
        Y = qr.householder_qr(H.matmat(Q))[0]
        Q, R = qr.householder_qr(turned.matmat(Y))  # H^H Y = Q R, H ~ Y R^H Q^H
    U, s, Wh = qr.small_svd(R.conj().T)
    return Triplets(dense.gemm(Y, U), s, dense.gemm(Q, np.ascontiguousarray(Wh.conj().T)))


Coordinates = list[Any]


def inner(f: Coordinates, g: Coordinates) -> float:
    """Of coordinates of the tangent space."""
    return float(sum(np.vdot(a, b).real for a, b in zip(f, g, strict=True)))


@dataclass
class Capacitance:
    """``a + P^* (I - Pi_H + H D^-1 P_Omega^* P_Omega H^*) P`` at the triplets, with smoothing eps.

    The tangent space at U, V has coordinates g = (G1, G2, G3), P(g) = U G1 V^H + U G2 + G3 V^H, G2 V = 0 and
    U^H G3 = 0. The weights there are eps^2 (W^-1 - eps^-2)^-1, diagonal in g.
    """

    samples: Samples
    at: Triplets
    eps: float

    def weights(self) -> Coordinates:
        """The diagonal a."""
        s, e = self.at.s, self.eps
        edge = e / (s - e)
        return [e * e / (np.multiply.outer(s, s) - e * e), edge[:, None], edge[None]]

    def factors(self, g: Coordinates) -> tuple[Array, Array]:
        """P(g) = L R."""
        U, Vh = self.at.U, self.at.V.conj().T
        return np.hstack([U, g[2]]), np.vstack([g[0] @ Vh + g[1], Vh])

    def coordinates(self, ZV: Array, ZhU: Array) -> Coordinates:
        """P^*(Z) from Z V and Z^H U."""
        U, V = self.at.U, self.at.V
        G = U.conj().T @ ZV
        return [G, ZhU.conj().T - G @ V.conj().T, ZV - U @ G]

    def filled(self, g: Coordinates, values: Array | None) -> Hankel:
        """X = `values` (or zero) on the samples and D^-1 H^* P(g) elsewhere."""
        L, R = self.factors(g)
        there = self.samples.at(L, R) / self.samples.multiplicity()[self.samples.times]
        rest = -there if values is None else values - there
        return Hankel(self.samples, L, R, rest)

    def apply(self, g: Coordinates) -> Coordinates:
        """The system times g."""
        return [a * x + y for a, x, y in zip(self.weights(), g, self.seen(g), strict=True)]

    def seen(self, g: Coordinates) -> Coordinates:
        """``P^* (I - Pi_H + H D^-1 P_Omega^* P_Omega H^*) P`` times g: zero where samples tell nothing."""
        # P(g) less H of what is off the samples; of one matrix that is P(g) on the samples.
        X = self.filled(g, None)
        U, V = self.at.U, self.at.V
        if self.samples.horizon == 1:
            rest = replace(X, L=X.L[:, :0], R=X.R[:0])
            ZV, ZhU = -rest.matmat(V), -rest.adjoint().matmat(U)
        else:
            ZV = X.L @ (X.R @ V) - X.matmat(V)
            ZhU = X.R.conj().T @ (X.L.conj().T @ U) - X.adjoint().matmat(U)
        return self.coordinates(ZV, ZhU)

    def right_hand_side(self) -> Coordinates:
        """P^* H P_Omega^* y."""
        (m, n), (down, across) = self.samples.shape, self.samples.depth
        dtype = self.at.U.dtype
        empty = np.zeros((down * m, 0), dtype), np.zeros((0, across * n), dtype)
        Y = Hankel(self.samples, *empty, self.samples.values)
        return self.coordinates(Y.matmat(self.at.V), Y.adjoint().matmat(self.at.U))

    def iterate(self) -> Coordinates:
        """P^* of the iterate whose triplets these are."""
        U, s, V = self.at.U, self.at.s, self.at.V
        return [np.diag(s).astype(U.dtype), np.zeros_like(V.T), np.zeros_like(U)]

    def tangent(self, g: Coordinates) -> Coordinates:
        """g with G2 V = 0 and U^H G3 = 0, which rounding takes from what vanishes."""
        U, V = self.at.U, self.at.V
        return [g[0], g[1] - (g[1] @ V) @ V.conj().T, g[2] - U @ (U.conj().T @ g[2])]

    def solve(self, tol: float, max_iters: int, start: Coordinates | None = None) -> tuple[Coordinates, int]:
        """Conjugate gradients, preconditioned by a + 1; residuals are kept in the tangent space.

        Off it the system is not symmetric, and a residual that falls below what rounding left there of the
        first ones would grow again.
        """
        b, scale = self.right_hand_side(), [1 / (a + 1) for a in self.weights()]
        size = inner(b, b) ** 0.5
        g = [np.zeros_like(x) for x in b] if start is None else start
        r = b if start is None else [x - y for x, y in zip(b, self.apply(g), strict=True)]
        z = [d * x for d, x in zip(scale, r, strict=True)]
        p, rho, steps = z, inner(r, z), 0
        while steps < max_iters and inner(r, r) ** 0.5 > tol * size:
            q = self.apply(p)
            alpha = rho / inner(p, q)
            g = [x + alpha * y for x, y in zip(g, p, strict=True)]
            r = self.tangent([x - alpha * y for x, y in zip(r, q, strict=True)])
            z = [d * x for d, x in zip(scale, r, strict=True)]
            rho, last = inner(r, z), rho
            p = [x + rho / last * y for x, y in zip(z, p, strict=True)]
            steps += 1
        return self.tangent(g), steps


@dataclass
class Recovered:
    """How the iteration ended."""

    X: Hankel
    at: Triplets
    eps: float
    steps: int
    products: int
    settled: bool


def iterate(
    samples: Samples,
    rank: int,
    *,
    tol: float,
    max_iters: int,
    seed: int,
    report: Callable[[dict[str, Any]], None],
) -> Recovered:
    """eps_k = min(eps_{k-1}, sigma_{rank+1}(H(X_k))); X_{k+1} of least weighted norm with the samples."""
    (m, n), (down, across) = samples.shape, samples.depth
    dtype = samples.values.dtype
    X = Hankel(
        samples,
        np.zeros((down * m, 0), dtype),
        np.zeros((0, across * n), dtype),
        samples.values,
    )
    at = leading(X, rank + SPARE, None, seed)
    eps, step, products, history = float("inf"), 0, 0, [float("inf")]
    while True:
        top = float(at.s[0]) if at.s.size else 0.0
        eps = min(eps, float(at.s[rank]) if at.s.size > rank else 0.0)
        history.append(eps)
        report({"iteration": step, "eps": eps, "relative": eps / top if top else 0.0, "products": products})
        stalled = step >= 20 and eps > 0.98 * history[-15]
        if eps <= tol * top or stalled or step >= max_iters:
            break
        k = int(np.count_nonzero(at.s > eps * (1 + 1e-8)))
        # The next eps is about the square of this one, times what is no less than one.
        X, at, used = _step(samples, at, k, eps, (eps / top) ** 2, seed)
        step, products = step + 1, products + used
    found = Recovered(X, at, eps, step, products, eps <= tol * top)
    return _without_spare_directions(samples, found, rank, tol, seed) if found.settled else found


def _step(
    samples: Samples, at: Triplets, k: int, eps: float, tol: float, seed: int
) -> tuple[Hankel, Triplets, int]:
    """The next iterate, its triplets and the products that it took."""
    system = Capacitance(samples, at.cut(k), eps)
    g, used = system.solve(max(min(1e-4, 0.1 * tol), FLOOR), 400, system.iterate())
    X = system.filled(g, samples.values)
    return X, leading(X, at.s.size, at.V, seed), used


def _without_spare_directions(
    samples: Samples, found: Recovered, rank: int, tol: float, seed: int
) -> Recovered:
    """One more step, of a lower rank, where some of the singular values nearly vanish and it meets `tol`.

    In the directions of a rank that is too large errors stay that no sample sees.
    """
    s = found.at.s
    kept = int(np.count_nonzero(s[:rank] > tol**0.5 * s[0]))
    if not 0 < kept < rank or s[kept] == 0:
        return found
    X, at, used = _step(samples, found.at, kept, found.eps, float(s[kept] / s[0]) ** 2, seed)
    products = found.products + used
    if at.s[kept] > tol * at.s[0]:
        return replace(found, products=products)
    return Recovered(X, at, float(at.s[kept]), found.steps + 1, products, True)

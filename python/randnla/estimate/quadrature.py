# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Lanczos from many vectors at once by its three terms, which gives Gauss quadrature and no basis.

Without reorthogonalization Ritz values come in copies, among which the weight of one is shared: sums over
nodes converge as in exact arithmetic, some steps later (Greenbaum, 1989; Knizhnerman, 1996).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from randnla.lowrank.error import column_norms, inner_products
from randnla.lowrank.scaling import Array, real_dtype, unit_roundoff

Product = Callable[[Array], Array]


class Quadrature:
    """``q_j^H f(A) q_j ~ sum_i weights_ji f(nodes_ji)`` for unit columns q_j and Hermitian A.

    Attributes
    ----------
    steps : int
    alpha, beta : lists of float64 arrays (k,)
        Diagonals and off-diagonals of the tridiagonal matrices. Where a Krylov space is invariant the rest is
        the first diagonal entry, apart: a node of weight zero.
    """

    def __init__(self, product: Product, start: Array) -> None:
        self.product = product  # of new memory
        self.current, self.last = np.array(start), np.zeros_like(start)
        self.alpha: list[Array] = []
        self.beta: list[Array] = []
        self.done = np.zeros(start.shape[1], bool)
        self.scale = np.zeros(start.shape[1])

    @property
    def steps(self) -> int:
        """Products so far."""
        return len(self.alpha)

    def step(self) -> None:
        """One product with all columns."""
        real = real_dtype(self.current.dtype)
        n = self.current.shape[0]
        W = self.product(self.current)
        alpha = inner_products(self.current, W).real
        if self.steps:
            self.last *= self.beta[-1].astype(real)
            W -= self.last
            alpha = np.where(self.done, self.alpha[0], alpha)
        W -= np.multiply(self.current, alpha.astype(real), out=self.last)
        beta = column_norms(W)
        before = self.beta[-1] if self.steps else np.zeros_like(beta)
        self.scale = np.maximum(self.scale, np.maximum(np.abs(alpha), np.maximum(before, 0.0)))
        self.scale = np.maximum(self.scale, np.where(self.done, 0.0, beta))
        tiny = beta <= 4 * unit_roundoff(real) * math.sqrt(n) * self.scale
        self.done = self.done | tiny
        beta = np.where(self.done, 0.0, beta)
        self.alpha.append(alpha)
        self.beta.append(beta)
        self.last = self.current
        W *= np.where(self.done, 0.0, 1 / np.where(self.done, 1.0, beta)).astype(real)
        self.current = W

    def moments(self) -> Array:
        """``q_j^H A q_j`` and ``q_j^H A^2 q_j``, (2, k)."""
        return np.stack([self.alpha[0], self.alpha[0] ** 2 + self.beta[0] ** 2])

    def rule(self, steps: int | None = None) -> tuple[Array, Array]:
        """Nodes and weights, each (k, steps)."""
        m = self.steps if steps is None else steps
        k = self.alpha[0].size
        T = np.zeros((k, m, m))
        i = np.arange(m)
        T[:, i, i] = np.array(self.alpha[:m]).T
        T[:, i[1:], i[:-1]] = np.array(self.beta[: m - 1]).reshape(m - 1, k).T
        nodes, vectors = np.linalg.eigh(T)
        return nodes, vectors[:, 0, :] ** 2

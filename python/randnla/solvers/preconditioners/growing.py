# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A Nystrom approximation that grows: products made for a small one serve the larger."""

from __future__ import annotations

import math

import numpy as np

from randnla._backend.kernels import dense
from randnla.lowrank import factor
from randnla.lowrank.basis import basis_rows, orthonormalize, probe_rows
from randnla.lowrank.problem import Problem
from randnla.lowrank.scaling import Array

from ..krylov.conjugate_gradients import Product
from .spectral import SpectralPreconditioner

START = 32
TARGET = 10.0
"""Times the shift: an eigenvalue below that ends the growth (Frangella, Tropp and Udell, section 5.4)."""

BLOCK_BYTES = 256 << 20
WIDE = 8.0
"""What reading A costs, in columns of a product: a product with j columns takes WIDE + j units."""


class GrowingNystrom:
    """``A ~ A Q (Q^H A Q)^+ (A Q)^H`` for an orthonormal test matrix Q that gains columns.

    Parameters
    ----------
    problem : Problem
        Whose seed and dtype are used.
    product : callable
        ``X -> A X``.
    n : int
        Order of A.
    """

    def __init__(self, problem: Problem, product: Product, n: int) -> None:
        self.problem, self.product = problem, product
        self.Q: Array = np.empty((n, 0), problem.dtype)
        self.Y: Array = np.empty((n, 0), problem.dtype)

    @property
    def rank(self) -> int:
        """Columns so far."""
        return int(self.Q.shape[1])

    def grow(self, rank: int, *, checked: bool = False) -> SpectralPreconditioner:
        """One product with the new columns; the first also tells a matrix that is not Hermitian."""
        n, known = self.Q.shape
        new = basis_rows(self.problem, rank - known, known).T[:n].astype(self.problem.dtype)
        for _ in range(2 if known else 0):
            new = new - dense.gemm(self.Q, dense.gemm(self.Q.conj().T, new))
        Q = orthonormalize(self.problem, new)[0]
        probes = np.empty((n, 0)) if known or checked else probe_rows(self.problem).T[:n]
        Y = self.product(np.concatenate([Q, probes.astype(Q.dtype)], axis=1))
        if probes.shape[1]:
            factor.require_hermitian(probes, Y[:, Q.shape[1] :])
        self.Q = np.concatenate([self.Q, Q], axis=1)
        self.Y = np.concatenate([self.Y, Y[:, : Q.shape[1]]], axis=1)
        self.problem.hold(4 * n * self.rank * self.Q.dtype.itemsize)
        w, V = factor.nystrom_core(self.problem, self.Q, self.Y)
        return SpectralPreconditioner(w, V)


class Growth:
    """When twice the rank pays: flops of the steps it saves against those of growing.

    Parameters
    ----------
    cost : float
        Multiplications of a product with one column.
    n, columns : int
        Order of A; right-hand sides.
    limit : int
        The largest rank.
    tol : float
        Relative residual asked for.
    """

    def __init__(self, cost: float, n: int, columns: int, limit: int, tol: float) -> None:
        self.cost, self.n, self.columns, self.limit, self.tol = cost, n, columns, limit, tol

    def step(self, rank: int) -> float:
        """Of one step of conjugate gradients."""
        return (self.cost + 2.0 * self.n * rank) * (WIDE + self.columns)

    def doubling(self, rank: int) -> float:
        """Of as many columns again: the product, their orthogonalization and the new eigenvectors."""
        return self.cost * (WIDE + rank) + 3.0 * self.n * (2 * rank) ** 2

    def pays(self, w: Array, shift: float, left: float) -> bool:
        """Whether to double the rank when `left` steps are left to go."""
        rank = w.size
        if 2 * rank > self.limit or not rank or w[-1] <= TARGET * shift:
            return False
        # Were decay to go on as over the last doubling, the root of the condition would fall by its root.
        half = float(w[rank // 2]) + shift
        ratio = half / max(float(w[-1]) + shift, np.finfo(np.float64).tiny)
        after = left / math.sqrt(ratio)
        return left * self.step(rank) > self.doubling(rank) + after * self.step(2 * rank)

    def before(self, w: Array, shift: float) -> float:
        """Steps that the bound of conjugate gradients promises; none is known without a shift."""
        if shift <= 0:
            return 0.0
        return 0.5 * math.sqrt(float(w[-1]) / shift + 1.0) * math.log(2 / self.tol)


def largest_rank(n: int, itemsize: int, max_memory: int | None) -> int:
    """The largest rank of an automatic choice: an eighth of n, and blocks of moderate size."""
    block = BLOCK_BYTES if max_memory is None else max_memory // 6
    return min(n, max(min(START, n), min(n // 8, block // max(1, n * itemsize))))

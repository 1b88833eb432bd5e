# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Block Hankel matrices of low rank plus sparse blocks, by their products."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from randnla._backend.kernels import dense
from randnla._backend.kernels.sparse import csr_matmul, sampled_product

Array = NDArray[Any]


@dataclass(frozen=True)
class Pattern:
    """Where a matrix has samples: `order` lists them row by row, columns ascending."""

    order: Array
    indices: Array
    starts: Array
    shape: tuple[int, int]

    @classmethod
    def of(cls, which: Array, rows: Array, columns: Array, shape: tuple[int, int]) -> Pattern:
        """Of the samples `which` of all."""
        order = which[np.lexsort((columns[which], rows[which]))]
        starts = np.searchsorted(rows[order], np.arange(shape[0] + 1))
        index = np.int32 if max(*shape, order.size) < 2**31 else np.int64
        return cls(order, columns[order].astype(index), starts.astype(index), shape)

    def filled(self, values: Array) -> scipy.sparse.csr_array:
        """The sparse matrix of these values, in the order of the pattern."""
        return scipy.sparse.csr_array((values, self.indices, self.starts), shape=self.shape)

    def product(self, values: Array, X: Array) -> Array:
        """That of the sparse matrix with X."""
        if values.dtype != np.float64 or X.dtype != np.float64:
            return np.asarray(self.filled(values) @ X)
        out = np.empty((self.shape[0], X.shape[1]))
        return csr_matmul(self.starts, self.indices, values, X, out)


def depth_of(horizon: int) -> tuple[int, int]:
    """Blocks of H(X) down and across: block (i, j) is X_{i + j}."""
    down = (horizon + 1) // 2
    return down, horizon + 1 - down


@dataclass(frozen=True)
class Samples:
    """Entries `values` of X_1, ..., X_T, all of shape (m, n); `times` count from 0."""

    times: Array
    rows: Array
    columns: Array
    values: Array
    horizon: int
    shape: tuple[int, int]

    @property
    def depth(self) -> tuple[int, int]:
        """Blocks of H(X) down and across."""
        return depth_of(self.horizon)

    def multiplicity(self) -> Array:
        """How often each X_t stands in H(X)."""
        down, across = self.depth
        return np.array([min(t + 1, down, across, self.horizon - t) for t in range(self.horizon)])

    def across(self, t: int) -> tuple[int, int]:
        """X_t stands in the blocks (t - j, j), j from the first of these up to the second, not included."""
        down, across = self.depth
        return max(0, t - down + 1), min(across, t + 1)

    @cached_property
    def patterns(self) -> list[Pattern]:
        """The samples of each time, row by row."""
        return [
            Pattern.of(np.flatnonzero(self.times == t), self.rows, self.columns, self.shape)
            for t in range(self.horizon)
        ]

    @cached_property
    def turned(self) -> Samples:
        """The samples of the adjoints, values aside."""
        return _Turned(self.times, self.columns, self.rows, self.values, self.horizon, self.shape[::-1])

    @cached_property
    def terms(self) -> tuple[Array, Array, Array, Array]:
        """(p, i, j) of the products L_p R_q X_j, q = i + j - p, and where those of each (p, i) begin."""
        down, across = self.depth
        p, i, j = np.indices((down, down, across)).reshape(3, -1)
        kept = (i + j >= p) & (i + j < p + across)
        p, i, j = p[kept], i[kept], j[kept]
        return p, i, j, np.flatnonzero(np.diff(p * down + i, prepend=-1))

    def matrices(self, values: Array) -> list[scipy.sparse.csr_array]:
        """A sparse matrix for each time, with these values at the samples."""
        return [pattern.filled(values[pattern.order]) for pattern in self.patterns]

    def at(self, L: Array, R: Array) -> Array:
        """Samples of H^* (L R): sums over the blocks (i, j) of a time of rows of L_i and columns of R_j."""
        (down, across), k = self.depth, L.shape[1]
        left, right = beside(L, down, backwards=True), beside(R.T, across)
        found = np.zeros(self.values.size, np.result_type(L, R))
        for t, pattern in enumerate(self.patterns):
            first, last = self.across(t)
            turn = down - 1 - t  # j ascends where i descends
            U, V = left[:, (first + turn) * k : (last + turn) * k], right[:, first * k : last * k]
            found[pattern.order] = sampled_product(pattern.starts, pattern.indices, U, V)
        return found


def beside(X: Array, blocks: int, *, backwards: bool = False) -> Array:
    """Blocks of rows beside each other: (blocks m, k) as (m, blocks k)."""
    m, k = len(X) // blocks, X.shape[1]
    stack = X.reshape(blocks, m, k)[:: -1 if backwards else 1]
    return np.ascontiguousarray(stack.transpose(1, 0, 2)).reshape(m, blocks * k)


def below(X: Array, blocks: int) -> Array:
    """The inverse: (m, blocks k) as (blocks m, k)."""
    m, k = len(X), X.shape[1] // blocks
    return np.ascontiguousarray(X.reshape(m, blocks, k).transpose(1, 0, 2)).reshape(blocks * m, k)


@dataclass(frozen=True)
class Hankel:
    """H(X) for X_t = sum over (i, j) of L_i R_j / m_t, plus E_t, sparse, of `values` at the samples."""

    samples: Samples
    L: Array  # (d1 m, k)
    R: Array  # (k, d2 n)
    values: Array

    @property
    def shape(self) -> tuple[int, int]:
        """(d1 m, d2 n)."""
        (m, n), (down, across) = self.samples.shape, self.samples.depth
        return down * m, across * n

    def matmat(self, X: Array) -> Array:
        """H(X) times (d2 n, width)."""
        down, width = self.samples.depth[0], X.shape[1]
        wide = beside(X, self.samples.depth[1])
        out = self._low_rank(wide, width)
        for t, pattern in enumerate(self.samples.patterns):
            first, last = self.samples.across(t)
            columns = np.ascontiguousarray(wide[:, first * width : last * width])
            product = pattern.product(self.values[pattern.order], columns)
            for j in range(first, last):
                out[:, (t - j) * width : (t - j + 1) * width] += product[
                    :, (j - first) * width : (j - first + 1) * width
                ]
        return below(out, down)

    def _low_rank(self, wide: Array, width: int) -> Array:
        """The part of L and R, of blocks beside each other: row block i is sum_p L_p C_pi."""
        (down, across), count, k = self.samples.depth, self.samples.multiplicity(), self.L.shape[1]
        if k == 0:
            return np.zeros((len(self.L) // down, down * width), np.result_type(self.L, wide))
        G = dense.gemm(below(self.R, across), wide).reshape(across, k, across, width)  # R_q X_j
        p, i, j, starts = self.samples.terms
        terms = G[i + j - p, :, j] / count[i + j, None, None]
        C = np.zeros((down, down, k, width), terms.dtype)
        C[p[starts], i[starts]] = np.add.reduceat(terms, starts)
        C = np.ascontiguousarray(C.transpose(0, 2, 1, 3))
        return dense.gemm(beside(self.L, down), C.reshape(down * k, down * width))

    def adjoint(self) -> Hankel:
        """H(X)^H, the Hankel matrix of the adjoints."""
        L, R = np.ascontiguousarray(self.R.conj().T), np.ascontiguousarray(self.L.conj().T)
        return Hankel(self.samples.turned, L, R, self.values.conj())


class _Turned(Samples):
    """The samples of adjoints: the blocks across are now those down."""

    @property
    def depth(self) -> tuple[int, int]:
        across, down = depth_of(self.horizon)
        return down, across

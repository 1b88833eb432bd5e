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
from randnla._backend.kernels.sparse import sampled_product

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

    def pairs(self, t: int) -> list[tuple[int, int]]:
        """The blocks (i, j) that are X_t."""
        down, across = self.depth
        return [(i, t - i) for i in range(down) if 0 <= t - i < across]

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
    def flips(self) -> list[Array]:
        """For each time the places among samples by row of those by column."""
        found = []
        for here, there in zip(self.patterns, self.turned.patterns, strict=True):
            place = np.empty(self.values.size, np.int64)
            place[here.order] = np.arange(here.order.size)
            found.append(place[there.order])
        return found

    def matrices(self, values: Array) -> list[scipy.sparse.csr_array]:
        """A sparse matrix for each time, with these values at the samples."""
        return [pattern.filled(values[pattern.order]) for pattern in self.patterns]

    def at(self, L: Array, R: Array) -> Array:
        """Samples of H^* (L R): sums over the blocks (i, j) of a time of rows of L_i and columns of R_j."""
        m, n = self.shape
        found = np.zeros(self.values.size, np.result_type(L, R))
        Rt = np.ascontiguousarray(R.T)
        for t, pattern in enumerate(self.patterns):
            for i, j in self.pairs(t):
                left, right = L[i * m : (i + 1) * m], Rt[j * n : (j + 1) * n]
                found[pattern.order] += sampled_product(pattern.starts, pattern.indices, left, right)
        return found


@dataclass(frozen=True)
class Hankel:
    """H(X) for X_t = sum over (i, j) of L_i R_j / m_t, plus sparse E_t."""

    samples: Samples
    L: Array  # (d1 m, k)
    R: Array  # (k, d2 n)
    sparse: list[scipy.sparse.csr_array]

    @property
    def shape(self) -> tuple[int, int]:
        """(d1 m, d2 n)."""
        (m, n), (down, across) = self.samples.shape, self.samples.depth
        return down * m, across * n

    def matmat(self, X: Array) -> Array:
        """H(X) times (d2 n, l)."""
        (m, n), (down, across), count = self.samples.shape, self.samples.depth, self.samples.multiplicity()
        G = [
            [dense.gemm(self.R[:, q * n : (q + 1) * n], X[j * n : (j + 1) * n]) for j in range(across)]
            for q in range(across)
        ]
        out = np.zeros((down * m, X.shape[1]), np.result_type(self.L, X))
        for i in range(down):
            block = out[i * m : (i + 1) * m]
            for p in range(down):
                terms = [G[i + j - p][j] / count[i + j] for j in range(across) if 0 <= i + j - p < across]
                if terms and self.L.shape[1]:
                    block += dense.gemm(np.ascontiguousarray(self.L[p * m : (p + 1) * m]), sum(terms))
            for j in range(across):
                block += self.sparse[i + j] @ X[j * n : (j + 1) * n]
        return out

    def adjoint(self) -> Hankel:
        """H(X)^H, the Hankel matrix of the adjoints."""
        turned = self.samples.turned
        flipped = [
            pattern.filled(E.data[flip].conj())
            for pattern, E, flip in zip(turned.patterns, self.sparse, self.samples.flips, strict=True)
        ]
        return Hankel(
            turned,
            np.ascontiguousarray(self.R.conj().T),
            np.ascontiguousarray(self.L.conj().T),
            flipped,
        )


class _Turned(Samples):
    """The samples of adjoints: the blocks across are now those down."""

    @property
    def depth(self) -> tuple[int, int]:
        across, down = depth_of(self.horizon)
        return down, across

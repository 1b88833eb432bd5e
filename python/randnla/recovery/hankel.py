# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Block Hankel matrices of low rank plus sparse blocks, by their products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from randnla._backend.kernels import dense

Array = NDArray[Any]


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
        """Blocks of H(X) down and across: block (i, j) is X_{i + j}."""
        down = (self.horizon + 1) // 2
        return down, self.horizon + 1 - down

    def multiplicity(self) -> Array:
        """How often each X_t stands in H(X)."""
        down, across = self.depth
        return np.array([min(t + 1, down, across, self.horizon - t) for t in range(self.horizon)])

    def pairs(self, t: int) -> list[tuple[int, int]]:
        """The blocks (i, j) that are X_t."""
        down, across = self.depth
        return [(i, t - i) for i in range(down) if 0 <= t - i < across]

    def matrices(self, values: Array) -> list[scipy.sparse.csr_array]:
        """A sparse matrix for each time, with these values at the samples."""
        kept = [self.times == t for t in range(self.horizon)]
        return [
            scipy.sparse.csr_array((values[k], (self.rows[k], self.columns[k])), shape=self.shape)
            for k in kept
        ]

    def at(self, L: Array, R: Array) -> Array:
        """Samples of H^* (L R): sums over the blocks (i, j) of a time of rows of L_i and columns of R_j."""
        m, n = self.shape
        found = np.zeros(self.values.size, np.result_type(L, R))
        Rt = np.ascontiguousarray(R.T)
        for t in range(self.horizon):
            which = np.flatnonzero(self.times == t)
            for i, j in self.pairs(t):
                left, right = L[i * m + self.rows[which]], Rt[j * n + self.columns[which]]
                found[which] += np.einsum("ij,ij->i", left, right)
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
        s = self.samples
        turned = _Turned(s.times, s.columns, s.rows, s.values, s.horizon, s.shape[::-1])
        return Hankel(
            turned,
            np.ascontiguousarray(self.R.conj().T),
            np.ascontiguousarray(self.L.conj().T),
            [E.conj().T.tocsr() for E in self.sparse],
        )


class _Turned(Samples):
    """The samples of adjoints: the blocks across are now those down."""

    @property
    def depth(self) -> tuple[int, int]:
        across = (self.horizon + 1) // 2
        return self.horizon + 1 - across, across

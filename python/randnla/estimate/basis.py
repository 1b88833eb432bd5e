# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A basis that grows by blocks of test vectors, each of whose products is used again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from randnla.lowrank.basis import orthonormalize
from randnla.lowrank.factor import widen
from randnla.lowrank.problem import Problem
from randnla.lowrank.scaling import Array

Product = Callable[[Array], Array]


class GrowingBasis:
    """Orthonormal Q and triangular R with ``Y = Q R`` for blocks Y of columns that come one after another.

    Attributes
    ----------
    Q : array of shape (m, k)
        Orthonormal to rounding whatever the rank of Y.
    R : array of shape (k, k)
        In float64.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        wide = np.complex128 if problem.dtype.kind == "c" else np.float64
        self.Q: Array = np.empty((problem.shape[0], 0), problem.dtype)
        self.R: Array = np.empty((0, 0), wide)

    @property
    def size(self) -> int:
        """Columns so far."""
        return int(self.Q.shape[1])

    def extend(self, Y: Array) -> Array:
        """Add columns; returns the new ones of Q."""
        # The QR factorization of [Q Y] leaves Q as it is, up to rounding, for Q is orthonormal.
        k = self.size
        whole, T = orthonormalize(self.problem, np.concatenate([self.Q, Y], axis=1))
        T = widen(T)
        R = np.zeros((k + Y.shape[1],) * 2, self.R.dtype)
        R[:k, :k], R[:, k:] = self.R, T[:, k:]
        self.Q, self.R = np.concatenate([self.Q, whole[:, k:]], axis=1), R
        return whole[:, k:]

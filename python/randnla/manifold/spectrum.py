# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The smallest eigenvalues of a sparse Laplacian: `eigh` behind a Chebyshev filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg

from randnla.lowrank.eigh import eigh
from randnla.operators import LinearOperator

from .cloud import Array

EXTRA = 8
"""Vectors beyond those asked for: the filter ends at the last of them."""
ROUNDS = 30
DEGREES = (8, 400)
GROWTH = 3.0
"""Exponent by which a round favors the last vector asked for over those beyond the filter."""


class ChebyshevFilter(LinearOperator):
    """``T_m((top + cut - 2 A) / (top - cut))``: within 1 on [cut, top], growing fast below cut.

    Zhou and Saad (2007). A is symmetric with its spectrum in [0, top].
    """

    def __init__(self, A: Any, cut: float, top: float, degree: int) -> None:
        super().__init__(A.shape, np.float64, check_finite=False)
        self.A, self.degree = A, degree
        self.slope, self.shift = -2.0 / (top - cut), (top + cut) / (top - cut)

    def _mapped(self, X: Array) -> Array:
        return np.asarray(self.slope * (self.A @ X) + self.shift * X)

    def _matmat(self, X: Array) -> Array:
        before, now = X, self._mapped(X)
        for _ in range(self.degree - 1):
            before, now = now, 2.0 * self._mapped(now) - before
        return now

    def _rmatmat(self, Y: Array) -> Array:
        return self._matmat(Y)


@dataclass(frozen=True)
class Pairs:
    """Eigenvalues ascending, orthonormal vectors, residual norms, products with A, rounds."""

    w: Array
    V: Array
    residuals: Array
    matvecs: int
    rounds: int


def smallest(A: Any, count: int, top: float, tol: float, seed: int) -> Pairs:
    """`count` eigenpairs from below, to residuals of `tol` times the last eigenvalue of them.

    Each round is a warm start of `eigh` on the filter, and Rayleigh-Ritz with A itself; degrees and the end
    of the filter follow the Ritz values.
    """
    n = A.shape[0]
    size = min(n, count + EXTRA)
    if size >= n // 2 or n <= 200:
        w, V = scipy.linalg.eigh(A.toarray())
        return Pairs(np.maximum(w[:count], 0.0), V[:, :count], np.zeros(count), n, 0)
    start: Array | None = None
    degree, cut, matvecs, rounds = 16, 0.02 * top, 0, 0
    for _ in range(ROUNDS):
        rounds += 1
        found = eigh(
            ChebyshevFilter(A, cut, top, degree), size, oversample=0, power_iters=0, method="subspace",
            warm_start=start, rng=seed, check_finite=False,
        )  # fmt: skip
        matvecs += degree * int(found.info.matvecs or 0) + size
        Q = np.asarray(found.V)
        AQ = A @ Q
        w, turn = np.linalg.eigh(_symmetric(Q.T @ AQ))
        V = Q @ turn
        start = V
        residuals = np.linalg.norm((AQ @ turn - V * w)[:, :count], axis=0)
        if residuals.max() <= tol * max(w[count - 1], 1e-12 * top):
            break
        cut = float(min(max(w[-1], 1e-9 * top), 0.5 * top))
        gap = max(cut - w[count - 1], 1e-3 * cut)
        degree = int(np.clip(GROWTH / 2 * np.sqrt(top / gap), *DEGREES))
    return Pairs(np.maximum(w[:count], 0.0), V[:, :count], residuals, matvecs, rounds)


def _symmetric(H: Array) -> Array:
    return np.asarray((H + H.T) / 2)

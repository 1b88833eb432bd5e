# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Leaving out one column of a sketch: the direction that its range loses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from randnla._backend.kernels import qr
from randnla.lowrank.scaling import Array

DEPENDENT = 1e-6
"""A column is a combination of the others where a null vector has more than this of its square there."""


@dataclass(frozen=True)
class LeftOut:
    """Of the range of Y = Q R with k columns, in an orthonormal basis Q U of it.

    Attributes
    ----------
    U : (q, r) array
    S : (r, k) array
        Column i is the unit vector of the range that is orthogonal to all columns of Y but the i-th; zero
        where the others span the range without it.
    overlap : (k,) array
        Its inner product with column i of Y, real and not negative.
    """

    U: Array
    S: Array
    overlap: Array

    @property
    def dimension(self) -> Array:
        """Of the range that the others span, (k,)."""
        return np.asarray(self.U.shape[1] - (self.overlap > 0))


def left_out(R: Array, roundoff: float) -> LeftOut:
    """From R (q, k) in float64, known to `roundoff`: column i of ``pinv(R)^H``, normalized.

    Where R is singular it is truncated to its numerical rank, so that a basis of the range holds nothing
    but the range.
    """
    U, s, Vh = qr.small_svd(R)
    k = R.shape[1]
    rank = int(np.count_nonzero(s > 4 * k * roundoff * s[0])) if s.size and s[0] > 0 else 0
    U, s, Vh = U[:, :rank], s[:rank], Vh[:rank]
    if rank == 0:
        return LeftOut(U, np.zeros((0, k), R.dtype), np.zeros(k))
    # pinv(R)^H = U diag(1 / s) V^H, and R^H pinv(R)^H = V V^H is one on the diagonal for independent columns.
    S = Vh / s[:, None]
    lengths = np.linalg.norm(S, axis=0)
    alone = np.full(k, rank == k) | (1 - (np.abs(Vh) ** 2).sum(axis=0) <= DEPENDENT)
    return LeftOut(
        U, np.where(alone, S / np.where(alone, lengths, 1.0), 0.0), np.where(alone, 1 / lengths, 0.0)
    )

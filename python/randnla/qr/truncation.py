# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""How many columns of a pivoted QR are wanted, and the error of leaving out the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def unit(dtype: Any) -> float:
    """The unit roundoff u."""
    return float(np.finfo(dtype).eps) / 2


def rounding_floor(norm: float, dtype: Any, size: int, inner: int) -> float:
    """What rounding alone puts between A P and Q R of `size` columns, from sums of `inner` terms.

    8 u sqrt(k + 1) ||A||_F covers random rounding errors. Sums of equal terms round one way: over the blocks
    of at most 512 terms that products are cut into, a matrix of ones shows .3 u a term.
    """
    return unit(dtype) * (8 * math.sqrt(size + 1) + min(inner, 512)) * norm


def in_units(value: float, exponent: int) -> float:
    """value * 2^exponent, infinite where float64 ends."""
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.inf


def row_squares(R: Array) -> npt.NDArray[np.float64]:
    """Sums of squares of the rows of R, in float64."""
    parts = (R.real, R.imag) if np.iscomplexobj(R) else (R,)
    squares: npt.NDArray[np.float64] = sum(np.einsum("ij,ij->i", p, p, dtype=np.float64) for p in parts)
    return squares


def tails(R: Array, squares: float = 0.0) -> npt.NDArray[np.float64]:
    """||A P - Q_k R_k||_F for k = 0, 1, ..., rows of R, with `squares` that of all of them."""
    # Q is orthonormal, so what is left out of Q R are rows of R, and they are orthogonal to the rest.
    sums = np.append(np.cumsum(row_squares(R)[::-1])[::-1] + squares, squares)
    return np.asarray(np.sqrt(sums), dtype=np.float64)


@dataclass(frozen=True)
class Goal:
    """All columns, or a rank, or the least rank whose error is at most `tol` times ||A||_F."""

    limit: int  # min(m, n), or the rank asked for
    tol: float | None
    dtype: Any
    inner: int  # terms of the sums that A is worked with
    sides: int = 1  # that orthogonal factors act from

    def target(self, norm: float) -> float:
        """The error that truncation may have, rounding taken off."""
        assert self.tol is not None
        return self.tol * norm - self.floor(norm, self.limit)

    def floor(self, norm: float, size: int) -> float:
        """What rounding may leave of A P - Q R of `size` columns."""
        return self.sides * rounding_floor(norm, self.dtype, size, self.inner)

    def guess(self, Rs: Array, norm: float, rank: int) -> int:
        """Columns to begin with, from the R of a sketch."""
        target = 0.0 if self.tol is None else self.target(norm)
        if target <= 0.0:
            return self.limit
        # The sketch is right to a factor of about two; too many columns are trimmed, too few cost a try.
        enough = np.nonzero(tails(Rs) <= target / 2)[0]
        return min(self.limit, int(enough[0]) if enough.size else rank)

    def next(self, tried: int, R: Array, squares: float, norm: float) -> int | None:
        """Columns to try next, None if no more are needed."""
        if self.tol is None or tried >= self.limit or math.sqrt(squares) <= self.target(norm):
            return None
        return min(self.limit, 2 * tried + 1)

    def trim(self, R: Array, squares: float, norm: float) -> tuple[int, float]:
        """The columns to keep, and the error of that."""
        errors = tails(R, squares)
        keep = min(R.shape[0], self.limit)
        if self.tol is not None:
            good = np.nonzero(errors[: keep + 1] <= self.target(norm))[0]
            keep = int(good[0]) if good.size else keep
        return keep, float(errors[keep])

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A look at rows and columns that no step has used: is the rest there zero, but for sparse errors?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from randnla._backend.kernels import dense
from randnla._backend.kernels.weighted_draws import uniforms
from randnla.lowrank.scaling import exponent_of, largest_magnitude, scale_by_power

from .access import Access, Array, exceeding
from .passes import Triplet

LINES = 16
"""Fresh rows, and as many columns."""
LEAST_TRUE = 0.05
"""Share of entries of each fresh line that the estimate must meet."""
MOST_LEVERAGE = 0.45
"""Leverage score of a row or column that is taken for gross errors, in matrices of over 14 ranks a side."""
_STREAM = 1 << 20


@dataclass
class Verdict:
    """What fresh rows and columns say of an estimate."""

    share: float  # of gross errors
    error: float  # ||L - L_true||_F, estimated from the entries that are none
    size: float  # ||L||_F
    passed: bool


def lines(size: int, used: Array, seed: int, stream: int) -> Array:
    """Indices outside of `used`, or any where nothing else is left."""
    rest = np.setdiff1d(np.arange(size), used)
    rest = np.arange(size) if rest.size == 0 else rest
    picks = uniforms(min(LINES, size), seed=seed, stream=stream) * rest.size
    return np.unique(rest[picks.astype(np.int64)])


def typical(D: Access, seed: int) -> float:
    """The median magnitude of the entries of a few rows and columns that are not zero."""
    nothing = np.zeros(0, np.int64)
    I, J = (lines(size, nothing, seed, _STREAM + 2 + k) for k, size in enumerate(D.shape))  # noqa: E741
    parts = np.concatenate([D.rows(I).ravel(), D.columns(J).ravel()])
    # Magnitudes, and sums of two of them, stay in range.
    shift = max(0, exponent_of(largest_magnitude(parts)) - 1000)
    sizes = np.abs(scale_by_power(parts, -shift))
    sizes = sizes[sizes > 0]
    return float(np.ldexp(min(np.median(sizes), 2.0 ** (1023 - shift)), shift)) if sizes.size else 0.0


def rests(D: Access, L: Triplet, rows: Array, columns: Array) -> list[Array]:
    """D - L in these rows and, transposed, columns, both read anew."""
    left = L.U * L.s
    return [
        D.rows(rows) - dense.gemm(np.ascontiguousarray(left[rows]), np.ascontiguousarray(L.V.conj().T)),
        (D.columns(columns) - dense.gemm(left, np.ascontiguousarray(L.V[columns].conj().T))).T,
    ]


def enough(good: Array, count: int, rank: int) -> bool:
    """Whether of `count` entries every line has more `good` ones than a line off the truth could."""
    # A wrong line may interpolate `rank` entries, and comes near few others.
    least = min(count, max(LEAST_TRUE * count, min(3 * rank, 0.2 * count)))
    return bool((good >= least).all())


def met(rest: Array, cut: float, rank: int) -> bool:
    """Whether every line has more entries below `cut` than a line off the truth could."""
    return enough((~exceeding(rest, cut)).sum(axis=1), rest.shape[1], rank)


def met_everywhere(D: Access, L: Triplet, cut: float) -> bool:
    """The same of all rows and columns, by a pass over all entries."""
    scaled, Vh = L.U * L.s, np.ascontiguousarray(L.V.conj().T)
    in_rows, in_columns = np.zeros(D.shape[0], np.int64), np.zeros(D.shape[1], np.int64)
    for part, block in D.blocks():
        block -= dense.gemm(np.ascontiguousarray(scaled[part]), Vh)
        good = ~exceeding(block, cut)
        in_rows[part] = good.sum(axis=1)
        in_columns += good.sum(axis=0)
    m, n = D.shape
    return enough(in_rows, n, L.s.size) and enough(in_columns, m, L.s.size)


def rests_on_one_line(L: Triplet) -> bool:
    """Whether a row or column alone carries a direction of L: what gross errors taken for rank look like.

    A leverage score, the squared norm of a row of U or V, is r / n on average and 1 where one row has a
    direction for itself. L of low rank and S of few entries can be told apart where they are all small.
    """
    for Q in (L.U, L.V):
        scores = (np.abs(Q) ** 2).sum(axis=1)
        if scores.size and scores.max() > max(MOST_LEVERAGE, 6 * L.s.size / scores.size):
            return True
    return False


def verify(
    D: Access, L: Triplet, cut: float, used: tuple[Array, Array] | None, seed: int, *, whole: bool = False
) -> Verdict:
    """Where D - L is below `cut` the entry is no gross error, and D - L the error of the estimate.

    Looks at fresh rows and columns whole, and at all others where the columns and rows `used` cross them, or
    `whole`, where the method has read all of D.
    """
    nothing = np.zeros(0, np.int64)
    rows, columns = used if used is not None else (nothing, nothing)
    I, J = (  # noqa: E741
        lines(size, index, seed, _STREAM + k)
        for k, (size, index) in enumerate(zip(D.shape, (rows, columns), strict=True))
    )
    slabs = rests(D, L, I, J)
    good = [~exceeding(X, cut) for X in slabs]
    count, total = sum(int(g.sum()) for g in good), sum(g.size for g in good)
    squares = sum(float((np.abs(X[g]) ** 2).sum()) for X, g in zip(slabs, good, strict=True))
    rank = L.s.size
    passed = all(met(X, cut, rank) for X in slabs)
    # Each row has an entry in every sampled column, each column one in every sampled row.
    passed = passed and all(met(X.T, cut, rank) for X in (rests(D, L, rows, columns) if used else ()))
    passed = passed and (not whole or met_everywhere(D, L, cut))
    area = float(D.shape[0]) * D.shape[1]
    return Verdict(
        1 - count / total if total else 0.0,
        (squares / max(1, count) * area) ** 0.5,
        float(np.hypot.reduce(L.s, initial=0.0)),
        passed,
    )

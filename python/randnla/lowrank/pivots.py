# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Pivots drawn in proportion to a residual diagonal, many at a time."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from randnla._backend.kernels import dense, streams, trig

from .scaling import Array

Real = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def propose(weights: Real, count: int, *, seed: int, draw: int) -> Indices:
    """`count` independent indices with probabilities in proportion to `weights`, not all zero.

    Draw number `draw` of a seed is a fixed stream of numbers: a replay gives the same pivots.
    """
    cumulative = np.cumsum(weights)
    cumulative /= cumulative[-1]
    return trig.sample_with_replacement(
        kind="pivots", seed=seed, stream=draw, count=count, population=len(weights), cumulative=cumulative
    )


def uniforms(count: int, *, seed: int, draw: int) -> Real:
    """`count` numbers in [0, 1) of 53 bits, independent of those that `propose` uses."""
    words = np.empty(2 * count, np.uint32)
    streams.random_words(words, kind="pivots", seed=seed, stream=draw, row=1, start=0)
    high, low = words[0::2] >> 5, words[1::2] >> 6
    return np.asarray((high * 2.0**26 + low) * 2.0**-53)


def select(H: Array, chances: Real, floor: Real, limit: int) -> tuple[Indices, Array]:
    """Which proposals become pivots, and the Cholesky factor of their block.

    Parameters
    ----------
    H : array, shape (b, b)
        The residual at the proposals, in their order.
    chances : array, shape (b,)
        Proposal j is kept if what the pivots kept before it left of H_jj exceeds ``chances[j] * H_jj``. With
        uniform numbers the pivots are distributed as those drawn one after the other (rejection sampling:
        each was proposed by H_jj and is kept with the probability that turns this into the residual's).
    floor : array, shape (b,)
        What counts as zero on the diagonal.
    limit : int
        The most pivots to keep, at least 1.

    Returns
    -------
    kept : positions in ascending order
    L : array, shape (len(kept), len(kept)), lower triangular, L L^H = H[kept, kept]
    """
    size = H.shape[0]
    L = np.zeros((size, min(size, limit)), H.dtype)
    rest = np.array(np.diagonal(H).real)
    needed = np.maximum(floor, chances * rest)
    kept: list[int] = []
    for j in range(size):
        if not rest[j] > needed[j]:
            continue
        a = len(kept)
        column = H[j:, j] - dense.gemm(L[j:, :a], L[j : j + 1, :a].conj().T)[:, 0]
        column /= math.sqrt(rest[j])
        L[j:, a] = column
        L[j, a] = math.sqrt(rest[j])
        rest[j:] -= (column * column.conj()).real
        kept.append(j)
        if len(kept) == limit:
            break
    found = np.array(kept, np.int64)
    return found, L[found, : len(kept)]

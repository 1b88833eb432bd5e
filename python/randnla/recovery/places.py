# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Places at which to look at the powers of an operator: any, or those a pilot estimate rests on."""

from __future__ import annotations

from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import dense, qr
from randnla._backend.kernels.weighted_draws import uniforms
from randnla._backend.rng import seed_from
from randnla.operators import LowRank

from .hankel import Array, depth_of

EVEN = 0.1
"""Share of places that are drawn uniformly beside a pilot, which may be wrong where it saw little."""
DENSE = 1 << 20
"""Up to as many places, or where a quarter is wanted, all get a key; else they are drawn one by one."""


def draw_places(
    horizon: int,
    n: int,
    count: int,
    *,
    pilot: LowRank | None = None,
    rng: Any = None,
) -> tuple[Array, Array, Array]:
    """Times, rows and columns at which to look at ``A, A^2, ..., A^horizon``, no place twice.

    Parameters
    ----------
    horizon : int
    n : int
        Order of A.
    count : int
        At most ``horizon n^2``.
    pilot : LowRank of shape (n, n), optional
        An estimate of A, as `learn_transition` gives from a part of the samples. Nine of ten places are
        then drawn by the leverage scores of the block Hankel matrix of its powers, the others uniformly.
    rng : None, int, SeedSequence, Generator

    Returns
    -------
    tuple of three int64 arrays of length `count`
        Times from 1, rows and columns, in the order in which they were drawn.

    Raises
    ------
    InputError
        An argument does not fit.
    NonFiniteError
        The pilot holds NaN or Inf.

    Notes
    -----
    *Algorithm*: successive draws without replacement. With a pilot of weights ``l_a(i) + r_b(j)``, averaged
    over the blocks (a, b) that are A^t, for the leverage scores l and r of the rows and columns of the block
    Hankel matrix: the local incoherence of Kuemmerle, Maggioni and Tang (2022), without their constants.

    *Cost*: O(count) for few places; O(horizon n^2) where they are many of a small operator. With a pilot of
    rank r, O(n r^2 horizon) more.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.recovery import draw_places
    >>> times, rows, columns = draw_places(3, 40, 500, rng=0)
    >>> len(rows), int(times.min()), int(times.max()), len({*zip(times, rows, columns)})
    (500, 1, 3, 500)
    """
    horizon = validate.integer(horizon, name="horizon", low=1)
    n = validate.integer(n, name="n", low=1)
    count = validate.integer(count, name="count", low=0, high=horizon * n * n)
    if pilot is not None and not isinstance(pilot, LowRank):
        raise InputError(f"pilot: expected a LowRank or None, got {validate.shown(pilot)}")
    if pilot is not None and pilot.shape != (n, n):
        raise InputError(f"pilot: expected shape {(n, n)}, got {pilot.shape}")
    for part in () if pilot is None else (pilot.U, pilot.C, pilot.V):
        validate.require_finite(np.asarray(part), name="pilot")
    seed = seed_from(rng)
    rows = columns = np.full((horizon, n), 1 / (2 * horizon * n))
    if pilot is not None:
        rows, columns = (
            EVEN * even + part for even, part in zip((rows, columns), _leverage(pilot, horizon), strict=True)
        )
    total = horizon * n * n
    draw = _by_keys if total <= DENSE or 4 * count > total else _one_by_one
    key = draw(rows, columns, count, seed)
    times, place = np.divmod(key, n * n)
    return times + 1, *np.divmod(place, n)


def _leverage(pilot: LowRank, horizon: int) -> tuple[Array, Array]:
    """Weights of rows and of columns at each time, which sum to 1 - EVEN."""
    n, (down, across) = pilot.shape[0], depth_of(horizon)
    U, V = np.asarray(pilot.U), np.asarray(pilot.V)
    core = np.asarray(pilot.C)
    core = np.diag(core) if core.ndim == 1 else core
    step = V.conj().T @ U @ core  # A^t = U core step^(t-1) V^H
    top = float(np.abs(np.linalg.eigvals(step)).max(initial=0.0))
    turn = step / top if top > 0 else step
    left = _scores(U @ core, turn, down)
    right = _scores(V, turn.conj().T, across)
    rows, columns = np.zeros((horizon, n)), np.zeros((horizon, n))
    for t in range(horizon):
        pairs = [(a, t - a) for a in range(down) if 0 <= t - a < across]
        rows[t] = np.mean([left[a] for a, _ in pairs], axis=0)
        columns[t] = np.mean([right[b] for _, b in pairs], axis=0)
    size = (rows.sum() + columns.sum()) / (1 - EVEN)
    return (rows / size, columns / size) if size > 0 else (rows, columns)


def _scores(first: Array, turn: Array, blocks: int) -> Array:
    """Leverage scores of the rows of ``[X; X turn; X turn^2; ...]``, a block a row."""
    stack = [first]
    for _ in range(blocks - 1):
        stack.append(dense.gemm(stack[-1], np.ascontiguousarray(turn)))
    Q, R = qr.householder_qr(np.concatenate(stack))
    U, s, _ = qr.small_svd(R)
    kept = s > 1e-10 * s[0] if s.size else np.zeros(0, bool)
    basis = Q @ U[:, kept]
    return np.asarray((np.abs(basis) ** 2).sum(axis=1)).reshape(blocks, -1)


def _by_keys(rows: Array, columns: Array, count: int, seed: int) -> Array:
    """The places of the `count` first arrivals, at rates that are the weights."""
    weights = (rows[:, :, None] + columns[:, None, :]).ravel()
    arrivals = -np.log1p(-uniforms(weights.size, seed=seed, stream=0)) / weights
    return np.argsort(arrivals, kind="stable")[:count].astype(np.int64)


def _one_by_one(rows: Array, columns: Array, count: int, seed: int) -> Array:
    """Draws of a time with a row or a column by its weight, the other one uniform; repeats are left out."""
    n = rows.shape[1]
    ends = np.cumsum(np.concatenate([rows.ravel(), columns.ravel()]))
    found, stream = np.zeros(0, np.int64), 1
    while found.size < count:
        # As many as are missing and some, for those that repeat.
        size = 2 * (count - found.size) + 64
        u, v = (uniforms(size, seed=seed, stream=2 * stream + k) for k in range(2))
        side, at = np.divmod(
            np.minimum(np.searchsorted(ends, u * ends[-1], side="right"), ends.size - 1), rows.size
        )
        time, line = np.divmod(at, n)
        other = (v * n).astype(np.int64)
        key = (time * n + np.where(side == 0, line, other)) * n + np.where(side == 0, other, line)
        both = np.concatenate([found, key])
        found = both[np.sort(np.unique(both, return_index=True)[1])]
        stream += 1
    return found[:count]

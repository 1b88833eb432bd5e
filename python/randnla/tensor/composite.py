# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Composite principal components: the start that one matrix decomposition gives to a CP decomposition."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.kernels.dense import gemm
from randnla._backend.kernels.tensor import mttkrp
from randnla._backend.rng import seed_from
from randnla.lowrank.svd import svd

from .arguments import Array, Problem, checked_tensor, finish
from .results import CPResult

SQUARES = 12  # of a Gram matrix: its power 2^12 leaves a part of (s_2 / s_1)^(2^13)


def squarest_split(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Modes S of largest ``min(d_S, d / d_S)``; among equals the leading ones, whose unfolding is a view."""
    d = math.prod(shape)
    best: tuple[int, ...] = (0,)
    score = (-1, False)
    for size in range(1, len(shape)):
        for modes in itertools.combinations(range(len(shape)), size):
            rows = math.prod(shape[k] for k in modes)
            value = (min(rows, d // max(rows, 1)), modes == tuple(range(size)))
            if value > score:
                best, score = modes, value
    return best


def rank_limit(shape: tuple[int, ...]) -> int:
    """Components that one unfolding can tell apart."""
    rows = math.prod(shape[k] for k in squarest_split(shape))
    return min(rows, math.prod(shape) // max(rows, 1))


def leading_vector(M: Array) -> Array:
    """The leading left singular vector of a matrix, up to sign, by powers of a Gram matrix.

    Squares of G / tr G tend to the projector on the leading eigenvector, quadratically: it is there when
    ``||G||_F = tr G``. Twelve squares part singular values that differ by a thousandth; what is closer is a
    rotation that rounding decides. Products alone, which small singular value decompositions are slower than.
    """
    if M.shape[0] == 1 or M.size == 0:
        return np.ones(M.shape[0], M.dtype)
    wide = M.shape[0] <= M.shape[1]
    G = gemm(M, M.T) if wide else gemm(M.T, M)
    eps = float(np.finfo(M.dtype).eps)
    for _ in range(SQUARES):
        trace = float(np.trace(G))
        if not trace > 0:
            break
        G /= trace
        if 1 - float(np.linalg.norm(G)) <= eps * len(G):
            break
        G = gemm(G, G)
    v = G[:, int(np.argmax(np.diagonal(G)))]
    v = v if wide else M @ v
    size = float(np.linalg.norm(v))
    return v / size if size > 0 else np.eye(1, len(v), dtype=M.dtype)[0]


def rank_one(folded: Array) -> list[Array]:
    """The leading left singular vector of each unfolding; both sides of a matrix at once."""
    if folded.ndim == 1:
        return [folded]
    if folded.ndim == 2:
        u = leading_vector(folded)
        v = u @ folded
        size = float(np.linalg.norm(v))
        return [u, v / size if size > 0 else leading_vector(folded.T)]
    return [leading_vector(np.moveaxis(folded, i, 0).reshape(d, -1)) for i, d in enumerate(folded.shape)]


def start(T: Array, rank: int, seed: int) -> tuple[Array, list[Array]]:
    """Weights and unit factors by composite principal components."""
    S = squarest_split(T.shape)
    rest = tuple(k for k in range(T.ndim) if k not in S)
    rows = math.prod(T.shape[k] for k in S)
    M = T.transpose(S + rest).reshape(rows, -1)
    U, s, Vh = svd(M, rank, rng=seed)
    factors: list[Array] = [np.empty((d, rank), T.dtype) for d in T.shape]
    for modes, vectors in ((S, U), (rest, Vh.T)):
        for j in range(rank):
            for k, v in zip(modes, rank_one(vectors[:, j].reshape([T.shape[k] for k in modes])), strict=True):
                factors[k][:, j] = v
    return s, factors


def cpca(T: Any, rank: int, *, rng: Any = None, check_finite: bool = True) -> CPResult:
    """Composite principal components of a tensor: a CP decomposition from one singular value decomposition.

    Parameters
    ----------
    T : array of shape (d_0, ..., d_{K-1}), K = 3..6
        Real.
    rank : int
        Components; at most the smaller side of the squarest unfolding.
    rng : int, SeedSequence, Generator or None
        Seed of the randomized decomposition.
    check_finite : bool, default True
        Refuse NaN and Inf.

    Returns
    -------
    CPResult
        `info` carries the error of the sum, which is large where components are far from orthogonal: it is a
        start for `ico` and `als`.

    Raises
    ------
    InputError
        An argument does not fit.
    NonFiniteError
        T holds NaN or Inf.

    Notes
    -----
    *Algorithm*: Han and Zhang (2021), composite PCA: the leading singular vectors of the squarest unfolding,
    each folded up and replaced by the leading singular vector in each of its modes. It needs gaps between the
    weights; equal ones come out rotated.

    *Cost*: a randomized SVD of rank r of T and r small SVDs for each mode.

    Examples
    --------
    >>> import numpy as np, randnla.tensor
    >>> T = np.zeros((4, 4, 4)); T[0, 1, 2] = 3.0; T[1, 2, 3] = -2.0
    >>> [round(float(w), 6) for w in randnla.tensor.cpca(T, 2, rng=0).weights]
    [3.0, 2.0]
    """
    problem = checked_tensor(T, check_finite=check_finite)
    rank = validate.rank(rank, rank_limit(problem.shape))
    seed = seed_from(rng)
    weights, factors = start_or_empty(problem, rank, seed)
    # <T, a_0j o ... > may be negative: folding loses the signs of the singular vectors.
    inner = signed_weights(problem.values, factors)
    factors[-1] = factors[-1] * np.where(inner < 0, -1, 1).astype(problem.values.dtype)
    return finish(problem, weights, factors, method="cpca", seed=seed)


def signed_weights(T: Array, factors: list[Array]) -> Array:
    """``<T, a_0j o ... o a_{K-1}j>`` for each component."""
    return np.asarray(np.sum(mttkrp(T, factors, 0) * factors[0], axis=0))


def start_or_empty(problem: Problem, rank: int, seed: int) -> tuple[Array, list[Array]]:
    """`start`, or no components at all where none are wanted."""
    T = problem.values
    if rank == 0:
        return np.zeros(0, T.dtype), [np.zeros((d, 0), T.dtype) for d in T.shape]
    return start(T, rank, seed)

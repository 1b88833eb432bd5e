# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Pivoted QR of tall matrices: pivots and a preconditioner from one sketch, then Cholesky QR.

NumPy's own BLAS has a team of threads that goes on spinning beside ours: no product or norm here is left
to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla._backend.kernels import dense
from randnla._backend.kernels import qr as kernels
from randnla._backend.kernels import qr_pivoted as steps
from randnla.sketching import Gaussian, SparseSign

from .truncation import Array, Goal, unit

# Rows of the sketch for a column, try by try. The first gives a condition of about 6.
RATIOS = (2, 4)
# Bounds of the condition of A R_s^{-1}: beyond the first one Cholesky factor is not enough, beyond the
# second the sketch was no embedding. The bound is above the condition by n^(1/8) at most.
ONE_PASS, EMBEDDING = 20.0, 200.0
# Up to this bound of the condition of R_s, A itself may do with one Cholesky factor; the sketch of an
# orthonormal matrix has 8.
PROMISING = 16.0


@dataclass(frozen=True)
class Tall:
    """Factors of A[:, perm] ~ Q R, and what is known of them.

    `rank` counts the columns that stand out of rounding, `squares` is the sum of squares of A[:, perm] - Q R
    (0 where all columns were taken), `condition` bounds that of the preconditioned matrix, `passes` counts
    those of the last try, `redone` the sketches that had to be replaced.
    """

    Q: Array
    R: Array
    perm: Array
    rank: int
    squares: float
    condition: float
    passes: int
    redone: int
    sketch: Any


def noise(shape: tuple[int, int], dtype: Any) -> float:
    """Diagonal entries of R below this, relative to the first, are rounding errors.

    Those of A itself (2 sqrt(n) eps) and those of sums over the some m / n rows that meet in a row of the
    sketch, whose errors grow like their root.
    """
    m, n = shape
    return 2 * unit(dtype) * (2 * math.sqrt(n) + 2 * math.sqrt(m / n))


def cqrrpt(A: Array, norm: float, goal: Goal, *, seed: int, sketch: Any = None) -> Tall | None:
    """CQRRPT of a finite real m x n `A`, m >= n > 0; None if no sketch embedded its range.

    Parameters
    ----------
    A : (m, n) array, any layout
    norm : float
        Its Frobenius norm.
    goal : Goal
    seed : int
    sketch : random map, optional
        Of shape (d, m), for the first try.
    """
    for redone, ratio in enumerate(RATIOS):
        S = sketch
        if redone or S is None:
            # Maps of different d are not independent by themselves: the stream makes them so.
            S = SparseSign(ratio * A.shape[1], A.shape[0], rng=seed, stream=redone, dtype=A.dtype)
        raw = steps.blocked_pivoted_qr(np.asfortranarray(np.asarray(S @ A, dtype=np.float64)), seed=seed)
        found = _from_sketch(A, norm, goal, _positive(np.triu(raw.QR[: A.shape[1]])), raw.perm, seed)
        if found is not None:
            return Tall(*found, redone, S)
    return None


def _from_sketch(
    A: Array, norm: float, goal: Goal, Rs: Array, perm: Array, seed: int
) -> tuple[Array, Array, Array, int, float, float, int] | None:
    """One try; None where the sketch proves to be no embedding."""
    n = A.shape[1]
    level = noise(A.shape, A.dtype)
    diagonal = np.abs(np.diagonal(Rs))
    top = float(diagonal.max(initial=0.0))
    if top == 0.0 and norm > 0.0:
        return None
    rank = int(np.count_nonzero(diagonal > level * top))
    wanted, passes = goal.guess(Rs, norm, rank), 1
    while True:
        basis = _basis(A, perm[: min(wanted, rank)], Rs)
        if basis is None:
            # Columns at the noise of the sketch may not be in A: once more without them.
            surer = int(np.count_nonzero(diagonal > 100 * level * top))
            if surer == rank:
                return None
            rank = surer
            continue
        Q, R, condition, reads = basis
        passes += reads
        k = Q.shape[1]
        if k == n:
            return Q, R, perm, n, 0.0, condition, passes
        R = np.concatenate([R, dense.gemm(Q.T, A)[:, perm[k:]]], axis=1)
        squares = residual_squares(A, Q, R, perm)
        passes += 2
        limit = 10 * level * math.sqrt(n - k) * norm
        if k == rank and squares > limit**2:
            return None  # what the sketch has not seen
        if k < wanted:
            Q, R = _complete(A, norm, Q, R, perm, wanted, seed)
            squares = residual_squares(A, Q, R, perm)
            passes += 2
        more = goal.next(wanted, R, squares, norm)
        if more is None:
            return Q, R, perm, k, squares, condition, passes
        wanted = more


def _basis(A: Array, columns: Array, Rs: Array) -> tuple[Array, Array, float, int] | None:
    """Q and R of A[:, columns], the condition of A[:, columns] R_s^{-1}, and passes; None if it is large."""
    k = columns.size
    T = np.ascontiguousarray(Rs[:k, :k])
    inverse = steps.invert_upper(T)
    if inverse is None:
        return None
    direct = _direct(A, columns, T, inverse)
    if direct is not None:
        return direct
    fast = _may_multiply(T, inverse, A.dtype)
    Q, gram = steps.precondition(A, columns, inverse if fast else T, solve=not fast)
    R, condition = T, 1.0
    for index in range(3):
        factor = steps.cholesky_factor(gram)
        if factor is None:
            return None
        bound = condition_bound(gram, factor[1])
        if not bound <= EMBEDDING:
            return None
        condition = bound if index == 0 else condition
        R = dense.gemm(factor[0], R)
        again = steps.multiply_columns(Q, factor[1], gram=bound > ONE_PASS)
        if again is None:
            return Q, R.astype(A.dtype), condition, 2 + index
        gram = again
    return None


def _direct(A: Array, columns: Array, T: Array, inverse: Array) -> tuple[Array, Array, float, int] | None:
    """`_basis` of all columns without a preconditioner, where they need none; None elsewhere."""
    if columns.size < A.shape[1] or not condition_bound(dense.gemm(T.T, T), inverse) <= PROMISING:
        return None
    gram = np.ascontiguousarray(dense.moments(A)[0][np.ix_(columns, columns)])
    factor = steps.cholesky_factor(gram)
    if factor is None:
        return None
    bound = condition_bound(gram, factor[1])
    if not bound <= ONE_PASS:
        return None
    Q, _ = steps.precondition(A, columns, factor[1], solve=False, gram=False)
    return Q, factor[0].astype(A.dtype), bound, 2


def _may_multiply(R: Array, inverse: Array, dtype: Any) -> bool:
    """Whether a product with R^{-1} is as good as substitution.

    With v = 1^T |R^{-1}|, |A - fl(A R^{-1}) R| <= k eps v |R| column by column for entries of A below 1;
    and the product itself must keep its digits for the Gram matrix to be that of A R^{-1}.
    """
    grown = np.einsum("i,ij->j", np.abs(inverse).sum(axis=0), np.abs(R))
    size = dense.screen(R).frobenius_norm * dense.screen(inverse).frobenius_norm
    return bool(grown.max(initial=0.0) <= 64 * R.shape[0] and size * unit(dtype) <= 1e-3)


def condition_bound(gram: Array, inverse: Array) -> float:
    """An upper bound of the condition of Q, n^(1/8) times it at most, from Q^T Q and R^{-1}."""
    return math.sqrt(_norm_bound(gram) * _norm_bound(dense.gemm(inverse, inverse.T)))


def _norm_bound(G: Array) -> float:
    """|G|_2 <= |G^4|_F^(1/4) for symmetric G."""
    size = dense.screen(G).frobenius_norm
    if not 0.0 < size < math.inf:
        return size
    power = G / size
    for _ in range(2):
        power = dense.gemm(power, power)
    return size * math.sqrt(math.sqrt(dense.screen(power).frobenius_norm))


def _positive(Rs: Array) -> Array:
    """The triangle with its rows turned: R has the same signs, for Cholesky factors are positive."""
    Rs[np.diagonal(Rs) < 0] *= -1
    return Rs


def residual_squares(A: Array, Q: Array, R: Array, perm: Array) -> float:
    """||A[:, perm] - Q R||_F^2, a block of rows at a time."""
    placed = np.empty_like(R)
    placed[:, perm] = R
    step = max(1, (1 << 19) // max(1, A.shape[1]))
    total = 0.0
    for i in range(0, A.shape[0], step):
        rest = np.array(A[i : i + step], order="C", copy=True)
        seen = dense.screen(dense.gemm(Q[i : i + step], placed, rest, alpha=-1.0, beta=1.0))
        total += math.ldexp(seen.sum_squares, 2 * seen.exponent)
    return total


def _complete(
    A: Array, norm: float, Q: Array, R: Array, perm: Array, wanted: int, seed: int
) -> tuple[Array, Array]:
    """More columns for Q than the numerical rank, from what rounding leaves of the next columns of A."""
    k, n = R.shape
    E = np.array(A[:, perm[k:wanted]], order="C", copy=True)
    R = np.concatenate([R, np.zeros((wanted - k, n), R.dtype)])
    dense.gemm(Q, R[:k, k:wanted], E, alpha=-1.0, beta=1.0)
    more = dense.gemm(Q.T, E)
    dense.gemm(Q, more, E, alpha=-1.0, beta=1.0)
    R[:k, k:wanted] += more
    # Less than rounding of A has no direction of its own: the basis goes on in random ones instead.
    dead = _lengths(E) <= 4 * unit(A.dtype) * norm
    E[:, dead] = _random(A, int(dead.sum()), seed, 0)
    V, upper, _ = kernels.cholesky_qr(E, seed=seed)
    upper[:, dead] = 0
    for turn in range(1, 4):
        overlap = dense.gemm(Q.T, V)
        if np.abs(overlap).max() <= 8 * unit(A.dtype):
            break
        dense.gemm(Q, overlap, V, alpha=-1.0, beta=1.0)
        lost = _lengths(V) <= 0.1
        V[:, lost] = _random(A, int(lost.sum()), seed, turn)
        V, second, _ = kernels.cholesky_qr(V, seed=seed)
        second[:, lost] = 0
        upper = dense.gemm(second, upper)
    R[k:, k:wanted] = np.triu(upper)
    if wanted < n:
        rest = A[:, perm[wanted:]]
        R[k:, wanted:] = dense.gemm(V.T, rest)
    return np.concatenate([Q, V], axis=1), R


def _lengths(E: Array) -> Array:
    return np.asarray(np.sqrt(np.einsum("ij,ij->j", E, E, dtype=np.float64)))


def _random(A: Array, count: int, seed: int, turn: int) -> Array:
    return Gaussian(A.shape[0], count, rng=seed, stream=turn, dtype=A.dtype).to_dense()

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Column pivoted QR with randomized pivots."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError, warn
from randnla._backend.kernels import dense
from randnla._backend.kernels import qr as kernels
from randnla._backend.kernels import qr_pivoted as steps
from randnla._backend.results import Info, PivotedQRResult, RawPivotedQRResult
from randnla._backend.rng import STREAM_VERSION, seed_from
from randnla.operators import dense_entries

from .cqrrpt import cqrrpt, noise
from .truncation import Array, Goal, in_units

METHODS = ("auto", "cqrrpt", "bqrrp")
MODES = ("economic", "raw")
# Rows a column from which "cqrrpt" is the faster one, measured for 100 to 1000 columns on two threads.
TALL = {"f": 16, "d": 8}


def pivoted_qr(
    A: Any,
    rank: int | None = None,
    *,
    tol: float | None = None,
    method: str = "auto",
    mode: str = "economic",
    sketch: Any = "auto",
    rng: Any = None,
    check_finite: bool = True,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> PivotedQRResult | RawPivotedQRResult:
    """Column pivoted QR, ``A[:, perm] = Q @ R``, whole or truncated with a certified error.

    Parameters
    ----------
    A : (m, n) dense array or memmap
        Any layout; float32, float64, complex64, complex128; float16 is worked in float32, integers and
        bools in float64.
    rank : int, optional
        Columns k of Q to stop at, 0 <= k <= min(m, n); with `tol`, the most allowed. Unlike elsewhere
        `rank` and `tol` may both be None: all min(m, n) columns are taken, and ``info.rank`` tells how many
        of them stand out of rounding.
    tol : float, optional
        The fewest columns are kept for which ||A P - Q R||_F <= tol ||A||_F is certified.
    method : {"auto", "cqrrpt", "bqrrp"}
        "cqrrpt" for tall A: a sketch tells pivots and a preconditioner, Cholesky QR does the rest.
        "bqrrp" for every shape: Householder panels whose pivots a sketch tells. "auto" takes "cqrrpt" in
        economic mode for float64 with m >= 8 n and for float32 with m >= 16 n.
    mode : {"economic", "raw"}
        "raw" returns ``(QR, tau, perm)`` in LAPACK's format, for its ormqr and orgqr; with a rank the rows
        and columns of QR from there on are not R's. It needs "bqrrp".
    sketch : random map, default "auto"
        A map of shape (d, m), d >= n, for the first try of "cqrrpt" in place of a sparse sign map with
        d = 2 n. "bqrrp" always draws Gaussian numbers, for LU finds pivots in those only.
    rng : None, int, SeedSequence or Generator
    check_finite : bool, default True
        With False, an `A` that holds NaN or Inf gives factors full of NaN instead of an error.
    callback : callable, optional
        Called with a dict of the method and the columns taken once the factors are there.

    Returns
    -------
    PivotedQRResult
        ``Q, R, perm``: Q (m, k) with orthonormal columns whatever the rank of A, R (k, n) upper trapezoidal
        with a real nonnegative diagonal, perm (n,). In raw mode ``QR, tau, perm`` with LAPACK's signs.
        ``info.rank`` is the numerical rank, at most k; ``info.error_estimate`` bounds ||A P - Q R||_F with
        certainty; ``info.condition`` bounds that of what Cholesky QR works on; ``info.path`` tells which
        route was taken: "sketch+cholesky", "sketch redone", "panels", "geqp3" (complex A).

    Raises
    ------
    InputError
        `A` is not a dense matrix of numbers, an argument is unknown or does not fit `A`.
    NonFiniteError
        `A` holds NaN or Inf.

    Warns
    -----
    ConvergenceWarning
        `tol` could not be certified, because `rank` or rounding does not allow it.

    Notes
    -----
    *Algorithm*: CQRRPT (Melnichenko, Balabanov, Murray, Demmel, Mahoney and Luszczek, 2023): a sparse sign
    sketch S A = Q_s R_s P^T; A P R_s^{-1} has a condition of about 6, proved by its Gram matrix, and its
    Cholesky factor R_c gives Q and R = R_c R_s. Where R_s tells of a condition as small for A itself, and
    the Gram matrix proves it, nothing is preconditioned and R is its Cholesky factor. The permuted columns
    are read, preconditioned and summed into the Gram matrix block by block. A condition that is too large,
    or columns that the sketch has not seen, mean that S was no embedding: a sketch of twice the size
    follows, and then Householder panels. BQRRP (Melnichenko, Murray and co-workers, 2025): one Gaussian
    sketch; each panel takes the columns that LU with partial pivoting picks from it, ordered by a pivoted
    QR of those few; Householder QR of the panel, and the sketch follows by S A_2 - (S Q_1) R_12. We draw a
    new sketch of what is left once that has fallen below the resolution of the old one, so that pivoting
    goes on below eps ||A||.

    |R_kk| is within a factor of about 2 of what LAPACK's geqp3 finds, but need not decrease strictly.
    ||Q^H Q - I||_F <= 50 eps sqrt(n), but for columns of m equal entries, whose sums round one way: there
    it is up to 2 m eps with "bqrrp", as with LAPACK. Powers of two are exact.

    *Cost*: CQRRPT 3 m n^2 flops, 3 passes over A and memory for Q; with `rank` k, 3 m k^2 + 4 m n k. BQRRP
    2 n^2 (m - n/3) flops for R and as much again for Q, nearly all in products, and a copy of A in which it
    works. Both on the thread team.

    Examples
    --------
    >>> import numpy as np
    >>> import randnla
    >>> A = np.vander(np.linspace(0, 1, 1000), 30)
    >>> Q, R, perm = randnla.pivoted_qr(A, tol=1e-6, rng=0)
    >>> bool(np.linalg.norm(A[:, perm] - Q @ R) <= 1e-6 * np.linalg.norm(A)), Q.shape[1] < 15
    (True, True)
    >>> randnla.pivoted_qr(A, rng=0).info.path
    'sketch+cholesky'
    """
    validate.choice(method, METHODS, name="method")
    validate.choice(mode, MODES, name="mode")
    validate.flag(check_finite, name="check_finite")
    validate.callback(callback)
    kind = namespace.kind_of(A)
    A = dense_entries(A)
    matrix = validate.as_matrix(A)
    m, n = matrix.shape
    limit = min(m, n) if rank is None else validate.rank(rank, min(m, n))
    goal = Goal(limit, None if tol is None else validate.tolerance(tol), matrix.dtype, inner=m)
    _check_sketch(sketch, matrix.shape)
    if method == "cqrrpt" and (m < n or np.iscomplexobj(matrix)):
        raise InputError(f"method: 'cqrrpt' expects a real A with m >= n, got {matrix.dtype} {matrix.shape}")
    if method == "cqrrpt" and mode == "raw":
        raise InputError("mode: 'raw' needs Householder vectors, which 'cqrrpt' has not; take method='bqrrp'")
    if method == "auto":
        tall = n > 0 and m >= TALL.get(matrix.dtype.char, math.inf) * n and mode == "economic"
        method = "cqrrpt" if tall else "bqrrp"
    seed = seed_from(rng)
    seen = dense.screen(matrix)
    if not seen.finite:
        if check_finite:
            validate.require_finite(matrix)
        found = _undefined(matrix, limit, mode)
    elif seen.max_abs == 0.0 or limit == 0:
        found = _nothing(matrix, limit, mode, goal)
    else:
        found = _factor(matrix, seen, goal, method, mode, seed, None if isinstance(sketch, str) else sketch)
    if callback is not None:
        callback({"method": method, "columns": found.columns, "path": found.path})
    return _result(kind, found, goal, method, mode, seed)


@dataclass
class Found:
    """Factors, or the raw format, in the units of A; what is known of them, and how they were found."""

    factors: tuple[Array, Array, Array]
    columns: int
    rank: int
    error: float  # Frobenius norm of what truncation leaves out
    norm: float  # ||A||_F
    path: str
    sketch: str | None = None
    condition: float | None = None
    passes: int | None = None


def _check_sketch(sketch: Any, shape: tuple[int, int]) -> None:
    if isinstance(sketch, str):
        validate.choice(sketch, ("auto",), name="sketch")
    elif not getattr(type(sketch), "is_random_map", False):
        raise InputError(f"sketch: expected 'auto' or a random map, got {type(sketch).__name__}")
    elif sketch.shape[1] != shape[0] or sketch.shape[0] < shape[1]:
        raise InputError(f"sketch: expected shape (at least {shape[1]}, {shape[0]}), got {sketch.shape}")


def _factor(A: Array, seen: Any, goal: Goal, method: str, mode: str, seed: int, sketch: Any) -> Found:
    """A finite matrix that is not zero."""
    exponent = math.frexp(seen.max_abs)[1]
    norm = math.ldexp(math.sqrt(seen.sum_squares), seen.exponent - exponent)
    path = "panels"
    if method == "cqrrpt":
        # Far from the ends of the range the columns are read where they lie.
        near = abs(exponent) <= (40 if A.dtype == np.float32 else 400)
        work = A if near else steps.copy_scaled(A, -exponent)
        found = _tall(work, exponent if near else 0, 0 if near else exponent, norm, goal, seed, sketch)
        if found is not None:
            return found
        path = "sketches failed, panels"
    if np.iscomplexobj(A):
        work = np.array(A, order="F", copy=True)
        return _by_lapack(kernels.scale_by_power(work.T, -exponent).T, exponent, norm, goal, mode)
    work = steps.copy_scaled(A, -exponent, order="F")
    return _panels(work, exponent, norm, goal, mode, seed, path)


def _tall(
    work: Array, unit: int, exponent: int, norm: float, goal: Goal, seed: int, sketch: Any
) -> Found | None:
    """CQRRPT of `work`, whose norm is 2^unit times `norm`; A is 2^exponent times `work`."""
    size = math.ldexp(norm, unit)
    tall = cqrrpt(work, size, goal, seed=seed, sketch=sketch)
    if tall is None:
        return None
    keep, error = goal.trim(tall.R, tall.squares, size)
    R = kernels.scale_by_power(tall.R[:keep].copy(), exponent)
    Q = tall.Q if keep == tall.Q.shape[1] else np.ascontiguousarray(tall.Q[:, :keep])
    return Found(
        (Q, R, tall.perm),
        keep,
        min(keep, tall.rank),
        in_units(error, exponent),
        in_units(norm, unit + exponent),
        "sketch redone, sketch+cholesky" if tall.redone else "sketch+cholesky",
        tall.sketch.kind if tall.sketch is not None else None,
        tall.condition,
        tall.passes + 1,
    )


def _panels(work: Array, exponent: int, norm: float, goal: Goal, mode: str, seed: int, path: str) -> Found:
    """BQRRP of the normalized copy `work` = 2^-exponent A, which is overwritten."""
    target = 0.0 if goal.tol is None else max(0.0, goal.target(norm))
    raw = steps.blocked_pivoted_qr(work, seed=seed, most_columns=goal.limit, target_squares=target**2)
    left = dense.screen(work[raw.columns :, raw.columns :])
    squares = math.ldexp(left.sum_squares, 2 * left.exponent)
    if goal.tol is None:
        # Ended by a trailing block of zeros, what is missing are zero rows of R.
        keep, error = goal.limit, math.sqrt(squares)
    else:
        keep, error = goal.trim(np.triu(work[: raw.columns]), squares, norm)
    rank = _numerical_rank(np.diagonal(work)[:keep], work.shape)
    if mode == "raw":
        tau = raw.tau[:keep].copy()
        steps.scale_upper(raw, exponent)
        factors = (work, tau, raw.perm)
    else:
        factors = (steps.form_q(raw, keep), steps.upper(raw, keep, exponent), raw.perm)
    if raw.sketches > 1:
        path += f", {raw.sketches} sketches"
    return Found(
        factors, keep, rank, in_units(error, exponent), in_units(norm, exponent), path, "gaussian", passes=2
    )


def _by_lapack(work: Array, exponent: int, norm: float, goal: Goal, mode: str) -> Found:
    """LAPACK's geqp3, truncated afterwards."""
    if mode == "raw":
        (QR, tau), R, perm = scipy.linalg.qr(work, mode="raw", pivoting=True, check_finite=False)
        R = R[: tau.size]
    else:
        Q, R, perm = kernels.small_pivoted_qr(work)
    keep, error = goal.trim(R, 0.0, norm)
    rank = _numerical_rank(np.diagonal(R)[:keep], work.shape)
    if mode == "raw":
        factors = (_scale_triangle(QR, exponent), tau[:keep], perm.astype(np.int64))
    else:
        factors = (Q[:, :keep], kernels.scale_by_power(R[:keep].copy(), exponent), perm)
    return Found(factors, keep, rank, in_units(error, exponent), in_units(norm, exponent), "geqp3", passes=2)


def _scale_triangle(QR: Array, exponent: int) -> Array:
    """R, and what is not factored, back in the units of A; the reflectors below have none."""
    upper = np.triu(QR)
    QR -= upper
    with np.errstate(over="ignore"):
        QR += kernels.scale_by_power(upper, exponent)
    return QR


def _numerical_rank(diagonal: Array, shape: tuple[int, ...]) -> int:
    sizes = np.abs(diagonal)
    m, n = max(shape), max(1, min(shape))
    # Equal entries again: four times what other rounding errors come to.
    return int(np.count_nonzero(sizes > 4 * noise((m, n), diagonal.dtype) * sizes.max(initial=0.0)))


def _nothing(A: Array, limit: int, mode: str, goal: Goal) -> Found:
    """A zero matrix, or no columns wanted."""
    m, n = A.shape
    norm = dense.screen(A).frobenius_norm
    k = 0 if goal.tol is not None else limit
    perm = np.arange(n)
    if mode == "raw":
        return Found((np.array(A, order="F"), np.zeros(k, A.dtype), perm), k, 0, norm, norm, "nothing to do")
    factors = (np.eye(m, k, dtype=A.dtype), np.zeros((k, n), A.dtype), perm)
    return Found(factors, k, 0, norm, norm, "nothing to do")


def _undefined(A: Array, limit: int, mode: str) -> Found:
    m, n = A.shape
    shapes = ((m, n), (limit,)) if mode == "raw" else ((m, limit), (limit, n))
    first, second = (np.full(shape, np.nan, A.dtype) for shape in shapes)
    return Found((first, second, np.arange(n)), limit, 0, math.nan, math.nan, "non-finite")


def _result(
    kind: Any, found: Found, goal: Goal, method: str, mode: str, seed: int
) -> PivotedQRResult | RawPivotedQRResult:
    first, second, perm = found.factors
    if found.path != "non-finite" and not dense.screen(first if mode == "raw" else second).finite:
        raise InputError(f"A: the norm of a column exceeds the range of {first.dtype}; scale A down")
    error = found.error + goal.floor(found.norm, found.columns)
    relative = error / found.norm if found.norm else 0.0
    converged = bool(relative <= goal.tol) if goal.tol is not None else True
    if not converged:
        warn(f"the certified relative error {relative:.3g} exceeds tol={goal.tol} at rank {found.columns}")
    info = Info(
        rank=found.rank,
        method=method,
        sketch=found.sketch,
        passes=found.passes,
        error_estimate=error,
        error_kind="frobenius",
        error_relative=relative,
        failure_probability=0.0,
        converged=converged,
        seed=seed,
        path=found.path,
        stream_version=STREAM_VERSION,
        certificate="exact",
        condition=found.condition,
    )
    first, second, perm = namespace.restore_all(kind, first, second, perm)
    if mode == "raw":
        return RawPivotedQRResult(first, second, perm, info=info)
    return PivotedQRResult(first, second, perm, info=info)

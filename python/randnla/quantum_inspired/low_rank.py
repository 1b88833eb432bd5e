# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Singular value decompositions from sampled rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend import validate
from randnla._backend.kernels import dense
from randnla._backend.results import Info, SVDResult
from randnla._backend.rng import STREAM_VERSION

from .arguments import fraction
from .sketch import check_method, check_sizes, core, frame
from .source import Source
from .sq_matrix import SQMatrix, as_sq
from .weights import in_units, length

Array = NDArray[Any]
PROBES = 100


def low_rank_svd(
    A: Any,
    rank: int,
    *,
    method: str = "auto",
    rows: int | None = None,
    columns: int | None = None,
    threshold: float = 0.0,
    vectors: str = "both",
    rng: Any = None,
) -> SVDResult:
    """Leading singular values and vectors from rows drawn by their lengths.

    Parameters
    ----------
    A : SQMatrix, or an array to make one of, of shape (m, n)
    rank : int
        Number k of singular values, at most min(m, n).
    method : {"auto", "rows", "double"}
        "rows" takes the Gram matrix of the sampled rows exactly; "double" takes it from sampled columns of
        them, which costs less and, before the vectors are orthogonalized, is some 1.5 times less accurate.
        "auto" is "rows" up to n = 1e5.
    rows, columns : int, optional
        How many are drawn; ``max(20 k, 4 k log k, 200)``, half of what there is at most.
    threshold : float
        Directions of singular values of the sketch below this part of the largest are dropped, and
        others stand in for them. Those below ``(rows)**-0.25`` of the norm of A are mostly noise.
    vectors : {"both", "right"}
        "both" multiplies A by the right vectors, one pass over A, and turns both sides to the best within
        their span. "right" leaves A alone but for the samples: U has no columns.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    SVDResult
        U (m, k), s (k,), Vh (k, n), the vectors orthonormal. ``info.error_estimate`` is the Frobenius norm of
        ``A - A V V^H``: exact with "both", from fresh rows with "right". ``info.entries`` counts the entries
        of A that were read. If the rank of the sketch is below k, the last vectors are arbitrary, and with
        "right" the last s are zero.

    Raises
    ------
    InputError
        An argument is out of its range.

    Notes
    -----
    *Algorithm*: Frieze, Kannan and Vempala (J. ACM 51, 2004); Tang (STOC 2019). They return
    ``V = R^H W / sigma``, oblique by the error of the sketch; here V is orthogonalized, which makes the
    result exact where A has rank k and k rows of the sample are independent.

    *Cost*: rows n entries and 2 rows^2 n flops for "rows", 4 rows n k more to orthogonalize; with "both"
    2 m n k flops. `randnla.svd` reads A as often and is more accurate: this is for matrices of which rows
    can be drawn but not all be read, and for such as change.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> A = rng.standard_normal((300, 3)) @ rng.standard_normal((3, 200))
    >>> U, s, Vh = low_rank_svd(SQMatrix(A), 3, rng=0)
    >>> bool(np.linalg.norm(A - (U * s) @ Vh) < 1e-12 * np.linalg.norm(A))
    True
    """
    A = as_sq(A)
    k = validate.rank(rank, min(A.shape))
    method = check_method(method)
    r, c = check_sizes(A, k, rows, columns)
    threshold = fraction(threshold, name="threshold")
    validate.choice(vectors, ("both", "right"), name="vectors")
    source = Source(rng)
    before = A.entries_read
    found = core(A, source, method=method, rows=r, columns=c, rank=k, threshold=threshold)
    turned = frame(found, "orthonormal")
    V, s = turned.vectors(found), turned.s
    path = f"{found.path}, qr"
    if vectors == "both":
        # Where the sample has fewer directions than asked for, any others are better than none.
        U, s, V, left = _project(A, _completed(V, k) if V.shape[1] < k else V)
        error, failure, certificate = left, 0.0, "exact"
        path += ", projected"
    else:
        U = np.zeros((A.shape[0], 0), V.dtype)
        error, failure = held_out_error(A, V, source)[0], None
        certificate = "held-out rows"
    U, s, V = _padded(U, s, V, k, left=vectors == "both")
    norm = length(A.weight, 0)
    info = Info(
        rank=int(np.count_nonzero(s > max(A.shape) * np.finfo(s.dtype).eps * s.max(initial=0.0))),
        method="length-squared",
        sketch=found.path,
        error_estimate=shifted(error, A.exponent),
        error_kind="frobenius",
        error_relative=error / norm if norm else 0.0,
        failure_probability=failure,
        certificate=certificate,
        entries=A.entries_read - before,
        seed=source.seed,
        path=path,
        stream_version=STREAM_VERSION,
    )
    values = np.ldexp(s, A.exponent)
    return SVDResult(*_in_dtype(A, U, values, np.ascontiguousarray(V.conj().T)), info=info)


def shifted(value: float, exponent: int) -> float:
    """value 2^exponent, infinite where float64 ends."""
    with np.errstate(over="ignore"):
        return float(np.ldexp(value, exponent))


def _in_dtype(A: SQMatrix, U: Array, s: Array, Vh: Array) -> tuple[Array, Array, Array]:
    """Factors in the dtype of A."""
    real = np.zeros(0, A.dtype).real.dtype
    return U.astype(A.dtype, copy=False), s.astype(real, copy=False), Vh.astype(A.dtype, copy=False)


def _project(A: SQMatrix, V: Array) -> tuple[Array, Array, Array, float]:
    """The decomposition of A V V^H in units of A, and the norm of what it misses."""
    B = product_by_rows(A, V)
    U, s, Zh = np.linalg.svd(B, full_matrices=False)
    k = s.size if s.size <= V.shape[1] else V.shape[1]
    V = dense.gemm(V, np.ascontiguousarray(Zh.conj().T))
    missed = A.weight - float((s**2).sum())
    # The difference of squares is of eps / 1e-4 at worst; below that the residual itself is measured.
    if missed < 1e-4 * A.weight:
        return U[:, :k], s[:k], V[:, :k], residual_norm(A, V)
    return U[:, :k], s[:k], V[:, :k], math.sqrt(missed)


def row_blocks(A: SQMatrix) -> Any:
    """(first row, rows in units of A) of the whole matrix, block by block."""
    step = max(1, (1 << 21) // max(1, A.shape[1]))
    for i in range(0, A.shape[0], step):
        block = A.rows(np.arange(i, min(i + step, A.shape[0])))
        yield i, in_units(block, A.exponent)


def product_by_rows(A: SQMatrix, V: Array) -> Array:
    """A V in units of A, one pass over A."""
    out = np.zeros((A.shape[0], V.shape[1]), np.result_type(V.dtype, A.dtype, np.float64))
    for i, block in row_blocks(A):
        out[i : i + len(block)] = block @ V
    return out


def adjoint_by_rows(A: SQMatrix, B: Array) -> Array:
    """A^H B in units of A, one pass over A."""
    out = np.zeros((A.shape[1], B.shape[1]), np.result_type(B.dtype, A.dtype, np.float64))
    for i, block in row_blocks(A):
        out += block.conj().T @ B[i : i + len(block)]
    return out


def residual_norm(A: SQMatrix, V: Array) -> float:
    """||A - A V V^H||_F in units of A."""
    total = 0.0
    for _, block in row_blocks(A):
        total += float(np.linalg.norm(block - (block @ V) @ V.conj().T)) ** 2
    return math.sqrt(total)


def held_out_error(A: SQMatrix, V: Array, source: Source, probes: int = PROBES) -> tuple[float, float]:
    """||A - A V V^H||_F in units of A and its standard error, from fresh rows drawn by their lengths.

    ``norm(A)^2 (1 - ||a V||^2 / ||a||^2)`` is without bias for the square, row by row.
    """
    if not A.weight > 0:
        return 0.0, 0.0
    chosen = A.draw_rows(probes, source, source.take())
    different, place = np.unique(chosen, return_inverse=True)
    block = in_units(A.rows(different), A.exponent)
    lost = (np.abs(block - (block @ V) @ V.conj().T) ** 2).sum(axis=1) / A.row_weights(different)
    shares = lost[place]
    mean, deviation = float(shares.mean()), float(shares.std(ddof=1)) / math.sqrt(probes)
    value = math.sqrt(A.weight * mean)
    return value, value * deviation / (2 * mean) if mean > 0 else 0.0


def _completed(X: Array, columns: int) -> Array:
    """X (n, j), orthonormal, with further orthonormal columns."""
    whole = np.eye(X.shape[0], columns, dtype=X.dtype)
    whole[:, : X.shape[1]] = X
    # The first columns may depend on X: unit vectors far from it are found by pivoting.
    if X.shape[1]:
        weight = 1 - (np.abs(X) ** 2).sum(axis=1)
        free = np.argsort(-weight, kind="stable")[: columns - X.shape[1]]
        whole[:, X.shape[1] :] = 0
        whole[free, np.arange(X.shape[1], columns)] = 1
    Q = np.linalg.qr(whole)[0]
    Q[:, : X.shape[1]] = X
    return np.asarray(Q)


def _padded(U: Array, s: Array, V: Array, rank: int, *, left: bool) -> tuple[Array, Array, Array]:
    """Factors of `rank` columns, those added orthonormal and for zeros, under the rule of signs."""
    missing = rank - s.size
    if missing > 0:
        U = _completed(U, rank) if left else U
        V = _completed(V, rank)
        s = np.concatenate([s, np.zeros(missing)])
    lead = U if left else V
    if lead.size:
        top = lead[np.abs(lead).argmax(axis=0), np.arange(rank)]
        phase = np.conj(top) / np.abs(top)
        U, V = (U * phase if left else U), V * phase
    return U, s, V

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Least squares and pseudo-inverses of matrices near low rank."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend import validate
from randnla._backend.results import Info, SolveResult
from randnla._backend.rng import STREAM_VERSION

from . import arguments
from .low_rank import product_by_rows
from .primitives import median_of_means
from .sketch import Core, Frame, check_method, check_sizes, core, frame
from .source import Source
from .sq_matrix import SQMatrix, as_sq
from .transform import OddSVT, odd_svt
from .weights import in_units

Array = NDArray[Any]
_PROBES = 100


def regress(
    A: Any,
    b: Any,
    *,
    rank: int | None = None,
    alpha: float = 0.0,
    threshold: float = 0.0,
    right: str = "sketch",
    samples: int = 1000,
    groups: int = 1,
    method: str = "auto",
    rows: int | None = None,
    columns: int | None = None,
    rng: Any = None,
) -> SolveResult:
    """Minimize ``||A x - b||^2 + alpha ||x||^2`` within the leading right singular vectors of sampled rows.

    Parameters
    ----------
    A : SQMatrix, or an array to make one of, of shape (m, n)
    b : array of shape (m,)
    rank : int, optional
        Directions to keep at most.
    alpha : float
        Ridge parameter, nonnegative.
    threshold : float
        Singular values of the sketch below this part of the largest are dropped.
    right : {"sketch", "sampled", "exact"}
        How ``A^H b`` is found. "sketch" uses the sampled rows for it, too: the least squares problem of those
        rows, exact where A x = b has a solution and A has the rank kept. "sampled" estimates its inner
        products with the rows from `samples` entries of A, as the paper does. "exact" multiplies A by the
        vectors and solves the problem within their span as it is, reading all of A.
    samples, groups : int
        Of "sampled": entries drawn, and groups for the median of means.
    method, rows, columns, rng
        As for `even_svt`; the vectors are orthonormal.

    Returns
    -------
    SolveResult
        x (n,). ``info.residual`` is ``||A x - b|| / ||b||``, of all rows with "exact" and else estimated from
        100 rows; ``info.entries`` counts what was read of A for x, not for the residual.

    Raises
    ------
    InputError
        An argument is out of range or of another shape.

    Notes
    -----
    *Algorithm*: Chia, Gilyen, Li, Lin, Tang and Wang (STOC 2020), Corollary 6.13, with
    ``x = Q (S^2 + alpha)^-1 Q^H A^H b``. `randnla.lstsq` solves the whole problem to rounding and reads A
    once more; this is for b and A of which most rows cannot be read.

    *Cost*: r n entries, 2 r^2 n flops.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> A = rng.standard_normal((400, 3)) @ rng.standard_normal((3, 50))
    >>> (x,) = regress(SQMatrix(A), A @ np.ones(50), rank=3, rng=0)
    >>> bool(np.allclose(A @ x, A @ np.ones(50)))
    True
    """
    A = as_sq(A)
    b = arguments.vector(b, A.shape[0], name="b")
    k = None if rank is None else validate.rank(rank, min(A.shape))
    alpha = validate.real(alpha, name="alpha", low=0.0)
    validate.choice(right, ("sketch", "sampled", "exact"), name="right")
    samples = validate.integer(samples, name="samples", low=2)
    groups = validate.integer(groups, name="groups", low=1, high=samples // 2)
    r, c = check_sizes(A, k, rows, columns)
    cut = arguments.fraction(threshold, name="threshold")
    source, before = Source(rng), A.entries_read
    found = core(A, source, method=check_method(method), rows=r, columns=c, rank=k, threshold=cut)
    turned = frame(found, "orthonormal")
    Q = turned.vectors(found)
    if right == "sketch":
        inner = turned.T.conj().T @ (found.rows() @ _adjoint_of_sample(found, b))
    elif right == "exact":
        B = product_by_rows(A, Q)
        U, s, Zh = np.linalg.svd(B, full_matrices=False)
        Q, inner = Q @ Zh.conj().T, s * (U.conj().T @ b)
        turned = Frame(turned.T, s, Q)
    else:
        inner = _sampled(found, turned, b, samples, groups, source)
    shift = math.ldexp(alpha, -2 * A.exponent)
    x = np.ldexp(1.0, -A.exponent) * (Q @ (inner / (turned.s**2 + shift)))
    entries = A.entries_read - before
    info = Info(
        rank=turned.s.size,
        method="length-squared",
        sketch=found.path,
        residual=_residual(A, x, b, source, whole=right == "exact"),
        entries=entries,
        seed=source.seed,
        path=f"{found.path}, {right} right-hand side",
        stream_version=STREAM_VERSION,
    )
    return SolveResult(x, info=info)


def _adjoint_of_sample(found: Core, b: Array) -> Array:
    """R^H S b, S the sampling of the rows, in units of the matrix."""
    R = found.R
    return np.asarray(found.rows().conj().T @ (b[R.rows] * R.scales))


def _sampled(found: Core, turned: Frame, b: Array, samples: int, groups: int, source: Source) -> Array:
    """T^H R A^H b from entries of A: the mean of T^H R_j b_i ||A||^2 / A_ij."""
    A = found.A
    if found.R.count == 0:
        return np.zeros(0)
    i = A.draw_rows(samples, source, source.take())
    j = A.draw_columns(i, source, source.take())
    entries = in_units(A.query(i, j), A.exponent)
    different, place = np.unique(j, return_inverse=True)
    rows = found.R.at(different) * math.ldexp(1.0, -A.exponent)
    terms = (turned.T.conj().T @ rows)[:, place] * (b[i] * (A.weight / entries))
    return np.array([median_of_means(row, groups)[0] for row in terms])


def _residual(A: SQMatrix, x: Array, b: Array, source: Source, *, whole: bool) -> float:
    """||A x - b|| / ||b||, of some rows chosen evenly or of all."""
    size = float(np.linalg.norm(b))
    if not b.size or size == 0.0:
        return 0.0
    if whole or b.size <= _PROBES:
        chosen = np.arange(b.size)
    else:
        points = source.uniforms(source.take(), _PROBES)
        chosen = np.minimum((points * b.size).astype(np.int64), b.size - 1)
    total, step = 0.0, max(1, (1 << 21) // max(1, A.shape[1]))
    for start in range(0, chosen.size, step):
        part = chosen[start : start + step]
        total += float(np.linalg.norm(A.rows(part) @ x - b[part])) ** 2
    return math.sqrt(total * b.size / chosen.size) / size


def pseudo_inverse(
    A: Any,
    *,
    rank: int | None = None,
    threshold: float = 0.0,
    method: str = "auto",
    left: str = "auto",
    rows: int | None = None,
    columns: int | None = None,
    rng: Any = None,
) -> OddSVT:
    """``A^+`` within the leading singular vectors, as an operator with sampling and query access.

    Parameters
    ----------
    A : SQMatrix, or an array to make one of, of shape (m, n)
    rank, threshold, method, left, rows, columns, rng
        As for `odd_svt`.

    Returns
    -------
    OddSVT
        Of shape (n, m).

    Raises
    ------
    InputError
        An argument is out of range.

    Notes
    -----
    *Algorithm*: `odd_svt` of ``1 / sigma``; Chia, Gilyen, Li, Lin, Tang and Wang (STOC 2020), Section 6.5.

    Examples
    --------
    >>> A = np.outer([1.0, 2.0], [1.0, 0.0, 1.0])
    >>> bool(np.allclose(pseudo_inverse(SQMatrix(A), rank=1, rng=0).to_dense(), np.linalg.pinv(A)))
    True
    """
    return odd_svt(
        A,
        lambda s: 1 / s,
        rank=rank,
        method=method,
        left=left,
        rows=rows,
        columns=columns,
        threshold=threshold,
        rng=rng,
    ).H

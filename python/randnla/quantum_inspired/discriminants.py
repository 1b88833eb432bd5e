# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Fisher's discriminant directions from sampled points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.results import Info
from randnla._backend.rng import STREAM_VERSION

from . import arguments
from .low_rank import row_blocks
from .results import DiscriminantResult
from .sketch import default_size
from .source import Source
from .sq_matrix import SQMatrix, as_sq
from .weights import in_units

Array = NDArray[Any]


def discriminant(
    X: Any,
    labels: Any,
    rank: int | None = None,
    *,
    threshold: float = 1e-3,
    rows: int | None = None,
    rng: Any = None,
) -> DiscriminantResult:
    """Directions in which classes differ most, relative to how much their members do.

    Parameters
    ----------
    X : SQMatrix, or an array to make one of, of shape (m, n)
        A row for each point.
    labels : array of shape (m,)
        Of integers, the class of each point; at least two classes.
    rank : int, optional
        Directions, at most the number of classes less one, which is the default.
    threshold : float
        Directions within the classes of deviations below this part of the largest are left out.
    rows : int, optional
        Points drawn to find the scatter within the classes; ``max(20 k, 200)``, half of all at most.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    DiscriminantResult
        directions (n, k), of unit variance within the classes, and ratios (k,), descending, the variance
        between over that within, which is measured by as many fresh points as were drawn to find the
        directions. A ratio is that of its direction: but for its error it is below that of the best one.
        ``info.error_relative`` is the largest standard error of a ratio over it.

    Raises
    ------
    InputError
        Fewer than two classes, or an argument is out of range.

    Notes
    -----
    *Algorithm*: Chia, Gilyen, Li, Lin, Tang and Wang (STOC 2020), Section 6.9:
    ``S_W^{-1/2} S_B S_W^{-1/2}`` with S_W from sampled deviations from the class means. Point i is drawn by
    ``|x_i|^2 + |mean of its class|^2``, whose double bounds the square of its deviation: oversampling access
    to the deviations, which are nowhere formed, weighted by the inverse of the chances. Variances along
    directions of the points that these were found from would be too small, without any limit where the
    points are fewer than the directions.

    *Cost*: one pass for the means, 2 rows n entries and 2 rows^2 n flops.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat([0, 1], 500)
    >>> X = rng.standard_normal((1000, 3)) * [1.0, 1.0, 5.0] + np.outer(labels, [4.0, 0.0, 4.0])
    >>> w = discriminant(SQMatrix(X), labels, rng=0).directions[:, 0]
    >>> bool(abs(w[0]) > 10 * abs(w[2]))
    True
    """
    A = as_sq(X, name="X")
    given = np.asarray(labels)
    if given.shape != (A.shape[0],) or given.dtype.kind not in "iub":
        raise InputError(
            f"labels: expected {A.shape[0]} integers, got shape {given.shape} and dtype {given.dtype}"
        )
    classes, place = np.unique(given, return_inverse=True)
    if classes.size < 2:
        raise InputError(f"labels: expected at least two classes, got {classes.size}")
    limit = min(classes.size - 1, A.shape[1])
    k = limit if rank is None else validate.rank(rank, limit)
    size = default_size(k, A.shape[0]) if rows is None else validate.integer(rows, name="rows", low=1)
    cut = arguments.fraction(threshold, name="threshold")
    source, before = Source(rng), A.entries_read
    means, counts = _class_means(A, place, classes.size)
    R = _deviations(A, place, means, size, source)
    # S_W^{-1/2} on the directions that count, from the scatter of the sample.
    _, s, Vh = np.linalg.svd(R, full_matrices=False)
    keep = s > max(cut, 1e-12) * s[0] if s.size and s[0] > 0 else np.zeros(s.size, bool)
    whiten = Vh[keep].conj().T / s[keep]
    overall = counts @ means / counts.sum()
    between = np.sqrt(counts)[:, None] * (means - overall)
    _, ratios, Zh = np.linalg.svd(between @ whiten, full_matrices=False)
    k = min(k, ratios.size)
    W = whiten @ Zh[:k].conj().T
    # Of fresh points: those that the directions were fitted to scatter less along them than others do.
    squares = np.abs(_deviations(A, place, means, size, source) @ W) ** 2
    within = squares.sum(axis=0)
    moved = np.sqrt(np.maximum((squares**2).sum(axis=0) - within**2 / size, 0.0))
    known = np.where(within > 0, within, 1.0)
    ratios, scatter = ratios[:k] ** 2 / known, np.where(within > 0, moved / known, np.inf)
    W = W / np.sqrt(known)
    order = np.argsort(-ratios, kind="stable")
    info = Info(
        rank=k,
        method="whitened by sampled deviations",
        error_relative=float(scatter.max(initial=0.0)),
        certificate="held-out rows",
        entries=A.entries_read - before,
        seed=source.seed,
        path=f"{size} rows, {int(keep.sum())} directions",
        stream_version=STREAM_VERSION,
    )
    directions = np.ldexp(1.0, -A.exponent) * W[:, order] * np.sqrt(A.shape[0])
    return DiscriminantResult(directions, ratios[order], info=info)


def _class_means(A: SQMatrix, place: Array, classes: int) -> tuple[Array, Array]:
    """Means (c, n) in units of A, and counts."""
    sums = np.zeros((classes, A.shape[1]), np.result_type(A.dtype, np.float64))
    for start, block in row_blocks(A):
        here = place[start : start + len(block)]
        for c in np.unique(here):
            sums[c] += block[here == c].sum(axis=0)
    counts = np.bincount(place, minlength=classes).astype(np.float64)
    return sums / counts[:, None], counts


def _deviations(A: SQMatrix, place: Array, means: Array, size: int, source: Source) -> Array:
    """Rows ``(x_i - mean) / sqrt(size p_i)``, the mean of whose R^H R is the scatter within the classes."""
    lengths = (np.abs(means) ** 2).sum(axis=1)
    weights = A.row_weights(np.arange(A.shape[0])) + lengths[place]
    total = float(weights.sum())
    if not total > 0:
        return np.zeros((0, A.shape[1]))
    ends = np.cumsum(weights)
    points = source.uniforms(source.take(), size) * ends[-1]
    chosen = np.minimum(np.searchsorted(ends, points, side="right"), A.shape[0] - 1)
    chosen = chosen[weights[chosen] > 0]
    deviations = in_units(A.rows(chosen), A.exponent) - means[place[chosen]]
    return np.asarray(deviations * np.sqrt(total / (size * weights[chosen]))[:, None])

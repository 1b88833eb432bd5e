# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Principal components from sampled rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from randnla._backend.results import PCAResult

from .low_rank import low_rank_svd
from .sq_matrix import as_sq


def pca(
    A: Any,
    rank: int,
    *,
    method: str = "auto",
    rows: int | None = None,
    columns: int | None = None,
    threshold: float = 0.0,
    rng: Any = None,
) -> PCAResult:
    """Leading eigenvectors of ``A^H A / m``: principal components of rows as they are, about the origin.

    Parameters
    ----------
    A : SQMatrix, or an array to make one of, of shape (m, n)
        Subtracting the mean would change all entries: centre the data before they are put into the
        structure, or use `randnla.pca`, which centres implicitly.
    rank : int
    method, rows, columns, threshold, rng
        As for `low_rank_svd`.

    Returns
    -------
    PCAResult
        components (k, n) orthonormal, explained_variance (k,), explained_variance_ratio (k,), mean (zeros),
        scores None, for they would take all of A. ``info.error_estimate`` is the Frobenius norm of what the
        components miss, from fresh rows.

    Raises
    ------
    InputError
        An argument is out of range.

    Notes
    -----
    *Algorithm*: Chia, Gilyen, Li, Lin, Tang and Wang (STOC 2020), Section 6.4; eigenvalues are those of the
    sample. *Cost*: that of `low_rank_svd` with "right".

    Examples
    --------
    >>> from randnla.quantum_inspired import SQMatrix
    >>> A = np.random.default_rng(0).standard_normal((1000, 1)) * np.array([3.0, 4.0])
    >>> found = pca(SQMatrix(A), 1, rng=0)
    >>> np.abs(found.components).round(6)
    array([[0.6, 0.8]])
    """
    A = as_sq(A)
    found = low_rank_svd(
        A,
        rank,
        method=method,
        rows=rows,
        columns=columns,
        threshold=threshold,
        vectors="right",
        rng=rng,
    )
    total = A.norm()
    s = found.s.astype(np.float64)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        variance = (s / max(A.shape[0], 1) ** 0.5) ** 2
        ratio = (s / total) ** 2 if total > 0 else np.zeros(s.size)
    mean = np.zeros(A.shape[1], found.Vh.dtype)
    return PCAResult(
        found.Vh, variance.astype(found.s.dtype), ratio.astype(found.s.dtype), mean, None, info=found.info
    )

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The nearest centroid, without any centroid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.results import Info
from randnla._backend.rng import STREAM_VERSION

from .primitives import median_of_means
from .results import ClusterResult
from .source import Source
from .sq_matrix import SQMatrix
from .sq_vector import SQVector

Array = NDArray[Any]


def supervised_cluster(
    point: SQVector,
    clusters: Sequence[SQMatrix],
    *,
    samples: int = 4000,
    groups: int = 1,
    rng: Any = None,
) -> ClusterResult:
    """Squared distances from a point to the means of clusters, from two entries a sample.

    Parameters
    ----------
    point : SQVector of size n
    clusters : sequence of SQMatrix of shape (m_c, n)
        A row for each member.
    samples, groups : int
        For each cluster; the median of the means of groups.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    ClusterResult
        label, distances (squared) and std_errors. ``info.converged`` tells whether the nearest two are
        further apart than three standard errors; ``info.entries`` counts the entries of the clusters that
        were read.

    Raises
    ------
    InputError
        A cluster has no rows, or another number of columns.

    Notes
    -----
    *Algorithm*: Lloyd, Mohseni and Rebentrost's supervised clustering in the form of Chia, Gilyen, Li, Lin,
    Tang and Wang (STOC 2020), Section 6.2. With the rows ``a_0 = point`` and ``a_i = -x_i / m`` the square
    is ``sum_ikj a_ij conj(a_kj)``. (i, j) is drawn from all normalized rows, k from their norms: an inner
    product of tensors of norm 2 and ``|point|^2 + mean |x|^2`` at most. The standard error is at most
    twice the latter over sqrt(samples), whatever n and m.

    *Cost*: O(samples log n m). The mean itself takes m n entries, once.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> clusters = [SQMatrix(rng.standard_normal((200, 30)) + c) for c in (0.0, 3.0)]
    >>> supervised_cluster(SQVector(np.full(30, 2.5)), clusters, rng=0).label
    1
    """
    if not isinstance(point, SQVector):
        raise InputError(f"point: expected an SQVector, got {type(point).__name__}")
    if not isinstance(clusters, (list, tuple)) or not clusters:
        raise InputError(f"clusters: expected a list of SQMatrix, got {validate.shown(clusters)}")
    for c, cluster in enumerate(clusters):
        if not isinstance(cluster, SQMatrix) or cluster.shape[0] < 1:
            raise InputError(f"clusters: expected SQMatrix with rows, got {validate.shown(cluster)} at {c}")
        if cluster.shape[1] != point.size:
            raise InputError(f"clusters: expected {point.size} columns, got {cluster.shape[1]} at {c}")
    samples = validate.integer(samples, name="samples", low=2)
    groups = validate.integer(groups, name="groups", low=1, high=samples // 2)
    source = Source(rng)
    before = sum(cluster.entries_read for cluster in clusters)
    found = [_distance(point, cluster, samples, groups, source) for cluster in clusters]
    distances, errors = (np.array(column) for column in zip(*found, strict=True))
    label = int(np.argmin(distances))
    others = np.delete(np.arange(len(clusters)), label)
    gaps = distances[others] - distances[label]
    apart = bool(np.all(gaps > 3 * np.hypot(errors[others], errors[label])))
    info = Info(
        method="tensor sampling",
        converged=apart,
        entries=sum(cluster.entries_read for cluster in clusters) - before,
        seed=source.seed,
        stream_version=STREAM_VERSION,
    )
    return ClusterResult(label, distances, errors, info=info)


def _distance(
    point: SQVector, cluster: SQMatrix, samples: int, groups: int, source: Source
) -> tuple[float, float]:
    members = np.flatnonzero(cluster.row_weights(np.arange(cluster.shape[0])) > 0)
    # Squared norms of the normalized rows: 1 for the point, 1 / m for each member; zero rows have none.
    own, others = float(point.norm() > 0), members.size / cluster.shape[0]
    if own + others == 0:
        return 0.0, 0.0
    share = own / (own + others)
    first = _rows(members, share, samples, source)
    second = _rows(members, share, samples, source)
    columns = np.empty(samples, np.int64)
    stream = source.take()
    if np.any(first < 0):
        columns[first < 0] = point.draw(samples, source, stream)[first < 0]
    if np.any(first >= 0):
        chosen = np.where(first >= 0, first, members[0])
        columns[first >= 0] = cluster.draw_columns(chosen, source, source.take())[first >= 0]
    a, weight = _entries(point, cluster, first, columns)
    b, _ = _entries(point, cluster, second, columns)
    norms = np.where(second < 0, 1.0, 1.0 / cluster.shape[0])
    values = ((own + others) ** 2 * a * np.conj(b) / (weight * norms)).real
    value, error = median_of_means(values, groups)
    return float(value), error


def _rows(members: Array, share: float, samples: int, source: Source) -> Array:
    """-1 for the point, with its share, else a member."""
    if not members.size:
        return np.full(samples, -1)
    chance, which = source.uniforms(source.take(), samples), source.uniforms(source.take(), samples)
    picked = members[np.minimum((which * members.size).astype(np.int64), members.size - 1)]
    return np.where(chance < share, -1, picked)


def _entries(point: SQVector, cluster: SQMatrix, rows: Array, columns: Array) -> tuple[Array, Array]:
    """Entries of the rows a, and squares of those of the normalized rows."""
    mine = rows < 0
    out = np.zeros(rows.size, np.result_type(point.dtype, cluster.dtype, np.float64))
    weight = np.empty(rows.size)
    m = cluster.shape[0]
    out[mine] = point.query(columns[mine])
    weight[mine] = (np.abs(out[mine]) / max(point.norm(), 1e-300)) ** 2
    if np.any(~mine):
        x = cluster.query(rows[~mine], columns[~mine])
        out[~mine] = -x / m
        weight[~mine] = (np.abs(x) / cluster.row_norms(rows[~mine])) ** 2 / m
    return out, weight

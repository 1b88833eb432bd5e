# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Point clouds: checked, nearest neighbors by a KD-tree, intrinsic dimension."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.threads import num_threads

Array = np.ndarray[Any, Any]

PIECE = 2048
"""Points of one query of the tree, per thread: between two of them an interrupt is answered."""
RANGE = 2.0**400
"""The largest spread of coordinates; the smallest is its inverse. Fourth powers of lengths stay in range."""
NEAREST = 20
"""Neighbors that the dimension is read off."""


def checked_points(points: Any, *, name: str = "points", check_finite: bool = True, least: int = 2) -> Array:
    """The cloud (N, D) in float64, at least `least` points that are not all one."""
    array = validate.as_matrix(points, name=name)
    if array.dtype.kind == "c":
        raise InputError(f"{name}: expected real numbers, got {array.dtype}")
    if array.shape[0] < least or array.shape[1] == 0:
        raise InputError(f"{name}: expected at least {least} points of dimension >= 1, got {array.shape}")
    if check_finite:
        validate.require_finite(array, name=name)
    return np.ascontiguousarray(array, dtype=np.float64)


def require_spread(points: Array, *, name: str = "points") -> None:
    """Squares of distances neither vanish nor overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(np.max(np.ptp(points, axis=0)))
        largest = float(np.max(np.abs(points)))
    if spread == 0:
        raise InputError(f"{name}: expected points that differ, all {len(points)} are the same")
    if spread < 1 / RANGE or not largest <= RANGE:
        raise InputError(f"{name}: expected coordinates in other units, got a spread of {spread:.3g}")


@dataclass(frozen=True)
class Neighbors:
    """The nearest points of every query, the closest first.

    Attributes
    ----------
    index : (M, k) array of int32 or int64
    squared : (M, k) array
        Squared distances.
    """

    index: Array
    squared: Array


def nearest(tree: cKDTree, queries: Array, count: int, order: Array | None = None) -> Neighbors:
    """The `count` nearest points of every query, exactly.

    With `order`, the points and the queries of the tree are those of a cloud in this order, the neighbors
    are of the cloud as it was.
    """
    size = np.int32 if tree.n * max(count, 1) < 2**31 else np.int64
    index = np.empty((len(queries), count), size)
    squared = np.empty((len(queries), count))
    ranks = np.arange(1, count + 1)
    step = PIECE * num_threads()
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        distance, found = tree.query(queries[part], ranks, workers=num_threads())
        distance *= distance
        rows = part if order is None else order[part]
        index[rows] = found if order is None else order.take(found)
        squared[rows] = distance
    return Neighbors(index, squared)


def of_itself(points: Array, count: int) -> Neighbors:
    """Neighbors within the cloud; every point is the first of its own, whatever coincides with it."""
    # Points that are near in space are made near in memory: queries take two thirds of the time.
    order = cKDTree(points).indices
    sorted_points = points[order]
    found = nearest(cKDTree(sorted_points), sorted_points, count, order)
    rows = np.arange(len(points))
    for i in np.flatnonzero(found.index[:, 0] != rows):
        row = found.index[i]
        at = np.flatnonzero(row == i)
        # All that come before are as far, for they coincide: any may give way.
        row[at[0] if at.size else 0] = row[0]
        row[0] = i
    return found


def dimension_of(squared: Array, count: int = NEAREST) -> float:
    """Maximum likelihood from ratios of distances to neighbors (Levina and Bickel, 2004), harmonic mean."""
    near = squared[:, : count + 1]
    last = near[:, -1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(near[:, :-1] > 0, 0.5 * np.log(last / near[:, :-1]), 0.0)
    used = np.count_nonzero(near[:, :-1] > 0, axis=1)
    good = used >= 2
    if not good.any():
        return float("nan")
    # MacKay and Ghahramani: inverses are averaged, (m - 1) / m takes the bias away.
    inverse = logs[good].sum(axis=1) / (used[good] - 1)
    mean = float(inverse.mean())
    return 1.0 / mean if mean > 0 else float("nan")


def estimate_dimension(points: Any, *, neighbors: int = NEAREST, check_finite: bool = True) -> float:
    """The intrinsic dimension of a point cloud, from ratios of distances to nearest neighbors.

    Parameters
    ----------
    points : (N, D) array
        Real; one point a row.
    neighbors : int, default 20
        Neighbors of a point that are used, at least 3.
    check_finite : bool, default True

    Returns
    -------
    float
        Not rounded. Lattices, whose distances are few, come out higher than samples at random.

    Raises
    ------
    InputError
        An argument does not fit, or the points do not differ enough.
    NonFiniteError
        The points hold NaN or Inf.

    Notes
    -----
    *Algorithm*: Levina and Bickel (2004), with the inverses of the estimates averaged over the points as
    MacKay and Ghahramani do. *Cost*: a KD-tree query.

    Examples
    --------
    >>> import numpy as np
    >>> t, p = np.random.default_rng(0).uniform(0, 2 * np.pi, (2, 2000))
    >>> X = np.c_[(2 + np.cos(t)) * np.cos(p), (2 + np.cos(t)) * np.sin(p), np.sin(t)]
    >>> round(estimate_dimension(X))
    2
    """
    array = checked_points(points, check_finite=validate.flag(check_finite, name="check_finite"), least=4)
    count = validate.integer(neighbors, name="neighbors", low=3, high=len(array) - 1)
    require_spread(array)
    found = nearest(cKDTree(array), array, count + 1)
    value = dimension_of(found.squared, count)
    if not np.isfinite(value):
        raise InputError(
            f"points: expected neighbors at different distances, got {len(array)} points without"
        )
    return value

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What is pruned as a whole, single weights or groups; how many at which step; and which come first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.kernels.dense import Array

from .layout import Layout

SCHEDULES = ("geometric", "linear", "cubic")


@dataclass(frozen=True)
class Units:
    """Single weights, or groups of them.

    Attributes
    ----------
    labels : (d,) array of int64, or None
        Of the group of each weight, -1 for one that is in none; None where each weight is its own.
    count : int
    pools : tuple of arrays of units
        Those that are ranked against each other, and share a target.
    """

    labels: Array | None
    count: int
    pools: tuple[Array, ...]

    def of_weights(self, values: Array) -> Array:
        """Sums over the weights of each unit."""
        if self.labels is None:
            return values
        inside = self.labels >= 0
        return np.bincount(self.labels[inside], weights=values[inside], minlength=self.count)

    def members(self, units: Array) -> Array:
        """Which weights belong to the units marked."""
        if self.labels is None:
            return units
        return np.asarray((self.labels >= 0) & units[self.labels])

    def pruned(self, keep: Array) -> Array:
        """The units of which no weight is kept."""
        return np.asarray(self.of_weights(keep.astype(np.float64)) == 0)


def units_of(layout: Layout, groups: Any, scope: str) -> Units:
    """The units of weights.

    Parameters
    ----------
    layout : Layout
    groups : None, "rows", or integers in the structure of the weights
    scope : {"global", "layer"}

    Raises
    ------
    InputError
    """
    if groups is None:
        everything = np.arange(layout.size)
        pools = [everything[part.place] for part in layout.parts] if scope == "layer" else [everything]
        return Units(None, layout.size, tuple(pools))
    if isinstance(groups, str) and groups != "rows":
        raise InputError(f"groups: expected 'rows' or integers, got {groups!r}")
    labels = _row_labels(layout) if isinstance(groups, str) else _given_labels(layout, groups)
    count = int(labels.max()) + 1
    if scope == "global":
        return Units(labels, count, (np.arange(count),))
    pools = [np.unique(labels[part.place][labels[part.place] >= 0]) for part in layout.parts]
    if sum(pool.size for pool in pools) > count:
        raise InputError(
            'groups: expected each within one array for scope="layer", got one that spans several'
        )
    return Units(labels, count, tuple(pools))


def _row_labels(layout: Layout) -> Array:
    labels, start = np.empty(layout.size, np.int64), 0
    for part in layout.parts:
        rows = part.shape[0] if part.shape else 1
        size = part.place.stop - part.place.start
        labels[part.place] = start + np.repeat(np.arange(rows), size // max(1, rows))
        start += rows if size else 0
    return labels


def _given_labels(layout: Layout, groups: Any) -> Array:
    labels = layout.vector(groups, "groups")
    if labels.dtype.kind not in "iu":
        raise InputError(f"groups: expected integers, or 'rows', got {labels.dtype}")
    labels = labels.astype(np.int64)
    inside = labels >= 0
    if not inside.any():
        raise InputError("groups: expected a label >= 0 somewhere, got none")
    made = np.full(labels.shape, -1)
    made[inside] = np.unique(labels[inside], return_inverse=True)[1]
    return made


def targets_of(
    layout: Layout, units: Units, sparsity: Any, scope: str, before: Array
) -> list[tuple[int, int]]:
    """Units pruned before and in the end, of each pool.

    Raises
    ------
    InputError
        A sparsity that is none, or less than what is pruned already.
    """
    shares: list[Any] = [sparsity]
    if isinstance(sparsity, Mapping | list | tuple):
        if scope != "layer":
            raise InputError('sparsity: expected one number for scope="global", got several')
        shares = layout.join(sparsity, "sparsity")
    elif scope == "layer":
        shares = [sparsity] * len(units.pools)
    targets = []
    for share, pool in zip(shares, units.pools, strict=True):
        number = validate.real(share, name="sparsity", low=0.0, high=1.0)
        old, new = int(before[pool].sum()), math.floor(number * pool.size + 0.5)
        if new < old:
            raise InputError(f"sparsity: {number} is less than {old} of {pool.size}, which mask has pruned")
        targets.append((old, new))
    return targets


def schedule_of(steps: int, schedule: str, old: int, new: int, size: int) -> list[int]:
    """Units pruned after each step: from more than `old` to `new`, never fewer.

    "geometric" keeps the same share of what is left at every step, "linear" prunes equally many, and "cubic"
    leaves ``(1 - k / steps)^3`` of the way.
    """
    kept, last = size - old, size - new
    counts = []
    for k in range(1, steps + 1):
        share = k / steps
        if schedule == "geometric":
            left = kept * (max(last, 1) / kept) ** share if kept else 0.0
        elif schedule == "linear":
            left = kept + (last - kept) * share
        else:
            left = last + (kept - last) * (1 - share) ** 3
        counts.append(min(new, max(old, size - math.floor(left + 0.5))))
    counts[-1] = new
    return counts


def lowest(scores: Array, count: int) -> Array:
    """The places of the `count` lowest scores; of equal ones the first."""
    if count == 0:
        return np.empty(0, np.int64)
    bound = np.partition(scores, count - 1)[count - 1]
    below = np.flatnonzero(scores < bound)
    return np.concatenate([below, np.flatnonzero(scores == bound)[: count - below.size]])

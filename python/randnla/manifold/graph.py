# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The symmetric graph of nearest neighbors, in compressed rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components

from .cloud import Array, Neighbors

ROWS = 1024
"""Rows that are worked on at once: their pairs stay in the cache."""
FEW = 6


@dataclass(frozen=True)
class Graph:
    """Pairs (i, j) where j is among the neighbors of i or i among those of j.

    Attributes
    ----------
    indptr, indices : arrays of int
        Compressed rows, each with the point itself first, else in no order.
    """

    indptr: Array
    indices: Array

    @property
    def size(self) -> int:
        """Number of points."""
        return len(self.indptr) - 1

    def matrix(self, values: Array) -> Any:
        """The sparse matrix with these values."""
        shape = (self.size, self.size)
        return scipy.sparse.csr_array((values, self.indices, self.indptr), shape=shape)

    def sums(self, values: Array) -> Array:
        """Of the values of every row."""
        return np.add.reduceat(values, self.indptr[:-1])

    def multiply(self, values: Array, x: Array) -> None:
        """Multiply the value of (i, j) by x_i x_j, in place and with the same bits for (j, i)."""
        for rows, part in self.pieces():
            pairs = np.repeat(x[rows], np.diff(self.indptr[rows.start : rows.stop + 1]))
            pairs *= x.take(self.indices[part])
            values[part] *= pairs

    def pieces(self) -> Iterator[tuple[slice, slice]]:
        """Rows that fit a cache, and the place of their pairs."""
        for start in range(0, self.size, ROWS):
            stop = min(start + ROWS, self.size)
            yield slice(start, stop), slice(int(self.indptr[start]), int(self.indptr[stop]))

    def components(self) -> int:
        """Number of connected parts: those of the nearest few neighbors first, which others may join."""
        first = self.indptr[:-1, None] + np.arange(1, min(FEW, int(np.diff(self.indptr).min())))
        index = self.indices[first].ravel()
        few = scipy.sparse.csr_array(
            (np.ones(len(index), np.int8), index, np.arange(0, len(index) + 1, max(first.shape[1], 1))),
            shape=(self.size, self.size),
        )
        count, label = connected_components(few, directed=False)
        if count == 1:
            return 1
        own, other = np.repeat(label, np.diff(self.indptr)), label[self.indices]
        apart = own != other
        joined = scipy.sparse.coo_array(
            (np.ones(np.count_nonzero(apart), np.int8), (own[apart], other[apart])), shape=(count, count)
        )
        return int(connected_components(joined, directed=False, return_labels=False))


def union(found: Neighbors) -> tuple[Graph, Array]:
    """The graph of a cloud's neighbors within it, and squared distances.

    These have the same bits for (i, j) and (j, i). The pairs that one side lacks end its rows.
    """
    n, k = found.index.shape
    lacking = _one_sided(found)
    rows, columns = lacking // k, found.index.ravel()[lacking]
    order = np.argsort(columns, kind="stable")
    indptr = np.zeros(n + 1, found.index.dtype)
    np.cumsum(np.bincount(columns, minlength=n) + k, out=indptr[1:])
    # Position of an added pair: the k own ones of its row and of all rows before, and the added ones before.
    place = np.arange(len(order)) + k * (columns[order].astype(np.int64) + 1)
    main = np.ones(int(indptr[-1]), bool)
    main[place] = False
    graph = Graph(indptr, np.empty(len(main), found.index.dtype))
    squared = np.empty(len(main))
    for own, part in graph.pieces():
        kept = main[part]
        graph.indices[part][kept] = found.index[own].ravel()
        squared[part][kept] = found.squared[own].ravel()
    graph.indices[place] = rows[order]
    squared[place] = found.squared.ravel()[lacking[order]]
    return graph, squared


def _one_sided(found: Neighbors) -> Array:
    """Flat positions of the pairs (i, j) with i not among the neighbors of j.

    Such a pair is longer than the longest of j, or as long and lost in a tie: only the latter are looked up.
    """
    n, k = found.index.shape
    last = found.squared[:, -1].copy()
    pieces = []
    for start in range(0, n, ROWS):
        index, squared = (x[start : start + ROWS].ravel() for x in (found.index, found.squared))
        candidates = np.flatnonzero(squared >= last.take(index))
        other = index[candidates]
        lacking = squared[candidates] > last[other]
        ties = np.flatnonzero(~lacking)
        own = start + candidates[ties] // k
        lacking[ties] = ~(found.index[other[ties]] == own[:, None]).any(axis=1)
        pieces.append(start * k + candidates[lacking])
    return np.concatenate(pieces)

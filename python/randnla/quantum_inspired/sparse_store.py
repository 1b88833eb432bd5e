# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sparse rows that take new entries: each has room at its end, and moves when that is full."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend.kernels.weighted_draws import Forest, arena, tree_size

from . import weights
from .source import Source
from .stores import TreeStore, draw_each

Array = NDArray[Any]


class SparseStore(TreeStore):
    """Columns and values by rows, and a sum tree for every row.

    Row i has ``count[i]`` entries from ``start[i]`` on, the first ``ordered[i]`` of them by column, and room
    for ``forest.lengths[i]``.
    """

    kind = "sparse"

    def __init__(self, A: Any) -> None:
        super().__init__((int(A.shape[0]), int(A.shape[1])), A.dtype)
        csr = A.tocsr().copy()
        csr.sum_duplicates()
        self.columns = csr.indices.astype(np.int64)
        self.values = np.array(csr.data)
        self.start = csr.indptr[:-1].astype(np.int64)
        self.count = np.diff(csr.indptr).astype(np.int64)
        self.ordered = self.count.copy()
        self.room = self.count.copy()
        self.used = self.columns.size
        self.rebuild()

    def rebuild(self) -> None:
        held = self._slots(np.arange(self.shape[0]))
        self.exponent = weights.exponent_of(self.values[held])
        self.forest = Forest.of_lengths(self.room)
        self.forest_used = self.forest.arena.size
        row = np.repeat(np.arange(self.shape[0]), self.count)
        leaves = self.forest.offsets[row] + held - self.start[row]
        self.forest.arena[leaves] = weights.squares(self.values[held], self.exponent)
        if self.shape[0]:
            self.forest.build()

    def _slots(self, rows: Array) -> Array:
        """Places of all entries of some rows, row by row."""
        counts = self.count[rows]
        ends = np.cumsum(counts)
        total = int(ends[-1]) if ends.size else 0
        return np.repeat(self.start[rows] - (ends - counts), counts) + np.arange(total)

    def rows(self, rows: Array) -> Array:
        slots = self._slots(rows)
        self.entries_read += slots.size
        out = np.zeros((rows.size, self.shape[1]), self.dtype)
        out[np.repeat(np.arange(rows.size), self.count[rows]), self.columns[slots]] = self.values[slots]
        return out

    def block(self, rows: Array, columns: Array) -> Array:
        i, j = np.repeat(rows, columns.size), np.tile(columns, rows.size)
        return self.entries(i, j).reshape(rows.size, columns.size)

    def entries(self, rows: Array, columns: Array) -> Array:
        self.entries_read += rows.size
        slots = self._find(rows, columns)
        out = np.zeros(rows.size, self.dtype)
        out[slots >= 0] = self.values[slots[slots >= 0]]
        return out

    def _find(self, rows: Array, columns: Array) -> Array:
        """Where the entries stand, -1 for those that are zero: a bisection of all at a time."""
        low, high = self.start[rows].copy(), self.start[rows] + self.ordered[rows]
        end = high.copy()
        while np.any(low < high):
            middle = (low + high) // 2
            open_ = low < high
            below = open_ & (self.columns[np.where(open_, middle, 0)] < columns)
            low = np.where(below, middle + 1, low)
            high = np.where(open_ & ~below, middle, high)
        inside = low < end
        found = np.full(rows.size, -1, np.int64)
        hit = inside.copy()
        hit[inside] = self.columns[low[inside]] == columns[inside]
        found[hit] = low[hit]
        for k in np.flatnonzero(~hit & (self.count[rows] > self.ordered[rows])):
            i = rows[k]
            tail = slice(self.start[i] + self.ordered[i], self.start[i] + self.count[i])
            place = np.flatnonzero(self.columns[tail] == columns[k])
            if place.size:
                found[k] = tail.start + place[0]
        return found

    def draw(self, rows: Array, source: Source, stream: int, first: int) -> Array:
        leaves = draw_each(self.forest, rows, source, stream, first)
        return np.where(leaves < 0, -1, self.columns[self.start[rows] + np.maximum(leaves, 0)])

    def update(self, rows: Array, columns: Array, values: Array) -> bool:
        squares = weights.squares(values, self.exponent)
        slots = self._find(rows, columns)
        for k in np.flatnonzero(slots < 0):
            again = self._find(rows[k : k + 1], columns[k : k + 1])[0]  # one of the new ones, twice
            slots[k] = again if again >= 0 else self._insert(int(rows[k]), int(columns[k]))
        # A row that moved since its slot was found has moved as a whole, and was sorted.
        slots = self._find(rows, columns)
        self.values[slots] = values
        self.forest.update(rows, slots - self.start[rows], squares)
        return not (squares.size and float(squares.max()) > weights.LARGEST)

    def _insert(self, i: int, column: int) -> int:
        if self.count[i] == self.room[i]:
            self._move(i)
        slot = int(self.start[i] + self.count[i])
        self.columns[slot], self.values[slot] = column, 0
        self.count[i] += 1
        return slot

    def _move(self, i: int) -> None:
        """Give row i half as much room again, and put it in order.

        Whatever line an interrupt comes at, columns and values are those of before or after: the new place is
        taken before anything points to it.
        """
        here = slice(self.start[i], self.start[i] + self.count[i])
        order = np.argsort(self.columns[here], kind="stable")
        room = int(self.room[i]) * 3 // 2 + 8
        self._reserve(room, tree_size(room))
        start, offset = self.used, self.forest_used
        self.used += room
        self.forest_used += tree_size(room)
        there = slice(start, start + int(self.count[i]))
        self.columns[there], self.values[there] = self.columns[here][order], self.values[here][order]
        leaves = self.forest.arena[self.forest.offsets[i] :][: self.count[i]][order]
        self.forest.arena[offset : offset + leaves.size] = leaves
        self.forest.offsets[i], self.forest.lengths[i] = offset, room
        Forest(self.forest.arena, self.forest.offsets[i : i + 1], self.forest.lengths[i : i + 1]).build()
        self.start[i] = start
        self.room[i], self.ordered[i] = room, self.count[i]

    def _reserve(self, entries: int, sums: int) -> None:
        if self.used + entries > self.values.size:
            size = max(2 * (self.used + entries), self.columns.size)
            self.columns = _grown(self.columns, size)
            self.values = _grown(self.values, size)
        if self.forest_used + sums > self.forest.arena.size:
            larger = arena(2 * (self.forest_used + sums))
            larger[: self.forest_used] = self.forest.arena[: self.forest_used]
            self.forest.arena = larger


def _grown(array: Array, size: int) -> Array:
    out = np.zeros(size, array.dtype)
    out[: array.size] = array
    return out

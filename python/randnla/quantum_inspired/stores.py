# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Where the entries of a matrix are: in an array with a tree for each row, or with whoever makes the rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.kernels.weighted_draws import Forest

from . import weights
from .source import Source

Array = NDArray[Any]
_BLOCK = 1 << 22  # entries read at a time


class Store(ABC):
    """Entries of a matrix, and draws within its rows. What was read is counted in `entries_read`."""

    kind: str

    def __init__(self, shape: tuple[int, int], dtype: Any) -> None:
        self.shape = shape
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.exponent = 0
        self.entries_read = 0

    @abstractmethod
    def totals(self) -> Array:
        """Squared norms of the rows in units of 4^exponent."""

    @abstractmethod
    def rows(self, rows: Array) -> Array:
        """Whole rows (k, n)."""

    @abstractmethod
    def block(self, rows: Array, columns: Array) -> Array:
        """All entries of some rows in some columns (k, l)."""

    @abstractmethod
    def entries(self, rows: Array, columns: Array) -> Array:
        """One entry for each pair."""

    @abstractmethod
    def draw(self, rows: Array, source: Source, stream: int, first: int) -> Array:
        """A column of each row, by squared modulus; draw i of the stream is for ``rows[i - first]``."""


class TreeStore(Store):
    """A store that holds the entries, with a sum tree for every row, and takes new ones."""

    forest: Forest

    @abstractmethod
    def rebuild(self) -> None:
        """All sums anew, in a unit that fits."""

    @abstractmethod
    def update(self, rows: Array, columns: Array, values: Array) -> bool:
        """Set entries; False if a square left the range of the unit, and `rebuild` must be called."""

    def totals(self) -> Array:
        return self.forest.totals()

    def totals_of(self, rows: Array) -> Array:
        """`totals` of some rows."""
        return Forest(self.forest.arena, self.forest.offsets[rows], self.forest.lengths[rows]).totals()


class DenseStore(TreeStore):
    """An array, and a sum tree for every row."""

    kind = "dense"

    def __init__(self, A: Array) -> None:
        super().__init__((A.shape[0], A.shape[1]), A.dtype)
        self.array = np.array(A, order="C")
        self.rebuild()

    def rebuild(self) -> None:
        m, n = self.shape
        self.exponent = weights.exponent_of(self.array)
        self.forest = Forest.equal(m, n)
        if m and n:
            leaves = self.forest.arena.reshape(m, -1)
            step = max(1, _BLOCK // n)
            for i in range(0, m, step):
                leaves[i : i + step, :n] = weights.squares(self.array[i : i + step], self.exponent)
            self.forest.build()

    def rows(self, rows: Array) -> Array:
        self.entries_read += rows.size * self.shape[1]
        return np.asarray(self.array[rows])

    def block(self, rows: Array, columns: Array) -> Array:
        self.entries_read += rows.size * columns.size
        return np.asarray(self.array[np.ix_(rows, columns)])

    def entries(self, rows: Array, columns: Array) -> Array:
        self.entries_read += rows.size
        return np.asarray(self.array[rows, columns])

    def draw(self, rows: Array, source: Source, stream: int, first: int) -> Array:
        return draw_each(self.forest, rows, source, stream, first)

    def update(self, rows: Array, columns: Array, values: Array) -> bool:
        self.array[rows, columns] = values
        squares = weights.squares(values, self.exponent)
        self.forest.update(rows, columns, squares)
        return not (squares.size and float(squares.max()) > weights.LARGEST)


def draw_each(forest: Forest, trees: Array, source: Source, stream: int, first: int) -> Array:
    """One draw of each tree."""
    return forest.draw(trees, trees.size, seed=source.seed, stream=stream, first=first)


class RowStore(Store):
    """Rows made on demand, by a function or from a file; of each, only its norm is held."""

    kind = "rows"

    def __init__(
        self,
        shape: tuple[int, int],
        dtype: Any,
        make: Callable[[Array], Any] | None,
        norms: Array | None,
        entries: Callable[[Array, Array], Any] | None = None,
        bounds: Array | None = None,
    ) -> None:
        super().__init__(shape, dtype)
        self._make, self._entries = make, entries
        lengths = self._measure() if norms is None else norms
        self.exponent = weights.exponent_of(lengths)
        self._totals = weights.squares(lengths, self.exponent)
        self._bounds = None if bounds is None else weights.squares(bounds, self.exponent)

    def _measure(self) -> Array:
        """Norms of all rows, in one pass."""
        out = np.zeros(self.shape[0])
        step = max(1, _BLOCK // max(1, self.shape[1]))
        for i in range(0, self.shape[0], step):
            block = self.rows(np.arange(i, min(i + step, self.shape[0])))
            for row, values in enumerate(block, start=i):
                e = weights.exponent_of(values)
                out[row] = weights.length(float(weights.squares(values, e).sum()), e)
        self.entries_read = 0
        if not np.all(np.isfinite(out)):
            raise InputError("A: a row has a norm beyond float64; scale the matrix")
        return out

    def totals(self) -> Array:
        return self._totals

    def rows(self, rows: Array) -> Array:
        self.entries_read += rows.size * self.shape[1]
        if self._make is None:
            columns = np.arange(self.shape[1])
            return np.concatenate([self._asked(np.full(columns.size, i), columns)[None] for i in rows])
        return self._checked(self._make(rows), (rows.size, self.shape[1]), "rows(i)")

    def block(self, rows: Array, columns: Array) -> Array:
        if self._entries is None:
            return self.rows(rows)[:, columns]
        self.entries_read += rows.size * columns.size
        i, j = np.repeat(rows, columns.size), np.tile(columns, rows.size)
        return self._asked(i, j).reshape(rows.size, columns.size)

    def entries(self, rows: Array, columns: Array) -> Array:
        if self._entries is not None:
            self.entries_read += rows.size
            return self._asked(rows, columns)
        different, place = np.unique(rows, return_inverse=True)
        out = np.empty(rows.size, self.dtype)
        step = max(1, _BLOCK // max(1, self.shape[1]))
        for i in range(0, different.size, step):
            here = (place >= i) & (place < i + step)
            out[here] = self.rows(different[i : i + step])[place[here] - i, columns[here]]
        return out

    def _asked(self, rows: Array, columns: Array) -> Array:
        assert self._entries is not None
        return self._checked(self._entries(rows, columns), (rows.size,), "entries(i, j)")

    def _checked(self, given: Any, shape: tuple[int, ...], what: str) -> Array:
        array = validate.native(
            validate.as_array(given, name=f"A.{what}", ndim=len(shape)), self.dtype, name=f"A.{what}"
        )
        if array.shape != shape:
            raise InputError(f"A.{what}: expected shape {shape}, got {array.shape}")
        validate.require_finite(array, name=f"A.{what}")
        return array

    def draw(self, rows: Array, source: Source, stream: int, first: int) -> Array:
        if self._bounds is not None:
            return self._draw_below(rows, source, stream, first)
        different, place = np.unique(rows, return_inverse=True)
        points = source.uniforms(stream, rows.size, first)
        out = np.empty(rows.size, np.int64)
        step = max(1, _BLOCK // max(1, self.shape[1]))
        for i in range(0, different.size, step):
            block = self.rows(different[i : i + step])
            for k, row in enumerate(block, start=i):
                ends = np.cumsum(weights.squares(row, weights.exponent_of(row)))
                here = np.flatnonzero(place == k)
                found = np.searchsorted(ends, points[here] * ends[-1], side="right")
                # Beyond the end by rounding: the last entry that is not zero.
                out[here] = np.minimum(found, np.searchsorted(ends, ends[-1], side="left"))
        return out

    def _draw_below(self, rows: Array, source: Source, stream: int, first: int) -> Array:
        """From the uniform distribution, by rejection under the bound of the row; draw by draw."""
        assert self._bounds is not None
        out = np.empty(rows.size, np.int64)
        left = np.arange(rows.size)
        for attempt in range(1 << 16):
            if not left.size:
                return out
            points = source.uniforms(stream, rows.size, first, row=2 * attempt)[left]
            columns = np.minimum((points * self.shape[1]).astype(np.int64), self.shape[1] - 1)
            values = weights.squares(self.entries(rows[left], columns), self.exponent)
            self._require_below(values, rows[left], columns)
            chance = source.uniforms(stream, rows.size, first, row=2 * attempt + 1)[left]
            good = chance * self._bounds[rows[left]] < values
            out[left[good]] = columns[good]
            left = left[~good]
        raise InputError("row_bounds: expected bounds near the largest entry of a row; nothing was accepted")

    def _require_below(self, squares: Array, rows: Array, columns: Array) -> None:
        """Refuse entries that were read to be beyond the bound of their row by more than rounding."""
        assert self._bounds is not None
        slack = 1 + 16 * float(np.finfo(self.dtype).eps)
        beyond = np.flatnonzero(squares > slack * self._bounds[rows])
        if beyond.size:
            k = beyond[0]
            bound, size = (
                weights.length(float(square), self.exponent) for square in (self._bounds[rows[k]], squares[k])
            )
            raise InputError(
                f"row_bounds: expected upper bounds of the moduli of the rows, got {bound:.6g} for row "
                f"{rows[k]}, whose entry {columns[k]} has {size:.6g}"
            )

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Rows that can be drawn from: chosen rows of a matrix, and vectors put together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .source import Source
from .sq_matrix import SQMatrix
from .sq_vector import SQVector

Array = NDArray[Any]


class RowStack(ABC):
    """A (count, length) matrix R with sampling and query access to each row."""

    count: int
    length: int
    dtype: np.dtype[Any]
    norms: Array  # (count,), float64

    @abstractmethod
    def draw(self, which: Array, source: Source, stream: int, first: int) -> Array:
        """For each index of a row, a column by squared modulus."""

    @abstractmethod
    def at(self, columns: Array) -> Array:
        """All rows in some columns, (count, k)."""

    @abstractmethod
    def entries(self, which: Array, columns: Array) -> Array:
        """One entry for each pair of a row and a column."""

    def dense(self) -> Array:
        """R itself."""
        return self.at(np.arange(self.length))


class MatrixRows(RowStack):
    """Rows of a matrix, each times a positive number."""

    def __init__(self, A: SQMatrix, rows: Array, scales: Array) -> None:
        self.A, self.rows = A, rows
        self.count, self.length = rows.size, A.shape[1]
        self.dtype = A.dtype
        self.scales = scales
        # Row norms may leave float64 where scaled ones do not: the power of two is multiplied in once.
        self.norms = np.ldexp(scales, A.exponent) * np.sqrt(A.row_weights(rows))

    def draw(self, which: Array, source: Source, stream: int, first: int) -> Array:
        return self.A.draw_columns(self.rows[which], source, stream, first=first)

    def at(self, columns: Array) -> Array:
        different, place = np.unique(self.rows, return_inverse=True)
        return self._scaled(self.A.block(different, columns)[place], self.scales[:, None])

    def entries(self, which: Array, columns: Array) -> Array:
        return self._scaled(self.A.query(self.rows[which], columns), self.scales[which])

    def dense(self) -> Array:
        different, place = np.unique(self.rows, return_inverse=True)
        return self._scaled(self.A.rows(different)[place], self.scales[:, None])

    def _scaled(self, values: Array, scales: Array) -> Array:
        wide = np.complex128 if self.dtype.kind == "c" else np.float64
        return np.asarray(values.astype(wide) * scales)


class VectorRows(RowStack):
    """Vectors as rows."""

    def __init__(self, vectors: Sequence[SQVector]) -> None:
        self.vectors = list(vectors)
        self.count, self.length = len(self.vectors), self.vectors[0].size
        self.dtype = np.result_type(*(v.dtype for v in self.vectors))
        self.norms = np.array([v.norm() for v in self.vectors])

    def draw(self, which: Array, source: Source, stream: int, first: int) -> Array:
        # The numbers of a draw are those of its position, whichever vector it falls to.
        out = np.empty(which.size, np.int64)
        for t in np.unique(which):
            out[which == t] = self.vectors[t].draw(which.size, source, stream, first=first)[which == t]
        return out

    def at(self, columns: Array) -> Array:
        return np.stack([np.asarray(v.query(columns)) for v in self.vectors])

    def entries(self, which: Array, columns: Array) -> Array:
        out = np.empty(which.size, self.dtype)
        for t in np.unique(which):
            out[which == t] = self.vectors[t].query(columns[which == t])
        return out


class Stacked(RowStack):
    """Stacks, one below the other."""

    def __init__(self, parts: Sequence[RowStack]) -> None:
        self.parts = list(parts)
        self.ends = np.cumsum([part.count for part in self.parts])
        self.count, self.length = int(self.ends[-1]), self.parts[0].length
        self.dtype = np.result_type(*(part.dtype for part in self.parts))
        self.norms = np.concatenate([part.norms for part in self.parts])

    def draw(self, which: Array, source: Source, stream: int, first: int) -> Array:
        # A part draws for every position, from its first row where the position is not its own: which
        # numbers a draw has depends on its position alone.
        out = np.empty(which.size, np.int64)
        for part, start, mine in self._split(which):
            usable = int(np.argmax(part.norms > 0))
            drawn = part.draw(np.where(mine, which - start, usable), source, stream, first)
            out[mine] = drawn[mine]
        return out

    def at(self, columns: Array) -> Array:
        return np.concatenate([part.at(columns) for part in self.parts])

    def entries(self, which: Array, columns: Array) -> Array:
        out = np.empty(which.size, np.result_type(self.dtype, np.float64))
        for part, start, mine in self._split(which):
            out[mine] = part.entries(which[mine] - start, columns[mine])
        return out

    def dense(self) -> Array:
        return np.concatenate([part.dense() for part in self.parts])

    def _split(self, which: Array) -> list[tuple[RowStack, int, Array]]:
        starts = [0, *self.ends[:-1].tolist()]
        found = []
        for part, start, end in zip(self.parts, starts, self.ends, strict=True):
            mine = (which >= start) & (which < end)
            if np.any(mine):
                found.append((part, start, mine))
        return found


def whole(A: SQMatrix) -> MatrixRows:
    """All rows of a matrix as they are."""
    return MatrixRows(A, np.arange(A.shape[0]), np.ones(A.shape[0]))

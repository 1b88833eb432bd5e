# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Rows that can be drawn from: chosen rows of a matrix, and vectors put together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend.errors import InputError

from .source import Source
from .sq_matrix import SQMatrix
from .sq_vector import SQVector

Array = NDArray[Any]
_LOWEST = -1022


class RowStack(ABC):
    """A (count, length) matrix R with sampling and query access to each row."""

    count: int
    length: int
    dtype: np.dtype[Any]

    @property
    @abstractmethod
    def version(self) -> int:
        """Grows with every update of what the rows are made of."""

    @abstractmethod
    def lengths(self) -> tuple[Array, Array]:
        """Norms of the rows as they are, (count,) times two to the powers (count,)."""

    def units(self) -> Array:
        """What to multiply each row by for a length in [1/2, 1), (count,); powers of two."""
        return np.ldexp(1.0, -self.lengths()[1])

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
    """Rows of a matrix, each times a positive number: as they are, or `fixed`, as they were or not at all."""

    def __init__(self, A: SQMatrix, rows: Array, scales: Array, *, fixed: bool = False) -> None:
        self._A, self.rows, self.scales = A, rows, scales
        self._made = A.version if fixed else None
        self.count, self.length = rows.size, A.shape[1]
        self.dtype = A.dtype

    @property
    def A(self) -> SQMatrix:
        """The matrix, if it may be used."""
        self.require_current()
        return self._A

    def require_current(self) -> None:
        """Look whether fixed rows are those of the matrix.

        Raises
        ------
        InputError
            The matrix was updated since.
        """
        if self._made is not None and self._A.version != self._made:
            raise InputError(
                f"A: expected the matrix as it was sampled, at version {self._made}, got one updated since, "
                f"at version {self._A.version}; make the result anew"
            )

    @property
    def version(self) -> int:
        return self._A.version

    def lengths(self) -> tuple[Array, Array]:
        A = self.A
        return _apart(self.scales * np.sqrt(A.row_weights(self.rows)), A.exponent)

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

    @property
    def version(self) -> int:
        return sum(v.version for v in self.vectors)

    def lengths(self) -> tuple[Array, Array]:
        exponents = np.array([v.exponent for v in self.vectors])
        return _apart(np.sqrt([v.weight for v in self.vectors]), exponents)

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

    @property
    def version(self) -> int:
        return sum(part.version for part in self.parts)

    def lengths(self) -> tuple[Array, Array]:
        lengths, exponents = zip(*(part.lengths() for part in self.parts), strict=True)
        return np.concatenate(lengths), np.concatenate(exponents)

    def draw(self, which: Array, source: Source, stream: int, first: int) -> Array:
        # A part draws for every position, from its first row where the position is not its own: which
        # numbers a draw has depends on its position alone.
        out = np.empty(which.size, np.int64)
        for part, start, mine in self._split(which):
            usable = int(np.argmax(part.lengths()[0] > 0))
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


def _apart(lengths: Array, exponents: Any) -> tuple[Array, Array]:
    """Lengths in [1/2, 1) and powers of two, those of which two to the opposite is a number as well."""
    parts, powers = np.frexp(lengths)
    powers = np.where(parts > 0, powers + exponents, 0)
    held = np.maximum(powers, _LOWEST)
    return np.ldexp(parts, powers - held), held


def whole(A: SQMatrix) -> MatrixRows:
    """All rows of a matrix as they are."""
    return MatrixRows(A, np.arange(A.shape[0]), np.ones(A.shape[0]))

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sampling and query access to a vector."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import weighted_draws
from randnla._backend.kernels.weighted_draws import Forest

from . import arguments, weights
from .source import Source

Array = NDArray[Any]
_FIRST = np.zeros(1, np.int64)


class SQVector:
    """A vector whose entries are drawn by their squared moduli, read and changed one at a time.

    Parameters
    ----------
    v : array of shape (n,)
        Real or complex; copied.
    method : {"tree", "alias"}
        "tree" holds a sum tree: draws and updates in O(log n). "alias" holds an alias table: draws in O(1),
        several times faster for long vectors, but an update has the whole table built anew, in O(n), before
        the next draw. The two draw different indices of one seed.
    check_finite : bool
        Refuse NaN and Inf. With False, a vector that holds one has no promised distribution.

    Attributes
    ----------
    size : int
    shape : tuple
    dtype : dtype
    method : str
    entries_read : int
        Entries that were read by `query`.
    version : int
        How often `update` was called: what was derived from the vector is out of date when it changed.

    Raises
    ------
    InputError
        `v` is not a vector of numbers.
    NonFiniteError
        `v` holds NaN or Inf.

    Notes
    -----
    *Algorithm*: the data structure SQ(v) of Chia, Gilyen, Li, Lin, Tang and Wang, "Sampling-based sublinear
    low-rank matrix arithmetic framework for dequantizing quantum machine learning" (STOC 2020), Definition
    2.6, as a tree of fan eight, a node of which is one cache line, or an alias table (Walker, 1977; Vose,
    1991). Sums are made anew from the leaf up in an update: a million updates later the tree is, bit for
    bit, that of the vector as it then is.

    *Cost*: 8 n 8/7 bytes for the tree, 16 n for the table, beside the vector; one pass to build.

    Examples
    --------
    >>> v = SQVector([3.0, 0.0, 4.0])
    >>> v.norm()
    5.0
    >>> v.sample(8, rng=0)
    array([2, 0, 0, 2, 2, 0, 0, 2])
    >>> v.update(2, 0.0)
    >>> v.sample(3, rng=0)
    array([0, 0, 0])
    """

    def __init__(self, v: Any, *, method: str = "tree", check_finite: bool = True) -> None:
        array = validate.as_array(v, name="v", ndim=1)
        self.method = validate.choice(method, ("tree", "alias"), name="method")
        if validate.flag(check_finite, name="check_finite"):
            validate.require_finite(array, name="v")
        self._values = np.array(array)
        self.entries_read = self.version = 0
        self._build()

    def _build(self) -> None:
        self._exponent = weights.exponent_of(self._values)
        squares = weights.squares(self._values, self._exponent)
        self._cells: Array | None = None
        self._forest: Forest | None = None
        if self.method == "tree":
            self._forest = Forest.equal(1, self.size)
            self._forest.arena[: self.size] = squares
            self._forest.build()
            self._total = self._forest.total()
        else:
            self._total = float(squares.sum())
            if self._total > 0:
                self._cells = weighted_draws.alias_table(squares)
        self._stale = False

    @property
    def size(self) -> int:
        """Number of entries."""
        return int(self._values.size)

    @property
    def shape(self) -> tuple[int]:
        """``(size,)``."""
        return (self.size,)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the entries."""
        return self._values.dtype

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"SQVector(size={self.size}, dtype={self.dtype}, method={self.method!r})"

    def norm(self) -> float:
        """The 2-norm."""
        return weights.length(self.weight, self._exponent)

    @property
    def weight(self) -> float:
        """The squared norm in units of ``4**exponent``."""
        self._refresh()
        return self._total

    @property
    def exponent(self) -> int:
        """Weights are squares in units of two to this power."""
        self._refresh()
        return self._exponent

    def query(self, i: Any) -> Any:
        """Entry i, or the entries of an array of indices."""
        index = arguments.index(i, self.size, name="i")
        self.entries_read += index.size
        return self._values[index] if np.ndim(i) else self._values[index[0]]

    def to_dense(self) -> Array:
        """A copy of the vector."""
        return self._values.copy()

    def sample(self, size: int = 1, *, rng: Any = None) -> Array:
        """Indices, independent, i with probability ``|v[i]|**2 / norm()**2``.

        Parameters
        ----------
        size : int
            How many.
        rng : None, int, SeedSequence or Generator
            The seed; the same one gives the same indices for any number of threads.

        Returns
        -------
        ndarray of int64, shape (size,)

        Raises
        ------
        InputError
            All entries are zero: there is nothing to draw.
        """
        size = validate.integer(size, name="size", low=0)
        source = Source(rng)
        return self.draw(size, source, source.take())

    def draw(self, size: int, source: Source, stream: int, *, first: int = 0, row: int = 0) -> Array:
        """Draws first .. first + size - 1 of a stream: what `sample` gives, for use inside algorithms."""
        self._refresh()
        if not self._total > 0:
            raise InputError("v: expected a nonzero entry to draw, all are zero")
        place = {"seed": source.seed, "stream": stream, "row": row, "first": first}
        if self._cells is not None:
            return weighted_draws.draw_alias(self._cells, size, **place)
        assert self._forest is not None
        return self._forest.draw(_FIRST, size, **place)

    def update(self, i: Any, value: Any) -> None:
        """Set entry i, or those of an array of indices, in order.

        If it is interrupted, the entries have their old or their new values, all of them, and norm and draws
        are those of the entries.

        Parameters
        ----------
        i : int or array of int
        value : number or array of numbers
            Finite, of a type that the dtype of the vector holds.

        Raises
        ------
        InputError
            An index is out of range or a value no finite number of the dtype; nothing is changed.
        """
        index = arguments.index(i, self.size, name="i")
        values = arguments.numbers(value, index.size, self.dtype)
        forest = None if self._stale else self._forest
        self.version += 1
        self._stale = True
        self._values[index] = values
        if forest is None:
            return
        squares = weights.squares(values, self._exponent)
        if squares.size and float(squares.max()) > weights.LARGEST:
            return
        forest.update(np.zeros(index.size, np.int64), index, squares)
        before, self._total = self._total, forest.total()
        lost = self._total < weights.SMALLEST and (before > self._total or bool(np.any(values)))
        self._stale = lost

    def _refresh(self) -> None:
        """All sums anew, after changes that the structure did not follow."""
        if self._stale:
            self._build()

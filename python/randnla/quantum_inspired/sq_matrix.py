# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sampling and query access to a matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError, NonFiniteError
from randnla._backend.kernels.weighted_draws import Forest

from . import arguments, weights
from .source import Source
from .sparse_store import SparseStore
from .stores import DenseStore, RowStore, Store, TreeStore

Array = NDArray[Any]
_FIRST = np.zeros(1, np.int64)


class SQMatrix:
    """A matrix whose rows, and entries within rows, are drawn by squared length, read and changed singly.

    Parameters
    ----------
    A : array, sparse matrix or memmap of shape (m, n)
        Real or complex. Arrays and sparse matrices are copied, with a sum tree for every row. Of a memmap
        only the norms of the rows are held, from one pass over it; its rows are read when they are drawn
        from, and it cannot be updated. See `from_rows` for matrices that exist as a function.
    check_finite : bool
        Refuse NaN and Inf; those of a memmap are always refused, for its rows are looked at anyway.

    Attributes
    ----------
    shape : tuple
    dtype : dtype
    kind : {"dense", "sparse", "rows"}
    entries_read : int
        Entries of A that were read so far by whatever was done with it, building not counted.
    version : int
        How often `update` was called: what was derived from the matrix is out of date when it changed.

    Raises
    ------
    InputError
        `A` is no matrix of numbers.
    NonFiniteError
        `A` holds NaN or Inf.

    Notes
    -----
    *Algorithm*: SQ(A) of Chia, Gilyen, Li, Lin, Tang and Wang (STOC 2020), Definition 2.10: SQ of every row,
    and of the vector of the norms of the rows. Squares are held in units of one power of two: rows shorter
    than 1e-160 of the largest entry count as zero.

    *Cost*: 8/7 of 8 bytes an entry for the trees; draws and updates O(log m + log n). A new entry of a
    sparse row is put at its end; a row that is full moves, which costs a constant for each entry added.

    Examples
    --------
    >>> A = SQMatrix([[1.0, 0.0], [2.0, 2.0]])
    >>> A.norm()
    3.0
    >>> rows, columns = A.sample(4, rng=0)
    >>> A.query(rows, columns)
    array([2., 1., 2., 2.])
    >>> A.update(0, 1, 4.0)
    >>> A.row_norms().round(3)
    array([4.123, 2.828])
    """

    def __init__(self, A: Any, *, check_finite: bool = True) -> None:
        checked = validate.flag(check_finite, name="check_finite")
        self._open(_store_of(A, check_finite=checked))

    def _open(self, store: Store) -> None:
        self._store = store
        self.version = 0
        self._top = Forest.equal(1, store.shape[0])
        self._sum()

    def _sum(self) -> None:
        self._top.arena[: self.shape[0]] = self._store.totals()
        self._top.build()
        self._total = self._top.total()
        self._stale = False

    def _refresh(self) -> None:
        """All sums anew, after an update that did not come to its end."""
        if self._stale and isinstance(self._store, TreeStore):
            self._store.rebuild()
            self._sum()

    @classmethod
    def from_rows(
        cls,
        shape: tuple[int, int],
        rows: Callable[[Array], Any] | None = None,
        *,
        entries: Callable[[Array, Array], Any] | None = None,
        row_norms: Any = None,
        row_bounds: Any = None,
        dtype: Any = np.float64,
    ) -> SQMatrix:
        """A matrix that is given by a function.

        Parameters
        ----------
        shape : (int, int)
        rows : callable, optional
            ``rows(i)`` of an int64 array of indices returns those rows, (len(i), n).
        entries : callable, optional
            ``entries(i, j)`` of two int64 arrays of one length returns ``A[i, j]``. With it, single entries
            cost no whole rows; it may stand in for `rows`.
        row_norms : array of shape (m,), optional
            Norms of the rows; without them all rows are made once.
        row_bounds : array of shape (m,), optional
            Upper bounds of the moduli of each row. With them a column is drawn by rejection from the uniform
            distribution, at n bound**2 / norm**2 entries on average, instead of from the whole row. Draws
            that come by an entry beyond its bound are refused.
        dtype : dtype
            float32, float64, complex64 or complex128.

        Returns
        -------
        SQMatrix
            It cannot be updated.

        Raises
        ------
        InputError
            Neither `rows` nor `entries` is given, or an argument is of another shape or type.

        Examples
        --------
        >>> A = SQMatrix.from_rows((1000, 10**6), entries=lambda i, j: np.cos(i * j),
        ...     row_norms=np.full(1000, 707.0), row_bounds=np.ones(1000))
        >>> A.sample(2, rng=0)
        (array([542,  48]), array([175201, 747085]))
        >>> A.entries_read
        7
        """
        if not isinstance(shape, tuple) or len(shape) != 2:
            raise InputError(f"shape: expected a pair of integers, got {validate.shown(shape)}")
        m, n = (validate.integer(size, name="shape", low=0) for size in shape)
        validate.callback(rows, name="rows")
        validate.callback(entries, name="entries")
        if rows is None and entries is None:
            raise InputError("rows, entries: give at least one of them, both are None")
        if row_bounds is not None and entries is None:
            raise InputError("row_bounds: expected entries= with it, to read single entries")
        made = cls.__new__(cls)
        store = RowStore(
            (m, n),
            validate.working_dtype(dtype, name="dtype"),
            rows,
            arguments.lengths(row_norms, m, name="row_norms"),
            entries,
            arguments.lengths(row_bounds, m, name="row_bounds"),
        )
        made._open(store)
        return made

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._store.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the entries."""
        return self._store.dtype

    @property
    def kind(self) -> str:
        """Where the entries are."""
        return self._store.kind

    @property
    def exponent(self) -> int:
        """Weights are squares in units of two to this power."""
        self._refresh()
        return self._store.exponent

    @property
    def entries_read(self) -> int:
        """Entries of A that were read so far."""
        return self._store.entries_read

    def __repr__(self) -> str:
        return f"SQMatrix(shape={self.shape}, dtype={self.dtype}, kind={self.kind!r})"

    def norm(self) -> float:
        """The Frobenius norm."""
        return weights.length(self.weight, self.exponent)

    def row_norms(self, rows: Any = None) -> Any:
        """Norms of all rows, of one, or of an array of them."""
        squares = self.row_weights(np.arange(self.shape[0]) if rows is None else self._rows(rows))
        with np.errstate(over="ignore"):
            norms = np.ldexp(np.sqrt(squares), self.exponent)
        return norms if rows is None or np.ndim(rows) else float(norms[0])

    def row_weights(self, rows: Array) -> Array:
        """Squared norms of rows in units of ``4**exponent``."""
        self._refresh()
        return np.asarray(self._top.arena[rows])

    @property
    def weight(self) -> float:
        """The squared Frobenius norm in units of ``4**exponent``."""
        self._refresh()
        return self._total

    def query(self, i: Any, j: Any) -> Any:
        """Entry (i, j), or those of two arrays of indices of one length."""
        rows, columns = self._rows(i), self._columns(j)
        if rows.size != columns.size:
            raise InputError(f"j: expected as many columns as rows, got {columns.size} and {rows.size}")
        found = self._store.entries(rows, columns)
        return found if np.ndim(i) or np.ndim(j) else found[0]

    def rows(self, rows: Any) -> Array:
        """Whole rows as an array (k, n)."""
        return self._store.rows(self._rows(rows))

    def block(self, rows: Any, columns: Any) -> Array:
        """Entries of some rows in some columns, (k, l)."""
        return self._store.block(self._rows(rows), self._columns(columns))

    def to_dense(self) -> Array:
        """The whole matrix, (m, n)."""
        return self._store.rows(np.arange(self.shape[0]))

    def sample_rows(self, size: int = 1, *, rng: Any = None) -> Array:
        """Indices of rows, independent, i with probability ``norm(A[i])**2 / norm(A)**2``.

        Raises
        ------
        InputError
            The matrix is zero.
        """
        size = validate.integer(size, name="size", low=0)
        source = Source(rng)
        return self.draw_rows(size, source, source.take())

    def sample_columns(self, rows: Any, *, rng: Any = None) -> Array:
        """For each row of an array, a column: j with probability ``|A[i, j]|**2 / norm(A[i])**2``.

        Raises
        ------
        InputError
            A row is zero.
        """
        source = Source(rng)
        return self.draw_columns(self._rows(rows), source, source.take())

    def sample(self, size: int = 1, *, rng: Any = None) -> tuple[Array, Array]:
        """Indices (rows, columns) of entries, independent, by ``|A[i, j]|**2 / norm(A)**2``.

        Parameters
        ----------
        size : int
        rng : None, int, SeedSequence or Generator

        Returns
        -------
        rows, columns : ndarray of int64, shape (size,)

        Raises
        ------
        InputError
            The matrix is zero.
        """
        size = validate.integer(size, name="size", low=0)
        source = Source(rng)
        rows = self.draw_rows(size, source, source.take())
        return rows, self.draw_columns(rows, source, source.take())

    def draw_rows(self, size: int, source: Source, stream: int, *, first: int = 0) -> Array:
        """Draws first .. first + size - 1 of a stream of rows."""
        if size and not self.weight > 0:
            raise InputError("A: expected a nonzero entry to draw, all are zero")
        return self._top.draw(_FIRST, size, seed=source.seed, stream=stream, first=first)

    def draw_columns(self, rows: Array, source: Source, stream: int, *, first: int = 0) -> Array:
        """A column of each row; draw i of the stream is for ``rows[i - first]``."""
        empty = np.flatnonzero(~(self.row_weights(rows) > 0))
        if empty.size:
            raise InputError(f"rows: expected rows that are not zero, got {rows[empty[0]]}")
        return self._store.draw(rows, source, stream, first)

    def update(self, i: Any, j: Any, value: Any) -> None:
        """Set entry (i, j), or those of two arrays of indices, in order.

        If it is interrupted, the entries have their old or their new values, all of them, and norms and draws
        are those of the entries.

        Raises
        ------
        InputError
            An index is out of range, a value no finite number of the dtype, or the matrix is given by its
            rows; nothing is changed.
        """
        store = self._store
        if not isinstance(store, TreeStore):
            raise InputError("A: the entries of a matrix given by its rows cannot be set")
        rows, columns = self._rows(i), self._columns(j)
        if rows.size != columns.size:
            raise InputError(f"j: expected as many columns as rows, got {columns.size} and {rows.size}")
        values = arguments.numbers(value, rows.size, self.dtype)
        before = self.weight
        self.version += 1
        self._stale = True
        fits = store.update(rows, columns, values)
        if fits:
            changed = np.unique(rows)
            self._top.update(np.zeros(changed.size, np.int64), changed, store.totals_of(changed))
            self._total = self._top.total()
            lost = self._total < weights.SMALLEST and (before > self._total or bool(np.any(values)))
            self._stale = lost
        self._refresh()

    def _rows(self, rows: Any) -> NDArray[np.int64]:
        return arguments.index(rows, self.shape[0], name="i")

    def _columns(self, columns: Any) -> NDArray[np.int64]:
        return arguments.index(columns, self.shape[1], name="j")


def _store_of(A: Any, *, check_finite: bool) -> Store:
    if namespace.is_sparse(A):
        dtype = validate.working_dtype(A.dtype, name="A")
        sparse = scipy.sparse.csr_array(A).astype(dtype)
        if check_finite and not np.all(np.isfinite(sparse.data)):
            bad = int(np.count_nonzero(~np.isfinite(sparse.data)))
            place = scipy.sparse.coo_array(sparse)
            first = int(np.flatnonzero(~np.isfinite(place.data))[0])
            raise NonFiniteError(
                f"A: {bad} {'entry is' if bad == 1 else 'entries are'} NaN or Inf, the first at index "
                f"({place.coords[0][first]}, {place.coords[1][first]})"
            )
        return SparseStore(sparse)
    if isinstance(A, np.memmap) and A.ndim == 2:
        dtype = validate.working_dtype(A.dtype, name="A")
        return RowStore((A.shape[0], A.shape[1]), dtype, lambda rows: np.asarray(A[rows]), None)
    array = validate.as_array(A, name="A")
    if check_finite:
        validate.require_finite(array, name="A")
    return DenseStore(array)


def as_sq(A: Any, *, name: str = "A") -> SQMatrix:
    """`A` itself if it is one, else an `SQMatrix` of it."""
    if isinstance(A, SQMatrix):
        return A
    try:
        return SQMatrix(A)
    except InputError as error:
        message = str(error)
        raise type(error)(name + message[1:] if message.startswith("A") else message) from error

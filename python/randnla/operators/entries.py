# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A matrix known by functions that return its entries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla.operators.base import Array, LinearOperator

Indices = npt.NDArray[np.int64]

_BLOCK_BYTES = 16 << 20
_DIAGONAL_BLOCK = 16  # rows of a block read for its diagonal


class EntryOperator(LinearOperator):
    """An (m, n) matrix whose entries a function of the user returns when they are asked for.

    Parameters
    ----------
    shape : tuple of int
        (m, n).
    entries : callable, optional
        ``entries(rows, columns)`` returns the block of these rows and columns, of shape
        ``(len(rows), len(columns))``, given two int64 arrays.
    columns : callable, optional
        ``columns(indices)`` returns whole columns, of shape ``(m, len(indices))``. One of `entries` and
        `columns` must be given; each stands in for the other.
    diagonal : callable, optional
        ``diagonal()`` returns the min(m, n) diagonal entries.
    dtype : dtype, default float64
        What the entries are converted to.
    name : str
        What errors call the matrix.
    check_finite : bool, default True
        Screen every block that is read.

    Attributes
    ----------
    entries_read : int
        Entries asked of the functions so far.

    Raises
    ------
    InputError
        Neither `entries` nor `columns` is given; later, a function returns a block of another shape, numbers
        of another kind or out of the range of `dtype`.
    NonFiniteError
        A block holds NaN or Inf; the message names the function.

    Notes
    -----
    What the functions themselves raise comes through unchanged. *Cost*: a product reads all m n entries, a
    block of columns of at most 16 MB at a time; without `diagonal`, the diagonal is cut from blocks of 16
    rows and reads 16 min(m, n) entries.

    Examples
    --------
    >>> import numpy as np
    >>> A = EntryOperator((50, 50), entries=lambda i, j: 1.0 / (1.0 + i[:, None] + j))
    >>> A.entries([0, 2], [1])
    array([[0.5 ],
           [0.25]])
    >>> A.entries_read
    2
    """

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        entries: Callable[[Indices, Indices], Any] | None = None,
        columns: Callable[[Indices], Any] | None = None,
        diagonal: Callable[[], Any] | None = None,
        dtype: Any = np.float64,
        name: str = "A",
        check_finite: bool = True,
    ) -> None:
        if not isinstance(shape, (tuple, list)) or len(shape) != 2:
            raise InputError(f"shape: expected two integers for {name}, got {validate.shown(shape)}")
        m = validate.integer(shape[0], name="shape[0]", low=0)
        n = validate.integer(shape[1], name="shape[1]", low=0)
        for what, function in (("entries", entries), ("columns", columns), ("diagonal", diagonal)):
            validate.callback(function, name=what)
        if entries is None and columns is None:
            raise InputError("entries, columns: give at least one of them, both are None")
        check_finite = validate.flag(check_finite, name="check_finite")
        super().__init__((m, n), validate.working_dtype(dtype, name=name), check_finite=check_finite)
        self._entries, self._columns, self._diagonal = entries, columns, diagonal
        self.name = name
        self.entries_read = 0

    @property
    def has_entries(self) -> bool:
        """Whether single blocks can be had without whole columns."""
        return self._entries is not None

    # -- entries -------------------------------------------------------------------------------------

    def entries(self, rows: Any, columns: Any) -> Array:
        """The block of these rows and columns, shape ``(len(rows), len(columns))``.

        Raises
        ------
        InputError
            An index is no integer or outside of the matrix, or the function returns no such block.
        NonFiniteError
            The block holds NaN or Inf.
        """
        rows = validate.indices(rows, self.shape[0], name="rows")
        columns = validate.indices(columns, self.shape[1], name="columns")
        if self._entries is None:
            return np.asarray(self.columns(columns)[rows])
        if not (len(rows) and len(columns)):
            return np.zeros((len(rows), len(columns)), self.dtype)
        block = self._entries(rows.copy(), columns.copy())
        return self._checked(block, (len(rows), len(columns)), "entries(rows, columns)")

    def columns(self, indices: Any) -> Array:
        """Whole columns, shape (m, j); errors as for `entries`."""
        indices = validate.indices(indices, self.shape[1], name="indices")
        if self._columns is None:
            return self.entries(np.arange(self.shape[0]), indices)
        if not len(indices):
            return np.zeros((self.shape[0], 0), self.dtype)
        block = self._columns(indices.copy())
        return self._checked(block, (self.shape[0], len(indices)), "columns(indices)")

    def diagonal(self) -> Array:
        """The first min(m, n) diagonal entries; errors as for `entries`."""
        size = min(self.shape)
        if self._diagonal is not None and size:
            return self._checked(self._diagonal(), (size,), "diagonal()")
        out = np.empty(size, self.dtype)
        for start in range(0, size, _DIAGONAL_BLOCK):
            part = np.arange(start, min(size, start + _DIAGONAL_BLOCK))
            out[part] = np.diagonal(self.entries(part, part))
        return out

    def _checked(self, block: Any, shape: tuple[int, ...], call: str) -> Array:
        """What a function returned as an array of ours: never one it may write to later."""
        name = f"{self.name}.{call}"
        array = validate.as_array(block, name=name, ndim=(0, 1, 2))
        if array.shape != shape:
            raise InputError(f"{name}: expected shape {shape}, got {array.shape}")
        array = validate.native(array, self.dtype, name=name)
        if self.check_finite:
            validate.require_finite(array, name=name)
        self.entries_read += array.size
        return np.array(array)

    # -- products ------------------------------------------------------------------------------------

    def _blocks(self) -> Iterator[tuple[slice, Array]]:
        m, n = self.shape
        step = max(1, _BLOCK_BYTES // max(1, m * self.dtype.itemsize))
        for start in range(0, n, step):
            part = slice(start, min(n, start + step))
            yield part, self.columns(np.arange(part.start, part.stop))

    def _matmat(self, X: Array) -> Array:
        out = np.zeros((self.shape[0], X.shape[1]), np.result_type(self.dtype, X.dtype))
        for part, block in self._blocks():
            out += block @ X[part]
        return out

    def _rmatmat(self, Y: Array) -> Array:
        out = np.zeros((self.shape[1], Y.shape[1]), np.result_type(self.dtype, Y.dtype))
        for part, block in self._blocks():
            out[part] = (Y.conj().T @ block).conj().T
        return out

    def to_dense(self) -> Array:
        """The whole matrix as an array."""
        out = np.empty(self.shape, self.dtype)
        for part, block in self._blocks():
            out[:, part] = block
        return out

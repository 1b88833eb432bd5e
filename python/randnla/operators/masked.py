# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The entries of a matrix at some of its positions, and zeros elsewhere."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import scipy.sparse

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import sparse
from randnla.operators.base import Array, LinearOperator
from randnla.operators.convert import as_operator
from randnla.operators.dense import Dense
from randnla.operators.lowrank import LowRank
from randnla.operators.sparse import Sparse


class Masked(Sparse):
    """``P(A)``: A where a mask is true, zero elsewhere, with its entries read once and held in CSR.

    Parameters
    ----------
    A : array, sparse matrix, `LowRank`, `EntryOperator`, `KernelMatrix` of shape (m, n)
        Only its entries within the mask are read.
    mask : bool array of shape (m, n), sparse matrix of that shape, or (rows, columns)
        True, stored and not zero, or two integer arrays of one length: the positions kept. Positions that are
        named twice count once.
    check_finite : bool, default True
        Whether drivers are to look for NaN and Inf, within the mask alone.

    Attributes
    ----------
    rows, columns : int64 arrays
        The positions, row by row, columns ascending.
    values : array
        The entries there, zeros among them.
    matrix : scipy.sparse.csr_array
        All positions stored.

    Raises
    ------
    InputError
        The mask does not fit, or single entries of A cannot be read.

    Notes
    -----
    *Cost*: products as of a sparse matrix; 12 bytes and an entry for each position kept, so that a mask of
    most positions takes more memory than an array. Entries of a `LowRank` of rank r are sums of r products; a
    function of an `EntryOperator` is called once for each row that has any.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla import LowRank, Masked
    >>> A = Masked(LowRank(np.ones((3, 1)), V=np.arange(4.0)[:, None]), ([0, 2, 2], [3, 1, 0]))
    >>> A.values
    array([3., 0., 1.])
    >>> A @ np.ones(4)
    array([3., 0., 1.])
    """

    def __init__(self, A: Any, mask: Any, *, check_finite: bool = True) -> None:
        # An array, mapped or not: only what is kept is read of it.
        op = Dense(A) if isinstance(A, np.ndarray) else as_operator(A, check_finite=check_finite)
        pattern = _pattern(mask, op.shape)
        self.rows = np.repeat(np.arange(op.shape[0], dtype=np.int64), np.diff(pattern.indptr))
        self.columns = pattern.indices.astype(np.int64)
        values = _entries(op, pattern, self.rows, self.columns)
        super().__init__(_filled(pattern, values), check_finite=check_finite)

    @property
    def values(self) -> Array:
        """The entries, in the order of `rows` and `columns`."""
        return np.asarray(self.matrix.data)

    def with_values(self, values: Any) -> Self:
        """The same positions with other entries; the pattern is shared, not copied.

        Parameters
        ----------
        values : array, shape (len(rows),)

        Raises
        ------
        InputError
            There are more or fewer than positions.
        """
        given = validate.as_array(values, name="values", ndim=(1,))
        if given.shape != self.rows.shape:
            raise InputError(f"values: expected {len(self.rows)} numbers, got shape {given.shape}")
        made = type(self).__new__(type(self))
        made.rows, made.columns = self.rows, self.columns
        Sparse.__init__(made, _filled(self.matrix, np.array(given)), check_finite=self.check_finite)
        return made


def _filled(pattern: Any, values: Array) -> Any:
    made = scipy.sparse.csr_array((values, pattern.indices, pattern.indptr), shape=pattern.shape, copy=False)
    made.has_sorted_indices = made.has_canonical_format = True
    return made


def _pattern(mask: Any, shape: tuple[int, int]) -> Any:
    """The positions as a canonical CSR matrix."""
    if isinstance(mask, tuple):
        if len(mask) != 2:
            raise InputError(f"mask: expected (rows, columns), got {len(mask)} parts")
        rows = validate.indices(mask[0], shape[0], name="mask[0]")
        columns = validate.indices(mask[1], shape[1], name="mask[1]")
        if len(rows) != len(columns):
            raise InputError(f"mask: expected as many rows as columns, got {len(rows)} and {len(columns)}")
        kept = scipy.sparse.coo_array((np.ones(len(rows), bool), (rows, columns)), shape=shape)
    elif scipy.sparse.issparse(mask):
        kept = mask
    else:
        kept = np.asarray(mask)
        if kept.dtype != bool:
            raise InputError(
                f"mask: expected a bool array, a sparse matrix or (rows, columns), got dtype {kept.dtype}"
            )
    if kept.shape != shape:
        raise InputError(f"mask: expected shape {shape}, got {kept.shape}")
    pattern = scipy.sparse.csr_array(kept)
    if pattern is mask:
        pattern = pattern.copy()
    pattern.sum_duplicates()
    pattern.eliminate_zeros()
    return pattern


def _entries(op: LinearOperator, pattern: Any, rows: Array, columns: Array) -> Array:
    if isinstance(op, Dense):
        return np.asarray(op.array[rows, columns])
    if isinstance(op, Sparse):
        return np.asarray(op.matrix.tocsr()[rows, columns]).ravel()
    if isinstance(op, LowRank):
        left = op.U if op.C is None else op.U * op.C if op.C.ndim == 1 else op.U @ op.C
        right = (op.U if op.V is None else op.V).conj()
        return sparse.sampled_product(pattern.indptr, pattern.indices, left, right)
    read = getattr(op, "entries", None)
    if read is None:
        raise InputError(
            f"A: expected an array or a matrix that tells its entries, got a {type(op).__name__}"
        )
    values = np.empty(len(rows), op.dtype)
    for i in np.flatnonzero(np.diff(pattern.indptr)):
        part = slice(pattern.indptr[i], pattern.indptr[i + 1])
        values[part] = read([int(i)], columns[part])[0]
    return values

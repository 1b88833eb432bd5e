# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Rows, columns and blocks of a matrix, in double precision and in units of a power of two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError, NonFiniteError
from randnla._backend.kernels import dense
from randnla.lowrank.scaling import scale_by_power
from randnla.operators import Dense, EntryOperator, LinearOperator, Sparse, as_operator

Array = NDArray[Any]
BLOCK_BYTES = 4 << 20
"""Blocks of rows that passes over all entries work on: a few of them fit the caches."""


class EntriesNotFiniteError(NonFiniteError):
    """Entries of D that were read are not finite, rather than products of them."""


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except NonFiniteError as problem:
        raise EntriesNotFiniteError(str(problem)) from None


class Access:
    """A matrix by its rows and columns.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
        Of what is returned to the user; the work is done in float64 or complex128.
    entries : int
        Entries read so far.
    exponent : int
        What is read is multiplied by 2^-exponent.
    """

    def __init__(self, D: Any, *, check_finite: bool = True, shape: tuple[int, int] | None = None) -> None:
        self.kind = namespace.kind_of(D)
        self.op: LinearOperator = as_operator(D, check_finite=check_finite, name="D")
        if shape is not None and self.op.shape != shape:
            raise InputError(f"D: expected shape {shape}, got {self.op.shape}")
        self.shape, self.dtype = self.op.shape, self.op.dtype
        self.check_finite = check_finite
        self.wide = np.dtype(np.complex128 if self.dtype.kind == "c" else np.float64)
        self.entries, self.exponent = 0, 0
        # Compressed both ways, so that neither rows nor columns are searched for.
        self._by_row = self.op.matrix.tocsr() if isinstance(self.op, Sparse) else None
        self._by_column = self.op.matrix.tocsc() if isinstance(self.op, Sparse) else None

    def _finished(self, block: Any, first: int = 0) -> Array:
        found = np.array(block, self.wide)
        self.entries += found.size
        if self.check_finite:
            validate.require_finite(found, name="D", row_offset=first)
        return scale_by_power(found, -self.exponent)

    @_reading()
    def rows(self, index: Array) -> Array:
        """D[index], (j, n), a copy."""
        if isinstance(self.op, Dense):
            return self._finished(self.op.array[index])
        if self._by_row is not None:
            return self._finished(self._by_row[index].toarray())
        if isinstance(self.op, EntryOperator):
            return self._finished(self.op.entries(index, np.arange(self.shape[1])))
        return self._finished(self.op.rmatmat(self._units(index, 0)).conj().T)

    @_reading()
    def columns(self, index: Array) -> Array:
        """D[:, index], (m, j), a copy."""
        if isinstance(self.op, Dense):
            return self._finished(self.op.array[:, index])
        if self._by_column is not None:
            return self._finished(self._by_column[:, index].toarray())
        if isinstance(self.op, EntryOperator):
            return self._finished(self.op.columns(index))
        return self._finished(self.op.matmat(self._units(index, 1)))

    def _units(self, index: Array, axis: int) -> Array:
        E = np.zeros((self.shape[axis], index.size))
        E[index, np.arange(index.size)] = 1
        return E

    def blocks(self) -> Iterator[tuple[slice, Array]]:
        """All rows, a block at a time."""
        m, n = self.shape
        step = max(1, BLOCK_BYTES // max(1, n * self.wide.itemsize))
        for start in range(0, m, step):
            part = slice(start, min(m, start + step))
            yield part, self._block(part)

    @_reading()
    def _block(self, part: slice) -> Array:
        if isinstance(self.op, Dense):
            return self._finished(self.op.array[part], part.start)
        return self.rows(np.arange(part.start, part.stop))


def exceeding(X: Array, level: float) -> Array:
    """Where ``|X| > level``."""
    if X.dtype.kind == "c":
        return np.asarray(np.abs(X) > level)
    found = level < X
    return np.asarray(np.logical_or(found, -level > X, out=found))


def sparse_errors(D: Access, left: Array, V: Array, level: float) -> scipy.sparse.csr_array:
    """Entries of ``D - left V^H`` beyond `level`, without forming the product."""
    rows, columns, values = [], [], []
    Vh = np.ascontiguousarray(V.conj().T, D.wide)
    for part, block in D.blocks():
        block -= dense.gemm(np.ascontiguousarray(left[part], D.wide), Vh)
        i, j = np.nonzero(exceeding(block, level))
        rows.append(i + part.start)
        columns.append(j)
        values.append(block[i, j])
    return assemble(rows, columns, values, D)


def assemble(
    rows: list[Array], columns: list[Array], values: list[Array], D: Access
) -> scipy.sparse.csr_array:
    """A sparse matrix of the shape and dtype of D, back in its units, from pieces that may repeat entries."""
    if not rows:
        return scipy.sparse.csr_array(D.shape, dtype=D.dtype)
    i, j, v = np.concatenate(rows), np.concatenate(columns), np.concatenate(values)
    _, first = np.unique(i.astype(np.int64) * D.shape[1] + j, return_index=True)
    v = (v[first] * 2.0**D.exponent).astype(D.dtype)
    return scipy.sparse.csr_array((v, (i[first], j[first])), shape=D.shape)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Entries of a Hermitian matrix on demand: its diagonal, small blocks and whole columns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from randnla._backend.errors import InputError, NonFiniteError
from randnla._backend.kernels import dense
from randnla.operators import Dense, EntryOperator, KernelMatrix, LinearOperator, RowStream, Sparse

from .scaling import Array, exponent_of, in_units, scale_by_power, unit_roundoff

Indices = npt.NDArray[np.int64]

_PRODUCT_BYTES = 16 << 20  # of a block of unit vectors


class Oracle:
    """A Hermitian operator read by entries, all times ``2**-exponent``.

    The exponent is even and brings the largest diagonal entry to [1/2, 2), where those of kernel matrices
    are: A times a power of four takes the same course to the bit, and the factor is scaled back without
    rounding.

    Attributes
    ----------
    entries : int
        Entries read so far.
    passes : int
        Times that a source without random access was read through.
    route : str
        "entries", "stream" or "products": how columns are had.
    """

    def __init__(self, op: LinearOperator, *, check_finite: bool) -> None:
        self.op = op
        self.size = op.shape[0]
        self.dtype = np.dtype(op.dtype)
        self.check_finite = check_finite
        self.exponent = self.entries = self.passes = 0
        direct = isinstance(op, (Dense, Sparse, KernelMatrix, EntryOperator))
        self.route = "entries" if direct else "stream" if isinstance(op, RowStream) else "products"
        # Whole columns are all that some sources give: those read for a block are kept for `columns`.
        self._whole = not direct or (isinstance(op, EntryOperator) and not op.has_entries)
        self._kept: tuple[Indices, Array] | None = None

    def diagonal(self) -> npt.NDArray[np.float64]:
        """The real diagonal in float64; fixes `exponent`."""
        before = self._asked()
        values = self._screened(self._diagonal())
        self._count(values.size, before)
        if np.iscomplexobj(values):
            size = float(np.max(np.abs(values), initial=0.0))
            if not float(np.max(np.abs(values.imag), initial=0.0)) <= math.sqrt(
                unit_roundoff(self.dtype)
            ) * size and math.isfinite(size):
                raise InputError("A: expected a Hermitian matrix, its diagonal is not real")
        d = np.array(values.real, np.float64)
        largest = float(np.max(np.abs(d), initial=0.0))
        self.exponent = exponent_of(largest) // 2 * 2 if math.isfinite(largest) else 0
        self._known = scale_by_power(d, -self.exponent)
        return self._known.copy()

    def block(self, indices: Indices) -> Array:
        """A(indices, indices) in double precision.

        Raises
        ------
        InputError
            The block is not Hermitian.
        """
        if self._whole:
            distinct, place = np.unique(indices, return_inverse=True)
            self._kept = distinct, self._read(distinct)
            B = self._kept[1][np.ix_(indices, place)]
        else:
            before = self._asked()
            B = self._screened(np.asarray(self._entries(indices)))
            self._count(B.size, before)
        B = scale_by_power(B.astype(np.result_type(self.dtype, np.float64)), -self.exponent)
        size = np.sqrt(np.abs(np.diagonal(B).real))
        skew = np.abs(B - B.conj().T)
        # Products such as X X^T are Hermitian to rounding only.
        if np.any(skew > math.sqrt(unit_roundoff(self.dtype)) * (size[:, None] * size + np.max(size) ** 2)):
            i, j = np.unravel_index(int(np.argmax(skew)), skew.shape)
            gap = in_units(float(skew[i, j]), self.exponent)
            raise InputError(
                f"A: expected a Hermitian matrix, entries {(int(indices[i]), int(indices[j]))} and "
                f"{(int(indices[j]), int(indices[i]))} differ by {gap:.3g}"
            )
        off = np.abs(np.diagonal(B).real - self._known[indices])
        if np.any(off > math.sqrt(unit_roundoff(self.dtype)) * np.max(size, initial=0.0) ** 2):
            worst = int(np.argmax(off))
            spot, told = int(indices[worst]), in_units(float(B[worst, worst].real), self.exponent)
            known = in_units(float(self._known[spot]), self.exponent)
            raise InputError(f"A: its diagonal has {known:.6g} at index {spot}, its entries {told:.6g}")
        return B

    def columns(self, indices: Indices, out: Array) -> None:
        """Put A(:, indices) into `out`, an array of the dtype of A."""
        before = self._asked()
        if self._kept is not None:
            known, kept = self._kept
            self._kept = None
            place = np.searchsorted(known, indices)
            if np.array_equal(known[np.minimum(place, len(known) - 1)], indices):
                out[...] = kept[:, place]
                scale_by_power(out, -self.exponent)
                return
        if isinstance(self.op, KernelMatrix):
            self.op.columns(indices, out=out)
        else:
            out[...] = self._columns(indices)
        self._screened(out)
        self._count(out.size, before)
        scale_by_power(out, -self.exponent)

    # -- sources -------------------------------------------------------------------------------------

    def _read(self, indices: Indices) -> Array:
        before = self._asked()
        C = self._screened(self._columns(indices))
        self._count(C.size, before)
        return C

    def _asked(self) -> int:
        return self.op.entries_read if isinstance(self.op, EntryOperator) else 0

    def _count(self, size: int, before: int) -> None:
        # An oracle knows itself what it asked for.
        self.entries += self.op.entries_read - before if isinstance(self.op, EntryOperator) else size

    def _diagonal(self) -> Array:
        op = self.op
        if isinstance(op, (KernelMatrix, EntryOperator)):
            return op.diagonal()
        if isinstance(op, Dense):
            return np.diagonal(op.array)
        if isinstance(op, Sparse):
            return np.asarray(op.matrix.diagonal())
        out = np.empty(self.size, self.dtype)
        if isinstance(op, RowStream):
            self.passes += 1
            for row, block in op.blocks():
                i = np.arange(block.shape[0])
                out[row + i] = block[i, row + i]
            return out
        step = max(1, _PRODUCT_BYTES // max(1, self.size * self.dtype.itemsize))
        for start in range(0, self.size, step):
            part = np.arange(start, min(self.size, start + step))
            out[part] = self._products(part)[part, part - start]
        self.entries += self.size * (self.size - 1)
        return out

    def _entries(self, indices: Indices) -> Array:
        op = self.op
        if isinstance(op, (KernelMatrix, EntryOperator)):
            return op.entries(indices, indices)
        if isinstance(op, Dense):
            return op.array[np.ix_(indices, indices)]
        assert isinstance(op, Sparse)
        rows = op.matrix.tocsr() if op.matrix.format == "coo" else op.matrix
        return np.asarray(rows[indices][:, indices].toarray())

    def _columns(self, indices: Indices) -> Array:
        op = self.op
        if isinstance(op, (KernelMatrix, EntryOperator)):
            return op.columns(indices)
        if isinstance(op, Dense):
            # Columns of A are rows conjugated: whichever lie together in memory.
            by_rows = abs(op.array.strides[0]) > abs(op.array.strides[1])
            return _adjoint(op.array[indices]) if by_rows else np.array(op.array[:, indices])
        if isinstance(op, Sparse):
            if op.matrix.format == "csr":
                return _adjoint(op.matrix[indices].toarray())
            return np.ascontiguousarray(op.matrix.tocsc()[:, indices].toarray())
        if isinstance(op, RowStream):
            self.passes += 1
            out = np.empty((self.size, len(indices)), self.dtype)
            for row, block in op.blocks():
                out[row : row + block.shape[0]] = block[:, indices]
            return out
        return self._products(indices)

    def _products(self, indices: Indices) -> Array:
        units = np.zeros((self.size, len(indices)), self.dtype)
        units[indices, np.arange(len(indices))] = 1
        return np.array(self.op.matmat(units))

    def _screened(self, block: Array) -> Array:
        if self.check_finite and not dense.screen(np.atleast_2d(block)).finite:
            self.op.require_finite(name="A")
            raise NonFiniteError("A: expected finite entries, a block that was read holds NaN or Inf")
        return block


def _adjoint(rows: Any) -> Array:
    return np.ascontiguousarray(rows.conj().T)

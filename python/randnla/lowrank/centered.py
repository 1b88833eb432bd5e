# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A matrix minus its column means, never formed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from randnla._backend.errors import NonFiniteError
from randnla._backend.kernels import dense
from randnla.operators import Dense, LinearOperator, Sparse
from randnla.operators.device import DeviceDense

from .device_centered import CANCELLATION, DeviceCentered
from .scaling import Array, scale_by_power

BLOCK_BYTES = 1 << 20


PILOT_ROWS = 256


class Centered(LinearOperator):
    """A - 1 mu^T with mu the column means of A.

    Where the mean does not dominate the deviations, and for sparse matrices and operators, products
    get a rank-one correction. Streams, and arrays whose mean would cost digits, are centered block by
    block as they are multiplied.

    Parameters
    ----------
    base : LinearOperator, shape (m, n)
    """

    def __init__(self, base: LinearOperator) -> None:
        super().__init__(base.shape, base.dtype, check_finite=base.check_finite)
        self.base = base
        self.readable = hasattr(base, "array") or hasattr(base, "blocks")
        self._mean: Array | None = None
        self._dominated: bool | None = None  # whether the mean exceeds the deviations

    @property
    def mean(self) -> Array:
        """The column means in float64 or complex128, shape (n,); one pass when first asked for."""
        if self._mean is None:
            self._mean = column_means(self.base)
        return self._mean

    @property
    def _row(self) -> Array:
        return self.mean.astype(self.dtype)[None, :]

    @property
    def by_blocks(self) -> bool:
        """Whether products are made of centered blocks of rows."""
        if not self.readable:
            return False
        if not isinstance(self.base, Dense):
            return True
        if self._dominated is None:
            size, spread = _pilot(self.base.array)[1:]
            self._dominated = not size <= CANCELLATION * spread
        return self._dominated

    @property
    def cancellation(self) -> float:
        """How many times the products that are subtracted may exceed the result, in the Frobenius norm."""
        if self.by_blocks:
            return 1.0
        if isinstance(self.base, Dense):
            return 1.0 + math.sqrt(CANCELLATION)
        whole, rest = self.base.frobenius_norm(), self.frobenius_norm()
        if not whole or rest is None:
            return 1.0
        return whole / rest if rest else math.inf

    @property
    def subtracted(self) -> float:
        """Norm of the sparse matrix whose products the mean is taken off, large as they may be; else 0."""
        return self.base.frobenius_norm() if isinstance(self.base, Sparse) else 0.0

    def moments(self, *, wide: bool) -> Array:
        """(A - 1 mu^T)^H (A - 1 mu^T) of a tall array in float64; the first call finds mu on the way.

        Sums are taken about a pilot mean p where the mean is large, and moved to the mean by
        G - m (mu - p)(mu - p)^H, which cancels nothing as long as p is near. If it was not, the sums
        are taken again about the mean that is known by then.
        """
        base: Any = self.base
        array, m = base.array, self.shape[0]
        point: Array | None
        if self._mean is None:
            point, size, spread = _pilot(array)
            point = None if size <= CANCELLATION * spread else point
        else:
            point = self._mean.astype(self.dtype) if self._dominated else None
        with np.errstate(over="ignore", invalid="ignore"):  # the caller looks at G
            for attempt in (0, 1):
                G, sums = dense.moments(array, point, wide=wide)
                step = sums / m
                mean = step if point is None else point + step
                G -= np.outer(step.conj(), m * step)
                trace = float(np.trace(G).real)
                if attempt or not m * float(np.vdot(step, step).real) > CANCELLATION * trace:
                    break
                point = mean.astype(self.dtype)
            size = float(np.vdot(mean, mean).real)
            self._mean = mean
            self._dominated = not m * size <= CANCELLATION * trace
        return G

    def blocks(self) -> Iterator[tuple[int, Array]]:
        """Pairs (first row, centered block of rows)."""
        row = self._row
        for start, block in row_blocks(self.base):
            with np.errstate(over="ignore", invalid="ignore"):  # what leaves the range shows in any product
                yield start, block - row

    def gram_blocks(self) -> Iterator[Array]:
        """Blocks whose Gram matrices add up to that of the short side."""
        if self.shape[0] >= self.shape[1]:
            yield from (block for _, block in self.blocks())
            return
        array: Any = self.base
        row = self._row
        for start, stop in _steps(array.array.T):
            yield (array.array[:, start:stop] - row[:, start:stop]).conj().T

    def _matmat(self, X: Array) -> Array:
        row = self._row
        if not self.by_blocks:
            X = X.astype(np.result_type(self.dtype, X.dtype), copy=False)
            if isinstance(self.base, Dense):
                return _corrected_product(self.base.array, X, -(row @ X))
            product: Array = self.base.matmat(X) - row @ X
            return product
        out = np.empty((self.shape[0], X.shape[1]), np.result_type(self.dtype, X.dtype))
        for start, block in self.blocks():
            dense.gemm(block, X.astype(out.dtype, copy=False), out[start : start + block.shape[0]])
        return out

    def _rmatmat(self, Y: Array) -> Array:
        if not self.by_blocks:
            sums = Y.sum(axis=0, dtype=np.result_type(Y.dtype, np.float64))[None, :]
            correction = self._row.conj().T * sums  # of the mean as `_matmat` knows it, in the dtype of A
            return np.asarray(self.base.rmatmat(Y) - correction.astype(np.result_type(self.dtype, Y.dtype)))
        out = np.zeros((self.shape[1], Y.shape[1]), np.result_type(self.dtype, Y.dtype))
        for row, block in self.blocks():
            part = Y[row : row + block.shape[0]].astype(out.dtype, copy=False)
            dense.gemm(block.conj().T, part, out, beta=1.0)
        return out

    def to_dense(self) -> Array:
        """The centered matrix as an array."""
        return np.asarray(self.base.to_dense() - self.mean).astype(self.dtype, copy=False)

    def require_finite(self, *, name: str = "A") -> None:
        """As for the matrix itself."""
        self.base.require_finite(name=name)

    def frobenius_norm(self) -> float | None:
        """The Frobenius norm; one pass over arrays and streams, None for operators that know none."""
        if self.by_blocks:
            return math.hypot(*(dense.screen(block).frobenius_norm for _, block in self.blocks()))
        whole = self.base.frobenius_norm()
        if not whole:
            return whole
        # ||A - 1 mu^T||_F^2 = ||A||_F^2 - m ||mu||^2, the squares taken where they are in range
        share = float(np.linalg.norm(self.mean / whole)) ** 2
        return whole * math.sqrt(max(0.0, 1.0 - self.shape[0] * share))


def centered(op: LinearOperator) -> Centered | DeviceCentered:
    """A - 1 mu^T as an operator."""
    return DeviceCentered(op) if isinstance(op, DeviceDense) else Centered(op)


def _pilot(array: Array) -> tuple[Array, float, float]:
    """Mean of some rows, its squared norm, and the mean squared distance of those rows from it."""
    step = max(1, array.shape[0] // PILOT_ROWS)
    rows = array[::step][:PILOT_ROWS].astype(np.result_type(array.dtype, np.float64))
    with np.errstate(over="ignore", invalid="ignore"):  # a nan or inf fails every comparison
        mean = rows.mean(axis=0)
        spread = float((np.abs(rows - mean) ** 2).sum()) / max(1, rows.shape[0])
        return mean.astype(array.dtype), float(np.vdot(mean, mean).real), spread


def _corrected_product(A: Array, X: Array, row: Array) -> Array:
    """A X + 1 row, the row written to each block of the result before its product is added."""
    out = np.empty((A.shape[0], X.shape[1]), X.dtype)
    step = 4096
    for start in range(0, A.shape[0], step):
        block = out[start : start + step]
        block[...] = row
        dense.gemm(A[start : start + step], X, block, beta=1.0)
    return out


def _steps(array: Array) -> Iterator[tuple[int, int]]:
    width = max(1, array.shape[1] * array.dtype.itemsize)
    step = max(16, BLOCK_BYTES // width)
    for start in range(0, array.shape[0], step):
        yield start, min(start + step, array.shape[0])


def row_blocks(op: LinearOperator) -> Iterator[tuple[int, Array]]:
    """Pairs (first row, block of rows) of an array or a stream."""
    source: Any = op
    if isinstance(op, Dense):
        for start, stop in _steps(source.array):
            yield start, source.array[start:stop]
    else:
        yield from source.blocks()


def column_means(op: LinearOperator) -> Array:
    """The mean of every column, summed in float64; one pass, two where a sum leaves the range."""
    m = op.shape[0]
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            means = _column_sums(op, 0) / max(1, m)
        except NonFiniteError:  # of a foreign operator, whose products are screened
            means = np.full(1, np.inf)
        if not np.isfinite(means).all():
            power = m.bit_length()
            means = _column_sums(op, -power) / m
            scale_by_power(means, power)
    return means


def _column_sums(op: LinearOperator, exponent: int) -> Array:
    """1^T A times 2^exponent in float64."""
    m, n = op.shape
    wide = np.result_type(op.dtype, np.float64)
    total: Array = np.zeros(n, wide)
    scale = 2.0**exponent
    if m == 0:
        return total
    if isinstance(op, Dense) or hasattr(op, "blocks"):
        for _, block in row_blocks(op):
            total += (block if exponent == 0 else block * block.dtype.type(scale)).sum(axis=0, dtype=wide)
    elif isinstance(op, Sparse):
        _add_sparse_sums(op.matrix, scale, total)
    else:
        total += op.rmatmat(np.full((m, 1), scale, op.dtype))[:, 0].conj()
    return total


def _add_sparse_sums(matrix: Any, scale: float, total: Array) -> None:
    # SciPy's own sum adds float32 in float32. Pieces, since the product widens a copy of the entries.
    by_rows = matrix.format == "csr"
    long = matrix.shape[0] if by_rows else matrix.shape[1]
    step = max(1, long * BLOCK_BYTES // (16 * max(1, matrix.nnz)))
    ones = np.full(step if by_rows else matrix.shape[0], scale, total.dtype)
    for start in range(0, long, step):
        stop = min(start + step, long)
        if by_rows:
            total += matrix[start:stop].T @ ones[: stop - start]
        else:
            total[start:stop] = matrix[:, start:stop].T @ ones

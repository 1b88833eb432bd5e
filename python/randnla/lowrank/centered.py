# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A matrix minus its column means, never formed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from randnla._backend.kernels import dense
from randnla.operators import Dense, LinearOperator, Sparse

from .scaling import Array

BLOCK_BYTES = 1 << 20


class Centered(LinearOperator):
    """A - 1 mu^T with mu the column means of A.

    Arrays and streams are centered block by block as they are multiplied, so that a mean far larger
    than the deviations costs no digits; sparse matrices and operators get a rank-one correction.

    Parameters
    ----------
    base : LinearOperator, shape (m, n)
    """

    def __init__(self, base: LinearOperator) -> None:
        super().__init__(base.shape, base.dtype, check_finite=base.check_finite)
        self.base = base
        self.mean = column_means(base)  # (n,), float64 or complex128
        self.by_blocks = hasattr(base, "array") or hasattr(base, "blocks")
        self._row = self.mean.astype(base.dtype)[None, :]

    def blocks(self) -> Iterator[tuple[int, Array]]:
        """Pairs (first row, centered block of rows)."""
        for row, block in row_blocks(self.base):
            yield row, block - self._row

    def gram_blocks(self) -> Iterator[Array]:
        """Blocks whose Gram matrices add up to that of the short side."""
        if self.shape[0] >= self.shape[1]:
            yield from (block for _, block in self.blocks())
            return
        array: Any = self.base
        for start, stop in _steps(array.array.T):
            yield (array.array[:, start:stop] - self._row[:, start:stop]).conj().T

    def _matmat(self, X: Array) -> Array:
        if not self.by_blocks:
            product: Array = self.base.matmat(X) - self._row @ X
            return product
        out = np.empty((self.shape[0], X.shape[1]), np.result_type(self.dtype, X.dtype))
        for row, block in self.blocks():
            dense.gemm(block, X.astype(out.dtype, copy=False), out[row : row + block.shape[0]])
        return out

    def _rmatmat(self, Y: Array) -> Array:
        if not self.by_blocks:
            sums = Y.sum(axis=0, dtype=np.result_type(Y.dtype, np.float64))[None, :]
            correction = self.mean.conj()[:, None] * sums
            return np.asarray(self.base.rmatmat(Y) - correction.astype(Y.dtype))
        out = np.zeros((self.shape[1], Y.shape[1]), np.result_type(self.dtype, Y.dtype))
        for row, block in self.blocks():
            part = Y[row : row + block.shape[0]].astype(out.dtype, copy=False)
            dense.gemm(block.conj().T, part, out, beta=1.0)
        return out

    def to_dense(self) -> Array:
        """The centered matrix as an array."""
        return np.asarray(self.base.to_dense() - self._row)

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
    """The mean of every column, summed in float64; one pass."""
    m, n = op.shape
    wide = np.result_type(op.dtype, np.float64)
    total: Array = np.zeros(n, wide)
    if m == 0:
        return total
    if isinstance(op, Dense) or hasattr(op, "blocks"):
        for _, block in row_blocks(op):
            total += block.sum(axis=0, dtype=wide)
    elif isinstance(op, Sparse):
        total += np.asarray(op.matrix.sum(axis=0, dtype=wide)).ravel()
    else:
        total += op.rmatmat(np.ones((m, 1), op.dtype))[:, 0].conj()
    return total / m

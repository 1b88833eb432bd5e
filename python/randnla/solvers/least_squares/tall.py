# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The tall matrix of a call, in whatever form it came: sketched, swept and multiplied, passes counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from randnla._backend.device import is_device, runtime
from randnla._backend.kernels import dense, device_dense
from randnla._backend.kernels import least_squares as kernels
from randnla.lowrank.call import kind_of_operator
from randnla.operators import Dense, Diagonal, LinearOperator, RowStream, Sparse
from randnla.operators.device import DeviceDense

Array = npt.NDArray[Any]

BLOCK_BYTES = 8 << 20
# Columns of the identity, or of a preconditioner, that an operator multiplies at a time.
COLUMNS = 64


@dataclass
class Tall:
    """B (m x n) and, below it, `damp` times the identity; rows are weighted by `row_scale`.

    Attributes
    ----------
    op : LinearOperator
    row_scale : (m,) array, optional
        What rows are multiplied by as they are read, of an array or a stream.
    damp : float
        Of the rows below; 0: none.
    passes, matvecs : int
        Times B was read; columns that it or its adjoint multiplied one by one.
    """

    op: LinearOperator
    row_scale: Array | None = None
    damp: float = 0.0
    passes: int = 0
    matvecs: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Of B, without the rows below."""
        return self.op.shape

    @property
    def wide(self) -> np.dtype[Any]:
        """float64 or complex128."""
        return np.result_type(self.op.dtype, np.float64)

    def sketch(self, S: Any) -> Array:
        """``S B``, or B itself for None; then the rows below."""
        self.passes += 1
        if S is None:
            found = self.op.to_dense()
            found = found if self.row_scale is None else found * self.row_scale[:, None]
        elif self.row_scale is not None:
            found = sum(S[:, row : row + len(block)].apply(block) for row, block in self._blocks())
        elif kind_of_operator(self.op) != "operator":
            found = self.op.sketch(S)
        else:
            # n products; d of them would be needed to apply the adjoint to the rows of S.
            self.matvecs += self.shape[1]
            found = np.empty((S.shape[0], self.shape[1]), self.op.dtype)
            for j, columns in self._identity():
                found[:, j : j + columns.shape[1]] = S.apply(self.op.matmat(columns))
        return runtime().to_host(found) if is_device(found) else np.asarray(found)

    def _identity(self) -> Iterator[tuple[int, Array]]:
        n = self.shape[1]
        for j in range(0, n, COLUMNS):
            width = min(COLUMNS, n - j)
            columns = np.zeros((n, width), np.dtype(self.op.dtype.type(0).real.dtype))
            columns[np.arange(j, j + width), np.arange(width)] = 1
            yield j, columns

    def _blocks(self, *, whole: bool = False) -> Iterator[tuple[int, Array]]:
        """Rows of an array or a stream, weighted; `whole`: all of an array without weights at once."""
        scale = self.row_scale
        whole = whole and scale is None
        if isinstance(self.op, RowStream):
            blocks: Any = self.op.blocks()
        else:
            A = self.op.array  # type: ignore[attr-defined]
            step = len(A) if whole else BLOCK_BYTES // max(1, A.shape[1] * A.itemsize)
            blocks = ((i, A[i : i + max(1, step)]) for i in range(0, len(A), max(1, step)))
        for row, block in blocks:
            yield row, block if scale is None else block * scale[row : row + len(block), None]

    def sweep(
        self, b: Array | None, x: Array, *, gram: bool = False, P: Array | None = None, upper: bool = False
    ) -> tuple[Array, Array, Array | None]:
        """B^H (b - B x) - damp^2 x, the sums of squares of b - B x, and a Gram matrix of [B; damp I] P.

        None stands for b = 0.
        """
        if isinstance(self.op, (Dense, RowStream, DeviceDense)):
            g, squares, G = self._sweep_blocks(b, x, gram=gram, P=P, upper=upper)
        else:
            r = -self.forward(x) if b is None else b - self.forward(x)
            squares = (np.abs(r) ** 2).sum(axis=0)
            g, G = self.adjoint(r), self._gram(P) if gram else None
        if self.damp:
            g = g - self.damp**2 * x
            if G is not None:
                G = G + self.damp**2 * (np.eye(len(G)) if P is None else dense.gemm(P.conj().T, P))
        return g, squares, G

    def _sweep_blocks(
        self, b: Array | None, x: Array, *, residual: Array | None = None, **wanted: Any
    ) -> tuple[Array, Array, Array | None]:
        self.passes += 1
        if isinstance(self.op, DeviceDense):
            return kernels.sweep(self.op.entries, b, x, residual=residual, **wanted)
        total: list[Any] = []
        for row, block in self._blocks(whole=True):
            rows = slice(row, row + len(block))
            kept = None if residual is None else residual[rows]
            found = kernels.sweep(block, None if b is None else b[rows], x, residual=kept, **wanted)
            parts = [part for part in found if part is not None]
            total = [t + part for t, part in zip(total, parts, strict=True)] if total else parts
        return total[0], total[1], total[2] if wanted["gram"] else None

    def _gram(self, P: Array | None) -> Array:
        """P^H (B^H (B P)), a few columns at a time: the error is that of one product with B^H."""
        n = self.shape[1]
        right = np.eye(n, dtype=self.wide) if P is None else P
        G = np.empty((right.shape[1], right.shape[1]), self.wide)
        for j in range(0, right.shape[1], COLUMNS):
            part = self.adjoint(self.forward(right[:, j : j + COLUMNS]))
            G[:, j : j + COLUMNS] = part if P is None else dense.gemm(P.conj().T, part)
        return (G + G.conj().T) / 2

    def forward(self, X: Array) -> Array:
        """``B X`` without the rows below."""
        self.matvecs += X.shape[1]
        if not isinstance(self.op, (Dense, RowStream)):
            self.passes += 1
            return self.op.matmat(X)
        Y = np.empty((self.shape[0], X.shape[1]), np.result_type(self.wide, X.dtype))
        self._sweep_blocks(np.zeros_like(Y), -X, gram=False, residual=Y)
        return Y

    def adjoint(self, Y: Array) -> Array:
        """``B^H Y`` without the rows below."""
        self.matvecs += Y.shape[1]
        if not isinstance(self.op, (Dense, RowStream)):
            self.passes += 1
            return self.op.rmatmat(Y)
        # By the sweep, whose sums are the same for any number of threads.
        return self._sweep_blocks(Y, np.zeros((self.shape[1], Y.shape[1]), Y.dtype), gram=False)[0]


def column_norms(X: Array) -> Array:
    """2-norms of the columns, whose entries may lie anywhere in the range (on a GPU, in units of 1)."""
    if is_device(X):
        return np.sqrt(device_dense.column_peaks(X)[1])
    top = np.abs(X).max(axis=0, initial=0.0)
    unit = np.where(top > 0, top, 1.0)
    return np.asarray(unit * np.sqrt((np.abs(X / unit) ** 2).sum(axis=0)))


def weighted(op: LinearOperator, root: Array | None, *, tall: bool) -> tuple[LinearOperator, Array | None]:
    """diag(root) A as an operator, and the factors that are left to be applied as rows are read."""
    if root is None or (tall and isinstance(op, (Dense, RowStream))):
        return op, root
    if isinstance(op, Dense):
        return Dense(op.array * root[:, None].astype(op.array.real.dtype), check_finite=op.check_finite), None
    if isinstance(op, Sparse):
        scaled = op.matrix.tocsr(copy=True)
        scaled.data *= np.repeat(root, np.diff(scaled.indptr)).astype(scaled.data.real.dtype)
        return Sparse(scaled, check_finite=op.check_finite), None
    return Diagonal(root.astype(np.dtype(op.dtype.type(0).real.dtype))) @ op, None

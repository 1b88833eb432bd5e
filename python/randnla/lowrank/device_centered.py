# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A matrix on a GPU minus its column means."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from randnla._backend.device import runtime
from randnla._backend.kernels import dense, device_dense
from randnla.operators.device import DeviceDense

from .scaling import Array

CANCELLATION = 4.0
"""Up to this ratio of squares of mean and deviations, rank-one corrections cost no digit."""

BLOCK = 1 << 22  # entries that are centered at a time


class DeviceCentered(DeviceDense):
    """A - 1 mu^T as `Centered` is, with mu from one pass that also tells both sums of squares.

    Products get a rank-one correction; where the mean dominates the deviations they are of centered blocks of
    rows. The means, n numbers, go to the host and back.

    Parameters
    ----------
    base : DeviceDense, shape (m, n)
    """

    def __init__(self, base: DeviceDense) -> None:
        super().__init__(base.entries)
        self.base = base
        _, squares, sums = device_dense.column_statistics(self.entries)
        self.mean: Array = sums / self.shape[0]
        whole, away = float(squares.sum()), self.shape[0] * float(self.mean @ self.mean)
        self.dominated = not away <= CANCELLATION * (whole - away)
        self._norm = None if self.dominated else math.sqrt(whole - away)

    @property
    def cancellation(self) -> float:
        """How many times the products that are subtracted may exceed the result, in the Frobenius norm."""
        return 1.0 if self.dominated else 1.0 + math.sqrt(CANCELLATION)

    @cached_property
    def _row(self) -> Any:
        return runtime().to_device(self.mean.astype(self.dtype)[None, :])

    def blocks(self) -> Iterator[tuple[slice, Any]]:
        """Rows and what they are without their means, in new memory."""
        step = max(1, BLOCK // max(1, self.shape[1]))
        for start in range(0, self.shape[0], step):
            block = self.entries[start : start + step]
            out = runtime().empty(block.shape, self.dtype)
            row = device_dense.repeated(self._row[0], block.shape, rows=True)
            device_dense.combine(out, block, beta=-1.0, Z=row)
            yield slice(start, start + len(block)), out

    def _matmat(self, X: Any) -> Any:
        out = runtime().empty((self.shape[0], X.shape[1]), self.dtype)
        if self.dominated:
            for rows, block in self.blocks():
                dense.gemm(block, X, out[rows])
            return out
        row = dense.gemm(self._row, X, alpha=-1.0)
        device_dense.combine(out, device_dense.repeated(row[0], out.shape, rows=True))
        return dense.gemm(self.entries, X, out, beta=1.0)

    def _rmatmat(self, Y: Any) -> Any:
        if self.dominated:
            out = runtime().empty((self.shape[1], Y.shape[1]), self.dtype)
            for rows, block in self.blocks():
                dense.gemm(block.T, Y[rows], out, beta=float(rows.start > 0))
            return out
        out = dense.gemm(self.entries.T, Y)
        sums = runtime().to_device(device_dense.column_statistics(Y)[2])
        means = device_dense.repeated(runtime().to_device(self.mean), out.shape, rows=False)
        weights = device_dense.repeated(sums, out.shape, rows=True)
        return device_dense.combine(out, means, -1.0, weights=weights, beta=1.0, Z=out)

    def frobenius_norm(self) -> float | None:
        """The Frobenius norm: known from the means, or by one pass over centered blocks."""
        if self._norm is None:
            squares = sum(float(device_dense.column_peaks(block)[1].sum()) for _, block in self.blocks())
            self._norm = math.sqrt(squares)
        return self._norm

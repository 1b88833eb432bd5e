# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Frobenius norms that neither overflow nor underflow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_BLOCK_BYTES = 4 << 20
_RUN = 1 << 17  # entries that are widened at a time


class SumOfSquares:
    """A running sum of |a|^2, kept as ``total * 4**exponent`` so that no term leaves the float64 range."""

    def __init__(self) -> None:
        self.total = 0.0
        self.exponent = 0

    def add(self, block: Array) -> None:
        """Add the squares of a block's entries, in float64."""
        if block.size == 0:
            return
        if block.ndim == 2 and block.size > _RUN and block.shape[0] > 1:
            step = max(1, _RUN // block.shape[1])
            for start in range(0, block.shape[0], step):
                self.add(block[start : start + step])
            return
        flat = block.view(block.real.dtype) if block.dtype.kind == "c" and block.flags.c_contiguous else block
        # float32 squares fit in float64; float64 ones need the power of two that brings the largest near 1.
        largest = max(float(np.max(flat.real)), -float(np.min(flat.real)))
        if flat.dtype.kind == "c":
            largest = max(largest, float(np.max(np.abs(flat.imag))))
        if not math.isfinite(largest):
            self.total = math.nan
            return
        if largest == 0.0:
            return
        exponent = math.frexp(largest)[1]
        axes = list(range(flat.ndim))
        wide = np.ldexp(flat.real.astype(np.float64, copy=False), -exponent)
        self._merge(float(np.einsum(wide, axes, wide, axes)), exponent)
        if flat.dtype.kind == "c":
            wide = np.ldexp(flat.imag.astype(np.float64, copy=False), -exponent)
            self._merge(float(np.einsum(wide, axes, wide, axes)), exponent)

    def _merge(self, total: float, exponent: int) -> None:
        if exponent > self.exponent or self.total == 0.0:
            self.total = math.ldexp(self.total, 2 * (self.exponent - exponent))
            self.exponent = exponent
            self.total += total
        else:
            self.total += math.ldexp(total, 2 * (exponent - self.exponent))

    def root(self) -> float:
        """The square root of the sum."""
        if math.isnan(self.total):
            return math.nan
        try:
            return math.ldexp(math.sqrt(self.total), self.exponent)
        except OverflowError:
            return math.inf


def frobenius(array: Array) -> float:
    """The Frobenius norm of an array of any layout, a few MB of workspace; NaN if an entry is not finite."""
    sums = SumOfSquares()
    view = array.T if array.ndim == 2 and abs(array.strides[0]) < abs(array.strides[1]) else array
    if view.size == 0:
        return 0.0
    step = max(1, _BLOCK_BYTES // max(1, view.nbytes // view.shape[0]))
    for start in range(0, view.shape[0], step):
        sums.add(view[start : start + step])
    return sums.root()

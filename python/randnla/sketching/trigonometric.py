# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Maps that mix all entries by a fast transform and keep a sample."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from randnla._backend.errors import InputError
from randnla._backend.kernels import trig
from randnla.sketching.base import BLOCK_BYTES, Array, RandomMap


class TrigMap(RandomMap):
    """Base of the subsampled trigonometric maps ``S = c R F D``.

    D flips signs, F is an orthogonal transform up to a factor, R keeps d of its rows without
    replacement.
    """

    # A transform takes whole columns; cutting them would only repeat it.
    _cuts_columns: ClassVar[bool] = False

    def __init__(self, d: int, m: int, *, rng: Any = None, dtype: Any = np.float64, stream: int = 0) -> None:
        super().__init__(d, m, rng=rng, dtype=dtype, stream=stream)
        if self.d > max(1, self.order):
            raise InputError(f"d: expected at most {self.order}, the order of the transform, got {self.d}")

    @property
    @abstractmethod
    def order(self) -> int:
        """Length of the transform."""

    @abstractmethod
    def _transform(self, A: Array, out: Array, *, adjoint: bool) -> None:
        """All m columns of the rows of this block."""

    @abstractmethod
    def _entries(self, frequencies: Array, columns: Array) -> Array:
        """Entries of ``c F`` at rows (r, 1) and columns (1, n)."""

    def _apply(self, A: Array, out: Array) -> None:
        start, stop = self._cols
        if stop - start == self.m:
            self._transform(A, out, adjoint=False)
            return
        # A block of columns acts on an input that is zero elsewhere.
        for part in self._panels(A.shape[1]):
            padded = np.zeros((self.m, part.stop - part.start), dtype=A.dtype)
            padded[start:stop] = A[:, part]
            self._transform(padded, out[:, part], adjoint=False)

    def _apply_adjoint(self, B: Array, out: Array) -> None:
        start, stop = self._cols
        if stop - start == self.m:
            self._transform(B, out, adjoint=True)
            return
        for part in self._panels(B.shape[1]):
            padded = np.empty((self.m, part.stop - part.start), dtype=B.dtype)
            self._transform(B[:, part], padded, adjoint=True)
            out[:, part] = padded[start:stop]

    def _panels(self, columns: int) -> list[slice]:
        step = max(1, BLOCK_BYTES // (self.dtype.itemsize * self.m))
        return [slice(start, min(start + step, columns)) for start in range(0, columns, step)]

    def _frequencies(self) -> Array:
        chosen = trig.sample_coordinates(
            kind="trig_rows", seed=self.seed, stream=self.stream, population=self.order, count=self._rows[1]
        )
        return chosen[self._rows[0] :]

    def _fill(self, out: Array) -> None:
        start, stop = self._cols
        signs = trig.trig_signs(stop - start, seed=self.seed, stream=self.stream, dtype=np.int8, start=start)
        frequencies = self._frequencies()[:, None]
        # Indices, reduced angles, their squares and cosines of a block, 8 bytes an entry each.
        width = min(stop - start, BLOCK_BYTES // 80)
        step = max(1, BLOCK_BYTES // (80 * width))
        for first in range(0, stop - start, width):
            last = min(first + width, stop - start)
            columns = np.arange(start + first, start + last, dtype=np.int64)[None, :]
            for row in range(0, out.shape[0], step):
                part = slice(row, row + step)
                out[part, first:last] = self._entries(frequencies[part], columns) * signs[first:last]

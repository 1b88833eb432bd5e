# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Averaged squares of gradients, entry by entry, by Adam's rule."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend.kernels import dense
from randnla._backend.kernels.dense import Array

from ..factors.average import Average
from .block_average import Made, counted, plain_direction, required
from .partition import Elementwise


class ElementwiseBlocks:
    """Every entry on its own, by Adam's rule.

    Parameters
    ----------
    rule : Elementwise
    dtype : float32 or float64
    """

    def __init__(self, rule: Elementwise, dtype: Any) -> None:
        self.rule, self.dtype = rule, np.dtype(dtype)
        self._average = Average(rule.ema)
        self._squares = np.zeros((1, rule.size), dtype)
        self.momentum = np.zeros((1, rule.size), dtype)
        self._scratch = np.empty((1, rule.size), dtype)

    @property
    def size(self) -> int:
        """Entries."""
        return self.rule.size

    @property
    def batches(self) -> int:
        """Averaged so far."""
        return self._average.count

    @property
    def trace(self) -> float:
        """Sum of the averaged squares."""
        return self._average.scale * float(self._squares.sum(dtype=np.float64))

    def absorb(self, X: Array, largest: float) -> None:
        """Average in the squares of finite entries."""
        self._average, keep = self._average.next()
        with np.errstate(over="ignore", under="ignore"):
            np.multiply(X, X, out=self._scratch)
            self._scratch *= self.dtype.type(1.0 - keep)
            self._squares *= self.dtype.type(keep)
            self._squares += self._scratch
            # An infinity would stay for good: half of the largest number does as well, and decays.
            np.minimum(self._squares, np.finfo(self.dtype).max / 2, out=self._squares)

    def renewed(self, shift: float, *, wide: bool) -> Made:
        """Nothing is to be done."""
        return Made(None, 0.0)

    def adopt(self, made: Made) -> None:
        """Nothing is to be taken."""

    def direct(self, X: Array, out: Array, *, keep: float, scale: float) -> bool:
        """Average X into the momentum, and divide it by the roots."""
        plain_direction(self.momentum, X, out, keep, scale)
        if self.batches:
            out /= self._roots()
        return dense.screen(out).finite

    def _roots(self) -> Array:
        roots = np.sqrt(self._squares, out=self._scratch)
        roots *= self.dtype.type(math.sqrt(self._average.scale))
        roots += self.dtype.type(self.rule.eps or np.finfo(self.dtype).tiny)
        return roots

    def apply(self, X: Array) -> Array:
        """X divided by the roots."""
        return X / self._roots() if self.batches else X.copy()

    def logdet(self) -> float:
        """Of the diagonal of the roots."""
        return float(np.log(self._roots(), dtype=np.float64).sum()) if self.batches else 0.0

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays."""
        return {
            "count": self._average.count,
            "squares": self._squares.copy(),
            "momentum": self.momentum.copy(),
        }

    def restored(self, state: dict[str, Any]) -> Self:
        """One like this in the state described.

        Raises
        ------
        StateError
        """
        made = type(self)(self.rule, self.dtype)
        required(state, ("count", "squares", "momentum"))
        made._average = counted(self._average, state)
        made._squares = plain_state.array_of(state, "squares", self._squares.shape, self.dtype)
        made.momentum = plain_state.array_of(state, "momentum", self.momentum.shape, self.dtype)
        return made

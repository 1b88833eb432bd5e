# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Fits by gradients less those at an anchor."""

from __future__ import annotations

from typing import Any

from randnla._backend.errors import InputError

from .protocols import Array
from .rows import Rows
from .sketchy import SketchyFit


class AnchoredFit(SketchyFit):
    """Base of the optimizers that take gradients at two points, and a full one at the second."""

    def _snapshot(self, rows: Rows, y: Array, anchor: Array) -> bool:
        """Give the engine the full gradient; False where it is NaN or Inf: there is nothing to step along."""
        try:
            self.engine.snapshot(self._full_gradient(rows, y, anchor))
        except InputError:
            return False
        return True

    def _reduced(self, X: Any, y: Array, w: Array, anchor: Array) -> tuple[float, Array]:
        """The objective of a batch at w, and its gradient less that at the anchor plus the full one."""
        model = self.model
        losses, slopes = model.losses_and_slopes(model.predictors(X, w), y)
        # One product with X^T: the difference of the slopes, and that of the penalties.
        change = slopes - model.slopes(model.predictors(X, anchor), y)
        g = model.pull(X, change) + model.ridge * (w - anchor)
        return self._value(losses, w), g.ravel() + self.engine.full_gradient

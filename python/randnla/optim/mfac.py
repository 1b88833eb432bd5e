# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""M-FAC as an optimizer in plain NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from randnla import curvature
from randnla._backend.errors import StateError

from .flat import FlatOptimizer
from .protocols import Array


class MFAC(FlatOptimizer):
    """Steps along ``(damping I + (1/m) sum g g^T)^-1 g`` of the last m gradients, with momentum.

    Parameters
    ----------
    lr : float or callable (step) -> float, default 1e-3
    window : int, default 512
        Gradients held.
    damping : float, default 1e-5
        May be set anew at any time.
    momentum : float in [0, 1), default 0.9
        Of the velocity ``v = momentum v + direction``, ``w = w - lr v``.
    weight_decay : float, default 0
        Times the parameters, added to the gradient before it enters the window.
    block : int, optional
        The curvature is taken to be block diagonal, with blocks of this order.
    storage : {"float16", "bfloat16"}, optional
        What gradients are held in; of parameters of float32.

    Attributes
    ----------
    engine : randnla.curvature.MFAC or None
        Made by the first step.
    step_count, skipped : int

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm* and *Cost*: as of `randnla.torch.MFAC`, step for step.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.optim import MFAC
    >>> scales = np.logspace(0, -2, 20)
    >>> w, optimizer = np.ones(20), MFAC(0.02, window=8, damping=1e-3, momentum=0.5)
    >>> for _ in range(300):
    ...     w = optimizer.step(w, scales * w)
    >>> bool(scales @ w**2 < 0.1 * scales.sum())
    True
    """

    _KIND: ClassVar[str] = "optim.MFAC"

    def __init__(
        self,
        lr: float | Callable[[int], float] = 1e-3,
        *,
        window: int = 512,
        damping: float = 1e-5,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        block: int | None = None,
        storage: str | None = None,
    ) -> None:
        super().__init__(lr=lr, momentum=momentum, weight_decay=weight_decay)
        self.window, self.damping, self.block, self.storage = window, damping, block, storage
        self._engine(1, "float32")  # raises where a setting does not fit

    def _engine(self, dim: int, dtype: Any) -> curvature.MFAC:
        return curvature.MFAC(
            dim, self.window, self.damping, dtype=dtype, block=self.block, storage=self.storage
        )

    def _direction(self, engine: curvature.MFAC, g: Array) -> Array | None:
        if engine.damping != self.damping:
            engine.damping = self.damping
        found: Array | None = engine.direction(g)
        return found

    def _restored(self, state: dict[str, Any]) -> curvature.MFAC:
        made = curvature.MFAC.from_state_dict(state)
        if (made.window, made.block) != (self.window, self.block):
            raise StateError(f"window, block: expected {self.window}, {self.block}; got {made}")
        return made

    @property
    def health(self) -> curvature.Health | None:
        """How the curvature is, with `skipped` as its ``skipped_gradients``; None before the first step."""
        return None if self.engine is None else replace(self.engine.health, skipped_gradients=self.skipped)

    def __repr__(self) -> str:
        return f"MFAC({self.lr!r}, window={self.window}, damping={self.damping}, momentum={self.momentum})"

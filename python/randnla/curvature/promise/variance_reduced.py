# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Variance reduction in front of a preconditioner: longer steps, and gradients less those at an anchor."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError, StateError
from randnla._backend.kernels.dense import Array

from .preconditioner import Preconditioner
from .sketchy_sgd import SketchySGD


class VarianceReduced(SketchySGD):
    """Directions of gradients whose noise vanishes at the minimum, with their longer steps."""

    def __init__(
        self,
        rank: int = 10,
        rho: float = 1e-3,
        *,
        samples: int,
        preconditioner: str | Preconditioner = "nystrom",
        ridge: float = 0.0,
        steps: int = 10,
        rng: Any = None,
    ) -> None:
        super().__init__(rank, rho, preconditioner=preconditioner, ridge=ridge, steps=steps, rng=rng)
        self.samples = validate.integer(samples, name="samples", low=1)

    @property
    def learning_rate(self) -> float:
        """``max(1 / (2 (mu n + lambda)), 1 / (3 lambda))``."""
        bound = self._bound
        return max(0.5 / (self.ridge * self.samples + bound), 1 / (3 * bound))

    @classmethod
    def _blank(cls, fields: dict[str, Any], pre: Preconditioner) -> Self:
        settings = {name: fields[name] for name in ("samples", "ridge", "steps")}
        return cls(preconditioner=pre, rng=fields["seed"], **settings)

    def _vector(self, g: Any, name: str) -> Array:
        """A finite gradient (p,) in float64."""
        given = validate.as_array(g, name=name, ndim=1)
        if self.dim and given.shape != (self.dim,):
            raise InputError(f"{name}: expected shape ({self.dim},), got {given.shape}")
        found = validate.native(given, np.float64, name=name)
        validate.require_finite(found, name=name)
        return found


class Anchored(VarianceReduced):
    """Gradients less those of the same batch at an anchor, plus the full one there."""

    full_gradient: Array

    def snapshot(self, gradient: Any) -> None:
        """The full gradient at the point from which differences are taken, the penalty included.

        Raises
        ------
        InputError, NonFiniteError
            It does not fit, or holds NaN or Inf; nothing has changed.
        """
        self.full_gradient = self._vector(gradient, "gradient").copy()

    def _reduced(self, g: Any, at_snapshot: Any) -> Array:
        if not self.full_gradient.size:
            raise StateError("snapshot: expected a full gradient before directions")
        return self._vector(g, "g") - self._vector(at_snapshot, "at_snapshot") + self.full_gradient

    def direction(self, g: Any, at_snapshot: Any = None) -> Any:
        """``P^-1 (g - at_snapshot + full gradient)``; ``P^-1 g`` where only g is given.

        Parameters
        ----------
        g, at_snapshot : array of shape (p,)
            Gradients of one batch, at the point of now and at that of the snapshot.

        Raises
        ------
        StateError
            There has been no update or no snapshot.
        InputError, NonFiniteError
            A gradient does not fit, or holds NaN or Inf; nothing has changed.
        """
        if at_snapshot is None:
            return super().direction(g)
        found = super().direction(self._reduced(g, at_snapshot))
        return namespace.restore(namespace.kind_of(g), found)

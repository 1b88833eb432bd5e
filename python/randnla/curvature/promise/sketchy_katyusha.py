# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""SketchyKatyusha, loopless."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import InputError, StateError
from randnla._backend.kernels.dense import Array

from .preconditioner import Preconditioner
from .variance_reduced import Anchored


class SketchyKatyusha(Anchored):
    """SketchySGD on gradients with variance reduction and acceleration: loopless Katyusha.

    Parameters
    ----------
    rank, rho, preconditioner, steps, rng
        As of `SketchySGD`.
    samples : int
        n, the samples that the objective averages over.
    ridge : float
        mu, positive: momentum is chosen by it.
    batch : int, default 256
        Samples of a gradient; a step moves the anchor with probability batch / n.

    Attributes
    ----------
    point, anchor : (p,) float64 array
        Where the gradients of the next step are to be taken.
    snapshot_due : bool
        Whether the anchor has moved, and wants its full gradient.
    w : (p,) float64 array
        The solution so far.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Frangella, Rathore, Zhao and Udell (2023, PROMISE), SketchyKatyusha: with
    sigma = mu / lambda,
    theta_1 = min(sqrt(2 n sigma / 3), 1/2), theta_2 = 1/2, eta = theta_2 / ((1 + theta_2) theta_1),
    ``x = theta_1 z + theta_2 anchor + (1 - theta_1 - theta_2) w``,
    ``z' = (eta sigma x + z - eta / lambda P^-1 g) / (1 + eta sigma)``, ``w' = x + theta_1 (z' - z)``.

    *Cost*: that of `SketchySVRG`, and three vectors.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import SketchyKatyusha
    >>> A = np.random.default_rng(0).standard_normal((100, 5))
    >>> b = A @ np.ones(5)
    >>> gradient = lambda rows, w: A[rows].T @ (A[rows] @ w - b[rows]) / len(rows) + 1e-8 * w
    >>> engine = SketchyKatyusha(samples=100, ridge=1e-8, batch=20, rng=0)
    >>> engine.update(A[:50] / 50**0.5, fresh=A[50:] / 50**0.5)
    >>> engine.start(np.zeros(5))
    >>> everything = np.arange(100)
    >>> for epoch in range(60):
    ...     for rows in everything.reshape(5, 20):
    ...         if engine.snapshot_due:
    ...             engine.snapshot(gradient(everything, engine.anchor))
    ...         w = engine.step(gradient(rows, engine.point), gradient(rows, engine.anchor))
    >>> bool(np.allclose(w, 1, atol=1e-3))
    True
    """

    _KIND: ClassVar[str] = "SketchyKatyusha"
    _FIELDS: ClassVar[dict[str, type]] = {
        "samples": int,
        "batch": int,
        "count": int,
        "snapshot_due": bool,
        "full_gradient": np.ndarray,
        "z": np.ndarray,
        "w": np.ndarray,
        "anchor": np.ndarray,
    }

    def __init__(
        self,
        rank: int = 10,
        rho: float = 1e-3,
        *,
        samples: int,
        ridge: float,
        batch: int = 256,
        **settings: Any,
    ) -> None:
        super().__init__(rank, rho, samples=samples, ridge=ridge, **settings)
        if self.ridge == 0:
            raise InputError("ridge: expected a positive number, by which momentum is chosen, got 0")
        self.batch = validate.integer(batch, name="batch", low=1)
        self.full_gradient = np.zeros(0)
        self.z = self.w = self.anchor = np.zeros(0)
        self.count, self.snapshot_due = 0, True

    def start(self, w: Any) -> None:
        """Begin at w of shape (p,).

        Raises
        ------
        InputError, NonFiniteError
        """
        point = self._vector(w, "w")
        self.z, self.w, self.anchor = point.copy(), point.copy(), point.copy()
        self.count, self.snapshot_due = 0, True

    @property
    def _momentum(self) -> tuple[float, float, float, float]:
        """sigma, theta_1, theta_2, eta."""
        sigma = self.ridge / self._bound
        first = min(math.sqrt(2 / 3 * self.samples * sigma), 0.5)
        return sigma, first, 0.5, 0.5 / (1.5 * first)

    @property
    def learning_rate(self) -> float:
        """Of a direction: ``theta_1 eta / (lambda (1 + eta sigma))``."""
        sigma, first, _, eta = self._momentum
        return first * eta / (self._bound * (1 + eta * sigma))

    @property
    def point(self) -> Array:
        """Where the gradient of the next batch is to be taken."""
        _, first, second, _ = self._momentum
        return first * self.z + second * self.anchor + (1 - first - second) * self.w

    def step(self, g: Any, at_snapshot: Any) -> Array:
        """Move by the gradients of one batch at `point` and at `anchor`.

        Returns
        -------
        (p,) float64 array
            w, the solution so far.

        Raises
        ------
        StateError
            There has been no update or no start, or a full gradient is due.
        InputError, NonFiniteError
            A gradient does not fit, or holds NaN or Inf; nothing has changed.
        """
        if self.snapshot_due or not self.w.size:
            raise StateError("snapshot: expected `start`, and the full gradient at the anchor, before a step")
        return self._moved(self.preconditioner.direction(self._reduced(g, at_snapshot))).copy()

    def step_along(self, reduced: Array) -> Array | None:
        """`step` by a gradient that a loop has reduced itself, unchecked; None: there is no step."""
        down = self.along(reduced)
        return None if down is None else self._moved(down)

    def _moved(self, down: Array) -> Array:
        """w after a step; owned by the engine."""
        sigma, first, _, eta = self._momentum
        x, old = self.point, self.w
        z = (eta * sigma * x + self.z - eta / self._bound * down) / (1 + eta * sigma)
        self.w, self.z = x + first * (z - self.z), z
        coin = np.random.default_rng([self.seed, self.count]).random()
        self.count += 1
        if coin < min(1.0, self.batch / self.samples):
            self.anchor, self.snapshot_due = old, True
        return self.w

    def snapshot(self, gradient: Any) -> None:
        """The full gradient at `anchor`, the penalty included.

        Raises
        ------
        InputError, NonFiniteError
            It does not fit, or holds NaN or Inf; nothing has changed.
        """
        super().snapshot(gradient)
        self.snapshot_due = False

    @classmethod
    def _blank(cls, fields: dict[str, Any], pre: Preconditioner) -> Self:
        settings = {name: fields[name] for name in ("samples", "batch", "ridge", "steps")}
        return cls(preconditioner=pre, rng=fields["seed"], **settings)

    def _take(self, fields: dict[str, Any]) -> None:
        if len({fields[name].size for name in ("z", "w", "anchor")}) > 1:
            raise StateError("z, w, anchor: expected vectors of one length")
        if not fields["snapshot_due"] and not (fields["w"].size and fields["full_gradient"].size):
            raise StateError("full_gradient: expected one, as snapshot_due is False")
        for name in ("full_gradient", "z", "w", "anchor"):
            shape = (self.dim or fields[name].size,) if fields[name].size else (0,)
            setattr(self, name, plain_state.array_of(fields, name, shape, np.float64))
        self.count = validate.integer(fields["count"], name="count", low=0)
        self.snapshot_due = fields["snapshot_due"]

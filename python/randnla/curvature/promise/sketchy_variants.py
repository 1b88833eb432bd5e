# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Variance reduction in front of a preconditioner: SVRG, SAGA and loopless Katyusha."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend import state as plain_state
from randnla._backend.errors import InputError, StateError
from randnla._backend.kernels.dense import Array

from ..glm.model import features
from .preconditioner import Preconditioner
from .sketchy_sgd import SketchySGD


class _VarianceReduced(SketchySGD):
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


class _Anchored(_VarianceReduced):
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


class SketchySVRG(_Anchored):
    """SketchySGD on gradients with the variance reduction of SVRG.

    Parameters
    ----------
    rank, rho, preconditioner, ridge, steps, rng
        As of `SketchySGD`.
    samples : int
        n, the samples that the objective averages over.

    Attributes
    ----------
    full_gradient : (p,) float64 array
        Of the last snapshot, empty before.
    learning_rate : float
        ``max(1 / (2 (mu n + lambda)), 1 / (3 lambda))``.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Frangella, Rathore, Zhao and Udell (2023, PROMISE), SketchySVRG.

    *Cost*: that of `SketchySGD`; whoever calls makes two gradients a batch and a full one a snapshot.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import SketchySVRG
    >>> A = np.random.default_rng(0).standard_normal((100, 5))
    >>> b, w = A @ np.ones(5), np.zeros(5)
    >>> gradient = lambda rows, w: A[rows].T @ (A[rows] @ w - b[rows]) / len(rows)
    >>> engine = SketchySVRG(samples=100, rng=0)
    >>> engine.update(A[:50] / 50**0.5, fresh=A[50:] / 50**0.5)
    >>> everything = np.arange(100)
    >>> for epoch in range(20):
    ...     anchor = w.copy()
    ...     engine.snapshot(gradient(everything, anchor))
    ...     for rows in everything.reshape(5, 20):
    ...         w -= engine.learning_rate * engine.direction(gradient(rows, w), gradient(rows, anchor))
    >>> bool(np.allclose(w, 1, atol=1e-6))
    True
    """

    _KIND: ClassVar[str] = "SketchySVRG"
    _FIELDS: ClassVar[dict[str, type]] = {"samples": int, "full_gradient": np.ndarray}

    def __init__(self, rank: int = 10, rho: float = 1e-3, *, samples: int, **settings: Any) -> None:
        super().__init__(rank, rho, samples=samples, **settings)
        self.full_gradient = np.zeros(0)

    def _take(self, fields: dict[str, Any]) -> None:
        shape = (self.dim,) if fields["full_gradient"].size else (0,)
        self.full_gradient = plain_state.array_of(fields, "full_gradient", shape, np.float64)


class SketchySAGA(_VarianceReduced):
    """SketchySGD on gradients with the variance reduction of SAGA, for losses of linear predictors.

    The gradient of sample i is ``slope_i a_i``, so the table holds a number a sample (one an output).

    Parameters
    ----------
    rank, rho, preconditioner, ridge, steps, rng
        As of `SketchySGD`.
    samples : int
        n, rows of the table.
    outputs : int, default 1
        k, columns of the table: predictors of a sample.

    Attributes
    ----------
    table : (n, k) float64 array
        Slopes last seen, 0 at first.
    average : (p k,) float64 array
        Mean of the gradients that the table stands for.
    learning_rate : float
        ``max(1 / (2 (mu n + lambda)), 1 / (3 lambda))``.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Frangella, Rathore, Zhao and Udell (2023, PROMISE), SketchySAGA, with batches.

    *Cost*: that of `SketchySGD`; n k + p k numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import SketchySAGA
    >>> A = np.random.default_rng(0).standard_normal((100, 5))
    >>> b, w = A @ np.ones(5), np.zeros(5)
    >>> engine = SketchySAGA(samples=100, rng=0)
    >>> engine.update(A[:50] / 50**0.5, fresh=A[50:] / 50**0.5)
    >>> for epoch in range(40):
    ...     for rows in np.arange(100).reshape(5, 20):
    ...         w -= engine.learning_rate * engine.direction(rows, A[rows] @ w - b[rows], A[rows])
    >>> bool(np.allclose(w, 1, atol=1e-5))
    True
    """

    _KIND: ClassVar[str] = "SketchySAGA"
    _FIELDS: ClassVar[dict[str, type]] = {
        "samples": int,
        "outputs": int,
        "table": np.ndarray,
        "average": np.ndarray,
    }

    def __init__(
        self, rank: int = 10, rho: float = 1e-3, *, samples: int, outputs: int = 1, **settings: Any
    ) -> None:
        super().__init__(rank, rho, samples=samples, **settings)
        self.outputs = validate.integer(outputs, name="outputs", low=1)
        self.table = np.zeros((self.samples, self.outputs))
        self.average = np.zeros(0)

    def direction(self, rows: Any, slopes: Any, A: Any, penalty: Any = 0.0) -> Any:  # type: ignore[override]
        """``P^-1`` of the reduced gradient of a batch, which the table then remembers.

        Parameters
        ----------
        rows : (b,) int array
            Which samples, none twice.
        slopes : (b,) or (b, k) array
            Derivatives of their losses in their predictors.
        A : array or CSR matrix of shape (b, p)
            Their features.
        penalty : array of shape (p k,), default 0
            Gradient of the penalty.

        Returns
        -------
        (p k,) array
            Weights (p, k) are flattened row by row.

        Raises
        ------
        StateError
            There has been no update.
        InputError, NonFiniteError
            An argument does not fit, or holds NaN or Inf; nothing has changed.
        """
        index = validate.indices(rows, self.samples, name="rows")
        if len(np.unique(index)) != len(index):
            raise InputError("rows: expected every sample once at most in a batch")
        kind, A = namespace.kind_of(A), features(A, name="A")
        given = validate.as_array(slopes, name="slopes", ndim=(1, 2))
        validate.require_finite(given, name="slopes")  # a row of zeros would hide them
        new = validate.native(given, np.float64, name="slopes").reshape(len(given), -1)
        if new.shape != (len(index), self.outputs) or A.shape[0] != len(index):
            raise InputError(
                f"slopes, A: expected {len(index)} rows and {self.outputs} outputs, "
                f"got {new.shape}, {A.shape}"
            )
        change = (new - self.table[index]).astype(A.dtype, copy=False)
        push = np.asarray(A.T @ change, dtype=np.float64).ravel() / max(1, len(index))
        if np.shape(penalty) not in ((), push.shape):
            raise InputError(f"penalty: expected shape {push.shape}, got {np.shape(penalty)}")
        average = self.average if self.average.size else np.zeros_like(push)
        found = super().direction(push + average + penalty)  # refuses what is not finite
        self.table[index] = new
        self.average = average + push * (len(index) / self.samples)
        return namespace.restore(kind, found)

    @classmethod
    def _blank(cls, fields: dict[str, Any], pre: Preconditioner) -> Self:
        settings = {name: fields[name] for name in ("samples", "outputs", "ridge", "steps")}
        return cls(preconditioner=pre, rng=fields["seed"], **settings)

    def _take(self, fields: dict[str, Any]) -> None:
        self.table = plain_state.array_of(fields, "table", (self.samples, self.outputs), np.float64)
        shape = (self.dim,) if fields["average"].size else (0,)
        self.average = plain_state.array_of(fields, "average", shape, np.float64)


class SketchyKatyusha(_Anchored):
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
        sigma, first, _, eta = self._momentum
        down = self.preconditioner.direction(self._reduced(g, at_snapshot))
        x, old = self.point, self.w
        z = (eta * sigma * x + self.z - eta / self._bound * down) / (1 + eta * sigma)
        self.w, self.z = x + first * (z - self.z), z
        coin = np.random.default_rng([self.seed, self.count]).random()
        self.count += 1
        if coin < min(1.0, self.batch / self.samples):
            self.anchor, self.snapshot_due = old, True
        return self.w.copy()

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

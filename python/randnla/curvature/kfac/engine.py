# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The curvature engine: statistics of layers in, preconditioned gradients out, for any framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import BreakdownError, InputError, NonFiniteError
from randnla._backend.kernels import dense
from randnla._backend.kernels.dense import Array
from randnla._backend.rng import seed_from

from ..clipping import KLClip, RMSClip
from ..damping import Damping, damping_of
from ..factors.average import Average
from ..factors.batch import factor_dtype
from ..factors.diagonal import DiagonalFactor, DiagonalInverse
from ..factors.kronecker import KroneckerFactor
from ..health import Health, Outcome
from ..inverses.policy import CHOICES, inverse_of, kind_of_inverse
from ..inverses.two_sided import TwoSidedInverse
from ..schedule import Every, Schedule, every
from ..workspace import Workspace
from .blocks import Block, KroneckerBlock
from .checkpoint import Checkpoint
from .in_flight import InFlight
from .layer_blocks import LayerBlocks
from .layers import Layer, ScaleShift
from .unitwise import UnitwiseBlock


class KFAC(LayerBlocks, Checkpoint):
    """Kronecker-factored curvature of a network, layer by layer.

    Parameters
    ----------
    layers : mapping {name: layer}
        Of `Dense`, `Conv1d`, `Conv2d`, `Embedding` or `ScaleShift`.
    damping : Damping, float or callable (step) -> either, default 0.1
        A number lambda is ``Relative(lambda)``.
    ema : float in [0, 1), default 0.95
        Weight of the past in the factors.
    start : {"debias", "running", "first", "identity"}, default "debias"
        As of `KroneckerFactor`.
    inverse : {"cholesky", "eigen", "low_rank", "auto"}, default "cholesky"
        With `Exact` damping cholesky becomes eigen. low_rank and auto keep at most `rank` eigenpairs of
        factors of 3 (rank + oversample) rows and more, and treat narrower ones as cholesky does.
    rank, oversample, power_iters, continuation, solver, warm_start
        Of `LowRankInverse`; 220, 10, 1, "trace", "nystrom", True.
    negligible : float, default 0.01
        Of low-rank inverses: eigenpairs of at most this share of the damping of their factor are not applied,
        but left to the continuation, which changes the inverse by that share at most. 0 applies all.
    stats_every, inv_every : int or Every, default 10 and 30
        Steps from one batch of statistics to the next, and from refresh to refresh.
    clip : KLClip, RMSClip or None
    asynchronous : bool, default False
        Refresh on a worker thread, from copies of the factors. What it makes is taken `lag` steps later (or
        at the next refresh), whether that has to be waited for or not: the result does not depend on timing.
    lag : int, default 1
    dtype : float32 or float64, default float32
        Of the factors. Half precision is widened.
    rng : None, int, SeedSequence or Generator
        Of cold starts of low-rank inverses.

    Attributes
    ----------
    step_count : int
    statistics_due, refresh_due : bool
        Whether this step wants `accumulate`; whether `step` is going to refresh.
    damping : Damping
        May be set at any time. Inverses in eigenvectors need nothing computed afresh; arrays follow at the
        next refresh.
    health : dict {name: Health}

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Martens and Grosse (2015), Grosse and Martens (2016) for convolutions; F of a layer is
    ``A kron G``, and the direction is ``(G + .)^-1 V (A + .)^-1``.

    A refresh never raises: it tries float64, then there 10, 100 and 1000 times the damping, then keeps the
    last good inverse, and `health` says which and why. Statistics and gradients with NaN or Inf change
    nothing.

    *Cost*: n d^2 flops a factor and batch; a refresh as of its inverses; a step 2 m n (m + n) flops a layer
    with arrays, 4 m n (r + s) with r and s pairs.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import Dense, KFAC
    >>> engine = KFAC({"first": Dense(3, 2)}, damping=0.1)
    >>> a, g = np.eye(3, dtype=np.float32), np.ones((3, 2), np.float32)
    >>> engine.accumulate("first", a, g)
    True
    >>> weight, bias = engine.step({"first": (g.T @ a, g.sum(axis=0))})["first"]
    >>> weight.shape, bias.shape
    ((2, 3), (2,))
    """

    _KIND: ClassVar[str] = "KFAC"

    def __init__(
        self,
        layers: Mapping[str, Layer],
        *,
        damping: Damping | float | Schedule = 0.1,
        ema: float = 0.95,
        start: str = "debias",
        inverse: str = "cholesky",
        rank: int = 220,
        oversample: int = 10,
        power_iters: int = 1,
        continuation: str = "trace",
        solver: str = "nystrom",
        warm_start: bool = True,
        negligible: float = 0.01,
        stats_every: int | Every = 10,
        inv_every: int | Every = 30,
        clip: KLClip | RMSClip | None = None,
        asynchronous: bool = False,
        lag: int = 1,
        dtype: Any = np.float32,
        rng: Any = None,
    ) -> None:
        if not isinstance(layers, Mapping) or not layers:
            raise InputError(f"layers: expected a mapping from names to layers, got {validate.shown(layers)}")
        self._schedule: Schedule | None = None if isinstance(damping, (Damping, float, int)) else damping
        if self._schedule is not None and not callable(self._schedule):
            raise InputError(f"damping: expected a number, a Damping or a callable, got {damping!r}")
        if clip is not None and not isinstance(clip, (KLClip, RMSClip)):
            raise InputError(f"clip: expected KLClip, RMSClip or None, got {validate.shown(clip)}")
        self._damping = damping_of(self._schedule(0) if self._schedule else damping)  # type: ignore[arg-type]
        self._average = Average.checked(ema, start)
        self.inverse = validate.choice(inverse, CHOICES, name="inverse")
        self.dtype = factor_dtype(dtype)
        self._low_rank: dict[str, Any] = {
            "rank": validate.integer(rank, name="rank", low=1),
            "oversample": validate.oversample(oversample),
            "power_iters": power_iters,
            "continuation": continuation,
            "solver": solver,
            "warm_start": warm_start,
        }
        self.negligible = validate.real(negligible, name="negligible", low=0.0, high=1.0)
        self.stats_every, self.inv_every = (
            every(stats_every, name="stats_every"),
            every(inv_every, name="inv_every"),
        )
        self.clip = clip
        self.asynchronous = validate.flag(asynchronous, name="asynchronous")
        self.lag = validate.integer(lag, name="lag", low=1)
        self.seed = seed_from(rng)
        self.step_count = 0
        self._layers = dict(layers)
        self._blocks: dict[str, Block] = {
            name: self._block_of(layer, index) for index, (name, layer) in enumerate(layers.items())
        }
        self._health = {name: Health(block.kind) for name, block in self._blocks.items()}
        self._workspaces = {name: Workspace() for name in layers}
        self._in_flight = InFlight(self._damping)

    @property
    def average(self) -> Average:
        """How batches are weighted."""
        return self._average

    # -- how a layer is represented ----------------------------------------------------------------------

    def _block_of(self, layer: Layer, index: int) -> Block:
        if isinstance(layer, ScaleShift):
            rows, columns = layer.shape
            average = self._average
            return UnitwiseBlock(columns, rows, ema=average.ema, start=average.start, dtype=self.dtype)
        block: Block = self._kronecker_block(layer, index)
        return block

    def _kronecker_block(self, layer: Layer, index: int) -> Any:
        (m, n), (left, right) = layer.shape, layer.sides
        sides = self._inverse(m, left, 2 * index), self._inverse(n, right, 2 * index + 1)
        inverse = TwoSidedInverse(*sides, negligible=self.negligible)
        return KroneckerBlock(self._factor(m, left), self._factor(n, right), layer.sides, inverse)

    def _factor(self, dim: int, source: str) -> Any:
        kind = DiagonalFactor if source == "index" else KroneckerFactor
        return kind(dim, ema=self._average.ema, start=self._average.start, dtype=self.dtype)

    def _inverse(self, dim: int, source: str, number: int) -> Any:
        if source == "index":
            return DiagonalInverse()
        columns = self._low_rank["rank"] + self._low_rank["oversample"]
        kind = kind_of_inverse(dim, columns, choice=self.inverse, joint=self._damping.joint)
        return inverse_of(kind, **self._low_rank, rng=(self.seed + number) % 2**63)

    # -- statistics --------------------------------------------------------------------------------------

    @property
    def statistics_due(self) -> bool:
        """Whether this step wants `accumulate`."""
        return self.stats_every.due(self.step_count)

    @property
    def refresh_due(self) -> bool:
        """Whether `step` is going to refresh."""
        return self.inv_every.due(self.step_count)

    # -- refresh -----------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Renew all inverses from the factors as they are; never raises, see `health`.

        Asynchronous engines start it on their worker, but for the first, which is waited for.
        """
        self._collect()
        flying = self._in_flight
        flying.begun, flying.due, flying.damping = self.step_count, self.step_count + self.lag, self._damping
        first = all(health.last_refresh is None for health in self._health.values())
        for name, block in self._blocks.items():
            if block.count == 0:
                self._note(name, reason="no statistics so far: gradients pass through as they are")
            elif self.asynchronous and not first:
                flying.begin(name, block.renewal(self._damping, detached=True))
            else:
                self._take(name, block.renewal(self._damping, detached=False)())

    def _collect(self) -> None:
        """Wait for what the worker is at, and take it."""
        for name, outcome in self._in_flight.outcomes().items():
            self._take(name, outcome)
        self._in_flight.clear()

    def _take(self, name: str, outcome: Outcome[Any]) -> None:
        health, block = self._health[name], self._blocks[name]
        if outcome.made is None:
            kept = "identity" if health.last_refresh is None else "last good inverse"
            failed = health.failed_refreshes + 1
            self._health[name] = replace(
                health, fallback=kept, reason=outcome.reason, failed_refreshes=failed
            )
            return
        block.adopt(outcome.made)
        if self._damping != self._in_flight.damping:  # it was set while the worker was at it
            self._damp(name, self._damping)
        self._health[name] = replace(
            health,
            last_refresh=self._in_flight.begun,
            condition=block.condition,
            truncated=block.truncated,
            fallback=outcome.fallback,
            reason=outcome.reason,
        )

    # -- damping -----------------------------------------------------------------------------------------

    @property
    def damping(self) -> Damping:
        """What is added to the curvature."""
        return self._damping

    @damping.setter
    def damping(self, value: Damping | float) -> None:
        wanted = damping_of(value if isinstance(value, Damping) else self._damping.with_value(value))
        self._require_possible(wanted)
        for name in self._blocks:
            self._damp(name, wanted)
        self._damping = wanted

    def _require_possible(self, wanted: Damping) -> None:
        """Refuse a damping that a refresh could not add, before anything changes."""
        if wanted.joint and not self._damping.joint and any(b.held_as_array for b in self._blocks.values()):
            raise InputError("damping: Exact needs inverse='eigen', these layers are inverted as arrays")

    def _damp(self, name: str, wanted: Damping) -> None:
        try:
            self._blocks[name].set_damping(wanted)
        except BreakdownError as problem:
            self._note(name, reason=str(problem))

    # -- steps -------------------------------------------------------------------------------------------

    def step(
        self, gradients: Mapping[str, Any], *, lr: float = 1.0, statistics: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """One step: average in, refresh where due, precondition, clip, count.

        Parameters
        ----------
        gradients : mapping {name: array or (weight, bias)}
            In the shapes of the framework; layers may be left out.
        lr : float, default 1
            The step size that the directions are going to be multiplied by, which `KLClip` asks for.
        statistics : mapping, optional
            Of `accumulate`, which takes them first, where the gradients are finite.

        Returns
        -------
        dict {name: direction}
            Of the structure and kind of the gradients; the gradients themselves where one of them holds NaN
            or Inf: then nothing has changed, this is no step, and `health` counts it.

        Raises
        ------
        InputError
            A name is unknown, a shape does not fit.
        """
        lr = validate.real(lr, name="lr", low=0.0)
        matrices = self._packed(gradients)
        if matrices is None:
            return dict(gradients)
        if statistics is not None:
            self.accumulate(statistics)
        if self._schedule is not None:
            self._follow(self._schedule(self.step_count))
        if self._in_flight and self.step_count >= self._in_flight.due:
            self._collect()
        if self.refresh_due:
            self.refresh()
        matrices = self._right_sides(matrices, lr)
        directions = self._preconditioned(matrices)
        for name in [name for name, D in directions.items() if not dense.screen(D).finite]:
            self._note(name, reason="the direction overflows", skipped_gradients=1)
            directions[name] = matrices[name].copy()
        if self.clip is not None:
            for name, factor in self.clip.scales(directions, matrices, lr).items():
                if factor != 1.0:
                    directions[name] = directions[name] * directions[name].dtype.type(factor)
        self.step_count += 1
        return self._unpacked(directions, gradients)

    def _right_sides(self, matrices: dict[str, Array], lr: float) -> dict[str, Array]:
        """What a variant applies the inverse to: here, the gradients."""
        return matrices

    def _follow(self, value: Damping | float) -> None:
        if value not in (self._damping, self._damping.value):
            self.damping = value

    def precondition(self, gradients: Mapping[str, Any]) -> dict[str, Any]:
        """The damped inverse applied to gradients, without refresh, clipping or counting; see `step`."""
        matrices = self._packed(gradients)
        if matrices is None:
            return dict(gradients)
        return self._unpacked(self._preconditioned(matrices), gradients)

    def _preconditioned(self, matrices: dict[str, Array]) -> dict[str, Array]:
        return {name: self._blocks[name].precondition(V) for name, V in matrices.items()}

    def quadform(self, gradients: Mapping[str, Any]) -> float:
        """``sum <V, inverse applied to V>`` over layers: the squared length of the natural gradient.

        Raises
        ------
        StateError
            There has been no refresh.
        NonFiniteError
            A gradient holds NaN or Inf.
        """
        matrices = self._packed(gradients)
        if matrices is None:
            raise NonFiniteError("gradients: expected finite numbers, got NaN or Inf")
        return float(sum(self._blocks[name].quadform(V) for name, V in matrices.items()))

    def logdet(self) -> float:
        """``log det`` of the damped curvature of all layers.

        Raises
        ------
        StateError
            There has been no refresh.
        """
        return float(sum(block.logdet() for block in self._blocks.values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._layers)} layers, {self._damping}): step {self.step_count}"

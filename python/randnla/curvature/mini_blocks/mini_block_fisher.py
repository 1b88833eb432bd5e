# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Block-diagonal Fisher matrices of gradients, with many small blocks inside every layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError, NonFiniteError
from randnla._backend.kernels import dense
from randnla._backend.kernels.dense import Array

from ..clipping import KLClip, RMSClip
from ..damping import Absolute, Damping, Relative, damping_of
from ..factors.average import Average
from ..health import Health
from ..report import Line, Report
from ..schedule import Every, Schedule, every
from ..workspace import Workspace
from .averaged_blocks import Held, averaged_blocks, spoken
from .checkpoint import Checkpoint
from .partition import Elementwise, Partition, alike, parts_of, structured
from .renewal import renewed
from .shared_blocks import SharedBlocks

Matrices = dict[str, list[Array]]


class MiniBlockFisher(Checkpoint):
    """Natural gradients by small blocks of the averaged outer products of gradients, with momentum.

    Parameters
    ----------
    partition : mapping {name: partition}
        Of `ConvBlocks`, `NeuronBlocks`, `RaggedBlocks`, or `Elementwise` for what follows Adam's rule.
    damping : Relative, Absolute, float or callable (step) -> either, default 1.0
        What is added to the diagonal of the blocks of a name. A number lambda is ``Relative(lambda)``: lambda
        times the mean of their diagonals; where that is zero, lambda itself.
    ema : float in [0, 1), default 0.95
        Weight of the past in the blocks.
    start : {"debias", "running", "first", "identity"}, default "debias"
        As of `KroneckerFactor`.
    momentum : float in [0, 1), default 0.9
        Weight of the past in the average of gradients that the inverse is applied to; that average, too,
        is divided by the sum of its weights.
    stats_every, inv_every : int or Every, default Every(4, first=10) and Every(20, first=10)
        Steps from one gradient averaged into the blocks to the next, and from refresh to refresh.
    clip : KLClip, RMSClip or None
        Of the directions of blocks; of a gradient with blocks of several orders each is a layer of its own.
    dtype : float32 or float64, default float32
        Of blocks and directions. Half precision is widened.

    Attributes
    ----------
    step_count : int
    refresh_due : bool
        Whether `step` is going to refresh.
    damping : Damping
        May be set at any time; it counts from the next refresh on. What is held are explicit inverses, and
        another damping takes them anew, from the averages as they are: `refresh` does so at once, without a
        gradient.
    health : dict {name: Health}
        `condition` is a bound.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Bahamou, Goldfarb and Ren, *A mini-block Fisher method for deep neural networks* (2023).
    Blocks are ``M = ema M + (1 - ema) g g^T`` of the parts g of minibatch gradients, not of those of samples,
    and the direction is ``(M + lambda I)^-1 m``, m the momentum.

    A refresh never raises: it tries float64, then there 10, 100 and 1000 times the damping, then keeps the
    last good inverses, and `health` says which and why. Gradients with NaN or Inf change nothing.

    *Cost*: of P parameters in blocks of order b, 2 b P flops a step, b P a gradient averaged and b^2 P / 2
    or so a refresh; b P numbers. A shared block of n rows takes n b^2 flops a gradient, 2 n b^2 a step,
    4/3 b^3 a refresh and 3/2 b^2 numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import ConvBlocks, Elementwise, MiniBlockFisher
    >>> engine = MiniBlockFisher({"weight": ConvBlocks(8, 3, (3, 3)), "bias": Elementwise(8)})
    >>> gradients = {"weight": np.ones((8, 3, 3, 3), np.float32), "bias": np.ones(8, np.float32)}
    >>> directions = engine.step(gradients)
    >>> directions["weight"].shape, round(float(directions["weight"][0, 0, 0, 0]), 6)
    ((8, 3, 3, 3), 0.1)
    """

    _KIND: ClassVar[str] = "MiniBlockFisher"

    def __init__(
        self,
        partition: Mapping[str, Partition],
        *,
        damping: Damping | float | Schedule = 1.0,
        ema: float = 0.95,
        start: str = "debias",
        momentum: float = 0.9,
        stats_every: int | Every = Every(4, first=10),  # noqa: B008 (frozen)
        inv_every: int | Every = Every(20, first=10),  # noqa: B008 (frozen)
        clip: KLClip | RMSClip | None = None,
        dtype: Any = np.float32,
    ) -> None:
        if not isinstance(partition, Mapping) or not partition:
            raise InputError(
                f"partition: expected a mapping from names to partitions, got {validate.shown(partition)}"
            )
        for name, part in partition.items():
            if not all(hasattr(part, key) for key in ("blocks", "shapes", "split", "joined")):
                raise InputError(f"partition: expected a partition of {name!r}, got {validate.shown(part)}")
        self._schedule: Schedule | None = None if isinstance(damping, (Damping, float, int)) else damping
        if self._schedule is not None and not callable(self._schedule):
            raise InputError(f"damping: expected a number, a Damping or a callable, got {damping!r}")
        if clip is not None and not isinstance(clip, (KLClip, RMSClip)):
            raise InputError(f"clip: expected KLClip, RMSClip or None, got {validate.shown(clip)}")
        self._damping = _own(self._schedule(0) if self._schedule else damping)
        self._average = Average.checked(ema, start)
        self.momentum = validate.real(momentum, name="momentum", low=0.0, high=1.0)
        if self.momentum == 1.0:
            raise InputError("momentum: expected a number in [0, 1), got 1.0")
        self.stats_every, self.inv_every = (
            every(stats_every, name="stats_every"),
            every(inv_every, name="inv_every"),
        )
        self.clip, self.dtype = clip, validate.map_dtype(dtype)
        self.step_count = 0
        self._steps = dict.fromkeys(partition, 0)  # of each name: those that brought a gradient of it
        self._partition = dict(partition)
        self._held: dict[str, list[Held]] = {
            name: averaged_blocks(part, self._average, self.dtype) for name, part in partition.items()
        }
        self._health = {name: Health(spoken(part)) for name, part in partition.items()}
        self._workspaces = {name: Workspace() for name in partition}
        self._outputs: Matrices = {}

    # -- statistics and refresh --------------------------------------------------------------------------

    @property
    def statistics_due(self) -> bool:
        """Whether `step` is going to average the gradient into the blocks."""
        return self.stats_every.due(self.step_count)

    @property
    def refresh_due(self) -> bool:
        """Whether `step` is going to refresh."""
        return self.inv_every.due(self.step_count)

    def accumulate(self, gradients: Mapping[str, Any]) -> bool:
        """Average the outer products of gradients into the blocks; `step` does so where it is due.

        Parameters
        ----------
        gradients : mapping {name: array or tuple of arrays}

        Returns
        -------
        bool
            False where a NaN or an infinity was found: nothing has changed, and `health` counts it.

        Raises
        ------
        InputError
            A name is unknown, a shape does not fit.
        """
        found = self._matrices(gradients)
        if found is None:
            for name in gradients:
                self._note(name, skipped_statistics=1)
            return False
        self._absorb(*found)
        return True

    def _matrices(self, gradients: Mapping[str, Any]) -> tuple[Matrices, dict[str, list[float]]] | None:
        """Gradients as matrices with their largest magnitudes; None where one is not finite."""
        if not isinstance(gradients, Mapping):
            raise InputError(f"gradients: expected a mapping from names, got {type(gradients).__name__}")
        matrices: Matrices = {}
        largest: dict[str, list[float]] = {}
        parts = {name: parts_of(g, self._partition[self._known(name)], name) for name, g in gradients.items()}
        bad: dict[str, str] = {}
        limit = float(np.finfo(self.dtype).max)
        for name, arrays in parts.items():
            made = self._partition[name].split(arrays, self._workspaces[name], self.dtype)
            screens = [dense.screen(X) for X in made]
            if not all(screen.finite for screen in screens):
                bad[name] = "the gradient holds NaN or Inf"
            elif any(
                isinstance(held.blocks, SharedBlocks) and screens[held.number].frobenius_norm ** 2 > limit
                for held in self._held[name]
            ):
                bad[name] = f"the squares of the gradient overflow {self.dtype}"
            matrices[name], largest[name] = made, [screen.max_abs for screen in screens]
        for name, reason in bad.items():
            self._note(name, reason=reason)
        return None if bad else (matrices, largest)

    def _absorb(self, matrices: Matrices, largest: Mapping[str, list[float]], *, blocks: bool = True) -> None:
        for name, made in matrices.items():
            if blocks or isinstance(self._partition[name], Elementwise):
                for number, rows, held in self._held[name]:
                    held.absorb(made[number][rows], largest[name][number])

    def _known(self, name: str) -> str:
        if name not in self._partition:
            raise InputError(f"name: expected one of {', '.join(self._partition)}; got {name!r}")
        return name

    def _note(self, name: str, *, reason: str | None = None, **counts: int) -> None:
        health = self._health[name]
        added: dict[str, Any] = {key: getattr(health, key) + value for key, value in counts.items()}
        if reason is not None:
            added["reason"] = reason
        self._health[name] = replace(health, **added)

    def refresh(self) -> None:
        """Renew all inverses from the blocks as they are; never raises, see `health`."""
        for name, held in self._held.items():
            if isinstance(self._partition[name], Elementwise):
                continue
            if held[0].blocks.batches == 0:
                self._note(name, reason="no gradient so far: gradients pass through as they are")
                continue
            self._health[name] = renewed(held, self._damping, self._health[name], self.step_count)

    @property
    def damping(self) -> Damping:
        """What is added to the blocks, from the next refresh on."""
        return self._damping

    @damping.setter
    def damping(self, value: Damping | float) -> None:
        self._damping = _own(value if isinstance(value, Damping) else self._damping.with_value(value))

    # -- steps -------------------------------------------------------------------------------------------

    def step(self, gradients: Mapping[str, Any], *, lr: float = 1.0, reuse: bool = False) -> dict[str, Any]:
        """One step: average and refresh where due, momentum, precondition, clip, count.

        Parameters
        ----------
        gradients : mapping {name: array or tuple of arrays}
            In the shapes of the framework; names may be left out.
        lr : float, default 1
            The step size that the directions are going to be multiplied by, which `KLClip` asks for.
        reuse : bool, default False
            Return NumPy arrays in memory that the next step writes into, in the dtype of the engine.

        Returns
        -------
        dict {name: direction}
            Of the structure and kind of the gradients; the gradients themselves where one of them holds NaN
            or Inf, or the squares of one with a shared block overflow: then nothing has changed, this is no
            step, and `health` counts it.

        Raises
        ------
        InputError
            A name is unknown, a shape does not fit.
        """
        lr = validate.real(lr, name="lr", low=0.0)
        found = self._matrices(gradients)
        if found is None:
            for name in gradients:
                self._note(name, skipped_gradients=1)
            return dict(gradients)
        matrices, largest = found
        if self._schedule is not None:
            value = self._schedule(self.step_count)
            if value not in (self._damping, self._damping.value):
                self.damping = value
        self._absorb(matrices, largest, blocks=self.statistics_due)
        if self.refresh_due:
            self.refresh()
        directions = {name: self._direct(name, made) for name, made in matrices.items()}
        self._clip(directions, matrices, lr)
        self.step_count += 1
        shaped = {name: self._partition[name].joined(made) for name, made in directions.items()}
        if reuse:
            return {name: structured(made, gradients[name]) for name, made in shaped.items()}
        return {name: alike(made, gradients[name]) for name, made in shaped.items()}

    def _direct(self, name: str, matrices: list[Array]) -> list[Array]:
        """The inverse applied to the momentum, with the gradient in it."""
        outputs = self._outputs.setdefault(name, [np.empty(X.shape, self.dtype) for X in matrices])
        self._steps[name] += 1
        scale = 1.0 / (1.0 - self.momentum ** self._steps[name])
        for number, rows, held in self._held[name]:
            out = outputs[number][rows]
            if not held.direct(matrices[number][rows], out, keep=self.momentum, scale=scale):
                self._note(name, skipped_gradients=1, reason="the direction overflows")
                np.multiply(held.momentum, self.dtype.type(scale), out=out)
        return outputs

    def _clip(self, directions: Matrices, matrices: Matrices, lr: float) -> None:
        if self.clip is None:
            return
        clipped = [name for name in directions if not isinstance(self._partition[name], Elementwise)]
        flat = {f"{name}/{i}": D for name in clipped for i, D in enumerate(directions[name])}
        slopes = {f"{name}/{i}": X for name in clipped for i, X in enumerate(matrices[name])}
        for key, factor in self.clip.scales(flat, slopes, lr).items():
            if factor != 1.0:
                flat[key] *= self.dtype.type(factor)

    def precondition(self, gradients: Mapping[str, Any]) -> dict[str, Any]:
        """The damped inverses applied to gradients as they are, without momentum or counting; see `step`."""
        found = self._matrices(gradients)
        if found is None:
            return dict(gradients)
        shaped = {name: self._partition[name].joined(self._applied(name, X)) for name, X in found[0].items()}
        return {name: alike(made, gradients[name]) for name, made in shaped.items()}

    def _applied(self, name: str, matrices: list[Array]) -> list[Array]:
        made = [np.empty(X.shape, self.dtype) for X in matrices]
        for number, rows, held in self._held[name]:
            made[number][rows] = held.apply(matrices[number][rows])
        return made

    def quadform(self, gradients: Mapping[str, Any]) -> float:
        """``sum <V, inverse applied to V>`` over all names, in float64.

        Raises
        ------
        NonFiniteError
            A gradient holds NaN or Inf.
        """
        found = self._matrices(gradients)
        if found is None:
            raise NonFiniteError("gradients: expected finite numbers, got NaN or Inf")
        return float(
            sum(
                np.multiply(X, Y, dtype=np.float64).sum()
                for name, matrices in found[0].items()
                for X, Y in zip(matrices, self._applied(name, matrices), strict=True)
            )
        )

    def logdet(self) -> float:
        """``log det`` of the damped curvature, and of the roots of elementwise squares.

        Raises
        ------
        StateError
            There has been no refresh.
        """
        return float(sum(part.blocks.logdet() for held in self._held.values() for part in held))

    # -- what is known of it -----------------------------------------------------------------------------

    @property
    def health(self) -> dict[str, Health]:
        """How the blocks of each name are."""
        return dict(self._health)

    def is_elementwise(self, name: str) -> bool:
        """Whether a name follows Adam's rule; raises InputError where it is unknown."""
        return isinstance(self._partition[self._known(name)], Elementwise)

    def blocks(self, name: str) -> list[Array]:
        """The averages of a name, undamped, an array (count, order, order) for each order; for tests.

        Raises
        ------
        InputError
            The name is unknown, or has no blocks.
        """
        if self.is_elementwise(name):
            raise InputError(f"name: expected one with blocks, got {name!r}")
        return [part.blocks.value for part in self._held[name]]

    def report(self) -> Report:
        """A printable table: names, how each is inverted, and how they are."""
        lines = []
        for name, part in self._partition.items():
            shape = part.shapes[0]
            lines.append(Line(name, type(part).__name__, shape, spoken(part), "", self._health[name]))
        return Report(tuple(lines))

    def __repr__(self) -> str:
        return f"MiniBlockFisher({len(self._partition)} names, {self._damping}): step {self.step_count}"


def _own(value: Any) -> Damping:
    damping = damping_of(value)
    if not isinstance(damping, (Absolute, Relative)):
        raise InputError(f"damping: expected Absolute or Relative, got {type(damping).__name__}")
    return damping

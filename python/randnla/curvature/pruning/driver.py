# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Pruning: which weights cost the loss the least, and how those that stay make up for them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError, warn
from randnla._backend.kernels.dense import Array

from .fisher_blocks import FisherBlocks
from .layout import Layout, layout_of
from .result import PruneInfo, PruneResult
from .units import SCHEDULES, Units, lowest, schedule_of, targets_of, units_of

METHODS = ("mfac", "fisher", "magnitude")
UPDATES = ("separate", "joint", "none")


def prune(
    weights: Any,
    gradients: Any,
    sparsity: Any,
    *,
    method: str = "mfac",
    steps: int = 16,
    schedule: str = "geometric",
    damping: float = 1e-5,
    block: int | None = 128,
    update: str | None = None,
    scope: str = "global",
    mask: Any = None,
    groups: Any = None,
    group_saliency: str = "joint",
) -> PruneResult:
    """Choose the weights that the loss misses least, and change the others so that it misses them less.

    With ``F = damping I + (1/m) sum g g^T`` for the Hessian, removing weight i alone and letting all others
    make up for it costs ``w_i^2 / (2 [F^-1]_ii)``. The cheapest weights go, all others move by
    ``- w_i F^-1 e_i / [F^-1]_ii``.

    Parameters
    ----------
    weights : array, or mapping, list or tuple of arrays
        Left alone. Half precision is worked on in float32.
    gradients : array, structure, iterable, callable or None
        Of m batches of few samples (or of single samples): an array (m, d) of all d weights in order, or
        a structure as `weights` with a leading axis of m, or an iterable of single gradients. A callable
        ``(weights, mask) -> gradients`` is asked before every step, at the weights as they are then. None is
        enough for "magnitude".
    sparsity : float, or one for each array
        Share of the weights (of the groups) to be zero, in [0, 1], rounded to whole numbers of them, half
        upwards. Several numbers, in the structure of the weights, need ``scope="layer"``.
    method : {"mfac", "fisher", "magnitude"}, default "mfac"
        "fisher" takes F for diagonal: ``w_i^2 F_ii / 2``, and no other weight moves. "magnitude" takes w_i^2.
    steps : int, default 16
        In how many steps weights are chosen, with the inverse computed afresh for those that are left; 1 is
        one shot. Where a step would only repeat the last ("magnitude", or "fisher" without a callable) one is
        made.
    schedule : {"geometric", "linear", "cubic"}, default "geometric"
        "geometric" keeps the same share of what is left at every step; "linear" prunes equally many;
        "cubic" leaves ``(1 - k / steps)^3`` of the way.
    damping : float, default 1e-5
        Positive, at least 1e-31 in float32 and 1e-292 in float64; 0 will do for "fisher". In the units of
        squared gradients: it matters where fewer gradients than `block` are given.
    block : int or None, default 128
        F is kept in diagonal blocks of as many rows, in the order of the weights; None keeps it whole.
    update : {"separate", "joint", "none"}, optional
        How "mfac" moves the weights that stay: by the sum of what each pruned weight asks for by itself, as
        published; by the minimum of the quadratic model with all weights pruned at once, at the price of
        another inverse; or not at all. "separate" unless given, "joint" with `groups`.
    scope : {"global", "layer"}, default "global"
        Whether all weights are ranked against each other, or those of every array apart.
    mask : structure of bools, optional
        False where a weight is pruned already: it stays so, and counts.
    groups : "rows" or integers in the structure of the weights, optional
        Weights with the same label are pruned together, and `sparsity` is the share of the groups; those with
        a negative one stay. "rows" is the first axis of every array: outputs of dense layers in PyTorch's
        layout, filters of convolutions.
    group_saliency : {"joint", "sum"}, default "joint"
        What a group Q costs for "mfac": ``w_Q^T ([F^-1]_QQ)^-1 w_Q / 2``, or the sum over its weights.

    Returns
    -------
    PruneResult
        Unpacks to ``mask, update``: ``weights + update`` is zero where `mask` is False. `info` has the
        sparsity of every array, the increase of the loss that the model predicts, and its terms.

    Raises
    ------
    InputError
        An argument does not fit, or `mask` has pruned more than `sparsity`.
    NonFiniteError
        Weights or gradients, of any step, hold NaN or Inf. There is no partial result.
    BreakdownError
        A block of F cannot be inverted in float64, with more damping neither.

    Warns
    -----
    ConvergenceWarning
        Blocks of F were singular to rounding, and had to be given more damping or projected: `info.health`
        has their number.

    Notes
    -----
    *Algorithm*: optimal brain surgeon (Hassibi and Stork, 1993) with the inverse of M-FAC (Frantar, Kurtic
    and Alistarh, 2021). Gradients of weights that are pruned are taken for zero, so that the inverse of a
    step is that of F on the weights that are left, not a part of the inverse of all. Of equal costs the first
    goes.
    The model assumes that the gradient itself is small, as after training.

    *Cost*: a step takes 2 d m B flops with B = min(block, m), twice that for "joint" with a callable, and
    ``d (m + B)`` numbers.

    Examples
    --------
    The second weight is the smallest, but the loss hardly sees the first:

    >>> import numpy as np
    >>> from randnla.curvature import prune
    >>> w = np.array([2.0, 1.0, 3.0])
    >>> G = np.array([[0.1, 2.0, 0.0], [0.0, 0.0, 1.0]])
    >>> mask, update = prune(w, G, 1 / 3)
    >>> mask
    array([False,  True,  True])
    >>> np.round(w + update, 2)
    array([0. , 1.1, 3. ])
    """
    layout, start = layout_of(weights)
    plan = _Plan(
        method=validate.choice(method, METHODS, name="method"),
        damping=validate.real(damping, name="damping", low=0.0),
        block=layout.size if block is None else validate.integer(block, name="block", low=1),
        update=validate.choice(update or ("separate" if groups is None else "joint"), UPDATES, name="update"),
        group_saliency=validate.choice(group_saliency, ("joint", "sum"), name="group_saliency"),
    )
    plan.require_range(layout.dtype)
    steps = validate.integer(steps, name="steps", low=1)
    validate.choice(schedule, SCHEDULES, name="schedule")
    validate.choice(scope, ("global", "layer"), name="scope")
    keep = np.ones(layout.size, bool) if mask is None else layout.flags(mask, "mask")
    units = units_of(layout, groups, scope)
    before = units.pruned(keep)
    targets = targets_of(layout, units, sparsity, scope, before)
    source = _source_of(gradients, layout, plan)
    if plan.method == "magnitude" or (plan.method == "fisher" and not callable(gradients)):
        steps = 1
    counts = [
        schedule_of(steps, schedule, old, new, pool.size)
        for (old, new), pool in zip(targets, units.pools, strict=True)
    ]
    run = _Run(plan, layout, units, source, start, keep, before)
    for wanted in zip(*counts, strict=True):
        run.step(wanted)
    return run.result(start)


@dataclass(frozen=True)
class _Plan:
    """How every step is made."""

    method: str
    damping: float
    block: int
    update: str
    group_saliency: str

    def require_range(self, dtype: np.dtype[Any]) -> None:
        """Its inverse, and products with either, have all their digits in the dtype of the gradients."""
        limits = np.finfo(dtype)
        least = float(limits.tiny / limits.eps)
        if self.method == "mfac" and not (least <= self.damping <= 1 / least):
            raise InputError(
                f'damping: expected a positive number for "mfac", in {dtype} in '
                f"[{least:.3g}, {1 / least:.3g}], got {self.damping}"
            )


class _Given:
    """Gradients that are what they are; those of weights that are pruned become zero as the steps go."""

    def __init__(self, rows: Array) -> None:
        self._rows, self._own, self._keep = rows, False, np.ones(rows.shape[1], bool)
        self.count = len(rows)

    def rows(self, w: Array, keep: Array) -> Array:
        """Gradients, the same array as long as `keep` is the same."""
        if not np.array_equal(keep, self._keep):
            if not self._own:
                self._rows, self._own = self._rows.copy(), True
            self._rows[:, self._keep & ~keep] = 0
            self._keep = keep.copy()
        return self._rows


class _Asked:
    """Gradients that a callable tells at the weights of each step."""

    def __init__(self, call: Callable[[Any, Any], Any], layout: Layout) -> None:
        self._call, self._layout, self._step = call, layout, 0
        self.count = 0

    def rows(self, w: Array, keep: Array) -> Array:
        """New gradients."""
        self._step += 1
        given = self._call(self._layout.split(w.astype(self._layout.dtype)), self._layout.split(keep))
        rows = self._layout.rows(given, f"gradients of step {self._step}")
        self.count += len(rows)
        if not keep.all():
            rows = np.where(keep, rows, self._layout.dtype.type(0))
        return rows


def _source_of(gradients: Any, layout: Layout, plan: _Plan) -> _Given | _Asked | None:
    if plan.method == "magnitude":
        return None
    if gradients is None:
        raise InputError(
            f'gradients: expected an array, an iterable or a callable for "{plan.method}", got None'
        )
    return _Asked(gradients, layout) if callable(gradients) else _Given(layout.rows(gradients, "gradients"))


@dataclass
class _Run:
    """The weights as they are after the steps so far."""

    plan: _Plan
    layout: Layout
    units: Units
    source: _Given | _Asked | None
    w: Array
    keep: Array
    gone: Array
    increases: list[float] = field(default_factory=list)
    steps: int = 0
    singular: int = 0

    def __post_init__(self) -> None:
        # A power of two keeps squares in range, and scales all but the increases by itself.
        self._exponent = math.frexp(float(np.abs(self.w).max()))[1]
        self.w = np.where(self.keep, np.ldexp(self.w.astype(np.float64), -self._exponent), 0.0)
        self.keep = self.keep.copy()
        self._inverse: FisherBlocks | None = None  # of the weights that are left, while it is the right one

    def step(self, wanted: tuple[int, ...]) -> None:
        """Prune up to so many units of every pool."""
        pools = self.units.pools
        if all(self.gone[pool].sum() >= count for pool, count in zip(pools, wanted, strict=True)):
            return
        G = None if self.source is None else self.source.rows(self._weights(), self.keep)
        scores = np.where(self.gone, -np.inf, self._scores(G))
        gone = self.gone.copy()
        for pool, count in zip(pools, wanted, strict=True):
            gone[pool[lowest(scores[pool], count)]] = True
        fresh = self.keep & self.units.members(gone)
        delta = self._change(G, fresh)
        self.gone, self.keep = gone, self.keep & ~fresh
        self.w = np.where(self.keep, self.w + delta, 0.0)
        self.steps += 1

    def _weights(self) -> Array:
        return np.ldexp(self.w, self._exponent)

    def _scores(self, G: Array | None) -> Array:
        """Twice what each unit costs."""
        w = self.w
        if G is None:
            return self.units.of_weights(w * w)
        if self.plan.method == "fisher":
            return self.units.of_weights(w * w * self._diagonal(G))
        if self._inverse is None:
            self._inverse = self._inverted(G)
        if self.units.labels is not None and self.plan.group_saliency == "joint":
            return self._inverse.marginal(self.units.labels, self.units.count, w)
        return self.units.of_weights(w * w / self._inverse.inverse_diagonal)

    def _diagonal(self, G: Array) -> Array:
        total = np.zeros(G.shape[1])
        for g in G:
            total += np.square(g, dtype=np.float64)
        return total / len(G) + self.plan.damping

    def _inverted(self, G: Array) -> FisherBlocks:
        made = FisherBlocks(G, self.plan.damping, self.plan.block)
        self.singular += made.singular
        return made

    def _change(self, G: Array | None, fresh: Array) -> Array:
        """What pruning the fresh weights does to all weights."""
        removed = np.where(fresh, self.w, 0.0)
        if G is None:
            return -removed
        if self.plan.method == "fisher":
            self.increases.append(0.5 * float(removed @ (self._diagonal(G) * removed)))
            return -removed
        F = self._inverse
        assert F is not None
        images = F.images(removed)
        moved = self._moved(F, G, fresh, removed, images)
        # Gradients of the weights that go may be zero in F by now: the others' images do not see them.
        delta = moved - removed
        self.increases.append(0.5 * F.quadform(delta, F.images(moved) - images))
        return delta

    def _moved(self, F: FisherBlocks, G: Array, fresh: Array, removed: Array, images: Array) -> Array:
        """How the weights that stay move, zero elsewhere."""
        left = self.keep & ~fresh
        self._inverse = None
        if self.plan.update == "none":
            return np.zeros(self.w.shape)
        if self.plan.update == "separate":
            return np.where(left, -F.solve(removed / F.inverse_diagonal), 0.0)
        # The minimum of delta^T F delta with delta = -w on Q is F_KK delta_K = F_KQ w_Q on the others, K.
        # F_KK is F with the gradients of Q set to zero, which F is from the next step on anyway.
        side = np.where(left, F.apply(removed, images), 0.0)
        if isinstance(self.source, _Given):
            next_inverse = self._inverse = self._inverted(self.source.rows(self.w, left))
        else:
            next_inverse = self._inverted(np.where(left, G, G.dtype.type(0)))
        return np.where(left, next_inverse.solve(side), 0.0)

    def result(self, start: Array) -> PruneResult:
        """The mask and the update from the weights at the start."""
        dtype = self.layout.dtype
        update = np.where(self.keep, (self._weights() - start).astype(dtype), -start)
        # Beyond the range of float64 an increase is infinite.
        with np.errstate(over="ignore"):
            increases = [float(np.ldexp(value, 2 * self._exponent)) for value in self.increases]
        grouped = self.units.labels is not None
        health = ""
        if self.singular:
            health = f"{self.singular} blocks of the Fisher matrix were singular to rounding"
            warn(f"prune: {health}")
        pruned = int(self.layout.size - np.count_nonzero(self.keep))
        shares = {
            part.key: 1 - float(np.mean(self.keep[part.place]))
            for part in self.layout.parts
            if part.place.stop > part.place.start
        }
        info = PruneInfo(
            method=self.plan.method,
            update=self.plan.update if self.plan.method == "mfac" else "none",
            steps=self.steps,
            size=self.layout.size,
            pruned=pruned,
            sparsity=pruned / self.layout.size,
            sparsities=shares,
            groups=self.units.count if grouped else None,
            groups_pruned=int(self.gone.sum()) if grouped else None,
            gradients=0 if self.source is None else self.source.count,
            block=min(self.plan.block, self.layout.size) if self.plan.method == "mfac" else None,
            damping=None if self.source is None else self.plan.damping,
            predicted_increase=None if self.source is None else sum(increases),
            increases=tuple(increases),
            health=health,
        )
        return PruneResult(self.layout.split(self.keep), self.layout.split(update), info=info)

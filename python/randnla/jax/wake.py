# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""KLD-WRM as functions of arrays: what gradients become in the wake of the steps before."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from randnla.curvature.factors.average import Average
from randnla.curvature.kfac.kld_wrm import AugmentedBlock

from .apply import precondition, times
from .state import LayerState, Opened, closed, opened
from .statistics import average_of

NOW = ("left_now", "right_now")  # the factors of the last batch, of blocks that are augmented by them


def step(
    block: Any,
    average: Average,
    layer: LayerState,
    V: Any,
    rate: Any,
    number: Any,
    *,
    quadratic: bool,
    joint: bool,
) -> tuple[Any, LayerState]:
    """The right-hand side of a step, and the state with what it leaves to the next.

    Parameters
    ----------
    block : Block
        Of the engine: whether its factors are augmented.
    average : Average
    layer : LayerState
        Its ``statistics["pull"]`` is what the step before has left.
    V : (m, n) array
        The gradient.
    rate, number : scalars
        The step size, and the number of the step.
    quadratic : bool
        Variant Q, with a quadratic model of the loss; else SO.
    joint : bool
        The damping is of the product.

    Notes
    -----
    As `randnla.curvature.WakeRecursion` has it: with the pull r of the step before, g^ = g + rho (its step
    size / that of this step) r; SO leaves -g, Q leaves g^ - g - M g^ with M = F (F + rate B)^-1.
    """
    seen = opened(layer)
    rate = jnp.asarray(rate, V.dtype)
    right = V + average.ema * (seen.record["rate"] / rate) * seen.statistics["pull"]
    if not quadratic:
        made, pull = right, -V
    else:
        kept = _retained(block, average, seen, right, rate, number, joint=joint)
        made = right if isinstance(block, AugmentedBlock) else right / (1 + rate)
        pull = right - V - kept
    record = {**seen.record, "rate": rate}
    return made, closed(Opened({**seen.statistics, "pull": pull}, seen.inverse, record), jnp)


def _retained(
    block: Any, average: Average, seen: Opened, right: Any, rate: Any, number: Any, *, joint: bool
) -> Any:
    """``F (F + rate B)^-1`` of g^: by the factors where the inverse is new, else with B = F."""
    if not isinstance(block, AugmentedBlock):
        return right / (1 + rate)

    def by_factors(right: Any) -> Any:
        shifts, count = seen.inverse["shifts"], seen.record["count"]
        L, R = (average_of(average, count, seen.statistics[side]) for side in ("left", "right"))
        W = precondition(seen.inverse, right, joint=joint)
        half = times(L, W) + shifts[0] * W
        return times(half, R) + shifts[1] * half + shifts[2] * W

    new = (seen.record["refreshes"] > 0) & (seen.record["last_refresh"] == number)
    return lax.cond(new, by_factors, lambda right: right / (1 + rate), right)

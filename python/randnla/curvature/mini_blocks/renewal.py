# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A refresh of the blocks of a name: all in one damping, or none."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ..damping import Absolute, Damping
from ..health import Health, attempt
from .averaged_blocks import Held
from .block_average import Made


def renewed(held: list[Held], damping: Damping, health: Health, step: int) -> Health:
    """Take new inverses of the averages as they are, or keep the last good ones; what is known then."""
    outcome = attempt(partial(_inverted, held), damping)
    if outcome.made is None:
        kept = "identity" if health.last_refresh is None else "last good inverse"
        failed = health.failed_refreshes + 1
        return replace(health, fallback=kept, reason=outcome.reason, failed_refreshes=failed)
    for part, made in zip(held, outcome.made, strict=True):
        part.blocks.adopt(made)
    return replace(
        health,
        last_refresh=step,
        condition=max(made.condition for made in outcome.made),
        fallback=outcome.fallback,
        reason=outcome.reason,
    )


def _shift(damping: Damping, held: list[Held]) -> float:
    """What is added to every diagonal."""
    if isinstance(damping, Absolute):
        return damping.value
    total, size = (sum(getattr(part.blocks, key) for part in held) for key in ("trace", "size"))
    return damping.value * (total / size or 1.0)


def _inverted(held: list[Held], damping: Damping, *given: bool) -> list[Made]:
    """Inverses of all blocks of a name, all in one damping."""
    (wide,) = given
    shift = _shift(damping, held)
    return [part.blocks.renewed(shift, wide=wide) for part in held]

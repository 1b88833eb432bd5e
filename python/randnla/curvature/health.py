# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""How the curvature of a layer is, and the ladder of attempts that keeps training alive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .damping import Damping

T = TypeVar("T")


@dataclass(frozen=True)
class Health:
    """What is known of the curvature of one layer.

    Attributes
    ----------
    inverse : str
        How the layer is inverted, as "low_rank x cholesky", left side first.
    last_refresh : int or None
        Step of the last refresh that succeeded.
    condition : float or None
        Of the damped curvature at that time.
    truncated : float
        The larger share of a trace that is not in the eigenpairs kept, of both sides.
    fallback : str
        "" while all is well; else "float64", "damping x 10" (100, 1000), "last good inverse" or "identity",
        what the last refresh came to.
    reason : str
        Why, naming the factor.
    failed_refreshes, skipped_statistics, skipped_gradients : int
        Refreshes that came to nothing; batches and gradients with NaN or Inf, which changed nothing.
    """

    inverse: str
    last_refresh: int | None = None
    condition: float | None = None
    truncated: float = 0.0
    fallback: str = ""
    reason: str = ""
    failed_refreshes: int = 0
    skipped_statistics: int = 0
    skipped_gradients: int = 0


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What came of the attempts: something new, or None and the reason."""

    made: T | None
    fallback: str
    reason: str


def attempt(make: Callable[[Damping, bool], T], damping: Damping) -> Outcome[T]:
    """Try as asked, then in float64, then there with 10, 100 and 1000 times the damping; never raise.

    Parameters
    ----------
    make : callable (damping, wide) -> T
    damping : Damping
    """
    floor = max(damping.value, 1e-8)
    ladder = [("", damping, False), ("float64", damping, True)]
    ladder += [(f"damping x {10**k}", damping.with_value(floor * 10**k), True) for k in (1, 2, 3)]
    reason = ""
    for name, tried, wide in ladder:
        try:
            return Outcome(make(tried, wide), name, reason)
        except Exception as problem:  # whatever it is, training goes on, and health tells of it
            reason = f"{type(problem).__name__}: {problem}"
    return Outcome(None, "", reason)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What a row of the ratio table is made of: a piece of work, its contenders and its bar."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Contender = Callable[[], Any]


@dataclass(frozen=True)
class Bar:
    """What we promise of a piece of work.

    `time`: our time over the fastest of `against` is at most `value`, or exceeds it by `allowance_ms`.
    `fraction`: the time of the fastest of `against` over ours is at least `value` (a share of the GEMM's
    speed). `rate`: at least `value` 10^9 units a second. Bars hold for the thread counts in `threads`.
    An empty `against` means every peer (that reaches the error limit of the work).
    """

    kind: Literal["time", "fraction", "rate"]
    value: float
    against: tuple[str, ...] = ()
    threads: tuple[int, ...] = (1, 2)
    allowance_ms: float = 0.0

    def __str__(self) -> str:
        if self.kind == "rate":
            return f">= {self.value:g} G/s"
        sign = "<=" if self.kind == "time" else ">="
        return f"{sign} {self.value:.0%}" if self.kind == "fraction" else f"{sign} {self.value:g}x"

    def met(self, ratio: float, excess_ms: float = math.inf) -> bool:
        """Whether `ratio`, or our time less that of the peer, keeps the promise."""
        if self.kind == "time":
            return ratio <= self.value or 0 < excess_ms <= self.allowance_ms
        return ratio >= self.value


@dataclass(frozen=True)
class Case:
    """Contenders on one input; `error` measures the result of any of them, None where it has none.

    The peers come from a function, so that a benchmark of ours alone does not pay for theirs.
    """

    ours: Contender
    peers: Callable[[], Mapping[str, Contender]]
    error: Callable[[str, Any], float | None] = lambda name, result: None
    units: float | None = None  # numbers made by one call, for rates


@dataclass(frozen=True)
class Work:
    """A row: `build(threads)` makes the inputs and the calls, MissingError where a name is not there."""

    name: str
    dtype: str
    shape: str
    build: Callable[[int], Case]
    bar: Bar | None = None
    error_limit: float | None = None  # who exceeds it does not count, and our row is not met
    error_over_best: float | None = None  # the same, relative to the smallest error of all
    quick: bool = True
    rounds: int = 15
    seconds: float = 8.0
    note: str = ""
    threads: tuple[int, ...] = field(default=(1, 2))

    @property
    def title(self) -> str:
        return f"{self.name} {self.dtype} {self.shape}"

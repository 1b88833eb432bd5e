# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Interleaved timing: on a noisy machine only ratios of alternating runs in one process count."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

# A sample shorter than this is repeated inside one measurement, so that clocks resolve it.
SHORTEST_SAMPLE = 2e-3  # s

# Idle workers of OpenBLAS spin for about 100 ms after their last job and would slow down whoever runs next:
# by a factor of three where that is another pool on the same two cores (at a pause of 40 ms; none at 200 ms).
# With more than one thread every contender therefore starts after a pause.
SETTLE = 0.2  # s


@dataclass
class Timing:
    """Samples of one contender, in seconds a call."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def best(self, clock: str) -> float:
        return min(getattr(self, clock))

    def median(self, clock: str) -> float:
        return median(getattr(self, clock))

    def noise(self, clock: str) -> float:
        """Median over best: 1 on a quiet machine."""
        return self.median(clock) / self.best(clock)


@dataclass(frozen=True)
class Outcome:
    """What became of one contender: its samples and last result, or why it failed."""

    timing: Timing
    result: Any = None
    failure: str | None = None


def _sample(call: Callable[[], Any], repeats: int) -> tuple[float, float, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        result = call()
    return (time.perf_counter() - wall) / repeats, (time.process_time() - cpu) / repeats, result


def interleave(
    contenders: Mapping[str, Callable[[], Any]], *, rounds: int, seconds: float, threads: int
) -> dict[str, Outcome]:
    """Time contenders round by round.

    Every round runs each contender once, starting with another one each time. A warm-up call
    precedes the rounds; they end after `rounds`, or after 3 once `seconds` have passed. A contender
    that raises is dropped and its error kept.
    """
    timings = {name: Timing() for name in contenders}
    results: dict[str, Any] = {}
    failures: dict[str, str] = {}
    repeats: dict[str, int] = {}
    for name, call in contenders.items():
        try:
            wall, _, results[name] = _sample(call, 1)
            if wall < 0.1:  # the first call also imports and makes caches
                wall = _sample(call, 1)[0]
            repeats[name] = max(1, min(100, round(SHORTEST_SAMPLE / max(wall, 1e-9))))
        except Exception as error:  # a contender's failure is a result to report, not ours to hide
            failures[name] = f"{type(error).__name__}: {error}".splitlines()[0]
    alive = [name for name in contenders if name not in failures]
    start = time.perf_counter()
    for turn in range(rounds):
        if turn >= 3 and time.perf_counter() - start > seconds:
            break
        first = turn % max(1, len(alive))
        for name in alive[first:] + alive[:first]:
            if threads > 1:
                time.sleep(SETTLE)
            wall, cpu, results[name] = _sample(contenders[name], repeats[name])
            timings[name].wall.append(wall)
            timings[name].cpu.append(cpu)
    return {name: Outcome(timings[name], results.get(name), failures.get(name)) for name in contenders}

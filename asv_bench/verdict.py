# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""From samples to a row of the table: the ratio, the peer it is taken against, and whether the bar is met."""

from __future__ import annotations

import gc
import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any

from conditions import MissingError, thread_limit
from measure import Outcome, interleave
from works import Case, Work


@dataclass
class Row:
    """One line of the table; times in milliseconds on the clock named by `clock`."""

    work: str
    dtype: str
    shape: str
    threads: int
    clock: str
    status: str  # met, missed, unbarred, missing, failed
    bar: str = "-"
    ours_ms: float | None = None
    ours_error: float | None = None
    peer: str = "-"
    peer_ms: float | None = None
    peer_error: float | None = None
    ratio: float | None = None
    noise: float | None = None
    note: str = ""
    contenders: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _error_limit(work: Work, errors: Mapping[str, float | None]) -> float | None:
    if work.error_over_best is not None:
        known = [e for e in errors.values() if e is not None]
        return work.error_over_best * min(known) if known else None
    return work.error_limit


def _fastest(names: list[str], outcomes: Mapping[str, Outcome], clock: str) -> str | None:
    return min(names, key=lambda name: outcomes[name].timing.best(clock)) if names else None


def _summary(outcome: Outcome, error: float | None, clock: str) -> dict[str, Any]:
    if outcome.failure is not None:
        return {"failure": outcome.failure}
    timing = outcome.timing
    return {
        "best_wall_ms": 1e3 * timing.best("wall"),
        "median_wall_ms": 1e3 * timing.median("wall"),
        "best_cpu_ms": 1e3 * timing.best("cpu"),
        "median_cpu_ms": 1e3 * timing.median("cpu"),
        "rounds": len(timing.wall),
        "error": error,
    }


def _judge(
    row: Row, work: Work, case: Case, outcomes: Mapping[str, Outcome], errors: Mapping[str, float | None]
) -> None:
    clock = row.clock
    limit = _error_limit(work, errors)
    alive = [name for name in outcomes if name != "ours" and outcomes[name].failure is None]
    reached = [n for n in alive if limit is None or (errors[n] is not None and errors[n] <= limit)]  # type: ignore[operator]
    bar = work.bar
    against = [n for n in reached if not (bar and bar.against) or n in bar.against]
    ours = outcomes["ours"].timing.best(clock)
    row.ours_ms, row.ours_error = 1e3 * ours, errors["ours"]
    row.noise = outcomes["ours"].timing.noise(clock)
    peer = _fastest(against, outcomes, clock)
    if peer is not None:
        row.peer, row.peer_ms, row.peer_error = peer, 1e3 * outcomes[peer].timing.best(clock), errors[peer]
    if bar is not None and bar.kind == "rate":
        row.ratio = (case.units or 0.0) / ours / 1e9
    elif row.peer_ms is not None:
        fraction = bar is not None and bar.kind == "fraction"
        row.ratio = row.peer_ms / row.ours_ms if fraction else row.ours_ms / row.peer_ms
    if bar is None or row.threads not in bar.threads or row.ratio is None:
        row.status = "unbarred"
        return
    row.bar = str(bar)
    accurate = limit is None or (errors["ours"] is not None and errors["ours"] <= limit)
    excess = math.inf if row.peer_ms is None else row.ours_ms - row.peer_ms
    row.status = "met" if bar.met(row.ratio, excess) and accurate else "missed"
    if not accurate:
        row.note = f"our error exceeds {limit:.4g}. {row.note}".strip()


def measure(work: Work, threads: int, *, effort: float = 1.0) -> Row:
    """Build, time and judge one work at one thread count; what is missing or fails says so in its row."""
    # CPU time is immune to other processes, but adds up over threads: it serves one thread only.
    clock = "cpu" if threads == 1 else "wall"
    import_module("torch")  # before the thread limit, which reaches only what is loaded
    row = Row(work.name, work.dtype, work.shape, threads, clock, "failed", note=work.note)
    try:
        with thread_limit(threads), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peers warn of their own convergence; errors are shown
            case = work.build(threads)
            rounds = max(3, round(work.rounds * effort))
            calls = {"ours": case.ours, **case.peers()}
            outcomes = interleave(calls, rounds=rounds, seconds=work.seconds * effort, threads=threads)
            errors = {n: case.error(n, o.result) if o.failure is None else None for n, o in outcomes.items()}
    except MissingError as missing:
        row.status, row.note = "missing", str(missing)
        return row
    except Exception as error:  # reported in the row: one broken work must not hide the others
        row.note = f"{type(error).__name__}: {error}".splitlines()[0]
        return row
    finally:
        gc.collect()
    row.contenders = {n: _summary(o, errors[n], clock) for n, o in outcomes.items()}
    if outcomes["ours"].failure is not None:
        row.note = outcomes["ours"].failure
        return row
    _judge(row, work, case, outcomes, errors)
    return row

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The ratio table judges as its bars say: against which peer, at which error, and nothing is hidden."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).resolve().parents[2] / "asv_bench"
for _package in ("torch", "sklearn", "threadpoolctl"):
    pytest.importorskip(_package)


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    """The harness, found as `make bench` finds it."""
    sys.path.insert(0, str(BENCH))
    try:
        return importlib.import_module("verdict")
    finally:
        sys.path.remove(str(BENCH))


def spend(milliseconds: float) -> None:
    end = time.process_time() + milliseconds / 1e3
    while time.process_time() < end:
        pass


def work(bench, *, ours=4, bar=None, errors=None, limit=None, **peers):
    errors = errors or {}
    works = sys.modules["works"]
    case = works.Case(
        lambda: spend(ours),
        lambda: {name: lambda t=t: spend(t) for name, t in peers.items()},
        lambda name, result: errors.get(name),
        units=4e6,
    )
    return works.Work(
        "toy", "float32", "1x1", lambda threads: case, bar, error_limit=limit, rounds=3, seconds=1
    )


def test_time_ratio_against_the_fastest_of_the_named(bench):
    bar = sys.modules["works"].Bar("time", 0.7, ("a", "b"), threads=(1,))
    row = bench.measure(work(bench, bar=bar, a=16, b=8, c=2), 1)
    assert (row.status, row.peer) == ("met", "b")
    assert row.ratio == pytest.approx(0.5, rel=0.2)
    assert set(row.contenders) == {"ours", "a", "b", "c"}


def test_a_small_excess_may_be_allowed(bench):
    bar = sys.modules["works"].Bar("time", 1.1, threads=(1,), allowance_ms=6.0)
    assert bench.measure(work(bench, bar=bar, ours=8, a=4), 1).status == "met"
    assert bench.measure(work(bench, bar=bar, ours=16, a=4), 1).status == "missed"
    # Being faster than the peer is not enough where the bar asks for more.
    bar = sys.modules["works"].Bar("time", 0.5, threads=(1,))
    assert bench.measure(work(bench, bar=bar, ours=6, a=8), 1).status == "missed"


def test_who_misses_the_error_limit_does_not_count(bench):
    bar = sys.modules["works"].Bar("time", 0.7, threads=(1,))
    errors = {"ours": 1.01, "a": 1.5, "b": 1.0}
    row = bench.measure(work(bench, bar=bar, errors=errors, limit=1.02, a=1, b=8), 1)
    assert (row.status, row.peer, row.ours_error, row.peer_error) == ("met", "b", 1.01, 1.0)


def test_our_own_error_above_the_limit_is_a_miss(bench):
    bar = sys.modules["works"].Bar("time", 0.7, threads=(1,))
    row = bench.measure(work(bench, bar=bar, errors={"ours": 3.0, "a": 1.0}, limit=1.02, a=20), 1)
    assert row.status == "missed"
    assert "exceeds 1.02" in row.note


@pytest.mark.parametrize(("value", "status"), [(0.4, "met"), (0.9, "missed")])
def test_fraction_is_the_share_of_the_peers_speed(bench, value, status):
    bar = sys.modules["works"].Bar("fraction", value, ("a",), threads=(1,))
    row = bench.measure(work(bench, ours=8, bar=bar, a=4), 1)
    assert row.status == status
    assert row.ratio == pytest.approx(0.5, rel=0.2)


def test_rate_counts_units(bench):
    bar = sys.modules["works"].Bar("rate", 0.5, threads=(1,))
    row = bench.measure(work(bench, ours=4, bar=bar, a=4), 1)
    assert row.status == "met"
    assert row.ratio == pytest.approx(1.0, rel=0.2)  # 4e6 units in 4 ms


def test_bars_hold_only_at_their_thread_counts(bench):
    bar = sys.modules["works"].Bar("time", 0.7, threads=(2,))
    assert bench.measure(work(bench, bar=bar, a=4), 1).status == "unbarred"


def test_missing_and_failing_rows_say_so(bench):
    works = sys.modules["works"]

    def missing(threads):
        return sys.modules["conditions"].find("randnla", "no_such_name")

    def broken(threads):
        return works.Case(lambda: 1 / 0, lambda: {"a": lambda: spend(3)})

    def bad_peer(threads):
        return works.Case(lambda: spend(3), lambda: {"a": lambda: 1 / 0, "b": lambda: spend(3)})

    def row(build):
        return bench.measure(works.Work("toy", "", "", build, rounds=3, seconds=1), 1)

    assert (row(missing).status, row(missing).note) == ("missing", "randnla.no_such_name")
    assert row(broken).status == "failed"
    assert "ZeroDivisionError" in row(broken).note
    assert row(bad_peer).peer == "b"
    assert "ZeroDivisionError" in row(bad_peer).contenders["a"]["failure"]


def test_titles_are_unique(bench):
    titles = [work.title for work in sys.modules["works"].WORKS]
    assert len(titles) == len(set(titles))

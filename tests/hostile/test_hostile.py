# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Every public function x hostile inputs: in bounded time, the promised error or a correct result.

The calls are made by a worker process (hostile_worker.py) that is killed when a case outruns LIMIT.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse.linalg as spla
from hostile_arguments import ARGUMENTS
from hostile_inputs import LAYOUTS, MATRICES, NON_FINITE, SHAPES, Hostile, dense_truth
from hostile_products import TARGETS
from hostile_targets import Target, precision

import randnla
from randnla import estimate, solvers, tensor

HERE = Path(__file__).parent
LIMIT = 10.0  # s; the slowest case takes well below one
NOT_SQUARE = r"^A\b.*(square|symmetric|Hermitian|expected shape \(\d+, \d+\))"
START_LIMIT = 60.0  # s, for importing on a busy machine


class Worker:
    """One process that answers requests; a new one takes over after a hang or a crash."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def _start(self) -> None:
        read, write = os.pipe()
        ours = os.environ.get("PYTHONPATH")
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "hostile_worker.py"), str(write)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(HERE.parent), ours)))},
            stdin=subprocess.PIPE,
            pass_fds=[write],
            text=True,
            start_new_session=True,
        )
        os.close(write)
        self.answers = os.fdopen(read)
        self.fresh = True

    def ask(self, run: str, target: str, case: str) -> dict[str, Any]:
        if self.process is None:
            self._start()
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"run": run, "target": target, "case": case}) + "\n")
        self.process.stdin.flush()
        limit = START_LIMIT if self.fresh else LIMIT
        ready, _, _ = select.select([self.answers], [], [], limit)
        line = self.answers.readline() if ready else ""
        if line:
            self.fresh = False
            answer: dict[str, Any] = json.loads(line)
            return answer
        status = self.stop()
        pytest.fail(f"no answer in {limit} s" if not ready else f"the process died with status {status}")

    def stop(self) -> int | None:
        if self.process is None:
            return None
        try:
            status: int | None = self.process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            status = None
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.answers.close()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process = None
        return status


@pytest.fixture(scope="session")
def worker() -> Iterator[Worker]:
    one = Worker()
    yield one
    if one.process is not None and one.process.stdin is not None:
        one.process.stdin.close()
        one.process.stdin = None
    one.stop()


def assert_error(outcome: dict[str, Any], promise: str, pattern: str) -> None:
    assert outcome["kind"] == "error", f"expected {promise}, got a result ({outcome.get('problem')})"
    assert promise in outcome["classes"], f"{outcome['classes'][0]}: {outcome['message']}"
    assert re.search(pattern, outcome["message"]), outcome["message"]


def assert_value(outcome: dict[str, Any]) -> None:
    assert outcome["kind"] == "value", f"{outcome['classes'][0]}: {outcome['message']}"
    assert outcome["problem"] is None, outcome["problem"]


def named(pattern: str, target: Target) -> str:
    return pattern.replace("^A", f"^{target.argument}", 1)


def is_square_case(target: Target, case: Hostile) -> bool:
    return target.kind == "general" or case.symmetric


def breaks(target: Target, case: Hostile) -> bool:
    base = target.base()
    A = case.make(base)
    return target.breaks(dense_truth(case.truth(base) if case.truth else A), precision(A))


def refused(target: Target, case: Hostile) -> bool:
    base = target.base()
    return target.refuses(dense_truth(case.truth(base) if case.truth else case.make(base)))


def matrix_cases() -> list[Any]:
    return [
        pytest.param(target, case, id=f"{target.name}-{case.name}")
        for target in TARGETS.values()
        for case in MATRICES.values()
        if not (target.takes_vectors and case.name == "1-D")
    ]


@pytest.mark.parametrize(("target", "case"), matrix_cases())
def test_matrix(worker: Worker, target: Target, case: Hostile) -> None:
    outcome = worker.ask("matrix", target.name, case.name)
    assert not outcome["modified"], "the input was written to"
    if target.dense_only and not isinstance(case.make(target.base()), (np.ndarray, list, tuple)):
        assert_error(outcome, "InputError", named(r"^A\b", target))
        return
    if target.entries_only and isinstance(case.make(target.base()), spla.LinearOperator):
        assert_error(outcome, "InputError", named(r"^A: expected an array", target))
        return
    if target.real and getattr(case.make(target.base()), "dtype", None) in (np.complex64, np.complex128):
        assert_error(outcome, "InputError", named(r"^A: expected real (numbers|points)", target))
        return
    if case.promise == "NonFiniteError" and not target.sees_all and outcome["kind"] == "value":
        return  # the rows drawn hold no NaN
    if case.promise != "value":
        assert_error(outcome, case.promise, named(case.pattern, target))
    elif refused(target, case):
        assert_error(outcome, "InputError", named(r"^A: ", target))
    elif case in SHAPES and case.make(target.base()).shape[target.needed_axis] < target.rows_needed:
        assert_error(outcome, "InputError", r"^(size|d|m|A): expected")
    elif not is_square_case(target, case):
        assert_error(outcome, "InputError", named(NOT_SQUARE, target))
    elif breaks(target, case):
        assert_error(outcome, "BreakdownError", named(r"^A\b.*eigenvalue", target))
    else:
        assert_value(outcome)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        pytest.param(target, case.name, id=f"{target.name}-{case.name}")
        for target in TARGETS.values()
        if "check_finite" in target.parameters
        for case in NON_FINITE
    ],
)
def test_unscreened_input_never_hangs(worker: Worker, target: Target, name: str) -> None:
    outcome = worker.ask("unscreened", target.name, name)
    assert not outcome["modified"], "the input was written to"
    if outcome["kind"] == "error":
        ours = {"InputError", "BreakdownError", "ConvergenceWarning", "RuntimeWarning"}
        assert ours & set(outcome["classes"]), f"{outcome['classes'][0]}: {outcome['message']}"


@pytest.mark.parametrize(
    ("target", "name"),
    [pytest.param(t, name, id=f"{t.name}-{name}") for t in TARGETS.values() for name in LAYOUTS],
)
def test_layout_does_not_matter(worker: Worker, target: Target, name: str) -> None:
    """Our own kernels give identical bits; BLAS sums in another order for another layout.

    Singular values fall like 1.5^-i, the fifth gap is about .05 of the largest: vectors move by
    eps / gap, a hundred eps with the constants of the products.
    """
    outcome = worker.ask("layout", target.name, name)
    assert outcome["kind"] == "value", f"{outcome['classes'][0]}: {outcome['message']}"
    assert not outcome["modified"], "the input was written to"
    if target.exact_layouts:
        assert outcome["same_bits"], f"largest difference {outcome['difference']:.1e}"
    else:
        mapped = "memmap" in name
        assert outcome["difference"] <= (target.mapped_tolerance if mapped else target.layout_tolerance)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        pytest.param(target, name, id=f"{target.name}-{name}")
        for target in TARGETS.values()
        for name, argument in ARGUMENTS.items()
        if argument.keywords.keys() <= target.parameters or argument.promise == "TypeError"
        if not (target.whole and name == "rank=None, tol=None")
    ],
)
def test_argument(worker: Worker, target: Target, name: str) -> None:
    outcome = worker.ask("argument", target.name, name)
    assert_error(outcome, ARGUMENTS[name].promise, ARGUMENTS[name].pattern)
    assert not outcome["modified"], "the input was written to"


# Not attacked here: what takes no matrix of numbers, or is attacked through `sketch` and the drivers.
ELSEWHERE = {
    "as_operator",
    "info",
    "num_threads",
    "set_num_threads",
    "sketch",
    "__version__",
}


# An abstract base; what arrays and sparse matrices are wrapped in.
CLASSES_ELSEWHERE = {"LinearOperator", "Dense", "Sparse"}


def test_every_public_function_is_attacked() -> None:
    functions = {name for name in randnla.__all__ if not isinstance(getattr(randnla, name), type)}
    assert functions - ELSEWHERE - TARGETS.keys() == set()
    for room in (estimate, solvers):
        assert {name for name in room.__all__ if not isinstance(getattr(room, name), type)} <= TARGETS.keys()
    functions = {name for name in tensor.__all__ if not isinstance(getattr(tensor, name), type)}
    assert {f"tensor.{name}" for name in functions} <= TARGETS.keys()
    assert any(name.startswith("sketch ") for name in TARGETS)


def test_every_public_class_is_attacked() -> None:
    found = {name: getattr(randnla, name) for name in randnla.__all__}
    classes = {
        name for name, kind in found.items() if isinstance(kind, type) and not issubclass(kind, Exception)
    }
    attacked = {name for name in classes if any(re.search(rf"\b{name}\b", target) for target in TARGETS)}
    assert classes - attacked == CLASSES_ELSEWHERE


def test_at_least_forty_hostile_matrices() -> None:
    assert len(MATRICES) >= 40

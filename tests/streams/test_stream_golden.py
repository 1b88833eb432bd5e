# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Golden digests: kernels at every instruction set and team size, and the oracle in its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import stream_digests

from randnla import _core

HERE = Path(__file__).parent
GOLDEN = json.loads(stream_digests.PATH.read_text())
LEVELS = ["v2", "v3", "v4", "amx"]

ORACLE = """
import json, sys
sys.path.insert(0, {here!r})
import stream_digests
from randnla._backend.generic import streams
print(json.dumps({{n: stream_digests.digest(n, streams) for n in stream_digests.cases()}}))
assert "randnla._core" not in sys.modules
"""

KERNELS = """
import json, sys
sys.path.insert(0, {here!r})
import stream_digests
from randnla import _core
from randnla._backend.kernels import streams
result = {{"level": _core.build_info()["instruction_set"]}}
for threads in (1, 2, 3, 4):
    _core.set_num_threads(threads)
    result[threads] = {{n: stream_digests.digest(n, streams) for n in stream_digests.cases()}}
print(json.dumps(result))
"""


def answer(code: str, **environment: str) -> Any:
    run = subprocess.run(
        [sys.executable, "-c", code.format(here=str(HERE))],
        capture_output=True, text=True, timeout=120, check=True, env={**os.environ, **environment},
    )  # fmt: skip
    return json.loads(run.stdout)


def test_file_holds_this_version_and_all_cases() -> None:
    assert GOLDEN["stream_version"] == _core.stream_version
    assert list(GOLDEN["digests"]) == stream_digests.cases()
    assert len(set(GOLDEN["digests"].values())) == len(GOLDEN["digests"])


@pytest.mark.slow
def test_oracle_alone_gives_the_golden_digests() -> None:
    assert answer(ORACLE) == GOLDEN["digests"]


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_every_instruction_set_and_team_gives_the_golden_digests(level: str) -> None:
    best = _core.build_info()["instruction_set_best"]
    if best not in LEVELS or LEVELS.index(level) > LEVELS.index(best):
        pytest.skip(f"this CPU has {best}")
    got = answer(KERNELS, RANDNLA_ISA=level)
    assert got.pop("level") == level
    for threads, digests in got.items():
        assert digests == GOLDEN["digests"], f"{threads} threads"


def test_rewriting_this_version_is_refused() -> None:
    before = stream_digests.PATH.read_bytes()
    for arguments in ([], ["--rewrite"]):
        run = subprocess.run(
            [sys.executable, str(HERE / "stream_digests.py"), *arguments],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert run.returncode == 1
    assert stream_digests.PATH.read_bytes() == before

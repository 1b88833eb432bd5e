# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The emulator under sanitizers, as a program of its own: they see what it alone does not."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from test_emulator import SOUND

ROOT = Path(__file__).parents[2] / "cuda"
EMULATOR = ("emulator/emulator.cpp", "emulator/fibers.cpp")
KERNELS = ("tests/self_test.cpp", "tests/seeded_bugs.cu", "kernels/columns.cu", "kernels/combine.cu")


def build(folder: Path, sanitizer: str) -> Path:
    """ThreadSanitizer does not look at the emulator, whose fibers share what threads do not."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is needed for the sanitizers")
    flags = ["-std=c++17", "-O1", "-g", "-w", "-DRANDNLA_EMULATE=1", "-ffp-contract=off"]
    flags += [f"-I{ROOT / 'include'}", f"-I{ROOT / 'emulator'}", f"-I{ROOT / 'tests'}"]
    flags += [f"-I{ROOT.parent / 'csrc/include'}", "-fno-sanitize-recover=all"]
    thread = sanitizer == "thread"

    def compiled(name: str) -> str:
        seen = [] if thread and name in EMULATOR else [f"-fsanitize={sanitizer}"]
        seen += ["-DRANDNLA_TSAN=1"] if thread else []
        out = str(folder / f"{Path(name).stem}.o")
        command = [compiler, *flags, *seen, "-c", "-xc++", str(ROOT / name), "-o", out]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        return out

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compiled, (*EMULATOR, *KERNELS)))
    program = folder / "self_test"
    subprocess.run([compiler, f"-fsanitize={sanitizer}", *objects, "-o", str(program)], check=True)
    return program


@pytest.fixture(scope="module", params=["address,undefined", "thread"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return request.param, build(tmp_path_factory.mktemp("sanitized"), request.param)


def run(program: Path, *names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *names], capture_output=True, text=True, check=False, timeout=120)


def test_sound_kernels_are_sound(program: Any) -> None:
    done = run(program[1], *SOUND)
    assert done.returncode == 0, done.stderr[-4000:]
    lines = [f"{name} {int(values.sum())}" for name, values in SOUND.items()]
    assert done.stdout.splitlines() == 3 * lines
    done = run(program[1])
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.splitlines() == 3 * ["140 4970"]


def test_what_the_emulator_alone_does_not_see(program: Any) -> None:
    """A race in global memory, and an access outside of it where no buffers are registered."""
    sanitizer, path = program
    if sanitizer == "thread":
        done = run(path, "depends_on_order")
        assert "ThreadSanitizer: data race" in done.stderr
        assert "depends_on_order" in done.stderr
    else:
        done = run(path, "global_out_of_bounds")
        assert "AddressSanitizer: heap-buffer-overflow" in done.stderr
    assert done.returncode != 0

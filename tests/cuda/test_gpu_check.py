# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the script for a machine with a GPU can be asked without one."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def gpu_maps() -> Any:
    spec = importlib.util.spec_from_file_location("gpu_maps", ROOT / "tools/gpu_maps.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_products_it_compares_agree(gpu: Any, capsys: pytest.CaptureFixture[str]) -> None:
    module = gpu_maps()
    assert module.check(gpu.put, gpu.seen, (64, 20)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * (3 * len(module.MAPS) - 1) + 2 * len(module.FACTORIZATIONS)
    assert all(line.startswith("agrees") for line in lines)


def test_it_sees_a_wrong_product(gpu: Any) -> None:
    module = gpu_maps()

    def wrong(A: Any) -> Any:
        off = gpu.seen(A).copy()
        off.flat[0] += np.finfo(off.dtype).eps * 1e4
        return off

    lines = 2 * (3 * len(module.MAPS) - 1) + 2 * len(module.FACTORIZATIONS)
    assert module.check(gpu.put, wrong, (64, 20)) == lines


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a GPU: run the script itself")
def test_the_script_says_that_there_is_no_gpu(tmp_path: Path) -> None:
    environment = os.environ | {"OUT": str(tmp_path / "out")}
    done = subprocess.run(
        [ROOT / "tools/gpu_check.sh"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 77, done.stderr
    assert "nothing was checked" in done.stdout


def test_a_failed_stage_does_not_stop_the_next(tmp_path: Path) -> None:
    """With a driver tool that sees a device and a Python that cannot build."""
    tools = {"nvidia-smi": "echo 9.0", "nvcc": "echo nvcc", "broken": "exit 3"}
    for name, body in tools.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {"OUT": str(tmp_path / "out"), "PYTHON": str(tmp_path / "broken")}
    environment["PATH"] = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [ROOT / "tools/gpu_check.sh"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "0 passed, 3 failed"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"build.log", "check.log", "bench.log"}

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What make says on a machine that lacks something, and what its cleaning leaves."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    shutil.which("make") is None or not (ROOT / "Makefile").exists(), reason="needs make and a checkout"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the rules depend on, without an environment."""
    for name in ("Makefile", "pyproject.toml", "CMakeLists.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("csrc", "cmake", "python/randnla"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "-C", folder, *arguments], capture_output=True, text=True, timeout=60)


def refusal(folder: Path, *arguments: str) -> str:
    done = make(folder, *arguments)
    assert done.returncode != 0
    return done.stderr


def interpreter(folder: Path, body: str) -> str:
    path = folder / "interpreter"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return f"PYTHON={path}"


def test_no_python_is_said(folder: Path) -> None:
    """An interpreter that was named is the only one tried."""
    for old in ("PYTHON=/nonexistent/python", interpreter(folder, "exit 1")):
        message = refusal(folder, "demo", old)
        assert f"no Python >= 3.11 among: {old.removeprefix('PYTHON=')};" in message
        assert "make PYTHON=/path/to/python" in message
    assert not (folder / ".venv").exists()


def test_no_venv_module_is_said(folder: Path) -> None:
    lacking = interpreter(folder, 'case "$*" in *venv*) echo "No module named venv" >&2; exit 1;; esac')
    assert "install its venv module" in refusal(folder, "demo", lacking)


@pytest.mark.parametrize("target", ["demo", "test", "bench", "lint"])
def test_no_compiler_is_said(folder: Path, target: str) -> None:
    (folder / ".venv/.stamps").mkdir(parents=True)
    (folder / ".venv/.stamps/venv").touch()
    assert "no C++ compiler (nonesuch) found" in refusal(folder, target, "CXX=nonesuch")
    assert not (folder / ".venv/.stamps/package").exists()


def test_clean_keeps_the_environment_and_distclean_does_not(folder: Path) -> None:
    before = {path.name for path in folder.iterdir()}
    for name in (
        "build",
        "dist",
        "demo-output",
        "docs/_build",
        ".pytest_cache",
        ".venv/lib/__pycache__",
        "python/__pycache__",
    ):
        (folder / name).mkdir(parents=True)
    (folder / "python/randnla/_core.so").touch()
    assert make(folder, "clean").returncode == 0
    assert {path.name for path in folder.iterdir()} == before | {".venv", "docs"}
    assert [path.name for path in (folder / "python").rglob("*")] == ["randnla"]
    assert (folder / ".venv/lib/__pycache__").exists()
    assert make(folder, "distclean").returncode == 0
    assert not (folder / ".venv").exists()

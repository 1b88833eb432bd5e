# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""randnla.info() and the lazy top level."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest

import randnla
from randnla._backend import system
from randnla._backend.kernels import cuda

ROOT = Path(__file__).parents[2]


def test_version_is_the_one_of_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert randnla.__version__ == project["version"] == randnla.info().version


def test_info_is_readable_and_plain() -> None:
    info = randnla.info()
    assert json.loads(json.dumps(info.to_dict())) == info.to_dict()
    text = str(info)
    for word in ("BLAS", "instruction set", "CUDA", "threads", "compiler", info.core):
        assert word in text
    assert info.threads >= 1
    assert info.cuda


def test_an_absent_package_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "cupy" else found(name))
    state = randnla.info().optional["cupy"]
    assert state.startswith("absent: not installed")
    assert "pip install 'randnla[gpu]'" in state
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {extra for _, extra, _ in system.OPTIONAL.values()} <= set(extras)


@pytest.mark.parametrize("how", ["installed", "loaded", "unknown"])
def test_a_package_under_another_name_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    """CuPy's wheels are named after the CUDA they were built for. Nothing is imported."""
    package = tmp_path / "cupy"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    if how == "installed":
        described = tmp_path / "cupy_cuda13x-14.1.0.dist-info"
        described.mkdir()
        (described / "METADATA").write_text("Metadata-Version: 2.1\nName: cupy-cuda13x\nVersion: 14.1.0\n")
        (described / "RECORD").write_text("cupy/__init__.py,,\n")
    else:  # of a CuPy that is installed here, nothing is known either
        monkeypatch.setattr(importlib.metadata, "packages_distributions", dict)
    monkeypatch.syspath_prepend(tmp_path)
    if how == "loaded":
        module = types.ModuleType("cupy")
        module.__version__ = "14.2"  # type: ignore[attr-defined]
        module.__spec__ = importlib.util.spec_from_file_location("cupy", package / "__init__.py")
        monkeypatch.setitem(sys.modules, "cupy", module)
    told = {"installed": "14.1.0 (cupy-cuda13x)", "loaded": "14.2", "unknown": "present, of unknown version"}
    assert randnla.info().optional["cupy"] == told[how]


def test_import_is_lazy_and_names_are_checked() -> None:
    heavy = ("numpy", "scipy", "randnla._core", "torch", "jax")
    code = f"import sys, randnla, randnla.torch; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
    assert {"info", "__version__"} <= set(dir(randnla))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = randnla.nonsense  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", randnla.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(randnla, name) is not None


@pytest.mark.parametrize("state", ["not built", "no driver", "no device", "ready"])
def test_every_state_of_the_device_is_explained(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    monkeypatch.setattr(cuda, "state", lambda: state)
    words = "a GPU is there" if state == "ready" else f"{state}: "
    assert words in randnla.info().cuda
    assert words in str(randnla.info())


def test_a_built_extension_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    extension = types.ModuleType("randnla._cuda")
    extension.device_state = lambda: "no driver"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "randnla._cuda", extension)
    assert cuda.state() == "no driver"

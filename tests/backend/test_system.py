# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""randnla.info() and the lazy top level."""

from __future__ import annotations

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

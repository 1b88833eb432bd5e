# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The house rules hold in this tree, and each check finds a planted violation."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
HEADER = "# SPDX-FileCopyrightText: 2026 the randnla developers\n# SPDX-License-Identifier: BSD-3-Clause\n"
CPP_HEADER = HEADER.replace("#", "//")


@pytest.fixture(scope="module")
def tools() -> ModuleType:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        return importlib.import_module("check_tree")
    finally:
        sys.path.remove(str(ROOT / "tools"))


def test_this_tree_is_clean(tools: ModuleType) -> None:
    assert [str(v) for v in tools.violations(ROOT)] == []


LONG_PYTHON = "def f():\n" + "    x = 1\n" * 60
LONG_CPP = "namespace a {\nint f(int x) {\n" + "    x += 1;\n" * 60 + "    return x;\n}\n}\n"
PLANTED = [
    ("python/randnla/lowrank/a.py", "from randnla import _core\n", "randnla._core may be imported"),
    ("python/randnla/lowrank/a.py", "from .. import _core\n", "randnla._core may be imported"),
    ("python/randnla/lowrank/a.py", "import array_api_compat\n", "array_api_compat may be imported"),
    ("python/randnla/qr/a.py", "def f():\n    import torch\n", "torch may be imported"),
    ("python/randnla/qr/a.py", "from sklearn.utils import x\n", "sklearn may be imported"),
    ("python/randnla/qr/a.py", "from randnla.lowrank import svd\n", "qr (storey 40) imports lowrank"),
    (
        "python/randnla/_backend/a.py",
        "from ..operators import Dense\n",
        "_backend (storey 10) imports operators",
    ),
    ("python/randnla/tensor/a.py", "import randnla.robust.x\n", "tensor (storey 60) imports robust"),
    ("python/randnla/lowrank/a.py", "from randnla.qr import _secret\n", "private name _secret"),
    ("python/randnla/lowrank/a.py", "from randnla.qr._inner import f\n", "private name _inner"),
    ("python/randnla/surprise.py", "x = 1\n", "room surprise has no storey"),
    ("python/randnla/qr/a.py", LONG_PYTHON, "f has 61 lines"),
    ("python/randnla/qr/a.py", "def f(a, b=True):\n    return a\n", "boolean positional argument b"),
    ("python/randnla/qr/a.py", "def f(a: bool):\n    return a\n", "boolean positional argument a"),
    ("python/randnla/qr/a.py", "x = 1\n" * 600, "602 lines (hard cap 600)"),
    ("csrc/src/a.cpp", LONG_CPP, "f has 63 lines"),
    ("csrc/src/a.cpp", "#include <iostream>\n", "#include <iostream> is allowed in no file"),
    ("csrc/src/a.cpp", "#include <omp.h>\n", "#include <omp.h> is allowed in csrc/src/threads.cpp"),
    ("csrc/src/a.cpp", "#include <pybind11/stl.h>\n", "is allowed in csrc/bindings"),
    ("csrc/src/isa/a.cpp", "#include <algorithm>\n", "no standard templates in a file compiled"),
    ("cmake/x.cmake", "add_compile_options(-O2 -ffast-math)\n", "banned compiler option -ffast-math"),
    (
        "docs/guide/a.md",
        "|" + 120 * "x" + "\n```\n" + 120 * "x" + "\n```\n" + 101 * "x",
        "101 columns (cap 100)",
    ),
    ("cmake/x.cmake", "add_compile_options(-march=native)\n", "banned compiler option -march=native"),
]


@pytest.mark.parametrize(("name", "text", "message"), PLANTED, ids=[p[2] for p in PLANTED])
def test_planted_violation_is_found(
    tools: ModuleType, tmp_path: Path, name: str, text: str, message: str
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text((CPP_HEADER if name.endswith("pp") else HEADER) + text)
    found = [str(v) for v in tools.violations(tmp_path)]
    assert len(found) == 1
    assert message in found[0]
    assert found[0].startswith(name)


def test_missing_header_and_include_cycle(tools: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "csrc" / "include" / "randnla"
    folder.mkdir(parents=True)
    (folder / "a.hpp").write_text(CPP_HEADER + '#include "randnla/b.hpp"\n')
    (folder / "b.hpp").write_text('#include "randnla/a.hpp"\n')
    messages = " ".join(str(v) for v in tools.violations(tmp_path))
    assert "b.hpp:1: the two-line SPDX header is missing" in messages
    assert "include cycle: randnla/a.hpp -> randnla/b.hpp -> randnla/a.hpp" in messages


def test_test_files_of_one_name(tools: ModuleType, tmp_path: Path) -> None:
    for room in ("lowrank", "solvers"):
        (tmp_path / "tests" / room).mkdir(parents=True)
        (tmp_path / "tests" / room / "test_krylov.py").write_text(HEADER)
    (found,) = tools.violations(tmp_path)
    assert "tests/solvers/test_krylov.py:1: a test file of this name stands in lowrank, too" in str(found)


def test_allowed_imports_pass(tools: ModuleType, tmp_path: Path) -> None:
    for name, text in {
        "python/randnla/_backend/kernels/dense.py": "from randnla import _core\n",
        "python/randnla/lowrank/svd.py": "from randnla.qr.blocked import qr\nfrom ._core_part import x\n",
        "python/randnla/estimate/a.py": "from randnla.solvers import pcg\n",
        "python/randnla/__init__.py": "from randnla.lowrank import svd\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEADER + text)
    assert tools.violations(tmp_path) == []


def test_cpp_functions_are_recognized(tools: ModuleType) -> None:
    text = """
#define MACRO(x) \\
    if (x) {     \\
    }
namespace {
// a brace { in a comment
class A : public B {
  public:
    A(int n) : n_(n), text_("{") {}
    bool operator()(int a) const noexcept { return a == '{'; }
    auto g() -> std::pair<int, int> {
        return {1, 2};
    }
};
template <typename T>
void kernel(MatrixView<const T> A,
            T* out) {
    for (int i = 0; i < 3; ++i) {
        out[i] = [&] { return A(i, 0); }();
    }
}
const int table[] = {1, 2};
}
"""
    found = {name: length for name, _, length in tools.cpp_functions.functions(text)}
    assert found == {"A": 1, "operator()": 1, "g": 3, "kernel": 7}

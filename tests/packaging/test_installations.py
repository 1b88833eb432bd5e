# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What a stranger gets: source distribution -> wheel -> fresh environment; editable rebuild.

Each environment is new and each command runs outside of the checkout with an empty PYTHONPATH. The core
is compiled once here, from the source distribution, whose files are those of the checkout; RANDNLA_WHEEL
names a wheel that pip built from the checkout, as `make test` does, and without it one is built.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.serial]

ROOT = Path(__file__).parents[2]
OUR_BLAS = "libscipy_openblas-randnla.so"
SOURCES = ("CMakeLists.txt", "README.md", "LICENSE", "pyproject.toml", "cmake", "csrc", "cuda", "python")


def call(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command outside of the checkout; return its standard output and show all of it on failure."""
    cleaned = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "CMAKE_ARGS")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=cleaned | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def fresh_environment(folder: Path) -> Path:
    """Create an environment and return its interpreter."""
    call(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    call(python, "-m", "pip", "install", "--quiet", "--upgrade", "pip>=24.1", cwd=folder.parent)
    return python


def copy_sources(target: Path) -> Path:
    """Copy what a build needs, without anything built."""
    target.mkdir()
    ignore = shutil.ignore_patterns("*.so", "__pycache__", "*.pyc")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, target / name)
    return target


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    source = copy_sources(folder / "source")
    # The hook of PEP 517, as a frontend would call it.
    code = "import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])"
    call(sys.executable, "-c", code, folder / "dist", cwd=source)
    (archive,) = (folder / "dist").glob("randnla-*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that pip builds in isolation."""
    if given := os.environ.get("RANDNLA_WHEEL"):
        return (ROOT / given).resolve(strict=True)
    folder = tmp_path_factory.mktemp("wheel")
    call(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, sdist, cwd=folder
    )
    (built,) = folder.glob("randnla-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Interpreter of another fresh environment that holds the wheel and its dependencies only."""
    python = fresh_environment(tmp_path_factory.mktemp("environment") / "venv")
    call(python, "-m", "pip", "install", "--quiet", wheel, "threadpoolctl", cwd=wheel.parent)
    return python


def has_nvcc() -> bool:
    """Whether CMake finds a CUDA compiler: where it looks, or where its documentation says it does."""
    places = (os.environ.get("CUDACXX"), shutil.which("nvcc"), "/usr/local/cuda/bin/nvcc")
    return any(place is not None and Path(place).is_file() for place in places)


def unpacked(sdist: Path, folder: Path) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    return source


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_sdist_holds_the_sources_and_nothing_built(sdist: Path, tmp_path: Path) -> None:
    """Byte for byte: what is built from one is what is built from the other."""
    found = contents(unpacked(sdist, tmp_path / "unpacked"))
    assert {"CMakeLists.txt", "LICENSE", "README.md", "cmake/Blas.cmake", "csrc/bindings/module.cpp"} <= set(
        found
    )
    assert b"Name: randnla" in found.pop("PKG-INFO")
    assert found == contents(copy_sources(tmp_path / "source"))
    assert not [name for name in found if name.endswith((".so", ".pyc"))]


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert len(tops) == 2
    assert "randnla" in tops
    libraries = [name for name in names if ".so" in name]
    modules = ["_core", "_cuda"] if has_nvcc() else ["_core"]  # never the emulated one
    tagged = [re.fullmatch(r"randnla/(\w+)\.cpython-3\d+-[\w-]+\.so", name) for name in libraries]
    assert sorted(match.group(1) for match in tagged if match) == modules
    assert [name for name, match in zip(libraries, tagged, strict=True) if not match] == [
        f"randnla/lib/{OUR_BLAS}"
    ]


def test_auditwheel_shows_the_wheel(wheel: Path) -> None:
    shown = " ".join(call(sys.executable, "-m", "auditwheel", "show", wheel, cwd=wheel.parent).split())
    assert f"{wheel.name} is consistent with the following platform tag" in shown
    # Our BLAS travels inside; of the libraries outside, none is a BLAS.
    external = shown.partition("external versioned symbols")[2] or shown
    assert not re.search(r"lib(openblas|blas|lapack|mkl)[\w-]*\.so", external)


def test_wheel_works_in_a_fresh_environment(installed: Path, tmp_path: Path) -> None:
    code = "import json, randnla; print(json.dumps(randnla.info().to_dict()))"
    info = json.loads(call(installed, "-c", code, cwd=tmp_path))
    assert Path(info["core"]).is_relative_to(installed.parents[1])
    assert "OpenBLAS" in info["blas"]
    shown = call(installed.parent / "randnla", "info", cwd=tmp_path)
    assert info["version"] in shown
    assert "absent: not installed" in shown


def test_loader_finds_only_our_blas_for_our_module(installed: Path, tmp_path: Path) -> None:
    # The module alone, without NumPy: every library of the process is one that we asked for.
    code = "import randnla._core, sys; assert 'numpy' not in sys.modules"
    call(installed, "-c", code, cwd=tmp_path, LD_DEBUG="libs", LD_DEBUG_OUTPUT=str(tmp_path / "libs"))
    (log,) = tmp_path.glob("libs.*")
    loaded = set(re.findall(r"calling init: (\S+)", log.read_text()))
    algebra = {Path(name) for name in loaded if re.search(r"blas|lapack|mkl", Path(name).name)}
    assert {path.name for path in algebra} == {OUR_BLAS}
    assert all(path.resolve().is_relative_to(installed.parents[1].resolve()) for path in algebra)

    # Beside NumPy's and SciPy's copies, our module still binds to ours.
    code = "import numpy.linalg, scipy.linalg, randnla._core"
    binding = {"LD_DEBUG": "bindings", "LD_BIND_NOW": "1", "LD_DEBUG_OUTPUT": str(tmp_path / "bindings")}
    call(installed, "-c", code, cwd=tmp_path, **binding)
    (log,) = tmp_path.glob("bindings.*")
    pattern = re.compile(r"binding file (\S*/randnla/_core\S*) \[\d+\] to (\S+) .*symbol `(scipy_\w+)'")
    bound = [match.groups() for match in map(pattern.search, log.read_text().splitlines()) if match]
    assert len(bound) > 5
    assert {Path(library).name for _, library, _ in bound} == {OUR_BLAS}


def test_threadpoolctl_sees_our_blas(installed: Path, tmp_path: Path) -> None:
    code = (
        "import json, randnla._core; from threadpoolctl import threadpool_info as info;"
        "print(json.dumps([(p['filepath'], p['user_api'], p['num_threads']) for p in info()]))"
    )
    pools = json.loads(call(installed, "-c", code, cwd=tmp_path))
    ours = [pool for pool in pools if pool[0].endswith(OUR_BLAS)]
    assert [pool[1:] for pool in ours] == [["blas", 1]]


def test_editable_install_rebuilds_on_import(sdist: Path, tmp_path: Path) -> None:
    source = unpacked(sdist, tmp_path / "unpacked")
    python = fresh_environment(tmp_path / "venv")
    # The build tools come from the environment of the tests: editable rebuilds need them to stay.
    site = call(python, "-c", "import site; print(site.getsitepackages()[0])", cwd=tmp_path).strip()
    tools = [entry for entry in sys.path if entry.endswith("site-packages")]
    Path(site, "zz_tools.pth").write_text("\n".join(tools) + "\n")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    install = (python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation")
    fast = ("-C", "cmake.build-type=Debug", "-C", "cmake.define.CMAKE_CXX_FLAGS_DEBUG=-O0")
    fast += ("-C", "cmake.define.RANDNLA_CUDA=OFF")
    call(*install, *fast, "-e", source, cwd=tmp_path, PATH=path)

    code = "import randnla; print(randnla.info().threading)"
    assert call(python, "-c", code, cwd=tmp_path, PATH=path).strip() == "openmp"
    bindings = source / "csrc" / "bindings" / "bind_runtime.cpp"
    text = bindings.read_text()
    assert '{"threading", "openmp"}' in text
    bindings.write_text(text.replace('{"threading", "openmp"}', '{"threading", "touched"}'))
    assert call(python, "-c", code, cwd=tmp_path, PATH=path).strip() == "touched"

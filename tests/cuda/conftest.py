# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The device kernels, compiled by the C++ compiler against the emulator and loaded for these tests."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import types
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import pytest

from randnla._backend import device as device_arrays

ROOT = Path(__file__).parents[2]


def build(folder: Path) -> Path:
    """Compile ``_cuda_emulated`` into `folder` (only what changed since) and return its file."""
    beside = Path(sys.executable).parent
    cmake, ninja = (shutil.which(tool, path=beside) or shutil.which(tool) for tool in ("cmake", "ninja"))
    assert cmake is not None, "cmake is needed to build the emulated kernels"
    assert ninja is not None, "ninja is needed to build the emulated kernels"
    setup = [cmake, "-S", str(ROOT / "cuda"), "-B", str(folder), "-G", "Ninja"]
    setup += [f"-DPython_EXECUTABLE={sys.executable}", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
    for command in (setup, [cmake, "--build", str(folder)]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return folder / f"_cuda_emulated{sysconfig.get_config_var('EXT_SUFFIX')}"


@pytest.fixture(scope="session")
def emulated_module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The emulated extension; the build folder is kept between sessions where the tree has one."""
    kept = ROOT / "build"
    inside = kept.is_dir() and "PYTEST_XDIST_WORKER" not in os.environ  # two workers, two folders
    folder = kept / "cuda_emulated" if inside else tmp_path_factory.mktemp("cuda_emulated")
    spec = importlib.util.spec_from_file_location("_cuda_emulated", build(folder))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Device:
    """Calls kernels on NumPy arrays; a kernel may touch the arrays of its call and nothing else."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module

    def view(self, A: Any) -> tuple[int, int, int, int, int]:
        """Register the memory of a matrix and describe it."""
        self.vector(A)
        size = A.itemsize
        return A.ctypes.data, A.shape[0], A.shape[1], A.strides[0] // size, A.strides[1] // size

    def vector(self, a: Any) -> int:
        """Register the memory of an array and return its address."""
        low, high = np.lib.array_utils.byte_bounds(a)
        self.module.register_buffer(low, high - low)
        return int(a.ctypes.data)

    def shifts(self, values: Any) -> Any:
        """Register shifts of matrices, one for all or one each."""
        return self.module.Shifts(self.vector(values), int(values.size > 1))

    def work(self, count: int, dtype: Any) -> Any:
        """Work space of a kernel, which must not read what it has not written."""
        return np.full(max(1, count), np.nan, dtype)

    def call(self, name: str, dtype: Any, *arguments: Any) -> dict[str, int]:
        """Run a kernel of the element type `dtype` and return the counters."""
        self.module.reset_counters()
        suffix = {4: "_f32", 8: "_f64"}[np.dtype(dtype).itemsize]
        try:
            getattr(self.module, name + suffix)(*arguments, 0)
        finally:
            self.module.clear_buffers()
        return dict(self.module.counters())


@pytest.fixture(params=("forward", "reverse"))
def device(emulated_module: ModuleType, request: pytest.FixtureRequest) -> Iterator[Device]:
    """The emulated device with its threads and blocks in either order."""
    emulated_module.set_order(request.param, 1)
    yield Device(emulated_module)
    emulated_module.clear_buffers()
    emulated_module.set_order("forward", 1)


class EmulatedRuntime(device_arrays.Runtime):
    """CuPy's arrays over host memory, which holds NaN until it is written; kernels may touch it alone."""

    def __init__(self, module: ModuleType, cupy: Any) -> None:
        super().__init__(module, cupy)
        self.held: list[Any] = []
        self.places = 0

    def stream(self) -> int:
        return 0

    @contextlib.contextmanager
    def on(self, A: Any) -> Iterator[None]:
        self.places += 1
        yield
        self.places -= 1

    def empty(self, shape: tuple[int, ...], dtype: Any, order: Literal["C", "F"] = "C") -> Any:
        assert self.places > 0, "memory was asked for without the device of a matrix being the current one"
        return super().empty(shape, dtype, order)

    def allocate(self, size: int) -> Any:
        """An allocator of CuPy's."""
        memory = np.full(size + 256, 0xFF, np.uint8)
        start = -(-memory.ctypes.data // 256) * 256
        self.extension.register_buffer(start, size)
        self.held.append(memory)
        owned = self.cupy.cuda.UnownedMemory(start, max(1, size), memory, device_id=0)
        return self.cupy.cuda.MemoryPointer(owned, 0)

    def put(self, A: Any) -> Any:
        """A NumPy array of any strides as a CuPy array of the same strides, uncounted."""
        low, high = np.lib.array_utils.byte_bounds(A)
        pointer = self.allocate(high - low)
        out = self.cupy.ndarray(A.shape, A.dtype, pointer + (A.ctypes.data - low), strides=A.strides)
        self.seen(out)[...] = A
        return out

    def seen(self, A: Any) -> Any:
        """The memory of a CuPy array as a NumPy array, uncounted."""
        interface = {"version": 3, "data": (A.data.ptr, False), "strides": A.strides}
        interface |= {"shape": A.shape, "typestr": A.dtype.str}
        return np.asarray(types.SimpleNamespace(__array_interface__=interface))


@pytest.fixture(params=("forward", "reverse"))
def gpu(
    emulated_module: ModuleType, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EmulatedRuntime]:
    """The public functions on CuPy's arrays, with kernels under emulation."""
    runtime = EmulatedRuntime(emulated_module, pytest.importorskip("cupy"))
    monkeypatch.setattr(device_arrays, "_open", lambda: runtime)
    emulated_module.set_order(request.param, 1)
    with runtime.cupy.cuda.using_allocator(runtime.allocate):
        yield runtime
    emulated_module.clear_buffers()
    emulated_module.set_order("forward", 1)

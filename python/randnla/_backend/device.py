# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Arrays on the device: CuPy's memory and streams under our kernels, and every copy from or to the host.

Inside the package an array of a device is a `cupy.ndarray`; only its address, shape, strides and dtype are
used. Its arithmetic is not: what is computed is computed by kernels of `randnla._cuda`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from randnla._backend.errors import InputError

Array = npt.NDArray[Any]

SUFFIXES = {np.dtype(np.float32): "_f32", np.dtype(np.float64): "_f64"}
MISSING = {
    "not built": "this installation has no device kernels; build randnla where nvcc is found",
    "no driver": "the CUDA driver is absent or too old",
    "no device": "no GPU is visible",
}


@dataclass
class Transfers:
    """Copies between the host and the device so far, and their bytes."""

    count: int = 0
    to_host: int = 0
    to_device: int = 0


@dataclass
class Runtime:
    """The extension with CuPy's allocator and current stream.

    Attributes
    ----------
    extension : module
        ``randnla._cuda``.
    cupy : module
    transfers : Transfers
    """

    extension: Any
    cupy: Any
    transfers: Transfers = field(default_factory=Transfers)

    def stream(self) -> int:
        """The address of CuPy's current stream, on which everything is queued."""
        return int(self.cupy.cuda.get_current_stream().ptr)

    def on(self, A: Any) -> contextlib.AbstractContextManager[Any]:
        """A context in which the device of `A` is the current one."""
        device: contextlib.AbstractContextManager[Any] = A.device
        return device

    def empty(self, shape: tuple[int, ...], dtype: Any, order: Literal["C", "F"] = "C") -> Any:
        """New memory from CuPy's allocator."""
        return self.cupy.empty(shape, dtype, order)

    def call(self, name: str, dtype: Any, *arguments: Any) -> None:
        """Queue the kernel `name` of an element type on the current stream.

        Arrays are handed on as matrices, those of one axis by their address; what only this call refers to
        lives until the kernel is queued.
        """
        passed = [_passed(a, self.cupy.ndarray) for a in arguments]
        getattr(self.extension, name + SUFFIXES[np.dtype(dtype)])(*passed, self.stream())

    def to_host(self, A: Any) -> Array:
        """A small array as a NumPy array; waits for the stream."""
        order: Literal["C", "F"] = "F" if A.flags.fnc else "C"
        if not (A.flags.c_contiguous or A.flags.f_contiguous):
            raise ValueError(f"only contiguous memory is copied, got strides {A.strides}")
        out = np.empty(A.shape, A.dtype, order)
        if out.size:
            self.extension.copy_to_host(out.ctypes.data, A.data.ptr, out.nbytes, self.stream())
            self.transfers.count += 1
            self.transfers.to_host += out.nbytes
        return out

    def to_device(self, A: Array) -> Any:
        """A small NumPy array in memory of the current device."""
        order: Literal["C", "F"] = "F" if A.flags.fnc else "C"
        A = np.asarray(A, order=order)
        out = self.empty(A.shape, A.dtype, order)
        if A.size:
            self.extension.copy_to_device(out.data.ptr, A.ctypes.data, A.nbytes, self.stream())
            self.transfers.count += 1
            self.transfers.to_device += A.nbytes
        return out


def runtime() -> Runtime:
    """The one runtime of the process.

    Raises
    ------
    InputError
        Kernels were not built, or there is no CuPy, driver or device; the message says which.
    """
    return _open()


@functools.cache
def _open() -> Runtime:
    from randnla._backend.kernels import cuda

    state = cuda.state()
    if state != "ready":
        raise InputError(f"arrays on a GPU cannot be taken: {MISSING[state]}")
    if importlib.util.find_spec("cupy") is None:
        raise InputError("arrays on a GPU need CuPy for their memory: pip install 'randnla[gpu]'")
    return Runtime(importlib.import_module("randnla._cuda"), importlib.import_module("cupy"))


def _passed(argument: Any, array_type: Any) -> Any:
    if not isinstance(argument, array_type):
        return argument
    return view(argument) if argument.ndim == 2 else argument.data.ptr


def view(A: Any) -> tuple[int, int, int, int, int]:
    """Address, rows, columns and strides in elements: how kernels take a matrix."""
    rows, columns = A.shape
    return A.data.ptr, rows, columns, A.strides[0] // A.itemsize, A.strides[1] // A.itemsize


def is_device(A: Any) -> bool:
    """True for what is no NumPy array, among arrays that `namespace.to_native` gave."""
    return not isinstance(A, np.ndarray)


def place(A: Any) -> contextlib.AbstractContextManager[Any]:
    """A context in which the device of an array, if it is on one, is the current one."""
    return runtime().on(A) if is_device(A) else contextlib.nullcontext()


def empty_beside(A: Any, shape: tuple[int, ...], dtype: Any, order: Literal["C", "F"] = "C") -> Any:
    """New memory of the kind of `A`: NumPy's, or the device's."""
    if isinstance(A, np.ndarray):
        return np.empty(shape, dtype, order)
    with runtime().on(A):
        return runtime().empty(shape, dtype, order)

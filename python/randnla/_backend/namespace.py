# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Kinds of arrays: how each is read without a copy, and how results become that kind again.

No framework is imported here before one of its arrays is handed in. Nothing crosses between host and
device silently: an array on a GPU is taken there, by the functions that have kernels for it, or refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import array_api_compat
import numpy as np
import numpy.typing as npt
import scipy.sparse

from randnla._backend import device
from randnla._backend.errors import InputError

KindName = Literal["numpy", "torch", "jax", "cupy", "array_api"]


@dataclass(frozen=True)
class Kind:
    """What a result must look like: the library of the array that came in."""

    name: KindName
    namespace: Any = None
    on_device: bool = False

    @property
    def is_numpy(self) -> bool:
        return self.name == "numpy"


NUMPY = Kind("numpy")


def is_sparse(A: object) -> bool:
    """True for SciPy's sparse matrices and sparse arrays of any format."""
    return bool(scipy.sparse.issparse(A))


def kind_of(A: Any) -> Kind:
    """The kind of `A`; sparse matrices, operators, sequences and array subclasses give NumPy results."""
    if isinstance(A, (np.ndarray, np.generic)) or is_sparse(A):
        return NUMPY
    if array_api_compat.is_torch_array(A):
        return Kind("torch", array_api_compat.array_namespace(A), A.device.type == "cuda")
    if array_api_compat.is_jax_array(A):
        return Kind("jax", array_api_compat.array_namespace(A), _is_on_gpu(A))
    if array_api_compat.is_cupy_array(A):
        return Kind("cupy", array_api_compat.array_namespace(A), True)
    if hasattr(A, "__array_namespace__") and hasattr(A, "__dlpack__"):
        return Kind("array_api", A.__array_namespace__())
    return NUMPY


def _is_on_gpu(A: Any) -> bool:
    try:
        return any(place.platform in ("gpu", "cuda") for place in A.devices())
    except TypeError:  # a tracer has none
        return False


def to_device(A: Any, *, name: str = "A") -> Any:
    """An array on a GPU as a `cupy.ndarray` of the same memory; None for anything else.

    Raises
    ------
    InputError
        There are no device kernels, no driver or no device, or the dtype is not float32 or float64.
    """
    kind = kind_of(A)
    if not kind.on_device:
        return None
    try:
        cupy = device.runtime().cupy
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    if kind.name == "torch":
        A = A.detach()
    array = A if kind.name == "cupy" else cupy.from_dlpack(A)
    if array.dtype not in device.SUFFIXES:
        raise InputError(f"{name}: expected float32 or float64 on a GPU, got {array.dtype}")
    return array


def to_host(A: Any, *, name: str = "A") -> npt.NDArray[Any]:
    """`A` as a NumPy array that shares its memory wherever the memory is the host's.

    Dtypes are left alone but for bfloat16, which NumPy lacks: it becomes float32.

    Raises
    ------
    InputError
        The array lives on another device, is lazy (dask), masked, ragged or no array at all.
    """
    if isinstance(A, np.ma.MaskedArray):
        if np.ma.is_masked(A):
            raise InputError(
                f"{name}: masked entries have no value here, fill them first (got a masked array)"
            )
        return np.asarray(A.data)
    if isinstance(A, np.ndarray):
        return A if type(A) is np.ndarray else A.view(np.ndarray)
    if is_sparse(A):
        raise InputError(f"{name}: expected a dense array, got a sparse one")
    if array_api_compat.is_dask_array(A):
        raise InputError(f"{name}: dask arrays are not supported here, call .compute() first")
    kind = kind_of(A)
    if kind.name == "torch":
        return _from_torch(A, name)
    if kind.name == "cupy":
        raise InputError(
            f"{name}: this takes no arrays on a GPU, got a CuPy array; copy it to the host with cupy.asnumpy"
        )
    if kind.name == "jax":
        return _from_jax(A, name)
    if kind.name == "array_api":
        return _from_dlpack(A, name)
    return _from_sequence(A, name)


def restore(kind: Kind, array: Any) -> Any:
    """`array` as an array of `kind`, sharing memory where that library allows it.

    Arrays are NumPy's, or, where `kind` is on a device, CuPy's; small ones may then be NumPy's still.
    """
    if kind.on_device and hasattr(array, "shape"):
        if isinstance(array, np.ndarray):
            array = device.runtime().to_device(array)
        return array if kind.name == "cupy" else kind.namespace.from_dlpack(array)
    if kind.is_numpy or not isinstance(array, (np.ndarray, np.generic)):
        return array
    array = np.asarray(array)
    # DLPack knows neither read-only nor negatively strided data.
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    if kind.name == "torch":
        return kind.namespace.from_numpy(array)
    if kind.name == "jax":
        return kind.namespace.asarray(array)
    return kind.namespace.from_dlpack(array)


def restore_all(kind: Kind, *arrays: Any) -> tuple[Any, ...]:
    """`restore` for several arrays."""
    return tuple(restore(kind, array) for array in arrays)


def _from_torch(A: Any, name: str) -> npt.NDArray[Any]:
    if A.device.type != "cpu":
        raise InputError(f"{name}: expected a tensor on the CPU, got one on {A.device}; copy it with .cpu()")
    if str(A.layout) != "torch.strided":
        raise InputError(f"{name}: expected a dense tensor, got layout {A.layout}")
    A = A.detach().resolve_conj().resolve_neg()
    if str(A.dtype) == "torch.bfloat16":
        A = A.float()
    try:
        return np.asarray(A.numpy())
    except (TypeError, RuntimeError) as error:
        raise InputError(f"{name}: cannot read a tensor of dtype {A.dtype}") from error


def _from_jax(A: Any, name: str) -> npt.NDArray[Any]:
    try:
        devices = A.devices()
    except TypeError as error:
        raise InputError(
            f"{name}: expected an array with values, got a tracer: call this outside of functions under jit, "
            "vmap or grad"
        ) from error
    if any(device.platform != "cpu" for device in devices):
        raise InputError(f"{name}: expected an array on the CPU, got one on {devices}")
    if str(A.dtype) == "bfloat16":
        A = A.astype(np.float32)
    return np.asarray(A)


def _from_dlpack(A: Any, name: str) -> npt.NDArray[Any]:
    try:
        return np.from_dlpack(A)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"{name}: cannot read {type(A).__name__} on the host through DLPack: {error}"
        ) from error


def _from_sequence(A: Any, name: str) -> npt.NDArray[Any]:
    try:
        array = np.asarray(A)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{name}: expected an array, got {type(A).__name__} that is no rectangular array"
        ) from error
    if array.dtype == object:
        raise InputError(f"{name}: expected an array of numbers, got {type(A).__name__} (dtype object)")
    return array

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The one place where arguments are checked; every message names the argument, its value and what fits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from randnla._backend import namespace
from randnla._backend.errors import InputError, NonFiniteError

Array = npt.NDArray[Any]

_WIDENED = {"e": np.float32, "f": np.float32, "d": np.float64, "F": np.complex64, "D": np.complex128}
_SCREEN_BYTES = 4 << 20


def shown(value: object) -> str:
    """A short form of `value` for messages."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def working_dtype(dtype: Any, *, name: str = "A") -> np.dtype[Any]:
    """The dtype numbers of `dtype` are worked in: float16 -> float32; bool, int -> float64.

    Raises
    ------
    InputError
        long double, object, string, structured, date.
    """
    given = np.dtype(dtype)
    if given.kind in "biu":
        return np.dtype(np.float64)
    if given.char in _WIDENED:
        return np.dtype(_WIDENED[given.char])
    raise InputError(
        f"{name}: dtype {given} is not supported; expected bool, integer, float16/32/64 or complex64/128"
    )


def as_array(A: Any, *, name: str = "A", ndim: int | tuple[int, ...] = 2) -> Array:
    """`A` as a native, aligned NumPy array of float32, float64, complex64 or complex128.

    Copies only what must be converted; strides of any sign and size are kept.

    Raises
    ------
    InputError
        Wrong number of dimensions, a dtype that holds no supported numbers, a masked or lazy array.
    """
    array, dtype = host_array(A, name=name, ndim=ndim)
    return native(array, dtype, name=name)


def native_array(A: Any, *, name: str, ndim: int | tuple[int, ...]) -> tuple[Any, np.dtype[Any]]:
    """`host_array`, or an array of float32 or float64 on a GPU as it is, a `cupy.ndarray`."""
    array = None if isinstance(A, np.ndarray) else namespace.to_device(A, name=name)
    if array is None:
        return host_array(A, name=name, ndim=ndim)
    require_ndim(array, name=name, ndim=ndim)
    return array, array.dtype


def device_array(A: Any, dtype: Any, *, name: str, ndim: int | tuple[int, ...]) -> Any:
    """An array of that dtype on a GPU, as it is.

    Raises
    ------
    InputError
        It is on the host or of another dtype: nothing is copied or converted behind the caller's back.
    """
    array = None if isinstance(A, np.ndarray) else namespace.to_device(A, name=name)
    if array is None or array.dtype != dtype:
        what = f"a {type(A).__name__} on the host" if array is None else str(array.dtype)
        raise InputError(f"{name}: expected an array of {dtype} on a GPU, as the operator is, got {what}")
    require_ndim(array, name=name, ndim=ndim)
    return array


def require_ndim(array: Any, *, name: str, ndim: int | tuple[int, ...]) -> None:
    """Raise `InputError` unless the array has as many dimensions as allowed."""
    allowed = (ndim,) if isinstance(ndim, int) else ndim
    if array.ndim not in allowed:
        wanted = " or ".join(map(str, allowed))
        raise InputError(f"{name}: expected {wanted} dimensions, got {array.ndim} (shape {array.shape})")


def host_array(A: Any, *, name: str, ndim: int | tuple[int, ...]) -> tuple[Array, np.dtype[Any]]:
    """`A` on the host, checked as by `as_array` but not converted, and its working dtype."""
    array = namespace.to_host(A, name=name)
    require_ndim(array, name=name, ndim=ndim)
    return array, working_dtype(array.dtype, name=name)


def is_native(array: Array, dtype: Any) -> bool:
    """True if `array` has `dtype` in native order and element-aligned strides: what kernels read."""
    dtype = np.dtype(dtype)
    if not (array.dtype == dtype and array.dtype.isnative and array.flags.aligned):
        return False
    return all(stride % dtype.itemsize == 0 for stride in array.strides)


def native(array: Array, dtype: Any, *, name: str = "A") -> Array:
    """`array` itself if `is_native`, else a converted copy.

    Raises
    ------
    InputError
        The conversion would drop imaginary parts, or turn a finite entry into an infinite one.
    """
    dtype = np.dtype(dtype)
    if is_native(array, dtype):
        return array
    if array.dtype.kind == "c" and dtype.kind != "c":
        raise InputError(f"{name}: expected real numbers ({dtype}), got {array.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):
        converted = np.array(array, dtype=dtype, order="K", copy=True)
    narrower = array.dtype.kind in "fc" and not np.can_cast(array.dtype, dtype)
    if narrower and not is_finite(converted):
        lost = np.isfinite(array) & ~np.isfinite(converted)
        if lost.any():
            worst = array[np.unravel_index(int(np.argmax(lost)), lost.shape)]
            raise InputError(f"{name}: expected entries in the range of {dtype}, got {worst}")
    return converted


def receiver(out: Any, shape: tuple[int, ...], dtype: Any, *inputs: Any) -> None:
    """`out` can be written to, has this shape and dtype, and shares no memory with the inputs.

    Raises
    ------
    InputError
    """
    if inputs and not isinstance(inputs[0], np.ndarray):
        _device_receiver(out, shape, dtype, inputs)
        return
    if not isinstance(out, np.ndarray):
        raise InputError(f"out: expected a NumPy array, got {type(out).__name__}")
    if out.shape != shape or out.dtype != dtype:
        raise InputError(f"out: expected shape {shape} and dtype {dtype}, got {out.shape}, {out.dtype}")
    if not out.flags.writeable:
        raise InputError("out: expected an array that can be written to, got a read-only one")
    if not is_native(out, dtype):
        raise InputError(f"out: expected aligned entries in native order, got strides {out.strides}")
    require_disjoint(out, *inputs)


def _device_receiver(out: Any, shape: tuple[int, ...], dtype: Any, inputs: tuple[Any, ...]) -> None:
    if type(out) is not type(inputs[0]):
        raise InputError(f"out: expected a {type(inputs[0]).__name__} of CuPy, got {type(out).__name__}")
    if out.shape != shape or out.dtype != dtype:
        raise InputError(f"out: expected shape {shape} and dtype {dtype}, got {out.shape}, {out.dtype}")
    low, high = _extent(out)
    for array in inputs:
        first, last = _extent(array)
        if out.size and array.size and low < last and first < high:
            raise InputError(f"out: shares memory with the input of shape {array.shape}; give another array")


def _extent(A: Any) -> tuple[int, int]:
    """The bounds of the memory of an array on a device."""
    reach = [(n - 1) * stride for n, stride in zip(A.shape, A.strides, strict=True)]
    return A.data.ptr + sum(min(r, 0) for r in reach), A.data.ptr + sum(max(r, 0) for r in reach) + A.itemsize


def require_disjoint(out: Array, *inputs: Array) -> None:
    """Raise `InputError` if `out` shares an element with an input."""
    for array in inputs:
        # The bounds tell nearly always; interleaved views need the exact answer, which may be dear.
        if not np.may_share_memory(out, array):
            continue
        try:
            shared = np.shares_memory(out, array, max_work=1 << 16)  # type: ignore[arg-type]
        except np.exceptions.TooHardError:
            shared = True
        if shared:
            raise InputError(f"out: shares memory with the input of shape {array.shape}; give another array")


def as_matrix(A: Any, *, name: str = "A") -> Array:
    """`as_array` for two dimensions."""
    return as_array(A, name=name, ndim=2)


def integer(value: Any, *, name: str, low: int | None = None, high: int | None = None) -> int:
    """An integer in [low, high]; bools and floats are refused."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise InputError(f"{name}: expected an integer, got {type(value).__name__} {shown(value)}")
    number = int(value)
    if (low is not None and number < low) or (high is not None and number > high):
        raise InputError(f"{name}: expected an integer {_range(low, high)}, got {number}")
    return number


def _range(low: object, high: object) -> str:
    if high is None:
        return f">= {low}"
    return f"<= {high}" if low is None else f"in [{low}, {high}]"


def indices(value: Any, size: int, *, name: str) -> npt.NDArray[np.int64]:
    """A vector of integers in [0, size)."""
    array = np.asarray(value)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise InputError(
            f"{name}: expected a vector of integers, got shape {array.shape} and dtype {array.dtype}"
        )
    outside = (array < 0) | (array >= size) if array.size else np.zeros(0, bool)
    if outside.any():
        raise InputError(f"{name}: expected integers in [0, {size}), got {array[np.argmax(outside)]}")
    return array.astype(np.int64)


def real(value: Any, *, name: str, low: float | None = None, high: float | None = None) -> float:
    """A finite real number in [low, high]; bools, strings and arrays are refused."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise InputError(f"{name}: expected a real number, got {type(value).__name__} {shown(value)}")
    number = float(value)
    if not math.isfinite(number):
        raise InputError(f"{name}: expected a finite number, got {number}")
    if (low is not None and number < low) or (high is not None and number > high):
        raise InputError(f"{name}: expected a number {_range(low, high)}, got {number}")
    return number


def tolerance(tol: Any, *, name: str = "tol") -> float:
    """A relative tolerance: a finite number strictly between 0 and 1."""
    number = real(tol, name=name)
    if not 0.0 < number < 1.0:
        raise InputError(f"{name}: expected a number strictly between 0 and 1, got {number}")
    return number


def rank(value: Any, limit: int, *, name: str = "rank") -> int:
    """A target rank: an integer in [0, limit], limit = min(m, n)."""
    number = integer(value, name=name, low=0)
    if number > limit:
        raise InputError(f"{name}: expected at most min(m, n) = {limit}, got {number}")
    return number


def rank_and_tol(value: Any, tol: Any, limit: int) -> tuple[int | None, float | None]:
    """Both checked; one of them must be given."""
    if value is None and tol is None:
        raise InputError("rank, tol: give at least one of them, both are None")
    return (
        None if value is None else rank(value, limit),
        None if tol is None else tolerance(tol),
    )


def oversample(value: Any, *, name: str = "oversample") -> int:
    """Columns beyond the rank: a non-negative integer."""
    return integer(value, name=name, low=0)


def power_iters(value: Any, *, name: str = "power_iters") -> int | None:
    """Power iterations: a non-negative integer, or None where the caller left it at "auto"."""
    if isinstance(value, str):
        choice(value, ("auto",), name=name)
        return None
    return integer(value, name=name, low=0)


def block(value: Any, *, name: str = "block") -> int | None:
    """Columns of a block: a positive integer, or None where the caller left it at "auto"."""
    if isinstance(value, str):
        choice(value, ("auto",), name=name)
        return None
    return integer(value, name=name, low=1)


def choice(value: Any, allowed: Sequence[str], *, name: str) -> str:
    """One of a few words."""
    if not isinstance(value, str) or value not in allowed:
        words = ", ".join(repr(word) for word in allowed)
        raise InputError(f"{name}: expected one of {words}, got {shown(value)}")
    return value


def flag(value: Any, *, name: str) -> bool:
    """True or False, nothing that merely counts as such."""
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"{name}: expected True or False, got {type(value).__name__} {shown(value)}")
    return bool(value)


def memory(value: Any, *, name: str = "max_memory") -> int | None:
    """A workspace bound in bytes, or None."""
    return None if value is None else integer(value, name=name, low=1)


def callback(value: Any, *, name: str = "callback") -> Any:
    """A callable, or None."""
    if value is not None and not callable(value):
        raise InputError(f"{name}: expected a callable or None, got {type(value).__name__}")
    return value


def map_dtype(dtype: Any, *, name: str = "dtype") -> np.dtype[Any]:
    """float32 or float64."""
    try:
        given = np.dtype(dtype)
    except TypeError as error:
        raise InputError(f"{name}: expected float32 or float64, got {shown(dtype)}") from error
    if dtype is None or given not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise InputError(f"{name}: expected float32 or float64, got {shown(dtype)}")
    return np.dtype(np.float32) if given.itemsize == 4 else np.dtype(np.float64)


def is_finite(array: Array) -> bool:
    """True if every entry is finite; reads row blocks, so no mask of the whole is made."""
    return all(bool(np.isfinite(block).all()) for _, block in _row_blocks(array))


def _row_blocks(array: Array) -> Any:
    # Blocks along the axis of the longer stride, so that a block is a run of memory.
    along = 0 if array.ndim < 2 or abs(array.strides[0]) >= abs(array.strides[1]) else 1
    if array.size == 0:
        return
    per = max(1, _SCREEN_BYTES // max(1, array.nbytes // array.shape[along]))
    for start in range(0, array.shape[along], per):
        part = slice(start, start + per)
        yield (start, along), array[part] if along == 0 else array[:, part]


def require_finite(array: Array, *, name: str = "A", row_offset: int = 0) -> None:
    """Raise `NonFiniteError` with the count and the first index (row by row) of NaN and Inf entries.

    `row_offset` is added to the row, for a block of a larger matrix.
    """
    count, first = 0, None
    for (start, along), block in _row_blocks(array):
        bad = ~np.isfinite(block)
        found = int(np.count_nonzero(bad))
        if not found:
            continue
        count += found
        index = [int(i) for i in np.unravel_index(int(np.argmax(bad)), block.shape)]
        index[along] += start
        if first is None or index < first:
            first = index
    if first is not None:
        raise non_finite(name, count, (first[0] + row_offset, *first[1:]))


def non_finite(name: str, count: int, first: tuple[int, ...]) -> NonFiniteError:
    """The error itself, for those who located the entries on their own."""
    entries = "1 entry is" if count == 1 else f"{count} entries are"
    place = str(first[0]) if len(first) == 1 else str(first)
    return NonFiniteError(f"{name}: {entries} NaN or Inf, the first at index {place}")

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Checks of arguments that several files share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend import validate
from randnla._backend.errors import InputError

Array = NDArray[Any]


def index(value: Any, size: int, *, name: str) -> NDArray[np.int64]:
    """One index or a vector of them, as a vector."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if np.ndim(value):
        return validate.indices(value, size, name=name)
    return np.array([validate.integer(value, name=name, low=0, high=size - 1)], np.int64)


def numbers(value: Any, count: int, dtype: np.dtype[Any]) -> Array:
    """`value`, one number or `count` of them, as `count` finite numbers of a dtype."""
    given = validate.as_array(np.atleast_1d(np.asarray(value)), name="value", ndim=1)
    array = validate.native(given, dtype, name="value")
    if array.size not in (1, count):
        raise InputError(f"value: expected one number or {count}, got {array.size}")
    validate.require_finite(array, name="value")
    return np.broadcast_to(array, (count,))


def lengths(values: Any, count: int, *, name: str) -> Array | None:
    """`count` nonnegative numbers in float64, or None."""
    if values is None:
        return None
    array = validate.as_array(values, name=name, ndim=1)
    if array.shape != (count,) or array.dtype.kind == "c":
        raise InputError(f"{name}: expected {count} real numbers, got shape {array.shape}, {array.dtype}")
    validate.require_finite(array, name=name)
    if np.any(array < 0):
        raise InputError(f"{name}: expected nonnegative numbers, got {array.min()}")
    return array.astype(np.float64)


def vector(b: Any, size: int, *, name: str, real: bool = False) -> Array:
    """A finite vector of a given length, or a real one in float64."""
    array = validate.as_array(b, name=name, ndim=1)
    if real:
        if array.dtype.kind == "c":
            raise InputError(f"{name}: expected real numbers, got {array.dtype}")
        array = array.astype(np.float64)
    if array.size != size:
        raise InputError(f"{name}: expected {size} entries, got {array.size}")
    validate.require_finite(array, name=name)
    return array


def fraction(value: Any, *, name: str) -> float:
    """A number in [0, 1)."""
    number = validate.real(value, name=name, low=0.0)
    if not number < 1.0:
        raise InputError(f"{name}: expected a number in [0, 1), got {number}")
    return number

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Arguments that the functions of this room share."""

from __future__ import annotations

from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError

from .cloud import Array

NEIGHBORS = 128
LEAST_NEIGHBORS = 4


def checked_neighbors(value: Any, n: int) -> int:
    """Neighbors of a point, itself included."""
    if isinstance(value, str):
        validate.choice(value, ("auto",), name="neighbors")
        return min(NEIGHBORS, n)
    return validate.integer(value, name="neighbors", low=min(LEAST_NEIGHBORS, n), high=n)


def checked_bandwidth(value: Any) -> float | None:
    """A positive eps, or None for "auto"."""
    if isinstance(value, str):
        validate.choice(value, ("auto",), name="bandwidth")
        return None
    eps = validate.real(value, name="bandwidth")
    if eps <= 0:
        raise InputError(f"bandwidth: expected a positive number, got {value}")
    return eps


def checked_dimension(value: Any, ambient: int) -> float | None:
    """An intrinsic dimension, or None for "auto"."""
    if isinstance(value, str):
        validate.choice(value, ("auto",), name="dimension")
        return None
    return validate.real(value, name="dimension", low=1.0, high=float(ambient))


def checked_coefficient(value: Any, n: int, *, name: str, check_finite: bool = True) -> Array:
    """A function on the cloud as (n,) numbers; one number stands for a constant."""
    array = validate.as_array(value, name=name, ndim=(0, 1))
    if array.dtype.kind == "c" or (array.ndim == 1 and len(array) != n):
        raise InputError(f"{name}: expected one real number or {n}, got shape {array.shape}, {array.dtype}")
    if check_finite:
        validate.require_finite(np.atleast_1d(array), name=name)
    return np.broadcast_to(array.astype(np.float64), (n,)).copy()

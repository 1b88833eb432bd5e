# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Squared moduli in units of a power of two, so that no square over- or underflows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# A change beyond these, in units, has the structure built anew in other units.
LARGEST, SMALLEST = 2.0**200, 2.0**-400


def exponent_of(values: Array) -> int:
    """e with the largest real or imaginary part in [2^(e-1), 2^e); 0 for zeros."""
    if values.size == 0:
        return 0
    top = float(np.abs(values).max()) if values.dtype.kind != "c" else _largest_part(values)
    return math.frexp(top)[1] if top else 0


def _largest_part(values: Array) -> float:
    return max(float(np.abs(values.real).max()), float(np.abs(values.imag).max()))


def in_units(values: Array, exponent: int | Array) -> Array:
    """values 2^-exponent, one for all or one for each, in float64 or complex128."""
    if values.dtype.kind == "c":
        out = np.empty(values.shape, np.complex128)
        out.real = np.ldexp(values.real.astype(np.float64), -exponent)
        out.imag = np.ldexp(values.imag.astype(np.float64), -exponent)
        return out
    return np.asarray(np.ldexp(values.astype(np.float64), -exponent))


def squares(values: Array, exponent: int) -> Array:
    """|values 2^-exponent|^2; infinite where an update is far out of the unit."""
    with np.errstate(over="ignore"):
        scaled = in_units(values, exponent)
        if scaled.dtype.kind == "c":
            return np.asarray(scaled.real**2 + scaled.imag**2)
        return np.asarray(scaled**2)


def length(total: float, exponent: int) -> float:
    """sqrt(total) 2^exponent, infinite where float64 ends."""
    try:
        return math.ldexp(math.sqrt(total), exponent)
    except OverflowError:
        return math.inf

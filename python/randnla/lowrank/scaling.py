# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Powers of two and signs: what makes a factorization independent of units and of luck."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from randnla._backend.device import empty_beside, is_device
from randnla._backend.kernels import dense, device_dense

Array = npt.NDArray[Any]


@lru_cache
def _real_part(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], float]:
    """The dtype of the real part and its unit roundoff: asked for a dozen times in a call."""
    real = np.dtype(dtype.type(0).real.dtype)
    return real, float(np.finfo(real).eps) / 2


@lru_cache
def exponent_range(dtype: np.dtype[Any]) -> tuple[int, int]:
    """The exponents, as `exponent_of` has them, of the least and the greatest normal numbers."""
    limits = np.finfo(dtype)
    return int(limits.minexp) + 1, int(limits.maxexp)


def real_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """The dtype of the real part: float32 for complex64, float64 for complex128."""
    return _real_part(np.dtype(dtype))[0]


def unit_roundoff(dtype: npt.DTypeLike) -> float:
    """Half the spacing of 1, the relative error of one rounding."""
    return _real_part(np.dtype(dtype))[1]


def vector_norm(values: Array) -> float:
    """The 2-norm of a real vector of moderate entries: ``numpy.linalg.norm`` takes longer to begin."""
    return math.sqrt(float(values @ values))


def largest_magnitude(Y: Array) -> float:
    """The largest magnitude of a real or imaginary part; inf or nan if an entry is not finite."""
    if Y.size == 0:
        return 0.0
    if is_device(Y):
        return float(np.abs(device_dense.column_peaks(Y)[0]).max())
    if np.iscomplexobj(Y):
        # Not max(), which loses a NaN that comes second.
        return float(np.maximum(largest_magnitude(Y.real), largest_magnitude(Y.imag)))
    # max and -min are two cheap reductions without the temporary that abs() would write; both
    # propagate nan.
    return max(float(Y.max()), -float(Y.min()))


def exponent_of(magnitude: float) -> int:
    """e with 2^(e-1) <= magnitude < 2^e; 0 for 0."""
    return math.frexp(magnitude)[1] if magnitude else 0


def scale_by_power(Y: Array, exponent: int) -> Array:
    """Y * 2^exponent in place, exact unless entries leave the normal range."""
    # One multiplication suffices while 2^exponent is a normal number of the dtype; otherwise the
    # power is applied in two halves so that it neither overflows nor underflows by itself.
    limit = 120 if real_dtype(Y.dtype) == np.float32 else 1000
    while exponent:
        step = max(-limit, min(limit, exponent))
        if is_device(Y):
            device_dense.scale_columns(Y, 2.0**step)
        else:
            Y *= Y.dtype.type(2.0**step)
        exponent -= step
    return Y


def scale_columns(Y: Array, factors: Array) -> Array:
    """Y * factors in place, one for every column."""
    if is_device(Y):
        device_dense.scale_columns(Y, factors)
    else:
        Y *= factors
    return Y


def normalize(Y: Array) -> int:
    """Bring the largest entry of Y to [1/2, 1) by a power of two, in place, and return its exponent.

    What is factored afterwards has the same bits whatever power of two multiplied A: an odd power
    would change the square roots inside a Cholesky factor.
    """
    exponent = exponent_of(largest_magnitude(Y))
    scale_by_power(Y, -exponent)
    return exponent


def first_columns(V: Array, k: int) -> Array:
    """The first k columns: a view, or on a device, where libraries take whole arrays, a copy."""
    if is_device(V) and k < V.shape[1]:
        copy: Array = device_dense.multiple(V[:, :k])
        return copy
    return V[:, :k]


def copied(Y: Array) -> Array:
    """A new array with the entries of Y, where Y is."""
    if is_device(Y):
        copy: Array = device_dense.multiple(Y)
        return copy
    return np.array(Y)


def side_by_side(X: Array, Y: Array) -> Array:
    """The columns of X, then those of Y, in new memory where they are."""
    if not is_device(X):
        return np.concatenate([X, Y], axis=1)
    out: Array = empty_beside(X, (X.shape[0], X.shape[1] + Y.shape[1]), X.dtype)
    for part, columns in ((X, out[:, : X.shape[1]]), (Y, out[:, X.shape[1] :])):
        device_dense.combine(columns, part)
    return out


def in_units(value: float, exponent: int) -> float:
    """value * 2^exponent, infinite where float64 ends."""
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.inf


def restore(s: Array, exponent: int, dtype: npt.DTypeLike) -> Array:
    """Singular values of a normalized core, back in the units of A and in the dtype of the answer."""
    return np.asarray(np.ldexp(np.asarray(s, dtype=np.float64), exponent)).astype(dtype)


def fix_signs(U: Array, V: Array | None = None) -> None:
    """Make the entry of largest magnitude of every column of U positive, in place; V follows.

    Ties go to the first row. Columns of complex U are turned so that this entry is real and
    positive. U diag(s) V^H is unchanged when V is given.
    """
    if U.size == 0:
        return
    if is_device(U):
        signs = np.where(device_dense.column_peaks(U)[0] < 0, -1.0, 1.0)
        for X in (U,) if V is None else (U, V):
            device_dense.scale_columns(X, signs)
        return
    if U.dtype.kind != "c":
        dense.orient_columns(U, U[:0] if V is None else V)
        return
    rows, columns = np.argmax(np.abs(U), axis=0), np.arange(U.shape[1])
    magnitude = np.abs(U[rows, columns])
    phase = np.where(magnitude > 0, U[rows, columns] / np.where(magnitude > 0, magnitude, 1), 1)
    phase = phase.astype(U.dtype).conj()
    U *= phase
    if V is not None:
        V *= phase
    # The rotation leaves an imaginary part of a rounding error: the rule says real.
    U[rows, columns] = magnitude

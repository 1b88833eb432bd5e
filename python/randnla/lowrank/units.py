# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Units: a matrix near the ends of the exponent range is worked on as a copy of middling size.

f(A) = 2^e f(2^-e A) then holds by construction, bit for bit, wherever 2^-e A is exact.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from randnla._backend.device import is_device
from randnla._backend.errors import RangeError, warn
from randnla._backend.kernels import dense
from randnla._backend.results import Info
from randnla.operators.device import DeviceDense

from .error import frobenius
from .problem import Problem, scaled_copy
from .scaling import (
    Array,
    exponent_of,
    exponent_range,
    in_units,
    largest_magnitude,
    real_dtype,
    restore,
    scale_by_power,
    vector_norm,
)

PILOT_ROWS = 256

MIDDLING = {np.dtype(np.float32): (-16, 40), np.dtype(np.float64): (-300, 300)}
"""Exponents of the largest entry between which A is taken as it is.

Sums of squares in the same precision neither overflow nor lose what stands 2^-45 (2^-200) below the
largest of them.
"""


def into_range(problem: Problem) -> int:
    """Put 2^-e A in place of a matrix A in memory whose squares may leave the range; returns e.

    Some rows are looked at, and all of A only where these lie outside.
    """
    op: Any = problem.op
    if isinstance(op, DeviceDense) or hasattr(op, "array"):
        entries = op.entries if isinstance(op, DeviceDense) else op.array
        some = entries[:: max(1, entries.shape[0] // PILOT_ROWS)]
    elif problem.kind == "sparse":
        entries = op.matrix.data[None, :]
        some = entries[:, :: max(1, entries.shape[1] // (1 << 14))]
    else:
        return 0
    with problem.place():
        if _is_middling(_largest(some), problem):
            return 0
        largest = _largest(entries)
        exponent = exponent_of(largest) if math.isfinite(largest) else 0
        copy = None if not exponent or _is_middling(largest, problem) else scaled_copy(op, -exponent)
    if copy is None:
        return 0
    problem.op = copy
    problem.path.append("rescaled copy")
    problem.hold(entries.nbytes)
    return exponent


def _largest(entries: Array) -> float:
    """The largest magnitude; inf or nan if an entry is not finite."""
    if is_device(entries):
        return largest_magnitude(entries)
    seen = dense.screen(entries)
    return float(seen.max_abs) if seen.finite else math.inf


def _is_middling(largest: float, problem: Problem) -> bool:
    low, high = MIDDLING[real_dtype(problem.dtype)]
    return 0 < largest < math.inf and low <= exponent_of(largest) <= high


def restore_units(info: Info, exponent: int) -> Info:
    """Multiply the error estimate by 2^exponent."""
    known = info.error_estimate
    if not exponent or known is None:
        return info
    return info.replace(error_estimate=_upward(known, exponent))


def restore_values(
    s: Array, exponent: int, dtype: npt.DTypeLike, info: Info, tol: float | None = None
) -> tuple[Array, Info]:
    """Singular values or eigenvalues, by decreasing magnitude, times 2^exponent, in `dtype`.

    What their rounding to multiples of the least number adds to the error is added to that of `info`, which
    may then exceed `tol`.

    Raises
    ------
    RangeError
        A finite value leaves the range.
    """
    exact = np.asarray(s, dtype=np.float64)
    if exact.size and _stays_normal(float(exact[0]), float(exact[-1]), exponent, np.dtype(dtype)):
        return restore(exact, exponent, dtype), info
    with np.errstate(over="ignore", under="ignore"):
        out = restore(exact, exponent, dtype)
    if np.isinf(out).any() and np.isfinite(exact).all():
        raise RangeError(f"A: its largest value exceeds the range of {out.dtype}; scale A down")
    limit = float(np.finfo(out.dtype).tiny)
    if not (np.abs(out[exact != 0]) < limit).any():
        return out, info
    lost = vector_norm(np.ldexp(out.astype(np.float64), -exponent) - exact)
    return out, count_rounding(info, lost, vector_norm(exact), exponent, out.dtype, tol)


def count_rounding(
    info: Info, lost: float, size: float, exponent: int, dtype: np.dtype[Any], tol: float | None
) -> Info:
    """Add to the error what rounding to multiples of the least number `lost`, of a whole of norm `size`.

    Both are in units of 2^exponent. The error may then exceed `tol`.
    """
    if not lost > 0:
        return info
    changes: dict[str, float] = {}
    if info.error_estimate is not None:
        changes["error_estimate"] = info.error_estimate + _upward(lost, exponent)
    if info.error_relative is not None and size > 0:
        changes["error_relative"] = info.error_relative + lost / size
    info = info.replace(**changes)
    if tol is not None and info.converged and (info.error_relative or 0.0) > tol:
        warn(
            f"the certified relative error {info.error_relative} exceeds tol={tol}: values are rounded to "
            f"multiples of the least {dtype}"
        )
        info = info.replace(converged=False)
    return info


def scale_counted(X: Array, exponent: int) -> float:
    """X * 2^exponent in place; the norm of what rounding to multiples of the least number takes from X."""
    limits = np.finfo(real_dtype(X.dtype))
    if not exponent:
        return 0.0
    if exponent_of(largest_magnitude(X)) + exponent >= limits.minexp + 2 * limits.nmant:
        scale_exactly(X, exponent)  # what is lost of an entry is no more than a rounding of the largest
        return 0.0
    if is_device(X):  # at most half the least number for every entry
        scale_exactly(X, exponent)
        return in_units(math.sqrt(X.size) / 2 * float(limits.smallest_subnormal), -exponent)
    before = X.copy()
    scale_exactly(X, exponent)
    after = X.copy()
    scale_exactly(after, -exponent)
    return frobenius(after - before)


def _stays_normal(first: float, last: float, exponent: int, dtype: np.dtype[Any]) -> bool:
    """Whether 2^exponent times numbers between these two in magnitude are normal, far from the ends."""
    low, high = exponent_range(dtype)
    lie = first != 0 and last != 0 and math.isfinite(first) and math.isfinite(last)
    return lie and exponent_of(first) + exponent < high and exponent_of(last) + exponent > low


def _upward(value: float, exponent: int) -> float:
    """value * 2^exponent, above rather than below where it is rounded to a multiple of the least number."""
    scaled = in_units(value, exponent)
    return math.nextafter(scaled, math.inf) if value > 0 and scaled < sys.float_info.min else scaled


def scale_exactly(Y: Array, exponent: int) -> None:
    """Y * 2^exponent in place, rounded once where the result is subnormal."""
    if is_device(Y):
        scale_by_power(Y, exponent)
        return
    if not exponent:
        return
    single = abs(exponent) < -np.finfo(real_dtype(Y.dtype)).minexp
    for part in (Y.real, Y.imag) if np.iscomplexobj(Y) else (Y,):
        if single:
            part *= part.dtype.type(2.0**exponent)
        else:
            np.ldexp(part, exponent, out=part)

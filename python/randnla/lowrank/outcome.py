# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the drivers of singular triplets return: factors cut to their rank, in the units of A, with info."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from randnla._backend.results import Info

from . import error
from .call import Call, account, numerical_rank, smallest_rank, undefined_info
from .scaling import Array, in_units, real_dtype, vector_norm
from .units import restore_values

Factors = tuple[Array, Array, Array, Info]


def finish(
    call: Call,
    U: Array,
    s: Array,
    V: Array,
    exponent: int,
    certificate: error.Certificate,
    relative: float,
    method: str,
    *,
    converged: bool = True,
) -> Factors:
    """Factors with s in the units of A, and their ``info``; U and V are cut already, s may hold more.

    A call that wants them so gets s as it is, and is told its exponent.
    """
    k = U.shape[1]
    found = numerical_rank(call, s, k)
    info = account(call, certificate, relative, method=method, rank=found, converged=converged)
    if call.in_units:
        call.exponent = exponent
        return U, s[:k], V, info
    s, info = restore_values(s[:k], exponent, real_dtype(call.problem.dtype), info, call.tol)
    return U, s, V, info


def known_spectrum(
    call: Call,
    U: Array,
    s: Array,
    V: Array,
    exponent: int,
    spectrum: Array,
    method: str,
    slack: float = 0.0,
) -> Factors:
    """Truncate factors of a matrix whose whole spectrum is known: the error is its tail, and certain.

    `slack` is the error of the squares of the spectrum relative to their sum.
    """
    whole = vector_norm(spectrum)
    call.spectrum_norm = in_units(whole, exponent)
    scale = whole if call.norm == "frobenius" else float(spectrum.max(initial=0.0))
    floor = error.rounding_floor(whole, call.problem.dtype, len(spectrum))
    beside = math.sqrt(slack) * whole

    def widened(errors: Any, hypot: Any = np.hypot) -> Any:
        # LAPACK knows the values of a float32 matrix to its rounding; a Gram matrix in float64 to `slack`.
        errors = hypot(errors, beside) if slack else errors
        return (errors + floor if method == "full" else hypot(errors, floor)) if scale else 0 * errors

    k, converged = U.shape[1], True
    if call.tol is None:
        estimate = widened(error.truncation_error(spectrum, k, call.norm), math.hypot)
    else:
        estimates = widened(error.truncation_errors(spectrum, call.norm))
        cap = k if call.rank is None else min(k, call.rank)
        k, converged = smallest_rank(estimates, 0.0, call.tol * scale, cap)
        estimate = float(estimates[k])
    certificate = error.Certificate(in_units(estimate, exponent), "exact", 0.0)
    relative = estimate / scale if scale else 0.0
    return finish(call, U[:, :k], s, V[:, :k], exponent, certificate, relative, method, converged=converged)


def undefined(call: Call) -> Factors:
    """Factors of NaN: what check_finite=False gives for a matrix that is not finite."""
    m, n = call.problem.shape
    k = 0 if call.rank is None else call.rank
    U, V = (np.full((rows, k), np.nan, call.problem.dtype) for rows in (m, n))
    return U, np.full(k, np.nan, real_dtype(call.problem.dtype)), V, undefined_info(call)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The numerical rank and the condition of a matrix from its products."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import qr
from randnla._backend.results import Estimate
from randnla.lowrank.basis import sample_range
from randnla.lowrank.error import probe_bound, rounding_floor
from randnla.lowrank.krylov import sample_krylov
from randnla.lowrank.scaling import Array, normalize, unit_roundoff
from randnla.operators import Dense

from .call import Call, account, begin
from .norm import BLOCK, DENSE_SIDE, scaled_values, singular_values

FIRST = 32
"""Columns of the first sketch; doubled until ten of its singular values are below the threshold."""

MARGIN = 10


def estimate_rank(
    A: Any,
    tol: float,
    *,
    failure_probability: float = 1e-4,
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> Estimate:
    """Number of singular values of a matrix above `tol` times the largest.

    Parameters
    ----------
    A : array, sparse matrix or operator of shape (m, n)
    tol : float
        Relative threshold, between 0 and 1.
    failure_probability : float, default 1e-4
        Of the bound behind `std_error`.
    rng, check_finite, max_memory, callback
        As in `trace`.

    Returns
    -------
    Estimate
        `value`, an integer, is a lower bound relative to the largest singular value found. `std_error`
        says how many more there are at most, but for `info.failure_probability`: 0 where the rank is
        certain. `info.converged` says whether it is.

    Raises
    ------
    InputError
        `tol` is not between 0 and 1.
    NonFiniteError
        A holds NaN or Inf.

    Notes
    -----
    *Algorithm*: Rayleigh-Ritz on a sampled range with one power iteration, of doubled size until ten of its
    singular values s_i are below the threshold (compare Meier and Nakatsukasa, 2024, who use the sketch
    alone). They are lower bounds; with a bound e of what the range misses,
    ``sigma_i^2 <= s_i^2 + e^2`` bounds the count from above.

    *Cost*: 4 products with 2 (rank + 10) columns or so, and O((m + n) rank^2) flops.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> d = 10.0 ** -np.arange(100)
    >>> randnla.estimate_rank(randnla.Diagonal(d), 3e-6, rng=0).value
    6
    """
    threshold = validate.tolerance(tol)
    failure = validate.tolerance(failure_probability, name="failure_probability")
    call = begin(
        A, rng=rng, check_finite=check_finite, max_memory=max_memory, callback=callback, square=False
    )
    problem, limit = call.problem, min(call.problem.shape)
    problem.op.require_finite(name="A")
    size, count, more = min(limit, FIRST), 0, 0
    while limit:
        s, e = _ritz(call, size, failure)
        if s[0] == 0:
            break
        count = int(np.count_nonzero(s > threshold * s[0]))
        above = int(np.count_nonzero(np.hypot(s, e) > threshold * s[0]))
        # Where even what the range misses may stand above, all others may.
        more = (limit if e > threshold * s[0] else above) - count
        if size == limit or count <= size - MARGIN:
            break
        size = min(limit, 2 * size)
    more = 0 if size == limit else more
    info = account(call, method="subspace", samples=None, error=float(more), size=float(count))
    info = info.replace(
        rank=count,
        converged=more == 0,
        failure_probability=0.0 if size == limit else failure,
        certificate="probe",
        error_relative=None,
    )
    return Estimate(count, float(more), info=info)


def _ritz(call: Call, size: int, failure: float) -> tuple[Array, float]:
    """Singular values of Q^H A and a bound of |A - Q Q^H A|, in one unit."""
    problem = call.problem
    found = sample_range(problem, size, 1, method="subspace")
    Bh = problem.adjoint(found.Q)
    exponent = normalize(Bh) - problem.shift
    s = singular_values(Bh)
    residual = found.probes - found.Q @ (found.Q.conj().T @ found.probes)
    e = probe_bound(residual, "spectral", failure)[0]
    e = math.ldexp(e, found.exponent - exponent) + rounding_floor(
        float(np.linalg.norm(s)), problem.dtype, s.size
    )
    return s, e


def cond(
    A: Any,
    *,
    method: str = "auto",
    size: int | None = None,
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> Estimate:
    """Condition number of a matrix in the 2-norm: the largest singular value over the least of min(m, n).

    Parameters
    ----------
    A : array, sparse matrix or operator of shape (m, n)
    method : {"auto", "svd", "krylov"}
        "svd" computes all singular values of an array. "krylov" takes the extreme ones on a Krylov space.
        "auto" takes the closed form of an operator that has one, "svd" for arrays with a side of at most
        1000, and "krylov" for everything else.
    size : int, optional
        Dimension of the Krylov space; min(m, n, 400) by default. Of min(m, n) the result is exact.
    rng, check_finite, max_memory, callback
        As in `trace`.

    Returns
    -------
    Estimate
        `value`, inf for singular A. Of "krylov" it is a lower bound, close where the least singular value
        stands apart, and `std_error` is what the last third of the space added: no bound.

    Raises
    ------
    InputError
        A is empty, or an argument does not fit.
    NonFiniteError
        A holds NaN or Inf.

    Notes
    -----
    *Algorithm*: block Krylov iteration (Musco and Musco, 2015) and Rayleigh-Ritz. The least Ritz value lies
    above the least singular value, and the largest below the largest.

    *Cost*: 2 `size` products, and 2 (m + n) size^2 flops.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> round(randnla.cond(np.diag([8.0, 4.0, 0.5])).value, 10)
    16.0
    """
    validate.choice(method, ("auto", "svd", "krylov"), name="method")
    call = begin(
        A, rng=rng, check_finite=check_finite, max_memory=max_memory, callback=callback, square=False
    )
    problem, limit = call.problem, min(call.problem.shape)
    if limit == 0:
        raise InputError(f"A: expected at least one row and column, got shape {problem.shape}")
    wanted = min(limit, 400) if size is None else validate.integer(size, name="size", low=1, high=limit)
    op: Any = problem.op
    op.require_finite(name="A")
    entries = isinstance(op, Dense)
    if method == "svd" and not entries:
        raise InputError(f"method: 'svd' needs an array, got a {type(op).__name__}")
    if method == "svd" or (method == "auto" and entries and limit <= DENSE_SIDE):
        problem.path.append("all singular values")
        s = scaled_values(op.array)[0]
        value = _ratio(s, op.dtype)
        return _condition(call, value, value * value * unit_roundoff(op.dtype), "svd")
    closed = _closed_form(op) if method == "auto" and not entries else None
    if closed is not None:
        problem.path.append("closed form")
        return _condition(call, closed, 0.0, "closed form")
    return _by_krylov(call, min(wanted, limit))


def _closed_form(op: Any) -> float | None:
    if not hasattr(op, "condition"):
        return None
    try:
        return float(op.condition())
    except InputError:
        return None


def _condition(call: Call, value: float, error: float, method: str) -> Estimate:
    error = error if math.isfinite(value) else 0.0
    info = account(call, method=method, samples=None, error=error, size=value)
    relative = info.error_relative if math.isfinite(value) else None
    return Estimate(value, error, info=info.replace(condition=value, error_relative=relative))


def _ratio(s: Array, dtype: Any) -> float:
    """Of the extreme values; inf where the least is rounding of the largest."""
    if s[0] == 0 or s[-1] <= unit_roundoff(dtype) * s[0]:
        return math.inf
    return float(s[0] / s[-1])


def _by_krylov(call: Call, size: int) -> Estimate:
    problem = call.problem
    if problem.shape[0] > problem.shape[1]:
        problem.op = problem.op.H  # bases of the shorter side
    limit = min(problem.shape)
    block = min(limit, BLOCK)
    Bh = sample_krylov(problem, size, block, max(0, -(-size // block) - 1))[1]
    s = qr.small_svd(Bh)[1].astype(np.float64)
    value = _ratio(s, problem.dtype)
    if Bh.shape[1] >= limit:
        problem.path.append("the whole space")
        return _condition(call, value, value * value * unit_roundoff(problem.dtype), "krylov")
    before = qr.small_svd(Bh[:, : max(1, 2 * Bh.shape[1] // 3)])[1].astype(np.float64)
    return _condition(call, value, value - _ratio(before, problem.dtype), "krylov")

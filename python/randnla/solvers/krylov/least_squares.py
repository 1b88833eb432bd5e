# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""LSQR and LSMR as building blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.results import SolveResult
from randnla.lowrank.error import column_norms
from randnla.lowrank.scaling import Array, in_units

from ..system import System, begin, warn_unless_converged
from .golub_kahan import LSMR, LSQR


def lsqr(
    A: Any,
    b: Any,
    *,
    damp: float = 0.0,
    tol: float | None = None,
    maxiter: int | None = None,
    check_finite: bool = True,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> SolveResult:
    """Least ``|b - A x|^2 + damp^2 |x|^2`` by LSQR, from products with A and its adjoint.

    Parameters
    ----------
    A : array, sparse matrix, memmap or operator of shape (m, n)
        A preconditioner N goes in as ``A @ N``: the solution is then N times what is returned.
    b : array of shape (m,) or (m, k)
        Columns share each product.
    damp : float, default 0
        Nonnegative; `ridge` takes its square as `alpha`.
    tol : float, optional
        A column ends when ``|A^H r - damp^2 x| <= tol |A| |r|``, or when
        ``|r| <= tol (|b| + |A| |x|)``, with the norm of A as seen from inside; 1e-8, or 1e-4 of float32
        input.
    maxiter : int, optional
        Steps; min(10 n, 10000) by default.
    check_finite : bool, default True
    callback : callable, optional
        Called with a dict of `iteration`, `residual` and `gradient` (the worst over the columns, relative as
        in `tol`) after each step.

    Returns
    -------
    SolveResult
        `x` (n,) or (n, k), of least norm where A is rank deficient; `info.residual` is the lesser of the
        two ratios of `tol` and `info.error_estimate` the size of a change of A that makes x exact (the
        lesser of ``|A^H r| / |r|`` and ``|r| / |x|``), of the worst column, computed anew from x.

    Raises
    ------
    InputError
        An argument does not fit.
    NonFiniteError
        A or b holds NaN or Inf.

    Warns
    -----
    ConvergenceWarning
        Neither rule is met: `maxiter` was reached, or rounding is in the way.

    Notes
    -----
    *Algorithm*: Paige and Saunders (1982). Its backward error is that of the residual of the normal
    equations; an ill-conditioned A takes steps in proportion to its condition. *Cost*: one product with A and
    one with its adjoint a step, 3 m + 5 n multiplications a column.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.solvers import lsqr
    >>> A = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    >>> lsqr(A, np.array([1.0, 2.0, 3.0])).x.round(8)
    array([1., 1.])
    """
    return _minimize(LSQR, "lsqr", A, b, damp, tol, maxiter, check_finite, callback)


def lsmr(
    A: Any,
    b: Any,
    *,
    damp: float = 0.0,
    tol: float | None = None,
    maxiter: int | None = None,
    check_finite: bool = True,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> SolveResult:
    """Least ``|b - A x|^2 + damp^2 |x|^2`` by LSMR, whose ``|A^H r|`` falls from step to step.

    Parameters
    ----------
    A, b, damp, tol, maxiter, check_finite, callback
        As in `lsqr`.

    Returns
    -------
    SolveResult
        As of `lsqr`.

    Raises
    ------
    InputError, NonFiniteError
        As in `lsqr`.

    Warns
    -----
    ConvergenceWarning
        As in `lsqr`.

    Notes
    -----
    *Algorithm*: Fong and Saunders (2011): MINRES on the normal equations. It may be stopped earlier than
    LSQR. *Cost*: as of `lsqr`, and 3 n multiplications a step and column more.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.solvers import lsmr
    >>> A = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    >>> lsmr(A, np.array([1.0, 2.0, 3.0])).x.round(8)
    array([1., 1.])
    """
    return _minimize(LSMR, "lsmr", A, b, damp, tol, maxiter, check_finite, callback)


def _minimize(
    recurrence: Any,
    name: str,
    A: Any,
    b: Any,
    damp: Any,
    tol: Any,
    maxiter: Any,
    check_finite: Any,
    callback: Any,
) -> SolveResult:
    system = begin(
        A,
        b,
        tol=tol,
        maxiter=maxiter,
        rng=0,
        check_finite=check_finite,
        callback=callback,
        square=False,
    )
    number = validate.real(damp, name="damp")
    if number < 0:
        raise InputError(f"damp: expected a nonnegative number, got {damp}")
    system.add(number)
    run = recurrence(system.forward, system.adjoint, system.B, 0.0)
    if number:
        # The first product has found the unit.
        run = recurrence(system.forward, system.adjoint, system.B, system.in_unit(number))
    norms = column_norms(system.B)
    while system.steps < system.maxiter and not np.all(_settled(run, norms, system.tol)):
        run.step()
        system.steps += 1
        system.report(
            residual=float(np.max(_over(run.residual, norms + run.norm * run.length), initial=0.0)),
            gradient=float(np.max(_over(run.gradient, run.norm * run.residual), initial=0.0)),
        )
    return _certified(system, run, name, norms)


def _over(a: Array, b: Array) -> Array:
    return np.asarray(np.where(a > 0, a / np.where(b > 0, b, 1.0), 0.0))


def _settled(run: Any, norms: Array, tol: float) -> Array:
    consistent = run.residual <= tol * (norms + run.norm * run.length)
    return np.asarray(consistent | (run.gradient <= tol * run.norm * run.residual))


def _certified(system: System, run: Any, name: str, norms: Array) -> SolveResult:
    X, narrow = run.X, run.X.real.dtype.type
    R = system.B - system.forward(X)
    G = system.adjoint(R) - X * narrow(run.damp**2)
    lengths = column_norms(X)
    r = np.hypot(column_norms(R), run.damp * lengths)
    g = column_norms(G)
    inside = _over(g, r)
    error = np.minimum(inside, np.where(lengths > 0, r / np.where(lengths > 0, lengths, 1.0), np.inf))
    size = np.where(run.norm > 0, run.norm, 1.0)
    met = (inside <= 2 * system.tol * size) | (r <= 2 * system.tol * (norms + size * lengths))
    worst = float(np.max(np.minimum(inside / size, _over(r, norms + size * lengths)), initial=0.0))
    info = system.account(
        method=name,
        error_estimate=in_units(float(np.max(error, initial=0.0)), system.exponent or 0),
        error_kind="backward",
        error_relative=float(np.max(error / size, initial=0.0)),
        certificate="exact",
        converged=bool(np.all(met)),
        residual=worst,
    )
    why = "more steps are needed (maxiter)" if system.steps >= system.maxiter else "rounding"
    warn_unless_converged(system, info, name, why)
    return SolveResult(system.answer(X), info=info)

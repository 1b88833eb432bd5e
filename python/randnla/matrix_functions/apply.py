# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""``f(A) b`` without f(A)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import BreakdownError, InputError, warn
from randnla._backend.results import Info
from randnla.estimate.scalar import Array, Function, evaluate, resolve
from randnla.lowrank.error import frobenius
from randnla.lowrank.scaling import exponent_of, in_units, largest_magnitude, scale_by_power, unit_roundoff
from randnla.operators import Dense, LinearOperator, as_operator
from randnla.operators.factored import is_hermitian

from .lanczos import Lanczos
from .results import FunctionResult

LOOKAHEAD = 5
"""Steps between the iterates that are compared, and a tenth of all steps where that is more."""

SINGULAR_AT_ZERO = ("inverse", "inverse_sqrt", "log")


def apply_function(
    f: Any,
    A: Any,
    b: Any,
    *,
    tol: float | None = None,
    max_iter: int | None = None,
    reorthogonalize: bool = True,
    check_finite: bool = True,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> FunctionResult:
    """``f(A) b`` for Hermitian A, by Lanczos.

    Parameters
    ----------
    f : callable or {"sqrt", "inverse_sqrt", "log", "exp", "inverse"}
        From an array of real eigenvalues to an array of as many values, real or complex.
    A : array, sparse matrix or operator of shape (n, n)
        Hermitian; products with blocks of columns are all that is asked of it.
    b : array of shape (n,) or (n, k)
    tol : float, optional
        Of the estimated error of every column relative to its norm; 1e-10, or 1e-4 of float32 input.
    max_iter : int, optional
        Steps, each one product of A with all columns; min(n, 300) by default.
    reorthogonalize : bool, default True
        Keep the basis orthogonal. Without it Ritz values come in copies and convergence is later; the
        product of a step is then all its cost.
    check_finite : bool, default True
    callback : callable, optional
        Called with a dict of `iteration` and `error` at each comparison of iterates.

    Returns
    -------
    FunctionResult
        `x` of the shape of b, `info`.

    Raises
    ------
    InputError
        A is not square or not Hermitian, b does not fit, f returns something of another shape.
    NonFiniteError
        b or A holds NaN or Inf.
    BreakdownError
        f is not finite at a Ritz value: the logarithm of a matrix that is not positive definite, say. Ritz
        values lie between the least and the greatest eigenvalue up to rounding, so that one below zero by
        more than that shows a negative eigenvalue. "inverse", "inverse_sqrt" and "log" are refused at Ritz
        values that are zero to rounding, too.

    Warns
    -----
    ConvergenceWarning
        The estimate exceeds `tol` after `max_iter` steps, or rounding alone does: of a function that is
        steep, or singular, at an eigenvalue. The square root of a singular A is one: rounding of A moves it
        by u^(1/2), about 1e-8, so that the default `tol` is not to be had, and `tol=1e-7` is.

    Notes
    -----
    *Algorithm*: Lanczos, ``x_m = |b| Q_m f(T_m) e_1`` (Saad, 1992; Higham, Functions of Matrices, 2008,
    section 13.2). Columns are independent but share each product with A. Where the Krylov space is invariant
    to rounding, `info.path` says "invariant subspace", and rounding is all the error.

    *Error*: with d = 5 steps or a tenth of all, ``delta_m = |x_m - x_(m-d)|`` measures the iterate d steps
    ago. Were convergence geometric with the observed ratio rho = delta_m / delta_(m-d), then
    ``delta_m rho / (1 - rho)`` is left; the estimate is the larger of the two, doubled without
    reorthogonalization. It is no bound, but does not take slow progress for convergence. It is at least what
    rounding of A, of size u |A|, makes of f(A) b: the derivative of f in differences between Ritz values, so
    that an ill-conditioned inverse is called so.

    *Cost*: a product of A with k columns a step, 4 n m flops a step and column for orthogonality, memory
    of n m k numbers.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> d = np.linspace(1.0, 4.0, 1000)
    >>> x = randnla.apply_function("sqrt", randnla.Diagonal(d), np.ones(1000)).x
    >>> bool(np.allclose(x, np.sqrt(d)))
    True
    """
    call = _begin(f, A, b, tol, max_iter, reorthogonalize, check_finite, callback)
    x, info, rounding = _run(call)
    limited = f"of which rounding of A makes {rounding:.3g}" if rounding > call.tol else ""
    if call.vector:
        x = x[:, 0]
    if not info.converged:
        warn(
            f"apply_function: estimated relative error {info.error_relative:.3g} exceeds tol={call.tol:.3g} "
            f"after {info.iterations} steps" + (f", {limited}" if limited else "")
        )
    return FunctionResult(namespace.restore(call.kind, x), info=info)


@dataclass
class _Call:
    op: LinearOperator
    block: Array
    vector: bool
    kind: namespace.Kind
    function: Function
    name: str
    tol: float
    max_iter: int
    reorthogonalize: bool
    callback: Any


def _begin(
    f: Any, A: Any, b: Any, tol: Any, max_iter: Any, reorthogonalize: Any, check_finite: Any, callback: Any
) -> _Call:
    function, name = resolve(f)
    check_finite = validate.flag(check_finite, name="check_finite")
    op = as_operator(A, check_finite=check_finite)
    n = op.shape[0]
    if op.shape[1] != n:
        raise InputError(f"A: expected a square matrix, got shape {op.shape}")
    block = validate.as_array(b, name="b", ndim=(1, 2))
    if block.shape[0] != n:
        raise InputError(f"b: expected {n} rows as A has, got shape {block.shape}")
    if check_finite:
        validate.require_finite(block, name="b")
        op.require_finite()
    with np.errstate(invalid="ignore"):
        hermitian = not isinstance(op, Dense) or is_hermitian(op.array)
    if not hermitian:
        raise InputError("A: expected a Hermitian matrix; (A + A.conj().T) / 2 is one")
    dtype = np.result_type(op.dtype, block.dtype)
    tolerance = (
        validate.tolerance(tol) if tol is not None else (1e-10 if unit_roundoff(dtype) < 1e-10 else 1e-4)
    )
    steps = min(n, 300) if max_iter is None else validate.integer(max_iter, name="max_iter", low=1)
    return _Call(
        op,
        (block if block.ndim == 2 else block[:, None]).astype(dtype, copy=False),
        block.ndim == 1,
        namespace.kind_of(b),
        function,
        name,
        tolerance,
        steps,
        validate.flag(reorthogonalize, name="reorthogonalize"),
        validate.callback(callback),
    )


@dataclass
class _Column:
    """2^-unit times the coefficients of the last iterate of a column in its basis, over the norm of b."""

    iterate: Array
    unit: int | None = None
    delta: float = math.inf
    error: float = math.inf  # relative
    rounding: float = 0.0  # relative
    steps: int = 0


def _run(call: _Call) -> tuple[Array, Info, float]:
    n, k = call.block.shape
    scales, norms, start = _unit_columns(call.block)
    live = np.flatnonzero(norms > 0)
    out = np.zeros((n, k), call.block.dtype)
    if not live.size:
        return (
            out,
            Info(
                method="lanczos",
                error_estimate=0.0,
                error_kind="frobenius",
                error_relative=0.0,
                converged=True,
                iterations=0,
                matvecs=0,
                path="zero right-hand side",
            ),
            0.0,
        )
    # Products are brought to one exponent, so that 2^p A takes the same steps bit for bit.
    first = call.op.matmat(start[:, live])
    shift = exponent_of(largest_magnitude(first)) if np.isfinite(largest_magnitude(first)) else 0
    run = Lanczos(
        lambda X: scale_by_power(np.array(call.op.matmat(X)), -shift),
        np.ascontiguousarray(start[:, live]),
        reorthogonalize=call.reorthogonalize,
        spacing=in_units(float(np.finfo(first.dtype).smallest_subnormal), -shift),
    )
    columns = [_Column(np.zeros(0)) for _ in live]
    limit, last = min(call.max_iter, n), 0
    while run.steps < limit and not run.done.all():
        run.step()
        gap = max(LOOKAHEAD, run.steps // 10)
        if run.steps - last >= gap or run.steps == limit or run.done.all():
            last = run.steps
            for j, column in enumerate(columns):
                _compare(call, run, j, column, shift)
            worst = max(column.error for column in columns)
            if call.callback is not None:
                call.callback({"iteration": run.steps, "error": worst})
            if worst <= call.tol:
                break
    return _finish(call, run, columns, live, (scales, norms), k)


def _unit_columns(block: Array) -> tuple[Array, Array, Array]:
    """Exponents, norms of 2^-exponent times the columns, and unit columns."""
    exponents = np.array([exponent_of(largest_magnitude(block[:, j])) for j in range(block.shape[1])], int)
    scaled = block.copy()
    for j, exponent in enumerate(exponents):
        scaled[:, j] = scale_by_power(scaled[:, j].copy(), -int(exponent))
    norms = np.sqrt((np.abs(scaled.astype(np.result_type(block.dtype, np.float64))) ** 2).sum(axis=0))
    unit = scaled / np.where(norms > 0, norms, 1.0).astype(block.real.dtype)
    return exponents, norms, unit


def _compare(call: _Call, run: Lanczos, j: int, column: _Column, shift: int) -> None:
    """The new iterate of a column against its last one."""
    m = run.dimension(j)
    if m == column.steps:
        return
    theta, U = run.ritz(j, m)
    size = float(np.abs(theta).max())
    if call.name in SINGULAR_AT_ZERO and not _away_from_zero(call, run, j, theta, size):
        return
    floor = m * unit_roundoff(run.basis.dtype) * size
    values = evaluate(call.function, call.name, np.ldexp(theta, shift), math.ldexp(floor, shift))
    if column.unit is None:
        column.unit = exponent_of(largest_magnitude(values))
    values = scale_by_power(values, -column.unit)
    rounding = _rounding(call, run, values, theta, U[0], shift, column.unit)
    new = np.einsum("ij,j,j->i", U, values, U[0])
    padded = np.concatenate([column.iterate, np.zeros(m - column.iterate.size)])
    delta = frobenius((new - padded)[None])
    length = frobenius(new[None])
    if run.done[j]:
        left = 0.0
    elif not math.isfinite(column.delta) or delta >= column.delta:
        left = math.inf if delta > rounding else delta  # below that, iterates differ by rounding alone
    else:
        ratio = delta / column.delta
        left = max(delta, delta * ratio / (1 - ratio))
        # Copies of Ritz values make convergence come in steps.
        left = left if call.reorthogonalize else 2 * left
    # Nothing is known better than the rounding of the products.
    left = max(left, rounding, 2 * math.sqrt(m) * unit_roundoff(run.basis.dtype) * length)
    column.error = left / length if length > 0 else float(left > 0)
    column.rounding = rounding / length if length > 0 else 0.0
    column.iterate, column.delta, column.steps = new, delta, m


def _away_from_zero(call: _Call, run: Lanczos, j: int, theta: Array, size: float) -> bool:
    """Whether no Ritz value is zero to rounding; an error where that means a singular A."""
    m = theta.size
    floor = 2 * math.sqrt(m) * unit_roundoff(run.basis.dtype) * size
    least = float(theta[np.argmin(np.abs(theta))])
    if abs(least) > floor:
        return True
    # Inside an indefinite spectrum Ritz values cross zero on their way elsewhere.
    crossing = theta[0] < -floor and theta[-1] > floor and call.name == "inverse"
    if crossing and not run.done[j] and m < min(call.max_iter, call.op.shape[0]):
        return False
    raise BreakdownError(
        f"f: {call.name} is not finite at 0, and a Ritz value of A is zero to rounding, "
        f"{abs(least) / size if size > 0 else 0.0:.3g} times the largest"
    )


def _rounding(
    call: _Call, run: Lanczos, values: Array, theta: Array, weights: Array, shift: int, unit: int
) -> float:
    """2^-unit times what a change of A of the size of its rounding makes of f(A) b; infinite at a pole."""
    m = theta.size
    change = 2 * unit_roundoff(run.basis.dtype) * float(np.abs(theta).max())
    if change == 0:
        return 0.0
    if call.name == "sqrt":
        theta = np.maximum(theta, 0.0)  # what is below is rounding of zero: `evaluate` has seen to it
    inward = np.where(theta <= (theta[0] + theta[-1]) / 2, change, -change)
    with np.errstate(all="ignore"):
        inner, outer = (
            scale_by_power(np.asarray(call.function(np.ldexp(x, shift))).astype(values.dtype), -unit)
            for x in (theta + inward, theta - inward)
        )
        if not np.isfinite(inner).all():
            return math.inf
        # f need not be defined outside the spectrum.
        outer = np.where(np.isfinite(outer), outer, values)
        step = np.maximum(np.abs(inner - values), np.abs(outer - values))
        # The derivative in the direction E: U (L * (U^H E U)) U^H b with the divided differences L of f.
        gaps = np.abs(np.subtract.outer(theta, theta))
        jumps = np.abs(np.subtract.outer(values, values))
        near = gaps < change
        slopes = np.where(near, step[:, None] / change, jumps / np.where(near, 1.0, gaps))
        total = change * frobenius(slopes * np.abs(weights)) / math.sqrt(m)
    return total if math.isfinite(total) else math.inf


def _finish(
    call: _Call, run: Lanczos, columns: list[_Column], live: Array, scale: tuple[Array, Array], k: int
) -> tuple[Array, Info, float]:
    exponents, norms = scale
    is_complex = any(np.iscomplexobj(c.iterate) for c in columns)
    dtype = np.result_type(call.block.dtype, np.complex64) if is_complex else call.block.dtype
    out = np.zeros((call.op.shape[0], k), dtype)
    errors: list[float] = []
    for j, (target, column) in enumerate(zip(live, columns, strict=True)):
        unit = int(exponents[target]) + (column.unit or 0)
        x = run.combine(j, column.iterate * norms[target])
        out[:, target] = scale_by_power(x, unit)
        errors.append(in_units(column.error * frobenius(column.iterate[None]) * float(norms[target]), unit))
    worst = max(column.error for column in columns)
    path = "invariant subspace" if run.done.all() else "reorthogonalized" if call.reorthogonalize else "local"
    info = Info(
        method="lanczos",
        matvecs=run.matvecs + int(live.size),
        error_estimate=math.hypot(*errors),
        error_kind="frobenius",
        error_relative=worst,
        certificate="lookahead",
        converged=bool(worst <= call.tol),
        iterations=run.steps,
        path=path,
    )
    return out, info, max(column.rounding for column in columns)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Ridge regression: all alphas from one factorization."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla.lowrank.scaling import Array, in_units
from randnla.operators import Dense

from . import normal as pieces
from .krylov.refinement import Refinement
from .normal import Normal, energy_error
from .preconditioners.spectral import SpectralPreconditioner
from .results import RidgeResult
from .system import System, begin, warn_unless_converged

METHODS = ("auto", "direct", "sketch", "nystrom")

SHORT = 4000
"""Up to this short side all singular values are found: of the sketch, in some seconds."""

STEPS = 25
"""Of conjugate gradients with a sketched factor, about."""

RANK = 256


def ridge(
    A: Any,
    b: Any,
    alpha: Any,
    *,
    method: str = "auto",
    rank: int | None = None,
    tol: float | None = None,
    maxiter: int | None = None,
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> RidgeResult:
    """Least ``|b - A x|^2 + alpha |x|^2``, for one alpha or a path of them.

    Parameters
    ----------
    A : array, sparse matrix, memmap or operator of shape (m, n)
    b : array of shape (m,) or (m, k)
    alpha : float or array of shape (L,)
        Positive. For zero there is `lstsq`.
    method : {"auto", "direct", "sketch", "nystrom"}
        What conjugate gradients are preconditioned by, at every alpha: the singular values and vectors of the
        shorter side from a QR factorization of A ("direct"; arrays), from one of a sketch of A ("sketch"), or
        the leading ones of a Nystrom approximation ("nystrom"). "auto" is "nystrom" where the shorter side
        exceeds 4000, else "direct" for arrays that are less than four times as long as wide, or of which many
        columns and alphas are asked for, else "sketch".
    rank : int, optional
        Of "nystrom"; min(m, n, 256) by default.
    tol : float, optional
        Relative error of every column in the energy norm; 1e-8, or 1e-4 of float32 input.
    maxiter : int, optional
        Steps, each one product with A and one with its adjoint; min(10 n, 10000) by default.
    rng : None, int, SeedSequence or Generator
        Of the sketch.
    check_finite : bool, default True
    max_memory : int, optional
        Bytes that blocks of a mapped A may take.
    callback : callable, optional
        Called with a dict of `iteration`, `residual` (the worst error, about) and `columns` after each step.

    Returns
    -------
    RidgeResult
        `x` of shape (n,) or (n, k), with L alphas (L, n) or (L, n, k); `errors`, what was certified for each
        alpha and column; `info`: `error_relative` is the largest of them, `residual` the largest of
        ``|A^H (b - A x) - alpha x| / |A^H b|`` (of a wide A, of its dual system).

    Raises
    ------
    InputError
        An argument does not fit.
    NonFiniteError
        A or b holds NaN or Inf.

    Warns
    -----
    ConvergenceWarning
        An error exceeds `tol`.

    Notes
    -----
    *Algorithm*: conjugate gradients on ``(A^H A + alpha I) x = A^H b``, or on
    ``(A A^H + alpha I) z = b``, ``x = A^H z``, of a wide A, with refinement by residuals that are computed
    from b - A x (as SPIR, Epperly, Meier and Nakatsukasa, 2024). With ``S A = U diag(s) V^H`` the
    preconditioner is ``V diag(s^2 + alpha)^-1 V^H`` for every alpha: its condition is below 9 where the
    sketch of four rows a dimension keeps lengths within a half, whatever alpha. All alphas and columns share
    each product.

    *Error*: ``|x - x*|_H = |r|_(H^-1)`` for ``H = A^H A + alpha I`` (of a wide A, its dual) and the residual
    r, ``|x|_H^2 = |A x|^2 + alpha |x|^2``. The norm is taken with the sketched factor, times 2, and holds
    where the sketch keeps lengths within a half; with "nystrom" it is bounded by ``|r| alpha^(-1/2)``.

    *Cost*: "direct" 2 m n^2 flops, "sketch" 8 m n and 30 n^3, "nystrom" two products with `rank` columns;
    then 4 m n + 4 n^2 flops a column, alpha and step, about 20 steps to 1e-8 with a sketch, 1 or 2 with
    "direct".

    Examples
    --------
    >>> import numpy as np, randnla
    >>> rng = np.random.default_rng(0)
    >>> A, b = rng.standard_normal((500, 20)), rng.standard_normal(500)
    >>> found = randnla.ridge(A, b, [0.1, 1.0, 10.0], rng=0)
    >>> found.x.shape, bool(found.errors.max() < 1e-8)
    ((3, 20), True)
    >>> x = np.linalg.solve(A.T @ A + np.eye(20), A.T @ b)
    >>> bool(np.allclose(found.x[1], x))
    True
    """
    validate.choice(method, METHODS, name="method")
    system = begin(
        A,
        b,
        tol=tol,
        maxiter=maxiter,
        rng=rng,
        check_finite=check_finite,
        max_memory=max_memory,
        callback=callback,
        square=False,
    )
    alphas, single = _checked(alpha)
    wanted = None if rank is None else validate.rank(rank, min(system.problem.shape))
    dense = isinstance(system.problem.op, Dense)
    columns = system.B.shape[1] * alphas.size
    primal = pieces.turned(system)
    method = _resolved(method, system.problem.shape, columns, dense=dense)
    system.add(float(np.sqrt(alphas.max())))
    M, normal = _factored(system, alphas, method, wanted, primal=primal)
    distortion = {"direct": 1.1, "sketch": pieces.DISTORTION, "nystrom": 0.0}[method]
    run = Refinement(
        normal.product,
        normal.right(),
        normal.shifts,
        system.tol,
        system.maxiter,
        lambda **state: _report(system, **state),
        np.zeros((system.problem.shape[0], columns), system.dtype, order="F"),
        residual=normal.residual,
        measure=lambda Z, R: energy_error(normal, M, Z, R, distortion),
    )
    run.run(lambda R, where: M.apply(R, normal.shifts[where]))
    return _finish(system, run, normal, M, method, alphas, single=single)


def _checked(alpha: Any) -> tuple[Array, bool]:
    array = validate.as_array(alpha, name="alpha", ndim=(0, 1))
    if array.dtype.kind == "c":
        raise InputError(f"alpha: expected real numbers, got {array.dtype}")
    values = np.atleast_1d(array).astype(np.float64)
    if not values.size:
        raise InputError("alpha: expected at least one number, got none")
    validate.require_finite(values, name="alpha")
    if float(values.min()) <= 0:
        raise InputError(f"alpha: expected positive numbers, got {float(values.min())}; lstsq takes none")
    return values, array.ndim == 0


def _resolved(method: str, shape: tuple[int, int], columns: int, *, dense: bool) -> str:
    q, p = shape
    if method == "direct" and not dense:
        raise InputError("method: 'direct' needs an array; expected 'auto', 'sketch' or 'nystrom'")
    if method == "auto":
        if q > SHORT:
            return "nystrom"
        # A factorization takes 2 p q^2 flops, the steps 4 p q a column.
        method = "direct" if dense and 2 * STEPS * columns > q else "sketch"
    # No sketch is shorter than four times the side.
    return "direct" if method == "sketch" and p <= pieces.OVERSAMPLING * q and q <= SHORT else method


def _factored(
    system: System, alphas: Array, method: str, rank: int | None, *, primal: bool
) -> tuple[SpectralPreconditioner, Normal]:
    k = system.B.shape[1]
    normal = Normal(system, primal, system.B, np.zeros(0))
    if method == "nystrom":
        M = pieces.from_nystrom(normal, min(RANK, system.problem.shape[0]) if rank is None else rank)
    else:
        M = pieces.from_factorization(system) if method == "direct" else pieces.from_sketch(system)
    shifts = np.array([pieces.square_units(a, system.exponent or 0) for a in alphas])
    normal.normalize()
    normal.B = np.asfortranarray(np.tile(system.B, (1, alphas.size)))
    normal.shifts = np.repeat(shifts, k)
    return M, normal


def _report(system: System, **state: Any) -> None:
    system.steps += 1
    system.report(**state)


def _finish(
    system: System,
    run: Refinement,
    normal: Normal,
    M: SpectralPreconditioner,
    method: str,
    alphas: Array,
    *,
    single: bool,
) -> RidgeResult:
    X = normal.solution(run.X)
    L, k = alphas.size, system.B.shape[1]
    sizes = normal.energy(run.X) * run.relative
    # The energy norm of x has the units of b; that of a dual solution those of b over A.
    unit = 0 if normal.primal else -(system.exponent or 0)
    system.steps = run.steps
    info = system.account(
        rank=M.rank,
        method=method,
        error_estimate=in_units(float(np.max(sizes, initial=0.0)), unit),
        error_kind="energy",
        error_relative=float(np.max(run.relative, initial=0.0)),
        certificate="bound" if method == "nystrom" else "sketch" if method == "sketch" else "exact",
        converged=run.converged,
        residual=float(np.max(run.residuals, initial=0.0)),
        condition=run.condition,
    )
    warn_unless_converged(system, info, "ridge", run.why)
    errors = run.relative.reshape(L, k)
    if system.parts:
        errors = np.maximum(errors[:, : k // 2], errors[:, k // 2 :])
    errors = errors[:, 0] if system.vector else errors
    if single:
        return RidgeResult(system.answer(X), info=info, alpha=float(alphas[0]), errors=errors[0])
    return RidgeResult(system.answers(X, L), info=info, alpha=alphas, errors=errors)

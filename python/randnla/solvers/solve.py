# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Positive definite systems by conjugate gradients with a randomized preconditioner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.results import SolveResult
from randnla.lowrank import factor
from randnla.lowrank.basis import probe_rows
from randnla.lowrank.error import column_norms
from randnla.lowrank.scaling import Array, in_units
from randnla.operators import Dense
from randnla.operators.factored import is_hermitian

from .guess import checked_guess, in_system
from .krylov.conjugate_gradients import ConjugateGradients, Precondition
from .krylov.refinement import Refinement
from .preconditioners.choose import Chosen, choose
from .system import System, backward_error, begin, warn_unless_converged

WINDOW = 10
"""Steps over which the rate of convergence is measured."""


def solve(
    A: Any,
    b: Any,
    *,
    shift: float = 0.0,
    preconditioner: Any = "nystrom",
    rank: int | str = "auto",
    tol: float | None = None,
    maxiter: int | None = None,
    x0: Any = None,
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> SolveResult:
    """Solve ``(A + shift I) x = b`` for a positive definite matrix known by its products.

    Parameters
    ----------
    A : array, sparse matrix, memmap or operator of shape (n, n)
        Symmetric (Hermitian) positive semidefinite, definite where `shift` is zero.
    b : array of shape (n,) or (n, k)
        All columns share each product with A.
    shift : float, default 0
        Nonnegative multiple of the identity that is added.
    preconditioner : {"nystrom", "rpcholesky"}, None, operator, array or callable
        "nystrom" deflates the leading eigenvalues as a random sketch sees them. "rpcholesky" reads columns of
        A in place of products and needs a positive `shift`: for kernels. None is plain conjugate
        gradients. Anything else is applied to residuals (n, j) and must be Hermitian positive definite; of a
        `SpectralPreconditioner` the shift is set to that of the system.
    rank : int or "auto"
        Of the randomized preconditioner. "auto" starts at 32 and doubles, up to n / 8, while the steps that
        this saves cost more than it does: first by the bound on the condition, then by the rate that is
        seen. "rpcholesky" goes on until the trace that is left is ten times `shift`, up to 10 n^(1/2).
    tol : float, optional
        Of ``|b_j - (A + shift I) x_j| / |b_j|``, every column; 1e-8, or 1e-4 of float32 input.
    maxiter : int, optional
        Steps, each one product of A with all columns that go on; min(10 n, 10000) by default.
    x0 : array of the shape of b, optional
        First guess.
    rng : None, int, SeedSequence or Generator
        Of the preconditioner.
    check_finite : bool, default True
    max_memory : int, optional
        Bytes for blocks of the automatic rank and of a mapped A.
    callback : callable, optional
        Called with a dict of `iteration`, `residual` (the worst, as recurred), `columns` (that go on) and
        `rank` after each step.

    Returns
    -------
    SolveResult
        `x` of the shape of b, `info`: `residual` is the largest relative residual, computed anew from x;
        `error_estimate` the largest ``|r_j| / |x_j|``, the size of the least change of A that makes x_j
        exact; `condition` that of the preconditioned matrix, from inside its spectrum.

    Raises
    ------
    InputError
        An argument does not fit, or A is not Hermitian.
    NonFiniteError
        A or b holds NaN or Inf.
    BreakdownError
        A is seen not to be positive semidefinite, or the preconditioner not to be definite.

    Warns
    -----
    ConvergenceWarning
        A residual exceeds `tol`: `maxiter` was reached, A is singular, or rounding alone does.

    Notes
    -----
    *Algorithm*: conjugate gradients with the Nystrom preconditioner of Frangella, Tropp and Udell (2023),
    ``M = (w_l + s) V (diag(w) + s)^-1 V^H + (I - V V^H)``; with ``l = 2 ceil(1.5 d) + 1`` columns, d the
    effective dimension ``trace(A (A + s I)^-1)``, the expected condition is below 28 (Theorem 5.1). A column
    ends when its recurred residual is small; residuals are then computed anew, and a column that is not there
    goes on from its true residual until a round gains less than half.

    *Cost*: a product with `rank` columns and 10 n rank^2 flops, then a product and 4 n rank flops a column
    and step; memory of 4 n rank numbers.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> A = np.diag(100.0 / np.arange(1, 1001) ** 2)
    >>> found = randnla.solve(A, np.ones(1000), shift=0.01, rank=150, rng=0)
    >>> bool(found.info.residual < 1e-8), found.info.iterations < 20
    (True, True)
    """
    system = begin(
        A,
        b,
        tol=tol,
        maxiter=maxiter,
        rng=rng,
        check_finite=check_finite,
        max_memory=max_memory,
        callback=callback,
    )
    added = validate.real(shift, name="shift")
    if added < 0:
        raise InputError(f"shift: expected a nonnegative number, got {shift}")
    system.add(added)
    guess = checked_guess(system, x0)
    if isinstance(system.problem.op, Dense) and not is_hermitian(_finite_part(system.problem.op.array)):
        raise InputError("A: expected a Hermitian matrix; (A + A.conj().T) / 2 is one")
    chosen = choose(system, preconditioner, rank, added, max_memory)
    if chosen.unchecked:
        probes = probe_rows(system.problem).T.astype(system.dtype)
        factor.require_hermitian(probes, system.forward(probes))
    s = system.in_unit(added)
    k = system.B.shape[1]
    run = Refinement(
        system.forward,
        system.B,
        np.full(k, s),
        system.tol,
        system.maxiter,
        lambda **state: _report(system, chosen, **state),
        in_system(system, guess),
    )
    _iterate(run, chosen, s)
    system.steps = run.steps
    return _finish(system, run, chosen)


def _finite_part(array: Array) -> Array:
    # What is not finite compares with nothing; check_finite=False lets it through to the products.
    return array if np.isfinite(array).all() else np.zeros((0, 0), array.dtype)


def _report(system: System, chosen: Chosen, **state: Any) -> None:
    system.steps += 1
    system.report(rank=chosen.rank, **state)


def _iterate(run: Refinement, chosen: Chosen, s: float) -> None:
    """Conjugate gradients; where the rank may grow, until it pays to grow it."""
    while True:
        watch = _Watch(run, chosen, s) if chosen.growth is not None else None
        precondition: Precondition | None = chosen.apply(run.shifts)
        if run.run(precondition, watch):
            return
        chosen.double()


class _Watch:
    """Stops a round when the steps left at the present rate cost more than a larger rank."""

    def __init__(self, run: Refinement, chosen: Chosen, s: float) -> None:
        self.run, self.chosen, self.s = run, chosen, s
        self.seen: list[float] = []

    def __call__(self, inner: ConjugateGradients, worst: float) -> bool:
        if inner.steps == 1:
            self.seen = []
        self.seen.append(worst)
        if inner.steps % WINDOW or inner.steps <= WINDOW:
            return False
        rate = np.log(self.seen[-1] / self.seen[-WINDOW]) / (WINDOW - 1)
        left = np.log(self.run.tol / worst) / rate if rate < 0 else 1000.0
        return self.chosen.pays(self.s, min(float(left), float(self.run.maxiter)))


def _finish(system: System, run: Refinement, chosen: Chosen) -> SolveResult:
    lengths = column_norms(run.X)
    error = backward_error(column_norms(run.R), lengths)
    # |A + s I| from below by the products that were made; |b| - |r| over |x| is one, too.
    size = float(
        np.max((run.norms - column_norms(run.R)) / np.where(lengths > 0, lengths, np.inf), initial=0)
    )
    size = max(size, chosen.largest + float(np.max(run.shifts, initial=0.0)))
    info = system.account(
        rank=chosen.rank if chosen.is_spectral else None,
        method="cg" if chosen.name == "none" else f"{chosen.name} cg",
        error_estimate=in_units(error, system.exponent or 0),
        error_kind="backward",
        error_relative=error / size if size > 0 else float(error > 0),
        certificate="exact",
        converged=run.converged,
        residual=float(np.max(run.relative, initial=0.0)),
        condition=run.condition,
    )
    warn_unless_converged(system, info, "solve", run.why)
    return SolveResult(system.answer(run.X), info=info)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The methods: which inner solver, and how often the residual is taken afresh."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from randnla.lowrank.error import column_norms

from .formulation import Formulation, Overdetermined
from .inner import ROUND, Exact, conjugate_gradients, heavy_ball, lsqr, rounds_limit
from .tall import Array

# The unit roundoff that all of this works in, whatever the dtype of A.
UNIT = 2.0**-53
# Of the Gram matrix of B itself, what rounding may leave in the eigenvalues of N.
PLAIN = 1e-2
# Condition of N beyond which the sketch was no embedding: 9 is expected for d = 4 n.
EMBEDDING = 400.0
MOST_ROUNDS = 8
# Backward errors of stable methods, over the roundoff.
HELD = 100.0


@dataclass
class Run:
    """A formulation, what is asked of it, and how far it got.

    Attributes
    ----------
    target : float
        Backward error to stop at.
    report : callable
        Given the stage, the backward error and the iterations after every measured iterate.
    path : list of str
        Routes taken.
    iterations : int
        Corrections or inner iterations.
    error : float
        Backward error of the best iterate measured.
    best : tuple
        That iterate, for `Formulation.restore`.
    embedded : bool
        False where the sketch proved to be none.
    """

    form: Formulation
    target: float
    report: Callable[..., None]
    path: list[str] = field(default_factory=list)
    iterations: int = 0
    error: float = math.inf
    best: tuple[Array, ...] = ()
    embedded: bool = True

    def judge(self) -> float:
        """The backward error of the measured iterate, which is kept if it is the best so far."""
        finite = bool(np.isfinite(self.form.residual_norms).all())
        error = self.form.backward_error() if finite else math.inf
        if not self.best or error < self.error:
            self.error, self.best = error, self.form.iterate()
        self.report(stage="residual", backward_error=error, iterations=self.iterations)
        return error

    def refine(self, solve: Callable[[Array], tuple[Array, int, bool]], error: float) -> bool:
        """Corrections of the measured iterate until the target is met, or rounding leaves nothing to gain.

        The error is relative to the length of x. Where the sketched solution is far too long, that length
        falls along with what the error is taken of: only the right-hand side c then tells of progress.
        """
        ok, size = True, self._size()
        for _ in range(MOST_ROUNDS):
            if error <= self.target or not ok:
                break
            w, count, ok = solve(self.form.c)
            self.iterations += count
            self.form.correct(w)
            self.form.measure()
            before, error = error, self.judge()
            longer, size = size, self._size()
            if error > before / 2 and (error <= HELD * UNIT or not size <= longer / 2):
                break
        return ok

    def _size(self) -> float:
        return float(column_norms(self.form.c).max(initial=0.0))


def householder(run: Run) -> None:
    """B P is orthonormal: the sketch was B itself."""
    run.form.measure()
    run.refine(lambda c: (c, 1, True), run.judge())


def cholesky_qr(run: Run) -> None:
    """N from one sweep over B, by its Cholesky factor."""
    # Columns whose squares would vanish are left to A P, too.
    plain = UNIT * run.form.P.growth**2 <= PLAIN and float(np.abs(run.form.P.P).max(initial=0.0)) < 2.0**400
    run.path.append("gram" if plain else "preconditioned gram")
    G = run.form.measure(gram="plain" if plain else "preconditioned")
    assert G is not None
    exact = Exact.of(G)
    if exact is None or not exact.condition <= EMBEDDING:
        run.embedded = False
        run.judge()
        return
    run.form.refine_factor(exact.K)
    run.refine(lambda c: (exact.solve(c), 1, True), run.judge())


def _goal(form: Formulation, c: Array) -> Array:
    """What inner iterations are to leave of c: no less than rounding in N w allows, which P^H magnifies."""
    fraction = min(0.1, max(ROUND, UNIT * form.P.growth))
    return np.maximum(fraction * column_norms(c), UNIT / 8 * form.floor())


def spir(run: Run) -> None:
    """Refinement by conjugate gradients."""
    form = run.form
    form.measure()
    limit = rounds_limit(form.P.distortion)
    run.embedded = run.refine(
        lambda c: conjugate_gradients(form.normal, c, _goal(form, c), limit), run.judge()
    )


def fossils(run: Run) -> None:
    """Refinement by heavy ball, whose coefficients the size of the sketch tells."""
    form = run.form
    form.measure()
    limit = rounds_limit(form.P.distortion)

    def solve(c: Array) -> tuple[Array, int, bool]:
        goal = _goal(form, c)
        w, count, ok = heavy_ball(form.normal, c, goal, form.P.distortion, limit)
        if ok:
            return w, count, ok
        run.path.append("heavy ball diverged, conjugate gradients")
        w, more, ok = conjugate_gradients(form.normal, c, goal, limit)
        return w, count + more, ok

    run.embedded = run.refine(solve, run.judge())


def iterative(run: Run) -> None:
    """One heavy ball on x itself, its residual taken afresh at every step."""
    form, beta = run.form, run.form.P.distortion**2
    form.measure()
    error, step, history = run.judge(), np.zeros_like(form.c), []
    for _ in range(2 * rounds_limit(form.P.distortion)):
        history.append(run.error)
        stale = len(history) > 10 and history[-1] > history[-11] / 2
        if error <= run.target or stale or not math.isfinite(error):
            break
        step = (1 - beta) ** 2 * form.c + beta * step
        form.correct(step)
        form.measure()
        run.iterations += 1
        error = run.judge()


def precondition(run: Run) -> None:
    """LSQR on B P, from the solution of the sketched problem; for wide A conjugate gradients on N."""
    form = run.form
    form.measure()
    run.judge()
    limit = 2 * rounds_limit(form.P.distortion)
    if isinstance(form, Overdetermined):
        w, count, ok = lsqr(form.forward, form.adjoint, form.remainder(), UNIT, limit)
    else:
        w, count, ok = conjugate_gradients(form.normal, form.c, UNIT * column_norms(form.c), limit)
    run.iterations += count
    form.correct(w)
    form.measure()
    run.judge()
    run.embedded = ok


def sketch_and_solve(run: Run) -> None:
    """The solution of the sketched problem, judged by the whole."""
    run.form.measure()
    run.judge()

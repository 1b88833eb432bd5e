# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Conjugate gradients repeated until the residual itself, not the recurred one, is small."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from randnla._backend.errors import BreakdownError
from randnla.lowrank.error import column_norms
from randnla.lowrank.scaling import Array

from .conjugate_gradients import ConjugateGradients, Precondition, Product

ROUNDS = 20
PROGRESS = 0.5
"""A round that leaves more of the residual than this was stopped by rounding."""


@dataclass
class Refinement:
    """``(A + s_j I) x_j = b_j`` by rounds of `ConjugateGradients` on what the last one left.

    `residual` computes R from X where there is a better way than by the product; `measure` tells from X and R
    what is to fall below `tol`, the norms of R over those of B unless it is given.

    Attributes
    ----------
    X, R : (n, k) arrays
        Iterates, and ``B - A X - X diag(s)`` as recomputed from them.
    relative : (k,) array
        What is to fall below `tol`.
    steps : int
        The most that a column took.
    condition : float
        Of the preconditioned matrix, from inside its spectrum.
    why : str
        What ended a run that did not converge.
    """

    product: Product
    B: Array
    shifts: Array
    tol: float
    maxiter: int
    report: Callable[..., None]
    X: Array
    name: str = "A"
    residual: Callable[[Array], Array] | None = None
    measure: Callable[[Array, Array], Array] | None = None
    steps: int = 0
    rounds: int = 0
    condition: float = 1.0
    why: str = ""
    stuck: Array = field(init=False)

    def __post_init__(self) -> None:
        self.norms = column_norms(self.B)
        self.stuck = np.zeros(self.B.shape[1], bool)
        self._certify()

    def _certify(self) -> None:
        if self.residual is not None:
            self.R = self.residual(self.X)
        elif self.X.any():
            self.R = self.B - self.product(self.X) - self.X * self.shifts.astype(self.X.real.dtype)
        else:
            self.R = self.B.copy(order="F")
        self.left = column_norms(self.R)
        if not np.isfinite(self.left).all():
            raise BreakdownError(f"{self.name}: a product with it is not finite")
        self.relative = self.residuals if self.measure is None else self.measure(self.X, self.R)

    @property
    def residuals(self) -> Array:
        """Norms of R over those of B."""
        return np.asarray(np.where(self.left > 0, self.left / np.where(self.norms > 0, self.norms, 1.0), 0.0))

    @property
    def pending(self) -> Array:
        """Columns that are not there yet and may still get there."""
        return np.flatnonzero((self.relative > self.tol) & ~self.stuck)

    @property
    def converged(self) -> bool:
        """All residuals are as small as asked for."""
        return bool(np.all(self.relative <= self.tol))

    def run(
        self,
        precondition: Precondition | None,
        interrupt: Callable[[ConjugateGradients, float], bool] | None = None,
    ) -> bool:
        """Rounds until all columns are done, stuck or out of steps; False where `interrupt` ended them."""
        while (columns := self.pending).size and self.steps < self.maxiter and self.rounds < ROUNDS:
            before = self.relative[columns]
            inner, stopped = self._round(columns, precondition, interrupt)
            self.X[:, columns] += inner.iterate()
            if inner.norms.size:
                self.condition = inner.condition() if self.rounds == 0 else self.condition
            self._certify()
            if stopped:
                return False
            self.rounds += 1
            out_of_steps = self.steps >= self.maxiter
            slow = (self.relative[columns] > PROGRESS * before) | inner.singular | inner.stalled
            self.stuck[columns] = slow & (self.relative[columns] > self.tol) & (not out_of_steps)
            if self.stuck.any():
                self.why = self._reason(inner)
        if not self.converged and not self.why:
            self.why = "more steps are needed (maxiter)"
        return True

    def _reason(self, inner: ConjugateGradients) -> str:
        if inner.singular.any():
            return f"{self.name} is singular to rounding"
        return "stagnation" if inner.stalled.any() else "stagnation at the rounding of products"

    def _round(
        self, columns: Array, precondition: Precondition | None, interrupt: Any
    ) -> tuple[ConjugateGradients, bool]:
        local = None if precondition is None else lambda R, live: precondition(R, columns[live])
        inner = ConjugateGradients(
            self.product,
            self.R[:, columns],
            targets=0.9 * self.tol * self.left[columns] / self.relative[columns],
            shifts=self.shifts[columns],
            precondition=local,
            name=self.name,
        )
        while inner.live.size and self.steps < self.maxiter:
            inner.step()
            self.steps += 1
            worst = float(np.max(inner.norms * self.relative[columns] / self.left[columns]))
            self.report(residual=worst, columns=int(inner.live.size))
            if interrupt is not None and inner.live.size and interrupt(inner, worst):
                return inner, True
        return inner, False

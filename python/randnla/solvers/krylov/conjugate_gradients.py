# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Preconditioned conjugate gradients, several right-hand sides at a time."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from randnla._backend.errors import BreakdownError
from randnla._backend.kernels import qr
from randnla.lowrank.error import column_norms, inner_products
from randnla.lowrank.scaling import Array, unit_roundoff

Product = Callable[[Array], Array]
Precondition = Callable[[Array, Array], Array]

PATIENCE = 1000
"""Steps without a smaller residual, after which a column is given up."""


class ConjugateGradients:
    """``(A + s_j I) x_j = r_j`` for every column j: Hestenes and Stiefel (1952), columns independent.

    Columns share the products with A and leave as they converge.

    Parameters
    ----------
    product : callable
        ``X -> A X`` for Hermitian A and X of shape (n, j), new memory.
    residual : (n, k) array in Fortran order
        Right-hand sides; starting from zero.
    targets : (k,) array
        Norms of the residuals at which columns are done.
    shifts : (k,) array
    precondition : callable, optional
        ``(R, columns) -> M R`` for Hermitian positive definite M, given the indices of the columns.

    Attributes
    ----------
    X : (n, k) array
        The iterates.
    live : (j,) int array
        Columns that go on.
    norms : (k,) float64 array
        Of the residuals as recurred.
    singular, stalled : (k,) bool arrays
        Columns that ended early: a direction without curvature, no progress in `PATIENCE` steps.
    steps : int
    """

    def __init__(
        self,
        product: Product,
        residual: Array,
        *,
        targets: Array,
        shifts: Array,
        precondition: Precondition | None = None,
        name: str = "A",
    ) -> None:
        n, k = residual.shape
        self.product, self.precondition, self.name = product, precondition, name
        self.targets, self.shifts = targets, shifts
        self.X: Array = np.zeros((n, k), residual.dtype, order="F")
        self.norms: Array = column_norms(residual)
        self.singular: Array = np.zeros(k, bool)
        self.stalled: Array = np.zeros(k, bool)
        self.best, self.since = self.norms.copy(), np.zeros(k, int)
        self.live: Array = np.flatnonzero(self.norms > targets)
        self.size = 0.0  # of A, from below
        self.alphas: list[Array] = []
        self.betas: list[Array] = []
        self.steps = 0
        self._R = np.array(residual[:, self.live], order="F")
        self._P: Array = np.zeros((n, 0), residual.dtype)
        self._X: Array = np.zeros_like(self._R)
        self._rho: Array = np.ones(0)
        if self.live.size:
            Z = self._preconditioned()
            self._rho = self._energy(Z)
            self._P = np.array(Z, order="F")

    def _preconditioned(self) -> Array:
        return self._R if self.precondition is None else self.precondition(self._R, self.live)

    def _energy(self, Z: Array) -> Array:
        rho = inner_products(self._R, Z).real
        lengths = column_norms(self._R) * column_norms(Z)
        if not np.all(rho > 0):
            worst = float((rho / np.where(lengths > 0, lengths, 1.0)).min())
            raise BreakdownError(
                "preconditioner: expected a positive definite operator; r^H M r is "
                f"{worst:.3g} times |r| |M r| for a residual r"
            )
        return np.asarray(rho)

    def step(self) -> None:
        """One product with all columns that go on."""
        columns, narrow = self.live, self._P.real.dtype.type
        AP = self.product(self._P)
        shifts = self.shifts[columns]
        if shifts.any():
            AP += self._P * shifts.astype(narrow)
        kept = self._curvature(AP)
        curvature = self._kappa[kept]
        if not kept.all():
            AP = AP[:, kept]
            self._keep(kept)
            columns = self.live
        self.steps += 1
        if not columns.size:
            return
        alpha = self._rho / curvature
        self._X += self._P * alpha.astype(narrow)
        self._R -= AP * alpha.astype(narrow)
        norms = column_norms(self._R)
        self.norms[columns] = norms
        progress = norms < self.best[columns]
        self.best[columns] = np.minimum(norms, self.best[columns])
        self.since[columns] = np.where(progress, 0, self.since[columns] + 1)
        self.stalled[columns] = (self.since[columns] >= PATIENCE) | ~np.isfinite(norms)
        self._record(self.alphas, columns, alpha)
        going = (norms > self.targets[columns]) & ~self.stalled[columns]
        rho = self._rho[going]
        self._keep(going)
        if not self.live.size:
            return
        Z = self._preconditioned()
        self._rho = self._energy(Z)
        beta = self._rho / rho
        self._record(self.betas, self.live, beta)
        self._P *= beta.astype(narrow)
        self._P += Z

    def _curvature(self, AP: Array) -> Array:
        """Which directions have a positive curvature; an error for a negative one."""
        kappa = inner_products(self._P, AP).real
        squares = column_norms(self._P) ** 2
        images = column_norms(AP)
        if not np.isfinite(images).all():
            raise BreakdownError(f"{self.name}: a product with it is not finite")
        u, n = unit_roundoff(AP.dtype), AP.shape[0]
        self.size = max(self.size, float(np.max(images / np.sqrt(squares), initial=0.0)))
        quotients = kappa / squares
        least = float(quotients.min(initial=math.inf))
        if least < -4 * u * math.sqrt(n) * self.size:
            raise BreakdownError(
                f"{self.name}: expected a positive definite matrix; a Rayleigh quotient of "
                f"{least / self.size:.3g} times its norm shows a negative eigenvalue"
            )
        self._kappa: Array = kappa
        kept = np.asarray(quotients > u * self.size)
        self.singular[self.live[~kept]] = True
        return kept

    def _keep(self, kept: Array) -> None:
        """Let columns leave."""
        if kept.all():
            return
        self.X[:, self.live] = self._X
        self.live = self.live[kept]
        self._X, self._R, self._P = (np.array(Y[:, kept], order="F") for Y in (self._X, self._R, self._P))
        self._rho = self._rho[kept]

    def _record(self, where: list[Array], columns: Array, values: Array) -> None:
        row = np.full(self.X.shape[1], math.nan)
        row[columns] = values
        where.append(row)

    def iterate(self) -> Array:
        """X, brought up to date."""
        self.X[:, self.live] = self._X
        return self.X

    def ritz_values(self, column: int) -> Array:
        """Of the preconditioned matrix, in the Krylov space of a column: from inside the spectrum."""
        alpha = np.array([row[column] for row in self.alphas])
        alpha = alpha[np.isfinite(alpha)]
        beta = np.array([row[column] for row in self.betas])[: max(0, alpha.size - 1)]
        if not alpha.size:
            return np.zeros(0)
        # The Lanczos matrix behind CG: Saad (2003), section 6.7.3.
        T = np.diag(1 / alpha)
        index = np.arange(beta.size)
        T[index + 1, index + 1] += beta / alpha[:-1]
        T[index, index + 1] = T[index + 1, index] = np.sqrt(beta) / alpha[:-1]
        return qr.small_eigh(T)[0]

    def condition(self) -> float:
        """Of the preconditioned matrix, from inside; 1 before the first step."""
        found = 1.0
        for column in np.flatnonzero(self.norms <= self.targets)[:1] if self.alphas else []:
            values = self.ritz_values(int(column))
            if values.size and values[0] > 0:
                found = max(found, float(values[-1] / values[0]))
        return found

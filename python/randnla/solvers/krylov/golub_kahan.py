# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Golub-Kahan bidiagonalization, LSQR and LSMR on it, for several right-hand sides at a time.

Every scalar of the papers is an array here, one number a column; columns share the products with A.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from randnla._backend.errors import BreakdownError
from randnla.lowrank.error import column_norms
from randnla.lowrank.scaling import Array

Product = Callable[[Array], Array]


def rotation(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """c, s, r with ``[c s; s -c] [a; b] = [r; 0]``, r >= 0; the identity for zeros."""
    r = np.hypot(a, b)
    zero = r == 0
    safe = np.where(zero, 1.0, r)
    return np.where(zero, 1.0, a / safe), np.where(zero, 0.0, b / safe), r


def scaled_to_unit(Y: Array) -> tuple[Array, Array]:
    """Columns of unit norm and their norms; zero columns stay."""
    norms = column_norms(Y)
    if not np.isfinite(norms).all():
        raise BreakdownError("A: a product with it is not finite")
    Y *= (1 / np.where(norms > 0, norms, 1.0)).astype(Y.real.dtype)
    return Y, norms


class GolubKahan:
    """``A V = U B``, B lower bidiagonal with alpha on its diagonal and beta below: Golub, Kahan (1965).

    Parameters
    ----------
    forward, adjoint : callable
        ``X -> A X`` and ``Y -> A^H Y``, new memory.
    start : (m, k) array
        Right-hand sides.

    Attributes
    ----------
    u, v : (m, k) and (n, k) arrays
        The latest vectors.
    alpha, beta : (k,) float64 arrays
    """

    def __init__(self, forward: Product, adjoint: Product, start: Array) -> None:
        self.forward, self.adjoint = forward, adjoint
        self.u, self.beta = scaled_to_unit(np.array(start, order="F"))
        self.v, self.alpha = scaled_to_unit(adjoint(self.u))

    def step(self) -> None:
        """One product with A, one with its adjoint."""
        narrow = self.u.real.dtype
        self.u, self.beta = scaled_to_unit(self.forward(self.v) - self.u * self.alpha.astype(narrow))
        self.v, self.alpha = scaled_to_unit(self.adjoint(self.u) - self.v * self.beta.astype(narrow))


class LSQR:
    """Least ``|b - A x|^2 + damp^2 |x|^2``, residuals falling: Paige and Saunders (1982).

    Attributes
    ----------
    X : (n, k) array
    residual, gradient : (k,) arrays
        Norms of the damped residual and of ``A^H r - damp^2 x`` as recurred.
    norm : (k,) array
        Of B in the Frobenius norm: that of A from below.
    """

    def __init__(self, forward: Product, adjoint: Product, start: Array, damp: float = 0.0) -> None:
        self.basis = GolubKahan(forward, adjoint, start)
        self.damp = damp
        n, k = self.basis.v.shape
        self.X: Array = np.zeros((n, k), start.dtype, order="F")
        self.W = self.basis.v.copy(order="F")
        self.phi_bar, self.rho_bar = self.basis.beta.copy(), self.basis.alpha.copy()
        self.damped, self.squares = np.zeros(k), self.basis.alpha**2
        self.residual = self.basis.beta.copy()
        self.gradient = self.basis.alpha * self.basis.beta
        self.length = np.zeros(k)

    @property
    def norm(self) -> Array:
        """Of the bidiagonal matrix and the damping."""
        return np.asarray(np.sqrt(self.squares + self.damp**2))

    def step(self) -> None:
        """One product with A, one with its adjoint."""
        basis, narrow = self.basis, self.X.real.dtype
        basis.step()
        self.squares = self.squares + basis.beta**2 + basis.alpha**2 + self.damp**2
        c, s, rho = rotation(self.rho_bar, np.full_like(self.rho_bar, self.damp))
        psi, phi_bar = s * self.phi_bar, c * self.phi_bar
        c, s, rho = rotation(rho, basis.beta)
        theta, self.rho_bar = s * basis.alpha, -c * basis.alpha
        phi, self.phi_bar = c * phi_bar, s * phi_bar
        safe = np.where(rho > 0, rho, 1.0)
        moving = rho > 0
        self.X += self.W * np.where(moving, phi / safe, 0.0).astype(narrow)
        self.W *= np.where(moving, -theta / safe, 0.0).astype(narrow)
        self.W += basis.v
        self.damped = self.damped + psi**2
        self.residual = np.sqrt(self.phi_bar**2 + self.damped)
        self.gradient = np.abs(self.phi_bar * basis.alpha * c)
        self.length = column_norms(self.X)


class LSMR:
    """The same minimum with ``|A^H r - damp^2 x|`` falling, too: Fong and Saunders (2011), section 2.8.

    Attributes as of `LSQR`; `residual` is that of the last iterate from its recurrence.
    """

    def __init__(self, forward: Product, adjoint: Product, start: Array, damp: float = 0.0) -> None:
        self.basis = GolubKahan(forward, adjoint, start)
        self.damp = damp
        alpha, beta = self.basis.alpha, self.basis.beta
        n, k = self.basis.v.shape
        one, zero = np.ones(k), np.zeros(k)
        self.X: Array = np.zeros((n, k), start.dtype, order="F")
        self.H = self.basis.v.copy(order="F")
        self.H_bar: Array = np.zeros_like(self.H)
        self.alpha_bar, self.zeta_bar = alpha.copy(), alpha * beta
        self.rho, self.rho_bar, self.c_bar, self.s_bar = one, one, one, zero
        # For the norm of the residual.
        self.beta_dd, self.beta_d, self.rho_dot, self.tau = beta.copy(), zero, one, zero
        self.theta_tilde, self.zeta, self.damped = zero, zero, zero
        self.squares = alpha**2
        self.residual, self.gradient, self.length = beta.copy(), np.abs(self.zeta_bar), zero

    @property
    def norm(self) -> Array:
        """Of the bidiagonal matrix and the damping."""
        return np.asarray(np.sqrt(self.squares + self.damp**2))

    def step(self) -> None:
        """One product with A, one with its adjoint."""
        basis, narrow = self.basis, self.X.real.dtype
        basis.step()
        self.squares = self.squares + basis.beta**2 + basis.alpha**2 + self.damp**2
        c_hat, s_hat, alpha_hat = rotation(self.alpha_bar, np.full_like(self.alpha_bar, self.damp))
        before, rho_bar_before, zeta_before = self.rho, self.rho_bar, self.zeta
        c, s, self.rho = rotation(alpha_hat, basis.beta)
        theta, self.alpha_bar = s * basis.alpha, c * basis.alpha
        theta_bar = self.s_bar * self.rho
        self.c_bar, self.s_bar, self.rho_bar = rotation(self.c_bar * self.rho, theta)
        self.zeta, self.zeta_bar = self.c_bar * self.zeta_bar, -self.s_bar * self.zeta_bar
        moving = (self.rho > 0) & (self.rho_bar > 0)
        safe, safe_bar = np.where(moving, self.rho, 1.0), np.where(moving, self.rho_bar, 1.0)
        self.H_bar *= np.where(moving, -(theta_bar * safe) / (before * rho_bar_before), 0.0).astype(narrow)
        self.H_bar += self.H
        self.X += self.H_bar * np.where(moving, self.zeta / (safe * safe_bar), 0.0).astype(narrow)
        self.H *= np.where(moving, -theta / safe, 0.0).astype(narrow)
        self.H += basis.v
        self.rho, self.rho_bar = safe, safe_bar
        self._residual(c_hat, s_hat, c, s, theta_bar, zeta_before, rho_bar_before)
        self.gradient, self.length = np.abs(self.zeta_bar), column_norms(self.X)

    def _residual(
        self, c_hat: Array, s_hat: Array, c: Array, s: Array, theta_bar: Array, zeta: Array, rho_bar: Array
    ) -> None:
        acute, check = c_hat * self.beta_dd, -s_hat * self.beta_dd
        hat, self.beta_dd = c * acute, -s * acute
        theta_tilde = self.theta_tilde
        c_tilde, s_tilde, rho_tilde = rotation(self.rho_dot, theta_bar)
        self.theta_tilde, self.rho_dot = s_tilde * self.rho_bar, c_tilde * self.rho_bar
        self.beta_d = -s_tilde * self.beta_d + c_tilde * hat
        self.tau = (zeta - theta_tilde * self.tau) / np.where(rho_tilde > 0, rho_tilde, 1.0)
        dot = (self.zeta - self.theta_tilde * self.tau) / np.where(self.rho_dot != 0, self.rho_dot, 1.0)
        self.damped = self.damped + check**2
        self.residual = np.sqrt(self.damped + (self.beta_d - dot) ** 2 + self.beta_dd**2)

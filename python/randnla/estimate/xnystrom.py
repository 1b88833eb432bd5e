# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""XNysTrace and XNysDiag, for positive semidefinite A: Epperly, Tropp and Webber (2024)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from randnla._backend.errors import BreakdownError
from randnla._backend.kernels import dense, qr
from randnla.lowrank.error import frobenius, inner_products
from randnla.lowrank.factor import hermitian_part, narrow_product, widen
from randnla.lowrank.scaling import Array, unit_roundoff

from .call import Call, require_hermitian
from .left_out import left_out


@dataclass(frozen=True)
class Factors:
    """The Nystrom approximation F F^H of A + shift I; without vector i it is F F^H - f_i f_i^H.

    Attributes
    ----------
    F : (n, r) array
    lost : (n, k) array
        The vectors f_i.
    along : (k,) array
        ``f_i^H w_i``: the squares are ``w_i^H E_i w_i`` of the error E_i without vector i.
    shift : float
    gram : (k, k) array
        Omega^T Omega.
    """

    F: Array
    lost: Array
    along: Array
    shift: float
    gram: Array


class Nystrom:
    """What both share: Omega and Y = A Omega."""

    cost, least, caution = 1, 2, 1.5

    def __init__(self, call: Call) -> None:
        self.call, self.size = call, 0
        self.Omega: Array = np.empty((call.n, 0))
        self.Y: Array = np.empty((call.n, 0), call.problem.dtype)

    def multiply(self, X: Array) -> Array:
        """The product with what is approximated."""
        return self.call.forward(X)

    def grow(self, count: int) -> None:
        """One product with `count` columns."""
        Omega = self.call.vectors(self.size, count)
        self.Y = np.concatenate([self.Y, self.multiply(Omega)], axis=1)
        self.Omega = np.concatenate([self.Omega, Omega], axis=1)
        self.size += count

    @property
    def rounding(self) -> float:
        """Of a trace of the approximation."""
        return unit_roundoff(self.Y.dtype) * frobenius(self.Y)

    def factors(self) -> Factors:
        """Factors with the shift that keeps the core definite.

        Raises
        ------
        InputError
            A is not Hermitian.
        BreakdownError
            It is far from positive semidefinite.
        """
        Y, u, n = self.Y, unit_roundoff(self.Y.dtype), self.call.n
        Omega = self.Omega.astype(Y.dtype, copy=False)
        require_hermitian(Omega, Y)
        core = hermitian_part(dense.gemm(Omega.conj().T, Y))
        gram = widen(dense.gemm(self.Omega.T, self.Omega))
        size = frobenius(Y)
        shift = 2 * u * size / math.sqrt(n)
        for attempt in range(4):
            C = qr.small_cholesky(core + shift * gram) if size > 0 else None
            if C is not None:
                break
            if attempt == 0:
                _require_semidefinite(core, size * math.sqrt(n), u, n)
            shift *= 10
        Ynu = Y + Y.real.dtype.type(shift) * Omega
        if C is None:  # vectors of signs that depend on each other, or A = 0
            w, X = qr.small_eigh(core + shift * gram)
            C = np.sqrt(np.maximum(w, 0.0))[:, None] * X.conj().T
            out = left_out(C, math.sqrt(unit_roundoff(np.float64)))
            # A Omega (C^+ U): C^+ U = C^H U (U^H C C^H U)^-1
            small = C.conj().T @ out.U
            F = narrow_product(
                Ynu, small / np.maximum((np.abs(small) ** 2).sum(axis=0), np.finfo(float).tiny)
            )
            lost = narrow_product(F, out.S)
        else:
            F = qr.triangular_solve_right(widen(Ynu), C.astype(widen(Ynu).dtype, copy=False))
            inverse = qr.triangular_solve_right(np.eye(C.shape[0], dtype=C.dtype), C)
            S = inverse.conj().T
            lost = dense.gemm(F, S / np.linalg.norm(S, axis=0))
        return Factors(F, lost, inner_products(lost, self.Omega), shift, gram)


def _require_semidefinite(core: Array, magnitude: float, roundoff: float, n: int) -> None:
    if magnitude == 0:
        return
    least = float(qr.small_eigh(core)[0][0])
    # As for a Nystrom core of orthonormal vectors: sums are known to u sqrt(n), and 6e-8 lets matrices pass
    # that were rounded to float32 before.
    if least < -max(16 * roundoff * max(core.shape[0], math.sqrt(n)), 6e-8) * magnitude:
        raise BreakdownError(
            "A: expected a positive semidefinite matrix; Omega^H A Omega has an eigenvalue of "
            f"{least / magnitude:.3g} times its size"
        )


class XNysTrace(Nystrom):
    """``|F|_F^2 - |f_i|^2 + |f_i^H w_i|^2``."""

    # Measured on four spectra: errors exceed 2.9 times twice the standard error of independent samples once
    # in ten. Where eigenvalues decay, a few vectors carry most of the samples' deviation.
    caution = 3.0

    def samples(self) -> tuple[Array, float]:
        """One sample a vector, with `resphere` the last term over the part of w_i outside the others."""
        found, n, k = self.factors(), self.call.n, self.size
        rest = np.abs(found.along) ** 2
        if self.call.resphere:
            # 1 / (G^-1)_ii of the Gram matrix G is the square of what w_i has outside the others.
            C = qr.small_cholesky(found.gram)
            if C is None:
                raise BreakdownError("probes: Gaussian vectors that depend on each other")
            rest = rest * (n - k + 1) * (qr.triangular_solve_right(np.eye(k), C) ** 2).sum(axis=1)
        lost = (np.abs(found.lost) ** 2).sum(axis=0)
        known = float((np.abs(widen(found.F)) ** 2).sum()) - n * found.shift
        return known - lost + rest, self.rounding


class XNysDiag(Nystrom):
    """``diag(F F^H) - |f_i|^2 + w_i * f_i (f_i^H w_i)`` for vectors w_i of signs."""

    def samples(self) -> tuple[Array, float]:
        """Samples (n, k)."""
        found = self.factors()
        known = (np.abs(widen(found.F)) ** 2).sum(axis=1) - found.shift
        lost = widen(found.lost)
        change = self.Omega * lost * found.along - np.abs(lost) ** 2
        return known[:, None] + change.real, self.rounding

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""XTrace, XDiag: every vector makes the basis and tests its complement: Epperly, Tropp and Webber (2024)."""

from __future__ import annotations

import math

import numpy as np

from randnla._backend.kernels import dense
from randnla.lowrank.error import column_norms, frobenius
from randnla.lowrank.factor import narrow_product, widen
from randnla.lowrank.scaling import Array, unit_roundoff

from .basis import GrowingBasis
from .call import Call
from .left_out import left_out

CAUTION = 1.5
"""Samples share all but one vector of their basis: their mean varies by more than that of independent ones.

On four spectra, with 6 to 18 vectors in dimension 40, its deviation was 1.0 to 1.7 times as large, the more
the more of the space the vectors span (measured); of diagonals 2^1/2 at most.
"""


class Exchangeable:
    """What both share: Omega, the basis Q of A Omega, and the product of A or A^H with Q."""

    cost, least, adjoint = 2, 2, False
    caution = CAUTION

    def __init__(self, call: Call) -> None:
        self.call, self.size = call, 0
        self.basis = GrowingBasis(call.problem)
        self.Omega: Array = np.empty((call.n, 0))
        self.Z: Array = np.empty((call.n, 0), call.problem.dtype)

    def grow(self, count: int) -> None:
        """Two products: with the vectors, and with the new part of the basis."""
        call = self.call
        Omega = call.vectors(self.size, count)
        new = self.basis.extend(call.forward(Omega))
        self.Z = np.concatenate([self.Z, (call.adjoint if self.adjoint else call.forward)(new)], axis=1)
        self.Omega = np.concatenate([self.Omega, Omega], axis=1)
        self.size += count

    @property
    def rounding(self) -> float:
        """Of a trace on the range of the basis."""
        return unit_roundoff(self.Z.dtype) * math.sqrt(max(1, self.size)) * frobenius(self.Z)


class XTrace(Exchangeable):
    """``tr(Q_i^H A Q_i) + w_i^H (I - P_i) A (I - P_i) w_i``, Q_i a basis without the i-th vector."""

    def samples(self) -> tuple[Array, float]:
        """One sample a vector, with `resphere` the second term times (n - dim Q_i) / |(I - P_i) w_i|^2."""
        Q = self.basis.Q
        out = left_out(self.basis.R, unit_roundoff(Q.dtype))
        U, S = out.U, out.S
        Uh = U.conj().T
        Omega = self.Omega.astype(Q.dtype, copy=False)
        H = Uh @ widen(dense.gemm(Q.conj().T, self.Z)) @ U
        W = Uh @ widen(dense.gemm(Q.conj().T, Omega))
        T = Uh @ widen(dense.gemm(self.Z.conj().T, Omega))
        along = (S.conj() * W).sum(axis=0)
        X = W - S * along  # P_i w_i
        rest = along.conj() * out.overlap - (T.conj() * X).sum(axis=0) + (X.conj() * (H @ X)).sum(axis=0)
        if self.call.resphere:
            left = column_norms(self.Omega) ** 2 - (np.abs(X) ** 2).sum(axis=0)
            rest = rest * (self.call.n - out.dimension) / left
        known = np.trace(H) - (S.conj() * (H @ S)).sum(axis=0)
        return known + rest, self.rounding


class XDiag(Exchangeable):
    """``diag(P_i A) + w_i * (I - P_i) A w_i``, P_i the projector without the i-th vector of signs."""

    adjoint = True

    def samples(self) -> tuple[Array, float]:
        """Samples (n, k)."""
        Q, Z = self.basis.Q, self.Z
        out = left_out(self.basis.R, unit_roundoff(Q.dtype))
        QU, ZU = narrow_product(Q, out.U), narrow_product(Z, out.U)
        QS, ZS = widen(narrow_product(QU, out.S)), widen(narrow_product(ZU, out.S))
        known = np.einsum("ij,ij->i", QU, ZU.conj(), dtype=QS.dtype)
        change = QS * (out.overlap * self.Omega - ZS.conj())
        scale = column_norms(np.ascontiguousarray(Z.conj().T)).max(initial=0.0)
        return known[:, None] + change, unit_roundoff(Z.dtype) * math.sqrt(max(1, self.size)) * float(scale)


class RowSquares(Exchangeable):
    """Squared norms of the rows of A, (m, n): those of A P_i, and of A (I - P_i) w_i for the rest.

    P_i projects on the range of A^H A Omega without its i-th column, so that a vector costs three products.
    """

    cost = 3

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        m, n = call.problem.shape
        self.basis.Q = np.empty((n, 0), call.problem.dtype)
        self.Z = np.empty((m, 0), call.problem.dtype)
        self.Y: Array = np.empty((m, 0), call.problem.dtype)

    def grow(self, count: int) -> None:
        """Products of A with the vectors, of A^H with that, of A with the new part of the basis."""
        call = self.call
        Omega = call.vectors(self.size, count)
        Y = call.forward(Omega)
        new = self.basis.extend(call.adjoint(Y))
        self.Y = np.concatenate([self.Y, Y], axis=1)
        self.Z = np.concatenate([self.Z, call.forward(new)], axis=1)
        self.Omega = np.concatenate([self.Omega, Omega], axis=1)
        self.size += count

    def samples(self) -> tuple[Array, float]:
        """Samples (m, k), none negative but for rounding."""
        Q, Z = self.basis.Q, self.Z
        out = left_out(self.basis.R, unit_roundoff(Q.dtype))
        ZU = narrow_product(Z, out.U)
        W = out.U.conj().T @ widen(dense.gemm(Q.conj().T, self.Omega.astype(Q.dtype, copy=False)))
        X = W - out.S * (out.S.conj() * W).sum(axis=0)
        rest = np.abs(widen(self.Y - narrow_product(ZU, X))) ** 2
        if self.call.resphere:
            left = column_norms(self.Omega) ** 2 - (np.abs(X) ** 2).sum(axis=0)
            rest *= (self.call.n - out.dimension) / left
        known = (np.abs(widen(ZU)) ** 2).sum(axis=1)
        lost = np.abs(widen(narrow_product(ZU, out.S))) ** 2
        return known[:, None] - lost + rest, unit_roundoff(Z.dtype) * float(known.max(initial=0.0))

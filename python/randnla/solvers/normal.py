# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Ridge problems as positive definite systems of the shorter side, and what is known of their spectrum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla._backend.kernels import dense, qr
from randnla.lowrank.call import kind_of_operator
from randnla.lowrank.error import column_norms
from randnla.lowrank.problem import Problem
from randnla.lowrank.scaling import (
    Array,
    exponent_of,
    largest_magnitude,
    real_dtype,
    scale_by_power,
    unit_roundoff,
)
from randnla.operators import Dense
from randnla.sketching import SparseSign

from .preconditioners.growing import GrowingNystrom
from .preconditioners.spectral import SpectralPreconditioner
from .system import System

OVERSAMPLING = 4
"""Rows of a sketch over the dimension: singular values are kept within 1/2 and 3/2."""

DISTORTION = 2.0


@dataclass
class Normal:
    """``(W W^H + s_j I) z_j = c_j`` for a wide W (q, p): A^H where A is tall, else A.

    Attributes
    ----------
    primal : bool
        A is tall: z is x, and c is ``A^H b``. Otherwise ``x = A^H z`` and c is b.
    B : (m, k) array
        Right-hand sides, one for every alpha and column of b.
    shifts : (k,) array
        In units of the square of A's.
    """

    system: System
    primal: bool
    B: Array
    shifts: Array

    def product(self, Z: Array) -> Array:
        """``W W^H Z``."""
        return self.system.forward(self.system.adjoint(Z))

    def normalize(self) -> None:
        """Units of b in which ``A^H b`` of a tall A has moderate entries: their squares are taken."""
        if not self.primal:
            return
        system = self.system
        C = system.forward(system.B)
        most = 2 * int(np.finfo(system.dtype).maxexp) // 5  # what products with A leave room for
        for j, column in enumerate(C.T):
            exponent = max(exponent_of(largest_magnitude(column)), -most)
            scale_by_power(system.B[:, j], -exponent)
            system.units[j] += exponent

    def right(self) -> Array:
        """c."""
        return self.system.forward(self.B) if self.primal else self.B

    def residual(self, Z: Array) -> Array:
        """``c - W W^H Z - Z diag(s)``; of a tall A by way of b - A x, which keeps digits."""
        image = self.system.adjoint(Z)
        rest = self.system.forward(self.B - image) if self.primal else self.B - self.system.forward(image)
        return np.asarray(rest - Z * self.shifts.astype(Z.real.dtype))

    def solution(self, Z: Array) -> Array:
        """x."""
        return Z if self.primal else self.system.adjoint(Z)

    def energy(self, Z: Array) -> Array:
        """``(z^H (W W^H + s) z)^(1/2)``."""
        return np.asarray(
            np.hypot(column_norms(self.system.adjoint(Z)), np.sqrt(self.shifts) * column_norms(Z))
        )


def turned(system: System) -> bool:
    """Let the system's matrix be wide; True where that took its adjoint."""
    m, n = system.problem.shape
    primal = m >= n
    if primal:
        op = system.problem.op.H
        system.problem = Problem(op, kind_of_operator(op), system.problem.seed)
    return primal


def find_unit(system: System) -> None:
    """By a first product: shifts are brought to the units of A before others are made."""
    system.forward(np.ones((system.problem.shape[1], 1), system.dtype))


def from_factorization(system: System) -> SpectralPreconditioner:
    """All eigenpairs of W W^H from a QR factorization of W^H and the SVD of its triangle."""
    op: Any = system.problem.op
    array = np.array(op.array if isinstance(op, Dense) else op.to_dense())
    find_unit(system)
    if system.exponent is None:
        system.set_unit(0)
    scale_by_power(array, -(system.exponent or 0))
    return _complete(qr.cholesky_qr(array.conj().T, seed=system.problem.seed)[1])


def from_sketch(system: System) -> SpectralPreconditioner:
    """Eigenpairs of ``(W S^T)(W S^T)^H`` for a sparse sign map of four rows a dimension."""
    q, p = system.problem.shape
    S = SparseSign(OVERSAMPLING * q, p, rng=system.problem.seed, dtype=real_dtype(system.dtype))
    find_unit(system)
    C = system.problem.sketched(S)
    C *= C.real.dtype.type(2.0 ** (-(system.exponent or 0) - system.problem.shift))
    system.problem.sketch = "sparse_sign"
    system.problem.hold((2 * C.size + 4 * q * q) * C.dtype.itemsize)
    return _complete(qr.cholesky_qr(C.conj().T, seed=system.problem.seed)[1])


def _complete(T: Array) -> SpectralPreconditioner:
    # W W^H = T^H T = V s^2 V^H. With the largest value for the rest nothing cancels in its application.
    _, s, Vh = qr.small_svd(T)
    w = s.astype(np.float64) ** 2
    return SpectralPreconditioner(w, np.ascontiguousarray(Vh.conj().T), tail=float(w.max(initial=0.0)))


def from_nystrom(normal: Normal, rank: int) -> SpectralPreconditioner:
    """Leading eigenpairs of W W^H by the Nystrom approximation."""
    system = normal.system
    if not rank:
        find_unit(system)  # no product with a test matrix does
    return GrowingNystrom(system.problem, normal.product, system.problem.shape[0]).grow(rank, checked=True)


def energy_error(normal: Normal, M: SpectralPreconditioner, Z: Array, R: Array, distortion: float) -> Array:
    """Relative errors in the energy norm, from residuals.

    ``|z - z*|_H = |r|_(H^-1)``, H = W W^H + s. A complete spectrum that is within `distortion` of the true
    one tells that norm; else it is at most ``|r| s^(-1/2)``.
    """
    if distortion:
        errors = distortion * _inverse_norms(M, R, normal.shifts)
    else:
        errors = _over(column_norms(R), np.sqrt(normal.shifts))
    sizes = normal.energy(Z)
    # |z*| >= |z| - |z - z*|
    sizes = np.maximum(sizes - errors, 0.0)
    relative = errors / np.where(sizes > 0, sizes, 1.0)
    return np.asarray(np.where(errors > 0, np.where(sizes > errors, relative, 1.0), 0.0))


def _inverse_norms(M: SpectralPreconditioner, R: Array, shifts: Array) -> Array:
    """``(r^H (V w V^H + s)^-1 r)^(1/2)`` for a complete V; w is lowered by what rounding made of it."""
    sigma = np.sqrt(M.w)
    rounding = 4 * math.sqrt(sigma.size) * unit_roundoff(M.V.dtype) * float(sigma.max(initial=0.0))
    least = np.maximum(sigma - rounding, 0.0) ** 2
    parts = np.abs(dense.gemm(M.V.conj().T, R)).astype(np.float64)
    return column_norms(_over(parts, np.sqrt(least[:, None] + shifts)))


def _over(sizes: Array, lengths: Array) -> Array:
    """Quotients; of nothing and nothing 0, of something and nothing infinite."""
    lengths = np.broadcast_to(lengths, sizes.shape)
    found = np.where(sizes > 0, np.inf, 0.0)
    return np.divide(sizes, lengths, out=found, where=lengths > 0)


def square_units(value: float, exponent: int) -> float:
    """A number in units of A^2 in those of the system."""
    return math.ldexp(value, -2 * exponent)

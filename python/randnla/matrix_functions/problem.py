# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The four updates as one equation: in which frame it is solved, and what changes in that of the root."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from randnla._backend.errors import BreakdownError
from randnla._backend.kernels import dense, qr
from randnla.lowrank.error import frobenius
from randnla.lowrank.scaling import exponent_of, in_units, largest_magnitude

from .known_root import EPS, InverseOf, KnownRoot, Shrunk
from .riccati import invert

Array = npt.NDArray[Any]

FAR = 60
"""A change 2^FAR times the root leaves nothing of it but rounding."""


@dataclass(frozen=True)
class Problem:
    """``F X + X F + X^2 = W W^H``, W = start diag(sizes), for F = P or P^-1; P^2 changes by sigma C C^H."""

    known: KnownRoot
    frame: KnownRoot
    start: Array
    sizes: Array
    change: Array
    sigma: int

    @property
    def rank(self) -> int:
        """Of the change."""
        return int(self.sizes.size)

    @property
    def W(self) -> Array:
        """``start diag(sizes)``."""
        return self.start * self.sizes

    def in_root(self, Y: Array, d: Array) -> tuple[Array, Array]:
        """A solution in the frame as a correction of P."""
        return (Y, d) if self.frame is self.known else invert(self.known, Y, d)

    @cached_property
    def norm_after(self) -> float:
        """``|P^2 + sigma C C^H|_F``, or a lower bound where only products with P are known."""
        norm, C = self.known.norm_of_square(), self.change
        if norm is None:
            Q = qr.cholesky_qr(C)[0] if C.shape[1] else C
            AQ = self.known.apply(self.known.apply(Q)) + self.sigma * dense.gemm(C, dense.gemm(C.conj().T, Q))
            return frobenius(AQ)
        cross = frobenius(self.known.apply(C)) ** 2
        own = self.size**2
        return math.sqrt(max(norm**2 + 2 * self.sigma * cross + own, 0.0))

    @cached_property
    def size(self) -> float:
        """``|C C^H|_F``."""
        return frobenius(dense.gram(self.change))

    def goal(self, tol: float) -> float:
        """What a backward error is to stay below: `tol` times the change, or the result if that is less."""
        return tol * min(self.size, self.norm_after)

    @property
    def dominates(self) -> bool:
        """Whether the root is rounding beside the change, or zero."""
        return self.frame is self.known and self.known.interval[1] <= EPS * float(self.sizes[0])

    @property
    def floor(self) -> float:
        """A backward error that is rounding of P^2 and its change."""
        return 16 * math.sqrt(self.known.n) * EPS * (self.norm_after + self.size)


def factored(W: Array) -> tuple[Array, Array]:
    """``W W^H = U diag(sizes)^2 U^H`` with orthonormal U, directions of the size of rounding left out."""
    Q, R, _ = qr.cholesky_qr(W)
    U, s, _ = qr.small_svd(R)
    kept = s > EPS * math.sqrt(max(1, len(W))) * float(s.max(initial=0.0))
    return dense.gemm(Q, np.ascontiguousarray(U[:, kept])), s[kept]


def pose(known: KnownRoot, Z: Array, sign: int, *, inverse: bool) -> Problem:
    """The problem of one update.

    Raises
    ------
    BreakdownError
        A downdate past the cone, or a singular root where its inverse is needed.
    """
    # In units where P is 2^-e P: A = P^2 (or P^-2) takes Z along.
    power = known.exponent if inverse else -known.exponent
    above = exponent_of(largest_magnitude(Z)) + power
    cut = 0
    if above > FAR and sign > 0 and not inverse:
        known, power = Shrunk(known, above), power - above
    elif above > 400:  # its square would overflow, and is as good as infinite
        cut = above - 400
    Z = _scaled(Z.astype(known.dtype), power - cut)
    U, s = factored(Z)
    if not s.size:
        return Problem(known, known, U, s, U * s, 1)
    if inverse and sign > 0:
        s = np.minimum(s, 2.0**FAR)  # 1 / (1 + s^2) is rounding
    # N = A^-1/2 Z = Q diag(v) V^H. By Woodbury's identity (A + sign Z Z^H)^-1 = A^-1 - sign C C^H with
    # C = A^-1/2 Q diag(v / (1 + sign v^2)^1/2).
    if inverse or sign < 0:
        Q, v = factored(known.apply(U * s) if inverse else known.solve(U * s))
        if not v.size and not inverse:
            raise BreakdownError("root: singular, expected a positive definite operator for this update")
        if not v.size and sign < 0:  # Z in the null space of the inverse root
            return Problem(known, known, U[:, :0], v, U[:, :0], 1)
    if sign > 0:
        if not inverse:
            return Problem(known, known, U, s, U * s, 1)
        C = known.apply(Q * (v / np.sqrt(1 + v**2)))
        return Problem(known, InverseOf(known), U, s, C, -1)
    worst = float(v[0]) ** 2
    if worst >= 1 - 4 * EPS:
        value = in_units(worst, 2 * cut)
        raise BreakdownError(
            f"Z: the downdate leaves the cone, lambda_max(Z^H A^-1 Z) = {value:.6g}, expected below 1"
        )
    weighted = Q * (v / np.sqrt((1 - v) * (1 + v)))
    if inverse:
        C = known.apply(weighted)
        start, sizes = factored(C)
        return Problem(known, known, start, sizes, C, 1)
    start, sizes = factored(known.solve(weighted))
    return Problem(known, InverseOf(known), start, sizes, U * s, -1)


def _scaled(Z: Array, exponent: int) -> Array:
    if np.iscomplexobj(Z):
        return np.asarray(np.ldexp(Z.real, exponent) + 1j * np.ldexp(Z.imag, exponent))
    return np.asarray(np.ldexp(Z, exponent))

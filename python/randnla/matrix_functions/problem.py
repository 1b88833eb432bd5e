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

from .derived_root import InverseOf, Shrunk
from .known_root import EPS, KnownRoot
from .riccati import galerkin, galerkin_down, invert, orthonormal

Array = npt.NDArray[Any]

FAR = 60
"""A change 2^FAR times the root leaves nothing of it but rounding."""

STEEP = 2.0**10
"""Where an addition takes the inverse root to below 1 / STEEP, equations for its inverse lose that factor."""


@dataclass(frozen=True)
class Problem:
    """``F X + X F + X^2 = W W^H``, W = start diag(sizes), for F = P or P^-1; P^2 changes by sigma C C^H.

    Where W dwarfs F = P^-1, X holds little but W. Then `steep` is a basis of the range of W, and what is
    projected is ``P X + X P + X^2 = -C C^H``, in which nothing is large.
    """

    known: KnownRoot
    frame: KnownRoot
    start: Array
    sizes: Array
    change: Array
    sigma: int
    steep: Array | None = None

    @property
    def rank(self) -> int:
        """Of the change."""
        return int(self.sizes.size)

    @property
    def W(self) -> Array:
        """``start diag(sizes)``."""
        return self.start * self.sizes

    @property
    def projected(self) -> KnownRoot:
        """The root of the equation that is projected."""
        return self.frame if self.steep is None else self.known

    def on(self, V: Array, PV: Array) -> tuple[Array, Array]:
        """The correction of P by projection on the range of V, with the product of `projected` with V."""
        if self.steep is None:
            return self.in_root(*galerkin(V, PV, self.W))
        return galerkin_down(V, PV, self.change)

    def in_root(self, Y: Array, d: Array) -> tuple[Array, Array]:
        """A solution in the frame as a correction of P."""
        return (Y, d) if self.frame is self.known else invert(self.known, Y, d)

    @cached_property
    def norm_after(self) -> float:
        """``|P^2 + sigma C C^H|_F``, or a lower bound where only products with P are known."""
        norm, C = self.known.norm_of_square(), self.change
        whole, most = 0.0, self.size
        if norm is not None:
            square, cross = norm**2 + self.size**2, 2 * frobenius(self.known.apply(C)) ** 2
            left = square + self.sigma * cross
            if left > 1e-6 * square:
                return math.sqrt(left)
            whole, most = math.sqrt(max(left - 8 * EPS * square, 0.0)), norm
        # A downdate of nearly everything: what it leaves of its own range is rounded but once.
        Q = qr.cholesky_qr(C)[0] if C.shape[1] else C
        AQ = self.known.apply(self.known.apply(Q)) + self.sigma * dense.gemm(C, dense.gemm(C.conj().T, Q))
        return max(whole, frobenius(AQ) - 8 * math.sqrt(self.known.n) * EPS * most)

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


def steep_change(known: KnownRoot, Z: Array) -> tuple[Array, Array]:
    """``C C^H = P^2 - (P^-2 + Z Z^H)^-1`` and a basis of the range of Z, however Z is graded.

    Z is given by columns of any lengths; what a column adds is not measured by the largest of them.
    """
    # With N = P Z = K D^-1 and unit columns of K: C C^H = P K (D^2 + K^H K)^-1 K^H P, and
    # K (D^2 + K^H K)^-1 K^H = Q F F^H Q^H for K = Q B, the QR factorization [B; D] = [F; E] T.
    # D is at most 1 where the change is large: no number is.
    N = known.apply(Z)
    lengths = np.array([frobenius(N[:, j : j + 1]) for j in range(N.shape[1])])
    N, lengths = N[:, lengths > EPS] / lengths[lengths > EPS], lengths[lengths > EPS]  # 1 + EPS^2 is 1
    K, s = orthonormal(N)
    D = np.diag(1 / lengths).astype(N.dtype)
    F = qr.householder_qr(np.concatenate([dense.gemm(K.conj().T, N), D]))[0]
    C = known.apply(dense.gemm(K, np.ascontiguousarray(F[: s.size])))
    sizes = np.array([frobenius(Z[:, j : j + 1]) for j in range(Z.shape[1])])
    return C, orthonormal(Z[:, sizes > 0] / sizes[sizes > 0])[0]


def pose(known: KnownRoot, Z: Array, sign: int, *, inverse: bool) -> Problem:
    """The problem of one update.

    Raises
    ------
    BreakdownError
        A downdate past the cone, or a singular root where its inverse is needed.
    """
    # In units where P is 2^-e P: A = P^2 (or P^-2) takes Z along.
    power = known.exponent if inverse else -known.exponent
    if inverse and sign > 0:
        return _pose_inverse_sum(known, Z, power)
    above = exponent_of(largest_magnitude(Z)) + power
    cut = 0
    if above > FAR and sign > 0:
        known, power = Shrunk(known, above), power - above
    elif above > 400:  # its square would overflow, and is as good as infinite
        cut = above - 400
    Z = _scaled(Z.astype(known.dtype), power - cut)
    U, s = orthonormal(Z)
    if not s.size:
        return Problem(known, known, U, s, U * s, 1)
    if sign > 0:
        return Problem(known, known, U, s, U * s, 1)
    # N = A^-1/2 Z = Q diag(v) V^H. By Woodbury's identity (A - Z Z^H)^-1 = A^-1 + C C^H with
    # C = A^-1/2 Q diag(v / (1 - v^2)^1/2).
    Q, v = orthonormal(known.apply(U * s) if inverse else known.solve(U * s))
    if not v.size and not inverse:
        raise BreakdownError("root: singular, expected a positive definite operator for this update")
    if not v.size:  # Z in the null space of the inverse root
        return Problem(known, known, U[:, :0], v, U[:, :0], 1)
    worst = float(v[0]) ** 2
    if worst >= 1 - 4 * EPS:
        value = in_units(worst, 2 * cut)
        raise BreakdownError(
            f"Z: the downdate leaves the cone, lambda_max(Z^H A^-1 Z) = {value:.6g}, expected below 1"
        )
    weighted = Q * (v / np.sqrt((1 - v) * (1 + v)))
    if inverse:
        C = known.apply(weighted)
        start, sizes = orthonormal(C)
        return Problem(known, known, start, sizes, C, 1)
    start, sizes = orthonormal(known.solve(weighted))
    return Problem(known, InverseOf(known), start, sizes, U * s, -1)


def _pose_inverse_sum(known: KnownRoot, Z: Array, power: int) -> Problem:
    """For the inverse root of a sum: (A + Z Z^H)^-1 = A^-1 - C C^H, C = A^-1/2 Q diag(v / (1 + v^2)^1/2)."""
    # The squares of columns beyond 2^400 would overflow, and are as good as infinite.
    above = np.array([exponent_of(largest_magnitude(z)) + power for z in Z.T], int)
    Z = _scaled(Z.astype(known.dtype), power - np.maximum(above - 400, 0))
    U, s = orthonormal(Z)
    if not s.size:
        return Problem(known, known, U, s, U, 1)
    s = np.minimum(s, 2.0**FAR)
    Q, v = orthonormal(known.apply(U * s))
    if v.size and v[0] > STEEP:
        C, basis = steep_change(known, Z)
        return Problem(known, InverseOf(known), U, s, C, -1, basis)
    C = known.apply(Q * (v / np.sqrt(1 + v**2)))
    return Problem(known, InverseOf(known), U, s, C, -1)


def _scaled(Z: Array, exponent: Any) -> Array:
    if np.iscomplexobj(Z):
        return np.asarray(np.ldexp(Z.real, exponent) + 1j * np.ldexp(Z.imag, exponent))
    return np.asarray(np.ldexp(Z, exponent))

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
from randnla.lowrank.error import column_norms, frobenius
from randnla.lowrank.scaling import exponent_of, in_units, largest_magnitude

from .derived_root import InverseOf, Shrunk
from .graded import reduced
from .known_root import EPS, KnownRoot
from .riccati import galerkin, galerkin_down, invert, orthonormal

Array = npt.NDArray[Any]

FAR = 60
"""A change 2^FAR times the root leaves nothing of it but rounding."""

STEEP = 2.0**10
"""Where an addition takes the inverse root to below 1 / STEEP, equations for its inverse lose that factor."""

PARALLEL = 2.0**10
"""Columns that lose this factor to rounding are worth compensated sums."""


@dataclass(frozen=True)
class Problem:
    """``F X + X F + X^2 = W W^H``, W = start diag(sizes), for F = P or P^-1; P^2 changes by sigma C C^H.

    Where W dwarfs F = P^-1, X holds little but W. Then `steep` is a basis of the range of W, and what is
    projected is ``P X + X P + X^2 = -C C^H``, in which nothing is large.

    For inverse roots C comes of Z through N = P Z. Rounding of N changes B = P^2 + sigma C C^H by at most
    ``2 |B|^(1/2) spread + |B| bend``, to second order; `spread` is None where C is Z.
    """

    known: KnownRoot
    frame: KnownRoot
    start: Array
    sizes: Array
    change: Array
    sigma: int
    steep: Array | None = None
    spread: float | None = None
    bend: float = 0.0

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

    @cached_property
    def blur(self) -> float:
        """What rounding may have added to C C^H, and to anything that is said of a backward error."""
        if not self.size:
            return 0.0
        norm = self.norm_after
        change = 2 * math.sqrt(norm) * (self.spread or 0.0) + norm * self.bend
        return 8 * EPS * (norm + self.size) + change

    def allowed(self, tol: float) -> float:
        """`tol` times the change, or the result if that is less; or what is rounding of both."""
        return max(tol * min(self.size, self.norm_after), self.floor)

    def goal(self, tol: float) -> float:
        """What a backward error is to stay below for that: what C is off by is spent already."""
        aim = tol * min(self.size, self.norm_after)
        return aim - self.blur if self.blur < aim else aim

    def growth(self) -> float:
        """What an error of P^2 may grow by in P^2 + sigma C C^H: by nothing where A itself is given."""
        # With B = A + Z Z^H, B^-1 is off by B^-1 A E A B^-1, E the error of A^-1; B^-1 A = I + sigma C S^H.
        if self.spread is None:
            return 1.0
        C = self.change
        _, R, _ = qr.cholesky_qr(np.concatenate([C, self.known.solve(self.known.solve(C))], axis=1))
        r = C.shape[1]
        C, S = np.ascontiguousarray(R[:, :r]), np.ascontiguousarray(R[:, r:])
        factor = np.eye(len(R)) + self.sigma * dense.gemm(C, S.conj().T)
        return max(1.0, float(qr.small_svd(factor)[1].max(initial=1.0))) ** 2

    @property
    def dominates(self) -> bool:
        """Whether the root is rounding beside the change, or zero."""
        return self.frame is self.known and self.known.interval[1] <= EPS * float(self.sizes[0])

    @property
    def floor(self) -> float:
        """A backward error that is rounding of P^2 and its change."""
        return 16 * math.sqrt(self.known.n) * EPS * (self.norm_after + self.size)


def _graded(known: KnownRoot, Z: Array, N: Array, U: Array, s: Array) -> Problem:
    """``C C^H = P^2 - (P^-2 + Z Z^H)^-1``, and a basis of the range of Z where it is steep, of graded Z.

    Z is given by columns of any lengths; what a column adds is not measured by the largest of them.
    """
    kept = column_norms(N) > EPS  # 1 + EPS^2 is 1
    Z, N = np.ascontiguousarray(Z[:, kept]), N[:, kept]
    K, F, moved = _addition(known, Z, N, np.eye(Z.shape[1], dtype=N.dtype))
    bend = 0.0
    if frobenius(moved) > PARALLEL * EPS:
        Z, T, lost = reduced(Z)
        N = known.apply(Z)
        K, F, moved = _addition(known, Z, N, T)
        bend = (known.interval[1] * frobenius(lost[None])) ** 2
    C = known.apply(dense.gemm(K, F))
    basis = orthonormal(Z / column_norms(Z))[0] if column_norms(N).max() > STEEP else None
    spread, bend = frobenius(dense.gemm(moved, C.conj().T)), bend + frobenius(moved) ** 2
    return Problem(known, InverseOf(known), U, s, C, -1, basis, spread, bend)


def _addition(known: KnownRoot, Z: Array, N: Array, T: Array) -> tuple[Array, Array, Array]:
    """``I - (I + N T T^H N^H)^-1 = Q F F^H Q^H`` for N = P Z, and what rounding of N changes F by."""
    # With N = K D^-1, unit columns of K, and T^H = V R it is K (D R^-1 R^-H D + K^H K)^-1 K^H, and this
    # Q F F^H Q^H for K = Q B, the QR factorization [B; R^-H D] = [F; E] S.
    # D is at most 1 where the change is large: no number is.
    lengths, off = column_norms(N), known.rounding(Z, N)
    K = N / lengths
    Q, values = orthonormal(K)
    one = np.eye(len(T), dtype=N.dtype)
    R = qr.householder_qr(T.conj().T)[1]
    lower = np.concatenate([dense.gemm(Q.conj().T, K), qr.triangular_solve_right(one, R).conj().T / lengths])
    F, S = qr.householder_qr(lower)
    moved = (off / lengths + EPS)[:, None] * qr.triangular_solve_right(one, S)
    return Q, np.ascontiguousarray(F[: values.size]), moved


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
    N = known.apply(Z) if inverse else known.solve(U * s)
    Q, v = orthonormal(N)
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
        left = (1 - v) * (1 + v)
        spread = _off(known, Z, N) * frobenius(C / np.sqrt(left)) / math.sqrt(left[0])
        return Problem(known, known, start, sizes, C, 1, spread=spread)
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
    N = known.apply(Z)
    Q, v = orthonormal(N)
    if v.size and v[0] > 1:
        return _graded(known, Z, N, U, s)
    C = known.apply(Q * (v / np.sqrt(1 + v**2)))
    spread = _off(known, Z, N) * frobenius(C / np.sqrt(1 + v**2))
    return Problem(known, InverseOf(known), U, s, C, -1, spread=spread)


def _off(known: KnownRoot, Z: Array, N: Array) -> float:
    """What ``N = P Z`` and the values of its decomposition may be off by."""
    return frobenius(known.rounding(Z, N)[None]) + EPS * frobenius(N)


def _scaled(Z: Array, exponent: Any) -> Array:
    if np.iscomplexobj(Z):
        return np.asarray(np.ldexp(Z.real, exponent) + 1j * np.ldexp(Z.imag, exponent))
    return np.asarray(np.ldexp(Z, exponent))

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""From a sketch of a tall matrix to coordinates in which it is well conditioned."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from randnla._backend.kernels import dense, qr
from randnla._backend.kernels import qr_pivoted as steps

from .tall import Array, column_norms


@dataclass
class Preconditioner:
    """P (n x r) with B P well conditioned, its columns orthogonal to the null space of B.

    Attributes
    ----------
    P : (n, r) array
    upper : bool
        P is square and upper triangular.
    start : (r, k) array
        Least-squares solutions of the sketched problem, in coordinates of P.
    factor : (r, n) array
        The sketch of B is this times orthonormal columns, to the left.
    condition : float
        Of the sketch, its columns scaled to unit norm, as far as it is kept: from 1 / sqrt(n) to n times
        that where `upper`, exact else.
    growth : float
        ||D^-1 P||_F, D^-1 the norms of the columns: u times its square is what a Gram matrix of B loses.
    distortion : float
        Expected distortion sqrt(n / d) of the sketch; 0 where it is B itself.
    """

    P: Array
    upper: bool
    start: Array
    factor: Array
    condition: float
    growth: float
    distortion: float

    @property
    def rank(self) -> int:
        """Columns of P."""
        return int(self.P.shape[1])

    def to_x(self, w: Array) -> Array:
        """P w."""
        return dense.gemm(self.P, w)

    def from_gradient(self, g: Array) -> Array:
        """P^H g."""
        return dense.gemm(self.P.conj().T, g)


def triangle(SB: Array, Sb: Array) -> tuple[Array, Array]:
    """R of S B = Q R, and Q^H S b."""
    n, k = SB.shape[1], Sb.shape[1]
    joined = np.result_type(SB, Sb)
    if dense.is_compiled(SB) and joined.kind == "f" and k <= max(8, n // 8) and SB.shape[0] >= n + k:
        R = qr.tsqr(np.concatenate([SB, Sb], axis=1), with_q=False)[1]
        return np.ascontiguousarray(R[:n, :n]), np.ascontiguousarray(R[:n, n:])
    Q, R = qr.householder_qr(SB)
    return R, dense.gemm(Q.conj().T, Sb)


def precondition(R: Array, start: Array, threshold: float, distortion: float) -> Preconditioner:
    """Of the triangle R of the sketch; singular values below `threshold` times the largest are zeros.

    Columns are scaled to unit norm first, so that grading of the columns of B is no ill-conditioning.
    """
    n = R.shape[1]
    norms = column_norms(R)
    scale = np.where(norms > 0, norms, 1.0)
    unit = R / scale
    inverse = _inverse(unit)
    if inverse is not None:
        growth = float(column_norms(inverse.reshape(-1, 1))[0])
        # sigma_n >= 1 / growth and sigma_1 <= sqrt(n): of full rank without a doubt.
        if growth * math.sqrt(n) * threshold <= 1:
            P = inverse / scale[:, None]
            condition = growth * math.sqrt(n)
            return Preconditioner(P, True, start, R, condition, growth, distortion)
    return _truncated(unit, scale, start, threshold, distortion)


def _inverse(unit: Array) -> Array | None:
    if unit.shape[0] != unit.shape[1]:
        return None
    if unit.dtype.kind != "c":
        return steps.invert_upper(unit)
    import scipy.linalg

    if not np.all(np.diagonal(unit)):
        return None
    inverse: Array = np.triu(scipy.linalg.solve_triangular(unit, np.eye(len(unit)), check_finite=False))
    return inverse


def _truncated(
    unit: Array, scale: Array, start: Array, threshold: float, distortion: float
) -> Preconditioner:
    U, s, Vh = qr.small_svd(unit)
    r = int(np.count_nonzero(s > threshold * s.max(initial=0.0)))
    least = threshold * float(scale.max(initial=0.0))
    if r < Vh.shape[1] and float(scale.min(initial=least)) < least:
        # Columns below the noise of the largest would lend a solution in the others' null space any length.
        floored = np.maximum(scale, least)
        return _truncated(unit * (scale / floored), floored, start, threshold, distortion)
    P = (Vh[:r].conj().T / s[:r]) / scale[:, None]
    factor = (s[:r, None] * Vh[:r]) * scale
    if r < Vh.shape[1] or unit.shape[0] < unit.shape[1]:
        # Null vectors of B are those of the scaled matrix, scaled; without them x = P w has least norm.
        null = _null_space(Vh[:r], scale)
        for _ in range(2):
            P = P - dense.gemm(null, dense.gemm(null.conj().T, P))
            factor = factor - dense.gemm(dense.gemm(factor, null), null.conj().T)
    condition = float(s[0] / s[r - 1]) if r else 1.0
    growth = math.sqrt(float(np.sum(s[:r] ** -2.0)))
    return Preconditioner(
        P, False, dense.gemm(U[:, :r].conj().T, start), factor, condition, growth, distortion
    )


def _null_space(Vh: Array, scale: Array) -> Array:
    """Orthonormal vectors that span diag(1 / scale) times the orthogonal complement of the rows of Vh."""
    n = Vh.shape[1]
    whole = np.linalg.qr(Vh.conj().T, mode="complete")[0] if len(Vh) else np.eye(n, dtype=Vh.dtype)
    null = whole[:, len(Vh) :] / scale[:, None]
    # Columns of very different lengths: scaled first, orthogonalized with pivots.
    return qr.small_pivoted_qr(null / np.maximum(np.linalg.norm(null, axis=0), 1e-300))[0]


@dataclass
class Spectrum:
    """Singular values s (r,) and right singular vectors V (n, r) of B, from a factor of it."""

    s: Array
    V: Array

    @classmethod
    def of(cls, factor: Array) -> Spectrum:
        """Of the (r, n) factor."""
        _, s, Vh = qr.small_svd(factor)
        return cls(s, Vh.conj().T)

    @property
    def frobenius_norm(self) -> float:
        """Of B."""
        return float(np.sqrt((self.s**2).sum()))

    def overdetermined(self, g: Array, x_norms: Array, r_norms: Array) -> Array:
        """Karlson and Walden's estimate of the backward error of ``min ||b - B x||``, one a column.

        ||(||x||^2 B^H B + ||r||^2)^(-1/2) g|| with g = B^H r: the smallest ||E||_F, to a factor below 2, for
        which x solves the problem with B + E exactly.
        """
        t = dense.gemm(self.V.conj().T, g)
        lengths = np.hypot(self.s[:, None] * x_norms, r_norms)
        inside = _ratio_norms(t, lengths)
        outside = _ratio_norms(g - dense.gemm(self.V, t), np.broadcast_to(r_norms, g.shape))
        return np.hypot(inside, outside)

    def underdetermined(self, r: Array, x_norms: Array, r_norms: Array) -> Array:
        """The same of ``min ||b - B^H x||`` from its residual r."""
        t = self.s[:, None] * dense.gemm(self.V.conj().T, r)
        return _ratio_norms(t, np.hypot(self.s[:, None] * x_norms, r_norms))


def _ratio_norms(t: Array, lengths: Array) -> Array:
    """Norms of the columns of t / lengths; nothing over nothing is nothing."""
    ratios = np.divide(np.abs(t), lengths, out=np.zeros(t.shape), where=lengths > 0)
    return np.asarray(np.linalg.norm(ratios, axis=0))

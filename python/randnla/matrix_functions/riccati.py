# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""``P X + X P + X^2 = W W^H``, X >= 0: (P^2 + W W^H)^(1/2) = P + X. Rational Krylov, cores, certificates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ellipj, ellipkm1

from randnla._backend.kernels import dense, qr
from randnla.lowrank.error import frobenius

from .known_root import EPS, KnownRoot

Array = npt.NDArray[Any]


def decay(low: float, high: float) -> float:
    """What a pole, or r more of rank, gains in the logarithm of the error: ``pi^2 / ln(4 high / low)``."""
    # sigma_(1 + j r)(X) <= 4 exp(-j decay) |X| for the solution of the Riccati equation, a Sylvester equation
    # with both spectra in [low, high] (Beckermann and Townsend, 2017).
    return math.pi**2 / math.log(4 * high / low)


def poles(low: float, high: float, count: int) -> Array:
    """Shifts for A = P^2 with the spectrum of P in [low, high]: all of them together are optimal.

    Parameters
    ----------
    low, high : float
        0 < low <= high.
    count : int

    Returns
    -------
    array of shape (count,)
        Positive, ascending.
    """
    # The rational function of best approximation to z^(1/2) on [a, b] has its poles at -a sc^2(t | 1 - a/b),
    # t equally spaced in (0, K(1 - a/b)) (Zolotarev; Hale, Higham and Trefethen, 2008, section 4). Galerkin
    # on their space converges like best approximations do, by `decay` a pole; sequences that can be continued
    # (greedy by Ritz values, van der Corput) were measured to need twice as many.
    a, m = low**2, (low / high) ** 2
    u = (np.arange(count) + 0.5) / max(count, 1)
    # sc(K - t) = 1 / (m^1/2 sc(t)): only the lower half is computed, where nothing is lost for small m.
    t = np.minimum(u, 1 - u) * ellipkm1(m)
    sn, cn, _, _ = ellipj(t, 1 - m)
    sc = sn / cn
    return np.asarray(a * np.where(u <= 0.5, sc, 1 / (math.sqrt(m) * sc)) ** 2)


class RationalBasis:
    """An orthonormal basis V of ``span{W, (A + s_1)^-1 W, (A + s_2)^-1 (A + s_1)^-1 W, ...}``, and P V."""

    def __init__(
        self, frame: KnownRoot, start: Array, *, product: KnownRoot, more: Array | None = None
    ) -> None:
        self.frame, self.product = frame, product
        self.V = self.last = start
        if more is not None:
            self.V = np.concatenate([start, self._new(more)], axis=1)
        self.PV = product.apply(self.V)

    def extend(self, s: float) -> bool:
        """By the pole -s; False where the space stays as it was: it is invariant, to rounding."""
        found = self._new(self.frame.shifted(s, self.last))
        if not found.shape[1]:
            return False
        self.last = found
        self.V = np.concatenate([self.V, found], axis=1)
        self.PV = np.concatenate([self.PV, self.product.apply(found)], axis=1)
        return True

    def _new(self, block: Array) -> Array:
        """What orthonormal columns add to those held for the range of a block."""
        sizes = np.linalg.norm(block, axis=0)
        block = self._deflate(block / np.where(sizes > 0, sizes, 1.0))
        rough, R, _ = qr.cholesky_qr(block)
        U, values, _ = qr.small_svd(R)
        kept = values > 4 * EPS * math.sqrt(len(block))
        kept[self.frame.n - self.V.shape[1] :] = False
        found = dense.gemm(rough, np.ascontiguousarray(U[:, kept]))
        # What was left of the block may be rounding of its projection: again.
        return qr.cholesky_qr(self._deflate(found))[0] if kept.any() else found

    def _deflate(self, X: Array) -> Array:
        for _ in range(2):
            X = X - dense.gemm(self.V, dense.gemm(self.V.conj().T, X))
        return X


def orthonormal(X: Array) -> tuple[Array, Array]:
    """The left singular vectors and the singular values of X, those of the size of rounding left out."""
    Q, R, _ = qr.cholesky_qr(X)
    U, s, _ = qr.small_svd(R)
    kept = s > EPS * math.sqrt(max(1, len(X))) * float(s.max(initial=0.0))
    return dense.gemm(Q, np.ascontiguousarray(U[:, kept])), s[kept]


def galerkin(V: Array, PV: Array, W: Array) -> tuple[Array, Array]:
    """``V [(T + V^H W W^H V)^1/2 - T^1/2] V^H`` with ``T = V^H P^2 V``, as orthonormal factors and values.

    The values are positive and descend, what is rounding left out.
    """
    S = small_riccati(qr.cholesky_qr(PV)[1], dense.gemm(V.conj().T, W))
    d, U = qr.small_eigh(S)
    d, U = d[::-1], U[:, ::-1]
    count = int(np.count_nonzero(d > EPS * max(float(d.max(initial=0.0)), 0.0)))
    return dense.gemm(V, np.ascontiguousarray(U[:, :count])), np.ascontiguousarray(d[:count])


def galerkin_down(V: Array, PV: Array, C: Array) -> tuple[Array, Array]:
    """``V [(T - V^H C C^H V)^1/2 - T^1/2] V^H``: as `galerkin`, the largest magnitude first."""
    R, Z = qr.cholesky_qr(PV)[1], dense.gemm(V.conj().T, C)
    left = dense.gemm(R.conj().T, R) - dense.gemm(Z, Z.conj().T)
    w, Q = qr.small_eigh((left + left.conj().T) / 2)
    d, U = qr.small_eigh(dense.gemm(Q * np.sqrt(np.maximum(w, 0.0)), Q.conj().T) - _polar(R)[0])
    order = np.argsort(-np.abs(d), kind="stable")
    order = order[np.abs(d[order]) > EPS * np.abs(d).max(initial=0.0)]
    return dense.gemm(V, np.ascontiguousarray(U[:, order])), d[order]


def small_riccati(R: Array, Z: Array) -> Array:
    """``(R^H R + Z Z^H)^1/2 - (R^H R)^1/2``, to relative accuracy however small Z is."""
    # Roots by singular values of R and [R; Z^H] rather than eigenvalues of products: no squares.
    H, _, _ = _polar(R)
    _, values, Q = _polar(np.concatenate([R, Z.conj().T]))
    S = dense.gemm(Q * values, Q.conj().T) - H
    return refine(S, H, values, Q, dense.gemm(Z, Z.conj().T))


def refine(S: Array, H: Array, values: Array, Q: Array, C: Array) -> Array:
    """Two Newton steps for ``H S + S H + S^2 = C`` with ``H + S ~ Q diag(values) Q^H``."""
    # The difference of two roots is off by rounding of the roots, not of itself. A Newton step solves
    # (H + S) D + D (H + S) = C - H S - S H - S^2, a Lyapunov equation, in the basis Q.
    sums = np.add.outer(values, values)
    for _ in range(2):
        product = dense.gemm(H + S / 2, S)
        residual = C - product - product.conj().T
        inner = dense.gemm(dense.gemm(Q.conj().T, residual), Q)
        step = np.divide(inner, sums, out=np.zeros_like(inner), where=sums > 0)
        S = S + dense.gemm(dense.gemm(Q, step), Q.conj().T)
        S = (S + S.conj().T) / 2
    return S


def _polar(R: Array) -> tuple[Array, Array, Array]:
    """``(R^H R)^1/2``, its eigenvalues and its eigenvectors."""
    _, values, Vh = qr.small_svd(R)
    Q = np.ascontiguousarray(Vh.conj().T)
    return dense.gemm(Q * values, Q.conj().T), values, Q


class Pieces:
    """The backward error ``P X + X P + X^2 -+ W W^H`` of low-rank ``X = B K B^H``, exactly, for any K.

    Parameters
    ----------
    root : KnownRoot
        P.
    B : array of shape (n, k)
    W : array of shape (n, r)
    sign : {1, -1}
        Of W W^H: (P + X)^2 = P^2 + sign W W^H + R.
    """

    def __init__(self, root: KnownRoot, B: Array, W: Array, sign: int) -> None:
        # R has its range in that of [B, P B, W] = Q R: its norm is that of a small matrix.
        self.PB = root.apply(B)
        _, R, _ = qr.cholesky_qr(np.concatenate([B, self.PB, W], axis=1))
        k = B.shape[1]
        self.B, self.P = np.ascontiguousarray(R[:, :k]), np.ascontiguousarray(R[:, k : 2 * k])
        change = np.ascontiguousarray(R[:, 2 * k :])
        self.change = sign * dense.gemm(change, change.conj().T)
        self.size = frobenius(self.change)
        self.gram = dense.gemm(self.B.conj().T, self.B)

    def residual(self, K: Array) -> float:
        """``|(P + B K B^H)^2 - P^2 -+ W W^H|_F``."""
        KB = dense.gemm(K, self.B.conj().T)
        first = dense.gemm(self.P, KB)
        square = dense.gemm(dense.gemm(KB.conj().T, self.gram), KB)
        return frobenius(first + first.conj().T + square - self.change)

    def smallest(self, cores: Any, most: int, goal: float) -> tuple[int, float]:
        """The least q with ``residual(cores(q)) <= goal`` by bisection, or `most`; and the residual."""
        whole = self.residual(cores(most))
        if whole > goal:
            return most, whole
        low, high, best = -1, most, whole
        while high - low > 1:
            middle = (low + high) // 2
            now = self.residual(cores(middle))
            if now <= goal:
                high, best = middle, now
            else:
                low = middle
        return high, best


def invert(root: KnownRoot, Y: Array, d: Array) -> tuple[Array, Array]:
    """``(P^-1 + Y diag(d) Y^H)^-1 - P`` as orthonormal factors and values, which are negative, d > 0."""
    # = -G G^H with G = P F (I + F^H P F)^-1/2, F = Y diag(d)^1/2
    PF = root.apply(Y * np.sqrt(d))
    inner = dense.gemm((Y * np.sqrt(d)).conj().T, PF)
    mu, E = qr.small_eigh((inner + inner.conj().T) / 2)
    G = dense.gemm(PF, E / np.sqrt(1 + np.maximum(mu, 0.0)))
    Q, R, _ = qr.cholesky_qr(G)
    U, s, _ = qr.small_svd(R)
    return dense.gemm(Q, U), -(s**2)

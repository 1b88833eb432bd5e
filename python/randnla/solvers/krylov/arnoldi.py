# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Krylov bases that are orthogonal, or only well conditioned, in the eyes of a sketch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from randnla._backend.errors import BreakdownError
from randnla._backend.kernels import dense, qr
from randnla.lowrank.error import frobenius
from randnla.lowrank.scaling import Array, unit_roundoff

Product = Callable[[Array], Array]
NEAR = 0.1
"""Distance of the Gram matrix of sketches from the identity up to which it bounds their condition."""


class SketchedArnoldi:
    """A basis B of a Krylov space of A, with the sketches S B and S A B.

    Parameters
    ----------
    product : callable
        ``X -> A X`` for X (n, 1).
    sketch : callable
        ``X -> S X``.
    start : (n, 1) array
        Not zero.
    size : int
        The most vectors.
    truncate : int or None
        None orthogonalizes the sketches of all vectors: randomized Gram-Schmidt, Balabanov and Grigori
        (2022), Algorithm 2. A number t orthogonalizes to the last t vectors alone: Nakatsukasa and Tropp
        (2024), section 5.

    Attributes
    ----------
    columns : int
        Vectors that A was applied to.
    residual : float
        The least ``|S (start - A B y)|`` over y.
    closed : bool
        The space is invariant to rounding.
    """

    def __init__(
        self, product: Product, sketch: Product, start: Array, size: int, truncate: int | None
    ) -> None:
        self.product, self.sketch, self.truncate = product, sketch, truncate
        n, dtype = start.shape[0], start.dtype
        self.basis: Array = np.empty((n, size + 1), dtype, order="F")
        image = sketch(start)
        d = image.shape[0]
        self.sketches: Array = np.empty((d, size + 1), dtype, order="F")
        # An orthonormal basis Q of S A B = Q R, and what of S start lies in it.
        self.Q: Array = np.empty((d, size), dtype, order="F")
        self.R: Array = np.zeros((size, size), dtype)
        self.inside: Array = np.zeros((size, 1), dtype)
        self.outside = image.copy()
        self.columns, self.closed = 0, False
        self.skew = 0.0  # |(S B)^H S B - I|_F^2, of a basis whose sketches are orthonormal
        self.residual = frobenius(image)
        self._append(start, image)

    def _append(self, q: Array, s: Array) -> None:
        length = frobenius(s)
        j, narrow = self.columns, q.real.dtype.type
        self.basis[:, j] = q[:, 0] * narrow(1 / length)
        self.sketches[:, j] = s[:, 0] * narrow(1 / length)
        if self.truncate is None:
            others = dense.gemm(_adjoint(self.sketches[:, :j]), self.sketches[:, j : j + 1])
            self.skew += 2 * frobenius(others) ** 2 + unit_roundoff(q.dtype) ** 2

    def step(self) -> None:
        """One product, one or two sketches, and the least squares problem with one column more."""
        j = self.columns
        w = self.product(self.basis[:, j : j + 1])
        p = self.sketch(w)
        size = frobenius(p)
        if not np.isfinite(size):
            raise BreakdownError("A: a product with it is not finite")
        self._solve_with(p)
        self.columns = j + 1
        q = self._orthogonalized(w, p)
        s = self.sketch(q)
        if self.truncate is None and frobenius(s) < 0.1 * size:
            q = self._orthogonalized(q, s)  # cancellation: once more
            s = self.sketch(q)
        if frobenius(s) <= 4 * unit_roundoff(q.dtype) * np.sqrt(j + 1) * size or size == 0:
            self.closed = True
            return
        self._append(q, s)

    def _orthogonalized(self, w: Array, p: Array) -> Array:
        last = self.columns
        if self.truncate is not None:
            B = self.basis[:, max(0, last - self.truncate) : last]
            return w - dense.gemm(B, dense.gemm(_adjoint(B), w))
        S = self.sketches[:, :last]
        h = dense.gemm(_adjoint(S), p)
        h += dense.gemm(_adjoint(S), p - dense.gemm(S, h))
        return w - dense.gemm(self.basis[:, :last], h)

    def _solve_with(self, p: Array) -> None:
        """QR of S A B with a column more, by Gram-Schmidt twice."""
        j, r = self.columns, p.copy()
        Q = self.Q[:, :j]
        for _ in range(2 if j else 0):
            h = dense.gemm(_adjoint(Q), r)
            r -= dense.gemm(Q, h)
            self.R[:j, j] += h[:, 0]
        length = frobenius(r)
        self.R[j, j] = length
        if length == 0:
            self.Q[:, j] = 0
            return
        q = r * r.real.dtype.type(1 / length)
        self.Q[:, j] = q[:, 0]
        part = dense.gemm(_adjoint(q), self.outside)
        self.inside[j] = part[0]
        self.outside -= dense.gemm(q, part)
        self.residual = frobenius(self.outside)

    def solution(self) -> Array:
        """``B y`` with the y of `residual`."""
        j = self.columns
        R = self.R[:j, :j].astype(np.result_type(self.R, np.float64))
        rhs = self.inside[:j].astype(R.dtype)
        diagonal = np.abs(np.diagonal(R))
        floor = 4 * unit_roundoff(self.R.dtype) * float(diagonal.max(initial=0.0))
        if j and float(diagonal.min()) <= floor:
            # A singular A: the least y of the problem.
            U, s, Vh = qr.small_svd(R)
            kept = s > floor
            y = _adjoint(Vh[kept]) @ ((_adjoint(U[:, kept]) @ rhs) / s[kept, None])
        else:
            # R y = rhs is y^H R^H = rhs^H: solved by rows.
            y = qr.triangular_solve_right(
                np.ascontiguousarray(rhs[::-1].T), np.ascontiguousarray(R[::-1, ::-1].T)
            ).T[::-1]
        return dense.gemm(self.basis[:, :j], y.astype(self.basis.dtype))

    def condition(self) -> float:
        """Of the sketch of the basis: that of the basis up to the distortion of the sketch.

        Where sketches are orthonormal but for rounding, a bound: their Gram matrix is near the identity.
        """
        off = self.skew**0.5
        if self.truncate is None and off < NEAR:
            return float(np.sqrt((1 + off) / (1 - off)))
        last = self.columns + (not self.closed)
        s = qr.small_svd(np.array(self.sketches[:, :last], dtype=np.result_type(self.Q, np.float64)))[1]
        return float(s[0] / s[-1]) if s[-1] > 0 else float("inf")


def _adjoint(X: Array) -> Array:
    return X.conj().T if np.iscomplexobj(X) else X.T

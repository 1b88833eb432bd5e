# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Passes over all entries of D - S, a block of rows at a time: neither L nor S is ever formed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from randnla._backend.kernels import dense, qr

from .access import Access, Array, exceeding


@dataclass
class Triplet:
    """L = U diag(s) V^H."""

    U: Array
    s: Array
    V: Array

    @classmethod
    def zero(cls, D: Access, rank: int = 0) -> Triplet:
        """Nothing, with `rank` columns."""
        m, n = D.shape
        return cls(np.eye(m, rank, dtype=D.wide), np.zeros(rank), np.eye(n, rank, dtype=D.wide))


@dataclass
class Cleaned:
    """What one pass over Z = D - S gives, for S = D - L beyond the threshold."""

    right: Array  # Z X, (m, j)
    left: Array  # Z^H Y, (n, i)
    rest: float  # ||D - L - S||_F
    size: float  # ||D||_F


def clean(D: Access, L: Triplet, level: float, X: Array, Y: Array) -> Cleaned:
    """``Z X`` and ``Z^H Y``; `Y` of zero columns, or `X`, leaves the product out."""
    m, n = D.shape
    left = np.zeros((n, Y.shape[1]), D.wide)
    right = np.empty((m, X.shape[1]), D.wide)
    scaled, Vh = L.U * L.s, np.ascontiguousarray(L.V.conj().T)
    rest = size = 0.0
    for part, Z in D.blocks():
        size += float(np.vdot(Z, Z).real)
        if Vh.shape[0]:
            low_rank = dense.gemm(scaled[part], Vh)
            Z -= low_rank
            Z[exceeding(Z, level)] = 0
            rest += float(np.vdot(Z, Z).real)
            Z += low_rank
        else:
            Z[exceeding(Z, level)] = 0
            rest += float(np.vdot(Z, Z).real)
        dense.gemm(Z, X, right[part])
        if Y.shape[1]:
            dense.gemm(Z.conj().T, np.ascontiguousarray(Y[part]), left, alpha=1.0, beta=1.0)
    return Cleaned(right, left, rest**0.5, size**0.5)


def leading_triplet(D: Access, level: float, rank: int, start: Array, passes: int = 4) -> Triplet:
    """The leading singular triplets of D without entries beyond `level`, by subspace iteration."""
    nothing, X = Triplet.zero(D), start
    none = np.zeros((D.shape[0], 0), D.wide)
    for _ in range(passes):
        Q = qr.householder_qr(clean(D, nothing, level, X, none).right)[0]
        X = clean(D, nothing, level, np.zeros((D.shape[1], 0), D.wide), Q).left
        U, s, Wh = qr.small_svd(X)  # Z^H Q = U s Wh
        X = U
    return Triplet(Q @ Wh.conj().T[:, :rank], s[:rank], np.ascontiguousarray(U[:, :rank]))

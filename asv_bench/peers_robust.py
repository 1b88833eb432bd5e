# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Contenders for robust principal components, as in `peers`, on matrices of any size that fits twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

Array = NDArray[Any]
Factors = tuple[Array, Array, Array]


def _errors(rest: Array, level: float) -> Array:
    return np.where(np.abs(rest) > level, rest, 0)


def by_hand_projections(D: Array, rank: int, tol: float, decay: float = 0.7) -> Factors:
    """Accelerated alternating projections (Cai, Cai and Wei, 2019) in NumPy: U, s and V."""
    beta = 1 / (2 * D.size**0.25)

    def leading(Z: Array) -> Factors:
        Q = np.random.default_rng(0).standard_normal((Z.shape[1], rank + 5))
        for _ in range(4):
            Q = np.linalg.qr(Z.T @ np.linalg.qr(Z @ Q)[0])[0]
        U, s, Wh = np.linalg.svd(Z @ Q, full_matrices=False)
        return U[:, :rank], s[:rank], Q @ Wh[:rank].T

    U, s, V = leading(D - _errors(D, 4 * beta * leading(D)[1][0]))
    level, size, r = beta * s[0], np.linalg.norm(D), rank
    for step in range(1, 200):
        rest = D - (U * s) @ V.T
        S = _errors(rest, level)
        rest -= S
        if np.linalg.norm(rest) <= tol * size:
            break
        Z = np.subtract(D, S, out=S)
        ZV, ZhU = Z @ V, Z.T @ U
        G = U.T @ ZV
        (Q1, R1), (Q2, R2) = np.linalg.qr(ZhU - V @ G.T), np.linalg.qr(ZV - U @ G)
        X, d, Yh = np.linalg.svd(np.block([[G, R1.T], [R2, np.zeros((r, r))]]))
        U, s, V = np.hstack([U, Q2]) @ X[:, :r], d[:r], np.hstack([V, Q1]) @ Yh[:r].T
        level = beta * (d[r] + decay**step * d[0])
    return U, s, V


def svd_projections(D: Array, rank: int, tol: float, decay: float = 0.7) -> Factors:
    """Alternating projections (Netrapalli and others, 2014) in one stage: a whole SVD at each step."""
    beta = 1 / (2 * D.size**0.25)
    S: Array = _errors(D, 4 * beta * np.linalg.norm(D, 2))
    size = np.linalg.norm(D)
    for step in range(1, 200):
        U, d, Vh = scipy.linalg.svd(D - S, full_matrices=False, overwrite_a=True, check_finite=False)
        s, level = d[:rank], beta * (d[rank] + decay**step * d[0])
        rest = D - (U[:, :rank] * s) @ Vh[:rank]
        S = _errors(rest, level)
        if np.linalg.norm(rest - S) <= tol * size:
            break
    return U[:, :rank], s, Vh[:rank].T

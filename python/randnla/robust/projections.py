# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Accelerated alternating projections (Cai, Cai and Wei, 2019)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend.kernels import qr
from randnla._backend.kernels.weighted_draws import uniforms

from .access import Access, Array
from .passes import Triplet, clean, leading_triplet


def first_estimate(D: Access, rank: int, seed: int) -> tuple[Triplet, float]:
    """L of D without its largest entries, and the factor beta of thresholds."""
    m, n = D.shape
    beta = 1 / (2 * (m * n) ** 0.25)
    width = min(rank + 5, m, n)
    start = (uniforms(n * width, seed=seed, stream=0) - 0.5).reshape(n, width).astype(D.wide)
    s = leading_triplet(D, math.inf, 1, start, passes=2).s
    return leading_triplet(D, 4 * beta * float(s[0]), rank, start), beta


def project(L: Triplet, ZV: Array, ZhU: Array) -> tuple[Triplet, Array]:
    """Z on the tangent space at L, cut to the rank of L, and the singular values of the projection.

    With Q1 R1 = (I - V V^H) Z^H U and Q2 R2 = (I - U U^H) Z V, it is
    [U Q2] [[U^H Z V, R1^H], [R2, 0]] [V Q1]^H.
    """
    r = L.s.size
    G = L.U.conj().T @ ZV
    Q1, R1 = qr.householder_qr(ZhU - L.V @ G.conj().T)
    Q2, R2 = qr.householder_qr(ZV - L.U @ G)
    M = np.zeros((r + R2.shape[0], r + R1.shape[0]), ZV.dtype)
    M[:r, :r], M[:r, r:], M[r:, :r] = G, R1.conj().T, R2
    U, s, Vh = qr.small_svd(M)
    left, right = np.hstack([L.U, Q2]) @ U[:, :r], np.hstack([L.V, Q1]) @ Vh[:r].conj().T
    return Triplet(left, s[:r], right), s


def alternate(
    D: Access,
    rank: int,
    decay: float,
    *,
    tol: float,
    noise: float,
    max_iters: int,
    seed: int,
    report: Callable[[dict[str, Any]], None],
) -> tuple[Triplet, float, float, int]:
    """Thresholds beta (sigma_{r+1} + decay^t sigma_1) of the projections; one pass over D for each."""
    L, beta = first_estimate(D, rank, seed)
    level, error, step = beta * float(L.s[0]), 1.0, 0
    while step <= max_iters:
        got = clean(D, L, level, L.V, L.U)
        before, error = error, got.rest / got.size if got.size else 0.0
        floor = noise > 0 and level <= 3 * noise and error >= 0.999 * before
        if error <= tol or floor or step == max_iters:
            break
        L, s = project(L, got.right, got.left)
        step += 1
        beyond = float(s[rank]) if s.size > rank else 0.0
        report({"iteration": step, "threshold": level, "error": error, "rank": rank})
        level = max(beta * (beyond + decay**step * float(s[0])), 3 * noise)
    return L, level, error, step

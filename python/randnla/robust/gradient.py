# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Gradient descent on the factors (Yi, Park, Chen and Caramanis, 2016)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend.kernels import dense, qr

from .access import Access, Array
from .passes import Triplet

EXCESS = 1.5
"""Entries taken for errors, over the share that was promised."""

PATIENCE = 40
"""Iterations in which the rest must fall by a tenth."""


def sparsest(X: Array, share: float) -> Array:
    """Where |X| is among the largest `share` of its row and of its column."""
    size = np.abs(X)
    m, n = X.shape
    kept = [max(0, k - 1 - math.ceil(share * k)) for k in (n, m)]
    by_row = np.partition(size, kept[0], axis=1)[:, kept[0], None]
    by_column = np.partition(size, kept[1], axis=0)[None, kept[1]]
    return np.asarray((size > by_row) & (size > by_column))


def descend(
    D: Access,
    rank: int,
    share: float,
    *,
    tol: float,
    max_iters: int,
    report: Callable[[dict[str, Any]], None],
) -> tuple[Triplet, float, float, int]:
    """L = F G^H by steps of 0.5 / sigma_1 with a balancing term; all of D is held."""
    A = np.concatenate([block for _, block in D.blocks()])
    size = dense.screen(A).frobenius_norm
    if size == 0:
        return Triplet.zero(D, rank), 0.0, 0.0, 0
    U, s, Vh = qr.small_svd(np.where(sparsest(A, share), 0, A))
    F, G = U[:, :rank] * np.sqrt(s[:rank]), Vh[:rank].conj().T * np.sqrt(s[:rank])
    step, eta, error, level = 0, 0.5 / float(s[0]) if s[0] else 0.0, 1.0, 0.0
    history: list[float] = []
    while True:
        rest = A - dense.gemm(F, np.ascontiguousarray(G.conj().T))
        gross = sparsest(rest, min(1.0, EXCESS * share))
        level = float(np.abs(rest[~gross]).max(initial=0.0))
        rest[gross] = 0
        error = dense.screen(rest).frobenius_norm / size
        history.append(error)
        stalled = step >= PATIENCE and error > 0.9 * history[-PATIENCE]
        if error <= tol or stalled or step >= max_iters:
            break
        tilt = (F.conj().T @ F - G.conj().T @ G) / 2
        F, G = F + eta * (dense.gemm(rest, G) - F @ tilt), G + eta * (dense.gemm(rest.conj().T, F) + G @ tilt)
        step += 1
        report({"iteration": step, "threshold": level, "error": error, "rank": rank})
    (Qf, Rf), (Qg, Rg) = qr.householder_qr(F), qr.householder_qr(G)
    X, s, Yh = qr.small_svd(Rf @ Rg.conj().T)
    return Triplet(Qf @ X, s, Qg @ Yh.conj().T), level, error, step

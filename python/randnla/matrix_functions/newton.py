# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Inverse p-th roots by matrix products alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from randnla._backend.kernels import dense
from randnla.lowrank.error import frobenius

Array = npt.NDArray[Any]

MOST_STEPS = 100


@dataclass(frozen=True)
class Newton:
    """``X ~ A^(-1/p)`` where `converged`; `distance` is that of X^p A to the identity (Frobenius)."""

    X: Array
    steps: int
    distance: float
    condition: float
    converged: bool


def power(A: Array, p: int) -> Array:
    """``A^p`` for p >= 1 by repeated squaring."""
    result: Array | None = None
    while True:
        if p & 1:
            result = A if result is None else dense.gemm(result, A)
        p >>= 1
        if not p:
            assert result is not None
            return result
        A = dense.gemm(A, A)


def coupled_newton(A: Array, p: int, low: float, high: float) -> Newton:
    """The coupled Newton iteration for A^(-1/p), scaled.

    Parameters
    ----------
    A : (n, n) array, Hermitian positive definite
    p : int
    low, high : float
        The eigenvalues lie in [low, high]; `high` must hold, a `low` that is too large costs steps only.
    """
    # Guo and Higham (2006): X <- X T, M <- T^p M with T = ((p + 1) I - M) / p and M = X^p A throughout.
    # An eigenvalue m goes to g(m) = ((p + 1 - m) / p)^p m, which on (0, p + 1) has its maximum g(1) = 1.
    # Unscaled, a small m grows by ((p + 1) / p)^p < e a step. With [l, u] first stretched by c, where
    # g(c l) = g(c u), it grows by c times that: nearly p + 1 more in the beginning.
    n, condition = A.shape[0], high / low
    identity = np.eye(n, dtype=A.dtype)
    real = A.real.dtype.type
    M = A / real(high)
    X = identity * real(high ** (-1.0 / p))
    low, up = max(min(low / high, 1.0), float(np.finfo(real).eps) / 8), 1.0
    distance, best, steps = math.inf, math.inf, 0
    goal = 4 * n * float(np.finfo(real).eps)
    while steps < MOST_STEPS:
        c = _stretch(low, up, p)
        M, X = M * real(c), X * real(c ** (1.0 / p))
        T = ((p + 1) * identity - M) / real(p)
        X = dense.gemm(X, T)
        M = dense.gemm(power(T, p), M)
        M = (M + M.conj().T) / 2
        low, up = min(_grown(c * low, p), _grown(c * up, p)), 1.0
        steps += 1
        seen = dense.screen(M)
        distance = frobenius(M - identity) if seen.finite else math.inf
        if distance <= goal or not seen.finite:
            break
        # Once nothing is stretched any more convergence is quadratic: a step that gains nothing is the last.
        if low > 0.9 and distance < 0.5:
            if distance > 0.5 * best:
                break
            best = distance
    return Newton((X + X.conj().T) / 2, steps, distance, condition, distance <= max(goal, 1e-3))


def _grown(m: float, p: int) -> float:
    return ((p + 1 - m) / p) ** p * m


def _stretch(low: float, up: float, p: int) -> float:
    """c >= 1 with g(c low) = g(c up), c up < p + 1."""
    if low >= up * (1 - 1e-6):
        return 1.0
    a, b = 1.0 / up, (p + 1) / up
    for _ in range(60):
        c = (a + b) / 2
        if _grown(c * low, p) < _grown(c * up, p):
            a = c
        else:
            b = c
    return a

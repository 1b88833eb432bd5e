# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The largest eigenvalue of a factor that is known by products."""

from __future__ import annotations

import math

import numpy as np

from .protocol import Factor

_STEPS = 60
_TOLERANCE = 1e-7  # relative to the eigenvalue


def largest_eigenvalue(factor: Factor) -> float:
    """The largest eigenvalue of a semidefinite factor, by the Lanczos method with full orthogonalization.

    The start is a fixed vector without structure, so that the value is a function of the factor. It stops at
    a residual of 1e-7 of the value, where the error is its square; after 60 products at the latest.
    """
    d = factor.dim
    steps = min(d, _STEPS)
    rng = np.random.Generator(np.random.Philox(key=d))
    basis = np.zeros((steps, d))
    diagonal, off = np.zeros(steps), np.zeros(steps)
    vector = rng.standard_normal(d)
    vector /= np.linalg.norm(vector)
    value = 0.0
    for j in range(steps):
        basis[j] = vector
        product = factor.sum_times(vector.astype(factor.dtype)[:, None])[:, 0].astype(np.float64)
        diagonal[j] = product @ vector
        for _ in range(2):
            product -= basis[: j + 1].T @ (basis[: j + 1] @ product)
        off[j] = math.sqrt(product @ product)
        w, X = np.linalg.eigh(_tridiagonal(diagonal[: j + 1], off[:j]))
        value = float(w[-1])
        if off[j] * abs(X[-1, -1]) <= _TOLERANCE * value or off[j] == 0.0:
            break
        vector = product / off[j]
    return max(0.0, factor.scale * value + factor.ridge)


def _tridiagonal(diagonal: np.ndarray, off: np.ndarray) -> np.ndarray:
    return np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1)

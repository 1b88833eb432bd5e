# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Matrices of the solvers' tests."""

import numpy as np
import scipy.sparse


def orthogonal(rng, n, k=None, dtype=np.float64):
    X = rng.standard_normal((n, n if k is None else k))
    if np.dtype(dtype).kind == "c":
        X = X + 1j * rng.standard_normal(X.shape)
    return np.linalg.qr(X)[0]


def hermitian(w, *, seed=0, dtype=np.float64):
    Q = orthogonal(np.random.default_rng(seed), len(w), dtype=dtype)
    A = (Q * w) @ Q.conj().T
    return ((A + A.conj().T) / 2).astype(dtype)


def general(m, n, condition, *, seed=0, dtype=np.float64):
    rng, k = np.random.default_rng(seed), min(m, n)
    U, V = orthogonal(rng, m, k, dtype), orthogonal(rng, n, k, dtype)
    return ((U * np.geomspace(1, 1 / condition, k)) @ V.conj().T).astype(dtype)


def vectors(n, k=None, *, seed=1, dtype=np.float64):
    rng = np.random.default_rng(seed)
    b = rng.standard_normal(n if k is None else (n, k))
    if np.dtype(dtype).kind == "c":
        b = b + 1j * rng.standard_normal(b.shape)
    return b.astype(dtype)


def convection(side, wind=0.2):
    """Convection and diffusion on a grid, not symmetric."""
    off = np.ones(side - 1)
    line = scipy.sparse.diags_array(
        [-(1 + wind) * off, 2 * np.ones(side), -(1 - wind) * off], offsets=[-1, 0, 1]
    )
    return scipy.sparse.kronsum(line, line).tocsr()


def relative_residual(A, x, b):
    wide = np.result_type(np.float64, A.dtype, b.dtype)
    r = b.astype(wide) - A.astype(wide) @ x.astype(wide)
    return float(
        np.max(np.linalg.norm(np.atleast_2d(r.T), axis=1) / np.linalg.norm(np.atleast_2d(b.T), axis=1))
    )

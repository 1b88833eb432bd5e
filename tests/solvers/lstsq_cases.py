# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Least-squares problems with known answers, and the backward error in extended precision."""

import numpy as np

METHODS = ("householder", "cholesky_qr", "spir", "fossils", "precondition", "iterative")
STABLE = METHODS[:4]


def problem(m, n, condition, residual, *, seed=0):
    """A with ||A|| = 1, b = A x + r with ||x|| = 1 and r orthogonal to the range, of norm `residual`."""
    rng = np.random.default_rng(seed)
    U = np.linalg.qr(rng.standard_normal((m, n + 1)))[0]
    V = np.linalg.qr(rng.standard_normal((n, n)))[0]
    x = rng.standard_normal(n)
    x /= np.linalg.norm(x)
    A = (U[:, :n] * np.logspace(0, -np.log10(condition), n)) @ V.T
    return A, A @ x + residual * U[:, n], x


def karlson_walden(A, b, x):
    """||(||x||^2 A^T A + ||r||^2)^(-1/2) A^T r|| / ||A||_F, with r in extended precision."""
    wide = np.longdouble
    r = b.astype(wide) - A.astype(wide) @ x.astype(wide)
    g = (A.T.astype(wide) @ r).astype(float)
    s, Vh = np.linalg.svd(A, full_matrices=False)[1:]
    t = (Vh @ g) / np.hypot(s * np.linalg.norm(x), np.linalg.norm(r.astype(float)))
    return float(np.linalg.norm(t) / np.linalg.norm(s))


def optimal(A, b, x):
    """The smallest ||E||_F for which x minimizes ||b - (A + E) x||: Walden, Karlson and Sun (1995)."""
    r = b - A @ x
    size = np.linalg.norm(r) / np.linalg.norm(x)
    C = np.hstack([A, size * (np.eye(len(b)) - np.outer(r, r) / (r @ r))])
    return min(size, float(np.linalg.svd(C, compute_uv=False)[-1]))


def householder(A, b):
    """By LAPACK's QR."""
    Q, R = np.linalg.qr(A)
    return np.linalg.solve(R, Q.T @ b)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Matrices of the estimators' tests: the four spectra of Epperly, Tropp and Webber (2024)."""

import numpy as np

SPECTRA = ("flat", "poly", "exp", "step")


def spectrum(name, n):
    i = np.arange(n)
    return {
        "flat": 3 - 2 * i / max(1, n - 1),
        "poly": (i + 1.0) ** -2,
        "exp": 0.7**i,
        "step": np.where(i < n // 20, 1.0, 1e-3),
        "outliers": np.where(i < 4, 100.0 * 3.0 ** -np.minimum(i, 4), 1.0),
    }[name]


def matrix(name, n, *, seed=0, complex_=False):
    """Hermitian positive definite with random eigenvectors."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, n))
    if complex_:
        X = X + 1j * rng.standard_normal((n, n))
    Q = np.linalg.qr(X)[0]
    A = (Q * spectrum(name, n)) @ Q.conj().T
    return (A + A.conj().T) / 2


def low_rank(n, r, *, seed=0, complex_=False):
    rng = np.random.default_rng(seed)
    L, R = rng.standard_normal((n, r)), rng.standard_normal((r, n))
    return L @ (R + 1j * R[:, ::-1]) if complex_ else L @ R

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Matrices of known spectrum for the low-rank tests."""

from __future__ import annotations

import numpy as np

SPECTRA = {
    "poly": lambda n: np.arange(1.0, n + 1) ** -1.5,
    "harmonic": lambda n: 1 / np.arange(1.0, n + 1),
    "geometric": lambda n: 0.8 ** np.arange(n),
    "step": lambda n: np.where(np.arange(n) < 12, 1.0, 1e-3),
    "flat": lambda n: np.ones(n),
    "low_rank": lambda n: np.where(np.arange(n) < 7, 1.0, 0.0),
}
DTYPES = (np.float32, np.float64, np.complex64, np.complex128)


def orthonormal(rows, cols, rng, dtype=np.float64):
    X = rng.standard_normal((rows, cols))
    if np.dtype(dtype).kind == "c":
        X = X + 1j * rng.standard_normal((rows, cols))
    return np.linalg.qr(X)[0]


def matrix(m, n, spectrum, dtype=np.float64, seed=0):
    """(A, singular values) with A rounded to dtype."""
    rng = np.random.default_rng(seed)
    s = SPECTRA[spectrum](min(m, n))
    A = (orthonormal(m, s.size, rng, dtype) * s) @ orthonormal(n, s.size, rng, dtype).conj().T
    return A.astype(dtype), s


def hermitian(n, spectrum, dtype=np.float64, seed=0, signs=False):
    rng = np.random.default_rng(seed)
    w = SPECTRA[spectrum](n) * (np.where(np.arange(n) % 2, -1, 1) if signs else 1)
    V = orthonormal(n, n, rng, dtype)
    A = (V * w) @ V.conj().T
    return ((A + A.conj().T) / 2).astype(dtype), w


def tail(s, k):
    return float(np.sqrt((np.sort(np.abs(s))[::-1][k:] ** 2).sum()))


def error(A, result):
    wide = np.complex128 if np.iscomplexobj(A) else np.float64
    if hasattr(result, "Vh"):
        B = (result.U.astype(wide) * result.s) @ result.Vh.astype(wide)
    else:
        B = (result.V.astype(wide) * result.w) @ result.V.astype(wide).conj().T
    return float(np.linalg.norm(A.astype(wide) - B))


def assert_orthonormal(Q):
    # 50 eps sqrt(n), the law of the QR kernels, for the product of two such factors: twice that.
    wide = Q.astype(np.complex128 if np.iscomplexobj(Q) else np.float64)
    defect = np.linalg.norm(wide.conj().T @ wide - np.eye(Q.shape[1]), 2) if Q.shape[1] else 0.0
    assert defect <= 100 * np.finfo(Q.dtype).eps * np.sqrt(max(1, Q.shape[1]))

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Matrices that pivoting is judged by, and what every factorization has to fulfill."""

import numpy as np

REAL = (np.float32, np.float64)
ALL = (*REAL, np.complex64, np.complex128)


def gaussian(shape, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal(shape)
    if np.issubdtype(dtype, np.complexfloating):
        A = A + 1j * rng.standard_normal(shape)
    return A.astype(dtype)


def with_spectrum(m, s, dtype=np.float64, seed=1):
    n = len(s)
    U = np.linalg.qr(gaussian((m, n), seed=seed))[0]
    V = np.linalg.qr(gaussian((n, n), seed=seed + 1))[0]
    return ((U * s) @ V.T).astype(dtype)


def kahan(n, sine):
    """The classic trap: pivoting by norms leaves its columns in place and misses the last singular value."""
    cosine = np.sqrt(1 - sine**2)
    K = np.triu(np.full((n, n), -cosine), 1) + np.eye(n)
    # The perturbation keeps rounding from pivoting by itself.
    return sine ** np.arange(n)[:, None] * K * (1 - 1e3 * np.finfo(float).eps * np.arange(n))


SPECTRA = {
    "polynomial": (1.0 + np.arange(120)) ** -2,
    "exponential": 0.8 ** np.arange(120),
    "step": np.r_[np.ones(30), np.full(90, 1e-4)],
    "spiked": np.r_[np.full(10, 1e3), np.ones(110)],
    "staircase": 10.0 ** -(np.arange(120) // 20),
}


def orthonormality(Q):
    wide = Q.astype(np.complex128 if np.iscomplexobj(Q) else np.float64)
    return np.linalg.norm(wide.conj().T @ wide - np.eye(Q.shape[1]))


def residual(A, perm, Q, R):
    """||A P - Q R||_F / ||A||_F, of numbers of any size."""
    wide = np.complex128 if np.iscomplexobj(A) else np.float64
    unit = max(np.abs(A.astype(wide)).max(initial=0), np.finfo(np.float64).tiny)
    B = A.astype(wide)[:, perm] / unit
    return np.linalg.norm(B - Q.astype(wide) @ (R.astype(wide) / unit)) / max(np.linalg.norm(B), 1e-300)


def check(A, result, k=None, *, exact=True, constant=False):
    """LAPACK's ratios, shapes, signs; the certificate bounds the error.

    `constant`: A has columns of equal entries, whose sums of m terms round one way (LAPACK: .7 m eps).
    """
    Q, R, perm = result
    m, n = A.shape
    k = min(m, n) if k is None else k
    eps = np.finfo(Q.dtype).eps
    assert (Q.shape, R.shape) == ((m, k), (k, n))
    assert Q.dtype == R.dtype
    np.testing.assert_array_equal(np.sort(perm), np.arange(n))
    assert not np.tril(R, -1).any()
    assert np.all(np.diagonal(R).real >= 0)
    assert np.all(np.diagonal(R).imag == 0)
    assert orthonormality(Q) <= max(50 * eps * np.sqrt(max(n, 1)), 2 * m * eps * constant)
    error = residual(A, perm, Q, R)
    assert error <= result.info.error_relative
    if exact:
        assert error <= 30 * eps * np.sqrt(max(n, 1))

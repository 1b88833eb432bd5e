# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Inputs of the benchmarks, made once and kept while neighbouring rows use them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse as sp
from conditions import MissingError
from numpy.typing import NDArray

Array = NDArray[Any]


@lru_cache(maxsize=1)
def gaussian(m: int, n: int, dtype: str, order: str = "C") -> Array:
    """Full, featureless data: bandwidth and GEMM rows read it, its values do not matter."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((m, n) if order == "C" else (n, m), dtype=np.dtype(dtype))
    return A if order == "C" else A.T


def _orthonormal(n: int, r: int, seed: int) -> Array:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, r)))[0]


def spectrum(kind: str, r: int) -> Array:
    """Singular values: `exp` is exp(-i/15), `poly` is (i+1)^-1.5."""
    i = np.arange(r)
    return np.exp(-i / 15) if kind == "exp" else (i + 1.0) ** -1.5


@lru_cache(maxsize=1)
def decaying(m: int, n: int, dtype: str, kind: str) -> tuple[Array, Array]:
    """(A, s): an m x n matrix of 500 nonzero singular values s with random singular vectors."""
    r = min(m, n, 500)
    s = spectrum(kind, r)
    A = (_orthonormal(m, r, 1) * s) @ _orthonormal(n, r, 2).T
    return np.ascontiguousarray(A, dtype=dtype), s


@lru_cache(maxsize=1)
def semidefinite(n: int, dtype: str, kind: str) -> tuple[Array, Array]:
    """(A, w): symmetric positive semidefinite, 500 nonzero eigenvalues w."""
    w = spectrum(kind, min(n, 500))
    V = _orthonormal(n, len(w), 3)
    A = (V * w) @ V.T
    return np.ascontiguousarray((A + A.T) / 2, dtype=dtype), w


@lru_cache(maxsize=1)
def sparse(m: int, n: int, density: float, dtype: str) -> sp.csr_array:
    """Random CSR whose columns decay, so that a rank-100 approximation has something to find."""
    rng = np.random.default_rng(4)
    A = sp.random_array((m, n), density=density, format="csr", dtype=np.float64, rng=rng)
    A.data -= 0.5
    A = A @ sp.diags_array((np.arange(n) + 1.0) ** -0.5)
    return sp.csr_array(A, dtype=dtype)


def tail(s: Array, k: int) -> float:
    """Frobenius error of the best rank-k approximation."""
    return float(np.sqrt(np.sum(s[k:] ** 2)))


def rounding(norm: float, order: int, dtype: str) -> float:
    """What rounding may leave of a matrix by any route; LAPACK's SVD leaves a third of it at order 1000."""
    return float(3 * np.finfo(dtype).eps * np.sqrt(order) * norm)


def frobenius_error(A: Any, U: Array, s: Array, Vh: Array) -> float:
    """|A - U diag(s) Vh|_F in float64, by row blocks; sparse A by the expanded square."""
    if sp.issparse(A):
        U, s, Vh = (np.asarray(x, dtype=np.float64) for x in (U, s, Vh))
        cross = float(np.sum(U * (A.astype(np.float64) @ Vh.T) * s))
        own = float(np.sum(((U.T @ U) * s) * ((Vh @ Vh.T) * s).T))
        return float(np.sqrt(max(float((A.astype(np.float64) ** 2).sum()) - 2 * cross + own, 0.0)))
    total = 0.0
    for start in range(0, A.shape[0], 1024):
        rows = slice(start, start + 1024)
        R = A[rows].astype(np.float64) - (U[rows].astype(np.float64) * s) @ Vh.astype(np.float64)
        total += float(np.vdot(R, R))
    return float(np.sqrt(total))


def skewness(Q: Array) -> float:
    """|Q^T Q - I|_2 in float64."""
    wide = np.asarray(Q, dtype=np.float64)
    return float(np.linalg.norm(wide.T @ wide - np.eye(wide.shape[1]), 2))


def norm_distortion(A: Array, SA: Array) -> float:
    """| |SA|_F^2 / |A|_F^2 - 1 |: zero in the mean for every map with E[S^T S] = I."""
    a = float(sum(np.vdot(b, b) for b in np.array_split(A, 16)))
    y = np.asarray(SA, dtype=np.float64)
    return abs(float(np.vdot(y, y)) / a - 1)


def activations(width: int, batch: int) -> Iterator[Array]:
    """Batches of the hidden activations of a 784-width-10 network while it learns Fashion-MNIST by SGD."""
    from randnla.datasets import load_fashion_mnist

    try:
        images, labels = load_fashion_mnist()
    except FileNotFoundError as missing:
        raise MissingError(str(missing)) from missing
    rng = np.random.default_rng(0)
    W = (rng.standard_normal((784, width)) * (2 / 784) ** 0.5).astype(np.float32)
    V = np.zeros((width, 10), np.float32)
    while True:
        chosen = rng.integers(0, len(images), batch)
        X = images[chosen]
        H = np.maximum(X @ W, 0)
        yield H
        Z = np.exp(H @ V - (H @ V).max(axis=1, keepdims=True))
        G = (Z / Z.sum(axis=1, keepdims=True) - np.eye(10, dtype=np.float32)[labels[chosen]]) / batch
        W -= np.float32(0.05) * (X.T @ ((G @ V.T) * (H > 0)))
        V -= np.float32(0.05) * (H.T @ G)

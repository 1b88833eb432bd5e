# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Hermitian matrices of which the upper triangle is held in a square C-contiguous array.

What lies strictly below the diagonal is neither read nor written.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from randnla import _core
from randnla._backend.errors import BreakdownError
from randnla._backend.kernels.dense import Array, gemm, is_compiled, matmul


def update_triangle(C: Array, X: Array, *, alpha: float, beta: float) -> None:
    """``C = beta C + alpha X^H X`` in place, above the diagonal; `beta` 0 overwrites C.

    Parameters
    ----------
    C : (d, d) array
    X : (n, d) array of the dtype of C and any layout
    alpha, beta : float
    """
    if is_compiled(X, C):
        _core.update_triangle(X, C, alpha, beta)
        return
    update = alpha * matmul(X.conj().T, X)
    upper = np.triu_indices(C.shape[0])
    C[upper] = update[upper] if beta == 0.0 else beta * C[upper] + update[upper]


def product(C: Array, X: Array) -> Array:
    """``C X`` for X of shape (d, k) and the dtype of C."""
    if is_compiled(C, X):
        Y = np.empty(X.shape, C.dtype)
        _core.symmetric_product(C, X, Y)
        return Y
    return gemm(unfold(C), X)


def unfold(C: Array, scale: float = 1.0) -> Array:
    """``scale C`` with both triangles, a new array."""
    if is_compiled(C):
        out = np.empty_like(C)
        _core.unfold_triangle(C, out, scale)
        return out
    upper = np.triu(C)
    whole: Array = (scale * (upper + np.triu(upper, 1).conj().T)).astype(C.dtype, copy=False)
    np.fill_diagonal(whole, np.diagonal(whole).real)
    return whole


def crossed_gram(A: Array, B: Array) -> Array:
    """``A^H B`` of tall A and B whose product is known to be Hermitian, in float64 (complex128).

    Products of at most 1024 rows are summed in the dtype of A, these sums in float64. Both triangles.
    """
    if is_compiled(A, B):
        C = np.empty((A.shape[1], A.shape[1]))
        _core.crossed_gram(A, B, C)
        return unfold(C)
    wide = np.result_type(A.dtype, np.float64)
    return unfold(matmul(A.conj().T.astype(wide), B.astype(wide)))


def is_definite(C: Array) -> bool:
    """Whether a finite Hermitian matrix has a Cholesky factor. C is overwritten."""
    if is_compiled(C):
        return not _core.small_cholesky(C)
    try:
        np.linalg.cholesky(C, upper=True)
    except np.linalg.LinAlgError:
        return False
    return True


def pencil(C: Array, G: Array) -> tuple[Array, Array] | None:
    """Eigenpairs of ``C x = w G x``, both float64 or complex128; None where G is not positive definite.

    Returns
    -------
    w : (n,) array
        Ascending.
    X : (n, n) array
        Columns of unit length in the inner product of G.
    """
    if is_compiled(C, G):
        vectors, factor = np.array(C, order="C"), np.array(G, order="C")
        w = np.empty(C.shape[0])
        failed = _core.symmetric_pencil(vectors, factor, w)
        if failed == -1:
            return None
        if failed:
            raise BreakdownError("the eigenvalues of a small matrix did not converge")
        return w, vectors.T
    try:
        lower = np.linalg.cholesky(G)
    except np.linalg.LinAlgError:
        return None
    half = np.linalg.solve(lower, C)
    core = np.linalg.solve(lower, half.conj().T)
    w, Z = np.linalg.eigh((core + core.conj().T) / 2)
    return w, np.linalg.solve(lower.conj().T, Z)


def semidefinite_pencil(C: Array, G: Array, dtype: np.dtype[Any]) -> tuple[Array, Array] | None:
    """Eigenpairs of ``C x = w G x`` for vectors in `dtype`; None where C or G is not positive definite.

    Parameters
    ----------
    C, G : (n, n) array
        Hermitian, float64 or complex128. Of C the columns may be graded, but not dependent.
    dtype : dtype
        Of the vectors; the eigenproblem itself, orthonormal in C, is solved in it.

    Returns
    -------
    w : (n,) array
        Ascending, known to rounding of the largest in `dtype`: small ones may come out below zero.
    X : (n, n) array
        Columns of unit length in the inner product of C, orthogonal there however small their value is.
    """
    if is_compiled(C, G):
        w, rows = np.empty(C.shape[0], dtype), np.empty(C.shape, dtype)
        failed = _core.semidefinite_pencil(np.array(C, order="C"), np.array(G, order="C"), w, rows)
        if failed == -1:
            return None
        if failed:
            raise BreakdownError("the eigenvalues of a small matrix did not converge")
        return w, rows.T
    try:
        R, S = np.linalg.cholesky(C, upper=True), np.linalg.cholesky(G, upper=True)
    except np.linalg.LinAlgError:
        return None
    W = np.linalg.solve(S.conj().T, R.conj().T).conj().T
    w, Z = np.linalg.eigh((W @ W.conj().T).astype(dtype))
    return w, np.linalg.solve(R, Z).astype(dtype)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Orthogonalization and small factorizations on the private LAPACK.

LAPACK's SVD of a matrix that holds one infinity never returns, so everything here is screened first.
Every factorization runs on ``2**-e A`` with e the exponent of the largest entry: a power of two
times A has the same vectors bit for bit, and exactly scaled values.
"""

from __future__ import annotations

import math

import numpy as np

from randnla import _core
from randnla._backend import validate
from randnla._backend.device import is_device
from randnla._backend.errors import BreakdownError, InputError, NonFiniteError
from randnla._backend.kernels import device_qr
from randnla._backend.kernels.dense import Array, first_non_finite, gemm, is_compiled, screen


def _exponent(A: Array, name: str) -> int:
    """The exponent of the largest entry; refuses non-finite input."""
    seen = screen(A)
    if not seen.finite:
        raise _non_finite(A, name)
    return math.frexp(seen.max_abs)[1] if seen.max_abs > 0 else 0


def _non_finite(A: Array, name: str) -> NonFiniteError:
    count, first = first_non_finite(A)
    return validate.non_finite(name, count, first or (0, 0))


def scale_by_power(A: Array, exponent: int) -> Array:
    """``2**exponent * A`` for any real or complex A, in place where A is contiguous."""
    if not exponent:
        return A
    parts = A.view(A.real.dtype) if np.iscomplexobj(A) else A
    # A product with a normal power of two rounds as ldexp does, at a fortieth of its time.
    limit = 120 if parts.dtype == np.float32 else 1000
    with np.errstate(over="ignore", under="ignore"):
        if abs(exponent) <= limit:
            np.multiply(parts, parts.dtype.type(2.0**exponent), out=parts)
        else:
            np.ldexp(parts, exponent, out=parts)
    return A


def _normalized(A: Array, exponent: int, *, order: str = "C") -> Array:
    copy = np.array(A, order="F" if order == "F" else "C", copy=True)
    if exponent:
        scale_by_power(copy.T if order == "F" else copy, -exponent)
    return copy


def householder_qr(Y: Array, *, name: str = "Y") -> tuple[Array, Array]:
    """Householder QR of a finite (m, n) matrix, real diagonal of R nonnegative.

    Returns
    -------
    Q : (m, min(m, n)) array
    R : (min(m, n), n) array, upper trapezoidal
    """
    m, n = Y.shape
    k = min(m, n)
    exponent = _exponent(Y, name)
    work = _normalized(Y, exponent, order="F")
    if k == 0:
        return np.zeros((m, k), Y.dtype), np.zeros((k, n), Y.dtype)
    R = np.zeros((k, n), Y.dtype)
    if is_compiled(work):
        Q = np.array(work[:, :k], order="F", copy=True) if k < n else work
        square = np.empty((k, k), Y.dtype)
        _core.householder_qr(Q, square)
        R[:, :k] = square
    else:
        Q, R[:, :k] = np.linalg.qr(work[:, :k])
    signs = _unit_signs(np.diagonal(R))
    Q *= signs
    R[:, :k] *= signs.conj()[:, None]
    np.fill_diagonal(R[:, :k], np.diagonal(R).real)
    if k < n:
        R[:, k:] = gemm(Q.conj().T, work[:, k:])
    return Q, scale_by_power(R, exponent)


def householder_panel(Y: Array) -> tuple[Array, Array, Array]:
    """Reflectors of a finite tall matrix of moderate scale: ``Y = (I - V T V^H) [R; 0]``.

    Returns
    -------
    V : (m, n) array, unit lower trapezoidal
    T : (n, n) array, upper triangular
    R : (n, n) array, upper triangular, diagonal of any sign
    """
    n = Y.shape[1]
    work = np.array(Y, order="F", copy=True)
    T = np.zeros((n, n), Y.dtype, order="F")
    if is_compiled(work):
        _core.geqrt(work, T)
        R = np.triu(work[:n])
    else:
        import scipy.linalg

        (work, tau), R = scipy.linalg.qr(work, mode="raw", check_finite=False)
        R = R[:n]
    V = np.tril(work, -1)
    V[np.arange(n), np.arange(n)] = 1
    if not is_compiled(work):
        # T^-1 + T^-H = V^H V for reflectors that are not the identity; those have a zero row and column.
        live = np.flatnonzero(tau)
        inner = V[:, live].conj().T @ V[:, live]
        inverse = np.triu(inner, 1) + np.diag(1 / tau[live])
        T[np.ix_(live, live)] = scipy.linalg.solve_triangular(inverse, np.eye(live.size), check_finite=False)
    return V, T, R


def tsqr(Y: Array, *, with_q: bool = True, overwrite: bool = False, name: str = "Y") -> tuple[Array, Array]:
    """Householder QR of a finite real (m, n) matrix, m >= n, leaf by leaf on the team.

    Parameters
    ----------
    Y : (m, n) float32 or float64 array of any layout
    with_q : bool
        False: R only, and an empty Q.
    overwrite : bool
        Put Q where the C-contiguous Y was.
    name : str

    Returns
    -------
    Q : (m, n) array
    R : (n, n) array, diagonal nonnegative
    """
    exponent = _exponent(Y, name)
    R = np.zeros((Y.shape[1], Y.shape[1]), Y.dtype)
    Q = np.empty(Y.shape if with_q else (0, 0), Y.dtype)
    if overwrite and with_q:
        Q = Y
    _core.tsqr(Y, exponent, Q, R)
    return Q, scale_by_power(R, exponent)


def _unit_signs(diagonal: Array) -> Array:
    magnitude = np.abs(diagonal)
    ones = np.ones_like(diagonal)
    if np.iscomplexobj(diagonal):
        # Denormal numbers have magnitudes of few bits, and reciprocals that overflow.
        scaled = diagonal * np.where(magnitude < 1e-30, 2.0**60, 1.0).astype(magnitude.dtype)
        size = np.where(magnitude > 0, np.abs(scaled), 1)
        ones[magnitude > 0] = (scaled.real / size + 1j * (scaled.imag / size))[magnitude > 0]
        return ones
    return np.copysign(ones, np.where(diagonal == 0, ones, diagonal))


def cholesky_qr(Y: Array, *, seed: int = 0, name: str = "Y") -> tuple[Array, Array, str]:
    """QR of a finite matrix by Cholesky factors of Gram matrices, made safe for every Y.

    Parameters
    ----------
    Y : (m, n) array of any layout
    seed : int
        Of the sketch that preconditions an ill-conditioned Y.
    name : str
        Of Y, for messages.

    Returns
    -------
    Q : (m, min(m, n)) array, orthonormal columns whatever the rank of Y
    R : (min(m, n), n) array, upper trapezoidal, diagonal nonnegative
    path : str
        "cholesky" where Y was well conditioned, "sketch+cholesky" where the triangle of a sketch
        preconditioned it, "householder" where Y was too short for that
        or complex.
    """
    m, n = Y.shape
    if is_device(Y):
        return device_qr.cholesky_qr(Y, seed=seed, name=name)
    if m < n:
        exponent = _exponent(Y, name)
        work = _normalized(Y, exponent)
        Q, square, path = cholesky_qr(work[:, :m], seed=seed)
        R = np.empty((m, n), Y.dtype)
        R[:, :m] = square
        gemm(Q.conj().T, work[:, m:], R[:, m:])
        return Q, scale_by_power(R, exponent), path
    path = "householder"
    if is_compiled(Y):
        Q, R = np.empty((m, n), Y.dtype), np.empty((n, n), Y.dtype)
        try:
            path = _PATHS[_core.cholesky_qr(Y, Q, R, seed)[0]]
        except NonFiniteError:
            raise _non_finite(Y, name) from None
    if path == "householder":
        Q, R = householder_qr(Y, name=name)
    return Q, R, path


_PATHS = {"cholesky": "cholesky", "sketch": "sketch+cholesky", "failed": "householder"}


def small_svd(A: Array) -> tuple[Array, Array, Array]:
    """Thin SVD of a finite matrix by LAPACK: U (m, k), s (k,) descending, Vh (k, n)."""
    exponent = _exponent(A, "A")
    U, s, Vh = svd_in_place(_normalized(A, exponent))
    return U, scale_by_power(s, exponent), Vh


def svd_in_place(A: Array) -> tuple[Array, Array, Array]:
    """`small_svd` of a finite matrix in C order whose largest entry is about 1; overwrites it."""
    m, n = A.shape
    k = min(m, n)
    real = A.real.dtype
    if k == 0:
        return np.zeros((m, 0), A.dtype), np.zeros(0, real), np.zeros((0, n), A.dtype)
    if not is_compiled(A):
        U, s, Vh = np.linalg.svd(A, full_matrices=False)
        return U, s, Vh
    U, s, Vh = np.empty((m, k), A.dtype), np.empty(k, real), np.empty((k, n), A.dtype)
    if _core.small_svd(A, U, s, Vh):
        raise BreakdownError("the SVD of a small matrix did not converge")
    return U, s, Vh


def small_pivoted_qr(A: Array, *, name: str = "A") -> tuple[Array, Array, Array]:
    """Column pivoted QR of a finite matrix by LAPACK's geqp3: ``A[:, perm] = Q @ R``.

    Returns
    -------
    Q : (m, min(m, n)) array
    R : (min(m, n), n) array, upper trapezoidal, its real diagonal nonnegative and nonincreasing
    perm : (n,) int64 array
    """
    exponent = _exponent(A, name)
    work = _normalized(A, exponent, order="F")
    m, n = A.shape
    k = min(m, n)
    if k == 0:
        return np.zeros((m, 0), A.dtype), np.zeros((0, n), A.dtype), np.arange(n)
    if is_compiled(work):
        R, order = np.empty((k, n), A.dtype), np.empty(n, np.int32)
        _core.small_pivoted_qr(work, R, order)
        Q = work[:, :k]
    else:
        import scipy.linalg

        Q, R, order = scipy.linalg.qr(work, mode="economic", pivoting=True, check_finite=False)
    signs = _unit_signs(np.diagonal(R))
    Q, R = Q * signs, R * signs.conj()[:, None]
    np.fill_diagonal(R[:, :k], np.diagonal(R).real)
    return Q, scale_by_power(R, exponent), order.astype(np.int64)


def qr_pivots(A: Array, *, name: str = "A") -> Array:
    """The order of the columns in `small_pivoted_qr` of a finite matrix, (n,) int64, without the factors."""
    work = _normalized(A, _exponent(A, name), order="F")
    n = A.shape[1]
    if min(A.shape) == 0:
        return np.arange(n)
    if not is_compiled(work):
        return small_pivoted_qr(A, name=name)[2]
    order = np.empty(n, np.int32)
    _core.small_pivoted_qr(work, np.empty((0, 0), A.dtype), order)
    return order.astype(np.int64)


def lu_pivots(A: Array, *, name: str = "A") -> Array:
    """The order in which the partially pivoted LU of a finite matrix takes its rows.

    Returns
    -------
    (m,) int64 array
        ``A[order] = L @ U``; the first min(m, n) entries are the pivots.
    """
    m, n = A.shape
    work = _normalized(A, _exponent(A, name), order="F")
    if min(m, n) == 0:
        return np.arange(m)
    if is_compiled(work):
        swaps = np.empty(min(m, n), np.int32)
        _core.lu_swaps(work, swaps)
    else:
        from scipy.linalg import lapack

        (getrf,) = lapack.get_lapack_funcs(("getrf",), (work,))
        swaps = getrf(work)[1]
    order = np.arange(m)
    for i, j in enumerate(swaps):
        order[i], order[j] = order[j], order[i]
    return order


def small_eigh(A: Array) -> tuple[Array, Array]:
    """Eigenvalues (ascending) and eigenvectors (columns) of a finite Hermitian matrix.

    Only the upper triangle is read.
    """
    if A.shape[0] != A.shape[1]:
        raise InputError(f"A must be square, got shape {A.shape}")
    exponent = _exponent(A, "A")
    work = _normalized(A, exponent)
    if A.shape[0] == 0:
        return np.zeros(0, A.real.dtype), work
    if is_compiled(work):
        w = np.empty(A.shape[0], A.dtype)
        if _core.small_eigh(work, w):
            raise BreakdownError("the eigenvalues of a small matrix did not converge")
        V: Array = work.T
    else:
        w, V = np.linalg.eigh(work, UPLO="U")
    return scale_by_power(w, exponent), V


def leading_eigh(A: Array, count: int) -> tuple[Array, Array]:
    """All eigenvalues of a finite Hermitian matrix by decreasing magnitude, and some vectors.

    Only the upper triangle is read; of values of equal magnitude the smaller comes first.

    Returns
    -------
    w : (n,) array
    V : (n, count) array
        The vectors of the first `count` values.
    """
    if not is_compiled(A):
        w, V = small_eigh(A)
        order = np.argsort(-np.abs(w), kind="stable")
        return w[order], V[:, order[:count]]
    exponent = _exponent(A, "A")
    work = _normalized(A, exponent)
    w = np.empty(A.shape[0], A.dtype)
    if _core.leading_eigh(work, w, count):
        raise BreakdownError("the eigenvalues of a small matrix did not converge")
    return scale_by_power(w, exponent), work[:count].T


def small_cholesky(A: Array) -> Array | None:
    """Upper triangular C with ``A = C^H C`` of a finite Hermitian A; None where A is not definite.

    Only the upper triangle is read.
    """
    if not screen(A).finite:
        raise _non_finite(A, "A")
    work = np.triu(A)
    if not is_compiled(work):
        try:
            factor: Array = np.linalg.cholesky(A, upper=True)
        except np.linalg.LinAlgError:
            return None
        return factor
    return None if _core.small_cholesky(work) else work


def triangular_solve_right(B: Array, R: Array, *, overwrite: bool = False) -> Array:
    """``B @ inv(R)`` for an upper triangular R (its strict lower part is not read).

    With `overwrite` it is put where B was, whose rows or columns must be contiguous.
    """
    if is_compiled(B, R):
        result = B if overwrite else np.array(B, order="C", copy=True)
        _core.solve_right(np.ascontiguousarray(R), result)
        return result
    import scipy.linalg

    solved: Array = scipy.linalg.solve_triangular(R, B.T, trans="T", lower=False).T
    if overwrite:
        B[...] = solved
        return B
    return solved

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Eigenpairs of a semidefinite matrix from one product with a basis: the warm step of a refresh."""

from __future__ import annotations

import math

import numpy as np

from randnla._backend.errors import BreakdownError
from randnla._backend.kernels import dense, qr, symmetric
from randnla._backend.kernels.dense import Array

_ATTEMPTS = 8  # shifts tried, each a hundred times the one before
# Least eigenvalues of the Gram matrix of Y with columns of unit length: down to the first its sums in float32
# leave U orthonormal to 1e-4, down to the second those in float64 do.
_GRADED, _FAR = 4e-3, 3e-5


def normalize(Y: Array, *, name: str) -> tuple[int, float]:
    """Bring a finite Y in place to where its squares neither overflow nor vanish.

    Returns
    -------
    exponent : int
        Y was multiplied by ``2**-exponent``: 0 unless its largest entry lay outside [2^-30, 2^30].
    magnitude : float
        The Frobenius norm of what Y is now.

    Raises
    ------
    BreakdownError
        Y is not finite.
    """
    seen = dense.screen(Y)
    if not seen.finite:
        count, first = dense.first_non_finite(Y)
        raise BreakdownError(f"{name}: {count} entries of a product are not finite, the first at {first}")
    exponent = math.frexp(seen.max_abs)[1] if seen.max_abs > 0 else 0
    if abs(exponent) <= 30:
        return 0, seen.frobenius_norm
    qr.scale_by_power(Y, -exponent)
    return exponent, dense.screen(Y).frobenius_norm


def nystrom_pairs(Q: Array, Y: Array) -> tuple[Array, Array]:
    """Eigenpairs of the Nystrom approximation ``Y (Q^H Y)^-1 Y^H`` of a semidefinite X, Y = X Q.

    Parameters
    ----------
    Q : (d, l) array
        Orthonormal; near the leading eigenvectors of X, so that the columns of Y are graded as the
        eigenvalues are. (From a basis far off, in float32, small eigenvalues would drown.)
    Y : (d, l) array
        X Q, overwritten.

    Returns
    -------
    U : (d, l) array
        Orthonormal columns, largest eigenvalue first.
    w : (l,) float64 array
        Nonnegative.

    Raises
    ------
    BreakdownError
        Y is not finite, or X is far from semidefinite.

    Notes
    -----
    Tropp, Yurtsever, Udell and Cevher (2017), Algorithm 3, without its tall factorizations: with the shift nu
    of the order of u ||Y||, Y_nu = Y + nu Q, G = Q^H Y_nu and C = Y_nu^H Y_nu, the pencil
    C x = s G x gives the eigenvalues s - nu and the vectors Y_nu x, of unit length where x^H C x = 1. The
    Gram matrices are summed in float64 over stretches of rows and factored in float64, C = R^H R; in R x the
    eigenproblem is one of an orthonormal basis and is solved in the dtype of Y. O(d l^2 + l^3) flops.
    """
    exponent, magnitude = normalize(Y, name="X")
    size = Q.shape[1]
    if magnitude == 0.0:
        return Q.copy(), np.zeros(size)
    unit = float(np.finfo(Y.dtype).eps) / 2
    shift, added = 2 * unit * magnitude, 0.0
    canonical = 2.0 ** math.frexp(magnitude)[1]  # a Cholesky factor of 2 G has other bits than one of G
    for attempt in range(_ATTEMPTS):
        Y += Y.real.dtype.type(shift - added) * Q
        added = shift
        C, G = symmetric.crossed_gram(Y, Y), symmetric.crossed_gram(Q, Y)
        near = _is_graded(C, _GRADED)
        if not near:
            C, G = _wide_gram(Y, Y), _wide_gram(Q, Y)
        solved = symmetric.semidefinite_pencil(C / canonical**2, G / canonical, Y.dtype)
        if solved is not None:
            s, X = solved[0][::-1].astype(np.float64), solved[1][:, ::-1]
            U = dense.gemm(Y, X / X.real.dtype.type(canonical))
            if not (near or _is_graded(C, _FAR)):
                # U knows what cancels in Y to rounding of Y: to be orthonormal it must be made so.
                U, _, _ = qr.cholesky_qr(U)
            return U, np.ldexp(np.maximum(canonical * s - shift, 0.0), exponent)
        if attempt == 0:  # Q was too far from the eigenvectors
            Q, Y = turn_to_ritz(Q, Y)
        else:
            shift *= 100
    raise BreakdownError("X: expected a positive semidefinite matrix; its Nystrom core is indefinite")


def _is_graded(C: Array, least: float) -> bool:
    """Whether C, its diagonal scaled to one, has no eigenvalue below `least`: its columns are independent."""
    squares = np.diagonal(C).real
    if not squares.min() > 0:
        return False
    scale = 1.0 / np.sqrt(squares)
    # Where the bound is far above what float32 rounds, in half the time.
    coarse = least > 1e-3 and not np.iscomplexobj(C)
    S = np.empty(C.shape, np.float32 if coarse else C.dtype)
    np.multiply(C * scale[:, None], scale, out=S, casting="same_kind")
    S[np.diag_indices(len(S))] -= S.dtype.type(least)
    return symmetric.is_definite(S)


def _wide_gram(A: Array, B: Array) -> Array:
    """``A^H B``, known to be Hermitian, summed in float64 (complex128)."""
    wide = np.result_type(A.dtype, np.float64)
    C = dense.gemm(A.conj().T.astype(wide), B.astype(wide))
    return (C + C.conj().T) / 2


def turn_to_ritz(Q: Array, Y: Array) -> tuple[Array, Array]:
    """Q and Y = X Q in the eigenvectors of Q^H X Q: the columns of Y are then graded as its values are."""
    _, V = qr.small_eigh(symmetric.crossed_gram(Q, Y))
    V = V[:, ::-1].astype(Y.dtype)
    return dense.gemm(Q, V), dense.gemm(Y, V)


def singular_pairs(Q: Array, Y: Array) -> tuple[Array, Array]:
    """Singular values of Y = X Q and its left vectors, which are the right ones of Q^H X. Y is overwritten.

    Returns
    -------
    (d, l) array, (l,) float64 array
    """
    exponent, magnitude = normalize(Y, name="X")
    if magnitude == 0.0:
        return Q.copy(), np.zeros(Q.shape[1])
    U, R, _ = qr.cholesky_qr(Y)
    W, s, _ = qr.small_svd(R.astype(np.result_type(R.dtype, np.float64)))
    return dense.gemm(U, W.astype(Y.dtype)), np.ldexp(s.astype(np.float64), exponent)


def ritz_pairs(Q: Array, Y: Array) -> tuple[Array, Array]:
    """Eigenpairs of Q^H X Q, turned by Q, largest first; Y = X Q. Values below 0 are rounding.

    Returns
    -------
    (d, l) array, (l,) float64 array
    """
    exponent, _ = normalize(Y, name="X")
    w, V = qr.small_eigh(symmetric.crossed_gram(Q, Y))
    turn = np.ascontiguousarray(V[:, ::-1]).astype(Y.dtype)
    return dense.gemm(Q, turn), np.ldexp(np.maximum(w[::-1].astype(np.float64), 0.0), exponent)

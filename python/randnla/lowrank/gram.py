# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The deterministic routes: eigenvectors of a Gram matrix, and all of LAPACK."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from randnla._backend.errors import InputError, NonFiniteError
from randnla._backend.kernels import dense, qr
from randnla.operators import LinearOperator

from .basis import orthonormalize
from .factor import narrow_product, widen
from .problem import Problem
from .scaling import Array, exponent_of, normalize, scale_by_power, unit_roundoff

SMALL_CORE = 512
"""Up to this side a float32 matrix is factored in float64."""


def has_gram(op: LinearOperator) -> bool:
    """Whether entries can be read: an array, or a tall stream of rows."""
    if hasattr(op, "gram_blocks"):
        base: Any = op
        return bool(base.by_blocks) and (hasattr(base.base, "array") or op.shape[0] >= op.shape[1])
    if hasattr(op, "array"):
        return True
    return hasattr(op, "blocks") and op.shape[0] >= op.shape[1]


def gram_matrix(problem: Problem) -> tuple[Array, int] | None:
    """G = 2^(-2e) A^H A in float64, or A A^H if A is wide, and e; one pass over A.

    None where the squares of a stream's entries leave the range of float64.
    """
    matrix: Any = getattr(problem.op, "array", None)
    problem.passes += 1
    problem.matvecs += min(problem.shape)
    if matrix is None:
        G = _streamed_gram(problem.op)
        top = float(np.diagonal(G).real.max(initial=0.0))
        if not 2.0**-800 < top < 2.0**800:
            return None  # zero, too: squares of entries below 2^-537 vanish
    else:
        tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.conj().T
        G = dense.gram(tall, wide=True)
        top = float(np.diagonal(G).real.max(initial=0.0))
        if not 2.0**-800 < top < 2.0**800:
            # Squares of entries beyond 2^+-400 leave the range: work on a scaled copy.
            seen = dense.screen(matrix)
            if not seen.finite:
                problem.op.require_finite(name="A")
            exponent = exponent_of(seen.max_abs)
            if exponent:
                problem.path.append("rescaled copy")
                G = dense.gram(scale_by_power(np.array(tall), -exponent), wide=True)
            return G, exponent
    if not np.isfinite(G).all():
        problem.op.require_finite(name="A")
        raise NonFiniteError("A: expected finite entries, but its Gram matrix is not")
    # An even exponent: half of it scales A exactly.
    half = exponent_of(float(np.diagonal(G).real.max(initial=0.0))) // 2
    return scale_by_power(G, -2 * half), half


def _streamed_gram(op: LinearOperator) -> Array:
    source: Any = op
    short = min(op.shape)
    total: Array = np.zeros((short, short))
    blocks = source.gram_blocks() if hasattr(op, "gram_blocks") else (b for _, b in source.blocks())
    for block in blocks:
        total = total + dense.gram(block, wide=True)
    return total


def spectrum_of_gram(G: Array) -> tuple[Array, Array]:
    """Squares of the singular values, descending, and the vectors of the short side."""
    w, V = qr.small_eigh(G)
    return np.maximum(w[::-1], 0.0), V[:, ::-1]


def is_resolved(squares: Array, rank: int, dtype: np.dtype[Any]) -> bool:
    """Whether `rank` vectors of the Gram matrix are as good as those of A itself.

    The Gram matrix is known to c u ||A||^2 in float64. What a rank-k projection loses by it is at most
    about k times that, in the squared Frobenius error: it must vanish in the tail, or in the rounding
    of A when A is float32.
    """
    total = float(squares.sum())
    tail = float(squares[rank:].sum())
    if np.dtype(dtype).itemsize == np.dtype(dtype).type(0).real.itemsize == 4:
        return True
    return total == 0.0 or tail >= 1e-11 * total


def lift(problem: Problem, V: Array) -> tuple[Array, Array, Array, int]:
    """U, s, V and the exponent of s from an orthonormal basis V of leading right vectors.

    Rayleigh-Ritz on A V: the values are accurate to second order in the error of V, and U is orthonormal
    also where s is small.
    """
    tall = problem.shape[0] >= problem.shape[1]
    Y = problem.forward(V) if tall else problem.adjoint(V)
    exponent = normalize(Y) - problem.shift
    Q, R = orthonormalize(problem, Y)
    X, s, Wh = qr.small_svd(widen(R))
    long, short = narrow_product(Q, X), narrow_product(V, Wh.conj().T)
    return (long, s, short, exponent) if tall else (short, s, long, exponent)


def full_svd(problem: Problem, rank: int | None = None) -> tuple[Array, Array, Array, int]:
    """U, s, V by LAPACK, after a QR where A is far from square; `s` holds all values."""
    A = problem.op.to_dense()
    problem.passes += 1
    problem.matvecs += min(problem.shape)
    seen = dense.screen(A)
    if not seen.finite:
        problem.op.require_finite(name="A")
        raise NonFiniteError("A: expected finite entries, but it holds NaN or Inf")
    exponent = exponent_of(seen.max_abs)
    tall = A.shape[0] >= A.shape[1]
    X = scale_by_power(np.array(A if tall else A.conj().T), -exponent)
    if X.shape[0] > 1.25 * X.shape[1]:
        Q, R = orthonormalize(problem, X)
        W, s, Vh = qr.small_svd(widen(R) if min(R.shape) <= SMALL_CORE else R)
        U = narrow_product(Q, W[:, :rank])
    else:
        U, s, Vh = qr.small_svd(widen(X) if min(X.shape) <= SMALL_CORE else X)
        U = U[:, :rank]
    U, V = U.astype(problem.dtype, copy=False), Vh[:rank].conj().T.astype(problem.dtype, copy=False)
    return (U, s, V, exponent) if tall else (V, s, U, exponent)


def require_hermitian(X: Array, roundoff: float) -> None:
    """Refuse a square X whose skew part exceeds the root of the unit roundoff.

    Raises
    ------
    InputError
        X is not Hermitian.
    """
    if float(np.linalg.norm(X - X.conj().T)) > 4 * math.sqrt(roundoff) * float(np.linalg.norm(X)):
        raise InputError("A: expected a symmetric (Hermitian) matrix, and it is not")


def full_eigh(problem: Problem) -> tuple[Array, Array, int]:
    """All eigenpairs by LAPACK, by decreasing magnitude."""
    A = problem.op.to_dense()
    problem.passes += 1
    problem.matvecs += A.shape[0]
    seen = dense.screen(A)
    if not seen.finite:
        problem.op.require_finite(name="A")
        raise NonFiniteError("A: expected finite entries, but it holds NaN or Inf")
    exponent = exponent_of(seen.max_abs)
    X = scale_by_power(np.array(A), -exponent)
    require_hermitian(X, unit_roundoff(problem.dtype))
    X = (X + X.conj().T) / 2
    w, V = qr.small_eigh(widen(X) if A.shape[0] <= SMALL_CORE else X)
    order = np.argsort(-np.abs(w), kind="stable")
    return w[order], V[:, order].astype(problem.dtype, copy=False), exponent

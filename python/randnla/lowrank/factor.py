# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""From a basis to a factorization: Halko, Martinsson and Tropp (2011), Algorithms 5.1 to 5.6."""

from __future__ import annotations

import math

import numpy as np
import scipy.sparse

from randnla._backend.device import is_device
from randnla._backend.errors import BreakdownError, InputError
from randnla._backend.kernels import dense, device_dense, qr

from . import skeleton
from .basis import orthonormalize
from .error import frobenius
from .problem import Problem, Run
from .scaling import Array, largest_magnitude, normalize, scale_by_power, unit_roundoff
from .skeleton import widen as widen


def narrow_product(Q: Array, core: Array) -> Array:
    """Q times a core that was factored in float64, in the dtype of Q."""
    return dense.gemm(Q, core.astype(Q.dtype, copy=False))


def direct_svd(problem: Problem, Q: Array, rank: int | None = None) -> tuple[Array, Array, Array, int]:
    """Algorithm 5.1: U, s, V and the exponent of s, from B = Q^H A.

    `s` holds all values; U and V have `rank` columns.
    """
    Bh = problem.adjoint(Q)
    exponent = normalize(Bh) - problem.shift
    U, s, V = svd_of_adjoint(problem, Q, Bh, rank)
    problem.report("small factorization")
    return U, s, V, exponent


def svd_of_adjoint(problem: Run, Q: Array, Bh: Array, rank: int | None) -> tuple[Array, Array, Array]:
    """U, s, V of Q B given B^H (n x l)."""
    # B^H = P T, T = Y diag(s) X^H  =>  Q B = (Q X) diag(s) (P Y)^H. T is factored in float64.
    P, T = orthonormalize(problem, Bh)
    Y, s, Xh = qr.small_svd(widen(T))
    k = s.size if rank is None else rank
    return narrow_product(Q, Xh[:k].conj().T), s, narrow_product(P, Y[:, :k])


def pivoted_rows(Q: Array) -> tuple[Array, Array]:
    """Row interpolation Q = X Q[J]: X (m, l) with X[J] = I, and the l row indices J.

    Column-pivoted QR of Q^H; the entries of X are moderate (below about 2) in practice.
    """
    index = skeleton.choose_rows(Q, Q.shape[1], "qrcp", seed=0)
    return skeleton.interpolate(Q, index)[0].astype(Q.dtype), index


def rows_of(problem: Problem, index: Array) -> Array:
    """The rows A[index] times 2^shift as an array."""
    rows = skeleton.take(problem, index, axis=0)
    rows = rows.toarray() if scipy.sparse.issparse(rows) else rows
    return scale_by_power(np.array(rows, dtype=problem.dtype), problem.shift)


def row_extraction_svd(problem: Problem, Q: Array, rank: int) -> tuple[Array, Array, Array, int]:
    """Algorithm 5.2: A ~ X A[J], without another pass over A."""
    X, index = pivoted_rows(Q)
    rows = rows_of(problem, index)
    exponent = normalize(rows) - problem.shift
    # A[J]^H = W R  =>  X A[J] = (X R^H) W^H;  X R^H = P T,  T = Y diag(s) G^H.
    W, R = orthonormalize(problem, rows.conj().T)
    P, T = orthonormalize(problem, dense.gemm(X, R.conj().T))
    Y, s, Gh = qr.small_svd(widen(T))
    return narrow_product(P, Y[:, :rank]), s, narrow_product(W, Gh[:rank].conj().T), exponent


def by_magnitude(w: Array, V: Array) -> tuple[Array, Array]:
    """Eigenpairs in order of decreasing magnitude."""
    order = np.argsort(-np.abs(w), kind="stable")
    return w[order], V[:, order]


def hermitian_part(T: Array) -> Array:
    """(T + T^H) / 2 in float64."""
    T = widen(T)
    return (T + T.conj().T) / 2


def require_symmetry(X: Array, roundoff: float) -> None:
    """Refuse a square X whose skew part exceeds the root of the unit roundoff.

    Raises
    ------
    InputError
        X is not Hermitian.
    """
    skew = X - X.conj().T
    if skew.any() and frobenius(skew) > 4 * math.sqrt(roundoff) * frobenius(X):
        raise InputError("A: expected a symmetric (Hermitian) matrix, and it is not")


def require_hermitian(probe_map: Array, probes: Array) -> None:
    """Omega^H (A Omega) of the probes must be Hermitian; costs nothing.

    Raises
    ------
    InputError
        Its other half exceeds the root of the unit roundoff.
    """
    require_symmetry(widen(dense.gemm(probe_map.T, probes)), unit_roundoff(probes.dtype))


def direct_eigh(problem: Problem, Q: Array) -> tuple[Array, Array, int]:
    """Algorithm 5.3: eigenpairs of Q^H A Q, by decreasing magnitude, and the exponent of w."""
    Y = problem.forward(Q)
    exponent = normalize(Y) - problem.shift
    w, X = by_magnitude(*qr.small_eigh(hermitian_part(dense.gemm(Q.conj().T, Y))))
    return w, narrow_product(Q, X), exponent


def row_extraction_eigh(problem: Problem, Q: Array) -> tuple[Array, Array, int]:
    """Algorithm 5.4: A ~ X A[J, J] X^H, without another pass over A."""
    X, index = pivoted_rows(Q)
    core = np.array(rows_of(problem, index)[:, index])
    exponent = normalize(core) - problem.shift
    V, R = orthonormalize(problem, X)
    R = widen(R)
    core = dense.gemm(dense.gemm(R, widen(core)), R.conj().T)
    w, U = by_magnitude(*qr.small_eigh(hermitian_part(core)))
    return w, narrow_product(V, U), exponent


def one_pass_eigh(Q: Array, Omega: Array, Y: Array) -> tuple[Array, Array]:
    """Algorithm 5.6: the core B with B (Q^H Omega) = Q^H Y in least squares, B Hermitian; no second pass."""
    left, right = (widen(dense.gemm(Q.conj().T, X)) for X in (Omega, Y))
    # Minimizing ||B G - H||_F over Hermitian B: B (G G^H) + (G G^H) B = H G^H + G H^H, diagonal in the
    # eigenvectors of G G^H. The floor bounds the solution where the sketch does not see all of Q.
    w, X = qr.small_eigh(hermitian_part(dense.gemm(left, left.conj().T)))
    top = max(float(w.max(initial=0.0)), float(np.finfo(np.float64).tiny))
    side = dense.gemm(right, left.conj().T)
    core = dense.gemm(dense.gemm(X.conj().T, side + side.conj().T), X)
    core /= np.maximum(w[:, None] + w[None, :], 4 * unit_roundoff(np.float64) * top)
    core = dense.gemm(dense.gemm(X, core), X.conj().T)
    values, U = by_magnitude(*qr.small_eigh(hermitian_part(core)))
    return values, narrow_product(Q, U)


def nystrom_eigh(problem: Problem, Q: Array) -> tuple[Array, Array, int]:
    """Algorithm 5.5: eigenpairs of (A Q) (Q^H A Q)^+ (A Q)^H for positive semidefinite A."""
    Y = problem.forward(Q)
    exponent = normalize(Y) - problem.shift
    w, V = nystrom_core(problem, Q, Y)
    return w, V, exponent


def _require_semidefinite(core: Array, magnitude: float, roundoff: float, n: int) -> None:
    """Refuse a core Q^H A Q whose least eigenvalue lies below what rounding explains.

    The sums of Q^H (A Q) are known to about u sqrt(n) ||A Q||_F, and a core of l columns that reaches down
    to -8 l u ||A Q||_F is what `eigh` takes for definite. 6e-8 lets matrices pass that were rounded to
    float32 before.

    Raises
    ------
    BreakdownError
        A is indefinite.
    """
    least = float(qr.small_eigh(core)[0][0])
    if least < -max(16 * roundoff * max(core.shape[0], math.sqrt(n)), 6e-8) * magnitude:
        raise BreakdownError(
            "A: expected a positive semidefinite matrix; the Nystrom core Q^H A Q has an eigenvalue of "
            f"{least / magnitude:.3g} times its size"
        )


def plus_multiple(Y: Array, factor: float, Q: Array) -> Array:
    """``Y + factor Q``, a new array."""
    if is_device(Y):
        shifted: Array = device_dense.combine(device_dense.multiple(Y), Q, factor, beta=1.0, Z=Y)
        return shifted
    total: Array = Y + Y.real.dtype.type(factor) * Q
    return total


def nystrom_core(problem: Run, Q: Array, Y: Array) -> tuple[Array, Array]:
    """Eigenpairs, largest first and clamped at 0, of the Nystrom approximation from Y = A Q."""
    w, P, U = nystrom_factors(problem, Q, Y)
    return w, narrow_product(P, U)


def nystrom_factors(
    problem: Run, Q: Array, Y: Array, core: Array | None = None
) -> tuple[Array, Array, Array]:
    """w, an orthonormal basis P of the range of Y = A Q, and small U: the eigenpairs are w and P U.

    `core`, where it is at hand, is the Hermitian part of Q^H Y; Q is orthonormal.

    Tropp, Yurtsever, Udell and Cevher (2017), Algorithm 3: a shift nu of the order of u ||Y|| makes the
    core definite and is taken off the eigenvalues again.
    """
    size = Q.shape[1]
    if largest_magnitude(Y) == 0.0:
        return np.zeros(size), Q, np.eye(size)
    # A_nu = A + nu I, Y_nu = A_nu Q = P T, C^H C = Q^H Y_nu:
    #   A_nu ~ Y_nu (Q^H Y_nu)^-1 Y_nu^H = F F^H,  F = P (T C^-1),
    # so the SVD is of the small T C^-1, in float64. The shift exceeds the rounding of Q^H Y.
    magnitude = frobenius(Y)
    shift = 2 * unit_roundoff(Y.dtype) * magnitude
    core = hermitian_part(dense.gemm(Q.conj().T, Y)) if core is None else core
    for attempt in range(30):
        C = qr.small_cholesky(core + shift * np.eye(size))
        if C is None:
            # Rounding, or an A that is not positive semidefinite: ten times the shift.
            if attempt == 0:
                _require_semidefinite(core, magnitude, unit_roundoff(Y.dtype), problem.shape[0])
                problem.path.append("larger shift")
            shift *= 10
            continue
        break
    else:
        raise BreakdownError("A: the Nystrom core Q^H A Q is not positive semidefinite at any shift")
    P, T = orthonormalize(problem, plus_multiple(Y, shift, Q))
    U, s, _ = qr.small_svd(qr.triangular_solve_right(widen(T), C))
    return np.maximum(s**2 - shift, 0.0), P, U

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""From the sketches of a single pass to factors, a function a method; none looks at A again.

Each takes a `LinearSketch` and returns U, s, V and the exponent of s, in the units of the sketches: `s` holds
all values found, U and V have `rank` columns (all where None).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from randnla._backend.kernels import dense, qr

from .basis import orthonormalize
from .factor import hermitian_part, narrow_product, nystrom_core, svd_of_adjoint, widen
from .linear_sketch import LinearSketch
from .scaling import Array, normalize, unit_roundoff

Factors = tuple[Array, Array, Array, int]


@dataclass
class SketchRun:
    """The `Run` of factors made from sketches alone."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    seed: int
    path: list[str] = field(default_factory=list)


def left_inverse(G: Array) -> Array:
    """The pseudo-inverse, in float64, of a tall matrix of full rank."""
    P, T, _ = qr.cholesky_qr(widen(G))
    return dense.gemm(qr.triangular_solve_right(np.eye(len(T), dtype=T.dtype), T), P.conj().T)


def svd_of_core(Q: Array, core: Array, P: Array, rank: int | None) -> Factors:
    """The SVD of Q core P^H for orthonormal Q and P."""
    exponent = normalize(core)
    U, s, Vh = qr.small_svd(core)
    k = s.size if rank is None else rank
    return narrow_product(Q, U[:, :k]), s, narrow_product(P, Vh[:k].conj().T), exponent


def tyuc17(sketch: LinearSketch, run: SketchRun, rank: int | None) -> Factors:
    """Tropp, Yurtsever, Udell and Cevher (2017), Algorithms 4 and 7: A ~ Q (Psi Q)^+ (Psi A), Q = orth(Y)."""
    Q, _ = orthonormalize(run, sketch.arrays["range"])
    # B^H = (Psi A)^H ((Psi Q)^+)^H is one thin product, since the small pseudo-inverse comes first.
    inverse = left_inverse(sketch.maps["corange"].apply(Q))  # (l, l')
    corange = sketch.arrays["corange"]
    Bh = dense.gemm(corange, inverse.conj().T.astype(corange.dtype))
    exponent = normalize(Bh)
    return *svd_of_adjoint(run, Q, Bh, rank), exponent


def sketchy(sketch: LinearSketch, run: SketchRun, rank: int | None) -> Factors:
    """Tropp, Yurtsever, Udell and Cevher (2019), Algorithm 4.

    A ~ Q C P^H with Q = orth(A Omega^T), P = orth((Psi A)^H), C = (Phi Q)^+ (Phi A Xi^T) ((Xi P)^+)^H.
    """
    Q, _ = orthonormalize(run, sketch.arrays["range"])
    P, _ = orthonormalize(run, sketch.arrays["corange"])
    left = left_inverse(sketch.maps["core_left"].apply(Q))
    right = left_inverse(sketch.maps["core_right"].apply(P))
    core = dense.gemm(dense.gemm(left, widen(sketch.arrays["core"])), right.conj().T)
    return svd_of_core(Q, core, P, rank)


def generalized_nystrom(sketch: LinearSketch, run: SketchRun, rank: int | None) -> Factors:
    """Nakatsukasa (2020): A ~ Y (Psi Y)^+ (Psi A), stabilized, then cut to the rank."""
    Y, corange = sketch.arrays["range"], sketch.arrays["corange"]
    # Psi Y Pi = P T. Directions whose pivot sinks below rounding of the largest hold nothing but rounding:
    # they are left out, and the rest is (Y_1 T_11^-1) (P_1^H Psi A).
    P, T, order = qr.small_pivoted_qr(widen(sketch.maps["corange"].apply(Y)))
    pivots = np.abs(np.diagonal(T))
    kept, exponent = int(np.count_nonzero(pivots > 10 * unit_roundoff(Y.dtype) * pivots.max(initial=0.0))), 0
    F, Gh = np.zeros_like(Y, order="C"), np.zeros((corange.shape[0], Y.shape[1]), corange.dtype)
    if kept:
        inverse = qr.triangular_solve_right(np.eye(kept, dtype=T.dtype), T[:kept, :kept].copy())
        exponent = normalize(inverse)  # 1 / pivots alone may leave the range of float32
        F[:, :kept] = dense.gemm(np.ascontiguousarray(Y[:, order[:kept]]), inverse.astype(Y.dtype))
        Gh[:, :kept] = dense.gemm(corange, P[:, :kept].astype(Y.dtype))
    if kept < Y.shape[1]:
        run.path.append(f"{kept} pivots")
    exponent += normalize(F) + normalize(Gh)
    Qf, Rf = orthonormalize(run, F)
    Qg, Rg = orthonormalize(run, Gh)
    U, s, V, e = svd_of_core(Qf, dense.gemm(widen(Rf), widen(Rg).conj().T), Qg, rank)
    return U, s, V, e + exponent


def nystrom(sketch: LinearSketch, run: SketchRun, rank: int | None) -> Factors:
    """Tropp, Yurtsever, Udell and Cevher (2017b), Algorithm 3: positive semidefinite A from Y = A Omega^T."""
    # Omega^T = Q R, orthonormal Q: A Q = Y R^-1.
    Q, R = orthonormalize(run, sketch.maps["range"].to_dense().T)
    Y = qr.triangular_solve_right(sketch.arrays["range"], R.astype(sketch.dtype))
    exponent = normalize(Y)
    w, V = nystrom_core(run, Q.astype(sketch.dtype), Y)
    V = V[:, :rank]
    return V, w, V.copy(), exponent


def one_pass(sketch: LinearSketch, run: SketchRun, rank: int | None) -> Factors:
    """Halko, Martinsson and Tropp (2011), section 5.5, for general matrices: A ~ Q B P^H.

    Y = A Omega^T = Q (.), Z = (Psi A)^H = P (.), and B solves B (P^H Omega^T) = Q^H Y together with
    B^H (Q^H Psi^T) = P^H Z in least squares.
    """
    Y, Z = sketch.arrays["range"], sketch.arrays["corange"]
    Q, _ = orthonormalize(run, Y)
    P, _ = orthonormalize(run, Z)
    G, H = widen(sketch.maps["range"].apply(P)).conj().T, widen(dense.gemm(Q.conj().T, Y))
    F, K = widen(sketch.maps["corange"].apply(Q)).conj().T, widen(dense.gemm(P.conj().T, Z))
    # min ||B G - H||^2 + ||B^H F - K||^2:  B (G G^H) + (F F^H) B = H G^H + F K^H, diagonal in the
    # eigenvectors of both Gram matrices. The floor bounds what the maps do not see.
    w, X = qr.small_eigh(hermitian_part(dense.gemm(G, G.conj().T)))
    v, W = qr.small_eigh(hermitian_part(dense.gemm(F, F.conj().T)))
    side = dense.gemm(H, G.conj().T) + dense.gemm(F, K.conj().T)
    core = dense.gemm(dense.gemm(W.conj().T, side), X)
    core /= np.maximum(v[:, None] + w[None, :], 4 * unit_roundoff(np.float64) * float(w.max() + v.max()))
    return svd_of_core(Q, dense.gemm(dense.gemm(W, core), X.conj().T), P, rank)

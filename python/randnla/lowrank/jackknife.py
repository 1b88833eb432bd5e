# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""How much a Nystrom approximation, or a function of it, varies with the sketch: Epperly and Tropp (2024).

Each column of the sketch is left out in turn, which costs no product with A: the replicate is a rank-one
downdate of the approximation. The spread of the replicates over-estimates the standard deviation of the
approximation from one column less, in mean square (Efron, Stein and Steele).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from randnla._backend.errors import InputError
from randnla._backend.kernels import dense, qr

from .basis import orthonormalize
from .error import left_out_directions
from .factor import by_magnitude, hermitian_part, widen
from .problem import Problem
from .scaling import Array, unit_roundoff

SpectralFunction = Callable[[Array], Any]


def deviation(
    problem: Problem,
    Q: Array,
    Y: Array,
    triangles: Sequence[Array],
    rank: int,
    function: SpectralFunction,
    exponent: int,
) -> float:
    """Jackknife estimate of sqrt(E ||f(A_k) - E f(A_k)||_F^2) over the sketch, A_k the Nystrom approximation.

    Y = A Q in units of 2^exponent, and the sketch was Q R with R the product of the triangles, the first on
    the right. `function` maps an array of eigenvalues; O(l^4) for l columns.
    """
    size = Q.shape[1]
    if size == 0:
        return 0.0
    # A_nys = F F^H with F = Y C^-1, C^H C = Q^H Y = X D X^H, C = D^1/2 X^H, and Y = P T.
    d, X = qr.small_eigh(hermitian_part(dense.gemm(Q.conj().T, Y)))
    T = widen(orthonormalize(problem, Y)[1])
    d = np.maximum(d, 2 * unit_roundoff(Y.dtype) * max(float(np.linalg.norm(T)), np.finfo(np.float64).tiny))
    _, s, Vh = qr.small_svd(T @ X / np.sqrt(d))
    # The sketch Q R without its column j loses w_j w_j^H, w_j = F c_j / |c_j|, c_j = (C R)^-H e_j.
    S = left_out_directions(size, triangles)
    if S is None:
        return 0.0  # a column that the others reproduce: A has less than full rank, and A_nys is A
    S = (X.conj().T @ S) / np.sqrt(d)[:, None]
    S /= np.linalg.norm(S, axis=0)
    lost = s[:, None] * (Vh @ S)
    mean, spread = np.zeros((size, size), lost.dtype), 0.0
    for j in range(size):
        w, G = qr.small_eigh(hermitian_part(np.diag(s**2) - np.outer(lost[:, j], lost[:, j].conj())))
        w, G = by_magnitude(w, G)
        w = np.where(np.arange(size) < rank, np.maximum(w, 0.0), 0.0)
        replicate = (G * _values(function, np.ldexp(w, exponent))) @ G.conj().T
        step = replicate - mean
        mean += step / (j + 1)
        spread += float(np.real(np.vdot(step, replicate - mean)))
    return math.sqrt(max(spread, 0.0))


def _values(function: SpectralFunction, w: Array) -> Array:
    values = np.asarray(function(w))
    if values.shape != w.shape or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise InputError(
            f"spectral_function: expected {w.size} finite real numbers for {w.size} eigenvalues, got "
            f"{values.dtype} of shape {values.shape}"
        )
    return values

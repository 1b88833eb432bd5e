# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""QR of a tall matrix on the device: `qr.cholesky_qr` hands such arrays on.

The matrix stays there; cores of n by n numbers are factored on the host, in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend.device import runtime
from randnla._backend.errors import BreakdownError, InputError, NonFiniteError
from randnla._backend.kernels import device_maps
from randnla._backend.kernels.device_dense import combine, gram, multiple, repeated
from randnla._backend.kernels.streams import KINDS

Real = NDArray[np.float64]

SHARE = 4  # rows of the sketch for each column
NONZEROS = 8
PASSES = 6
MIDDLING = {4: (30, 120), 8: (300, 1000)}
"""Exponents up to which a block is factored as it is, and which a factor may have, by element size."""


def cholesky_qr(Y: Any, *, seed: int, name: str) -> tuple[Any, Real, str]:
    """As `qr.cholesky_qr` for m >= n and n at most `triangle_limit`; Q on the device, R on the host.

    Notes
    -----
    *Algorithm*: the triangle of a sparse sign sketch preconditions Y (Balabanov, arXiv:2210.09953); then
    Cholesky factors of Gram matrices in float64, until ``||Q^T Q - I||_F`` is seen below 25 eps sqrt(n).
    Where Y has no full rank, noise of 32 eps of the length of each column is added to it first.
    """
    m, n = Y.shape
    limit = int(runtime().extension.triangle_limit(Y.itemsize))
    if not n <= min(m, limit):
        raise InputError(
            f"{name}: expected at least as many rows as columns and at most {limit} columns of {Y.dtype} "
            f"on a GPU, got shape {Y.shape}"
        )
    if n == 0:
        return runtime().empty((m, 0), Y.dtype), np.zeros((0, 0)), "sketch+cholesky"
    eps = float(np.finfo(Y.dtype).eps)
    triangle = sketched_triangle(Y, seed, name)
    exponent = math.frexp(float(np.abs(triangle).max()))[1]
    middling, most = MIDDLING[Y.itemsize]
    if abs(exponent) > middling:
        # Squares would leave the range. A second step takes what lies further out than one factor reaches.
        power = max(-most, min(most, -exponent))
        Q, R, path = cholesky_qr(multiple(Y, 2.0**power), seed=seed, name=name)
        return Q, np.ldexp(R, -power), path
    lengths = np.linalg.norm(triangle, axis=0)
    scaled = triangle / np.where(lengths > 0, lengths, 1.0)
    if np.linalg.svd(scaled, compute_uv=False)[-1] < 32 * eps:
        Y = with_noise(Y, np.where(lengths > 0, 32 * eps * lengths, 1.0) / math.sqrt(m), seed)
        triangle = sketched_triangle(Y, seed, name)
    Q, R = solve(Y, triangle)
    for _ in range(PASSES):
        G = gram(Q)
        if np.linalg.norm(G - np.eye(n)) <= 25 * eps * math.sqrt(n):
            return Q, R * (lengths > 0), "sketch+cholesky"
        Q, step = solve(Q, upper_factor(G, eps))
        R = step @ R
    raise BreakdownError(f"{name}: its columns did not become orthonormal in {PASSES} passes")


def sketched_triangle(Y: Any, seed: int, name: str) -> Real:
    """R of the QR factorization of a sketch of `Y`, with a positive diagonal where that is not zero."""
    d = min(SHARE * Y.shape[1] + NONZEROS, max(Y.shape[0], Y.shape[1] + NONZEROS))
    out = runtime().empty((d, Y.shape[1]), Y.dtype)
    scale = 1.0 / math.sqrt(NONZEROS)
    map_of = {"kind": KINDS["sparse_sign"], "seed": seed, "stream": 0, "d": d, "nnz": NONZEROS}
    device_maps.apply_sparse_map(Y, out, scale=scale, adjoint=False, **map_of)
    sketch = runtime().to_host(out).astype(np.float64)
    if not np.isfinite(sketch).all():
        raise NonFiniteError(f"{name}: it holds NaN or Inf, or sums of its entries leave {Y.dtype}")
    R = np.linalg.qr(sketch, mode="r")
    return np.asarray(R * np.where(np.diagonal(R) < 0, -1.0, 1.0)[:, None])


def upper_factor(G: Real, eps: float) -> Real:
    """The upper Cholesky factor; of G shifted by its rounding where G is not definite."""
    try:
        return np.asarray(np.linalg.cholesky(G, upper=True), np.float64)
    except np.linalg.LinAlgError:
        shift = 11 * len(G) * eps * float(np.trace(G))
        return np.asarray(np.linalg.cholesky(G + shift * np.eye(len(G)), upper=True), np.float64)


def solve(Y: Any, R: Real) -> tuple[Any, Real]:
    """``Y R^-1`` and the R that was used: rounded to the dtype of `Y`."""
    R = R.astype(Y.dtype).astype(np.float64)
    X = runtime().empty(Y.shape, Y.dtype)
    runtime().call("solve_upper", Y.dtype, Y, runtime().to_device(R), X)
    return X, R


def with_noise(Y: Any, sizes: Real, seed: int) -> Any:
    """``Y + G diag(sizes)`` for a standard Gaussian G."""
    noise = runtime().empty(Y.shape, Y.dtype)
    stream = {"kind": KINDS["gaussian"], "seed": seed, "stream": 1}
    device_maps.fill_dense_map(noise, row_start=0, col_start=0, scale=1.0, **stream)
    weights = repeated(runtime().to_device(sizes), Y.shape, rows=True)
    return combine(noise, noise, weights=weights, beta=1.0, Z=Y)

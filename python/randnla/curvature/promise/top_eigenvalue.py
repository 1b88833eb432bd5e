# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The largest preconditioned curvature, which bounds the step size."""

from __future__ import annotations

import math

import numpy as np

from randnla._backend.kernels import streams

from .preconditioner import Preconditioner
from .sources import Source


def top_eigenvalue(
    pre: Preconditioner, source: Source, ridge: float, *, steps: int, seed: int, stream: int
) -> float:
    """The largest eigenvalue of ``P^-1/2 (H + ridge I) P^-1/2``; nan where it overflows.

    Parameters
    ----------
    pre : Preconditioner
    source : Source
        Of H.
    ridge : float
    steps : int
        Products with H, at most.
    seed, stream : int
        Of the Gaussian start.

    Notes
    -----
    The Lanczos method with full orthogonalization. Its value is that of the Krylov space in which the power
    method of as many products has its last vector: never less, and never more than the truth. The largest
    value counts, not the largest magnitude: of an indefinite H only curvature from above endangers descent.
    """
    p = source.dim
    start = np.empty((1, p), pre.dtype)
    streams.fill_dense_map(start, kind="gaussian", seed=seed, stream=stream)
    steps = min(steps, p)
    basis = np.zeros((steps, p), pre.dtype)
    diagonal, off = np.zeros(steps), np.zeros(steps)
    vector = start[0].astype(np.float64)
    vector /= np.linalg.norm(vector)
    count = 0
    for j in range(steps):
        basis[j] = vector
        half = pre.power(basis[j : j + 1], -0.5)
        product = source.times(half.T.astype(source.dtype, copy=False)).T.astype(pre.dtype, copy=False)
        product = pre.power(np.ascontiguousarray(product + pre.dtype.type(ridge) * half), -0.5)
        after = product[0].astype(np.float64)
        diagonal[j] = after @ basis[j]
        count = j + 1
        if not math.isfinite(diagonal[j]):
            return math.nan
        for _ in range(2):
            after -= basis[:count].T @ (basis[:count] @ after)
        off[j] = math.sqrt(after @ after)
        # What is left below rounding is no direction of its own.
        if off[j] <= 10 * float(np.finfo(pre.dtype).eps) * np.abs(diagonal[:count]).max():
            break
        vector = after / off[j]
    values = np.linalg.eigvalsh(
        np.diag(diagonal[:count]) + np.diag(off[: count - 1], 1) + np.diag(off[: count - 1], -1)
    )
    return float(values.max())

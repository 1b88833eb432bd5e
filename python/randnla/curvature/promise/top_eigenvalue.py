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
        Of H; vectors have its dtype.
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
    p, dtype = source.dim, source.dtype
    start = np.empty((1, p), dtype)
    streams.fill_dense_map(start, kind="gaussian", seed=seed, stream=stream)
    steps = min(steps, p)
    basis = np.zeros((steps, p), dtype)
    diagonal, off = np.zeros(steps), np.zeros(steps)
    rounding, shift = 10 * float(np.finfo(dtype).eps), dtype.type(ridge)
    vector, count = start[0] / np.linalg.norm(start), 0
    for j in range(steps):
        basis[j] = vector
        half = pre.power(basis[j : j + 1], -0.5)
        product = source.times(half.T).T + shift * half
        after = pre.power(np.ascontiguousarray(product, dtype), -0.5)[0]
        held, count = basis[: j + 1], j + 1
        diagonal[j] = float(after @ vector)
        if not math.isfinite(diagonal[j]):
            return math.nan
        for _ in range(2):
            after = after - (held @ after) @ held
        off[j] = float(np.linalg.norm(after))
        # What is left below rounding is no direction of its own.
        if off[j] <= rounding * np.abs(diagonal[:count]).max():
            break
        vector = after / dtype.type(off[j])
    T = np.diag(diagonal[:count]) + np.diag(off[: count - 1], 1) + np.diag(off[: count - 1], -1)
    return float(np.linalg.eigvalsh(T)[-1])

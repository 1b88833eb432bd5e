# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The largest preconditioned curvature, which bounds the step size."""

from __future__ import annotations

import math

import numpy as np

from randnla._backend.kernels import streams

from .preconditioner import Preconditioner
from .protocol import Source


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
    The Lanczos method of the symmetric form, by P^-1 alone. Its value is that of the Krylov space in which
    the power method of as many products has its last vector: never less, and beside rounding never more than
    the truth. For that vectors need not be kept orthogonal: copies of a value are no larger (Paige, 1980).
    The largest value counts, not the largest magnitude: of an indefinite H only curvature from above
    endangers descent.
    """
    p, dtype = source.dim, source.dtype
    start = np.empty((1, p), dtype)
    streams.fill_dense_map(start, kind="gaussian", seed=seed, stream=stream)
    steps = min(steps, p)
    diagonal, off = np.zeros(steps), np.zeros(steps)
    rounding, largest, count = 10 * float(np.finfo(dtype).eps), 0.0, 0
    # Vectors x of the symmetric form appear as v = P^1/2 x and z = P^-1/2 x.
    z = pre.power(start, -0.5)
    v = before = pre.power(z, 1.0)
    norm = math.sqrt(np.vdot(start, start))
    for j in range(steps):
        v, z = v / dtype.type(norm), z / dtype.type(norm)
        after = source.shifted(z, ridge)
        if j:
            after -= dtype.type(norm) * before
        diagonal[j], count = np.vdot(after, z), j + 1
        if not math.isfinite(diagonal[j]):
            return math.nan
        after -= dtype.type(diagonal[j]) * v
        before, v, z = v, after, pre.power(after, -1.0)
        square = float(np.vdot(v, z))
        if not math.isfinite(square):
            return math.nan
        norm = off[j] = math.sqrt(max(0.0, square))
        largest = max(largest, abs(float(diagonal[j])))
        # What is left below rounding is no direction of its own.
        if norm <= rounding * largest:
            break
    T = np.diag(diagonal[:count]) + np.diag(off[: count - 1], 1) + np.diag(off[: count - 1], -1)
    return float(np.linalg.eigvalsh(T)[-1])

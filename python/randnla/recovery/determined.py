# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Whether samples determine what was found: how much they see of any small change of it."""

from __future__ import annotations

import numpy as np

from randnla._backend.kernels.weighted_draws import uniforms

from .hankel import Samples
from .irls import Capacitance, Coordinates, Triplets, inner

STEPS = 60
"""Of the Lanczos iteration, at most; the smallest Ritz value is looked at after each `LOOK` of them."""
LOOK = 10
_STREAM = 9


def least_seen(samples: Samples, at: Triplets, seed: int) -> float:
    """The least share of a change within the tangent space that the samples see, over that of all entries.

    The smallest eigenvalue of ``P^* (I - Pi_H + H D^-1 P_Omega^* P_Omega H^*) P`` over the share of entries
    that are samples: about 0 where other matrices of the same rank have the same samples. By Lanczos from a
    random start, which is from above.
    """
    system = Capacitance(samples, at, 0.0)
    q = _random(system, seed)
    diagonal: list[float] = []
    beside: list[float] = []
    last, least = [np.zeros_like(x) for x in q], 0.0
    while len(diagonal) < STEPS:
        w = system.seen(q)
        diagonal.append(inner(q, w))
        before = beside[-1] if beside else 0.0
        w = [x - diagonal[-1] * y - before * z for x, y, z in zip(w, q, last, strict=True)]
        w = system.tangent(w)
        size = inner(w, w) ** 0.5
        if len(diagonal) % LOOK == 0 or size < 1e-12:
            T = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
            values, vectors = np.linalg.eigh(T)
            least = max(0.0, float(values[0]))
            if size * abs(float(vectors[-1, 0])) <= 0.1 * least or size < 1e-12:
                break
        beside.append(size)
        last, q = q, [x / size for x in w]
    m, n = samples.shape
    return least * samples.horizon * m * n / max(1, samples.values.size)


def _random(system: Capacitance, seed: int) -> Coordinates:
    """A unit vector of the tangent space."""
    U, V = system.at.U, system.at.V
    shapes = (U.shape[1],) * 2, V.shape[::-1], U.shape
    parts = [
        (uniforms(a * b, seed=seed, stream=_STREAM + k) - 0.5).reshape(a, b).astype(U.dtype)
        for k, (a, b) in enumerate(shapes)
    ]
    q = system.tangent(parts)
    size = inner(q, q) ** 0.5
    return [x / size for x in q]

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Tensors of known components, and products formed the long way."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
LETTERS = "abcdef"


def dense(weights: Array, factors: list[Array]) -> Array:
    modes = LETTERS[: len(factors)]
    return np.einsum("z," + ",".join(m + "z" for m in modes) + "->" + modes, weights, *factors, optimize=True)


def long_mttkrp(T: Array, factors: list[Array], mode: int) -> Array:
    modes = LETTERS[: T.ndim]
    others = [k for k in range(T.ndim) if k != mode]
    rule = modes + "," + ",".join(modes[k] + "z" for k in others) + "->" + modes[mode] + "z"
    return np.einsum(rule, T, *(factors[k] for k in others))


def components(d: int, r: int, order: int, delta: float, seed: int) -> list[Array]:
    """Han and Zhang (2021), section 5: ``prod_k a_k1^T a_kj = delta / (r - 1)``."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(order):
        Q = np.linalg.qr(rng.standard_normal((d, r)))[0]
        if delta > 0:
            eta = np.sqrt((delta / (r - 1)) ** (-2 / order) - 1)
            Q[:, 1:] = (Q[:, [0]] + eta * Q[:, 1:]) / np.sqrt(1 + eta**2)
        out.append(Q)
    return out

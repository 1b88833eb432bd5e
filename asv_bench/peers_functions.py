# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Contenders for functions of matrices, as in `peers`."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

Array = NDArray[Any]


def scipy_sqrtm(A: Array) -> Array:
    return np.real(scipy.linalg.sqrtm(A))


def eigh_root(A: Array) -> Array:
    w, V = np.linalg.eigh(A)
    return (V * np.sqrt(w)) @ V.T


def lanczos_root_update(d: Array, Z: Array, blocks: int) -> tuple[Array, Array]:
    """The change of diag(d)^1/2 by Z Z^T in the polynomial block Krylov space of so many blocks."""
    V = np.linalg.qr(Z)[0]
    last = V
    for _ in range(blocks - 1):
        W = d[:, None] * last
        for _ in range(2):
            W = W - V @ (V.T @ W)
        last = np.linalg.qr(W)[0]
        V = np.concatenate([V, last], axis=1)
    T, Zt = V.T @ (d[:, None] * V), V.T @ Z
    return V, eigh_root(T + Zt @ Zt.T) - eigh_root(T)


def eigh_inverse_root(A: Array, p: int, damping: float) -> Array:
    w, V = np.linalg.eigh(A)
    return (V * (np.maximum(w, 0) + damping) ** (-1 / p)) @ V.T


def torch_eigh_inverse_root(A: Array, p: int, damping: float) -> Array:
    import torch

    w, V = torch.linalg.eigh(torch.from_numpy(A))
    return ((V * (w.clamp(min=0) + damping) ** (-1 / p)) @ V.T).numpy()

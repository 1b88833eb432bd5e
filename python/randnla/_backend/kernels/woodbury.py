# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The two products of Woodbury's identity with a window of few long rows, summed in float64.

Each is one pass over the window at the speed of memory; its bits do not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np

from randnla import _core
from randnla._backend.kernels.dense import Array, is_compiled

_COLUMNS = 1 << 16  # of the window widened at a time, in NumPy


def _wide(X: Array) -> Array:
    return X.astype(np.complex128 if np.iscomplexobj(X) else np.float64, copy=False)


def window_dots(G: Array, X: Array) -> Array:
    """``G @ X.conj().T`` in float64 (complex128): inner products of rows of G (m, d) with rows of X (k, d).

    Rows are contiguous. Products of float32 are exact, and summed in float64.
    """
    if not (len(G) and len(X)):
        return np.zeros((len(G), len(X)), np.result_type(G, X, np.float64))
    if is_compiled(G, X):
        out = np.empty((len(G), len(X)))
        _core.window_dots(G, X, out)
        return out
    total = np.zeros((len(G), len(X)), np.result_type(G, X, np.float64))
    for j in range(0, G.shape[1], _COLUMNS):
        part = slice(j, j + _COLUMNS)
        total += _wide(G[:, part]) @ _wide(X[:, part]).conj().T
    return total


def window_combine(G: Array, C: Array, alpha: float, X: Array) -> Array:
    """``alpha X + C.T @ G`` of X (k, d) and C (m, k) in float64, rounded once to the dtype of X.

    Rows of G and X are contiguous.
    """
    out = np.empty(X.shape, X.dtype)
    if not len(X):
        return out
    if is_compiled(G, X) and C.dtype == np.float64:
        _core.window_combine(G, C, alpha, X, out)
        return out
    for j in range(0, G.shape[1], _COLUMNS):
        part = slice(j, j + _COLUMNS)
        out[:, part] = alpha * _wide(X[:, part]) + C.T @ _wide(G[:, part])
    return out

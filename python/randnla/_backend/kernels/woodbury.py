# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The two products of Woodbury's identity with a window of few long rows, or with chosen rows of a matrix.

Each is one pass over the window at the speed of memory; its bits do not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np

from randnla import _core
from randnla._backend.kernels.dense import Array, is_compiled

_NARROW = {np.dtype(np.float16): "f16", np.dtype(np.uint16): "bf16"}
_COLUMNS = 1 << 16  # of the window widened at a time, in NumPy


def widened(G: Array) -> Array:
    """float32 of float16, and of uint16, which are the bits of bfloat16; others as they are."""
    if G.dtype == np.uint16:
        return (G.astype(np.uint32) << 16).view(np.float32)
    return G.astype(np.float32) if G.dtype == np.float16 else G


def _wide(X: Array) -> Array:
    X = widened(X)
    return X.astype(np.complex128 if np.iscomplexobj(X) else np.float64, copy=False)


def _narrow(G: Array, X: Array) -> str:
    """The name of the kernels of sixteen bits that take G, or nothing."""
    return _NARROW.get(G.dtype, "") if X.dtype == np.float32 else ""


def blocks_of(dim: int, block: int | None) -> list[slice]:
    """Columns of every block, the last of what is left."""
    step = block or dim
    return [slice(j, min(j + step, dim)) for j in range(0, dim, step)]


def window_dots(G: Array, X: Array, block: int | None = None) -> Array:
    """``G @ X.conj().T`` in float64 (complex128): inner products of rows of G (m, d) with rows of X (k, d).

    Of blocks of that many columns, if `block` is given, (blocks, m, k). Rows are contiguous; those of G may
    be float16 or the bits of bfloat16. Products of float32 are exact, and summed in float64.
    """
    if block is None:
        return _dots(G, X)
    return np.stack([_dots(G[:, part], X[:, part]) for part in blocks_of(X.shape[1], block)])


def _dots(G: Array, X: Array) -> Array:
    if not (len(G) and len(X)):
        return np.zeros((len(G), len(X)), np.result_type(G, X, np.float64))
    if is_compiled(G, X):  # asked first: windows of few short rows feel what comes before the kernel
        out = np.empty((len(G), len(X)))
        _core.window_dots(G, X, out)
        return out
    narrow = _narrow(G, X)
    if narrow:
        out = np.empty((len(G), len(X)))
        getattr(_core, f"window_dots_{narrow}")(G.view(np.uint16), X, out)
        return out
    total = np.zeros((len(G), len(X)), np.result_type(G, X, np.float64))
    for j in range(0, G.shape[1], _COLUMNS):
        part = slice(j, j + _COLUMNS)
        total += _wide(G[:, part]) @ _wide(X[:, part]).conj().T
    return total


def window_combine(G: Array, C: Array, alpha: float, X: Array, block: int | None = None) -> Array:
    """``alpha X + C.T @ G`` of X (k, d) and C (m, k) in float64, rounded once to the dtype of X.

    With `block` C is (blocks, m, k), each for so many columns. Rows of G and X are contiguous; those of G may
    be float16 or the bits of bfloat16.
    """
    out = np.empty(X.shape, X.dtype)
    if len(X) and block is None:
        _combine(G, C, alpha, X, out)
    elif len(X):
        for part, c in zip(blocks_of(X.shape[1], block), C, strict=True):
            _combine(G[:, part], c, alpha, X[:, part], out[:, part])
    return out


def gathered_dots(A: Array, index: Array, x: Array) -> Array:
    """``A[index] @ x`` in float64, of rows where they lie; x (d,) has the dtype of A, float32 or float64."""
    out = np.empty(len(index))
    _core.gathered_dots(A, index, x, out)
    return out


def gathered_combine(A: Array, index: Array, c: Array) -> Array:
    """``c @ A[index]`` in float64, of rows where they lie; c is float64."""
    out = np.empty(A.shape[1])
    _core.gathered_combine(A, index, c, out)
    return out


def _combine(G: Array, C: Array, alpha: float, X: Array, out: Array) -> None:
    if is_compiled(G, X) and C.dtype == np.float64:
        _core.window_combine(G, C, alpha, X, out)
        return
    narrow = _narrow(G, X)
    if narrow:
        getattr(_core, f"window_combine_{narrow}")(G.view(np.uint16), C, alpha, X, out)
        return
    for j in range(0, G.shape[1], _COLUMNS):
        part = slice(j, j + _COLUMNS)
        out[:, part] = alpha * _wide(X[:, part]) + C.T @ _wide(G[:, part])

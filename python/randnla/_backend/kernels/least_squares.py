# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What least squares by refinement reads of a tall matrix, in one sweep over its rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from randnla import _core
from randnla._backend.device import is_device
from randnla._backend.kernels import device_least_squares
from randnla._backend.kernels.dense import Array, is_compiled, matmul

# Right-hand sides of one sweep: each thread holds sums of its own for all of them.
COLUMNS = 64
_BLOCK = 1 << 18  # entries that NumPy converts at a time


def sweep(
    A: Array,
    b: Array | None,
    x: Array,
    *,
    gram: bool = False,
    P: Array | None = None,
    upper: bool = False,
    residual: Array | None = None,
) -> tuple[Array, Array, Array | None]:
    """``A^H (b - A x)``, the sums of squares of the columns of ``b - A x``, and a Gram matrix.

    Parameters
    ----------
    A : (m, n) array, any layout and dtype
    b, x : (m, k) and (n, k) arrays of float64 or complex128
        None stands for b = 0.
    gram : bool
        Whether ``(A P)^H (A P)`` is wanted.
    P : (n, r) array, optional
        None: the identity. For real A, products of A P are formed in float64, and theirs in float32, which
        suffices where A P is well conditioned.
    upper : bool
        P is upper triangular.
    residual : (m, k) array, optional
        Receives ``b - A x``, which is held block by block only otherwise.

    Returns
    -------
    (n, k) array, (k,) array, (r, r) array or None
        In float64 and complex128. The bits do not depend on the number of threads where A is real.
    """
    if is_device(A):
        return device_least_squares.sweep(A, b, x, gram=gram, P=P, residual=residual)
    if b is None:
        b = np.zeros((A.shape[0], x.shape[1]), x.dtype)
    if not is_compiled(A):
        return _in_numpy(A, b, x, P, residual, gram=gram)
    if b.dtype.kind == "c" or x.dtype.kind == "c":
        return _by_parts(A, b, x, residual, gram=gram, P=P, upper=upper)
    n, k = x.shape
    empty = np.zeros((0, 0))
    factor = empty if P is None else np.ascontiguousarray(P)
    order = 0 if not gram else n if P is None else factor.shape[1]
    G = np.zeros((order, order))
    gradient, squares = np.zeros((n, k)), np.zeros(k)
    for start in range(0, max(k, 1), COLUMNS):
        part = slice(start, min(k, start + COLUMNS))
        first = start == 0
        kept = empty if residual is None else residual[:, part]
        _core.sweep(
            A, b[:, part], np.ascontiguousarray(x[:, part]), gradient[:, part], squares[part], kept,
            factor if first else empty, upper, G if first else empty,
        )  # fmt: skip
    return gradient, squares, G if gram else None


def _by_parts(
    A: Array, b: Array, x: Array, residual: Array | None, **wanted: Any
) -> tuple[Array, Array, Array | None]:
    """Of a real A the parts of a column are two columns."""
    k = b.shape[1]
    held = None if residual is None else np.empty((len(residual), 2 * k))
    g, squares, G = sweep(A, _parts(b), _parts(x), residual=held, **wanted)
    if residual is not None and held is not None:
        residual[...] = held[:, :k] + 1j * held[:, k:]
    return g[:, :k] + 1j * g[:, k:], squares[:k] + squares[k:], G


def _parts(columns: Array) -> Array:
    return np.concatenate([columns.real, columns.imag], axis=1)


def _in_numpy(
    A: Array, b: Array, x: Array, P: Array | None, residual: Array | None, *, gram: bool
) -> tuple[Array, Array, Array | None]:
    """Complex matrices and other dtypes, a converted block of rows at a time."""
    wide = np.result_type(A.dtype, b.dtype, np.float64)
    n, k = x.shape
    order = n if P is None else P.shape[1]
    gradient, squares = np.zeros((n, k), wide), np.zeros(k)
    G = np.zeros((order, order), wide) if gram else None
    step = max(1, _BLOCK // max(1, n))
    for start in range(0, A.shape[0], step):
        block = A[start : start + step].astype(wide)
        r = b[start : start + step] - matmul(block, x)
        squares += (np.abs(r) ** 2).sum(axis=0)
        gradient += matmul(block.conj().T, r)
        if residual is not None:
            residual[start : start + step] = r
        if G is not None:
            Y = block if P is None else matmul(block, P)
            G += matmul(Y.conj().T, Y)
    return gradient, squares, G

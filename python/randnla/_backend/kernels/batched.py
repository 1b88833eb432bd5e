# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Cholesky factors, inverses and solves of many small symmetric positive definite matrices.

The core works on a register of matrices at a time, one a lane. Damping is added to a copy of the
diagonal, never to what the caller holds. A matrix that is not positive definite gets ``info[i] > 0`` and a
result of NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla import _core
from randnla._backend.kernels.dense import Array

Info = NDArray[np.int32]


def _is_compiled(*arrays: Array) -> bool:
    first = arrays[0].dtype
    return first in (np.dtype(np.float32), np.dtype(np.float64)) and all(
        a.dtype == first and a.dtype.isnative and a.flags.aligned for a in arrays
    )


def _shifts(damping: Any, count: int) -> NDArray[np.float64]:
    shift = np.ascontiguousarray(np.atleast_1d(damping), np.float64)
    return shift if shift.size == count or shift.size == 1 else np.broadcast_to(shift, (count,)).copy()


def batched_cholesky(A: Array, damping: Any = 0.0, *, wide: bool = False) -> tuple[Array, Info]:
    """Lower factors of ``A[i] + damping[i] I``, shape (batch, b, b), and info.

    Parameters
    ----------
    A : (batch, b, b) array
        The lower triangles are read.
    damping : float or (batch,) array
    wide : bool
        Compute float32 in float64.

    Returns
    -------
    (batch, b, b) array
    (batch,) array of int32
        0, or 1 + the index of the first pivot that is not positive.
    """
    return _factorize(A, damping, wide=wide, inverse=False)


def batched_inverse(A: Array, damping: Any = 0.0, *, wide: bool = False) -> tuple[Array, Info]:
    """``(A[i] + damping[i] I)^-1``, symmetric to the bit; else as `batched_cholesky`."""
    return _factorize(A, damping, wide=wide, inverse=True)


def _factorize(A: Array, damping: Any, *, wide: bool, inverse: bool) -> tuple[Array, Info]:
    info = np.zeros(len(A), np.int32)
    shift = _shifts(damping, len(A))
    out = np.empty(A.shape, A.dtype)
    if _is_compiled(A):
        run = _core.batched_inverse if inverse else _core.batched_cholesky
        run(A, shift, out, info, wide)
        return out, info
    for i, L in _generic_factors(A, shift, info):
        out[i] = np.nan if L is None else np.linalg.inv(L).conj().T @ np.linalg.inv(L) if inverse else L
    return out, info


def batched_solve(A: Array, B: Array, damping: Any = 0.0, *, wide: bool = False) -> tuple[Array, Info]:
    """``(A[i] + damping[i] I)^-1 B[i]`` for B (batch, b, k); else as `batched_cholesky`."""
    info = np.zeros(len(A), np.int32)
    shift = _shifts(damping, len(A))
    out = np.empty(B.shape, np.result_type(A, B))
    if _is_compiled(A, B):
        _core.batched_solve(A, shift, B, out, info, wide)
        return out, info
    for i, L in _generic_factors(A, shift, info):
        out[i] = np.nan if L is None else np.linalg.solve(L.conj().T, np.linalg.solve(L, B[i]))
    return out, info


def ragged_cholesky(
    matrices: Sequence[Array], damping: Any = 0.0, *, wide: bool = False
) -> tuple[list[Array], Info]:
    """`batched_cholesky` of matrices of any orders: those of one order and dtype are a batch.

    Parameters
    ----------
    matrices : sequence of (b, b) arrays
    damping : float or array of as many numbers
    wide : bool

    Returns
    -------
    list of (b, b) arrays, array of int32
        In the order given.
    """
    return _by_order(batched_cholesky, matrices, damping, wide=wide)


def ragged_inverse(
    matrices: Sequence[Array], damping: Any = 0.0, *, wide: bool = False
) -> tuple[list[Array], Info]:
    """`batched_inverse` of matrices of any orders; else as `ragged_cholesky`."""
    return _by_order(batched_inverse, matrices, damping, wide=wide)


def ragged_solve(
    matrices: Sequence[Array], sides: Sequence[Array], damping: Any = 0.0, *, wide: bool = False
) -> tuple[list[Array], Info]:
    """`batched_solve` of matrices of any orders, each with its (b, k) right-hand sides."""
    return _by_order(batched_solve, matrices, damping, sides, wide=wide)


def _by_order(
    run: Callable[..., tuple[Array, Info]],
    matrices: Sequence[Array],
    damping: Any,
    sides: Sequence[Array] | None = None,
    *,
    wide: bool,
) -> tuple[list[Array], Info]:
    groups: dict[Any, list[int]] = {}
    for i, A in enumerate(matrices):
        key = (A.shape, A.dtype, None if sides is None else (sides[i].shape, sides[i].dtype))
        groups.setdefault(key, []).append(i)
    shifts = np.broadcast_to(np.asarray(damping, np.float64), (len(matrices),))
    results: list[Any] = [None] * len(matrices)
    info = np.zeros(len(matrices), np.int32)
    for members in groups.values():
        batches = [np.stack([stack[i] for i in members]) for stack in (matrices, sides) if stack is not None]
        done, info[members] = run(*batches, shifts[members], wide=wide)
        for i, result in zip(members, done, strict=True):
            results[i] = result
    return results, info


def _generic_factors(A: Array, shift: NDArray[np.float64], info: Info) -> Any:
    """Pairs (i, lower factor or None), filling `info`; matrix by matrix, in NumPy."""
    for i in range(len(A)):
        lower = np.tril(A[i])
        X = lower + np.tril(lower, -1).conj().T + shift[i % shift.size] * np.eye(A.shape[1], dtype=A.dtype)
        if not np.isfinite(X).all():
            info[i] = 1
            yield i, None
            continue
        try:
            yield i, np.linalg.cholesky(X)
        except np.linalg.LinAlgError:
            info[i] = 1
            yield i, None

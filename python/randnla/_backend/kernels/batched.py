# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Cholesky factors, inverses and solves of many small symmetric positive definite matrices.

The core works on a register of matrices at a time, one a lane. Damping is added to a copy of the
diagonal, never to what the caller holds. A matrix that is not positive definite, or whose result is beyond
the range of its dtype, gets ``info[i] > 0`` and a result of NaN. Integers are computed with in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from randnla import _core
from randnla._backend import validate
from randnla._backend.kernels.dense import Array

Info = NDArray[np.int32]


def _is_compiled(*arrays: Array) -> bool:
    first = arrays[0].dtype
    return first in (np.dtype(np.float32), np.dtype(np.float64)) and all(
        a.dtype == first and a.dtype.isnative and a.flags.aligned for a in arrays
    )


def _numbers(A: Array, name: str) -> Array:
    """A in a dtype that is computed with; one that is stays as it lies in memory."""
    dtype = validate.working_dtype(A.dtype, name=name)
    return A if A.dtype.newbyteorder("=") == dtype else A.astype(dtype)


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
        0; 1 + the index of the first pivot that is not positive and finite; or 1 + b where the result is
        beyond the range of the dtype.

    Raises
    ------
    InputError
        A holds no numbers of a supported dtype.
    """
    return _factorize(A, damping, wide=wide, inverse=False)


def batched_inverse(A: Array, damping: Any = 0.0, *, wide: bool = False) -> tuple[Array, Info]:
    """``(A[i] + damping[i] I)^-1``, symmetric to the bit; else as `batched_cholesky`."""
    return _factorize(A, damping, wide=wide, inverse=True)


def _factorize(A: Array, damping: Any, *, wide: bool, inverse: bool) -> tuple[Array, Info]:
    A = _numbers(A, "A")
    info = np.zeros(len(A), np.int32)
    shift = _shifts(damping, len(A))
    out = np.empty(A.shape, A.dtype)
    if _is_compiled(A):
        run = _core.batched_inverse if inverse else _core.batched_cholesky
        run(A, shift, out, info, wide)
        return out, info
    for i, L in _generic_factors(A, shift, info):
        if L is None:
            out[i] = np.nan
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            half = np.linalg.inv(L) if inverse else L
            out[i] = half.conj().T @ half if inverse else L
        _refuse_beyond(out, i, info, A.shape[1])
    return out, info


def batched_solve(A: Array, B: Array, damping: Any = 0.0, *, wide: bool = False) -> tuple[Array, Info]:
    """``(A[i] + damping[i] I)^-1 B[i]`` for B (batch, b, k); else as `batched_cholesky`.

    NaN and Inf in B come out as they do and are not reported.
    """
    A, B = _numbers(A, "A"), _numbers(B, "B")
    info = np.zeros(len(A), np.int32)
    shift = _shifts(damping, len(A))
    out = np.empty(B.shape, np.result_type(A, B))
    if _is_compiled(A, B):
        _core.batched_solve(A, shift, B, out, info, wide)
        return out, info
    for i, L in _generic_factors(A, shift, info):
        if L is None:
            out[i] = np.nan
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            out[i] = np.linalg.solve(L.conj().T, np.linalg.solve(L, B[i]))
        if np.isfinite(B[i]).all():
            _refuse_beyond(out, i, info, A.shape[1])
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
    """Pairs (i, lower factor or None), filling `info`; matrix by matrix, in LAPACK."""
    b = A.shape[1]
    for i in range(len(A)):
        lower = np.tril(A[i].astype(A.dtype.newbyteorder("="), copy=False))
        X = lower + np.tril(lower, -1).conj().T + shift[i % shift.size] * np.eye(b, dtype=lower.dtype)
        # LAPACK passes over NaN: the first row that holds one loses its pivot, if none is lost before.
        bad = np.flatnonzero(~np.isfinite(np.tril(X)).all(axis=1))
        sound = int(bad[0]) if bad.size else b
        (potrf,) = scipy.linalg.get_lapack_funcs(("potrf",), (X,))
        L, info[i] = potrf(X[:sound, :sound], lower=1, clean=1) if sound else (X[:0, :0], 0)
        if not info[i] and bad.size:
            info[i] = sound + 1
        yield i, None if info[i] else L


def _refuse_beyond(out: Array, i: int, info: Info, order: int) -> None:
    """A result that its dtype does not hold is a failure of the matrix."""
    if not np.isfinite(out[i]).all():
        out[i], info[i] = np.nan, order + 1

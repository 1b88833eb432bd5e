# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Products by exact sums of integers: the same bits on every instruction set."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from randnla import _core

Real = NDArray[Any]


def apply_sign_map(
    A: Real,
    out: Real,
    *,
    seed: int,
    stream: int,
    row_start: int = 0,
    col_start: int = 0,
    scale: float = 1.0,
    adjoint: bool = False,
) -> Real:
    """Multiply a block S of a float32 sign map, or its transpose, into a matrix, in fixed point.

    Parameters
    ----------
    A : ndarray of float32, 2-D, any strides
    out : ndarray of float32, any strides, ``out.shape[1] == A.shape[1]``
        Receives ``S @ A`` with S of shape ``(out.shape[0], A.shape[0])``, or ``S.T @ A`` with S of shape
        ``(A.shape[0], out.shape[0])`` if `adjoint`; it must not overlap `A`.
    seed, stream, row_start, col_start, scale
        As for `randnla._backend.kernels.streams.fill_dense_map`: S is what it would write.
    adjoint : bool
        Multiply by the transpose.

    Returns
    -------
    out : ndarray

    Raises
    ------
    InputError
        If the arrays do not fit or an index is too large.

    Notes
    -----
    *Algorithm*: 256 rows at a time (counted in the whole map), a column becomes integers of 24 bits times
    a power of two, and these three balanced bytes; signs times bytes are summed in int32 without rounding,
    on AMX tiles, by AVX512-VNNI, AVX2 or SSE. An entry of A is represented to ``2**-23 * 1.004`` of the
    largest magnitude in its column and block, and one block's sum is rounded once and added in float32.
    A column that holds NaN or Inf gives NaN. Bits depend on the arguments alone (csrc/DevNotes.md).

    *Cost*: 6 d m n operations on bytes; some 3 MB of scratch a thread.
    """
    _core.apply_sign_map(
        A,
        out,
        seed=seed,
        stream=stream,
        row_start=row_start,
        col_start=col_start,
        scale=scale,
        adjoint=adjoint,
    )
    return out

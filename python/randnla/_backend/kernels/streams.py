# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Random numbers and dense random maps."""

from __future__ import annotations

from typing import Any, Final, Literal, Required, TypedDict

import numpy as np
from numpy.typing import NDArray

from randnla import _core
from randnla._backend.kernels import device_maps

Real = NDArray[Any]
DenseKind = Literal["gaussian", "sign"]

STREAM_VERSION: Final = int(_core.stream_version)

# What a stream of numbers is for: part of the stream contract (csrc/DevNotes.md).
KINDS: Final = {
    "bits": 0,
    "gaussian": 1,
    "sign": 2,
    "sparse_sign": 3,
    "countsketch": 4,
    "trig_signs": 5,
    "trig_rows": 6,
    "row_sampling": 7,
    "leverage": 8,
    "pivots": 9,
    "entries": 10,
    "khatri_rao": 11,
    "tensor_sketch": 12,
}


def stream_key(*, kind: str, seed: int, stream: int, element_bits: int) -> tuple[int, int]:
    """The two 32-bit key words of a stream; `element_bits` is 32 or 64."""
    k0, k1 = _core.stream_key(kind=KINDS[kind], seed=seed, stream=stream, element_bits=element_bits)
    return int(k0), int(k1)


def random_words(out: Real, *, kind: str, seed: int, stream: int, row: int, start: int) -> Real:
    """Random words of one row of a 32-bit stream, in the column order of the float32 Gaussian.

    Parameters
    ----------
    out : ndarray of uint32, contiguous
        Receives words start .. start + len(out) - 1.
    kind : str
        A key of `KINDS`.
    seed, stream, row, start : int
        `seed` and `stream` below 2**64; `row` below 2**64, ``start + len(out)`` at most 2**63 - 1.

    Returns
    -------
    out : ndarray

    Raises
    ------
    InputError
        If `out` is of another type or the range passes 2**63.
    """
    _core.random_words(out, kind=KINDS[kind], seed=seed, stream=stream, row=row, start=start)
    return out


class Block(TypedDict, total=False):
    """Which block of which map, and times what: arguments of `fill_dense_map`."""

    seed: Required[int]
    stream: Required[int]
    row_start: int
    col_start: int
    scale: float


def fill_dense_map(
    out: Real,
    *,
    kind: DenseKind,
    seed: int,
    stream: int,
    row_start: int = 0,
    col_start: int = 0,
    scale: float = 1.0,
) -> Real:
    """Write a block of a dense random map.

    Parameters
    ----------
    out : ndarray of float32 or float64, 2-D, any strides
        ``out[i, j] = scale * entry(row_start + i, col_start + j)``; its type picks the stream.
    kind : {"gaussian", "sign"}
    seed, stream : int
        Below 2**64.
    row_start, col_start : int
        Nonnegative; no index of the block may reach 2**63.
    scale : float
        Rounded to the type of `out`; the product is one further rounding.

    Returns
    -------
    out : ndarray

    Raises
    ------
    InputError
        If `out` is not such an array or an index is too large.

    Notes
    -----
    *Algorithm*: Philox4x32-10 (Salmon et al., 2011) and Box-Muller by polynomials of IEEE basic
    operations. The bits depend on the arguments alone: not on threads, instruction set or layout.

    *Cost*: one pass over `out`, no memory beyond a few kilobytes a thread.
    """
    fill = _core.fill_dense_map if isinstance(out, np.ndarray) else device_maps.fill_dense_map
    fill(
        out,
        kind=KINDS[kind],
        seed=seed,
        stream=stream,
        row_start=row_start,
        col_start=col_start,
        scale=scale,
    )
    return out


def apply_dense_map(
    A: Real,
    out: Real,
    *,
    kind: DenseKind,
    seed: int,
    stream: int,
    row_start: int = 0,
    col_start: int = 0,
    scale: float = 1.0,
    adjoint: bool = False,
) -> Real:
    """Multiply a block S of a dense random map, or its transpose, into a matrix.

    Parameters
    ----------
    A : ndarray of float32 or float64, 2-D, any strides
        Its type picks the stream.
    out : ndarray of the type of `A`, any strides, ``out.shape[1] == A.shape[1]``
        Receives ``S @ A`` with S of shape ``(out.shape[0], A.shape[0])``, or ``S.T @ A`` with S of shape
        ``(A.shape[0], out.shape[0])`` if `adjoint`; it must not overlap `A`.
    kind, seed, stream, row_start, col_start, scale
        As for `fill_dense_map`: S is what it would write.
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
    *Algorithm*: S is generated in panels that stay in the caches and multiplied by the BLAS; the team
    shares the rows of the result, its columns, or the sum, whichever the shape favors. Agrees with the
    plain product to rounding; the last bits may depend on the number of threads.

    *Cost*: 2 d m n flops, d m random numbers, 24 MB of scratch at most.
    """
    apply = _core.apply_dense_map if isinstance(A, np.ndarray) else device_maps.apply_dense_map
    apply(
        A,
        out,
        kind=KINDS[kind],
        seed=seed,
        stream=stream,
        row_start=row_start,
        col_start=col_start,
        scale=scale,
        adjoint=adjoint,
    )
    return out

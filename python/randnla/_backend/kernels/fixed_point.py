# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Products by exact sums of integers: the same bits on every instruction set."""

from __future__ import annotations

from typing import Any, Unpack

from numpy.typing import NDArray

from randnla import _core
from randnla._backend.device import is_device
from randnla._backend.kernels import device_maps
from randnla._backend.kernels.streams import KINDS, Block

Real = NDArray[Any]


def apply_sign_map(A: Real, out: Real, *, adjoint: bool = False, **block: Unpack[Block]) -> Real:
    """Multiply a block S of a float32 sign map, or its transpose, into a matrix, in fixed point.

    Parameters
    ----------
    A, out, adjoint
        As for `randnla._backend.kernels.streams.apply_dense_map`, of float32.
    **block
        ``seed``, ``stream`` and, as needed, ``row_start``, ``col_start`` and ``scale``, as for
        `randnla._backend.kernels.streams.fill_dense_map`: S is what it would write.

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
    on AMX tiles, or looked up in tables. An entry of A is represented to ``2**-23 * 1.004`` of the
    largest magnitude in its column and block, and one block's sum is rounded once and added in float32.
    A column that holds NaN or Inf gives NaN. Bits depend on the arguments alone (csrc/DevNotes.md).

    *Cost*: 6 d m n operations on bytes; some 3 MB of scratch a thread.
    """
    if is_device(A):
        device_maps.apply_sign_map(A, out, kind=KINDS["sign"], adjoint=adjoint, **block)
    else:
        _core.apply_sign_map(A, out, adjoint=adjoint, **block)
    return out


def multiply(A: Real, B: Real, out: Real, *, slices: int = 3) -> Real:
    """Multiply two float32 matrices in fixed point, keeping the upper two or three bytes of each entry.

    Parameters
    ----------
    A : ndarray of float32, (m, k), any strides
    B : ndarray of float32, (k, n), any strides
    out : ndarray of float32, (m, n), any strides
        Receives ``A @ B``; it must overlap neither.
    slices : {2, 3}
        Bytes of each entry that count.

    Returns
    -------
    out : ndarray

    Raises
    ------
    InputError
        If the arrays do not fit, their dtype is not float32 or `slices` is neither 2 nor 3.

    Notes
    -----
    *Algorithm*: 256 terms of the inner sum at a time, a row of A and a column of B become integers of 24
    bits times a power of two, as in `apply_sign_map`. Products of their bytes are summed without rounding:
    with two slices the products of the upper 16 bits, with three in addition those of the highest byte of
    one and the lowest of the other. A block's sum is added in float64 and the last one rounded to float32.
    Bits depend on the arguments alone (csrc/DevNotes.md). A row or column that holds NaN or Inf gives NaN.

    *Error*: each of 256 products of a block is off by at most ``2**-14 * 1.02`` (two slices) or ``2**-20``
    (three; some ``2**-23`` where digits are random) of the largest magnitudes in its row and column there.

    *Cost*: 2 m k n operations on 16-bit integers (three slices: 4 m k n), and 15 MB of scratch.
    """
    _core.fixed_point_product(A, B, out, slices=slices)
    return out


def gram(A: Real, out: Real, *, slices: int = 3) -> Real:
    """Multiply a float32 matrix by its transpose from the left, in fixed point.

    Parameters
    ----------
    A : ndarray of float32, (m, n), any strides
    out : ndarray of float32, (n, n), any strides
        Receives ``A.T @ A``, exactly symmetric, with the bits of ``multiply(A.T, A)``.
    slices : {2, 3}
        As for `multiply`, whose error it has, at half the cost.

    Returns
    -------
    out : ndarray

    Raises
    ------
    InputError
        If the arrays do not fit, their dtype is not float32 or `slices` is neither 2 nor 3.
    """
    _core.fixed_point_gram(A, out, slices=slices)
    return out

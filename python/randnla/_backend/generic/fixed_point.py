# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Oracle of ``kernels.fixed_point``: the contract of csrc/DevNotes.md in plain NumPy, to the last bit."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend.generic import streams

Array = NDArray[Any]
f4, i4, u4 = np.float32, np.int32, np.uint32

BLOCK_ROWS = 256
FRACTION_BITS = 22


def quantize(X: Array) -> tuple[Array, Array, Array]:
    """Integers of 24 bits, exponents and finiteness of the columns of one block of float32 rows.

    Column j of a finite X is ``ldexp(q[:, j], e[j] - 22)`` up to half a unit, and each integer fits into
    three balanced bytes.
    """
    top = (np.ascontiguousarray(X).view(u4) & u4(0x7FFFFFFF)).max(axis=0, initial=0)
    finite = top < 0x7F800000
    e = np.maximum((top + u4(0x10101)) >> u4(23), u4(1)).astype(i4) - i4(127)
    wide = np.where(finite, X, f4(0)).astype(np.float64)
    q = np.rint(np.ldexp(wide, FRACTION_BITS - e)).astype(np.int64)
    return q, e, finite


def cut(q: Array) -> Array:
    """The three balanced bytes of integers, the highest first: ``q = 65536 s0 + 256 s1 + s2``."""
    b = (q + 0x808080) ^ 0x808080
    return np.stack([b >> 16, b >> 8, b]).astype(np.int8)


def blocks(start: int, rows: int) -> list[tuple[int, int]]:
    """Cuts of rows at multiples of 256 in the numbering that begins at `start`."""
    cuts = [0, *range(BLOCK_ROWS - start % BLOCK_ROWS, rows, BLOCK_ROWS), rows]
    return list(itertools.pairwise(cuts)) if rows else []


def sign_product(P: Array, A: Array, *, start: int, scale: float) -> Array:
    """``scale * P @ A`` for a matrix of signs (integers) and a float32 A; blocks begin at `start`."""
    rounded = f4(scale)
    p = math.frexp(float(rounded))[1] - 1 if rounded != 0 and np.isfinite(rounded) else 0
    sums = np.zeros((P.shape[0], A.shape[1]), f4)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for k0, k1 in blocks(start, A.shape[0]):
            q, e, finite = quantize(A[k0:k1])
            total = (P[:, k0:k1].astype(np.int64) @ q).astype(f4)
            # One rounding at most: the double holds the product.
            term = np.ldexp(total.astype(np.float64), e + p - FRACTION_BITS).astype(f4)
            term[:, ~finite] = np.nan
            sums += term
        return f4(math.ldexp(float(rounded), -p)) * sums


def apply_sign_map(
    A: Array,
    out: Array,
    *,
    seed: int,
    stream: int,
    row_start: int = 0,
    col_start: int = 0,
    scale: float = 1.0,
    adjoint: bool = False,
) -> Array:
    """Multiply a block S of a float32 sign map, or its transpose, into a float32 matrix."""
    shape = (A.shape[0], out.shape[0]) if adjoint else (out.shape[0], A.shape[0])
    S = streams.fill_dense_map(
        np.empty(shape, f4), kind="sign", seed=seed, stream=stream, row_start=row_start, col_start=col_start
    ).astype(np.int64)
    start = row_start if adjoint else col_start
    out[...] = sign_product(S.T if adjoint else S, A, start=start, scale=scale)
    return out


def multiply(A: Array, B: Array, out: Array, *, slices: int = 3) -> Array:
    """Multiply two float32 matrices by the upper two or three bytes of their integers."""
    sums = np.zeros(out.shape)
    for k0, k1 in blocks(0, B.shape[0]):
        (p, e, fine), (q, f, good) = quantize(A[:, k0:k1].T), quantize(B[k0:k1])
        s, t = (cut(x).astype(np.int64) for x in (p, q))
        total = (256 * s[0] + s[1]).T @ (256 * t[0] + t[1])
        if slices == 3:
            total += s[0].T @ t[2] + s[2].T @ t[0]
        term = np.ldexp(total.astype(np.float64), np.add.outer(e, f) + 2 * (8 - FRACTION_BITS))
        term[~fine] = term[:, ~good] = np.nan
        sums += term
    with np.errstate(over="ignore"):
        out[...] = sums
    return out


def gram(A: Array, out: Array, *, slices: int = 3) -> Array:
    """Multiply a float32 matrix by its transpose from the left."""
    return multiply(A.T, A, out, slices=slices)

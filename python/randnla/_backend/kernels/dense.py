# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Plain dense kernels: products, Gram matrices, and the screening pass every driver starts from."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla import _core
from randnla._backend import validate
from randnla._backend.device import is_device
from randnla._backend.kernels import device_dense

Array = NDArray[Any]

# Multiply-adds of one call of NumPy, which answers no Ctrl-C: .04 s of complex128 on a core of 60 Gflop/s.
CALL_SIZE = 1 << 28

_REAL = (np.dtype(np.float32), np.dtype(np.float64))


def is_compiled(*arrays: Array) -> bool:
    """True where the compiled core takes these arrays: one native real dtype, aligned, two axes."""
    first = arrays[0].dtype
    if first not in _REAL:
        return False
    for a in arrays:  # a generator costs a tenth of a small call
        if a.dtype != first or not a.dtype.isnative or a.ndim != 2 or not a.flags.aligned:
            return False
    return True


def gemm(A: Array, B: Array, out: Array | None = None, *, alpha: float = 1.0, beta: float = 0.0) -> Array:
    """``alpha A @ B + beta out`` for any layout, on the thread team.

    Parameters
    ----------
    A : (m, k) array
    B : (k, n) array
    out : (m, n) array, optional
        Overwritten and returned. With ``beta=0`` what it held does not matter.
    alpha, beta : float
        Factors of the product and of what `out` held.

    Returns
    -------
    (m, n) array
        Real float32 and float64 pairs run in the compiled core; complex and mixed pairs in NumPy.

    Raises
    ------
    InputError
        `out` shares memory with `A` or `B`.
    """
    if is_device(A) or is_device(B):
        result: Array = device_dense.gemm(A, B, out, alpha=alpha, beta=beta)
        return result
    if out is None:
        out = np.empty((A.shape[0], B.shape[1]), np.result_type(A, B))
        beta = 0.0
    else:
        validate.require_disjoint(out, A, B)
    if is_compiled(A, B, out):
        _core.gemm(A, B, out, alpha, beta)
        return out
    product = matmul(A, B)
    if alpha != 1.0:
        product *= alpha
    if beta == 0.0:
        out[...] = product
    else:
        out *= beta
        out += product
    return out


def matmul(A: Array, B: Array, out: Array | None = None) -> Array:
    """``A @ B`` of two matrices in NumPy, in blocks: Ctrl-C is answered between NumPy's calls only."""
    (m, k), n = A.shape, B.shape[1]
    if m * k * n <= CALL_SIZE:
        return np.matmul(A, B, out=out)
    if out is None:
        out = np.empty((m, n), np.result_type(A, B))
    least = 256  # shorter sides would not fill the caches
    rows = min(m, max(least, CALL_SIZE // (k * n)))
    columns = min(n, max(least, CALL_SIZE // (k * rows)))
    depth = min(k, max(least, CALL_SIZE // (rows * columns)))
    for i, j in itertools.product(range(0, m, rows), range(0, n, columns)):
        block = out[i : i + rows, j : j + columns]
        for p in range(0, k, depth):
            term = A[i : i + rows, p : p + depth] @ B[p : p + depth, j : j + columns]
            if p == 0:
                block[...] = term
            else:
                block += term
    return out


def gram(Y: Array, *, wide: bool = False) -> Array:
    """``Y^H Y`` (n x n) of a tall `Y`; `wide` sums float32 in float64 and returns float64.

    Of a block on a GPU, which is always in float64, on the host.
    """
    if is_device(Y):
        return device_dense.gram(Y)
    if is_compiled(Y):
        result: Array = _core.gram(Y, wide)
        return result
    if wide and Y.dtype == np.complex64:
        Y = Y.astype(np.complex128)
    return matmul(Y.conj().T, Y)


def moments(A: Array, point: Array | None = None, *, wide: bool = False) -> tuple[Array, Array]:
    """``(A - 1 p^T)^H (A - 1 p^T)`` and the column sums of ``A - 1 p^T``, in one pass.

    Parameters
    ----------
    A : (m, n) array
        Any layout; real float32 and float64 run in the compiled core, all else in NumPy.
    point : (n,) array, optional
        The point p, of the dtype of `A`; the origin unless given.
    wide : bool
        Multiply float32 in float64. Otherwise up to 8192 rows are summed in float32, and these sums
        in float64: an error of a few units of float32 rounding of the trace at half the cost.

    Returns
    -------
    (n, n) array, (n,) array
        In float64 (complex128).
    """
    if is_compiled(A):
        shift = None if point is None else np.ascontiguousarray(point, A.dtype)
        gram_matrix, sums = _core.moments(A, shift, wide)
        return gram_matrix, sums
    dtype = np.result_type(A.dtype, np.float64)
    n = A.shape[1]
    total, sums = np.zeros((n, n), dtype), np.zeros(n, dtype)
    step = _block_shape(A.shape)[0]
    for i in range(0, A.shape[0], step):
        X = A[i : i + step].astype(dtype)
        if point is not None:
            X -= point
        total += matmul(X.conj().T, X)
        sums += X.sum(axis=0)
    return total, sums


@dataclass(frozen=True)
class Screen:
    """What one pass over a matrix tells.

    Attributes
    ----------
    sum_squares : float
        Sum of the squares of ``2**-exponent * A``, in float64.
    exponent : int
        0 while the largest magnitude lies in [2^-400, 2^400]. A power of two times A changes
        nothing but this number and `max_abs`, or scales `sum_squares` exactly.
    max_abs : float
        The largest magnitude, of real and imaginary parts where A is complex.
    finite : bool
        Whether no entry is NaN or infinite.
    """

    sum_squares: float
    exponent: int
    max_abs: float
    finite: bool

    @property
    def frobenius_norm(self) -> float:
        """The Frobenius norm, infinity where float64 cannot hold it."""
        try:
            return math.ldexp(math.sqrt(self.sum_squares), self.exponent)
        except OverflowError:
            return math.inf

    def join(self, other: Screen) -> Screen:
        """What one pass over both matrices tells."""
        a, b = self, other
        if a.sum_squares == 0.0 and a.finite:
            a = Screen(0.0, b.exponent, a.max_abs, True)
        if b.sum_squares == 0.0 and b.finite:
            b = Screen(0.0, a.exponent, b.max_abs, True)
        exponent = max(a.exponent, b.exponent)
        total = math.ldexp(a.sum_squares, 2 * (a.exponent - exponent))
        total += math.ldexp(b.sum_squares, 2 * (b.exponent - exponent))
        return Screen(total, exponent, max(a.max_abs, b.max_abs), a.finite and b.finite)


NOTHING = Screen(0.0, 0, 0.0, True)
"""What a pass over no entries tells."""


def screen(A: Array) -> Screen:
    """Sum of squares, largest magnitude and finiteness of a matrix of any layout, in one pass.

    Threaded, with bounded memory. The sum never overflows or vanishes silently: where the largest
    magnitude lies outside [2^-400, 2^400] a second pass looks at ``2**-exponent * A``.
    """
    if np.iscomplexobj(A):
        return screen(A.real).join(screen(A.imag))
    if is_compiled(A):
        total, exponent, largest, finite = _core.screen(A)
        return Screen(total, exponent, largest, finite)
    return _screen_converted(A)


def _screen_converted(A: Array) -> Screen:
    """Other real dtypes and unaligned memory, converted block by block."""
    rows, columns = _block_shape(A.shape)
    whole = NOTHING
    for i in range(0, A.shape[0], rows):
        for j in range(0, A.shape[1], columns):
            block = np.ascontiguousarray(A[i : i + rows, j : j + columns], np.float64)
            whole = whole.join(screen(block))
    return whole


def _block_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of a block of at most 2^20 elements."""
    limit = 1 << 20
    columns = min(max(1, shape[1]), limit)
    return max(1, limit // columns), columns


def orient_columns(U: Array, V: Array) -> None:
    """Turn columns of real U, and those of V, in place: the first entry of largest magnitude is positive."""
    _core.orient_columns(U, V)


def first_non_finite(A: Array) -> tuple[int, tuple[int, int] | None]:
    """How many entries are NaN or infinite, and the index of the first in row order."""
    rows, columns = _block_shape(A.shape)
    count = 0
    first: tuple[int, int] | None = None
    for i in range(0, A.shape[0], rows):
        for j in range(0, A.shape[1], columns):
            bad = ~np.isfinite(A[i : i + rows, j : j + columns])
            found = int(np.count_nonzero(bad))
            if found and first is None:
                row, column = np.unravel_index(int(np.argmax(bad)), bad.shape)
                first = (i + int(row), j + int(column))
            count += found
    return count, first

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Products and columns of matrices on the device: `dense` and the drivers hand such arrays on."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from randnla._backend.device import SUFFIXES, is_device, runtime

Real = NDArray[np.float64]


def gemm(A: Any, B: Any, out: Any = None, *, alpha: float = 1.0, beta: float = 0.0) -> Any:
    """As `dense.gemm`; a factor on the host, a small core, is rounded to the dtype of the other and sent."""
    dtype = A.dtype if is_device(A) else B.dtype
    A, B = (X if is_device(X) else runtime().to_device(np.asarray(X, dtype)) for X in (A, B))
    if out is None:
        out, beta = runtime().empty((A.shape[0], B.shape[1]), dtype), 0.0
    count = runtime().extension.multiply_work(A.shape[0], B.shape[1], A.shape[1], dtype.itemsize)
    work = runtime().empty((max(1, count),), dtype)
    weights = runtime().extension.Weights()
    runtime().call("multiply", dtype, alpha, A, B, beta, out, weights, work)
    return out


def summed(rows: int, columns: int, inner: int, itemsize: int) -> int:
    """Products of an entry of a (rows, columns) product that are added up one after the other."""
    return int(runtime().extension.multiply_depth(rows, columns, inner, itemsize))


def combine(
    out: Any, X: Any, alpha: float = 1.0, *, weights: Any = None, beta: float = 0.0, Z: Any = None
) -> Any:
    """``out = alpha X * weights + beta Z`` entry by entry, in float64 and rounded once.

    X and Z, of the dtype of `out`, may each be `out`; `weights` are float64.
    """
    nothing = (0, 0, 0, 0, 0)
    w, z = (nothing if Y is None else Y for Y in (weights, Z))
    runtime().call(f"combine_from{SUFFIXES[X.dtype]}", out.dtype, alpha, X, w, beta, z, out)
    return out


def multiple(X: Any, factor: float = 1.0, dtype: Any = None) -> Any:
    """``factor X`` in new memory, in the order of X."""
    order: Literal["C", "F"] = "F" if X.flags.f_contiguous and not X.flags.c_contiguous else "C"
    return combine(runtime().empty(X.shape, X.dtype if dtype is None else dtype, order), X, factor)


def repeated(x: Any, shape: tuple[int, int], *, rows: bool) -> Any:
    """A view of a vector as that many equal rows, or as equal columns."""
    strides = (0, x.strides[0]) if rows else (x.strides[0], 0)
    return runtime().cupy.ndarray(shape, x.dtype, x.data, strides=strides)


def gram(Q: Any) -> Real:
    """``Q^T Q`` in float64, on the host."""
    n, itemsize = Q.shape[1], Q.itemsize
    out = runtime().empty((n, n), np.float64)
    work = runtime().empty((max(1, runtime().extension.gram_work(*Q.shape, itemsize)),), Q.dtype)
    runtime().call("gram_wide", Q.dtype, 1.0, Q, 0.0, out, work)
    return runtime().to_host(out)


def inner(V: Any, U: Any) -> Real:
    """``V^T U`` in float64, on the host: a core."""
    step = max(1, (1 << 22) // max(1, U.shape[1]))
    out = runtime().empty((V.shape[1], U.shape[1]), np.float64)
    for start in range(0, len(U), step):
        parts = (X[start : start + step] for X in (V, U))
        left, right = (X if X.dtype == np.float64 else multiple(X, dtype=np.float64) for X in parts)
        gemm(left.T, right, out, beta=float(start > 0))
    return runtime().to_host(out)


def column_peaks(X: Any, scale: float = 1.0) -> tuple[Real, Real]:
    """Of every column, on the host: the entry of largest magnitude (the first of equal ones; NaN, if there
    is one) and the sum of squares, both of ``scale X``."""
    peaks, squares, _ = column_statistics(X, scale)
    return peaks, squares


def column_statistics(X: Any, scale: float = 1.0) -> tuple[Real, Real, Real]:
    """`column_peaks`, and the sums of the entries of every column of ``scale X``."""
    m, n = X.shape
    if m == 0 or n == 0:
        return np.zeros(n), np.zeros(n), np.zeros(n)
    out = runtime().empty((3 * n,), np.float64)
    work = runtime().empty((int(runtime().extension.column_peaks_work(m, n)),), np.float64)
    runtime().call("column_peaks", X.dtype, X, scale, out, work)
    peaks, squares, sums = runtime().to_host(out).reshape(3, n)
    return peaks, squares, sums


def scale_columns(X: Any, factors: Any) -> None:
    """``X[:, j] *= factors[j]`` in place; one number stands for all columns."""
    if np.ndim(factors) == 0:
        combine(X, X, float(factors))
        return
    values = runtime().to_device(np.asarray(factors, np.float64))
    combine(X, X, weights=repeated(values, X.shape, rows=True))

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Products and columns of matrices on the device: `dense` and the drivers hand such arrays on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend.device import is_device, runtime

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


def multiple(X: Any, factor: float = 1.0) -> Any:
    """``factor X`` in new memory, for a block of few columns."""
    return gemm(X, factor * np.eye(X.shape[1]))


def gram(Q: Any) -> Real:
    """``Q^T Q`` in float64, on the host."""
    n, itemsize = Q.shape[1], Q.itemsize
    out = runtime().empty((n, n), np.float64)
    work = runtime().empty((max(1, runtime().extension.gram_work(*Q.shape, itemsize)),), Q.dtype)
    runtime().call("gram_wide", Q.dtype, 1.0, Q, 0.0, out, work)
    return runtime().to_host(out)


def column_peaks(X: Any, scale: float = 1.0) -> tuple[Real, Real]:
    """Of every column, on the host: the entry of largest magnitude (the first of equal ones; NaN, if there
    is one) and the sum of squares, both of ``scale X``."""
    m, n = X.shape
    if m == 0 or n == 0:
        return np.zeros(n), np.zeros(n)
    out = runtime().empty((2 * n,), np.float64)
    work = runtime().empty((int(runtime().extension.column_peaks_work(m, n)),), np.float64)
    runtime().call("column_peaks", X.dtype, X, scale, out, work)
    peaks, squares = runtime().to_host(out).reshape(2, n)
    return peaks, squares


def scale_columns(X: Any, factors: Any) -> None:
    """``X[:, j] *= factors[j]`` in place; one number stands for all columns."""
    values = np.broadcast_to(np.asarray(factors, np.float64), X.shape[1])
    runtime().call("scale_columns", X.dtype, X, runtime().to_device(values))

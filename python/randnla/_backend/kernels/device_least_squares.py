# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The sweep of least squares on the device: `least_squares.sweep` hands such matrices on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend.device import runtime
from randnla._backend.errors import InputError
from randnla._backend.kernels.device_dense import gemm, multiple

Real = NDArray[np.float64]

BLOCK = 1 << 22  # entries of A that stand in float64 at a time


def sweep(
    A: Any, b: Any, x: Real, *, gram: bool, P: Real | None, residual: Any = None
) -> tuple[Real, Real, Real | None]:
    """As `least_squares.sweep`; A, b (None: zeros) and the residual are on the device, all else is not.

    One pass over A for four right-hand sides. The Gram matrix is of blocks of A, or A P, in float64.

    Raises
    ------
    InputError
        A has too many columns.
    """
    n, k = x.shape
    limit = int(runtime().extension.sweep_limit())
    if n > limit:
        raise InputError(f"A: expected at most {limit} columns on a GPU, got {n}")
    nothing = (0, 0, 0, 0, 0)
    sums = runtime().empty((n + 1, k), np.float64)
    work = runtime().empty((int(runtime().extension.sweep_work(A.shape[0], n, k)),), np.float64)
    sides = runtime().to_device(np.ascontiguousarray(x))
    runtime().call(
        "sweep",
        A.dtype,
        A,
        nothing if b is None else b,
        sides,
        nothing if residual is None else residual,
        sums,
        work,
    )
    found = runtime().to_host(sums)
    return found[:n], found[n], _gram(A, P) if gram else None


def _gram(A: Any, P: Real | None) -> Real:
    """``(A P)^T (A P)``; without P that of A."""
    right = None if P is None else runtime().to_device(np.ascontiguousarray(P))
    order = A.shape[1] if P is None else P.shape[1]
    G = runtime().empty((order, order), np.float64)
    step = len(A) if right is None and A.dtype == np.float64 else max(1, BLOCK // max(1, A.shape[1]))
    for start in range(0, len(A), step):
        block = A[start : start + step]
        block = multiple(block, dtype=np.float64) if block.dtype != np.float64 else block
        Y = block if right is None else gemm(block, right)
        work = runtime().empty((max(1, runtime().extension.gram_work(*Y.shape, 8)),), np.float64)
        runtime().call("gram_wide", np.float64, 1.0, Y, float(start > 0), G, work)
    return runtime().to_host(G)

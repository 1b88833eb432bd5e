# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Random maps on the device: the rows of the kernel table that `streams`, `sparse_maps` and `trig` hand on.

Arguments are those of the functions of the same name for arrays in host memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend.device import runtime


def _dense_map(kind: int, seed: int, stream: int, row_start: int, col_start: int, scale: float) -> Any:
    return runtime().extension.DenseMap(
        kind=kind, seed=seed, stream=stream, row_start=row_start, col_start=col_start, scale=scale
    )


def fill_dense_map(
    out: Any, *, kind: int, seed: int, stream: int, row_start: int, col_start: int, scale: float
) -> None:
    """Entries with the bits of the core."""
    entries = _dense_map(kind, seed, stream, row_start, col_start, scale)
    runtime().call("fill_dense_map", out.dtype, entries, out)


def apply_dense_map(
    A: Any,
    out: Any,
    *,
    kind: int,
    seed: int,
    stream: int,
    row_start: int,
    col_start: int,
    scale: float,
    adjoint: bool,
) -> None:
    """Products to rounding, each entry summed in one order whatever the device."""
    entries = _dense_map(kind, seed, stream, row_start, col_start, scale)
    # The kernel multiplies from the right: S A = (A^T S^T)^T.
    runtime().call("apply_dense_map", A.dtype, entries, adjoint, A.T, out.T, 0)


def apply_sign_map(
    A: Any,
    out: Any,
    *,
    kind: int,
    seed: int,
    stream: int,
    row_start: int = 0,
    col_start: int = 0,
    scale: float = 1.0,
    adjoint: bool,
) -> None:
    """Products of float32 sign maps in fixed point, with the bits of the core."""
    entries = _dense_map(kind, seed, stream, row_start, col_start, scale)
    runtime().call("apply_sign_map", A.dtype, entries, adjoint, A, out)


def apply_sparse_map(
    A: Any, out: Any, *, kind: int, seed: int, stream: int, d: int, nnz: int, scale: float, adjoint: bool
) -> None:
    """Whole maps; the bits of the core where the sums of 32 columns fit shared memory, and adjoints."""
    entries = runtime().extension.SparseMap(
        kind=kind, seed=seed, stream=stream, rows=d, nnz=nnz, element_bits=8 * A.itemsize
    )
    runtime().call("apply_sparse_map", A.dtype, entries, scale, A, out, adjoint)


def hadamard_limit(itemsize: int) -> int:
    """The largest order of a transform."""
    return int(runtime().extension.hadamard_limit(itemsize))


def apply_hadamard(
    A: Any, out: Any, positions: NDArray[np.int64], *, seed: int, stream: int, scale: float, adjoint: bool
) -> None:
    """The SRHT; the drawn positions, 8 bytes each, go to the device."""
    rows = runtime().to_device(positions)
    runtime().call("apply_hadamard", A.dtype, seed, stream, rows, adjoint, scale, A, out)


def gather_rows(A: Any, out: Any, indices: NDArray[np.int64], *, scale: float) -> None:
    """``out = scale A[indices]``; the indices, 8 bytes each, go to the device."""
    rows = runtime().to_device(indices)
    runtime().call("gather_rows", A.dtype, rows, scale, A, out)

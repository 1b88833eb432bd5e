# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Rows that lie more than 2**31 elements apart, which no BLAS call can address, give the bits of a copy."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import randnla
from randnla._backend.kernels import dense

FAR = 2**31 + 64
ROWS, COLS = 3, 4000
MAP_NORESERVE = 0x4000

CALLS = {
    "product": lambda A: dense.gemm(A, np.ones((COLS, 5), A.dtype)),
    "product with a vector": lambda A: dense.gemm(A, np.ones((COLS, 1), A.dtype)),
    "product of a far vector": lambda A: dense.gemm(np.ones((40, ROWS), A.dtype), A[:, :1]),
    "gram": lambda A: dense.gemm(A.T, A),
    "svd": lambda A: randnla.svd(A, 2, rng=0).s,
    "svd of the transpose": lambda A: randnla.svd(A.T, 2, rng=0).s,
    "qr": lambda A: randnla.qr(A.T).R,
    "interpolative": lambda A: randnla.interpolative(A, 2, rng=0).indices,
    "pivoted_qr": lambda A: randnla.pivoted_qr(A, rng=0).R,
    "nystrom": lambda A: randnla.nystrom(A[:, :ROWS] @ A[:, :ROWS].T + 100 * np.eye(ROWS), 2, rng=0).w,
    "sign": lambda A: randnla.sketching.Sign(50, COLS, rng=0, dtype=A.dtype) @ A.T,
    "srht": lambda A: randnla.sketching.SRHT(50, COLS, rng=0, dtype=A.dtype) @ A.T,
    "sparse sign": lambda A: randnla.sketching.SparseSign(50, COLS, rng=0, dtype=A.dtype) @ A.T,
    "countsketch": lambda A: randnla.sketching.CountSketch(2, ROWS, rng=0, dtype=A.dtype) @ A,
    "gaussian": lambda A: randnla.sketching.Gaussian(2, ROWS, rng=0, dtype=A.dtype) @ A,
}


@pytest.fixture(scope="module", params=[np.float32, np.float64])
def far(request: Any) -> Any:
    """A matrix in pages that are reserved, of which only those written exist."""
    itemsize = np.dtype(request.param).itemsize
    size = ((ROWS - 1) * FAR + COLS) * itemsize
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
    memory = np.frombuffer(mmap.mmap(-1, size, flags=flags), dtype=request.param)
    A = as_strided(memory, (ROWS, COLS), strides=(FAR * itemsize, itemsize))
    A[:] = np.random.default_rng(0).standard_normal((ROWS, COLS))
    return A


@pytest.mark.parametrize("name", CALLS)
def test_far_rows_equal_a_copy(far: Any, name: str) -> None:
    expected = np.asarray(CALLS[name](far.copy()))
    np.testing.assert_allclose(
        CALLS[name](far), expected, rtol=0, atol=100 * np.finfo(far.dtype).eps * abs(expected).max()
    )

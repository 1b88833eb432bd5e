# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Bytes of global memory that the kernels bound by bandwidth ask for, against their arguments once each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from randnla._backend.kernels import streams

Run = Callable[[Any], tuple[dict[str, int], int]]
RUNS: dict[str, Run] = {}


def kernel(run: Run) -> Run:
    RUNS[run.__name__] = run
    return run


def numbers(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def call(device: Any, name: str, *arguments: Any) -> tuple[dict[str, int], int]:
    """Run a float32 kernel on arrays, those of one dimension by their addresses; and their bytes."""
    arrays = [a for a in arguments if isinstance(a, np.ndarray) and not np.isnan(a).all()]
    passed = [
        a if not isinstance(a, np.ndarray) else device.view(a) if a.ndim == 2 else device.vector(a)
        for a in arguments
    ]
    return device.call(name, np.float32, *passed), sum(a.nbytes for a in arrays)


def dense_map(device: Any, kind: str) -> Any:
    block = {"row_start": 0, "col_start": 0, "scale": 1.0}
    return device.module.DenseMap(kind=streams.KINDS[kind], seed=1, stream=0, **block)


def sparse_map(device: Any, kind: str, d: int, nnz: int) -> Any:
    return device.module.SparseMap(
        kind=streams.KINDS[kind], seed=1, stream=0, rows=d, nnz=nnz, element_bits=32
    )


@kernel
def fill_dense_map(device: Any) -> tuple[dict[str, int], int]:
    return call(device, "fill_dense_map", dense_map(device, "gaussian"), numbers(128, 128))


@kernel
def apply_dense_map(device: Any) -> tuple[dict[str, int], int]:
    return call(
        device, "apply_dense_map", dense_map(device, "sign"), False, numbers(256, 256), numbers(256, 64), 0
    )


@kernel
def apply_sign_map(device: Any) -> tuple[dict[str, int], int]:
    return call(
        device, "apply_sign_map", dense_map(device, "sign"), False, numbers(512, 32), numbers(128, 32)
    )


@kernel
def apply_sign_map_tensor(device: Any) -> tuple[dict[str, int], int]:
    map_ = dense_map(device, "sign")
    return call(device, "apply_sign_map_tensor", map_, False, numbers(128, 256), numbers(128, 64))


@kernel
def apply_sparse_map(device: Any) -> tuple[dict[str, int], int]:
    map_ = sparse_map(device, "sparse_sign", 20, 4)
    return call(device, "apply_sparse_map", map_, 1.0, numbers(300, 64), numbers(20, 64), False)


@kernel
def column_peaks(device: Any) -> tuple[dict[str, int], int]:
    work = np.full(device.module.column_peaks_work(2048, 32), np.nan)
    return call(device, "column_peaks", numbers(2048, 32), 1.0, np.full((1, 96), np.nan)[0], work)


NOTHING = (0, 0, 0, 0, 0)


@kernel
def combine_copy(device: Any) -> tuple[dict[str, int], int]:
    X, out = numbers(512, 32), numbers(512, 32)
    return call(device, "combine_from_f32", 1.0, X, NOTHING, 0.0, NOTHING, out)


@kernel
def combine_through_shared_memory(device: Any) -> tuple[dict[str, int], int]:
    X, out = np.asfortranarray(numbers(512, 32)), numbers(512, 32)
    return call(device, "combine_from_f32", 1.0, X, NOTHING, 0.0, NOTHING, out)


@kernel
def combine_in_place(device: Any) -> tuple[dict[str, int], int]:
    X, Z = numbers(512, 32), numbers(512, 32)
    counters, size = call(device, "combine_from_f32", 0.5, X, NOTHING, 1.0, Z, Z)
    return counters, size  # Z read and written


@kernel
def sweep(device: Any) -> tuple[dict[str, int], int]:
    A, b, x, sums = numbers(4096, 32), np.ones((4096, 4)), np.ones((32, 4)), np.ones((33, 4))
    work = device.work(device.module.sweep_work(4096, 32, 4), np.float64)
    return call(device, "sweep", A, b, x, NOTHING, sums, work)


@kernel
def apply_hadamard(device: Any) -> tuple[dict[str, int], int]:
    positions, A, out = np.arange(32), numbers(512, 16), numbers(32, 16)
    return call(device, "apply_hadamard", 1, 0, positions, False, 1.0, A, out)


@kernel
def apply_hadamard_adjoint(device: Any) -> tuple[dict[str, int], int]:
    positions, A, out = np.arange(32), numbers(32, 16), numbers(512, 16)
    return call(device, "apply_hadamard", 1, 0, positions, True, 1.0, A, out)


@kernel
def gather_rows(device: Any) -> tuple[dict[str, int], int]:
    counters, size = call(device, "gather_rows", np.arange(19), 0.5, numbers(19, 64), numbers(19, 64))
    return counters, size


@kernel
def gram(device: Any) -> tuple[dict[str, int], int]:
    work = device.work(device.module.gram_work(2048, 64, 4), np.float32)
    return call(device, "gram", 1.0, numbers(2048, 64), 0.0, numbers(64, 64), work)


@kernel
def gram_tensor(device: Any) -> tuple[dict[str, int], int]:
    work = device.work(device.module.gram_tensor_work(1024, 64), np.float32)
    return call(device, "gram_tensor", 1.0, numbers(1024, 64), 0.0, numbers(64, 64), work)


@kernel
def solve_upper(device: Any) -> tuple[dict[str, int], int]:
    R = np.asfortranarray(np.eye(32) + np.triu(np.ones((32, 32))))
    counters, size = call(device, "solve_upper", numbers(1024, 32), R, numbers(1024, 32))
    return counters, size


@kernel
def window_dots(device: Any) -> tuple[dict[str, int], int]:
    work = device.work(device.module.window_work(16, 1, 4096), np.float64)
    return call(device, "window_dots", numbers(16, 4096), numbers(1, 4096), np.zeros((16, 1)), work)


@kernel
def window_combine(device: Any) -> tuple[dict[str, int], int]:
    G, x, y = numbers(16, 4096), numbers(1, 4096), numbers(1, 4096)
    return call(device, "window_combine", G, np.ones((16, 1)), 1.0, x, y)


@kernel
def sampled_products(device: Any) -> tuple[dict[str, int], int]:
    i = np.arange(64)
    return call(device, "sampled_products", i, i, 64, numbers(64, 32), numbers(64, 32), numbers(64))


def batch(device: Any, name: str, n: int, k: int | None) -> tuple[dict[str, int], int]:
    count = 4
    A = np.stack([np.eye(n, dtype=np.float32)] * count)
    others = [numbers(count, n, n if k is None else k) for _ in range(1 if k is None else 2)]
    info = np.zeros(count, np.int32)
    shape = (count, n) if k is None else (count, n, k)
    addresses = [device.vector(X) for X in (A, *others)]
    counters = device.call(
        name, np.float32, *addresses, *shape, device.shifts(np.ones(1)), device.vector(info)
    )
    triangles = count * n * (n + 1) // 2 * 4
    return counters, triangles + sum(X.nbytes for X in others) + info.nbytes


@kernel
def batched_inverse(device: Any) -> tuple[dict[str, int], int]:
    return batch(device, "batched_inverse", 64, None)


@kernel
def batched_cholesky(device: Any) -> tuple[dict[str, int], int]:
    return batch(device, "batched_cholesky", 64, None)


@kernel
def batched_solve(device: Any) -> tuple[dict[str, int], int]:
    return batch(device, "batched_solve", 64, 16)


@pytest.mark.parametrize("name", RUNS)
def test_bytes_are_within_a_tenth_of_the_ideal(device: Any, name: str) -> None:
    counters, ideal = RUNS[name](device)
    moved = counters["bytes_read"] + counters["bytes_written"]
    assert ideal <= 1.02 * moved  # what must be moved was: triangles of R and C aside
    assert moved <= 1.1 * ideal

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Inverses of many small positive definite matrices by the emulated device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

DTYPES = (np.float32, np.float64)


def invert(device: Any, A: Any, shift: Any) -> tuple[Any, Any, dict[str, int]]:
    count, n = A.shape[:2]
    X, info = np.full_like(A, 7.0), np.full(count, -1, np.int32)
    addresses = device.vector(A), device.vector(X), count, n, device.shifts(shift)
    counters = device.call("batched_inverse", A.dtype, *addresses, device.vector(info))
    return X, info, counters


def definite(count: int, n: int, dtype: Any) -> Any:
    G = np.random.default_rng(n).standard_normal((count, n, 2 * n + 1))
    A = (G @ G.transpose(0, 2, 1) / n).astype(dtype)
    return A + np.triu(np.full((n, n), np.nan, dtype), 1)  # only lower triangles are read


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 5, 17, 33])
@pytest.mark.parametrize("shifts", [1, 3])
def test_inverse(device: Any, dtype: Any, n: int, shifts: int) -> None:
    A, shift = definite(3, n, dtype), np.linspace(0.5, 1.0, shifts)
    X, info, counters = invert(device, A, shift)
    assert (info == 0).all()
    lower = np.tril(A).astype(np.float64)
    whole = lower + np.tril(lower, -1).transpose(0, 2, 1) + shift[:, None, None] * np.eye(n)
    # |A X - I| <= c(n) u cond(A) for inverses by Cholesky (Higham 2002, section 14.3), c(n) <= 8 n^2.
    errors = np.linalg.norm(whole @ X - np.eye(n), axis=(1, 2), ord=2)
    assert (errors <= 8 * n**2 * np.finfo(dtype).eps / 2 * np.linalg.cond(whole)).all()
    np.testing.assert_array_equal(X, X.transpose(0, 2, 1))
    # A shift is read by every thread, from one sector.
    triangles = 3 * n * (n + 1) // 2 * A.itemsize
    assert counters["bytes_read"] == triangles + 3 * 128 * shift.itemsize
    assert counters["bytes_written"] == X.nbytes + info.nbytes


@pytest.mark.parametrize("dtype", DTYPES)
def test_failures_are_told(device: Any, dtype: Any) -> None:
    A = np.stack([np.eye(4, dtype=dtype)] * 5)
    A[1, 2, 2] = -1
    A[2, 3, 1] = np.nan
    A[3, 0, 0] = np.inf
    A[4] *= np.finfo(dtype).tiny * np.finfo(dtype).eps * 4  # its inverse overflows
    X, info, _ = invert(device, A, np.zeros(1))
    np.testing.assert_array_equal(info, [0, 3, 4, 1, 5])
    np.testing.assert_array_equal(X[0], np.eye(4))
    assert np.isnan(X[1:]).all()


def test_limit_fits_shared_memory(device: Any) -> None:
    assert [device.module.batched_limit(size) for size in (4, 8)] == [142, 100]


def factorize(device: Any, A: Any, shift: Any) -> tuple[Any, Any, dict[str, int]]:
    count, n = A.shape[:2]
    L, info = np.full_like(A, 7.0), np.full(count, -1, np.int32)
    addresses = device.vector(A), device.vector(L), count, n, device.shifts(shift)
    return L, info, device.call("batched_cholesky", A.dtype, *addresses, device.vector(info))


def solve(device: Any, A: Any, B: Any, shift: Any) -> tuple[Any, Any, dict[str, int]]:
    X, info = np.full_like(B, 7.0), np.full(len(A), -1, np.int32)
    addresses = device.vector(A), device.vector(B), device.vector(X), *B.shape, device.shifts(shift)
    return X, info, device.call("batched_solve", A.dtype, *addresses, device.vector(info))


def shifted(A: Any, shift: Any) -> Any:
    lower = np.tril(A).astype(np.float64)
    return lower + np.tril(lower, -1).transpose(0, 2, 1) + shift[:, None, None] * np.eye(A.shape[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 5, 17, 33])
@pytest.mark.parametrize("shifts", [1, 3])
def test_factors_and_solutions(device: Any, dtype: Any, n: int, shifts: int) -> None:
    A, shift = definite(3, n, dtype), np.linspace(0.5, 1.0, shifts)
    whole, gamma = shifted(A, shift), 3 * n * float(np.finfo(dtype).eps)
    L, info, counters = factorize(device, A, shift)
    assert (info == 0).all()
    np.testing.assert_array_equal(L, np.tril(L))
    # |A - L L^T| <= gamma_(n+1) |L| |L^T|, and twice that in a solve (Higham 2002, theorems 10.3, 10.4).
    size = abs(L) @ abs(L).transpose(0, 2, 1).astype(np.float64)
    assert (abs(whole - L.astype(np.float64) @ L.transpose(0, 2, 1)) <= gamma * size).all()
    triangles, shifts_read = 3 * n * (n + 1) // 2 * A.itemsize, 3 * 128 * shift.itemsize
    assert counters["bytes_read"] == triangles + shifts_read
    assert counters["bytes_written"] == L.nbytes + info.nbytes
    for k in (1, 20):
        B = np.random.default_rng(k).standard_normal((3, n, k)).astype(dtype)
        X, info, counters = solve(device, A, B, shift)
        assert (info == 0).all()
        assert (abs(whole @ X - B) <= 2 * gamma * size @ abs(X)).all()
        assert counters["bytes_read"] == triangles + shifts_read + B.nbytes
        assert counters["bytes_written"] == X.nbytes + info.nbytes


@pytest.mark.parametrize("dtype", DTYPES)
def test_failures_of_factors_and_solutions_are_told(device: Any, dtype: Any) -> None:
    A = np.stack([np.eye(4, dtype=dtype)] * 6)
    A[1, 2, 2] = -1
    A[2, 3, 1] = np.nan
    A[3, 0, 0] = np.inf
    A[4] *= np.finfo(dtype).tiny
    B = np.full((6, 4, 3), np.finfo(dtype).max, dtype)
    B[5, 1, 2] = np.nan  # nothing to report: it is passed on
    L, info, _ = factorize(device, A, np.zeros(1))
    np.testing.assert_array_equal(info, [0, 3, 4, 1, 0, 0])
    assert np.isnan(L[1:4]).all()
    X, info, _ = solve(device, A, B, np.zeros(1))
    np.testing.assert_array_equal(info, [0, 3, 4, 1, 5, 0])
    assert np.isnan(X[1:5]).all()
    np.testing.assert_array_equal(X[5, :, :2], B[5, :, :2])
    assert np.isnan(X[5, :, 2]).all()


def test_limit_of_factors_fits_shared_memory(device: Any) -> None:
    assert [device.module.cholesky_limit(size) for size in (4, 8)] == [201, 142]
    A = np.eye(142)[None]
    L, info, _ = factorize(device, A, np.full(1, 3.0))
    assert info[0] == 0
    np.testing.assert_array_equal(L, 2 * A)

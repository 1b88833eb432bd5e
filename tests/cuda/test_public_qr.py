# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""`randnla.qr` of CuPy arrays, kernels under emulation: orthonormal for every rank, no hidden copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import randnla
from randnla import InputError, NonFiniteError


def matrix(name: str, m: int, n: int) -> Any:
    X = np.random.default_rng(2).standard_normal((m, n))
    if name == "graded":
        U, V = np.linalg.qr(X)[0], np.linalg.qr(X[:n])[0]
        return (U * np.logspace(0, -14, n)) @ V
    if name == "dependent":
        X[:, 3], X[:, 1] = X[:, 0], 0.0
    if name == "zero":
        X[...] = 0.0
    return X * (1e-12 if name == "small" else 1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["normal", "small", "graded", "dependent", "zero"])
def test_factors(gpu: Any, name: str, dtype: Any) -> None:
    m, n = 150, 6
    A = matrix(name, m, n).astype(dtype, order="F" if name == "small" else "C")
    result = randnla.qr(gpu.put(A), rng=0)
    assert type(result.Q) is type(result.R) is gpu.cupy.ndarray
    Q, R = gpu.seen(result.Q).astype(np.float64), gpu.seen(result.R).astype(np.float64)
    eps = np.finfo(dtype).eps
    assert np.linalg.norm(Q.T @ Q - np.eye(n)) <= 50 * eps * np.sqrt(n)
    assert np.linalg.norm(A - Q @ R) <= 100 * eps * np.linalg.norm(A)
    np.testing.assert_array_equal(R, np.triu(R))
    assert (np.diag(R) >= 0).all()
    if name in ("normal", "small"):
        expected = randnla.qr(A, rng=0)
        np.testing.assert_allclose(Q, expected.Q, rtol=0, atol=200 * eps)
    assert result.info.path == "sketch+cholesky"
    assert result.info.seed == 0


@pytest.mark.parametrize(
    ("dtype", "power"), [(np.float32, -90), (np.float32, 100), (np.float64, -900), (np.float64, 1000)]
)
def test_units(gpu: Any, dtype: Any, power: int) -> None:
    """A power of two times A has the same Q, also where squares leave the range."""
    A = matrix("normal", 150, 6).astype(dtype)
    here, far = (randnla.qr(gpu.put(X), rng=0) for X in (A, np.ldexp(A, power)))
    np.testing.assert_array_equal(gpu.seen(far.Q), gpu.seen(here.Q))
    np.testing.assert_array_equal(gpu.seen(far.R), np.ldexp(gpu.seen(here.R), power))


@pytest.mark.parametrize(("dtype", "power"), [(np.float32, -140), (np.float64, -1060)])
def test_denormal_numbers(gpu: Any, dtype: Any, power: int) -> None:
    A = np.ldexp(matrix("normal", 150, 6).astype(dtype), power)
    result = randnla.qr(gpu.put(A), rng=0)
    Q, R = gpu.seen(result.Q).astype(np.float64), gpu.seen(result.R).astype(np.float64)
    eps = float(np.finfo(dtype).eps)
    assert np.linalg.norm(Q.T @ Q - np.eye(6)) <= 50 * eps * np.sqrt(6)
    # R is rounded to the multiples of the least number.
    least = float(np.finfo(dtype).smallest_subnormal)
    off = np.ldexp(A.astype(np.float64) - Q @ R, -power)
    assert abs(off).max() <= 100 * eps + 6 * np.ldexp(least, -power)


def test_only_cores_cross(gpu: Any) -> None:
    """Host and device exchange a sketch and a few n by n cores, whatever the number of rows."""
    counts = []
    for m in (100, 300):
        before = (gpu.transfers.to_host, gpu.transfers.to_device)
        randnla.qr(gpu.put(matrix("normal", m, 5)), rng=0)
        counts.append((gpu.transfers.to_host - before[0], gpu.transfers.to_device - before[1]))
    assert counts[0] == counts[1]
    assert counts[0][0] <= 8 * (28 * 5 + 4 * 25)


def test_what_it_refuses(gpu: Any) -> None:
    A = matrix("normal", 40, 4)
    with pytest.raises(InputError, match="method: expected 'cholesky' or 'auto' for an array on a GPU"):
        randnla.qr(gpu.put(A), method="householder")
    with pytest.raises(InputError, match="check_finite: expected True"):
        randnla.qr(gpu.put(A), check_finite=False)
    with pytest.raises(InputError, match="A: expected at least as many rows as columns"):
        randnla.qr(gpu.put(A.T))
    with pytest.raises(InputError, match="at most 128 columns of float64"):
        randnla.qr(gpu.put(np.ones((200, 129))))
    A[7, 2] = np.nan
    with pytest.raises(NonFiniteError, match="A: it holds NaN or Inf"):
        randnla.qr(gpu.put(A))


def test_a_matrix_without_columns(gpu: Any) -> None:
    result = randnla.qr(gpu.put(np.ones((5, 1)))[:, :0], rng=0)
    assert result.Q.shape == (5, 0)
    assert result.R.shape == (0, 0)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Least squares on CuPy arrays, kernels under emulation: solutions of the CPU, and what may cross."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import randnla
from randnla import InputError, NonFiniteError


def problem(m: int, n: int, dtype: Any, *, condition: float = 10.0, k: int | None = None) -> tuple[Any, Any]:
    rng = np.random.default_rng(m + n)
    U, V = (np.linalg.qr(rng.standard_normal((size, n)))[0] for size in (m, n))
    A = (U * np.geomspace(1, 1 / condition, n)) @ V.T
    x = rng.standard_normal((n,) if k is None else (n, k))
    b = A @ x
    return A.astype(dtype), (b + 1e-3 * rng.standard_normal(b.shape)).astype(dtype)


def solution(A: Any, b: Any) -> Any:
    return np.linalg.lstsq(A.astype(np.float64), b.astype(np.float64), rcond=None)[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", ["auto", "spir", "fossils", "iterative"])
def test_lstsq_is_that_of_the_host(gpu: Any, method: str, dtype: Any) -> None:
    A, b = problem(250, 6, dtype)
    found = randnla.lstsq(gpu.put(A), gpu.put(b), method=method, rng=3)
    expected = randnla.lstsq(A, b, method=method, rng=3)
    assert type(found.x) is gpu.cupy.ndarray
    x = gpu.seen(found.x)
    assert (x.dtype, x.shape) == (expected.x.dtype, expected.x.shape)
    np.testing.assert_allclose(x, expected.x, rtol=20 * float(np.finfo(dtype).eps))
    info = found.info
    assert (info.method, info.sketch, info.rank) == (expected.info.method, "sparse_sign", 6)
    assert (info.path, info.converged) == (expected.info.path, expected.info.converged)
    np.testing.assert_allclose(info.residual, expected.info.residual, rtol=1e-6)
    assert info.backward_error is not None
    assert info.backward_error <= (100 if method == "auto" else 200) * float(np.finfo(dtype).eps)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ill_conditioned_with_damping_and_several_sides(gpu: Any, dtype: Any, order: Any) -> None:
    """The Gram matrix is then of A P; the damped one needs it less."""
    A, b = problem(300, 8, dtype, condition=1e9 if dtype == np.float64 else 1e5, k=5)
    A = np.asarray(A, order=order)
    plain = randnla.lstsq(gpu.put(A), gpu.put(b), rng=1)
    if dtype == np.float64:
        assert plain.info.path == "preconditioned gram"
    assert plain.info.converged
    off = A.T.astype(np.float64) @ (b - A @ gpu.seen(plain.x).astype(np.float64))
    # The gradient of what is solved exactly for A + E with ||E|| of some roundings.
    size = np.linalg.norm(A) * np.linalg.norm(gpu.seen(plain.x), axis=0) + np.linalg.norm(b, axis=0)
    assert np.all(np.linalg.norm(off, axis=0) <= 100 * float(np.finfo(dtype).eps) * size * np.linalg.norm(A))
    damped = gpu.seen(randnla.lstsq(gpu.put(A), gpu.put(b), damp=0.1, rng=1).x)
    stack, below = np.vstack([A, 0.1 * np.eye(8)]), np.vstack([b, np.zeros((8, 5))])
    np.testing.assert_allclose(damped, solution(stack, below), rtol=1e-4 if dtype == np.float32 else 1e-11)


def test_rank_deficient(gpu: Any) -> None:
    A, b = problem(200, 5, np.float64)
    A = np.hstack([A, A[:, :2]])
    result = randnla.lstsq(gpu.put(A), gpu.put(b), rng=0)
    assert result.info.rank == 5
    np.testing.assert_allclose(gpu.seen(result.x), solution(A, b), atol=1e-12)


def test_square_matrices_are_sketched_too(gpu: Any) -> None:
    A, b = problem(12, 12, np.float64)
    result = randnla.lstsq(gpu.put(A), gpu.put(b), rng=0)
    np.testing.assert_allclose(gpu.seen(result.x), np.linalg.solve(A, b), rtol=1e-11)
    assert (result.info.method, result.info.sketch) == ("cholesky_qr", "sparse_sign")


@pytest.mark.parametrize("power", [-800, 800])
def test_units(gpu: Any, power: int) -> None:
    """Powers of two of A and of b come out as they should, near the ends of the range, too."""
    A, b = problem(150, 4, np.float64, k=2)
    near = gpu.seen(randnla.lstsq(gpu.put(A), gpu.put(b), rng=0).x)
    far = randnla.lstsq(gpu.put(np.ldexp(A, power)), gpu.put(np.ldexp(b, [power, power // 2])), rng=0)
    np.testing.assert_allclose(gpu.seen(far.x), np.ldexp(near, [0, -power // 2]), rtol=1e-13)


def test_nothing_to_solve(gpu: Any) -> None:
    A, b = problem(40, 3, np.float32)
    result = randnla.lstsq(gpu.put(A), gpu.put(np.zeros_like(b)), rng=0)
    assert result.info.method == "none"
    np.testing.assert_array_equal(gpu.seen(result.x), np.zeros(3, np.float32))


@pytest.mark.parametrize("sketch", ["gaussian", "sign", "countsketch", "srht"])
def test_sketches(gpu: Any, sketch: str) -> None:
    A, b = problem(200, 4, np.float64)
    result = randnla.lstsq(gpu.put(A), gpu.put(b), sketch=sketch, rng=2)
    assert result.info.sketch == sketch
    np.testing.assert_allclose(gpu.seen(result.x), solution(A, b), rtol=1e-12)


def test_only_cores_cross(gpu: Any) -> None:
    counts = []
    for m in (200, 400):
        A, b = problem(m, 5, np.float64)
        A, b = A / np.linalg.norm(A), b / np.linalg.norm(b)
        before = (gpu.transfers.to_host, gpu.transfers.to_device)
        randnla.lstsq(gpu.put(A), gpu.put(b), method="sketch_and_solve", rng=0)
        counts.append((gpu.transfers.to_host - before[0], gpu.transfers.to_device - before[1]))
    assert counts[0] == counts[1]


def test_what_it_refuses(gpu: Any) -> None:
    A, b = problem(60, 4, np.float64)
    with pytest.raises(InputError, match="b: expected an array on a GPU, as A is, got a ndarray"):
        randnla.lstsq(gpu.put(A), b)
    with pytest.raises(InputError, match="b: this takes no arrays on a GPU"):
        randnla.lstsq(A, gpu.put(b))
    with pytest.raises(InputError, match="A: expected at least as many rows as columns"):
        randnla.lstsq(gpu.put(A.T), gpu.put(b[:4]))
    with pytest.raises(InputError, match="method: expected one of 'auto', 'cholesky_qr'"):
        randnla.lstsq(gpu.put(A), gpu.put(b), method="householder")
    with pytest.raises(InputError, match="weights: expected None for an array on a GPU"):
        randnla.lstsq(gpu.put(A), gpu.put(b), weights=np.ones(60))
    with pytest.raises(InputError, match="check_finite: expected True for an array on a GPU"):
        randnla.lstsq(gpu.put(A), gpu.put(b), check_finite=False)
    with pytest.raises(InputError, match="b: expected 60 rows"):
        randnla.lstsq(gpu.put(A), gpu.put(b[:7]))
    b[3] = np.inf
    with pytest.raises(NonFiniteError, match="b: it holds NaN or Inf"):
        randnla.lstsq(gpu.put(A), gpu.put(b))
    A[7, 2] = np.nan
    with pytest.raises(NonFiniteError, match="A: it holds NaN or Inf"):
        randnla.lstsq(gpu.put(A), gpu.put(np.ones(60)))

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Low-rank drivers on CuPy arrays, kernels under emulation: the factors of the CPU, and what may cross."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import randnla
from randnla import InputError, NonFiniteError

M, N, RANK = 90, 50, 4


def matrix(dtype: Any, *, order: str = "C", scale: float = 1.0) -> Any:
    rng = np.random.default_rng(3)
    U, V = (np.linalg.qr(rng.standard_normal((size, N)))[0] for size in (M, N))
    return np.array((U * (scale * 0.5 ** np.arange(N))) @ V.T, dtype, order=order)


def symmetric(dtype: Any) -> Any:
    V = np.linalg.qr(np.random.default_rng(4).standard_normal((N, N)))[0]
    A = (V * (-0.5) ** np.arange(N)) @ V.T
    return ((A + A.T) / 2).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("method", "q"), [("subspace", 2), ("power", 1), ("proto", 0)])
def test_svd_is_that_of_the_host(gpu: Any, method: str, q: int, dtype: Any) -> None:
    A = matrix(dtype, order="F" if method == "power" else "C")
    options: Any = {"method": method, "power_iters": q, "oversample": 6, "rng": 5, "certificate": "probe"}
    found, expected = randnla.svd(gpu.put(A), RANK, **options), randnla.svd(A, RANK, **options)
    assert all(type(x) is gpu.cupy.ndarray for x in (found.U, found.s, found.Vh))
    U, s, Vh = (gpu.seen(x) for x in (found.U, found.s, found.Vh))
    assert (U.dtype, s.dtype, Vh.dtype) == (A.dtype, A.dtype, A.dtype)
    loose = 2000 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(s, expected.s, rtol=loose)
    np.testing.assert_allclose(U, expected.U, atol=loose * 10)
    np.testing.assert_allclose(Vh, expected.Vh, atol=loose * 10)
    info = found.info
    assert (info.method, info.sketch, info.seed) == (method, "gaussian", 5)
    assert (info.passes, info.matvecs) == (expected.info.passes, expected.info.matvecs)
    assert info.path == "sketch+cholesky"
    assert info.certificate == "probe"
    assert info.failure_probability == expected.info.failure_probability
    # Of the columns beyond the rank, "power" in float32 finds those below eps^(1/3) in rounding alone.
    close = 0.2 if method == "power" and dtype == np.float32 else 1e-3
    np.testing.assert_allclose(info.error_estimate, expected.info.error_estimate, rtol=close)
    assert np.linalg.norm(A - (U * s) @ Vh) <= info.error_estimate


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exact_certificate(gpu: Any, dtype: Any) -> None:
    A = matrix(dtype)
    result = randnla.svd(gpu.put(A), RANK, oversample=0, rng=0)
    U, s, Vh = (gpu.seen(x) for x in (result.U, result.s, result.Vh))
    assert (result.info.certificate, result.info.failure_probability) == ("exact", 0.0)
    wrong = float(np.linalg.norm(A - (U * s) @ Vh))
    assert wrong <= result.info.error_estimate <= 1.05 * wrong


@pytest.mark.parametrize(
    ("dtype", "power"), [(np.float32, -100), (np.float32, 100), (np.float64, -700), (np.float64, 700)]
)
def test_units(gpu: Any, dtype: Any, power: int) -> None:
    """Where squares leave the range, the same vectors, and no certificate of zeros."""
    A = matrix(dtype, order="F")
    here = randnla.svd(gpu.put(A), RANK, rng=0, certificate="probe")
    far = randnla.svd(gpu.put(np.ldexp(A, power)), RANK, rng=0)
    np.testing.assert_array_equal(gpu.seen(far.U), gpu.seen(here.U))
    np.testing.assert_array_equal(gpu.seen(far.Vh), gpu.seen(here.Vh))
    np.testing.assert_array_equal(gpu.seen(far.s), np.ldexp(gpu.seen(here.s), power))
    U, s, Vh = (gpu.seen(x) for x in (here.U, here.s, here.Vh))
    assert np.ldexp(far.info.error_estimate, -power) >= np.linalg.norm(A - (U * s) @ Vh)


def test_wide_and_whole(gpu: Any) -> None:
    A = matrix(np.float64).T
    for rank in (RANK, min(A.shape), 0):
        U, s, Vh = (gpu.seen(x) for x in randnla.svd(gpu.put(A), rank, rng=1))
        values = np.linalg.svd(A, compute_uv=False)
        np.testing.assert_allclose(s, values[:rank], atol=1e-13)
        assert np.linalg.norm(A - (U * s) @ Vh) <= 1.02 * np.linalg.norm(values[rank:]) + 1e-13
        assert all((column[np.argmax(np.abs(column))] > 0) for column in U.T)


@pytest.mark.parametrize("oversample", [0, 6])
def test_range_finder(gpu: Any, oversample: int) -> None:
    A = matrix(np.float64)
    result = randnla.range_finder(gpu.put(A), RANK, oversample=oversample, rng=2)
    expected = randnla.range_finder(A, RANK, oversample=oversample, rng=2)
    np.testing.assert_allclose(gpu.seen(result.Q), expected.Q, atol=1e-10)
    assert result.info.method == expected.info.method == "subspace"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_eigh(gpu: Any, dtype: Any) -> None:
    A = symmetric(dtype)
    result = randnla.eigh(gpu.put(A), RANK, rng=6)
    w, V = gpu.seen(result.w), gpu.seen(result.V)
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(w, (-0.5) ** np.arange(RANK), atol=200 * eps)
    assert np.linalg.norm(A @ V - V * w) <= 500 * eps
    assert np.linalg.norm(A - (V * w) @ V.T) <= result.info.error_estimate
    assert result.info.method == "subspace"
    with pytest.raises(InputError, match="A: expected a symmetric"):
        randnla.eigh(gpu.put(np.triu(A)), RANK, rng=6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("power_iters", [0, 1, 2])
def test_nystrom(gpu: Any, power_iters: int, dtype: Any) -> None:
    V = np.linalg.qr(np.random.default_rng(4).standard_normal((N, N)))[0]
    A = ((V * 0.5 ** np.arange(N)) @ V.T).astype(dtype)
    A = (A + A.T) / 2
    options: Any = {"oversample": 5, "power_iters": power_iters, "rng": 8}
    found, expected = randnla.nystrom(gpu.put(A), RANK, **options), randnla.nystrom(A, RANK, **options)
    w, V = gpu.seen(found.w), gpu.seen(found.V)
    loose = 1e4 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(w, expected.w, rtol=loose)
    np.testing.assert_allclose(V, expected.V, atol=10 * loose)
    assert np.linalg.norm(A - (V * w) @ V.T) <= found.info.error_estimate
    assert (found.info.method, found.info.passes) == ("nystrom", expected.info.passes)
    zero = randnla.nystrom(gpu.put(np.zeros((20, 20), dtype)), 2, rng=0)
    assert not gpu.seen(zero.w).any()
    with pytest.raises(InputError, match="spectral_function: expected None for an array on a GPU"):
        randnla.nystrom(gpu.put(A), RANK, spectral_function=np.exp)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_empty(gpu: Any, shape: tuple[int, int]) -> None:
    U, s, Vh = randnla.svd(gpu.put(np.ones((6, 6)))[: shape[0], : shape[1]], 0, rng=0)
    assert (U.shape, s.shape, Vh.shape) == ((shape[0], 0), (0,), (0, shape[1]))
    if shape == (0, 0):
        assert randnla.eigh(gpu.put(np.ones((2, 2)))[:0, :0], 0).w.shape == (0,)
        assert randnla.nystrom(gpu.put(np.ones((2, 2)))[:0, :0], 0).w.shape == (0,)


@pytest.mark.parametrize("power", [-600, 600])
def test_exact_certificate_of_far_units(gpu: Any, power: int) -> None:
    A = matrix(np.float64)
    near, far = (
        randnla.svd(gpu.put(X), RANK, oversample=0, rng=0, certificate="exact").info
        for X in (A, np.ldexp(A, power))
    )
    np.testing.assert_allclose(np.ldexp(far.error_estimate, -power), near.error_estimate, rtol=1e-12)


def test_vectors_are_whole_arrays(gpu: Any) -> None:
    for V in (
        randnla.eigh(gpu.put(symmetric(np.float64)), 3, rng=0).V,
        randnla.svd(gpu.put(matrix(np.float64)), 3).U,
    ):
        assert V.flags.c_contiguous or V.flags.f_contiguous


def test_only_cores_cross(gpu: Any) -> None:
    """What host and device exchange does not depend on the size of A, but for nothing."""
    counts = []
    for rows in (60, 90):
        before = (gpu.transfers.to_host, gpu.transfers.to_device)
        randnla.svd(gpu.put(matrix(np.float64)[:rows]), RANK, oversample=6, rng=0)
        counts.append((gpu.transfers.to_host - before[0], gpu.transfers.to_device - before[1]))
    assert counts[0] == counts[1]


def test_what_it_refuses(gpu: Any) -> None:
    A = matrix(np.float64)
    for options, message in (
        ({"rank": 2, "sketch": "srft"}, r"A: S @ A of SRFT\(.*\) has no kernel for arrays on a GPU"),
        ({"rank": 2, "method": "gram"}, "method: expected one of 'auto', 'subspace', 'power', 'proto'"),
        ({"rank": 2, "check_finite": False}, "check_finite: expected True for an array on a GPU"),
        ({"rank": 2, "certificate": "leave_one_out"}, "certificate: expected 'auto', 'probe' or 'exact'"),
        (
            {"rank": 2, "precision": "two_slices"},
            "precision: expected 'full' for an array on a GPU, got",
        ),
    ):
        with pytest.raises(InputError, match=message):
            randnla.svd(gpu.put(A), **options)
    with pytest.raises(InputError, match="rank: with oversample at most 128 columns of float64"):
        randnla.svd(gpu.put(np.ones((200, 200))), 119)
    with pytest.raises(InputError, match="warm_start: expected None for an array on a GPU"):
        randnla.eigh(gpu.put(symmetric(np.float64)), 2, warm_start=np.ones((N, 2)))
    with pytest.raises(InputError, match="A: expected 2 dimensions, got 1"):
        randnla.svd(gpu.put(A)[0], 2)
    A[7, 2] = np.nan
    with pytest.raises(NonFiniteError, match="A: it holds NaN or Inf"):
        randnla.svd(gpu.put(A), 2)

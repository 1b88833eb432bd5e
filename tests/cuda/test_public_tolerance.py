# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Tolerances and sketches of low-rank drivers on CuPy arrays, kernels under emulation."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import randnla
from randnla import ConvergenceWarning, InputError
from randnla.lowrank.adaptive import put_columns

M, N = 90, 60


def matrix(dtype: Any, *, decay: float = 0.7) -> Any:
    rng = np.random.default_rng(3)
    U, V = (np.linalg.qr(rng.standard_normal((size, N)))[0] for size in (M, N))
    return np.asarray((U * decay ** np.arange(N)) @ V.T, dtype)


def definite(dtype: Any) -> Any:
    V = np.linalg.qr(np.random.default_rng(4).standard_normal((N, N)))[0]
    A = ((V * 0.7 ** np.arange(N)) @ V.T).astype(dtype)
    return (A + A.T) / 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", ["auto", "power", "proto"])
@pytest.mark.parametrize("norm", ["fro", "spectral"])
def test_svd_to_a_tolerance(gpu: Any, norm: str, method: str, dtype: Any) -> None:
    A = matrix(dtype)
    tol = 1e-3
    options: Any = {"tol": tol, "norm": norm, "method": method, "rng": 5}
    found = randnla.svd(gpu.put(A), **options)
    expected = randnla.svd(A, **({**options, "method": "subspace"} if method == "auto" else options))
    U, s, Vh = (gpu.seen(x) for x in found)
    # "power" in float32 loses directions in rounding, which is other rounding here.
    assert abs(s.size - expected.s.size) <= (4 if (method, dtype) == ("power", np.float32) else 0)
    loose = 2000 * float(np.finfo(dtype).eps)
    common = min(s.size, expected.s.size)
    np.testing.assert_allclose(s[:common], expected.s[:common], atol=loose)
    order = "fro" if norm == "fro" else 2
    assert np.linalg.norm(A - (U * s) @ Vh, order) <= tol * np.linalg.norm(A, order)
    info = found.info
    assert info.converged
    assert (info.passes, info.certificate) == (expected.info.passes, expected.info.certificate)
    assert "adaptive" in info.path


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_eigh_and_nystrom_to_a_tolerance(gpu: Any, dtype: Any) -> None:
    A = definite(dtype)
    for function in (randnla.eigh, randnla.nystrom):
        found = function(gpu.put(A), tol=1e-2, rng=1)
        w, V = gpu.seen(found.w), gpu.seen(found.V)
        assert V.flags.c_contiguous or V.flags.f_contiguous
        assert np.linalg.norm(A - (V * w) @ V.T) <= 1e-2 * np.linalg.norm(A)
        assert found.info.converged


def test_range_finder_and_pca_to_a_tolerance(gpu: Any) -> None:
    A = matrix(np.float64)
    found, expected = (randnla.range_finder(X, tol=1e-2, rng=2) for X in (gpu.put(A), A))
    Q = gpu.seen(found.Q)
    np.testing.assert_allclose(Q, expected.Q, atol=1e-9)
    assert found.info.method == expected.info.method == "adaptive"
    result = randnla.pca(gpu.put(A), tol=1e-2, rng=2)
    deviations = A - A.mean(axis=0)
    off = deviations - gpu.seen(result.scores) @ gpu.seen(result.components)
    assert np.linalg.norm(off) <= 1e-2 * np.linalg.norm(deviations)


def test_a_basis_beyond_the_rank(gpu: Any) -> None:
    """A second block finds nothing new in most of its columns."""
    A = np.diag(np.r_[np.ones(40), np.zeros(20)])
    with pytest.warns(ConvergenceWarning, match="exceeds tol=1e-15"):
        found = randnla.range_finder(gpu.put(A), 50, tol=1e-15, oversample=0, rng=0, method="proto")
    Q = gpu.seen(found.Q)
    np.testing.assert_allclose(Q.T @ Q, np.eye(Q.shape[1]), atol=1e-13)
    assert np.linalg.norm(A - Q @ (Q.T @ A)) <= 1e-12


def test_columns_give_way_to_strangers(gpu: Any) -> None:
    block, others = np.zeros((20, 4)), np.arange(80.0).reshape(20, 4)
    found = gpu.put(block)
    with gpu.on(found):
        put_columns(found, gpu.put(others), np.array([False, True, False, True]))
    block[:, [1, 3]] = others[:, [1, 3]]
    np.testing.assert_array_equal(gpu.seen(found), block)


def test_what_no_basis_within_the_limit_reaches(gpu: Any) -> None:
    """128 columns of float64, ten of them oversampling."""
    A = np.linalg.qr(np.random.default_rng(0).standard_normal((150, 140)))[0]
    with pytest.warns(ConvergenceWarning, match="exceeds tol=0.01"):
        result = randnla.svd(gpu.put(A), tol=0.01, power_iters=0, rng=0)
    assert result.s.shape == (118,)
    assert not result.info.converged


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sketch", ["sign", "sparse_sign", "countsketch", "srht"])
def test_sketches(gpu: Any, sketch: str, dtype: Any) -> None:
    A = matrix(dtype, decay=0.5)
    options: Any = {"sketch": sketch, "rng": 4, "method": "subspace", "oversample": 12}
    found, expected = randnla.svd(gpu.put(A), 4, **options), randnla.svd(A, 4, **options)
    loose = 2000 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(gpu.seen(found.s), expected.s, rtol=loose)
    assert found.info.sketch == sketch
    assert found.info.passes == expected.info.passes
    w, V = (gpu.seen(x) for x in randnla.eigh(gpu.put(definite(dtype)), 4, sketch=sketch, rng=4))
    np.testing.assert_allclose(w, 0.7 ** np.arange(4), rtol=5e-3)
    assert V.shape == (N, 4)


@pytest.mark.parametrize("power", [-700, 700])
def test_sketches_of_far_units(gpu: Any, power: int) -> None:
    A = matrix(np.float64, decay=0.5)
    near, far = (randnla.svd(gpu.put(X), 4, sketch="sparse_sign", rng=0) for X in (A, np.ldexp(A, power)))
    np.testing.assert_array_equal(gpu.seen(far.s), np.ldexp(gpu.seen(near.s), power))


def test_a_map_of_the_callers(gpu: Any) -> None:
    S = randnla.Sign(12, N, rng=3)
    result = randnla.svd(gpu.put(matrix(np.float64)), 4, sketch=S, rng=0)
    assert result.info.sketch == "sign"


def test_what_it_refuses(gpu: Any) -> None:
    A = gpu.put(matrix(np.float64))
    with pytest.raises(InputError, match="sketch: with tol the basis grows by Gaussian columns"):
        randnla.svd(A, tol=0.1, sketch="sign")
    with pytest.raises(
        InputError, match="sketch: expected 'gaussian' or 'auto' for an array on a GPU and power"
    ):
        randnla.nystrom(gpu.put(definite(np.float64)), 3, sketch="sign", power_iters=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        randnla.svd(A, 3, tol=0.5, rng=0)

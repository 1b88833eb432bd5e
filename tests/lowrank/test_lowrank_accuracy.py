# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Errors beside the optimum known from the spectrum, for every method, spectrum and dtype."""

from __future__ import annotations

import numpy as np
import pytest
from lowrank_cases import DTYPES, SPECTRA, assert_orthonormal, error, hermitian, matrix, tail

import randnla

K = 12
# Bounds on error / optimum at q = 2: 1.02 is the promise where the spectrum decays. Without power
# iteration Theorem 10.5 allows sqrt(1 + k/(p-1)) = 1.53 on average; row extraction loses a factor of
# 3 at most in practice (HMT section 5.2).
SVD_BOUND = {
    "auto": 1.02,
    "subspace": 1.02,
    "gram": 1.0 + 1e-4,
    "full": 1.0 + 1e-4,
    "proto": 2.5,
    "krylov": 1.02,
    "farpca": 1.02,
    "row_extraction": 3.0,
}


@pytest.mark.parametrize("method", SVD_BOUND)
@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("dtype", DTYPES)
def test_svd_is_near_the_optimum(method, spectrum, dtype):
    A, s = matrix(120, 90, spectrum, dtype)
    result = randnla.svd(A, K, method=method, rng=3)
    rounding = 50 * np.finfo(dtype).eps * np.linalg.norm(s)
    assert result.U.dtype == A.dtype
    assert result.s.dtype == A.real.dtype
    assert error(A, result) <= SVD_BOUND[method] * tail(s, K) + rounding
    # The certificate is far from its failure probability of 1e-4 here.
    assert error(A, result) <= result.info.error_estimate * (1 + 1e-6)
    assert_orthonormal(result.U)
    assert_orthonormal(result.Vh.conj().T)
    assert np.all(np.diff(result.s) <= 0)
    assert result.info.rank == (7 if spectrum == "low_rank" else K)
    if spectrum == "low_rank":
        assert np.all(result.s[7:] <= 50 * np.finfo(dtype).eps * result.s[0])


@pytest.mark.parametrize("method", ["subspace", "krylov", "nystrom", "full"])
@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("dtype", DTYPES)
def test_eigh_is_near_the_optimum(method, spectrum, dtype):
    # Eigenvalues +1 and -1 alone have no leading subspace: flat stays positive.
    A, w = hermitian(100, spectrum, dtype, signs=method != "nystrom" and spectrum != "flat")
    result = randnla.eigh(A, K, method=method, rng=3)
    rounding = 100 * np.finfo(dtype).eps * np.linalg.norm(w)
    assert error(A, result) <= 1.02 * tail(w, K) + rounding
    assert error(A, result) <= result.info.error_estimate * (1 + 1e-6)
    assert result.info.method == method
    assert_orthonormal(result.V)


@pytest.mark.parametrize("spectrum", ["poly", "harmonic", "geometric"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nystrom_defaults_are_never_far_off(spectrum, dtype):
    A, w = hermitian(600, spectrum, dtype)
    result = randnla.nystrom(A, 64, rng=0)
    assert error(A, result) <= 1.1 * tail(w, 64) + 100 * np.finfo(dtype).eps * np.linalg.norm(w)
    assert result.info.passes == 2
    assert np.all(result.w >= 0)


def test_exponential_kernel_of_the_peers():
    # exp(-i/15), k = 64: one pass with oversampling 10 is 3.5 times off; the default is not.
    rng = np.random.default_rng(0)
    V = np.linalg.qr(rng.standard_normal((600, 600)))[0]
    w = np.exp(-np.arange(1, 601) / 15)
    A = ((V * w) @ V.T).astype(np.float32)
    assert error(A, randnla.nystrom(A, 64, rng=0)) <= 1.1 * tail(w, 64)
    assert error(A, randnla.nystrom(A, 64, oversample=10, power_iters=0, rng=0)) > 2 * tail(w, 64)


def test_power_iteration_loses_digits_where_subspace_iteration_does_not():
    # sigma_j = 10^(-j/6), l = 60: Algorithm 4.3 stops at sigma_1 u^(1/(2q+1)).
    rng = np.random.default_rng(1)
    s = 10.0 ** (-np.arange(200) / 6)
    A = (np.linalg.qr(rng.standard_normal((200, 200)))[0] * s) @ np.linalg.qr(
        rng.standard_normal((200, 200))
    )[0].T
    for q, lost in ((1, 1e-7), (2, 1e-5), (3, 1e-4)):
        power = randnla.svd(A, 50, method="power", power_iters=q, rng=0)
        subspace = randnla.svd(A, 50, method="subspace", power_iters=q, rng=0)
        assert error(A, power) > lost
        assert error(A, subspace) <= 1.02 * tail(s, 50)


@pytest.mark.parametrize("k", [0, 1, 40, 60])
def test_every_rank(k):
    A, s = matrix(90, 60, "harmonic")
    for method in ("auto", "subspace", "krylov", "farpca", "gram", "full"):
        result = randnla.svd(A, k, method=method, rng=0)
        assert result.U.shape == (90, k)
        assert result.Vh.shape == (k, 60)
        assert error(A, result) <= 1.02 * tail(s, k) + 1e-13
        assert_orthonormal(result.U)


@pytest.mark.parametrize("shape", [(30, 20), (20, 30)])
def test_zero_matrix(shape):
    for method in ("subspace", "proto", "krylov", "farpca", "gram", "full", "row_extraction", "power"):
        result = randnla.svd(np.zeros(shape), 5, method=method, rng=0)
        assert not result.s.any()
        assert_orthonormal(result.U)
        assert_orthonormal(result.Vh.T)
        assert result.info.rank == 0
        assert result.info.error_estimate == 0


def test_signs():
    for dtype in DTYPES:
        A, _ = matrix(80, 50, "poly", dtype)
        for X in (randnla.svd(A, 9, rng=0).U, randnla.eigh(A.conj().T @ A, 9, rng=0).V):
            rows = np.argmax(np.abs(X), axis=0)
            pivots = X[rows, np.arange(9)]
            assert np.all(pivots.real > 0)
            assert np.all(pivots.imag == 0)


def test_dispatch_depends_on_shape_and_dtype_only():
    A = np.ones((3000, 40))
    assert randnla.svd(A, 5, rng=0).info.method == "gram"
    assert randnla.svd(np.random.default_rng(0).standard_normal((3000, 40)), 5, rng=0).info.method == "gram"
    assert randnla.svd(np.ones((900, 900), np.float32), 4, rng=0).info.method == "subspace"
    assert randnla.svd(np.eye(60), 50, rng=0).info.method in ("gram", "full")
    assert randnla.eigh(np.eye(100), 90, rng=0).info.method == "full"

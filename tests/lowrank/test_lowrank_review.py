# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Defects that a review found, each held down by the case that showed it."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from lowrank_cases import error, hermitian, matrix

import randnla


def projection_error(A, Q):
    wide = A.astype(np.float64)
    wide = wide.toarray() if sp.issparse(wide) else wide
    Q = Q.astype(np.float64)
    return float(np.linalg.norm(wide - Q @ (Q.T @ wide)))


@pytest.mark.parametrize("certificate", ["auto", "probe", "exact"])
def test_range_finder_without_oversampling_certifies_what_it_knows(certificate):
    A = sp.random(2000, 800, density=0.02, random_state=1, format="csr")
    result = randnla.range_finder(A, 20, oversample=0, certificate=certificate, rng=2)
    true = projection_error(A, result.Q)
    assert true <= result.info.error_estimate * (1 + 1e-9) <= 4 * true
    assert true / sp.linalg.norm(A) <= result.info.error_relative * (1 + 1e-9)
    assert result.info.certificate == ("exact" if certificate == "exact" else "probe")


def test_range_finder_of_full_rank():
    A = sp.random(2000, 50, density=0.1, random_state=1, format="csr")
    info = randnla.range_finder(A, 50, rng=0).info
    assert info.error_estimate <= 1e-12 * sp.linalg.norm(A)


@pytest.mark.parametrize("call", [{"method": "power"}, {"method": "gram"}, {"method": "full"}])
def test_leave_one_out_is_refused_where_it_cannot_be_had(call):
    A = np.diag(0.5 ** np.arange(40.0))
    for solve in (randnla.svd, randnla.pca, randnla.range_finder):
        if solve is randnla.range_finder and call["method"] != "power":
            continue
        with pytest.raises(randnla.InputError, match=r"certificate.*leave_one_out"):
            solve(A, 5, certificate="leave_one_out", **call)


@pytest.mark.parametrize("call", [{"method": "row_extraction"}, {"tol": 0.1}, {"norm": "spectral"}])
def test_leave_one_out_is_not_replaced_silently(call):
    with pytest.raises(randnla.InputError, match=r"certificate.*leave_one_out"):
        randnla.svd(np.eye(300), 5, certificate="leave_one_out", **call)


def test_exact_is_not_replaced_silently():
    A, _ = hermitian(60, "harmonic")
    with pytest.raises(randnla.InputError, match=r"certificate.*exact"):
        randnla.svd(A, 5, certificate="exact", method="row_extraction")
    for method in ("nystrom", "row_extraction", "one_pass"):
        with pytest.raises(randnla.InputError, match=r"certificate.*exact"):
            randnla.eigh(A, 5, certificate="exact", method=method)
    assert randnla.eigh(A, 5, certificate="exact", rng=0).info.certificate == "exact"
    for certificate in ("exact", "probe"):
        B, _ = matrix(320, 300, "harmonic")
        result = randnla.svd(B, tol=0.3, certificate=certificate, rng=0)
        assert result.info.certificate == certificate
        assert error(B, result) <= result.info.error_estimate
    with pytest.raises(randnla.InputError, match=r"certificate.*exact"):
        randnla.svd(B, tol=0.3, certificate="exact", norm="spectral")


@pytest.mark.parametrize("solve", [randnla.svd, randnla.range_finder, randnla.eigh, randnla.nystrom])
def test_a_sketch_that_tolerance_mode_cannot_grow_is_refused(solve):
    for sketch in ("srht", randnla.Gaussian(40, 300, rng=1)):
        with pytest.raises(randnla.InputError, match="sketch"):
            solve(np.eye(300), tol=0.3, sketch=sketch)


@pytest.mark.parametrize("solve", [randnla.eigh, randnla.nystrom])
def test_a_warm_start_is_not_dropped(solve):
    A, _ = hermitian(300, "harmonic")
    start = np.linalg.qr(np.random.default_rng(0).standard_normal((300, 6)))[0]
    with pytest.raises(randnla.InputError, match="warm_start"):
        solve(A, tol=0.3, warm_start=start)
    with pytest.raises(randnla.InputError, match="sketch"):
        solve(A, 5, warm_start=start, sketch="srht")
    assert solve(A, 5, warm_start=start, rng=0).info.sketch == "gaussian"
    assert solve(A, 2, oversample=4, warm_start=start, rng=0).info.sketch is None


@pytest.mark.parametrize("name", ["Gaussian", "Sign", "SparseSign", "CountSketch", "SRHT"])
def test_the_sketch_is_named_where_it_is_drawn(name):
    A, _ = matrix(90, 70, "harmonic")
    word = {"SparseSign": "sparse_sign"}.get(name, name.lower())
    given = randnla.svd(A, 6, method="subspace", sketch=getattr(randnla, name)(16, 70, rng=5), rng=5)
    named = randnla.svd(A, 6, method="subspace", sketch=word, rng=5)
    assert given.info.sketch == named.info.sketch == word
    assert np.allclose(given.s, named.s, rtol=1e-12)


def test_the_type_of_the_rank_does_not_matter():
    A, _ = hermitian(300, "harmonic")
    assert np.array_equal(randnla.nystrom(A, np.int64(80), rng=0).w, randnla.nystrom(A, 80, rng=0).w)


def test_relative_errors_are_bounds():
    A = np.diag(1 / np.arange(1.0, 201))
    norms = {"fro": np.linalg.norm(A), "spectral": 1.0}
    for norm, size in norms.items():
        for method in ("row_extraction", "proto", "power", "subspace", "gram", "full"):
            info = randnla.svd(A, 3, method=method, norm=norm, power_iters=0, rng=0).info
            true = 0.25 if norm == "spectral" else np.linalg.norm(np.diag(A)[3:])
            assert info.error_relative >= true / size * (1 - 1e-12)
        info = randnla.svd(A, 3, method="row_extraction", norm=norm, rng=0).info
        assert info.error_relative >= info.error_estimate / size * (1 - 1e-12)


def tall_cases(m):
    rng = np.random.default_rng(3)
    factors = rng.standard_normal((m, 5)) @ rng.standard_normal((5, 100))
    noise = rng.standard_normal((m, 100))
    # One repeated number: every rounding of its running sum has the same sign.
    return {"factors": factors + 6e-3 * noise, "constant": 0.3 + 3e-3 * noise, "rough": factors + noise}


@pytest.mark.parametrize("m", [2_000, 100_000])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, sp.csc_array])
def test_exact_certificates_of_float32_are_upper_bounds(m, form):
    for name, dense in tall_cases(m).items():
        A = dense.astype(np.float32)
        k = 1 if name == "constant" else 5
        for certificate in ("auto", "exact"):
            result = randnla.svd(form(A), k, method="subspace", certificate=certificate, rng=0)
            true = error(A, result)
            assert true <= result.info.error_estimate, name
            if result.info.certificate == "exact":
                assert result.info.error_estimate <= 1.06 * true, name


def test_tolerances_just_missed_in_float32_are_not_met():
    A = tall_cases(100_000)["factors"].astype(np.float32)
    X = sp.csr_array(A)
    true = error(A, randnla.svd(X, 5, rng=0)) / np.linalg.norm(A.astype(np.float64))
    with pytest.warns(randnla.ConvergenceWarning):
        result = randnla.svd(X, 5, tol=0.99 * true, rng=0)
    assert not result.info.converged
    assert error(A, result) <= result.info.error_estimate


def test_centering_that_cancels_is_no_exact_certificate():
    rng = np.random.default_rng(1)
    X = sp.csr_array((50 + rng.standard_normal((4000, 60)) * 0.7 ** np.arange(60)).astype(np.float32))
    info = randnla.pca(X, 3, rng=0).info
    W = X.toarray().astype(np.float64)
    W -= W.mean(axis=0)
    best = np.linalg.norm(np.linalg.svd(W, compute_uv=False)[3:])
    assert info.certificate == "probe"
    assert best <= info.error_estimate


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_nystrom_refuses_what_is_far_from_semidefinite(dtype):
    A, _ = hermitian(300, "harmonic", dtype, signs=True)
    for B in (-np.eye(300, dtype=dtype), A, -A, A - np.eye(300, dtype=dtype)):
        for call in ({"rank": 5}, {"rank": 5, "power_iters": 0}, {"tol": 0.1}):
            with pytest.raises(randnla.BreakdownError, match="semidefinite"):
                randnla.nystrom(B, rng=0, **call)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spectrum", ["low_rank", "geometric", "step"])
def test_nystrom_takes_what_is_semidefinite_up_to_rounding(dtype, spectrum):
    A, w = hermitian(600, spectrum, dtype)
    noise = np.random.default_rng(0).standard_normal(A.shape).astype(dtype)
    B = (A + np.finfo(dtype).eps * np.linalg.norm(w) / 600 * (noise + noise.T)).astype(dtype)
    for rank in (3, 20, 200):
        result = randnla.nystrom(B, rank, rng=0)
        assert np.all(result.w >= 0)
        assert error(B, result) <= result.info.error_estimate


def traced_peak(solve):
    tracemalloc.start()
    try:
        info = solve().info
        return info.memory, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", ["subspace", "proto", "power", "krylov", "farpca", "gram", "full", "tol"])
def test_memory_is_estimated_to_a_factor(method):
    # NumPy reports its arrays to tracemalloc; the compiled kernels' own scratch is not in it.
    A, _ = matrix(4000, 400, "poly", np.float32)
    call = {"tol": 0.02} if method == "tol" else {"rank": 30, "method": method}
    estimate, peak = traced_peak(lambda: randnla.svd(A, rng=0, **call))
    assert peak / 4 <= estimate <= 4 * peak


def test_every_driver_accounts_for_memory():
    A, _ = hermitian(300, "harmonic")
    for solve in (randnla.svd, randnla.eigh, randnla.nystrom, randnla.range_finder, randnla.pca):
        small, large = solve(A, 5, rng=0).info.memory, solve(A, 50, rng=0).info.memory
        assert 300 * 5 * 8 <= small <= large <= 100 * 300 * 300 * 8

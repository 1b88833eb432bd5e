# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""f(2^p A) = 2^p f(A), bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from lowrank_cases import hermitian, matrix

import randnla
from randnla.lowrank.problem import Problem
from randnla.lowrank.units import into_range
from randnla.operators import Dense

METHODS = ("subspace", "proto", "power", "krylov", "row_extraction", "farpca", "gram", "full")


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(p=st.integers(-940, 1000))
def test_svd_float64(method, p):
    A, _ = matrix(40, 30, "harmonic")
    base = randnla.svd(A, 5, method=method, rng=0)
    scaled = randnla.svd(np.ldexp(A, p), 5, method=method, rng=0)
    assert np.array_equal(base.U, scaled.U)
    assert np.array_equal(base.Vh, scaled.Vh)
    assert np.array_equal(np.ldexp(base.s, p), scaled.s)
    assert np.ldexp(base.info.error_estimate, p) == scaled.info.error_estimate


@pytest.mark.parametrize("p", [-90, -41, -1, 1, 7, 60, 110, 120])
@pytest.mark.parametrize("method", METHODS)
def test_svd_float32(method, p):
    A, _ = matrix(40, 30, "harmonic", np.float32)
    base = randnla.svd(A, 5, method=method, rng=0)
    scaled = randnla.svd(np.ldexp(A, p), 5, method=method, rng=0)
    assert np.array_equal(base.U, scaled.U)
    assert np.array_equal(np.ldexp(base.s, p), scaled.s)


ENDS = {
    np.float32: (-149, -140, -110, -60, -45, -30, -17, 39, 60, 110, 121),
    np.float64: (-1074, -1060, -1000, -500, -301, 299, 400, 1000, 1017),
}


def assert_estimate_in_units(base, scaled, p, dtype, entries):
    """The estimate times 2^p; where values are subnormal, plus their rounding and never less than it.

    So many `entries` of the answer are rounded.
    """
    with np.errstate(over="ignore"):
        exact = np.ldexp(base.error_estimate, p)
    if np.ldexp(1.0, p) >= np.finfo(dtype).tiny:
        assert scaled.error_estimate == exact, p
        return
    added = scaled.error_estimate - exact
    rounding = np.sqrt(entries) / 2 * float(np.finfo(dtype).smallest_subnormal)
    assert 0 <= added <= rounding + 3 * np.finfo(np.float64).smallest_subnormal, p


@pytest.mark.parametrize("dtype", ENDS)
@pytest.mark.parametrize("offset", [0, 30])
@pytest.mark.parametrize("method", ["auto", *METHODS])
def test_pca_to_the_ends_of_the_range(method, offset, dtype):
    """Whatever multiple of a power of two the data can be, subnormal numbers too."""
    rng = np.random.default_rng(2)
    forms = [np.asarray] if method in ("gram", "full") else [np.asarray, scipy.sparse.csr_array]
    for shape, options in (((300, 40), {}), ((300, 40), {"center": False}), ((40, 60), {"whiten": True})):
        A = (rng.integers(-9, 10, shape) + offset).astype(dtype)
        for form in forms:
            base = randnla.pca(form(A), 5, method=method, rng=0, **options)
            for p in ENDS[dtype]:
                scaled, variance = scaled_pca(base, form(np.ldexp(A, p)), p, method, options)
                if scaled is None:
                    continue
                assert np.array_equal(base.components, scaled.components), p
                assert np.array_equal(base.explained_variance_ratio, scaled.explained_variance_ratio), p
                added = scaled.info.error_relative - base.info.error_relative
                assert added == 0 if np.ldexp(1.0, p) >= np.finfo(dtype).tiny else added >= 0, p
                scores = base.scores if options.get("whiten") else np.ldexp(base.scores, p)
                assert np.array_equal(variance, scaled.explained_variance), p
                assert np.array_equal(scores, scaled.scores), p
                assert np.array_equal(np.ldexp(base.mean, p), scaled.mean), p
                entries = base.scores.size + A.size
                assert_estimate_in_units(base.info, scaled.info, p, dtype, entries)


def scaled_pca(base, A, p, method, options):
    """The answer for 2^p times the data and its variances; refused where these are infinite."""
    with np.errstate(over="ignore"):
        variance = np.ldexp(base.explained_variance, 2 * p)
    if np.isinf(variance).any():
        with pytest.raises(randnla.RangeError, match="A: its largest variance exceeds the range"):
            randnla.pca(A, 5, method=method, rng=0, **options)
        return None, variance
    if (variance < np.finfo(variance.dtype).tiny).any():
        with pytest.warns(RuntimeWarning, match="variances are below the normal range"):
            return randnla.pca(A, 5, method=method, rng=0, **options), variance
    return randnla.pca(A, 5, method=method, rng=0, **options), variance


@pytest.mark.parametrize("dtype", ENDS)
@pytest.mark.parametrize("method", METHODS)
def test_svd_to_the_ends_of_the_range(method, dtype):
    A = np.random.default_rng(3).integers(-9, 10, (60, 40)).astype(dtype)
    base = randnla.svd(A, 5, method=method, rng=0)
    for p in ENDS[dtype]:
        scaled = randnla.svd(np.ldexp(A, p), 5, method=method, rng=0)
        with np.errstate(over="ignore"):
            s = np.ldexp(base.s, p)
        assert np.array_equal(base.U, scaled.U), p
        assert np.array_equal(base.Vh, scaled.Vh), p
        assert np.array_equal(s, scaled.s), p
        assert_estimate_in_units(base.info, scaled.info, p, dtype, base.info.rank)


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_units_are_those_of_the_largest_entry(dtype):
    """Rows that show nothing of the others: all are looked at, and change by the power alone."""
    A = np.zeros((1000, 8), dtype)
    A[1::2] = 2.0**-70 * np.arange(1, 9)
    problem = Problem(Dense(A), "dense", 0)
    assert into_range(problem) == -66
    assert np.array_equal(problem.op.array, A * dtype(2.0**66))
    assert np.abs(A).max() == 2.0**-67  # the caller's array is as it was
    assert problem.path == ["rescaled copy"]
    for kept in (np.zeros((5, 5), dtype), np.ones((5, 5), dtype), np.full((5, 5), np.nan, dtype)):
        problem = Problem(Dense(kept, check_finite=False), "dense", 0)
        assert into_range(problem) == 0
        assert problem.op.array is kept


@pytest.mark.parametrize("p", [-900, -333, -1, 1, 500, 999])
@pytest.mark.parametrize("method", ["subspace", "krylov", "nystrom", "row_extraction", "one_pass", "full"])
def test_eigh(method, p):
    A, _ = hermitian(40, "poly")
    base = randnla.eigh(A, 5, method=method, rng=0)
    scaled = randnla.eigh(np.ldexp(A, p), 5, method=method, rng=0)
    assert np.array_equal(base.V, scaled.V)
    assert np.array_equal(np.ldexp(base.w, p), scaled.w)


SKETCHES = ("gaussian", "sign", "sparse_sign", "countsketch", "srht", "srft")


@pytest.mark.parametrize("sketch", SKETCHES)
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array, randnla.RowStream])
def test_every_sketch(sketch, form):
    # Integers: nothing leaves the normal range on the way down, so the law has no exception.
    A = np.random.default_rng(2).integers(-9, 10, (300, 200)).astype(np.float64)
    powers = {np.float32: (-110, -100, -90, -30, 60, 110), np.float64: (-1000, -960, -300, 400, 1000)}
    for dtype, exponents in powers.items():
        B = A.astype(dtype)
        base = randnla.svd(form(B), 5, sketch=sketch, method="subspace", rng=0)
        for p in exponents:
            scaled = randnla.svd(form(np.ldexp(B, p)), 5, sketch=sketch, method="subspace", rng=0)
            assert np.array_equal(base.U, scaled.U), (dtype, p)
            assert np.array_equal(np.ldexp(base.s, p), scaled.s), (dtype, p)


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array, randnla.RowStream])
@pytest.mark.parametrize("method", ["ei", "pass_efficient", "farpca"])
def test_qb(method, form):
    A = np.random.default_rng(2).integers(-9, 10, (120, 70)).astype(np.float64)
    powers = {np.float32: (-110, -60, -30, 60, 110), np.float64: (-1000, -300, 400, 1000)}
    for dtype, exponents in powers.items():
        B = A.astype(dtype)
        for call in ({"rank": 5}, {"tol": 0.5}):
            base = randnla.qb(form(B), method=method, rng=0, **call)
            for p in exponents:
                scaled = randnla.qb(form(np.ldexp(B, p)), method=method, rng=0, **call)
                assert np.array_equal(base.Q, scaled.Q), (dtype, p)
                assert np.array_equal(np.ldexp(base.B, p), scaled.B), (dtype, p)
                assert np.ldexp(base.info.error_estimate, p) == scaled.info.error_estimate


@pytest.mark.parametrize("p", [-900, 999])
def test_tolerance_mode(p):
    A, _ = matrix(300, 280, "geometric")
    for tol in (1e-3, 1e-9):
        base = randnla.svd(A, tol=tol, rng=0, method="subspace")
        scaled = randnla.svd(np.ldexp(A, p), tol=tol, rng=0, method="subspace")
        assert np.array_equal(base.U, scaled.U)
        assert np.array_equal(np.ldexp(base.s, p), scaled.s)


def test_extreme_magnitudes_are_accurate():
    A, s = matrix(60, 50, "geometric")
    for scale in (1e-300, 1e-150, 1e150, 1e300):
        result = randnla.svd(A * scale, 5, rng=0)
        assert np.allclose(result.s / scale, s[:5], rtol=1e-9)
    rough = randnla.svd(A * 1e-310, 5, rng=0)
    assert np.allclose(rough.s / 1e-310, s[:5], rtol=1e-9)

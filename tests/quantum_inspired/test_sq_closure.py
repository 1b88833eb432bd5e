# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Oversampling access and the primitives: distributions, numbers of proposals, exact mean square errors."""

from __future__ import annotations

import numpy as np
import pytest
from cases import ALPHA
from scipy import stats
from test_sq_access import p_value, random

from randnla._backend.errors import BreakdownError, InputError
from randnla.quantum_inspired import (
    SQCombination,
    SQMatrix,
    SQVector,
    approximate_product,
    bilinear_form,
    combine,
    inner_product,
    low_rank_svd,
    outer,
    product,
)

KINDS = [np.float64, np.complex128]


def combination(dtype, seed=0, terms=4, n=50):
    rng = np.random.default_rng(seed)
    vectors, w = random(rng, dtype, terms, n), random(rng, dtype, terms)
    return SQCombination([SQVector(v) for v in vectors], w), w @ vectors


@pytest.mark.parametrize("dtype", KINDS)
def test_combination_samples_with_the_expected_number_of_tries(dtype):
    v, exact = combination(dtype)
    np.testing.assert_allclose(v.to_dense(), exact, rtol=1e-13)
    np.testing.assert_allclose(v.query([3, 3, 0]), exact[[3, 3, 0]], rtol=1e-13)
    counts = np.bincount(v.sample(40_000, rng=0), minlength=50)
    assert p_value(counts, np.abs(exact) ** 2) > ALPHA
    phi = v.bound / np.linalg.norm(exact) ** 2
    # Geometric numbers of tries: the mean of 40000 has a deviation of phi / 200 at most.
    assert v.tries / v.draws == pytest.approx(phi, rel=7.13 / 200)
    value, error = v.norm(20_000, rng=1)
    assert abs(value - np.linalg.norm(exact)) < 7.13 * error


def test_rows_of_a_matrix_give_the_same_vector_and_follow_its_updates():
    rng = np.random.default_rng(0)
    A, w = rng.standard_normal((30, 20)), rng.standard_normal(30)
    M = SQMatrix(A)
    v = SQCombination(M, w)
    np.testing.assert_allclose(v.to_dense(), w @ A, rtol=1e-12)
    M.update(0, 0, 5.0)
    assert v.query(0) == pytest.approx(w @ M.to_dense()[:, 0])


def test_terms_that_cancel_break_down_by_name():
    x = SQVector(np.arange(1.0, 9.0))
    with pytest.raises(BreakdownError, match=r"no entry was accepted in \d+ proposals"):
        SQCombination([x, x], [1.0, -1.0]).sample(1, rng=0)
    with pytest.raises(InputError, match=r"coefficients, rows: expected a term that is not zero"):
        SQCombination([x], [0.0]).sample(1, rng=0)
    with pytest.raises(InputError, match=r"coefficients: expected 1 entries, got 2"):
        SQCombination([x], [1.0, 2.0])
    with pytest.raises(InputError, match=r"rows: expected an SQMatrix or a list of SQVector"):
        SQCombination([[1.0]], [1.0])
    with pytest.raises(InputError, match=r"rows: expected vectors of one size"):
        SQCombination([x, SQVector([1.0])], [1.0, 1.0])


@pytest.mark.parametrize("dtype", KINDS)
def test_closure_properties_flatten_to_one_rejection(dtype):
    rng = np.random.default_rng(5)
    u, v = random(rng, dtype, 6), random(rng, dtype, 5)
    X, Y = random(rng, dtype, 40, 6), random(rng, dtype, 40, 5)
    B1, B2 = outer(SQVector(u), SQVector(v)), product(SQMatrix(X), SQMatrix(Y), 12, rng=1)
    np.testing.assert_allclose(B1.to_dense(), np.outer(u, v.conj()), rtol=1e-13)
    B = combine([B1, B2], [2.0, -0.5])
    exact = 2 * np.outer(u, v.conj()) - 0.5 * B2.to_dense()
    np.testing.assert_allclose(B.to_dense(), exact, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(B.H.to_dense(), exact.conj().T, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(B.query([0, 5], [4, 1]), exact[[0, 5], [4, 1]], rtol=1e-11)
    np.testing.assert_allclose(B.row(2).to_dense(), exact[2], rtol=1e-11)
    np.testing.assert_allclose(B.column(3).to_dense(), exact[:, 3], rtol=1e-11)
    b = random(rng, dtype, 5)
    np.testing.assert_allclose(B @ b, exact @ b, rtol=1e-11)
    np.testing.assert_allclose(B.apply(b).to_dense(), exact @ b, rtol=1e-11)
    rows, columns = B.sample(8000, rng=3)
    counts = np.zeros(B.shape)
    np.add.at(counts, (rows, columns), 1)
    assert p_value(counts.ravel(), (np.abs(exact) ** 2).ravel()) > ALPHA
    assert B.tries / B.draws == pytest.approx(B.bound / np.linalg.norm(exact) ** 2, rel=7.13 / 8000**0.5)


def test_an_outer_product_accepts_every_proposal():
    B = outer(SQVector([1.0, 2.0]), SQVector([3.0, 1.0]))
    B.sample(100, rng=0)
    assert B.tries == 100


def test_closure_refuses_what_does_not_fit():
    x, A = SQVector([1.0, 2.0]), SQMatrix(np.eye(3))
    with pytest.raises(InputError, match=r"v: expected an SQVector"):
        outer(x, [1.0])
    with pytest.raises(InputError, match=r"matrices: expected one shape"):
        combine([outer(x, x), product(A, A, 2, rng=0)], [1.0, 1.0])
    with pytest.raises(InputError, match=r"matrices: expected a list"):
        combine([], [])
    with pytest.raises(InputError, match=r"matrices: expected SQFactored, got SQMatrix"):
        combine([A], [1.0])
    with pytest.raises(InputError, match=r"Y: expected 3 rows, as X has, got 2"):
        product(A, SQMatrix(np.eye(2)), 2)
    with pytest.raises(InputError, match=r"samples: expected an integer >= 1"):
        product(A, A, 0)
    with pytest.raises(InputError, match=r"B: expected a term that is not zero"):
        product(SQMatrix(np.zeros((3, 3))), A, 2, rng=0).sample(1)


@pytest.mark.parametrize("dtype", KINDS)
def test_mean_square_of_the_approximate_product_is_the_exact_law(dtype):
    rng = np.random.default_rng(0)
    X, Y = random(rng, dtype, 500, 6), random(rng, dtype, 500, 4)
    exact, s = X.conj().T @ Y, 100
    law = ((np.linalg.norm(X) * np.linalg.norm(Y)) ** 2 - np.linalg.norm(exact) ** 2) / s
    found = [approximate_product(SQMatrix(X), Y, s, rng=seed) for seed in range(200)]
    errors = [np.linalg.norm(one.product - exact) ** 2 for one in found]
    assert 0.9 < np.mean(errors) / law < 1.1
    assert found[0].info.error_estimate == pytest.approx(law**0.5, rel=0.05)
    assert 6 * s <= found[0].info.entries <= 10 * s  # a row that came twice was read once
    with_sq = approximate_product(SQMatrix(X), SQMatrix(Y), s, rng=0)
    np.testing.assert_allclose(with_sq.product, found[0].product, rtol=1e-12)


@pytest.mark.parametrize("dtype", KINDS)
def test_inner_products_fall_like_the_root_of_the_samples(dtype):
    rng = np.random.default_rng(1)
    x, y = random(rng, dtype, 400), random(rng, dtype, 400)
    exact, size = np.vdot(x, y), np.linalg.norm(x) * np.linalg.norm(y)
    for samples in (100, 1600):
        errors = [
            inner_product(SQVector(x), y, samples=samples, rng=seed).value - exact for seed in range(100)
        ]
        # E |Z - z|^2 = (|x|^2 |y|^2 - |z|^2) / samples; 100 of them, within seven deviations of about .14.
        ratio = np.mean(np.abs(errors) ** 2) * samples / (size**2 - abs(exact) ** 2)
        assert 0.3 < ratio < 2
    value, error = inner_product(SQVector(x), SQVector(y), samples=20_000, groups=9, rng=0)
    assert abs(value - exact) < 7.13 * error
    assert error < 2 * size / 20_000**0.5
    assert inner_product(SQVector(np.zeros(3)), np.ones(3), rng=0).value == 0


@pytest.mark.parametrize("dtype", KINDS)
def test_bilinear_forms(dtype):
    rng = np.random.default_rng(1)
    A, x, y = random(rng, dtype, 30, 20), random(rng, dtype, 30), random(rng, dtype, 20)
    value, error = found = bilinear_form(SQVector(x), SQMatrix(A), y, samples=20_000, rng=0)
    assert abs(value - x.conj() @ A @ y) < 7.13 * error
    assert error < 2 * np.linalg.norm(A) * np.linalg.norm(x) * np.linalg.norm(y) / 20_000**0.5
    assert found.info.entries == 20_000
    assert bilinear_form(x, SQMatrix(np.zeros((30, 20))), y, rng=0).value == 0


def test_medians_of_means_survive_a_heavy_tail():
    # x all but orthogonal to where y is: one sample in a thousand carries a thousandfold value.
    x, y = np.ones(4000), np.zeros(4000)
    y[:40] = 100
    exact = float(x @ y)
    plain = [inner_product(SQVector(x), y, samples=900, rng=s).value for s in range(30)]
    assert abs(np.mean(plain) - exact) < 7.13 * np.std(plain) / 30**0.5
    with pytest.raises(InputError, match=r"groups: expected an integer in \[1, 450\]"):
        inner_product(SQVector(x), y, samples=900, groups=451)
    with pytest.raises(InputError, match=r"y: expected 4000 entries"):
        inner_product(SQVector(x), y[1:])
    with pytest.raises(InputError, match=r"x: expected an SQVector"):
        inner_product(x, y)


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("method", ["rows", "double"])
def test_svd_is_exact_where_the_rank_is(method, dtype):
    rng = np.random.default_rng(2)
    A = random(rng, dtype, 300, 4) @ random(rng, dtype, 4, 200)
    for vectors in ("both", "right"):
        U, s, Vh = found = low_rank_svd(SQMatrix(A), 4, method=method, vectors=vectors, rng=0)
        assert np.linalg.norm(A - (A @ Vh.conj().T) @ Vh) < 1e-13 * np.linalg.norm(A)
        assert np.linalg.norm(Vh @ Vh.conj().T - np.eye(4)) < 1e-13
        assert found.info.error_relative < 1e-7
        assert found.info.path.startswith(f"{method}, qr")
    U, s, Vh = found = low_rank_svd(A, 6, method=method, rng=0)
    np.testing.assert_allclose(s[:4], np.linalg.svd(A, compute_uv=False)[:4], rtol=1e-12)
    assert np.all(s[4:] < 1e-12 * s[0])
    assert np.linalg.norm(U.conj().T @ U - np.eye(6)) < 1e-13
    assert np.linalg.norm(Vh @ Vh.conj().T - np.eye(6)) < 1e-13
    assert found.info.rank <= 6


def test_svd_of_a_decaying_spectrum_is_near_the_best_and_says_how_near():
    rng = np.random.default_rng(3)
    U0, V0 = (
        np.linalg.qr(rng.standard_normal((800, 200)))[0],
        np.linalg.qr(rng.standard_normal((300, 200)))[0],
    )
    A = (U0 / np.arange(1, 201)) @ V0.T
    best = np.sqrt(np.sum(1.0 / np.arange(11, 201) ** 2))
    M = SQMatrix(A)
    excess = []
    for rows in (50, 200, 800):
        found = low_rank_svd(M, 10, rows=rows, rng=1)
        error = np.linalg.norm(A - found.to_dense())
        assert found.info.error_estimate == pytest.approx(error, rel=1e-10)
        excess.append(error / best)
        right = low_rank_svd(M, 10, rows=rows, vectors="right", rng=1)
        exact = np.linalg.norm(A - A @ right.Vh.T @ right.Vh)
        assert right.info.error_estimate == pytest.approx(exact, rel=0.25)  # 100 rows of nearly equal shares
    assert excess[0] < 1.3
    assert excess[2] < 1.05
    assert excess == sorted(excess, reverse=True)


def test_svd_of_nothing_and_scaled():
    U, s, Vh = found = low_rank_svd(np.zeros((6, 5)), 3, rng=0)
    assert np.all(s == 0)
    assert found.info.rank == 0
    assert np.array_equal(U.T @ U, np.eye(3))
    assert np.array_equal(Vh @ Vh.T, np.eye(3))
    A = np.random.default_rng(0).standard_normal((40, 30))
    one, other = low_rank_svd(A, 3, rng=0), low_rank_svd(np.ldexp(A, 700), 3, rng=0)
    assert np.array_equal(np.ldexp(one.s, 700), other.s)
    assert np.array_equal(one.Vh, other.Vh)
    assert low_rank_svd(A, 0, rng=0).s.size == 0
    for keywords, pattern in (
        ({"rank": 31}, r"rank: expected at most min\(m, n\) = 30"),
        ({"rank": 3, "rows": 2}, r"rows: expected at least rank = 3, got 2"),
        ({"rank": 3, "method": "svd"}, r"method: expected one of"),
        ({"rank": 3, "threshold": 1.0}, r"threshold: expected a number in \[0, 1\)"),
        ({"rank": 3, "vectors": "left"}, r"vectors: expected one of"),
    ):
        with pytest.raises(InputError, match=pattern):
            low_rank_svd(A, **keywords)


def test_chi_square_helper_sees_a_bias():
    weights = np.ones(20)
    counts = np.full(20, 5000.0)
    counts[0] = 6500
    assert p_value(counts, weights) < ALPHA
    assert stats.chi2.sf(20, 19) > ALPHA


def test_inner_products_read_the_entries_they_draw():
    x = SQVector(np.arange(1.0, 2001.0))
    y = SQVector(np.ones(2000))
    inner_product(x, y, samples=100, rng=0)
    assert (x.entries_read, y.entries_read) == (100, 100)
    x.to_dense = None  # not called
    value, error = inner_product(x, y, samples=5000, rng=0)
    assert abs(value - 2001000.0) < 7.13 * error


def test_what_is_no_vector_is_refused_by_name():
    x, A = SQVector([1.0, 2.0]), SQMatrix(np.eye(2))
    for y, kind in ((A, "SQMatrix"), (outer(x, x), "SQFactored")):
        with pytest.raises(InputError, match=rf"y: expected an SQVector, SQCombination or array, got {kind}"):
            inner_product(x, y)
        with pytest.raises(InputError, match=rf"x: expected an SQVector, SQCombination or array, got {kind}"):
            bilinear_form(y, A, x)

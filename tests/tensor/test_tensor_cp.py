# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""CP decompositions: exact recovery, order of convergence, noise, and what degenerates."""

from __future__ import annotations

import numpy as np
import pytest
from tensor_cases import components, dense

from randnla import ConvergenceWarning, InputError, NonFiniteError
from randnla.tensor import CPResult, als, cp, cpca, ico, match_components
from randnla.tensor.composite import rank_one


def test_composite_components_of_an_orthogonal_tensor_are_exact():
    factors = components(12, 4, 3, 0.0, 0)
    result = cpca(dense(2.0 ** -np.arange(4), factors), 4, rng=0)
    assert match_components(result.factors, factors)[1].max() <= 1e-12
    np.testing.assert_allclose(result.weights, 2.0 ** -np.arange(4), rtol=1e-12)
    assert result.info.method == "cpca"
    assert result.info.error_relative <= 1e-12


@pytest.mark.parametrize("order", [3, 4, 5, 6])
def test_composite_components_of_every_order(order):
    factors = components(4, 2, order, 0.0, order)
    factors[-1][:, 0] *= -1
    T = dense(np.array([3.0, 1.0]), factors)
    result = cpca(T, 2, rng=0)
    assert match_components(result.factors, factors)[1].max() <= 1e-12
    np.testing.assert_allclose(result.to_dense(), T, atol=1e-12)


@pytest.mark.parametrize("ratio", [1.25, 2.0])
@pytest.mark.parametrize("delta", [0.05, 0.1, 0.3])
def test_concurrent_orthogonalization_recovers_in_five_sweeps(delta, ratio):
    weights = ratio ** np.arange(3)[::-1]
    for seed in range(4):
        factors = components(30, 3, 3, delta, seed)
        result = ico(dense(weights, factors), 3, rng=seed)
        assert match_components(result.factors, factors)[1].max() <= 1e-12
        np.testing.assert_allclose(result.weights, weights, rtol=1e-12)
        assert result.info.converged
        assert result.info.method == "ico"
        assert result.info.path == "cpca"
        assert result.info.iterations <= 6  # five, and one that sees that nothing moves


@pytest.mark.parametrize("order", [3, 4])
def test_order_of_convergence_is_the_number_of_other_modes(order):
    factors = components(14, 3, order, 0.3, 1)
    T = dense(np.array([4.0, 2.0, 1.0]), factors)
    rng = np.random.default_rng(2)
    start = [a + 0.02 * rng.standard_normal(a.shape) for a in factors]
    errors = [match_components(start, factors)[1].max()]
    for sweeps in (1, 2):
        with pytest.warns(ConvergenceWarning, match="ico: columns still move"):
            result = ico(T, 3, init=start, max_iters=sweeps, tol=1e-15)
        errors.append(match_components(result.factors, factors)[1].max())
    # e_1 <= C e_0^(K-1): the constant is met by a generous 30; linear convergence would leave 1e-3.
    assert errors[1] <= 30 * errors[0] ** (order - 1)
    assert errors[2] <= max(30 * errors[1] ** (order - 1), 1e-14)


@pytest.mark.parametrize("method", ["ico", "als"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", [3, 4, 5, 6])
def test_both_iterations_recover_tensors_of_every_order(order, dtype, method):
    factors = components(5, 2, order, 0.1, order)
    T = dense(np.array([3.0, 1.5]), factors).astype(dtype)
    result = cp(np.asfortranarray(T), 2, method=method, rng=0)
    assert result.info.path == f"start 0 (cpca), {method}, 3 sweeps of als"
    assert all(factor.dtype == dtype for factor in result.factors)
    # Least squares converges linearly and stops at its tolerance; the other goes down to rounding.
    tol, rounding = (1e-8, 1e-12) if dtype == np.float64 else (1e-4, 1e-5)
    assert result.info.error_relative <= (tol if method == "als" else rounding)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", [3, 4, 5, 6])
def test_strides_of_any_kind_give_the_components_of_the_copy(order, dtype):
    """Every other slice of a larger tensor, one axis backwards, the axes turned."""
    factors = components(4, 2, order, 0.1, order)
    T = dense(np.array([3.0, 1.5]), factors).astype(dtype)
    larger = np.full((8, *T.shape[1:]), np.nan, dtype)
    larger[::2] = T
    strided = larger[::2][:, ::-1].transpose()
    assert not strided.flags.c_contiguous
    assert not strided.flags.f_contiguous
    for function in (cpca, ico, als, cp):
        found, wanted = (function(X, 2, rng=0) for X in (strided, np.ascontiguousarray(strided)))
        turned = [f[::-1] if k == order - 2 else f for k, f in enumerate(factors[::-1])]
        same, true = (1e-10, 1e-6) if dtype == np.float64 else (1e-3, 1e-3)
        assert match_components(found.factors, wanted.factors)[1].max() <= same
        if function is not cpca:
            assert match_components(found.factors, turned)[1].max() <= true


def test_a_finish_by_least_squares_takes_back_the_inflated_noise():
    plain, finished, long = [], [], []
    for seed in range(8):
        factors = components(24, 3, 3, 0.3, seed)
        noise = np.random.default_rng(seed).standard_normal((24, 24, 24))
        T = dense(10 * 24**0.75 * 1.25 ** np.arange(3)[::-1], factors) + noise
        errors = [
            match_components(result.factors, factors)[1].max()
            for result in (
                ico(T, 3, rng=seed, max_iters=200),
                cp(T, 3, rng=seed, max_iters=200),
                als(T, 3, rng=seed),
            )
        ]
        for values, error in zip((plain, finished, long), errors, strict=True):
            values.append(error)
    assert np.median(finished) <= 1.05 * np.median(long)
    assert np.median(finished) < np.median(plain)


def test_the_error_is_measured():
    rng = np.random.default_rng(5)
    T = rng.standard_normal((9, 8, 7))
    result = cpca(T, 3, rng=0)
    error = np.linalg.norm(T - result.to_dense())
    assert result.info.certificate == "exact"
    assert result.info.error_kind == "frobenius"
    assert result.info.error_estimate == pytest.approx(error, rel=1e-13)
    assert result.info.error_relative == pytest.approx(error / np.linalg.norm(T), rel=1e-13)


def test_form_of_the_result():
    factors = components(8, 3, 3, 0.1, 3)
    result = cp(-dense(np.array([1.0, 3.0, 2.0]), factors), 3, rng=0)
    weights, found = result
    assert np.all(np.diff(weights) <= 0)
    for k, A in enumerate(found):
        np.testing.assert_allclose(np.linalg.norm(A, axis=0), 1, rtol=1e-14)
        if k < 2:
            assert np.all(A[np.argmax(abs(A), axis=0), np.arange(3)] > 0)
    assert isinstance(result, CPResult)


def test_seeds_replay_and_powers_of_two_pass_through():
    T = np.random.default_rng(6).standard_normal((6, 7, 8))
    first = cp(T, 2, rng=1, method="als", max_iters=1000)
    again = cp(T, 2, rng=first.info.seed, method="als", max_iters=1000)
    large = cp(np.ldexp(T, 700), 2, rng=1, method="als", max_iters=1000)
    for a, b, c in zip(first.factors, again.factors, large.factors, strict=True):
        assert np.array_equal(a, b)
        np.testing.assert_allclose(a, c, atol=1e-6)
    np.testing.assert_allclose(np.ldexp(large.weights, -700), first.weights, rtol=1e-6)


def test_more_starts_never_do_worse():
    T = dense(np.array([1.0, 1.0, 1.0]), components(8, 3, 3, 0.0, 7))
    one = cp(T, 3, rng=0, max_iters=200)
    many = cp(T, 3, rng=0, starts=4, max_iters=200)
    assert many.info.error_estimate <= one.info.error_estimate + 1e-14
    assert many.info.path.endswith("ico, 3 sweeps of als")


def test_components_that_are_not_there_have_no_weight():
    factors = components(6, 2, 3, 0.0, 8)
    T = dense(np.array([2.0, 1.0]), factors)
    result = cpca(T, 4, rng=0)
    assert result.info.rank == 2
    assert np.array_equal(result.weights[2:], [0, 0])
    for function in (cpca, ico, als, cp):
        zero = function(np.zeros((3, 4, 5)), 2, rng=0)
        assert np.array_equal(zero.weights, [0, 0])
        assert zero.info.rank == 0
        assert zero.info.error_estimate == 0
        nothing = function(T, 0, rng=0)
        assert nothing.factors[1].shape == (6, 0)
        assert nothing.info.error_relative == pytest.approx(1)


@pytest.mark.parametrize("excess", [1, 2, 3])
def test_a_rank_that_is_too_large_leaves_components_without_weight(excess):
    """Least squares at the end would bring them back at the size of rounding."""
    for d, r in ((12, 2), (20, 3)):
        rng = np.random.default_rng([d, r])
        truth = [rng.standard_normal((d, r)) for _ in range(3)]
        result = cp(dense(np.ones(r), truth), r + excess, rng=0)
        assert result.info.rank == r
        assert result.info.converged
        assert not np.any(result.weights[r:])
        assert result.info.error_relative <= 1e-14
        found = [factor[:, :r] for factor in result.factors]
        assert match_components(found, truth)[1].max() <= 1e-12


def test_dependent_factors_are_told():
    factors = components(8, 2, 3, 0.0, 9)
    factors[2][:, 1] = factors[2][:, 0] + 1e-5 * factors[2][:, 1]
    with pytest.warns(ConvergenceWarning, match=r"ico: a factor has condition .* try method='als'"):
        ico(dense(np.array([2.0, 1.0]), factors), 2, init=factors)


@pytest.mark.parametrize("function", [cpca, ico, als, cp])
def test_misuse_is_named(function):
    T = np.ones((4, 5, 6))
    with pytest.raises(InputError, match=r"^T: expected 3 or 4 or 5 or 6 dimensions, got 2"):
        function(np.ones((3, 3)), 1)
    with pytest.raises(InputError, match=r"^T: expected real numbers, got complex128"):
        function(T + 0j, 1)
    with pytest.raises(InputError, match=r"^rank: .*7"):
        function(T, 7)
    with pytest.raises(InputError, match=r"^rank: .*True"):
        function(T, True)
    bad = T.copy()
    bad[2, 0, 1] = np.inf
    with pytest.raises(NonFiniteError, match=r"^T: 1 entry is NaN or Inf, the first at index \(2, 0, 1\)"):
        function(bad, 1)


@pytest.mark.parametrize("function", [ico, als, cp])
def test_misuse_of_starts_and_limits_is_named(function):
    T = np.ones((4, 5, 6))
    with pytest.raises(InputError, match=r"^init: .*'svd'"):
        function(T, 1, init="svd")
    with pytest.raises(InputError, match=r"^init\[0\]: expected shape \(4, 2\), got \(4, 1\)"):
        function(T, 2, init=[np.ones((d, 1)) for d in T.shape])
    with pytest.raises(InputError, match=r"^init: expected columns other than zero"):
        function(T, 1, init=[np.zeros((d, 1)) for d in T.shape])
    with pytest.raises(InputError, match=r"^tol: .*-1"):
        function(T, 1, tol=-1)
    with pytest.raises(InputError, match=r"^max_iters: .*0"):
        function(T, 1, max_iters=0)


def test_misuse_of_the_driver_is_named():
    T = np.ones((4, 5, 6))
    with pytest.raises(InputError, match=r"^method: .*'hopm'"):
        cp(T, 1, method="hopm")
    with pytest.raises(InputError, match=r"^refine: .*-1"):
        cp(T, 1, refine=-1)
    with pytest.raises(InputError, match=r"^starts: .*0"):
        cp(T, 1, starts=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(7,), (9, 5), (5, 9), (1, 6), (3, 4, 5)])
def test_folded_vectors_are_cut_to_their_leading_vectors(shape, dtype):
    folded = np.random.default_rng(10).standard_normal(shape).astype(dtype)
    found = rank_one(folded)
    for k, v in enumerate(found):
        M = np.moveaxis(folded, k, 0).reshape(shape[k], -1)
        U, s, _ = np.linalg.svd(M.astype(np.float64), full_matrices=False)
        gap = 1 - (s[1] / s[0]) ** 2 if len(s) > 1 else 1.0
        # Perturbation of the Gram matrix by rounding, 12 squares of it.
        bound = 12 * max(M.shape) * np.finfo(dtype).eps / gap
        unit = v / np.linalg.norm(v)
        assert np.linalg.norm(unit - U[:, 0] * (U[:, 0] @ unit)) <= bound
    assert all(np.isfinite(v).all() for v in rank_one(np.zeros(shape, dtype)))


def test_small_components_settle_at_their_own_rounding():
    """Columns of a component 1e-9 of the largest turn by 1e-7 a sweep: that is no lack of convergence."""
    factors = components(12, 2, 3, 0.0, 11)
    for function in (ico, als):
        result = function(dense(np.array([1.0, 1e-9]), factors), 2, rng=0)
        assert result.info.converged
        np.testing.assert_allclose(result.weights[1], 1e-9, rtol=1e-6)


# -- sketched least squares --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sketch", ["tensor_sketch", "khatri_rao"])
@pytest.mark.parametrize("order", [3, 4, 5])
def test_sketched_least_squares_is_exact_without_noise(order, sketch, dtype):
    factors = components(7, 3, order, 0.1, order)
    T = np.asfortranarray(dense(np.array([3.0, 2.0, 1.0]), factors).astype(dtype))[:, ::-1]
    flipped = [A[::-1] if k == 1 else A for k, A in enumerate(factors)]
    result = als(T, 3, sketch=sketch, sketch_rows=80, rng=0)
    tol = 1e-6 if dtype == np.float64 else 1e-3
    assert match_components(result.factors, flipped)[1].max() <= tol
    assert result.info.converged
    assert result.info.path == f"cpca, {sketch} of 80 rows"
    true = np.linalg.norm(result.to_dense().astype(np.float64) - T) / np.linalg.norm(T.astype(np.float64))
    assert result.info.error_relative == pytest.approx(true, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("sketch", ["tensor_sketch", "khatri_rao"])
def test_rows_of_a_sketch_bring_the_error_of_least_squares_down(sketch):
    """The excess of the squared error falls like one over the rows."""
    rng = np.random.default_rng(0)
    T = dense(np.array([3.0, 2.0, 1.0]), components(14, 3, 3, 0.1, 0)) + 0.01 * rng.standard_normal((14,) * 3)
    best = als(T, 3, rng=0).info.error_relative ** 2
    excess = []
    for rows in (100, 1600):
        found = [als(T, 3, sketch=sketch, sketch_rows=rows, rng=seed, tol=1e-6) for seed in range(6)]
        errors = np.array([one.info.error_relative**2 for one in found])
        assert np.all(errors > best * (1 - 1e-9))
        excess.append(errors.mean() / best - 1)
    assert 1 / 40 < excess[1] / excess[0] < 1 / 6
    assert excess[0] < 0.4


def test_a_seed_is_a_sketch_and_what_is_refused():
    T = np.random.default_rng(0).standard_normal((6, 5, 4))
    one, same, other = (als(T, 2, sketch="tensor_sketch", tol=1e-2, rng=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.factors[0], same.factors[0])
    assert not np.array_equal(one.factors[0], other.factors[0])
    assert np.all(als(np.zeros((6, 5, 4)), 2, sketch="khatri_rao").weights == 0)
    with pytest.raises(InputError, match=r"sketch: expected one of 'none', 'tensor_sketch', 'khatri_rao'"):
        als(T, 2, sketch="gaussian")
    for rows in (1, True, "many", 2.5):
        with pytest.raises(InputError, match=r"sketch_rows: expected"):
            als(T, 2, sketch="tensor_sketch", sketch_rows=rows)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Components of covariances from samples: exact without noise, at the rate of 1 / sqrt(N) with it."""

from __future__ import annotations

import numpy as np
import pytest
from tensor_cases import LETTERS, Array, components, dense

from randnla import ConvergenceWarning, InputError, NonFiniteError
from randnla.tensor import cp_covariance, match_components


def samples(scores: Array, factors: list[Array]) -> Array:
    modes = LETTERS[: len(factors)]
    return np.einsum("nz," + ",".join(m + "z" for m in modes) + "->n" + modes, scores, *factors)


def covariance(X: Array, *, center: bool = True) -> Array:
    flat = (X - X.mean(axis=0) * center).reshape(len(X), -1)
    return flat.T @ flat / len(X)


@pytest.mark.parametrize("delta", [0.0, 0.3])
@pytest.mark.parametrize("order", [2, 3, 4, 5])
def test_samples_without_noise_give_the_components_exactly(order, delta):
    factors = components(5, 2, order, delta, order)
    scores = np.random.default_rng(0).standard_normal((60, 2)) * [3, 1]
    scores[:, 1] += 0.3 * scores[:, 0]  # correlated: duals part them all the same
    # With correlated scores and two modes convergence is linear: the error is that of the tolerance.
    result = cp_covariance(samples(scores, factors), 2, rng=0, tol=1e-13)
    assert match_components(result.factors, factors)[1].max() <= 1e-12
    np.testing.assert_allclose(result.weights, np.var(scores, axis=0), rtol=1e-11)
    assert result.info.converged
    assert result.info.method == "ico"
    assert result.info.path == "centered, cpca"


def test_errors_fall_like_the_root_of_the_number_of_samples():
    medians = []
    for n in (200, 3200):
        errors = []
        for seed in range(8):
            rng = np.random.default_rng(seed)
            factors = components(8, 3, 3, 0.3, seed)
            X = samples(rng.standard_normal((n, 3)) * [2, 1.4, 1], factors)
            result = cp_covariance(X + 0.1 * rng.standard_normal(X.shape), 3, rng=0)
            errors.append(match_components(result.factors, factors)[1].max())
        medians.append(np.median(errors))
    # A factor of 4; medians of 8 errors of this kind are within a quarter of their own.
    assert 4 / 1.25**2 <= medians[0] / medians[1] <= 4 * 1.25**2


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("n", [20, 300])
def test_the_error_is_measured(n, center):
    rng = np.random.default_rng(1)
    X = samples(rng.standard_normal((n, 2)) * [3, 1], components(6, 2, 2, 0.1, 1))
    X += 0.3 * rng.standard_normal(X.shape) + 1
    result = cp_covariance(np.asfortranarray(X), 2, center=center, rng=0, max_iters=500)
    V = dense(np.ones(1), [A[:, :1] for A in result.factors]).reshape(-1, 1)
    W = dense(np.ones(1), [A[:, 1:] for A in result.factors]).reshape(-1, 1)
    S = covariance(X, center=center)
    error = np.linalg.norm(S - result.weights[0] * V @ V.T - result.weights[1] * W @ W.T)
    assert result.info.certificate == "exact"
    assert result.info.error_estimate == pytest.approx(error, rel=1e-11)
    assert result.info.error_relative == pytest.approx(error / np.linalg.norm(S), rel=1e-11)


def test_form_dtype_and_seed():
    rng = np.random.default_rng(2)
    X = samples(rng.standard_normal((80, 2)) * [1, 3], components(7, 2, 2, 0.1, 2)).astype(np.float32)
    result = cp_covariance(X, 2, rng=0)
    again = cp_covariance(X, 2, rng=result.info.seed)
    assert result.weights[0] >= result.weights[1]
    for factor, other in zip(result.factors, again.factors, strict=True):
        assert factor.dtype == np.float32
        assert np.array_equal(factor, other)
        assert np.all(factor[np.argmax(abs(factor), axis=0), [0, 1]] > 0)
    large = cp_covariance(np.ldexp(X.astype(np.float64), 400), 2, rng=0)
    np.testing.assert_allclose(np.ldexp(large.weights, -800), result.weights, rtol=1e-4)


def test_components_of_equal_variance_are_found_once_each():
    """Principal components are then a rotation of them, and cut to rank one some are the same."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        factors = components(9, 4, 2, 0.0, seed)
        X = samples(rng.standard_normal((400, 4)), factors) + 0.05 * rng.standard_normal((400, 9, 9))
        result = cp_covariance(X, 4, rng=0)
        assert result.info.condition <= 2
        # Noise of a vector of 9, .05 * 3 over the root of 400, is .0075: the largest of 8 is below .05.
        assert match_components(result.factors, factors)[1].max() <= 0.05


def test_ends_of_the_range():
    assert np.array_equal(cp_covariance(np.ones((5, 3, 4)), 2, rng=0).weights, [0, 0])  # no variance
    nothing = cp_covariance(np.random.default_rng(3).standard_normal((5, 3, 4)), 0, rng=0)
    assert nothing.factors[0].shape == (3, 0)
    assert nothing.info.error_relative == pytest.approx(1)


def test_misuse_and_what_does_not_converge_are_told():
    X = np.random.default_rng(4).standard_normal((9, 4, 5))
    with pytest.warns(ConvergenceWarning, match="cp_covariance: columns still move by"):
        cp_covariance(X, 3, max_iters=1)
    with pytest.raises(InputError, match=r"^X: expected 3 or 4 or 5 or 6 dimensions, got 2"):
        cp_covariance(X[0], 1)
    with pytest.raises(InputError, match=r"^X: expected real numbers, got complex128"):
        cp_covariance(1j * X, 1)
    with pytest.raises(InputError, match=r"^X: expected entries with variances in range"):
        cp_covariance(1e200 * X, 1)
    with pytest.raises(InputError, match=r"^rank: .*5"):
        cp_covariance(X, 5)
    with pytest.raises(InputError, match=r"^center: .*1"):
        cp_covariance(X, 1, center=1)
    with pytest.raises(InputError, match=r"^max_iters: .*0"):
        cp_covariance(X, 1, max_iters=0)
    with pytest.raises(NonFiniteError, match=r"^X: 180 entries are NaN or Inf"):
        cp_covariance(X * np.nan, 1)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Generalized linear models: gradients against differences, roots against gradients."""

import numpy as np
import pytest
import scipy.sparse

from randnla import InputError, NonFiniteError
from randnla.curvature import LeastSquares, LinearModel, Logistic, Multinomial, Poisson

N, P, K = 13, 6, 3
MODELS = {
    "least_squares": (LeastSquares(ridge=0.1), lambda rng: rng.standard_normal(N)),
    "logistic": (Logistic(ridge=0.1), lambda rng: rng.integers(0, 2, N)),
    "multinomial": (Multinomial(K, ridge=0.1), lambda rng: rng.integers(0, K, N)),
    "poisson": (Poisson(ridge=0.1), lambda rng: rng.poisson(2.0, N)),
}
ALL = pytest.mark.parametrize("name", MODELS)


def problem(name, seed=0):
    rng = np.random.default_rng(seed)
    model, targets = MODELS[name]
    X = rng.standard_normal((N, P))
    return model, X, targets(rng), 0.3 * rng.standard_normal(model.shape(P))


def differences(f, w, h=1e-5):
    """Central differences along every weight."""
    columns = []
    for i in range(w.size):
        step = np.zeros(w.size)
        step[i] = h
        columns.append((f(w + step.reshape(w.shape)) - f(w - step.reshape(w.shape))) / (2 * h))
    return np.array(columns)


@ALL
def test_gradients_and_roots_are_derivatives(name):
    model, X, y, w = problem(name)
    assert isinstance(model, LinearModel)
    gradient = model.gradient(X, y, w)
    assert gradient.shape == w.shape
    # Differences with h = 1e-5: h^2 and eps / h, some 1e-10 of third derivatives of order 1.
    np.testing.assert_allclose(
        gradient.ravel(), differences(lambda v: model.loss(X, y, v), w), rtol=1e-6, atol=1e-8
    )
    R = model.hessian_root(X, w)
    root = R.dots(np.eye(R.dim)) if name == "multinomial" else R
    slopes = differences(lambda v: model.gradient(X, y, v).ravel(), w)
    np.testing.assert_allclose(root.T @ root + 0.1 * np.eye(w.size), slopes, rtol=1e-6, atol=1e-8)


@ALL
def test_sparse_and_half_precision_features(name):
    model, X, y, w = problem(name)
    X[X < 0.5] = 0
    for given, slack in (
        (scipy.sparse.csr_array(X), 1e-14),
        (scipy.sparse.coo_matrix(X), 1e-14),
        (X.astype(np.float32), 1e-6),
        (np.asfortranarray(X), 1e-14),
    ):
        assert model.loss(given, y, w) == pytest.approx(model.loss(X, y, w), rel=10 * slack)
        np.testing.assert_allclose(model.gradient(given, y, w), model.gradient(X, y, w), atol=10 * slack)
        assert model.gradient(given, y, w).dtype == np.float64
    sparse = model.hessian_root(scipy.sparse.csr_array(X), w)
    plain = model.hessian_root(X, w)
    if name == "multinomial":
        np.testing.assert_allclose(sparse.normal(), plain.normal(), atol=1e-14)
    else:
        assert scipy.sparse.issparse(sparse)
        np.testing.assert_allclose(sparse.toarray(), plain, atol=1e-15)
        assert model.hessian_root(X.astype(np.float32), w).dtype == np.float32


@ALL
def test_means_match_slopes(name):
    # All are canonical: the slope is the mean of y less y itself.
    model, X, y, w = problem(name)
    z, targets = model.predictors(X, w), model.checked_targets(y, N)
    observed = np.eye(K)[y] if name == "multinomial" else y
    np.testing.assert_allclose(model.slopes(z, targets), model.mean(z) - observed, atol=1e-14)


@ALL
@pytest.mark.parametrize("scale", [0.0, 1.0, 40.0, 800.0])
def test_losses_and_slopes_together_are_those_alone(name, scale):
    model, X, y, w = problem(name)
    targets, z = model.checked_targets(y, N), scale * model.predictors(X, w)
    losses, slopes = model.losses_and_slopes(z, targets)
    np.testing.assert_allclose(losses, model.losses(z, targets), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(slopes, model.slopes(z, targets), rtol=1e-12, atol=1e-300)


def test_extreme_predictors():
    z = np.array([-1e4, -800.0, 800.0, 1e4])
    model = Logistic()
    y = model.targets(np.array([1.0, 0.0, 0.0, 1.0]))
    np.testing.assert_array_equal(model.losses(z, y), [1e4, 0, 800, 0])
    np.testing.assert_array_equal(model.slopes(z, y), [-1, 0, 1, 0])
    assert (model.curvatures(z) == 0).all()
    several = Multinomial(2)
    both = np.stack([z, np.zeros(4)], axis=1)
    np.testing.assert_allclose(several.losses(both, np.array([0, 1, 1, 0])), [1e4, 0, 800, 0])
    assert not several.curvatures(both).any()
    assert Poisson().losses(np.array([1e4]), np.array([1.0]))[0] == np.inf


def test_two_classes_are_logistic():
    _, X, y, w = problem("logistic")
    W = np.stack([np.zeros(P), w], axis=1)
    two = Multinomial(2)
    assert two.loss(X, y, W) == pytest.approx(Logistic().loss(X, y, w), rel=1e-14)
    np.testing.assert_allclose(two.gradient(X, y, W)[:, 1], Logistic().gradient(X, y, w), atol=1e-15)
    np.testing.assert_array_equal(
        Logistic().gradient(X, y, w), Logistic().gradient(X, np.where(y > 0, 1, -1), w)
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Logistic(ridge=-1), InputError, "ridge: expected a number >= 0"),
        (lambda: Multinomial(1), InputError, "classes: expected an integer >= 2"),
        (lambda: Logistic().loss(np.ones((2, 1)), [0, 2], [0.0]), InputError, "y: expected labels -1 and 1"),
        (lambda: Logistic().loss(np.ones((3, 1)), [0, 1, -1], [0.0]), InputError, "y: expected labels"),
        (lambda: Poisson().loss(np.ones((2, 1)), [0, -2], [0.0]), InputError, "y: expected numbers >= 0"),
        (
            lambda: Multinomial(2).loss(np.ones((2, 1)), [0, 2], [[0.0, 0]]),
            InputError,
            r"y: expected integers in \[0, 2\)",
        ),
        (lambda: Poisson().loss(np.ones((2, 1)), [0], [0.0]), InputError, "y: expected 2 real numbers"),
        (lambda: Poisson().loss(np.ones((2, 1)), [0, np.nan], [0.0]), NonFiniteError, "y: 1 entry"),
        (lambda: Poisson().loss(np.ones((2, 1)), [0, 1], [0.0, 1]), InputError, r"w: expected shape \(1,\)"),
        (lambda: Poisson().gradient(np.ones((2, 1)), [0, 1], [np.inf]), NonFiniteError, "w: 1 entry"),
        (lambda: Poisson().hessian_root(np.ones((2, 1)) * 1j, [0.0]), InputError, "X: expected real numbers"),
        (lambda: Poisson().hessian_root(np.ones((0, 1)), [0.0]), InputError, "X: expected real numbers"),
    ],
)
def test_misuse_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
    assert repr(Logistic(ridge=0.5)) == "Logistic(ridge=0.5)"

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The engine of SketchySGD: Newton in the limit, learning rates that are bounds, numbers that go wrong."""

import itertools
import math
import pickle

import numpy as np
import pytest
import scipy.sparse

from randnla import InputError, NonFiniteError, StateError
from randnla.curvature import SSN, LeastSquares, Logistic, Nystrom, SketchySGD

WORDS = ("nystrom", "ssn", "sassn", "lessn", "diagonal")


def data(n=200, p=20, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, p)) * 0.7 ** np.arange(p)).astype(dtype)


def root(n=200, p=20, seed=0, dtype=np.float64):
    return data(n, p, seed, dtype) / dtype(n**0.5)


def preconditioned(engine, R, rho=None):
    """``P^-1/2 (R^T R + mu I) P^-1/2``, dense."""
    if rho is not None:
        engine.rho = rho
    half = engine.preconditioner.inverse_sqrt(np.eye(R.shape[1]))
    return half @ (R.T @ R + engine.ridge * np.eye(R.shape[1])) @ half


def test_with_every_pair_and_rho_the_ridge_a_step_of_one_is_newtons():
    X, mu = data(), 1e-2
    y = X @ np.ones(20) + np.random.default_rng(1).standard_normal(200)
    for rank in (20, 99):
        model, engine = LeastSquares(ridge=mu), SketchySGD(rank, mu, ridge=mu, rng=0)
        engine.update(model.hessian_root(X, np.zeros(20)))
        w = -engine.direction(model.gradient(X, y, np.zeros(20)))
        exact = np.linalg.solve(X.T @ X / 200 + mu * np.eye(20), X.T @ y / 200)
        # Condition 1e2: P is known to eps ||P||, relative to rho.
        np.testing.assert_allclose(w, exact, rtol=1e-11)
        assert np.abs(model.gradient(X, y, w)).max() < 1e-13
        # P is the Hessian: its preconditioned form the identity, and the rate a half.
        assert engine.top_eigenvalue == pytest.approx(1.0, rel=1e-12)
        assert engine.learning_rate == pytest.approx(0.5, rel=1e-12)


def test_newtons_steps_on_logistic_loss_converge_quadratically():
    X, mu = data(), 1e-2
    y = (X @ np.ones(20) > 0.3).astype(float)
    model, engine, w = Logistic(ridge=mu), SketchySGD(20, mu, ridge=mu, rng=0), np.zeros(20)
    sizes = []
    for _ in range(8):
        engine.update(model.hessian_root(X, w))
        g = model.gradient(X, y, w)
        sizes.append(np.abs(g).max())
        w = w - engine.direction(g)
    assert sizes[-1] < 1e-15
    # |g'| <= L / (2 mu^2) |g|^2 with constants of order 1 here, until rounding.
    assert all(after <= 100 * before**2 for before, after in itertools.pairwise(sizes[2:6]))


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_top_eigenvalue_is_between_that_of_the_power_method_and_the_truth(word, dtype):
    R, fresh = root(dtype=dtype), root(seed=1, dtype=dtype)
    engine = SketchySGD(5, 1e-3, preconditioner=word, ridge=1e-4, rng=0)
    engine.update(R, fresh=fresh)
    H = preconditioned(engine, fresh.astype(np.float64))
    truth = np.linalg.eigvalsh(H)[-1]
    # A Ritz value of 10 products is below the largest eigenvalue v, and for a Gaussian start above
    # v (1 - (log p / 9)^2 / 4) = .97 v on average (Kuczynski and Wozniakowski, 1992).
    rounding = 1e3 * np.finfo(dtype).eps
    assert 0.8 * truth <= engine.top_eigenvalue <= truth * (1 + rounding)
    start = np.random.default_rng(0).standard_normal((20, 200))
    for _ in range(10):
        start = H @ start
        start /= np.linalg.norm(start, axis=0)
    assert engine.top_eigenvalue >= 0.9 * np.median(np.einsum("ij,ij->j", start, H @ start))


@pytest.mark.parametrize("word", WORDS)
def test_a_lower_rho_shortens_steps_by_a_bound(word):
    R = root()
    engine = SketchySGD(5, 1e-2, preconditioner=word, steps=20, rng=0)
    engine.update(R, fresh=R)
    rate = engine.learning_rate
    assert rate == pytest.approx(0.5 / np.linalg.eigvalsh(preconditioned(engine, R))[-1], rel=1e-6)
    for rho in (1e-2, 1e-3, 1e-5, 1.0):
        H = preconditioned(engine, R, rho)
        assert engine.learning_rate <= 0.5 / np.linalg.eigvalsh(H)[-1] * (1 + 1e-6)
    engine.rho = 1e-2
    assert engine.learning_rate == rate


@pytest.mark.parametrize("word", WORDS)
def test_steps_descend(word):
    # With rate 1 / (2 lambda) a gradient step lowers a quadratic of curvature <= lambda P by
    # eta (1 - eta lambda / 2) g^T P^-1 g >= 3/4 eta g^T P^-1 g.
    R, w = root(), np.ones(20)
    engine = SketchySGD(5, 1e-3, preconditioner=word, steps=20, rng=0)
    engine.update(R, fresh=R)
    for _ in range(5):
        g = R.T @ (R @ w)
        down = engine.direction(g)
        after = w - engine.learning_rate * down
        gain = 0.5 * np.sum((R @ w) ** 2) - 0.5 * np.sum((R @ after) ** 2)
        assert gain >= 0.75 * engine.learning_rate * (g @ down) * (1 - 1e-6)
        w = after


def test_saturated_logits():
    rho, mu = 1e-3, 1e-5
    X = data()
    model = Logistic(ridge=mu)
    R = model.hessian_root(X, np.full(20, 1e6))
    assert not R.any()
    engine = SketchySGD(rho=rho, ridge=mu, rng=0)
    engine.update(R, fresh=R)
    np.testing.assert_allclose(engine.direction(np.ones(20)), np.ones(20) / rho, rtol=1e-15)
    assert engine.top_eigenvalue == pytest.approx(mu / rho, rel=1e-14)
    assert engine.health.reason == ""


def test_without_any_curvature_the_rate_is_that_of_before():
    engine = SketchySGD(rho=1e-3, rng=0)
    assert math.isnan(engine.top_eigenvalue)
    engine.update(np.zeros((3, 5)), fresh=np.zeros((3, 5)))
    # Half a gradient step: rate / rho = 1 / 2.
    assert engine.learning_rate == 0.5e-3
    assert "the learning rate is that of before" in engine.health.reason
    engine.update(np.eye(5), fresh=np.eye(5))
    rate = engine.learning_rate
    engine.update(np.eye(5), fresh=np.full((2, 5), np.nan))
    assert engine.learning_rate == rate
    assert "NaN or Inf" in engine.health.reason
    engine.update(np.full((2, 5), np.nan), fresh=np.eye(5))
    assert engine.health.fallback == "last good inverse"
    assert engine.learning_rate == pytest.approx(rate)


def test_the_sample_itself_may_serve_and_health_says_so():
    engine = SketchySGD(rng=0)
    engine.update(root())
    assert engine.health.reason == "the learning rate is that of the sample itself"
    engine.update(root(), fresh=root(seed=1))
    assert engine.health.reason == ""


def test_products_serve_as_well_as_roots():
    R, fresh = root(), root(seed=1)
    first, second = SketchySGD(rng=0), SketchySGD(rng=0)
    first.update(R, fresh=fresh)
    second.update(hvp=lambda V: R.T @ (R @ V), dim=20, fresh=lambda V: fresh.T @ (fresh @ V))
    assert first.learning_rate == pytest.approx(second.learning_rate, rel=1e-9)
    np.testing.assert_allclose(first.direction(np.ones(20)), second.direction(np.ones(20)), rtol=1e-7)


def test_an_indefinite_hessian_bounds_the_rate_from_above():
    Q = np.linalg.qr(np.random.default_rng(3).standard_normal((30, 30)))[0]
    w = np.r_[-5.0, 1.0, np.full(28, 0.1)]
    engine = SketchySGD(5, 0.1, steps=30, rng=0)
    engine.update(hvp=lambda V: Q @ (w[:, None] * (Q.T @ V)), dim=30)
    assert engine.health.fallback == "absolute values"
    half = engine.preconditioner.inverse_sqrt(np.eye(30))
    truth = np.linalg.eigvalsh(half @ ((Q * w) @ Q.T) @ half)[-1]
    assert engine.top_eigenvalue == pytest.approx(truth, rel=1e-6)
    rate = engine.learning_rate
    engine.update(hvp=lambda V: -V, dim=30)  # nothing limits a step
    assert engine.learning_rate == rate
    assert "the learning rate is that of before" in engine.health.reason
    R = root(10, 30)
    engine.update(hvp=lambda V: Q @ (w[:, None] * (Q.T @ V)), ggn=lambda V: R.T @ (R @ V), dim=30)
    assert engine.health.fallback == "Gauss-Newton"


def test_half_vectors_of_float32_and_tensors():
    R = root(dtype=np.float32)
    engine = SketchySGD(rng=0)
    engine.update(R, fresh=scipy.sparse.csr_array(R))
    assert engine.direction(np.ones(20)).dtype == np.float32
    torch = pytest.importorskip("torch")
    found = engine.direction(torch.ones(20))
    assert isinstance(found, torch.Tensor)
    assert engine.quadform(np.ones(20)) > 0
    assert engine.logdet() < 0


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("scale", [1e19, 1e25])
def test_rates_beyond_float32_are_found_in_float64(word, scale):
    # Products of float32 overflow; by scaling, the rate is that of the problem in units of its own.
    R = root(dtype=np.float32)
    engine, plain = (SketchySGD(4, 1e-3, preconditioner=word, steps=20, rng=0) for _ in range(2))
    engine.rho = 1e-3 * scale  # rho relative to the Hessian does not matter for what is tested
    engine.update(R * np.float32(scale), fresh=R * np.float32(scale))
    assert engine.health.reason == "" or engine.health.fallback == "float64"
    H = (R.astype(float).T @ R) * scale**2
    eye = np.eye(20)
    half = np.stack([engine.preconditioner.power(eye[k : k + 1], -0.5)[0] for k in range(20)])
    truth = np.linalg.eigvalsh(half @ H @ half)[-1]
    assert engine.learning_rate == pytest.approx(0.5 / truth, rel=1e-3)
    plain.update(R, fresh=R)
    assert plain.health.fallback == ""


@pytest.mark.parametrize("p", [-8, 5])
def test_powers_of_two_change_no_digit(p):
    R, fresh, x = root(), root(seed=1), np.ones(20)
    plain = SketchySGD(rho=2.0**-10, ridge=2.0**-20, rng=0)
    scaled = SketchySGD(rho=2.0**-10 * 4.0**p, ridge=2.0**-20 * 4.0**p, rng=0)
    plain.update(R, fresh=fresh)
    scaled.update(R * 2.0**p, fresh=fresh * 2.0**p)
    assert scaled.learning_rate == plain.learning_rate
    np.testing.assert_array_equal(scaled.direction(x) * 4.0**p, plain.direction(x))


@pytest.mark.parametrize("word", WORDS)
def test_states_go_on_bit_for_bit(word):
    engine = SketchySGD(5, 1e-2, preconditioner=word, ridge=1e-5, steps=7, rng=3)
    engine.update(root(), fresh=root(seed=1))
    other = SketchySGD()
    other.load_state_dict(engine.state_dict())
    for twin in (other, pickle.loads(pickle.dumps(engine))):
        original = pickle.loads(pickle.dumps(engine))
        for made in (twin, original):
            made.update(root(seed=2), fresh=root(seed=3))
        assert twin.learning_rate == original.learning_rate
        assert twin.health == original.health
        np.testing.assert_array_equal(twin.direction(np.ones(20)), original.direction(np.ones(20)))
        assert repr(twin) == repr(original)


def test_altered_states_are_refused():
    engine = SketchySGD(rng=0)
    engine.update(root())
    good = engine.state_dict()
    for key in good:
        with pytest.raises(StateError):
            SketchySGD.from_state_dict({k: v for k, v in good.items() if k != key})
    with pytest.raises(StateError, match="unknown field for kind 'SketchySGD'"):
        SketchySGD.from_state_dict(Nystrom().state_dict() | {"ridge": 0.0})
    rate = engine.learning_rate
    with pytest.raises(StateError, match="digest"):
        engine.load_state_dict({**good, "top": 3.0})
    assert engine.learning_rate == rate


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SketchySGD(preconditioner="newton"), "preconditioner: expected one of 'nystrom', 'ssn'"),
        (lambda: SketchySGD(0, preconditioner="ssn"), "rank: expected an integer >= 1"),
        (lambda: SketchySGD(ridge=-1.0), "ridge: expected a number >= 0"),
        (lambda: SketchySGD(steps=0), "steps: expected an integer >= 1"),
        (lambda: SketchySGD().update(), "hessian_root, hvp: expected one of them"),
        (lambda: SketchySGD().update(root(), fresh=root(3, 4)), "fresh: expected 20 columns, got 4"),
        (lambda: SketchySGD().update(root(), fresh="R"), "fresh: "),
    ],
)
def test_misuse_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_gradients_that_are_not_finite_are_refused():
    engine = SketchySGD(preconditioner=SSN(0.5), rng=0)
    with pytest.raises(StateError, match="SSN: expected an update"):
        engine.direction(np.ones(20))
    engine.update(root())
    before = engine.state_dict()
    with pytest.raises(NonFiniteError, match="g: 1 entry is NaN or Inf"):
        engine.direction(np.r_[np.nan, np.ones(19)])
    after = engine.state_dict()
    assert all(np.array_equal(before[key], after[key]) for key in before)
    assert engine.rho == engine.damping == 0.5

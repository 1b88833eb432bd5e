# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Variance reduction: unbiased directions, tables that add up, steps against their formulas."""

import pickle

import numpy as np
import pytest
import scipy.sparse

from randnla import InputError, NonFiniteError, StateError
from randnla.curvature import Logistic, Multinomial, SketchyKatyusha, SketchySAGA, SketchySVRG

N, P = 60, 8
ENGINES = {
    "svrg": lambda **o: SketchySVRG(4, 1e-2, samples=N, ridge=1e-3, rng=0, **o),
    "saga": lambda **o: SketchySAGA(4, 1e-2, samples=N, ridge=1e-3, rng=0, **o),
    "katyusha": lambda **o: SketchyKatyusha(4, 1e-2, samples=N, ridge=1e-3, batch=10, rng=0, **o),
}


def problem(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, P)) * 0.6 ** np.arange(P)
    return X, (X @ np.ones(P) + 0.3 * rng.standard_normal(N) > 0).astype(float), Logistic(ridge=1e-3)


def updated(name, **options):
    X, _, model = problem()
    engine = ENGINES[name](**options)
    root = model.hessian_root(X, np.zeros(P))
    engine.update(root, fresh=root)
    return engine


def batches():
    return np.random.default_rng(1).permutation(N).reshape(6, 10)


def test_svrg_is_unbiased_and_free_of_noise_at_its_anchor():
    X, y, model = problem()
    engine = updated("svrg")
    anchor, w = np.full(P, 0.1), np.full(P, -0.2)
    engine.snapshot(model.gradient(X, y, anchor))

    def down(rows, at):
        part = X[rows], y[rows]
        return engine.direction(model.gradient(*part, at), model.gradient(*part, anchor))

    exact = engine.direction(model.gradient(X, y, w))
    np.testing.assert_allclose(np.mean([down(rows, w) for rows in batches()], axis=0), exact, rtol=1e-9)
    for rows in batches():
        np.testing.assert_allclose(down(rows, anchor), engine.direction(engine.full_gradient), rtol=1e-9)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("classes", [None, 3])
def test_the_average_of_saga_is_that_of_its_table(classes, sparse):
    X, y, model = problem()
    data = scipy.sparse.csr_array(X) if sparse else X
    if classes:
        model, y = Multinomial(classes, ridge=1e-3), np.arange(N) % classes
    k = classes or 1
    engine = SketchySAGA(4, 1e-2, samples=N, outputs=k, ridge=1e-3, rng=0)
    w = np.zeros(model.shape(P))
    engine.update(model.hessian_root(data, w))
    assert engine.table.shape == (N, k)
    for _ in range(3):
        for rows in batches():
            z = model.predictors(data[rows], w)
            slopes = model.slopes(z, model.targets(np.asarray(y, float))[rows])
            before = engine.average.copy() if engine.average.size else np.zeros(P * k)
            old = engine.table[rows].copy()
            down = engine.direction(rows, slopes, data[rows], 1e-3 * w.ravel())
            push = (X[rows].T @ (slopes.reshape(10, k) - old)).ravel() / 10
            exact = engine.preconditioner.direction(push + before + 1e-3 * w.ravel())
            np.testing.assert_allclose(down, exact, rtol=1e-9, atol=1e-12)
            w = w - engine.learning_rate * down.reshape(w.shape)
            np.testing.assert_array_equal(engine.table[rows], slopes.reshape(10, k))
        # Sums of N terms, three times over.
        mean = (X.T @ engine.table / N).ravel()
        np.testing.assert_allclose(engine.average, mean, atol=1e-14)


def test_katyusha_follows_its_formulas():
    X, y, model = problem()
    engine = updated("katyusha")
    mu, lam = 1e-3, engine.top_eigenvalue
    sigma = mu / lam
    first = min(np.sqrt(2 * N * sigma / 3), 0.5)
    eta = 0.5 / (1.5 * first)
    z = w = anchor = np.full(P, 0.1)
    engine.start(w)
    moved = 0
    for k, rows in enumerate(np.tile(batches(), (4, 1))):
        if engine.snapshot_due:
            engine.snapshot(model.gradient(X, y, engine.anchor))
            full = model.gradient(X, y, anchor)
            moved += 1
        x = first * z + 0.5 * anchor + (0.5 - first) * w
        np.testing.assert_allclose(engine.point, x, rtol=1e-12)
        np.testing.assert_allclose(engine.anchor, anchor, rtol=1e-12)
        part = X[rows], y[rows]
        g, there = model.gradient(*part, x), model.gradient(*part, anchor)
        down = engine.preconditioner.direction(g - there + full)
        previous, old = z, w
        z = (eta * sigma * x + z - eta / lam * down) / (1 + eta * sigma)
        w = x + first * (z - previous)
        np.testing.assert_allclose(engine.step(g, there), w, rtol=1e-10, atol=1e-14)
        if np.random.default_rng([engine.seed, k]).random() < 10 / N:
            anchor = old
    assert 1 < moved < 20


@pytest.mark.parametrize("name", ["svrg", "saga"])
def test_rates_of_reduced_gradients(name):
    engine = updated(name)
    lam = engine.top_eigenvalue
    assert engine.learning_rate == max(0.5 / (1e-3 * N + lam), 1 / (3 * lam))


@pytest.mark.parametrize("name", ENGINES)
def test_states_go_on_bit_for_bit(name):
    X, y, model = problem()

    def run(engine, start, stop):
        w = np.array(getattr(engine, "w", np.zeros(P)))
        for rows in batches()[start:stop]:
            part = X[rows], y[rows]
            if name == "svrg":
                w = w - engine.direction(model.gradient(*part, w), model.gradient(*part, np.zeros(P)))
            elif name == "saga":
                z = model.predictors(X[rows], w)
                slopes = model.slopes(z, model.targets(y)[rows])
                w = w - engine.learning_rate * engine.direction(rows, slopes, X[rows])
            else:
                if engine.snapshot_due:
                    engine.snapshot(model.gradient(X, y, engine.anchor))
                w = engine.step(model.gradient(*part, engine.point), model.gradient(*part, engine.anchor))
        return w

    engine = updated(name)
    if name == "svrg":
        engine.snapshot(model.gradient(X, y, np.zeros(P)))
    if name == "katyusha":
        engine.start(np.zeros(P))
    run(engine, 0, 3)
    twin = pickle.loads(pickle.dumps(engine))
    other = ENGINES[name]()
    other.load_state_dict(engine.state_dict())
    expected = run(engine, 3, 6)
    np.testing.assert_array_equal(run(twin, 3, 6), expected)
    np.testing.assert_array_equal(run(other, 3, 6), expected)
    good = engine.state_dict()
    for key in good:
        with pytest.raises(StateError):
            type(engine).from_state_dict({k: v for k, v in good.items() if k != key})


def test_gradients_that_are_not_finite_change_nothing():
    X, _, _ = problem()
    bad, fine = np.r_[np.nan, np.ones(P - 1)], np.ones(P)
    svrg, saga, katyusha = (updated(name) for name in ENGINES)
    svrg.snapshot(fine)
    katyusha.start(fine)
    katyusha.snapshot(fine)
    saga.direction(np.arange(10), np.ones(10), X[:10])
    for engine, call in (
        (svrg, lambda: svrg.direction(bad, fine)),
        (svrg, lambda: svrg.snapshot(bad)),
        (katyusha, lambda: katyusha.step(fine, bad)),
        (katyusha, lambda: katyusha.start(bad)),
        (saga, lambda: saga.direction(np.arange(10), np.r_[np.nan, np.ones(9)], X[:10])),
        (saga, lambda: saga.direction(np.arange(10), np.ones(10), X[:10], bad)),
    ):
        before = engine.state_dict()
        with pytest.raises(NonFiniteError, match="NaN or Inf"):
            call()
        after = engine.state_dict()
        assert all(np.array_equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: SketchySVRG(samples=0), InputError, "samples: expected an integer >= 1"),
        (lambda: SketchySAGA(samples=3, outputs=0), InputError, "outputs: expected an integer >= 1"),
        (lambda: SketchyKatyusha(samples=3, ridge=0.0), InputError, "ridge: expected a positive number"),
        (lambda: SketchyKatyusha(samples=3, ridge=1.0, batch=0), InputError, "batch: expected an integer"),
        (lambda: updated("svrg").snapshot(np.ones(3)), InputError, r"gradient: expected shape \(8,\)"),
        (lambda: updated("svrg").direction(np.ones(P), np.ones(P)), StateError, "snapshot: expected a full"),
        (lambda: updated("katyusha").step(np.ones(P), np.ones(P)), StateError, "snapshot: expected `start`"),
        (
            lambda: updated("saga").direction([1, 1], np.ones(2), np.ones((2, P))),
            InputError,
            "rows: expected every sample once",
        ),
        (
            lambda: updated("saga").direction([N], np.ones(1), np.ones((1, P))),
            InputError,
            r"rows: expected integers in \[0, 60\)",
        ),
        (
            lambda: updated("saga").direction([1, 2], np.ones(2), np.ones((3, P))),
            InputError,
            "slopes, A: expected 2 rows",
        ),
    ],
)
def test_misuse_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_slopes_of_rows_of_zeros_are_looked_at_too():
    """A product with the row would hide NaN, which the table then kept."""
    engine = SketchySAGA(samples=10, rng=0)
    engine.update(np.eye(6))
    before = engine.state_dict()["digest"]
    with pytest.raises(NonFiniteError, match="slopes"):
        engine.direction([0, 1], [np.nan, 1.0], scipy.sparse.csr_array((2, 6)))
    with pytest.raises(InputError, match="penalty: expected shape"):
        engine.direction([0, 1], [1.0, 1.0], np.eye(2, 6), np.ones(4))
    with pytest.raises(InputError, match="slopes, A: expected 2 rows"):
        engine.direction([0, 1], [1.0], np.eye(2, 6))
    assert engine.state_dict()["digest"] == before
    assert engine.direction([0, 1], [1.0, 2.0], np.eye(2, 6).tolist()).shape == (6,)

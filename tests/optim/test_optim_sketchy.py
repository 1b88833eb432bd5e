# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Linear models by the sketchy optimizers: against tuned gradients, exact minima, and themselves resumed."""

import math
import pickle

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

import randnla
from randnla import InputError, NonFiniteError, RowStream, StateError
from randnla._backend import state as plain_state
from randnla.curvature import LeastSquares, Logistic, Multinomial
from randnla.optim import SketchyKatyusha, SketchySAGA, SketchySGD, SketchySVRG
from randnla.optim.rows import Gathered

ALL = pytest.mark.parametrize("method", [SketchySGD, SketchySVRG, SketchySAGA, SketchyKatyusha])
REDUCED = pytest.mark.parametrize("method", [SketchySVRG, SketchySAGA, SketchyKatyusha])


def problem(n=3000, p=60, seed=0):
    """Ill-conditioned logistic regression: singular values of the features fall as 1 / i."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) / np.arange(1, p + 1)
    y = X @ (rng.standard_normal(p) * np.arange(1, p + 1) ** 0.5) + 0.5 * rng.standard_normal(n) > 0
    return X, y


def minimum(model, X, y):
    shape = model.shape(X.shape[1])
    found = scipy.optimize.minimize(
        lambda v: (model.loss(X, y, v.reshape(shape)), model.gradient(X, y, v.reshape(shape)).ravel()),
        np.zeros(math.prod(shape)),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 5000, "maxfun": 10000, "ftol": 1e-16, "gtol": 1e-10},
    )
    return float(found.fun)


def plain_sgd(model, X, y, rate, epochs, seed, batch=256):
    w, rng = np.zeros(X.shape[1]), np.random.default_rng(seed)
    targets = model.checked_targets(y, len(X))
    for _ in range(epochs):
        order = rng.permutation(len(X))
        for start in range(0, len(X), batch):
            rows = order[start : start + batch]
            z = X[rows] @ w
            w -= rate * (X[rows].T @ model.slopes(z, targets[rows]) / len(rows) + model.ridge * w)
    return model.loss(X, y, w)


def test_defaults_beat_the_best_of_ten_tuned_step_sizes_by_half():
    X, y = problem()
    model = Logistic(ridge=1e-2 / len(X))
    least = minimum(model, X, y)
    rates = np.logspace(-1, 3, 10)
    for seed in range(3):
        tuned = min(plain_sgd(model, X, y, rate, 20, seed) for rate in rates) - least
        ours = SketchySGD(rng=seed).fit(X, y).objective(X, y) - least
        assert 0 <= ours <= 0.5 * tuned


@REDUCED
def test_without_noise_the_minimum_is_reached(method):
    X, y = problem(1500, 20)
    model = Logistic(ridge=1e-3)
    least = minimum(model, X, y)
    fitted = method(model, rho=1e-3, epochs=60, batch=64, rng=0).fit(X, y)
    # Linear convergence to what scipy reaches; plain SketchySGD stops at its noise.
    assert abs(fitted.objective(X, y) - least) <= 1e-8
    noisy = SketchySGD(model, epochs=60, batch=64, rng=0).fit(X, y)
    assert noisy.objective(X, y) - least > 1e-6
    assert fitted.epoch == len(fitted.history) == 60
    assert fitted.history[-1]["loss"] == pytest.approx(least, abs=1e-3)


@ALL
@pytest.mark.parametrize("loss", ["least_squares", "multinomial", "poisson"])
def test_every_loss(method, loss):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1200, 8)) * 0.7 ** np.arange(8)
    z = X @ np.linspace(1, -1, 8)
    y = {
        "least_squares": z + 0.1 * rng.standard_normal(1200),
        "multinomial": np.digitize(z, [-0.5, 0.5]),
        "poisson": rng.poisson(np.exp(z)),
    }[loss]
    fitted = method(loss, ridge=1e-4, epochs=40, batch=100, rng=0).fit(X, y)
    assert fitted.coef_.shape == fitted.model.shape(8)
    start = fitted.model.loss(X, y, np.zeros(fitted.model.shape(8)))
    least = minimum(fitted.model, X, y)
    # SketchySGD alone keeps the noise of its batches: some percent of what there was to gain.
    assert fitted.objective(X, y) - least <= 0.05 * (start - least)
    means = fitted.predict_mean(X)
    assert means.shape == ((1200, 3) if loss == "multinomial" else (1200,))
    assert not fitted.coef_.flags.writeable


@ALL
@pytest.mark.parametrize("loss", ["least_squares", "logistic", "multinomial"])
def test_resumed_fits_are_those_without_a_stop(method, loss):
    X, y = problem(700, 12)
    options = {"epochs": 5, "batch": 64, "rng": 4}
    whole = method(loss, **options).fit(X, y)
    half = method(loss, **{**options, "epochs": 2}).fit(X, y)
    state = half.state_dict()
    other = method(loss, batch=17, preconditioner="ssn", rank=3, rng=99)
    other.load_state_dict(state)
    for going in (half, other, pickle.loads(pickle.dumps(half))):
        going.resume(X, y, 3)
        np.testing.assert_array_equal(going.coef_, whole.coef_)
        assert going.history == whole.history
        assert repr(going) == repr(whole)
        assert going.preconditioner == "nystrom"
    again = method(loss, **options).fit(X, y)
    again.fit(X, y)  # starts anew
    np.testing.assert_array_equal(again.coef_, whole.coef_)


@ALL
def test_sparse_features_give_what_dense_ones_do(method):
    X, y = problem(700, 12)
    X[np.abs(X) < 0.1] = 0
    options = {"epochs": 3, "batch": 64, "rng": 0}
    dense = method(**options).fit(X, y)
    for sparse in (scipy.sparse.csr_array(X), scipy.sparse.csc_matrix(X)):
        np.testing.assert_allclose(method(**options).fit(sparse, y).coef_, dense.coef_, rtol=1e-7, atol=1e-9)
    # float32 has random maps of its own: another sketch, the same progress.
    narrow = method(**options).fit(X.astype(np.float32), y)
    assert narrow.engine.preconditioner.dtype == np.float32
    assert math.log(2) - narrow.objective(X, y) >= 0.9 * (math.log(2) - dense.objective(X, y))


@ALL
def test_mapped_files_and_streams(method, tmp_path):
    X, y = problem(700, 12)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    options = {"epochs": 4, "batch": 64, "rng": 0}
    whole = method(**options).fit(X, y)
    np.testing.assert_array_equal(method(**options).fit(mapped, y).coef_, whole.coef_)
    stream = RowStream(lambda: (X[i : i + 150] for i in range(0, 700, 150)), shape=X.shape)
    streamed = method(**options).fit(stream, y)
    # Shuffled within blocks only: another order, the same problem.
    start = math.log(2)
    least = minimum(streamed.model, X, y)
    gained = (start - streamed.objective(stream, y)) / (start - whole.objective(X, y))
    assert 0.9 <= gained <= (start - least) / (start - whole.objective(X, y)) * (1 + 1e-9)
    np.testing.assert_allclose(streamed.predict_mean(stream), streamed.predict_mean(X))
    # A pass an epoch, two for each of three Hessians; the others are for full gradients and the objective.
    assert stream.passes >= 4 + 3 * 2 + 1


def test_the_schedule_of_hessians():
    X, y = problem(400, 6)
    for loss, every, expected in (
        ("logistic", "auto", 4),  # before the first epoch, after 1, 2 and 4
        ("least_squares", "auto", 1),
        ("logistic", 2, 3),
        (LeastSquares(ridge=0.1), 3, 2),
    ):
        fitted = SketchySGD(loss, refresh_every=every, epochs=6, rng=0).fit(X, y)
        assert fitted.health.last_refresh == expected


def test_batches_whose_gradients_overflow_are_no_steps():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((512, 3))
    y = rng.poisson(1.0, 512)
    X[5] = 1e200  # exp overflows for any positive weights
    fitted = SketchySGD("poisson", epochs=2, batch=64, rng=0)
    fitted.fit(X, y)
    assert np.isfinite(fitted.coef_).all()
    skipped = sum(epoch["skipped"] for epoch in fitted.history)
    assert skipped == fitted.health.skipped_gradients > 0


@ALL
def test_the_loss_of_a_batch_is_that_of_before_its_step(method):
    X, y = problem(400, 10)
    fitted = method("logistic", ridge=10.0, batch=400, epochs=1, rng=0).fit(X, y)
    assert fitted.model.penalty(fitted.coef_) > 1e-7  # would be seen
    assert fitted.history[0]["loss"] == pytest.approx(math.log(2), rel=1e-13)


def test_history_callback_and_plain_steps():
    X, y = problem(400, 6)
    seen = []
    fitted = SketchySGD(epochs=3, rng=0).fit(X, y, callback=lambda o: seen.append((o.epoch, o.coef_.copy())))
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    assert set(fitted.history[0]) == {"epoch", "loss", "learning_rate", "top_eigenvalue", "skipped"}
    assert fitted.history[0]["loss"] <= math.log(2) + 1e-3
    assert "epoch=3" in repr(fitted)

    model, optimizer, w = Logistic(ridge=1e-4), SketchySGD(ridge=1e-4, rng=0), np.zeros(6)
    for k in range(100):
        root = model.hessian_root(X, w) if k % 10 == 0 else None
        w = optimizer.step(w, model.gradient(X, y, w), hessian_root=root, fresh=root)
    assert model.loss(X, y, w) - minimum(model, X, y) < 1e-3
    np.testing.assert_array_equal(optimizer.step(w, np.full(6, np.nan)), w)
    assert optimizer.health.skipped_gradients == 1
    twin = pickle.loads(pickle.dumps(optimizer))
    g = model.gradient(X, y, w)
    np.testing.assert_array_equal(twin.step(w, g), optimizer.step(w, g))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda X, y: SketchySGD("hinge"), InputError, "loss: expected one of 'least_squares', 'logistic'"),
        (lambda X, y: SketchySGD(preconditioner="newton"), InputError, "preconditioner: expected one of"),
        (lambda X, y: SketchySGD(batch=0), InputError, "batch: expected an integer >= 1"),
        (lambda X, y: SketchySGD(hessian_batch="all"), InputError, "hessian_batch: expected one of 'auto'"),
        (lambda X, y: SketchySGD(refresh_every=0), InputError, "refresh_every: expected an integer >= 1"),
        (lambda X, y: SketchySGD(rho=0.0).fit(X, y), InputError, "rho: expected a positive number"),
        (lambda X, y: SketchySGD(Logistic(), ridge=1.0).fit(X, y), InputError, "ridge: expected 'auto'"),
        (lambda X, y: SketchyKatyusha(ridge=0.0).fit(X, y), InputError, "ridge: expected a positive number"),
        (lambda X, y: SketchySGD().fit(X, y[:-1]), InputError, "y: expected 50 real numbers"),
        (lambda X, y: SketchySGD().fit(X, y + 1), InputError, "y: expected labels"),
        (lambda X, y: SketchySGD().fit(np.where(X > 1, np.nan, X), y), NonFiniteError, "X: "),
        (lambda X, y: SketchySGD().fit(X * 1j, y), InputError, "X: expected real numbers"),
        (lambda X, y: SketchySGD().fit(X, y, callback=3), InputError, "callback: expected a callable"),
        (lambda X, y: SketchySGD().resume(X, y), StateError, "expected a fit, or a loaded state"),
        (lambda X, y: SketchySGD().objective(X, y), StateError, "expected a fit first"),
        (lambda X, y: SketchySGD().predict_mean(X), StateError, "expected a fit first"),
        (lambda X, y: SketchySGD().state_dict(), StateError, "expected a fit or a step before"),
        (
            lambda X, y: SketchySGD(epochs=1).fit(X, y).resume(X[:, :2], y),
            InputError,
            "expected 4 columns",
        ),
        (lambda X, y: SketchySAGA(epochs=1).fit(X, y).resume(X[1:], y[1:]), InputError, "expected 50 rows"),
        (lambda X, y: SketchySGD(epochs=1).fit(X, y).resume(X[1:], y[1:]), InputError, "expected 50 rows"),
        (lambda X, y: SketchySGD().step(np.ones(3), np.ones(2)), InputError, "grad: expected shape"),
    ],
)
def test_misuse_is_named(call, error, message):
    X, y = problem(50, 4)
    with pytest.raises(error, match=message):
        call(X, y.astype(float))


def test_states_of_others_are_refused():
    X, y = problem(50, 4)
    fitted = SketchySGD(epochs=1, rng=0).fit(X, y)
    good = fitted.state_dict()
    for key in good:
        with pytest.raises(StateError):
            fitted.load_state_dict({k: v for k, v in good.items() if k != key})
    with pytest.raises(StateError, match="kind: expected"):
        SketchySVRG().load_state_dict(good)
    with pytest.raises(StateError, match="model: expected LeastSquares, got Logistic"):
        SketchySGD("least_squares").load_state_dict(good)
    with pytest.raises(StateError, match="model: expected Multinomial, got Logistic"):
        SketchySGD(Multinomial(2)).load_state_dict(good)
    before = fitted.coef_.copy()
    fitted.load_state_dict(good)
    np.testing.assert_array_equal(fitted.coef_, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300, 2.0**40, -1.0, 0.5])
def test_labels_of_classes_that_are_none_are_refused(bad):
    X, y = np.eye(4), np.array([0.0, 1.0, 2.0, bad])
    with pytest.raises(InputError, match="y:"):
        SketchySGD("multinomial", rng=0).fit(X, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [SketchySGD, SketchySVRG, SketchySAGA, SketchyKatyusha])
def test_full_gradients_that_overflow_end_no_fit(kind, dtype):
    rng = np.random.default_rng(0)
    X = (200 * rng.standard_normal((200, 6))).astype(dtype)
    fitted = kind("poisson", rng=0, epochs=4).fit(X, np.full(200, 1e6))
    assert np.isfinite(fitted.coef_).all()
    assert len(fitted.history) == 4
    assert fitted.history[-1]["skipped"] >= 1
    assert fitted.health.skipped_gradients >= 1


def test_what_does_not_fit_is_named_before_and_after_the_fit():
    with pytest.raises(InputError, match="rho: expected a positive number"):
        SketchySGD(rho=0.0)
    X = np.eye(6)
    fitted = SketchySGD("least_squares", epochs=1, rng=0).fit(X, np.ones(6))
    for call in (fitted.predict_mean, lambda A: fitted.objective(A, np.ones(3))):
        with pytest.raises(InputError, match="X: expected 6 columns"):
            call(np.ones((3, 5)))


def stepped(kind, X, y, model, epochs, batch=50, **options):
    """A loop of one's own, by steps; the weights at the end, and the optimizer."""
    n, w, rng = len(X), np.zeros(X.shape[1]), np.random.default_rng(0)
    optimizer = kind(ridge=model.ridge, batch=batch, rng=0, **options)

    def grad(at, rows):
        return model.gradient(X[rows], y[rows], at)

    for _ in range(epochs):
        roots = [model.hessian_root(X[i::2], w) for i in range(2)]
        curvature = {"hessian_root": roots[0], "fresh": roots[1]}
        for rows in np.array_split(rng.permutation(n), n // batch):
            if kind is SketchySAGA:
                A = X[rows]
                slopes = model.slopes(A @ w, model.targets(y[rows]))
                w = optimizer.step(w, slopes, rows, A, samples=n, **curvature)
            else:
                w = optimizer.step(w, grad, rows, samples=n, **curvature)
            curvature = {}
    return w, optimizer


@REDUCED
def test_steps_of_a_loop_of_ones_own_reach_the_minimum(method):
    X, y = problem(500, 10)
    model = Logistic(ridge=1e-3)
    least = minimum(model, X, y.astype(float))
    w, optimizer = stepped(method, X, y.astype(float), model, 40)
    # Without variance reduction noise stays, some 1e-4 here: what each class promises is what it does.
    assert abs(model.loss(X, y.astype(float), w) - least) <= 1e-8
    rows = np.arange(50)
    before = pickle.dumps(optimizer.engine)
    if method is SketchySAGA:
        np.testing.assert_array_equal(optimizer.step(w, np.full(50, np.nan), rows, X[rows]), w)
    else:
        np.testing.assert_array_equal(optimizer.step(w, lambda at, rows: np.full(10, np.inf), rows), w)
    assert optimizer.health.skipped_gradients == 1
    after = {k: v for k, v in vars(optimizer.engine).items() if k != "preconditioner"}
    for key, value in vars(pickle.loads(before)).items():
        if key != "preconditioner":
            np.testing.assert_array_equal(after[key], value)


def looped(optimizer, w, X, y, model, start, stop):
    """Steps of a loop of one's own, each of which depends on its number alone."""
    for k in range(start, stop):
        rows = np.random.default_rng(k).permutation(len(X))[:50]
        given = {"hessian_root": model.hessian_root(X[k::3], w)} if k % 4 == 0 else {}
        if isinstance(optimizer, SketchySGD):
            w = optimizer.step(w, model.gradient(X[rows], y[rows], w), **given)
            continue
        given["samples"] = len(X)
        if isinstance(optimizer, SketchySAGA):
            A = X[rows]
            w = optimizer.step(w, model.slopes(A @ w, model.targets(y[rows])), rows, A, **given)
        else:
            w = optimizer.step(w, lambda at, i: model.gradient(X[i], y[i], at), rows, **given)
    return w


@ALL
@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("model", [Logistic(ridge=1e-3), "logistic"], ids=["model", "word"])
def test_resumed_steps_are_those_without_a_stop(method, fitted, model):
    X, y = problem(300, 6)
    y, own = y.astype(float), Logistic(ridge=1e-3)
    ridge = {} if isinstance(model, Logistic) else {"ridge": 1e-3}
    optimizer, w = method(model, epochs=2, batch=50, rng=0, **ridge), np.zeros(6)
    if fitted:
        w = optimizer.fit(X, y).coef_.copy()
    w = looped(optimizer, w, X, y, own, 0, 5)
    state = optimizer.state_dict()
    whole = looped(optimizer, w, X, y, own, 5, 12)
    other = method(model, batch=17, rng=99, **ridge)
    other.load_state_dict(state)
    np.testing.assert_array_equal(looped(other, w, X, y, own, 5, 12), whole)
    assert not np.array_equal(whole, w)
    if not fitted:
        with pytest.raises(StateError, match="expected a fit, or a loaded state"):
            other.resume(X, y)


def test_epochs_between_steps_move_the_anchor():
    """The full gradient is that of the last epoch: differences from an older anchor would be wrong."""
    X, y = problem(300, 6)
    y, model = y.astype(float), Logistic(ridge=1e-3)
    optimizer = SketchySVRG(model, epochs=1, batch=50, rng=0).fit(X, y)
    looped(optimizer, optimizer.coef_.copy(), X, y, model, 1, 3)
    optimizer.resume(X, y)
    looped(optimizer, optimizer.coef_.copy(), X, y, model, 3, 4)
    np.testing.assert_array_equal(optimizer._anchor, optimizer.coef_)
    np.testing.assert_allclose(
        optimizer.engine.full_gradient, model.gradient(X, y, optimizer.coef_), rtol=1e-12, atol=1e-15
    )


def test_plain_steps_take_tensors_and_give_them_back():
    torch = pytest.importorskip("torch")
    X, y = problem(60, 4)
    model, w = Logistic(ridge=1e-3), np.ones(4)
    one, two = SketchySGD(model, rng=0), SketchySGD(model, rng=0)
    g, root = model.gradient(X, y, w), model.hessian_root(X, w)
    made = one.step(torch.tensor(w, requires_grad=True), torch.tensor(g), hessian_root=root)
    assert isinstance(made, torch.Tensor)
    np.testing.assert_array_equal(made.numpy(), two.step(w, g, hessian_root=root))
    assert torch.equal(one.step(made, torch.full((4,), torch.nan)), made)
    with pytest.raises(InputError, match="grad: expected shape"):
        one.step(made, torch.ones(3))


def test_states_of_steps_that_do_not_fit_are_refused():
    X, y = problem(300, 6)
    optimizer = SketchySVRG(Logistic(ridge=1e-3), rng=0)
    w = looped(optimizer, np.zeros(6), X, y.astype(float), Logistic(ridge=1e-3), 0, 3)
    good = optimizer.state_dict()
    broken = {"loop/anchor": np.zeros(5), "w": np.zeros(6), "loop/seen": -1, "samples": -1}
    for key, value in broken.items():
        state = {k: v for k, v in good.items() if k not in ("digest", "schema", "stream_version")}
        with pytest.raises(StateError, match=f"{key.removeprefix('loop/')}: expected"):
            optimizer.load_state_dict(plain_state.seal({**state, key: value}))
    state = {k: v for k, v in good.items() if k not in ("digest", "schema", "stream_version", "loop/seen")}
    with pytest.raises(StateError, match="seen"):
        optimizer.load_state_dict(plain_state.seal(state))
    assert optimizer.state_dict()["digest"] == good["digest"]
    assert w.shape == (6,)


def test_plain_steps_take_the_ridge_of_a_model():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 8)) * 0.1
    y, model = rng.standard_normal(200), LeastSquares(ridge=1.0)
    found = []
    for optimizer in (SketchySGD(model, rng=0), SketchySGD("least_squares", ridge=1.0, rng=0)):
        w = np.zeros(8)
        for k in range(60):
            root = model.hessian_root(X, w) if k == 0 else None
            w = optimizer.step(w, model.gradient(X, y, w), hessian_root=root)
        assert optimizer.engine.ridge == 1.0
        found.append(w)
    np.testing.assert_array_equal(*found)
    start = np.linalg.norm(model.gradient(X, y, np.zeros(8)))
    assert np.linalg.norm(model.gradient(X, y, found[0])) <= 1e-6 * start


def test_steps_of_several_outputs_keep_a_table_of_them():
    X, y = problem(400, 5)
    labels = y.astype(int) + (X[:, 0] > 1)
    model, w = Multinomial(3, ridge=1e-3), np.zeros((5, 3))
    optimizer = SketchySAGA("multinomial", ridge=1e-3, rng=0)
    for epoch in range(60):
        root = model.hessian_root(X, w)
        for k, rows in enumerate(np.random.default_rng(epoch).permutation(400).reshape(8, 50)):
            A = X[rows]
            slopes = model.slopes(A @ w, labels[rows])
            given = {"hessian_root": root, "fresh": root} if k == 0 else {}
            w = optimizer.step(w, slopes, rows, A, samples=400, **given)
    assert optimizer.engine.table.shape == (400, 3)
    assert np.abs(model.gradient(X, labels, w)).max() < 1e-6


def test_steps_that_do_not_fit_are_named():
    X, y = problem(60, 4)
    model, y = Logistic(ridge=1e-3), y.astype(float)
    w, rows = np.zeros(4), np.arange(20)

    def grad(at, rows):
        return model.gradient(X[rows], y[rows], at)

    for kind in (SketchySVRG, SketchyKatyusha):
        with pytest.raises(InputError, match="samples: expected their number at the first step, got None"):
            kind().step(w, grad, rows)
        with pytest.raises(StateError, match="expected an update before"):
            kind().step(w, grad, rows, samples=60)
        with pytest.raises(InputError, match="rows: "):
            kind().step(w, grad, np.array([60]), samples=60, hessian_root=X)
    with pytest.raises(InputError, match="samples: expected their number"):
        SketchySAGA().step(w, np.zeros(20), rows, X[rows])
    going = SketchyKatyusha(rng=0)
    going.step(w, grad, rows, samples=60, hessian_root=X)
    with pytest.raises(InputError, match="w: expected what the last step has returned"):
        going.step(w + 1, grad, rows)
    # After a fit its number of samples is known, and the anchor is where the steps begin.
    fitted = SketchySVRG(epochs=2, rng=0).fit(X, y)
    w = fitted.step(fitted.coef_, grad, rows)
    assert w.shape == (4,)
    np.testing.assert_array_equal(fitted._anchor, fitted.coef_)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "p", "b"), [(9, 1, 9), (50, 7, 5), (600, 1000, 257), (20, 70_001, 3)])
def test_products_with_rows_where_they_lie(n, p, b, dtype):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p)).astype(dtype)
    index = np.sort(rng.choice(n, b, replace=False))
    w, c = rng.standard_normal(p).astype(dtype), rng.standard_normal(b)
    gathered, exact = Gathered(X, index), X[index].astype(np.float64)
    assert [gathered.shape, gathered.T.shape, gathered.T.T.shape] == [(b, p), (p, b), (b, p)]
    found, before = [], randnla.num_threads()
    try:
        for threads in (1, 2):
            randnla.set_num_threads(threads)
            found.append((gathered @ w, gathered.T @ c))
    finally:
        randnla.set_num_threads(before)
    np.testing.assert_allclose(found[0][0], exact @ w, rtol=0, atol=1e-13 * p**0.5)
    np.testing.assert_allclose(found[0][1], exact.T @ c, rtol=0, atol=1e-13)
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(InputError, match="there is no such row"):
        Gathered(X, np.array([n])) @ w
    with pytest.raises(InputError, match="there is no such row"):
        Gathered(X, np.array([-1])).T @ c[:1]


@ALL
def test_models_with_products_of_their_own_get_arrays(method):
    class Shifted(Logistic):
        def predictors(self, X, w):
            return X[:, 0] + X @ w

    X, y = problem(300, 4)
    seen = method(Shifted(ridge=1e-3), epochs=2, batch=64, rng=0).fit(X, y)
    assert seen.history[-1]["skipped"] == 0
    assert np.isfinite(seen.coef_).all()


@ALL
def test_every_output_but_one_has_ten_pairs_by_default(method):
    X, y = problem(300, 12)
    labels = y.astype(int) + (X[:, 0] > 1)
    for model, targets, rank in (
        (Logistic(ridge=1e-3), y, 10),
        (Multinomial(2, ridge=1e-3), y.astype(int), 10),
        (Multinomial(3, ridge=1e-3), labels, 20),
    ):
        fitted = method(model, epochs=1, rng=0).fit(X, targets)
        assert fitted.engine.preconditioner.rank == rank
        assert f"rank={rank}," in repr(fitted)
    few = method(Multinomial(3, ridge=1e-3), 7, epochs=1, rng=0).fit(X, labels)
    assert few.engine.preconditioner.rank == 7
    with pytest.raises(InputError, match="rank: expected one of 'auto'"):
        method(rank="ten")

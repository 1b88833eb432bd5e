# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Training in NumPy: steps against dense inverses, the model against the Fisher matrix, resumption."""

import numpy as np
import pytest

from randnla import InputError, StateError
from randnla.curvature import Dense, Exact, KLClip, LevenbergMarquardt, Tikhonov
from randnla.optim import KFAC, Loss, Network
from randnla.optim.fisher import fisher_form, statistics_of
from randnla.optim.kfac import ENGINES
from randnla.testing import CNN, MLP, SoftmaxCrossEntropy, SquaredError

OFTEN = {"stats_every": 1, "inv_every": 1}
LOSSES = {"cross_entropy": SoftmaxCrossEntropy(), "squared_error": SquaredError()}


def regression(n=64, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 5))
    return x, np.tanh(x @ rng.standard_normal((5, 2)))


def targets_of(loss, outputs, rng):
    if isinstance(loss, SoftmaxCrossEntropy):
        return rng.integers(0, outputs.shape[1], len(outputs))
    return rng.standard_normal(outputs.shape)


def flat(tree):
    """All numbers of parameters or gradients."""
    return np.concatenate(
        [
            part.ravel()
            for value in tree.values()
            for part in (value if isinstance(value, tuple) else (value,))
        ]
    )


def unit_tangents(parameters):
    """One direction for every number of the parameters, in the order of `flat`."""
    zeros = {
        k: tuple(map(np.zeros_like, v)) if isinstance(v, tuple) else np.zeros_like(v)
        for k, v in parameters.items()
    }
    for name, value in parameters.items():
        parts = value if isinstance(value, tuple) else (value,)
        for k, part in enumerate(parts):
            for i in range(part.size):
                one = np.zeros(part.size)
                one[i] = 1.0
                new = tuple(
                    one.reshape(part.shape) if j == k else np.zeros_like(p) for j, p in enumerate(parts)
                )
                yield {**zeros, name: new if isinstance(value, tuple) else new[0]}


# -- the Fisher matrix -----------------------------------------------------------------------------------


def test_fisher_form_is_that_of_gradients_of_all_labels():
    network, loss = MLP([3, 4, 3], rng=0), SoftmaxCrossEntropy()
    x = np.random.default_rng(1).standard_normal((5, 3))
    run = network.forward(x)
    p = np.exp(run.outputs) / np.exp(run.outputs).sum(axis=1, keepdims=True)
    size = flat(network.parameters).size
    F = np.zeros((size, size))
    for i in range(5):
        one = network.forward(x[i : i + 1])
        for label in range(3):
            g = flat(network.backward(one, loss.slopes(one.outputs, [label])).gradients)
            F += p[i, label] * np.outer(g, g) / 5
    tangents = list(unit_tangents(network.parameters))
    np.testing.assert_allclose(fisher_form(network, loss, run, tangents), F, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
def test_statistics_of_drawn_labels_approach_those_of_gauss_and_newton(loss):
    network = MLP([3, 4, 2], rng=0)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((6, 3))
    run = network.forward(x)
    back = network.backward(run, loss.slopes(run.outputs, targets_of(loss, run.outputs, rng)))
    exact = statistics_of(network, loss, run, back, "ggn", rng)
    many = [statistics_of(network, loss, run, back, "mc", rng) for _ in range(4000)]
    for name in network.layers:
        a, g = exact[name]
        G = sum(y.T @ y for y in g) / (6 * len(g))
        np.testing.assert_array_equal(a[0], many[0][name][0])
        drawn = sum(one[name][1].T @ one[name][1] for one in many) / (6 * len(many))
        # 24 000 products of a relative deviation of at most sqrt(2) each: five deviations are 5 %.
        np.testing.assert_allclose(drawn, G, atol=0.05 * np.abs(np.diag(G)).max())
    assert statistics_of(network, loss, run, back, "empirical", rng) == back.statistics


def test_gauss_newton_factors_of_one_layer_are_the_fisher_matrix():
    """The last layer with squared error: the Fisher matrix is A kron I."""
    network, loss = MLP([3, 2], rng=0), SquaredError()
    x = np.random.default_rng(2).standard_normal((7, 3))
    run = network.forward(x)
    stats = statistics_of(network, loss, run, None, "ggn", np.random.default_rng(0))
    optimizer = KFAC(network, "exact", damping=Exact(0.0), inverse="eigen", dtype=np.float64)
    optimizer.accumulate(stats)
    optimizer.engine.refresh()
    tangents = list(unit_tangents(network.parameters))
    F = fisher_form(network, loss, run, tangents)
    inverse = np.stack([flat(optimizer.engine.precondition(t)) for t in tangents])
    np.testing.assert_allclose(inverse @ F, np.eye(len(F)), atol=1e-9)


# -- steps -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_steps_are_momentum_along_the_dense_inverse(weight_decay):
    """Two steps of one layer, computed with dense matrices."""
    rng = np.random.default_rng(0)
    a, g = rng.standard_normal((9, 3)), rng.standard_normal((9, 2))
    layers = {"only": Dense(3, 2)}
    optimizer = KFAC(
        layers,
        "exact",
        lr=0.1,
        momentum=0.5,
        weight_decay=weight_decay,
        damping=Tikhonov(0.04),
        dtype=np.float64,
    )
    optimizer.accumulate({"only": (a, g)})
    ones = np.column_stack([a, np.ones(9)])
    A, G = ones.T @ ones / 9, g.T @ g / 9
    pi = np.sqrt((np.trace(A) / 4) / (np.trace(G) / 2))
    left, right = np.linalg.inv(G + 0.2 / pi * np.eye(2)), np.linalg.inv(A + 0.2 * pi * np.eye(4))
    W, V = rng.standard_normal((2, 4)), np.zeros((2, 4))
    w = {"only": (W[:, :3].copy(), W[:, 3].copy())}
    for _ in range(2):
        grad = rng.standard_normal((2, 4))
        before = flat(w)
        new = optimizer.step(w, {"only": (grad[:, :3], grad[:, 3])})
        np.testing.assert_array_equal(flat(w), before)
        V = 0.5 * V - 0.1 * left @ (grad + weight_decay * W) @ right
        W = W + V
        w = new
        np.testing.assert_allclose(np.column_stack(w["only"]), W, rtol=1e-11, atol=1e-12)
    assert optimizer.step_count == 2


def test_layers_without_curvature_follow_their_gradient():
    optimizer = KFAC({"known": Dense(3, 2, bias=False)}, lr=lambda step: 0.5 / (step + 1))
    w = {"known": np.ones((2, 3), np.float32), "other": (np.ones(4), np.zeros((2, 2)))}
    g = {"known": np.ones((2, 3), np.float32), "other": (np.ones(4), np.ones((2, 2)))}
    w = optimizer.step(w, g)
    np.testing.assert_array_equal(w["other"][0], np.full(4, 0.5))
    w = optimizer.step(w, g)
    np.testing.assert_array_equal(w["other"][0], np.full(4, 0.25))
    np.testing.assert_array_equal(w["other"][1], np.full((2, 2), -0.75))
    assert w["known"].dtype == np.float32
    assert w["other"][0].dtype == np.float64


@pytest.mark.parametrize("where", ["known", "other"])
def test_gradients_that_are_not_finite_are_no_step(where):
    optimizer = KFAC({"known": Dense(2, 2, bias=False)}, momentum=0.9, damping=0.1)
    w = {"known": np.eye(2), "other": np.ones(3)}
    optimizer.accumulate({"known": (np.eye(2), np.eye(2))})
    w = optimizer.step(w, {"known": np.eye(2), "other": np.ones(3)})
    before = optimizer.state_dict()
    bad = {"known": np.eye(2), "other": np.ones(3)}
    bad[where] = bad[where] * np.nan
    after = optimizer.step(w, bad)
    np.testing.assert_array_equal(flat(after), flat(w))
    assert optimizer.step_count == 1
    for key, value in optimizer.state_dict().items():
        if key not in ("digest", "engine/digest", "engine/health"):
            np.testing.assert_array_equal(value, before[key], err_msg=key)
    assert optimizer.health["known"].skipped_gradients == (where == "known")


@pytest.mark.parametrize("curvature", ENGINES)
def test_every_engine_trains_a_network(curvature):
    x, y = regression()
    network = MLP([5, 8, 2], rng=0)
    damping = Exact(0.01) if curvature == "ekfac" else Tikhonov(0.01)
    optimizer = KFAC(
        network,
        curvature,
        loss=SquaredError(),
        lr=0.5,
        fisher="ggn",
        damping=damping,
        rank=3,
        oversample=0,
        rng=0,
        **OFTEN,
    )
    losses = [optimizer.train(x, y) for _ in range(50)]
    assert losses[-1] < losses[0] / 20
    plain = MLP([5, 8, 2], rng=0)
    for _ in range(50):
        run = plain.forward(x)
        back = plain.backward(run, SquaredError().slopes(run.outputs, y))
        plain.parameters = {
            k: tuple(p - 0.5 * s for p, s in zip(v, back.gradients[k], strict=True))
            for k, v in plain.parameters.items()
        }
    assert losses[-1] < SquaredError().value(plain.forward(x).outputs, y)
    assert str(optimizer.report()).count("dense") == 2


@pytest.mark.parametrize("variant", ["SO", "Q", "QE"])
def test_wakes_train_in_every_variant(variant):
    x, y = regression()
    network, loss = MLP([5, 8, 2], rng=0), SquaredError()

    def divergence(here, net):
        """Half the mean squared distance of the outputs: both Kullback-Leibler divergences."""
        run, other = network.forward(x, here), network.forward(x, net).outputs
        return loss.value(run.outputs, other), network.backward(run, run.outputs - other).gradients

    settings = {"divergence": divergence} if variant == "QE" else {}
    optimizer = KFAC(
        network, "kld_wrm", loss=loss, lr=0.3, fisher="ggn", variant=variant, clip=None, **OFTEN, **settings
    )
    assert optimizer.engine.damping == Exact(0.01)
    losses = [optimizer.train(x, y) for _ in range(60)]
    assert losses[-1] < losses[0] / 20


@pytest.mark.parametrize("sharing", ["expand", "reduce"])
def test_convolutions_train(sharing):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 1, 6, 6))
    labels = np.arange(60) % 3
    x[np.arange(60), 0, labels, labels + 1] += 4
    network = CNN((1, 6, 6), 3, channels=(4,), sharing=sharing, dtype=np.float32, rng=0)
    optimizer = KFAC(
        network,
        "exact",
        loss=SoftmaxCrossEntropy(),
        lr=0.3,
        momentum=0.5,
        damping=Tikhonov(0.01),
        rng=0,
        **OFTEN,
    )
    losses = [optimizer.train(x, labels) for _ in range(40)]
    assert losses[-1] < losses[0] / 10
    assert network.parameters["conv0"][0].dtype == np.float32
    assert network.parameters["conv0"][0].shape == (4, 1, 3, 3)


# -- exact rescaling and momentum, Levenberg-Marquardt -----------------------------------------------------


def test_one_exact_step_solves_least_squares():
    """A linear network with squared error is its own quadratic model, and A kron G its Hessian."""
    x, y = regression()
    network = MLP([5, 2], rng=0)
    optimizer = KFAC(
        network, "exact", loss=SquaredError(), lr="exact", fisher="ggn", damping=Exact(0.0), inverse="eigen",
        dtype=np.float64,
    )  # fmt: skip
    before = optimizer.train(x, y)
    ones = np.column_stack([x, np.ones(len(x))])
    solution, residuals, *_ = np.linalg.lstsq(ones, y, rcond=None)
    np.testing.assert_allclose(
        np.column_stack(network.parameters["dense0"]), solution.T, rtol=1e-9, atol=1e-10
    )
    assert optimizer.minimum.alpha == pytest.approx(1.0, rel=1e-9)
    assert optimizer.minimum.value == pytest.approx(residuals.sum() / 2 / len(x) - before, rel=1e-9)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_exact_step_is_least_among_its_neighbors(weight_decay):
    """alpha and mu of the second step minimize the model, evaluated from the dense Fisher matrix."""
    x, y = regression(20)
    network, loss = MLP([5, 4, 2], rng=0), SquaredError()
    optimizer = KFAC(
        network, "exact", loss=loss, lr="exact", fisher="empirical", damping=Tikhonov(0.1),
        weight_decay=weight_decay, dtype=np.float64,
    )  # fmt: skip
    start = flat(network.parameters)
    optimizer.train(x, y)
    middle = flat(network.parameters)
    run = network.forward(x)
    F = fisher_form(network, loss, run, list(unit_tangents(network.parameters)))
    F += (0.1 + weight_decay) * np.eye(len(F))
    slope = flat(network.backward(run, loss.slopes(run.outputs, y)).gradients) + weight_decay * middle
    optimizer.train(x, y)
    step, last = flat(network.parameters) - middle, middle - start
    assert optimizer.minimum.path == "both"
    # The model's gradient vanishes on the plane of both directions.
    residual = F @ step + slope
    other = step - optimizer.minimum.mu * last
    for direction in (last, other):
        size = np.linalg.norm(direction) * np.linalg.norm(slope)
        assert abs(residual @ direction) < 1e-10 * size
    assert slope @ step + step @ F @ step / 2 == pytest.approx(optimizer.minimum.value, rel=1e-9)


@pytest.mark.parametrize("curvature", ["exact", "ekfac"])
def test_levenberg_marquardt_trusts_a_model_that_foretells(curvature):
    x, y = regression()
    rule = LevenbergMarquardt(1.0, interval=2, decay=0.5)
    network = MLP([5, 2], rng=0)  # linear: the model is the loss
    optimizer = KFAC(
        network, curvature, loss=SquaredError(), lr="exact", fisher="ggn", damping=rule, weight_decay=0.25,
        **OFTEN, dtype=np.float64,
    )  # fmt: skip
    wanted = Exact if curvature == "ekfac" else Tikhonov
    assert optimizer.engine.damping == wanted(1.25)
    for _ in range(3):
        optimizer.train(x, y)
    # Damping makes the model rise above the loss: the loss falls by more than foretold.
    assert rule.value == 0.25
    assert optimizer.engine.damping == wanted(0.5)


def test_levenberg_marquardt_distrusts_a_model_that_does_not(monkeypatch):
    loss = SquaredError()
    monkeypatch.setattr(loss, "value", lambda z, y: -SquaredError().value(z, y))  # not what its slopes say
    x, y = regression()
    rule = LevenbergMarquardt(1.0, interval=1, decay=0.5)
    optimizer = KFAC(MLP([5, 2], rng=0), loss=loss, lr="exact", damping=rule)
    optimizer.train(x, y)
    assert rule.value == 2.0


def test_default_of_exact_steps_is_levenberg_and_marquardt():
    x, y = regression()
    network = MLP([5, 8, 2], rng=0)
    optimizer = KFAC(network, "exact", loss=SquaredError(), lr="exact", fisher="ggn", **OFTEN)
    losses = [optimizer.train(x, y) for _ in range(30)]
    assert optimizer.rule.value < 150.0
    assert all(np.diff(losses) < 0)


# -- resumption --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("curvature", "lr"),
    [(kind, lr) for kind in ENGINES for lr in (0.1, "exact") if (kind, lr) != ("kld_wrm", "exact")],
)
def test_training_goes_on_bit_for_bit(curvature, lr):
    x, y = regression()

    def make():
        damping = None if lr == "exact" else (Exact(0.1) if curvature == "ekfac" else Tikhonov(0.1))
        network = MLP([5, 8, 2], rng=0)
        momentum = 0.0 if lr == "exact" else 0.9
        settings = {"stats_every": 2, "inv_every": 3, "rank": 2, "oversample": 0}
        return network, KFAC(
            network,
            curvature,
            loss=SquaredError(),
            lr=lr,
            momentum=momentum,
            damping=damping,
            rng=5,
            **settings,
        )

    network, optimizer = make()
    for _ in range(5):
        optimizer.train(x, y)
    state, parameters = optimizer.state_dict(), network.parameters
    expected = [optimizer.train(x, y) for _ in range(6)]
    network, optimizer = make()
    network.parameters = parameters
    optimizer.load_state_dict(state)
    assert [optimizer.train(x, y) for _ in range(6)] == expected


def test_states_that_do_not_fit_change_nothing():
    x, y = regression()
    network = MLP([5, 2], rng=0)
    optimizer = KFAC(network, loss=SquaredError(), lr="exact", rng=0)
    for _ in range(3):
        optimizer.train(x, y)
    state = optimizer.state_dict()
    other = KFAC(MLP([5, 3], rng=0), loss=SquaredError(), lr="exact", rng=1)
    before = other.state_dict()
    with pytest.raises(StateError, match=r"expected"):
        other.load_state_dict(state)
    after = other.state_dict()
    assert after.keys() == before.keys()
    assert all(np.array_equal(after[key], before[key]) for key in before)
    with pytest.raises(StateError, match=r"digest: the fields do not match"):
        optimizer.load_state_dict({**state, "seed": 3})
    with pytest.raises(StateError, match=r"curvature: expected 'exact', got 'rs'"):
        KFAC(network, "exact", loss=SquaredError()).load_state_dict(state)
    with pytest.raises(StateError, match=r"names, rule: expected those of this optimizer"):
        KFAC(network, loss=SquaredError()).load_state_dict(state)


# -- refusals ------------------------------------------------------------------------------------------


def test_networks_and_losses_of_testing_are_what_is_asked_for():
    for loss in LOSSES.values():
        assert {name for name in dir(Loss) if not name.startswith("_")} <= set(dir(loss))
    assert {name for name in dir(Network) if not name.startswith("_")} <= set(dir(MLP([1, 1])))


LAYERS = {"only": Dense(2, 2, bias=False)}
W = {"only": np.eye(2)}
REFUSED = {
    "curvature": (lambda: KFAC(LAYERS, "newton"), r"curvature: expected one of 'exact', .* got 'newton'"),
    "lr_word": (lambda: KFAC(LAYERS, lr="auto"), r"lr: expected one of 'exact', got 'auto'"),
    "lr": (lambda: KFAC(LAYERS, lr=0.0), r"lr: expected a positive number, a schedule or 'exact', got 0.0"),
    "momentum": (lambda: KFAC(LAYERS, momentum=1.0), r"momentum: expected a number in \[0, 1\), got 1.0"),
    "chosen_momentum": (
        lambda: KFAC(LAYERS, lr="exact", momentum=0.5),
        r"momentum: expected 0, for lr='exact' chooses it, got 0.5",
    ),
    "weight_decay": (lambda: KFAC(LAYERS, weight_decay=-1.0), r"weight_decay: expected a number >= 0"),
    "fisher": (
        lambda: KFAC(LAYERS, fisher="true"),
        r"fisher: expected one of 'mc', 'empirical', 'ggn', got 'true'",
    ),
    "rule": (
        lambda: KFAC(LAYERS, damping=LevenbergMarquardt()),
        r"damping: LevenbergMarquardt takes lr='exact'",
    ),
    "relative": (
        lambda: KFAC(LAYERS, lr="exact", damping=0.1),
        r"damping: lr='exact' takes Tikhonov, Exact or",
    ),
    "clip": (lambda: KFAC(LAYERS, lr="exact", clip=KLClip()), r"clip: expected None, for lr='exact'"),
    "no_network": (
        lambda: KFAC(LAYERS).train(np.eye(2), np.eye(2)),
        r"network, loss: expected both for `train`",
    ),
    "no_loss": (
        lambda: KFAC(MLP([2, 2])).train(np.eye(2), np.eye(2)),
        r"network, loss: expected both for `train`",
    ),
    "wake": (
        lambda: KFAC(LAYERS, "kld_wrm", lr="exact"),
        r"lr: expected a number .* part of KLD-WRM, got 'exact'",
    ),
    "exact_step": (lambda: KFAC(LAYERS, lr="exact").step(W, W), r"lr: expected a number or a schedule"),
    "names": (
        lambda: KFAC(LAYERS).step(W, {"other": np.eye(2)}),
        r"grad: expected the arrays \['only.0'\] of w",
    ),
    "shapes": (
        lambda: KFAC(LAYERS).step(W, {"only": np.eye(3)}),
        r"grad: expected shape \(2, 2\) of only.0 as in w",
    ),
    "schedule": (lambda: KFAC(LAYERS, lr=lambda step: -1.0).step(W, W), r"lr: expected a number >= 0"),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_fit_is_refused_by_name(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("kind", [list, tuple])
def test_weights_in_lists_are_those_in_tuples(kind):
    x, y = regression()
    w = {"known": (np.ones((2, 5)), np.ones(2)), "other": (np.ones(3), np.zeros(2))}
    g = {"known": (np.full((2, 5), 0.5), np.ones(2)), "other": (np.ones(3), np.ones(2))}
    results = []
    for made in (tuple, kind):
        optimizer = KFAC({"known": Dense(5, 2)}, "exact", lr=0.1, momentum=0.5, weight_decay=0.1, rng=0)
        optimizer.accumulate({"known": made((x, y))})
        here = {name: made(parts) for name, parts in w.items()}
        for _ in range(2):
            here = optimizer.step(here, {name: made(parts) for name, parts in g.items()})
        assert all(type(parts) is made for parts in here.values())
        results.append(np.concatenate([part.ravel() for parts in here.values() for part in parts]))
    np.testing.assert_array_equal(*results)


def test_weights_of_integers_become_floats():
    optimizer = KFAC({"only": Dense(5, 2, bias=False)}, lr=0.25)
    w = optimizer.step({"only": np.ones((2, 5), int)}, {"only": np.ones((2, 5))})
    np.testing.assert_array_equal(w["only"], np.full((2, 5), 0.75))


@pytest.mark.parametrize(
    ("w", "message"),
    [
        ([np.ones((2, 5))], "w: expected a mapping"),
        ({"only": np.full((2, 5), "x")}, r"w\['only'\]: expected numbers"),
        ({"only": [[1.0, 2.0], [3.0]]}, "grad: expected the arrays"),
    ],
)
def test_weights_that_are_no_arrays_of_numbers_are_refused(w, message):
    optimizer = KFAC({"only": Dense(5, 2, bias=False)})
    with pytest.raises(InputError, match=message):
        optimizer.step(w, {"only": np.ones((2, 5))})
    assert optimizer.step_count == 0


@pytest.mark.parametrize("bad", [np.ones((64, 3)), np.ones((63, 2)), "x", None])
def test_statistics_are_taken_as_a_whole_or_not_at_all(bad):
    x, y = regression()
    optimizer = KFAC({"first": Dense(5, 2), "last": Dense(5, 2)}, "exact")
    before = optimizer.state_dict()["digest"]
    with pytest.raises(InputError, match="g: "):
        optimizer.accumulate({"first": (x, y), "last": (x, bad)})
    with pytest.raises(InputError, match="name: "):
        optimizer.accumulate({"first": (x, y), "last": x})
    with pytest.raises(InputError, match="name: "):
        optimizer.accumulate({"first": (x, y), "other": (x, y)})
    assert optimizer.state_dict()["digest"] == before

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The engine of KLD-WRM: its steps against the objective by brute force, its heuristics as documented."""

import io
import math

import numpy as np
import pytest

from randnla._backend.errors import InputError, StateError
from randnla.curvature import KLDWRM, Dense, Embedding, Exact, ExactWake, KLClip, ScaleShift, Tikhonov

M, K = 3, 4  # rows and columns of the gradient
SETTINGS = {"dtype": np.float64, "clip": None, "stats_every": 1, "inv_every": 1}


def story(steps=6, seed=0, same_inputs=False):
    """Batches, gradients and step sizes that vary."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((steps, 9, K))
    if same_inputs:
        a[:] = a[0]
    return (
        a,
        rng.standard_normal((steps, 9, M)),
        rng.standard_normal((steps, M, K)),
        rng.uniform(0.1, 1, steps),
    )


def factors(a, g):
    return g.T @ g / len(g), a.T @ a / len(a)


def weight(i, k, rho):
    return rho ** (k - i) * (1.0 if i == 0 else 1.0 - rho)


def zero(here, net):
    return 0.0, {name: np.zeros_like(value) for name, value in here.items()}


@pytest.mark.parametrize("rho", [0.0, 0.33, 0.9])
def test_so_steps_minimize_the_objective(rho):
    # Inputs that stay the same make the product of averages the average of the products.
    a, g, gradients, rates = story(same_inputs=True)
    damping, theta, before, matrices = 0.05, np.zeros(M * K), [], []
    engine = KLDWRM({"only": Dense(K, M, bias=False)}, ema=rho, damping=Exact(damping), **SETTINGS)
    for k, lr in enumerate(rates):
        engine.accumulate("only", a[k], g[k])
        s = -lr * engine.step({"only": gradients[k]}, lr=lr)["only"].ravel()
        matrices.append(np.kron(*factors(a[k], g[k])) + damping * np.eye(M * K))
        before.append(theta)
        hessian, slope = np.zeros((M * K, M * K)), gradients[k].ravel().copy()
        for i, F in enumerate(matrices):
            hessian += weight(i, k, rho) / lr * F
            slope += weight(i, k, rho) / lr * F @ (theta - before[i])
        expected = -np.linalg.solve(hessian, slope)
        np.testing.assert_allclose(s, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
        theta = theta + s


@pytest.mark.parametrize("inverse", ["eigen", "low_rank", "cholesky"])
def test_q_inverts_augmented_factors_and_keeps_what_the_recursion_asks(inverse):
    a, g, gradients, rates = story()
    rho, value = 0.5, 0.05
    form = Tikhonov if inverse == "cholesky" else Exact
    engine = KLDWRM(
        {"only": Dense(K, M, bias=False)}, variant="Q", damping=form(value), inverse=inverse, **SETTINGS
    )
    L = R = pull = last = None
    for k, lr in enumerate(rates):
        engine.accumulate("only", a[k], g[k])
        D = engine.step({"only": gradients[k]}, lr=lr)["only"]
        L_k, R_k = factors(a[k], g[k])
        L, R = (L_k, R_k) if k == 0 else (rho * L + (1 - rho) * L_k, rho * R + (1 - rho) * R_k)
        left, right, whole = L + lr * L_k, R + lr * R_k, value
        shift = 0.0, 0.0
        if form is Tikhonov:
            pi = math.sqrt(np.trace(left) / M / (np.trace(right) / K))
            shift, whole = (math.sqrt(value) * pi, math.sqrt(value) / pi), 0.0
        parts = [X + x * np.eye(len(X)) for X, x in zip((left, right, L, R), (*shift, *shift), strict=True)]
        augmented = np.kron(parts[0], parts[1]) + whole * np.eye(M * K)
        average = np.kron(parts[2], parts[3]) + whole * np.eye(M * K)
        hat = gradients[k].ravel() + (0 if k == 0 else rho * last / lr * pull)
        expected = np.linalg.solve(augmented, hat)
        np.testing.assert_allclose(D.ravel(), expected, rtol=0, atol=1e-11 * np.abs(expected).max())
        pull, last = hat - gradients[k].ravel() - average @ expected, lr


def test_q_between_refreshes_takes_the_curvature_for_the_average():
    a, g, gradients, _ = story()
    lr, rho = 0.25, 0.5
    engine = KLDWRM({"only": Dense(K, M, bias=False)}, variant="Q", **{**SETTINGS, "inv_every": 100})
    engine.accumulate("only", a[0], g[0])
    engine.step({"only": gradients[0]}, lr=lr)
    plain = engine.precondition({"only": np.eye(M, K)})["only"]
    second = engine.step({"only": gradients[1]}, lr=lr)["only"]
    third = engine.step({"only": gradients[2]}, lr=lr)["only"]
    L, R = factors(a[0], g[0])
    inverse = np.linalg.inv((1 + lr) ** 2 * np.kron(L, R) + 0.01 * np.eye(M * K))
    np.testing.assert_allclose(plain.ravel(), inverse @ np.eye(M, K).ravel(), rtol=1e-9)
    # The step after the second, whose inverse was not new: r = g^ - g - g^ / (1 + lr).
    hat = np.linalg.solve(inverse, second.ravel())
    pull = hat * lr / (1 + lr) - gradients[1].ravel()
    expected = inverse @ (gradients[2].ravel() + rho * pull)
    np.testing.assert_allclose(third.ravel(), expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_layers_without_two_square_factors_are_divided_in_q():
    rng = np.random.default_rng(0)
    layers = {"table": Embedding(5, 3), "norm": ScaleShift(4)}
    lr, batch = 0.5, (rng.standard_normal((6, 4)), rng.standard_normal((6, 4)))
    gradients = {
        "table": rng.standard_normal((5, 3)),
        "norm": (rng.standard_normal(4), rng.standard_normal(4)),
    }
    made = []
    for variant in ("SO", "Q"):
        engine = KLDWRM(layers, variant=variant, **SETTINGS)
        assert engine.accumulate("table", np.arange(6) % 5, np.ones((6, 3)))
        assert engine.accumulate("norm", *batch)
        made.append(engine.step(gradients, lr=lr))
    np.testing.assert_allclose(made[1]["table"], made[0]["table"] / (1 + lr), rtol=1e-12)
    for q, so in zip(made[1]["norm"], made[0]["norm"], strict=True):
        np.testing.assert_allclose(q, so / (1 + lr), rtol=1e-12)


def test_published_settings_are_the_defaults():
    layers = {"only": Dense(K, M)}
    for variant, rho in (("SO", 0.33), ("Q", 0.5), ("QE", 0.5)):
        engine = KLDWRM(layers, variant=variant, divergence=zero if variant == "QE" else None)
        assert engine._average.ema == rho
        assert engine._average.start == "first"
        assert (engine.damping, engine.clip) == (Exact(0.01), KLClip(0.1))
        assert (engine.stats_every.interval, engine.inv_every.interval) == (30, 30)
        assert "eigen x eigen" in str(engine.report())


class Regression:
    """Outputs ``X W^T + b`` of unit variance: both divergences are half the squared distance."""

    def __init__(self, seed=0, samples=25):
        rng = np.random.default_rng(seed)
        self.X = rng.standard_normal((samples, K))
        self.target = np.tanh(self.X @ rng.standard_normal((K, M)))

    def outputs(self, net):
        weight, bias = net["only"]
        return self.X @ weight.T + bias

    def divergence(self, here, net):
        d = (self.outputs(here) - self.outputs(net)) / len(self.X)
        return 0.5 * len(self.X) * np.sum(d * d), {"only": (d.T @ self.X, d.sum(axis=0))}

    def gradient(self, net):
        e = (self.outputs(net) - self.target) / len(self.X)
        return {"only": (e.T @ self.X, e.sum(axis=0))}


class Recorded(ExactWake):
    """Keeps what it has descended."""

    def refine(self, objective, s, lr):
        self.last = objective, s, super().refine(objective, s, lr)
        return self.last[2]


def test_qe_lowers_the_exact_objective_of_its_wake():
    model, rng = Regression(), np.random.default_rng(1)
    wake = Recorded(scale=1.0)
    engine = KLDWRM({"only": Dense(K, M)}, variant="QE", divergence=model.divergence, wake=wake, **SETTINGS)
    net = {"only": (rng.standard_normal((M, K)), rng.standard_normal(M))}
    losses = []
    for _ in range(12):
        engine.accumulate("only", model.X, rng.standard_normal((len(model.X), M)))
        direction = engine.step(model.gradient(net), lr=0.5, parameters=net)
        objective, start, end = wake.last
        assert objective(end)[0] < objective(start)[0]
        moved = -0.5 * np.column_stack(direction["only"])
        np.testing.assert_allclose(moved, end["only"], rtol=1e-12)
        net = {"only": tuple(p - 0.5 * d for p, d in zip(net["only"], direction["only"], strict=True))}
        losses.append(np.mean((model.outputs(net) - model.target) ** 2))
    assert losses[-1] < 0.1 * losses[0]


def test_qe_without_a_usable_network_keeps_the_step_of_q():
    model, rng = Regression(), np.random.default_rng(1)
    layers, net = {"only": Dense(K, M)}, {"only": (rng.standard_normal((M, K)), rng.standard_normal(M))}
    exact = KLDWRM(layers, variant="QE", divergence=model.divergence, **SETTINGS)
    quadratic = KLDWRM(layers, variant="Q", **SETTINGS)
    gradient = model.gradient(net)
    for engine in (exact, quadratic):
        assert engine.accumulate("only", model.X, np.ones((len(model.X), M)))
    lost = {"only": (net["only"][0] * math.nan, net["only"][1])}
    a, b = exact.step(gradient, lr=0.1, parameters=lost), quadratic.step(gradient, lr=0.1)
    np.testing.assert_array_equal(a["only"][0], b["only"][0])
    assert "parameters['only']" in exact.health["only"].reason


def make(variant):
    model = Regression()
    divergence = model.divergence if variant == "QE" else None
    return KLDWRM({"only": Dense(K, M)}, variant=variant, divergence=divergence, stats_every=2, inv_every=3)


def run(engine, steps, start):
    rng, made = np.random.default_rng(start), []
    for _ in range(steps):
        batch = (rng.standard_normal(shape).astype(np.float32) for shape in ((8, K), (8, M)))
        if engine.statistics_due:
            engine.accumulate("only", *batch)
        gradient, net = (
            {"only": (rng.standard_normal((M, K), np.float32), rng.standard_normal(M, np.float32))}
            for _ in range(2)
        )
        keywords = {"parameters": net} if engine.variant == "QE" else {}
        made.append(engine.step(gradient, lr=0.1 + 0.1 * (engine.step_count % 3), **keywords)["only"])
    return made


@pytest.mark.parametrize("variant", ["SO", "Q", "QE"])
def test_a_saved_engine_resumes_bit_for_bit(variant):
    engine, other = make(variant), make(variant)
    run(engine, 7, 0)
    file = io.BytesIO()
    np.savez(file, **engine.state_dict())
    file.seek(0)
    with np.load(file) as saved:
        other.load_state_dict(dict(saved))
    for x, y in zip(run(engine, 7, 1), run(other, 7, 1), strict=True):
        assert np.array_equal(x[0], y[0])
        assert np.array_equal(x[1], y[1])
    asked = "Q" if variant == "SO" else "SO"
    with pytest.raises(StateError, match=f"variant: expected '{asked}', got '{variant}'"):
        make(asked).load_state_dict(engine.state_dict())


@pytest.mark.parametrize("variant", ["SO", "Q"])
def test_what_is_not_finite_or_does_not_fit_changes_nothing(variant):
    engine = make(variant)
    run(engine, 4, 0)
    health = engine.health
    before = {k: v for k, v in engine.state_dict().items() if k not in ("health", "digest")}
    bad = {"only": (np.full((M, K), math.nan, np.float32), np.zeros(M, np.float32))}
    assert engine.step(bad, lr=0.1)["only"] is bad["only"]
    assert engine.health["only"].skipped_gradients == health["only"].skipped_gradients + 1
    with pytest.raises(InputError, match="lr: expected a positive number, got 0"):
        engine.step(bad, lr=0.0)
    with pytest.raises(
        InputError, match=r"gradients: expected the layers \['only'\] at every step, got \[\]"
    ):
        engine.step({}, lr=0.1)
    after = {k: v for k, v in engine.state_dict().items() if k not in ("health", "digest")}
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[k], after[k]) for k in before)


def test_settings_that_do_not_fit_are_refused():
    layers = {"only": Dense(K, M)}
    with pytest.raises(InputError, match="variant: expected one of 'SO', 'Q', 'QE', got 'R'"):
        KLDWRM(layers, variant="R")
    with pytest.raises(InputError, match="divergence: expected one for QE"):
        KLDWRM(layers, variant="QE")
    with pytest.raises(InputError, match="divergence: expected none for SO"):
        KLDWRM(layers, divergence=zero)
    engine = KLDWRM(layers, variant="QE", divergence=zero)
    with pytest.raises(InputError, match=r"parameters: expected the layers \['only'\] for QE, got None"):
        engine.step({"only": (np.zeros((M, K)), np.zeros(M))}, lr=0.1)

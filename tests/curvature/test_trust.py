# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""K-FAC as the paper trains with it: exact rescaling and momentum, and dampings that follow the ratio."""

from itertools import pairwise

import numpy as np
import pytest

from randnla.curvature import (
    KFAC,
    GammaRule,
    LevenbergMarquardt,
    Tikhonov,
    TridiagonalKFAC,
    minimize_quadratic,
)
from randnla.curvature import Dense as DenseLayer
from randnla.curvature.quadratic import combine, gram_of, inner

WIDTHS = (5, 8, 3)
NAMES = ("hidden", "output")


class Net:
    """tanh layer and linear layer with biases, mean squared error: its Fisher matrix is mean J^T J."""

    def __init__(self, seed=0, samples=64):
        rng = np.random.default_rng(seed)
        self.X = rng.standard_normal((samples, WIDTHS[0]))
        self.target = np.sin(self.X @ rng.standard_normal((WIDTHS[0], WIDTHS[2])))
        pairs = zip(NAMES, pairwise(WIDTHS), strict=True)
        self.parameters = {name: 0.5 * rng.standard_normal((y, x + 1)) for name, (x, y) in pairs}

    def forward(self, theta):
        ones = np.ones((len(self.X), 1))
        a = np.hstack([self.X, ones])
        b = np.hstack([np.tanh(a @ theta["hidden"].T), ones])
        return a, b, b @ theta["output"].T

    def loss(self, theta):
        return 0.5 * np.sum((self.forward(theta)[2] - self.target) ** 2) / len(self.X)

    def backward(self, theta, residual):
        """Inputs and output gradients of both layers, for gradients of the outputs."""
        a, b, _ = self.forward(theta)
        inner_gradient = (residual @ theta["output"][:, :-1]) * (1 - b[:, :-1] ** 2)
        return {"hidden": (a, inner_gradient), "output": (b, residual)}

    def gradient(self, theta):
        pairs = self.backward(theta, self.forward(theta)[2] - self.target)
        return {name: g.T @ a / len(self.X) for name, (a, g) in pairs.items()}

    def times_jacobian(self, theta, u):
        a, b, _ = self.forward(theta)
        bent = (a @ u["hidden"].T) * (1 - b[:, :-1] ** 2)
        return b @ u["output"].T + bent @ theta["output"][:, :-1].T


def fisher_forms(net, theta, directions):
    J = [net.times_jacobian(theta, u).ravel() for u in directions]
    return np.array([[x @ y for y in J] for x in J]) / len(net.X)


def split(matrices):
    return {name: (V[:, :-1].copy(), V[:, -1].copy()) for name, V in matrices.items()}


def joined(pairs):
    return {name: np.column_stack(pair) for name, pair in pairs.items()}


def train(engine_of, steps, *, rescale=True):
    """Full-batch K-FAC; losses, the rule of lambda, and what the quadratic fell back to."""
    net, rng = Net(), np.random.default_rng(1)
    theta, before, losses, paths = net.parameters, None, [net.loss(net.parameters)], []
    rule = LevenbergMarquardt(1.0, interval=1, decay=0.7)
    layers = {n: DenseLayer(x, y) for n, (x, y) in zip(NAMES, pairwise(WIDTHS), strict=True)}
    settings = {"stats_every": 1, "inv_every": 1, "dtype": np.float64}
    engine = engine_of(layers, damping=lambda step: Tikhonov(rule(step)), **settings)
    for _ in range(steps):
        samples = net.backward(theta, rng.standard_normal(net.target.shape))
        for name, (a, g) in samples.items():
            engine.accumulate(name, a[:, :-1], g)
        gradient = net.gradient(theta)
        Delta = combine(-1.0, joined(engine.step(split(gradient))))
        directions = [Delta] if before is None else [Delta, before]
        slopes = [inner(gradient, u) for u in directions]
        forms = fisher_forms(net, theta, directions)
        found = minimize_quadratic(forms, gram_of(*directions), slopes, rule.value)
        step = combine(found.alpha, Delta, found.mu, before) if rescale else Delta
        after = net.loss(combine(1.0, theta, 1.0, step))
        rule.update(losses[-1], after, found.value)
        if after < losses[-1]:
            theta, before = combine(1.0, theta, 1.0, step), step
        losses.append(net.loss(theta))
        paths.append(found.path)
    return losses, rule, paths


@pytest.mark.parametrize("engine_of", [KFAC, TridiagonalKFAC])
def test_rescaled_steps_with_momentum_and_an_adaptive_damping_fit_a_network(engine_of):
    losses, rule, paths = train(engine_of, 60)
    plain, *_ = train(engine_of, 60, rescale=False)
    assert losses[-1] < 0.05 * losses[0]
    assert losses[-1] < plain[-1]
    assert rule.value < 0.1  # the model is trusted more and more
    assert paths[0] == "alpha"
    assert paths.count("both") > 50


def test_quadratic_foretells_the_loss_of_a_linear_network():
    # Only the output layer moves: outputs are linear in it, the model is exact and so is the ratio.
    net = Net()
    theta, gradient = net.parameters, net.gradient(net.parameters)
    Delta = {"hidden": np.zeros_like(theta["hidden"]), "output": -gradient["output"]}
    found = minimize_quadratic(
        fisher_forms(net, theta, [Delta]), gram_of(Delta), [inner(gradient, Delta)], damping=0.0
    )
    change = net.loss(combine(1.0, theta, found.alpha, Delta)) - net.loss(theta)
    assert change == pytest.approx(found.value, rel=1e-10)


def test_gamma_is_chosen_by_refreshes_with_its_candidates():
    net = Net()
    theta, gradient = net.parameters, net.gradient(net.parameters)
    layers = {n: DenseLayer(x, y) for n, (x, y) in zip(NAMES, pairwise(WIDTHS), strict=True)}
    engine = KFAC(layers, damping=Tikhonov(1.0), dtype=np.float64)
    for name, (a, g) in net.backward(theta, np.random.default_rng(0).standard_normal((64, 3))).items():
        engine.accumulate(name, a[:, :-1], g)

    def value(gamma):
        engine.damping = Tikhonov(gamma**2)
        engine.refresh()
        Delta = combine(-1.0, joined(engine.precondition(split(gradient))))
        forms = fisher_forms(net, theta, [Delta])
        return minimize_quadratic(forms, gram_of(Delta), [inner(gradient, Delta)], damping=1e-3).value

    rule = GammaRule(1.0, interval=1, decay=0.5)
    values = [value(gamma) for gamma in rule.candidates]
    best = rule.candidates[int(np.argmin(values))]
    assert rule.choose(value) == best
    for _ in range(30):
        rule.choose(value)
    grid = [value(gamma) for gamma in np.geomspace(1e-4, 10, 40)]
    # Within a step of a local minimum, which here is the only one.
    assert value(rule.value) == pytest.approx(min(grid), rel=0.02)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The wake of past networks: recursions against the argmin by brute force, exact divergences descended."""

import math

import numpy as np
import pytest

from randnla._backend.errors import InputError, NonFiniteError, StateError
from randnla.curvature import ExactWake, WakeRecursion

N, STEPS = 12, 8


def spd(rng, n=N):
    X = rng.standard_normal((n, 2 * n))
    return X @ X.T / (2 * n) + 0.1 * np.eye(n)


def story(seed=0, steps=STEPS):
    """Gradients, Fisher matrices, curvatures and step sizes that vary."""
    rng = np.random.default_rng(seed)
    gradients = rng.standard_normal((steps, N))
    return (
        gradients,
        [spd(rng) for _ in range(steps)],
        [spd(rng) for _ in range(steps)],
        rng.uniform(0.1, 2, steps),
    )


def weight(i, k, rho):
    return rho ** (k - i) * (1.0 if i == 0 else 1.0 - rho)


def brute_force(gradients, fishers, curvatures, rates, rho):
    """Minimizers of the objectives as they are defined, one linear system a step, no recursion."""
    thetas, found = [np.zeros(N)], []
    for k, (g, B, lr) in enumerate(zip(gradients, curvatures, rates, strict=True)):
        hessian, slope = B.copy(), g.copy()
        for i in range(k + 1):
            part = weight(i, k, rho) / lr * fishers[i]
            hessian += part
            slope += part @ (thetas[k] - thetas[i])
        found.append(-np.linalg.solve(hessian, slope))
        thetas.append(thetas[k] + found[-1])
    return found


def average(fishers, k, rho):
    return sum(weight(i, k, rho) * fishers[i] for i in range(k + 1))


def split(flat):
    return {"first": flat[:8].reshape(2, 4), "second": flat[8:]}


def joined(layers):
    return np.concatenate([layers["first"].ravel(), layers["second"]])


def largest_difference(found, expected):
    size = max(np.abs(s).max() for s in expected)
    return max(np.abs(s - t).max() for s, t in zip(found, expected, strict=True)) / size


# Ten systems of order 12 and condition below 40 by LU: some tens of roundings.
ROUNDING = 50 * np.finfo(np.float64).eps


@pytest.mark.parametrize("rho", [0.0, 0.33, 0.5, 0.95])
@pytest.mark.parametrize("seed", range(3))
def test_so_steps_are_the_minimizers(seed, rho):
    gradients, fishers, _, rates = story(seed)
    expected = brute_force(gradients, fishers, [np.zeros((N, N))] * STEPS, rates, rho)
    wake, found = WakeRecursion("SO", ema=rho), []
    for k, (g, lr) in enumerate(zip(gradients, rates, strict=True)):
        right = joined(wake.step(split(g), lr))
        found.append(-lr * np.linalg.solve(average(fishers, k, rho), right))
    assert largest_difference(found, expected) < ROUNDING


@pytest.mark.parametrize("rho", [0.0, 0.33, 0.5, 0.95])
@pytest.mark.parametrize("seed", range(3))
def test_q_steps_are_the_minimizers(seed, rho):
    gradients, fishers, curvatures, rates = story(seed)
    expected = brute_force(gradients, fishers, curvatures, rates, rho)
    wake, found = WakeRecursion("Q", ema=rho), []
    for k, (g, B, lr) in enumerate(zip(gradients, curvatures, rates, strict=True)):
        F = average(fishers, k, rho)
        whole = F + lr * B
        right = joined(
            wake.step(
                split(g),
                lr,
                retained=lambda V, F=F, whole=whole: split(F @ np.linalg.solve(whole, joined(V))),
            )
        )
        found.append(-lr * np.linalg.solve(whole, right))
    assert largest_difference(found, expected) < ROUNDING


def test_q_without_factors_takes_the_curvature_for_the_average():
    rho = 0.5
    gradients, fishers, _, rates = story(4)
    averages = [average(fishers, k, rho) for k in range(STEPS)]
    expected = brute_force(gradients, fishers, averages, rates, rho)
    wake, found = WakeRecursion("Q"), []
    for g, F, lr in zip(gradients, averages, rates, strict=True):
        found.append(-lr / (1 + lr) * np.linalg.solve(F, joined(wake.step(split(g), lr))))
    assert largest_difference(found, expected) < ROUNDING


@pytest.mark.parametrize("variant", ["SO", "Q", "QE"])
def test_without_past_it_is_the_natural_gradient(variant):
    gradients, _, _, rates = story(5)
    wake = WakeRecursion(variant, ema=0.0)
    for g, lr in zip(gradients, rates, strict=True):
        assert np.array_equal(joined(wake.step(split(g), lr)), g)


def test_constant_gradient_leaves_so_one_minus_rho():
    g = np.arange(1.0, N + 1)
    for rho in (0.5, 0.99, 1 - 1e-12):
        wake = WakeRecursion("SO", ema=rho)
        wake.step(split(g), 0.1)
        for _ in range(3):
            right = joined(wake.step(split(g), 0.1))
        # 1 - rho is exact, rho g and the difference round once each.
        np.testing.assert_allclose(right, (1 - rho) * g, rtol=0, atol=2e-16 * g.max())


def test_a_smaller_step_size_weighs_the_past_more():
    wake = WakeRecursion("SO", ema=0.5)
    wake.step({"x": np.ones(1)}, 1.0)
    assert wake.step({"x": np.ones(1)}, 0.25)["x"][0] == 1 - 0.5 * 4


@pytest.mark.parametrize("variant", ["SO", "Q"])
def test_recursion_resumes_bit_for_bit(variant):
    gradients, _, _, rates = story(6)
    wake = WakeRecursion(variant, ema=0.4)
    for g, lr in zip(gradients[:4], rates, strict=False):
        wake.step(split(g), lr)
    other = WakeRecursion.from_state_dict(wake.state_dict())
    assert repr(other) == repr(wake)
    for g, lr in zip(gradients[4:], rates[4:], strict=True):
        a, b = wake.step(split(g), lr), other.step(split(g), lr)
        assert all(np.array_equal(a[name], b[name]) for name in a)
    altered = wake.state_dict()
    altered["lr"] = -1.0
    with pytest.raises(StateError, match="digest: the fields do not match it"):
        other.load_state_dict(altered)
    with pytest.raises(StateError, match="kind: expected 'WakeRecursion', got 'ExactWake'"):
        other.load_state_dict({**WakeRecursion().state_dict(), "kind": "ExactWake"})


def test_what_it_holds_is_its_own():
    wake, g = WakeRecursion("SO", ema=0.5), {"x": np.ones(3)}
    out = wake.step(g, 1.0)
    assert not np.shares_memory(out["x"], g["x"])
    g["x"][:] = out["x"][:] = 77.0
    assert np.array_equal(wake.step({"x": np.ones(3)}, 1.0)["x"], np.full(3, 0.5))


def test_refused_steps_change_nothing():
    wake = WakeRecursion("Q", ema=0.5)
    wake.step({"x": np.ones(3)}, 1.0)
    before = wake.state_dict()
    with pytest.raises(NonFiniteError, match=r"gradients\['x'\]: 1 entry is NaN or Inf"):
        wake.step({"x": np.array([1.0, math.nan, 1.0])}, 1.0)
    with pytest.raises(NonFiniteError, match=r"retained\['x'\]: 3 entries are NaN or Inf"):
        wake.step({"x": np.ones(3)}, 1.0, retained=lambda V: {"x": V["x"] * math.inf})
    with pytest.raises(InputError, match=r"gradients\['x'\]: expected shape \(3,\), got \(4,\)"):
        wake.step({"x": np.ones(4)}, 1.0)
    with pytest.raises(InputError, match=r"gradients: expected \['x'\], got"):
        wake.step({"y": np.ones(3)}, 1.0)
    with pytest.raises(InputError, match="lr: expected a positive number, got 0"):
        wake.step({"x": np.ones(3)}, 0.0)
    assert wake.state_dict()["digest"] == before["digest"]
    with pytest.raises(InputError, match="variant: expected one of 'SO', 'Q', 'QE', got 'R'"):
        WakeRecursion("R")
    with pytest.raises(InputError, match=r"ema: expected a number in \[0, 1\), got 1"):
        WakeRecursion("SO", ema=1.0)
    assert [WakeRecursion(v).ema for v in ("SO", "Q", "QE")] == [0.33, 0.5, 0.5]


# -- exact divergences ---------------------------------------------------------------------------------------


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class Categorical:
    """Linear logits X W: half of both divergences between the categorical outputs, and its exact gradient."""

    def __init__(self, seed=0, samples=20, dim=4, classes=3):
        rng = np.random.default_rng(seed)
        self.X, self.shape = rng.standard_normal((samples, dim)), (dim, classes)

    def divergence(self, here, net):
        z, y = self.X @ here["W"], self.X @ net["W"]
        p, q = softmax(z), softmax(y)
        # (KL(p|q) + KL(q|p)) / 2 = sum (p - q)(log p - log q) / 2, where normalizers cancel in the sum.
        value = 0.5 * np.sum((p - q) * (z - y)) / len(p)
        slope = p * ((z - y) - np.sum(p * (z - y), axis=1, keepdims=True)) + (p - q)
        return value, {"W": self.X.T @ (0.5 * slope) / len(p)}

    def fisher_times(self, here, s):
        p, t = softmax(self.X @ here["W"]), self.X @ s["W"]
        return {"W": self.X.T @ (p * (t - np.sum(p * t, axis=1, keepdims=True))) / len(p)}

    def draw(self, rng, size=1.0):
        return {"W": size * rng.standard_normal(self.shape)}


def kl(p, q):
    return np.sum(p * (np.log(p) - np.log(q))) / len(p)


def test_divergence_of_the_test_is_what_it_says():
    model, rng = Categorical(), np.random.default_rng(1)
    here, net = model.draw(rng), model.draw(rng)
    value, slope = model.divergence(here, net)
    p, q = softmax(model.X @ here["W"]), softmax(model.X @ net["W"])
    assert value == pytest.approx((kl(p, q) + kl(q, p)) / 2, rel=1e-12)
    direction, h = model.draw(rng), 1e-6
    ends = [model.divergence({"W": here["W"] + e * direction["W"]}, net)[0] for e in (h, -h)]
    assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(np.sum(slope["W"] * direction["W"]), rel=1e-7)


def test_objective_is_its_definition_with_the_weights_of_the_wake():
    model, rng, rho, lr = Categorical(), np.random.default_rng(2), 0.4, 0.3
    wake = ExactWake(ema=rho, nets=3, scale=0.7)
    nets = [model.draw(rng) for _ in range(5)]
    g, B = model.draw(rng), 2.5
    for k, theta in enumerate(nets):
        objective = wake.objective(theta, g, lr, model.divergence, lambda s: {"W": B * s["W"]})
        s = model.draw(rng, 0.1)
        here = {"W": theta["W"] + s["W"]}
        expected = np.sum(g["W"] * s["W"]) + B / 2 * np.sum(s["W"] ** 2)
        for i in range(max(0, k - 2), k + 1):
            expected += 0.7 / lr * weight(i, k, rho) * model.divergence(here, nets[i])[0]
        value, slope = objective(s)
        assert value == pytest.approx(expected, rel=1e-12)
        direction, h = model.draw(rng), 1e-6
        ends = [objective({"W": s["W"] + e * direction["W"]})[0] for e in (h, -h)]
        assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(np.sum(slope["W"] * direction["W"]), rel=1e-6)


def test_near_the_net_the_divergence_is_the_quadratic_term():
    model, rng = Categorical(), np.random.default_rng(3)
    theta, s = model.draw(rng), model.draw(rng, 1e-4)
    value, _ = model.divergence({"W": theta["W"] + s["W"]}, theta)
    assert value == pytest.approx(0.5 * np.sum(s["W"] * model.fisher_times(theta, s)["W"]), rel=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_descent_from_the_quadratic_step_lowers_the_exact_objective(seed):
    model, rng, lr = Categorical(seed), np.random.default_rng(seed), 0.5
    wake, recursion = ExactWake(scale=1.0), WakeRecursion("QE")
    theta, F = model.draw(rng), np.zeros((12, 12))
    for k in range(5):
        g = model.draw(rng, 0.3)
        now = np.stack([model.fisher_times(theta, {"W": e.reshape(4, 3)})["W"].ravel() for e in np.eye(12)])
        F = now if k == 0 else 0.5 * F + 0.5 * now
        whole = F + lr * now + 0.1 * np.eye(12)
        right = recursion.step(g, lr)
        s = {"W": -lr * np.linalg.solve(whole, right["W"].ravel()).reshape(4, 3)}
        objective = wake.objective(
            theta, g, lr, model.divergence, lambda v, at=theta: model.fisher_times(at, v)
        )
        before = objective(s)
        refined = wake.refine(objective, s, lr)
        after = objective(refined)
        assert after[0] < before[0]
        theta = {"W": theta["W"] + refined["W"]}
    assert wake.count == 5


def test_published_settings_are_the_defaults():
    wake = ExactWake()
    assert (wake.ema, wake.nets, wake.steps, wake.rate) == (0.5, 3, 7, 0.1)
    assert (wake.momentum, wake.scale, wake.clip) == (0.5, 1 / 330, 2.0)


def test_descent_is_sgd_with_momentum_and_a_bound_on_every_layer():
    wake, lr = ExactWake(steps=3, rate=0.5, momentum=0.5, clip=1.0), 0.2
    slopes = {"long": np.array([3.0, 4.0]), "short": np.array([0.1])}
    got = wake.refine(lambda s: (0.0, slopes), {name: np.zeros_like(x) for name, x in slopes.items()}, lr)
    travel = 0.1 * (1 + 1.5 + 1.75)  # velocities 1, 1.5, 1.75 times the slope
    np.testing.assert_allclose(got["long"], -travel * np.array([0.6, 0.8]), rtol=1e-14)
    np.testing.assert_allclose(got["short"], [-travel * 0.1], rtol=1e-14)


def test_descent_that_meets_nan_gives_the_step_back():
    model, rng = Categorical(), np.random.default_rng(0)
    wake, theta = ExactWake(), model.draw(rng)
    s = model.draw(rng, 0.1)
    objective = wake.objective(theta, theta, 0.1, lambda here, net: (0.0, {"W": here["W"] * math.nan}))
    assert wake.refine(objective, s, 0.1) is s
    assert wake.refine(lambda step: (0.0, {"W": step["W"] + math.inf}), s, 0.1) is s


def test_exact_wake_resumes_bit_for_bit():
    model, rng = Categorical(), np.random.default_rng(7)
    wake, nets = ExactWake(nets=2), [model.draw(rng) for _ in range(4)]
    for theta in nets[:3]:
        wake.objective(theta, theta, 0.1, model.divergence)
    other = ExactWake(nets=2)
    other.load_state_dict(wake.state_dict())
    s = model.draw(rng, 0.1)
    values = [w.objective(nets[3], nets[0], 0.1, model.divergence)(s)[0] for w in (wake, other)]
    assert values[0] == values[1]
    with pytest.raises(StateError, match="count, names: expected 3 nets of 1 layers, got 2 arrays"):
        ExactWake(nets=3).load_state_dict(wake.state_dict())


def test_refused_networks_change_nothing():
    model, rng = Categorical(), np.random.default_rng(8)
    wake, theta = ExactWake(), model.draw(rng)
    wake.objective(theta, theta, 0.1, model.divergence)
    before = wake.state_dict()["digest"]
    with pytest.raises(NonFiniteError, match=r"parameters\['W'\]: 12 entries are NaN or Inf"):
        wake.objective({"W": theta["W"] * math.nan}, theta, 0.1, model.divergence)
    with pytest.raises(InputError, match=r"gradients\['W'\]: expected shape \(4, 3\), got \(2,\)"):
        wake.objective(theta, {"W": np.ones(2)}, 0.1, model.divergence)
    with pytest.raises(InputError, match="divergence: expected a callable or None, got float"):
        wake.objective(theta, theta, 0.1, 3.0)
    assert wake.state_dict()["digest"] == before
    with pytest.raises(InputError, match=r"momentum: expected a number in \[0, 1\), got 1"):
        ExactWake(momentum=1.0)

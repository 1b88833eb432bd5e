# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Networks as hypotheses of elliptic equations: they come near what features find, by every optimizer."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from randnla import InputError  # noqa: E402
from randnla.manifold import Boundary, solve_elliptic  # noqa: E402
from randnla.torch import EllipticNetwork  # noqa: E402


def circle(n=120):
    t = 2 * np.pi * np.arange(n) / n
    return np.c_[np.cos(t), np.sin(t)], np.sin(2 * t)


@pytest.mark.parametrize(
    ("optimizer", "steps", "limit"), [("adam", 400, 0.02), ("sketchy", 200, 0.1), ("kfac", 300, 0.1)]
)
def test_every_optimizer_comes_near(optimizer, steps, limit):
    X, u = circle()
    network = EllipticNetwork(width=20, steps=steps, optimizer=optimizer)
    found = solve_elliptic(X, 5 * u, a=1.0, neighbors=32, method="network", network=network, rng=0)
    assert found.info.method == "network"
    assert len(network.losses) == steps
    assert network.losses[-1] <= 1e-2 * network.losses[0]
    assert np.abs(found.u - u).max() <= limit
    middle = (X + np.roll(X, -1, axis=0)) / 2
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    t = 2 * np.pi * (np.arange(len(X)) + 0.5) / len(X)
    assert np.abs(found.evaluate(middle) - np.sin(2 * t)).max() <= 1.1 * limit


def test_seeds_replay_and_leave_the_generator_alone():
    X, u = circle(60)
    before = torch.random.get_rng_state()
    runs = [
        solve_elliptic(
            X, 5 * u, a=1.0, neighbors=16, method="network", network=EllipticNetwork(steps=5), rng=3
        ).u
        for _ in range(2)
    ]
    assert np.array_equal(runs[0], runs[1])
    assert torch.equal(before, torch.random.get_rng_state())


def test_known_values_and_means_are_terms_of_the_loss():
    t = np.linspace(0, np.pi, 80)
    X = np.c_[np.cos(t), np.sin(t)]
    edge = Boundary([0, 79], [1.0, -1.0])
    found = solve_elliptic(
        X, 2 * np.cos(t), a=1.0, boundary=edge, neighbors=24, method="network",
        network=EllipticNetwork(width=20, steps=400), rng=0,
    )  # fmt: skip
    assert np.abs(found.u - np.cos(t)).max() <= 0.05
    X, u = circle(80)
    free = solve_elliptic(
        X, 4 * u, neighbors=24, method="network", network=EllipticNetwork(width=20, steps=400), rng=0
    )
    assert np.abs(free.u - u).max() <= 0.05


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"width": 0}, r"^width: expected an integer >= 1"),
        ({"depth": 0}, r"^depth: expected an integer >= 1"),
        ({"steps": -1}, r"^steps: expected an integer >= 0"),
        ({"optimizer": "sgd"}, r"^optimizer: expected one of 'adam', 'sketchy', 'kfac'"),
        ({"lr": 0.0}, r"^lr: expected a positive number"),
    ],
)
def test_arguments(keywords, message):
    with pytest.raises(InputError, match=message):
        EllipticNetwork(**keywords)


def test_nothing_is_evaluated_before_it_is_fitted():
    with pytest.raises(InputError, match=r"^network: expected one that was fitted"):
        EllipticNetwork().evaluate(np.zeros((1, 2)))

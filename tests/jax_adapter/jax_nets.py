# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Small models for the tests of randnla.jax, and the engine fed by hand with what they tell."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from randnla import curvature
from randnla.jax import tap

ENGINES = {
    "exact": curvature.KFAC,
    "rs": curvature.RSKFAC,
    "sre": curvature.SREKFAC,
    "ekfac": curvature.EKFAC,
    "brand": curvature.BrandKFAC,
    "kld_wrm": curvature.KLDWRM,
}


def mlp(params, x, tap):
    x = jnp.tanh(tap.dense("hidden", x, params["hidden"]["kernel"], params["hidden"]["bias"]))
    return tap.dense("out", x, params["out"]["kernel"])


def mlp_problem(dtype=np.float32, *, inputs=12, hidden=9, outputs=4, n=32, seed=0):
    rng = np.random.default_rng(seed)
    params = {
        "hidden": {"kernel": rng.standard_normal((inputs, hidden)) / 3, "bias": rng.standard_normal(hidden)},
        "out": {"kernel": rng.standard_normal((hidden, outputs)) / 3},
    }
    x, y = rng.standard_normal((n, inputs)), rng.integers(0, outputs, n)
    return jax.tree.map(lambda p: jnp.asarray(p, dtype), params), jnp.asarray(x, dtype), jnp.asarray(y)


def convnet(params, x, tap):
    x = tap.conv("conv", x, params["conv"]["w"], params["conv"]["b"], stride=2, padding="SAME")
    x = tap.scale_shift("norm", x / 2, params["scale"], params["shift"])
    x = jnp.tanh(x).max(axis=1).reshape(len(x), -1)
    return tap.dense("out", x, params["out"])


def convnet_problem(dtype=np.float32, n=48, seed=0):
    rng = np.random.default_rng(seed)
    params = {
        "conv": {"w": rng.standard_normal((3, 3, 2, 5)) / 4, "b": rng.standard_normal(5)},
        "scale": 1 + rng.random(5),
        "shift": rng.standard_normal(5),
        "out": rng.standard_normal((4 * 5, 3)) / 4,
    }
    x, y = rng.standard_normal((n, 6, 7, 2)), rng.integers(0, 3, n)
    return jax.tree.map(lambda p: jnp.asarray(p, dtype), params), jnp.asarray(x, dtype), jnp.asarray(y)


def feed(engine, sites, factors):
    """Give the engine what a tapped model tells, every draw as a part of the batch."""
    for name, (inputs, gradients) in factors.items():
        assert len(inputs) == 1
        a, g = np.asarray(inputs[0]), np.asarray(gradients[0])
        if isinstance(sites[name].layer, (curvature.Conv1d, curvature.Conv2d)):
            a, g = np.moveaxis(a, -1, 1), np.moveaxis(g, -1, 2)
        assert engine.accumulate(name, [a] * len(g), list(g))


def engine_gradients(sites, leaves):
    """Gradients in the shapes of the engine: outputs first, kernels (outputs, channels, height, width)."""
    made = {}
    for name, site in sites.items():
        parts = [np.asarray(leaves[path]) for path in site.paths]
        if parts[0].ndim == 2 and not isinstance(site.layer, curvature.Embedding):
            parts[0] = parts[0].T
        elif parts[0].ndim > 2:
            parts[0] = np.moveaxis(parts[0], (-1, -2), (0, 1))
        made[name] = tuple(parts) if len(parts) > 1 else parts[0]
    return made


def tapped(model, problem, *, fisher="mc", draws=2, loss="cross_entropy", **kwargs):
    """(tapped model, sites, params, x, y)"""
    params, x, y = problem
    net = tap(model, loss, fisher=fisher, draws=draws, **kwargs)
    return net, net.layers(params, x), params, x, y

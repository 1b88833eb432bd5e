# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The transformation gives the updates of the engine that is fed by hand with the same factors."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

jax = pytest.importorskip("jax")
pytest.importorskip("optax")

from jax_nets import (  # noqa: E402
    ENGINES,
    convnet,
    convnet_problem,
    engine_gradients,
    feed,
    mlp,
    mlp_problem,
    tapped,
)

from randnla import curvature  # noqa: E402
from randnla.curvature import Absolute, Exact, KLClip, Relative, RMSClip, Tikhonov  # noqa: E402
from randnla.jax import kfac  # noqa: E402
from randnla.jax.sites import leaves_of  # noqa: E402

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-10}
# Every engine, damping, start and clip at least once; ranks such that sides are truncated.
CASES = {
    "exact, relative": ("exact", {"damping": 0.1}),
    "exact, tikhonov, running": ("exact", {"damping": Tikhonov(0.01), "start": "running"}),
    "exact, absolute, first": ("exact", {"damping": Absolute(0.1), "start": "first"}),
    "exact, of the product": ("exact", {"damping": Exact(0.05), "start": "identity"}),
    "exact, eigenvectors, KL clip": ("exact", {"damping": 0.1, "inverse": "eigen", "clip": KLClip(1e-4)}),
    "rs": ("rs", {"damping": 0.1, "rank": 2, "oversample": 1}),
    "rs, of the product, RMS clip": (
        "rs",
        {"damping": Exact(0.05), "rank": 2, "oversample": 1, "clip": RMSClip(0.01)},
    ),
    "rs, no continuation": ("rs", {"damping": 0.1, "rank": 2, "oversample": 1, "continuation": "none"}),
    "rs, cold": ("rs", {"damping": 0.1, "rank": 2, "oversample": 1, "solver": "rs", "warm_start": False}),
    "sre": ("sre", {"damping": 0.1, "rank": 2, "oversample": 1}),
    "ekfac": ("ekfac", {"damping": 0.1}),
    "ekfac, of the product": ("ekfac", {"damping": Exact(0.05)}),
    "brand": ("brand", {"damping": 0.1, "rank": 3, "oversample": 0}),
}


@cache
def path(model, dtype):
    """(sites, params, [(gradients, factors) of each step]) along a path that is the same for everyone."""
    problem = mlp_problem(dtype) if model == "mlp" else convnet_problem(dtype)
    net, sites, params, x, y = tapped(mlp if model == "mlp" else convnet, problem)
    start, run, told = params, jax.jit(net), []
    for k in range(4):
        told.append(run(params, x + k / 10, y, jax.random.key(k))[1:])
        params = jax.tree.map(lambda p: 0.9 * p, params)
    return sites, start, told


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("model", ["mlp", "convnet"])
def test_updates_are_those_of_the_engine(model, case, dtype):
    curvature_name, settings = CASES[case]
    with jax.enable_x64(dtype == np.float64):
        sites, params, told = path(model, dtype)
        opt = kfac(sites, curvature_name, dtype=dtype, rng=3, inv_every=2, **settings)
        layers = {name: site.layer for name, site in sites.items()}
        engine = ENGINES[curvature_name](layers, dtype=dtype, rng=3, inv_every=2, **settings)
        state, update = opt.init(params), jax.jit(opt.update)
        for k, (gradients, factors) in enumerate(told):
            state = opt.accumulate(state, factors)
            feed(engine, sites, factors)
            if opt.refresh_due(k):
                state = opt.refresh(state)
            made, state = update(gradients, state)
            wanted = engine.step(engine_gradients(sites, leaves_of(gradients)))
            got = engine_gradients(sites, leaves_of(made))
            for name in sites:
                for ours, theirs in zip(
                    jax.tree.leaves(got[name]), jax.tree.leaves(wanted[name]), strict=True
                ):
                    error = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
                    assert error < TOLERANCE[dtype], f"step {k}, {name}: {error:.2e}"
        assert int(state.step) == engine.step_count == 4
        ours, theirs = opt.health(state), engine.health
        for name in sites:
            assert ours[name].inverse == theirs[name].inverse
            assert ours[name].last_refresh == theirs[name].last_refresh == 2
            assert ours[name].fallback == theirs[name].fallback == ""
            assert ours[name].condition == pytest.approx(theirs[name].condition, rel=1e-3)
            assert ours[name].truncated == pytest.approx(theirs[name].truncated, rel=1e-3, abs=1e-5)


WAKES = {
    "SO": {"variant": "SO"},
    "SO, relative": {"variant": "SO", "damping": Relative(0.1), "ema": 0.5, "clip": RMSClip(0.05)},
    "Q": {"variant": "Q"},
    "Q, relative, debias": {"variant": "Q", "damping": Relative(0.1), "start": "debias"},
    "Q, identity": {"variant": "Q", "start": "identity", "clip": KLClip(1e-3)},
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", WAKES)
@pytest.mark.parametrize("model", ["mlp", "convnet"])
def test_the_wake_is_that_of_the_engine(model, case, dtype):
    """With a step size that changes, and inverses that are new at every second step."""
    settings = {**WAKES[case], "stats_every": 1, "inv_every": 2, "rng": 3}
    with jax.enable_x64(dtype == np.float64):
        sites, params, told = path(model, dtype)
        opt = kfac(sites, "kld_wrm", dtype=dtype, learning_rate=lambda step: 0.3 / (step + 1), **settings)
        engine = ENGINES["kld_wrm"]({n: site.layer for n, site in sites.items()}, dtype=dtype, **settings)
        state, update = opt.init(params), jax.jit(opt.update)
        for k, (gradients, factors) in enumerate(told):
            state = opt.accumulate(state, factors)
            feed(engine, sites, factors)
            if opt.refresh_due(k):
                state = opt.refresh(state)
            made, state = update(gradients, state)
            wanted = engine.step(engine_gradients(sites, leaves_of(gradients)), lr=0.3 / (k + 1))
            got = engine_gradients(sites, leaves_of(made))
            for name in sites:
                for ours, theirs in zip(
                    jax.tree.leaves(got[name]), jax.tree.leaves(wanted[name]), strict=True
                ):
                    error = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
                    # Rounding of the factors times the condition of either side, and of some products.
                    bound = np.finfo(dtype).eps * (8 + 2 * engine.health[name].condition)
                    assert error < max(bound, 1e-10), f"step {k}, {name}: {error:.2e}"
        assert opt.health(state)["out"].last_refresh == engine.health["out"].last_refresh == 2


def test_the_cases_truncate():
    _, sites, *_ = tapped(mlp, mlp_problem())
    assert kfac(sites, "rs", rank=2, oversample=1).report().covered[0].inverse == "low_rank x low_rank"
    assert kfac(sites, "brand", rank=3, oversample=0).report().covered[1].inverse == "cholesky x low_rank"


def test_damping_changes_without_a_refresh():
    net, sites, params, x, y = tapped(mlp, mlp_problem())
    _, gradients, factors = net(params, x, y, jax.random.key(0))
    for name, settings in (
        ("exact", {"inverse": "eigen"}),
        ("exact", {"damping": Exact(0.1)}),
        ("ekfac", {}),
        ("rs", {"rank": 2, "oversample": 1, "inverse": "eigen"}),
    ):
        opt = kfac(sites, name, **settings)
        state = opt.refresh(opt.accumulate(opt.init(params), factors))
        kind = type(opt.plan.damping_at(0))
        again = kfac(sites, name, **{**settings, "damping": kind(0.7)})
        fresh = again.refresh(again.accumulate(again.init(params), factors))
        got = opt.update(gradients, opt.with_damping(state, kind(0.7)))[0]
        wanted = again.update(gradients, fresh)[0]
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)
    with pytest.raises(curvature.damping.InputError, match=r"damping: expected one as Relative"):
        kfac(sites, "exact").with_damping(state, Exact(0.1))
    assert Relative(0.7).value == 0.7

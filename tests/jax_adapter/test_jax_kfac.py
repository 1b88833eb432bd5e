# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The transformation under jit, vmap and callbacks; what it refuses; what leaves its state as it was."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import cases
import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
optax = pytest.importorskip("optax")

from jax_nets import convnet, convnet_problem, mlp, mlp_problem, tapped  # noqa: E402

from randnla import jax as room  # noqa: E402
from randnla.curvature import KFAC, Dense, Every, Exact, KLClip, Piecewise, Tikhonov  # noqa: E402
from randnla.jax import Site, kfac, steps  # noqa: E402
from randnla.jax.bridge import SumView  # noqa: E402

KEY = jax.random.key(5)
LOW_RANK = {"rank": 2, "oversample": 1}


def same(a, b):
    """Equal bit for bit, as trees."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def close(a, b, rtol):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert np.linalg.norm(x - y) <= rtol * np.linalg.norm(y)


@pytest.fixture(scope="module")
def mlp_told():
    """(sites, params, gradients, factors)"""
    net, sites, params, x, y = tapped(mlp, mlp_problem())
    _, gradients, factors = jax.jit(net)(params, x, y, KEY)
    return sites, params, gradients, factors


def test_a_training_loop_learns_and_is_compiled_once():
    """Loss of a net of two layers on labels that a line divides: far below that of plain descent."""
    net, sites, params, x, _ = tapped(mlp, mlp_problem(n=128))
    y = (x[:, 0] > 0).astype(int) + 2 * (x[:, 1] > 0)
    opt = kfac(sites, "rs", damping=0.03, inv_every=5, stats_every=2, clip=KLClip(1e-2), **LOW_RANK)
    compiled = []

    def run(rule, own, params):
        state = rule.init(params)

        @jax.jit
        def step(params, state, key):
            compiled.append(own)
            loss, gradients, factors = net(params, x, y, key)
            updates, state = rule.update(gradients, state, params, factors=factors)
            return optax.apply_updates(params, updates), state, loss

        for k in range(40):
            params, state, loss = step(params, state, jax.random.fold_in(KEY, k))
            if own and opt.refresh_due(k):
                state = opt.refresh(state)
        return float(loss)

    ours = run(optax.chain(opt, optax.sgd(0.3)), True, params)
    plain = run(optax.with_extra_args_support(optax.sgd(0.3)), False, params)
    assert ours < 0.7 * plain
    assert compiled == [True, False]
    assert [opt.statistics_due(k) for k in range(3)] == [True, False, True]


@pytest.mark.parametrize("name", ["exact", "rs", "ekfac"])
def test_vmap_over_models_is_a_loop_over_them(name):
    net, sites, params, x, y = tapped(convnet, convnet_problem(n=24))
    opt = kfac(sites, name, refresh="callback", inv_every=1, **LOW_RANK)
    several = jax.tree.map(lambda p: jnp.stack([p, 0.5 * p]), params)
    keys = jax.random.split(KEY, 2)

    def step(params, state, key):
        _, gradients, factors = net(params, x, y, key)
        return opt.update(gradients, state, params, factors=factors)

    one = jax.jit(step)
    got = jax.jit(jax.vmap(step))(several, jax.vmap(opt.init)(several), keys)
    for i in range(2):
        alone = jax.tree.map(lambda p, i=i: p[i], several)
        wanted = one(alone, opt.init(alone), keys[i])
        close(jax.tree.map(lambda a, i=i: a[i], got[0]), wanted[0], 1e-4)
    with pytest.raises(ValueError, match="state: expected that of one model"):
        opt.refresh(got[1])


def test_an_axis_of_devices_averages_statistics(mlp_told):
    net, sites, params, x, y = tapped(mlp, mlp_problem(), fisher="empirical")
    whole, parts = kfac(sites, "exact"), kfac(sites, "exact", axis_name="devices")
    _, _, factors = net(params, x, y)
    wanted = whole.accumulate(whole.init(params), factors)

    def one(x, y):
        return parts.accumulate(parts.init(params), net(params, x, y)[2])

    got = jax.vmap(one, axis_name="devices")(x.reshape(2, 16, -1), y.reshape(2, 16))
    for i in range(2):
        close(jax.tree.map(lambda a, i=i: a[i], got).layers, wanted.layers, 1e-5)
    with pytest.raises(ValueError, match="axis_name: pairs of different devices"):
        kfac(sites, "brand", axis_name="devices")


@pytest.mark.parametrize("name", ["exact", "rs", "sre", "ekfac", "brand"])
def test_callbacks_give_what_the_host_gives(name, mlp_told):
    sites, params, gradients, factors = mlp_told
    settings = {"rank": 3, "oversample": 0, "inv_every": 2, "rng": 1}
    host, inside = kfac(sites, name, **settings), kfac(sites, name, refresh="callback", **settings)
    update = jax.jit(inside.update)
    state, other = host.init(params), inside.init(params)
    for k in range(3):
        made, other = update(gradients, other, params, factors=factors)
        state = host.accumulate(state, factors)
        if host.refresh_due(k):
            state = host.refresh(state)
        wanted, state = host.update(gradients, state)
        close(made, wanted, 1e-4)
    assert host.health(state)["hidden"].last_refresh == inside.health(other)["hidden"].last_refresh == 2


def test_a_callback_does_not_raise(mlp_told):
    sites, params, gradients, factors = mlp_told
    opt = kfac(sites, "exact", refresh="callback", inv_every=1)
    _, state = jax.jit(opt.update)(gradients, opt.init(params), params, factors=factors)
    layer = state.layers["out"]
    broken = layer._replace(statistics={**layer.statistics, "left": jnp.full((4, 4), jnp.nan)})
    made, after = jax.jit(opt.update)(gradients, state.with_layers({**state.layers, "out": broken}))
    assert np.isfinite(made["out"]["kernel"]).all()
    health = opt.health(after)
    assert (health["out"].fallback, health["out"].failed_refreshes) == ("last good inverse", 1)
    assert "left factor" in health["out"].reason or "did not converge" in health["out"].reason
    assert health["hidden"].fallback == ""
    same(after.layers["out"].inverse, layer.inverse)


def test_a_refresh_before_the_first_batch_changes_nothing(mlp_told):
    sites, params, gradients, _ = mlp_told
    opt = kfac(sites, "exact")
    state = opt.init(params)
    same(opt.refresh(state), state)
    same(opt.update(gradients, state)[0], gradients)
    assert opt.health(opt.refresh(state))["out"].last_refresh is None


def test_a_refresh_that_fails_is_told(mlp_told):
    """A singular factor without damping; then the same from the start."""
    sites, params, gradients, factors = mlp_told
    few = jax.tree.map(lambda a: a, factors)
    few["hidden"] = tuple(tuple(jnp.zeros_like(a) for a in side) for side in factors["hidden"])
    opt = kfac(sites, "exact", damping=Piecewise({0: Exact(0.0), 1: Exact(0.1)}))
    state = opt.refresh(opt.accumulate(opt.init(params), few))
    health = opt.health(state)["hidden"]
    assert health.fallback.startswith("damping x")
    assert "singular" in health.reason
    _, state = opt.update(gradients, state)
    assert opt.health(opt.refresh(state))["hidden"].fallback == ""


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["exact", "ekfac", "brand", "kld_wrm"])
def test_what_is_not_finite_changes_nothing(name, bad, mlp_told):
    sites, params, gradients, factors = mlp_told
    opt = kfac(sites, name, rank=3, oversample=0)
    state = opt.refresh(opt.accumulate(opt.init(params), factors))
    _, state = opt.update(gradients, state)
    (a, g) = factors["out"]
    state_after = opt.accumulate(state, {"out": ((a[0].at[0, 0].set(bad),), g)})
    assert opt.health(state_after)["out"].skipped_statistics == 1
    same(state_after.layers["out"].statistics, state.layers["out"].statistics)
    same(state_after.layers["out"].inverse, state.layers["out"].inverse)
    assert int(state_after.layers["out"].record["count"]) == 1
    spoiled = {**gradients, "out": {"kernel": gradients["out"]["kernel"].at[1, 1].set(bad)}}
    made, after = opt.update(spoiled, state)
    same(made, spoiled)
    same(after.layers, state.layers)
    assert (int(after.step), int(after.skipped)) == (1, 1)
    assert opt.health(after)["hidden"].skipped_gradients == 1


@pytest.mark.parametrize("name", ["exact", "rs", "ekfac", "brand"])
def test_a_saved_state_goes_on_bit_for_bit(name, mlp_told):
    sites, params, gradients, factors = mlp_told
    settings = {"rank": 3, "oversample": 1, "rng": 2}

    def go(opt, state, count):
        for _ in range(count):
            state = opt.refresh(opt.accumulate(state, factors))
            made, state = opt.update(gradients, state)
        return made, state

    first = kfac(sites, name, **settings)
    _, state = go(first, first.init(params), 2)
    saved = pickle.dumps(jax.tree.map(np.asarray, state))
    wanted = go(first, state, 2)
    resumed = jax.tree.map(jnp.asarray, pickle.loads(saved))
    same(go(kfac(sites, name, **settings), resumed, 2), wanted)


def test_tracers_are_refused_where_the_host_is_needed(mlp_told):
    sites, params, gradients, factors = mlp_told
    opt = kfac(sites, "exact")
    state = opt.init(params)
    with pytest.raises(ValueError, match=r"refresh runs on the host, and got a tracer.*refresh='callback'"):
        jax.jit(opt.refresh)(state)
    brand = kfac(sites, "brand", rank=3, oversample=0)
    with pytest.raises(ValueError, match=r"statistics of 'brand' runs on the host.*accumulate outside"):
        jax.jit(brand.update)(gradients, brand.init(params), factors=factors)
    engine = KFAC({"d": Dense(3, 2)})
    with pytest.raises(ValueError, match=r"a: expected an array with values, got a tracer"):
        jax.jit(lambda a: engine.accumulate("d", a, jnp.ones((4, 2))))(jnp.ones((4, 3)))


def test_factors_are_read_and_inverses_taken_over_without_copies(monkeypatch):
    """Addresses of the sum that the engine sees, and of the inverse that it makes."""
    site = Site(Dense(255, 64), "w", "b")
    params = {"w": jnp.ones((255, 64)), "b": jnp.ones(64)}
    opt = kfac({"d": site}, "exact")
    rng = np.random.default_rng(0)
    a, g = (jnp.asarray(rng.standard_normal(s), jnp.float32) for s in ((32, 255), (1, 32, 64)))
    state = opt.accumulate(opt.init(params), {"d": ((a,), (g,))})
    seen, made = [], []
    original, to_jax = SumView.__init__, steps.to_jax

    def spy(self, total, average):
        seen.append(total.ctypes.data)
        original(self, total, average)

    def keep(array):
        made.append((array, to_jax(array)))
        return made[-1][1]

    monkeypatch.setattr(SumView, "__init__", spy)
    monkeypatch.setattr(steps, "to_jax", keep)
    state = opt.refresh(state)
    held = state.layers["d"].statistics
    assert seen == [held["left"].unsafe_buffer_pointer(), held["right"].unsafe_buffer_pointer()]
    large = [(x, y) for x, y in made if x.size >= 1024]
    assert len(large) == 2
    assert all(x.ctypes.data == y.unsafe_buffer_pointer() for x, y in large)


def test_half_precision_gradients_come_back_as_such(mlp_told):
    sites, params, gradients, factors = mlp_told
    opt = kfac(sites, "exact")
    state = opt.refresh(opt.accumulate(opt.init(params), factors))
    half = jax.tree.map(lambda g: g.astype(jnp.bfloat16), gradients)
    made, _ = opt.update(half, state)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(made)} == {"bfloat16"}
    close(jax.tree.map(lambda g: g.astype(jnp.float32), made), opt.update(gradients, state)[0], 0.05)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"curvature": "newton"}, "curvature: expected one of 'exact', 'rs'"),
        ({"curvature": "kld_wrm", "variant": "QE"}, "variant: QE is not offered here"),
        ({"curvature": "kld_wrm", "divergence": max}, "divergence: not offered here"),
        ({"curvature": "exact", "asynchronous": True}, "asynchronous: not offered here"),
        ({"curvature": "brand", "overwrite_every": 3}, "overwrite_every: not offered here"),
        ({"refresh": "often"}, "refresh: expected one of 'host', 'callback'"),
        ({"clip": 0.1}, "clip: expected KLClip, RMSClip or None"),
        ({"dtype": np.complex64}, "dtype: expected float32 or float64"),
        ({"damping": -1.0}, "damping: .*-1"),
        ({"curvature": "ekfac", "damping": Tikhonov(0.1)}, "damping: E-KFAC takes Exact or Relative"),
    ],
)
def test_settings_that_do_not_fit(settings, message, mlp_told):
    with pytest.raises(ValueError, match=message):
        kfac(mlp_told[0], **settings)


@pytest.mark.parametrize("name", ["exact", "rs", "sre", "ekfac", "brand", "kld_wrm"])
def test_a_layer_has_few_arrays(name, mlp_told):
    """What goes through a compiled function costs time an array: the numbers of a layer are two."""
    opt = kfac(mlp_told[0], name, rank=2, oversample=1)
    layers = opt.init(mlp_told[1]).layers.values()
    most = {"exact": 6, "ekfac": 7, "kld_wrm": 9}.get(name, 10)
    assert max(len(jax.tree.leaves(layer)) for layer in layers) <= most
    assert all(layer.record["last_refresh"] == -1 for layer in layers)


def test_arguments_that_do_not_fit(mlp_told):
    sites, params, _, factors = mlp_told
    with pytest.raises(ValueError, match="layers: expected a mapping from names to Sites"):
        kfac({"d": Dense(3, 2)})
    opt = kfac(sites, inv_every=Every(5, first=2))
    assert [opt.refresh_due(k) for k in range(4)] == [True, True, False, False]
    with pytest.raises(ValueError, match="out: expected a parameter 'out/kernel', there are hidden/bias"):
        opt.init({"hidden": params["hidden"]})
    with pytest.raises(ValueError, match="out: expected 36 parameters"):
        opt.init({**params, "out": {"kernel": jnp.ones((3, 4))}})
    with pytest.raises(ValueError, match="factors: expected layers among hidden, out; got 'third'"):
        opt.accumulate(opt.init(params), {"third": factors["out"]})
    with pytest.raises(ValueError, match="state: expected one of this transformation"):
        opt.refresh(optax.sgd(0.1).init(params))
    with pytest.raises(ValueError, match="float64 needs jax_enable_x64"):
        kfac(sites, dtype=np.float64).init(params)


@pytest.mark.parametrize("wide", [False, True])
def test_float32_states_stay_so_with_wide_numbers_on(wide):
    with jax.enable_x64(wide):
        net, sites, params, x, y = tapped(mlp, mlp_problem())
        opt = kfac(sites, "rs", clip=KLClip(1e-3), **LOW_RANK)
        _, gradients, factors = net(params, x, y, jax.random.key(0))
        state = opt.refresh(opt.accumulate(opt.init(params), factors))
        made, after = jax.jit(opt.update)(gradients, state, params, factors=factors)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(after)} == {"float32", "int32"}
    assert {leaf.dtype.name for leaf in jax.tree.leaves(made)} == {"float32"}
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)


def test_every_public_name_has_a_row():
    assert set(room.__all__) == set(cases.JAX) <= set(dir(room))
    assert all((Path(__file__).parents[1] / file).exists() for file in cases.JAX.values())
    with pytest.raises(AttributeError, match="nothing_like_this"):
        _ = room.nothing_like_this


def test_jax_is_loaded_when_its_room_is_used():
    code = (
        "import sys, randnla, randnla.curvature, randnla.jax; randnla.curvature.KFAC\n"
        "print('jax' in sys.modules, 'optax' in sys.modules); randnla.jax.kfac\n"
        "print('jax' in sys.modules, 'optax' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == ["False", "False", "True", "True"]

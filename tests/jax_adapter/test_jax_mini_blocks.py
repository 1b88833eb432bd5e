# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Mini-block Fisher matrices in optax: the engine's numbers, under jit and vmap, and what is not finite."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from randnla._backend.errors import InputError
from randnla.curvature import (
    Absolute,
    ConvBlocks,
    Elementwise,
    Every,
    Exact,
    MiniBlockFisher,
    NeuronBlocks,
    Relative,
    RMSClip,
)
from randnla.jax import mini_block_fisher

SHAPES = {
    "conv": {"kernel": (3, 3, 2, 5), "bias": (5,)},
    "point": {"kernel": (1, 1, 5, 4), "bias": (4,)},
    "dense": {"kernel": (8, 6), "bias": (6,)},
    "norm": {"scale": (6,)},
    "out": {"w": (6, 3)},
}


def tree_of(rng, scale=1.0):
    return {
        layer: {
            name: jnp.asarray(scale * rng.standard_normal(shape), jnp.float32)
            for name, shape in parts.items()
        }
        for layer, parts in SHAPES.items()
    }


def engine_of(damping, *, shared=True, **settings):
    """The partition that the shapes and names above lead to, in the engine's own layout."""
    parts = {
        "conv.k": ConvBlocks(5, 2, (3, 3)),
        "conv.b": Elementwise(5),
        "point": NeuronBlocks(4, 5, shared=shared),
        "dense": NeuronBlocks(6, 8, shared=shared),
        "norm": Elementwise(6),
        "out": NeuronBlocks(3, 6, bias=False, shared=shared),
    }
    return MiniBlockFisher(parts, damping=damping, **settings)


def flipped(kernel):
    """Outputs first, inputs second."""
    return np.moveaxis(np.asarray(kernel), (-1, -2), (0, 1))


def to_engine(tree):
    return {
        "conv.k": flipped(tree["conv"]["kernel"]),
        "conv.b": np.asarray(tree["conv"]["bias"]),
        "point": (flipped(tree["point"]["kernel"]), np.asarray(tree["point"]["bias"])),
        "dense": (flipped(tree["dense"]["kernel"]), np.asarray(tree["dense"]["bias"])),
        "norm": np.asarray(tree["norm"]["scale"]),
        "out": flipped(tree["out"]["w"]),
    }


def flat(value):
    return np.concatenate([np.ravel(part) for part in (value if isinstance(value, tuple) else (value,))])


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("damping", [Absolute(0.3), Relative(0.5)], ids=["absolute", "relative"])
def test_updates_are_those_of_the_engine(damping, shared) -> None:
    settings = {"ema": 0.9, "momentum": 0.8, "stats_every": 2, "inv_every": Every(3, first=2)}
    settings["clip"] = None if shared else RMSClip(0.5)
    engine = engine_of(damping, shared=shared, **settings)
    opt = mini_block_fisher(0.1, other_lr=0.02, damping=damping, shared=shared, **settings)
    rng = np.random.default_rng(0)
    state = opt.init(tree_of(rng))
    update = jax.jit(opt.update)
    for _ in range(6):
        gradients = tree_of(rng)
        updates, state = update(gradients, state)
        wanted, found = engine.step(to_engine(gradients)), to_engine(updates)
        for name, direction in wanted.items():
            rate = 0.02 if name in ("conv.b", "norm") else 0.1
            expected = -rate * flat(direction)
            # Sums of at most 10 terms in float32, in blocks with condition numbers of some tens.
            assert np.abs(flat(found[name]) - expected).max() <= 1e-5 * np.abs(expected).max(), name
    assert (int(state.step), int(state.batches), int(state.failed)) == (6, 3, 0)


def test_weights_with_outputs_first_are_the_same_transposed() -> None:
    rng = np.random.default_rng(0)
    last = {"a": {"kernel": tree_of(rng)["conv"]["kernel"]}, "b": {"kernel": tree_of(rng)["dense"]["kernel"]}}
    first = {key: {"kernel": jnp.asarray(flipped(value["kernel"]))} for key, value in last.items()}
    one, other = mini_block_fisher(0.1), mini_block_fisher(0.1, outputs="first")
    made, _ = one.update(last, one.init(last))
    turned, _ = other.update(first, other.init(first))
    for key, value in made.items():
        np.testing.assert_allclose(flipped(value["kernel"]), turned[key]["kernel"], rtol=1e-6)


def test_a_gradient_with_nan_changes_nothing_but_the_count() -> None:
    rng = np.random.default_rng(0)
    opt = mini_block_fisher(0.1)
    update = jax.jit(opt.update)
    _, state = update(tree_of(rng), opt.init(tree_of(rng)))
    bad = tree_of(rng)
    bad["norm"]["scale"] = bad["norm"]["scale"].at[2].set(jnp.nan)
    updates, after = update(bad, state)
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(updates))
    assert int(after.skipped) == 1
    before, rest = state._replace(skipped=0), after._replace(skipped=0)
    for x, y in zip(jax.tree.leaves(before), jax.tree.leaves(rest), strict=True):
        assert np.array_equal(x, y)


def test_singular_blocks_are_damped_more_and_failures_keep_the_last_inverse() -> None:
    params = {"kernel": jnp.ones((2, 2, 1, 3))}
    opt = mini_block_fisher(0.1, damping=Absolute(0.0), inv_every=1)
    updates, state = opt.update(params, opt.init(params))
    assert np.isfinite(updates["kernel"]).all()
    assert int(state.failed) == 0
    huge = {"kernel": jnp.full((2, 2, 1, 3), 1e25)}
    held = state.inverses["kernel"]
    updates, state = opt.update(huge, state)
    assert int(state.failed) == 1
    assert np.array_equal(state.inverses["kernel"], held)


def test_several_models_are_updated_at_once() -> None:
    rng = np.random.default_rng(0)
    opt = mini_block_fisher(0.1, inv_every=1)
    many = [tree_of(rng) for _ in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *many)
    states = jax.vmap(opt.init)(stacked)
    updates, _ = jax.jit(jax.vmap(opt.update))(stacked, states)
    update = jax.jit(opt.update)
    for k, tree in enumerate(many):
        alone, _ = update(tree, opt.init(tree))
        for x, y in zip(jax.tree.leaves(alone), jax.tree.leaves(updates), strict=True):
            np.testing.assert_allclose(y[k], x, rtol=2e-5, atol=1e-6)


def test_it_trains_with_schedules_in_a_chain() -> None:
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((64, 6)) * np.logspace(0, -1.5, 6), jnp.float32)
    y = x @ jnp.asarray(rng.standard_normal((6, 2)), jnp.float32)
    params = {"w": jnp.zeros((6, 2)), "b": jnp.zeros(2)}

    def loss(p):
        return jnp.mean((x @ p["w"] + p["b"] - y) ** 2)

    opt = optax.chain(mini_block_fisher(lambda step: 0.05 / (1 + step / 50)), optax.identity())
    state, before = opt.init(params), loss(params)
    step = jax.jit(lambda p, s: opt.update(jax.grad(loss)(p), s, p))
    for _ in range(100):
        updates, state = step(params, state)
        params = optax.apply_updates(params, updates)
    assert loss(params) < 0.1 * before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mini_block_fisher(-0.1), "learning_rate: expected a number >= 0"),
        (lambda: mini_block_fisher(damping=Exact(0.1)), "damping: expected Absolute or Relative"),
        (lambda: mini_block_fisher(clip=0.1), "clip: expected RMSClip or None, got 0.1"),
        (lambda: mini_block_fisher(ema=1.0), r"ema: expected a number in \[0, 1\)"),
        (lambda: mini_block_fisher(outputs="middle"), "outputs: expected one of 'last', 'first'"),
        (lambda: mini_block_fisher(largest=0), "largest: expected an integer >= 1"),
    ],
)
def test_arguments_that_do_not_fit_are_named(call, message) -> None:
    with pytest.raises(InputError, match=message):
        call()

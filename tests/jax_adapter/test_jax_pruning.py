# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Pruning of pytrees: that of the core on the leaves that are weights."""

import numpy as np
import pytest

pytest.importorskip("jax", reason="JAX is not installed")

import jax
import jax.numpy as jnp

from randnla import InputError, curvature
from randnla.jax import prune


def net():
    rng = np.random.default_rng(0)
    made = lambda *shape: jnp.asarray(rng.standard_normal(shape), jnp.float32)  # noqa: E731
    params = {"a": {"kernel": made(5, 4), "bias": made(4)}, "b": [made(4, 3), made(3)]}
    return params, made(12, 5), jnp.asarray(rng.integers(0, 3, 12))


def loss(params, x, y):
    hidden = jnp.tanh(x @ params["a"]["kernel"] + params["a"]["bias"])
    scores = jax.nn.log_softmax(hidden @ params["b"][0] + params["b"][1])
    return -scores[y]


GRADIENTS = jax.jit(jax.vmap(jax.grad(loss), (None, 0, 0)))


@pytest.mark.parametrize("method", ["mfac", "fisher", "magnitude"])
def test_leaves_are_pruned_as_by_the_core(method):
    params, x, y = net()
    given = GRADIENTS(params, x, y)
    result = prune(params, given, 0.5, method=method, steps=3)
    rows = np.concatenate(
        [np.asarray(g).reshape(12, -1) for g in (given["a"]["kernel"], given["b"][0])], axis=1
    )
    w = [np.asarray(params["a"]["kernel"]), np.asarray(params["b"][0])]
    expected = curvature.prune(w, rows, 0.5, method=method, steps=3)
    for got, wanted in ((result.mask, expected.mask), (result.update, expected.update)):
        assert jax.tree_util.tree_structure(got) == jax.tree_util.tree_structure(params)
        np.testing.assert_array_equal(got["a"]["kernel"], wanted[0])
        np.testing.assert_array_equal(got["b"][0], wanted[1])
    assert result.mask["a"]["bias"].all()
    assert not result.update["b"][1].any()
    assert all(
        isinstance(leaf, jax.Array) for leaf in jax.tree_util.tree_leaves((result.mask, result.update))
    )
    assert set(result.info.sparsities) == {"['a']['kernel']", "['b'][0]"}
    new = jax.tree.map(jnp.add, params, result.update)
    assert sum(int((leaf == 0).sum()) for leaf in jax.tree_util.tree_leaves(new)) == 16


def test_a_callable_sees_whole_trees_and_masks_go_on():
    params, x, y = net()
    seen = []

    def gradients(now, mask):
        seen.append(int(sum(jnp.sum(~leaf) for leaf in jax.tree_util.tree_leaves(mask))))
        return GRADIENTS(now, x, y)

    first = prune(params, gradients, 0.5, steps=4, schedule="linear")
    assert seen == [0, 4, 8, 12]
    moved = jax.tree.map(jnp.add, params, first.update)
    second = prune(moved, GRADIENTS(moved, x, y), 0.75, mask=first.mask)
    assert not (second.mask["a"]["kernel"] & ~first.mask["a"]["kernel"]).any()
    rows = prune(
        params, None, 0.4, method="magnitude", groups="rows", leaves=lambda path, leaf: "kernel" in path
    )
    assert int((~rows.mask["a"]["kernel"]).all(axis=1).sum()) == 2
    assert rows.mask["b"][0].all()


def test_messages():
    params, x, y = net()
    with pytest.raises(InputError, match="leaves: expected at least one to prune"):
        prune({"bias": jnp.ones(3)}, None, 0.5, method="magnitude")
    with pytest.raises(InputError, match="gradients: expected the structure of params"):
        prune(params, GRADIENTS(params, x, y)["a"], 0.5)
    with pytest.raises(InputError, match="tracer"):
        jax.jit(lambda p: prune(p, None, 0.5, method="magnitude").mask)(params)

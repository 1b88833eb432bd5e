# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What all transformations that see gradients alone do with leaves and sizes that do not fit."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")
pytest.importorskip("optax")

import jax.numpy as jnp  # noqa: E402

from randnla import InputError  # noqa: E402
from randnla.jax import mfac, sketchy_sgd  # noqa: E402

MADE = {
    "host": lambda: mfac(0.1, window=2, damping=0.1),
    "callback": lambda: mfac(0.1, window=2, damping=0.1, refresh="callback"),
    "sketchy": lambda: sketchy_sgd(rng=0),
}


@pytest.mark.parametrize("name", MADE)
def test_leaves_may_be_numbers_and_arrays_of_numpy(name):
    opt = MADE[name]()
    tree = {"a": 1.0, "b": np.ones(2), "c": jnp.ones(2, jnp.bfloat16)}
    updates, _ = opt.update(tree, opt.init(tree), tree)
    assert [leaf.shape for leaf in jax.tree.leaves(updates)] == [(), (2,), (2,)]
    assert updates["c"].dtype == jnp.bfloat16
    assert all(bool(jnp.all(leaf < 0)) for leaf in jax.tree.leaves(updates))


@pytest.mark.parametrize("name", MADE)
def test_sizes_that_do_not_fit_are_named(name):
    opt = MADE[name]()
    state = opt.init(jnp.ones(8))
    for other in (jnp.ones(3), jnp.ones((4, 2)), (jnp.ones(8), jnp.ones(1)), {}):
        for update in (opt.update, jax.jit(opt.update)):
            with pytest.raises(InputError, match=r"updates: expected a leaf of shape|params: expected"):
                update(other, state)
    turned = opt.init({"w": jnp.ones((2, 3))})
    with pytest.raises(
        InputError, match=r"updates: expected a leaf of shape \(2, 3\) as in init, got \(3, 2\)"
    ):
        opt.update({"w": jnp.ones((3, 2))}, turned, {"w": jnp.ones((3, 2))})
    with pytest.raises(InputError, match="params: expected at least one number"):
        opt.init({})


@pytest.mark.parametrize("kind", [mfac, sketchy_sgd])
def test_parameters_of_other_shapes_enter_no_gradient(kind):
    opt = kind(0.1, weight_decay=0.1)
    with pytest.raises(InputError, match="params: expected a leaf of shape"):
        opt.update(jnp.ones((2, 3)), opt.init(jnp.ones((2, 3))), jnp.ones((3, 2)))


@pytest.mark.parametrize("name", MADE)
def test_shapes_are_no_leaves_of_a_state(name):
    state = MADE[name]().init({"a": jnp.ones((2, 3)), "b": jnp.ones(())})
    assert state.shapes == ({"(2, 3)": None}, {"()": None})
    assert jax.tree.leaves(state.shapes) == []

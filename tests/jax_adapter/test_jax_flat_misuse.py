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
    with pytest.raises(InputError, match="updates: expected 8 numbers"):
        opt.update(jnp.ones(3), state)
    with pytest.raises(InputError, match="updates: expected 8 numbers"):
        jax.jit(opt.update)(jnp.ones(3), state)
    with pytest.raises(InputError, match="params: expected at least one number"):
        opt.init({})

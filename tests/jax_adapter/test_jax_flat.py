# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The base of transformations that see gradients alone, with a rule that scales on the host or natively."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
optax = pytest.importorskip("optax")

from randnla import InputError  # noqa: E402
from randnla.jax.flat import FlatState, flat_transformation, on_host  # noqa: E402


class Squares:
    """Scales by a running sum of squares."""

    def __init__(self, where):
        self.where = where

    def init(self, dim, dtype):
        return {"total": jnp.ones(dim, dtype)}

    def direction(self, engine, g, *, boost=1.0):
        boost = jnp.float32(boost)

        def run(engine, g, boost):
            total = engine["total"] + g * g
            return boost * g / np.sqrt(total), {"total": total}

        if self.where == "native":
            total = engine["total"] + g * g
            return boost * g / jnp.sqrt(total), {"total": total}
        return on_host(run, (g, engine), engine, g, boost, callback=self.where == "callback")


PARAMS = {"a": jnp.arange(6.0).reshape(2, 3), "b": (jnp.ones(2), jnp.full((), 2.0))}
SLOPES = jax.tree.map(jnp.cos, PARAMS)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


@pytest.mark.parametrize("where", ["host", "callback", "native"])
def test_steps_are_those_of_the_formula(where):
    opt = flat_transformation(
        Squares(where), learning_rate=lambda k: 0.1 / (k + 1), momentum=0.5, weight_decay=0.2
    )
    update = opt.update if where == "host" else jax.jit(opt.update)
    state, params = opt.init(PARAMS), PARAMS
    x, total, v = flat(PARAMS).astype(float), np.ones(9), np.zeros(9)
    for step in range(3):
        updates, state = update(SLOPES, state, params, boost=2.0)
        params = optax.apply_updates(params, updates)
        g = flat(SLOPES) + 0.2 * x
        total = total + g * g
        v = 0.5 * v + 2.0 * g / np.sqrt(total)
        x = x - 0.1 / (step + 1) * v
        # Some ten roundings of float32 a step.
        np.testing.assert_allclose(flat(params), x, rtol=1e-5, atol=1e-6)
    assert jax.tree.structure(params) == jax.tree.structure(PARAMS)
    assert int(state.step) == 3


@pytest.mark.parametrize("where", ["host", "callback", "native"])
def test_a_gradient_with_nan_changes_nothing_but_a_counter(where):
    opt = flat_transformation(Squares(where), learning_rate=0.1, momentum=0.5)
    update = opt.update if where == "host" else jax.jit(opt.update)
    _, state = update(SLOPES, opt.init(PARAMS))
    updates, after = update({**SLOPES, "a": SLOPES["a"].at[0, 0].set(jnp.nan)}, state)
    assert not flat(updates).any()
    assert int(after.skipped) == 1
    assert isinstance(after, FlatState)
    same = jax.tree.map(lambda a, b: bool((a == b).all()), after._replace(skipped=state.skipped), state)
    assert all(jax.tree.leaves(same))


def test_without_momentum_there_is_no_velocity_and_leaves_keep_their_dtype():
    params = {"a": jnp.ones(3, jnp.bfloat16), "b": jnp.ones(2)}
    opt = flat_transformation(Squares("native"), learning_rate=1.0)
    updates, state = opt.update(params, opt.init(params))
    assert state.velocity is None
    assert jax.tree.map(lambda leaf: leaf.dtype, updates) == jax.tree.map(lambda leaf: leaf.dtype, params)
    np.testing.assert_allclose(updates["b"], -1 / np.sqrt(2), rtol=1e-6)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="learning_rate: expected a number >= 0"):
        flat_transformation(Squares("native"), learning_rate=-1.0)
    with pytest.raises(InputError, match="momentum: expected a number"):
        flat_transformation(Squares("native"), learning_rate=1.0, momentum=1.0)
    opt = flat_transformation(Squares("host"), learning_rate=1.0, weight_decay=0.1)
    with pytest.raises(InputError, match="params: expected leaves of real numbers, got int32"):
        opt.init({"a": jnp.arange(3)})
    state = opt.init(PARAMS)
    with pytest.raises(InputError, match="params: expected the parameters"):
        opt.update(SLOPES, state)
    with pytest.raises(InputError, match="this update runs on the host, and got a tracer"):
        jax.jit(opt.update)(SLOPES, state, PARAMS)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""M-FAC as a transformation against the same steps in NumPy, outside of jit and in it."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
optax = pytest.importorskip("optax")

from randnla import InputError, optim  # noqa: E402
from randnla.jax import mfac  # noqa: E402


def slopes_of(k):
    grid = np.arange(14.0, dtype=np.float32)
    return {
        "a": np.sin(grid[:12] * (k + 1.3)).reshape(3, 4),
        "b": (np.cos(grid[:2] + k), np.sin(grid[2] + k)),
    }


PARAMS = {"a": np.ones((3, 4), np.float32), "b": (np.ones(2, np.float32), np.ones((), np.float32))}


@pytest.mark.parametrize("refresh", ["host", "callback"])
@pytest.mark.parametrize("settings", [{}, {"block": 4}, {"storage": "bfloat16"}, {"storage": "float16"}])
def test_steps_are_those_of_numpy_and_states_are_values(settings, refresh):
    common = {"window": 3, "damping": 1e-2, "momentum": 0.7, "weight_decay": 0.1, **settings}
    opt, twin = mfac(0.05, refresh=refresh, **common), optim.MFAC(0.05, **common)
    update = opt.update if refresh == "host" else jax.jit(opt.update)
    params, w = jax.tree.map(jnp.asarray, PARAMS), PARAMS
    state = opt.init(params)
    for k in range(5):
        before, copies = state, jax.tree.map(np.array, state)
        updates, state = update(jax.tree.map(jnp.asarray, slopes_of(k)), state, params)
        params = optax.apply_updates(params, updates)
        w = twin.step(w, slopes_of(k))
        for ours, theirs in zip(jax.tree.leaves(params), jax.tree.leaves(w), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
        for leaf, copy in zip(jax.tree.leaves(before), jax.tree.leaves(copies), strict=True):
            np.testing.assert_array_equal(leaf, copy)  # the state before stays as it is
    assert int(state.step) == 5


def test_gradients_with_nan_change_nothing_but_a_counter():
    opt = mfac(0.05, window=3)
    state = opt.init(PARAMS)
    _, state = opt.update(slopes_of(0), state, PARAMS)
    bad = slopes_of(1)
    bad["a"][0, 0] = np.nan
    updates, after = opt.update(bad, state, PARAMS)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(updates))
    assert int(after.skipped) == 1
    for leaf, old in zip(jax.tree.leaves(after.engine), jax.tree.leaves(state.engine), strict=True):
        np.testing.assert_array_equal(leaf, old)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="refresh: expected one of"):
        mfac(refresh="device")
    with pytest.raises(InputError, match="window: expected an integer"):
        mfac(window=0)
    opt = mfac(window=2)
    with pytest.raises(InputError, match="this update runs on the host, and got a tracer"):
        jax.jit(opt.update)(slopes_of(0), opt.init(PARAMS), PARAMS)

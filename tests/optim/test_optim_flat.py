# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The base of optimizers that see gradients alone, with an engine that scales by a running sum of squares."""

import numpy as np
import pytest

from randnla import InputError, StateError
from randnla._backend import state as plain_state
from randnla.optim.flat import FlatOptimizer


class Squares:
    def __init__(self, total):
        self.total = total

    def state_dict(self):
        return plain_state.seal({"kind": "Squares", "total": self.total.copy()})


class Scaled(FlatOptimizer):
    _KIND = "Scaled"

    def __init__(self, lr=0.1, *, momentum=0.5, weight_decay=0.0):
        super().__init__(lr=lr, momentum=momentum, weight_decay=weight_decay)

    def _engine(self, dim, dtype):
        return Squares(np.ones(dim, dtype))

    def _direction(self, engine, g):
        if g[0] > 1e3:
            return None
        engine.total += g * g
        return g / np.sqrt(engine.total)

    def _restored(self, state):
        return Squares(plain_state.opened(state, "Squares", {"total": np.ndarray})["total"].copy())


def problem(dtype=np.float64):
    w = {"a": (np.arange(6.0).reshape(2, 3).astype(dtype), np.ones(2, dtype)), "b": np.ones(3, dtype)}
    slopes = {"a": (np.cos(w["a"][0]), np.full(2, 0.3, dtype)), "b": np.arange(3.0).astype(dtype)}
    return w, slopes


def flat(tree):
    return np.concatenate([tree["a"][0].ravel(), tree["a"][1], tree["b"]])


def test_steps_are_those_of_the_formula():
    w, slopes = problem()
    optimizer = Scaled(lambda step: 0.1 / (step + 1), weight_decay=0.2)
    x, total, v = flat(w), np.ones(11), np.zeros(11)
    for step in range(3):
        before = flat(w)
        w_next = optimizer.step(w, slopes)
        np.testing.assert_array_equal(flat(w), before)
        g = flat(slopes) + 0.2 * x
        total = total + g * g
        v = 0.5 * v + g / np.sqrt(total)
        x = x - 0.1 / (step + 1) * v
        w = w_next
        np.testing.assert_allclose(flat(w), x, rtol=1e-14, atol=1e-15)
    assert isinstance(w["a"], tuple)
    assert optimizer.step_count == 3


def test_an_array_alone_keeps_shape_and_dtype():
    w = np.ones((2, 3), np.float32)
    made = Scaled(momentum=0.0).step(w, w)
    assert (made.shape, made.dtype) == (w.shape, w.dtype)
    np.testing.assert_allclose(made, 1 - 0.1 / np.sqrt(2), rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 2e3])
def test_a_gradient_that_is_refused_changes_nothing(bad):
    w, slopes = problem()
    optimizer = Scaled()
    w = optimizer.step(w, slopes)
    before = optimizer.state_dict()
    slopes["a"][0][0, 0] = bad
    assert optimizer.step(w, slopes) is w
    assert optimizer.skipped == 1
    after = optimizer.state_dict()
    assert (before.pop("skipped"), after.pop("skipped")) == (0, 1)
    assert plain_state.digest(after) == plain_state.digest(before)


def test_resumes_bit_for_bit_and_refuses_other_states():
    w, slopes = problem(np.float32)
    optimizer, again = Scaled(), Scaled()
    again.load_state_dict(optimizer.state_dict())  # before the first step there is no engine
    assert again.engine is None
    w = optimizer.step(w, slopes)
    state = optimizer.state_dict()
    again.load_state_dict(state)
    there, here = w, w
    for _ in range(3):
        there, here = optimizer.step(there, slopes), again.step(here, slopes)
        np.testing.assert_array_equal(flat(there), flat(here))
    kept = again.state_dict()
    with pytest.raises(StateError, match="digest"):
        again.load_state_dict({**state, "step_count": 9})
    assert again.state_dict()["digest"] == kept["digest"]


def test_what_does_not_fit_is_refused():
    w, slopes = problem()
    with pytest.raises(InputError, match="lr: expected a number >= 0"):
        Scaled(-1.0)
    with pytest.raises(InputError, match="momentum"):
        Scaled(momentum=1.0)
    optimizer = Scaled()
    with pytest.raises(InputError, match="grad: expected the arrays"):
        optimizer.step(w, {"a": slopes["a"]})
    optimizer.step(w, slopes)
    with pytest.raises(InputError, match="w: expected the arrays"):
        optimizer.step(w["b"], slopes["b"])

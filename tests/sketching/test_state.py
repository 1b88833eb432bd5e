# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Saved maps come back the same or not at all."""

import copy
import io
import pickle

import numpy as np
import pytest
from cases import SKETCHES

from randnla import Gaussian, StateError
from randnla.sketching import RandomMap


@pytest.fixture(params=SKETCHES)
def saved(request):
    return SKETCHES[request.param].make(6, 40, rng=2**64 - 1, dtype=np.float32, stream=3)[1:5, 2:30]


def same(left, right):
    return (
        type(left) is type(right)
        and np.array_equal(left.to_dense(), right.to_dense())
        and repr(left) == repr(right)
    )


def test_round_trips(saved):
    state = saved.state_dict()
    assert same(saved, type(saved).from_state_dict(state))
    assert same(saved, RandomMap.from_state_dict(state))
    assert same(saved, pickle.loads(pickle.dumps(saved)))
    assert same(saved, copy.deepcopy(saved))
    file = io.BytesIO()
    np.savez(file, **state)
    file.seek(0)
    with np.load(file, allow_pickle=False) as loaded:
        assert same(saved, RandomMap.from_state_dict(dict(loaded)))


def test_every_altered_field_is_refused(saved):
    state = saved.state_dict()
    for key, value in state.items():
        without = {k: v for k, v in state.items() if k != key}
        with pytest.raises(StateError, match=key):
            RandomMap.from_state_dict(without)
        others = [None, "other", -1, 1.5, True, [], 2**70]
        others.append(value + 1 if isinstance(value, (int, np.ndarray)) else value + "x")
        for other in others:
            with pytest.raises(StateError):
                RandomMap.from_state_dict({**state, key: other})
    with pytest.raises(StateError, match="surplus"):
        RandomMap.from_state_dict({**state, "surplus": 1})


@pytest.mark.parametrize("key", ["schema", "stream_version"])
def test_other_versions_are_named(saved, key):
    with pytest.raises(StateError, match=key):
        RandomMap.from_state_dict({**saved.state_dict(), key: 2})


def test_not_a_state():
    for bad in (None, 3, [], "x"):
        with pytest.raises(StateError, match="state"):
            RandomMap.from_state_dict(bad)
    with pytest.raises(StateError, match="kind"):
        SKETCHES["SRHT"].make(2, 4, rng=0).from_state_dict(Gaussian(2, 4, rng=0).state_dict())

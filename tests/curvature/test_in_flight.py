# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Refreshes on a worker: what is in flight is saved, copied, pickled, and taken when it would have been."""

import copy
import io
import pickle

import numpy as np
import pytest

from randnla._backend import state as plain_state
from randnla._backend.errors import StateError
from randnla.curvature import EKFAC, KFAC, KLDWRM, RSKFAC, SENG, BrandKFAC, Dense, Exact, Relative, ScaleShift

LAYERS = {"first": Dense(9, 7), "norm": ScaleShift(7, channel_axis=-1), "last": Dense(7, 3)}
ENGINES = {
    "cholesky": (KFAC, {}),
    "eigen": (KFAC, {"damping": Exact(0.01)}),
    "low rank": (RSKFAC, {"rank": 2, "oversample": 1}),
    "eigenbasis": (EKFAC, {}),
    "brand": (BrandKFAC, {"rank": 2, "oversample": 1}),
    "samples": (SENG, {}),
    "wake": (KLDWRM, {"variant": "Q", "inverse": "eigen"}),
}


def make(name, **further):
    kind, settings = ENGINES[name]
    often = {"stats_every": 1, "inv_every": 5, "asynchronous": True, "lag": 3, "rng": 0}
    return kind(LAYERS, **{**often, **settings, **further})


def run(made, steps):
    out = []
    for k in steps:
        rng = np.random.default_rng(k)
        shapes = {"first": (9, 7), "norm": (7, 7), "last": (7, 3)}
        pairs = {
            name: [rng.standard_normal((8, d)).astype(np.float32) for d in s] for name, s in shapes.items()
        }
        given = {name: (g.T @ a, g.sum(axis=0)) for name, (a, g) in pairs.items()}
        given["norm"] = (pairs["norm"][0].mean(axis=0), pairs["norm"][1].mean(axis=0))
        made.accumulate(pairs)
        out.append(np.concatenate([p.ravel() for pair in made.step(given, lr=0.1).values() for p in pair]))
    return np.array(out)


@pytest.mark.parametrize("name", ENGINES)
def test_a_state_does_not_change_when_the_refresh_is_taken_and_resumes_bit_for_bit(name):
    watched, left_alone = make(name), make(name)
    seen = []
    for k in range(12):
        seen.append(run(watched, [k]))
        # Refreshes begin in steps 5 and 10, and are taken in 8 and 13: after steps 5, 6, 7 one is in flight.
        file = io.BytesIO()
        np.savez(file, **watched.state_dict())
        file.seek(0)
        resumed = make(name)
        with np.load(file) as state:
            resumed.load_state_dict(dict(state))
        ahead = list(range(k + 1, 12))
        if k in (4, 5, 7, 8):
            other = copy.deepcopy(watched)
            np.testing.assert_array_equal(run(resumed, ahead), run(other, ahead))
            assert resumed.health == other.health
    np.testing.assert_array_equal(np.concatenate(seen), run(left_alone, range(12)))


@pytest.mark.parametrize("way", [copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
@pytest.mark.parametrize("name", ENGINES)
def test_copies_go_on_as_the_original_does(name, way):
    made = make(name)
    run(made, range(7))
    other = way(made)
    np.testing.assert_array_equal(run(other, range(7, 12)), run(made, range(7, 12)))
    assert other.health == made.health


def test_the_last_refresh_is_the_step_whose_factors_it_is_of():
    made = make("cholesky")
    run(made, range(8))
    assert made.health["first"].last_refresh == 0  # of step 5, and not taken before step 8
    run(made, [8])
    assert made.health["first"].last_refresh == 5


def test_a_damping_set_in_flight_survives_a_state():
    made, other = make("eigen"), make("eigen")
    run(made, range(6))
    made.damping = 1.0
    other.load_state_dict(made.state_dict())
    np.testing.assert_array_equal(run(other, range(6, 10)), run(made, range(6, 10)))
    assert made.damping == Exact(1.0)


def test_a_failed_refresh_in_flight_is_saved_as_one(monkeypatch):
    from randnla.curvature.inverses.cholesky_inverse import CholeskyInverse

    made, other = make("cholesky"), make("cholesky")
    run(made, range(5))

    def broken(self, factor, damping=None):
        raise np.linalg.LinAlgError("no")

    monkeypatch.setattr(CholeskyInverse, "refresh", broken)
    run(made, [5])
    other.load_state_dict(made.state_dict())
    monkeypatch.undo()
    run(other, range(6, 9))
    assert other.health["first"].fallback == "last good inverse"
    assert "LinAlgError" in other.health["first"].reason


@pytest.mark.parametrize("change", ["[]", "{", '[1, 2, "x", {}]', '[5, 8, "[\\"Relative\\", -1.0]", {}]'])
def test_what_is_no_refresh_in_flight_is_refused(change):
    made = make("cholesky", damping=Relative(0.1))
    run(made, range(6))
    state = made.state_dict()
    state["in_flight/runs"] = change
    del state["digest"]
    before = made.state_dict()["digest"]
    with pytest.raises(StateError, match=r"in_flight|damping"):
        made.load_state_dict(plain_state.seal(state))
    assert made.state_dict()["digest"] == before

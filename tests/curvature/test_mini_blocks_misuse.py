# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Mini-block Fisher matrices where gradients are out of scale or late, and where states have been altered."""

import json

import numpy as np
import pytest

from randnla import InputError, StateError
from randnla._backend import state as plain_state
from randnla.curvature import ConvBlocks, Elementwise, MiniBlockFisher, NeuronBlocks


def engine_of(**settings):
    partition = {"c": ConvBlocks(4, 3, (3, 3)), "d": NeuronBlocks(5, 6), "b": Elementwise(6)}
    return MiniBlockFisher(partition, **settings)


def gradients_of(rng, scale=1.0, dtype=np.float32):
    shapes = {"c": [(4, 3, 3, 3)], "d": [(5, 6), (5,)], "b": [(6,)]}
    made = {
        name: tuple((scale * rng.standard_normal(s)).astype(dtype) for s in found)
        for name, found in shapes.items()
    }
    return {name: parts if len(parts) > 1 else parts[0] for name, parts in made.items()}


def numbers(tree):
    parts = [part for value in tree.values() for part in (value if isinstance(value, tuple) else (value,))]
    return np.concatenate([part.ravel() for part in parts])


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e-10, 1e10, 1e18, 1e20, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_scale_of_gradients_ends_training(scale, dtype):
    """Steps raise nothing, directions are finite, a state can be read back, and later gradients do count."""
    rng = np.random.default_rng(0)
    engine = engine_of(dtype=dtype)
    for _ in range(3):
        assert np.isfinite(numbers(engine.step(gradients_of(rng, scale, dtype)))).all()
    twin = engine_of(dtype=dtype)
    twin.load_state_dict(engine.state_dict())
    g = gradients_of(rng, 1.0, dtype)
    np.testing.assert_array_equal(numbers(engine.step(g)), numbers(twin.step(g)))
    count = engine.step_count
    engine.step(g)
    assert engine.step_count == count + 1


def test_squares_that_overflow_leave_everything_as_it_is():
    rng = np.random.default_rng(0)
    engine = engine_of()
    engine.step(gradients_of(rng))
    before = {key: value for key, value in engine.state_dict().items() if "/" in key}
    g = gradients_of(rng, 1e25)
    assert engine.step(g)["d"] is g["d"]
    after = engine.state_dict()
    assert engine.step_count == 1
    assert "overflow" in engine.health["d"].reason
    for key, value in before.items():
        np.testing.assert_array_equal(after[key], value)


def test_late_gradients_have_weights_that_add_up_to_one():
    """The average of equal gradients is the gradient, from its first one on: Adam's first step is a sign."""
    engine = MiniBlockFisher({"a": Elementwise(1), "z": Elementwise(1)})
    one = np.ones(1, np.float32)
    for _ in range(20):
        engine.step({"a": one})
    twin = MiniBlockFisher({"a": Elementwise(1), "z": Elementwise(1)})
    twin.load_state_dict(engine.state_dict())
    for made in (engine, twin):
        # Roundings of two averages, a root and a quotient.
        np.testing.assert_allclose(made.step({"a": one, "z": one})["z"], 1.0, atol=1e-5)


def test_what_is_no_partition_or_no_mapping_is_named():
    with pytest.raises(InputError, match="partition: expected a partition of 'a'"):
        MiniBlockFisher({"a": 3})
    with pytest.raises(InputError, match="gradients: expected a mapping"):
        engine_of().step([np.ones(3)])


def resealed(state, key, value):
    """A state with another value under fitting digests."""
    made = {name: old for name, old in state.items() if name != "digest"}
    made[key] = value
    parts = key.split("/")
    for depth in range(len(parts) - 1, 0, -1):
        stem = "/".join(parts[:depth]) + "/"
        if stem + "digest" in made and key != stem + "digest":
            inner = {name[len(stem) :]: old for name, old in made.items() if name.startswith(stem)}
            made[stem + "digest"] = plain_state.digest(inner)
    return {**made, "digest": plain_state.digest(made)}


def test_altered_fields_are_state_errors_and_change_nothing():
    rng = np.random.default_rng(0)
    engine = engine_of()
    for _ in range(3):
        engine.step(gradients_of(rng))
    state = engine.state_dict()
    values = [None, -1, "x", "[1]", "{}", '["Relative", "x"]', '["Relative"]', '[{"inverse": 1}]', np.nan]
    values += [np.zeros(0), np.zeros((2, 2), complex), np.full((4, 4), 7.0), True, [1], 1 << 80]
    refused = 0
    for key in state.keys() - {"digest", "schema", "stream_version", "kind"}:
        for value in values:
            other = engine_of()
            before = other.state_dict()["digest"]
            try:
                other.load_state_dict(resealed(state, key, value))
            except StateError:
                refused += 1
                assert other.state_dict()["digest"] == before
            else:
                other.step(gradients_of(rng))
    assert refused > 10 * len(values)
    other = engine_of()
    with pytest.raises(StateError, match="steps"):
        other.load_state_dict(resealed(state, "steps", json.dumps([1, 2])))

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Saved maps whose fields were forged with a digest to match: refused by name, or a map of that size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import SKETCHES

import randnla
from randnla.sketching import RandomMap, state

HOSTILE: list[Any] = [
    None,
    True,
    -1,
    2**64,
    2**70,
    1.5,
    float("nan"),
    float("inf"),
    1j,
    "",
    "x",
    "float16",
    b"x",
    [],
    {},
    (1,),
    object(),
    np.array([]),
    np.array([1, 2]),
    np.array(np.nan),
    np.array("x"),
    np.array([None]),
    np.full(3, np.nan),
    np.eye(2),
    -np.ones(40),
    np.zeros(40),
    np.ones(40, dtype=complex),
    np.array(["x"] * 40),
]


@pytest.mark.parametrize("name", SKETCHES)
def test_forged_states_are_refused(name: str) -> None:
    saved = SKETCHES[name].make(6, 40, rng=7, stream=3)[1:5, 2:30]
    good = saved.state_dict()
    for key in good:
        if key == "digest":
            continue
        for value in HOSTILE:
            fields = {**good, key: value}
            fields["digest"] = state.digest({k: state.unwrap(v) for k, v in fields.items()})
            with pytest.raises(randnla.StateError, match=rf"\b{key}\b|^state of kind|^(row|col)_start"):
                RandomMap.from_state_dict(fields)
            assert isinstance(value, type(fields[key]))  # what was handed in is left alone
    assert np.array_equal(RandomMap.from_state_dict(good).to_dense(), saved.to_dense())

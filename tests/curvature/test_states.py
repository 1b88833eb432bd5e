# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""States that were sealed with impossible fields: refused as such, and nothing changes."""

import numpy as np
import pytest

from randnla import optim
from randnla._backend import state as plain_state
from randnla._backend.errors import StateError
from randnla.curvature import (
    EKFAC,
    KFAC,
    KLDWRM,
    RSKFAC,
    BrandFactor,
    BrandKFAC,
    CholeskyInverse,
    Dense,
    DiagonalFactor,
    DiagonalInverse,
    EigenInverse,
    Embedding,
    Exact,
    KroneckerFactor,
    LowRankFactor,
    LowRankInverse,
    ScaleShift,
    TridiagonalKFAC,
)


def factor(kind=KroneckerFactor, *arguments, dim=12):
    made = kind(dim, *arguments)
    made.update(np.random.default_rng(0).standard_normal((9, dim)))
    return made


def indices():
    made = DiagonalFactor(5)
    made.update([0, 3, 1])
    return made


def refreshed(inverse, of=factor):
    inverse.refresh(of(), 0.1)
    return inverse


def engine(kind, layers, **settings):
    made = kind(layers, rng=0, **settings)
    rng = np.random.default_rng(0)
    batches = {}
    for name, layer in layers.items():
        if isinstance(layer, Embedding):
            batches[name] = np.array([1, 2, 0]), rng.standard_normal((3, layer.dim))
        elif isinstance(layer, ScaleShift):
            batches[name] = tuple(rng.standard_normal((2, 3, layer.size)))
        else:
            batches[name] = rng.standard_normal((3, layer.inputs)), rng.standard_normal((3, layer.outputs))
    made.accumulate(batches)
    made.refresh()
    return made


def optimizer():
    made = optim.KFAC({"only": Dense(3, 2, bias=False)}, "exact", momentum=0.5)
    made.accumulate({"only": (np.eye(3), np.ones((3, 2)))})
    made.step({"only": np.zeros((2, 3))}, {"only": np.ones((2, 3))})
    return made


CHAIN = {"first": Dense(4, 3), "last": Dense(3, 2)}
ALL = {**CHAIN, "norm": ScaleShift(3, channel_axis=-1), "table": Embedding(5, 2)}
HOLDERS = {
    "KroneckerFactor": factor,
    "BrandFactor": lambda: factor(BrandFactor, 4),
    "LowRankFactor": lambda: factor(lambda dim, rank: LowRankFactor(dim, rank, rng=0), 4),
    "DiagonalFactor": indices,
    "CholeskyInverse": lambda: refreshed(CholeskyInverse()),
    "EigenInverse": lambda: refreshed(EigenInverse()),
    "LowRankInverse": lambda: refreshed(LowRankInverse(3, oversample=2, rng=0)),
    "DiagonalInverse": lambda: refreshed(DiagonalInverse(), indices),
    "KFAC": lambda: engine(KFAC, ALL),
    "EKFAC": lambda: engine(EKFAC, CHAIN, damping=Exact(0.1)),
    "RSKFAC": lambda: engine(RSKFAC, {"wide": Dense(40, 3)}, rank=3, oversample=1),
    "BrandKFAC": lambda: engine(BrandKFAC, {"wide": Dense(40, 3)}, rank=3, oversample=1, overwrite_every=2),
    "KLDWRM": lambda: engine(KLDWRM, CHAIN, variant="Q"),
    "TridiagonalKFAC": lambda: engine(TridiagonalKFAC, CHAIN),
    "optim.KFAC": optimizer,
}
WRONG = [-1, -(10**9), 10**9, float("nan"), "", "[", "[1]", '["a", "b", "c"]', "{}", "float13"]
ARRAYS = [np.zeros(0), np.zeros((2, 2, 2)), np.array(["x"]), np.array([True]), np.full((3, 3), np.nan)]


@pytest.mark.parametrize("name", HOLDERS)
def test_a_sealed_state_with_an_impossible_field_is_a_state_error_and_changes_nothing(name):
    made = HOLDERS[name]()
    state = made.state_dict()
    refused = 0
    for key, value in state.items():
        if key in ("digest", "schema", "stream_version"):
            continue
        candidates = ARRAYS if isinstance(value, np.ndarray) else [w for w in WRONG if type(w) is type(value)]
        for wrong in [*candidates, None, {}]:
            altered = {k: v for k, v in state.items() if k != "digest"} | {key: wrong}
            try:
                made.load_state_dict(plain_state.seal(altered))
            except StateError:
                refused += 1
            else:
                made.load_state_dict(state)
    assert refused > 2 * len(state)
    # Anything that a refusal had left behind would be in here.
    assert made.state_dict()["digest"] == state["digest"]


@pytest.mark.parametrize("name", HOLDERS)
@pytest.mark.parametrize("state", [None, 3, [], "x", {}, {"kind": 1}])
def test_what_is_no_state_is_a_state_error(name, state):
    made = HOLDERS[name]()
    with pytest.raises(StateError, match=r"expected a dict|missing field"):
        made.load_state_dict(state)

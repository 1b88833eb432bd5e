# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""M-FAC in PyTorch against the same steps in NumPy, group by group."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from randnla import (  # noqa: E402
    InputError,
    StateError,
    optim,
)
from randnla.torch import MFAC  # noqa: E402


def model_of(dtype=torch.float32):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)).to(dtype)


def descend(model, optimizer, steps, start=0):
    for k in range(start, start + steps):
        x = torch.sin(torch.arange(12.0).reshape(4, 3) + k).to(model[0].weight.dtype)
        optimizer.zero_grad()
        (model(x) - x[:, :2]).square().sum().backward()
        optimizer.step()


def arrays(module):
    return tuple(p.detach().numpy().copy() for p in module.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_groups_step_as_the_optimizer_in_numpy(dtype):
    settings = ({"window": 4, "damping": 1e-2}, {"window": 3, "block": 5, "lr": 0.01, "weight_decay": 0.1})
    model = model_of(dtype)
    optimizer = MFAC(
        [{"params": list(m.parameters()), **s} for m, s in zip((model[0], model[2]), settings, strict=True)],
        lr=0.02,
    )
    twins = [optim.MFAC(**{"lr": 0.02, **s}) for s in settings]
    w = [arrays(model[0]), arrays(model[2])]
    for k in range(6):
        descend(model, optimizer, 1, k)
        for i, layer in enumerate((model[0], model[2])):
            slopes = tuple(p.grad.numpy() for p in layer.parameters())
            w[i] = twins[i].step({"layer": w[i]}, {"layer": slopes})["layer"]
            for ours, theirs in zip(arrays(layer), w[i], strict=True):
                # The same engine; steps and decay round once each.
                np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert {i: health.inverse for i, health in optimizer.health.items()} == {0: "dual", 1: "dual"}


@pytest.mark.parametrize("storage", [None, "bfloat16"])
def test_resumes_bit_for_bit(storage):
    model = model_of()
    optimizer = MFAC(model.parameters(), 0.02, window=4, storage=storage)
    descend(model, optimizer, 6)
    twin = copy.deepcopy(model)
    again = MFAC(twin.parameters(), 1.0, window=4)
    again.load_state_dict(optimizer.state_dict())
    descend(model, optimizer, 3, 6)
    descend(twin, again, 3, 6)
    for ours, theirs in zip(arrays(model), arrays(twin), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_parameters_of_bfloat16_are_worked_in_float32():
    model = model_of(torch.bfloat16)
    optimizer = MFAC(model.parameters(), 0.05, window=4, damping=1e-2, storage="bfloat16")
    before = [p.detach().clone() for p in model.parameters()]
    descend(model, optimizer, 3)
    assert all(p.dtype == torch.bfloat16 for p in model.parameters())
    assert any(not torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))


def test_states_and_settings_that_do_not_fit_are_refused():
    model = model_of()
    optimizer = MFAC(model.parameters(), 0.02, window=4)
    descend(model, optimizer, 2)
    state = optimizer.state_dict()
    other = MFAC(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)).parameters(), window=4)
    with pytest.raises(StateError, match="window: expected dim, window and block"):
        other.load_state_dict({**state, "flats": {0: {**state["flats"][0], "velocity": None}}})
    with pytest.raises(InputError, match="damping: expected a positive number"):
        MFAC(model.parameters(), damping=0.0)
    with pytest.raises(InputError, match="storage: expected one of"):
        MFAC(model.parameters(), storage="int8")
    optimizer.param_groups[0]["damping"] = 0.5
    descend(model, optimizer, 1, 2)
    assert optimizer.state_dict()["flats"][0]["engine"]["window/damping"] == 0.5

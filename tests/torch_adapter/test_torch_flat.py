# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What all optimizers of PyTorch that see gradients alone do with states and parameters that do not fit."""

import pytest

torch = pytest.importorskip("torch")

from randnla import StateError  # noqa: E402
from randnla.torch import MFAC, MiniBlockFisher, SketchySGD  # noqa: E402


def model_of(width=4):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, width), torch.nn.Tanh(), torch.nn.Linear(width, 1))


def stepped(kind, model, steps=3):
    settings = {"window": 3} if kind is MFAC else {"update_every": 2, "rng": 0, "momentum": 0.5}
    optimizer = kind(model.parameters(), 0.1, **settings)
    x = torch.linspace(-1, 1, 30).reshape(10, 3)

    def closure():
        loss = torch.nn.functional.mse_loss(model(x), x.sum(dim=1, keepdim=True))
        if kind is MFAC:
            optimizer.zero_grad()
            loss.backward()
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    return optimizer, closure


@pytest.mark.parametrize("kind", [MFAC, SketchySGD])
def test_states_that_do_not_fit_are_refused_and_change_nothing(kind):
    optimizer, closure = stepped(kind, model_of())
    good = optimizer.state_dict()
    group = good["param_groups"][0]
    alien = stepped(kind, model_of(5))[0].state_dict()
    cases = [
        None,
        {**good, "flats": None},
        {**good, "flats": {0: None}},
        {**good, "flats": {0: {}}},
        {**good, "flats": {0: {"velocity": None, "engine": None}}},
        {**good, "flats": {0: {"velocity": 3, "engine": {}}}},
        {**good, "flats": alien["flats"]},
        {**good, "param_groups": None},
        {**good, "param_groups": [{}]},
        {**good, "param_groups": [{"params": group["params"]}]},
        {**good, "param_groups": [{**group, "lr": -1.0}]},
        {**good, "param_groups": [{**group, "momentum": "x"}]},
        {**good, "state": None},
        {**good, "skipped": -1},
        {key: value for key, value in good.items() if key != "skipped"},
    ]
    for case in cases:
        with pytest.raises(StateError):
            optimizer.load_state_dict(case)
        now = optimizer.state_dict()
        assert now["param_groups"] == good["param_groups"]
        assert now["flats"][0]["engine"]["digest"] == good["flats"][0]["engine"]["digest"]
    optimizer.load_state_dict(good)
    optimizer.step(closure)


@pytest.mark.parametrize("kind", [MFAC, SketchySGD, MiniBlockFisher])
def test_steps_that_were_skipped_are_counted_on_resume(kind):
    model = model_of()
    optimizer, other = kind(model.parameters()), kind(model.parameters())
    for value in (1.0, torch.nan):

        def closure(value=value):
            optimizer.zero_grad()
            loss = model(torch.full((2, 3), value)).square().mean()
            if kind is not SketchySGD:
                loss.backward()
            return loss

        optimizer.step(closure)
    assert optimizer.skipped == 1
    other.load_state_dict(optimizer.state_dict())
    assert other.skipped == 1


@pytest.mark.parametrize("outputs", [False, True])
def test_frozen_parameters_stay_and_cost_no_curvature(outputs):
    model = model_of()
    model[0].bias.requires_grad_(False)
    before = model[0].bias.clone()
    optimizer = SketchySGD(model.parameters(), update_every=2, rng=0)
    x = torch.linspace(-1, 1, 30).reshape(10, 3)

    def closure():
        z = model(x)
        loss = torch.nn.functional.mse_loss(z, x.sum(dim=1, keepdim=True))
        return (loss, z) if outputs else loss

    losses = [float(optimizer.step(closure)) for _ in range(10)]
    assert losses[-1] < losses[0]
    assert torch.equal(model[0].bias, before)


def test_states_of_mini_blocks_that_do_not_fit_are_refused_and_change_nothing():
    model = model_of()
    optimizer = MiniBlockFisher(model.parameters())
    model(torch.ones(2, 3)).square().mean().backward()
    optimizer.step()
    good = optimizer.state_dict()
    group = good["param_groups"][0]
    for case in (
        None,
        {**good, "engine": None},
        {**good, "engine": {"a": None}},
        {**good, "param_groups": None},
        {**good, "param_groups": [None]},
        {**good, "param_groups": [{"params": group["params"]}]},
        {**good, "param_groups": [{**group, "lr": -1.0}]},
        {**good, "state": None},
        {**good, "skipped": None},
    ):
        with pytest.raises(StateError):
            optimizer.load_state_dict(case)
        now = optimizer.state_dict()
        assert now["engine"]["digest"] == good["engine"]["digest"]
        assert now["param_groups"] == good["param_groups"]
    optimizer.load_state_dict(good)
    optimizer.step()

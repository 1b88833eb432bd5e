# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The base of optimizers that see gradients alone, with an engine that scales by running sums of squares."""

import copy
import io

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from randnla import InputError, StateError  # noqa: E402
from randnla._backend import state as plain_state  # noqa: E402
from randnla.torch.optimizer import FlatOptimizer  # noqa: E402


class Squares:
    def __init__(self, total):
        self.total = total

    def state_dict(self):
        return plain_state.seal({"kind": "Squares", "total": self.total.copy()})


class Scaled(FlatOptimizer):
    def __init__(self, params, lr=0.1, *, momentum=0.5, weight_decay=0.0, ema=0.9, host_copy=False):
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "ema": ema}
        super().__init__(params, defaults, host_copy=host_copy)

    def _engine(self, group, dim, dtype):
        return Squares(np.ones(dim, dtype))

    def _direction(self, engine, g, group):
        engine.total *= group["ema"]
        engine.total += g * g
        return g / np.sqrt(engine.total)

    def _restored(self, state, group):
        fields = plain_state.opened(state, "Squares", {"total": np.ndarray})
        dim = sum(p.numel() for p in group["params"])
        return Squares(plain_state.array_of(fields, "total", (dim,), fields["total"].dtype))


def net(dtype=torch.float32):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).to(dtype)


def groups_of(model):
    return [
        {"params": list(model[0].parameters())},
        {"params": list(model[2].parameters()), "lr": 0.02, "momentum": 0.0, "weight_decay": 0.1},
    ]


def descend(model, optimizer, start, stop):
    for k in range(start, stop):
        x = torch.sin(torch.arange(12.0).reshape(4, 3) + k).to(next(model.parameters()).dtype)
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()


def numbers(model):
    return torch.cat([p.detach().ravel() for p in model.parameters()])


def test_steps_are_those_of_the_formula_with_settings_of_each_group():
    model, twin = net(torch.float64), net(torch.float64)
    optimizer = Scaled(groups_of(model))
    totals, velocities = [np.ones(16), np.ones(10)], [np.zeros(16), np.zeros(10)]
    for k in range(4):
        descend(model, optimizer, k, k + 1)
        x = torch.sin(torch.arange(12.0).reshape(4, 3) + k).double()
        twin.zero_grad()
        twin(x).square().sum().backward()
        for j, (lr, momentum, decay) in enumerate([(0.1, 0.5, 0.0), (0.02, 0.0, 0.1)]):
            params = list(twin[2 * j].parameters())
            g = np.concatenate([(p.grad + decay * p.detach()).numpy().ravel() for p in params])
            totals[j] = 0.9 * totals[j] + g * g
            velocities[j] = momentum * velocities[j] + g / np.sqrt(totals[j])
            start = 0
            for p in params:
                part = velocities[j][start : start + p.numel()].reshape(p.shape)
                p.data -= lr * torch.from_numpy(part)
                start += p.numel()
    # A few operations a step, each of which rounds.
    torch.testing.assert_close(numbers(model), numbers(twin), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("way", ["state_dict", "torch.save", "deepcopy"])
def test_resumes_bit_for_bit(way):
    model = net()
    optimizer = Scaled(groups_of(model))
    descend(model, optimizer, 0, 3)
    if way == "deepcopy":
        model2, again = copy.deepcopy((model, optimizer))
    else:
        state = optimizer.state_dict()
        if way == "torch.save":
            file = io.BytesIO()
            torch.save(state, file)
            file.seek(0)
            state = torch.load(file, weights_only=True)
        model2 = copy.deepcopy(model)
        again = Scaled(groups_of(model2), lr=7.0)
        again.load_state_dict(state)
    descend(model, optimizer, 3, 6)
    descend(model2, again, 3, 6)
    assert torch.equal(numbers(model), numbers(model2))


def test_a_gradient_with_nan_in_one_group_changes_nothing():
    model = net()
    optimizer = Scaled(groups_of(model))
    descend(model, optimizer, 0, 2)
    before, held = numbers(model), copy.deepcopy(optimizer.state_dict())
    model[2].bias.grad[0] = float("nan")
    optimizer.step()
    assert optimizer.skipped == 1
    assert torch.equal(numbers(model), before)
    after = optimizer.state_dict()
    for i in (0, 1):
        assert after["flats"][i]["engine"]["digest"] == held["flats"][i]["engine"]["digest"]
    assert torch.equal(after["flats"][0]["velocity"], held["flats"][0]["velocity"])


def test_parameters_without_gradient_stay_and_narrow_ones_are_worked_in_float32():
    p = [torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16)), torch.nn.Parameter(torch.ones(2))]
    optimizer = Scaled(p, lr=0.5, momentum=0.0)
    optimizer.step()  # no gradient at all: no step
    assert optimizer.state_dict()["flats"] == {}
    p[0].grad = torch.full((3,), 2.0, dtype=torch.bfloat16)
    optimizer.step()
    # 1 - .5 * 2 / sqrt(.9 + 4), rounded to the eight bits of bfloat16.
    assert torch.equal(p[0].detach(), torch.full((3,), 1 - 1 / np.sqrt(4.9)).bfloat16())
    assert torch.equal(p[1].detach(), torch.ones(2))
    assert optimizer.state_dict()["flats"][0]["engine"]["total"].dtype == torch.float32


def test_a_closure_is_evaluated_with_gradients_and_schedulers_change_the_rate():
    p = torch.nn.Parameter(torch.ones(2))
    optimizer = Scaled([p])
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

    def closure():
        optimizer.zero_grad()
        loss = p.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2.0
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == 0.05


def test_what_does_not_fit_is_refused_and_leaves_the_optimizer_as_it_is():
    p = torch.nn.Parameter(torch.ones(2))
    with pytest.raises(InputError, match="lr: expected a number >= 0"):
        Scaled([p], lr=-1.0)
    with pytest.raises(InputError, match=r"momentum: expected a number in \[0, 1\), got 1.0"):
        Scaled([p], momentum=1.0)
    with pytest.raises(InputError, match=r"params: expected dense real tensors, got torch\.complex64"):
        Scaled([torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))])
    with pytest.raises(InputError, match="params: expected tensors on the CPU, got one on meta; host_copy"):
        Scaled([torch.nn.Parameter(torch.ones(2, device="meta"))])
    optimizer = Scaled([p])
    with pytest.raises(InputError, match="weight_decay"):
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "weight_decay": -1.0})
    assert len(optimizer.param_groups) == 1


def test_states_of_others_are_refused_before_anything_changes():
    model = net()
    optimizer = Scaled(groups_of(model))
    descend(model, optimizer, 0, 2)
    good = optimizer.state_dict()
    other = Scaled(net().parameters())
    with pytest.raises(StateError, match="expected those of 1 groups"):
        other.load_state_dict(good)
    bad = copy.deepcopy(good)
    bad["flats"][1]["engine"]["total"] += 1
    with pytest.raises(StateError, match="digest"):
        optimizer.load_state_dict(bad)
    bad = copy.deepcopy(good)
    bad["flats"][0]["velocity"] = torch.zeros(3)
    with pytest.raises(StateError, match="velocity: expected"):
        optimizer.load_state_dict(bad)
    with pytest.raises(StateError, match="flats"):
        optimizer.load_state_dict({key: value for key, value in good.items() if key != "flats"})
    again = optimizer.state_dict()
    assert again["flats"][1]["engine"]["digest"] == good["flats"][1]["engine"]["digest"]

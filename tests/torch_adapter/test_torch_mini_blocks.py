# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Mini-block Fisher matrices as an optimizer of PyTorch: the engine's numbers, states, groups, refusals."""

from __future__ import annotations

import copy
import io

import numpy as np
import pytest
import torch
from torch import nn

from randnla._backend.errors import InputError, StateError
from randnla.curvature import Absolute, ConvBlocks, Elementwise, MiniBlockFisher, NeuronBlocks, RaggedBlocks
from randnla.torch import MiniBlockFisher as Optimizer


def net(seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 5, 3, padding=1),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.Conv2d(5, 4, 1),
        nn.Flatten(),
        nn.Linear(4 * 16, 7, bias=False),
        nn.Tanh(),
        nn.Linear(7, 3),
    ).to(dtype)


def backward(model, seed):
    generator = torch.Generator().manual_seed(seed)
    dtype = next(model.parameters()).dtype
    x = torch.randn(8, 2, 4, 4, generator=generator).to(dtype)
    y = torch.randint(0, 3, (8,), generator=generator)
    model.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    return loss


def test_steps_are_those_of_the_engine() -> None:
    model = net(dtype=torch.float64)
    optimizer = Optimizer(model.named_parameters(), 0.05, other_lr=0.01, damping=0.7, inv_every=2, clip=None)
    engine = MiniBlockFisher(
        {
            "0.weight": ConvBlocks(5, 2, (3, 3)),
            "0.bias": Elementwise(5),
            "1.weight": Elementwise(5),
            "1.bias": Elementwise(5),
            "3.weight": NeuronBlocks(4, 5),
            "5.weight": NeuronBlocks(7, 64, bias=False),
            "7.weight": NeuronBlocks(3, 7),
        },
        damping=0.7,
        inv_every=2,
        dtype=np.float64,
    )
    pairs = {"3.weight": "3.bias", "7.weight": "7.bias"}
    for step in range(4):
        backward(model, step)
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        slopes = {name: p.grad.numpy().copy() for name, p in model.named_parameters()}
        gradients = {
            name: (slopes[name], slopes[pairs[name]]) if name in pairs else slopes[name]
            for name in engine.health
        }
        made = engine.step(gradients, lr=0.05)
        optimizer.step()
        flat = {}
        for name, direction in made.items():
            parts = direction if isinstance(direction, tuple) else (direction,)
            flat |= dict(zip((name, pairs.get(name)), parts, strict=False))
        for name, p in model.named_parameters():
            rate = 0.01 if name in ("0.bias", "1.weight", "1.bias") else 0.05
            wanted = before[name].numpy() - rate * flat[name].reshape(p.shape)
            np.testing.assert_allclose(p.detach().numpy(), wanted, rtol=1e-13, atol=1e-15)


def test_biases_are_found_by_position_where_there_are_no_names() -> None:
    report = str(Optimizer(net().parameters()).report())
    assert [line.split()[:2] for line in report.splitlines()[1:]] == [
        ["0", "ConvBlocks"],
        ["1", "Elementwise"],
        ["2", "Elementwise"],
        ["3", "Elementwise"],
        ["4", "NeuronBlocks"],
        ["5", "Elementwise"],
        ["6", "NeuronBlocks"],
        ["7", "NeuronBlocks"],
    ]


def test_a_state_goes_on_bit_for_bit_through_a_file() -> None:
    whole, half = net(), net()
    first, second = (Optimizer(m.parameters(), 0.02, inv_every=2) for m in (whole, half))
    for step in range(3):
        for model, optimizer in ((whole, first), (half, second)):
            backward(model, step)
            optimizer.step()
    file = io.BytesIO()
    torch.save({"model": half.state_dict(), "optimizer": second.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed = net(seed=9)
    third = Optimizer(resumed.parameters(), 0.5, inv_every=2)
    resumed.load_state_dict(saved["model"])
    third.load_state_dict(saved["optimizer"])
    assert third.param_groups[0]["lr"] == 0.02
    for step in range(3, 6):
        for model, optimizer in ((whole, first), (resumed, third)):
            backward(model, step)
            optimizer.step()
    for p, q in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(p, q)


def test_states_that_do_not_fit_change_nothing() -> None:
    model = net()
    optimizer = Optimizer(model.parameters())
    backward(model, 0)
    optimizer.step()
    other = Optimizer(net().parameters(), ema=0.5)
    with pytest.raises(StateError, match="blocks: expected"):
        other.load_state_dict(optimizer.state_dict())
    assert other.engine.step_count == 0
    state = optimizer.state_dict()
    state.pop("engine")
    with pytest.raises(StateError, match="engine, param_groups: expected those of 1 groups"):
        optimizer.load_state_dict(state)


def test_gradients_with_nan_change_nothing_in_any_group() -> None:
    model = net()
    optimizer = Optimizer([{"params": model[0].parameters()}, {"params": model[7].parameters(), "lr": 0.3}])
    backward(model, 0)
    optimizer.step()
    before = [p.detach().clone() for p in model.parameters()]
    state = {k: v for k, v in optimizer.state_dict()["engine"].items() if k not in ("health", "digest")}
    backward(model, 1)
    model[7].bias.grad[1] = float("nan")
    optimizer.step()
    assert optimizer.skipped == 1
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    after = optimizer.state_dict()["engine"]
    for key, value in state.items():
        assert torch.equal(value, after[key]) if isinstance(value, torch.Tensor) else value == after[key]


def test_groups_have_rates_and_decay_of_their_own() -> None:
    one, two = net(dtype=torch.float64), net(dtype=torch.float64)
    plain = Optimizer(one.parameters(), 0.1, clip=None)
    grouped = Optimizer(
        [
            {"params": list(two.parameters())[:4]},
            {"params": list(two.parameters())[4:], "lr": 0.2, "other_lr": 0.002, "weight_decay": 0.5},
        ],
        0.1,
        clip=None,
    )
    before = [p.detach().clone() for p in one.parameters()]
    for model, optimizer in ((one, plain), (two, grouped)):
        backward(model, 0)
        optimizer.step()
    for k, (start, p, q) in enumerate(zip(before, one.parameters(), two.parameters(), strict=True)):
        moved = p - start
        rate = 0.002 if k == 5 else 0.2  # the bias of a convolution follows Adam's rule
        wanted = start + moved if k < 4 else start * (1 - rate * 0.5) + 2 * moved
        torch.testing.assert_close(q, wanted, rtol=1e-12, atol=1e-14)
    with pytest.raises(InputError, match="param_group: expected all groups before the first step"):
        grouped.add_param_group({"params": [nn.Parameter(torch.ones(2))]})


def test_parameters_without_a_gradient_stay() -> None:
    model = net()
    optimizer = Optimizer(model.named_parameters())
    backward(model, 0)
    model[7].bias.grad = None
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer.step()
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == set(before) - {"7.weight", "7.bias"}


def test_layouts_and_dtypes_are_taken_as_they_are() -> None:
    plain, last = net(), net().to(memory_format=torch.channels_last)
    for model in (plain, last):
        backward(model, 0)
    for p, q in zip(plain.parameters(), last.parameters(), strict=True):
        q.grad.copy_(p.grad)
    for model in (plain, last):
        Optimizer(model.parameters()).step()
    assert all(torch.equal(p, q) for p, q in zip(plain.parameters(), last.parameters(), strict=True))
    low = nn.Linear(6, 3).bfloat16()
    low.weight.grad, low.bias.grad = torch.ones(3, 6).bfloat16(), torch.ones(3).bfloat16()
    before = low.weight.detach().clone()
    Optimizer(low.parameters(), 0.5).step()
    assert low.weight.dtype == torch.bfloat16
    assert not torch.equal(low.weight, before)


def test_a_partition_of_ones_own_is_asked_first() -> None:
    layer = nn.Linear(6, 4)

    def own(name, tensor):
        return RaggedBlocks([8, 16]) if name == "weight" else None

    optimizer = Optimizer(
        layer.named_parameters(), partition=own, damping=Absolute(0.5), momentum=0.0, lr=0.01
    )
    layer.weight.grad, layer.bias.grad = torch.ones(4, 6), torch.ones(4)
    before = layer.weight.detach().clone()
    optimizer.step()
    # (g g^T + I / 2)^-1 g = g / (|g|^2 + 1/2)
    moved = ((before - layer.weight.detach()) / 0.01).ravel()
    torch.testing.assert_close(moved[:8], torch.full((8,), 1 / 8.5), rtol=1e-4, atol=0)
    torch.testing.assert_close(moved[8:], torch.full((16,), 1 / 16.5), rtol=1e-4, atol=0)
    wide = Optimizer(nn.Linear(40, 4).parameters(), largest=40)
    assert "Elementwise" in str(wide.report())
    assert "40 x" not in str(
        Optimizer(nn.Linear(4, 40).parameters(), shared=False).report().covered[0].inverse
    )


def test_copies_are_their_own_and_closures_are_evaluated() -> None:
    model = net()
    optimizer = Optimizer(model.parameters())
    loss = optimizer.step(lambda: backward(model, 0))
    assert float(loss.detach()) > 0
    twin = copy.deepcopy(optimizer)
    assert twin.engine is not optimizer.engine
    assert twin.engine.step_count == 1
    backward(model, 1)
    optimizer.step()
    assert twin.engine.step_count == 1


def test_it_trains() -> None:
    torch.manual_seed(0)
    x = torch.randn(256, 2, 4, 4)
    y = (x[:, 0].sum(dim=(1, 2)) > 0).long() + (x[:, 1, 0, 0] > 0).long()
    model = net()
    optimizer = Optimizer(model.parameters(), 0.01)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Optimizer(net().parameters(), -1.0), "lr: expected a number >= 0"),
        (lambda: Optimizer(net().parameters(), other_lr="x"), "other_lr: expected a real number"),
        (lambda: Optimizer(net().parameters(), momentum=1.0), r"momentum: expected a number in \[0, 1\)"),
        (lambda: Optimizer(net().parameters(), partition=3), "partition: expected a callable or None"),
        (lambda: Optimizer(net().parameters(), largest=0), "largest: expected an integer >= 1"),
        (
            lambda: Optimizer([torch.zeros(2, dtype=torch.complex64, requires_grad=True)]),
            "params: expected dense real tensors, got torch.complex64",
        ),
        (
            lambda: Optimizer([torch.zeros(2, device="meta", requires_grad=True)]),
            "params: expected tensors on the CPU, got one on meta",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_named(call, message) -> None:
    with pytest.raises(InputError, match=message):
        call()

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Pruning of modules: gradients by hand, what is left alone, masks in buffers."""

import copy

import numpy as np
import pytest

pytest.importorskip("torch.nn", reason="PyTorch is not installed")

import torch
from torch import nn
from torch_nets import data, mlp

from randnla import InputError, NonFiniteError, curvature
from randnla.torch import prune

LOSS = nn.functional.cross_entropy


def batches(n=64, inputs=6, classes=3, size=16, dtype=torch.float64):
    x, y = data(n, inputs, classes, dtype=dtype)
    return list(zip(x.split(size), y.split(size), strict=True))


def weights_of(model):
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.ndim > 1}


def rows_of(model, pairs, names):
    """Gradients by backward passes."""
    rows = []
    for x, y in pairs:
        model.zero_grad()
        LOSS(model(x), y).backward()
        rows.append(np.concatenate([model.get_parameter(name).grad.reshape(-1).numpy() for name in names]))
    model.zero_grad(set_to_none=True)
    return np.stack(rows)


@pytest.mark.parametrize("method", ["mfac", "fisher", "magnitude"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_one_shot_is_that_of_the_core(method, dtype):
    model, pairs = mlp(6, 8, 3, dtype=dtype), batches(dtype=dtype)
    weights = weights_of(model)
    biases = {name: p.detach().clone() for name, p in model.named_parameters() if p.ndim == 1}
    pieces = [(x[k : k + 4], y[k : k + 4]) for x, y in pairs for k in range(0, 16, 4)]
    G = rows_of(model, pieces[:10], weights)
    options = {"method": method, "steps": 1, "damping": 0.1}
    expected = curvature.prune(weights, G, 0.6, **options)
    result = prune(model, 0.6, pairs, LOSS, count=10, batch=4, **options)
    for name, w in weights.items():
        torch.testing.assert_close(result.mask[name], expected.mask[name])
        torch.testing.assert_close(result.update[name], expected.update[name])
        now = model.get_parameter(name)
        assert now.dtype == dtype
        assert now.requires_grad
        torch.testing.assert_close(now.detach(), torch.where(result.mask[name], w + expected.update[name], 0))
        assert not now.detach()[~result.mask[name]].any()
    for name, b in biases.items():
        torch.testing.assert_close(model.get_parameter(name).detach(), b, rtol=0, atol=0)
    assert result.info.sparsity == pytest.approx(0.6, abs=0.01)
    assert result.info.gradients == (0 if method == "magnitude" else 10)


def test_gradual_pruning_takes_gradients_at_the_weights_of_each_step():
    model, pairs = mlp(6, 8, 3), batches()
    other = copy.deepcopy(model)
    names = list(weights_of(model))

    def gradients(weights, mask):
        with torch.no_grad():
            for name, w in weights.items():
                other.get_parameter(name).copy_(w)
        return rows_of(other, pairs, names)

    expected = curvature.prune(weights_of(model), gradients, 0.8, steps=5, damping=0.01)
    result = prune(model, 0.8, pairs, LOSS, count=4, batch=None, steps=5, damping=0.01)
    for name in names:
        torch.testing.assert_close(result.mask[name], expected.mask[name])
        torch.testing.assert_close(result.update[name], expected.update[name])
    assert result.info.steps == 5
    assert result.info.gradients == 20


def test_convolutions_norms_and_what_is_skipped():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.LayerNorm((4, 6, 6)),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Tanh(),
        nn.Linear(144, 3),
    )
    x, y = torch.randn(32, 1, 8, 8), torch.randint(0, 3, (32,))
    before = copy.deepcopy(model.state_dict())
    result = prune(model, 0.5, [(x, y)], LOSS, count=4, batch=8, steps=2, groups="rows", scope="layer")
    assert set(result.mask) == {"0.weight", "7.weight"}
    assert (model[0].weight.reshape(4, -1) == 0).all(dim=1).sum() == 2
    for name, value in model.state_dict().items():
        if name not in result.mask:  # running statistics too, though the module is in training mode
            torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    frozen = copy.deepcopy(model)
    frozen[0].weight.requires_grad_(False)
    assert set(prune(frozen, 0.9, method="magnitude").mask) == {"7.weight"}
    assert set(prune(model, 0.9, method="magnitude", parameters="0.weight").mask) == {"0.weight"}
    chosen = prune(model, 0.1, method="magnitude", parameters=lambda name, p: p.ndim == 1)
    assert set(chosen.mask) == {"0.bias", "1.weight", "1.bias", "7.bias"}


def test_masks_in_buffers_are_where_the_next_call_goes_on():
    model, pairs = mlp(6, 8, 3), batches()
    first = prune(model, 0.3, pairs, LOSS, buffers=True, count=8)
    assert torch.equal(model[0].weight_mask, first.mask["0.weight"])
    assert "0.weight_mask" in model.state_dict()
    with torch.no_grad():  # training moves pruned weights
        model[0].weight.add_(0.5)
    second = prune(model, 0.7, pairs, LOSS, buffers=True, count=8)
    for name, mask in first.mask.items():
        assert not second.mask[name][~mask].any()
        assert not model.get_parameter(name).detach()[~second.mask[name]].any()
    assert torch.equal(model[2].weight_mask, second.mask["2.weight"])
    with pytest.raises(InputError, match="which mask has pruned"):
        prune(model, 0.5, pairs, LOSS)
    # Given by hand, one name left out.
    mask = {"0.weight": torch.zeros(8, 6, dtype=torch.bool)}
    third = prune(model, 0.9, pairs, LOSS, mask=mask, count=8)
    assert not third.mask["0.weight"].any()
    assert third.mask["2.weight"].any()


def test_nothing_changes_where_it_fails():
    model, pairs = mlp(6, 8, 3), batches()
    before = copy.deepcopy(model.state_dict())
    calls = []

    def spoilt(outputs, targets):
        calls.append(None)
        return LOSS(outputs, targets) * (float("nan") if len(calls) > 6 else 1.0)

    with pytest.raises(NonFiniteError, match="gradients of step 2"):
        prune(model, 0.8, pairs, spoilt, count=4, batch=None, steps=4, buffers=True)
    for call, pattern in (
        (lambda: prune(model, 0.8), "data, loss: expected both"),
        (lambda: prune(model, 1.8, pairs, LOSS), "sparsity: expected a number"),
        (lambda: prune(model, 0.8, [], LOSS), "data: expected at least one batch for every step"),
        (lambda: prune(model, 0.8, iter(pairs[:1]), LOSS, batch=None), "data: expected at least one batch"),
        (
            lambda: prune(model, 0.8, [torch.ones(2)], LOSS),
            r"data: expected pairs \(inputs, targets\), got Tensor",
        ),
        (lambda: prune(model, 0.8, pairs, LOSS, parameters=["x"]), "parameters: expected names .* got 'x'"),
        (lambda: prune(model, 0.8, pairs, LOSS, parameters=[]), "parameters: expected at least one to prune"),
        (lambda: prune(model, 0.8, pairs, LOSS, mask={"x": 1}), "mask: expected names .* got 'x'"),
        (lambda: prune(model, 0.8, pairs, LOSS, buffers=1), "buffers: expected True or False"),
        (lambda: prune(model, 0.8, pairs, LOSS, count=0), "count: expected an integer >= 1"),
    ):
        with pytest.raises(InputError, match=pattern):
            call()
    assert model.state_dict().keys() == before.keys()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_half_precision_tied_weights_and_compiled_modules():
    model, pairs = mlp(6, 6, 3).to(torch.bfloat16), batches(dtype=torch.bfloat16)
    result = prune(model, 0.5, pairs, LOSS, count=4, steps=2)
    assert model[0].weight.dtype == torch.bfloat16
    assert int((model[0].weight == 0).sum() + (model[2].weight == 0).sum()) >= result.info.pruned == 27
    tied = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6)).double()
    tied[2].weight = tied[0].weight
    x, y = data(16, 6, 6)
    found = prune(torch.compile(tied, backend="eager"), 0.5, [(x, y)], LOSS, count=2, steps=2)
    assert set(found.mask) == {"0.weight"}
    assert tied[2].weight is tied[0].weight
    assert int((tied[0].weight == 0).sum()) == 18


def test_fine_tuning_under_the_masks():
    model, pairs = mlp(6, 16, 3), batches(n=128)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)

    def epochs(count):
        for _ in range(count):
            for x, y in pairs:
                optimizer.zero_grad()
                LOSS(model(x), y).backward()
                optimizer.step()

    epochs(10)
    masks = prune(model, 0.5, pairs, LOSS, count=8).mask

    @torch.no_grad()
    def hold(*_):
        for name, mask in masks.items():
            model.get_parameter(name).mul_(mask)

    optimizer.register_step_post_hook(hold)
    epochs(3)
    for name, mask in masks.items():
        assert not model.get_parameter(name).detach()[~mask].any()

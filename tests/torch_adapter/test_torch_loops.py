# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Training loops of all kinds: several passes a step, scaled and half-precision losses, interruptions."""

import copy
import io

import numpy as np
import pytest

pytest.importorskip("torch.nn", reason="PyTorch is not installed")

import torch
from torch import nn
from torch_nets import backward, by_hand, data, gradients, mlp, recorded

from randnla._backend.errors import StateError
from randnla.curvature import Exact
from randnla.torch import KFAC

ENGINES = ("exact", "rs", "sre", "brand", "ekfac", "kld_wrm")


def cross_entropy_of(y):
    return lambda z: nn.functional.cross_entropy(z, y, reduction="sum")


# -- several passes, scaled losses -------------------------------------------------------------------------


@pytest.mark.parametrize("fisher", ["mc", "empirical", "ggn"])
def test_accumulated_passes_are_one_batch(fisher):
    x, y = data(9, 5, 3)
    values, directions = [], []
    for cuts in ([9], [4, 5], [2, 3, 4]):
        model = mlp(5, 4, 3)
        pre = KFAC(model, "exact", fisher=fisher, reduction="sum", rng=0)
        start = 0
        for n in cuts:
            backward(model, x[start : start + n], y[start : start + n], reduction="sum")
            start += n
        pre.step()
        blocks = pre.engine._blocks.values()
        values.append([b.right.value for b in blocks] + [b.left.value for b in blocks if fisher != "mc"])
        directions.append(gradients(model))
    for other, direction in zip(values[1:], directions[1:], strict=True):
        for mine, whole in zip(other, values[0], strict=True):
            np.testing.assert_allclose(mine, whole, rtol=1e-12, atol=1e-15)
        if fisher != "mc":
            for name, g in direction.items():
                np.testing.assert_allclose(g, directions[0][name], rtol=1e-8)


def test_mean_losses_of_unequal_passes_are_summed_each_by_its_own_size():
    x, y = data(9, 5, 3)
    expected = by_hand(mlp(5, 3), x, cross_entropy_of(y))["0"][1]
    model = mlp(5, 3)
    pre = KFAC(model, fisher="empirical")
    seen = recorded(pre)
    for part in (slice(0, 3), slice(3, 9)):
        backward(model, x[part], y[part], factor=0.5)
    pre.step(loss_scale=0.5)
    np.testing.assert_allclose(np.concatenate(seen["0"][0][1]), expected, rtol=1e-12)


def test_two_backward_passes_through_one_graph_are_one_of_the_sum():
    model, (x, y) = mlp(5, 4, 3), data(6, 5, 3)
    expected = by_hand(model, x, lambda z: cross_entropy_of(y)(z) + (z**2).sum())
    pre = KFAC(model, fisher="empirical", reduction="sum")
    seen = recorded(pre)
    z = model(x)
    cross_entropy_of(y)(z).backward(retain_graph=True)
    (z**2).sum().backward()
    pre.step()
    for name, (_, g) in expected.items():
        np.testing.assert_allclose(seen[name][0][1][0], g, rtol=1e-12)


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
@pytest.mark.parametrize("stats_every", [1, 10])
def test_a_gradient_that_is_not_finite_leaves_everything_as_it_was(bad, stats_every):
    x, y = data(6, 5, 3)
    runs = []
    for with_bad_step in (False, True):
        model = mlp(5, 4, 3)
        pre = KFAC(model, stats_every=stats_every, inv_every=2, rng=0)
        for step in range(4):
            model.zero_grad()
            if with_bad_step and step == 2:
                backward(model, x, y)
                model[0].weight.grad[0, 0] = bad
                before, state = gradients(model), pre.state_dict()
                pre.step()
                after = gradients(model)
                assert all(torch.equal(after[k].nan_to_num(), g.nan_to_num()) for k, g in before.items())
                assert {k for k in state if not _same(state[k], pre.state_dict()[k])} <= {
                    "health",
                    "digest",
                }
                assert pre.health["0"].skipped_gradients == 1
                model.zero_grad()
            backward(model, x, y)
            pre.step()
        runs.append(gradients(model))
    assert all(torch.equal(runs[0][name], g) for name, g in runs[1].items())


def _same(a, b):
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.parametrize("fisher", ["mc", "empirical"])
def test_scaled_losses_are_unscaled_first_and_overflows_skipped(fisher):
    x, y = data(8, 5, 3, dtype=torch.float32)
    ways = {}
    for scaled in (False, True):
        model = mlp(5, 4, 3, dtype=torch.float32)
        pre = KFAC(model, fisher=fisher, damping=0.3, stats_every=1, inv_every=1, rng=0)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, enabled=scaled)
        for _ in range(3):
            optimizer.zero_grad()
            scaler.scale(nn.functional.cross_entropy(model(x), y)).backward()
            scaler.unscale_(optimizer)
            pre.step(loss_scale=scaler.get_scale())
            scaler.step(optimizer)
            scaler.update()
        ways[scaled] = [p.detach().clone() for p in model.parameters()]
    for plain, scaled in zip(*ways.values(), strict=True):
        torch.testing.assert_close(plain, scaled, rtol=1e-4, atol=1e-6)
    # An overflow: the scaler skips the step, and so does the preconditioner.
    count, weights = pre.engine.step_count, ways[True]
    optimizer.zero_grad()
    scaler.scale(nn.functional.cross_entropy(model(x), y) * 1e38).backward()
    scaler.unscale_(optimizer)
    pre.step(loss_scale=scaler.get_scale())
    scaler.step(optimizer)
    scale = scaler.get_scale()
    scaler.update()
    assert scaler.get_scale() < scale
    assert pre.engine.step_count == count
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), weights, strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("fisher", ["mc", "empirical", "ggn"])
def test_autocast_changes_no_more_than_its_rounding(dtype, fisher):
    values = []
    x, y = data(32, 6, 3, dtype=torch.float32)
    for enabled in (False, True):
        model = mlp(6, 5, 3, dtype=torch.float32)
        pre = KFAC(model, fisher=fisher, rng=0)
        with torch.autocast("cpu", dtype=dtype, enabled=enabled):
            z = model(x)
            loss = nn.functional.cross_entropy(z, y)
        assert z.dtype == (dtype if enabled else torch.float32)
        loss.backward()
        pre.step()
        assert all(block.left.value.dtype == np.float32 for block in pre.engine._blocks.values())
        assert {p.grad.dtype for p in model.parameters()} == {torch.float32}
        values.append([block.left.value for block in pre.engine._blocks.values()])
    for plain, cast in zip(*values, strict=True):
        assert np.linalg.norm(plain - cast) <= 0.03 * np.linalg.norm(plain)


def test_half_precision_models_are_widened():
    model = mlp(6, 5, 3, dtype=torch.bfloat16)
    x, y = data(16, 6, 3, dtype=torch.bfloat16)
    pre = KFAC(model, rng=0)
    backward(model, x, y)
    before = gradients(model)
    pre.step()
    assert {p.grad.dtype for p in model.parameters()} == {torch.bfloat16}
    assert not torch.equal(before["0.weight"], model[0].weight.grad)
    assert not any(h.fallback for h in pre.health.values())


def test_double_before_and_after():
    x, y = data(8, 5, 3)
    made = []
    for late in (False, True):
        model = mlp(5, 4, 3, dtype=torch.float32)
        if not late:
            model.double()
        pre = KFAC(model, "exact", fisher="ggn", rng=0)
        model.double()
        backward(model, x, y)
        pre.step()
        assert pre.engine.dtype == (np.float32 if late else np.float64)
        assert {p.grad.dtype for p in model.parameters()} == {torch.float64}
        made.append(gradients(model))
    for name, g in made[0].items():
        torch.testing.assert_close(made[1][name], g, rtol=1e-4, atol=1e-6)


# -- checkpoints -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ENGINES)
def test_training_resumes_bit_for_bit(kind):
    x, y = data(20, 6, 3, dtype=torch.float32)

    def made():
        model = mlp(6, 16, 3, dtype=torch.float32)
        pre = KFAC(model, kind, damping=Exact(0.1), rank=4, oversample=1, stats_every=2, inv_every=3, rng=5)
        return model, pre, torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    def train(model, pre, optimizer, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            backward(model, x, y)
            pre.step()
            optimizer.step()

    whole = made()
    train(*whole, 11)
    first = made()
    train(*first, 5)
    file = io.BytesIO()
    torch.save(first[1].state_dict(), file)
    file.seek(0)
    second = made()
    second[0].load_state_dict(first[0].state_dict())
    second[2].load_state_dict(copy.deepcopy(first[2].state_dict()))
    second[1].load_state_dict(torch.load(file))
    train(*second, 6)
    assert second[1].engine.step_count == 11
    for a, b in zip(whole[0].parameters(), second[0].parameters(), strict=True):
        assert torch.equal(a, b)


def test_states_are_of_names_and_refused_where_these_differ():
    model, (x, y) = mlp(5, 4, 3), data(6, 5, 3)
    pre = KFAC(model, rng=0)
    backward(model, x, y)
    pre.step()
    state = pre.state_dict()
    assert '["0", "2"]' in state["names"]
    renamed = KFAC(nn.Sequential(nn.Identity(), *mlp(5, 4, 3)), rng=0)
    with pytest.raises(StateError, match=r"names: expected the layers \['1', '3'\]"):
        renamed.load_state_dict(state)
    assert renamed.engine.step_count == 0
    with pytest.raises(StateError, match="state: expected a dict"):
        renamed.load_state_dict([])

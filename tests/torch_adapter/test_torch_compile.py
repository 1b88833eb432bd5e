# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Compiled models: no graph breaks, nothing compiled twice, and the same steps as uncompiled ones."""

import warnings

import numpy as np
import pytest

pytest.importorskip("torch.nn", reason="PyTorch is not installed")

import torch
from torch import nn
from torch_nets import backward, data, gradients, mlp, recorded

from randnla._backend.errors import StateError
from randnla.torch import KFAC

with warnings.catch_warnings():
    # PyTorch's own compiler uses what PyTorch deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    import torch._dynamo
    from torch._dynamo.testing import CompileCounter

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    # So does its guard on the gradient of what flows into a part that is compiled on its own.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
]


@pytest.fixture(autouse=True)
def _fresh():
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch._dynamo.reset()


def whole(model, backend):
    return torch.compile(model, backend=backend, fullgraph=True)


def in_place(model, backend):
    model.compile(backend=backend, fullgraph=True)
    return model


def inside(model, backend):
    model.body.compile(backend=backend, fullgraph=True)
    model.head = torch.compile(model.head, backend=backend, fullgraph=True)
    return model


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 6)

    def forward(self, x):
        return self.inner(torch.relu(x))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.body, self.head = nn.Linear(5, 6), Body(), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.body(self.first(x))))


def nested():
    torch.manual_seed(0)
    return Net().double()


def train(model, pre, steps, x, y):
    made = []
    for _ in range(steps):
        model.zero_grad()
        backward(model, x, y)
        pre.step()
        made.append([p.grad.clone() for p in model.parameters()])
        with torch.no_grad():
            for p in model.parameters():
                p -= 0.05 * p.grad
    return made


@pytest.mark.parametrize("way", [whole, in_place, inside])
@pytest.mark.parametrize("fisher", ["mc", "empirical"])
def test_compiled_models_take_the_same_steps_and_are_compiled_once(way, fisher):
    x, y = data(8, 5, 3)
    plain = nested()
    settings = {"fisher": fisher, "stats_every": 3, "inv_every": 3, "rng": 0}
    expected = train(plain, KFAC(plain, **settings), 8, x, y)
    counter = CompileCounter()
    model = way(nested(), counter)
    pre = KFAC(model, **settings)
    assert [line.name for line in pre.report().covered] == ["first", "body.inner", "head"]
    made = train(model, pre, 8, x, y)
    assert counter.frame_count == (2 if way is inside else 1)
    assert not torch._dynamo.utils.counters["graph_break"]
    assert not pre._capture.attached
    for step, other in zip(expected, made, strict=True):
        for a, b in zip(step, other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    pre.remove()


def test_attention_is_put_back_behind_a_compiled_model():
    model = nn.Sequential(
        nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), nn.Linear(8, 3)
    )
    counter = CompileCounter()
    compiled = torch.compile(model, backend=counter, fullgraph=True)
    pre = KFAC(compiled, stats_every=2, rng=0)
    x = torch.randn(4, 5, 8)
    for _ in range(4):
        compiled.zero_grad()
        (compiled(x) ** 2).mean().backward()
        pre.step()
    assert counter.frame_count == 1
    assert not torch._dynamo.utils.counters["graph_break"]
    assert not any(health.fallback for health in pre.health.values())


def test_a_compiled_step_breaks_the_graph_at_the_preconditioner_and_nowhere_else():
    model, (x, y) = mlp(5, 4, 3), data(8, 5, 3)
    pre = KFAC(model, stats_every=10, rng=0)
    backward(model, x, y)
    pre.step()
    expected = gradients(model)
    model.zero_grad()
    backward(model, x, y)
    plain = gradients(model)

    @torch.compile(backend="eager")
    def rest(factor):
        factor = factor * 2
        pre.step()
        return factor + 1

    assert rest(torch.ones(2)).tolist() == [3.0, 3.0]
    assert pre.engine.step_count == 2
    for name, g in gradients(model).items():
        assert not torch.equal(g, plain[name])
        torch.testing.assert_close(g, expected[name])
    [(reason, count)] = torch._dynamo.utils.counters["graph_break"].items()
    assert count == 1
    assert "disable" in reason


def test_the_states_of_compiled_and_plain_models_are_one():
    x, y = data(8, 5, 3)
    plain = mlp(5, 4, 3)
    pre = KFAC(plain, rng=0)
    backward(plain, x, y)
    pre.step()
    other = KFAC(torch.compile(mlp(5, 4, 3), backend="eager"), rng=0)
    other.load_state_dict(pre.state_dict())
    assert other.engine.step_count == 1


def test_a_function_that_is_compiled_while_hooks_are_there_runs_them_as_they_are():
    x, y = torch.randn(8, 5, 8, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3
    made = []
    for compiled in (False, True):
        torch.manual_seed(0)
        body = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        model = nn.Sequential(body, nn.Flatten(), nn.Linear(40, 3))
        pre = KFAC(model, rng=0)
        seen = recorded(pre)
        function = torch.compile(lambda z, model=model: model(z), backend="eager") if compiled else model
        nn.functional.cross_entropy(function(x), y).backward()
        pre.step()
        made.append(seen)
    assert len(made[0]) == 9
    assert set(made[0]) == set(made[1])
    for name, [(a, g, _)] in made[0].items():
        [(other_a, other_g, _)] = made[1][name]
        for one, two in zip((*a, *g), (*other_a, *other_g), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_a_compiled_function_around_the_model_is_told_what_to_compile():
    model, (x, y) = mlp(5, 4, 3), data(8, 5, 3)
    function = torch.compile(lambda z: model(z), backend="eager")
    function(x)
    pre = KFAC(model, rng=0)
    nn.functional.cross_entropy(function(x), y).backward()
    with pytest.raises(StateError, match="by a compiled function"):
        pre.step()

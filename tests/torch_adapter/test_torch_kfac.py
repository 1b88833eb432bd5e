# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The preconditioner of PyTorch models: what it computes, when it looks, and what it leaves alone."""

import copy

import numpy as np
import pytest

pytest.importorskip("torch.nn", reason="PyTorch is not installed")

import torch
from torch import nn
from torch_nets import FORMS, backward, by_hand, damped, data, factors, gradients, mlp, recorded, solved

from randnla import curvature
from randnla._backend.errors import InputError, StateError
from randnla.curvature import Dense, Every, Exact, KLClip, Piecewise
from randnla.torch import KFAC

ENGINES = {"exact": "KFAC", "rs": "RSKFAC", "sre": "SREKFAC", "brand": "BrandKFAC", "ekfac": "EKFAC"}


def cross_entropy_of(y):
    return lambda z: nn.functional.cross_entropy(z, y, reduction="sum")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["exact", "rs", "sre", "brand"])
def test_a_tiny_net_is_preconditioned_by_the_dense_inverse(kind, form):
    model, (x, y) = mlp(5, 4, 3), data(9, 5, 3)
    damping = form(0.03)
    expected = {}
    for name, pair in by_hand(model, x, cross_entropy_of(y)).items():
        expected[name] = damped(*factors(*pair), damping)
    pre = KFAC(model, kind, damping=damping, fisher="empirical", inverse="eigen", rng=0)
    backward(model, x, y)
    before = gradients(model)
    pre.step()
    after = gradients(model)
    assert len(expected) == 2
    for name, F in expected.items():
        weight, bias = before[f"{name}.weight"].numpy(), before[f"{name}.bias"].numpy()
        direction = np.column_stack([after[f"{name}.weight"], after[f"{name}.bias"]])
        np.testing.assert_allclose(direction, solved(F, weight, bias), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ENGINES)
def test_it_gives_what_the_engine_gives_when_fed_by_hand(kind):
    model = mlp(6, 5, 4, dtype=torch.float32)
    pre = KFAC(model, kind, damping=Exact(0.1), fisher="empirical", stats_every=2, inv_every=4, rng=3)
    layers = {"0": Dense(6, 5), "2": Dense(5, 4)}
    settings = {"damping": Exact(0.1), "stats_every": 2, "inv_every": 4, "rng": 3}
    engine = getattr(curvature, ENGINES[kind])(layers, **settings)
    for step in range(6):
        x, y = data(8, 6, 4, seed=step, dtype=torch.float32)
        if engine.statistics_due:
            for name, (a, g) in by_hand(copy.deepcopy(model), x, cross_entropy_of(y)).items():
                assert engine.accumulate(name, a, g)
        model.zero_grad()
        # A summed loss, so that nothing is rescaled and rounded on the way.
        backward(model, x, y, reduction="sum")
        pre.reduction = "sum"
        given = {
            name: (model[int(name)].weight.grad.numpy().copy(), model[int(name)].bias.grad.numpy().copy())
            for name in layers
        }
        expected = engine.step(given)
        pre.step()
        for name in layers:
            np.testing.assert_array_equal(model[int(name)].weight.grad, expected[name][0])
            np.testing.assert_array_equal(model[int(name)].bias.grad, expected[name][1])
        with torch.no_grad():
            for p in model.parameters():
                p -= 0.01 * p.grad


# -- which Fisher matrix -----------------------------------------------------------------------------------


def test_sampled_labels_are_those_that_a_callable_would_draw():
    drawn = []

    def loss(z, generator):
        y = torch.multinomial(torch.softmax(z.detach(), dim=1), 1, generator=generator)[:, 0]
        drawn.append(y)
        return nn.functional.cross_entropy(z, y, reduction="sum")

    x, y = data(7, 5, 3)
    seen = []
    for likelihood in (loss, "categorical"):
        model = mlp(5, 4, 3)
        pre = KFAC(model, likelihood=likelihood, rng=11)
        seen.append(recorded(pre))
        backward(model, x, y)
        pre.step()
    expected = by_hand(mlp(5, 4, 3), x, cross_entropy_of(drawn[0]))
    assert len(drawn) == 1
    for name, (a, g) in expected.items():
        for record in seen:
            [(inputs, outputs, samples)] = record[name]
            np.testing.assert_array_equal(inputs[0], a)
            np.testing.assert_allclose(outputs[0], g, rtol=1e-12, atol=1e-15)
            assert samples == 7


@pytest.mark.parametrize("likelihood", ["categorical", "bernoulli", "gaussian"])
def test_sampled_labels_approach_the_generalized_gauss_newton_matrix(likelihood):
    model = mlp(3, 3, 3)
    x = data(4, 3, 3)[0].repeat(5000, 1)
    values = {}
    for fisher in ("mc", "ggn"):
        pre = KFAC(model, likelihood=likelihood, fisher=fisher, rng=0)
        (model(x) ** 2).mean().backward()
        pre.step()
        values[fisher] = [pre.engine._blocks[name].left.value for name in ("0", "2")]
    for sampled, exact in zip(*values.values(), strict=True):
        assert np.linalg.norm(sampled - exact) <= 0.05 * np.linalg.norm(exact)


@pytest.mark.parametrize("likelihood", ["categorical", "bernoulli", "gaussian"])
def test_all_classes_give_the_exact_factor(likelihood):
    model, (x, _) = mlp(4, 3), data(6, 4, 3)
    pre = KFAC(model, likelihood=likelihood, fisher="ggn")
    (model(x) ** 2).mean().backward()
    z = model(x).detach()
    pre.step()
    p, q = torch.softmax(z, 1), torch.sigmoid(z)
    hessians = {
        "categorical": torch.diag_embed(p) - p[:, :, None] * p[:, None],
        "bernoulli": torch.diag_embed(q * (1 - q)),
        "gaussian": torch.eye(3, dtype=z.dtype).expand(6, 3, 3),
    }
    H = hessians[likelihood].mean(0)
    np.testing.assert_allclose(pre.engine._blocks["0"].left.value, H, atol=1e-14)
    A = np.column_stack([x, np.ones(6)])
    np.testing.assert_allclose(pre.engine._blocks["0"].right.value, A.T @ A / 6, atol=1e-14)


def test_the_output_may_be_picked_from_what_the_model_returns():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = mlp(5, 3)

        def forward(self, x):
            return {"logits": self.inner(x)}

    x, y = data(6, 5, 3)
    model = Two()
    pre = KFAC(model, output=lambda out: out["logits"], rng=0)
    nn.functional.cross_entropy(model(x)["logits"], y).backward()
    pre.step()
    assert pre.health["inner.0"].last_refresh == 0
    other = Two()
    KFAC(other, rng=0)
    with pytest.raises(InputError, match=r"output: expected a callable that picks a tensor from the dict"):
        other(x)


def test_means_become_sums_whatever_the_loss_was_multiplied_by():
    model, (x, y) = mlp(5, 3), data(8, 5, 3)
    expected = by_hand(model, x, cross_entropy_of(y))["0"][1]
    for factor, reduction in ((1.0, "mean"), (1024.0, "mean"), (4.0, "sum")):
        pre = KFAC(model, fisher="empirical", reduction=reduction)
        seen = recorded(pre)
        model.zero_grad()
        backward(model, x, y, reduction, factor)
        pre.step(loss_scale=factor)
        np.testing.assert_allclose(seen["0"][0][1][0], expected, rtol=1e-12)
        pre.remove()


# -- when it looks -----------------------------------------------------------------------------------------


def test_hooks_are_there_on_statistics_steps_only():
    model, (x, y) = mlp(5, 4, 3), data(6, 5, 3)
    pre = KFAC(model, stats_every=3, rng=0)

    def hooks():
        return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())

    counts = []
    for _ in range(7):
        counts.append(hooks())
        backward(model, x, y)
        pre.step()
        assert pre._capture.passes == []
    assert [count > 0 for count in counts] == [True, False, False, True, False, False, True]
    pre.remove()
    assert hooks() == 0


def test_it_keeps_references_and_not_copies():
    model, (x, y) = mlp(5, 4, 3), data(6, 5, 3)
    pre = KFAC(model, rng=0)
    inputs = []
    model[2].register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
    backward(model, x, y)
    [seen] = pre._capture.passes
    assert seen["0"][0].a.data_ptr() == x.data_ptr()
    assert seen["2"][0].a.data_ptr() == inputs[0].data_ptr()


def test_only_training_with_gradients_is_looked_at():
    model, (x, y) = mlp(5, 4, 3), data(6, 5, 3)
    pre = KFAC(model, rng=0)
    seen = recorded(pre)
    with torch.no_grad():
        model(x)
    model.eval()
    model(x)
    model[0](x)
    model.train()
    model[0](x)
    copy.deepcopy(model)(x)  # carries the hooks along
    assert pre._capture.passes == []
    backward(model, x, y)
    pre.step()
    assert len(seen["0"]) == 1
    assert sum(map(len, seen["0"][0][0])) == 6


def test_a_forward_pass_that_fails_is_forgotten():
    model, (x, y) = mlp(5, 4, 3), data(6, 5, 3)
    pre = KFAC(model, rng=0)
    seen = recorded(pre)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        model(x[:, :4])
    model[0](x)
    backward(model, x, y)
    pre.step()
    [(a, _, samples)] = seen["0"]
    assert (len(a), samples) == (1, 6)


def test_a_refresh_may_run_beside_training():
    x, y = data(40, 5, 3, dtype=torch.float32)
    runs = []
    for _ in range(2):
        model = mlp(5, 8, 3, dtype=torch.float32)
        pre = KFAC(model, asynchronous=True, stats_every=2, inv_every=4, rng=0)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        losses = []
        for _ in range(20):
            optimizer.zero_grad()
            losses.append(backward(model, x, y).item())
            pre.step()
            optimizer.step()
        runs.append(losses)
    assert runs[0] == runs[1]
    assert runs[0][-1] < runs[0][0]


def test_steps_without_a_forward_pass_or_a_gradient_say_so_and_change_nothing():
    model, (x, y) = mlp(5, 3), data(6, 5, 3)
    pre = KFAC(model, rng=0)
    with pytest.raises(StateError, match="no covered parameter has a gradient"):
        pre.step()
    model.eval()
    backward(model, x, y)
    before = gradients(model)
    with pytest.raises(StateError, match="statistics are due, and no forward pass"):
        pre.step()
    assert pre.engine.step_count == 0
    assert all(torch.equal(before[name], g) for name, g in gradients(model).items())


def test_the_generators_of_torch_are_left_alone():
    model, (x, y) = mlp(5, 4, 3), data(6, 5, 3)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    state = torch.get_rng_state()
    pre = KFAC(model, rng=0, stats_every=1)
    for _ in range(3):
        backward(model, x, y)
        pre.step()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(torch.rand(3), expected)


def test_dropout_draws_what_it_draws_without_a_preconditioner():
    outputs = []
    for with_hooks in (False, True):
        model = nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.Linear(8, 3))
        for p in model.parameters():
            nn.init.constant_(p, 0.1)
        if with_hooks:
            pre = KFAC(model, rng=0)
        torch.manual_seed(3)
        outputs.append([model(torch.ones(4, 5)), model(torch.ones(4, 5))])
    assert pre._capture.attached
    for a, b in zip(*outputs, strict=True):
        assert torch.equal(a, b)


def test_schedules_reach_the_engine():
    model, (x, y) = mlp(5, 3), data(6, 5, 3)
    intervals = {"stats_every": Every(5, first=2), "inv_every": Every(5, first=2)}
    pre = KFAC(model, damping=Piecewise({0: 0.5, 1: 0.1}), **intervals, rng=0)
    seen = recorded(pre)
    for _ in range(4):
        backward(model, x, y)
        pre.step()
    assert pre.engine.damping.value == 0.1
    assert len(seen["0"]) == 2
    assert pre.health["0"].last_refresh == 1


def test_the_step_size_reaches_the_clip():
    x, y = data(6, 5, 3)
    made = []
    for clip in (None, KLClip(1e-6)):
        model = mlp(5, 4, 3)
        pre = KFAC(model, clip=clip, rng=0)
        backward(model, x, y)
        before = gradients(model)
        pre.step(lr=0.5)
        made.append(gradients(model))
    total = sum(float((before[name] * g).sum()) for name, g in made[0].items())
    for name, g in made[0].items():
        torch.testing.assert_close(made[1][name], g * (1e-6 / (0.25 * total)) ** 0.5)


# -- what is covered ---------------------------------------------------------------------------------------


def test_what_is_left_alone_is_listed_with_the_reason():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.ones(6))
            self.body = nn.Sequential(nn.Linear(6, 6), nn.Sequential(nn.Linear(6, 6), nn.PReLU()))
            self.frozen, self.bare = nn.Linear(6, 6), nn.Linear(6, 6)
            self.normal = nn.utils.parametrizations.weight_norm(nn.Linear(6, 6))
            self.head = nn.Linear(6, 3)
            self.frozen.requires_grad_(False)
            self.bare.bias.requires_grad_(False)

        def forward(self, x):
            return self.head(self.normal(self.bare(self.frozen(self.body(x * self.gain)))))

    model = Own()
    pre = KFAC(model, skip=["body.1"], rng=0)
    report = pre.report()
    assert [line.name for line in report.covered] == ["body.0", "bare", "head"]
    assert {line.name: line.why for line in report.skipped} == {
        "": "no curvature for Own",
        "body.1.0": "as asked",
        "body.1.1": "as asked",
        "frozen": "its weight does not require a gradient",
        "bare.bias": "does not require a gradient",
        "normal": "parametrized, or with parameters beside weight and bias",
        "normal.parametrizations.weight": "no curvature for ParametrizationList",
    }
    assert "as asked" in str(report)
    x, y = data(8, 6, 3, dtype=torch.float32)
    backward(model, x, y)
    before = gradients(model)
    pre.step()
    changed = {name for name, g in gradients(model).items() if not torch.equal(g, before[name])}
    assert changed == {"body.0.weight", "body.0.bias", "bare.weight", "head.weight", "head.bias"}


def test_a_layer_without_a_gradient_is_left_out():
    model, (x, y) = mlp(5, 4, 3), data(6, 5, 3)
    pre = KFAC(model, stats_every=1, rng=0)
    backward(model, x, y)
    pre.step()
    model.zero_grad()
    model[0].requires_grad_(False)
    backward(model, x, y)
    before = gradients(model)
    pre.step()
    assert set(before) == {"2.weight", "2.bias"}
    assert not torch.equal(before["2.weight"], model[2].weight.grad)


def test_parameter_groups_and_optimizers_of_any_kind_follow():
    x, y = data(40, 5, 3, dtype=torch.float32)
    for kind in (torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop):
        model = mlp(5, 8, 3, dtype=torch.float32)
        groups = [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[2].parameters()}]
        optimizer = kind(groups, lr=0.01)
        pre = KFAC(model, rng=0, stats_every=2, inv_every=4)
        first = model[0].weight.detach().clone()
        losses = []
        for _ in range(20):
            optimizer.zero_grad()
            losses.append(backward(model, x, y).item())
            pre.step()
            optimizer.step()
        assert losses[-1] < losses[0]
        assert torch.equal(model[0].weight, first)


@pytest.mark.parametrize("kind", [*ENGINES])
def test_every_curvature_trains(kind):
    x, _ = data(64, 6, 3, dtype=torch.float32)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    model = mlp(6, 16, 3, dtype=torch.float32)
    pre = KFAC(model, kind, damping=0.1, stats_every=1, inv_every=5, rng=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        losses.append(backward(model, x, y).item())
        pre.step()
        optimizer.step()
    assert losses[-1] < 0.3 * losses[0]


def test_the_wake_has_its_own_defaults_and_trains():
    x, _ = data(64, 6, 3, dtype=torch.float32)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    for variant in ("SO", "Q"):
        model = mlp(6, 16, 3, dtype=torch.float32)
        pre = KFAC(model, "kld_wrm", variant=variant, stats_every=5, inv_every=5, rng=0)
        bare = curvature.KLDWRM({"only": Dense(2, 2)}, variant=variant)
        assert pre.engine.damping == bare.damping
        assert pre.engine.clip == bare.clip
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        losses = []
        for _ in range(80):
            optimizer.zero_grad()
            losses.append(backward(model, x, y).item())
            pre.step(lr=0.05)
            optimizer.step()
        assert losses[-1] < 0.5 * losses[0]


def test_the_wake_of_exact_divergences_is_given_the_network():
    nets = []

    def divergence(here, net):
        nets.append(here)
        slopes = {name: tuple(a - b for a, b in zip(here[name], net[name], strict=True)) for name in here}
        return 0.5 * sum(float((part**2).sum()) for pair in slopes.values() for part in pair), slopes

    model, (x, y) = mlp(5, 4, 3), data(6, 5, 3)
    pre = KFAC(model, "kld_wrm", variant="QE", divergence=divergence, damping=Exact(0.1), rng=0)
    for _ in range(2):
        model.zero_grad()
        backward(model, x, y)
        pre.step(lr=0.1)
        with torch.no_grad():
            for p in model.parameters():
                p -= 0.1 * p.grad
    assert [tuple(part.shape) for part in nets[-1]["2"]] == [(3, 4), (3,)]
    assert isinstance(nets[-1]["0"][0], torch.Tensor)


# -- arguments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": "net"}, r"model: expected a torch.nn.Module, got str"),
        ({"model": nn.ReLU()}, r"model: expected at least one layer"),
        ({"curvature": "kron"}, r"curvature: expected one of"),
        ({"fisher": "true"}, r"fisher: expected one of"),
        ({"likelihood": "poisson"}, r"likelihood: expected one of"),
        ({"likelihood": lambda z, generator: z.sum(), "fisher": "ggn"}, r"likelihood: expected the name"),
        ({"reduction": "none"}, r"reduction: expected one of"),
        ({"skip": ["0", "nowhere"]}, r"skip: expected names of modules of the model, got \['nowhere'\]"),
        ({"sharing": "none"}, r"sharing: expected one of"),
        ({"host_copy": 1}, r"host_copy: expected"),
        ({"rank": 0}, r"rank: expected an integer >= 1"),
        ({"damping": "big"}, r"damping: expected"),
    ],
)
def test_arguments_are_checked(changed, message):
    given = {"model": mlp(5, 4, 3), **changed}
    with pytest.raises(InputError, match=message):
        KFAC(given.pop("model"), **given)


def test_all_classes_are_refused_for_outputs_with_more_axes():
    model = nn.Sequential(nn.Linear(4, 3))
    KFAC(model, fisher="ggn")
    with pytest.raises(
        InputError, match=r"'ggn' takes outputs of shape \(samples, classes\), got \(2, 5, 3\)"
    ):
        model(torch.ones(2, 5, 4))

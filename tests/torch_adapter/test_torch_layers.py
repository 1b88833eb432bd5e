# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Every module that is covered: inputs and output gradients that were seen make up the gradient."""

import copy

import numpy as np
import pytest

pytest.importorskip("torch.nn", reason="PyTorch is not installed")

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch_nets import backward, data, gradients, mlp, recorded

from randnla.curvature import Conv1d, Conv2d, Dense, Embedding, RMSClip, ScaleShift
from randnla.curvature.workspace import Workspace
from randnla.torch import KFAC


def remade(layer, record):
    """The gradient of the summed loss, from what the engine was given of a layer."""
    [(a, g, samples)] = record
    rows = layer.rows(a, g, Workspace(), dtype=np.float64, samples=samples)
    if isinstance(layer, ScaleShift):
        return np.concatenate([part.sum(0, keepdims=True) for part in (rows.a, rows.g) if part.size])
    if isinstance(layer, Embedding):
        V = np.zeros(layer.shape)
        np.add.at(V, np.asarray(rows.a).reshape(-1), rows.g)
        return V
    return rows.g.T @ rows.a


def check(model, loss_of, names=None, **settings):
    """All covered layers of a float64 model; returns the preconditioner and what it gave the engine."""
    pre = KFAC(model, fisher="empirical", reduction="sum", rng=0, **settings)
    if names is not None:
        assert [line.name for line in pre.report().covered] == names
    seen = recorded(pre)
    loss_of(model).backward()
    given = {item.name: (item.layer, item.structured(item.gradients())) for item in pre._covered}
    packed = {
        name: layer.pack(gradient, Workspace(), dtype=np.float64).copy()
        for name, (layer, gradient) in given.items()
    }
    pre.step()
    assert set(seen) == set(given)
    for name, (layer, _) in given.items():
        expected = packed[name]
        np.testing.assert_allclose(
            remade(layer, seen[name]), expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max(), err_msg=name
        )
    for name, health in pre.health.items():
        assert (health.fallback, health.last_refresh) == ("", 0), name
    return pre, seen


def squares(*args, **kwargs):
    def loss(model):
        out = model(*args, **kwargs)
        out = out[0] if isinstance(out, tuple) else out
        return (torch.sin(3 * out) ** 2).sum()

    return loss


def double(module):
    torch.manual_seed(0)
    module = module.double()
    for p in module.parameters():
        nn.init.normal_(p, std=0.5)
    return module


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


MODULES = {
    "linear": (lambda: nn.Linear(5, 3), (6, 5), Dense),
    "linear without bias": (lambda: nn.Linear(5, 3, bias=False), (6, 5), Dense),
    "linear in time": (lambda: nn.Linear(5, 3), (6, 4, 5), Dense),
    "linear in time and space": (lambda: nn.Linear(5, 3), (6, 2, 4, 5), Dense),
    "conv1d": (lambda: nn.Conv1d(3, 4, 3, stride=2, padding=1), (5, 3, 9), Conv1d),
    "conv1d same": (lambda: nn.Conv1d(3, 4, 4, padding="same", dilation=2), (5, 3, 9), Conv1d),
    "conv2d": (lambda: nn.Conv2d(3, 4, 3, padding=1), (5, 3, 6, 7), Conv2d),
    "conv2d uneven": (
        lambda: nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(0, 2), dilation=(1, 2), bias=False),
        (5, 2, 9, 7),
        Conv2d,
    ),
    "conv2d valid": (lambda: nn.Conv2d(2, 4, 1, padding="valid"), (5, 2, 3, 3), Conv2d),
    "batch norm 1d": (lambda: nn.BatchNorm1d(4), (6, 4), ScaleShift),
    "batch norm 1d in time": (lambda: nn.BatchNorm1d(4), (6, 4, 5), ScaleShift),
    "batch norm 2d": (lambda: nn.BatchNorm2d(4, momentum=None), (6, 4, 3, 5), ScaleShift),
    "batch norm 3d": (lambda: nn.BatchNorm3d(4, track_running_stats=False), (6, 4, 2, 3, 2), ScaleShift),
    "layer norm": (lambda: nn.LayerNorm(5), (6, 5), ScaleShift),
    "layer norm in time": (lambda: nn.LayerNorm(5, bias=False), (6, 3, 5), ScaleShift),
    "layer norm of two axes": (lambda: nn.LayerNorm((3, 5)), (6, 2, 3, 5), ScaleShift),
    "group norm": (lambda: nn.GroupNorm(2, 6), (4, 6, 5), ScaleShift),
    "rms norm": (lambda: nn.RMSNorm(5), (4, 3, 5), ScaleShift),
}


@pytest.mark.parametrize("name", MODULES)
def test_what_was_seen_makes_up_the_gradient(name):
    make, shape, kind = MODULES[name]
    module = double(make())
    pre, _ = check(nn.Sequential(module), squares(normal(*shape)), ["0"])
    assert isinstance(pre._covered[0].layer, kind)


@pytest.mark.parametrize("padding", [None, 0, 3])
def test_embeddings(padding):
    module = double(nn.Embedding(7, 3, padding_idx=padding))
    index = torch.randint(0, 7, (5, 4), generator=torch.Generator().manual_seed(0))
    check(nn.Sequential(module), squares(index), ["0"])


def test_the_model_may_be_a_layer_and_take_its_input_by_name():
    check(double(nn.Linear(5, 3)), squares(input=normal(6, 5)), [""])


@pytest.mark.parametrize("module", [nn.BatchNorm2d(4), nn.Dropout(0.3)], ids=["batch norm", "dropout"])
def test_buffers_and_masks_are_those_of_one_forward_pass(module):
    x, y = normal(6, 2, 5, 5), torch.tensor([0, 1, 2, 0, 1, 2])
    models = []
    for fisher in (None, "mc", "empirical", "ggn"):
        layers = (nn.Conv2d(2, 4, 3), copy.deepcopy(module), nn.Flatten(), nn.Linear(36, 3))
        model = double(nn.Sequential(*layers))
        if fisher:
            pre = KFAC(model, fisher=fisher, rng=0)
            assert pre._capture.attached
        torch.manual_seed(5)
        backward(model, x, y)
        models.append((gradients(model), dict(model.named_buffers())))
    for other, buffers in models[1:]:
        assert all(torch.equal(models[0][0][name], g) for name, g in other.items())
        assert all(torch.equal(models[0][1][name], b) for name, b in buffers.items())


class Halves(nn.Module):
    """Changes a part of what it is given in place."""

    def __init__(self, inplace):
        super().__init__()
        self.inplace = inplace

    def forward(self, x):
        if not self.inplace:
            return torch.cat([x[..., :2].relu(), x[..., 2:]], -1)
        x[..., :2].relu_()
        return x


@pytest.mark.parametrize("fisher", ["mc", "empirical", "ggn"])
@pytest.mark.parametrize("change", [nn.ReLU, Halves])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", ["matrix", "sequence", "images", "signals", "normalized"])
def test_whatever_is_done_in_place_behind_a_layer_its_gradient_is_seen(kind, bias, change, fisher):
    values = []
    for inplace in (False, True):
        torch.manual_seed(0)
        first, x = {
            "matrix": lambda: ([nn.Linear(5, 4, bias=bias)], normal(6, 5)),
            "sequence": lambda: ([nn.Linear(5, 4, bias=bias)], normal(6, 7, 5)),
            "images": lambda: ([nn.Conv2d(5, 3, 3, bias=bias)], normal(6, 5, 4, 6)),
            "signals": lambda: ([nn.Conv1d(5, 3, 3, bias=bias)], normal(6, 5, 6)),
            "normalized": lambda: ([nn.Linear(5, 4), nn.LayerNorm(4, bias=bias)], normal(6, 7, 5)),
        }[kind]()
        layers = (*first, change(inplace), nn.Flatten(), nn.LazyLinear(3, bias=bias))
        model = nn.Sequential(*layers).double()
        with torch.no_grad():
            model(x)
        pre = KFAC(model, fisher=fisher, rng=0)
        seen = recorded(pre)
        backward(model, x, torch.arange(6) % 3)
        pre.step()
        values.append(seen)
    assert set(values[0]) == set(values[1])
    assert len(values[0]) == len(first) + 1
    for name in values[0]:
        [(_, g, _)], [(_, other, _)] = values[0][name], values[1][name]
        for one, two in zip(g, other, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("fisher", ["mc", "empirical"])
def test_activations_in_place_behind_a_layer_do_no_harm(fisher):
    x, y = data(8, 5, 3)
    values = []
    for inplace in (False, True):
        torch.manual_seed(0)
        layers = (
            nn.Linear(5, 6),
            nn.ReLU(inplace),
            nn.Linear(6, 4),
            nn.Hardtanh(inplace=inplace),
            nn.Linear(4, 3),
        )
        model = nn.Sequential(*layers).double()
        pre = KFAC(model, fisher=fisher, rng=0)
        backward(model, x, y)
        pre.step()
        values.append([block.left.value for block in pre.engine._blocks.values()])
    for a, b in zip(*values, strict=True):
        np.testing.assert_array_equal(a, b)


def test_channels_last_changes_nothing_and_is_not_copied_here():
    x, y = data(8, 2 * 6 * 6, 3)
    values = []
    for form in (torch.contiguous_format, torch.channels_last):
        layers = (
            nn.Conv2d(2, 4, 3),
            nn.ReLU(),
            nn.Conv2d(4, 4, 3),
            nn.BatchNorm2d(4),
            nn.Flatten(),
            nn.Linear(16, 3),
        )
        model = double(nn.Sequential(*layers)).to(memory_format=form)
        pre = KFAC(model, "exact", fisher="empirical", reduction="sum", rng=0)
        seen = recorded(pre)
        images = x.view(8, 2, 6, 6).contiguous(memory_format=form)
        backward(model, images, y, reduction="sum")
        pre.step()
        assert seen["0"][0][0][0].ctypes.data == images.data_ptr()
        values.append(gradients(model))
    assert not model[2].weight.is_contiguous()
    for name, g in values[0].items():
        torch.testing.assert_close(values[1][name], g, rtol=1e-8, atol=1e-10)


# -- attention ---------------------------------------------------------------------------------------------

ROLES = ["q", "k", "v", "out_proj"]


class Attention(nn.Module):
    def __init__(self, **settings):
        super().__init__()
        self.inner = nn.MultiheadAttention(8, 2, **settings)

    def forward(self, *args, **kwargs):
        return self.inner(*args, **kwargs)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("case", ["self", "cross", "widths"])
def test_projections_of_attention_are_layers(case, bias, batch_first):
    widths = {"kdim": 5, "vdim": 6} if case == "widths" else {}
    model = double(Attention(batch_first=batch_first, bias=bias, **widths))
    q = normal(3, 4, 8)
    k = q if case == "self" else normal(3, 7, 5 if widths else 8)
    v = k if case != "widths" else normal(3, 7, 6)
    args = (q, k, v) if batch_first else tuple(x.transpose(0, 1) for x in (q, k, v))
    pre, seen = check(model, squares(*args), [f"inner.{role}" for role in ROLES])
    assert {samples for [(_, _, samples)] in seen.values()} == {3}
    assert [line.name for line in pre.report().skipped] == []


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({"add_zero_attn": True}, {"need_weights": False}),
        ({"add_bias_kv": True}, {"average_attn_weights": False}),
        ({"dropout": 0.4}, {}),
        ({"dropout": 0.4}, {"need_weights": False}),
        ({}, {"attn_mask": torch.ones(4, 4).triu(1).bool(), "is_causal": True}),
        ({}, {"key_padding_mask": torch.tensor([[0, 0, 0, 1]] * 3).bool()}),
        ({"batch_first": True}, {"attn_mask": torch.zeros(4, 4, dtype=torch.float64)}),
    ],
)
def test_attention_returns_what_it_returns_without_hooks(settings, options):
    model = double(Attention(**settings))
    x = normal(4, 3, 8)
    if settings.get("batch_first"):
        x = x.transpose(0, 1)
    outputs = []
    for hooked in (False, True):
        if hooked:
            pre = KFAC(model, fisher="empirical")
        torch.manual_seed(3)
        outputs.append((*model(x, x, x, **options), torch.get_rng_state()))
    assert "forward" in model.inner.__dict__
    for plain, other in zip(*outputs, strict=True):
        assert (plain is None) == (other is None)
        if plain is not None:
            torch.testing.assert_close(plain, other, rtol=1e-12, atol=1e-14)
    pre.remove()
    assert "forward" not in model.inner.__dict__
    left = {line.name for line in pre.report().skipped}
    assert left == ({"inner.bias_k", "inner.bias_v"} if "add_bias_kv" in settings else set())


def test_attention_without_a_batch_is_one_sample():
    x = normal(4, 8)
    _, seen = check(double(Attention()), squares(x, x, x))
    assert {samples for [(_, _, samples)] in seen.values()} == {1}


def test_directions_of_projections_go_into_their_rows_of_the_gradient():
    model, x = double(Attention(batch_first=True)), normal(6, 4, 8)
    pre = KFAC(model, "exact", fisher="empirical", reduction="sum", damping=0.1)
    squares(x, x, x)(model).backward()
    before = gradients(model)
    pre.step()
    after = gradients(model)
    for k, role in enumerate("qkv"):
        part = slice(8 * k, 8 * k + 8)
        given = before["inner.in_proj_weight"][part], before["inner.in_proj_bias"][part]
        weight, bias = pre.engine.precondition({f"inner.{role}": given})[f"inner.{role}"]
        torch.testing.assert_close(after["inner.in_proj_weight"][part], weight)
        torch.testing.assert_close(after["inner.in_proj_bias"][part], bias)


def test_frozen_and_skipped_attention_is_reported():
    model = nn.Sequential(Attention(), nn.Linear(8, 3))
    model[0].inner.in_proj_weight.requires_grad_(False)
    report = KFAC(model).report()
    assert [line.name for line in report.covered] == ["0.inner.out_proj", "1"]
    assert [line.name for line in report.skipped] == ["0.inner.q", "0.inner.k", "0.inner.v"]
    report = KFAC(model, skip=["0"]).report()
    assert [(line.name, line.why) for line in report.skipped] == [("0.inner", "as asked")]


def test_a_copy_of_a_model_with_hooks_is_its_own():
    model = double(Attention())
    pre = KFAC(model, fisher="empirical", reduction="sum")
    other = copy.deepcopy(model)
    seen = recorded(pre)
    with torch.no_grad():
        for p in other.parameters():
            p.zero_()
    x = normal(4, 3, 8)
    assert not other(x, x, x)[0].any()
    assert pre._capture.passes == []

    class Student(nn.Module):
        """Calls a copy of what is trained on the way."""

        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(8, 8)
            self.__dict__["teacher"] = None

        def forward(self, x):
            y = self.inner(x)
            return y if self.teacher is None else y - self.teacher(y)

    squares(x, x, x)(model).backward()
    pre.step()
    assert set(seen) == {f"inner.{role}" for role in ROLES}
    student = double(Student())
    pre = KFAC(student, fisher="empirical", reduction="sum")
    student.__dict__["teacher"] = copy.deepcopy(student)
    squares(x)(student).backward()
    pre.step()
    assert not pre.health["inner"].fallback


class Fused(nn.Module):
    """Attention as it is mostly written today: one Linear makes queries, keys and values."""

    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        return self.proj(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def test_one_linear_of_queries_keys_and_values():
    pre, _ = check(double(Fused()), squares(normal(5, 4, 8)), ["qkv", "proj"])
    assert pre._covered[0].layer.shape == (24, 9)


def test_a_transformer_trains_and_its_evaluation_is_left_alone():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.encoder = nn.Embedding(9, 8), nn.TransformerEncoder(layer, 2)
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            return self.head(self.encoder(self.embed(x)).mean(1))

    model = Classifier()
    x = torch.randint(0, 9, (64, 5))
    y = (x == 0).any(1).long()
    pre = KFAC(model, damping=0.1, clip=RMSClip(), stats_every=1, inv_every=5, rng=0)
    assert len(pre.report().covered) == 18
    assert not pre.report().skipped
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.5)
    losses = []
    for _ in range(40):
        model.eval()
        with torch.no_grad():
            model(x)
        model.train()
        optimizer.zero_grad()
        losses.append(backward(model, x, y).item())
        pre.step()
        optimizer.step()
    assert losses[-1] < 0.3 * losses[0]
    assert not any(health.fallback for health in pre.health.values())


# -- shared layers -----------------------------------------------------------------------------------------


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(5, 5)

    def forward(self, x):
        return self.inner(torch.tanh(self.inner(x)))


@pytest.mark.parametrize("sharing", ["expand", "reduce"])
@pytest.mark.parametrize("cuts", [[9], [4, 5]])
def test_a_module_used_twice_is_a_shared_layer(cuts, sharing):
    x = normal(9, 5)

    def loss(model):
        return sum((torch.sin(model(part)) ** 2).sum() for part in x.split(cuts))

    model = double(Twice())
    pre = KFAC(model, fisher="empirical", reduction="sum", sharing=sharing)
    seen = recorded(pre)
    loss(model).backward()
    V = np.column_stack([model.inner.weight.grad, model.inner.bias.grad])
    pre.step()
    [(a, g, samples)] = seen["inner"]
    rows = Dense(5, 5, sharing="expand").rows(a, g, Workspace(), dtype=np.float64, samples=samples)
    assert (rows.samples, rows.uses) == (9, 2)
    np.testing.assert_allclose(rows.g.T @ rows.a, V, rtol=1e-10)
    # By the definition of both kinds of sharing.
    A, G = (part.reshape(9, 2, -1) for part in (rows.a, rows.g))
    if sharing == "reduce":
        A, G = A.mean(1, keepdims=True), G.sum(1, keepdims=True)
    block = pre.engine._blocks["inner"]
    np.testing.assert_allclose(block.right.value, np.einsum("nti,ntj->ij", A, A) / 9, rtol=1e-10)
    np.testing.assert_allclose(
        block.left.value, np.einsum("nti,ntj->ij", G, G) / (9 * A.shape[1]), rtol=1e-10, atol=1e-14
    )


def test_a_module_may_be_used_at_inputs_of_several_sizes():
    class Pyramid(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.scale = nn.Conv2d(3, 2, 3, padding=1), nn.BatchNorm2d(2)

        def forward(self, x):
            coarse = nn.functional.avg_pool2d(x, 2)
            return torch.cat([self.scale(self.head(part)).flatten(1) for part in (x, coarse)], 1)

    check(double(Pyramid()), squares(normal(5, 3, 6, 4)), ["head", "scale"])


@pytest.mark.parametrize("curvature", ["exact", "ekfac"])
def test_passes_of_several_lengths_all_count_with_their_samples(curvature):
    model = double(nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)))
    pre = KFAC(model, curvature, fisher="empirical", reduction="sum", stats_every=1, rng=0)
    parts = [normal(4, 3, 5), normal(3, 7, 5), 2 * normal(4, 3, 5), normal(6, 1, 5)]
    for _ in range(2):  # at the second, E-KFAC has moments of its own
        seen = recorded(pre)
        model.zero_grad()
        for part in parts:
            squares(part)(model).backward()
        before = [block.right.value for block in _bases(pre)], [b.left.value for b in _bases(pre)]
        pre.step()
    [(a, g, samples)] = seen["0"]
    assert samples == sum(map(len, a)) == 17
    # Every use of every sample, averaged over the 17 samples, or over all 51 rows.
    A = sum(np.einsum("nti,ntj->ij", *[np.concatenate([x, np.ones((*x.shape[:2], 1))], 2)] * 2) for x in a)
    G = sum(np.einsum("nti,ntj->ij", y, y) for y in g)
    right, left = _bases(pre)[0].right, _bases(pre)[0].left
    for factor, old, now in ((right, before[0][0], A / 17), (left, before[1][0], G / 51)):
        share = (1 - 0.95) / (1 - 0.95**2)
        np.testing.assert_allclose(factor.value, share * now + (1 - share) * old, rtol=1e-9, atol=1e-14)
    assert not any(health.fallback for health in pre.health.values())


def _bases(pre):
    return [getattr(block, "base", block) for block in pre.engine.blocks.values()]


def test_of_passes_that_share_a_layer_at_several_lengths_those_with_most_samples_count():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(5, 5)

        def forward(self, x):
            return self.inner(torch.tanh(self.inner(x)))

    pre = KFAC(model := double(Twice()), fisher="empirical", reduction="sum", rng=0)
    seen = recorded(pre)
    for part in (normal(4, 3, 5), normal(3, 7, 5), 2 * normal(4, 3, 5), normal(6, 2, 5)):
        squares(part)(model).backward()
    pre.step()
    [(a, _, samples)] = seen["inner"]
    assert samples == 8
    assert [x.shape for x in a] == [(8, 3, 5)] * 2
    assert not any(health.fallback for health in pre.health.values())


def test_passes_may_use_different_layers():
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.heads = nn.Linear(5, 4), nn.ModuleList([nn.Linear(4, 3), nn.Linear(4, 2)])

        def forward(self, x, k):
            return self.heads[k](torch.tanh(self.body(x)))

    def loss(model):
        return sum((torch.sin(model(normal(4 + k, 5), k)) ** 2).sum() for k in (0, 1))

    _, seen = check(double(Heads()), loss, ["body", "heads.0", "heads.1"])
    assert {name: samples for name, [(_, _, samples)] in seen.items()} == {
        "body": 9,
        "heads.0": 4,
        "heads.1": 5,
    }


def test_modules_that_share_all_parameters_are_one_layer():
    model = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    model[2].weight, model[2].bias = model[0].weight, model[0].bias
    check(model, squares(normal(6, 5)), ["0", "4"])


def test_a_weight_tied_to_another_kind_of_layer_is_skipped_in_both():
    model = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 4), nn.Linear(4, 7, bias=False))
    model[2].weight = model[0].weight
    report = KFAC(model).report()
    assert [line.name for line in report.covered] == ["1"]
    assert {line.name: line.why for line in report.skipped} == {"0": "shared with 2", "2": "shared with 0"}


@pytest.mark.parametrize("fisher", ["mc", "empirical", "ggn"])
def test_recomputed_activations_are_seen_once(fisher):
    class Checkpointed(nn.Module):
        def __init__(self, recompute):
            super().__init__()
            self.body, self.head, self.recompute = mlp(5, 6, 6), nn.Linear(6, 3).double(), recompute

        def forward(self, x):
            y = checkpoint(self.body, x, use_reentrant=False) if self.recompute else self.body(x)
            return self.head(y)

    x, y = data(8, 5, 3)
    values = []
    for recompute in (False, True):
        torch.manual_seed(1)
        model = Checkpointed(recompute)
        pre = KFAC(model, fisher=fisher, rng=0)
        backward(model, x, y)
        pre.step()
        values.append([b.left.value for b in pre.engine._blocks.values()] + [*gradients(model).values()])
    for a, b in zip(*values, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


def test_modules_that_have_no_curvature_here_are_skipped():
    class Many(nn.Module):
        def __init__(self):
            super().__init__()
            self.grouped = nn.Conv2d(4, 4, 3, groups=2)
            self.around = nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular")
            self.up, self.rnn = nn.ConvTranspose2d(4, 4, 3), nn.GRU(4, 4)
            self.sparse = nn.Embedding(5, 4, sparse=True)
            self.bare = nn.LayerNorm(4, elementwise_affine=False)
            self.head = nn.Linear(4, 2)

    report = KFAC(Many()).report()
    assert [line.name for line in report.covered] == ["head"]
    assert {line.name: line.why for line in report.skipped} == {
        "grouped": "convolution in 2 groups",
        "around": "padding mode circular",
        "up": "no curvature for ConvTranspose2d",
        "rnn": "no curvature for GRU",
        "sparse": "an embedding with sparse, renormalized or rescaled gradients",
    }

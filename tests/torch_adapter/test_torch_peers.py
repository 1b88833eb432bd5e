# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The same preconditioned gradients as other libraries give, where their conventions are ours.

curvlinops (`KFACInverseLinearOperator`, one block for weight and bias, a mean loss) is ours under Exact and
Tikhonov damping. It puts the number T of positions of a convolution into the factor of the gradients, we into
that of the inputs: their product is one, and so are all dampings that do not see the factors apart. Under
Absolute damping its two numbers are therefore ours over T and times T. Its E-KFAC (`EKFACLinearOperator`) is
ours where positions are uses of their own; where they are reduced, ours takes the gradient of a sample to be
that of the reduced rows.

asdl (`KfacGradientMaker`) damps as Tikhonov. It gives the bias a block of its own, so that nets without
biases are compared.
"""

import contextlib

import pytest

pytest.importorskip("torch.nn", reason="PyTorch is not installed")

import torch
from torch import nn
from torch_nets import backward, data

from randnla.curvature import Absolute, Exact, Tikhonov
from randnla.torch import KFAC

DAMPING = 0.03
OF_CURVLINOPS = {
    Exact: {"use_exact_damping": True},
    Tikhonov: {"use_heuristic_damping": True},
    Absolute: {},
}


def ours(model, x, y, **settings):
    """Gradients before, and directions."""
    pre = KFAC(model, "exact", **settings)
    model.zero_grad()
    backward(model, x, y)
    before = [p.grad.clone() for p in model.parameters()]
    pre.step()
    pre.remove()
    assert not any(health.fallback for health in pre.health.values())
    return before, [p.grad.clone() for p in model.parameters()]


def convolutions():
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(2, 4, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 3, 2),
        nn.Flatten(),
        nn.Linear(12, 3),
    )
    return nn.Sequential(*layers).double()


def dense():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(50, 6), nn.Tanh(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).double()


def theirs(
    curvlinops,
    model,
    x,
    y,
    gradients,
    *,
    fisher,
    sharing,
    damping,
    form="KFACLinearOperator",
    **settings,
):
    K = getattr(curvlinops, form)(
        model,
        nn.CrossEntropyLoss(),
        list(model.parameters()),
        [(x, y)],
        fisher_type={"ggn": "type-2", "empirical": "empirical"}[fisher],
        kfac_approx=sharing,
        separate_weight_and_bias=False,
        check_deterministic=False,
    )
    return curvlinops.KFACInverseLinearOperator(K, damping=damping, **settings) @ gradients


def shaped(net):
    x, y = data(9, 50, 3)
    return (x.view(9, 2, 5, 5) if net is convolutions else x), y


@pytest.mark.parametrize("form", [Exact, Tikhonov])
@pytest.mark.parametrize("sharing", ["expand", "reduce"])
@pytest.mark.parametrize("fisher", ["ggn", "empirical"])
@pytest.mark.parametrize("net", [dense, convolutions])
def test_curvlinops(net, fisher, sharing, form):
    curvlinops = pytest.importorskip("curvlinops")
    model, (x, y) = net(), shaped(net)
    before, after = ours(model, x, y, fisher=fisher, sharing=sharing, damping=form(DAMPING))
    given = {"fisher": fisher, "sharing": sharing, "damping": DAMPING, **OF_CURVLINOPS[form]}
    for a, b in zip(after, theirs(curvlinops, model, x, y, before, **given), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("fisher", ["ggn", "empirical"])
def test_curvlinops_with_a_number_for_each_factor(fisher):
    curvlinops = pytest.importorskip("curvlinops")
    model, (x, y) = dense(), shaped(dense)
    before, after = ours(model, x, y, fisher=fisher, damping=Absolute(DAMPING))
    given = {"fisher": fisher, "sharing": "expand", "damping": DAMPING}
    for a, b in zip(after, theirs(curvlinops, model, x, y, before, **given), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    # Where a layer is used at T = 9 and 4 positions, the numbers are split otherwise.
    model, (x, y) = convolutions(), shaped(convolutions)
    before, after = ours(model, x, y, fisher=fisher, damping=Absolute(DAMPING))
    for first, T in ((0, 9), (2, 4), (4, 1)):
        given["damping"] = DAMPING / T, DAMPING * T
        both = slice(first, first + 2)
        made = theirs(curvlinops, model, x, y, before, **given)[both]
        for a, b in zip(after[both], made, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("fisher", ["ggn", "empirical"])
@pytest.mark.parametrize("net", [dense, convolutions])
def test_curvlinops_with_second_moments_in_the_eigenbasis(net, fisher):
    curvlinops = pytest.importorskip("curvlinops")
    model, (x, y) = net(), shaped(net)
    pre = KFAC(
        model, "ekfac", fisher=fisher, damping=Exact(DAMPING), ema=0.0, stats_every=1, inv_every=100, rng=0
    )
    for _ in range(2):  # the first batch has the basis made, the second one is averaged in it
        model.zero_grad()
        backward(model, x, y)
        before = [p.grad.clone() for p in model.parameters()]
        pre.step()
    pre.remove()
    after = [p.grad.clone() for p in model.parameters()]
    given = {"fisher": fisher, "sharing": "expand", "damping": DAMPING, "use_exact_damping": True}
    made = theirs(curvlinops, model, x, y, before, form="EKFACLinearOperator", **given)
    for a, b in zip(after, made, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore:Using a non-full backward hook:FutureWarning")
@pytest.mark.parametrize("fisher", ["ggn", "empirical"])
def test_asdl(fisher, monkeypatch):
    pytest.importorskip("asdl")
    from asdl.precondition import KfacGradientMaker, PreconditioningConfig

    # It marks ranges for a profiler of CUDA devices, which CPU builds of PyTorch refuse.
    monkeypatch.setattr(torch.cuda.nvtx, "range", lambda *args, **kwargs: contextlib.nullcontext())
    torch.manual_seed(0)
    layers = (nn.Linear(50, 6, bias=False), nn.Tanh(), nn.Linear(6, 3, bias=False))
    model, (x, y) = nn.Sequential(*layers).double(), data(9, 50, 3)
    _, after = ours(model, x, y, fisher=fisher, damping=Tikhonov(DAMPING))
    model.zero_grad()
    kind = {"ggn": "fisher_exact", "empirical": "fisher_emp"}[fisher]
    maker = KfacGradientMaker(model, PreconditioningConfig(data_size=9, damping=DAMPING), fisher_type=kind)
    output = maker.setup_model_call(model, x)
    maker.setup_loss_call(nn.functional.cross_entropy, output, y, reduction="sum")
    maker.forward_and_backward()
    for a, p in zip(after, model.parameters(), strict=True):
        torch.testing.assert_close(a, p.grad, rtol=1e-9, atol=1e-12)

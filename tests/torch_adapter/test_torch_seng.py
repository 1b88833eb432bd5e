# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""SENG between the backward pass of a PyTorch model and its optimizer: against gradients sample by sample."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from randnla._backend.errors import InputError
from randnla.curvature import Absolute
from randnla.torch import SENG


class Scaled(nn.Module):
    """A layer with a parameter that no curvature covers."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, padding=1)
        self.out = nn.Linear(3 * 16, 4)
        self.gain = nn.Parameter(torch.full((4,), 1.5))

    def forward(self, x):
        return self.out(torch.tanh(self.conv(x)).flatten(1)) * self.gain


def problem(n=6):
    torch.manual_seed(0)
    model = Scaled().double()
    return model, torch.randn(n, 2, 4, 4).double(), torch.randint(0, 4, (n,))


def test_gradients_become_those_of_the_dense_empirical_fisher_matrix() -> None:
    model, x, y = problem()
    rows = []
    for one, label in zip(x, y, strict=True):
        model.zero_grad()
        nn.functional.cross_entropy(model(one[None]), label[None]).backward()
        rows.append({name: p.grad.clone() for name, p in model.named_parameters()})
    model.zero_grad()
    pre = SENG(model, damping=Absolute(0.3), rank=None)
    nn.functional.cross_entropy(model(x), y).backward()
    plain = {name: p.grad.clone() for name, p in model.named_parameters()}
    pre.step()
    for layer in ("conv", "out"):
        names = f"{layer}.weight", f"{layer}.bias"
        U = torch.stack([torch.cat([row[name].ravel() for name in names]) for row in rows]) / len(rows) ** 0.5
        V = torch.cat([plain[name].ravel() for name in names])
        wanted = torch.linalg.solve(U.T @ U + 0.3 * torch.eye(len(V), dtype=V.dtype), V)
        found = torch.cat([dict(model.named_parameters())[name].grad.ravel() for name in names])
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(model.gain.grad, plain["gain"] / 1.3, rtol=1e-14, atol=0)


def test_a_nan_leaves_all_gradients_as_they_are() -> None:
    model, x, y = problem()
    pre = SENG(model)
    nn.functional.cross_entropy(model(x), y).backward()
    model.out.bias.grad[0] = float("nan")
    before = model.gain.grad.clone()
    pre.step()
    assert torch.equal(model.gain.grad, before)
    assert pre.health["out"].skipped_gradients == 1


def test_a_state_goes_on_bit_for_bit() -> None:
    found = []
    state = None
    for part in (range(4), range(2), range(2, 4)):
        model, x, y = problem()
        pre = SENG(model, stats_every=2, inv_every=2, sketch=5, rng=part.start)
        if part.start:
            model.load_state_dict(state[0])
            pre.load_state_dict(state[1])
        for _ in part:
            model.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            pre.step()
            with torch.no_grad():
                for p in model.parameters():
                    p.sub_(0.1 * p.grad)
        state = model.state_dict(), pre.state_dict()
        found.append(torch.cat([p.detach().ravel() for p in model.parameters()]))
    assert torch.equal(found[0], found[2])


def test_it_trains_and_refuses_another_curvature() -> None:
    torch.manual_seed(0)
    x = torch.randn(200, 8)
    y = x[:, :3].argmax(dim=1)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
    pre, optimizer = SENG(model), torch.optim.SGD(model.parameters(), 0.5)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        pre.step()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]
    with pytest.raises(InputError, match="curvature: not a setting of SENG"):
        SENG(model, curvature="rs")

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Products with the exact Fisher matrix against Jacobians, and what they leave alone."""

import numpy as np
import pytest

pytest.importorskip("torch.nn", reason="PyTorch is not installed")

import torch
from torch import nn
from torch_nets import backward, data, gradients, mlp

from randnla._backend.errors import InputError
from randnla.torch import KFAC, fisher_form


def directions_of(model, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        {
            name: torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p.dtype)
            for name, p in model.named_parameters()
        }
        for _ in range(count)
    ]


def flat(direction):
    return torch.cat([part.reshape(-1) for part in direction.values()])


def jacobians(model, x):
    """Of the outputs in all parameters, row by row of backward passes: (samples, outputs, parameters)."""
    z = model(x)
    rows = [
        torch.cat(
            [g.reshape(-1) for g in torch.autograd.grad(entry, list(model.parameters()), retain_graph=True)]
        )
        for entry in z.reshape(-1)
    ]
    return z.detach(), torch.stack(rows).reshape(*z.shape, -1)


@pytest.mark.parametrize("likelihood", ["categorical", "bernoulli", "gaussian"])
def test_forms_are_those_of_the_dense_matrix(likelihood):
    model, (x, _) = mlp(4, 5, 3), data(6, 4, 3)
    z, J = jacobians(model, x)
    p, q = torch.softmax(z, 1), torch.sigmoid(z)
    H = {
        "categorical": torch.diag_embed(p) - p[:, :, None] * p[:, None],
        "bernoulli": torch.diag_embed(q * (1 - q)),
        "gaussian": torch.eye(3, dtype=z.dtype).expand(6, 3, 3),
    }[likelihood]
    F = torch.einsum("ncp,ncd,ndq->pq", J, H, J) / 6
    given = directions_of(model, 2)
    U = torch.stack([flat(d) for d in given])
    form = fisher_form(model, x, given, likelihood=likelihood)
    assert form.dtype == np.float64
    np.testing.assert_allclose(form, (U @ F @ U.T).numpy(), rtol=1e-10)


def test_a_direction_that_all_classes_share_has_no_length():
    # Logits moved together leave the probabilities alone: cancellation must not leave rounding behind.
    model = nn.Sequential(nn.Linear(3, 4))
    form = fisher_form(model, torch.ones(5, 3), [{"0.bias": torch.full((4,), 1e3)}])
    assert 0 <= form[0, 0] <= 1e-20


@pytest.mark.parametrize("compiled", [False, True])
def test_buffers_random_numbers_and_parameters_are_left_alone(compiled):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    called = torch.compile(model, backend="eager") if compiled else model
    given = directions_of(model, 2)
    first = fisher_form(called, data(8, 4, 3, dtype=torch.float32)[0], given)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    # One mask for all directions: the form is bilinear, so that the sum of both has the sum of all entries.
    both = {name: given[0][name] + given[1][name] for name in given[0]}
    again = fisher_form(called, data(8, 4, 3, dtype=torch.float32)[0], [both])
    assert again[0, 0] == pytest.approx(first.sum(), rel=1e-4)


def test_kfac_is_the_exact_fisher_matrix_of_one_sample_of_one_layer():
    model, x = mlp(4, 3), data(1, 4, 3)[0]
    pre = KFAC(model, "exact", fisher="ggn")
    (model(x) ** 2).sum().backward()
    pre.step()
    block, [given] = pre.engine._blocks["0"], directions_of(model, 1)
    V = np.column_stack([given["0.weight"], given["0.bias"]])
    expected = np.sum(V * (block.left.value @ V @ block.right.value))
    np.testing.assert_allclose(fisher_form(model, x, [given])[0, 0], expected, rtol=1e-10)


def test_a_rescaled_step_lowers_the_loss_by_what_the_quadratic_says():
    quadratic = pytest.importorskip("randnla.curvature.quadratic")
    x, y = data(64, 5, 3)
    model = mlp(5, 6, 3)
    pre = KFAC(model, "exact", fisher="ggn", damping=0.1)
    loss = backward(model, x, y).item()
    slope = gradients(model)
    pre.step()
    update = {name: -g for name, g in gradients(model).items()}
    slopes = sum(float((slope[name] * update[name]).sum()) for name in update)
    fisher = fisher_form(model, x, [update])
    found = quadratic.minimize_quadratic(
        fisher, [[float(flat(update) @ flat(update))]], [slopes], damping=1e-3
    )
    with torch.no_grad():
        for name, p in model.named_parameters():
            p += found.alpha * update[name]
        after = nn.functional.cross_entropy(model(x), y).item()
    assert found.value < -0.05
    assert after - loss == pytest.approx(found.value, rel=0.5)


def test_arguments_are_checked():
    model, x = mlp(4, 3), data(2, 4, 3)[0]
    with pytest.raises(InputError, match=r"directions: expected names of parameters of the model, got 'w'"):
        fisher_form(model, x, [{"w": torch.ones(1)}])
    with pytest.raises(InputError, match=r"directions: expected shape \(3, 4\) for '0.weight', got \(4, 3\)"):
        fisher_form(model, x, [{"0.weight": torch.ones(4, 3)}])
    with pytest.raises(InputError, match="directions: expected at least one parameter"):
        fisher_form(model, x, [{}])
    with pytest.raises(InputError, match="likelihood: expected one of"):
        fisher_form(model, x, directions_of(model, 1), likelihood="poisson")

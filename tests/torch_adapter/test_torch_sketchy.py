# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""SketchySGD for PyTorch: products against dense Hessians, steps against the engine, states that resume."""

import copy
import io

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from randnla import InputError, StateError, curvature  # noqa: E402
from randnla.torch import SketchySGD  # noqa: E402
from randnla.torch.products import flat_products, gauss_newton_along, hessian_along  # noqa: E402

functional = torch.nn.functional


def net(dtype=torch.float64):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).to(dtype)


def batch(k=0, dtype=torch.float64):
    x = torch.sin(torch.arange(30.0).reshape(10, 3) * 1.3 + k).to(dtype)
    return x, torch.cos(2 * x[:, :2])


def closure_of(model, k=0, outputs=True):
    def closure():
        x, y = batch(k, next(model.parameters()).dtype)
        z = model(x)
        loss = functional.mse_loss(z, y)
        return (loss, z) if outputs else loss

    return closure


def numbers(model):
    return torch.cat([p.detach().ravel() for p in model.parameters()])


def dense_hessian(model, loss_of):
    """Of the flat parameters, row by row."""
    shapes = {name: p.detach() for name, p in model.named_parameters()}

    def flat_loss(flat):
        parts, start = {}, 0
        for name, p in shapes.items():
            parts[name] = flat[start : start + p.numel()].view(p.shape)
            start += p.numel()
        return loss_of(lambda x: torch.func.functional_call(model, parts, (x,)))

    return torch.autograd.functional.hessian(flat_loss, numbers(model)).numpy()


def products(model, kind, chunk):
    params = list(model.parameters())
    loss, z = closure_of(model)()
    gradient = torch.autograd.grad(loss, params, create_graph=True)
    along = hessian_along(gradient, params) if kind == "hessian" else gauss_newton_along(loss, z, params)
    return flat_products(along, params, chunk=chunk, dtype=torch.float64)(np.eye(26))


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_products_are_those_of_the_dense_matrices(chunk):
    model = net()
    x, y = batch()
    exact = dense_hessian(model, lambda f: functional.mse_loss(f(x), y))
    np.testing.assert_allclose(products(model, "hessian", chunk), exact, atol=1e-14)
    # mse_loss is the mean over 20 numbers: its Hessian in the outputs is 2 / 20.
    J = torch.autograd.functional.jacobian(
        lambda *p: torch.func.functional_call(
            model, dict(zip([n for n, _ in model.named_parameters()], p, strict=True)), (x,)
        ).ravel(),
        tuple(model.parameters()),
    )
    J = torch.cat([part.reshape(20, -1) for part in J], dim=1)
    np.testing.assert_allclose(products(model, "ggn", chunk), (J.T @ J / 10).numpy(), atol=1e-14)


def test_parameters_and_losses_without_curvature():
    linear, unused = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2))
    loss = (linear * torch.arange(3.0)).sum()
    params = [linear, unused]
    gradient = torch.autograd.grad(loss, params, create_graph=True, allow_unused=True)
    made = flat_products(hessian_along(gradient, params), params, chunk=4, dtype=torch.float32)
    np.testing.assert_array_equal(made(np.eye(5, dtype=np.float32)), np.zeros((5, 5)))
    optimizer = SketchySGD(params, rho=0.25, rng=0)
    optimizer.step(lambda: (linear * torch.arange(3.0)).sum())
    # No curvature: half a gradient step.
    np.testing.assert_allclose(linear.detach(), 1 - np.arange(3) / 2, atol=1e-6)
    np.testing.assert_array_equal(unused.detach(), [1, 1])


@pytest.mark.parametrize("kind", ["hessian", "ggn"])
def test_a_step_is_that_of_the_engine(kind):
    model = net()
    engine = curvature.SketchySGD(6, 1e-2, ridge=1e-3, rng=5)
    H, G = products(model, "hessian", 1), products(model, "ggn", 1)
    F = products(trained := copy.deepcopy(model), "hessian", 1)  # the same batch: its own Hessian
    if kind == "ggn":
        engine.update(hvp=lambda V: G @ V, dim=26, fresh=lambda V: F @ V)
    else:
        engine.update(hvp=lambda V: H @ V, ggn=lambda V: G @ V, dim=26)
    w = numbers(model)
    loss, _ = closure_of(model)()
    g = torch.cat([p.ravel() for p in torch.autograd.grad(loss, list(model.parameters()))]) + 1e-3 * w
    exact = w - 0.7 * engine.learning_rate * engine.direction(g)
    optimizer = SketchySGD(
        trained.parameters(), 0.7, rank=6, rho=1e-2, weight_decay=1e-3, curvature=kind, rng=5
    )
    returned = optimizer.step(closure_of(trained))
    assert returned.item() == pytest.approx(loss.item())
    assert not returned.requires_grad
    # Both sketch the same matrix with the same test matrix: only rounding differs.
    np.testing.assert_allclose(numbers(trained), exact, rtol=1e-6, atol=1e-8)
    assert optimizer.learning_rates == pytest.approx([engine.learning_rate], rel=1e-6)
    assert optimizer.health[0].fallback == engine.health.fallback == ("" if kind == "ggn" else "Gauss-Newton")


def test_an_indefinite_hessian_without_outputs_is_told():
    model = net()
    optimizer = SketchySGD(model.parameters(), rng=0)
    optimizer.step(closure_of(model, outputs=False))
    assert optimizer.health[0].fallback == "absolute values"
    assert "indefinite" in optimizer.health[0].reason


def test_training_descends_and_sketches_on_schedule():
    model = net(torch.float32)
    optimizer = SketchySGD(model.parameters(), update_every=5, momentum=0.5, lr=0.5, rng=0)
    calls = []

    def fresh():
        calls.append(len(losses))
        return closure_of(model, 1)()

    losses = []
    for k in range(40):
        losses.append(optimizer.step(closure_of(model, k % 3), fresh).item())
    assert calls == list(range(0, 40, 5))
    assert optimizer.health[0].last_refresh == 8
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])


def test_a_fixed_rate_and_a_rho_that_changes():
    model = net()
    optimizer = SketchySGD(model.parameters(), 0.01, rate="fixed", rank=26, rho=1e-2, curvature="ggn", rng=0)
    G = products(model, "ggn", 1)
    before = numbers(model)
    loss, _ = closure_of(model)()
    g = torch.cat([p.ravel() for p in torch.autograd.grad(loss, list(model.parameters()))]).numpy()
    optimizer.step(closure_of(model))
    exact = before.numpy() - 0.01 * np.linalg.solve(G + 1e-2 * np.eye(26), g)
    np.testing.assert_allclose(numbers(model), exact, rtol=1e-8, atol=1e-10)
    optimizer.param_groups[0]["rho"] = 1e6  # a gradient step of 1e-8
    before = numbers(model)
    optimizer.step(closure_of(model))
    assert torch.abs(numbers(model) - before).max() < 1e-7


@pytest.mark.parametrize("groups", [1, 2])
def test_states_resume_bit_for_bit(groups):
    def made(seed=0):
        model = net(torch.float32)
        params = (
            list(model.parameters())
            if groups == 1
            else [
                {"params": list(model[0].parameters())},
                {"params": list(model[2].parameters()), "rank": 3, "rho": 0.1, "lr": 0.5},
            ]
        )
        return model, SketchySGD(params, update_every=4, momentum=0.3, rng=seed)

    def run(model, optimizer, start, stop):
        for k in range(start, stop):
            optimizer.step(closure_of(model, k), closure_of(model, k + 1))

    model, optimizer = made()
    run(model, optimizer, 0, 6)
    held = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, held)
    run(model, optimizer, 6, 12)
    held.seek(0)
    saved = torch.load(held, weights_only=True)
    other, resumed = made(seed=9)
    other.load_state_dict(saved["model"])
    resumed.load_state_dict(saved["optimizer"])
    run(other, resumed, 6, 12)
    np.testing.assert_array_equal(numbers(other), numbers(model))
    assert len(optimizer.health) == groups
    bad = optimizer.state_dict()
    bad["flats"][0]["engine"]["top"] = 3.0
    with pytest.raises(StateError, match="digest"):
        resumed.load_state_dict(bad)


def test_gradients_that_are_not_finite_are_no_steps():
    model = net()
    optimizer = SketchySGD(model.parameters(), rng=0)
    for _ in range(2):
        before = numbers(model)
        state = copy.deepcopy(optimizer.state_dict())
        optimizer.step(lambda: closure_of(model, outputs=False)() * float("nan"))
        np.testing.assert_array_equal(numbers(model), before)
        state["skipped"] += 1  # and nothing else
        assert str(optimizer.state_dict()) == str(state)
        optimizer.step(closure_of(model))
    assert optimizer.skipped == 2


def test_layers_that_cannot_be_batched_are_taken_one_by_one():
    class Alone(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return Square.apply(x) * 3 * g

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            if type(g.numpy()) is not np.ndarray:  # batched tensors have no storage
                raise AssertionError
            return 2 * x * g

    w = torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
    (g,) = torch.autograd.grad(Alone.apply(w).sum(), [w], create_graph=True)
    made = flat_products(hessian_along([g], [w]), [w], chunk=3, dtype=torch.float32)
    np.testing.assert_allclose(made(np.eye(3, dtype=np.float32)), np.diag([6.0, 12.0, 18.0]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank: expected an integer >= 1"),
        ({"rho": 0.0}, "rho: expected a positive number"),
        ({"rate": "adam"}, "rate: expected one of 'auto', 'fixed'"),
        ({"curvature": "fisher"}, "curvature: expected one of 'hessian', 'ggn'"),
        ({"update_every": 0}, "update_every: expected an integer >= 1"),
        ({"chunk": 0}, "chunk: expected an integer >= 1"),
        ({"momentum": 1.0}, "momentum: expected a number in"),
    ],
)
def test_misuse_is_named(options, message):
    with pytest.raises(InputError, match=message):
        SketchySGD(net().parameters(), **options)


def test_closures_that_do_not_fit_are_named():
    model = net()
    optimizer = SketchySGD(model.parameters(), curvature="ggn", rng=0)
    for closure, message in (
        (None, "closure: expected a callable"),
        (lambda: 3.0, "closure: expected a loss of one number"),
        (lambda: closure_of(model)()[0].detach(), "closure: expected a loss of one number with a graph"),
        (closure_of(model, outputs=False), r"closure: expected \(loss, outputs\) for curvature='ggn'"),
    ):
        before = numbers(model)
        with pytest.raises(InputError, match=message):
            optimizer.step(closure)
        np.testing.assert_array_equal(numbers(model), before)

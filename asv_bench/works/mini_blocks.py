# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Steps of mini-block Fisher matrices against Adam and a batched version by hand; SENG against by hand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from randnla.curvature import SENG, Absolute, Dense

from .base import Bar, Case, Contender, Work

PERIOD = 20  # steps from refresh to refresh, all of which are timed
HIDDEN = (784, 1000, 500, 250, 30)
WIDTH, SAMPLES = 1024, 256


def _autoencoder() -> tuple[Any, Any]:
    import torch

    layers: list[Any] = []
    for m, n in pairwise((*HIDDEN, *HIDDEN[-2::-1])):
        layers += [torch.nn.Linear(m, n), torch.nn.ReLU()]
    x = torch.rand(1000, HIDDEN[0])
    model = torch.nn.Sequential(*layers[:-1])
    return model, lambda: torch.nn.functional.mse_loss(model(x), x)


def _convnet() -> tuple[Any, Any]:
    import torch
    from torch import nn

    steps: list[Any] = []
    for m, n in ((3, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128)):
        steps += [nn.Conv2d(m, n, 3, padding=1), nn.ReLU()]
        if m == n:
            steps.append(nn.MaxPool2d(2))
    model = nn.Sequential(*steps, nn.Flatten(), nn.Linear(128 * 16, 10))
    x, y = torch.rand(64, 3, 32, 32), torch.arange(64) % 10
    return model, lambda: nn.functional.cross_entropy(model(x), y)


class ByHand:
    """The method on convolutions, as a few lines of torch have it: einsum and torch.linalg.inv."""

    def __init__(self, parameters: list[Any]) -> None:
        import torch

        self._torch, self._parameters, self._count = torch, parameters, 0
        self._blocks = [torch.zeros(p[..., 0, 0].numel(), 9, 9) for p in parameters]
        self._inverses = [torch.eye(9).repeat(len(b), 1, 1) for b in self._blocks]
        self._momenta = [torch.zeros(len(b), 9) for b in self._blocks]

    def step(self) -> None:
        torch = self._torch
        with torch.no_grad():
            for k, p in enumerate(self._parameters):
                g, blocks = p.grad.view(-1, 9), self._blocks[k]
                blocks.mul_(0.95).add_(g[:, :, None] * g[:, None, :], alpha=0.05)
                if self._count % PERIOD == 0:
                    self._inverses[k] = torch.linalg.inv(blocks + 0.1 * torch.eye(9))
                m = self._momenta[k].mul_(0.9).add_(g, alpha=0.1)
                p.add_(torch.einsum("bij,bj->bi", self._inverses[k], m).view_as(p), alpha=-1e-6)
        self._count += 1


def _period(
    build: Callable[[], tuple[Any, Any]], optimizer: Callable[[Any], Any], *, whole: bool
) -> Contender:
    """A refresh and as many steps as come before the next; with the passes through the network if `whole`."""
    import torch

    torch.manual_seed(0)
    model, loss = build()
    made = optimizer(model)
    loss().backward()
    for _ in range(PERIOD + 1):  # caches, states and buffers are there from here on
        made.step()

    def run() -> None:
        for _ in range(PERIOD):
            if whole:
                model.zero_grad()
                loss().backward()
            made.step()

    return run


def _ours(model: Any) -> Any:
    from randnla.torch import MiniBlockFisher

    return MiniBlockFisher(model.parameters(), 1e-6, inv_every=PERIOD)


def _adam(model: Any) -> Any:
    import torch

    return torch.optim.Adam(model.parameters(), 1e-6)


def _training(build: Callable[[], tuple[Any, Any]]) -> Case:
    return Case(_period(build, _ours, whole=True), lambda: {"torch Adam": _period(build, _adam, whole=True)})


def _convolutions(model: Any) -> list[Any]:
    return [p for p in model.parameters() if p.ndim == 4]


def _optimizer_alone() -> Case:
    from randnla.torch import MiniBlockFisher

    def ours(model: Any) -> Any:
        return MiniBlockFisher(_convolutions(model), 1e-6, inv_every=PERIOD)

    def adam(model: Any) -> Any:
        import torch

        return torch.optim.Adam(_convolutions(model), 1e-6)

    def contenders() -> dict[str, Contender]:
        return {
            "torch Adam": _period(_convnet, adam, whole=False),
            "torch by hand": _period(_convnet, lambda m: ByHand(_convolutions(m)), whole=False),
        }

    return Case(_period(_convnet, ours, whole=False), contenders)


def _seng() -> Case:
    """A batch taken in, a refresh and a direction of a wide dense layer."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((SAMPLES, WIDTH)).astype(np.float32)
    g = rng.standard_normal((SAMPLES, WIDTH)).astype(np.float32)
    V = rng.standard_normal((WIDTH, WIDTH)).astype(np.float32)
    engine = SENG({"only": Dense(WIDTH, WIDTH, bias=False)}, damping=Absolute(1.0))

    def ours() -> Any:
        engine.accumulate("only", a, g)
        engine.refresh()
        return engine.precondition({"only": V})["only"]

    def contenders() -> dict[str, Contender]:
        import torch

        A, G, W = (torch.from_numpy(x) for x in (a, g, V))

        def formed() -> Any:
            U = torch.einsum("ni,nj->nij", G, A).reshape(SAMPLES, -1) / SAMPLES**0.5
            c = torch.linalg.solve(U @ U.T + torch.eye(SAMPLES), U @ W.ravel())
            return (W - (U.T @ c).view_as(W)).numpy()

        def unformed() -> Any:
            K = (A @ A.T) * (G @ G.T) / SAMPLES + torch.eye(SAMPLES)
            c = torch.linalg.solve(K, ((G @ W) * A).sum(1)) / SAMPLES
            return (W - (G * c[:, None]).T @ A).numpy()

        return {"torch, U formed": formed, "torch, U not formed": unformed}

    wide = [x.astype(np.float64) for x in (a, g, V)]
    K = (wide[0] @ wide[0].T) * (wide[1] @ wide[1].T) / SAMPLES + np.eye(SAMPLES)
    c = np.linalg.solve(K, ((wide[1] @ wide[2]) * wide[0]).sum(1)) / SAMPLES
    exact = wide[2] - (wide[1] * c[:, None]).T @ wide[0]

    def error(who: str, result: Any) -> float:
        """Relative, against float64."""
        return float(np.linalg.norm(result - exact) / np.linalg.norm(exact))

    return Case(ours, contenders, error)


WORKS = [
    Work(
        "mini-block training, convnet",
        "float32",
        "6 conv 32-128, n=64",
        lambda _: _training(_convnet),
        Bar("time", 1.5, ("torch Adam",)),
        quick=False,
        rounds=3,
        seconds=60.0,
        note="20 steps with forward and backward passes and a refresh",
    ),
    Work(
        "mini-block training, autoencoder",
        "float32",
        "784-1000-500-250-30 n=1000",
        lambda _: _training(_autoencoder),
        Bar("time", 1.5, ("torch Adam",)),
        quick=False,
        rounds=3,
        seconds=60.0,
        note="20 steps with forward and backward passes and a refresh",
    ),
    Work(
        "mini-block steps alone",
        "float32",
        "6 conv 32-128",
        lambda _: _optimizer_alone(),
        None,
        rounds=10,
        seconds=15.0,
        note="20 steps and a refresh; memory decides: Adam moves a third of the numbers",
    ),
    Work(
        "SENG",
        "float32",
        f"{WIDTH}x{WIDTH} n={SAMPLES}",
        lambda _: _seng(),
        None,
        rounds=10,
        seconds=15.0,
        note="refresh and direction; ours holds the Gram matrix in eigenvectors, in float64",
    ),
]

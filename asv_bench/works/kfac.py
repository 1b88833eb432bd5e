# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Thirty steps of K-FAC on a network that learns Fashion-MNIST: randomized against exact inverses."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from conditions import MissingError

from randnla.curvature import KFAC, RSKFAC, Dense, Exact, Relative, RMSClip

from .base import Bar, Case, Contender, Work

WIDTHS, BATCH, STEPS = (784, 2048, 2048, 10), 256, 30


class Classifier:
    """A network of dense layers in torch, with the (a, g) and the gradients of every layer."""

    def __init__(self) -> None:
        import torch

        from randnla.datasets import load_fashion_mnist

        try:
            images, labels = load_fashion_mnist()
        except FileNotFoundError as missing:
            raise MissingError(str(missing)) from missing
        torch.manual_seed(0)
        self._x, self._y = torch.from_numpy(images), torch.from_numpy(labels)
        self.layers = [torch.nn.Linear(m, n) for m, n in pairwise(WIDTHS)]
        parameters = [p for layer in self.layers for p in layer.parameters()]
        self._optimizer, self._count = torch.optim.SGD(parameters, 0.05), 0

    def pass_through(self) -> tuple[list[Any], list[Any]]:
        """Forward and backward on the next batch: inputs of the layers, and outputs with their gradients."""
        import torch

        start = self._count * BATCH % (len(self._x) - BATCH)
        self._count += 1
        h, inputs, outputs = self._x[start : start + BATCH], [], []
        for layer in self.layers:
            inputs.append(h.detach())
            outputs.append(layer(h))
            outputs[-1].retain_grad()
            h = torch.relu(outputs[-1])
        self._optimizer.zero_grad()
        torch.nn.functional.cross_entropy(outputs[-1], self._y[start : start + BATCH]).backward()
        return inputs, outputs

    def learn(self, steps: int) -> None:
        for _ in range(steps):
            self.pass_through()
            self._optimizer.step()

    def statistics(self) -> list[tuple[np.ndarray, np.ndarray]]:
        inputs, outputs = self.pass_through()
        return [(a.numpy().copy(), z.grad.numpy() * BATCH) for a, z in zip(inputs, outputs, strict=True)]

    def gradients(self) -> dict[str, Any]:
        self.pass_through()
        return {str(k): (layer.weight.grad, layer.bias.grad) for k, layer in enumerate(self.layers)}


@cache
def _problem() -> tuple[Classifier, list[list[tuple[np.ndarray, np.ndarray]]]]:
    """The network a few dozen steps into training, and what three batches have of its layers."""
    network = Classifier()
    network.learn(40)
    return network, [network.statistics() for _ in range(3)]


def _period(engine: KFAC) -> Contender:
    """A refresh, three batches of statistics and thirty directions, with the passes through the network."""
    network, statistics = _problem()

    def run() -> float:
        for step in range(STEPS):
            gradients = network.gradients()
            if step % 10 == 0:
                for k, (a, g) in enumerate(statistics[step // 10]):
                    engine.accumulate(str(k), a, g)
            if step == 0:
                engine.refresh()
            engine.precondition(gradients)
        return max(health.truncated for health in engine.health.values())

    return run


def _case(name: str, exact: Callable[..., KFAC]) -> Case:
    layers = {str(k): Dense(*pair) for k, pair in enumerate(pairwise(WIDTHS))}
    settings: dict[str, Any] = {"clip": RMSClip(), "rng": 0}

    def error(who: str, result: Any) -> float | None:
        """The largest share of a trace outside the eigenpairs kept."""
        return float(result)

    ours = RSKFAC(layers, damping=Relative(0.1), **settings)
    return Case(_period(ours), lambda: {name: _period(exact(layers, **settings))}, error)


def _row(name: str, damping: Any, bar: float) -> Work:
    return Work(
        f"thirty steps of K-FAC, randomized against {name}",
        "float32",
        "784-2048-2048-10 n=256 r=220+10",
        lambda _: _case(name, lambda layers, **settings: KFAC(layers, damping=damping, **settings)),
        Bar("time", bar, (name,)),
        quick=False,
        rounds=3,
        seconds=60.0,
    )


WORKS = [_row("exact damping", Exact(0.01), 0.35), _row("Cholesky", Relative(0.1), 0.5)]

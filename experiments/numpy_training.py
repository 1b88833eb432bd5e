# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The training loop of the experiments in plain NumPy, going on from checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from common import batches, load_arrays, now, save_arrays

from randnla.testing import SoftmaxCrossEntropy


class Descent:
    """Gradient descent with momentum: the rival, with the methods of `randnla.optim.KFAC` used here.

    Parameters
    ----------
    network, loss
        Of `randnla.testing`.
    lr, momentum : float
    """

    def __init__(self, network: Any, loss: Any, lr: float, momentum: float = 0.9) -> None:
        self.network, self.loss, self.lr, self.momentum = network, loss, lr, momentum
        self.velocity = {
            f"{name} {i}": np.zeros_like(part)
            for name, pair in network.parameters.items()
            for i, part in enumerate(pair)
        }

    def train(self, x: Any, targets: Any) -> float:
        """One step; the loss before it."""
        network, loss = self.network, self.loss
        run = network.forward(x)
        gradients = network.backward(run, loss.slopes(run.outputs, targets)).gradients
        moved = {}
        for name, pair in network.parameters.items():
            parts = []
            for i, (part, slope) in enumerate(zip(pair, gradients[name], strict=True)):
                velocity = self.velocity[f"{name} {i}"]
                velocity *= self.momentum
                velocity -= self.lr * slope
                parts.append(part + velocity)
            moved[name] = tuple(parts)
        network.parameters = moved
        return float(loss.value(run.outputs, targets))

    def state_dict(self) -> dict[str, Any]:
        """The velocities."""
        return dict(self.velocity)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take `state_dict` back."""
        self.velocity = dict(state)


def judged(network: Any, loss: Any, x: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Mean loss, and the share of right labels (NaN where there are none)."""
    outputs = np.concatenate([network.forward(x[i : i + 1000]).outputs for i in range(0, len(x), 1000)])
    right = np.nan
    if isinstance(loss, SoftmaxCrossEntropy):
        right = float(np.mean(outputs.argmax(axis=1) == targets))
    return float(loss.value(outputs, targets)), right


def train(
    optimizer: Any,
    train_set: tuple[np.ndarray, np.ndarray],
    test_set: tuple[np.ndarray, np.ndarray],
    *,
    epochs: int,
    batch: int,
    seed: int,
    checkpoint: Path | None = None,
) -> list[dict[str, float]]:
    """Epochs up to a number, on from the checkpoint where there is one; stops where the loss diverges."""
    history: list[dict[str, float]] = []
    network, loss = optimizer.network, optimizer.loss
    if checkpoint is not None and checkpoint.is_file():
        history = restored(checkpoint, optimizer)
    x, targets = train_set
    while len(history) < epochs:
        begin = now()
        for rows in batches(len(x), batch, np.random.default_rng([seed, len(history)])):
            if not np.isfinite(optimizer.train(x[rows], targets[rows])):
                return [*history, {"loss": np.inf, "test loss": np.inf, "accuracy": 0.0, "seconds": 0.0}]
        seconds = now() - begin
        value, _ = judged(network, loss, x, targets)
        test, right = judged(network, loss, *test_set)
        history.append({"loss": value, "test loss": test, "accuracy": right, "seconds": seconds})
        if checkpoint is not None:
            save_arrays(checkpoint, parts_of(optimizer, history))
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return history


def parts_of(optimizer: Any, history: list[dict[str, float]]) -> dict[str, dict[str, Any]]:
    """Everything that the epochs to come depend on, as groups of arrays."""
    parameters = {
        f"{name} {i}": part
        for name, pair in optimizer.network.parameters.items()
        for i, part in enumerate(pair)
    }
    columns = {key: np.array([epoch[key] for epoch in history]) for key in history[0]}
    return {"optimizer": optimizer.state_dict(), "parameters": parameters, "history": columns}


def restored(path: Path, optimizer: Any) -> list[dict[str, float]]:
    """Put an optimizer and its network in the state of a checkpoint; the history so far."""
    parts = load_arrays(path)
    network = optimizer.network
    network.parameters = {
        name: tuple(parts["parameters"][f"{name} {i}"] for i in range(len(pair)))
        for name, pair in network.parameters.items()
    }
    optimizer.load_state_dict(parts["optimizer"])
    columns = parts["history"]
    return [{key: float(column[i]) for key, column in columns.items()} for i in range(len(columns["loss"]))]

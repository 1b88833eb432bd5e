# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Mini-block Fisher matrices and SENG against Adam and K-FAC on an autoencoder and a convolutional net.

    python experiments/mini_blocks.py --small --threads 1

Step sizes are tuned on one seed and a subset, for each method and network; then all seeds are trained. The
figure has the loss over epochs and over seconds. Questions: is an epoch of mini blocks at most 1.5 times one
of Adam, does it lower the loss more, and how does SENG compare with K-FAC?
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from common import Cells, Data, arguments, batches, best_rate, load, now
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

import randnla.torch
from randnla.curvature import Relative, RMSClip

mpl.use("Agg")
import matplotlib.pyplot as plt

CLIP = RMSClip(0.07)  # of K-FAC and SENG, as in the paper on randomized K-FAC
METHODS = ("Adam", "MBF", "K-FAC", "SENG")
COLORS = dict(zip(METHODS, ("#4b4f55", "#1f5fa8", "#d9680f", "#2f8f5b"), strict=True))


@dataclass(frozen=True)
class Setting:
    """What is run.

    Attributes
    ----------
    hidden : tuple of int
        Of the autoencoder, from the first hidden layer to the code; the decoder mirrors them.
    channels : tuple of int
        Of the convolutions.
    rates : dict {method: tuple of float}
        Step sizes to tune over.
    """

    hidden: tuple[int, ...]
    channels: tuple[int, ...]
    count: int | None
    tuned: int
    batch: dict[str, int]
    epochs: int
    seeds: tuple[int, ...]
    rates: dict[str, tuple[float, ...]]
    nets: tuple[str, ...] = ("autoencoder", "cnn")


RATES = {
    "Adam": (1e-3, 3e-3, 1e-2),
    "MBF": (1e-3, 3e-3, 1e-2),
    "K-FAC": (0.01, 0.03, 0.1, 0.3),
    "SENG": (0.003, 0.01, 0.03, 0.1),
}
SETTINGS = {
    "small": Setting(
        (250, 100, 30),
        (8, 16),
        3000,
        1500,
        {"autoencoder": 200, "cnn": 100},
        epochs=4,
        seeds=(0, 1, 2),
        rates=RATES,
    ),
    "full": Setting(
        (1000, 500, 250, 30),
        (32, 64),
        None,
        12_000,
        {"autoencoder": 1000, "cnn": 128},
        epochs=10,
        seeds=(0, 1, 2),
        rates={name: (rates[0] / 3, *rates, rates[-1] * 3) for name, rates in RATES.items()},
    ),
    "tiny": Setting(
        (16, 8),
        (3, 4),
        256,
        128,
        {"autoencoder": 64, "cnn": 64},
        epochs=1,
        seeds=(0,),
        rates={name: rates[1:2] for name, rates in RATES.items()},
    ),
}


def network(kind: str, setting: Setting, side: int, seed: int) -> nn.Module:
    """An autoencoder of dense layers, or two convolutions, each pooled, and a dense layer."""
    torch.manual_seed(seed)
    steps: list[nn.Module] = []
    if kind == "autoencoder":
        widths = (side * side, *setting.hidden, *setting.hidden[-2::-1], side * side)
        for m, n in pairwise(widths):
            steps += [nn.Linear(m, n), nn.ReLU()]
        return nn.Sequential(*steps[:-1])
    steps.append(nn.Unflatten(1, (1, side, side)))
    for m, n in pairwise((1, *setting.channels)):
        steps += [nn.Conv2d(m, n, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*steps, nn.Flatten(), nn.Linear(setting.channels[-1] * (side // 4) ** 2, 10))


def optimizer_of(method: str, kind: str, model: nn.Module, rate: float, seed: int) -> tuple[Any, Any]:
    """The optimizer, and what preconditions the gradients before it.

    Steps of mini blocks are bounded by the step size, as the default is: their own lengths go with the
    inverse of those of gradients.
    """
    if method == "Adam":
        return torch.optim.Adam(model.parameters(), rate), None
    if method == "MBF":
        return randnla.torch.MiniBlockFisher(model.parameters(), rate), None
    optimizer = torch.optim.SGD(model.parameters(), rate, momentum=0.9)
    likelihood = "bernoulli" if kind == "autoencoder" else "categorical"
    if method == "SENG":
        pre: Any = randnla.torch.SENG(model, damping=Relative(0.1), clip=CLIP, rng=seed)
        return optimizer, pre
    pre = randnla.torch.KFAC(
        model, "exact", damping=Relative(0.1), clip=CLIP, likelihood=likelihood, rng=seed
    )
    return optimizer, pre


class Trainer:
    """One network under one method."""

    def __init__(self, kind: str, method: str, rate: float, setting: Setting, data: Data, seed: int) -> None:
        self.kind, self.seed, self.batch = kind, seed, setting.batch[kind]
        self.model = network(kind, setting, data.side, seed)
        self.optimizer, self.pre = optimizer_of(method, kind, self.model, rate, seed)
        self.x, self.y = torch.from_numpy(data.x), torch.from_numpy(data.y)
        self.history: list[dict[str, float]] = []

    def loss(self, rows: Any) -> torch.Tensor:
        """Of some rows of the training set."""
        x = self.x[rows]
        outputs = self.model(x)
        if self.kind == "autoencoder":
            return binary_cross_entropy_with_logits(outputs, x)
        return cross_entropy(outputs, self.y[rows])

    def train(self, epochs: int) -> list[dict[str, float]]:
        """Epochs until the loss is no number."""
        for number in range(epochs):
            begin = now()
            rng = np.random.default_rng([self.seed, number])
            for rows in batches(len(self.x), self.batch, rng):
                self.optimizer.zero_grad()
                self.loss(torch.from_numpy(rows)).backward()
                if self.pre is not None:
                    self.pre.step()
                self.optimizer.step()
            seconds = now() - begin
            self.model.eval()  # hooks of curvature see passes in training only
            with torch.no_grad():
                loss = float(self.loss(slice(None)))
            self.model.train()
            self.history.append({"seconds": seconds, "loss": loss})
            if not np.isfinite(loss):
                break
        return self.history


def train(cells: Cells, setting: Setting, data: Data) -> None:
    """Tune on the first seed and a subset, train every seed with what came out."""
    for kind in setting.nets:
        print(f"{kind}: {'':6} {'rate':>8} {'loss':>9} {'s/epoch':>8} {'of Adam':>8}")
        pace: dict[str, float] = {}
        for method in METHODS:

            def trained(rate: float, seed: int, part: Data, m: str = method, k: str = kind) -> Any:
                return Trainer(k, m, rate, setting, part, seed).train(setting.epochs)

            few = data.first(setting.tuned)

            def tried(rate: float, run: Callable[..., Any] = trained, few: Data = few) -> float:
                return float(run(rate, 0, few)[-1]["loss"])

            rate = best_rate(cells, f"{kind} {method}", setting.rates[method], tried)
            runs = [
                cells.run(
                    f"train {kind} {method} seed={seed}",
                    lambda s=seed, r=rate, run=trained: {"rate": r, "seed": s, "history": run(r, s, data)},
                )
                for seed in setting.seeds
            ]
            losses = [run["history"][-1]["loss"] for run in runs]
            pace[method] = float(np.mean([e["seconds"] for run in runs for e in run["history"]]))
            print(
                f"{method:>{len(kind) + 8}} {runs[0]['rate']:8} {np.mean(losses):9.4f} {pace[method]:8.2f} "
                f"{pace[method] / pace['Adam']:8.2f}"
            )


def draw(cells: Cells, setting: Setting) -> None:
    """Loss over epochs and over seconds, for each network."""
    figure, axes = plt.subplots(len(setting.nets), 2, figsize=(9, 3.4 * len(setting.nets)), squeeze=False)
    for row, kind in zip(axes, setting.nets, strict=True):
        for method in METHODS:
            runs = [cells[f"train {kind} {method} seed={seed}"]["history"] for seed in setting.seeds]
            losses = np.mean([[epoch["loss"] for epoch in run] for run in runs], axis=0)
            seconds = np.cumsum(np.mean([[epoch["seconds"] for epoch in run] for run in runs], axis=0))
            row[0].semilogy(np.arange(1, len(losses) + 1), losses, "o-", color=COLORS[method], label=method)
            row[1].semilogy(seconds, losses, "o-", color=COLORS[method])
        row[0].set(xlabel="epoch", ylabel="training loss", title=kind)
        row[1].set(xlabel="seconds")
    axes[0, 0].legend(frameon=False)
    for axis in axes.ravel():
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    cells.figure(figure)


def main() -> None:
    """Run what the command line asks for."""
    options = arguments(__doc__, SETTINGS, ("train",))
    setting = SETTINGS[options.setting]
    data = load(setting.count)
    cells = Cells(options.out, f"mini_blocks-{options.setting}", data)
    train(cells, setting, data)
    draw(cells, setting)


if __name__ == "__main__":
    main()

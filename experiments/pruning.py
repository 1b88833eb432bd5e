# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Accuracy over sparsity without any fine-tuning: magnitude, diagonal Fisher and M-FAC.

    python experiments/pruning.py --small    # a minute
    python experiments/pruning.py --bars     # three seeds
    python experiments/pruning.py --full     # more of everything; stop it at any time, it goes on

Parts are the networks: 784-300-100-10 and a small convolutional one, trained by Adam. All methods see the
same networks, and equally many gradients of batches of 16. One-shot methods prune the dense network once
for every sparsity; gradual ones go on from one sparsity to the next.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from common import Cells, Data, arguments, batches, load
from nets import vgg
from torch import nn
from torch.nn.functional import cross_entropy

import randnla.torch

mpl.use("Agg")
import matplotlib.pyplot as plt

RATE, BATCH = 1e-3, 128
METHODS: dict[str, dict[str, Any]] = {
    "magnitude": {"method": "magnitude"},
    "magnitude, by layer": {"method": "magnitude", "scope": "layer"},
    "diagonal Fisher": {"method": "fisher", "steps": 1},
    "M-FAC, one shot": {"steps": 1, "update": "separate"},
    "M-FAC, one shot, joint": {"steps": 1, "update": "joint"},
    "M-FAC, gradual": {"update": "separate"},
    "M-FAC, gradual, joint": {"update": "joint"},
}
COLORS = dict(
    zip(METHODS, ("#4b4f55", "#8a929b", "#c8a400", "#5aa9e6", "#1f5fa8", "#e8a06a", "#d9680f"), strict=True)
)


@dataclass(frozen=True)
class Setting:
    """What is run.

    Attributes
    ----------
    seeds : dict {"mlp" or "cnn": tuple of int}
        The networks, and the seeds of each.
    count, test : int or None
        Images to train on, and to take the accuracy on.
    epochs : int
    gradients : int
        That every step looks at.
    block : int
    stages : tuple of (sparsity, steps)
        `steps` is what a gradual method takes from the sparsity before.
    """

    seeds: dict[str, tuple[int, ...]]
    count: int | None
    test: int | None
    epochs: int
    gradients: int
    block: int
    stages: tuple[tuple[float, int], ...]


STAGES = ((0.5, 4), (0.8, 5), (0.9, 4), (0.95, 4), (0.98, 4))
THREE = (0, 1, 2)
SETTINGS = {
    "small": Setting({"mlp": (0,), "cnn": (0,)}, 5000, 1000, 3, 64, 64, ((0.8, 4), (0.95, 4))),
    "bars": Setting({"mlp": THREE, "cnn": THREE}, 10_000, 2000, 3, 64, 64, ((0.8, 5), (0.9, 3), (0.95, 3))),
    "full": Setting({"mlp": THREE, "cnn": THREE}, 20_000, None, 6, 256, 128, STAGES),
    "tiny": Setting({"mlp": (0,)}, 512, 500, 1, 16, 16, ((0.5, 2), (0.9, 2))),
}


def network(kind: str, side: int, seed: int) -> nn.Module:
    """784-300-100-10, or four convolutions of 8 to 16 channels and two dense layers."""
    if kind == "cnn":
        return vgg(side, 8, seed)
    torch.manual_seed(seed)
    sizes = [side * side, 300, 100, 10]
    steps: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        steps += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*steps[:-1])


class Bench:
    """Networks trained once, and pruned again and again."""

    def __init__(self, cells: Cells, setting: Setting, data: Data) -> None:
        self.cells, self.setting, self.data = cells, setting, data
        self.x, self.y = torch.from_numpy(data.x), torch.from_numpy(data.y)
        self.x_test, self.y_test = torch.from_numpy(data.x_test), torch.from_numpy(data.y_test)

    def trained(self, kind: str, seed: int) -> nn.Module:
        """The network, from its checkpoint where there is one."""
        model = network(kind, self.data.side, seed)
        key = f"train {kind} seed={seed}"
        place = self.cells.checkpoint(key, "pt")
        if not place.is_file():
            history = self._train(model, seed)
            torch.save(model.state_dict(), place)
            self.cells.run(key, lambda: {"seed": seed, "rate": RATE, "history": history})
        model.load_state_dict(torch.load(place, weights_only=True))
        return model

    def _train(self, model: nn.Module, seed: int) -> list[dict[str, float]]:
        optimizer = torch.optim.Adam(model.parameters(), RATE)
        history = []
        for epoch in range(self.setting.epochs):
            for rows in batches(len(self.x), BATCH, np.random.default_rng([seed, epoch])):
                optimizer.zero_grad()
                cross_entropy(model(self.x[rows]), self.y[rows]).backward()
                optimizer.step()
            loss, _ = self._judged(model, self.x, self.y)
            history.append({"loss": loss, "accuracy": self.accuracy(model)})
        return history

    @torch.no_grad()
    def _judged(self, model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
        outputs = torch.cat([model(part) for part in x.split(1000)])
        return float(cross_entropy(outputs, y)), float((outputs.argmax(1) == y).float().mean())

    def accuracy(self, model: nn.Module) -> float:
        """On the test images."""
        return self._judged(model, self.x_test, self.y_test)[1]

    def samples(self, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of 16 without end."""
        rng = np.random.default_rng([seed, 1])
        while True:
            rows = rng.integers(0, len(self.x), 16)
            yield self.x[rows], self.y[rows]

    def prune(self, kind: str, method: str, seed: int) -> None:
        """One method on one network, through all sparsities."""
        names = [f"prune {kind} {method} sparsity={s} seed={seed}" for s, _ in self.setting.stages]
        if all(name in self.cells.stored["cells"] for name in names):
            for name in names:
                self.cells.run(name, dict)
            return
        options = {"block": self.setting.block, **METHODS[method]}
        gradual = "gradual" in method
        model, mask = self.trained(kind, seed), None
        for name, (sparsity, steps) in zip(names, self.setting.stages, strict=True):
            if not gradual:
                model, mask = self.trained(kind, seed), None
            begin = time.perf_counter()
            result = randnla.torch.prune(
                model,
                sparsity,
                self.samples(seed),
                cross_entropy,
                count=self.setting.gradients,
                mask=mask,
                **{"steps": steps, **options},
            )
            seconds, mask = time.perf_counter() - begin, result.mask
            found = {
                "seed": seed,
                "accuracy": self.accuracy(model),
                "seconds": seconds,
                "info": result.info.to_dict(),
            }
            self.cells.run(name, lambda found=found: found)


def report(cells: Cells, setting: Setting) -> None:
    """Accuracies, means over the seeds."""
    sparsities = [sparsity for sparsity, _ in setting.stages]
    for kind, seeds in setting.seeds.items():
        dense = [cells[f"train {kind} seed={seed}"]["history"][-1]["accuracy"] for seed in seeds]
        print(
            f"\n{kind}, dense {np.mean(dense):.4f}\n{'method':26}" + "".join(f"{s:>9.0%}" for s in sparsities)
        )
        for method in METHODS:
            means = [np.mean(accuracies(cells, setting, kind, method, s)) for s in sparsities]
            print(f"{method:26}" + "".join(f"{mean:9.4f}" for mean in means))


def accuracies(cells: Cells, setting: Setting, kind: str, method: str, sparsity: float) -> list[float]:
    """Of every seed."""
    names = [f"prune {kind} {method} sparsity={sparsity} seed={seed}" for seed in setting.seeds[kind]]
    return [cells[name]["accuracy"] for name in names]


def draw(cells: Cells, setting: Setting) -> None:
    """Accuracy over sparsity, means of the seeds in a band from the least to the largest."""
    figure, axes = plt.subplots(
        1,
        len(setting.seeds),
        figsize=(5.8 * len(setting.seeds), 4),
        layout="constrained",
        sharey=True,
        squeeze=False,
    )
    sparsities = [sparsity for sparsity, _ in setting.stages]
    places = np.arange(len(sparsities))
    titles = {"mlp": "784-300-100-10", "cnn": "four convolutions, two dense layers"}
    for axis, (kind, seeds) in zip(axes[0], setting.seeds.items(), strict=True):
        dense = [cells[f"train {kind} seed={seed}"]["history"][-1]["accuracy"] for seed in seeds]
        axis.axhline(np.mean(dense), color="black", lw=0.8, ls=":", label="dense")
        for method, color in COLORS.items():
            found = np.array([accuracies(cells, setting, kind, method, s) for s in sparsities])
            axis.plot(places, found.mean(axis=1), "o-", ms=4, color=color, label=method)
            axis.fill_between(places, found.min(axis=1), found.max(axis=1), color=color, alpha=0.15, lw=0)
        axis.set_xticks(places, [f"{s:.0%}" for s in sparsities])
        axis.set(xlabel="weights pruned", title=titles[kind], ylim=(0, 1))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("test accuracy")
    axes[0, 0].legend(frameon=False, loc="lower left", fontsize=8)
    cells.figure(figure)
    plt.close(figure)


def main() -> None:
    """Run what the command line asks for."""
    options = arguments(__doc__, SETTINGS, ("mlp", "cnn"))
    setting = SETTINGS[options.setting]
    data = load(setting.count, setting.test)
    cells = Cells(options.out, f"pruning-{options.setting}", data)
    bench = Bench(cells, setting, data)
    for kind, seeds in setting.seeds.items():
        for seed, method in itertools.product(seeds if kind in options.part else (), METHODS):
            bench.prune(kind, method, seed)
    if set(setting.seeds) <= set(options.part):
        report(cells, setting)
        draw(cells, setting)


if __name__ == "__main__":
    main()

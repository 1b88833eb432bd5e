# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The M-FAC optimizer against SGD with momentum and Adam, on a network of dense layers.

    python experiments/mfac_optimizer.py --small

All choose a step size from the same numbers, on one seed. M-FAC has the damping of `Setting` and a
momentum of .9; "bfloat16" holds its window in half the memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from common import RATES, Cells, Data, arguments, best_rate, load
from nets import Schedule
from torch_training import Trainer

import randnla.torch

mpl.use("Agg")
import matplotlib.pyplot as plt

METHODS = ("M-FAC", "M-FAC, bfloat16", "SGD", "Adam")
COLORS = dict(zip(METHODS, ("#1f5fa8", "#5aa9e6", "#8a929b", "#d9680f"), strict=True))


@dataclass(frozen=True)
class Setting:
    """What is run.

    Attributes
    ----------
    count : int or None
        Training images.
    width : int
        Of the hidden layers.
    window : int
        Gradients held by M-FAC.
    """

    count: int | None
    width: int
    batch: int
    epochs: int
    tune_epochs: int
    seeds: tuple[int, ...]
    window: int
    damping: float = 1e-3
    rates: tuple[float, ...] = RATES


SETTINGS = {
    "small": Setting(3072, 64, 64, epochs=5, tune_epochs=2, seeds=(0, 1), window=64),
    "full": Setting(None, 256, 128, epochs=15, tune_epochs=1, seeds=(0, 1, 2), window=512),
    "tiny": Setting(256, 8, 64, epochs=2, tune_epochs=1, seeds=(0,), window=8, rates=(0.003,)),
}


def trainer_of(method: str, setting: Setting, data: Data, rate: float, seed: int) -> Trainer:
    """A network of a seed under a method."""
    name = "Adam" if method == "Adam" else "SGD, momentum"
    trainer = Trainer(
        "mlp", setting.width, name, rate, schedule=Schedule(), data=data, batch=setting.batch, seed=seed
    )
    if method.startswith("M-FAC"):
        trainer.optimizer = randnla.torch.MFAC(
            trainer.model.parameters(),
            rate,
            window=setting.window,
            damping=setting.damping,
            storage="bfloat16" if "bfloat16" in method else None,
        )
    return trainer


def run(cells: Cells, setting: Setting, data: Data) -> None:
    """Tune the step sizes, then train every seed."""
    for method in METHODS:

        def loss_at(rate: float, m: str = method) -> float:
            return float(trainer_of(m, setting, data, rate, 0).train(setting.tune_epochs)[-1]["loss"])

        rate = best_rate(cells, method, setting.rates, loss_at)
        for seed in setting.seeds:

            def cell(m: str = method, r: float = rate, s: int = seed) -> dict[str, Any]:
                return {
                    "rate": r,
                    "seed": s,
                    "history": trainer_of(m, setting, data, r, s).train(setting.epochs),
                }

            cells.run(f"train {method} seed={seed}", cell)


def report(cells: Cells, setting: Setting) -> None:
    """Loss and accuracy after the last epoch, and the time of an epoch."""
    print(f"{'':18} {'rate':>7} {'loss':>8} {'accuracy':>9} {'s/epoch':>8}")
    for method in METHODS:
        runs = [cells[f"train {method} seed={seed}"] for seed in setting.seeds]
        last = [found["history"][-1] for found in runs]
        pace = np.mean([epoch["seconds"] for found in runs for epoch in found["history"]])
        print(
            f"{method:18} {runs[0]['rate']:7} {np.mean([end['loss'] for end in last]):8.4f} "
            f"{np.mean([end['accuracy'] for end in last]):9.4f} {pace:8.2f}"
        )


def draw(cells: Cells, setting: Setting) -> None:
    """Loss over epochs and over seconds, a line a seed."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.9), layout="constrained", sharey=True)
    for method, color in COLORS.items():
        for seed in setting.seeds:
            history = cells[f"train {method} seed={seed}"]["history"]
            losses = [epoch["loss"] for epoch in history]
            label = method if seed == setting.seeds[0] else None
            axes[0].plot(np.arange(1, len(losses) + 1), losses, color=color, lw=1.4, label=label)
            axes[1].plot(np.cumsum([epoch["seconds"] for epoch in history]), losses, color=color, lw=1.4)
    axes[0].set(xlabel="epoch", ylabel="training loss", yscale="log")
    axes[1].set(xlabel="seconds of training", xscale="log")
    axes[0].legend(frameon=False)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    cells.figure(figure)
    plt.close(figure)


def main() -> None:
    """Run what the command line asks for."""
    options = arguments(__doc__, SETTINGS, ("train",))
    setting = SETTINGS[options.setting]
    torch.manual_seed(0)
    data = load(setting.count)
    cells = Cells(options.out, f"mfac_optimizer-{options.setting}", data)
    run(cells, setting, data)
    report(cells, setting)
    draw(cells, setting)


if __name__ == "__main__":
    main()

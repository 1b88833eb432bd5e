# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""KLD-WRM (SO, Q, QE) against K-FAC on a small convolutional network, step sizes tuned equally.

    python experiments/kld_wrm.py --small
    python experiments/kld_wrm.py --medium    # 5 seeds, 50 epochs on 2048 images: less than an hour
    python experiments/kld_wrm.py --full      # the same on all images: hours; stop it at any time, it goes on

Damping, clipping and the averages are the published ones. K-FAC with the average of SO is there as a
control: what it gains over rho = 0.95 is due to the average, not to the wake.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from common import RATES, Cells, Data, arguments, best_rate, load
from numpy_training import judged, train

from randnla.curvature import Exact, KLClip
from randnla.optim import KFAC
from randnla.testing import CNN, SoftmaxCrossEntropy

mpl.use("Agg")
import matplotlib.pyplot as plt

METHODS: dict[str, dict[str, Any]] = {
    "K-FAC": {"curvature": "exact", "ema": 0.95},
    "K-FAC, rho=0.33": {"curvature": "exact", "ema": 0.33},
    "SO": {"curvature": "kld_wrm", "variant": "SO"},
    "Q": {"curvature": "kld_wrm", "variant": "Q"},
    "QE": {"curvature": "kld_wrm", "variant": "QE"},
}
COLORS = dict(zip(METHODS, ("#d9680f", "#e8b88a", "#1f5fa8", "#2f8f5b", "#8a5aa9"), strict=True))


@dataclass(frozen=True)
class Setting:
    """What is run; `every` is the interval of statistics and refreshes, `tuned` the images of the tuning."""

    count: int | None
    tuned: int
    epochs: int
    tune_epochs: int
    seeds: tuple[int, ...]
    batch: int = 512
    every: int = 30
    rates: tuple[float, ...] = RATES


SETTINGS = {
    "small": Setting(
        2048, 1024, epochs=4, tune_epochs=2, seeds=(0, 1), batch=128, every=8, rates=(0.01, 0.03, 0.1)
    ),
    "medium": Setting(
        2048,
        1024,
        epochs=50,
        tune_epochs=8,
        seeds=(0, 1, 2, 3, 4),
        batch=128,
        every=8,
        rates=(0.003, 0.01, 0.03, 0.1, 0.3),
    ),
    "full": Setting(None, 15360, epochs=50, tune_epochs=4, seeds=(0, 1, 2, 3, 4)),
    "tiny": Setting(512, 256, epochs=1, tune_epochs=1, seeds=(0,), batch=64, every=4, rates=(0.01,)),
}


class Divergence:
    """Half the sum of both Kullback-Leibler divergences of two networks' labels, on the batch at hand."""

    def __init__(self, network: CNN) -> None:
        self.network = network
        self.x: Any = None

    def __call__(self, parameters: Mapping[str, Any], net: Mapping[str, Any]) -> tuple[float, dict[str, Any]]:
        """The divergence, and its gradient in the first network's parameters."""
        run = self.network.forward(self.x, parameters)
        here, there = log_softmax(run.outputs), log_softmax(self.network.forward(self.x, net).outputs)
        p, q, apart = np.exp(here), np.exp(there), here - there
        slopes = 0.5 * (p * (apart - (p * apart).sum(axis=1, keepdims=True)) + p - q)
        gradients: dict[str, Any] = self.network.backward(run, slopes).gradients
        return float(0.5 * np.mean(((p - q) * apart).sum(axis=1))), gradients


def log_softmax(z: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities of rows of logits."""
    moved = z - z.max(axis=1, keepdims=True)
    return np.asarray(moved - np.log(np.exp(moved).sum(axis=1, keepdims=True)))


class Watched(KFAC):
    """`randnla.optim.KFAC` that shows a divergence the batch before it trains on it."""

    def __init__(self, network: CNN, shown: Divergence, **settings: Any) -> None:
        super().__init__(network, **settings)
        self._shown = shown

    def train(self, x: Any, targets: Any) -> float:
        """One step; the loss before it."""
        self._shown.x = x
        return super().train(x, targets)


def optimizer_of(method: str, rate: float, setting: Setting, side: int, seed: int) -> Watched:
    """A network of a seed under a method."""
    network = CNN((1, side, side), 10, channels=(5, 7), kernel=5, hidden=(30,), dtype=np.float32, rng=seed)
    divergence = Divergence(network)
    given = dict(METHODS[method])
    if given.get("variant") == "QE":
        given["divergence"] = divergence
    return Watched(
        network,
        divergence,
        loss=SoftmaxCrossEntropy(),
        lr=rate,
        weight_decay=1e-3,
        damping=Exact(0.01),
        clip=KLClip(0.1),
        stats_every=setting.every,
        inv_every=setting.every,
        rng=seed,
        **given,
    )


def tune_and_train(cells: Cells, setting: Setting, data: Data) -> None:
    """The step size with the least loss on one seed and a subset; then every seed with it."""

    def images(x: np.ndarray) -> np.ndarray:
        return x.reshape(-1, 1, data.side, data.side)

    test = images(data.x_test), data.y_test

    def trained(method: str, rate: float, seed: int, count: int | None, epochs: int, path: Any = None) -> Any:
        part = images(data.x[:count]), data.y[:count]
        optimizer = optimizer_of(method, rate, setting, data.side, seed)
        history = train(optimizer, part, test, epochs=epochs, batch=setting.batch, seed=seed, checkpoint=path)
        return optimizer, history

    rates = {}
    for method in METHODS:

        def loss_at(rate: float, m: str = method) -> float:
            return float(trained(m, rate, 0, setting.tuned, setting.tune_epochs)[1][-1]["loss"])

        rates[method] = best_rate(cells, method, setting.rates, loss_at)
    # Seed by seed, so that a stopped experiment has the same seeds of all methods.
    for seed in setting.seeds:
        for method, rate in rates.items():
            key = f"train {method} seed={seed}"

            def cell(m: str = method, r: float = rate, s: int = seed, k: str = key) -> dict[str, Any]:
                optimizer, history = trained(m, r, s, None, setting.epochs, cells.checkpoint(k, "npz"))
                final = judged(optimizer.network, optimizer.loss, *test)[1]
                return {"rate": r, "seed": s, "history": history, "accuracy": final}

            cells.run(key, cell)


def report(cells: Cells, setting: Setting) -> None:
    """Final losses and accuracies, mean and spread over seeds."""
    print(f"{'':16} {'rate':>6} {'loss':>8} {'spread':>8} {'accuracy':>9} {'spread':>8} {'s/epoch':>8}")
    for method in METHODS:
        runs = [cells[f"train {method} seed={seed}"] for seed in setting.seeds]
        loss = [run["history"][-1]["loss"] for run in runs]
        right = [run["accuracy"] for run in runs]
        pace = np.mean([epoch["seconds"] for run in runs for epoch in run["history"]])
        spread = [float(np.std(values, ddof=1)) if len(values) > 1 else np.nan for values in (loss, right)]
        print(
            f"{method:16} {runs[0]['rate']:6} {np.mean(loss):8.4f} {spread[0]:8.4f} "
            f"{np.mean(right):9.3f} {spread[1]:8.4f} {pace:8.2f}"
        )


def draw(cells: Cells, setting: Setting) -> None:
    """Loss and accuracy over epochs, a line a seed; on the left, the tuning."""
    figure, axes = plt.subplots(1, 3, figsize=(12.5, 3.8), layout="constrained")
    for method, color in COLORS.items():
        tried = [cells[f"tune {method} lr={rate}"]["loss"] for rate in setting.rates]
        axes[0].loglog(
            setting.rates, [np.nan if t is None else t for t in tried], "o-", ms=4, color=color, label=method
        )
        for seed in setting.seeds:
            history = cells[f"train {method} seed={seed}"]["history"]
            epochs = np.arange(1, len(history) + 1)
            axes[1].plot(epochs, [epoch["loss"] for epoch in history], color=color, lw=1.2)
            axes[2].plot(epochs, [epoch["accuracy"] for epoch in history], color=color, lw=1.2)
    axes[0].set(xlabel="step size", ylabel="training loss", title="tuning, one seed")
    axes[1].set(xlabel="epoch", ylabel="training loss", yscale="log", title="all seeds")
    axes[2].set(xlabel="epoch", ylabel="test accuracy", title="all seeds")
    axes[0].legend(frameon=False)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    cells.figure(figure)
    plt.close(figure)


def main() -> None:
    """Run what the command line asks for."""
    options = arguments(__doc__, SETTINGS, ("train",))
    setting = SETTINGS[options.setting]
    data = load(setting.count)
    cells = Cells(options.out, f"kld_wrm-{options.setting}", data)
    tune_and_train(cells, setting, data)
    report(cells, setting)
    draw(cells, setting)


if __name__ == "__main__":
    main()

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""An autoencoder by K-FAC as its paper has it: Levenberg-Marquardt damping, exact rescaling and momentum.

    python experiments/autoencoder_lm.py --small

Nothing of K-FAC is tuned: the damping follows the model's forecasts, each step and its momentum minimize
the quadratic model with the exact Fisher matrix (Martens and Grosse, 2015, sections 6 and 7). Gradient
descent with momentum has its step size tuned on one seed. "fixed damping" and "fixed step" show what
either brings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from common import RATES, Cells, Data, arguments, best_rate, load
from numpy_training import Descent, train

from randnla.curvature import Every, LevenbergMarquardt, Tikhonov
from randnla.optim import KFAC
from randnla.testing import MLP, SquaredError

mpl.use("Agg")
import matplotlib.pyplot as plt

LM: dict[str, Any] = {"lr": "exact"}
METHODS: dict[str, dict[str, Any] | None] = {
    "K-FAC, LM": {**LM, "curvature": "exact", "rule": True},
    "RS-KFAC, LM": {**LM, "curvature": "rs", "rule": True},
    "K-FAC, fixed damping": {**LM, "curvature": "exact"},
    "K-FAC, fixed step": {"curvature": "exact", "momentum": 0.9},
    "gradient descent": None,
}
COLORS = dict(zip(METHODS, ("#1f5fa8", "#5aa9e6", "#2f8f5b", "#d9680f", "#8a929b"), strict=True))


@dataclass(frozen=True)
class Setting:
    """What is run.

    Attributes
    ----------
    hidden : tuple of int
        Sizes from the first hidden layer to the code; the decoder mirrors them.
    start : float
        lambda of the rule at the start, and the fixed one.
    """

    hidden: tuple[int, ...]
    count: int | None
    batch: int
    epochs: int
    tune_epochs: int
    seeds: tuple[int, ...]
    rank: int = 220
    start: float = 1.0
    rates: tuple[float, ...] = RATES


SETTINGS = {
    "small": Setting((128, 64, 16), 2048, 512, epochs=12, tune_epochs=3, seeds=(0, 1), rank=40),
    "full": Setting((1000, 500, 250, 30), None, 2000, epochs=40, tune_epochs=2, seeds=(0, 1, 2), start=150.0),
    "tiny": Setting((16, 8), 256, 64, epochs=2, tune_epochs=1, seeds=(0,), rank=4, rates=(0.003,)),
}


def optimizer_of(method: str, setting: Setting, inputs: int, rate: float, seed: int) -> Any:
    """A network of a seed under a method."""
    sizes = [inputs, *setting.hidden, *setting.hidden[-2::-1], inputs]
    network, loss = MLP(sizes, "tanh", dtype=np.float32, rng=seed), SquaredError()
    settings = METHODS[method]
    if settings is None:
        return Descent(network, loss, rate)
    given = {"lr": rate, **settings}
    damping = LevenbergMarquardt(setting.start) if given.pop("rule", False) else Tikhonov(setting.start)
    return KFAC(
        network,
        loss=loss,
        damping=damping,
        weight_decay=1e-5,
        stats_every=1,
        inv_every=Every(20, first=3),
        rank=setting.rank,
        rng=seed,
        **given,
    )


def run(cells: Cells, setting: Setting, data: Data) -> None:
    """Tune what has a step size, then train every seed."""
    center = data.x.mean(axis=0)
    x, x_test = data.x - center, data.x_test - center

    def trained(method: str, rate: float, seed: int, epochs: int, path: Any = None) -> Any:
        optimizer = optimizer_of(method, setting, x.shape[1], rate, seed)
        history = train(
            optimizer,
            (x, x),
            (x_test, x_test),
            epochs=epochs,
            batch=setting.batch,
            seed=seed,
            checkpoint=path,
        )
        return optimizer, history

    for method, settings in METHODS.items():
        rate = 0.0
        if settings is None or "lr" not in settings:

            def loss_at(r: float, m: str = method) -> float:
                return float(trained(m, r, 0, setting.tune_epochs)[1][-1]["loss"])

            rate = best_rate(cells, method, setting.rates, loss_at)
        for seed in setting.seeds:
            key = f"train {method} seed={seed}"

            def cell(m: str = method, r: float = rate, s: int = seed, k: str = key) -> dict[str, Any]:
                optimizer, history = trained(m, r, s, setting.epochs, cells.checkpoint(k, "npz"))
                rule = getattr(optimizer, "rule", None)
                damping = None if rule is None else rule.value
                return {"rate": r or None, "seed": s, "history": history, "damping": damping}

            cells.run(key, cell)


def report(cells: Cells, setting: Setting) -> None:
    """Reconstruction errors (half the squared distance) after the last epoch, and the time they took."""
    print(f"{'':22} {'rate':>7} {'loss':>8} {'spread':>8} {'test':>8} {'s/epoch':>8} {'lambda':>9}")
    for method in METHODS:
        runs = [cells[f"train {method} seed={seed}"] for seed in setting.seeds]
        last = [found["history"][-1] for found in runs]
        loss = [end["loss"] for end in last]
        spread = float(np.std(loss, ddof=1)) if len(loss) > 1 else np.nan
        pace = np.mean([epoch["seconds"] for found in runs for epoch in found["history"]])
        damping = runs[0]["damping"]
        print(
            f"{method:22} {runs[0]['rate'] or '-':>7} {np.mean(loss):8.3f} {spread:8.3f} "
            f"{np.mean([end['test loss'] for end in last]):8.3f} {pace:8.2f} "
            + (f"{damping:9.3g}" if damping else f"{'-':>9}")
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
    data = load(setting.count)
    cells = Cells(options.out, f"autoencoder_lm-{options.setting}", data)
    run(cells, setting, data)
    report(cells, setting)
    draw(cells, setting)


if __name__ == "__main__":
    main()

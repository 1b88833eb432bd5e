# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Spectra of averaged factors over training, against the bound on how many eigenvalues can be large.

    python experiments/spectrum_decay.py --small

An average with weight rho of batches of n rows, none with an eigenvalue above L, has at most n
ceil(log(alpha eps) / log(rho)) eigenvalues above eps times its largest, alpha L, whatever its dimension
(Puiu, *Randomized K-FACs*, 2022). The bound says little at these sizes; what is measured says much more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from common import Cells, Data, arguments, batches, load

from randnla.curvature import KroneckerFactor, RMSClip
from randnla.optim import KFAC
from randnla.testing import MLP, SoftmaxCrossEntropy

mpl.use("Agg")
import matplotlib.pyplot as plt

LEVELS = (1 / 33, 1e-2, 1e-3)


@dataclass(frozen=True)
class Setting:
    """What is run; `marks` are the steps at which spectra are taken."""

    width: int
    marks: tuple[int, ...]
    count: int
    batch: int = 256
    ema: float = 0.95


SETTINGS = {
    "small": Setting(512, marks=(1, 20, 80, 200), count=7680),
    "full": Setting(2048, marks=(1, 20, 100, 500, 1500), count=60000),
    "tiny": Setting(32, marks=(1, 8), count=512, batch=64),
}


def bound(rows: int, ema: float, alpha: float, eps: float) -> int:
    """Eigenvalues above eps times the largest, at most."""
    return rows * math.ceil(math.log(alpha * eps) / math.log(ema))


def largest(rows: np.ndarray) -> float:
    """The largest eigenvalue of ``X^T X / n`` for n rows."""
    return float(np.linalg.eigvalsh(rows @ rows.T)[-1] / len(rows))


def run(setting: Setting, data: Data) -> dict[str, Any]:
    """Train by randomized K-FAC, average the factors of the second layer at every step, and look at them."""
    width, loss = setting.width, SoftmaxCrossEntropy()
    network = MLP([data.x.shape[1], width, width, 10], "relu", dtype=np.float32, rng=0)
    often = {"stats_every": 1, "inv_every": 20, "rank": min(220, width // 4)}
    optimizer = KFAC(network, loss=loss, lr=0.03, ema=setting.ema, rng=0, clip=RMSClip(), **often)
    factors = {side: KroneckerFactor(width, ema=setting.ema) for side in ("activations", "gradients")}
    tops: dict[str, list[float]] = {side: [] for side in factors}
    spectra: dict[str, dict[str, list[float]]] = {side: {} for side in factors}
    rng, losses, step = np.random.default_rng(0), [], 0
    while step < max(setting.marks):
        for rows in batches(len(data.x), setting.batch, rng):
            x, y = data.x[rows], data.y[rows]
            seen = network.forward(x)
            back = network.backward(seen, loss.slopes(seen.outputs, y))
            drawn = loss.slopes(seen.outputs, loss.sample_labels(seen.outputs, rng))
            statistics = network.backward(seen, drawn).statistics
            optimizer.accumulate(statistics)
            for (side, factor), part in zip(factors.items(), statistics["dense1"], strict=True):
                factor.update(part)
                tops[side].append(largest(part))
            network.parameters = optimizer.step(network.parameters, back.gradients)
            losses.append(loss.value(seen.outputs, y))
            step += 1
            if step in setting.marks:
                for side, factor in factors.items():
                    values = np.linalg.eigvalsh(factor.value.astype(np.float64))[::-1]
                    spectra[side][str(step)] = [float(max(v, 0.0)) for v in values]
            if step == max(setting.marks):
                break
    alphas = {
        side: {mark: values[0] / max(tops[side][: int(mark)]) for mark, values in found.items()}
        for side, found in spectra.items()
    }
    return {"spectra": spectra, "alpha": alphas, "loss": losses[-1], "seed": 0}


def counts(values: list[float]) -> dict[float, int]:
    """Eigenvalues above each level of the largest."""
    return {eps: int(np.sum(np.array(values) >= eps * values[0])) for eps in LEVELS}


def report(cell: dict[str, Any], setting: Setting) -> None:
    """Counts above the levels, beside the bound."""
    print(f"eigenvalues above eps times the largest, of {setting.width}; in brackets the bound")
    print(
        f"{'':12} {'step':>6} {'alpha':>6} " + " ".join(f"{'eps = ' + format(e, '.2g'):>16}" for e in LEVELS)
    )
    for side, found in cell["spectra"].items():
        for mark, values in found.items():
            alpha = cell["alpha"][side][mark]
            cells = [
                f"{count} ({bound(setting.batch, setting.ema, alpha, eps)})"
                for eps, count in counts(values).items()
            ]
            print(f"{side:12} {mark:>6} {alpha:6.2f} " + " ".join(f"{text:>16}" for text in cells))


def draw(cells: Cells, cell: dict[str, Any], setting: Setting) -> None:
    """Spectra over their largest eigenvalues, from light to dark over training, and the bound."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.9), layout="constrained", sharey=True)
    for axis, (side, found) in zip(axes, cell["spectra"].items(), strict=True):
        shades = plt.get_cmap("Blues")(np.linspace(0.35, 1.0, len(found)))
        for (mark, values), shade in zip(found.items(), shades, strict=True):
            index = np.arange(1, len(values) + 1)
            axis.loglog(
                index, np.maximum(np.array(values) / values[0], 1e-9), color=shade, label=f"step {mark}"
            )
        alpha = cell["alpha"][side][mark]
        steps = np.arange(0, math.ceil(setting.width / setting.batch) + 1)
        axis.step(
            1 + setting.batch * steps,
            np.minimum(1.0, setting.ema**steps / alpha),
            where="post",
            color="#d9680f",
            label="bound",
        )
        axis.set(xlabel="index", title=f"factor of {side}", xlim=(1, setting.width), ylim=(1e-8, 2))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("eigenvalue over the largest")
    axes[0].legend(frameon=False)
    cells.figure(figure)
    plt.close(figure)


def main() -> None:
    """Run what the command line asks for."""
    options = arguments(__doc__, SETTINGS, ("spectra",))
    setting = SETTINGS[options.setting]
    data = load(setting.count)
    cells = Cells(options.out, f"spectrum_decay-{options.setting}", data)
    cell = cells.run("spectra", lambda: run(setting, data))
    report(cell, setting)
    draw(cells, cell, setting)


if __name__ == "__main__":
    main()

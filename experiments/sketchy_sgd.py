# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""SketchySGD with its defaults against tuned first-order methods and L-BFGS, on ill-conditioned problems.

    python experiments/sketchy_sgd.py --small

Logistic regression for two kinds of images on random Fourier features, least squares on such features,
multinomial regression for all kinds on coarse pixels, and logistic regression on features with singular
values 1 / i. SGD takes the best of ten step sizes on its own seed and problem, SAGA and SVRG the best of
six from the theory's on; SketchySGD and its variants take none. What counts is the objective above its
minimum after passes over the data.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import scipy.optimize
from common import Cells, Data, arguments, batches, load

from randnla.curvature import LeastSquares, LinearModel, Logistic, Multinomial
from randnla.optim import SketchyKatyusha, SketchySAGA, SketchySGD, SketchySVRG

mpl.use("Agg")
import matplotlib.pyplot as plt

OURS = {
    "SketchySGD": SketchySGD,
    "SketchySVRG": SketchySVRG,
    "SketchySAGA": SketchySAGA,
    "SketchyKatyusha": SketchyKatyusha,
}
COLORS = {
    "SGD": "#8a8f98",
    "SAGA": "#b08ac0",
    "SVRG": "#c9a13b",
    "L-BFGS": "#333333",
    "SketchySGD": "#1f5fa8",
    "SketchySVRG": "#2f8f5b",
    "SketchySAGA": "#d9680f",
    "SketchyKatyusha": "#c0392b",
}


@dataclass(frozen=True)
class Setting:
    """What is run."""

    count: int
    features: int
    epochs: int = 20
    batch: int = 256
    seeds: int = 3
    rates: int = 10


SETTINGS = {
    "small": Setting(3000, 200),
    "full": Setting(60000, 1000),
    "tiny": Setting(400, 20, epochs=2, batch=64, seeds=1, rates=2),
}


@dataclass(frozen=True)
class Problem:
    """A model with its data, and the largest curvature of a sample, which step sizes are made of."""

    model: LinearModel
    X: np.ndarray
    y: np.ndarray
    smoothness: float


def fourier(x: np.ndarray, count: int) -> np.ndarray:
    """Random Fourier features of a Gaussian kernel as wide as the median distance."""
    rng = np.random.default_rng(0)
    some = x[:500].astype(np.float64)
    squares = (some**2).sum(axis=1)
    width = math.sqrt(np.median(squares[:, None] + squares - 2 * some @ some.T) / 2)
    W = rng.standard_normal((x.shape[1], count)) / width
    return math.sqrt(2 / count) * np.cos(x.astype(np.float64) @ W + rng.uniform(0, 2 * np.pi, count))


def coarse(x: np.ndarray, side: int) -> np.ndarray:
    """Images averaged to some 7 x 7 pixels, and a column of ones."""
    block = max(1, side // 7)
    size = side // block
    whole = x.reshape(len(x), side, side)[:, : size * block, : size * block].astype(np.float64)
    means = whole.reshape(len(x), size, block, size, block).mean(axis=(2, 4)).reshape(len(x), -1)
    return np.concatenate([means, np.ones((len(x), 1))], axis=1)


def decaying(n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian features with singular values as 1 / i, and labels of a noisy linear rule."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p)) / np.arange(1, p + 1)
    z = X @ (rng.standard_normal(p) * np.arange(1, p + 1) ** 0.5)
    return X, (z + 0.5 * rng.standard_normal(n) > 0).astype(float)


def problems(setting: Setting, data: Data) -> dict[str, Problem]:
    """All, with a ridge of 1e-2 / n; `bend` bounds the second derivative of a loss."""
    n, p = setting.count, setting.features
    x, y = data.x[:n], data.y[:n]
    # T-shirts against shirts, of the digits 0 against 6: the most alike.
    two = np.isin(data.y, (0, 6))
    pair, label = data.x[two][:n], (data.y[two][:n] == 6).astype(float)
    made = {
        "logistic, Fourier features": (Logistic, fourier(pair, p), label, 0.25),
        "least squares, Fourier features": (LeastSquares, fourier(x, p), (y == 6).astype(float), 1.0),
        "multinomial, coarse pixels": (Multinomial, coarse(x, data.side), y, 0.5),
        "logistic, values 1 / i": (Logistic, *decaying(n, p), 0.25),
    }
    found = {}
    for name, (kind, X, targets, bend) in made.items():
        ridge = 1e-2 / len(X)
        model = Multinomial(10, ridge=ridge) if kind is Multinomial else kind(ridge=ridge)
        found[name] = Problem(model, X, targets, bend * float((X**2).sum(axis=1).max()) + ridge)
    return found


def minimum(problem: Problem) -> tuple[float, list[float]]:
    """The least objective, and what L-BFGS has after every iteration, a pass or a little more."""
    model, X, y = problem.model, problem.X, problem.y
    shape, seen = model.shape(X.shape[1]), []

    def objective(v: np.ndarray) -> tuple[float, np.ndarray]:
        w = v.reshape(shape)
        return model.loss(X, y, w), model.gradient(X, y, w).ravel()

    found = scipy.optimize.minimize(
        objective,
        np.zeros(math.prod(shape)),
        jac=True,
        method="L-BFGS-B",
        callback=lambda v: seen.append(model.loss(X, y, v.reshape(shape))),
        options={"maxiter": 3000, "maxfun": 6000, "maxcor": 30, "ftol": 1e-15, "gtol": 1e-9},
    )
    return float(found.fun), seen


def sgd(problem: Problem, rate: float, setting: Setting, seed: int) -> Iterator[np.ndarray]:
    """Weights after every epoch of plain stochastic gradients."""
    model, X, y = problem.model, problem.X, problem.model.checked_targets(problem.y, len(problem.X))
    w, rng = np.zeros(model.shape(X.shape[1])), np.random.default_rng(seed)
    for _ in range(setting.epochs):
        for rows in batches(len(X), setting.batch, rng):
            A = X[rows]
            w = w - rate * (model.pull(A, model.slopes(model.predictors(A, w), y[rows])) + model.ridge * w)
        yield w


def saga(problem: Problem, rate: float, setting: Setting, seed: int) -> Iterator[np.ndarray]:
    """Of SAGA with batches."""
    model, X, y = problem.model, problem.X, problem.model.checked_targets(problem.y, len(problem.X))
    n, w, rng = len(X), np.zeros(model.shape(X.shape[1])), np.random.default_rng(seed)
    table, average = np.zeros((n, *w.shape[1:])), np.zeros_like(w)
    for _ in range(setting.epochs):
        for rows in batches(n, setting.batch, rng):
            slopes = model.slopes(model.predictors(X[rows], w), y[rows])
            push = model.pull(X[rows], slopes - table[rows])
            w = w - rate * (push + average + model.ridge * w)
            average = average + push * (len(rows) / n)
            table[rows] = slopes
        yield w


def svrg(problem: Problem, rate: float, setting: Setting, seed: int) -> Iterator[np.ndarray]:
    """Of SVRG with an anchor every epoch."""
    model, X, y = problem.model, problem.X, problem.model.checked_targets(problem.y, len(problem.X))
    w, rng = np.zeros(model.shape(X.shape[1])), np.random.default_rng(seed)
    for _ in range(setting.epochs):
        anchor = w
        whole = model.pull(X, model.slopes(model.predictors(X, anchor), y))
        for rows in batches(len(X), setting.batch, rng):
            A = X[rows]
            change = model.slopes(model.predictors(A, w), y[rows])
            change = change - model.slopes(model.predictors(A, anchor), y[rows])
            w = w - rate * (model.pull(A, change) + whole + model.ridge * w)
        yield w


Method = Callable[[Problem, float, Setting, int], Iterator[np.ndarray]]
PLAIN: dict[str, Method] = {"SGD": sgd, "SAGA": saga, "SVRG": svrg}
PASSES = {"SVRG": 2, "SketchySVRG": 2, "SketchyKatyusha": 2}


def rates_of(name: str, problem: Problem, setting: Setting) -> list[float]:
    """SGD: a grid of four decades; the others: the theory's 1 / (3 L), and powers of four times that."""
    if name == "SGD":
        return [float(r) / problem.smoothness for r in np.logspace(-1, 3, setting.rates)]
    return [k / (3 * problem.smoothness) for k in (1, 4, 16, 64, 256, 1024)][: setting.rates]


def excesses(problem: Problem, weights: Iterator[np.ndarray], least: float) -> list[float]:
    """Of the objective above its minimum, after every epoch; inf where it has overflown."""
    found = []
    with np.errstate(over="ignore", invalid="ignore"):
        for w in weights:
            finite = bool(np.isfinite(w).all())
            value = problem.model.loss(problem.X, problem.y, w) - least if finite else math.inf
            found.append(value if math.isfinite(value) else math.inf)
    return found


def plain(name: str, problem: Problem, setting: Setting, seed: int, least: float) -> dict[str, Any]:
    """The best of the step sizes by what is left at the end, on this very seed."""
    tried = {
        rate: excesses(problem, PLAIN[name](problem, rate, setting, seed), least)
        for rate in rates_of(name, problem, setting)
    }
    best = min(tried, key=lambda rate: tried[rate][-1])
    return {"seed": seed, "rate": best, "excess": tried[best]}


def ours(name: str, problem: Problem, setting: Setting, seed: int, least: float) -> dict[str, Any]:
    """With the defaults."""
    seen: list[float] = []
    optimizer = OURS[name](problem.model, batch=setting.batch, epochs=setting.epochs, rng=seed)
    optimizer.fit(
        problem.X,
        problem.y,
        callback=lambda o: seen.append(problem.model.loss(problem.X, problem.y, o.coef_) - least),
    )
    rates = [epoch["learning_rate"] for epoch in optimizer.history]
    return {"seed": seed, "rate": rates[-1], "excess": seen}


def run(cells: Cells, name: str, problem: Problem, setting: Setting) -> dict[str, list[dict[str, Any]]]:
    """All methods on a problem."""

    def least() -> dict[str, Any]:
        start = time.perf_counter()
        value, seen = minimum(problem)
        return {"least": value, "seen": seen, "seconds": time.perf_counter() - start}

    found = cells.run(f"minimum {name}", least)
    made: dict[str, list[dict[str, Any]]] = {}
    for method in (*PLAIN, *OURS):
        call = plain if method in PLAIN else ours
        made[method] = [
            cells.run(
                f"excess {name}, {method} seed={seed}",
                lambda method=method, seed=seed, call=call: call(
                    method, problem, setting, seed, found["least"]
                ),
            )
            for seed in range(setting.seeds)
        ]
    steps = [value - found["least"] for value in found["seen"][: setting.epochs]]
    made["L-BFGS"] = [{"seed": 0, "rate": None, "excess": steps}]
    return made


def report(name: str, made: dict[str, list[dict[str, Any]]]) -> None:
    """What is left after the last epoch, seed by seed."""
    print(f"{name}: objective above its minimum after the last epoch")
    for method, seeds in made.items():
        left = " ".join(f"{cell['excess'][-1]:9.2e}" for cell in seeds)
        print(f"  {method:16} {left}   {PASSES.get(method, 1)} pass(es) an epoch")
    tuned, default = made["SGD"], made["SketchySGD"]
    ratios = [d["excess"][-1] / t["excess"][-1] for d, t in zip(default, tuned, strict=True)]
    print(f"  SketchySGD over the best of SGD: {', '.join(f'{r:.3f}' for r in ratios)}")


def draw(cells: Cells, results: dict[str, dict[str, list[dict[str, Any]]]]) -> None:
    """Excess over passes, the first seed of every method."""
    figure, axes = plt.subplots(1, len(results), figsize=(4 * len(results), 4), layout="constrained")
    for axis, (name, made) in zip(axes, results.items(), strict=True):
        for method, seeds in made.items():
            values = np.maximum(seeds[0]["excess"], 1e-12)
            passes = PASSES.get(method, 1) * np.arange(1, len(values) + 1)
            style = "-" if method.startswith("Sketchy") else "--"
            axis.semilogy(passes, values, style, color=COLORS[method], label=method)
        axis.set(xlabel="passes", title=name)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("objective above its minimum")
    axes[0].legend(frameon=False, fontsize=8)
    cells.figure(figure)
    plt.close(figure)


def main() -> None:
    """Run what the command line asks for."""
    options = arguments(__doc__, SETTINGS, ("excess",))
    setting = SETTINGS[options.setting]
    data = load(None if setting.count > 10000 else 10 * setting.count)
    cells = Cells(options.out, f"sketchy_sgd-{options.setting}", data)
    results = {name: run(cells, name, problem, setting) for name, problem in problems(setting, data).items()}
    for name, made in results.items():
        report(name, made)
    draw(cells, results)


if __name__ == "__main__":
    main()

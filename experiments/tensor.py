# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Errors of CP components over coherence, gaps, signal and dimension, by composite PCA, ICO, ALS and others.

    python experiments/tensor.py --small

The setting of Han and Zhang (2021), section 5: r components of order 3 with
prod_k a_k1^T a_kj = delta / (r - 1), weights that fall by a ratio, entries of noise N(0, 1), the least weight
`signal` d^(3/4). Errors are the largest sine over components and modes after matching.
"""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
import numpy as np
from common import Cells, arguments, now

from randnla import ConvergenceWarning
from randnla.tensor import als, cp, cpca, ico, match_components

mpl.use("Agg")
import matplotlib.pyplot as plt

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Point:
    """One place of the grid; infinite `signal` is no noise."""

    d: int = 40
    r: int = 3
    delta: float = 0.1
    ratio: float = 1.25
    signal: float = 10.0


@dataclass(frozen=True)
class Setting:
    deltas: tuple[float, ...] = (0.0, 0.05, 0.1, 0.3, 0.6)
    ratios: tuple[float, ...] = (1.0, 1.1, 1.25, 2.0)
    signals: tuple[float, ...] = (1.0, 2.0, 4.0, 10.0, 30.0, 100.0)
    dimensions: tuple[int, ...] = (20, 40, 60)
    seeds: int = 8
    base: Point = Point()


SETTINGS = {
    "small": Setting(),
    "full": Setting(dimensions=(20, 40, 60, 80, 120, 160), seeds=100),
    "tiny": Setting((0.0, 0.3), (1.25,), (10.0,), (8, 10), seeds=1, base=Point(d=10)),
}
AXES = {"coherence": "delta", "gap": "ratio", "signal": "signal", "dimension": "d"}


def model(at: Point, seed: int) -> tuple[Array, list[Array]]:
    """The tensor, with noise, and its components."""
    rng = np.random.default_rng([seed, at.d])
    factors = []
    for _ in range(3):
        Q = np.linalg.qr(rng.standard_normal((at.d, at.r)))[0]
        if at.delta > 0:
            eta = np.sqrt((at.delta / (at.r - 1)) ** (-2 / 3) - 1)
            Q[:, 1:] = (Q[:, [0]] + eta * Q[:, 1:]) / np.sqrt(1 + eta**2)
        factors.append(Q)
    least = at.signal * at.d**0.75 if np.isfinite(at.signal) else 1.0
    weights = least * at.ratio ** np.arange(at.r)[::-1]
    T = np.einsum("z,iz,jz,kz->ijk", weights, *factors, optimize=True)
    return T + np.isfinite(at.signal) * rng.standard_normal(T.shape), factors


def power_iteration(T: Array, rank: int, seed: int) -> list[Array]:
    """One component after the other by the higher-order power method from singular vectors, taken away."""
    del seed
    left, found = T.copy(), []
    for _ in range(rank):
        unfolded = (np.moveaxis(left, k, 0).reshape(len(T), -1) for k in range(3))
        vectors = [np.linalg.eigh(M @ M.T)[1][:, -1] for M in unfolded]
        for _ in range(100):
            before = [v.copy() for v in vectors]
            for k, rule in enumerate(("ijk,j,k->i", "ijk,i,k->j", "ijk,i,j->k")):
                v = np.einsum(rule, left, *(u for m, u in enumerate(vectors) if m != k), optimize=True)
                vectors[k] = v / np.linalg.norm(v)
            if max(np.linalg.norm(v - u) for v, u in zip(vectors, before, strict=True)) < 1e-8:
                break
        weight = np.einsum("ijk,i,j,k->", left, *vectors, optimize=True)
        left = left - weight * np.einsum("i,j,k->ijk", *vectors)
        found.append(vectors)
    return [np.stack([vectors[k] for vectors in found], axis=1) for k in range(3)]


def tensorly_parafac(T: Array, rank: int, seed: int) -> list[Array]:
    from tensorly.decomposition import parafac

    return list(parafac(T, rank, init="svd", n_iter_max=500, tol=1e-10, random_state=seed).factors)


METHODS: dict[str, Callable[[Array, int, int], list[Array]]] = {
    "cpca": lambda T, r, seed: list(cpca(T, r, rng=seed).factors),
    "ico": lambda T, r, seed: list(ico(T, r, rng=seed).factors),
    "cp": lambda T, r, seed: list(cp(T, r, rng=seed).factors),
    "cp, 5 starts": lambda T, r, seed: list(cp(T, r, rng=seed, starts=5).factors),
    "als": lambda T, r, seed: list(als(T, r, rng=seed).factors),
    "als, random": lambda T, r, seed: list(als(T, r, rng=seed, init="random").factors),
    "power iteration": power_iteration,
}
COLORS = ("#2c8a57", "#8a8f98", "#d9680f", "#1f5fa8", "#67a9e0", "#9bc53d", "#8a5fb0", "#c0392b")


def cell(method: str, at: Point, seeds: int) -> dict[str, Any]:
    errors, seconds = [], []
    for seed in range(seeds):
        T, factors = model(at, seed)
        begin = now()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = {**METHODS, "tensorly": tensorly_parafac}[method](T, at.r, seed)
        seconds.append(now() - begin)
        errors.append(float(match_components(found, factors)[1].max()))
    return {"errors": errors, "seconds": float(np.median(seconds))}


def grid(setting: Setting, part: str) -> list[tuple[float, Point]]:
    values = {
        "coherence": setting.deltas,
        "gap": setting.ratios,
        "signal": setting.signals,
        "dimension": setting.dimensions,
    }[part]
    return [(value, replace(setting.base, **{AXES[part]: value})) for value in values]


def methods_of(part: str) -> list[str]:
    """tensorly's where it is installed, on one axis: it takes most of the time."""
    if part == "coherence" and importlib.util.find_spec("tensorly"):
        return [*METHODS, "tensorly"]
    return list(METHODS)


def draw(setting: Setting, cells: Cells) -> None:
    figure, axes = plt.subplots(2, 4, figsize=(16, 7), layout="constrained", sharey="row", sharex="col")
    for (ax, below), part in zip(axes.T, AXES, strict=True):
        places = grid(setting, part)
        at, best = np.arange(len(places)), None
        for color, method in zip(
            COLORS, ["als", *(m for m in methods_stored(cells) if m != "als")], strict=False
        ):
            keys = [f"{part} {value} {method}" for value, _ in places]
            if keys[0] not in cells.stored["cells"]:
                continue
            errors = [np.maximum(cells[key]["errors"], 1e-16) for key in keys]
            low, middle, high = np.array([np.quantile(e, (0.25, 0.5, 0.75)) for e in errors]).T
            best = middle if best is None else best
            style = {"lw": 6, "alpha": 0.3} if method == "als" else {"marker": "o", "ms": 4}
            ax.semilogy(at, middle, color=color, label=method, **style)
            ax.fill_between(at, low, high, color=color, alpha=0.12, lw=0)
            below.plot(at, middle / best, color=color, label=method, **style)
        ax.set_title(part)
        below.set_xticks(at, [f"{value:g}" for value, _ in places])
        below.set(xlabel=AXES[part], ylim=(0.8, 2))
    axes[0, 0].set_ylabel("largest sine: median and quartiles")
    axes[1, 0].set_ylabel("median over that of als")
    axes[1, 0].legend(frameon=False, fontsize=8)
    cells.figure(figure)
    plt.close(figure)
    for part in AXES:
        for value, _ in grid(setting, part):
            row = [
                f"{method} {np.median(cells[f'{part} {value} {method}']['errors']):.3g}" for method in METHODS
            ]
            print(f"{part} {value:g}: " + ", ".join(row))


def methods_stored(cells: Cells) -> list[str]:
    """All of ours, and tensorly's where some cell has it."""
    theirs = any(key.endswith(" tensorly") for key in cells.stored["cells"])
    return [*METHODS, "tensorly"] if theirs else list(METHODS)


def main() -> None:
    options = arguments(__doc__, SETTINGS, tuple(AXES))
    setting = SETTINGS[options.setting]
    cells = Cells(options.out, f"tensor-{options.setting}")
    begin = time.perf_counter()
    for part in options.part:
        for value, at in grid(setting, part):
            for method in methods_of(part):
                cells.run(
                    f"{part} {value} {method}",
                    lambda method=method, at=at: cell(method, at, setting.seeds),
                )
    if set(options.part) == set(AXES):
        draw(setting, cells)
    print(f"{time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()

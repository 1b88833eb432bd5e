# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""How few entries of the powers of an operator give it back, how the iteration ends, and what time it takes.

    python experiments/recovery.py --small | --full

`phase`: share of runs with an error below 1e-3, over the number of samples of all times together (for each of
the r (2 n - r) unknowns) and the number of times T: where the curves lie over each other, samples at later
times stand in for samples at more places. `tail`: singular value r + 1 at each iteration. `time`: seconds an
iteration over the order. `graphs`: operators of graphs, cut to their leading eigenvalues. `adaptive`:
operators of which few rows and columns carry most, from uniform places and from places by a pilot estimate.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from common import Cells, arguments, now

from randnla import ConvergenceWarning
from randnla.operators import LowRank
from randnla.recovery import draw_places, learn_transition

mpl.use("Agg")
import matplotlib.pyplot as plt

Array = np.ndarray[Any, Any]
Powers = tuple[Array, Array, Array]
Places = tuple[Array, Array, Array]
SUCCESS = 1e-3
COLORS = ("#1f5fa8", "#d9680f", "#2c8a57", "#8a5fb0", "#c0392b", "#9bc53d", "#8a8f98", "#67a9e0")


@dataclass(frozen=True)
class Setting:
    n: int = 30
    rank: int = 3
    horizons: tuple[int, ...] = (1, 2, 3, 5, 10)
    oversampling: tuple[float, ...] = (1.25, 1.5, 2.0, 2.5, 3.0)
    seeds: int = 4
    coherent: int = 60  # order of operators of which few rows carry most
    richer: tuple[float, ...] = (2.0, 3.0, 4.0, 6.0)  # oversampling of these
    orders: tuple[int, ...] = (250, 500, 1000)
    graph: int = 49


SETTINGS = {
    "small": Setting(),
    "full": Setting(
        n=100,
        rank=5,
        horizons=tuple(range(1, 11)),
        oversampling=(1.1, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 3.0, 3.5, 4.0),
        seeds=20,
        coherent=200,
        orders=(250, 500, 1000, 2000, 3000, 4000, 5000),
        graph=200,
    ),
    "tiny": Setting(20, 2, (1, 3), (4.0,), 1, 20, (4.0,), (40, 80), 25),
}
OPTIONS = {"holdout": 0.0, "max_iters": 40}  # what is found is found in thirty
TIMED = (1, 4)  # horizons
GRAPHS = ("Erdos-Renyi", "three communities", "ring", "grid")
WAYS = ("uniform", "by a pilot", "by the truth")


def symmetric(n: int, rank: int, seed: int) -> Powers:
    """Eigenvalues from 1 down to 0.8."""
    Q = np.linalg.qr(np.random.default_rng([seed, n]).standard_normal((n, rank)))[0]
    return Q, np.linspace(1, 0.8, rank), Q


def coherent(n: int, rank: int, seed: int) -> Powers:
    """The same, with rows that fall like 1 over their number: few of them carry most."""
    X = np.random.default_rng([seed, n]).standard_normal((n, rank)) / np.arange(1, n + 1)[:, None] ** 0.75
    Q = np.linalg.qr(X)[0]
    return Q, np.linspace(1, 0.8, rank), Q


def of_graph(W: Array, kind: str, rank: int) -> Powers:
    """Of weights W: the normalized adjacency matrix, or exp(-L) of its Laplacian, cut to `rank`."""
    degree = np.maximum(W.sum(axis=1), 1e-12)
    S = W / np.sqrt(np.outer(degree, degree))
    w, Q = np.linalg.eigh(S)
    if kind == "heat":
        w = np.exp(-2 * (1 - w))
    best = np.argsort(-np.abs(w))[:rank]
    return Q[:, best], w[best], Q[:, best]


def graphs(n: int, seed: int) -> dict[str, Array]:
    """Weights: Erdos-Renyi, three communities, a ring and a square grid, both with unequal weights."""
    rng = np.random.default_rng([seed, n])

    def drawn(p: Array) -> Array:
        W = np.triu(rng.random(p.shape) < p, 1).astype(float)
        return W + W.T

    same = np.equal.outer(np.arange(n) * 3 // n, np.arange(n) * 3 // n)
    ring, side = np.zeros((n, n)), round(n**0.5)
    i = np.arange(n)
    ring[i, (i + 1) % n] = 1 + 0.5 * rng.random(n)
    line = np.eye(side, k=1)
    grid = np.kron(line, np.eye(side)) + np.kron(np.eye(side), line)
    grid *= 1 + 0.5 * rng.random(grid.shape)
    return {
        "Erdos-Renyi": drawn(np.full((n, n), 0.3)),
        "three communities": drawn(np.where(same, 0.6, 0.1)),
        "ring": ring + ring.T,
        "grid": grid + grid.T,
    }


def entries(A: Powers, places: Places) -> Array:
    """Of A^t = U diag(w^t) V^T at (t, i, j)."""
    (U, w, V), (t, i, j) = A, places
    return np.asarray(np.einsum("kr,kr->k", U[i] * w ** t[:, None], V[j]))


def distance(found: Any, A: Powers) -> float:
    U, w, V = A
    rows = np.linalg.qr(np.hstack([found.A.U * found.A.C, -U * w]), mode="r")
    columns = np.linalg.qr(np.hstack([found.A.V, V]), mode="r")
    return float(np.linalg.norm(rows @ columns.T) / np.linalg.norm(w))


def learned(A: Powers, horizon: int, places: Places, seed: int, **more: Any) -> Any:
    n, rank = A[0].shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return learn_transition(
            (*places, entries(A, places)), horizon, rank, **{"shape": (n, n), "rng": seed, **OPTIONS, **more}
        )


def unknowns(A: Powers) -> int:
    n, rank = A[0].shape
    return rank * (2 * n - rank)


def success(make: Callable[[int], Powers], horizon: int, oversampling: float, seeds: int) -> dict[str, Any]:
    errors, steps = [], []
    for seed in range(seeds):
        A = make(seed)
        places = draw_places(horizon, len(A[0]), int(oversampling * unknowns(A)), rng=seed)
        found = learned(A, horizon, places, seed)
        errors.append(distance(found, A))
        steps.append(int(found.info.iterations))
    return {"share": float(np.mean(np.array(errors) < SUCCESS)), "errors": errors, "iterations": steps}


def tail(setting: Setting, horizon: int) -> dict[str, Any]:
    A, trace = symmetric(setting.n, setting.rank, 0), []
    places = draw_places(horizon, setting.n, 4 * unknowns(A), rng=0)
    found = learned(A, horizon, places, 0, callback=lambda state: trace.append(state["relative"]), tol=1e-12)
    return {"relative": trace, "error": distance(found, A)}


def timed(order: int, horizon: int) -> dict[str, Any]:
    """The samples grow like n log n, as the theory has it."""
    A = symmetric(order, 5, 0)
    count = int(0.5 * np.log(order) * unknowns(A))
    places = draw_places(horizon, order, count, rng=0)
    begin = now()
    found = learned(A, horizon, places, 0)
    seconds, steps, products = now() - begin, int(found.info.iterations), int(found.info.matvecs)
    return {
        "seconds": seconds,
        "iterations": steps,
        "products": products,
        "samples": count,
        "an iteration": seconds / steps,
        "a product": seconds / products,
        "error": distance(found, A),
    }


def joined(first: Places, more: Places, count: int) -> Places:
    """`first` and those of `more` that are not there, `count` in all."""
    seen = set(zip(*(part.tolist() for part in first), strict=True))
    new = [place for place in zip(*(part.tolist() for part in more), strict=True) if place not in seen]
    t, i, j = np.concatenate([np.stack(first, 1), np.array(new)[: count - len(seen)]]).T
    return t, i, j


def adaptive(setting: Setting, horizon: int, oversampling: float, how: str) -> dict[str, Any]:
    """Uniform places, places by the leverage of the truth, or half uniform and half by what those give."""
    errors, n = [], setting.coherent
    for seed in range(setting.seeds):
        A = coherent(n, setting.rank, seed)
        count = int(oversampling * unknowns(A))
        if how == "by a pilot":
            first = draw_places(horizon, n, max(unknowns(A), count // 2), rng=seed)
            pilot = learned(A, horizon, first, seed).A
            places = joined(first, draw_places(horizon, n, count, pilot=pilot, rng=seed + 1), count)
        else:
            pilot = LowRank(*A) if how == "by the truth" else None
            places = draw_places(horizon, n, count, pilot=pilot, rng=seed)
        errors.append(distance(learned(A, horizon, places, seed), A))
    return {"share": float(np.mean(np.array(errors) < SUCCESS)), "errors": errors}


def on_graph(setting: Setting, name: str, kind: str, horizon: int) -> dict[str, Any]:
    def make(seed: int) -> Powers:
        return of_graph(graphs(setting.graph, seed)[name], kind, setting.rank)

    return success(make, horizon, 3.5, setting.seeds)


def plan(setting: Setting, part: str) -> dict[str, Callable[[], dict[str, Any]]]:
    """The cells of a part and how to make them."""
    several = setting.horizons[len(setting.horizons) // 2]
    if part == "phase":
        return {
            f"phase {T} {rho:g}": lambda T=T, rho=rho: success(
                lambda seed: symmetric(setting.n, setting.rank, seed), T, rho, setting.seeds
            )
            for T in setting.horizons
            for rho in setting.oversampling
        }
    if part == "tail":
        return {f"tail {T}": lambda T=T: tail(setting, T) for T in (1, several)}
    if part == "time":
        return {
            f"time {T} {order}": lambda T=T, order=order: timed(order, T)
            for T in TIMED
            for order in setting.orders
        }
    if part == "graphs":
        return {
            f"graphs {kind} {T} {name}": lambda name=name, kind=kind, T=T: on_graph(setting, name, kind, T)
            for kind in ("adjacency", "heat")
            for T in (1, several)
            for name in GRAPHS
        }
    return {
        f"adaptive {T} {rho:g} {how}": lambda T=T, rho=rho, how=how: adaptive(setting, T, rho, how)
        for T in (1, several)
        for rho in setting.richer
        for how in WAYS
    }


def slope(orders: tuple[int, ...], seconds: list[float]) -> float:
    return float(np.polyfit(np.log(orders), np.log(seconds), 1)[0])


def draw_phase(setting: Setting, cells: Cells, ax: Any) -> None:
    for T, color in zip(setting.horizons, cm(len(setting.horizons)), strict=True):
        shares = [cells[f"phase {T} {rho:g}"]["share"] for rho in setting.oversampling]
        ax.plot(setting.oversampling, shares, "o-", color=color, label=f"T = {T}", ms=3)
        print(
            f"T = {T}: "
            + ", ".join(f"{r:g} {s:.2f}" for r, s in zip(setting.oversampling, shares, strict=True))
        )
    ax.set(xlabel="samples of all times, over the unknowns", ylabel="share recovered")
    ax.legend(frameon=False, fontsize=8)


def draw_tail(setting: Setting, cells: Cells, ax: Any) -> None:
    for key, color in zip(plan(setting, "tail"), COLORS, strict=False):
        trace = [value for value in cells[key]["relative"] if value > 0]
        ax.semilogy(trace, "o-", color=color, label=key.replace("tail", "T ="))
        print(f"{key}: " + " ".join(f"{value:.1e}" for value in trace))
    ax.set(xlabel="iteration", ylabel="singular value r + 1 over the first")
    ax.legend(frameon=False)


def draw_time(setting: Setting, cells: Cells, ax: Any) -> None:
    for T, color in zip(TIMED, COLORS, strict=False):
        for what, style in (("an iteration", "o-"), ("a product", "o:")):
            seconds = [cells[f"time {T} {order}"][what] for order in setting.orders]
            rate = slope(setting.orders, seconds)
            ax.loglog(setting.orders, seconds, style, color=color, label=f"T = {T}, {what}: n^{rate:.2f}")
            print(f"time T = {T}, {what}: n^{rate:.2f}, " + ", ".join(f"{s:.3g}" for s in seconds))
    ax.set(xlabel="order n", ylabel="seconds")
    ax.legend(frameon=False, fontsize=7)


def draw_graphs(setting: Setting, cells: Cells, ax: Any) -> None:
    keys = list(plan(setting, "graphs"))
    shares = [cells[key]["share"] for key in keys]
    ax.barh([key.removeprefix("graphs ") for key in keys], shares, color="#1f5fa8")
    ax.invert_yaxis()
    ax.set(xlabel="share recovered, 3.5 samples for each unknown")
    for key, share in zip(keys, shares, strict=True):
        print(f"{key}: {share:.2f}")


def draw_adaptive(setting: Setting, cells: Cells, ax: Any) -> None:
    for T, style in zip((1, setting.horizons[len(setting.horizons) // 2]), ("o-", "s--"), strict=True):
        for how, color in zip(WAYS, COLORS, strict=False):
            shares = [cells[f"adaptive {T} {rho:g} {how}"]["share"] for rho in setting.richer]
            ax.plot(setting.richer, shares, style, color=color, label=f"T = {T}, {how}", ms=4)
            print(f"adaptive T = {T}, {how}: " + " ".join(f"{s:.2f}" for s in shares))
    ax.set(xlabel="samples of all times, over the unknowns", ylabel="share recovered, coherent")
    ax.legend(frameon=False, fontsize=7)


def cm(count: int) -> Any:
    return plt.get_cmap("viridis")(np.linspace(0, 0.9, count))


PARTS = {
    "phase": draw_phase,
    "tail": draw_tail,
    "time": draw_time,
    "graphs": draw_graphs,
    "adaptive": draw_adaptive,
}


def main() -> None:
    options = arguments(__doc__, SETTINGS, tuple(PARTS))
    setting = SETTINGS[options.setting]
    cells = Cells(options.out, f"recovery-{options.setting}")
    begin = time.perf_counter()
    for part in options.part:
        for key, make in plan(setting, part).items():
            cells.run(key, make)
    if set(options.part) == set(PARTS):
        figure, axes = plt.subplots(2, 3, figsize=(15, 8), layout="constrained")
        for ax, draw in zip(axes.flat, PARTS.values(), strict=False):
            draw(setting, cells, ax)
        axes[1, 2].remove()
        cells.figure(figure)
        plt.close(figure)
    print(f"{time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What sampling access to a matrix is enough for, what it costs, and where exact randomized methods win.

    python experiments/sampling_algebra.py --small

Speed of the draws; errors over samples, which fall like their root; entries read of matrices up to 1e5 by
1e5 that are given by a function; the linear system, portfolio-like and recommendation problems of Arrazola,
Delgado, Bardhan and Lloyd (*Quantum-inspired algorithms in practice*, Quantum 4, 2020), on synthetic data
of their sizes; and time against error beside `randnla.svd`. See sampling_applications.py for the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from common import Cells, arguments
from scipy import stats

import randnla
from randnla import quantum_inspired as qi

mpl.use("Agg")
import matplotlib.pyplot as plt


@dataclass(frozen=True)
class Setting:
    """Sizes of the parts."""

    weights: int
    draws: int
    updates: int
    repetitions: int
    sides: tuple[int, ...]
    shape: tuple[int, int]
    shrink: int = 1


SETTINGS = {
    "small": Setting(10**7, 4 * 10**6, 10**5, 40, (10**3, 10**4, 10**5), (4000, 2000)),
    "full": Setting(10**7, 4 * 10**7, 10**5, 400, (10**3, 10**4, 10**5, 10**6), (20000, 5000)),
    "tiny": Setting(10**4, 10**4, 10**3, 4, (100, 400), (200, 120), shrink=10),
}


def timed(call: Callable[[], Any], rounds: int = 5) -> tuple[float, Any]:
    """The least time of some calls, by the clock, and the last result."""
    best, result = np.inf, None
    for _ in range(rounds):
        start = time.perf_counter()
        result = call()
        best = min(best, time.perf_counter() - start)
    return best, result


def draws(setting: Setting) -> dict[str, Any]:
    """Draws and updates a second, and whether frequencies are right after many updates."""
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {"seed": 0, "weights": setting.weights}
    for method in ("tree", "alias"):
        v = qi.SQVector(np.sqrt(rng.random(setting.weights)), method=method)
        i = rng.integers(0, setting.weights, setting.updates)
        x = np.sqrt(rng.random(setting.updates))
        seconds, _ = timed(lambda v=v, i=i, x=x: v.update(i, x), rounds=1)
        found[f"{method} update us"] = 1e6 * seconds / setting.updates
        found[f"{method} first draw after updates s"], _ = timed(lambda v=v: v.sample(1, rng=0), rounds=1)
        seconds, drawn = timed(lambda v=v: v.sample(setting.draws, rng=1))
        found[f"{method} draws a second"] = setting.draws / seconds
        # Chi-square over cells of neighbours that expect 40 draws each.
        squares, cells = v.to_dense() ** 2, setting.draws // 40
        expected = np.add.reduceat(squares, np.arange(0, squares.size, squares.size // cells))
        found[f"{method} cells"] = expected.size
        expected *= drawn.size / squares.sum()
        seen = np.bincount(drawn // (squares.size // cells), minlength=expected.size)
        statistic = float(((seen - expected) ** 2 / expected).sum())
        found[f"{method} p-value"] = float(stats.chi2.sf(statistic, expected.size - 1))
    return found


def slopes(setting: Setting) -> dict[str, Any]:
    """Root mean square errors over samples, relative to the norms, and the sharp constant of products."""
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal(2000), rng.standard_normal(2000)
    X, Y = rng.standard_normal((2000, 8)), rng.standard_normal((2000, 6))
    v, M = qi.SQVector(x), qi.SQMatrix(X)
    A = qi.SQMatrix(_decaying(800, 200, rng))
    exact = A.to_dense()
    gram = exact.T @ exact
    counts, found = [100, 400, 1600], {"seed": 1}
    seeds = range(setting.repetitions)
    found["samples"] = counts
    law = (np.linalg.norm(X) * np.linalg.norm(Y)) ** 2 - np.linalg.norm(X.T @ Y) ** 2
    found["inner product"] = [
        _rms([qi.inner_product(v, y, samples=s, rng=k).value - x @ y for k in seeds])
        / (np.linalg.norm(x) * np.linalg.norm(y))
        for s in counts
    ]
    product = [
        _rms([np.linalg.norm(qi.approximate_product(M, Y, s, rng=k).product - X.T @ Y) for k in seeds])
        for s in counts
    ]
    found["matrix product"] = [e / (np.linalg.norm(X) * np.linalg.norm(Y)) for e in product]
    found["matrix product over its law"] = [e**2 * s / law for e, s in zip(product, counts, strict=True)]
    few = range(max(2, setting.repetitions // 10))
    found["even transformation"] = [
        _rms([np.linalg.norm(qi.even_svt(A, lambda x: x, rows=s, rng=k).to_dense() - gram) for k in few])
        / A.norm() ** 2
        for s in counts
    ]
    return found


def sublinear(setting: Setting, side: int) -> dict[str, Any]:
    """A projector onto the rows of a matrix of rank 3 that is given by a function, and what it read.

    The norms of the rows are computed from the function as well, and 20 entries of a projected row: counted
    apart. That row is in memory.
    """

    def entries(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        u, w = i / side, j / side
        return 2 + np.cos(7 * u) * np.sin(5 * w) + 0.5 * np.sin(3 * u) * np.cos(9 * w)

    rows, everywhere = np.arange(side), (np.arange(2000) + 0.5) / 2000 * side
    some = rows[:: max(1, side // 500)]  # norms are smooth in the index
    norms = np.array([np.sqrt(np.mean(entries(i, everywhere) ** 2) * side) for i in some])
    A = qi.SQMatrix.from_rows(
        (side, side),
        entries=entries,
        row_norms=np.interp(rows, some, norms),
        row_bounds=np.full(side, 3.5),
    )
    i, row = np.arange(20) * side // 20, entries(np.full(side, side // 3), np.arange(side))
    sampled = {"rank": 3, "method": "double", "form": "sampled", "rows": 100, "columns": 100}
    read, errors = [0], []
    for seed in range(10):
        seconds, P = timed(lambda s=seed: qi.even_svt(A, lambda x: 1.0 * (x > 0), rng=s, **sampled), 1)
        read.append(A.entries_read)
        errors.append(float(np.linalg.norm(P.apply(row).query(i) - row[i]) / np.linalg.norm(row[i])))
        read.append(A.entries_read)
    built, asked = (float(np.diff(read)[part::2].mean()) for part in (0, 1))
    return {
        "seeds": len(errors),
        "side": side,
        "entries": built,
        "entries of the norms": len(some) * len(everywhere),
        "entries of the check": asked,
        "share": built / side**2,
        "seconds": seconds,
        "errors of 20 entries": errors,
    }


def study(setting: Setting) -> dict[str, Any]:
    """Problems of the sizes of the published study; times of ours, by the clock."""
    rng, by = np.random.default_rng(2), setting.shrink
    A = rng.standard_normal((500 // by, 3)) @ rng.standard_normal((3, 250 // by))
    x = A.T @ rng.standard_normal(500 // by)
    S, b = qi.SQMatrix(A), A @ x
    seconds, found = timed(lambda: qi.regress(S, b, rank=3, rows=200 // by, rng=0))
    exact = np.linalg.pinv(A, rcond=1e-10) @ b
    cells: dict[str, Any] = {
        "seed": 2,
        "linear system ms": 1e3 * seconds,
        "linear system error": float(np.linalg.norm(found.x - exact) / np.linalg.norm(exact)),
    }
    returns = rng.standard_normal((475 // by, 5)) @ rng.standard_normal((5, 475 // by))
    covariance = returns.T @ returns / len(returns)
    target, C = covariance @ rng.random(475 // by), qi.SQMatrix(covariance)
    seconds, found = timed(lambda: qi.regress(C, target, rank=5, rows=340 // by, rng=0))
    exact = np.linalg.pinv(covariance, rcond=1e-10) @ target
    cells["portfolio ms"] = 1e3 * seconds
    cells["portfolio error"] = float(np.linalg.norm(found.x - exact) / np.linalg.norm(exact))
    users, items = rng.integers(0, 10, 600 // by), rng.integers(0, 10, 10000 // by)
    likes = (users[:, None] == items) * (rng.random((users.size, items.size)) < 0.3)
    ratings = likes + 1.0 * (rng.random(likes.shape) < 0.01)
    M = qi.SQMatrix(ratings)
    built, model = timed(lambda: qi.Recommender(M, 10, rng=0), rounds=1)
    hits = np.mean([items[model.query(u, 20, rng=u).items] == users[u] for u in range(users.size)])
    U, s, Vh = np.linalg.svd(ratings, full_matrices=False)
    weight = ((U[:, :10] * s[:10]) @ Vh[:10]) ** 2
    best = (weight * (items == users[:, None])).sum(axis=1) / weight.sum(axis=1)
    query, _ = timed(lambda: [model.query(u, 10, rng=u) for u in range(50)])
    cells["recommendation build s"] = built
    cells["recommendation query ms"] = 1e3 * query / 50
    cells["hit rate"], cells["hit rate of the SVD"] = float(hits), float(best.mean())
    return cells


def crossover(setting: Setting) -> dict[str, Any]:
    """Excess over the best error of rank 10, and time, of sampled rows and of `randnla.svd`."""
    rng = np.random.default_rng(3)
    A = _decaying(*setting.shape, rng)
    S, total = qi.SQMatrix(A), np.linalg.norm(A)
    best = np.linalg.norm(np.linalg.svd(A, compute_uv=False)[10:])
    found: dict[str, Any] = {"seed": 3, "sampled": [], "svd": []}
    for rows in (25, 50, 100, 200, 400, 800, 1600):
        size = min(rows, setting.shape[0])
        seconds, one = timed(
            lambda size=size: qi.low_rank_svd(S, 10, rows=size, vectors="right", rng=0), rounds=3
        )
        error = np.sqrt(max(total**2 - np.linalg.norm(A @ one.Vh.T) ** 2, 0.0))
        found["sampled"].append([seconds, float(error / best - 1), one.info.entries / A.size])
    for iters in (0, 1, 2):
        seconds, one = timed(lambda iters=iters: randnla.svd(A, 10, power_iters=iters, rng=0), rounds=3)
        error = np.linalg.norm(A - (one.U * one.s) @ one.Vh)
        found["svd"].append([seconds, float(error / best - 1), 1.0 + iters])
    return found


def _decaying(m: int, n: int, rng: np.random.Generator) -> np.ndarray:
    k = min(m, n, 200)
    U, V = np.linalg.qr(rng.standard_normal((m, k)))[0], np.linalg.qr(rng.standard_normal((n, k)))[0]
    return (U / np.arange(1, k + 1)) @ V.T


def _rms(values: Any) -> float:
    return float(np.sqrt(np.mean(np.abs(np.asarray(values)) ** 2)))


def draw(cells: Cells, setting: Setting) -> None:
    """Errors over samples; entries over the side; time over error."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 3.9), layout="constrained")
    found = cells["slopes"]
    counts = np.array(found["samples"])
    colors = ("#1f5fa8", "#d9680f", "#2f8f5b")
    for name, color in zip(("inner product", "matrix product", "even transformation"), colors, strict=True):
        left.loglog(counts, found[name], "o-", color=color, label=name)
    left.loglog(counts, 1 / np.sqrt(counts), ":", color="#8a8f98", label=r"$1/\sqrt{s}$")
    left.set(xlabel="samples s", ylabel="relative error", title="errors fall like the root")
    parts = [cells[f"sublinear {side}"] for side in setting.sides]
    middle.loglog(setting.sides, [part["entries"] for part in parts], "o-", color=colors[0], label="read")
    middle.loglog(setting.sides, [side**2 for side in setting.sides], ":", color="#8a8f98", label="all")
    middle.set(xlabel="side of the matrix", ylabel="entries", title="entries read, rank 3")
    found = cells["crossover"]
    for name, label, color in (("sampled", "sampled rows", colors[0]), ("svd", "randnla.svd", colors[1])):
        seconds, excess, _ = np.array(found[name]).T
        right.loglog(1e3 * seconds, np.maximum(excess, 1e-8), "o-", color=color, label=label)
    right.set(xlabel="ms", ylabel="excess over the best error", title="rank 10, in memory")
    for axis in (left, middle, right):
        axis.legend(frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    cells.figure(figure)
    plt.close(figure)


def main() -> None:
    """Run what the command line asks for."""
    parts = ("draws", "slopes", "sublinear", "study", "crossover")
    options = arguments(__doc__, SETTINGS, parts)
    setting = SETTINGS[options.setting]
    cells = Cells(options.out, f"sampling_algebra-{options.setting}")
    for name, part in (("draws", draws), ("slopes", slopes), ("study", study), ("crossover", crossover)):
        if name in options.part:
            print(cells.run(name, lambda part=part: part(setting)))
    if "sublinear" in options.part:
        for side in setting.sides:
            print(cells.run(f"sublinear {side}", lambda side=side: sublinear(setting, side)))
    if set(parts) == set(options.part):
        draw(cells, setting)


if __name__ == "__main__":
    main()

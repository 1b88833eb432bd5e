# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Which matrices of low rank come back from under gross errors, what the time grows like, and a film.

    python experiments/robust.py --small | --full

`phase`: share of runs with an error below 1e-3, over the share of gross errors and the rank. `corruption`:
the same at one rank with gradient descent beside them, up to more errors than any stands. `time`: seconds
over the order of the matrix. `video`: moving boxes before a background under changing light, by their share.
Matrices are the papers': Gaussian factors, errors of uniform places and values up to five times the mean
entry.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from common import Cells, arguments, now

from randnla import ConvergenceWarning
from randnla.robust import rpca

mpl.use("Agg")
import matplotlib.pyplot as plt

Array = np.ndarray[Any, Any]

METHODS: dict[str, dict[str, Any]] = {
    "ircur .7": {"method": "ircur", "decay": 0.7, "sampling": "fixed"},
    "ircur .9": {"method": "ircur", "decay": 0.9, "sampling": "resampled"},
    "riecur .9": {"method": "riecur", "decay": 0.9, "sampling": "resampled"},
    "accaltproj .9": {"method": "accaltproj", "decay": 0.9},
    "accaltproj .7": {"method": "accaltproj", "decay": 0.7},
    "gd": {"method": "gd"},
    "ircur .95, doubled": {"method": "ircur", "decay": 0.95, "sampling": "resampled", "oversample": 8.0},
    "riecur": {"method": "riecur"},
    "ircur": {"method": "ircur"},
    "accaltproj": {"method": "accaltproj"},
}
IN_PHASE = ("ircur .7", "ircur .9", "riecur .9", "accaltproj .9")
IN_CORRUPTION = (*IN_PHASE, "accaltproj .7", "gd", "riecur")
IN_TIME = ("ircur", "riecur", "accaltproj")
IN_VIDEO = ("riecur", "ircur .95, doubled")
COLORS = ("#8a8f98", "#1f5fa8", "#d9680f", "#2c8a57", "#9bc53d", "#8a5fb0", "#c0392b")
SUCCESS = 1e-3


@dataclass(frozen=True)
class Setting:
    n: int = 300
    shares: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    ranks: tuple[int, ...] = (2, 5, 10, 20)
    seeds: int = 3
    orders: tuple[int, ...] = (1000, 2000, 4000)
    passes_up_to: int = 2000  # order of the largest matrix that is read whole at each step
    film: tuple[int, int, int] = (64, 80, 200)
    boxes: tuple[int, ...] = (2, 4, 6, 8)


SETTINGS = {
    "small": Setting(),
    "full": Setting(
        n=500,
        shares=tuple(np.round(np.arange(0.05, 0.81, 0.05), 2).tolist()),
        ranks=(1, 2, 5, 10, 15, 20, 30, 40),
        seeds=10,
        orders=(500, 1000, 2000, 4000, 8000, 12000, 16000, 20000),
        passes_up_to=4000,
    ),
    "tiny": Setting(60, (0.1, 0.5), (1, 2), 1, (60, 120), 120, (12, 16, 40), (1,)),
}


def mixture(n: int, rank: int, share: float, seed: int) -> tuple[Array, Array, Array]:
    """L + S, and the two factors of L; no other array of its size."""
    rng = np.random.default_rng([seed, n, rank])
    G, H = rng.standard_normal((n, rank)), rng.standard_normal((rank, n))
    D = G @ H
    top = 5 * np.abs(D[:200]).mean()
    for start in range(0, n, 500):
        block = D[start : start + 500]
        wrong = rng.random(block.shape) < share
        block[wrong] += rng.uniform(-top, top, np.count_nonzero(wrong))
    return D, G, H


def distance(found: Any, G: Array, H: Array) -> float:
    """||L - G H||_F / ||G H||_F, from the triangles of the factors."""
    rows = np.linalg.qr(np.hstack([found.L.U * found.L.C, -G]), mode="r")
    columns = np.linalg.qr(np.hstack([found.L.V, H.T]), mode="r")
    size = np.linalg.norm(np.linalg.qr(G, mode="r") @ np.linalg.qr(H.T, mode="r").T)
    return float(np.linalg.norm(rows @ columns.T) / size)


def separated(D: Array, rank: int, share: float, method: str, seed: int, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        more = {"outlier_share": share} if method == "gd" else {}
        return rpca(D, rank, rng=seed, **{**METHODS[method], **more, **options})


def success(n: int, rank: int, share: float, method: str, seeds: int) -> dict[str, Any]:
    errors, called_right = [], []
    for seed in range(seeds):
        D, G, H = mixture(n, rank, share, seed)
        found = separated(D, rank, share, method, seed, tol=1e-5, max_iters=180)
        errors.append(distance(found, G, H))
        called_right.append(bool(found.info.converged))
    good = [e < SUCCESS for e in errors]
    wrongly = sum(right and not g for right, g in zip(called_right, good, strict=True))
    return {"share": float(np.mean(good)), "errors": errors, "called right wrongly": wrongly}


def timed(n: int, method: str) -> dict[str, Any]:
    D, G, H = mixture(n, 5, 0.3, 0)
    begin = now()
    found = separated(D, 5, 0.3, method, 0)
    seconds = now() - begin
    return {
        "seconds": seconds,
        "iterations": found.info.iterations,
        "entries read": found.info.entries,
        "error": distance(found, G, H),
    }


def film(shape: tuple[int, int, int], boxes: int, seed: int) -> tuple[Array, Array, Array]:
    """Frames as columns, the background, and where something moves."""
    (height, width, frames), rng = shape, np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    views = [0.5 + 0.3 * np.sin(x / 9.0), 0.2 * np.cos(y / 7.0) + 0.1, 0.15 * np.sin((x + y) / 11.0)]
    t = np.arange(frames)
    light = [1 + 0.2 * np.sin(t / 20.0), np.cos(t / 13.0), np.sin(t / 31.0)]
    background = np.stack([v.ravel() for v in views], 1) @ np.stack(light)
    whole, moving = background.copy(), np.zeros(background.shape, bool)
    tall, wide = max(2, height // 5), max(2, width // 8)
    for _ in range(boxes):
        top, speed = rng.integers(0, height - tall), rng.uniform(1, 3)
        first, value = rng.integers(0, width), rng.uniform(1.2, 2)
        for k in range(frames):
            left = int(first + speed * k) % (width - wide)
            box = ((y >= top) & (y < top + tall) & (x >= left) & (x < left + wide)).ravel()
            whole[box, k], moving[box, k] = value, True
    return whole, background, moving


def filmed(shape: tuple[int, int, int], boxes: int, method: str) -> dict[str, Any]:
    whole, background, moving = film(shape, boxes, 0)
    begin = now()
    found = separated(whole, 3, 0.0, method, 0)
    seconds = now() - begin
    errors = found.outliers(whole).toarray() != 0
    return {
        "moving": float(moving.mean()),
        "error": float(np.linalg.norm(found.L.to_dense() - background) / np.linalg.norm(background)),
        "F1": float(2 * (errors & moving).sum() / (errors.sum() + moving.sum())),
        "seconds": seconds,
        "converged": bool(found.info.converged),
    }


def plan(setting: Setting, part: str) -> dict[str, Any]:
    """The cells of a part and how to make them."""
    n, seeds, middle = setting.n, setting.seeds, setting.ranks[min(1, len(setting.ranks) - 1)]
    if part == "phase":
        return {
            f"phase {method} {share:g} {rank}": lambda a=(n, rank, share, method, seeds): success(*a)
            for method in IN_PHASE
            for share in setting.shares
            for rank in setting.ranks
        }
    if part == "corruption":
        return {
            f"corruption {method} {share:g}": lambda a=(n, middle, share, method, seeds): success(*a)
            for method in IN_CORRUPTION
            for share in setting.shares
        }
    if part == "time":
        return {
            f"time {method} {order}": lambda a=(order, method): timed(*a)
            for order in setting.orders
            for method in IN_TIME
            if method != "accaltproj" or order <= setting.passes_up_to
        }
    return {
        f"video {method} {boxes}": lambda a=(setting.film, boxes, method): filmed(*a)
        for boxes in setting.boxes
        for method in IN_VIDEO
    }


PARTS = ("phase", "corruption", "time", "video")


def slope(orders: list[int], seconds: list[float]) -> float:
    """Exponent of the upper half of the orders, at least two of them."""
    last = max(2, (len(orders) + 1) // 2)
    return float(np.polyfit(np.log(orders[-last:]), np.log(seconds[-last:]), 1)[0])


def draw_phases(setting: Setting, cells: Cells, axes: Any) -> None:
    for ax, method in zip(axes, IN_PHASE, strict=True):
        table = [
            [cells[f"phase {method} {share:g} {rank}"]["share"] for rank in setting.ranks]
            for share in setting.shares
        ]
        ax.imshow(table, origin="lower", vmin=0, vmax=1, cmap="Blues", aspect="auto")
        ax.set_xticks(range(len(setting.ranks)), setting.ranks)
        ax.set_yticks(range(len(setting.shares)), [f"{share:g}" for share in setting.shares])
        ax.set(title=method, xlabel="rank", ylabel="share of errors")
        print(f"{method}: separated (rows: share of errors, columns: rank {setting.ranks})")
        for share, row in zip(setting.shares, table, strict=True):
            print(f"  {share:g}: " + " ".join(f"{value:.2f}" for value in row))


def draw_curves(setting: Setting, cells: Cells, left: Any, right: Any) -> None:
    for method, color in zip(IN_CORRUPTION, COLORS, strict=True):
        keys = [f"corruption {method} {share:g}" for share in setting.shares]
        left.plot(setting.shares, [cells[k]["share"] for k in keys], "o-", color=color, label=method, ms=3)
    left.set(xlabel="share of errors", ylabel="share separated", title="corruption")
    for method, color in zip(IN_TIME, COLORS[1:], strict=False):
        orders = [o for o in setting.orders if f"time {method} {o}" in cells.stored["cells"]]
        seconds = [cells[f"time {method} {o}"]["seconds"] for o in orders]
        rate = slope(orders, seconds)
        right.loglog(orders, seconds, "o-", color=color, label=f"{method}: n^{rate:.2f}")
        print(
            f"time {method}: n^{rate:.2f}; "
            + ", ".join(f"{o}: {s:.3g} s" for o, s in zip(orders, seconds, strict=True))
        )
    right.set(xlabel="order n", ylabel="seconds", title="time")
    left.legend(frameon=False, fontsize=7)
    right.legend(frameon=False, fontsize=8)


def draw_film(setting: Setting, cells: Cells, axes: Any) -> None:
    boxes = setting.boxes[-1]
    whole, _, _ = film(setting.film, boxes, 0)
    found = separated(whole, 3, 0.0, IN_VIDEO[-1], 0)
    at, (height, width, frames) = setting.film[2] // 2, setting.film
    images = {
        "frame": whole[:, at],
        "background": found.L.to_dense()[:, at],
        "what moves": found.outliers(whole).toarray()[:, at] != 0,
    }
    for ax, (name, image) in zip(axes, images.items(), strict=False):
        ax.imshow(image.reshape(height, width), cmap="gray")
        ax.set(title=f"{name} {at} of {frames}", xticks=[], yticks=[])
    for key in plan(setting, "video"):
        cell = cells[key]
        print(f"{key}, {cell['moving']:.1%} moving: error {cell['error']:.1e}, F1 {cell['F1']:.4f}")


def main() -> None:
    options = arguments(__doc__, SETTINGS, PARTS)
    setting = SETTINGS[options.setting]
    cells = Cells(options.out, f"robust-{options.setting}")
    begin = time.perf_counter()
    for part in options.part:
        for key, make in plan(setting, part).items():
            cells.run(key, make)
    if set(options.part) == set(PARTS):
        figure, axes = plt.subplots(3, 4, figsize=(15, 10), layout="constrained")
        draw_phases(setting, cells, axes[0])
        draw_curves(setting, cells, *axes[1, :2])
        draw_film(setting, cells, axes[2])
        for ax in (*axes[1, 2:], axes[2, 3]):
            ax.remove()
        cells.figure(figure)
        plt.close(figure)
    print(f"{time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()

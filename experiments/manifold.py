# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Errors of elliptic equations on manifolds known by points: over their number, at boundaries, off the cloud.

    python experiments/manifold.py --small

Right-hand sides of -div(kappa grad u) + a u = f are made from a chosen u by finite differences of the metric
of a parametrization, which the solver does not see (surfaces like those of Liang, Jiang, Harlim, Yang, 2024).
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import matplotlib.ticker
import numpy as np
from common import Cells, arguments, now

from randnla.manifold import Boundary, diffusion_map, solve_elliptic

mpl.use("Agg")
import matplotlib.pyplot as plt

STEP = 1e-3


@dataclass(frozen=True)
class Setting:
    """Points a direction of each kind of cloud; `held` points off the cloud."""

    surface: tuple[int, ...]
    curve: tuple[int, ...]
    solid: tuple[int, ...]
    held: int = 500
    seeds: int = 3
    steps: dict[str, int] = field(default_factory=lambda: {"adam": 1000, "sketchy": 300, "kfac": 500})


SETTINGS = {
    "small": Setting((24, 32, 48, 64, 96), (200, 400, 800, 1600), (8, 12, 16)),
    "full": Setting(
        (24, 32, 48, 64, 96, 144, 216, 316), (200, 400, 800, 1600, 3200), (8, 12, 16, 24), seeds=10
    ),
    "tiny": Setting((12, 16), (60, 120), (5, 6), held=50, seeds=1, steps={"adam": 5}),
}


@dataclass(frozen=True)
class Manifold:
    """A parametrization (n, d) -> (n, D), the coefficient and the solution as functions of parameters."""

    embed: Callable[[np.ndarray], np.ndarray]
    u: Callable[[np.ndarray], np.ndarray]
    kappa: Callable[[np.ndarray], np.ndarray]
    even: Callable[[int], np.ndarray]
    random: Callable[[int, np.random.Generator], np.ndarray]
    a: float = 1.0

    def source(self, x: np.ndarray) -> np.ndarray:
        """f by central differences: the divergence of sqrt(g) kappa g^ij u_j over sqrt(g)."""
        d = x.shape[1]
        _, root = self._metric(x)
        total = np.zeros(len(x))
        for i in range(d):
            shift = np.zeros(d)
            shift[i] = STEP
            total += (self._flux(x + shift)[:, i] - self._flux(x - shift)[:, i]) / (2 * STEP)
        return -total / root + self.a * self.u(x)

    def _difference(self, function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
        parts = []
        for i in range(x.shape[1]):
            shift = np.zeros(x.shape[1])
            shift[i] = STEP
            parts.append((function(x + shift) - function(x - shift)) / (2 * STEP))
        return np.stack(parts, axis=-1)

    def _metric(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        J = self._difference(self.embed, x)  # (n, D, d)
        g = np.swapaxes(J, 1, 2) @ J
        return g, np.sqrt(np.linalg.det(g))

    def _flux(self, x: np.ndarray) -> np.ndarray:
        g, root = self._metric(x)
        gradient = np.linalg.solve(g, self._difference(self.u, x)[..., None])[..., 0]
        return (root * self.kappa(x))[:, None] * gradient


def torus(x: np.ndarray) -> np.ndarray:
    t, p = x.T
    return np.c_[(2 + np.cos(t)) * np.cos(p), (2 + np.cos(t)) * np.sin(p), np.sin(t)]


def radius(t: np.ndarray, p: np.ndarray) -> np.ndarray:
    """A surface of bumps and dents: a star of low harmonics, no symmetry left."""
    s = np.sin(t)
    return (
        1 + 0.15 * s**3 * np.cos(3 * p) + 0.12 * s**2 * np.cos(t) * np.sin(2 * p + 1) + 0.2 * np.cos(t) ** 3
    )


def star(x: np.ndarray) -> np.ndarray:
    t, p = x.T
    return radius(t, p)[:, None] * np.c_[np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)]


def ball(x: np.ndarray) -> np.ndarray:
    t, p = x.T
    return np.c_[np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)]


def lattice(n: int, d: int) -> np.ndarray:
    axes = [2 * np.pi * np.arange(n) / n] * d
    return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)


def spiral(n: int) -> np.ndarray:
    """n^2 points along a spiral from pole to pole, evenly over the sphere."""
    i = np.arange(n * n) + 0.5
    return np.c_[np.arccos(1 - 2 * i / (n * n)), np.pi * (1 + 5**0.5) * i]


def anywhere(n: int, rng: np.random.Generator) -> np.ndarray:
    return np.c_[np.arccos(rng.uniform(-1, 1, n * n)), rng.uniform(0, 2 * np.pi, n * n)]


def ones(x: np.ndarray) -> np.ndarray:
    return np.ones(len(x))


MANIFOLDS = {
    "torus": Manifold(
        torus,
        lambda x: np.cos(x[:, 0]) * np.sin(x[:, 1]),
        lambda x: 1.1 + np.sin(x[:, 0]) ** 2 * np.cos(x[:, 1]) ** 2,
        lambda n: lattice(n, 2),
        lambda n, rng: rng.uniform(0, 2 * np.pi, (n * n, 2)),
    ),
    "sphere": Manifold(ball, lambda x: ball(x)[:, 0] * ball(x)[:, 2], ones, spiral, anywhere),
    "star": Manifold(star, lambda x: ball(x)[:, 0] + ball(x)[:, 1] * ball(x)[:, 2], ones, spiral, anywhere),
    "ellipse": Manifold(
        lambda x: np.c_[np.cos(x[:, 0]), 2 * np.sin(x[:, 0])],
        lambda x: np.sin(2 * x[:, 0]),
        lambda x: 1.1 + np.sin(x[:, 0]) ** 2,
        lambda n: lattice(n, 1),
        lambda n, rng: rng.uniform(0, 2 * np.pi, (n, 1)),
    ),
    "3-torus in R^12": Manifold(
        lambda x: np.concatenate([np.cos(x), np.sin(x), np.cos(2 * x) / 2, np.sin(2 * x) / 2], axis=1),
        lambda x: np.sin(x[:, 0]) * np.cos(x[:, 1]) + np.sin(x[:, 2]),
        lambda x: 1.1 + np.cos(x[:, 0]) / 2,
        lambda n: lattice(n, 3),
        lambda n, rng: rng.uniform(0, 2 * np.pi, (n**3, 3)),
    ),
}


def sizes(setting: Setting, name: str) -> tuple[int, ...]:
    if name == "ellipse":
        return setting.curve
    return setting.solid if name.startswith("3") else setting.surface


def options(name: str, count: int) -> dict[str, Any]:
    return {"neighbors": min(count, int(3 * count**0.5))} if name == "ellipse" else {}


def error(name: str, x: np.ndarray) -> dict[str, Any]:
    """Largest and root mean square error, and seconds, of one cloud."""
    made = MANIFOLDS[name]
    points, f, kappa, u = made.embed(x), made.source(x), made.kappa(x), made.u(x)
    begin = now()
    found = solve_elliptic(points, f, a=made.a, kappa=kappa, rng=0, **options(name, len(x)))
    seconds = now() - begin
    off = np.abs(found.u - u)
    return {
        "points": len(x),
        "error": float(off.max()),
        "rms": float(np.sqrt(np.mean(off**2))),
        "seconds": seconds,
        "steps": found.info.iterations,
        "bandwidth": found.laplacian.bandwidth,
    }


def errors(setting: Setting, cells: Cells) -> None:
    for name, made in MANIFOLDS.items():
        for n in sizes(setting, name):
            cells.run(f"error {name} even {n}", lambda name=name, made=made, n=n: error(name, made.even(n)))
            for seed in range(setting.seeds):
                rng = np.random.default_rng(seed)
                cells.run(
                    f"error {name} random {n} seed={seed}",
                    lambda name=name, made=made, n=n, rng=rng: error(name, made.random(n, rng)),
                )


def half(name: str, n: int) -> tuple[np.ndarray, np.ndarray, Manifold]:
    """Parameters of half a circle or torus, and rows on the boundary."""
    if name == "half circle":
        made = Manifold(
            lambda x: np.c_[np.cos(x[:, 0]), np.sin(x[:, 0])],
            lambda x: np.sin(2 * x[:, 0] + 0.4) + x[:, 0],
            ones,
            lambda n: lattice(n, 1),
            lambda n, rng: rng.uniform(0, 2 * np.pi, (n, 1)),
        )
        return np.linspace(0, np.pi, n)[:, None], np.array([0, n - 1]), made
    t, p = np.meshgrid(2 * np.pi * np.arange(n) / n, np.linspace(0, np.pi, n // 2 + 1), indexing="ij")
    rows = np.flatnonzero((p.ravel() == 0) | (p.ravel() == np.pi))
    return np.c_[t.ravel(), p.ravel()], rows, MANIFOLDS["torus"]


def with_boundary(name: str, n: int, ghosts: int, kind: str) -> dict[str, Any]:
    x, rows, made = half(name, n)
    points, u = made.embed(x), made.u(x)
    values = u[rows]
    if kind == "neumann":
        # The last parameter runs across the boundary, and its coordinate line is normal to it.
        along = np.zeros(x.shape[1])
        along[-1] = STEP
        speed = np.linalg.norm(made.embed(x + along) - made.embed(x - along), axis=1)[rows]
        values = (made.u(x + along) - made.u(x - along))[rows] / speed
        values *= np.where(x[rows, -1] == 0, -1, 1)
    edge = Boundary(rows, values, kind, ghosts=ghosts)
    few = {"neighbors": int(3 * n**0.5)} if name == "half circle" else {}
    found = solve_elliptic(points, made.source(x), a=1.0, kappa=made.kappa(x), boundary=edge, rng=0, **few)
    return {"points": len(x), "error": float(np.abs(found.u - u).max()), "path": found.info.path}


def boundaries(setting: Setting, cells: Cells) -> None:
    for name, counts in (("half circle", setting.curve), ("half torus", setting.surface)):
        for n in counts:
            for ghosts in (0, 16):
                for kind in ("dirichlet", "neumann") if ghosts else ("dirichlet",):
                    cells.run(
                        f"ghosts {name} {kind} {n} layers={ghosts}",
                        lambda name=name, n=n, g=ghosts, kind=kind: with_boundary(name, n, g, kind),
                    )


def held_out(setting: Setting, n: int) -> dict[str, Any]:
    """Errors on and off the cloud of an even torus, by each way to go there."""
    made = MANIFOLDS["torus"]
    x = made.even(n)
    y = np.random.default_rng(7).uniform(0, 2 * np.pi, (setting.held, 2))
    points, f, kappa, u, v = made.embed(x), made.source(x), made.kappa(x), made.u(x), made.u(y)
    Y, record = made.embed(y), {}
    for name, keywords in {
        "polynomials": {},
        "fourier": {"method": "features"},
        "kernel": {"method": "features", "basis": "kernel"},
    }.items():
        found = solve_elliptic(points, f, a=1.0, kappa=kappa, rng=0, **keywords)
        record[name] = {
            "on": float(np.abs(found.u - u).max()),
            "off": float(np.abs(found.evaluate(Y) - v).max()),
        }
        if name == "polynomials":
            modes = diffusion_map(points, min(30, len(x) // 4), rng=0)
            record["nystrom"] = {
                "on": record[name]["on"],
                "off": float(np.abs(modes.interpolate(found.u, Y) - v).max()),
            }
    return {"points": len(x), **record}


def by_network(n: int, optimizer: str, steps: int, held: int) -> dict[str, Any]:
    """Errors of a network on and off the cloud of an even torus."""
    from randnla.torch import EllipticNetwork

    made = MANIFOLDS["torus"]
    x, y = made.even(n), np.random.default_rng(7).uniform(0, 2 * np.pi, (held, 2))
    network = EllipticNetwork(width=30, steps=steps, optimizer=optimizer)
    begin = now()
    found = solve_elliptic(
        made.embed(x), made.source(x), a=1.0, kappa=made.kappa(x), rng=0, method="network", network=network
    )
    return {
        "points": len(x),
        "steps": steps,
        "seconds": now() - begin,
        "on": float(np.abs(found.u - made.u(x)).max()),
        "off": float(np.abs(found.evaluate(made.embed(y)) - made.u(y)).max()),
        "residual": found.info.residual,
    }


def networks(setting: Setting, cells: Cells) -> None:
    if importlib.util.find_spec("torch") is None:
        print("networks need PyTorch")
        return
    for optimizer, steps in setting.steps.items():
        cells.run(
            f"off network {setting.surface[0]} {optimizer}",
            lambda o=optimizer, s=steps: by_network(setting.surface[0], o, s, setting.held),
        )


def draw(setting: Setting, cells: Cells) -> None:
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    for color, name in zip(("#1f5fa8", "#d9680f", "#2c8a57", "#8a5fb0", "#8a8f98"), MANIFOLDS, strict=True):
        counts = sizes(setting, name)
        even = [cells[f"error {name} even {n}"] for n in counts]
        N = [cell["points"] for cell in even]
        order = -np.polyfit(np.log(N), np.log([cell["error"] for cell in even]), 1)[0]
        print(f"{name}: order {order:.2f} on even points, {even[0]['error']:.2e} to {even[-1]['error']:.2e}")
        axes[0].loglog(N, [cell["error"] for cell in even], "o-", color=color, label=f"{name}, {order:.2f}")
        loose = [
            np.median([cells[f"error {name} random {n} seed={s}"]["error"] for s in range(setting.seeds)])
            for n in counts
        ]
        axes[0].loglog(N, loose, ":", color=color)
    axes[0].set(title="even (order) and random (dotted) points", xlabel="points", ylabel="largest error")
    for name, counts, color in (
        ("half circle", setting.curve, "#1f5fa8"),
        ("half torus", setting.surface, "#d9680f"),
    ):
        for kind, mark in (("dirichlet", "o"), ("neumann", "s")):
            for ghosts, line in ((0, ":"), (16, "-")) if kind == "dirichlet" else ((16, "-"),):
                row = [cells[f"ghosts {name} {kind} {n} layers={ghosts}"] for n in counts]
                label = f"{name}, {kind}" if ghosts else None
                axes[1].loglog(
                    [c["points"] for c in row],
                    [c["error"] for c in row],
                    line,
                    color=color,
                    marker=mark,
                    label=label,
                )
    axes[1].set(title="16 layers of ghost points, none (dotted)", xlabel="points")
    for name, color in (
        ("polynomials", "#1f5fa8"),
        ("fourier", "#d9680f"),
        ("kernel", "#2c8a57"),
        ("nystrom", "#8a8f98"),
    ):
        row = [cells[f"off torus {n}"] for n in setting.surface[:4]]
        axes[2].semilogx(
            [c["points"] for c in row],
            [c[name]["off"] / c[name]["on"] for c in row],
            "o-",
            color=color,
            label=name,
        )
    axes[2].set(title="torus: error off the cloud over error on it", xlabel="points")
    for one in axes:
        one.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
        one.legend(frameon=False, fontsize=8)
    cells.figure(figure)
    plt.close(figure)


def main() -> None:
    options = arguments(__doc__, SETTINGS, ("error", "ghosts", "off", "network"))
    setting = SETTINGS[options.setting]
    cells = Cells(options.out, f"manifold-{options.setting}")
    begin = time.perf_counter()
    if "error" in options.part:
        errors(setting, cells)
    if "ghosts" in options.part:
        boundaries(setting, cells)
    if "off" in options.part:
        for n in setting.surface[:4]:
            cells.run(f"off torus {n}", lambda n=n: held_out(setting, n))
    if "network" in options.part:
        networks(setting, cells)
    if {"error", "ghosts", "off"} <= set(options.part):
        draw(setting, cells)
    print(f"{time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()

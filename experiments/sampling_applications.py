# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Applications of sampling access on matrices in memory: time against error, beside the usual route.

    python experiments/sampling_applications.py --small

Errors are against dense computations, and stand beside those that `info` states. The usual route reads all of
the matrix: a randomized decomposition or least squares solver of this library. What classifies has two
inputs: with "slow decay" all directions of the points count, and sampled rows are too few for them.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from common import Cells, arguments

import randnla
from randnla import ConvergenceWarning
from randnla import quantum_inspired as qi

mpl.use("Agg")
import matplotlib.pyplot as plt

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Setting:
    """Shape of the matrices, and how many rows are drawn."""

    shape: tuple[int, int]
    rows: tuple[int, ...]


SETTINGS = {
    "small": Setting((4000, 500), (50, 100, 200, 400, 800, 1600)),
    "full": Setting((20000, 2000), (50, 100, 200, 400, 800, 1600, 3200, 6400)),
    "tiny": Setting((300, 40), (60, 120)),
}


@dataclass(frozen=True)
class Application:
    """One problem: `sampled` of so many rows, `usual`, and the error of what either returns.

    `states` is of a result of `sampled`, its own account of the error, in the units of `error`.
    """

    sampled: Callable[[int], Any]
    usual: Callable[[], Any]
    error: Callable[[Any], float]
    states: Callable[[Any], float]


def decaying(shape: tuple[int, int]) -> tuple[Array, Array, Array]:
    """Factors of a matrix of singular values 1 / j."""
    rng = np.random.default_rng(5)
    k = min(*shape, 200)
    U, V = (np.linalg.qr(rng.standard_normal((side, k)))[0] for side in shape)
    return U, 1 / np.arange(1.0, k + 1), V.T


def off(x: Any, true: Array) -> float:
    return float(np.linalg.norm(x - true) / np.linalg.norm(true))


def low_rank(shape: tuple[int, int]) -> Application:
    U, s, Vh = decaying(shape)
    A = (U * s) @ Vh
    S, best = qi.SQMatrix(A), float(np.linalg.norm(s[10:]))
    return Application(
        lambda rows: qi.low_rank_svd(S, 10, rows=rows, vectors="right", rng=0),
        lambda: randnla.svd(A, 10, rng=0),
        lambda found: float(np.linalg.norm(A - A @ found.Vh.T @ found.Vh) / best - 1),
        lambda found: float("nan"),
    )


def components(shape: tuple[int, int]) -> Application:
    U, s, Vh = decaying(shape)
    A = (U * s) @ Vh
    S, true = qi.SQMatrix(A), s[:3] ** 2 / shape[0]
    return Application(
        lambda rows: qi.pca(S, 3, rows=rows, rng=0),
        lambda: randnla.pca(A, 3, center=False, rng=0),
        lambda found: off(found.explained_variance, true),
        lambda found: float("nan"),
    )


def recommendation(shape: tuple[int, int]) -> Application:
    """Share of the items drawn that are not of the user's group."""
    rng = np.random.default_rng(5)
    users, items = rng.integers(0, 10, shape[0]), rng.integers(0, 10, shape[1])
    likes = (users[:, None] == items) & (rng.random(shape) < 0.3)
    A = likes + 1.0 * (rng.random(shape) < 0.01)
    S, some = qi.SQMatrix(A), slice(0, 100)

    def misses(found: Any) -> float:
        V = found._tastes.frame.orthonormal if isinstance(found, qi.Recommender) else found.Vh.T
        weight = (A[some] @ V @ V.T) ** 2
        total = np.maximum(weight.sum(axis=1), 1e-300)
        right = (weight * (items == users[some, None])).sum(axis=1) / total
        return float(1 - right.mean())

    return Application(
        lambda rows: qi.Recommender(S, 10, rows=rows, rng=0),
        lambda: randnla.svd(A, 10, rng=0),
        misses,
        lambda found: float("nan"),
    )


def regression(shape: tuple[int, int]) -> Application:
    U, s, Vh = decaying(shape)
    A, alpha, rng = (U * s) @ Vh, 0.01, np.random.default_rng(6)
    b = U[:, :20] @ rng.standard_normal(20) + 0.01 * rng.standard_normal(shape[0])
    true, S = Vh.T @ (s / (s**2 + alpha) * (U.T @ b)), qi.SQMatrix(A)
    bottom = alpha**0.5 * np.eye(shape[1])
    return Application(
        lambda rows: qi.regress(S, b, alpha=alpha, rows=rows, rng=0),
        lambda: randnla.lstsq(np.r_[A, bottom], np.r_[b, np.zeros(shape[1])], rng=0),
        lambda found: off(found.x, true),
        lambda found: float("nan"),
    )


def inversion(shape: tuple[int, int]) -> Application:
    """sigma / (sigma^2 + alpha), an odd transformation."""
    U, s, Vh = decaying(shape)
    A, alpha = (U * s) @ Vh, 0.01
    true, S = (U * (s / (s**2 + alpha))) @ Vh, qi.SQMatrix(A)

    def dense(found: Any) -> Array:
        if isinstance(found, qi.OddSVT):
            return found.to_dense()
        return np.asarray((found.U * (found.s / (found.s**2 + alpha))) @ found.Vh)

    return Application(
        lambda rows: qi.odd_svt(S, lambda x: x / (x**2 + alpha), rows=rows, rng=0),
        lambda: randnla.svd(A, min(100, *shape), rng=0),
        lambda found: off(dense(found), true),
        lambda found: found.info.error_estimate / float(np.linalg.norm(true)),
    )


@dataclass(frozen=True)
class Clouds:
    """Two clouds of deviations j^-decay, and how they are to be told apart."""

    decay: float
    gamma: float
    threshold: float


FAST, SLOW = Clouds(1.0, 0.01, 0.02), Clouds(0.5, 1.0, 1e-3)


def classes(shape: tuple[int, int], clouds: Clouds) -> tuple[Array, Array]:
    """Points and their signs."""
    rng, (m, n) = np.random.default_rng(5), shape
    signs = np.where(np.arange(m) % 2, 1.0, -1.0)
    spread = rng.standard_normal(shape) / np.arange(1, n + 1) ** clouds.decay
    return spread + np.outer(signs, np.exp(-np.arange(n))), signs


def support_vectors(shape: tuple[int, int], clouds: Clouds = FAST) -> Application:
    X, signs = classes(shape, clouds)
    (m, n), S, gamma = shape, qi.SQMatrix(X), clouds.gamma
    Z = np.r_[np.c_[X, np.ones(m)], gamma**-0.5 * np.eye(n, n + 1)]
    y = np.r_[signs, np.zeros(n)]
    true = np.linalg.lstsq(Z, y, rcond=None)[0][:n]
    return Application(
        lambda rows: qi.svm(S, signs, gamma=gamma, rows=rows, rng=0),
        lambda: randnla.lstsq(Z, y, rng=0),
        lambda found: off(found.weights if hasattr(found, "weights") else found.x[:n], true),
        lambda found: (found.info.error_estimate or np.nan) / float(np.linalg.norm(true)),
    )


def discriminants(shape: tuple[int, int], clouds: Clouds = FAST) -> Application:
    """The share of the best ratio of variances that a direction falls short of it; stated, by its ratio."""
    X, signs = classes(shape, clouds)
    means = np.array([X[signs == c].mean(axis=0) for c in (-1, 1)])
    W, gap = X - means[(signs > 0).astype(int)], means[1] - means[0]
    best, S = gap @ np.linalg.solve(W.T @ W, gap), qi.SQMatrix(X)

    def short(found: Any) -> float:
        w = found.directions[:, 0] if hasattr(found, "directions") else found.x[:-1]
        return float(max(1 - (gap @ w) ** 2 / np.linalg.norm(W @ w) ** 2 / best, 0.0))

    return Application(
        lambda rows: qi.discriminant(S, signs.astype(int), threshold=clouds.threshold, rows=rows, rng=0),
        lambda: randnla.lstsq(np.c_[X, np.ones(shape[0])], signs, rng=0),
        short,
        lambda found: float(1 - found.ratios[0] / (best * shape[0] / 4)),
    )


def clustering(shape: tuple[int, int], clouds: Clouds = FAST) -> Application:
    """Squared distances to two means; samples in the place of rows."""
    X, signs = classes(shape, clouds)
    parts = [X[signs == c] for c in (-1, 1)]
    true = np.array([np.linalg.norm(X[0] - part.mean(axis=0)) ** 2 for part in parts])
    models, point = [qi.SQMatrix(part) for part in parts], qi.SQVector(X[0])
    return Application(
        lambda rows: qi.supervised_cluster(point, models, samples=rows, rng=0),
        lambda: np.array([np.linalg.norm(X[0] - part.mean(axis=0)) ** 2 for part in parts]),
        lambda found: off(getattr(found, "distances", found), true),
        lambda found: float(np.linalg.norm(found.std_errors) / np.linalg.norm(true)),
    )


def evolution(shape: tuple[int, int]) -> Application:
    rng, n = np.random.default_rng(5), shape[1]
    G = rng.standard_normal((n, 4)) + 1j * rng.standard_normal((n, 4))
    N = rng.standard_normal((n, n)) / (40 * n)
    H, b = G @ G.conj().T / n + N + N.T, rng.standard_normal(n) + 0j
    w, V = np.linalg.eigh(H)
    true, S = V @ (np.exp(1j * w) * (V.conj().T @ b)), qi.SQMatrix(H)

    def state(found: Any) -> Array:
        if not hasattr(found, "V"):
            return np.asarray(found.x)
        return np.asarray(b + found.V @ ((np.exp(1j * found.w) - 1) * (found.V.conj().T @ b)))

    return Application(
        lambda rows: qi.simulate_hamiltonian(S, b, 1.0, rank=4, rows=rows, rng=0),
        lambda: randnla.eigh(H, 4, rng=0),
        lambda found: off(state(found), true),
        lambda found: found.info.error_estimate / float(np.linalg.norm(true)),
    )


def feasibility(shape: tuple[int, int]) -> Application:
    """How far a density matrix violates six constraints of rank three, in units of their norms."""
    rng, n, tol = np.random.default_rng(5), shape[1], 0.1
    ends = [np.linalg.qr(rng.standard_normal((n, 3)))[0] for _ in range(6)]
    matrices = [(Q * [1.0, -1.0, 0.5]) @ Q.T for Q in ends]
    lowest = np.linalg.eigh(sum(matrices))[1][:, 0]
    bounds = np.array([lowest @ A @ lowest for A in matrices])
    constraints = [qi.SQMatrix(A) for A in matrices]

    def by_hand() -> Array:
        """The same iteration within the range of all rows, from their decomposition."""
        V = randnla.svd(np.concatenate(matrices), 18, rng=0).Vh.T
        inner, penalty = [V.T @ A @ V for A in matrices], np.zeros((18, 18))
        while True:
            w, vectors = np.linalg.eigh(penalty)
            gibbs, rest = np.exp(-tol / 4 * (w - min(w[0], 0))), np.exp(tol / 4 * min(w[0], 0))
            total = gibbs.sum() + rest * (n - 18)
            state = (vectors * ((gibbs - rest) / total)) @ vectors.T
            excess = [np.sum(B * state) + rest / total * np.trace(B) for B in inner] - bounds
            if excess.max() <= tol:
                return np.asarray(V @ state @ V.T + rest / total * np.eye(n))
            penalty = penalty + inner[int(np.argmax(excess))]

    def violation(found: Any) -> float:
        X = found.to_dense() if isinstance(found, qi.SDPResult) else found
        return float(max(np.sum(A * X) - b for A, b in zip(matrices, bounds, strict=True)))

    return Application(
        lambda rows: qi.solve_sdp(constraints, bounds, tol=tol, bound=1.0, rows=rows, rng=0),
        by_hand,
        violation,
        lambda found: found.violation,
    )


APPLICATIONS = {
    "low rank": low_rank,
    "components": components,
    "recommendation": recommendation,
    "regression": regression,
    "inversion": inversion,
    "support vectors": support_vectors,
    "discriminants": discriminants,
    "clustering": clustering,
    "evolution": evolution,
    "feasibility": feasibility,
    "support vectors, slow decay": lambda shape: support_vectors(shape, SLOW),
    "discriminants, slow decay": lambda shape: discriminants(shape, SLOW),
    "clustering, slow decay": lambda shape: clustering(shape, SLOW),
}


def timed(call: Callable[[], Any], rounds: int = 3) -> tuple[float, Any]:
    """The least time of some calls, by the clock, and the last result."""
    best, result = np.inf, None
    for _ in range(rounds):
        start = time.perf_counter()
        result = call()
        best = min(best, time.perf_counter() - start)
    return best, result


def cell(setting: Setting, name: str) -> dict[str, Any]:
    """[seconds, error, error stated, entries read] for each number of rows; [seconds, error] of the rest."""
    this = APPLICATIONS[name](setting.shape)
    found: dict[str, Any] = {"seed": 5, "rows": list(setting.rows), "sampled": []}
    for rows in setting.rows:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it is in what is stated
            seconds, one = timed(lambda rows=rows: this.sampled(rows))
        stated = this.states(one)
        found["sampled"].append(
            [seconds, this.error(one), stated if np.isfinite(stated) else None, one.info.entries]
        )
    seconds, one = timed(this.usual)
    return found | {"usual": [seconds, this.error(one)]}


def draw(cells: Cells) -> None:
    """Error over time of every application, what it states of it, and the usual route."""
    figure, axes = plt.subplots(3, 5, figsize=(16, 9), layout="constrained")
    for axis in axes.flat[len(APPLICATIONS) :]:
        axis.axis("off")
    for axis, name in zip(axes.flat, APPLICATIONS, strict=False):
        found = cells[f"application {name}"]
        seconds, error, stated, _ = np.array(found["sampled"], dtype=float).T
        axis.loglog(1e3 * seconds, np.maximum(error, 1e-16), "o-", color="#1f5fa8", label="sampled")
        axis.loglog(1e3 * seconds, stated, ":", color="#1f5fa8", label="stated")
        seconds, error = found["usual"]
        axis.loglog(1e3 * seconds, max(error, 1e-16), "s", color="#d9680f", label="usual route")
        axis.set(title=name, xlabel="ms", ylabel="error")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].legend(frameon=False)
    cells.figure(figure)
    plt.close(figure)


def main() -> None:
    """Run what the command line asks for."""
    options = arguments(__doc__, SETTINGS, tuple(APPLICATIONS))
    setting = SETTINGS[options.setting]
    cells = Cells(options.out, f"sampling_applications-{options.setting}")
    for name in options.part:
        found = cells.run(f"application {name}", lambda name=name: cell(setting, name))
        print(f"{name}: usual {found['usual']}")
        for rows, row in zip(found["rows"], found["sampled"], strict=True):
            print(f"  {rows}: {row}")
    if set(options.part) == set(APPLICATIONS):
        draw(cells)


if __name__ == "__main__":
    main()

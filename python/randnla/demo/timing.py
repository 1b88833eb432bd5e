# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Time svd and eigh against other libraries: same input, same process, rounds interleaved."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import randnla
from randnla.datasets import gaussian_kernel, image_patches
from randnla.demo.digits import KERNEL_WIDTH
from randnla.demo.report import Table

if TYPE_CHECKING:
    from randnla.demo import Settings
    from randnla.demo.report import Progress

Array = np.ndarray[Any, np.dtype[Any]]
Factors = tuple[Array, Array, Array]  # left vectors, values, right vectors (rows)


@dataclass(frozen=True)
class Timed:
    """One contender on one problem.

    Attributes
    ----------
    problem, contender : str
        What was computed, by whom.
    rounds : int
        How often it was run.
    seconds : float
        Best of the rounds.
    error, optimal : float
        Relative Frobenius error, and the smallest that the rank allows.
    certified : float or None
        The error the contender itself reports.
    """

    problem: str
    contender: str
    rounds: int
    seconds: float
    error: float
    optimal: float
    certified: float | None


def svd_contenders(A: Array, k: int) -> dict[str, Callable[[], Any]]:
    """Ways to the k leading singular triplets."""
    from scipy.sparse.linalg import svds
    from sklearn.utils.extmath import randomized_svd

    return {
        "randnla.svd": lambda: randnla.svd(A, k, rng=0),
        "sklearn randomized_svd": lambda: randomized_svd(A, k, random_state=0),
        "scipy svds": lambda: svds(A, k, rng=np.random.default_rng(0)),
        "numpy svd (full)": lambda: np.linalg.svd(A, full_matrices=False),
    }


def eigh_contenders(K: Array, k: int) -> dict[str, Callable[[], Any]]:
    """Ways to the k leading eigenpairs of a positive semidefinite matrix."""
    import scipy.linalg
    from scipy.sparse.linalg import eigsh
    from sklearn.utils.extmath import randomized_svd

    n = K.shape[0]
    return {
        "randnla.eigh": lambda: randnla.eigh(K, k, rng=0),
        "sklearn randomized_svd": lambda: randomized_svd(K, k, random_state=0),
        "scipy eigsh": lambda: eigsh(K, k, v0=np.ones(n)),
        "scipy eigh (subset)": lambda: scipy.linalg.eigh(K, subset_by_index=(n - k, n - 1)),
        "numpy eigh (full)": lambda: np.linalg.eigh(K),
    }


def as_factors(result: Any, k: int) -> Factors:
    """Bring (U, s, Vh) or (w, V) to left vectors, values, right vectors, and keep the k largest."""
    parts = [np.asarray(part, dtype=np.float64) for part in result]
    left, values, right = parts if len(parts) == 3 else (parts[1], parts[0], parts[1].T)
    kept = np.argsort(np.abs(values))[::-1][:k]
    return left[:, kept], values[kept], right[kept]


def measure(
    problem: str,
    A: Array,
    k: int,
    contenders: dict[str, Callable[[], Any]],
    settings: Settings,
    progress: Progress,
) -> list[Timed]:
    """Run all contenders in turn, `rounds` times or until the budget is spent; errors in float64."""
    best = dict.fromkeys(contenders, np.inf)
    results: dict[str, Any] = {}
    start, turn = time.perf_counter(), 0
    while (
        turn < settings.rounds
        and (turn + 1) * (time.perf_counter() - start) <= max(turn, 1) * settings.budget
    ):
        for name, call in contenders.items():
            progress.step(f"{problem}, round {turn + 1} of {settings.rounds}: {name}")
            begin = time.perf_counter()
            results[name] = call()
            best[name] = min(best[name], time.perf_counter() - begin)
        turn += 1
    exact = np.asarray(A, dtype=np.float64)
    norm = np.linalg.norm(exact)
    short = exact.T @ exact if exact.shape[0] > exact.shape[1] else exact @ exact.T
    optimal = np.sqrt(max(np.linalg.eigvalsh(short)[: -k or None].sum(), 0.0)) / norm
    timed = []
    for name, result in results.items():
        left, values, right = as_factors(result, k)
        certificate = getattr(getattr(result, "info", None), "error_relative", None)
        error = float(np.linalg.norm(exact - (left * values) @ right) / norm)
        timed.append(Timed(problem, name, turn, best[name], error, float(optimal), certificate))
    return timed


def count(settings: Settings) -> int:
    """Steps that `run` reports."""
    return 9 * settings.rounds


def run(china: Array, digits: Array, settings: Settings, progress: Progress) -> list[Timed]:
    """Time both problems."""
    k = settings.timing_rank
    A = image_patches(china, settings.patch, settings.step)
    K = gaussian_kernel(digits[: settings.points], KERNEL_WIDTH)
    timed = []
    for name, matrix, contenders in (
        ("svd", A, svd_contenders(A, k)),
        ("eigh", K, eigh_contenders(K, k)),
    ):
        problem = f"{name} {matrix.shape[0]} x {matrix.shape[1]} {matrix.dtype}"
        timed += measure(problem, matrix, k, contenders, settings, progress)
    return timed


def table(timed: list[Timed], settings: Settings) -> Table:
    """Lay the times out with the error beside each."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    own = {item.problem: item.seconds for item in timed if item.contender.startswith("randnla")}
    for item in timed:
        groups.setdefault(item.problem, []).append(
            (
                "" if groups.get(item.problem) else item.problem,
                item.contender,
                f"{item.seconds:.3f} s",
                f"{item.seconds / own[item.problem]:.1f}",
                f"{item.error:.5f}",
                f"{item.error / item.optimal:.3f}",
                "-" if item.certified is None else f"{item.certified:.5f}",
            )
        )
    rounds = " to ".join(str(n) for n in sorted({item.rounds for item in timed}))
    return Table(
        title=f"Rank {settings.timing_rank}: svd of image patches, eigh of a kernel matrix of digits",
        columns=("input", "computed by", "time", "x randnla", "error", "x optimal", "certified"),
        groups=list(groups.values()),
        caption=f"best of {rounds} interleaved rounds; error: relative, Frobenius, in float64",
    )

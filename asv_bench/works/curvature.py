# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The refresh of an averaged factor of real activations: warm eigenpairs against inverses and eigh."""

from __future__ import annotations

from typing import Any

import numpy as np
import peers

from randnla.curvature import KroneckerFactor, LowRankInverse

from . import data
from .base import Bar, Case, Contender, Work

RANK, DAMPING, REFRESHES = 220, 1e-3, 20


def _drift(width: int, batch: int) -> tuple[KroneckerFactor, LowRankInverse, float]:
    """A drifting factor, its warm inverse, and the worst error of 20 refreshes, one a batch.

    The error is ||X - U diag(s) U^T||_F over the least of its rank, from the eleventh refresh on: a cold
    start is 1.2 off and the first warm ones make up for it. Of widths above 3000 the last error is taken.
    """
    factor, inverse = KroneckerFactor(width), LowRankInverse(RANK, rng=0)
    stream = data.activations(width, batch)
    for _ in range(40):
        factor.update(next(stream))
    for _ in range(10):
        inverse.refresh(factor, DAMPING)
        factor.update(next(stream))
    worst = 0.0
    for k in range(REFRESHES):
        factor.update(next(stream))
        inverse.refresh(factor)
        if width <= 3000 or k == REFRESHES - 1:
            worst = max(worst, _excess(factor, inverse))
    return factor, inverse, worst


def _excess(factor: KroneckerFactor, inverse: LowRankInverse) -> float:
    X, U = factor.value.astype(np.float64), inverse.U.astype(np.float64)
    least = np.linalg.norm(np.linalg.eigvalsh(X)[:-RANK])
    return float(np.linalg.norm(X - (U * inverse.s) @ U.T) / least)


def _refresh(width: int, batch: int, *, warm: bool, eigh: bool) -> Case:
    factor, inverse, worst = _drift(width, batch)
    assert inverse.info.path == "warm"
    damped = factor.value + np.float32(DAMPING) * np.eye(width, dtype=np.float32)
    cold = LowRankInverse(RANK, warm_start=False, rng=0)
    ours = inverse if warm else cold

    def contenders() -> dict[str, Contender]:
        if eigh:
            return {"torch eigh": lambda: peers.torch_eigh(damped)}
        return {
            "torch cholesky_inverse": lambda: peers.torch_cholesky_inverse(damped),
            "scipy potri": lambda: peers.scipy_potri(damped),
        }

    def error(who: str, result: Any) -> float:
        """The worst of 20 warm refreshes of a drifting factor; of a cold start, its own. Peers are exact."""
        if who != "ours":
            return 1.0
        return worst if warm else _excess(factor, cold)

    return Case(lambda: ours.refresh(factor), contenders, error)


def _row(width: int, batch: int, bar: float | None, *, warm: bool = True, eigh: bool = False) -> Work:
    name = ("factor refresh, warm" if warm else "factor refresh, cold") + (", eigh" if eigh else "")
    return Work(
        name,
        "float32",
        f"d={width} r={RANK}+10",
        lambda _: _refresh(width, batch, warm=warm, eigh=eigh),
        None if bar is None else Bar("time", bar, ("torch eigh",) if eigh else ("torch cholesky_inverse",)),
        error_limit=1.01 if warm else None,
        quick=width <= 1024,
        rounds=7,
        seconds=20.0,
    )


WORKS = [
    row
    for width, batch, cholesky, eigh in (
        (1024, 256, 2.3, 4.2),
        (2304, 512, 4.0, 17.0),
        (4608, 512, 12.0, 55.0),
    )
    for row in (
        _row(width, batch, 1 / cholesky),
        _row(width, batch, 1 / eigh, eigh=True),
        _row(width, batch, None, warm=False),
    )
]

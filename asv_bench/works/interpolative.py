# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Decompositions through the matrix's own columns and rows; errors are over the best one of that rank."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import peers
from conditions import find

from . import data
from .base import Bar, Case, Contender, Work

LIBRLA = find_spec("librla") is not None


def _interpolative(m: int, n: int, k: int, dtype: str, kind: str, **options: Any) -> Case:
    interpolative = find("randnla", "interpolative")
    A, s = data.decaying(m, n, dtype, kind)

    def contenders() -> dict[str, Contender]:
        rng = np.random.default_rng(0)
        calls: dict[str, Contender] = {"by hand": lambda: peers.by_hand_interpolative(A, k, rng)}
        if dtype == "float64":  # SciPy's refuses float32
            calls["scipy interp_decomp rand"] = lambda: peers.scipy_interpolative(A, k, 0)
        if LIBRLA:
            calls["librla id_sketch"] = lambda: peers.librla_interpolative(A, k, rng)
        return calls

    def error(who: str, result: Any) -> float:
        J, X = result
        return data.frobenius_error(A, A[:, J], np.ones(k), X) / data.tail(s, k)

    return Case(lambda: interpolative(A, k, rng=0, **options), contenders, error)


def _cur(m: int, n: int, k: int, dtype: str, kind: str) -> Case:
    cur = find("randnla", "cur")
    A, s = data.decaying(m, n, dtype, kind)

    def contenders() -> dict[str, Contender]:
        rng = np.random.default_rng(0)
        calls: dict[str, Contender] = {"by hand": lambda: peers.by_hand_cur(A, k, rng)}
        if dtype == "float64":
            calls["scipy interp_decomp, pinv"] = lambda: peers.scipy_cur(A, k, 0)
        if LIBRLA:
            calls["librla id_sketch, pinv"] = lambda: peers.librla_cur(A, k, rng)
        return calls

    def error(who: str, result: Any) -> float:
        C, U, R = tuple(result)[:3]
        wide = C.astype(np.float64) @ U.astype(np.float64)
        return data.frobenius_error(A, wide, np.ones(k), R) / data.tail(s, k)

    return Case(lambda: cur(A, k, rng=0), contenders, error)


_BAR = Bar("time", 0.5, ("librla id_sketch",)) if LIBRLA else None
_NOTES = {
    "float64": "" if LIBRLA else "the bar is half the time of librla, which is not installed",
    "float32": "small cores run in float64"
    + ("" if LIBRLA else "; the bar is half the time of librla, which is not installed"),
}
WORKS = [
    *(
        Work(
            "interpolative k=50",
            dtype,
            f"5000x2000 {shape}",
            lambda t, dtype=dtype, kind=kind: _interpolative(5000, 2000, 50, dtype, kind),  # type: ignore[misc]
            _BAR,
            quick=kind == "exp",
            note=_NOTES[dtype],
        )
        for dtype in ("float64", "float32")
        for kind, shape in (("exp", "exp(-i/15)"), ("poly", "i^-1.5"))
    ),
    *(
        Work(
            "cur k=50",
            dtype,
            "5000x2000 exp(-i/15)",
            lambda t, dtype=dtype: _cur(5000, 2000, 50, dtype, "exp"),  # type: ignore[misc]
            quick=False,
        )
        for dtype in ("float64", "float32")
    ),
]

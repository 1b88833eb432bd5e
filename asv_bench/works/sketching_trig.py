# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Trigonometric maps: signs, transform and sample in one pass, against moving the array once."""

from __future__ import annotations

from typing import Any

import numpy as np
import peers
from conditions import find

from . import data
from .base import Bar, Case, Contender, Work


def _apply(name: str, d: int, m: int, n: int, dtype: str, order: str, threads: int) -> Case:
    S = find("randnla.sketching", name)(d, m, rng=0, dtype=np.dtype(dtype))
    A = data.gaussian(m, n, dtype, order)

    def contenders() -> dict[str, Contender]:
        out, rng = np.empty_like(A), np.random.default_rng(0)
        return {
            "copyto": lambda: peers.copyto(A, out, threads),
            "scipy dct alone": lambda: peers.dct(A, threads),
            "by hand SRFT": lambda: peers.by_hand_srft(A, d, rng, threads),
        }

    def error(who: str, result: Any) -> float | None:
        return data.norm_distortion(A, result) if who in ("ours", "by hand SRFT") else None

    return Case(lambda: S @ A, contenders, error)


def _work(
    name: str,
    d: int,
    m: int,
    n: int,
    order: str,
    bar: float | None,
    *,
    dtype: str = "float32",
    quick: bool = True,
) -> Work:
    axis = "contiguous" if order == "F" else "strided"
    return Work(
        f"{name} d={d}",
        dtype,
        f"{m}x{n} {axis}",
        lambda t: _apply(name, d, m, n, dtype, order, t),
        Bar("time", bar, ("copyto",), threads=(2,)) if bar else None,
        quick=quick,
    )


WORKS = [
    _work("SRHT", 1024, 8192, 5120, "F", 1.3),
    _work("SRHT", 1024, 8192, 5120, "C", 2.2),
    _work("SRHT", 1024, 6000, 7000, "F", 2.2, quick=False),
    _work("SRHT", 1024, 8192, 1024, "F", None, quick=False),
    _work("SRHT", 1024, 8192, 1024, "C", None, quick=False),
    _work("SRFT", 1024, 6000, 7000, "F", None, quick=False),
    _work("SRHT", 1024, 8192, 5120, "F", None, dtype="float64", quick=False),
]

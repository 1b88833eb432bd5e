# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Arguments other than the matrix that must be refused, by name, whatever the function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Argument:
    """Keywords of one call; the message must match `pattern`."""

    keywords: dict[str, Any]
    pattern: str
    promise: str = "InputError"


def _refused(name: str, *values: Any) -> dict[str, Argument]:
    return {f"{name}={label(value)}": Argument({name: value}, rf"^{name}\b") for value in values}


def label(value: Any) -> str:
    """A name that is the same in every process."""
    text = str(value)
    return (
        f"{type(value).__name__} {text}" if len(text) < 30 and " at 0x" not in text else type(value).__name__
    )


class Map:
    """A map to be made where the call is made; those below fit no input of the suite."""

    def __init__(self, d: int, m: int) -> None:
        self.shape = (d, m)

    def make(self) -> Any:
        import randnla

        return randnla.Gaussian(*self.shape, rng=0)


NAN, INF = float("nan"), float("inf")

ARGUMENTS: dict[str, Argument] = {
    **_refused("rank", -1, True, np.True_, 5.0, np.float64(5), NAN, "5", [5], 25, 10**9, 2**70, (), 1j),
    **_refused("tol", 0, 0.0, -1e-3, 1.0, 1.5, NAN, INF, -INF, "0.1", True, [0.1], 1j),
    "rank=None, tol=None": Argument({"rank": None, "tol": None}, r"\brank\b.*\btol\b"),
    "rank=-1, tol=0.1": Argument({"rank": -1, "tol": 0.1}, r"^rank\b"),
    "rank=5, tol=2": Argument({"rank": 5, "tol": 2}, r"^tol\b"),
    **_refused("method", "no_such", "", "AUTO", None, 3, b"auto", ["auto"]),
    **_refused("sketch", "no_such", "", None, 3),
    "sketch of another length": Argument({"sketch": Map(15, 7)}, r"^sketch\b"),
    "sketch with fewer rows than the rank": Argument({"sketch": Map(3, 24)}, r"^sketch\b"),
    **_refused("kind", "no_such", None, 3),
    **_refused("rng", -1, 1.5, NAN, "seed", True, [1, 2], np.random.RandomState(0), object),
    **_refused("check_finite", 1, 0, "yes", None),
    **_refused("oversample", -1, 1.5, True, "10", None, NAN),
    **_refused("power_iters", -1, 1.5, True, "many", None, NAN),
    **_refused("block", 0, -1, 1.5, True, "10", None, NAN),
    **_refused("spectral_function", 3, "sqrt"),
    **_refused("max_memory", 0, -1, 1.5, "1GB", True),
    **_refused("callback", 3, "print"),
    **_refused("norm", "nuclear", 2, None),
    **_refused("center", 1, "yes", None),
    **_refused("whiten", 1, "yes", None),
    **_refused("size", 0, -1, 2.5, True, "8", None, 2**70),
    **_refused("axis", 2, -3, True, 0.0, "0", None),
    "unknown keyword": Argument({"no_such_keyword": 1}, r"no_such_keyword", "TypeError"),
}

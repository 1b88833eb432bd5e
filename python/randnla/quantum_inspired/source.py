# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The random numbers of one call, and proposals that are accepted by chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend.errors import BreakdownError
from randnla._backend.kernels import weighted_draws
from randnla._backend.rng import seed_from

Array = NDArray[Any]

# Proposals after which a vector is called too short for its terms to be drawn from.
MOST_TRIES = 1 << 18
_MOST_AT_ONCE = 1 << 14


class Source:
    """A seed and the streams taken from it, one for each step of a call, always in the same order."""

    def __init__(self, rng: Any = None) -> None:
        self.seed = seed_from(rng)
        self._streams = 0

    def take(self) -> int:
        """The number of a stream that no other step has."""
        self._streams += 1
        return self._streams - 1

    def uniforms(self, stream: int, count: int, first: int = 0, row: int = 0) -> Array:
        """Numbers in [0, 1)."""
        return weighted_draws.uniforms(count, seed=self.seed, stream=stream, row=row, first=first)


def accept(
    size: int, source: Source, propose: Callable[[int, int], tuple[Array, Array]], expected: float = 2.0
) -> tuple[Array, int]:
    """The first `size` accepted proposals, and how many proposals it took.

    ``propose(first, count)`` gives proposals first .. first + count - 1, as the columns of an array, and
    their chances. Which are accepted depends on their number alone, not on how many are made at a time.

    Raises
    ------
    BreakdownError
        None was accepted in a long time: the vector is all but zero beside its terms.
    """
    chance = source.take()
    kept: list[Array] = []
    have, first = 0, 0
    while have < size:
        count = min(_MOST_AT_ONCE, 16 + int(1.2 * (size - have) * min(expected, 1e4)))
        proposals, ratios = propose(first, count)
        good = np.flatnonzero(source.uniforms(chance, count, first) < ratios)
        if have + good.size >= size:
            good = good[: size - have]
            first += int(good[-1]) + 1
        else:
            first += count
        kept.append(proposals[:, good])
        have += good.size
        if have < size and first > MOST_TRIES * (have + 1):
            raise BreakdownError(
                f"no entry was accepted in {first - 1} proposals: the vector or matrix is zero, or so short "
                "beside the terms it is made of that it cannot be drawn from"
            )
    return np.concatenate(kept, axis=1) if kept else np.zeros((1, 0), np.int64), first

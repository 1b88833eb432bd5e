# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""From the `rng=` argument of SPEC 7 to the 64-bit seed of a counter-based stream."""

from __future__ import annotations

import secrets
from typing import TypeAlias

import numpy as np

from randnla._backend.errors import InputError

SEED_BITS = 64
STREAM_VERSION = 1

RNGLike: TypeAlias = (
    "int | np.integer | np.random.SeedSequence | np.random.Generator | np.random.BitGenerator | None"
)


def seed_from(rng: object = None, *, name: str = "rng") -> int:
    """Return the seed, an integer in ``[0, 2**64)``, that `rng` stands for.

    Parameters
    ----------
    rng : None, int, SeedSequence, Generator or BitGenerator
        None draws from the operating system. An integer below ``2**64`` is the seed itself, so that
        ``info.seed`` given back replays a call; a larger one is hashed by `SeedSequence`. A generator
        gives one 64-bit draw and so moves on; a seed sequence gives its first word and does not.
    name : str
        The argument to name in an error.

    Raises
    ------
    InputError
        For anything else: negative integers, bools, floats, strings, the legacy `RandomState`.

    Examples
    --------
    >>> seed_from(7)
    7
    >>> seed_from(np.random.SeedSequence(7)) == seed_from(np.random.SeedSequence(7))
    True
    """
    if rng is None:
        return secrets.randbits(SEED_BITS)
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, (bool, np.bool_)):
        value = int(rng)
        if value < 0:
            raise InputError(f"{name}: expected a non-negative integer, got {value}")
        if value < 1 << SEED_BITS:
            return value
        return _first_word(np.random.SeedSequence(value))
    if isinstance(rng, np.random.SeedSequence):
        return _first_word(rng)
    if isinstance(rng, np.random.BitGenerator):
        rng = np.random.Generator(rng)
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(0, 1 << SEED_BITS, dtype=np.uint64))
    raise InputError(
        f"{name}: expected None, a non-negative integer, a SeedSequence or a Generator of numpy.random, "
        f"got {type(rng).__name__} {_shown(rng)}"
    )


def _first_word(sequence: np.random.SeedSequence) -> int:
    return int(sequence.generate_state(1, np.uint64)[0])


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

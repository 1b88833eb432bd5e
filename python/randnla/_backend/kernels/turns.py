# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Cosines of rational multiples of pi, with the same bits on every machine.

Cosines of the C library or of NumPy depend on their version and on the instruction set. Here the angle is
reduced to an eighth of a turn in integers and the Taylor series is summed by products and sums of float64
alone, each rounded as IEEE 754 says.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# x^2 <= (pi / 4)^2 < .617: the first terms left out are below 1e-17 of the sums.
_COSINE = [(-1) ** i / math.factorial(2 * i) for i in range(9)]
_SINE = [(-1) ** i / math.factorial(2 * i + 1) for i in range(9)]


def cosine(turns: Array, m: int) -> Array:
    """``cos(pi turns / (2 m))`` of integers `turns`, in float64, to about one unit of rounding.

    Parameters
    ----------
    turns : int64 array
        Numerators, of either sign.
    m : int
        Positive, at most ``2**60``: a quarter of a turn.

    Returns
    -------
    float64 array
        Of the shape of `turns`.
    """
    # Even and periodic; past half a turn it falls back, past a quarter the sign changes.
    place = np.abs(turns) % (4 * m)
    place = np.minimum(place, 4 * m - place)
    negative = place > m
    place = np.where(negative, 2 * m - place, place)
    # Past an eighth of a turn the sine of what is left up to a quarter.
    steep = 2 * place > m
    angle = np.where(steep, m - place, place) * (math.pi / (2 * m))
    square = angle * angle
    values = np.where(steep, angle * _series(_SINE, square), _series(_COSINE, square))
    return np.where(negative, -values, values)


def _series(coefficients: list[float], square: Array) -> Array:
    """Horner's rule: in place, so that no product and sum can be fused."""
    total = np.full_like(square, coefficients[-1])
    for c in coefficients[-2::-1]:
        total *= square
        total += c
    return total

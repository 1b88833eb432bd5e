# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Terms of a sum to choose from by their squared lengths, in units in which none leaves float64."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend.kernels.weighted_draws import Forest

from . import weights
from .source import Source

Array = NDArray[Any]
_FIRST = np.zeros(1, np.int64)


@dataclass(frozen=True)
class Terms:
    """Coefficients times rows, or times pairs of rows, as they were at a version of the rows.

    Over the units of the rows, ``units`` are the coefficients in units of 2^exponent.
    """

    version: int
    coefficients: Array
    units: Array
    exponent: int
    count: int  # of the terms that are not zero
    weight: float  # count times the sum of the squares, in units of 4^exponent
    forest: Forest

    @property
    def bound(self) -> float:
        """The squared norm that proposals come from; zero or infinite where float64 ends."""
        with np.errstate(over="ignore", under="ignore"):
            return float(np.ldexp(self.weight, 2 * self.exponent))

    def draw(self, size: int, source: Source, stream: int, first: int) -> Array:
        """Terms by their squares, as indices of the raveled coefficients."""
        return self.forest.draw(_FIRST, size, seed=source.seed, stream=stream, first=first)


class Measured(ABC):
    """What is drawn from by its terms, measured anew once the rows that they are made of were updated."""

    _held: Terms

    @property
    @abstractmethod
    def _version(self) -> int:
        """Grows with every update of the rows."""

    @abstractmethod
    def _measure(self) -> Terms:
        """The terms of the rows as they are."""

    @property
    def _terms(self) -> Terms:
        """Of the rows as they are."""
        if self._held.version != self._version:
            self._held = self._measure()
        return self._held

    @property
    def bound(self) -> float:
        """Squared (Frobenius) norm of what proposals come from."""
        return self._terms.bound


def terms(version: int, coefficients: Array, lengths: Array, exponents: Array) -> Terms:
    """Of coefficients and rows of ``lengths 2^exponents``, arrays of one shape."""
    there = (coefficients != 0) & (lengths > 0)
    parts = np.maximum(np.abs(coefficients.real), np.abs(coefficients.imag))
    sizes = np.frexp(parts)[1] + exponents
    exponent = int(sizes[there].max()) if there.any() else 0
    units = weights.in_units(np.where(there, coefficients, 0), exponent - exponents)
    squares = (np.abs(units) * lengths) ** 2
    count = int(np.count_nonzero(squares))
    forest = Forest.equal(1, squares.size)
    forest.arena[: squares.size] = squares.ravel()
    forest.build()
    return Terms(version, coefficients, units, exponent, count, float(count * squares.sum()), forest)

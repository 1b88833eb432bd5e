# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What averages of outer products of gradients have in common, whatever they are held as."""

from __future__ import annotations

from typing import Any, Protocol, Self

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend.errors import StateError
from randnla._backend.kernels.dense import Array

from ..factors.average import Average


class Made:
    """What a refresh has made of some blocks: an inverse, and a bound on its condition."""

    def __init__(self, inverse: Any, condition: float, power: int = 0) -> None:
        self.inverse, self.condition, self.power = inverse, condition, power


class AveragedBlocks(Protocol):
    """What an engine asks of blocks of one order. Gradients are matrices, one block a row."""

    momentum: Array

    @property
    def trace(self) -> float:
        """Of all averages, in all."""

    @property
    def size(self) -> int:
        """Orders of the averages, in all."""

    def absorb(self, X: Array, largest: float) -> None:
        """Average in the outer products of finite rows, with their largest magnitude."""

    def renewed(self, shift: float, *, wide: bool) -> Made:
        """Inverses of the averages as they are, damped."""

    def adopt(self, made: Made) -> None:
        """Take what `renewed` has made."""

    def direct(self, X: Array, out: Array, *, keep: float, scale: float) -> bool:
        """Average X into the momentum, and apply the inverse to it times `scale`; whether that is finite."""

    def apply(self, X: Array) -> Array:
        """The inverse times X."""

    def logdet(self) -> float:
        """Of the damped averages."""

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays."""

    def restored(self, state: dict[str, Any]) -> Self:
        """One like this in the state described; raises StateError."""


def average_in(momentum: Array, X: Array, spare: Array, keep: float) -> None:
    """Average X into the momentum; `spare` is overwritten."""
    kind = momentum.dtype.type
    momentum *= kind(keep)
    np.multiply(X, kind(1.0 - keep), out=spare)
    momentum += spare


def plain_direction(momentum: Array, X: Array, out: Array, keep: float, scale: float) -> bool:
    """The momentum with X averaged in, times a number, where there is no inverse."""
    average_in(momentum, X, out, keep)
    with np.errstate(over="ignore"):
        np.multiply(momentum, momentum.dtype.type(scale), out=out)
    return True


def required(state: dict[str, Any], fields: tuple[str, ...], possible: tuple[str, ...] = ()) -> None:
    """All fields are there, and no others.

    Raises
    ------
    StateError
    """
    for key in fields:
        if key not in state:
            raise StateError(f"{key}: missing field")
    for key in state.keys() - {*fields, *possible}:
        raise StateError(f"{key}: unknown field")


def counted(average: Average, state: dict[str, Any]) -> Average:
    """An average of as many batches as a state says.

    Raises
    ------
    StateError
    """
    count = plain_state.unwrap(state["count"])
    if type(count) is not int or count < 0:
        raise StateError(f"count: expected the number of batches in the sum, got {count!r}")
    return Average(average.ema, average.start, count)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What changes from step to step: values, and how often something is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from randnla._backend import validate
from randnla._backend.errors import InputError


@dataclass(frozen=True)
class Every:
    """Due at step 0, in each of the `first` steps, and every `interval` steps.

    Parameters
    ----------
    interval : int
    first : int, default 1
    """

    interval: int
    first: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "interval", validate.integer(self.interval, name="interval", low=1))
        object.__setattr__(self, "first", validate.integer(self.first, name="first", low=0))

    def due(self, step: int) -> bool:
        """Whether it is due at a step, counted from 0."""
        return step % self.interval == 0 or step < self.first


class Piecewise:
    """A value that holds from its step on until the next one's.

    Parameters
    ----------
    values : mapping {step: value}
        Steps >= 0, one of them 0.

    Examples
    --------
    >>> from randnla.curvature import Piecewise
    >>> damping = Piecewise({0: 0.1, 100: 0.05})
    >>> damping(99), damping(100)
    (0.1, 0.05)
    """

    def __init__(self, values: Mapping[int, Any]) -> None:
        if (
            not isinstance(values, Mapping)
            or 0 not in values
            or not all(isinstance(step, int) and step >= 0 for step in values)
        ):
            raise InputError(f"values: expected a mapping from steps >= 0, with step 0, got {values!r}")
        self._values = dict(sorted(values.items()))

    def __call__(self, step: int) -> Any:
        """The value at a step."""
        return self._values[max(start for start in self._values if start <= step)]

    def __repr__(self) -> str:
        return f"Piecewise({self._values})"


Schedule = Callable[[int], Any]


def every(value: Every | int, *, name: str) -> Every:
    """An interval as given by a number or as it is."""
    return value if isinstance(value, Every) else Every(validate.integer(value, name=name, low=1))

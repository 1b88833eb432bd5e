# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""How batches are weighted in an exponential average, and what it starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from randnla._backend import validate
from randnla._backend.errors import InputError

STARTS = ("debias", "running", "first", "identity")


@dataclass(frozen=True)
class Average:
    """The exponential average of a sequence M_1, M_2, ... as ``scale * S + ridge * I``.

    The sum follows ``S_k = keep S_(k-1) + (1 - keep) M_k`` from ``S_0 = 0``.

    Attributes
    ----------
    ema : float in [0, 1)
        The weight rho of the past.
    start : {"debias", "running", "first", "identity"}
        debias: ``keep = rho``, ``scale = 1 / (1 - rho^k)``: the weights of all batches add up to one.
        running: ``keep = min(1 - 1/k, rho)`` (Martens and Grosse, 2015): the plain mean until it has
        1 / (1 - rho) terms. first: S_1 = M_1, then ``keep = rho``. identity: the average starts from I,
        of which rho^k is left: a decaying damping of its own, kept apart in `ridge`.
    count : int
        Batches so far.
    """

    ema: float
    start: str = "debias"
    count: int = 0

    @classmethod
    def checked(cls, ema: object, start: object) -> Average:
        """Of arguments as a user gives them.

        Raises
        ------
        InputError
        """
        rho = validate.real(ema, name="ema", low=0.0, high=1.0)
        if rho == 1.0:
            raise InputError("ema: expected a number in [0, 1), got 1.0")
        return cls(rho, validate.choice(start, STARTS, name="start"))

    def next(self) -> tuple[Average, float]:
        """The average with one more batch, and the weight its sum keeps of the past."""
        k = self.count + 1
        keep = self.ema
        if self.start == "running":
            keep = min(1.0 - 1.0 / k, self.ema)
        elif self.start == "first" and k == 1:
            keep = 0.0
        return replace(self, count=k), keep

    @property
    def scale(self) -> float:
        """What the sum is multiplied by."""
        debiased = self.start == "debias" and self.count > 0
        return 1.0 / (1.0 - self.ema**self.count) if debiased else 1.0

    @property
    def ridge(self) -> float:
        """The share of the identity."""
        return float(self.ema**self.count) if self.start == "identity" else 0.0


class Averaged:
    """The part of an averaged factor that tells how its batches were weighted."""

    _average: Average

    @property
    def ema(self) -> float:
        """Weight of the past."""
        return self._average.ema

    @property
    def start(self) -> str:
        """What the average starts from."""
        return self._average.start

    @property
    def count(self) -> int:
        """Batches so far."""
        return self._average.count

    @property
    def scale(self) -> float:
        """The average is ``scale * sum + ridge * I``."""
        return self._average.scale

    @property
    def ridge(self) -> float:
        """The share of the identity that `start` left."""
        return self._average.ridge

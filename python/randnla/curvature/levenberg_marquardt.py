# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Dampings that follow how well the quadratic model foretells the loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import InputError, NonFiniteError, StateError


class _Rule:
    """A positive number within bounds that is reconsidered every `interval` steps."""

    _KIND: ClassVar[str]

    def __init__(self, value: float, interval: int, decay: float, minimum: float, maximum: float) -> None:
        self.interval = validate.integer(interval, name="interval", low=1)
        self.decay = validate.tolerance(decay, name="decay")
        self.minimum = _positive(minimum, "minimum")
        self.maximum = math.inf if maximum == math.inf else _positive(maximum, "maximum")
        self.value = _positive(value, "value")
        if not self.minimum <= self.value <= self.maximum:
            raise InputError(f"value: expected a number in [{self.minimum}, {self.maximum}], got {value}")
        self.count = 0

    @property
    def due(self) -> bool:
        """Whether the step at hand ends an interval."""
        return (self.count + 1) % self.interval == 0

    def __call__(self, step: int) -> float:
        """The value as it is, whatever the step: the rule can stand where a schedule is wanted."""
        return self.value

    def _bounded(self, value: float) -> float:
        return min(max(value, self.minimum), self.maximum)

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars from which `load_state_dict` goes on."""
        return plain_state.seal({"kind": self._KIND, "value": self.value, "count": self.count})

    def load_state_dict(self, state: Any) -> None:
        """Go on from a state; the arguments of the rule stay what they are.

        Raises
        ------
        StateError
            A field is missing, unknown, altered or out of range; nothing has changed.
        """
        fields = plain_state.opened(state, self._KIND, {"value": float, "count": int})
        if not self.minimum <= fields["value"] <= self.maximum or fields["count"] < 0:
            raise StateError(
                f"value, count: expected a value in [{self.minimum}, {self.maximum}] and a count >= 0, "
                f"got {fields['value']} and {fields['count']}"
            )
        self.value, self.count = float(fields["value"]), fields["count"]

    def __repr__(self) -> str:
        return f"{self._KIND}({self.value}, interval={self.interval}): {self.count} steps"


class LevenbergMarquardt(_Rule):
    """A damping that falls where the quadratic model foretells the loss well, and rises where it does not.

    Parameters
    ----------
    value : float, default 150
        lambda to start from.
    interval : int, default 5
        Steps from one reconsideration to the next.
    decay : float in (0, 1), default 19/20
        lambda changes by ``decay**interval`` or its inverse.
    low, high : float, default 0.25 and 0.75
        lambda rises where the ratio is below `low` and falls where it is above `high`.
    minimum, maximum : float, default 1e-8 and infinity
        Bounds of lambda.

    Attributes
    ----------
    value : float
    count : int
        Steps observed.
    due : bool
        Whether the next ratio observed counts.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Martens and Grosse (2015, section 6.5). The ratio is
    ``(h(theta + d) - h(theta)) / (M(d) - M(0))`` with both losses on the same batch; on other batches it
    measures noise, and the rule is not reliable.

    Examples
    --------
    >>> from randnla.curvature import LevenbergMarquardt
    >>> rule = LevenbergMarquardt(100.0, interval=1, decay=0.5)
    >>> rule.observe(0.9), rule.observe(0.5), rule.observe(-3.0)
    (50.0, 50.0, 100.0)

    The loss after the step is asked for only where it counts:

    >>> rule = LevenbergMarquardt(100.0, interval=2, decay=0.5)
    >>> rule.observe(lambda: 1 / 0)
    100.0
    """

    _KIND = "LevenbergMarquardt"

    def __init__(
        self,
        value: float = 150.0,
        *,
        interval: int = 5,
        decay: float = 19 / 20,
        low: float = 0.25,
        high: float = 0.75,
        minimum: float = 1e-8,
        maximum: float = math.inf,
    ) -> None:
        super().__init__(value, interval, decay, minimum, maximum)
        self.low, self.high = validate.real(low, name="low"), validate.real(high, name="high")
        if not self.low <= self.high:
            raise InputError(f"low: expected at most high = {high}, got {low}")

    def observe(self, ratio: float | Callable[[], float]) -> float:
        """Count a step, and at the end of an interval let the ratio decide.

        Parameters
        ----------
        ratio : float, or callable without arguments
            -inf stands for a loss that is not finite after the step. A callable is asked where it counts.

        Returns
        -------
        float
            lambda for the next step.

        Raises
        ------
        NonFiniteError
            The ratio is NaN or +inf; nothing has changed.
        """
        if self.due:
            seen = ratio() if callable(ratio) else ratio
            if seen != -math.inf:
                seen = _finite(seen, "ratio")
            factor = self.decay**self.interval
            if seen > self.high:
                self.value = self._bounded(self.value * factor)
            elif seen < self.low:
                self.value = self._bounded(self.value / factor)
        self.count += 1
        return self.value

    def update(self, before: float, after: float, predicted: float) -> float:
        """Count a step of which the losses are known; see `observe`.

        Parameters
        ----------
        before, after : float
            ``h(theta)`` and ``h(theta + d)`` on one batch. Where the latter is not finite lambda rises.
        predicted : float
            ``M(d) - M(0)``, the `value` of a `QuadraticMinimum`. Where it is 0 lambda stays.

        Raises
        ------
        NonFiniteError
            `before` or `predicted` is NaN or Inf; nothing has changed.
        """
        before, predicted = _finite(before, "before"), _finite(predicted, "predicted")
        change = float(after) - before
        if not math.isfinite(change):
            return self.observe(-math.inf)
        within = (self.low + self.high) / 2
        return self.observe(change / predicted if predicted else within)


class GammaRule(_Rule):
    """The factored Tikhonov damping gamma, chosen now and then among three by the model's own judgment.

    Parameters
    ----------
    value : float
        gamma to start from; sqrt(lambda + eta) is usual. `Tikhonov` takes gamma squared.
    interval : int, default 20
        Steps from one choice to the next.
    decay : float in (0, 1), default 19/20
        The candidates are gamma, w gamma and gamma / w, with ``w = decay**(interval / 2)``.
    minimum, maximum : float, default 1e-8 and infinity
        Bounds of gamma.

    Attributes
    ----------
    value : float
    count : int
        Steps observed.
    due : bool
        Whether the next `choose` chooses.
    candidates : tuple of float
        What it chooses from, gamma itself first.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Martens and Grosse (2015, section 6.6).

    *Cost*: a choice takes three refreshes, three directions and their Fisher products.

    Examples
    --------
    >>> from randnla.curvature import GammaRule
    >>> rule = GammaRule(1.0, interval=2, decay=0.5)
    >>> rule.choose(lambda gamma: gamma), rule.choose(lambda gamma: gamma)
    (1.0, 0.5)
    """

    _KIND = "GammaRule"

    def __init__(
        self,
        value: float,
        *,
        interval: int = 20,
        decay: float = 19 / 20,
        minimum: float = 1e-8,
        maximum: float = math.inf,
    ) -> None:
        super().__init__(value, interval, decay, minimum, maximum)

    @property
    def candidates(self) -> tuple[float, ...]:
        """gamma, and at the end of an interval the smaller and the larger one."""
        if not self.due:
            return (self.value,)
        factor = self.decay ** (self.interval / 2)
        return self.value, self._bounded(self.value * factor), self._bounded(self.value / factor)

    def choose(self, evaluate: Callable[[float], float]) -> float:
        """Count a step, and at the end of an interval take the candidate with the lowest model value.

        Parameters
        ----------
        evaluate : callable (gamma) -> float
            The model value ``M(d)`` of the step d that gamma leads to. NaN and infinities are never chosen;
            of equal values gamma itself wins.

        Returns
        -------
        float
            gamma for this step.

        Raises
        ------
        InputError
            `evaluate` is not callable.
        """
        if not callable(evaluate):
            raise InputError(f"evaluate: expected a callable, got {validate.shown(evaluate)}")
        if self.due:
            seen = [(float(evaluate(gamma)), gamma) for gamma in self.candidates]
            # min keeps the first of equal values.
            finite = [pair for pair in seen if math.isfinite(pair[0])]
            self.value = min(finite, key=lambda pair: pair[0], default=seen[0])[1]
        self.count += 1
        return self.value


def _positive(value: Any, name: str) -> float:
    number = validate.real(value, name=name)
    if number <= 0:
        raise InputError(f"{name}: expected a positive number, got {number}")
    return number


def _finite(value: Any, name: str) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise NonFiniteError(f"{name}: expected a finite number, got {number}")
    return number

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Many small averages of outer products, side by side: one a lane of a vector."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend.errors import BreakdownError, StateError
from randnla._backend.kernels import batched, mini_blocks, qr
from randnla._backend.kernels.dense import Array

from ..factors.average import Average
from .block_average import Made, counted, plain_direction, required

_SPARE = 30  # powers of two by which gradients may change before sums are rescaled


class InterleavedBlocks:
    """Small blocks of one order, side by side.

    Parameters
    ----------
    count, order : int
    average : Average
    dtype : float32 or float64

    Notes
    -----
    Sums are held in units of ``4^unit``, so that squares of small gradients do not vanish.
    """

    def __init__(self, count: int, order: int, average: Average, dtype: Any) -> None:
        self.count, self.order, self.dtype = count, order, np.dtype(dtype)
        self._average, self._unit = average, 0
        self._sum = mini_blocks.zeros(count, order, dtype)
        self._broken = False  # an update was interrupted half-way
        self.momentum = np.zeros((count, order), dtype)
        self._inverse: Array | None = None
        self._power = 0  # the inverse is 4^power times what is held

    @property
    def size(self) -> int:
        """Orders of the averages, in all."""
        return self.count * self.order

    @property
    def batches(self) -> int:
        """Averaged so far."""
        return self._average.count

    def _whole(self) -> Array:
        if self._broken:
            raise StateError("blocks: an update was interrupted half-way; load a state, or start anew")
        return self._sum

    @property
    def trace(self) -> float:
        """Of all averages, in all."""
        total = float(mini_blocks.traces(self._whole(), self.count, self.order).sum())
        return math.ldexp(self._average.scale * total, 2 * self._unit) + self._average.ridge * self.size

    @property
    def value(self) -> Array:
        """The averages as they are, (count, order, order) in float64."""
        triangles = mini_blocks.packed(self._whole(), self.count).astype(np.float64)
        whole = mini_blocks.unfolded(triangles, self.order)
        whole *= math.ldexp(self._average.scale, 2 * self._unit)
        return whole + self._average.ridge * np.eye(self.order)

    def absorb(self, X: Array, largest: float) -> None:
        """Average in the outer products of finite rows, with their largest magnitude."""
        total = self._whole()
        average, keep = self._average.next()
        self._broken = True
        self._adapt_unit(largest)
        unit = math.ldexp(1.0, -self._unit)
        mini_blocks.average(total, X, scale=unit, keep=keep, weight=1.0 - keep)
        self._average, self._broken = average, False

    def _adapt_unit(self, largest: float) -> None:
        exponent = math.frexp(largest)[1]
        if largest == 0.0 or abs(exponent - self._unit) <= _SPARE:
            return
        held = float(mini_blocks.traces(self._sum, self.count, self.order).max(initial=0.0))
        top = max(exponent, self._unit + math.frexp(math.sqrt(held))[1]) if held else exponent
        if abs(top - self._unit) > _SPARE or top > self._unit:
            qr.scale_by_power(self._sum.reshape(1, -1), 2 * (self._unit - top))
            self._unit = top

    def renewed(self, shift: float, *, wide: bool) -> Made:
        """Inverses of the averages as they are, damped.

        Raises
        ------
        BreakdownError
        """
        total, unit = self._whole(), self._unit
        scale, ridge = self._average.scale, self._average.ridge + shift
        ridge = math.ldexp(ridge, -2 * unit)
        largest = scale * float(mini_blocks.traces(total, self.count, self.order).max(initial=0.0))
        # Averages are semidefinite: eigenvalues lie between the ridge and the ridge plus the trace.
        condition = (largest + ridge) / ridge if ridge > 0 else math.inf
        wide = wide or condition * float(np.finfo(self.dtype).eps) > 1e-2
        inverse, failed = mini_blocks.invert(
            total, self.count, self.order, scale=scale, shift=ridge, wide=wide
        )
        if failed:
            raise BreakdownError(f"{failed} of {self.count} blocks are not positive definite to rounding")
        return Made(inverse, condition, -unit)

    def adopt(self, made: Made) -> None:
        """Take what `renewed` has made."""
        self._inverse, self._power = made.inverse, made.power

    def direct(self, X: Array, out: Array, *, keep: float, scale: float) -> bool:
        """Average X into the momentum, and apply the inverse to it times `scale`; whether that is finite."""
        if self._inverse is None:
            return plain_direction(self.momentum, X, out, keep, scale)
        scale = math.ldexp(scale, 2 * self._power)
        return mini_blocks.direct(
            self._inverse, X, self.momentum, out, keep=keep, weight=1.0 - keep, scale=scale
        )

    def apply(self, X: Array) -> Array:
        """The inverse times X."""
        if self._inverse is None:
            return X.copy()
        product = mini_blocks.apply(self._inverse, X)
        if self._power:
            half = self.dtype.type(math.ldexp(1.0, self._power))  # its square may be beyond the range
            with np.errstate(over="ignore"):
                product *= half
                product *= half
        return product

    def logdet(self) -> float:
        """Of the damped averages."""
        if self._inverse is None:
            raise StateError("inverse: expected a refresh before it is applied")
        triangles = mini_blocks.packed(self._inverse, self.count).astype(np.float64)
        factors, _ = batched.batched_cholesky(mini_blocks.unfolded(triangles, self.order))
        diagonals = np.diagonal(factors, axis1=1, axis2=2)
        return -2.0 * (float(np.log(diagonals).sum()) + self._power * math.log(2.0) * self.size)

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays."""
        state: dict[str, Any] = {
            "count": self._average.count,
            "unit": self._unit,
            "sum": mini_blocks.packed(self._whole(), self.count),
            "momentum": self.momentum.copy(),
        }
        if self._inverse is not None:
            state |= {"inverse": mini_blocks.packed(self._inverse, self.count), "power": self._power}
        return state

    def restored(self, state: dict[str, Any]) -> Self:
        """One like this in the state described.

        Raises
        ------
        StateError
        """
        made = type(self)(self.count, self.order, self._average, self.dtype)
        entries = self.order * (self.order + 1) // 2
        required(state, ("count", "unit", "sum", "momentum"), ("inverse", "power"))
        made._average = counted(self._average, state)
        made._unit = _power_of(state, "unit")
        triangles = plain_state.array_of(state, "sum", (self.count, entries), self.dtype)
        made._sum = mini_blocks.grouped(triangles, self.dtype)
        made.momentum = plain_state.array_of(state, "momentum", (self.count, self.order), self.dtype)
        if "inverse" in state:
            triangles = plain_state.array_of(state, "inverse", (self.count, entries), self.dtype)
            made._inverse = mini_blocks.grouped(triangles, self.dtype)
            made._power = _power_of(state, "power")
        return made


def _power_of(state: dict[str, Any], key: str) -> int:
    """A power of two that a state says numbers are held in.

    Raises
    ------
    StateError
    """
    power = plain_state.unwrap(state[key])
    if type(power) is not int or abs(power) > 1 << 11:
        raise StateError(f"{key}: expected an exponent of numbers in float64, got {power!r}")
    return power

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Averages of outer products of gradients, block by block, and what they make of a gradient."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend.errors import BreakdownError, StateError
from randnla._backend.kernels import batched, dense, mini_blocks, qr
from randnla._backend.kernels.dense import Array

from ..factors.average import Average
from ..factors.kronecker import KroneckerFactor
from ..inverses.cholesky_inverse import CholeskyInverse
from ..inverses.protocol import WideFactor
from ..resumable import joined, parted
from .partition import Elementwise, Partition

INTERLEAVED = 160  # the largest order that the batched kernels take in registers
_SPARE = 30  # powers of two by which gradients may change before sums are rescaled


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
            return _plain_direction(self.momentum, X, out, keep, scale)
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


class SharedBlocks:
    """One matrix for all rows of a gradient: the mean of their outer products.

    Parameters
    ----------
    count, order : int
        Of the gradient.
    average : Average
    dtype : float32 or float64
    """

    def __init__(self, count: int, order: int, average: Average, dtype: Any) -> None:
        self.count, self.order, self.dtype = count, order, np.dtype(dtype)
        self._factor = KroneckerFactor(order, ema=average.ema, start=average.start, dtype=dtype)
        self._inverse: CholeskyInverse | None = None
        self.momentum = np.zeros((count, order), dtype)

    @property
    def size(self) -> int:
        """Orders of the averages, in all."""
        return self.order

    @property
    def batches(self) -> int:
        """Averaged so far."""
        return self._factor.count

    @property
    def trace(self) -> float:
        """Of the average."""
        return self._factor.trace

    @property
    def value(self) -> Array:
        """The average, (1, order, order)."""
        return self._factor.value[None]

    def absorb(self, X: Array, largest: float) -> None:
        """Average in the mean of the outer products of finite rows."""
        self._factor.absorb(self._factor.prepare(X))

    def renewed(self, shift: float, *, wide: bool) -> Made:
        """The inverse of the average as it is, damped; raises BreakdownError."""
        inverse = CholeskyInverse()
        inverse.refresh(WideFactor(self._factor) if wide else self._factor, shift)
        with np.errstate(over="ignore"):
            made = inverse.cast(self.dtype)
        if made.matrix is None or not dense.screen(made.matrix).finite:
            raise BreakdownError(f"the inverse overflows {self.dtype}")
        return Made(made, inverse.info.condition or 0.0)

    def adopt(self, made: Made) -> None:
        """Take what `renewed` has made."""
        self._inverse = made.inverse

    def direct(self, X: Array, out: Array, *, keep: float, scale: float) -> bool:
        """Average X into the momentum, and apply the inverse to it times `scale`; whether that is finite."""
        finite = _plain_direction(self.momentum, X, out, keep, scale)
        if self._inverse is None:
            return finite
        dense.gemm(self.momentum, self._matrix, out, alpha=scale)
        return dense.screen(out).finite

    @property
    def _matrix(self) -> Array:
        if self._inverse is None or self._inverse.matrix is None:
            raise StateError("inverse: expected a refresh before it is applied")
        return self._inverse.matrix

    def apply(self, X: Array) -> Array:
        """The inverse times X."""
        return X.copy() if self._inverse is None else dense.gemm(X, self._matrix)

    def logdet(self) -> float:
        """Of the damped average, once for every row."""
        if self._inverse is None:
            raise StateError("inverse: expected a refresh before it is applied")
        return self.count * self._inverse.logdet()

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays."""
        parts = {"factor": self._factor.state_dict()}
        if self._inverse is not None:
            parts["inverse"] = self._inverse.state_dict()
        return {**joined(parts), "momentum": self.momentum.copy()}

    def restored(self, state: dict[str, Any]) -> Self:
        """One like this in the state described.

        Raises
        ------
        StateError
        """
        factor = self._factor
        average = Average(factor.ema, factor.start)
        made = type(self)(self.count, self.order, average, self.dtype)
        parts = parted({key: value for key, value in state.items() if key != "momentum"})
        required(state, ("momentum",), tuple(key for key in state if "/" in key))
        made.momentum = plain_state.array_of(state, "momentum", (self.count, self.order), self.dtype)
        made._factor.load_state_dict(parts.get("factor"))
        found = made._factor
        if (found.dim, found.dtype, found.ema, found.start) != (
            self.order,
            self.dtype,
            factor.ema,
            factor.start,
        ):
            raise StateError(f"factor: expected one of {self.order} rows, {self.dtype} and {average}")
        if "inverse" in parts:
            made._inverse = CholeskyInverse.from_state_dict(parts["inverse"])
            if made._matrix.shape != (self.order, self.order) or made._matrix.dtype != self.dtype:
                raise StateError(f"inverse: expected one of {self.order} rows and {self.dtype}")
        return made


class ElementwiseBlocks:
    """Every entry on its own, by Adam's rule.

    Parameters
    ----------
    rule : Elementwise
    dtype : float32 or float64
    """

    def __init__(self, rule: Elementwise, dtype: Any) -> None:
        self.rule, self.dtype = rule, np.dtype(dtype)
        self._average = Average(rule.ema)
        self._squares = np.zeros((1, rule.size), dtype)
        self.momentum = np.zeros((1, rule.size), dtype)
        self._scratch = np.empty((1, rule.size), dtype)

    @property
    def size(self) -> int:
        """Entries."""
        return self.rule.size

    @property
    def batches(self) -> int:
        """Averaged so far."""
        return self._average.count

    @property
    def trace(self) -> float:
        """Sum of the averaged squares."""
        return self._average.scale * float(self._squares.sum(dtype=np.float64))

    def absorb(self, X: Array, largest: float) -> None:
        """Average in the squares of finite entries."""
        self._average, keep = self._average.next()
        with np.errstate(over="ignore", under="ignore"):
            np.multiply(X, X, out=self._scratch)
            self._scratch *= self.dtype.type(1.0 - keep)
            self._squares *= self.dtype.type(keep)
            self._squares += self._scratch
            # An infinity would stay for good: half of the largest number does as well, and decays.
            np.minimum(self._squares, np.finfo(self.dtype).max / 2, out=self._squares)

    def renewed(self, shift: float, *, wide: bool) -> Made:
        """Nothing is to be done."""
        return Made(None, 0.0)

    def adopt(self, made: Made) -> None:
        """Nothing is to be taken."""

    def direct(self, X: Array, out: Array, *, keep: float, scale: float) -> bool:
        """Average X into the momentum, and divide it by the roots."""
        _plain_direction(self.momentum, X, out, keep, scale)
        if self.batches:
            out /= self._roots()
        return dense.screen(out).finite

    def _roots(self) -> Array:
        roots = np.sqrt(self._squares, out=self._scratch)
        roots *= self.dtype.type(math.sqrt(self._average.scale))
        roots += self.dtype.type(self.rule.eps or np.finfo(self.dtype).tiny)
        return roots

    def apply(self, X: Array) -> Array:
        """X divided by the roots."""
        return X / self._roots() if self.batches else X.copy()

    def logdet(self) -> float:
        """Of the diagonal of the roots."""
        return float(np.log(self._roots(), dtype=np.float64).sum()) if self.batches else 0.0

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays."""
        return {
            "count": self._average.count,
            "squares": self._squares.copy(),
            "momentum": self.momentum.copy(),
        }

    def restored(self, state: dict[str, Any]) -> Self:
        """One like this in the state described.

        Raises
        ------
        StateError
        """
        made = type(self)(self.rule, self.dtype)
        required(state, ("count", "squares", "momentum"))
        made._average = counted(self._average, state)
        made._squares = plain_state.array_of(state, "squares", self._squares.shape, self.dtype)
        made.momentum = plain_state.array_of(state, "momentum", self.momentum.shape, self.dtype)
        return made


class Held(NamedTuple):
    """Averages of some rows of one of the matrices that a partition makes of a gradient."""

    number: int
    rows: slice
    blocks: Any


def averaged_blocks(partition: Partition, average: Average, dtype: Any) -> list[Held]:
    """What averages the gradients of a partition."""
    if isinstance(partition, Elementwise):
        return [Held(0, slice(None), ElementwiseBlocks(partition, dtype))]
    held = []
    for number, blocks in enumerate(partition.blocks):
        if blocks.shared:
            made: Any = SharedBlocks(blocks.count, blocks.order, average, dtype)
            held.append(Held(number, slice(None), made))
        elif blocks.order > INTERLEAVED:
            for k in range(blocks.count):
                made = SharedBlocks(1, blocks.order, average, dtype)
                held.append(Held(number, slice(k, k + 1), made))
        else:
            made = InterleavedBlocks(blocks.count, blocks.order, average, dtype)
            held.append(Held(number, slice(None), made))
    return held


def _plain_direction(momentum: Array, X: Array, out: Array, keep: float, scale: float) -> bool:
    """The momentum with X averaged in, times a number, where there is no inverse."""
    kind = momentum.dtype.type
    momentum *= kind(keep)
    np.multiply(X, kind(1.0 - keep), out=out)
    momentum += out
    with np.errstate(over="ignore"):
        np.multiply(momentum, kind(scale), out=out)
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

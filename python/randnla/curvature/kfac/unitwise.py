# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The curvature of the scale and shift of a normalization, one small block a unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import BreakdownError, StateError
from randnla._backend.kernels.dense import Array

from ..damping import Damping, Relative
from ..factors.average import Average
from ..health import Outcome, attempt
from ..rows import Rows


class UnitwiseBlock:
    """``E[v v^T]`` of v = (scale gradient, shift gradient) of every unit, or of one of them.

    Parameters
    ----------
    size : int
        Units.
    parts : int
        2 for scale and shift, 1 for one of them.
    ema, start
        As of `KroneckerFactor`.
    dtype : dtype
        Of the gradients; moments are float64.

    Notes
    -----
    *Algorithm*: the unit-wise Fisher matrix of normalization layers (Osawa and others, 2019). The damping,
    lambda or lambda times the largest eigenvalue of any unit, is added to every block.
    """

    kind = "unitwise"
    truncated = 0.0
    held_as_array = False

    def __init__(self, size: int, parts: int, *, ema: float, start: str, dtype: Any) -> None:
        self.size, self.parts, self.dtype = size, parts, np.dtype(dtype)
        self._average = Average.checked(ema, start)
        self._sum = np.zeros((parts, parts, size))
        self._pairs: tuple[Array, Array] | None = None  # eigenvalues and vectors at the last refresh
        self._shift = 0.0

    @property
    def count(self) -> int:
        """Batches so far."""
        return self._average.count

    def prepare(self, rows: Rows) -> Array:
        """The mean of a batch, checked."""
        columns = [rows.a, rows.g] if self.parts == 2 else [rows.a if rows.a.size else rows.g]
        for column in columns:
            validate.require_finite(column, name="g")
        stack = np.stack(columns).astype(np.float64)  # (parts, samples, size)
        moments: Array = np.einsum("ink,jnk->ijk", stack, stack) / stack.shape[1]
        validate.require_finite(moments.reshape(-1, self.size), name="g")
        return moments

    def absorb(self, moments: Array) -> None:
        """Average in what was checked."""
        self._average, keep = self._average.next()
        self._sum *= keep
        self._sum += (1.0 - keep) * moments

    @property
    def value(self) -> Array:
        """The averaged blocks, (size, parts, parts)."""
        whole = self._average.scale * self._sum.transpose(2, 0, 1)
        return whole + self._average.ridge * np.eye(self.parts)

    def renewal(self, damping: Damping, *, detached: bool) -> Callable[[], Outcome[Any]]:
        """A refresh, of the moments as they are now."""
        blocks = self.value
        return lambda: attempt(lambda d, wide: _decomposed(blocks, d), damping)

    def adopt(self, made: tuple[Array, Array, float]) -> None:
        """Take what a refresh has made."""
        values, vectors, self._shift = made
        self._pairs = values, vectors

    def set_damping(self, damping: Damping) -> None:
        """Damp anew."""
        if self._pairs is not None:
            self._shift = _shift(self._pairs[0], damping)

    def _known(self) -> tuple[Array, Array]:
        if self._pairs is None:
            raise StateError("inverse: expected a refresh before it is applied")
        values, vectors = self._pairs
        return values + self._shift, vectors

    def precondition(self, V: Array) -> Array:
        """The damped inverse applied to a gradient (parts, size); V itself before the first refresh."""
        if self._pairs is None:
            return V.copy()
        values, X = self._known()
        core = np.einsum("kij,ik->kj", X, V) / values
        with np.errstate(over="ignore"):  # what does not fit is seen as such
            return np.asarray(np.einsum("kij,kj->ik", X, core), V.dtype)

    def quadform(self, V: Array) -> float:
        """``<V, inverse applied to V>``."""
        values, X = self._known()
        return float(np.sum(np.einsum("kij,ik->kj", X, V) ** 2 / values))

    def logdet(self) -> float:
        """Of the damped curvature."""
        return float(np.log(self._known()[0]).sum())

    @property
    def condition(self) -> float | None:
        """Of the damped curvature."""
        if self._pairs is None:
            return None
        values = self._known()[0]
        return float(values.max() / values.min())

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays."""
        state: dict[str, Any] = {"sum": self._sum.copy(), "count": self._average.count}
        if self._pairs is not None:
            state |= self.made_state((*self._pairs, self._shift))
        return state

    def restored(self, state: dict[str, Any]) -> UnitwiseBlock:
        """One like this in the state described.

        Raises
        ------
        StateError
        """
        average = self._average
        made = UnitwiseBlock(self.size, self.parts, ema=average.ema, start=average.start, dtype=self.dtype)
        if "sum" not in state or "count" not in state:
            raise StateError("sum, count: missing field")
        made._sum = plain_state.array_of(state, "sum", self._sum.shape, np.float64)
        made._average = Average(average.ema, average.start, int(plain_state.unwrap(state["count"])))
        if "vectors" in state:
            made.adopt(self.made_restored(state))
        return made

    def made_state(self, made: tuple[Array, Array, float]) -> dict[str, Any]:
        """Of what a refresh has made."""
        return {"values": made[0].copy(), "vectors": made[1].copy(), "shift": made[2]}

    def made_restored(self, state: dict[str, Any]) -> tuple[Array, Array, float]:
        """What a refresh had made.

        Raises
        ------
        StateError
        """
        shape = (self.size, self.parts, self.parts)
        with plain_state.reading():
            values = plain_state.array_of(state, "values", shape[:2], np.float64)
            vectors = plain_state.array_of(state, "vectors", shape, np.float64)
            shift = float(plain_state.unwrap(state["shift"]))
        if (values < 0).any() or not 0 <= shift < np.inf:
            raise StateError("values, shift: expected numbers >= 0")
        return values, vectors, shift


def _shift(values: Array, damping: Damping) -> float:
    largest = float(values.max(initial=0.0)) or 1.0
    return damping.value * (largest if isinstance(damping, Relative) else 1.0)


def _decomposed(blocks: Array, damping: Damping) -> tuple[Array, Array, float]:
    """Eigenvalues and vectors of the blocks, and what is added to the values."""
    values, vectors = np.linalg.eigh(blocks)
    values = np.maximum(values, 0.0)
    shift = _shift(values, damping)
    least, smallest = float(values.min(initial=1.0)) + shift, 4 / float(np.finfo(np.float32).max)
    if not (least > 1e-290 and least > smallest * (float(values.max(initial=0.0)) + shift)):
        raise BreakdownError("damping: expected a positive number, for a block is singular")
    return values, vectors, shift

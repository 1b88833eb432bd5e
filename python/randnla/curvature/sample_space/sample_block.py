# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The empirical Fisher matrix of a layer by its samples, inverted in the space of these."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import BreakdownError, InputError, StateError
from randnla._backend.kernels.dense import Array

from ..damping import Absolute, Damping, Exact, Relative
from ..factors.average import Average
from ..health import Outcome, attempt
from ..resumable import joined, parted
from ..rows import Rows
from .sample_gradients import (
    CoordinateSketch,
    FormedGradients,
    Gradients,
    SampleGradients,
    alike,
    arrays_of,
    concatenated,
    sample_gradients,
)


@dataclass(frozen=True)
class SampleSettings:
    """What all layers of an engine share.

    Attributes
    ----------
    rank : int or None
    sketch : int or None
    window : int
    ema : float
    seed : int
    """

    rank: int | None
    sketch: int | None
    window: int
    ema: float
    seed: int


@dataclass(frozen=True)
class Solved:
    """``U``, and the eigenpairs of ``U U^T`` as U is sketched."""

    gradients: Gradients
    values: Array
    vectors: Array
    shift: float


class SampleBlock:
    """``U^T U + lambda I`` of the gradients of the samples of a layer.

    Parameters
    ----------
    shape : (int, int)
        Of the gradient.
    settings : SampleSettings
    dtype : float32 or float64
    """

    kind = "samples"
    held_as_array = False

    def __init__(self, shape: tuple[int, int], settings: SampleSettings, dtype: Any) -> None:
        self.shape, self.settings, self.dtype = shape, settings, np.dtype(dtype)
        self._batches: list[Gradients] = []  # the latest first
        self._average = Average(settings.ema)
        self._solved: Solved | None = None
        self.truncated = 0.0

    @property
    def count(self) -> int:
        """Batches so far."""
        return self._average.count

    def prepare(self, rows: Rows) -> tuple[Gradients, float]:
        """The gradients of a batch, checked."""
        for array, name in ((rows.a, "a"), (rows.g, "g")):
            validate.require_finite(array, name=name)
        a, g = rows.by_sample()
        with np.errstate(over="ignore", invalid="ignore"):
            made, left_out = sample_gradients(a, g, self.settings.rank)
        if isinstance(made, FormedGradients):
            validate.require_finite(made.u.reshape(rows.samples, -1), name="g")
        elif made.a.shape[1] < a.shape[1]:
            validate.require_finite(made.a.reshape(rows.samples, -1), name="a")
        return made, left_out

    def absorb(self, prepared: tuple[Gradients, float]) -> None:
        """Take a batch in, and drop the oldest where there are more than the window holds."""
        made, self.truncated = prepared
        kept = [batch for batch in self._batches if alike(batch, made)]
        self._batches = [made, *kept][: self.settings.window]
        self._average, _ = self._average.next()

    @property
    def gradients(self) -> Gradients:
        """U as it is: the batches of the window, with weights that fall by `ema` and add up to one."""
        weights = [self.settings.ema**age for age in range(len(self._batches))]
        total = sum(weights)
        return concatenated([(b, w / total) for b, w in zip(self._batches, weights, strict=True)])

    def renewal(self, damping: Damping, *, detached: bool) -> Callable[[], Outcome[Solved]]:
        """A refresh, of the batches as they are now: nothing writes into their arrays."""
        gradients, rng = self.gradients, np.random.default_rng([self.settings.seed, self.count])
        return lambda: attempt(lambda d, wide: self._solve(gradients, rng, d), damping)

    def _solve(self, gradients: Gradients, rng: np.random.Generator, damping: Damping) -> Solved:
        size = self.settings.sketch
        if size is not None and isinstance(gradients, SampleGradients):
            rows, columns = gradients.shape
            left, right = CoordinateSketch.drawn(rows, size, rng), CoordinateSketch.drawn(columns, size, rng)
            gradients = replace(gradients, sketches=(left, right))
        gram = gradients.gram()
        validate.require_finite(gram, name="U U^T")
        values, vectors = np.linalg.eigh(gram)
        values = np.maximum(values, 0.0)
        return Solved(gradients, values, vectors, _positive(_shift(values, damping)))

    def adopt(self, made: Solved) -> None:
        """Take what a refresh has made."""
        self._solved = made

    def set_damping(self, damping: Damping) -> None:
        """Damp anew; raises BreakdownError where nothing is added."""
        if self._solved is not None:
            shift = _positive(_shift(self._solved.values, damping))
            self._solved = replace(self._solved, shift=shift)

    def _known(self) -> Solved:
        if self._solved is None:
            raise StateError("inverse: expected a refresh before it is applied")
        return self._solved

    def precondition(self, V: Array) -> Array:
        """``(V - U^T (lambda I + U U^T)^-1 U V) / lambda``; V itself before the first refresh."""
        if self._solved is None:
            return V.copy()
        held = self._solved
        gradients, X = held.gradients, V
        # What is left of V in the range of U is lambda / s of it: rounding is to stay below that.
        if float(np.finfo(self.dtype).eps) * held.values.max(initial=0.0) > 1e-2 * held.shift:
            gradients, X = gradients.widened(), V.astype(np.float64)
        weights = self._coefficients(gradients.dot(X))
        with np.errstate(over="ignore", invalid="ignore"):
            out = (X - gradients.combine(weights)) * (1.0 / held.shift)
            return np.asarray(out.astype(V.dtype, copy=False))

    def _coefficients(self, products: Array) -> Array:
        held = self._known()
        return np.asarray(held.vectors @ ((held.vectors.T @ products) / (held.values + held.shift)))

    def quadform(self, V: Array) -> float:
        """``<V, precondition(V)>`` in float64; of a sketch that may be negative."""
        held = self._known()
        gradients, X = held.gradients.widened(), V.astype(np.float64)
        taken = gradients.combine(self._coefficients(gradients.dot(X)))
        return float(np.vdot(X, X - taken)) / held.shift

    def logdet(self) -> float:
        """Of the damped curvature."""
        held = self._known()
        free = math.prod(self.shape) - held.values.size
        return free * math.log(held.shift) + float(np.log(held.values + held.shift).sum())

    @property
    def condition(self) -> float | None:
        """Of the damped curvature."""
        if self._solved is None:
            return None
        return float(self._solved.values.max(initial=0.0) / self._solved.shift) + 1.0

    # -- state -------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays."""
        parts = {f"batch {i}": arrays_of(batch) for i, batch in enumerate(self._batches)}
        state: dict[str, Any] = {"count": self.count, "truncated": self.truncated}
        state["seed"] = self.settings.seed
        if self._solved is not None:
            parts["solved"] = self.made_state(self._solved)
        return {**state, **joined(parts)}

    def made_state(self, made: Solved) -> dict[str, Any]:
        """Of what a refresh has made."""
        solved = {**arrays_of(made.gradients), "values": made.values.copy()}
        solved |= {"vectors": made.vectors.copy(), "shift": made.shift}
        if made.gradients.sketches is not None:
            rows, columns = made.gradients.sketches
            solved |= {"rows": rows.indices.copy(), "columns": columns.indices.copy()}
        return solved

    def made_restored(self, state: dict[str, Any]) -> Solved:
        """What a refresh had made.

        Raises
        ------
        StateError
        """
        with plain_state.reading():
            return self._solved_of(state)

    def restored(self, state: dict[str, Any]) -> SampleBlock:
        """One like this in the state described.

        Raises
        ------
        StateError
        """
        for key in ("count", "truncated", "seed"):
            if key not in state:
                raise StateError(f"{key}: missing field")
        seed = plain_state.unwrap(state["seed"])
        if type(seed) is not int or seed < 0:
            raise StateError(f"seed: expected an integer >= 0, got {seed!r}")
        made = SampleBlock(self.shape, replace(self.settings, seed=seed), self.dtype)
        count = plain_state.unwrap(state["count"])
        if type(count) is not int or count < 0:
            raise StateError(f"count: expected the number of batches, got {count!r}")
        made._average = Average(self.settings.ema, count=count)
        made.truncated = float(plain_state.unwrap(state["truncated"]))
        parts = parted({key: value for key, value in state.items() if "/" in key})
        solved = parts.pop("solved", None)
        if len(parts) > min(count, self.settings.window):
            raise StateError(f"batch: expected at most {min(count, self.settings.window)}, got {len(parts)}")
        try:
            made._batches = [self._gradients(parts[f"batch {i}"]) for i in range(len(parts))]
            if solved is not None:
                made._solved = self._solved_of(solved)
        except KeyError as missing:
            raise StateError(f"{missing.args[0]}: missing field") from None
        return made

    def _gradients(self, part: dict[str, Any]) -> Gradients:
        rows, columns = self.shape
        n = len(part["weights"])
        weights = plain_state.array_of(part, "weights", (n,), np.float64)
        if "u" in part:
            return FormedGradients(plain_state.array_of(part, "u", (n, rows, columns), self.dtype), weights)
        terms = part["a"].shape[1]
        a = plain_state.array_of(part, "a", (n, terms, columns), self.dtype)
        return SampleGradients(a, plain_state.array_of(part, "g", (n, terms, rows), self.dtype), weights)

    def _solved_of(self, part: dict[str, Any]) -> Solved:
        gradients = self._gradients(part)
        if "rows" in part and isinstance(gradients, SampleGradients):
            left, right = (
                CoordinateSketch(dim, validate.indices(part[key], dim, name=key))
                for dim, key in zip(self.shape, ("rows", "columns"), strict=True)
            )
            gradients = replace(gradients, sketches=(left, right))
        n = gradients.samples
        values = plain_state.array_of(part, "values", (n,), np.float64)
        vectors = plain_state.array_of(part, "vectors", (n, n), np.float64)
        return Solved(gradients, values, vectors, _positive(float(plain_state.unwrap(part["shift"]))))


def require_addable(damping: Damping) -> None:
    """Raise InputError for what is not added to the matrix itself."""
    if not isinstance(damping, (Absolute, Exact, Relative)):
        raise InputError(f"damping: expected Absolute, Exact or Relative, got {type(damping).__name__}")


def _shift(values: Array, damping: Damping) -> float:
    largest = float(values.max(initial=0.0)) or 1.0
    return damping.value * (largest if isinstance(damping, Relative) else 1.0)


def _positive(shift: float) -> float:
    if not shift > 0:
        raise BreakdownError("damping: expected a positive number, for there are fewer samples than weights")
    return shift

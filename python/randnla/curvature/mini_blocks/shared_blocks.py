# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""One average of outer products for all rows of a gradient, inverted by Cholesky."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend.errors import BreakdownError, StateError
from randnla._backend.kernels import dense
from randnla._backend.kernels.dense import Array

from ..factors.average import Average
from ..factors.kronecker import KroneckerFactor
from ..inverses.cholesky_inverse import CholeskyInverse
from ..inverses.protocol import WideFactor
from ..resumable import joined, parted
from .block_average import Made, average_in, plain_direction, required


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
        if self._inverse is None:
            return plain_direction(self.momentum, X, out, keep, scale)
        average_in(self.momentum, X, out, keep)
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

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The averaged second moment of activations or of gradients: one factor of a Kronecker block."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import CapacityError, StateError
from randnla._backend.kernels import qr, symmetric
from randnla._backend.kernels.dense import Array

from ..resumable import Resumable
from .average import Average, Averaged
from .batch import Batch, checked_rows, factor_dtype


class KroneckerFactor(Averaged, Resumable):
    """Exponential average of ``X^H X / n`` over batches X of n rows, held as one triangle.

    Parameters
    ----------
    dim : int
        Columns of the batches, d.
    ema : float in [0, 1), default 0.95
        Weight rho of the past.
    start : {"debias", "running", "first", "identity"}, default "debias"
        debias: from zero, divided by 1 - rho^k after k batches: their weights add up to one. running: the
        past weighs min(1 - 1/k, rho). first: the first batch, then rho. identity: from I, of which
        rho^k remains; on short runs that is most of the factor.
    dtype : float32, float64, complex64 or complex128
        Of the sums. Batches of half precision are widened, never summed as they are.

    Attributes
    ----------
    dim, ema, start, dtype
    count : int
        Batches so far.
    trace : float
        Of the average.
    value : (d, d) array
        The average, both triangles, a new array at every reading.

    Raises
    ------
    InputError
        An argument does not fit.
    CapacityError
        d^2 numbers do not fit in memory.

    Notes
    -----
    *Algorithm*: ``S = rho S + (1 - rho) X^H X / n`` (Martens and Grosse, 2015) on the upper triangle.

    *Cost*: n d^2 flops an update, and half the memory traffic of a square; d^2 numbers of memory. Nothing is
    allocated but a copy of a batch that must be converted.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import KroneckerFactor
    >>> factor = KroneckerFactor(3, ema=0.5)
    >>> factor.update(np.eye(3, dtype=np.float32) * 3)
    >>> factor.value
    array([[3., 0., 0.],
           [0., 3., 0.],
           [0., 0., 3.]], dtype=float32)
    """

    _KIND = "KroneckerFactor"
    _TYPES: ClassVar[dict[str, type]] = {
        "dim": int,
        "ema": float,
        "start": str,
        "dtype": str,
        "count": int,
        "triangle": np.ndarray,
        "unit": int,
    }

    def __init__(
        self, dim: int, *, ema: float = 0.95, start: str = "debias", dtype: Any = np.float32
    ) -> None:
        self.dim = validate.integer(dim, name="dim", low=1)
        self.dtype = factor_dtype(dtype)
        self._average = Average.checked(ema, start)
        try:
            # 4^-unit times the sum; the strict lower triangle stays zero.
            self._sum = np.zeros((self.dim, self.dim), self.dtype)
        except (MemoryError, ValueError) as error:
            raise CapacityError(f"dim: {self.dim}^2 numbers of {self.dtype} do not fit in memory") from error
        self._unit = 0
        self._broken = False  # an update was interrupted half-way

    @property
    def trace(self) -> float:
        """Of the average."""
        return self.scale * self._diagonal_sum() + self.ridge * self.dim

    @property
    def value(self) -> Array:
        """The average as a new (d, d) array."""
        return self.value_over(0)

    def value_over(self, exponent: int) -> Array:
        """The average over 2^exponent: squares of tiny and huge numbers need not lie within the dtype."""
        whole = symmetric.unfold(self._whole(), math.ldexp(self.scale, -exponent))
        whole[np.diag_indices(self.dim)] += self.dtype.type(math.ldexp(self.ridge, -exponent))
        return whole

    @property
    def scale(self) -> float:
        """The average is ``scale * sum + ridge * I``."""
        return math.ldexp(self._average.scale, 2 * self._unit)

    def _whole(self) -> Array:
        if self._broken:
            raise StateError("factor: an update was interrupted half-way; load a state, or start anew")
        return self._sum

    def _diagonal_sum(self) -> float:
        return float(np.sum(np.diagonal(self._whole()).real, dtype=np.float64))

    def update(self, X: Any, weight: Any = None) -> None:
        """Average in the batch X.

        Parameters
        ----------
        X : array, shape (n, d)
            NumPy, torch, ... on the host; any layout.
        weight : float or array of shape (n,), optional
            Nonnegative factors of the n outer products.

        Raises
        ------
        InputError, NonFiniteError
            The batch does not fit, or holds NaN or Inf; the state has not changed.
        StateError
            An update before was interrupted (Ctrl-C) and has left the sum half-way.
        """
        self.absorb(self.prepare(X, weight))

    def prepare(self, X: Any, weight: Any = None) -> Batch:
        """Check a batch as `update` does; nothing changes."""
        self._whole()
        return checked_rows(X, self.dim, self.dtype, weight)

    def absorb(self, batch: Batch, scale: float = 1.0) -> None:
        """Average in what `prepare` checked, times `scale`."""
        total = self._whole()
        average, keep = self._average.next()
        self._broken = True
        self._adapt_unit(batch)
        share = 0.0  # of zeros nothing is added: in the unit of tiny numbers their weight would overflow
        if batch.mean_square > 0.0:
            share = math.ldexp(scale * (1.0 - keep) / len(batch.rows), 2 * (batch.exponent - self._unit))
        symmetric.update_triangle(total, batch.rows, alpha=share, beta=keep)
        self._average, self._broken = average, False

    def _adapt_unit(self, batch: Batch) -> None:
        """Keep the sum, and what is added to it, where squares neither overflow nor vanish."""
        if batch.mean_square == 0.0 or abs(batch.exponent - self._unit) <= 30:
            return
        held = float(np.sum(np.diagonal(self._sum).real, dtype=np.float64))
        top = max(batch.exponent, self._unit + math.frexp(math.sqrt(held))[1] if held else batch.exponent)
        if top != self._unit:
            qr.scale_by_power(self._sum, 2 * (self._unit - top))
            self._unit = top

    def copy(self) -> Self:
        """A factor of its own with the same average."""
        made = type(self)(self.dim, ema=self.ema, start=self.start, dtype=self.dtype)
        np.copyto(made._sum, self._whole())
        made._average, made._unit = self._average, self._unit
        return made

    def sum_times(self, X: Array) -> Array:
        """The sum (not the average) times X of shape (d, k) and the factor's dtype."""
        return symmetric.product(self._whole(), X)

    def _fields(self) -> dict[str, Any]:
        return {
            "dim": self.dim,
            "ema": self.ema,
            "start": self.start,
            "dtype": self.dtype.name,
            "count": self.count,
            "triangle": self._whole().copy(),
            "unit": self._unit,
        }

    @classmethod
    def _restored(cls, fields: dict[str, Any]) -> Self:
        # Before memory of that size is taken.
        triangle = plain_state.array_of(fields, "triangle", (fields["dim"],) * 2, fields["dtype"])
        made = cls(fields["dim"], ema=fields["ema"], start=fields["start"], dtype=fields["dtype"])
        made._sum = np.triu(triangle)
        if fields["count"] < 0 or (fields["count"] == 0 and made._sum.any()):
            raise StateError(f"count: expected the number of batches in the sum, got {fields['count']}")
        if not -1100 <= fields["unit"] <= 1100 or (np.diagonal(made._sum).real < 0).any():
            raise StateError("unit, triangle: expected an exponent of float64 and a diagonal >= 0")
        made._unit = fields["unit"]
        made._average = Average(made.ema, made.start, fields["count"])
        return made

    def __repr__(self) -> str:
        return (
            f"KroneckerFactor({self.dim}, ema={self.ema}, start={self.start!r}, dtype={self.dtype.name}): "
            f"{self.count} batches"
        )

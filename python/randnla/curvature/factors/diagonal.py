# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The averaged second moment of unit vectors, which is diagonal, and its damped inverse."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend import state as plain_state
from randnla._backend.errors import InputError, StateError
from randnla._backend.kernels.dense import Array
from randnla._backend.results import Info

from ..inverses.spectral import checked_block, column_values
from ..resumable import Resumable
from .average import Average, Averaged
from .batch import factor_dtype


@dataclass(frozen=True)
class Counts:
    """How often each index occurred among `total`."""

    counts: Array
    total: int


class DiagonalFactor(Averaged, Resumable):
    """Exponential average of the frequencies of indices: ``E[e_i e_i^T]``, the factor of an embedding.

    Parameters
    ----------
    dim : int
        Number of indices, d.
    ema : float in [0, 1), default 0.95
    start : {"debias", "running", "first", "identity"}, default "debias"
        As of `KroneckerFactor`.
    dtype : dtype, default float32
        Of products; frequencies are float64.

    Attributes
    ----------
    dim, ema, start, dtype, count
    trace : float
        Of the average.
    value : (d, d) array
        For tests and small factors.
    diagonal : (d,) float64 array

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Cost*: O(n + d) a batch of n indices; d numbers.

    Examples
    --------
    >>> from randnla.curvature import DiagonalFactor
    >>> factor = DiagonalFactor(4)
    >>> factor.update([0, 3, 3, 0])
    >>> factor.diagonal
    array([0.5, 0. , 0. , 0.5])
    """

    _KIND: ClassVar[str] = "DiagonalFactor"
    _TYPES: ClassVar[dict[str, type]] = {
        "dim": int,
        "ema": float,
        "start": str,
        "dtype": str,
        "count": int,
        "sum": np.ndarray,
    }

    def __init__(
        self, dim: int, *, ema: float = 0.95, start: str = "debias", dtype: Any = np.float32
    ) -> None:
        self.dim = validate.integer(dim, name="dim", low=1)
        self.dtype = factor_dtype(dtype)
        self._average = Average.checked(ema, start)
        self._sum = np.zeros(self.dim)

    @property
    def diagonal(self) -> Array:
        """Of the average."""
        return self.scale * self._sum + self.ridge

    @property
    def trace(self) -> float:
        """Of the average."""
        return float(self.diagonal.sum())

    @property
    def value(self) -> Array:
        """The average as an array."""
        return np.diag(self.diagonal).astype(self.dtype)

    def prepare(self, X: Any) -> Counts:
        """Check a batch of indices; nothing changes.

        Raises
        ------
        InputError
            X holds no integers in 0, ..., d - 1, or nothing.
        """
        array = namespace.to_host(X, name="X")
        if array.size == 0 or array.dtype.kind not in "iu":
            raise InputError(f"X: expected at least one integer index, got {array.dtype} {array.shape}")
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= self.dim:
            raise InputError(f"X: expected indices in 0, ..., {self.dim - 1}, got {low if low < 0 else high}")
        return Counts(np.bincount(array.ravel(), minlength=self.dim), array.size)

    def absorb(self, batch: Counts, scale: float = 1.0) -> None:
        """Average in what `prepare` checked, times `scale`."""
        self._average, keep = self._average.next()
        self._sum *= keep
        self._sum += (1.0 - keep) * scale / batch.total * batch.counts

    def update(self, X: Any) -> None:
        """Average in the frequencies of the indices X, an integer array of any shape.

        Raises
        ------
        InputError
            X does not fit; the state has not changed.
        """
        self.absorb(self.prepare(X))

    def copy(self) -> Self:
        """A factor of its own with the same average."""
        made = type(self)(self.dim, ema=self.ema, start=self.start, dtype=self.dtype)
        made._sum[:], made._average = self._sum, self._average
        return made

    def _fields(self) -> dict[str, Any]:
        return {
            "dim": self.dim,
            "ema": self.ema,
            "start": self.start,
            "dtype": self.dtype.name,
            "count": self.count,
            "sum": self._sum.copy(),
        }

    @classmethod
    def _restored(cls, fields: dict[str, Any]) -> Self:
        total = plain_state.array_of(fields, "sum", (fields["dim"],), np.float64)
        made = cls(fields["dim"], ema=fields["ema"], start=fields["start"], dtype=fields["dtype"])
        made._sum = total
        if (made._sum < 0).any() or fields["count"] < 0:
            raise StateError("sum, count: expected numbers >= 0")
        made._average = Average(made.ema, made.start, fields["count"])
        return made


class DiagonalInverse(Resumable):
    """``(diag(s) + damping I)^-1`` of a `DiagonalFactor`.

    Attributes
    ----------
    s : (d,) float64 array
    damping : float
        May be set at any time.
    info : Info

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import DiagonalFactor, DiagonalInverse
    >>> factor = DiagonalFactor(2)
    >>> factor.update([0, 1])
    >>> inverse = DiagonalInverse()
    >>> inverse.refresh(factor, damping=0.5)
    >>> inverse.apply(np.array([1.0, 2.0], dtype=np.float32))
    array([1., 2.], dtype=float32)
    """

    _KIND: ClassVar[str] = "DiagonalInverse"
    _TYPES: ClassVar[dict[str, type]] = {"s": np.ndarray, "damping": float, "dtype": str}

    def __init__(self) -> None:
        self._damping = 0.0
        self.s = np.zeros(0)
        self._dtype = np.dtype(np.float32)
        self.info = Info(method="none", rank=0)

    @property
    def damping(self) -> float:
        """What is added to every entry."""
        return self._damping

    @damping.setter
    def damping(self, value: float) -> None:
        self._damping = validate.real(value, name="damping", low=0.0)

    @property
    def dim(self) -> int:
        """Rows of the factor last seen, 0 before the first."""
        return self.s.size

    @property
    def spectral(self) -> tuple[None, Array]:
        """Unit vectors, and the undamped entries."""
        return None, self.s

    @property
    def matrix(self) -> Array | None:
        """The inverse as an array where it is held as one: it is not."""
        return None

    def cast(self, dtype: Any) -> Self:
        """Compute in another dtype."""
        self._dtype = np.dtype(dtype)
        return self

    def refresh(self, factor: Any, damping: float | None = None) -> None:
        """Take the diagonal as it is now.

        Raises
        ------
        InputError
            `damping` or the factor does not fit.
        """
        if not isinstance(factor, DiagonalFactor):
            raise InputError(f"factor: expected a DiagonalFactor, got {type(factor).__name__}")
        if damping is not None:
            self.damping = damping
        self.s, self._dtype = factor.diagonal, factor.dtype
        self.info = Info(rank=int(np.count_nonzero(self.s)), method="diagonal", path="diagonal")

    def _reciprocals(self) -> Array:
        values = self.s + self._damping
        if (values <= 0).any():
            raise InputError("damping: expected a positive number, for the factor is singular; got 0.0")
        return 1.0 / values

    def apply(self, V: Any) -> Any:
        """``(diag(s) + damping I)^-1 V`` for V of shape (d,) or (d, k), an array of the kind of V.

        Raises
        ------
        InputError, NonFiniteError
            V does not fit or is not finite, or a sum of an entry and the damping is zero.
        StateError
            There has been no refresh.
        """
        block = checked_block(V, self.dim, self._dtype)
        out = block * self._reciprocals().astype(block.real.dtype)[:, None]
        return namespace.restore(namespace.kind_of(V), out.reshape(np.shape(V)))

    def quadform(self, v: Any) -> Any:
        """``v^H (...)^-1 v`` of v (d,), or of every column of v (d, k), in float64."""
        block = checked_block(v, self.dim, self._dtype, name="v")
        values = self._reciprocals() @ np.abs(block.astype(np.result_type(block.dtype, np.float64))) ** 2
        return column_values(values, v)

    def logdet(self) -> float:
        """``log det (diag(s) + damping I)``."""
        if self.dim == 0:
            raise StateError("inverse: expected a refresh before it is applied")
        return -math.fsum(np.log(self._reciprocals()))

    def _fields(self) -> dict[str, Any]:
        return {"s": self.s.copy(), "damping": self._damping, "dtype": self._dtype.name}

    @classmethod
    def _restored(cls, fields: dict[str, Any]) -> Self:
        made = cls()
        made.s = plain_state.array_of(fields, "s", (fields["s"].size,), np.float64)
        if (made.s < 0).any():
            raise StateError("s: expected numbers >= 0")
        made._dtype, made.damping = factor_dtype(fields["dtype"]), fields["damping"]
        made.info = Info(rank=int(np.count_nonzero(made.s)), method="diagonal", path="loaded")
        return made

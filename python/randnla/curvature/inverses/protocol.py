# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What refreshes ask of a factor, and what blocks ask of an inverse."""

from __future__ import annotations

import math
from typing import Any, Protocol, Self

import numpy as np

from randnla._backend.kernels import dense
from randnla._backend.kernels.dense import Array
from randnla._backend.results import Info


class Factor(Protocol):
    """An averaged factor, which is ``scale * sum + ridge * I``."""

    dim: int
    dtype: np.dtype[Any]

    @property
    def trace(self) -> float:
        """Of the average."""

    @property
    def scale(self) -> float:
        """Of the sum."""

    @property
    def ridge(self) -> float:
        """Of the identity."""

    @property
    def value(self) -> Array:
        """The average as an array."""

    def sum_times(self, X: Array) -> Array:
        """The sum times a block of columns."""


class FactorInverse(Protocol):
    """A damped inverse of an averaged factor, renewed by `refresh` and applied in between."""

    info: Info
    damping: float

    @property
    def dim(self) -> int:
        """Rows of the factor last seen, 0 before the first."""

    @property
    def spectral(self) -> tuple[Array | None, Array] | None:
        """Eigenvectors (None: unit vectors) and undamped eigenvalues, or None where they are not known.

        There is one eigenvalue more than vectors where the complement of the vectors shares it.
        """

    @property
    def matrix(self) -> Array | None:
        """The damped inverse as an array where it is held as one."""

    def refresh(self, factor: Any, damping: float | None = None) -> None:
        """Renew from a factor; after an exception everything is as it was."""

    def apply(self, V: Any) -> Any:
        """The inverse times V of shape (dim,) or (dim, k)."""

    def quadform(self, v: Any) -> Any:
        """``v^H (...)^-1 v``."""

    def logdet(self) -> float:
        """Of the damped factor, not of its inverse."""

    def cast(self, dtype: Any) -> Self:
        """Hold arrays in another dtype."""

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays."""

    def load_state_dict(self, state: Any) -> None:
        """Become what a state describes."""


class ScaledFactor:
    """A `KroneckerFactor` over 2^exponent, as a refresh reads it."""

    def __init__(self, factor: Any, exponent: int) -> None:
        self._factor, self._exponent = factor, exponent
        self.dim, self.dtype = factor.dim, factor.dtype
        self.trace, self.scale, self.ridge = (
            math.ldexp(value, -exponent) for value in (factor.trace, factor.scale, factor.ridge)
        )

    @property
    def value(self) -> Array:
        """The scaled average as an array."""
        made: Array = self._factor.value_over(self._exponent)
        return made

    def sum_times(self, X: Array) -> Array:
        """The sum times X."""
        product: Array = self._factor.sum_times(X)
        return product


def extreme(value: float) -> int:
    """The binary exponent of a number whose inverse and square float32 may not hold, 0 of all others."""
    return 0 if value == 0.0 or 2.0**-60 < value < 2.0**60 else math.frexp(value)[1]


class WideFactor:
    """A factor seen in float64 (complex128), for the second attempt at a refresh."""

    def __init__(self, factor: Factor) -> None:
        self.dim = factor.dim
        self.dtype = np.dtype(np.result_type(factor.dtype, np.float64))
        self.trace, self.scale, self.ridge = factor.trace, 1.0, 0.0
        self.value = factor.value.astype(self.dtype)

    def sum_times(self, X: Array) -> Array:
        """The average times X."""
        return dense.matmul(self.value, X)

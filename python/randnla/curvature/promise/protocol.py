# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What an estimate of the Hessian is made of."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from randnla._backend.kernels.dense import Array


class Source(Protocol):
    """A symmetric matrix H of order `dim`."""

    dim: int
    dtype: np.dtype[Any]

    @property
    def problem(self) -> str:
        """What NaN or Inf it is known to hold, "" for none."""

    def times(self, V: Array) -> Array:
        """``H V`` of V (dim, k)."""

    def shifted(self, X: Array, alpha: float) -> Array:
        """``X (H + alpha I)`` of contiguous rows X (k, dim), few."""

    def widened(self) -> Source:
        """The same in float64."""


class Root(Source, Protocol):
    """``H = R^T R`` by its root R (rows, dim)."""

    rows: int

    @property
    def trace(self) -> float:
        """Of H."""

    def dots(self, X: Array) -> Array:
        """``R X^T`` (rows, k) in float64, of contiguous X (k, dim)."""

    def combine(self, C: Array, alpha: float, X: Array) -> Array:
        """``alpha X + C^T R`` (k, dim) in the dtype of X, of C (rows, k) in float64."""

    def gram(self) -> Array:
        """``R R^T`` in float64."""

    def normal(self) -> Array:
        """H in float64."""

    def diagonal(self) -> Array:
        """Of H, in float64."""

    def sketched(self, S: Any) -> Root:
        """The root ``S R``, of a random map or a sparse matrix S."""

    def owned(self) -> Root:
        """One that shares no memory with what it was made of."""

    def state(self) -> dict[str, Any]:
        """Plain arrays for `root_of`."""

    def widened(self) -> Root:
        """The same in float64."""

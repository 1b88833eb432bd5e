# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Functions on the cloud, told elsewhere on the manifold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla.operators import KernelMatrix

from .cloud import Array
from .geometry import interpolation
from .operators import resolved_dimension

PIECE = 8192


def checked_queries(points: Any, ambient: int) -> Array:
    """Points (M, D) to evaluate at."""
    array = validate.as_matrix(points, name="points")
    if array.dtype.kind == "c" or array.shape[1] != ambient:
        raise InputError(f"points: expected real points of dimension {ambient}, got shape {array.shape}")
    validate.require_finite(array, name="points")
    return np.ascontiguousarray(array, np.float64)


class Evaluation:
    """A function of points (M, D) on the manifold, with values (M,) or (M, k)."""

    ambient: int
    vector: bool

    def _values(self, points: Array) -> Array:
        raise NotImplementedError

    def __call__(self, points: Any) -> Any:
        kind = namespace.kind_of(points)
        values = self._values(checked_queries(points, self.ambient))
        return namespace.restore(kind, values[:, 0] if self.vector else values)


@dataclass(frozen=True, eq=False)
class LocalPolynomials(Evaluation):
    """Moving least squares by quadratic polynomials in the tangent spaces of the cloud."""

    points: Array
    u: Array  # (N, k)
    given: float | None
    vector: bool

    @cached_property
    def dimension(self) -> int:
        """Of the manifold, found when it is first asked for: clouds that have none have solutions."""
        return resolved_dimension(self.points, self.given)

    @property
    def ambient(self) -> int:  # type: ignore[override]
        """Of the space around the manifold."""
        return int(self.points.shape[1])

    def _values(self, points: Array) -> Array:
        return np.asarray(interpolation(cKDTree(self.points), points, self.dimension) @ self.u)


@dataclass(frozen=True, eq=False)
class FourierFeatures:
    """``cos(x . w_j + b_j)``, random Fourier features (Rahimi and Recht, 2007)."""

    frequencies: Array  # (D, m)
    phases: Array  # (m,)

    def __call__(self, points: Array) -> Array:
        return np.asarray(np.cos(points @ self.frequencies + self.phases))


@dataclass(frozen=True, eq=False)
class KernelFeatures:
    """``exp(-|x - c_j|^2 / (2 l^2))`` around centers of the cloud."""

    centers: Array
    length: float

    def __call__(self, points: Array) -> Array:
        return KernelMatrix(points, points2=self.centers, bandwidth=self.length).to_dense()


@dataclass(frozen=True, eq=False)
class Expansion(Evaluation):
    """``features(x) @ coefficients``."""

    features: Any
    coefficients: Array  # (m, k)
    ambient: int
    vector: bool

    def _values(self, points: Array) -> Array:
        parts = [
            self.features(points[start : start + PIECE]) @ self.coefficients
            for start in range(0, len(points), PIECE)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.coefficients.shape[1]))


@dataclass(frozen=True, eq=False)
class Fitted(Evaluation):
    """A hypothesis that was trained, such as a network."""

    hypothesis: Any
    ambient: int
    vector: bool

    def _values(self, points: Array) -> Array:
        values = np.asarray(self.hypothesis.evaluate(points), np.float64)
        return values.reshape(len(points), -1)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The discrete problem ``-div(kappa grad u) + a u = f`` with its boundary: equations, and known values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from randnla._backend.errors import InputError

from .boundary import Boundary
from .cloud import Array
from .operators import LaplacianResult


@dataclass(frozen=True)
class Elliptic:
    """Points, operator, coefficient, right-hand sides (N, k) and boundary of one problem.

    Attributes
    ----------
    free : array of int
        Points where the equation holds.
    fixed : array of int
        Points where u is known, with `values`.
    mean_free : bool
        a is zero and nothing is known: u is determined up to a constant, its mean is set to zero.
    """

    points: Array
    L: LaplacianResult
    a: Array
    f: Array
    free: Array
    fixed: Array
    values: Array

    @property
    def mean_free(self) -> bool:
        """Whether constants are in the null space."""
        return self.fixed.size == 0 and not self.a.any()

    def rows(self) -> Any:
        """The equations at the free points, (F, N), as a sparse matrix."""
        scaled = scipy.sparse.diags_array(1.0 / self.L.mass) @ self.L.stiffness
        return (scaled + scipy.sparse.diags_array(self.a)).tocsr()[self.free]

    def right(self) -> Array:
        """Their right-hand sides, (F, k), with the known values still to be taken off."""
        return np.asarray((self.f - self.L.offset[:, None])[self.free])

    def mean(self, u: Array) -> Array:
        """Over the manifold, by column: the mass is the volume of a point up to a constant."""
        weights = self.volumes()
        return np.asarray(weights @ u / weights.sum())

    def volumes(self) -> Array:
        """Weights w with ``w @ u`` in the place of an integral."""
        return np.asarray(self.L.mass)

    def residual(self, u: Array) -> float:
        """Largest relative residual over the right-hand sides, in the norm that volumes weigh."""
        x = (self.L.stiffness @ u) / self.L.mass[:, None] + self.L.offset[:, None] + self.a[:, None] * u
        root = np.sqrt(self.volumes()[self.free])[:, None]
        left = np.linalg.norm(root * (x - self.f)[self.free], axis=0)
        size = np.linalg.norm(root * self.right(), axis=0) + self._known()
        return float(np.max(left / np.where(size > 0, size, 1.0), initial=0.0))

    def _known(self) -> float:
        if not self.fixed.size or not self.values.any():
            return 0.0
        u = np.zeros(len(self.a))
        u[self.fixed] = self.values
        return float(
            np.linalg.norm((np.sqrt(self.L.mass) * ((self.L.stiffness @ u) / self.L.mass))[self.free])
        )


def pose(points: Array, L: LaplacianResult, a: Array, f: Array, boundary: Boundary | None) -> Elliptic:
    """The problem, with means taken off where it has solutions for such f alone."""
    every = np.arange(len(a))
    fixed, values = every[:0], np.zeros(0)
    if boundary is not None and boundary.kind == "dirichlet":
        fixed, values = boundary.indices, boundary.values
    problem = Elliptic(points, L, a, f, np.setdiff1d(every, fixed), fixed, values)
    if problem.mean_free:
        parts = len(a) - (L.info.rank or 0)
        if parts > 1:
            raise InputError(
                f"points: expected a connected graph where a is 0 and no value is given, got {parts} parts; "
                "raise neighbors"
            )
        if L.symmetric:
            return Elliptic(points, L, a, f - problem.mean(f), problem.free, fixed, values)
    return problem

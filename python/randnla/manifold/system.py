# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The discrete problem ``-div(kappa grad u) + a u = f`` with its boundary: equations, and known values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components

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
        """Largest relative residual over the right-hand sides, in the norm that volumes weigh.

        Column by column in units of the data, of which the squares may leave the range of numbers.
        """
        along = np.max(np.abs(np.concatenate([self.values, self.L.offset])))
        unit = -exponents(np.concatenate([self.f, np.full((1, self.f.shape[1]), along)]))
        f, u = np.ldexp(self.f, unit), np.ldexp(u, unit)
        offset = np.ldexp(self.L.offset[:, None], unit)
        known = np.zeros_like(u)
        known[self.fixed] = np.ldexp(self.values[:, None], unit)
        root = np.sqrt(self.volumes()[self.free])[:, None]

        def norms(x: Array) -> Array:
            return np.asarray(np.linalg.norm(root * x[self.free], axis=0))

        def operator(x: Array) -> Array:
            return np.asarray((self.L.stiffness @ x) / self.L.mass[:, None])

        left = norms(operator(u) + offset + self.a[:, None] * u - f)
        size = norms(f - offset) + norms(operator(known))
        return float(np.max(left / np.where(size > 0, size, 1.0), initial=0.0))

    def loose(self) -> tuple[int, int]:
        """Connected parts, and how many of them have a = 0 and no known value: they are singular."""
        whole = self.L.symmetric and self.L.info.rank == len(self.a) - 1 and self.L.stiffness.data.all()
        if whole or (self.a > 0).all():
            return 1, int(self.mean_free)
        reached = self.L.stiffness.astype(bool)  # entries of zero connect nothing
        reached.eliminate_zeros()
        count, part = connected_components(reached, directed=False)
        held = np.zeros(count, bool)
        held[part[self.a > 0]] = True
        held[part[self.fixed]] = True
        return int(count), int(count - np.count_nonzero(held))


def pose(points: Array, L: LaplacianResult, a: Array, f: Array, boundary: Boundary | None) -> Elliptic:
    """The problem, with means taken off where it has solutions for such f alone."""
    every = np.arange(len(a))
    fixed, values = every[:0], np.zeros(0)
    if boundary is not None and boundary.kind == "dirichlet":
        fixed, values = boundary.indices, boundary.values
    problem = Elliptic(points, L, a, f, np.setdiff1d(every, fixed), fixed, values)
    parts, loose = problem.loose()
    if loose and parts > 1:
        raise InputError(
            "points: expected a connected graph where a is 0 and no value is given, "
            f"got {loose} such of {parts} parts; raise neighbors"
        )
    if problem.mean_free and L.symmetric:
        return Elliptic(points, L, a, f - problem.mean(f), problem.free, fixed, values)
    return problem


def exponents(x: Array) -> Array:
    """By column the e with the largest magnitude in [2^(e-1), 2^e); 0 for zeros."""
    return np.asarray(np.frexp(np.max(np.abs(x), axis=0, initial=0.0))[1])

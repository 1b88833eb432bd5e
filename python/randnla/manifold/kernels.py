# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Symmetric kernels of diffusion maps whose weights are free of the sampling density."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from randnla._backend.errors import InputError

from .bandwidth import ROWS, neighbor_scale, tuned
from .cloud import Array, Neighbors, dimension_of, of_itself
from .graph import Graph, union

KERNELS = ("fixed", "variable")
BETA = -0.5
"""Power of the density in the bandwidths of the variable kernel."""


@dataclass(frozen=True)
class Kernel:
    """Values K_ij of a kernel on a graph, and what makes an operator of them.

    With ``m_i = rho_i^2 sum_j K_ij``, ``sum_j K_ij (u_j - u_i) / (eps m_i)`` tends to the Laplacian of u.

    Attributes
    ----------
    graph : Graph
    values : array
        K of every pair of the graph.
    mass : (N,) array
        The m above.
    eps : float
    dimension : float or None
        As estimated or given; None where it was not needed.
    scales : (N,) array
        rho, 1 for the fixed kernel.
    weights : (N,) array
        ``q^-alpha``, by which rows and columns are multiplied; q is the density of the sample.
    """

    graph: Graph
    values: Array
    mass: Array
    eps: float
    dimension: float | None
    scales: Array
    weights: Array


def make_kernel(points: Array, count: int, kind: str, eps: float | None, dimension: float | None) -> Kernel:
    """The kernel of a cloud: neighbors, bandwidth and dimension where not given, both normalizations."""
    found = of_itself(points, count)
    if kind == "fixed":
        return _fixed(found, eps)
    return _variable(found, eps, dimension)


def _fixed(found: Neighbors, eps: float | None) -> Kernel:
    """Coifman and Lafon (2006) with alpha = 1: ``h_ij / (q_i q_j)``."""
    eps = _resolved(found.squared, eps)
    graph, values = union(found)
    for _, part in graph.pieces():
        piece = values[part]
        piece *= -0.25 / eps
        np.exp(piece, out=piece)
    weights = 1.0 / graph.sums(values)
    graph.multiply(values, weights)
    return Kernel(graph, values, graph.sums(values), eps, None, np.ones(graph.size), weights)


def _variable(found: Neighbors, eps: float | None, dimension: float | None) -> Kernel:
    """Berry and Harlim (2016), beta = -1/2, with the alpha that leaves the Laplacian alone.

    The limit is ``Laplacian + c_1 grad(log q) . grad``, c_1 = 2 - 2 alpha + d beta + 2 beta.
    """
    d = dimension_of(found.squared) if dimension is None else dimension
    if not np.isfinite(d):
        raise InputError(
            "dimension: cannot be estimated, neighbors are all at one distance; expected a number"
        )
    d = d if dimension is not None else float(max(1, round(d)))
    first = neighbor_scale(found.squared)
    if not first.all():
        at = int(np.argmin(first))
        raise InputError(
            f"points: expected at most {len(found.index[0])} coinciding points, got more at row {at}"
        )
    graph, squared = union(found)
    values = _gaussian(graph, squared, first, 0.5)
    rho = (graph.sums(values) / first**d) ** BETA
    rho /= np.exp(np.mean(np.log(rho)))  # a constant that the bandwidth makes up for
    rows = slice(None, None, max(1, len(rho) // ROWS))
    eps = _resolved(found.squared[rows] / (rho[rows, None] * rho[found.index[rows]]), eps)
    values = _gaussian(graph, squared, rho, eps)
    density = graph.sums(values) / rho**d
    alpha = 1.0 + BETA * (d + 2.0) / 2.0
    weights = density**-alpha
    graph.multiply(values, weights)
    return Kernel(graph, values, rho**2 * graph.sums(values), eps, d, rho, weights)


def _gaussian(graph: Graph, squared: Array, rho: Array, eps: float) -> Array:
    """``exp(-d_ij^2 / (4 eps rho_i rho_j))``."""
    values = squared * (-0.25 / eps)
    graph.multiply(values, 1.0 / rho)
    return np.exp(values, out=values)


def _resolved(squared: Array, eps: float | None) -> float:
    if eps is not None:
        return eps
    found = tuned(squared)
    if not found > 0:
        raise InputError("points: expected points that differ, neighbors all coincide; remove duplicates")
    return found

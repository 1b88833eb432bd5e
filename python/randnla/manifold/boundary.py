# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Boundaries of clouds: what is known there, and ghost points beyond."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from scipy.spatial import cKDTree
from scipy.special import gamma

from randnla._backend import validate
from randnla._backend.errors import InputError

from .cloud import Array, nearest
from .geometry import interpolation, outward_normals

KINDS = ("dirichlet", "neumann")
SMOOTHED = 8
"""Points inside that tell the spacing of ghosts, and boundary points over which it is averaged."""


@dataclass(frozen=True, eq=False)
class Boundary:
    """Points on the boundary of a manifold, and the values of the solution or of its normal derivative.

    Parameters
    ----------
    indices : (B,) array of int
        Rows of the points on the boundary.
    values : float or (B,) array, default 0
        Of the solution, or of its derivative along the outward normal.
    kind : {"dirichlet", "neumann"}, default "dirichlet"
    normals : (B, D) array, optional
        Outward, tangent to the manifold, of any length; estimated from the points unless given.
    ghosts : int, default 16
        Layers of ghost points beyond the boundary; 0 leaves the kernel cut off there, which means a
        derivative of zero: other values of "neumann" need ghosts.

    Raises
    ------
    InputError
        An argument does not fit.
    NonFiniteError
        Values or normals hold NaN or Inf.

    Notes
    -----
    *Algorithm*: ghost point diffusion maps (Jiang and Harlim, 2023). Ghosts stand at b + i h nu, h the
    distance to the nearest points inside. Their values continue the line through u(b) and u(b - h nu) for a
    known u, and mirror u(b - i h nu) for a known derivative; values inside are those of a local quadratic
    polynomial, so that no grid is needed. The authors leave u(b - h nu) unknown instead and ask for the
    equation at b.

    Examples
    --------
    >>> Boundary([0, 99], values=[0.0, 1.0]).kind
    'dirichlet'
    """

    indices: Any
    values: Any = 0.0
    kind: str = "dirichlet"
    normals: Any = None
    ghosts: int = 16

    def __post_init__(self) -> None:
        given = np.asarray(self.indices)
        if given.ndim != 1 or given.dtype.kind not in "iu" or given.size == 0:
            raise InputError(
                f"indices: expected a vector of integers, got shape {given.shape} and dtype {given.dtype}"
            )
        if len(np.unique(given)) < given.size:
            raise InputError(f"indices: expected each point once, got {given.size} with repetitions")
        validate.choice(self.kind, KINDS, name="kind")
        validate.integer(self.ghosts, name="ghosts", low=0)
        values = validate.as_array(self.values, name="values", ndim=(0, 1))
        if values.dtype.kind == "c" or (values.ndim == 1 and values.shape != given.shape):
            raise InputError(f"values: expected {given.size} real numbers or one, got {values.shape}")
        validate.require_finite(np.atleast_1d(values), name="values")
        if self.kind == "neumann" and self.ghosts == 0 and values.any():
            got = values[np.nonzero(values)].flat[0]
            raise InputError(
                f'values: expected 0 for kind="neumann" with ghosts=0, got {got}; others need ghosts'
            )
        object.__setattr__(self, "indices", given.astype(np.int64))
        object.__setattr__(self, "values", np.broadcast_to(values.astype(np.float64), given.shape).copy())
        if self.normals is not None:
            normals = validate.as_matrix(self.normals, name="normals")
            if normals.dtype.kind == "c" or len(normals) != given.size:
                raise InputError(f"normals: expected {given.size} real rows, got shape {normals.shape}")
            validate.require_finite(normals, name="normals")
            if not np.any(normals, axis=1).all():
                raise InputError("normals: expected nonzero vectors, got a row of zeros")
            object.__setattr__(self, "normals", normals.astype(np.float64))


def checked_boundary(boundary: Any, points: Array) -> Boundary | None:
    """One that fits the cloud."""
    if boundary is None:
        return None
    if not isinstance(boundary, Boundary):
        raise InputError(f"boundary: expected a Boundary or None, got {type(boundary).__name__}")
    validate.indices(boundary.indices, len(points), name="boundary.indices")
    if boundary.normals is not None and boundary.normals.shape[1] != points.shape[1]:
        raise InputError(
            f"boundary.normals: expected dimension {points.shape[1]}, got {boundary.normals.shape[1]}"
        )
    if len(boundary.indices) >= len(points):
        raise InputError("boundary.indices: expected points inside, too, all are on the boundary")
    return boundary


@dataclass(frozen=True)
class Ghosts:
    """Points beyond the boundary, and their values ``weights @ u + offset`` from those of the cloud."""

    points: Array
    weights: Any
    offset: Array
    base: Array  # row of the boundary point of every ghost
    layer: Array


def make_ghosts(points: Array, boundary: Boundary, d: int) -> Ghosts:
    """Layers b + i h nu, i = 1, 2, ..., and the values on them."""
    tree = cKDTree(points)
    rows = boundary.indices
    normals = boundary.normals
    if normals is None:
        normals = outward_normals(tree, points, rows, d)
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    h = _spacing(points, rows, d)
    layer = np.repeat(np.arange(1, boundary.ghosts + 1), len(rows))
    base = np.tile(rows, boundary.ghosts)
    reach = layer * np.tile(h, boundary.ghosts)
    step = reach[:, None] * np.tile(normals, (boundary.ghosts, 1))
    at_base = scipy.sparse.csr_array(
        (np.ones(len(base)), base, np.arange(len(base) + 1)), shape=(len(base), len(points))
    )
    if boundary.kind == "neumann":
        mirrored = interpolation(tree, points[base] - step, d)
        return Ghosts(
            points[base] + step, mirrored, 2 * reach * np.tile(boundary.values, boundary.ghosts), base, layer
        )
    inside = interpolation(tree, points[rows] - h[:, None] * normals, d)
    inside = scipy.sparse.vstack([inside] * boundary.ghosts, format="csr")
    along = scipy.sparse.diags_array(layer.astype(np.float64))
    weights = (at_base + along @ (at_base - inside)).tocsr()
    return Ghosts(points[base] + step, weights, np.zeros(len(base)), base, layer)


def _spacing(points: Array, rows: Array, d: int) -> Array:
    """The constant of a lattice with as many points in half a ball at the boundary, averaged along it."""
    count = min(SMOOTHED, len(points) - len(rows))
    inner = np.ones(len(points), bool)
    inner[rows] = False
    radius = np.sqrt(nearest(cKDTree(points[inner]), points[rows], count).squared[:, -1])
    volume = np.pi ** (d / 2) / gamma(d / 2 + 1)
    own = radius * (volume / (2 * count)) ** (1 / d)
    near = nearest(cKDTree(points[rows]), points[rows], min(SMOOTHED, len(rows)) if d > 1 else 1).index
    return np.asarray(own[near].mean(axis=1))


def continued(kappa: Array, ghosts: Ghosts) -> Array:
    """A positive coefficient beyond the boundary: its value there."""
    return np.concatenate([kappa, kappa[ghosts.base]])

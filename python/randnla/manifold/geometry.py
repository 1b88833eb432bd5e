# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Local coordinates of a cloud: tangent bases, polynomial interpolation, outward normals of its boundary."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from scipy.spatial import cKDTree

from .cloud import Array, nearest

DEGREE = 2
PIECE = 4096
FLOOR = 1e-10
"""Of squared distances in weights, relative: points of the cloud are met to its root."""


def tangents(offsets: Array, d: int) -> Array:
    """The d leading principal directions (M, D, d) of offsets (M, k, D)."""
    _, _, Vh = np.linalg.svd(offsets, full_matrices=False)
    return np.asarray(np.swapaxes(Vh[:, :d], 1, 2))


def monomials(x: Array) -> Array:
    """1, the coordinates and their products: (..., d) to (..., 1 + d + d (d + 1) / 2)."""
    i, j = np.triu_indices(x.shape[-1])
    return np.concatenate([np.ones_like(x[..., :1]), x, x[..., i] * x[..., j]], axis=-1)


def neighbors_needed(d: int, size: int) -> int:
    """Points of one fit: five times its coefficients, enough on lattices drawn out by three."""
    coefficients = 1 + d + d * (d + 1) // 2
    return min(size, 5 * coefficients)


def interpolation(tree: cKDTree, targets: Array, d: int) -> Any:
    """Weights (M, N) of moving least squares: quadratic polynomials in local principal coordinates.

    Lancaster and Salkauskas (1981); the weight of a point falls with its distance r to the target like
    exp(-r^2) / r^2, so that a point of the cloud gets its own value.
    """
    count = neighbors_needed(d, tree.n)
    parts, columns = [], []
    for start in range(0, len(targets), PIECE):
        at = targets[start : start + PIECE]
        found = nearest(tree, at, count)
        parts.append(_weights(tree.data[found.index], at, found.squared, d))
        columns.append(found.index)
    if not parts:
        return scipy.sparse.csr_array((0, tree.n))
    index = np.concatenate(columns)
    rows = np.arange(0, index.size + 1, count)
    return scipy.sparse.csr_array(
        (np.concatenate(parts).ravel(), index.ravel(), rows), shape=(len(index), tree.n)
    )


def _weights(near: Array, targets: Array, squared: Array, d: int) -> Array:
    unit = squared[:, -1:].copy()
    unit[unit == 0] = 1.0
    scale = np.sqrt(unit)[..., None]
    offsets = (near - near.mean(axis=1, keepdims=True)) / scale
    basis = tangents(offsets, d)
    x = (near - targets[:, None]) / scale @ basis
    r2 = squared / unit
    root = np.exp(-2.0 * r2) / np.sqrt(r2 + FLOOR)
    solved = np.linalg.pinv(root[..., None] * monomials(x), rcond=1e-8)
    return np.asarray(solved[:, 0] * root)


def outward_normals(tree: cKDTree, points: Array, boundary: Array, d: int) -> Array:
    """Unit vectors (B, D) tangent to the cloud, normal to its boundary, away from it.

    The tangent space is that of a quadratic fit, as one side alone has points; the directions along the
    boundary are the d - 1 principal ones of its points nearby.
    """
    near = nearest(tree, points[boundary], neighbors_needed(d, tree.n)).index
    offsets = points[near] - points[boundary][:, None]
    scale = np.sqrt((offsets**2).sum(axis=2).max(axis=1))[:, None, None]
    offsets = offsets / scale
    x = offsets @ tangents(offsets, d)
    fit = np.linalg.pinv(monomials(x), rcond=1e-8) @ offsets
    basis, _ = np.linalg.qr(np.swapaxes(fit[:, 1 : d + 1], 1, 2))
    inward = np.swapaxes(basis, 1, 2) @ offsets.mean(axis=1)[..., None]  # (B, d, 1)
    if d > 1:
        along = points[boundary]
        own = nearest(cKDTree(along), along, min(len(boundary), 2 * d + 1)).index
        steps = (along[own] - along[:, None]) @ basis
        kept = tangents(steps, d - 1)
        inward = inward - kept @ (np.swapaxes(kept, 1, 2) @ inward)
    length = np.linalg.norm(inward, axis=1, keepdims=True)
    return np.asarray(-(basis @ (inward / np.where(length > 0, length, 1.0)))[..., 0])

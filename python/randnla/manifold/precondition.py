# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Preconditioners for diffusion operators: a sparser graph, factored, or a low-rank part of the kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from randnla.lowrank.nystrom import nystrom
from randnla.lowrank.rpcholesky import rpcholesky

from .cloud import Array, of_itself
from .graph import union
from .system import Elliptic

PRECONDITIONERS = ("none", "sparsified", "nystrom", "rpcholesky")
NEAR = 9
"""Neighbors of a point in the sparser graph, itself included."""
RANK = 64
ROWS = 1024

Apply = Callable[[Array], Array]


def factored(matrix: Any) -> Any:
    """Sparse LU of a matrix of symmetric structure."""
    options = {"SymmetricMode": True}
    return scipy.sparse.linalg.splu(
        matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options
    )


def sparsified(problem: Elliptic) -> Any:
    """LU of the stiffness of a graph of few neighbors, plus that of a, at the free points.

    A diffusion is its second moments: weights ``(t_i t_j)^(1/2)`` with t_i the ratio of
    ``sum_j -K_ij |x_j - x_i|^2`` to the same sum of the small graph give the rows of both the same moments,
    where t varies little from neighbor to neighbor.
    """
    points, mass = problem.points, problem.L.mass
    graph, squared = union(of_itself(points, min(NEAR, len(points))))
    ratio = _moments(problem.L.stiffness, points) / graph.sums(squared)
    scale = float(np.median(ratio))
    values = np.ones(len(squared))
    graph.multiply(values, np.sqrt(np.clip(ratio, 1e-3 * scale, 1e3 * scale)))
    values[graph.indptr[:-1]] = 0.0
    added = problem.a * mass
    if problem.mean_free:
        added = added + 1e-3 * float(np.mean(graph.sums(values))) * mass / mass.mean() / len(mass)
    diagonal = scipy.sparse.diags_array(graph.sums(values) + added)
    near = (diagonal - graph.matrix(values)).tocsr()
    return factored(near[problem.free][:, problem.free])


def _moments(K: Any, points: Array) -> Array:
    moments = np.empty(len(points))
    for start in range(0, len(points), ROWS):
        stop = min(start + ROWS, len(points))
        part = slice(int(K.indptr[start]), int(K.indptr[stop]))
        own = np.repeat(points[start:stop], np.diff(K.indptr[start : stop + 1]), axis=0)
        own -= points[K.indices[part]]
        terms = -K.data[part] * np.einsum("ij,ij->i", own, own)
        moments[start:stop] = np.add.reduceat(terms, K.indptr[start:stop] - K.indptr[start])
    return moments


def make_preconditioner(problem: Elliptic, A: Any, name: str, seed: int) -> Apply | None:
    """Of the symmetric matrix A, in the unknowns M^(1/2) u at the free points."""
    if name == "none":
        return None
    if name == "sparsified":
        root = np.sqrt(problem.L.mass[problem.free])[:, None]
        near = sparsified(problem)
        return lambda R: root * near.solve(root * R)
    return _low_rank(A, name, seed)


def _low_rank(A: Any, name: str, seed: int) -> Apply:
    """``(c I - T_k)^-1`` for ``T = c I - A``, semidefinite for c no less than any row's absolute sum."""
    c = float(abs(A).sum(axis=1).max())
    n = A.shape[0]
    T = (c * scipy.sparse.eye_array(n) - A).tocsr()
    rank = min(RANK, n)
    if name == "nystrom":
        found = nystrom(T, rank, rng=seed)
        w, V = np.asarray(found.w), np.asarray(found.V)
    else:
        F = np.asarray(rpcholesky(T, rank, rng=seed).F)
        V, s, _ = np.linalg.svd(F, full_matrices=False)
        w = s**2
    # A is definite, so that no eigenvalue of T reaches c; an estimate may, by rounding.
    gains = 1.0 / np.maximum(c - w, 1e-6 * c) - 1.0 / c
    return lambda R: R / c + V @ (gains[:, None] * (V.T @ R))

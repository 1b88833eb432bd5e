# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The solution sought in a space of functions of the ambient coordinates, by least squares."""

from __future__ import annotations

from typing import Any

import numpy as np

from randnla._backend.results import Info
from randnla.lowrank.rpcholesky import rpcholesky
from randnla.operators import KernelMatrix, Sparse
from randnla.solvers import lstsq

from .cloud import Array
from .evaluation import PIECE, Expansion, FourierFeatures, KernelFeatures
from .system import Elliptic

BASES = ("fourier", "kernel")
COUNT = 600
LENGTH = 0.45
"""Length scale of features over the root mean square distance from the center of the cloud."""


def make_features(points: Array, basis: str, count: int, length: float | None, seed: int) -> Any:
    """Random Fourier features, or Gaussians around the pivots of a randomly pivoted Cholesky factor."""
    if length is None:
        length = LENGTH * float(np.sqrt(np.mean(np.sum((points - points.mean(axis=0)) ** 2, axis=1))))
    if basis == "kernel":
        K = KernelMatrix(points, bandwidth=length)
        pivots = np.asarray(rpcholesky(K, count, rng=seed).pivots)
        return KernelFeatures(points[np.sort(pivots)], length)
    rng = np.random.default_rng(seed)
    frequencies = rng.standard_normal((points.shape[1], count)) / length
    return FourierFeatures(frequencies, rng.uniform(0.0, 2.0 * np.pi, count))


def fit_features(
    problem: Elliptic, features: Any, regularization: float, weight: float, seed: int, *, vector: bool
) -> tuple[Expansion, Info]:
    """``min |(A Phi c - f)|^2 / F + weight^2 |Phi_b c - g|^2 / B + lambda |c|^2``.

    lambda is `regularization` times the mean square of the columns of the weighted matrix. Where a constant
    is free, a row asks for mean zero.
    """
    starts = range(0, len(problem.points), PIECE)
    Phi = np.concatenate([features(problem.points[start : start + PIECE]) for start in starts])
    scale = 1.0 / np.sqrt(len(problem.free))
    parts = [scale * Sparse(problem.rows()).matmat(Phi)]
    right = [scale * problem.right()]
    if problem.fixed.size:
        beta = weight / np.sqrt(len(problem.fixed))
        parts.append(beta * Phi[problem.fixed])
        right.append(
            np.broadcast_to(beta * problem.values[:, None], (len(problem.fixed), problem.f.shape[1]))
        )
    elif problem.mean_free:
        volumes = problem.volumes() / problem.volumes().sum()
        parts.append(weight * (volumes @ Phi)[None])
        right.append(np.zeros((1, problem.f.shape[1])))
    G, b = np.concatenate(parts), np.concatenate(right)
    damp = float(np.sqrt(regularization / G.shape[1])) * float(np.linalg.norm(G))
    found = lstsq(G, b, damp=damp, rng=seed)
    return Expansion(features, np.asarray(found.x), problem.points.shape[1], vector), found.info

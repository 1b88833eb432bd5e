# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Clouds under attack: any real matrix with rows that differ, in a range where squares exist, is one."""

from __future__ import annotations

from typing import Any

import numpy as np
from hostile_targets import Array, Target, parameters

from randnla import manifold

LIMIT = 2.0**400


def no_cloud(truth: Array) -> bool:
    """Fewer than two points, no coordinates, all points the same, or a spread whose powers overflow."""
    if truth.ndim != 2 or len(truth) < 2 or truth.shape[1] == 0 or np.iscomplexobj(truth):
        return True
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(np.max(np.ptp(truth, axis=0)))
        return not (spread >= 1 / LIMIT and float(np.abs(truth).max()) <= LIMIT)


def operator_of(points: Any, **keywords: Any) -> Any:
    found = manifold.laplacian(points, **keywords)
    return found.stiffness.toarray(), found.mass


def check_operator(found: Any, truth: Array, eps: float) -> str | None:
    """Symmetric, semidefinite, zero on constants: whatever the points."""
    (K, mass), n = found, len(truth)
    if K.shape != (n, n) or not np.isfinite(K).all() or not (np.isfinite(mass).all() and (mass > 0).all()):
        return "not finite"
    if not np.array_equal(K, K.T):
        return "not symmetric"
    size = float(np.abs(K).max())
    unit = K / size if size else K
    if np.abs(unit.sum(axis=1)).max() > 1e-12 * n or np.linalg.eigvalsh(unit)[0] < -1e-12 * n:
        return "not a Laplacian"
    return None


def spread_of(truth: Array) -> float:
    return float(np.max(np.ptp(truth.astype(np.float64), axis=0)))


def absorption(points: Any) -> float:
    """1 / eps, which makes equations on a cloud free of units and well conditioned; 1 for what is none."""
    try:
        return float(1 / manifold.laplacian(points).bandwidth)
    except (TypeError, ValueError):
        return 1.0


def count_of(points: Any) -> int:
    try:
        return len(points)
    except TypeError:
        return 2


def solution_of(points: Any, **keywords: Any) -> Any:
    """``-div grad u + a u = f`` with a of the size of the largest eigenvalues."""
    a, f = absorption(points), np.cos(np.arange(count_of(points)))
    found = manifold.solve_elliptic(points, f, **{"a": a, "rng": 0, **keywords})
    L = found.laplacian
    return found.u, L.stiffness.toarray(), L.mass, np.array([L.bandwidth])


def check_solution(found: Any, truth: Array, _: float) -> str | None:
    """Of the discrete equations, to the tolerance asked for, in the norm that volumes weigh."""
    (u, K, mass, eps), right = found, np.cos(np.arange(len(truth)))
    unit = np.sqrt(mass / mass.max())
    size = float(np.linalg.norm(unit * right))
    off = float(np.linalg.norm(unit * (K @ u / mass + u / eps - right)))
    return None if off <= 2e-8 * size else f"residual {off / size:.2e}"


def pairs_of(points: Any, **keywords: Any) -> Any:
    rank = min(5, max(count_of(points), 1))
    found = manifold.diffusion_map(points, **{"rank": rank, "rng": 0, **keywords})
    operator = manifold.laplacian(points)
    return found.w, found.V, operator.stiffness.toarray(), operator.mass


def check_pairs(found: Any, truth: Array, eps: float) -> str | None:
    """The smallest eigenvalues of the pencil of the Laplacian, and functions of mean square one."""
    (w, V, K, mass), k = found, min(5, len(truth))
    if w.shape != (k,) or V.shape != (len(truth), k) or np.any(np.diff(w) < 0):
        return f"shapes {w.shape}, {V.shape}, eigenvalues {w}"
    root = np.sqrt(mass)
    A = K / root[:, None] / root
    size = float(np.abs(A).max())
    size = size if size > 0 else 1.0
    exact = np.linalg.eigvalsh(A / size)[:k]
    if np.abs(w / size - exact).max() > 1e-12 * len(truth):
        return f"eigenvalues {w / size}, not {exact}"
    Q = V * root[:, None] / np.sqrt(mass.sum())
    if np.abs(Q.T @ Q - np.eye(k)).max() > 1e-10:
        return "not orthonormal"
    off = np.abs((A / size) @ Q - Q * (w / size)).max()
    return None if off <= 1e-10 else f"residual {off:.2e}"


def dimension_of(points: Any, **keywords: Any) -> Any:
    count = min(20, max(3, count_of(points) - 1))
    return [np.array([manifold.estimate_dimension(points, **{"neighbors": count, **keywords})])]


def ratios(truth: Array) -> Array:
    """Logarithms of the distances to the twentieth neighbor over those to nearer ones, NaN for none."""
    X = truth.astype(np.float64) / spread_of(truth)
    squares = np.sort(((X[:, None] - X) ** 2).sum(axis=2), axis=1)[:, : min(21, len(X))]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = 0.5 * np.log(squares[:, -1:] / squares[:, :-1])
    return np.where(squares[:, :-1] > 0, logs, np.nan)


def check_dimension(found: Any, truth: Array, eps: float) -> str | None:
    """The harmonic mean of the maximum likelihood estimates of the points."""
    logs = ratios(truth)
    used = np.isfinite(logs).sum(axis=1)
    good = used >= 2
    exact = 1 / np.mean(np.nansum(logs[good], axis=1) / (used[good] - 1))
    return None if abs(found[0][0] / exact - 1) < 1e-6 else f"{found[0][0]}, not {exact}"


def no_dimension(truth: Array) -> bool:
    """Fewer than four points, or none with two neighbors at different distances."""
    if no_cloud(truth) or len(truth) < 4:
        return True
    logs = ratios(truth)
    good = np.isfinite(logs).sum(axis=1) >= 2
    return not (good.any() and np.nansum(logs[good]) > 0)


def target(name: str, call: Any, check: Any, *left: str, **more: Any) -> Target:
    """`left`: arguments that the suite has no wrong values for, or that mean something else there."""
    made = {"refuses": no_cloud, "parameters": parameters(getattr(manifold, name)) - set(left)}
    return Target(
        f"manifold.{name}",
        call,
        check,
        argument="points",
        dense_only=True,
        real=True,
        whole=True,
        **{**made, **more},
    )


TARGETS = {
    one.name: one
    for one in (
        target("laplacian", operator_of, check_operator, "bandwidth", "kappa"),
        target("diffusion_map", pairs_of, check_pairs, "bandwidth", "rank"),
        target("solve_elliptic", solution_of, check_solution, "bandwidth", "kappa", "f", "a"),
        target("estimate_dimension", dimension_of, check_dimension, refuses=no_dimension),
    )
}

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


TARGETS = {
    "manifold.laplacian": Target(
        "manifold.laplacian",
        operator_of,
        check_operator,
        argument="points",
        dense_only=True,
        real=True,
        whole=True,
        refuses=no_cloud,
        parameters=parameters(manifold.laplacian) - {"bandwidth", "kappa"},
    )
}

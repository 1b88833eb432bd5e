# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Manifolds with known solutions of -div(kappa grad u) + a u = f."""

from __future__ import annotations

import numpy as np


def torus_points(t, p):
    return np.c_[(2 + np.cos(t)) * np.cos(p), (2 + np.cos(t)) * np.sin(p), np.sin(t)]


def torus_grid(n):
    """n x n points, evenly in both angles."""
    t, p = (x.ravel() for x in np.meshgrid(*[2 * np.pi * np.arange(n) / n] * 2, indexing="ij"))
    return torus_points(t, p), t, p


def torus_problem(t, p, a=1.0):
    """f, kappa and u = sin p cos t for kappa = 1.1 + sin^2 t cos^2 p; metric diag(1, (2 + cos t)^2)."""
    r = 2 + np.cos(t)
    kappa = 1.1 + np.sin(t) ** 2 * np.cos(p) ** 2
    u = np.sin(p) * np.cos(t)
    u_t, u_p = -np.sin(p) * np.sin(t), np.cos(p) * np.cos(t)
    k_t, k_p = np.sin(2 * t) * np.cos(p) ** 2, -(np.sin(t) ** 2) * np.sin(2 * p)
    flux = (-np.sin(t) * kappa * u_t + r * k_t * u_t - r * kappa * u) / r + (k_p * u_p - kappa * u) / r**2
    return -flux + a * u, kappa, u


def half_circle(n):
    t = np.linspace(0, np.pi, n)
    return np.c_[np.cos(t), np.sin(t)], t


def half_torus(n):
    """The half with 0 <= p <= pi, evenly in both angles, and the rows on its boundary."""
    t, p = np.meshgrid(2 * np.pi * np.arange(n) / n, np.linspace(0, np.pi, n // 2 + 1), indexing="ij")
    t, p = t.ravel(), p.ravel()
    return torus_points(t, p), t, p, np.flatnonzero((p == 0) | (p == np.pi))

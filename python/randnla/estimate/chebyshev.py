# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Chebyshev moments of a spectrum, and the kernel that damps their series: Weisse et al. (2006)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from randnla.lowrank.error import inner_products
from randnla.lowrank.scaling import Array

Product = Callable[[Array], Array]


def moments(product: Product, start: Array, degree: int) -> Array:
    """``q_j^H T_i(A) q_j`` for i = 0, ..., degree and Hermitian A with spectrum in [-1, 1], (degree + 1, k).

    Each product gives two: T_2i = 2 T_i^2 - 1, T_2i+1 = 2 T_i+1 T_i - T_1.
    """
    found = np.zeros((degree + 2, start.shape[1]))
    last, current = start, product(start)
    found[0], found[1] = inner_products(last, last).real, inner_products(last, current).real
    for i in range(1, degree // 2 + 1):
        found[2 * i] = 2 * inner_products(current, current).real - found[0]
        if 2 * i + 1 > degree:
            break
        last, current = current, 2 * product(current) - last
        found[2 * i + 1] = 2 * inner_products(last, current).real - found[1]
    return found[: degree + 1]


def jackson(degree: int) -> Array:
    """Factors (degree + 1,) that make the truncated series of a positive density positive."""
    i, N = np.arange(degree + 1), degree + 2
    angle = np.pi / N
    return np.asarray(((N - i) * np.cos(i * angle) + np.sin(i * angle) / np.tan(angle)) / N)


def density(coefficients: Array, x: Array) -> Array:
    """The series of (degree + 1, k) moments at points x in (-1, 1), (points, k)."""
    weights = np.where(np.arange(len(coefficients)) == 0, 1.0, 2.0)
    T = np.polynomial.chebyshev.chebvander(x, len(coefficients) - 1)
    return np.asarray((T * weights) @ coefficients / (np.pi * np.sqrt(1 - x**2))[:, None])

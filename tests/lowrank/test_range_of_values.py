# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Singular values and eigenvalues at the ends of the range: refused, or certified as they are rounded."""

from __future__ import annotations

import numpy as np
import pytest

import randnla
from randnla import BreakdownError, ConvergenceWarning


def relative_error(A, U, s, Vh):
    """In long double, whose range is wider."""
    wide = [X.astype(np.longdouble) for X in (A, U, s, Vh)]
    unit = np.ldexp(np.longdouble(1), 900)
    R, A = ((wide[1] * (wide[2] * unit)) @ wide[3] - wide[0] * unit), wide[0] * unit
    return float(np.sqrt((R * R).sum() / (A * A).sum()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["svd", "eigh", "nystrom"])
def test_values_beyond_the_range_are_refused(name, dtype):
    A = np.full((30, 30), np.finfo(dtype).max, dtype)
    with pytest.raises(BreakdownError, match=f"A: its largest value exceeds the range of {A.dtype.name}"):
        getattr(randnla, name)(A, 1, rng=0)


@pytest.mark.parametrize(
    ("dtype", "scale"), [(np.float32, 1e-42), (np.float64, 1e-314), (np.float64, 1e-321)]
)
def test_errors_of_denormal_singular_values_are_certified(dtype, scale):
    A = (np.random.default_rng(1).standard_normal((60, 40)) * scale).astype(dtype)
    result = randnla.svd(A, 40, rng=0)
    wrong = relative_error(A, *result)
    assert wrong <= result.info.error_relative <= 3 * wrong + 1e-5
    power = 100 if dtype == np.float32 else 900
    size = float(np.linalg.norm(np.ldexp(A.astype(np.float64), power)))
    assert result.info.error_estimate >= np.ldexp(0.5 * wrong * size, -power)


@pytest.mark.parametrize("scale", [1e-320, 1e-315])
def test_errors_of_denormal_eigenvalues_are_certified(scale):
    S = np.random.default_rng(2).standard_normal((50, 50))
    S = (S + S.T) * scale
    result = randnla.eigh(S, 50, rng=0)
    wrong = relative_error(S, result.V, result.w, result.V.T)
    assert wrong <= result.info.error_relative <= 3 * wrong + 1e-5


def test_a_tolerance_that_rounding_breaks_is_not_met():
    A = np.where(np.random.default_rng(0).standard_normal((60, 40)) > 1, 5e-324, 0.0)
    with pytest.warns(ConvergenceWarning, match="multiples of the least float64"):
        result = randnla.svd(A, tol=1e-2, rng=0)
    assert not result.info.converged
    assert relative_error(A, *result) <= result.info.error_relative

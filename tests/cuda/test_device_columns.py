# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Largest entries, lengths and sums of columns by the emulated device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from layouts import matrix

DTYPES = (np.float32, np.float64)


def column_peaks(device: Any, X: Any, scale: float = 1.0) -> tuple[Any, Any, Any]:
    out = np.full((3, X.shape[1]), np.nan)
    work = device.work(device.module.column_peaks_work(*X.shape), np.float64)
    addresses = device.vector(out), device.vector(work)
    device.call("column_peaks", X.dtype, device.view(X), scale, *addresses)
    return out[0], out[1], out[2]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
@pytest.mark.parametrize("shape", [(1, 1), (70, 33), (2500, 5), (9, 70)])
def test_peaks_and_squares(device: Any, shape: tuple[int, int], layout: str, dtype: Any) -> None:
    X = matrix(shape, dtype, layout)
    X[-1, 0] = -9.0
    peaks, squares, sums = column_peaks(device, X)
    rows = np.argmax(np.abs(X), axis=0)
    np.testing.assert_array_equal(peaks, X[rows, np.arange(shape[1])].astype(np.float64))
    np.testing.assert_allclose(squares, (X.astype(np.longdouble) ** 2).sum(axis=0), rtol=1e-13)
    np.testing.assert_allclose(sums, X.astype(np.longdouble).sum(axis=0), atol=1e-13 * np.abs(X).sum())


@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("rows", [(3, 40), (40, 3), (5, 2047), (2047, 5), (1023, 1024)])
def test_the_first_of_equal_peaks(device: Any, rows: tuple[int, int], layout: str) -> None:
    """Within a lane, across lanes and across slabs of 1024 rows."""
    X = np.zeros((2100, 3), order=layout)  # type: ignore[call-overload]
    X[rows[0], 1], X[rows[1], 1] = 2.0, -2.0
    peaks, _, _ = column_peaks(device, X)
    np.testing.assert_array_equal(peaks, [0.0, 2.0 if rows[0] < rows[1] else -2.0, 0.0])


@pytest.mark.parametrize("row", [0, 700, 2099])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_peaks_that_are_not_finite(device: Any, value: float, row: int) -> None:
    X = np.ones((2100, 2))
    X[5, 1] = np.inf
    X[row, 1] = value
    peaks, _, _ = column_peaks(device, X)
    assert peaks[0] == 1.0
    assert np.isnan(peaks[1]) if np.isnan(value) else np.isinf(peaks[1])


def test_squares_beyond_the_range_are_those_of_a_multiple(device: Any) -> None:
    X = np.ldexp(np.arange(1.0, 7.0).reshape(3, 2), 900)
    peaks, squares, sums = column_peaks(device, X, 2.0**-900)
    np.testing.assert_array_equal(peaks, [5.0, 6.0])
    np.testing.assert_array_equal(squares, [35.0, 56.0])
    np.testing.assert_array_equal(sums, [9.0, 12.0])

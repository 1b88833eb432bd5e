# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sums, multiples and conversions entry by entry by the emulated device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from layouts import matrix

DTYPES = (np.float32, np.float64)
LAYOUTS = ("C", "F", "strided")
NOTHING = (0, 0, 0, 0, 0)


def combine(
    device: Any,
    out: Any,
    X: Any,
    alpha: float = 1.0,
    *,
    weights: Any = None,
    beta: float = 0.0,
    Z: Any = None,
) -> None:
    name = {4: "_f32", 8: "_f64"}[X.itemsize]
    w, z = (NOTHING if Y is None else device.view(Y) for Y in (weights, Z))
    device.call(f"combine_from{name}", out.dtype, alpha, device.view(X), w, beta, z, device.view(out))


@pytest.mark.parametrize("dtypes", [(S, T) for S in DTYPES for T in DTYPES])
@pytest.mark.parametrize("layouts", [(x, out) for x in LAYOUTS for out in LAYOUTS])
@pytest.mark.parametrize("shape", [(1, 1), (70, 33), (3, 130), (64, 32)])
def test_copies_and_conversions(device: Any, shape: tuple[int, int], layouts: Any, dtypes: Any) -> None:
    X, out = matrix(shape, dtypes[0], layouts[0]), matrix(shape, dtypes[1], layouts[1])
    out[...] = np.nan
    combine(device, out, X)
    np.testing.assert_array_equal(out, X.astype(dtypes[1]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layouts", [("C", "C"), ("F", "C"), ("C", "F"), ("F", "F"), ("strided", "C")])
def test_weights_and_sums_are_rounded_once(device: Any, layouts: Any, dtype: Any) -> None:
    X, Z = matrix((40, 35), dtype, layouts[0]), matrix((40, 35), dtype, layouts[1], seed=1)
    row, column = np.linspace(-2, 3, 35), np.linspace(1, 4, 40)
    wide = X.astype(np.float64)
    for weights in (np.broadcast_to(row, X.shape), np.broadcast_to(column[:, None], X.shape)):
        out = np.full(X.shape, np.nan, dtype, order=layouts[1] if layouts[1] != "strided" else "C")
        combine(device, out, X, 0.5, weights=weights, beta=-3.0, Z=Z)
        expected = 0.5 * wide * weights + -3.0 * Z.astype(np.float64)
        np.testing.assert_array_equal(out, expected.astype(dtype))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_in_place(device: Any, layout: str) -> None:
    X, Z = matrix((50, 7), np.float32, layout), matrix((50, 7), np.float32, layout, seed=1)
    before, other = X.copy(), Z.copy()
    combine(device, X, X, 2.0, beta=1.0, Z=Z)
    np.testing.assert_array_equal(X, (2.0 * before.astype(np.float64) + other).astype(np.float32))
    combine(device, Z, X, 1.0, beta=1.0, Z=Z)
    np.testing.assert_array_equal(Z, (X.astype(np.float64) + other).astype(np.float32))


def test_rows_that_repeat(device: Any) -> None:
    row = np.arange(37.0)
    out = np.full((33, 37), np.nan)
    combine(device, out, np.broadcast_to(row, out.shape), -1.0)
    np.testing.assert_array_equal(out, np.tile(-row, (33, 1)))


def test_powers_beyond_float32_do_no_harm(device: Any) -> None:
    """2^140 is no float32, 2^140 times a small number is."""
    X = np.full((3, 5), 2.0**-100, np.float32)
    combine(device, X, X, 2.0**140)
    np.testing.assert_array_equal(X, np.full((3, 5), 2.0**40, np.float32))


def test_what_is_read_only_where_it_counts(device: Any) -> None:
    out = np.full((8, 16), np.nan)
    combine(device, out, np.ones((8, 16)), 1.0, beta=0.0, Z=out)
    np.testing.assert_array_equal(out, np.ones((8, 16)))

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Residuals and gradients of least squares by the emulated device, against sums in longer numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from layouts import matrix

NOTHING = (0, 0, 0, 0, 0)


def sweep(device: Any, A: Any, b: Any, x: Any, *, residual: Any = None) -> Any:
    k = x.shape[1]
    sums = np.full((A.shape[1] + 1, k), np.nan)
    work = device.work(device.module.sweep_work(*A.shape, k), np.float64)
    views = [NOTHING if X is None else device.view(X) for X in (b, x, residual, sums)]
    device.call("sweep", A.dtype, device.view(A), *views, device.vector(work))
    return sums


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
@pytest.mark.parametrize(
    ("shape", "k"), [((1, 1), 1), ((70, 12), 1), ((100, 33), 2), ((65, 8), 5), ((2100, 4), 3)]
)
def test_sums_and_residuals(device: Any, shape: tuple[int, int], k: int, layout: str, dtype: Any) -> None:
    A = matrix(shape, dtype, layout)
    b, x = matrix((shape[0], k), np.float64, seed=1), matrix((shape[1], k), np.float64, seed=2)
    residual = np.full(b.shape, np.nan)
    sums = sweep(device, A, b, x, residual=residual)
    wide = A.astype(np.longdouble)
    r = b - wide @ x
    np.testing.assert_allclose(residual, r.astype(float), atol=1e-14 * shape[1])
    size = np.abs(wide).T @ np.abs(r)
    assert np.all(np.abs(sums[:-1] - wide.T @ r) <= 1e-15 * (shape[0] + shape[1]) * (size + 1))
    np.testing.assert_allclose(sums[-1], ((r**2).sum(axis=0)).astype(float), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_wide_panels(device: Any, dtype: Any) -> None:
    """Several columns a thread and fewer rows a tile."""
    n = int(device.module.sweep_limit())
    for columns in (300, n):
        A, x = matrix((20, columns), dtype), matrix((columns, 2), np.float64, seed=2)
        sums = sweep(device, A, None, x)
        r = -(A.astype(np.longdouble) @ x)
        np.testing.assert_allclose(sums[:-1], (A.astype(np.longdouble).T @ r).astype(float), atol=1e-10)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_side(device: Any, bad: float) -> None:
    A, x = matrix((40, 5), np.float64), matrix((5, 3), np.float64)
    b = np.zeros((40, 3))
    b[17, 1] = bad
    sums = sweep(device, A, b, x)
    assert np.isfinite(sums[:, [0, 2]]).all()
    assert not np.isfinite(sums[:, 1]).any()

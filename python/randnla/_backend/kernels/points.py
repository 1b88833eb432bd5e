# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Kernel matrices of points, made where they are used."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from randnla import _core
from randnla._backend import validate

Array = NDArray[Any]

RADIAL_KERNELS: Final = ("gaussian", "laplace", "matern32", "matern52")


def kernel_block(x: Array, y: Array, *, kernel: str, bandwidth: float, out: Array | None = None) -> Array:
    """The block ``K[i, j] = k(|x_i - y_j| / bandwidth)``.

    Parameters
    ----------
    x : (m, dim) array of float32 or float64
    y : (n, dim) array of the same dtype
    kernel : str
        One of `RADIAL_KERNELS`.
    bandwidth : float
        Positive.
    out : (m, n) array, optional
        Overwritten and returned.

    Notes
    -----
    *Algorithm*: squared distances are sums of squared differences, accurate however close the points are;
    the exponential is a polynomial of degree 11 (6 for float32). An entry depends on its two points, not
    on the block, the layout or the team.

    *Cost*: 3 m n dim flops and m n exponentials; scratch of some 2 MB a thread.
    """
    if out is None:
        out = np.empty((x.shape[0], y.shape[0]), x.dtype)
    else:
        validate.require_disjoint(out, x, y)
    _core.kernel_block(kernel, bandwidth, x, y, out)
    return out


def kernel_product(x: Array, y: Array, V: Array, *, kernel: str, bandwidth: float) -> Array:
    """``K @ V`` for the K of `kernel_block`, which is never held.

    Parameters
    ----------
    x, y, kernel, bandwidth
        As in `kernel_block`.
    V : (n, k) array of the dtype of the points

    Notes
    -----
    *Cost*: m n (3 dim + 2 k) flops and m n exponentials; scratch of some 3 MB a thread. Where x and y are one
    array of 2048 points or more and k <= 8, half of the distances and exponentials, and scratch of 16 times
    `out`, where that is 64 MB at most.
    """
    out = np.empty((x.shape[0], V.shape[1]), x.dtype)
    _core.kernel_product(kernel, bandwidth, x, y, V, out)
    return out

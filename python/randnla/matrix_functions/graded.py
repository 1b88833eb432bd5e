# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What each column adds to the ones before it, to all digits however little that is: compensated sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from randnla._backend.kernels import dense
from randnla.lowrank.error import column_norms

from .known_root import EPS

Array = npt.NDArray[Any]
Pair = tuple[Array, Array]

SPLITTER = 2.0**27 + 1


def reduced(Z: Array) -> tuple[Array, Array, Array]:
    """``Z Z^H = B T T^H B^H``, each column of B nearly orthogonal to those before it and correct by itself.

    Parameters
    ----------
    Z : array of shape (n, r)
        In float64 or complex128, entries below 2^900.

    Returns
    -------
    B : array of shape (n, k)
        Rounded relative to the length of the column in B, not to that in Z. What is below 1e-30 of its
        column of Z is left out.
    T : array of shape (k, r)
        Entries of at most 1 or so, unit upper triangular in its first k columns.
    lost : array of shape (r - k,)
        What lengths the columns that are left out may have.

    Notes
    -----
    Gram-Schmidt, the longest column first, takes multiples from the others. What it leaves is as good as the
    products and sums it is computed by, which are kept as sums of two numbers (Dekker, 1971; Ogita, Rump and
    Oishi, 2005). O(n r^2) operations, some 40 each.
    """
    high, low = Z.copy(), np.zeros_like(Z)
    r = Z.shape[1]
    T = np.eye(r, dtype=Z.dtype)
    noise = 4 * EPS**2 * np.sqrt(len(Z)) * column_norms(Z)
    for k in range(r):
        lengths = column_norms(high[:, k:])
        j = k + int(np.argmax(lengths))
        for X in (high, low, T[:k]):
            X[:, [k, j]] = X[:, [j, k]]
        noise[[k, j]] = noise[[j, k]]
        if lengths[j - k] <= noise[k]:
            return high[:, :k], T[:k], noise[k:]
        unit = high[:, k] / lengths[j - k]
        for _ in range(2):  # the multiples are rounded: again
            c = dense.gemm(unit.conj()[None], np.ascontiguousarray(high[:, k + 1 :]))[0] / lengths[j - k]
            T[k, k + 1 :] += c
            pivot, rest = (high[:, k : k + 1], low[:, k : k + 1]), (high[:, k + 1 :], low[:, k + 1 :])
            high[:, k + 1 :], low[:, k + 1 :] = _less(rest, c, pivot)
    return high, T, noise[r:]


def _less(x: Pair, c: Array, b: Pair) -> Pair:
    """``x - b c``, each but c the sum of two."""
    # The lower part of b counts: x is to lose what b adds to the columns before it, not b as it is rounded.
    if not np.iscomplexobj(c):
        return _real_less(x, c, b)
    re, im = (x[0].real, x[1].real), (x[0].imag, x[1].imag)
    b_re, b_im = (b[0].real, b[1].real), (b[0].imag, b[1].imag)
    re = _real_less(_real_less(re, c.real, b_re), -c.imag, b_im)
    im = _real_less(_real_less(im, c.real, b_im), c.imag, b_re)
    return re[0] + 1j * im[0], re[1] + 1j * im[1]


def _real_less(x: Pair, c: Array, b: Pair) -> Pair:
    product = c * b[0]
    c_top, b_top = _top(c), _top(b[0])
    c_rest, b_rest = c - c_top, b[0] - b_top
    missed = ((c_top * b_top - product) + c_top * b_rest + c_rest * b_top) + c_rest * b_rest
    total = x[0] - product
    part = total - x[0]
    lost = (x[0] - (total - part)) - (product + part)
    low = x[1] + (lost - missed - c * b[1])
    settled = total + low
    return settled, low - (settled - total)


def _top(x: Array) -> Array:
    """The upper half of the digits (Veltkamp)."""
    y = SPLITTER * x
    return np.asarray(y - (y - x))

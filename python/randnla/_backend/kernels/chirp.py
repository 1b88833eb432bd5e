# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Long cosine transforms of lengths with a large prime factor, in few columns of memory.

For such lengths `scipy.fft` goes over a chirp as well, but in one piece of at least twice the length,
complex, with tables of that length: twenty columns. Here the convolution goes block by block.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Array = NDArray[Any]
Source = Callable[[int, int], Array]
Sink = Callable[[int, Array], None]

# In 4 blocks the convolution holds 8 to 10 columns and takes the time of the library's, in 8 blocks
# 5 or 6 columns and 2.6 times that time: for columns of which 8 are more than 32 MB.
_LONG_BYTES = 4 << 20
# Shorter columns: whatever the library holds of them is below 16 MB.
_SHORTEST_BYTES = 16 << 20
_LIBRARY_COLUMNS = 22


def needed(m: int, itemsize: int) -> bool:
    """Whether the library would hold more than 16 MB and a few columns for a transform of length `m`."""
    return _LIBRARY_COLUMNS * m * itemsize > _SHORTEST_BYTES and _largest_prime_factor(m) ** 2 > m


def _largest_prime_factor(m: int) -> int:
    largest, p = 1, 2
    while p * p <= m:
        while m % p == 0:
            m, largest = m // p, p
        p += 1
    return max(m, largest)


def _unit(turns: Array, m: int, dtype: Any) -> Array:
    """``exp(i pi turns / 2m)`` for integers `turns`, whose period 4m is taken out exactly."""
    turns %= 4 * m
    angle = turns * (math.pi / (2 * m))
    out = np.empty(turns.shape, dtype)
    out.real = np.cos(angle)
    out.imag = np.sin(angle, out=angle)
    return out


def _convolve(m: int, dtype: Any, source: Source, sink: Sink) -> None:
    """``sink(k0, y[k0:k1])`` for all k, ``y[k] = sum_j source[j] exp(i pi (k - j)^2 / 2m)``.

    ``2 k j = k^2 + j^2 - (k - j)^2`` makes every cosine transform such a sum.
    """
    blocks = 4 if m * np.dtype(dtype).itemsize // 2 <= _LONG_BYTES else 8
    size = -(-m // blocks)
    length = scipy.fft.next_fast_len(2 * size - 1)
    for k0 in range(0, m, size):
        total = np.zeros(length, dtype)
        for j0 in range(0, m, size):
            term = np.zeros(length, dtype)
            steps = np.arange(k0 - j0 - size + 1, k0 - j0 + size, dtype=np.int64)
            steps *= steps
            chirp = _unit(steps, m, dtype)
            del steps
            term[:size] = chirp[size - 1 :]
            term[length - size + 1 :] = chirp[: size - 1]
            del chirp
            term = scipy.fft.fft(term, overwrite_x=True)
            block = np.zeros(length, dtype)
            values = source(j0, min(j0 + size, m))
            block[: values.size] = values
            del values
            block = scipy.fft.fft(block, overwrite_x=True)
            term *= block
            del block
            total += term
            del term
        total = scipy.fft.ifft(total, overwrite_x=True)
        sink(k0, total[: min(size, m - k0)])


def _squares(start: int, stop: int, linear: int) -> Array:
    k = np.arange(start, stop, dtype=np.int64)
    return -k * (k + linear)


def cosine(x: Array, positions: Array) -> Array:
    """Entries `positions` of the orthonormal DCT-II of the vector `x`."""
    m, dtype = x.size, np.result_type(x.dtype, np.complex64)
    out = np.empty(positions.size, x.dtype)

    def source(start: int, stop: int) -> Array:
        factors = _unit(_squares(start, stop, 0), m, dtype)
        factors *= x[start:stop]
        return factors

    def sink(start: int, y: Array) -> None:
        wanted = np.flatnonzero((positions >= start) & (positions < start + y.size))
        k = positions[wanted]
        values = y[k - start] * _unit(-k * (k + 1), m, dtype)
        out[wanted] = values.real * np.where(k == 0, math.sqrt(1 / m), math.sqrt(2 / m))

    _convolve(m, dtype, source, sink)
    return out


def cosine_adjoint(values: Array, positions: Array, m: int) -> Array:
    """The transpose: the inverse transform of a vector of length `m` that is `values` at `positions`."""
    dtype = np.result_type(values.dtype, np.complex64)
    weighted = values * np.where(positions == 0, math.sqrt(1 / m), math.sqrt(2 / m))
    out = np.empty(m, values.dtype)

    def source(start: int, stop: int) -> Array:
        part = np.zeros(stop - start, dtype)
        given = np.flatnonzero((positions >= start) & (positions < stop))
        k = positions[given]
        part[k - start] = weighted[given] * _unit(-k * (k + 1), m, dtype)
        return part

    def sink(start: int, y: Array) -> None:
        y *= _unit(_squares(start, start + y.size, 0), m, dtype)
        out[start : start + y.size] = y.real

    _convolve(m, dtype, source, sink)
    return out

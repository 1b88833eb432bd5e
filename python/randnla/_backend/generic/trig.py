# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Plain NumPy version of the trigonometric kernels: the oracle of the tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend.generic import streams

Array = NDArray[Any]


def _words(kind: str, seed: int, stream: int, count: int) -> Array:
    """The first words of row 0 of a stream."""
    key = streams.stream_key(kind=kind, seed=seed, stream=stream, element_bits=32)
    return streams.blocks(0, -(-count // 64), 0, key).reshape(-1)[:count]


def _draws(kind: str, seed: int, stream: int, count: int) -> list[int]:
    words = _words(kind, seed, stream, 2 * count)
    return [(int(high) >> 1) << 32 | int(low) for high, low in zip(words[::2], words[1::2], strict=True)]


def trig_signs(m: int, *, seed: int, stream: int, dtype: Any) -> Array:
    """Return the diagonal of ``D``: ``m`` entries +-1 of the given dtype."""
    j = np.arange(m)
    words = _words("trig_signs", seed, stream, -(-m // 32))
    bits = words[j // 32] >> (j % 32).astype(np.uint32) & np.uint32(1)
    return np.where(bits == 1, -1, 1).astype(dtype)


def sample_coordinates(
    *, kind: str, seed: int, stream: int, population: int, count: int
) -> NDArray[np.int64]:
    """Draw ``count`` distinct indices: the first steps of a Fisher-Yates shuffle."""
    order = np.arange(population, dtype=np.int64)
    for i, v in enumerate(_draws(kind, seed, stream, count)):
        j = i + (v * (population - i) >> 63)
        order[[i, j]] = order[[j, i]]
    return order[:count].copy()


def sample_with_replacement(
    *, kind: str, seed: int, stream: int, count: int, population: int, cumulative: Array | None = None
) -> NDArray[np.int64]:
    """Draw ``count`` independent indices, uniform or by running sums of probabilities."""
    draws = _draws(kind, seed, stream, count)
    if cumulative is None:
        return np.array([v * population >> 63 for v in draws], np.int64)
    last = int(np.flatnonzero(cumulative == cumulative[-1])[0])
    found = []
    for v in draws:
        above = [i for i, c in enumerate(cumulative) if int(np.ceil(min(float(c), 1.0) * 2.0**63)) > v]
        found.append(min(above[0], last) if above else last)
    return np.array(found, np.int64)


def _hadamard_in_place(x: Array) -> None:
    """Transform the columns of x, levels in ascending order."""
    h, order = 1, x.shape[0]
    while h < order:
        pairs = x.reshape(order // (2 * h), 2, h, -1)
        a, b = pairs[:, 0].copy(), pairs[:, 1].copy()
        pairs[:, 0], pairs[:, 1] = a + b, a - b
        h *= 2


def apply_hadamard(
    A: Array,
    out: Array,
    *,
    seed: int,
    stream: int,
    d: int,
    row_start: int = 0,
    m: int,
    adjoint: bool = False,
) -> None:
    """Apply rows ``row_start..`` of the SRHT ``S = sqrt(1/d) R H D``, or their transpose."""
    order = 1 << max(m - 1, 0).bit_length()
    signs = trig_signs(m, seed=seed, stream=stream, dtype=A.dtype)[:, None]
    sampled = A.shape[0] if adjoint else out.shape[0]
    positions = sample_coordinates(
        kind="trig_rows", seed=seed, stream=stream, population=order, count=row_start + sampled
    )[row_start:]
    scale = A.dtype.type(np.sqrt(1.0 / d))
    x = np.zeros((order, A.shape[1]), A.dtype)
    if adjoint:
        x[positions] = A
        _hadamard_in_place(x)
        out[...] = x[:m] * signs * scale + 0
    else:
        x[:m] = A * signs
        _hadamard_in_place(x)
        out[...] = x[positions] * scale + 0


def _cosine_matrix(m: int) -> Array:
    k, j = np.arange(m)[:, None], np.arange(m)
    # The angle's multiple of pi / (2 m) is reduced exactly before it is rounded.
    C: Array = np.sqrt(2 / m) * np.cos(np.pi / (2 * m) * ((k * (2 * j + 1)) % (4 * m)))
    C[0] = np.sqrt(1 / m)
    return C


def apply_cosine(
    A: Array,
    out: Array,
    *,
    seed: int,
    stream: int,
    d: int,
    row_start: int = 0,
    m: int,
    adjoint: bool = False,
) -> None:
    """Apply rows ``row_start..`` of ``S = sqrt(m/d) R C D`` through the explicit matrix, in float64."""
    sampled = A.shape[0] if adjoint else out.shape[0]
    positions = sample_coordinates(
        kind="trig_rows", seed=seed, stream=stream, population=m, count=row_start + sampled
    )[row_start:]
    signs = trig_signs(m, seed=seed, stream=stream, dtype=A.dtype).astype(np.float64)
    S = np.sqrt(m / d) * _cosine_matrix(m)[positions] * signs
    out[...] = (S.T if adjoint else S) @ A.astype(np.float64)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Oracle of ``kernels.factored_maps``: signs and positions of one factor, in plain integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend.generic.streams import blocks, stream_key

Array = NDArray[Any]


def _words(kind: str, seed: int, stream: int, row: int, stop: int) -> Array:
    key = stream_key(kind=kind, seed=seed, stream=stream, element_bits=32)
    return blocks(0, -(-stop // 64), row, key).reshape(-1)[:stop]


def factor_signs(
    *, seed: int, stream: int, modes: int, mode: int, rows: tuple[int, int], cols: tuple[int, int], dtype: Any
) -> Array:
    """Entry (i, j) is bit ``j mod 32`` of word ``j // 32`` of counter row ``i modes + mode``; 1 is -1."""
    out = np.empty((rows[1] - rows[0], cols[1] - cols[0]), dtype=dtype)
    for i in range(rows[0], rows[1]):
        words = _words("khatri_rao", seed, stream, i * modes + mode, -(-cols[1] // 32))
        for j in range(cols[0], cols[1]):
            out[i - rows[0], j - cols[0]] = -1 if int(words[j // 32]) >> j % 32 & 1 else 1
    return out


def factor_columns(
    *, seed: int, stream: int, mode: int, d: int, cols: tuple[int, int]
) -> tuple[Array, Array]:
    """Positions ``floor(v d / 2^63)``, v of 63 bits, and signs of the columns of one factor."""
    high = _words("tensor_sketch", seed, stream, 2 * mode, cols[1])[cols[0] :]
    low = _words("tensor_sketch", seed, stream, 2 * mode + 1, cols[1])[cols[0] :]
    pairs = zip(high.tolist(), low.tolist(), strict=True)
    positions = [((h >> 1 << 32) + w) * d >> 63 for h, w in pairs]
    return np.array(positions, np.int64), np.where(high & np.uint32(1), -1, 1).astype(np.int8)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Signs and positions of one factor of a map on Kronecker products."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend.kernels.streams import random_words

Array = NDArray[Any]


def factor_signs(
    *, seed: int, stream: int, modes: int, mode: int, rows: tuple[int, int], cols: tuple[int, int], dtype: Any
) -> Array:
    """The block of the signs of factor `mode` of a Khatri-Rao map of `modes` factors, as `dtype`."""
    first, last = cols[0] // 32, -(-cols[1] // 32)
    words = np.empty((rows[1] - rows[0], last - first), dtype=np.uint32)
    for i in range(len(words)):
        row = (rows[0] + i) * modes + mode
        random_words(words[i], kind="khatri_rao", seed=seed, stream=stream, row=row, start=first)
    skip = cols[0] - 32 * first
    bytes_ = words.astype("<u4", copy=False).view(np.uint8)
    bits = np.unpackbits(bytes_, axis=1, bitorder="little")[:, skip : skip + cols[1] - cols[0]]
    return np.subtract(1, 2 * bits.view(np.int8), dtype=dtype)


def factor_columns(
    *, seed: int, stream: int, mode: int, d: int, cols: tuple[int, int]
) -> tuple[Array, Array]:
    """Positions (int64) below d <= 2**31 and signs (int8) of the columns of one factor of a TensorSketch."""
    high, low = np.empty((2, cols[1] - cols[0]), dtype=np.uint32)
    for row, words in ((2 * mode, high), (2 * mode + 1, low)):
        random_words(words, kind="tensor_sketch", seed=seed, stream=stream, row=row, start=cols[0])
    # floor((h 2^32 + l) d / 2^63) without its 94 bits: what l d leaves below 2^32 carries nothing up.
    whole = (high >> np.uint32(1)).astype(np.uint64) * np.uint64(d)
    whole += low.astype(np.uint64) * np.uint64(d) >> np.uint64(32)
    signs = 1 - 2 * (high & np.uint32(1)).astype(np.int8)
    return (whole >> np.uint64(31)).astype(np.int64), signs

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Random matrices by rows, by columns, or strided among NaN."""

from __future__ import annotations

from typing import Any

import numpy as np


def matrix(shape: tuple[int, int], dtype: Any, layout: Any = "C", seed: int = 0) -> Any:
    """Return standard normal entries in the layout "C", "F" or "strided"."""
    A = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    if layout == "strided":
        wide = np.full((2 * shape[0], 3 * shape[1]), np.nan, dtype)
        wide[::2, ::3] = A
        return wide[::2, ::3]
    return np.asarray(A, order=layout)

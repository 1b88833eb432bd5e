# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Oracle of ``kernels.sparse``."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


def csr_matmul(
    indptr: Array, indices: Array, data: Array, X: Array, out: Array, *, adjoint: bool = False
) -> Array:
    """Product of a CSR matrix, or of its transpose, with a dense matrix, entry by entry in order."""
    out[...] = 0
    for i in range(len(indptr) - 1):
        for k in range(int(indptr[i]), int(indptr[i + 1])):
            j = int(indices[k])
            if adjoint:
                out[j] += data[k] * X[i]
            else:
                out[i] += data[k] * X[j]
    return out

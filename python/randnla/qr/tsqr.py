# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Tall-skinny QR of arrays and of streams of rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from randnla._backend.kernels import dense
from randnla._backend.kernels import qr as kernels
from randnla.operators import RowStream

from .truncation import Array

# Rows of a stream are gathered to this many bytes, and to 16 rows a column at least, before they are
# folded into R, so that factoring R itself again costs little.
GATHERED = 8 << 20


def tsqr(A: Array, *, with_q: bool = True, name: str = "A") -> tuple[Array | None, Array, str]:
    """Q (None without `with_q`), R and the path of a finite (m, n) array; complex A goes to LAPACK."""
    m, n = A.shape
    if not dense.is_compiled(A):
        Q, R = kernels.householder_qr(A, name=name)
        return (Q if with_q else None), R, "householder"
    if m >= n:
        Q, R = kernels.tsqr(A, with_q=with_q, name=name)
        return (Q if with_q else None), R, "tree"
    Q, R = kernels.householder_qr(A, name=name)
    return (Q if with_q else None), R, "householder"


def tsqr_stream(A: RowStream, *, with_q: bool) -> tuple[Array | None, Array, str]:
    """The same for rows that come once. Q, if wanted, is the only thing of its size that is held."""
    m, n = A.shape
    whole = with_q or m < n or np.dtype(A.dtype).kind == "c"
    if whole:
        Q: Any = A.to_dense()
        if m < n or not dense.is_compiled(Q):
            return tsqr(Q, with_q=with_q)
        Q, R = kernels.tsqr(Q, overwrite=True, name="A")
        return Q, R, "tree"
    return None, _fold(A), "fold"


def _fold(A: RowStream) -> Array:
    """R of all rows: that of the rows before, stacked on the next ones, is factored again and again."""
    m, n = A.shape
    height = n + max(16 * n, GATHERED // (np.dtype(A.dtype).itemsize * max(1, n)))
    stack = np.zeros((min(height, m + n), n), A.dtype)
    filled = n  # R on top, zero at first
    for _, block in A.blocks():
        taken = 0
        while taken < block.shape[0]:
            count = min(block.shape[0] - taken, stack.shape[0] - filled)
            stack[filled : filled + count] = block[taken : taken + count]
            taken, filled = taken + count, filled + count
            if filled == stack.shape[0]:
                stack[:n] = kernels.tsqr(stack, with_q=False, name="A")[1]
                filled = n
    return kernels.tsqr(stack[:filled], with_q=False, name="A")[1]

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What "auto" stands for, and how many rows the sketch has: functions of shape and kind of input alone."""

from __future__ import annotations

import math

# Rows of the sketch for a column: fixed coefficients and slow convergence ask for more than a factor does.
RATIOS = {
    "cholesky_qr": 4,
    "spir": 4,
    "precondition": 4,
    "sketch_and_solve": 12,
    "fossils": 12,
    "iterative": 12,
}
# Up to here a Gram matrix costs less than the passes of an iteration that needs none.
GRAM_COLUMNS = 1024
# From here on the triangle of a sketch costs less than that of the matrix.
TALL = 8


def choose(method: str, kind: str, rows: int, columns: int, *, wide: bool) -> str:
    """The method for a tall rows x columns matrix, whose adjoint A is if `wide`.

    Examples
    --------
    >>> choose("auto", "dense", 100_000, 300, wide=False), choose("auto", "dense", 1000, 300, wide=False)
    ('cholesky_qr', 'householder')
    >>> choose("auto", "sparse", 100_000, 300, wide=False)
    'spir'
    """
    if method != "auto":
        return method
    if kind == "stream" and not wide:
        return "cholesky_qr"
    if kind != "device" and rows < TALL * max(1, columns):
        return "householder"
    return "cholesky_qr" if kind in ("dense", "device") and columns <= GRAM_COLUMNS else "spir"


def sketch_rows(method: str, rows: int, columns: int, attempt: int, *, kind: str) -> int | None:
    """Rows of the sketch; None: the matrix itself, which is not much larger (but it stays on a GPU)."""
    if method == "householder":
        return None
    d = RATIOS[method] * max(columns, 8) * 2**attempt
    return d if rows >= 2 * d or kind == "device" else None


def noise(rows: int, columns: int, unit: float, *, sketched: bool) -> float:
    """Singular values below this, relative to the largest, are rounding of A, of its sketch and of its SVD.

    LAPACK's divide and conquer, which takes over at 26 columns, returns zeros as 32 roundings.
    """
    terms = rows / max(1, columns) if sketched else 1.0
    least = 48 if columns > 25 else 0
    return unit * max(least, 2 * (5 + math.sqrt(columns) + math.sqrt(terms)))

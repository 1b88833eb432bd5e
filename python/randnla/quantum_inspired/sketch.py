# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Rows drawn by their lengths, columns of those drawn by theirs, and the singular values of what is left."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import dense

from .source import Source
from .sq_matrix import SQMatrix
from .stacks import MatrixRows

Array = NDArray[Any]

# Columns up to which whole sampled rows are read by "auto": exact inner products of the rows.
WHOLE_ROWS = 100_000


def default_size(rank: int | None, limit: int) -> int:
    """Rows, and columns, to draw for a rank: max(20 k, 4 k log k, 200), half of what there is at most."""
    if rank is None:
        return max(1, min(400, limit // 2))
    wanted = max(20 * rank, math.ceil(4 * rank * math.log(max(rank, 2))), 200)
    return max(1, rank, min(wanted, limit // 2))


def sketch_rows(A: SQMatrix, size: int, source: Source) -> MatrixRows:
    """R = S A of `size` rows, E R^H R = A^H A: row i by p_i = ||A_i||^2 / ||A||_F^2, over sqrt(size p_i).

    All rows of R are of the same length, ||A||_F / sqrt(size).
    """
    if not A.weight > 0:
        return MatrixRows(A, np.zeros(0, np.int64), np.zeros(0))
    rows = A.draw_rows(size, source, source.take())
    return MatrixRows(A, rows, np.sqrt(A.weight / (size * A.row_weights(rows))))


@dataclass
class Core:
    """``R^H R ~ A^H A``, and the left singular vectors W and values sigma of R, or of its columns C = R T.

    Everything is in units of 2^exponent: sigma, and R as `rows` gives it.
    """

    A: SQMatrix
    R: MatrixRows
    W: Array  # (r, k)
    sigma: Array  # (k,), descending, > 0
    columns: Array | None  # those drawn, with their scales
    scales: Array | None
    whole: Array | None  # R 2^-exponent, where it was read
    path: str

    def rows(self) -> Array:
        """R 2^-exponent, (r, n)."""
        if self.whole is None:
            self.whole = scaled_rows(self.R)
        return self.whole


def scaled_rows(R: MatrixRows) -> Array:
    """R in units of the matrix."""
    return R.dense() * math.ldexp(1.0, -R.A.exponent) if -1000 < R.A.exponent < 1000 else _far(R.dense(), R)


def _far(values: Array, R: MatrixRows) -> Array:
    half = -R.A.exponent // 2
    return values * math.ldexp(1.0, half) * math.ldexp(1.0, -R.A.exponent - half)


def core(
    A: SQMatrix, source: Source, *, method: str, rows: int, columns: int, rank: int | None, threshold: float
) -> Core:
    """Draw rows, or rows and columns, and decompose what was drawn.

    Singular values below `threshold` times the largest, or lost in rounding, are dropped.
    """
    R = sketch_rows(A, rows, source)
    route = method if method != "auto" else ("rows" if A.shape[1] <= WHOLE_ROWS else "double")
    picked: Array | None = None
    scales: Array | None = None
    whole: Array | None = None
    if R.count == 0:
        return Core(
            A, R, np.zeros((0, 0)), np.zeros(0), None, None, np.zeros((0, A.shape[1])), f"{route}, zero"
        )
    if route == "rows":
        whole = scaled_rows(R)
        part = whole
    else:
        picked, scales, part = _draw_columns(R, columns, source)
    gram = dense.gemm(part, part.conj().T)
    values, vectors = np.linalg.eigh((gram + gram.conj().T) / 2)
    values, vectors = values[::-1], vectors[:, ::-1]
    # Squares resolve what is above sqrt(eps) of the largest, no more.
    floor = max(threshold**2, gram.shape[0] * np.finfo(gram.real.dtype).eps) * values[0]
    keep = int(np.count_nonzero(values > floor))
    keep = keep if rank is None else min(keep, rank)
    return Core(A, R, vectors[:, :keep], np.sqrt(values[:keep]), picked, scales, whole, route)


def _draw_columns(R: MatrixRows, size: int, source: Source) -> tuple[Array, Array, Array]:
    """Columns of R by their lengths: a row at random, all being of one length, then a column of it."""
    which = np.minimum((source.uniforms(source.take(), size) * R.count).astype(np.int64), R.count - 1)
    columns = R.draw(which, source, source.take(), 0)
    different, place = np.unique(columns, return_inverse=True)
    down = -R.A.exponent
    part = R.at(different)[:, place]
    part = part * math.ldexp(1.0, down) if abs(down) < 1000 else _far(part, R)
    # p_j = ||R_j||^2 / ||R||_F^2, and ||R||_F = ||A||_F.
    squares = (np.abs(part) ** 2).sum(axis=0)
    scales = np.sqrt(R.A.weight / (size * squares))
    return columns, scales, part * scales


def basis(found: Core, rank: int) -> tuple[Array, Array]:
    """Orthonormal Q (n, k) with the range of R^H W, and the singular values of R Q in the order of Q.

    The columns of R^H W / sigma are right singular vectors up to the error of the sketch of the columns,
    which leaves them oblique. Orthogonalizing them and turning them to the singular vectors of R within
    their span makes them as good as the span is.
    """
    rows = found.rows()
    V = dense.gemm(rows.conj().T, found.W[:, :rank] / found.sigma[:rank])
    Q = np.linalg.qr(V)[0]
    left = dense.gemm(rows, Q)
    _, s, Zh = np.linalg.svd(left, full_matrices=False)
    return dense.gemm(Q, np.ascontiguousarray(Zh.conj().T)), s


def check_method(method: Any) -> str:
    """One of the ways to sketch."""
    return validate.choice(method, ("auto", "rows", "double"), name="method")


def check_sizes(A: SQMatrix, rank: int | None, rows: Any, columns: Any) -> tuple[int, int]:
    """How many rows and columns to draw."""
    size = default_size(rank, min(A.shape))
    r = size if rows is None else validate.integer(rows, name="rows", low=1)
    c = size if columns is None else validate.integer(columns, name="columns", low=1)
    for name, number in (("rows", r), ("columns", c)):
        if rank is not None and number < rank:
            raise InputError(f"{name}: expected at least rank = {rank}, got {number}")
        if number > 1 << 20:
            raise InputError(f"{name}: expected at most {1 << 20}, got {number}")
    return r, c

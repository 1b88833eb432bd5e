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


def default_size(rank: int | None, available: int) -> int:
    """Rows, or columns, to draw for a rank: max(20 k, 4 k log k, 200), half of what there is at most."""
    if rank is None:
        return max(1, min(400, available // 2))
    wanted = max(20 * rank, math.ceil(4 * rank * math.log(max(rank, 2))), 200)
    return max(1, rank, min(wanted, available // 2))


def sketch_rows(A: SQMatrix, size: int, source: Source, *, fixed: bool = False) -> MatrixRows:
    """R = S A of `size` rows, E R^H R = A^H A: row i by p_i = ||A_i||^2 / ||A||_F^2, over sqrt(size p_i).

    All rows of R are of the same length, ||A||_F / sqrt(size). `fixed` ones refuse to be used once A changed.
    """
    if not A.weight > 0:
        return MatrixRows(A, np.zeros(0, np.int64), np.zeros(0), fixed=fixed)
    rows = A.draw_rows(size, source, source.take())
    return MatrixRows(A, rows, np.sqrt(A.weight / (size * A.row_weights(rows))), fixed=fixed)


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
    R = sketch_rows(A, rows, source, fixed=True)
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
        picked, scales, part = draw_columns(R, columns, source)
    W, sigma = left_singular(part, threshold, rank)
    return Core(A, R, W, sigma, picked, scales, whole, route)


def left_singular(part: Array, threshold: float, rank: int | None) -> tuple[Array, Array]:
    """Leading left singular vectors and values, from the smaller of the two Gram matrices."""
    wide = part.shape[0] <= part.shape[1]
    one = part if wide else np.ascontiguousarray(part.conj().T)
    gram = dense.gemm(one, one.conj().T)
    values, vectors = np.linalg.eigh((gram + gram.conj().T) / 2)
    values, vectors = values[::-1], vectors[:, ::-1]
    # Squares resolve what is above sqrt(eps) of the largest, no more.
    floor = max(threshold**2, gram.shape[0] * np.finfo(gram.real.dtype).eps) * values[0]
    keep = int(np.count_nonzero(values > floor))
    keep = keep if rank is None else min(keep, rank)
    sigma = np.sqrt(values[:keep])
    kept = np.ascontiguousarray(vectors[:, :keep])
    return (kept if wide else dense.gemm(part, kept) / sigma), sigma


def draw_columns(R: MatrixRows, size: int, source: Source) -> tuple[Array, Array, Array]:
    """Columns of R by their lengths: a row at random, all being of one length, then a column of it.

    Returns the different columns, their scales and the scaled columns C: one that came t times is there
    once, sqrt(t) times as long, which leaves C C^H as it is.
    """
    which = np.minimum((source.uniforms(source.take(), size) * R.count).astype(np.int64), R.count - 1)
    columns, times = np.unique(R.draw(which, source, source.take(), 0), return_counts=True)
    part = R.at(columns)
    down = -R.A.exponent
    part = part * math.ldexp(1.0, down) if abs(down) < 1000 else _far(part, R)
    # p_j = ||R_j||^2 / ||R||_F^2, and ||R||_F = ||A||_F.
    squares = (np.abs(part) ** 2).sum(axis=0)
    scales = np.sqrt(times * R.A.weight / (size * squares))
    return columns, scales, part * scales


@dataclass
class Frame:
    """Right singular vectors ``R^H T`` and singular values, in units of the matrix.

    ``orthonormal`` holds them as an array (n, k) where they were made so, else None.
    """

    T: Array  # (r, k), for R in units of the matrix
    s: Array  # (k,)
    orthonormal: Array | None

    def vectors(self, found: Core) -> Array:
        """(n, k)."""
        if self.orthonormal is not None:
            return self.orthonormal
        return dense.gemm(found.rows().conj().T, self.T)


def frame(found: Core, form: str) -> Frame:
    """The vectors of a sketch as it gives them ("sampled"), or turned to what they stand for ("orthonormal").

    The columns of R^H W / sigma are right singular vectors up to the error of the sketch of the columns,
    which leaves them oblique. Orthogonalizing them and turning them to the singular vectors of R within
    their span makes them as good as the span is.
    """
    T = found.W / found.sigma
    if form == "sampled":
        return Frame(T, found.sigma, None)
    rows = found.rows()
    Q, triangle = np.linalg.qr(dense.gemm(rows.conj().T, np.ascontiguousarray(T)))
    _, s, Zh = np.linalg.svd(dense.gemm(rows, Q), full_matrices=False)
    turn = np.ascontiguousarray(Zh.conj().T)
    return Frame(T @ np.linalg.solve(triangle, turn) if turn.size else T, s, dense.gemm(Q, turn))


def check_form(form: Any, A: SQMatrix) -> str:
    """How vectors are held; "auto" makes them orthonormal where whole rows are read anyway."""
    validate.choice(form, ("auto", "orthonormal", "sampled"), name="form")
    if form != "auto":
        return str(form)
    return "orthonormal" if A.shape[1] <= WHOLE_ROWS else "sampled"


def check_method(method: Any) -> str:
    """One of the ways to sketch."""
    return validate.choice(method, ("auto", "rows", "double"), name="method")


def check_sizes(A: SQMatrix, rank: int | None, rows: Any, columns: Any) -> tuple[int, int]:
    """How many rows and columns to draw."""
    sizes = [default_size(rank, available) for available in A.shape]
    r = sizes[0] if rows is None else validate.integer(rows, name="rows", low=1)
    c = sizes[1] if columns is None else validate.integer(columns, name="columns", low=1)
    for name, number in (("rows", r), ("columns", c)):
        if rank is not None and number < rank:
            raise InputError(f"{name}: expected at least rank = {rank}, got {number}")
        if number > 1 << 20:
            raise InputError(f"{name}: expected at most {1 << 20}, got {number}")
    return r, c

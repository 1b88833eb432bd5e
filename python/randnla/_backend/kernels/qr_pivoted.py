# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Compiled steps of pivoted QR and of tall-skinny QR, for finite real matrices of moderate scale.

Nothing here is screened: entries are finite and neither they nor their squares leave the range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from randnla import _core
from randnla._backend.kernels.dense import Array


def panel_width(k: int) -> int:
    """Columns of a panel for k of them in all: narrower ones spend less time outside of products, wider ones
    pass over what is left of the matrix less often (2000 x 2000: 32 takes 5 % less; 4000 x 3000: 48 does).
    """
    return 32 if k <= 2048 else 48


@dataclass(frozen=True)
class RawQR:
    """A factorization in LAPACK's format.

    Attributes
    ----------
    QR : (m, n) array, column-major
        R on and above the diagonal of the first `columns` columns and in the rows beside them, the
        reflectors below it; rows and columns from `columns` on hold what is not factored.
    blocks : (panel width, min(m, n)) array
        The triangular factors of the panels, zero where nothing was factored.
    perm : (n,) int64 array
    columns, sketches : int
        Columns factored; sketches taken.
    """

    QR: Array
    blocks: Array
    perm: Array
    columns: int
    sketches: int

    @property
    def tau(self) -> Array:
        """Scalar factors of the reflectors, (min(m, n),)."""
        width, k = self.blocks.shape
        j = np.arange(k)
        return np.asarray(self.blocks[j % width, j])


def blocked_pivoted_qr(
    A: Array, *, seed: int, most_columns: int | None = None, target_squares: float = 0.0
) -> RawQR:
    """Pivoted QR in panels whose pivots come from a Gaussian sketch; overwrites the column-major `A`.

    Parameters
    ----------
    A : (m, n) array, column-major float32 or float64
    seed : int
    most_columns : int, optional
        Stop there; min(m, n) unless given.
    target_squares : float
        Stop after the panel that leaves at most this sum of squares; 0: never.
    """
    m, n = A.shape
    k = min(m, n)
    blocks = np.zeros((panel_width(k), k), A.dtype, order="F")
    perm = np.empty(n, np.int32)
    limit = k if most_columns is None else most_columns
    columns, sketches = _core.blocked_pivoted_qr(A, blocks, perm, limit, target_squares, seed)
    return RawQR(A, blocks, perm.astype(np.int64), columns, sketches)


def form_q(raw: RawQR, columns: int) -> Array:
    """The first `columns` columns of the Q for an R of nonnegative diagonal, (m, columns), column-major."""
    Q = np.empty((raw.QR.shape[0], columns), raw.QR.dtype, order="F")
    _core.form_q(raw.QR, raw.blocks, raw.columns, Q)
    return Q


def copy_scaled(A: Array, exponent: int, *, order: str = "C") -> Array:
    """``2**exponent * A`` in C or Fortran order, on the team."""
    out = np.empty(A.shape, A.dtype, order="F" if order == "F" else "C")
    _core.copy_scaled(A, exponent, out)
    return out


def scale_upper(raw: RawQR, exponent: int) -> None:
    """All but the reflectors of a raw factorization times ``2**exponent``, in place."""
    _core.scale_upper(raw.QR, raw.columns, exponent)


def upper(raw: RawQR, rows: int, exponent: int) -> Array:
    """The first `rows` rows of R times ``2**exponent``, diagonal nonnegative, as `form_q` has it."""
    out = np.empty((rows, raw.QR.shape[1]), raw.QR.dtype)
    _core.extract_upper(raw.QR, exponent, out)
    return out


def precondition(
    A: Array, columns: Array, factor: Array, *, solve: bool, gram: bool = True
) -> tuple[Array, Array]:
    """``Q = A[:, columns] @ inv(R)`` and ``Q.T @ Q`` (float64) in one pass, a block of rows at a time.

    Without `gram` the second is empty.

    Parameters
    ----------
    A : (m, n) array, any layout
    columns : (k,) integers
    factor : (k, k) float64 array, C order, upper triangular
        R itself where `solve`, which works in float64 by substitution; else its inverse, multiplied by in
        the precision of `A`.
    solve : bool
    """
    k = columns.size
    Q, result = np.empty((A.shape[0], k), A.dtype), np.empty((k, k) if gram else (0, 0))
    _core.precondition(A, columns.astype(np.int32), factor, solve, Q, result)
    return Q, result


def multiply_columns(Q: Array, M: Array, *, gram: bool, wide: bool = False) -> Array | None:
    """``Q[...] = Q @ M`` in place for an upper triangular float64 M; returns ``Q.T @ Q`` if `gram`.

    `wide` multiplies float32 in float64, and rounds once.
    """
    k = Q.shape[1]
    result = np.empty((k, k) if gram else (0, 0))
    _core.multiply_columns(Q, M, result, wide)
    return result if gram else None


def leading_moments(A: Array, count: int) -> Array:
    """Bring `count` columns X that are evenly apart to the front of a row-major A of float32, in place.

    Those that were there go where these come from. Returns ``X.T @ A`` in float64.
    """
    out = np.empty((count, A.shape[1]))
    _core.leading_moments(A, max(1, A.shape[1] // max(1, count)), out)
    return out


def add_leading(A: Array, M: Array, *, stretch: int) -> Array:
    """``[X, Y] = [X @ M1, Y + X @ M2]`` in place, M = [M1, M2] and X as many columns as M has rows.

    In float64, and rounded to the float32 of A once. Returns ``Y.T @ Y`` of the new Y in float64, with sums
    of blocks of up to `stretch` rows in float32.
    """
    rest = A.shape[1] - len(M)
    gram = np.empty((rest, rest))
    _core.add_leading(A, M, gram, stretch)
    return gram


def cholesky_factor(gram: Array) -> tuple[Array, Array] | None:
    """R and its inverse of a float64 ``gram = R.T @ R``; None where it is not positive definite."""
    R = np.array(gram, order="C", copy=True)
    inverse = np.empty_like(R)
    return None if _core.cholesky_factor(R, inverse) else (R, inverse)


def invert_upper(R: Array) -> Array | None:
    """The inverse of an upper triangular float64 matrix; None where a pivot is zero."""
    inverse = np.triu(R)
    return None if _core.invert_upper(inverse) else inverse

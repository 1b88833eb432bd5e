# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A batch of activations or gradients, checked before any state changes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError, NonFiniteError
from randnla._backend.kernels import dense, qr
from randnla._backend.kernels.dense import Array


@dataclass(frozen=True)
class Batch:
    """Checked rows of a batch, weighted and in the dtype of a factor.

    Attributes
    ----------
    rows : (n, d) array
        2^-exponent times the batch.
    exponent : int
        0 while the largest entry lies within 2^-30 and 2^30, so that squares neither overflow nor vanish.
    mean_square : float
        ||X||_F^2 / n of the weighted batch itself.
    """

    rows: Array
    exponent: int
    mean_square: float


def factor_dtype(dtype: Any) -> np.dtype[Any]:
    """The dtype of a factor: float32, float64, complex64 or complex128.

    Raises
    ------
    InputError
    """
    wanted = "float32, float64, complex64 or complex128"
    try:
        made: np.dtype[Any] = np.dtype(dtype)
    except TypeError as error:
        raise InputError(f"dtype: expected {wanted}, got {validate.shown(dtype)}") from error
    if dtype is None or made.kind not in "fc" or made.itemsize < 4 or made.char in "gG":
        given = "None" if dtype is None else made
        raise InputError(
            f"dtype: expected {wanted}, got {given}: narrower numbers are accepted in batches, and "
            "accumulated in these"
        )
    return made


def checked_rows(X: Any, dim: int, dtype: np.dtype[Any], weight: Any) -> Batch:
    """The rows of a batch, times the roots of their weights.

    Parameters
    ----------
    X : array, shape (n, dim)
        Of any real (complex) dtype; half precision is widened.
    dim : int
    dtype : dtype
        Of the factor.
    weight : None, float or array of shape (n,)
        Nonnegative factors of the outer products.

    Raises
    ------
    InputError
        Wrong shape, no rows, weights that do not fit.
    NonFiniteError
        A NaN or an infinity, or squares whose sum `dtype` does not hold.
    """
    rows = validate.as_array(X, name="X")
    if rows.shape[1] != dim or rows.shape[0] == 0:
        raise InputError(f"X: expected shape (n, {dim}) with n >= 1, got {rows.shape}")
    if rows.dtype.kind == "c" and dtype.kind != "c":
        raise InputError(f"X: expected real numbers ({dtype}), got {rows.dtype}")
    seen = dense.screen(rows)
    if not seen.finite:
        count, first = dense.first_non_finite(rows)
        raise validate.non_finite("X", count, first or (0, 0))
    if weight is not None:
        roots = np.sqrt(_weights(weight, len(rows)))
        rows = rows.astype(np.result_type(rows.dtype, np.float64)) * roots[:, None]
        seen = dense.screen(rows)
    with np.errstate(over="ignore"):
        mean_square = float(np.ldexp(seen.sum_squares, 2 * seen.exponent)) / len(rows)
    if not mean_square * len(rows) <= float(np.finfo(dtype).max):
        raise NonFiniteError(
            f"X: the squares of its entries overflow {dtype} (mean square {mean_square:.3g})"
        )
    exponent = math.frexp(seen.max_abs)[1] if seen.max_abs > 0 else 0
    if abs(exponent) <= 30:
        return Batch(validate.native(rows, dtype, name="X"), 0, mean_square)
    copy = qr.scale_by_power(np.array(rows, order="C"), -exponent)
    return Batch(validate.native(copy, dtype, name="X"), exponent, mean_square)


def _weights(weight: Any, count: int) -> Array:
    weights = validate.as_array(weight, name="weight", ndim=(0, 1)).astype(np.float64)
    if weights.ndim == 1 and weights.shape != (count,):
        raise InputError(f"weight: expected one number for each of {count} rows, got shape {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise InputError("weight: expected finite numbers >= 0")
    return np.broadcast_to(weights, (count,))

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A batch of activations or gradients, checked before any state changes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError, NonFiniteError
from randnla._backend.kernels import dense
from randnla._backend.kernels.dense import Array


def factor_dtype(dtype: Any) -> np.dtype[Any]:
    """The dtype of a factor: float32, float64, complex64 or complex128.

    Raises
    ------
    InputError
    """
    made: np.dtype[Any] = np.dtype(dtype)
    if made.kind not in "fc" or validate.working_dtype(made, name="dtype") != made:
        raise InputError(
            f"dtype: expected float32, float64, complex64 or complex128, got {made}: narrower numbers "
            "are accepted in batches, and accumulated in these"
        )
    return made


def checked_rows(X: Any, dim: int, dtype: np.dtype[Any], weight: Any) -> tuple[Array, float]:
    """The rows of a batch, scaled by the roots of their weights, and their mean square ||X||_F^2 / n.

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
    rows = validate.native(rows, dtype, name="X")
    if weight is not None:
        rows = rows * np.sqrt(_weights(weight, len(rows))).astype(rows.real.dtype)[:, None]
    seen = dense.screen(rows)
    if not seen.finite:
        count, first = dense.first_non_finite(rows)
        raise validate.non_finite("X", count, first or (0, 0))
    mean_square = math.ldexp(seen.sum_squares, 2 * seen.exponent) / len(rows)
    if not mean_square * len(rows) <= float(np.finfo(dtype).max):
        raise NonFiniteError(
            f"X: the squares of its entries overflow {dtype} (mean square {mean_square:.3g})"
        )
    return rows, mean_square


def _weights(weight: Any, count: int) -> Array:
    weights = validate.as_array(weight, name="weight", ndim=(0, 1)).astype(np.float64)
    if weights.ndim == 1 and weights.shape != (count,):
        raise InputError(f"weight: expected one number for each of {count} rows, got shape {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise InputError("weight: expected finite numbers >= 0")
    return np.broadcast_to(weights, (count,))

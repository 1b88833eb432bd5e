# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The product that CP decompositions are made of, and how far components are from those wanted."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import tensor as kernels

from .arguments import Array, checked_factors, checked_tensor, unit_columns


def mttkrp(T: Any, factors: Any, mode: int, *, check_finite: bool = True) -> Any:
    """Matricized tensor times Khatri-Rao product: ``unfold(T, mode) @ khatri_rao(factors but mode)``.

    Neither the unfolding nor the Khatri-Rao product is formed: T is read once, in the order of memory.

    Parameters
    ----------
    T : array of shape (d_0, ..., d_{K-1}), K = 2..6
        Real, any strides; of order 4 and above what is not dense in memory is packed in blocks.
    factors : sequence of K arrays of shape (d_k, r)
        The one of `mode` is checked but not used.
    mode : int
        0 <= mode < K.
    check_finite : bool, default True
        Refuse NaN and Inf in T.

    Returns
    -------
    (d_mode, r) array

    Raises
    ------
    InputError
        An argument does not fit.
    NonFiniteError
        An array holds NaN or Inf.

    Notes
    -----
    *Algorithm*: one matrix product with the factor of the fastest axis, then sums over the other axes in
    blocks that stay in the cache, compiled for order 3.

    *Cost*: 2 r prod(d_k) flops and one read of T.

    Examples
    --------
    >>> import numpy as np, randnla.tensor
    >>> T = np.arange(8.0).reshape(2, 2, 2)
    >>> randnla.tensor.mttkrp(T, [np.ones((2, 1))] * 3, 0).ravel().tolist()
    [6.0, 22.0]
    """
    problem = checked_tensor(T, check_finite=check_finite, orders=(2, 3, 4, 5, 6))
    matrices = checked_factors(factors, problem.shape, problem.values.dtype, name="factors")
    mode = validate.integer(mode, name="mode", low=0, high=len(problem.shape) - 1)
    out = kernels.mttkrp(problem.values, matrices, mode)
    return namespace.restore(problem.kind, np.ldexp(out, problem.exponent) if problem.exponent else out)


def match_components(factors: Any, truth: Any) -> tuple[Any, Any]:
    """The order of `factors` closest to `truth`, and each component's error: the worst sine over the modes.

    Parameters
    ----------
    factors, truth : sequences of K arrays of shape (d_k, r)
        Columns of any length and sign but zero.

    Returns
    -------
    order : (r,) array of int
        ``factors[k][:, order[j]]`` belongs to ``truth[k][:, j]``.
    errors : (r,) array
        ``max_k ||a a^T - b b^T||_2`` of unit columns, formed as ``||a - b b^T a||``, which has no floor at
        the root of the unit roundoff.

    Raises
    ------
    InputError
        Shapes do not agree, or a column is zero.

    Notes
    -----
    *Algorithm*: assignment of least total error (Hungarian method).

    *Cost*: r^2 sum(d_k) flops.

    Examples
    --------
    >>> import numpy as np, randnla.tensor
    >>> A = [np.eye(3)[:, :2]] * 3
    >>> randnla.tensor.match_components([a[:, ::-1] for a in A], A)[0].tolist()
    [1, 0]
    """
    if not isinstance(truth, (list, tuple)) or not truth:
        raise InputError(f"truth: expected a sequence of matrices, got {validate.shown(truth)}")
    wanted = [validate.as_matrix(b, name=f"truth[{k}]") for k, b in enumerate(truth)]
    shape, r = tuple(len(b) for b in wanted), wanted[0].shape[1]
    worst = np.zeros((r, r))
    pairs = zip(
        checked_factors(factors, shape, np.float64, name="factors", rank=r),
        checked_factors(truth, shape, np.float64, name="truth", rank=r),
        strict=True,
    )
    for A, B in pairs:
        a, b = _units(A, "factors"), _units(B, "truth")
        for j in range(r):
            gap = a - b[:, [j]] * (b[:, j] @ a)
            worst[j] = np.maximum(worst[j], np.linalg.norm(gap, axis=0))
    _, order = linear_sum_assignment(worst)
    return order, worst[np.arange(r), order]


def _units(A: Array, name: str) -> Array:
    unit, norms = unit_columns(A)
    if not np.all(norms > 0):
        raise InputError(f"{name}: expected columns other than zero, got a column of zeros")
    return unit

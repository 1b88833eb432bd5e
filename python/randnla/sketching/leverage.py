# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Leverage scores, exact and sketched."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import qr
from randnla._backend.rng import seed_from
from randnla.operators import Dense, as_operator
from randnla.sketching.gaussian import Gaussian
from randnla.sketching.sparse_sign import SparseSign

Array = npt.NDArray[Any]

# Columns of the Gaussian compression: a score then has the law chi^2_64 / 64 times its value, within
# a factor of 2 of it but for a probability of 3e-7.
COMPRESSION = 64


def leverage_scores(A: Any, *, method: str = "auto", rng: Any = None) -> Array:
    """Squared row norms of an orthonormal basis of the range of A.

    Parameters
    ----------
    A : array, sparse matrix or operator of shape (m, n), m >= n
    method : {"auto", "exact", "sketched"}
        "exact" takes a QR factorization of a dense array; "sketched" approximates the scores from a
        sketch. "auto" is exact for dense arrays of at most 2**22 entries.
    rng : None, int, SeedSequence or Generator
        For the sketched scores.

    Returns
    -------
    scores : (m,) float64 array
        In [0, 1], summing to the rank, if exact.

    Raises
    ------
    InputError
        `A` has more columns than rows, or "exact" is asked of something not dense.
    NonFiniteError
        `A` holds NaN or Inf.

    Notes
    -----
    *Algorithm*: sketched: S A = U diag(s) V^T by an SVD of a sparse sign sketch with 4 n rows, so that the
    columns of A V diag(1/s) are nearly orthonormal; their row norms, after compression by 64 Gaussian
    vectors if there are more columns (Drineas, Magdon-Ismail, Mahoney, Woodruff, 2012). Singular values
    below ``max(m, n) eps s_1`` are cut.

    *Cost*: exact 4 m n^2 flops; sketched O(m n (8 + 64) + n^3), two passes over A.

    Examples
    --------
    >>> leverage_scores(np.array([[1.0], [0.0], [1.0]]), method="exact")
    array([0.5, 0. , 0.5])
    """
    operator = as_operator(A)
    m, n = operator.shape
    if m < n or n == 0:
        raise InputError(f"A: expected at least as many rows as columns and one column, got shape {(m, n)}")
    validate.choice(method, ("auto", "exact", "sketched"), name="method")
    seed = seed_from(rng)
    dense = isinstance(operator, Dense)
    if method == "exact" and not dense:
        raise InputError("method: 'exact' needs a dense array, use 'sketched'")
    if dense and (method == "exact" or (method == "auto" and m * n <= 1 << 22)):
        operator.require_finite()
        return _exact(operator.to_dense())
    return _sketched(operator, seed)


def _exact(A: Array) -> Array:
    Q, R = qr.householder_qr(A)
    U, s, _ = qr.small_svd(R)
    basis = Q @ U[:, _kept(s, A.shape)]
    return _row_squares(basis)


def _sketched(A: Any, seed: int) -> Array:
    m, n = A.shape
    real = np.dtype(A.dtype.type(0).real.dtype)
    S = SparseSign(4 * n, m, rng=seed, dtype=real)
    sketched = A.sketch(S)
    if not validate.is_finite(sketched):
        A.require_finite()
        raise InputError("A: its sketch overflows, scale it down")
    _, s, Vh = qr.small_svd(sketched)
    kept = _kept(s, A.shape)
    weights = Vh[kept].conj().T / s[kept]
    if weights.shape[1] > COMPRESSION:
        weights = weights @ Gaussian(COMPRESSION, weights.shape[1], rng=seed, dtype=real, stream=1).T
    return _row_squares(A.matmat(weights))


def _kept(s: Array, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    if s[0] == 0:
        raise InputError("A: a zero matrix has no leverage scores")
    return np.asarray(s > max(shape) * np.finfo(s.dtype).eps * s[0])


def _row_squares(X: Array) -> Array:
    wide = X.astype(np.complex128 if X.dtype.kind == "c" else np.float64, copy=False)
    return np.asarray(np.einsum("ij,ij->i", wide, wide.conj()).real)

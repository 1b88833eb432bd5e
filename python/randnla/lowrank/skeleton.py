# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Rows that stand for all others: chosen from a small sketch, with the coefficients that rebuild the rest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from randnla._backend.device import is_device, runtime
from randnla._backend.kernels import dense, qr, streams
from randnla.operators import Dense, LinearOperator, RowStream, Sparse
from randnla.sketching import LeverageSampling

from .error import column_norms, frobenius
from .problem import Problem
from .scaling import Array, real_dtype, scale_by_power, unit_roundoff

METHODS = ("auto", "qrcp", "lupp", "rpqr", "leverage")
SPARE = 10
"""Least columns of the sketch beyond the number of rows chosen that pivoting is shown."""
COMPRESSION_STREAM, DRAW_STREAM = 2, 3


def widen(X: Array) -> Array:
    """A small core in float64 (complex128) on the host, where it is factored whatever the dtype of A."""
    X = runtime().to_host(X) if is_device(X) else X
    return X.astype(np.complex128 if np.iscomplexobj(X) else np.float64, copy=False)


def choose_rows(Y: Array, count: int, method: str, seed: int) -> Array:
    """`count` rows of Y (m, l) that span its rows well, the most telling first.

    "qrcp" (which "auto" stands for): column pivoted QR of Y^H; "lupp": row pivots of LU, cheaper, a few
    percent less accurate; "rpqr": a row at random by its squared length outside of the rows taken before;
    "leverage": at random by the squared rows of the leading left singular vectors.
    """
    if count == 0:
        return np.zeros(0, np.int64)
    Y = _narrow(Y, count, seed)
    if method in ("auto", "qrcp"):
        # In the dtype of Y: Householder's method errs by roundoffs of each column, as the sketch does.
        return qr.qr_pivots(Y.conj().T)[:count]
    Y = widen(Y)
    if method == "lupp":
        return qr.lu_pivots(Y)[:count]
    if method == "rpqr":
        return _by_residual(Y, count, seed)
    return _by_leverage(Y, count, seed)


def _narrow(Y: Array, count: int, seed: int) -> Array:
    """Y times a Gaussian matrix of 2 count columns where it has many more: pivoting costs m l^2."""
    size = count + max(SPARE, count)
    if Y.shape[1] <= size + SPARE:
        return Y
    rows = np.empty((size, Y.shape[1]), Y.real.dtype)
    streams.fill_dense_map(rows, kind="gaussian", seed=seed, stream=COMPRESSION_STREAM)
    return dense.gemm(Y, rows.T)


def _by_residual(Y: Array, count: int, seed: int) -> Array:
    """Randomly pivoted QR: Chen, Epperly, Tropp and Webber (2023), on the rows of a sketch."""
    rest, chosen = Y.copy(), np.zeros(0, np.int64)
    first = frobenius(rest)
    for step in range(count):
        weights = np.einsum("ij,ij->i", rest, rest.conj()).real
        weights[chosen] = 0
        if math.sqrt(float(weights.sum())) <= 8 * unit_roundoff(np.float64) * first:
            break  # nothing but rounding is left to draw from
        drawn = LeverageSampling(1, len(Y), scores=weights, rng=seed, stream=DRAW_STREAM + step).indices[0]
        chosen = np.append(chosen, drawn)
        direction = rest[[drawn]] / math.sqrt(float(weights[drawn]))  # (1, l)
        dense.gemm(dense.gemm(rest, direction.conj().T), direction, rest, alpha=-1.0, beta=1.0)
    return _filled(chosen, count, len(Y))


def _by_leverage(Y: Array, count: int, seed: int) -> Array:
    Q, R = qr.householder_qr(Y)
    U, s, _ = qr.small_svd(R)
    kept = s[:count] > 8 * unit_roundoff(np.float64) * s[0]
    basis = dense.gemm(Q, np.ascontiguousarray(U[:, :count][:, kept]))
    scores = np.einsum("ij,ij->i", basis, basis.conj()).real
    chosen = np.zeros(0, np.int64)
    draws = 4 * count
    while scores.any() and chosen.size < min(count, int(np.count_nonzero(scores))) and draws <= 4096 * count:
        S = LeverageSampling(draws, len(Y), scores=scores, rng=seed, stream=DRAW_STREAM)
        found, first = np.unique(S.indices, return_index=True)
        chosen = found[np.argsort(first)][:count]
        draws *= 4
    return _filled(chosen, count, len(Y))


def _filled(chosen: Array, count: int, total: int) -> Array:
    """`chosen` and then the first rows that it lacks, `count` in all."""
    if chosen.size < count:
        others = np.setdiff1d(np.arange(total), chosen)
        chosen = np.concatenate([chosen, others[: count - chosen.size]])
    return chosen.astype(np.int64)


def divide(B: Array, R: Array, roundoff: float) -> tuple[Array, int]:
    """X with X R^H = B for a small square R, in least squares, and the numerical rank of R.

    Directions below rounding are left out.
    """
    # R = P T Pi^T with pivots, so X R^H = B reads T (X Pi)^H = (B P)^H. The rows of B are taken as precise
    # as they are given: substitution errs by roundoffs of T.
    P, T, order = qr.small_pivoted_qr(widen(R))
    diagonal = np.abs(np.diagonal(T))
    cut = 4 * roundoff * math.sqrt(len(R) + 1) * float(max(diagonal, default=0.0))
    r = int(np.count_nonzero(diagonal > cut))
    X = np.zeros((B.shape[0], R.shape[1]), B.dtype)
    # Z T^H = W: backwards, T^H is upper triangular.
    right = dense.gemm(B, np.ascontiguousarray(P[:, :r][:, ::-1], B.dtype))
    upper = np.ascontiguousarray(T[:r, :r].conj().T[::-1, ::-1], B.dtype)
    if r:
        X[:, order[:r][::-1]] = qr.triangular_solve_right(right, upper, overwrite=True)
    return X, r


def interpolate(Y: Array, index: Array) -> tuple[Array, int]:
    """X (m, k) with Y ~ X Y[index] in least squares over all columns of Y, and the rank of Y[index].

    X[index] = I exactly.
    """
    Q, R = qr.householder_qr(widen(np.ascontiguousarray(Y[index].conj().T)))
    X, rank = divide(dense.gemm(Y, Q.astype(Y.dtype, copy=False)), R, unit_roundoff(Y.dtype))
    return identify(X, index), rank


def identify(X: Array, index: Array) -> Array:
    """X with X[index] = I exactly, which it was up to rounding; in place."""
    X[index] = np.eye(index.size)
    return X


def sketched_errors(Y: Array, index: Array) -> Array:
    """Estimates of ||A - X A[J_j]||_F for the first j = 0, ..., k indices, from a Gaussian sketch Y."""
    # With Y_J^H = Q R, the rows of Y outside of the first j directions have the squared sizes below;
    # l - j degrees of freedom are left in them, for the best X A_J is orthogonal to the rest.
    wide = widen(Y)
    Q, _ = qr.householder_qr(np.ascontiguousarray(wide[index].conj().T))  # (l, k)
    inside = dense.gemm(wide, Q)
    outside = frobenius(wide - dense.gemm(inside, Q.conj().T))
    squares = np.append(column_norms(inside), outside) ** 2
    tails = np.cumsum(squares[::-1])[::-1]
    return np.asarray(np.sqrt(tails / np.maximum(Y.shape[1] - np.arange(index.size + 1), 1)))


def take(problem: Problem, index: Array, *, axis: int) -> Any:
    """A[index] (axis 0) or A[:, index] (axis 1) as it is: sparse of a sparse matrix, else an array."""
    found = _entries(problem.op, index, axis)
    if found is not None:
        if isinstance(_source(problem.op), RowStream):
            problem.passes += 1
        return found
    selector = np.zeros((problem.shape[axis], index.size), real_dtype(problem.dtype))
    selector[index, np.arange(index.size)] = 1
    problem.path.append(f"{('rows', 'columns')[axis]} by product")
    product = problem.forward(selector) if axis else problem.adjoint(selector).conj().T
    return scale_by_power(np.array(product), -problem.shift)


def _source(op: LinearOperator) -> LinearOperator:
    return getattr(op, "base", op)


def _entries(op: LinearOperator, index: Array, axis: int) -> Any:
    """The rows or columns of what shows its entries, None of anything else."""
    if isinstance(op, Dense):
        return np.array(op.array[index] if axis == 0 else op.array[:, index])
    if isinstance(op, Sparse):
        return op.matrix.tocsr()[index] if axis == 0 else op.matrix.tocsc()[:, index]
    if isinstance(op, RowStream):
        return _streamed(op, index, axis)
    base = _source(op)
    if isinstance(base, RowStream):
        found = _streamed(base, index, 1 - axis)
        # The transpose or the adjoint: the former returns its base as T.
        return found.T if op.T is base else found.conj().T
    return None


def _streamed(op: RowStream, index: Array, axis: int) -> Array:
    if axis == 1:
        out = np.empty((op.shape[0], index.size), op.dtype)
        for row, block in op.blocks():
            out[row : row + len(block)] = block[:, index]
        return out
    out = np.empty((index.size, op.shape[1]), op.dtype)
    for row, block in op.blocks():
        here = np.flatnonzero((index >= row) & (index < row + len(block)))
        out[here] = block[index[here] - row]
    return out

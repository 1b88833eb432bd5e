# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""From the operator that the user hands in as a root to one whose systems can be solved."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import dense, qr
from randnla.lowrank.scaling import exponent_of, largest_magnitude
from randnla.operators import (
    Dense,
    Diagonal,
    DiagonalPlusLowRank,
    Kronecker,
    KroneckerSum,
    LinearOperator,
    Sparse,
)
from randnla.operators.algebra import Scaled
from randnla.operators.factored import is_hermitian

from .derived_root import CorrectedRoot
from .known_root import (
    Array,
    ConstantRoot,
    DenseRoot,
    EigenRoot,
    KnownRoot,
    SparseRoot,
    rounding_of,
)
from .product_root import ProductRoot
from .updated import SqrtUpdate

EIGEN_SIZE = 2000
"""Arrays up to this order are taken by eigenvectors, which cost less than a dozen Cholesky factorizations."""

DENSE_SIZE = 1000
"""Operators known by products are made dense up to this order."""


def known_root(op: LinearOperator, scale: int = 0) -> KnownRoot:
    """2^scale times `op` by its kind; its exponent counts from there.

    Raises
    ------
    InputError
        It is not Hermitian.
    BreakdownError
        It has a negative eigenvalue.
    """
    if isinstance(op, SqrtUpdate) and (op.shape[0] > DENSE_SIZE or 8 * op.rank < op.shape[0]):
        base = known_root(op.base, scale)
        return CorrectedRoot(
            base, _wide(op.Y), np.ldexp(op.weights.astype(np.float64), scale - base.exponent)
        )
    if isinstance(op, Diagonal):
        return _eigen(_real_diagonal(op), None, scale, op.dtype)
    if isinstance(op, Scaled) and not isinstance(op.scalar, complex):
        return _scaled(op, scale)
    if isinstance(op, DiagonalPlusLowRank):
        return _diagonal_plus_low_rank(op, scale)
    if isinstance(op, Kronecker) and all(A.shape[0] == A.shape[1] for A in op.factors):
        return _kronecker(op, scale)
    if isinstance(op, KroneckerSum):
        basis, values = KroneckerSum(*(Dense(_hermitian(A.to_dense())) for A in (op.left, op.right))).eigen()
        return _eigen(values, basis, scale, op.dtype)
    if isinstance(op, Sparse):
        return _sparse(op, scale)
    if isinstance(op, Dense) or op.shape[0] <= DENSE_SIZE:
        return _dense(op.to_dense(), scale)
    probe = np.cos(np.arange(1, op.shape[0] + 1, dtype=np.float64) ** 2 % 6.283).astype(op.dtype)
    return ProductRoot(op, exponent_of(largest_magnitude(op.matmat(probe[:, None]))), _kind(op.dtype))


def _kind(dtype: Any) -> np.dtype[Any]:
    return np.dtype(np.complex128 if np.dtype(dtype).kind == "c" else np.float64)


def _wide(X: Array) -> Array:
    return X.astype(_kind(X.dtype), copy=False)


def _hermitian(A: Array) -> Array:
    if not is_hermitian(A):
        raise InputError("root: expected a Hermitian matrix; (A + A.conj().T) / 2 is one")
    A = _wide(A)
    return (A + A.conj().T) / 2


def _real_diagonal(op: Diagonal) -> Array:
    if np.iscomplexobj(op.values) and op.values.imag.any():
        raise InputError("root: expected a Hermitian operator, got complex entries of d")
    return op.values.real.astype(np.float64)


def _eigen(values: Array, basis: LinearOperator | None, scale: int, dtype: Any) -> KnownRoot:
    validate.require_finite(values, name="root (eigenvalues)")
    exponent = exponent_of(largest_magnitude(values))
    if values.size and not np.ptp(values):  # whatever the basis
        nothing = np.zeros((values.size, 0), _kind(dtype))
        return ConstantRoot(
            values.size, math.ldexp(values[0], -exponent), nothing, np.zeros(0), exponent + scale
        )
    slack = rounding_of(dtype, values.size)
    return EigenRoot(np.ldexp(values, -exponent), basis, exponent + scale, _kind(dtype), slack=slack)


def _scaled(op: Scaled, scale: int) -> KnownRoot:
    # The mantissa goes into the base where that is an array, the exponent costs nothing.
    mantissa, exponent = math.frexp(float(op.scalar.real))
    if mantissa == 0.5:
        return known_root(op.base, scale + exponent - 1)
    base = op.base
    if isinstance(base, Diagonal):
        return known_root(Diagonal(mantissa * _real_diagonal(base)), scale + exponent)
    if isinstance(base, DiagonalPlusLowRank):
        low = base.low
        d = mantissa * _wide(base.d)
        inner = DiagonalPlusLowRank(
            d[0] if base.constant and d.size else d, low.U, mantissa * _wide(low.core()), low.V
        )
        return known_root(inner, scale + exponent)
    if isinstance(base, SqrtUpdate):
        return known_root(SqrtUpdate(mantissa * base.base, base.Y, mantissa * base.weights), scale + exponent)
    if isinstance(base, Kronecker):
        return known_root(Kronecker(Scaled(mantissa, base.factors[0]), *base.factors[1:]), scale + exponent)
    if isinstance(base, Sparse):
        return known_root(Sparse(mantissa * base.matrix), scale + exponent)
    if op.shape[0] <= DENSE_SIZE or isinstance(base, Dense):
        return known_root(Dense(mantissa * _wide(base.to_dense())), scale + exponent)
    probe = known_root(base, scale + exponent)
    if isinstance(probe, ProductRoot):
        return ProductRoot(op, probe.exponent, probe.dtype)
    raise InputError(
        f"root: expected the scaled {type(base).__name__} as one operator, with the scalar inside"
    )


def _diagonal_plus_low_rank(op: DiagonalPlusLowRank, scale: int) -> KnownRoot:
    low = op.low
    C = _wide(low.core())
    if low.V is not None or not np.allclose(C, C.conj().T, rtol=1e-6, atol=0) or np.any(np.imag(op.d)):
        raise InputError("root: expected a Hermitian operator, with real d and U C U^H; leave V out")
    d = op.d.real.astype(np.float64)
    Q, R, _ = qr.cholesky_qr(_wide(low.U))
    core = dense.gemm(dense.gemm(R, C), R.conj().T)
    w, W = qr.small_eigh((core + core.conj().T) / 2)
    U = dense.gemm(Q, W)
    if op.constant and d.size:
        alpha = float(d[0])
        exponent = exponent_of(max(abs(alpha), float(np.abs(w).max(initial=0.0))))
        alpha, w = math.ldexp(alpha, -exponent), np.ldexp(w, -exponent)
        return ConstantRoot(len(d), alpha, U, w, exponent + scale, rounding_of(op.dtype, len(d)))
    exponent = exponent_of(largest_magnitude(d))
    # d alone need not be positive.
    base = EigenRoot(np.ldexp(d, -exponent), None, exponent + scale, _kind(op.dtype), definite=False)
    return CorrectedRoot(base, U, np.ldexp(w, scale - base.exponent))


def _kronecker(op: Kronecker, scale: int) -> KnownRoot:
    values, exponent = np.ones(1), 0
    bases: list[LinearOperator] = []
    for A in op.factors:
        if isinstance(A, Diagonal):
            w = _real_diagonal(A)
            bases.append(Diagonal(np.ones(A.shape[0])))
        else:
            w, U = qr.small_eigh(_hermitian(A.to_dense()))
            bases.append(Dense(U))
        e = exponent_of(largest_magnitude(w))
        values = np.multiply.outer(values, np.ldexp(w, -e)).ravel()
        exponent += e
    return _eigen(values, Kronecker(*bases), scale + exponent, op.dtype)


def _sparse(op: Sparse, scale: int) -> KnownRoot:
    P = op.matrix
    off = abs(P - P.conj().T)
    size = abs(P).max() if P.nnz else 0.0
    if (off.max() if off.nnz else 0.0) > 1e-6 * size:
        raise InputError("root: expected a Hermitian matrix; (A + A.conj().T) / 2 is one")
    if not size:
        return _eigen(np.zeros(op.shape[0]), None, scale, op.dtype)
    exponent = exponent_of(float(size))
    wide = P.astype(_kind(op.dtype)) * math.ldexp(1.0, -exponent)
    return SparseRoot((wide + wide.conj().T) / 2, exponent + scale, rounding_of(op.dtype, op.shape[0]))


def _dense(given: Array, scale: int) -> KnownRoot:
    P = _hermitian(given)
    if len(P) <= EIGEN_SIZE:
        w, V = qr.small_eigh(P)
        return _eigen(w, Dense(V), scale, given.dtype)
    if not P.any():
        return _eigen(np.zeros(len(P)), None, scale, P.dtype)
    exponent = exponent_of(largest_magnitude(P))
    return DenseRoot(P * math.ldexp(1.0, -exponent), exponent + scale)

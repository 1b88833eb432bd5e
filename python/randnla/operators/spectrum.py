# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The spectrum of a positive semidefinite factor: eigenvectors, and one eigenvalue for all others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend.errors import BreakdownError, InputError
from randnla._backend.kernels import dense, qr
from randnla.operators.base import Array, LinearOperator
from randnla.operators.dense import Dense
from randnla.operators.diagonal import Diagonal
from randnla.operators.lowrank import DiagonalPlusLowRank, LowRank, widened
from randnla.operators.structured import structured

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """``2^exponent (B diag(values) B^H + rest (I - B B^H))`` of order n.

    Attributes
    ----------
    order : int
    basis : (n, r) array or None
        Orthonormal eigenvectors; None for the identity.
    values : (r,) float64 array
        Nonnegative, below 1.
    rest : float or None
        The eigenvalue of the complement, None where r = n.
    exponent : int
        Of the largest eigenvalue: powers of two in the factor change nothing else.
    clipped : int
        Negative eigenvalues, which rounding had left, that were set to zero.
    least : float
        The most negative of them, 0 where there was none.
    """

    order: int
    basis: Array | None
    values: Values
    rest: float | None
    exponent: int
    clipped: int
    least: float

    @property
    def extended(self) -> Values:
        """The values, and behind them that of the complement if there is one."""
        return self.values if self.rest is None else np.append(self.values, self.rest)

    @property
    def multiplicity(self) -> Values:
        """How often each of `extended` occurs."""
        count = np.ones(self.values.size)
        return count if self.rest is None else np.append(count, self.order - self.values.size)

    @property
    def mean(self) -> float:
        """Trace over order, in units of 2^exponent."""
        return float(self.extended @ self.multiplicity) / max(1, self.order)

    @property
    def largest(self) -> float:
        """The largest eigenvalue, in units of 2^exponent."""
        return float(self.extended.max(initial=0.0))

    @property
    def full(self) -> bool:
        """A whole basis of its own: products with it are dense ones."""
        return self.basis is not None and self.rest is None

    def in_basis(self, dtype: Any) -> Array | None:
        """The basis in a dtype."""
        return None if self.basis is None else self.basis.astype(dtype, copy=False)

    def squares(self) -> Values | None:
        """``|B_ij|^2``, with what the complement has of each row behind; None for the identity."""
        if self.basis is None:
            return None
        inside = np.square(np.abs(self.basis).astype(np.float64))
        if self.rest is None:
            return inside
        return np.column_stack([inside, np.maximum(0.0, 1.0 - inside.sum(axis=1))])


def spectrum_of(op: LinearOperator, name: str, dtype: Any = None) -> Spectrum:
    """The spectrum of a Hermitian positive semidefinite operator, eigenvalues below zero clipped.

    An array costs an eigendecomposition. A low-rank term costs O(n r^2): its basis is taken as it is
    where it is orthonormal to rounding, else orthonormalized. An array of less precision than `dtype` is
    decomposed in that of `dtype`; what rounding explains stays a matter of its own.

    Raises
    ------
    InputError
        The operator is not square or Hermitian, or has no eigenvectors in closed form.
    NonFiniteError
        It holds NaN or Inf.
    BreakdownError
        An eigenvalue is more negative than rounding explains.
    """
    n = op.shape[0]
    if op.shape[1] != n:
        raise InputError(f"{name}: expected a square factor, got shape {op.shape}")
    op.require_finite(name=name)
    rest: float | None = None
    basis: Array | None
    if isinstance(op, Diagonal):
        values, basis = _real(op.values, name).astype(np.float64), None
    elif isinstance(op, (LowRank, DiagonalPlusLowRank)):
        values, basis, rest = _low_rank(op, name)
    else:
        try:
            w, basis = structured(_widened(op, dtype), "eigenvectors").eigh()
        except InputError as problem:
            raise InputError(f"{name}: {str(problem).removeprefix('A: ')}") from None
        values = w.astype(np.float64)
    return _clipped(n, basis, values, rest, np.finfo(op.dtype).eps, name)


def _widened(op: LinearOperator, dtype: Any) -> LinearOperator:
    if dtype is None or not isinstance(op, Dense):
        return op
    return Dense(op.array.astype(np.result_type(op.dtype, np.empty(0, dtype).real), copy=False))


def _real(values: Array, name: str) -> Array:
    if np.iscomplexobj(values) and values.imag.any():
        raise InputError(f"{name}: expected a Hermitian factor, got complex entries on the diagonal")
    return values.real


def _low_rank(op: LowRank | DiagonalPlusLowRank, name: str) -> tuple[Values, Array, float | None]:
    low = op if isinstance(op, LowRank) else op.low
    C = low.core()
    hermitian = low.V is None and np.array_equal(C, C.conj().T)
    if not (hermitian and (isinstance(op, LowRank) or op.constant)):
        raise InputError(f"{name}: expected tau I + U C U^H with a number tau and Hermitian C")
    n = op.shape[0]
    tau = 0.0
    if isinstance(op, DiagonalPlusLowRank) and n:
        tau = float(_real(op.d, name)[0])
    if low.rank <= n and (C.ndim == 1 or low.C is None or low.C.ndim == 1) and _orthonormal(low.U):
        w = np.diagonal(widened(C)).real
        basis = low.U
    else:
        Q, R, _ = qr.cholesky_qr(low.U, name=name)
        R = widened(R)
        core = dense.gemm(dense.gemm(R, widened(C)), R.conj().T)
        w, W = qr.small_eigh((core + core.conj().T) / 2)
        basis = dense.gemm(Q, np.ascontiguousarray(W.astype(Q.dtype)))
    values: Values = np.asarray(tau + w, dtype=np.float64)
    return values, basis, tau if basis.shape[1] < n else None


def _orthonormal(U: Array) -> bool:
    """Orthonormal columns to the rounding that iterations in their dtype leave."""
    off = np.abs(dense.gram(U, wide=True) - np.eye(U.shape[1])).max(initial=0.0)
    return bool(off <= 32 * np.finfo(U.dtype).eps)


def _clipped(
    n: int, basis: Array | None, values: Values, rest: float | None, eps: float, name: str
) -> Spectrum:
    every = values if rest is None else np.append(values, rest)
    largest = float(np.abs(every).max(initial=0.0))
    least = float(every.min(initial=0.0))
    if least < -4 * max(1, n) * eps * largest:
        raise BreakdownError(
            f"{name}: expected a positive semidefinite factor, got the eigenvalue {least:.3g} "
            f"beside {largest:.3g}"
        )
    exponent = math.frexp(largest)[1] if largest > 0 else 0
    scaled = np.ldexp(np.maximum(values, 0.0), -exponent)
    tail = None if rest is None else math.ldexp(max(rest, 0.0), -exponent)
    return Spectrum(n, basis, scaled, tail, exponent, int(np.count_nonzero(every < 0)), least)

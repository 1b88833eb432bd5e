# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The sum or difference of two Kronecker products, solved by two pairs of generalized eigenvectors."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import BreakdownError, InputError
from randnla._backend.kernels import dense, kron, qr, symmetric
from randnla.operators.base import Array, LinearOperator
from randnla.operators.factored import is_hermitian
from randnla.operators.kronecker import Kronecker
from randnla.operators.kronecker_function import stacked
from randnla.operators.lowrank import widened
from randnla.operators.spectrum import Values
from randnla.operators.structured import Structured, magnitude_ratio, structured


class TwoTermKronecker(Structured):
    """``A kron B + sign C kron D``, A and B Hermitian positive definite, C and D Hermitian.

    Parameters
    ----------
    A, C : arrays of shape (m, m)
    B, D : arrays of shape (n, n)
    sign : {1, -1}, default 1

    Attributes
    ----------
    clearance : float
        Least ``|1 + sign s_i t_j|`` over the generalized eigenvalues ``C x = s A x`` and ``D y = t B y``: how
        far the second term is from cancelling the first. The operator is singular where it is 0. At least 1
        where the second term is positive semidefinite.

    Raises
    ------
    InputError
        Shapes do not fit, or a matrix is not Hermitian.
    NonFiniteError
        A matrix holds NaN or Inf.
    BreakdownError
        A or B is not positive definite.

    Notes
    -----
    *Algorithm*: with K_1^H A K_1 = I, K_1^H C K_1 = diag(s) and K_2 likewise for B and D,
    ``(A kron B + sign C kron D)^-1 = (K_1 kron K_2) diag(1 / (1 + sign s_i t_j)) (K_1 kron K_2)^H`` (Martens
    and Grosse, 2015, appendix B), by Cholesky factors and eigenvectors in float64 when the operator is made.
    Where C and D are semidefinite and ``sign C kron D`` is positive, eigenvalues s and t of the other sign
    are rounding and count as zero: such a sum has an inverse whatever the sizes of its terms.

    `condition` is a bound: the smaller of cond(A) cond(B) max |1 + sign s t| / min |1 + sign s t| and, where
    both terms are positive semidefinite and added, the ratio of sums of products of extreme eigenvalues.

    *Cost*: O(m^3 + n^3) once; 4 m n (m + n) flops for each column of a product or solve.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla import TwoTermKronecker
    >>> A, B, C, D = np.diag([2.0, 3.0]), np.eye(2), np.eye(2), np.array([[1.0, 0.5], [0.5, 1.0]])
    >>> K = TwoTermKronecker(A, B, C, D, sign=-1)
    >>> x = K.solve(np.ones(4))
    >>> bool(np.allclose((np.kron(A, B) - np.kron(C, D)) @ x, 1)), round(K.clearance, 6)
    (True, 0.25)
    """

    def __init__(self, A: Any, B: Any, C: Any, D: Any, *, sign: int = 1) -> None:
        self.sign = validate.integer(sign, name="sign", low=-1, high=1)
        if not self.sign:
            raise InputError("sign: expected 1 or -1, got 0")
        given = [validate.as_matrix(X, name=name) for X, name in zip((A, B, C, D), "ABCD", strict=True)]
        for X, like, name in zip(given, (*given[:2], *given[:2]), "ABCD", strict=True):
            if X.shape != (len(like), len(like)):
                raise InputError(f"{name}: expected shape ({len(like)}, {len(like)}), got {X.shape}")
            validate.require_finite(X, name=name)
            if not is_hermitian(X):
                raise InputError(
                    f"{name}: expected a Hermitian matrix; ({name} + {name}.conj().T) / 2 is one"
                )
        self.first, self.second = Kronecker(*given[:2]), Kronecker(*given[2:])
        super().__init__(self.first.shape, np.result_type(*given), check_finite=False)
        self.s, self._K1, first = _generalized(given[2], given[0], "A")
        self.t, self._K2, second = _generalized(given[3], given[1], "B")
        left, right = _definiteness(given[2]), _definiteness(given[3])
        if left * right == self.sign:
            self.s, self.t = left * np.maximum(left * self.s, 0.0), right * np.maximum(right * self.t, 0.0)
        self._logdet = len(self.t) * first + len(self.s) * second  # of A kron B

    def _table(self) -> Values:
        return np.asarray(1.0 + self.sign * np.multiply.outer(self.s, self.t))

    @property
    def clearance(self) -> float:
        """Least ``|1 + sign s_i t_j|``."""
        return float(np.abs(self._table()).min(initial=math.inf))

    def _matmat(self, X: Array) -> Array:
        return np.asarray(self.first.matmat(X) + self.sign * self.second.matmat(X))

    def _rmatmat(self, Y: Array) -> Array:
        return self._matmat(Y)

    @property
    def H(self) -> LinearOperator:
        """The operator itself."""
        return self

    def diag(self) -> Array:
        """From the diagonals of the factors."""
        return np.asarray(self.first.diag() + self.sign * self.second.diag())

    @cached_property
    def _inverse(self) -> TwoTermInverse:
        table = self._table()
        size, s, t = np.abs(table), np.abs(self.s), np.abs(self.t)
        # s and t are known to rounding of the largest of them, which matters where the terms cancel.
        unit = 8 * np.finfo(np.float64).eps * max(1, s.size, t.size)
        noise = unit * (1.0 + np.add.outer(s * t.max(initial=0.0), s.max(initial=0.0) * t))
        lost = np.where((size <= noise) & (size < 0.5), size, np.inf)
        if np.isfinite(lost).any():
            i, j = np.unravel_index(int(np.argmin(lost)), size.shape)
            raise BreakdownError(
                f"A: singular to rounding, 1 {'+' if self.sign > 0 else '-'} s t = {table[i, j]:.3g} for the "
                f"generalized eigenvalues s = {self.s[i]:.6g} and t = {self.t[j]:.6g}"
            )
        made = TwoTermInverse(self, self._K1, self._K2)
        if not (largest := made.largest_bound()) <= float(np.finfo(self.dtype).max):
            raise BreakdownError(
                f"A: entries of the inverse, up to {largest:.3g}, are beyond the range of {self.dtype}"
            )
        return made

    def inverse(self) -> TwoTermInverse:
        """The inverse in the generalized eigenvectors.

        Raises
        ------
        BreakdownError
            An eigenvalue 1 + sign s t vanishes to rounding, the message names it; or the inverse is beyond
            the range of the dtype.
        """
        return self._inverse

    def solve_matrix(self, V: Any) -> Any:
        """W of shape (..., m, n) with ``A W B^T + sign C W D^T = V``, an array of the kind of V."""
        return self.inverse().apply_matrix(V)

    def slogdet(self) -> tuple[Any, float]:
        """From the determinants of A and B and the generalized eigenvalues."""
        table = self._table()
        with np.errstate(divide="ignore"):
            value = self._logdet + float(np.log(np.abs(table)).sum())
        return float(np.sign(table).prod()), value

    def condition(self) -> float:
        """An upper bound of the condition number."""
        bound = magnitude_ratio(self._table())
        for K in (self._K1, self._K2):
            bound *= magnitude_ratio(qr.small_svd(K)[1]) ** 2
        low = high = 0.0
        for pair in (self.first, self.second):
            w = [structured(X, "eigenvalues").eigh()[0].astype(np.float64) for X in pair.factors]
            if self.sign < 0 or any(x.min(initial=0.0) < 0 for x in w):
                return bound
            low += math.prod(float(x.min(initial=math.inf)) for x in w)
            high += math.prod(float(x.max(initial=0.0)) for x in w)
        return min(bound, high / low) if 0 < low < math.inf else bound


class TwoTermInverse(Structured):
    """The inverse of a `TwoTermKronecker`."""

    def __init__(self, base: TwoTermKronecker, K1: Array, K2: Array) -> None:
        super().__init__(base.shape, base.dtype, check_finite=False)
        self.base = base
        # Powers of two go with the weights: A and B of sizes that make up for each other stay in range.
        (left, first), (right, second) = (_unit(X) for X in (K1, K2.conj()))
        self._P, self._Q = (np.ascontiguousarray(X.astype(self.dtype)) for X in (left, right))
        with np.errstate(over="ignore"):
            scale = float(np.ldexp(1.0, 2 * (first + second)))
        self._weights = kron.KronWeights(base.sign * base.s, base.t, 1.0, -2, scale)

    def _on_diagonal(self, table: Values) -> Values:
        left, right = (np.square(np.abs(X).astype(np.float64)) for X in (self._P, self._Q))
        return dense.gemm(dense.gemm(left, table), np.ascontiguousarray(right.T))

    def largest_bound(self) -> float:
        """A bound of the magnitude of all entries and weights, the largest entry itself where definite."""
        table = np.abs(self._weights.table())
        largest = float(table.max(initial=0.0))
        return (
            max(largest, float(self._on_diagonal(table).max(initial=0.0)))
            if math.isfinite(largest)
            else math.inf
        )

    def apply_matrix(self, V: Any) -> Any:
        """The inverse on matrices V of shape (..., m, n), an array of the kind of V.

        Its ravel is the product with ``V.ravel()``.

        Raises
        ------
        InputError
            The last two axes do not fit.
        """
        stack, shape = stacked(V, (len(self._P), len(self._Q)))
        return namespace.restore(namespace.kind_of(V), self._on_batch(stack).reshape(shape))

    def _on_batch(self, V: Array) -> Array:
        if np.iscomplexobj(V) and self.dtype.kind != "c":
            return np.asarray(self._on_batch(V.real) + 1j * self._on_batch(V.imag))
        dtype = np.result_type(self.dtype, V.dtype)
        P, Q, V = (X.astype(dtype, copy=False) for X in (self._P, self._Q, V))
        return kron.kron_function(P, Q, self._weights, V)

    def _matmat(self, X: Array) -> Array:
        stack = np.ascontiguousarray(X.T).reshape(X.shape[1], len(self._P), len(self._Q))
        return self._on_batch(stack).reshape(X.T.shape).T

    def _rmatmat(self, Y: Array) -> Array:
        return self._matmat(Y)

    @property
    def H(self) -> LinearOperator:
        """The operator itself."""
        return self

    def diag(self) -> Array:
        """From the squares of the generalized eigenvectors."""
        return np.asarray(self._on_diagonal(self._weights.table()).ravel().astype(self.dtype))

    def inverse(self) -> TwoTermKronecker:
        """The sum itself."""
        return self.base

    def slogdet(self) -> tuple[Any, float]:
        """From that of the sum."""
        sign, value = self.base.slogdet()
        return sign, -value

    def condition(self) -> float:
        """That of the sum, a bound."""
        return self.base.condition()


def _unit(X: Array) -> tuple[Array, int]:
    """X over a power of two, entries at most 1 in magnitude, and the exponent."""
    exponent = math.frexp(float(np.abs(X).max(initial=0.0)))[1]
    return qr.scale_by_power(X.copy(), -exponent), exponent


def _definiteness(C: Array) -> int:
    """1 where a Hermitian C is positive semidefinite to rounding of its dtype, -1 where -C is, else 0."""
    eps, n, C = float(np.finfo(C.dtype).eps), len(C), widened(C)
    size = np.abs(C)
    if not size.any():
        return 1
    # Definite once added is what rounding may have taken: of the product that made C, as in `is_hermitian`,
    # and of the factorization here.
    wide = float(np.finfo(np.float64).eps)
    slack = (8 * eps * math.sqrt(n) * size.max() + 2 * wide * size.sum(axis=1).max()) * np.eye(n)
    for sign in (1, -1):
        if qr.small_cholesky(np.ascontiguousarray(sign * C + slack)) is not None:
            return sign
    return 0


def _generalized(C: Array, A: Array, name: str) -> tuple[Values, Array, float]:
    """s and K in float64 with ``K^H A K = I`` and ``K^H C K = diag(s)``, and log det A."""
    A, C = np.ascontiguousarray(widened(A)), np.ascontiguousarray(widened(C))
    R = qr.small_cholesky(A)
    if R is None:
        raise BreakdownError(f"{name}: expected a positive definite matrix, its Cholesky factorization fails")
    solved = symmetric.pencil(C, A)
    assert solved is not None  # A has just been factored
    s, K = solved
    logdet = 2.0 * float(np.log(np.diagonal(R).real).sum())
    return s, np.ascontiguousarray(K), logdet

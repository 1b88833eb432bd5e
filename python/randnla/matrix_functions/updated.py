# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A matrix root after low-rank changes of the matrix, as an operator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import BreakdownError, InputError
from randnla._backend.kernels import dense, qr
from randnla._backend.results import Info
from randnla.operators import LinearOperator, Structured, as_operator
from randnla.operators.base import Array
from randnla.operators.lowrank import condition_beside_identity, widened
from randnla.operators.structured import structured

Change = tuple[Array, int]


def with_change(changes: tuple[Change, ...], Z: Array, sign: int) -> tuple[Change, ...]:
    """The changes and one more, less the columns that it takes back as they were, to the bit."""
    kept: list[Change] = []
    for held, s in changes:
        if s == sign:
            kept.append((held, s))
            continue
        free = np.ones(held.shape[1], bool)
        fresh = np.ones(Z.shape[1], bool)
        for j in range(Z.shape[1]):
            same = np.flatnonzero(free & (held == Z[:, j : j + 1]).all(axis=0))
            if same.size:
                free[same[0]] = fresh[j] = False
        if not free.all():
            held, Z = held[:, free], Z[:, fresh]
        if held.shape[1]:
            kept.append((held, s))
    return (*kept, (Z, sign)) if Z.shape[1] else tuple(kept)


class SqrtUpdate(Structured):
    """``base + Y diag(weights) Y^H``: what `sqrt_update` returns.

    Parameters
    ----------
    base : operator of shape (n, n)
        The root before the changes.
    Y : array of shape (n, q)
        Orthonormal columns.
    weights : array of shape (q,)
        Real, the largest in magnitude first.
    info : Info, optional
    inverse : bool, default False
        Whether this is the root of the inverse of the matrix that changes.
    changes : tuple of (array, int)
        The (Z, sign) by which the matrix changed since `base`; kept for a refresh.

    Attributes
    ----------
    info : Info
        `residual` is the backward error over the norm of the matrix whose root this is, accumulated over
        all changes since `base`; `error_estimate` the same in absolute terms (Frobenius norm);
        `error_relative` the backward error of the last change, over the norm of that change.

    Notes
    -----
    *Cost*: a product with `base` and 4 n q flops for each column.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> root = randnla.sqrt_update(randnla.Diagonal(np.ones(4)), np.ones((4, 1)))
    >>> (root @ (root @ np.ones(4))).round(9), root.rank
    (array([5., 5., 5., 5.]), 1)
    """

    def __init__(
        self,
        base: Any,
        Y: Any,
        weights: Any,
        *,
        info: Info | None = None,
        inverse: bool = False,
        changes: tuple[Change, ...] = (),
    ) -> None:
        self.base: LinearOperator = as_operator(base, name="base")
        self.Y: Array = validate.as_matrix(Y, name="Y")
        self.weights: Array = validate.as_array(weights, name="weights", ndim=1)
        n = self.base.shape[0]
        if self.base.shape != (n, n) or self.Y.shape != (n, self.weights.size):
            raise InputError(
                f"Y: expected {n} rows and {self.weights.size} columns for base {self.base.shape}, "
                f"got shape {self.Y.shape}"
            )
        self.info = Info() if info is None else info
        self.inverse_root = validate.flag(inverse, name="inverse")
        self.changes = tuple(changes)
        super().__init__((n, n), np.result_type(self.base.dtype, self.Y.dtype))

    @property
    def rank(self) -> int:
        """Columns of Y, q."""
        return int(self.weights.size)

    def _matmat(self, X: Array) -> Array:
        inner = self.weights[:, None] * dense.gemm(self.Y.conj().T, X)
        return self.base.matmat(X) + dense.gemm(self.Y, inner.astype(np.result_type(self.Y, X), copy=False))

    def _rmatmat(self, Y: Array) -> Array:
        return self._matmat(Y)  # Hermitian

    @property
    def T(self) -> LinearOperator:
        """The operator itself where it is real."""
        return self if self.dtype.kind != "c" else super().T

    @property
    def H(self) -> LinearOperator:
        """The operator itself: it is Hermitian."""
        return self

    def to_dense(self) -> Array:
        """The matrix as an array."""
        low = dense.gemm(self.Y * self.weights, self.Y.conj().T)
        return np.asarray(self.base.to_dense() + low)

    def diag(self) -> Array:
        """The diagonal, where that of the base is known."""
        low = np.einsum("ij,j,ij->i", self.Y, self.weights, self.Y.conj())
        return np.asarray(structured(self.base, "diag").diag() + low)

    def _capacitance(self, solved: Array) -> Array:
        """``I + w Y^H P_0^-1 Y`` in float64."""
        kind = np.complex128 if self.dtype.kind == "c" else np.float64
        product = dense.gemm(self.Y.conj().T.astype(kind), solved.astype(kind))
        return np.asarray(np.eye(self.rank) + self.weights[:, None].astype(np.float64) * product)

    def inverse(self) -> SqrtUpdate:
        """The inverse by Woodbury's identity, of the same kind, where the base has one in closed form.

        It is the inverse root of the changed matrix where this is the root, and the other way round;
        `info.residual` grows by no more than the condition of the matrix.
        """
        base = structured(self.base, "inverse").inverse()
        solved = base.matmat(self.Y)
        Q, R, _ = qr.cholesky_qr(solved.astype(np.result_type(solved.dtype, np.float64)))
        # inner^-1 w is Hermitian.
        C, small = qr.householder_qr(self._capacitance(solved).conj().T)
        if not np.all(np.abs(np.diagonal(small)) > 0):
            raise BreakdownError("A: singular, a pivot of the capacitance is zero")
        half = qr.triangular_solve_right(np.diag(self.weights).astype(small.dtype), small)
        core = dense.gemm(dense.gemm(R, dense.gemm(half, C.conj().T)), R.conj().T)
        w, U = qr.small_eigh(-(core + core.conj().T) / 2)
        order = np.argsort(-np.abs(w), kind="stable")
        Y = dense.gemm(Q, np.ascontiguousarray(U[:, order])).astype(self.dtype)
        # With P^2 = A + R, P^-2 = A^-1 - A^-1 R P^-2.
        residual = self.info.residual
        if residual:
            residual *= self._condition_or_infinite() ** 2
        flipped = Info(
            rank=self.rank, path="inverse of an update", residual=residual, error_kind=self.info.error_kind
        )
        return SqrtUpdate(
            base,
            Y,
            w[order].astype(self.weights.dtype),
            info=flipped,
            inverse=not self.inverse_root,
            changes=self.changes,
        )

    def slogdet(self) -> tuple[Any, float]:
        """From that of the base and the capacitance."""
        sign, value = structured(self.base, "slogdet").slogdet()
        if not sign:
            raise self._none("determinant (that of base is zero)")
        core = self._capacitance(structured(self.base, "inverse").inverse().matmat(self.Y))
        inner = np.linalg.slogdet(core)
        return (sign * inner.sign).item() if hasattr(sign * inner.sign, "item") else sign * inner.sign, (
            value + float(inner.logabsdet)
        )

    def condition(self) -> float:
        """``cond(P_0) cond(I + P_0^-1 Y diag(weights) Y^H)``, exact for a base that is a multiple of I."""
        base = structured(self.base, "condition")
        known = base.condition()
        if not math.isfinite(known):
            return known
        solved = base.inverse().matmat(self.Y)
        return known * condition_beside_identity(solved, np.diag(widened(self.weights)), self.Y)

    def _condition_or_infinite(self) -> float:
        try:
            return self.condition()
        except InputError:  # of no closed form
            return math.inf

    def frobenius_norm(self) -> float | None:
        """From that of the base and products with Y."""
        norm = self.base.frobenius_norm()
        if norm is None:
            return None
        cross = float(np.real(np.einsum("ij,ij,j->", self.Y.conj(), self.base.matmat(self.Y), self.weights)))
        return math.sqrt(max(norm**2 + 2 * cross + float((self.weights.astype(np.float64) ** 2).sum()), 0.0))

    def require_finite(self, *, name: str = "A") -> None:
        """The base and the factors."""
        self.base.require_finite(name=f"{name} (base)")
        validate.require_finite(self.Y, name=f"{name} (Y)")
        validate.require_finite(self.weights, name=f"{name} (weights)")

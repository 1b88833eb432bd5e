# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Lanczos for several starting vectors at once: one product with A a step, a tridiagonal matrix a column."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from randnla._backend.errors import BreakdownError, InputError
from randnla._backend.kernels import dense, qr
from randnla.lowrank.error import frobenius
from randnla.lowrank.scaling import real_dtype, unit_roundoff

Array = npt.NDArray[Any]
Product = Callable[[Array], Array]


class Lanczos:
    """``A Q_j = Q_j T_j + beta_m q e_m^H`` for every column j of a starting block.

    Parameters
    ----------
    product : callable
        ``X -> A X`` for Hermitian A and X of shape (n, k).
    start : array of shape (n, k)
        Columns of unit norm.
    reorthogonalize : bool
        Against all basis vectors, twice where once did not do.
    name : str
        Of A, for messages.
    exact : bool
        Products are A X up to rounding, so that they tell a matrix that is not Hermitian. Those of an
        iterative solver do not.
    spacing : float
        Absolute rounding of an entry of a product, where that is more than its relative rounding: of
        denormal numbers.

    Attributes
    ----------
    basis : array of shape (k, steps + 1, n)
    alpha, beta : float64 arrays of shape (k, steps)
    done : array of bool, shape (k,)
        The Krylov space of this column is invariant.
    length : array of int, shape (k,)
        Its dimension, where it is.
    """

    def __init__(
        self,
        product: Product,
        start: Array,
        *,
        reorthogonalize: bool,
        name: str = "A",
        exact: bool = True,
        spacing: float = 0.0,
    ) -> None:
        n, k = start.shape
        self.exact, self.spacing = exact, spacing
        self.product, self.reorthogonalize, self.name = product, reorthogonalize, name
        self.steps = 0
        self.basis: Array = np.empty((k, 9, n), start.dtype)
        self.basis[:, 0] = start.T
        self.alpha: Array = np.zeros((k, 8))
        self.beta: Array = np.zeros((k, 8))
        self.length: Array = np.zeros(k, int)
        self.done: Array = np.zeros(k, bool)
        self.matvecs = 0

    def _grow(self) -> None:
        k, held, n = self.basis.shape
        if self.steps + 1 < held:
            return
        more = held // 2 + 1
        self.basis = np.concatenate([self.basis, np.empty((k, more, n), self.basis.dtype)], axis=1)
        self.alpha = np.concatenate([self.alpha, np.zeros((k, more))], axis=1)
        self.beta = np.concatenate([self.beta, np.zeros((k, more))], axis=1)

    def step(self) -> None:
        """One product with all columns whose space still grows."""
        self._grow()
        m, live = self.steps, np.flatnonzero(~self.done)
        W = self.product(np.ascontiguousarray(self.basis[live, m].T))
        if not dense.screen(W).finite:
            raise BreakdownError(f"{self.name}: a product with it is not finite")
        self.matvecs += live.size
        for column, j in enumerate(live):
            self._orthogonalize(int(j), m, np.ascontiguousarray(W[:, column : column + 1]))
        self.steps = m + 1

    def _orthogonalize(self, j: int, m: int, w: Array) -> None:
        Q = self.basis[j, : m + 1]
        size = _norm(w)
        u = unit_roundoff(w.dtype)
        local = dense.gemm(_conj(Q[max(0, m - 1) :]), w)
        self.alpha[j, m] = float(local[-1, 0].real)
        scale = max(
            size, float(np.abs(self.alpha[j, : m + 1]).max()), float(self.beta[j, :m].max(initial=0.0))
        )
        if self.exact:
            self._require_hermitian(j, m, local[:, 0], scale)
        w = w - dense.gemm(np.ascontiguousarray(Q[max(0, m - 1) :].T), local)
        if self.reorthogonalize:
            before = math.inf
            for _ in range(3):
                now = _norm(w)
                if now > 0.5 * before:
                    break
                before = now
                w -= dense.gemm(Q.T, dense.gemm(_conj(Q), w))
        beta = _norm(w)
        if beta <= 4 * u * math.sqrt(w.shape[0]) * scale or m + 1 >= w.shape[0]:
            self.done[j], self.length[j] = True, m + 1
            return
        self.beta[j, m] = beta
        self.basis[j, m + 1] = (w / beta)[:, 0]

    def _require_hermitian(self, j: int, m: int, local: Array, scale: float) -> None:
        # q_{m-1}^H A q_m is beta and q_m^H A q_m real where A is Hermitian, in finite precision, too.
        n = self.basis.shape[2]
        slack = 1e4 * unit_roundoff(self.basis.dtype) * math.sqrt(n) * scale + 4 * n * self.spacing
        off = abs(float(np.imag(local[-1])))
        if m:
            off = max(off, abs(complex(local[0]) - float(self.beta[j, m - 1])))
        if off > slack:
            raise InputError(
                f"{self.name}: expected a Hermitian matrix, products with it differ by {off:.3g}"
            )

    def dimension(self, j: int) -> int:
        """Of the Krylov space of column j."""
        return int(self.length[j]) if self.done[j] else self.steps

    def ritz(self, j: int, m: int) -> tuple[Array, Array]:
        """Ritz values and eigenvectors of the leading m x m part of T_j."""
        T = np.diag(self.alpha[j, :m])
        off = np.arange(m - 1)
        T[off, off + 1] = T[off + 1, off] = self.beta[j, : m - 1]
        return qr.small_eigh(T)

    def combine(self, j: int, coefficients: Array) -> Array:
        """``Q_j c`` for c (m,), complex where c is."""
        Q = self.basis[j, : coefficients.size]
        if np.iscomplexobj(coefficients) and not np.iscomplexobj(Q):
            parts = np.stack([coefficients.real, coefficients.imag], axis=1).astype(Q.dtype)
            both = dense.gemm(Q.T, parts)
            return both[:, 0] + 1j * both[:, 1]
        c = coefficients.astype(Q.dtype)
        return dense.gemm(Q.T, np.ascontiguousarray(c[:, None]))[:, 0]


def _conj(Q: Array) -> Array:
    # conj() of a real array is a copy.
    return Q.conj() if np.iscomplexobj(Q) else Q


def _norm(w: Array) -> float:
    return frobenius(w)


def extreme_values(
    product: Product, n: int, dtype: Any, *, steps: int = 20, name: str = "A", exact: bool = True
) -> tuple[float, float]:
    """The least and the greatest Ritz value after a few steps from a fixed vector: bounds from inside."""
    if n == 0:
        return 0.0, 0.0
    # A fixed vector without symmetries: a chirp.
    start = np.cos(np.arange(1, n + 1, dtype=np.float64) ** 2 % 6.283) + 0.1
    start = (start / frobenius(start[None])).astype(real_dtype(dtype)).astype(dtype)
    run = Lanczos(product, start[:, None], reorthogonalize=True, name=name, exact=exact)
    while run.steps < min(n, steps) and not run.done[0]:
        run.step()
    values = run.ritz(0, run.dimension(0))[0]
    return float(values[0]), float(values[-1])

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Neighboring layers of a chain: averaged cross factors, and what they add to the inverse of a layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend.errors import BreakdownError, StateError
from randnla._backend.kernels import dense, qr, symmetric
from randnla._backend.kernels.dense import Array
from randnla.operators.two_term import TwoTermKronecker

from ..factors.average import Average
from ..factors.batch import Batch


class CrossFactor:
    """Exponential average of ``X^T Y / n`` over pairs of batches, in float64; weighted as all factors are."""

    def __init__(self, rows: int, columns: int, average: Average) -> None:
        self._average = average
        self._sum = np.zeros((rows, columns))

    @property
    def value(self) -> Array:
        """The average."""
        return self._average.scale * self._sum

    def absorb(self, X: Batch, Y: Batch, scale: float) -> None:
        """Average in a pair of checked batches of as many rows, times `scale`."""
        average, keep = self._average.next()
        share = math.ldexp(scale * (1.0 - keep) / len(X.rows), X.exponent + Y.exponent)
        self._sum = keep * self._sum + share * dense.gemm(X.rows.T, Y.rows).astype(np.float64)
        self._average = average

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays."""
        return {"sum": self._sum.copy(), "count": self._average.count}

    def restored(self, state: dict[str, Any]) -> Self:
        """One like this in the state described.

        Raises
        ------
        StateError
        """
        if state.keys() != {"sum", "count"}:
            raise StateError(f"cross factor: expected the fields sum and count, got {sorted(state)}")
        count = int(plain_state.unwrap(state["count"]))
        made = type(self)(*self._sum.shape, Average(self._average.ema, self._average.start, count))
        made._sum = plain_state.array_of(state, "sum", self._sum.shape, np.float64)
        return made


@dataclass(frozen=True)
class Link:
    """What is known of one layer given the next: ``w | w_next ~ N(psi_left W_next psi_right^T, Sigma)``.

    Attributes
    ----------
    left, right : (m, m) and (n, n) float64 arrays
        The damped factors of the layer.
    shared_left, shared_right : arrays alike, or None
        What the next layer explains: ``Sigma = left kron right - shared_left kron shared_right``. None at the
        end of the chain.
    psi_left, psi_right : (m, m_next) and (n, n_next) arrays, or None
    """

    left: Array
    right: Array
    shared_left: Array | None = None
    shared_right: Array | None = None
    psi_left: Array | None = None
    psi_right: Array | None = None

    @cached_property
    def sigma(self) -> TwoTermKronecker:
        """The conditional covariance."""
        if self.shared_left is None or self.shared_right is None:
            nothing = np.zeros_like(self.left), np.zeros_like(self.right)
            return TwoTermKronecker(self.left, self.right, *nothing)
        return TwoTermKronecker(self.left, self.right, self.shared_left, self.shared_right, sign=-1)

    def explained(self, V: Array) -> Array:
        """``psi_left V psi_right^T``: from the next layer to this one."""
        assert self.psi_left is not None
        assert self.psi_right is not None
        return dense.gemm(dense.gemm(self.psi_left, V), self.psi_right.T)

    def passed_on(self, W: Array) -> Array:
        """``psi_left^T W psi_right``: from this layer to the next."""
        assert self.psi_left is not None
        assert self.psi_right is not None
        return dense.gemm(dense.gemm(self.psi_left.T, W), self.psi_right)

    def state_dict(self) -> dict[str, Any]:
        """Plain arrays."""
        fields = ("left", "right", "shared_left", "shared_right", "psi_left", "psi_right")
        return {name: value.copy() for name in fields if (value := getattr(self, name)) is not None}

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> Self:
        """The link a state describes.

        Raises
        ------
        StateError
        """
        try:
            made = cls(**{name: np.array(value, np.float64) for name, value in state.items()})
            made.sigma.inverse()
        except (TypeError, ValueError, BreakdownError) as problem:
            raise StateError(f"link: {problem}") from problem
        return made


def link(
    here: tuple[Array, Array], following: tuple[Array, Array], cross: tuple[Array, Array], limit: float
) -> Link:
    """The link of two neighbors from their damped factors (left, right) and the cross factors between them.

    Parameters
    ----------
    here, following : pairs of positive definite float64 arrays
    cross : pair of arrays (m, m_next), (n, n_next)
    limit : float below 1
        Where the products of generalized eigenvalues of shared and own factors pass it, either is cut there.

    Raises
    ------
    BreakdownError
        A damped factor is not positive definite.

    Notes
    -----
    With psi = X Y^-1 of a cross factor X and the next layer's factor Y, shared = X Y^-1 X^T. The joint moment
    matrix of both layers is semidefinite, so that shared <= own factor; damping makes it definite. Rounding
    of float32 sums, or a next layer that is a linear function of this one, leaves eigenvalues of the pencil
    (shared, own) at 1 or above, where Sigma would be singular or worse.
    """
    shared, psi = [], []
    for Y, X in zip(following, cross, strict=True):
        R = qr.small_cholesky(Y)
        if R is None:
            raise BreakdownError("factor: expected a positive definite matrix, its factorization fails")
        root = qr.triangular_solve_right(np.ascontiguousarray(X), R)
        back = qr.triangular_solve_right(np.eye(len(R)), R)
        psi.append(dense.gemm(root, back.T))
        gram = dense.gemm(root, root.T)
        shared.append((gram + gram.T) / 2)
    made = Link(*here, *shared, *psi)
    if float(made.sigma.s.max()) * float(made.sigma.t.max()) > limit:
        cut = (_cut(C, A, limit) for C, A in zip(shared, here, strict=True))
        made = Link(*here, *cut, *psi)
    return made


def _cut(C: Array, A: Array, limit: float) -> Array:
    """C with the generalized eigenvalues of the pencil (C, A) cut at `limit`."""
    solved = symmetric.pencil(C, A)
    if solved is None:
        raise BreakdownError("factor: expected a positive definite matrix, its factorization fails")
    s, K = solved
    root = dense.gemm(A, np.ascontiguousarray(K))  # K^T A K = I: C = (A K) diag(s) (A K)^T
    made = dense.gemm(root * np.clip(s, 0.0, limit), root.T)
    return np.asarray((made + made.T) / 2)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""One sweep over the modes: concurrent orthogonalization, and alternating least squares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from randnla._backend.kernels.tensor import mttkrp

from .arguments import Array, change, unit_columns

CONDITION = 1e3  # of a factor, beyond which its duals inflate noise too far to be trusted in silence
CUTOFF = 1e-8  # singular values of a factor below this share of the largest are noise to its dual


@dataclass
class State:
    """Unit factors and weights on their way, and the largest move of a column in the last sweep."""

    weights: Array
    factors: list[Array]
    change: float = np.inf
    condition: float = 1.0
    sweeps: int = 0

    def take(self, mode: int, V: Array) -> float:
        """Columns of a factor times their weights; how far the farthest of them is from the old one."""
        unit, norms = unit_columns(V)
        unit = np.where(norms > 0, unit, self.factors[mode])
        moved = change(unit, self.factors[mode], norms)
        self.factors[mode], self.weights = unit, norms
        return moved


Sweep = Callable[[Array, State], None]


def dual_basis(A: Array) -> tuple[Array, float]:
    """``A (A^T A)^{-1}`` and the condition of A: column j meets a_j in 1 and the other columns in 0."""
    U, s, Vh = np.linalg.svd(A, full_matrices=False)
    if s.size == 0 or s[0] == 0:
        return np.zeros_like(A), 1.0
    keep = s > max(CUTOFF, float(np.finfo(A.dtype).eps)) * s[0]
    inverse = np.where(keep, 1 / np.where(keep, s, 1), 0)
    return np.asarray((U * inverse) @ Vh), float(s[0] / s[-1]) if s[-1] > 0 else np.inf


def pseudo_inverse(G: Array) -> Array:
    """Of a Gram matrix, what is lost in its rounding left out."""
    rcond = 10 * len(G) * float(np.finfo(G.dtype).eps)
    return np.asarray(np.linalg.pinv(G, rcond=rcond, hermitian=True))


def orthogonalization_sweep(T: Array, state: State) -> None:
    """Han and Zhang (2021), iterative concurrent orthogonalization: ``a_kj ~ T x_{l != k} b_lj^T``.

    In T = sum_i lambda_i a_1i o ... o a_Ki the dual vectors of the other modes annul all components but j, so
    that K - 1 errors multiply: the order of convergence is K - 1. Modes follow each other, components do not.
    """
    duals, moved, condition = [], 0.0, 1.0
    for factor in state.factors:
        B, c = dual_basis(factor)
        duals.append(B)
        condition = max(condition, c)
    for k in range(T.ndim):
        moved = max(moved, state.take(k, mttkrp(T, duals, k)))
        duals[k], c = dual_basis(state.factors[k])
        condition = max(condition, c)
    state.change, state.condition = moved, condition
    state.sweeps += 1


def least_squares_sweep(T: Array, state: State) -> None:
    """Alternating least squares: ``A_k <- unfold(T, k) KR (KR^T KR)^+``, a Hadamard product of Grams."""
    grams = [factor.T @ factor for factor in state.factors]
    moved = 0.0
    for k in range(T.ndim):
        G = np.prod([gram for other, gram in enumerate(grams) if other != k], axis=0)
        moved = max(moved, state.take(k, mttkrp(T, state.factors, k) @ pseudo_inverse(G)))
        grams[k] = state.factors[k].T @ state.factors[k]
    state.change = moved
    state.sweeps += 1


def iterate(T: Array, state: State, sweep: Sweep, tol: float, max_iters: int) -> bool:
    """Sweeps until no column moves by more than `tol`; False where `max_iters` did not do."""
    if state.weights.size == 0 or not np.any(state.weights):
        return True
    for _ in range(max_iters):
        sweep(T, state)
        if state.change <= tol:
            return True
    return False

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Solvers under attack: a shift of the size of the matrix keeps its condition moderate."""

from __future__ import annotations

from typing import Any

import numpy as np
from hostile_functions import indefinite, magnitude, rows_of
from hostile_targets import Array, Target, parameters, rescale

import randnla
from randnla.operators import Diagonal, as_operator


def right_hand_side(A: Any) -> Array:
    return np.cos(np.arange(rows_of(A))) + 2


def solved(A: Any, **keywords: Any) -> Any:
    b = right_hand_side(A)
    return randnla.solve(A, b, **{"shift": magnitude(A), "rng": 0, **keywords})


def shifted(A: Any, **keywords: Any) -> Any:
    """A symmetric matrix by way of its operator, and twice its size on the diagonal."""
    op = as_operator(A, check_finite=keywords.get("check_finite", True))
    keywords.pop("check_finite", None)
    if op.shape[0] != op.shape[1]:
        return randnla.gmres(op, right_hand_side(A), rng=0, **keywords)
    op.require_finite()
    dense = op.to_dense()
    if not np.allclose(dense, dense.conj().T, rtol=1e-6, atol=0.0, equal_nan=True):
        raise randnla.InputError("A: expected a symmetric matrix, others have tests of their own")
    diagonal = np.full(op.shape[0], 2 * 24 * magnitude(A)).astype(dense.real.dtype)
    return randnla.gmres(op + Diagonal(diagonal), right_hand_side(A), **{"rng": 0, **keywords})


def check_shifted(times: float) -> Any:
    def check(result: Any, truth: Array, eps: float) -> str | None:
        x, unit = result.x, magnitude(truth)
        n = len(truth)
        if x.shape != (n,):
            return f"shape {x.shape}"
        e = int(np.log2(unit))
        A = rescale(truth, e) + times * np.eye(n)
        b = np.cos(np.arange(n)) + 2
        if not np.all(np.isfinite(x)):
            return "not finite"
        left = float(np.linalg.norm(A @ rescale(x, -e) - b))
        bound = (1e-3 if eps > 1e-10 else 1e-7) * float(np.linalg.norm(b))
        return None if left <= bound else f"residual {left:.3e} > {bound:.3e}"

    return check


def alpha_of(A: Any) -> float:
    return float(max(magnitude(A), 2.0**-500)) ** 2 if magnitude(A) < 2.0**500 else 2.0**1000


def regressed(A: Any, **keywords: Any) -> Any:
    return randnla.ridge(A, right_hand_side(A), **{"alpha": alpha_of(A), "rng": 0, **keywords})


def check_ridge(result: Any, truth: Array, eps: float) -> str | None:
    x, (m, n) = result.x, truth.shape
    if x.shape != (n,):
        return f"shape {x.shape}"
    b = np.cos(np.arange(m)) + 2
    root = int(np.log2(alpha_of(truth))) // 2
    A = rescale(truth, root)  # alpha is then one
    if not np.all(np.isfinite(x)):
        return "not finite"
    U, s, Vh = np.linalg.svd(A, full_matrices=False)
    exact = Vh.conj().T @ ((s / (s**2 + 1)) * (U.conj().T @ b))
    found = rescale(x, -root)
    e = found - exact
    error = float(np.hypot(np.linalg.norm(A @ e), np.linalg.norm(e)))
    size = float(np.hypot(np.linalg.norm(A @ exact), np.linalg.norm(exact)))
    tiny = float(rescale(2.0**-1074, -root)) * 4 * n
    bound = (1e-3 if eps > 1e-10 else 1e-7) * size + tiny
    return None if error <= bound else f"error {error:.3e} > {bound:.3e}"


def _targets() -> list[Target]:
    return [
        Target(
            "solve",
            solved,
            check_shifted(1.0),
            "semidefinite",
            breaks=indefinite,
            whole=True,
            parameters=parameters(randnla.solve) - {"b", "shift", "preconditioner"},
        ),
        Target(
            "gmres",
            shifted,
            check_shifted(48.0),
            "symmetric",
            whole=True,
            parameters=parameters(randnla.gmres) - {"b", "preconditioner"},
        ),
        Target(
            "ridge",
            regressed,
            check_ridge,
            whole=True,
            mapped_tolerance=1e-6,
            parameters=parameters(randnla.ridge) - {"b", "alpha", "rank"},
        ),
    ]


TARGETS = {target.name: target for target in _targets()}

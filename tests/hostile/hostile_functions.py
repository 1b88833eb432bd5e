# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Roots and their updates under attack: the matrix, the root and the change."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse.linalg as spla
from hostile_targets import Array, Target, exponent, parameters, precision, rescale, slack

import randnla
from randnla import matrix_functions
from randnla.operators import Diagonal


def magnitude(A: Any) -> float:
    """A power of two at the largest entry, or 1: the unit of what goes with A, not near the denormal ones."""
    if isinstance(A, spla.LinearOperator):
        A = A @ np.eye(A.shape[1])
    try:
        array = np.asarray(A.toarray() if hasattr(A, "toarray") else A, np.complex128)
        top = float(np.abs(array).max(initial=0.0))
    except (TypeError, ValueError):  # no matrix of numbers
        return 1.0
    return 2.0 ** max(int(np.frexp(top)[1]), -1000) if 0 < top < np.inf else 1.0


def rows_of(A: Any) -> int:
    try:
        shape = getattr(A, "shape", None) or np.shape(A)
    except ValueError:  # a ragged list
        return 24
    return int(shape[0]) if len(shape) == 2 else 24


def indefinite(truth: Array, eps: float) -> bool:
    """Whether an eigenvalue is negative beyond rounding."""
    if not truth.size or truth.shape[0] != truth.shape[1]:
        return False
    A = rescale(truth, exponent(truth))
    w = np.linalg.eigvalsh((A + A.conj().T) / 2)
    return bool(w[0] < -len(w) * eps * np.abs(w).max())


def check_sqrt(result: Any, truth: Array, eps: float) -> str | None:
    X, e = np.asarray(next(iter(result))), exponent(truth) // 2 * 2
    if X.shape != truth.shape:
        return f"shape {X.shape}"
    if not np.array_equal(X, X.conj().T):
        return "not Hermitian"
    wide = rescale(X, e // 2)
    error, bound = float(np.linalg.norm(wide @ wide - rescale(truth, e))), slack(truth, e, eps)
    return None if error <= bound else f"error {error:.3e} > {bound:.3e}"


def damped_inverse_root(A: Any, **keywords: Any) -> Any:
    return matrix_functions.inverse_root(A, keywords.pop("p", 4), **{"damping": magnitude(A), **keywords})


def check_inverse_root(result: Any, truth: Array, eps: float) -> str | None:
    """Condition numbers are below the order, 40, and 2."""
    X, unit = rescale(next(iter(result)), 0), magnitude(truth)
    if X.shape != truth.shape:
        return f"shape {X.shape}"
    A = rescale(truth, int(np.log2(unit))) + np.eye(len(truth))
    X = X * 2.0 ** (np.log2(unit) / 4)
    error, bound = float(np.linalg.norm(X @ X @ X @ X @ A - np.eye(len(A)))), 1e4 * eps * (1 + len(A))
    return None if error <= bound else f"error {error:.3e} > {bound:.3e}"


def update_of(root: Any, **keywords: Any) -> Array:
    """The root under attack, and a change of its size."""
    Z = magnitude(root) * np.cos(np.arange(rows_of(root))).astype(np.float32).astype(np.float64)
    dtype = np.float32 if precision(root) > 1e-10 else np.float64
    return np.asarray(randnla.sqrt_update(root, Z.astype(dtype), **keywords).to_dense())


def check_update_of(result: Any, truth: Array, eps: float) -> str | None:
    unit = int(np.log2(magnitude(truth)))
    if result.shape != truth.shape:
        return f"shape {result.shape}"
    X, P = rescale(result, unit), rescale(truth, unit)
    z = np.cos(np.arange(len(P))).astype(np.float32).astype(np.float64)
    error = float(np.linalg.norm(X @ X - P @ P - np.outer(z, z)))
    bound = 2 * float(np.sqrt(eps)) * (1 + float(z @ z)) + slack(truth, unit, eps) * (1 + np.linalg.norm(P))
    return None if error <= bound else f"error {error:.3e} > {bound:.3e}"


def update_by(*, inverse: bool) -> Any:
    """The change under attack, of a root of its size: the identity in its unit."""

    def call(Z: Any, **keywords: Any) -> Array:
        unit = magnitude(Z)
        root = Diagonal(np.full(rows_of(Z), 1 / unit if inverse else unit))
        return np.asarray(randnla.sqrt_update(root, Z, inverse=inverse, **keywords).to_dense())

    return call


def check_update_by(*, inverse: bool) -> Any:
    def check(result: Any, truth: Array, eps: float) -> str | None:
        unit = int(np.log2(magnitude(truth)))
        n = len(truth)
        X, Z = rescale(result, -unit if inverse else unit), rescale(truth, unit)
        whole = np.eye(n) + Z @ Z.conj().T
        error = float(np.linalg.norm(X @ X @ whole - np.eye(n) if inverse else X @ X - whole))
        bound = 4 * float(np.sqrt(eps)) * float(np.linalg.norm(whole)) + 1e-300
        return None if error <= bound else f"error {error:.3e} > {bound:.3e}"

    return check


def _targets() -> list[Target]:
    update = parameters(randnla.sqrt_update) - {"inverse", "Z", "root"}
    change: dict[str, Any] = {"argument": "Z", "takes_vectors": True, "whole": True, "dense_only": True}
    return [
        Target(
            "matrix_functions.sqrt",
            matrix_functions.sqrt,
            check_sqrt,
            "semidefinite",
            dense_only=True,
            breaks=indefinite,
            parameters=parameters(matrix_functions.sqrt),
        ),
        Target(
            "matrix_functions.inverse_root",
            damped_inverse_root,
            check_inverse_root,
            "semidefinite",
            dense_only=True,
            breaks=indefinite,
            parameters=parameters(matrix_functions.inverse_root),
        ),
        Target(
            "sqrt_update",
            update_of,
            check_update_of,
            "semidefinite",
            argument="root",
            whole=True,
            breaks=indefinite,
            parameters=update,
        ),
        Target(
            "sqrt_update by",
            update_by(inverse=False),
            check_update_by(inverse=False),
            parameters=update - {"rank", "tol"},
            **change,
        ),
        Target(
            "sqrt_update by, inverse",
            update_by(inverse=True),
            check_update_by(inverse=True),
            parameters=update - {"rank", "tol"},
            **change,
        ),
    ]


TARGETS = {target.name: target for target in _targets()}

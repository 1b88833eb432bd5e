# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Tensors under attack: every hostile matrix as a tensor of one more axis, of length one.

Its CP and Tucker decompositions are those of the matrix, whose least errors are known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hostile_targets import (
    RANK,
    Array,
    Target,
    exponent,
    not_orthonormal,
    parameters,
    precision,
    rescale,
    residual_too_large,
    slack,
)

from randnla import tensor


def lifted(A: Any) -> Any:
    """Matrices as tensors, lists included; what is no matrix stays wrong (three axes become seven)."""
    if isinstance(A, np.ndarray):
        if A.ndim == 3:
            return A[..., None, None, None, None]
        if A.ndim == 2:
            return (A.view(np.ndarray) if isinstance(A, np.matrix) else A)[..., None]
    if isinstance(A, tuple):
        return tuple(row[:, None] for row in A)
    if isinstance(A, list):
        return [[[x] for x in row] for row in A]
    return A


def shape_of(A: Any) -> tuple[int, int]:
    """Of a matrix; of anything else one that asks for no error of its own."""
    try:
        shape = getattr(A, "shape", None) or np.shape(A)
    except ValueError:  # a ragged list
        return RANK, RANK
    return shape if len(shape) == 2 else (RANK, RANK)


def decomposed(function: Callable[..., Any], most: int) -> Callable[..., list[Array]]:
    def call(A: Any, **keywords: Any) -> list[Array]:
        weights, factors = function(lifted(A), **{"rank": min(most, *shape_of(A)), "rng": 0, **keywords})
        return [weights, *factors]

    return call


def check_decomposed(most: int) -> Callable[[list[Array], Array, float], str | None]:
    """Unit columns, weights that fall, and the error of the truncated singular value decomposition."""

    def check(result: list[Array], truth: Array, eps: float) -> str | None:
        weights, U, V, signs = result
        k, e = min(most, *truth.shape), exponent(truth)
        if (weights.shape, U.shape, V.shape, signs.shape) != (
            (k,),
            (len(truth), k),
            (len(truth.T), k),
            (1, k),
        ):
            return f"shapes {[x.shape for x in result]}"
        if np.any(weights < 0) or np.any(np.diff(weights) > 0):
            return f"weights do not fall: {weights}"
        for X in (U, V, signs):
            if k and abs(np.linalg.norm(rescale(X, 0), axis=0) - 1).max() > 50 * eps:
                return "columns of other norms than one"
        made = (rescale(U, 0) * rescale(weights, e) * rescale(signs[0], 0)) @ rescale(V, 0).T
        return residual_too_large(rescale(truth, e) - made, truth, e, k, eps, 1.2)

    return check


def unfolded(A: Any, **keywords: Any) -> Array:
    """``A^T F`` through the second mode, all other numbers one."""
    m, n = shape_of(A)
    dtype = np.float32 if precision(A) > 1e-10 else np.float64
    F = np.cos(np.arange(3.0 * m)).reshape(m, 3).astype(dtype)
    return np.asarray(
        tensor.mttkrp(lifted(A), [F, np.ones((n, 3), dtype), np.ones((1, 3), dtype)], 1, **keywords)
    )


def check_unfolded(result: Array, truth: Array, eps: float) -> str | None:
    m, n = truth.shape
    if result.shape != (n, 3):
        return f"shape {result.shape}"
    e = exponent(truth)
    F = np.cos(np.arange(3.0 * m)).reshape(m, 3).astype(np.float32 if eps > 1e-10 else np.float64)
    off = float(np.linalg.norm(rescale(result, e) - rescale(truth, e).T @ F))
    bound = slack(truth, e, eps) * max(1.0, float(np.linalg.norm(F)))
    return None if off <= bound else f"off by {off:.3e} > {bound:.3e}"


def tucker(A: Any, **keywords: Any) -> list[Array]:
    k = min(RANK, *shape_of(A))
    core, factors = tensor.hosvd(lifted(A), (k, k, min(k, 1)), **{"rng": 0, **keywords})
    return [core, *factors]


def check_tucker(result: list[Array], truth: Array, eps: float) -> str | None:
    core, U, V, sign = result
    k, e = min(RANK, *truth.shape), exponent(truth)
    if (core.shape, U.shape, V.shape) != ((k, k, min(k, 1)), (len(truth), k), (len(truth.T), k)):
        return f"shapes {[x.shape for x in result]}"
    middle = rescale(core, e) @ rescale(sign, 0).reshape(-1)
    made = rescale(U, 0) @ middle @ rescale(V, 0).T
    return (
        not_orthonormal(U, "U", eps)
        or not_orthonormal(V, "V", eps)
        or residual_too_large(rescale(truth, e) - made, truth, e, k, eps, 1.2)
    )


def matched(A: Any, **keywords: Any) -> list[Array]:
    order, errors = tensor.match_components([A, A], [A, A], **keywords)
    return [order + 1, errors + 1]


def check_matched(result: list[Array], truth: Array, eps: float) -> str | None:
    """Every component is itself; equal ones may change places."""
    order, errors = result
    n = truth.shape[1]
    if sorted(order) != list(range(1, n + 1)):
        return f"order {order}"
    return None if np.all(errors <= 1 + 50 * eps) else f"errors {errors - 1}"


def zero_columns(truth: Array) -> bool:
    return truth.ndim == 2 and bool(np.any(np.all(truth == 0, axis=0)))


def spread(A: Any, **keywords: Any) -> list[Array]:
    weights, factors = tensor.cp_covariance(
        lifted(A), **{"rank": min(1, *shape_of(A)), "rng": 0, "center": False, **keywords}
    )
    return [weights, *factors]


def check_spread(result: list[Array], truth: Array, eps: float) -> str | None:
    """The leading eigenpair of ``A^T A / m``."""
    weights, V, _ = result
    (m, n), k, e = truth.shape, min(1, *truth.shape), exponent(truth)
    if (weights.shape, V.shape) != ((k,), (n, k)):
        return f"shapes {[x.shape for x in result]}"
    if k == 0:
        return None
    A = rescale(truth, e)
    S = A.T @ A / m
    made = (rescale(V, 0) * rescale(weights, 2 * e)) @ rescale(V, 0).T
    return residual_too_large(S - made, S, 0, 1, eps, 1.2)


def no_variances(truth: Array) -> bool:
    """Squares beyond the range of the dtype: of float32 where many numbers are (no cast identity)."""
    if truth.ndim != 2 or not truth.any():
        return False
    with np.errstate(over="ignore"):
        single = bool(np.all(truth == truth.astype(np.float32))) and np.unique(truth).size > 2
    largest = abs(exponent(truth))
    return largest > (49 if single else 497)


def target(name: str, call: Callable[..., Any], check: Callable[..., str | None], **more: Any) -> Target:
    made = {
        "argument": "T",
        "dense_only": True,
        "real": True,
        "whole": True,
        "parameters": parameters(getattr(tensor, name)) - {"tol"},
    }
    return Target(f"tensor.{name}", call, check, **{**made, **more})


TARGETS = {
    one.name: one
    for one in (
        target("cpca", decomposed(tensor.cpca, RANK), check_decomposed(RANK)),
        target("als", decomposed(tensor.als, RANK), check_decomposed(RANK)),
        target("ico", decomposed(tensor.ico, 1), check_decomposed(1)),
        target("cp", decomposed(tensor.cp, 1), check_decomposed(1)),
        target("cp_covariance", spread, check_spread, argument="X", refuses=no_variances),
        target("hosvd", tucker, check_tucker),
        target("mttkrp", unfolded, check_unfolded),
        target(
            "match_components",
            matched,
            check_matched,
            argument=r"(truth|factors)(\[0\])?",
            refuses=zero_columns,
        ),
    )
}

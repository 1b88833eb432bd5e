# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Completion of a matrix of which all entries are given, and its separation into low rank and errors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from hostile_targets import RANK, Array, Target, exponent, parameters, rescale, residual_too_large, slack
from hostile_tensor import shape_of

from randnla import ConvergenceWarning, recovery, robust


def unwarned(function: Any, *arguments: Any, **keywords: Any) -> Any:
    """Few hostile matrices are of low rank, or that and few errors: it is said, and no fault."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return function(*arguments, **keywords)


def is_matrix(A: Any) -> bool:
    try:
        return isinstance(A, np.ndarray | list | tuple) and np.ndim(A) == 2
    except ValueError:  # a ragged list
        return False


def entries(A: Any) -> tuple[Any, ...]:
    """Shape, rows, columns and values of all entries."""
    m, n = shape_of(A)
    rows, columns = np.indices((m, n)).reshape(2, -1)
    flat = A.view(np.ndarray) if isinstance(A, np.matrix) else A
    return (m, n), rows, columns, np.asanyarray(flat).reshape(-1) if is_matrix(A) else A


def options(shape: tuple[int, int], keywords: dict[str, Any]) -> dict[str, Any]:
    return {"rank": min(RANK, shape[0] - 1, shape[1] - 1), "holdout": 0.0, "rng": 0, **keywords}


def completed(A: Any, **keywords: Any) -> list[Array]:
    shape, *samples = entries(A)
    found = unwarned(recovery.complete, tuple(samples), shape, **options(shape, keywords))
    return [found.U, found.s, found.Vh]


def learned(A: Any, **keywords: Any) -> list[Array]:
    """A beside zeros, to be square, as the first of two powers of which the other is not seen."""
    (m, n), rows, columns, values = entries(A)
    side = max(m, n)
    if is_matrix(A) and values.dtype.kind in "biufc" and not np.ma.isMaskedArray(values):
        more = np.argwhere(np.add.outer(np.arange(side) >= m, np.arange(side) >= n)).T
        rows, columns = np.concatenate([rows, more[0]]), np.concatenate([columns, more[1]])
        values = np.concatenate([values, np.zeros(len(more[0]), values.dtype)])
    samples = np.ones(len(rows), np.int64), rows, columns, values
    given = {"shape": (side, side), **options((m, n), keywords)}
    found = unwarned(recovery.learn_transition, samples, 2, **given).A
    return [found.U[:m], found.C, found.V[:n].conj().T]


def check_completed(result: list[Array], truth: Array, eps: float) -> str | None:
    """All samples are met: what is found is the matrix, cut to its leading triplets."""
    U, s, Vh = result
    k, e = min(RANK, len(truth) - 1, len(truth.T) - 1), exponent(truth)
    if (U.shape, s.shape, Vh.shape) != ((len(truth), k), (k,), (k, len(truth.T))):
        return f"shapes {[x.shape for x in result]}"
    made = (rescale(U, 0) * rescale(s, e)) @ rescale(Vh, 0)
    return residual_too_large(rescale(truth, e) - made, truth, e, k, eps, 1.2)


def separated(D: Any, **keywords: Any) -> list[Any]:
    k = min(3, *shape_of(D))
    found = unwarned(robust.rpca, D, **{"rank": k, "rng": 0, **keywords})
    return [found.L.to_dense(), found.S.toarray(), found.info.converged]


def check_separated(result: list[Any], truth: Array, eps: float) -> str | None:
    """Of this rank and, where it says so, a part of D to rounding; few hostile matrices have one."""
    (L, S, converged), e = result, exponent(truth)
    if (L.shape, S.shape) != (truth.shape, truth.shape):
        return f"shapes {L.shape}, {S.shape}"
    if not (np.isfinite(L).all() and np.isfinite(S).all()):
        return "not finite"
    unit = rescale(L, e)
    s = np.linalg.svd(unit, compute_uv=False)
    if s.size > 3 and s[3] > 1e3 * eps * s[0] + slack(truth, e, eps):
        return f"rank above 3: {s[:5]}"
    rest = rescale(truth, e) - unit - rescale(S, e)
    share = np.mean(np.abs(rest) > 1e-4 * np.abs(rescale(truth, e)).max(initial=0.0)) if rest.size else 0.0
    return f"converged, but {share:.2f} of D is not met" if converged and share > 0.05 else None


def too_small(truth: Array) -> bool:
    """A rank of one at least has to be below both sides."""
    return truth.ndim != 2 or min(truth.shape) < 2


TARGETS = {
    one.name: one
    for one in (
        Target(
            "recovery.complete",
            completed,
            check_completed,
            argument=r"(values|samples(\[2\])?|rank|shape\[[01]\])",
            dense_only=True,
            takes_vectors=True,
            refuses=too_small,
            whole=True,
            mapped_tolerance=1e-8,
            layout_tolerance=1e-8,
            parameters=parameters(recovery.complete) - {"tol"},
        ),
        Target(
            "recovery.learn_transition",
            learned,
            check_completed,
            argument=r"(values|samples(\[3\])?|rank|shape(\[[01]\])?)",
            dense_only=True,
            takes_vectors=True,
            refuses=too_small,
            whole=True,
            mapped_tolerance=1e-8,
            layout_tolerance=1e-8,
            parameters=parameters(recovery.learn_transition) - {"tol", "rank"},  # of a square matrix
        ),
        Target(
            "robust.rpca",
            separated,
            check_separated,
            argument="(D|rank)",
            sees_all=False,
            layout_tolerance=1e-5,
            mapped_tolerance=1e-5,
            parameters=parameters(robust.rpca) - {"tol", "oversample"},
        ),
    )
}

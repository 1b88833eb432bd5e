# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sampling access under attack: the structure itself, decompositions from it, functions of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from hostile_targets import (
    RANK,
    Array,
    Target,
    exponent,
    not_orthonormal,
    parameters,
    rescale,
    sign_rule_broken,
    slack,
)

from randnla import quantum_inspired as qi


def ranked(A: Any) -> int:
    shape = getattr(A, "shape", ())
    return min(RANK, *shape) if len(shape) == 2 else RANK


def structure(A: Any, **keywords: Any) -> tuple[float, Array]:
    made = qi.SQMatrix(A, **keywords)
    return made.norm(), made.to_dense()


def check_structure(result: Any, truth: Array, eps: float) -> str | None:
    """The entries, and the norm of them."""
    norm, entries = result
    e = exponent(truth)
    if entries.shape != truth.shape:
        return f"shape {entries.shape}"
    if np.any(rescale(entries, e) != rescale(truth, e)):
        return "entries differ"
    off = abs(float(rescale(norm, e)) - float(np.linalg.norm(rescale(truth, e))))
    return None if off <= slack(truth, e, eps) else f"norm off by {off:.3e}"


def decomposed(A: Any, **keywords: Any) -> Any:
    return qi.low_rank_svd(A, **{"rank": ranked(A), "rng": 0, **keywords})


def check_decomposed(result: Any, truth: Array, eps: float) -> str | None:
    """The projection of A onto V, with the error that is reported, whatever the sample was.

    A few rows promise no more than an additive error of the size of A, so none is asked for here.
    """
    U, singular, Vh = (np.asarray(x) for x in result)
    m, n = truth.shape
    k, e = min(RANK, m, n), exponent(truth)
    if (U.shape, singular.shape, Vh.shape) != ((m, k), (k,), (k, n)):
        return f"shapes {U.shape}, {singular.shape}, {Vh.shape}"
    A, V = rescale(truth, e), rescale(Vh, 0).conj().T
    room = slack(truth, e, eps)
    product = float(np.linalg.norm((rescale(U, 0) * rescale(singular, e)) @ V.conj().T - A @ V @ V.conj().T))
    if product > room:
        return f"not the projection of A: off by {product:.3e} > {room:.3e}"
    error = float(np.linalg.norm(A - A @ V @ V.conj().T))
    reported = float(rescale(result.info.error_estimate, e))
    # The difference of the squares of norms, where that is not below 1e-4 of them.
    off = abs(error - reported)
    if off > room + 1e5 * eps * error:
        return f"error {error:.3e} reported as {reported:.3e}"
    return (
        not_orthonormal(U, "U", eps)
        or not_orthonormal(V, "V", eps)
        or ("s is not descending" if np.any(np.diff(singular) > 0) or np.any(singular < 0) else None)
        or sign_rule_broken(U)
    )


TARGETS = {
    target.name: target
    for target in (
        Target(
            "SQMatrix",
            structure,
            check_structure,
            entries_only=True,
            parameters=parameters(qi.SQMatrix),
        ),
        Target(
            "low_rank_svd",
            decomposed,
            check_decomposed,
            entries_only=True,
            parameters=parameters(qi.low_rank_svd),
        ),
    )
}

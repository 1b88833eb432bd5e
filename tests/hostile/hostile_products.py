# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Products under attack: every map from both sides by `@`, `sketch` along both axes, operators' own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse.linalg as spla
from cases import SKETCHES
from hostile_curvature import TARGETS as CURVATURE
from hostile_estimates import TARGETS as ESTIMATES
from hostile_functions import TARGETS as FUNCTIONS
from hostile_krylov import TARGETS as KRYLOV
from hostile_least_squares import TARGETS as LEAST_SQUARES
from hostile_manifold import TARGETS as MANIFOLD
from hostile_recovery import TARGETS as RECOVERY
from hostile_sampling import TARGETS as SAMPLING
from hostile_streams import TARGETS as STREAMS
from hostile_structured import TARGETS as STRUCTURED
from hostile_systems import TARGETS as SYSTEMS
from hostile_targets import TARGETS as DRIVERS
from hostile_targets import Array, Target, exponent, rescale, slack
from hostile_tensor import TARGETS as TENSOR

import randnla

SIZE = 8
# For 8 sampled coordinates; a leverage sample needs a row to draw.
NEEDED = {"SRHT": 5, "SRFT": 8, "RowSampling": 1, "LeverageSampling": 1}


def side(A: Any, axis: int) -> int:
    """The length of A that a map is to meet; any will do where A is no matrix."""
    try:
        shape = getattr(A, "shape", None) or np.shape(A)
    except ValueError:  # a ragged list
        return 40
    return int(shape[axis]) if len(shape) == 2 else 40


def made(name: str, length: int) -> Any:
    return SKETCHES[name].make(SIZE, length, rng=0)


def operand(A: Any) -> Any:
    """SciPy's operators know no `@` of others: they are handed over as ours."""
    return randnla.as_operator(A) if isinstance(A, spla.LinearOperator) else A


def dense(result: Any) -> Array:
    return np.asarray(result.toarray() if hasattr(result, "toarray") else result)


def product_check(left: Callable[[Array], Array], *, right: bool) -> Callable[..., str | None]:
    """Against the same product in float64, the map as an array; `right`: the map stands on the right."""

    def check(result: Any, truth: Array, eps: float) -> str | None:
        S, e = left(truth), exponent(truth)
        A = rescale(truth, e)
        exact = A @ S.conj().T if right else S @ A
        found = dense(result)
        if found.shape != exact.shape:
            return f"shape {found.shape}, expected {exact.shape}"
        error = float(np.linalg.norm(rescale(found, e) - exact))
        bound = slack(truth, e, eps) * (1 + float(np.linalg.norm(S)))
        return None if error <= bound else f"error {error:.3e} > {bound:.3e}"

    return check


def map_targets(name: str) -> list[Target]:
    rules: dict[str, Any] = {"sees_all": False, "takes_vectors": True, "rows_needed": NEEDED.get(name, 0)}
    return [
        Target(
            f"{name} @ A",
            lambda A: made(name, side(A, 0)) @ operand(A),
            product_check(lambda truth: made(name, truth.shape[0]).to_dense(), right=False),
            **rules,
        ),
        Target(
            f"A @ {name}.T",
            lambda A: operand(A) @ made(name, side(A, 1)).T,
            product_check(lambda truth: made(name, truth.shape[1]).to_dense(), right=True),
            needed_axis=1,
            **rules,
        ),
    ]


def thin(rows: int) -> Array:
    return np.random.default_rng(9).standard_normal((3, rows)).round(2)


def streamed(A: Any) -> Array:
    """One block by way of an iterable, as files come."""
    dtype = getattr(A, "dtype", None)
    stream = randnla.RowStream(lambda: iter([A]), shape=(side(A, 0), side(A, 1)), dtype=dtype, name="A")
    return np.asarray(stream @ thin(side(A, 1)).T)


def diagonal(A: Any) -> Array:
    """Of the diagonal of an array, a view with strides of its own."""
    if isinstance(A, np.ndarray) and A.ndim == 2:
        A = np.diagonal(A)
    elif isinstance(A, (list, tuple)) and len({len(row) for row in A}) == 1:
        A = [row[i] for i, row in zip(range(len(A[0])), A, strict=False)]
    op = randnla.Diagonal(A)
    return np.asarray(op @ thin(op.shape[0]).T)


def check_diagonal(result: Any, truth: Array, eps: float) -> str | None:
    d, e = np.diagonal(truth), exponent(truth)
    found, exact = np.asarray(result), rescale(d, e)[:, None] * thin(len(d)).T
    if found.shape != exact.shape:
        return f"shape {found.shape}, expected {exact.shape}"
    error, bound = float(np.linalg.norm(rescale(found, e) - exact)), slack(truth, e, eps)
    return None if error <= bound else f"error {error:.3e} > {bound:.3e}"


def operator_targets() -> list[Target]:
    return [
        Target(
            "RowStream @ X",
            streamed,
            product_check(lambda A: thin(A.shape[1]), right=True),
            argument=r"A(\[0:\])?",
            dense_only=True,
        ),
        Target(
            "Diagonal @ X",
            diagonal,
            check_diagonal,
            argument="d",
            dense_only=True,
            sees_all=False,
            takes_vectors=True,
        ),
        Target(
            "as_operator(A) @ X",
            lambda A: randnla.as_operator(A) @ thin(side(A, 1)).T,
            product_check(lambda truth: thin(truth.shape[1]), right=True),
            sees_all=False,
        ),
        Target(
            "as_operator(A).H @ Y",
            lambda A: (randnla.as_operator(A).H @ thin(side(A, 0)).T).conj().T,
            product_check(lambda truth: thin(truth.shape[0]), right=False),
            sees_all=False,
        ),
    ]


PRODUCTS = {
    target.name: target for target in [t for name in SKETCHES for t in map_targets(name)] + operator_targets()
}
TARGETS = (
    DRIVERS
    | PRODUCTS
    | FUNCTIONS
    | CURVATURE
    | ESTIMATES
    | SYSTEMS
    | KRYLOV
    | LEAST_SQUARES
    | MANIFOLD
    | STREAMS
    | STRUCTURED
    | RECOVERY
    | SAMPLING
    | TENSOR
)

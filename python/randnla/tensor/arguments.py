# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Arguments that the functions of this room share, and the account that they give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.kernels.tensor import cp_residual
from randnla._backend.results import Info

from .results import CPResult

Array = NDArray[Any]
ORDERS = (3, 4, 5, 6)
PIECE = 1 << 15  # entries
ROUNDING = 100  # units of roundoff of the largest component that sums of a thousand terms stay below


@dataclass(frozen=True)
class Problem:
    """A real tensor whose sums of squares stay in range: ``values 2^exponent`` is the input."""

    values: Array
    exponent: int
    kind: namespace.Kind

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape


def checked_tensor(
    T: Any, *, check_finite: bool = True, orders: tuple[int, ...] = ORDERS, name: str = "T"
) -> Problem:
    """The tensor, unchanged in memory unless its largest entry is beyond the root of the dtype's range."""
    kind = namespace.kind_of(T)
    values = validate.as_array(T, name=name, ndim=orders)
    if values.dtype.kind == "c":
        raise InputError(f"{name}: expected real numbers, got {values.dtype}")
    check_finite, largest = validate.flag(check_finite, name="check_finite"), _largest(values)
    if check_finite and not math.isfinite(largest):
        validate.require_finite(values, name=name)
    if largest == 0 or not math.isfinite(largest):
        return Problem(values, 0, kind)
    exponent = math.frexp(largest)[1]
    if abs(exponent) <= np.finfo(values.dtype).maxexp // 4:
        return Problem(values, 0, kind)
    return Problem(np.ldexp(values, -exponent), exponent, kind)


def _largest(values: Array) -> float:
    """The largest magnitude, NaN if there is one: one read, in pieces that stay in the cache for a second."""
    if values.size == 0:
        return 0.0
    step = max(1, PIECE * len(values) // values.size)
    parts = (values[i : i + step] for i in range(0, len(values), step))
    return float(np.max([extreme for part in parts for extreme in (part.max(), -part.min())]))


def checked_factors(
    factors: Any, shape: tuple[int, ...], dtype: Any, *, name: str, rank: int | None = None
) -> list[Array]:
    """One (d_k, r) matrix for each mode, in the dtype of the tensor."""
    if not isinstance(factors, Sequence) or len(factors) != len(shape):
        raise InputError(
            f"{name}: expected {len(shape)} matrices, one for each mode, got {validate.shown(factors)}"
        )
    out: list[Array] = []
    for k, factor in enumerate(factors):
        matrix = validate.native(validate.as_matrix(factor, name=f"{name}[{k}]"), dtype, name=f"{name}[{k}]")
        wanted = rank if rank is not None else (out[0].shape[1] if out else matrix.shape[1])
        if matrix.shape != (shape[k], wanted):
            raise InputError(f"{name}[{k}]: expected shape {(shape[k], wanted)}, got {matrix.shape}")
        validate.require_finite(matrix, name=f"{name}[{k}]")
        out.append(matrix)
    return out


def unit_columns(V: Array) -> tuple[Array, Array]:
    """Columns over their norms, and the norms, of numbers of any size; columns of zeros stay."""
    exponents = np.frexp(np.max(np.abs(V), axis=0, initial=0.0))[1]
    scaled = np.ldexp(V, -exponents)
    norms = np.linalg.norm(scaled, axis=0)
    return scaled / np.where(norms > 0, norms, 1), np.ldexp(norms, exponents)


def change(new: Array, old: Array, norms: Array) -> float:
    """Largest ``||aa^T - bb^T||_2`` of matching unit columns, without its cancellation.

    `norms` are those that the new columns had: the products round at u times the largest, which turns a
    column of a small component by so much over its own norm. That counts as no move.
    """
    inner = np.sum(new * old, axis=0)
    moves = np.linalg.norm(new - old * inner, axis=0)
    noise = ROUNDING * np.finfo(new.dtype).eps * np.max(norms, initial=0.0)
    return float(np.max(np.where(moves * norms > noise, moves, 0), initial=0.0))


def finish(problem: Problem, weights: Array, factors: Sequence[Array], **account: Any) -> CPResult:
    """Order, signs and units of the components, and the error of their sum, measured in one pass."""
    largest = float(np.max(weights, initial=0.0))
    weights = np.where(weights > np.finfo(problem.values.dtype).eps * largest, weights, 0)
    order = np.argsort(-weights, kind="stable")
    weights = weights[order].astype(problem.values.dtype)
    out = [factor[:, order] for factor in factors]
    flips = np.ones(len(weights), problem.values.dtype)
    for factor in out[:-1]:
        if factor.size:
            picked = factor[np.argmax(np.abs(factor), axis=0), np.arange(factor.shape[1])]
            signs = np.where(picked < 0, -1, 1).astype(factor.dtype)
            factor *= signs
            flips *= signs
    out[-1] = out[-1] * flips
    error = cp_residual(problem.values, weights, out)
    size = float(np.sqrt(np.sum([np.sum(np.square(row, dtype=np.float64)) for row in problem.values])))
    info = Info(
        rank=int(np.count_nonzero(weights)),
        error_estimate=math.ldexp(error, problem.exponent),
        error_kind="frobenius",
        error_relative=error / size if size > 0 else 0.0,
        certificate="exact",
        **account,
    )
    weights = np.ldexp(weights, problem.exponent)
    kind = problem.kind
    return CPResult(namespace.restore(kind, weights), namespace.restore_all(kind, *out), info=info)

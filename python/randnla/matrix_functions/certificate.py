# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the updated root is off by: the rank that it takes, and the account of the result."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla._backend.results import Info
from randnla.lowrank.scaling import in_units
from randnla.operators import LinearOperator

from . import update_methods as methods
from .known_root import TINY
from .problem import Array, Problem
from .riccati import Pieces
from .update_methods import Solved
from .updated import SqrtUpdate


@dataclass(frozen=True)
class Call:
    """The checked arguments of `sqrt_update`."""

    root: LinearOperator
    Z: Array
    sign: int
    inverse: bool
    rank: int | None
    tol: float
    asked: bool  # for a tolerance
    method: str
    callback: Any = None


def compress(
    call: Call, problem: Problem, solved: Solved, previous: SqrtUpdate | None
) -> tuple[Array, Array, float]:
    """The least rank that keeps the tolerance, with what was held before; and the residual before the cap."""
    Y, d = solved.Y, solved.d
    if previous is not None:
        Y, d = methods.merged(Y, d, *_held(problem, previous))
    pieces, core = _pieces(problem, Y, previous)

    def cores(q: int) -> Array:
        return core(np.where(np.arange(d.size) < q, d, 0.0))

    q, residual = pieces.smallest(cores, d.size, problem.goal(call.tol))
    if residual > problem.goal(call.tol):
        q, residual = pieces.smallest(cores, d.size, problem.floor)
    if call.rank is not None:
        q = min(q, call.rank) if call.asked else min(call.rank, d.size)
    return Y[:, :q], d[:q], residual


def _held(problem: Problem, previous: SqrtUpdate) -> tuple[Array, Array]:
    wide = previous.Y.astype(problem.known.dtype)
    return wide, np.ldexp(previous.weights.astype(np.float64), -problem.known.exponent)


def _pieces(
    problem: Problem, Y: Array, previous: SqrtUpdate | None
) -> tuple[Pieces, Callable[[Array], Array]]:
    """The backward error as a function of the weights of Y: less those held before, where there are any."""
    if previous is None:
        return Pieces(problem.known, Y, problem.change, problem.sigma), np.diag
    old, weights = _held(problem, previous)
    both = np.concatenate([Y, old], axis=1)
    pieces = Pieces(problem.known, both, problem.change, problem.sigma)
    return pieces, lambda d: np.diag(np.concatenate([d, -weights]))


def certify(problem: Problem, Y: Array, d: Array, previous: SqrtUpdate | None) -> tuple[float, float]:
    """Residual of the factors as they are returned, and the norm of the change."""
    pieces, core = _pieces(problem, Y.astype(problem.known.dtype), previous)
    return pieces.residual(core(d)) + problem.blur, pieces.size


def error_before(problem: Problem, previous: SqrtUpdate) -> float:
    """What the error of the root that is held comes to after this change, in the units of the problem."""
    held = _error_held(problem, previous)
    return held * problem.growth() if held > 0 else 0.0


def _error_held(problem: Problem, previous: SqrtUpdate) -> float:
    error, share = previous.info.error_estimate, previous.info.residual or 0.0
    if error is not None and TINY < error < math.inf:
        return in_units(error, -2 * problem.known.exponent)
    # Of an inverse, or out of the range of float64 in the units of the root: by its share of the matrix.
    norm = problem.known.norm_of_square()
    return share * (problem.known.interval[1] ** 2 * problem.known.n if norm is None else norm)


def account(
    call: Call,
    problem: Problem,
    solved: Solved,
    left: float,
    size: float,
    whole: float,
    before: float,
    q: int,
) -> Info:
    """Of the result, from the norms of the backward error before, in and without the cap of this step."""
    known = problem.known
    norm = problem.norm_after
    residual = (left + before) / norm if norm > 0 else math.inf if left + before > 0 else 0.0
    relative = left / size if size > 0 else 0.0
    # A rank without a tolerance is kept; what counts is that the factors were found to the default one.
    judged = left if call.asked else whole + problem.blur
    low, high = known.interval if problem.rank else (1.0, 1.0)
    return Info(
        rank=q,
        method=solved.method,
        iterations=solved.steps,
        error_estimate=in_units(left + before, 2 * known.exponent),
        error_kind="backward",
        error_relative=relative,
        failure_probability=0.0,
        certificate="exact",
        converged=bool(
            judged <= problem.allowed(call.tol)
            and (residual <= call.tol or not before)
            and math.isfinite(residual)
        ),
        residual=residual,
        condition=high / low if low > 0 else math.inf,
        path=f"{'update' if problem.sigma > 0 else 'downdate'} of the root, {known.path}",
    )

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A basis of the block Krylov space, with full reorthogonalization and deflation: Musco and Musco (2015).

The space of A Omega, (A A^H) A Omega, ..., (A A^H)^q A Omega holds every polynomial of odd degree up to
2q + 1 in A, applied to Omega, where subspace iteration keeps the last power alone: the same products with A
give a far smaller error, for q + 1 times the memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend.kernels import qr

from . import error
from .adaptive import QB, deflate, fill, join, reorthogonalize, to_units
from .basis import BASIS_STREAM, Sample, first_sketch, gaussian_rows, orthonormalize
from .factor import narrow_product, widen
from .problem import Problem
from .scaling import Array, unit_roundoff

Check = Callable[[Array, Array], None]


def sample_krylov(
    problem: Problem,
    size: int,
    block: int,
    power_iters: int,
    *,
    sketch: Any = "gaussian",
    start: Array | None = None,
    hermitian: bool = False,
    check: Check | None = None,
) -> tuple[Sample, Array]:
    """A basis of the Krylov space of at least `size` columns, and B^H = A^H Q, both in units of the sample.

    `block` columns start it. There are `power_iters` + 1 blocks, 2 `power_iters` + 1 of Hermitian A, each
    of whose products makes a new block, and more where `size` columns take more. `check` sees the probe
    map and the probes before any of it.
    """
    Y, Z, probe_map, exponent = first_sketch(problem, block, sketch, start)
    if check is not None:
        check(probe_map, Z)
    problem.report("sketch")
    m, n = problem.shape
    state = QB(
        np.empty((m, 0), problem.dtype),
        np.empty((n, 0), problem.dtype),
        exponent,
        error.Certificate(0.0, "none", None),
        None,
    )
    depth, steps, drawn = (2 * power_iters if hermitian else power_iters) + 1, 0, Y.shape[1]
    largest = float(error.column_norms(Y).max(initial=0.0))
    while True:
        found = _new_directions(problem, state.Q, Y, largest)[:, : min(m, n) - state.Q.shape[1]]
        if not found.shape[1]:
            if "deflated" not in problem.path:
                problem.path.append("deflated")
            # Nothing new: the space is invariant. Other starting vectors may lead out of it, once.
            if state.Q.shape[1] >= size or drawn >= size:
                break
            rows = gaussian_rows(problem, block, stream=BASIS_STREAM, start=drawn)
            Y = to_units(problem, problem.forward(rows.T), exponent)
            drawn += block
            continue
        W = to_units(problem, problem.adjoint(found), exponent)
        join(problem, state, found, W)
        problem.report("krylov block")
        steps += 1
        if state.Q.shape[1] >= min(m, n) or (steps >= depth and state.Q.shape[1] >= size):
            break
        Y = W if hermitian else to_units(problem, problem.forward(orthonormalize(problem, W)[0]), exponent)
    if state.Q.shape[1] < size:
        fill(problem, state, size)
    return Sample(state.Q, exponent, probe_map, Z), state.Bh


def _new_directions(problem: Problem, Q: Array, Y: Array, largest: float) -> Array:
    """Orthonormal directions of (I - Q Q^H) Y that stand above rounding, the largest first."""
    rough, R = orthonormalize(problem, deflate(Q, Y))
    # The triangle reveals no rank; its singular values do.
    U, s, _ = qr.small_svd(widen(R))
    size = max(largest, float(error.column_norms(Y).max(initial=0.0)))
    kept = s > unit_roundoff(problem.dtype) * Y.shape[0] * size
    return reorthogonalize(problem, Q, narrow_product(rough, U[:, kept]))

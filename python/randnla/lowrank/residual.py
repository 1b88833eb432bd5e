# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""||A - Q B||_F entry by entry: what certifies where squares cancel and probes only bound."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from randnla._backend.errors import InputError
from randnla._backend.kernels import dense

from . import error
from .adaptive import QB, norm_below
from .call import Call
from .problem import Problem
from .scaling import Array, scale_by_power

_BLOCK_BYTES = 4 << 20


def is_readable(problem: Problem) -> bool:
    """Whether the entries can be read in blocks of rows: arrays and streams."""
    op: Any = problem.op
    readable = hasattr(op, "array") or hasattr(op, "blocks")
    return readable and bool(getattr(op, "readable", True))  # a centered matrix is what its base is


def explicit_error(problem: Problem, Q: Array, Bh: Array, exponent: int) -> float:
    """||A - Q B||_F in units of 2^exponent, an upper bound but for rounding; one pass of 2 m n l flops.

    The error is summed from differences of numbers that are known to u ||A||, so it is good to a per cent
    down to some 100 u ||A||_F where the difference of squares ends at sqrt(u) ||A||_F.
    """
    total = 0.0
    for row, block in _blocks(problem.op):
        E = scale_by_power(np.array(block, dtype=problem.dtype), -exponent)
        dense.gemm(Q[row : row + len(E)], Bh.conj().T, E, alpha=-1.0, beta=1.0)
        total += error.frobenius(E) ** 2
    problem.passes += 1
    problem.matvecs += Q.shape[1]
    size = math.hypot(error.frobenius(Bh), math.sqrt(total))
    return math.sqrt(total) + error.rounding_floor(size, problem.dtype, Q.shape[1])


def sharpen(call: Call, state: QB) -> None:
    """Replace the certificate of A - Q B by its norm, where squares cancel and the entries can be read.

    "auto" goes down to where squares end, `error.resolution_limit`; probes speak below.
    """
    problem, size, bound = call.problem, norm_below(state, call.norm), state.bound
    if call.norm != "frobenius" or call.certificate == "probe" or not state.Q.shape[1]:
        return
    if bound.source == "exact" and error.is_sharp(bound.estimate, size, problem.dtype, problem.inner):
        return
    wanted = call.certificate == "exact" or bound.estimate >= error.resolution_limit(problem.dtype) * size
    if wanted and size and is_readable(problem):
        known = explicit_error(problem, state.Q, state.Bh, state.exponent)
        state.bound = error.Certificate(known, "exact", 0.0)
        problem.path.append("explicit residual")
    elif call.certificate == "exact" and bound.source == "probe":
        problem.path.append("identity below resolution")


def require_exact(call: Call, method: str) -> None:
    """Refuse certificate='exact' where B is no projection of A and A - Q B cannot be read.

    Raises
    ------
    InputError
        A is neither an array nor a stream, or the norm is spectral.
    """
    if call.certificate != "exact":
        return
    if call.norm != "frobenius":
        raise InputError("certificate: 'exact' needs norm='fro', got norm='spectral'")
    if method != "ei" and not is_readable(call.problem):
        raise InputError(f"certificate: 'exact' of method={method!r} needs an array or a stream of rows")


def _blocks(op: Any) -> Iterator[tuple[int, Array]]:
    if hasattr(op, "blocks"):
        yield from op.blocks()
        return
    step = max(1, _BLOCK_BYTES // max(1, op.shape[1] * op.dtype.itemsize))
    for row in range(0, op.shape[0], step):
        yield row, op.array[row : row + step]

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The basis grows block by block until its certified error meets a tolerance.

A blocked form of Halko, Martinsson and Tropp (2011), Algorithm 4.2, that keeps B = Q^H A as randQB_EI of
Yu, Gu and Li (2018) does, so that the stopping test is an identity where rounding allows it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from randnla._backend.errors import InputError
from randnla._backend.kernels import dense, qr

from . import error
from .basis import basis_rows, first_sketch, orthonormalize
from .factor import widen
from .problem import Problem
from .scaling import Array, in_units

BLOCK = 32
"""Columns of the first block; later ones are a quarter of the basis, if that is more."""


@dataclass
class Goal:
    """What the basis is asked for: an error of at most `tol` times the norm of A."""

    tol: float
    norm: str  # "frobenius" or "spectral"
    cap: int  # columns at most
    power_iters: int
    failure: float  # of the whole run
    share: float  # of the squared tolerance that the basis may use
    certificate: str = "auto"  # "probe" and "exact" ask for one kind


@dataclass
class QB:
    """A ~ Q B in units of 2^exponent, with the certified error of the projection."""

    Q: Array
    Bh: Array  # (n, l) = B^H
    exponent: int
    bound: error.Certificate
    norm: float | None  # ||A||_F, where known
    captured: float = 0.0  # ||B||_F^2
    blocks: list[Array] = field(default_factory=list)


def number_of_blocks(cap: int) -> int:
    """How many blocks `grow` makes at most before the basis has `cap` columns."""
    count = size = 0
    while size < cap:
        size += max(BLOCK, size // 4)
        count += 1
    return max(1, count)


def grow(problem: Problem, goal: Goal) -> QB:
    """Append blocks until the error test passes, the cap binds, or only rounding is left."""
    count = min(BLOCK, goal.cap)
    Y, Z, _, exponent = first_sketch(problem, count, "gaussian")
    norm = problem.op.frobenius_norm()
    if norm is None and goal.certificate == "exact":
        raise InputError("certificate: 'exact' needs ||A||_F, which this operator does not know")
    if norm is not None:
        norm = in_units(norm, -exponent)
    state = QB(
        np.empty((problem.shape[0], 0), problem.dtype),
        np.empty((problem.shape[1], 0), problem.dtype),
        exponent,
        error.Certificate(math.inf, "probe", goal.failure),
        norm if norm is not None and math.isfinite(norm) else None,
    )
    per_test = goal.failure / number_of_blocks(goal.cap)
    residual = np.array(Z)
    start_size = error.frobenius(residual)
    while count:
        _append(problem, state, Y, goal.power_iters)
        newest = state.Q[:, -count:]
        residual -= dense.gemm(newest, dense.gemm(newest.conj().T, residual))
        problem.report("block")
        state.bound = _test(state, residual, goal, per_test, problem.inner)
        size = state.Q.shape[1]
        target = goal.tol * _norm_below(state, goal.norm)
        floor = error.rounding_floor(start_size, problem.dtype, size)
        if state.bound.estimate <= math.sqrt(goal.share) * target or error.frobenius(residual) <= floor:
            break
        count = min(max(BLOCK, size // 4), goal.cap - size)
        if count:
            rows = basis_rows(problem, count, start=size)
            Y = _to_units(problem, problem.forward(rows.T), exponent)
    return state


def _to_units(problem: Problem, Y: Array, exponent: int) -> Array:
    Y *= Y.real.dtype.type(2.0 ** (-exponent - problem.shift))
    return Y


def _deflate(Q: Array, Y: Array) -> Array:
    return dense.gemm(Q, dense.gemm(Q.conj().T, Y), np.array(Y), alpha=-1.0, beta=1.0) if Q.shape[1] else Y


def _append(problem: Problem, state: QB, Y: Array, power_iters: int) -> None:
    """One block: orthonormal to the basis to rounding, with its rows of B."""
    Q = state.Q
    block, _ = orthonormalize(problem, _deflate(Q, Y))
    for _ in range(power_iters):
        W, _ = orthonormalize(problem, problem.adjoint(block))
        block, _ = orthonormalize(problem, _deflate(Q, problem.forward(W)))
    # What is left after deflation may be rounding noise, which does not know Q: twice is enough only
    # for blocks that were not, so a third round is made.
    for _ in range(3 if Q.shape[1] else 0):
        block, R = orthonormalize(problem, _deflate(Q, block))
        if np.abs(np.diagonal(R)).min() > 0.5:
            break
    Bh = _to_units(problem, problem.adjoint(block), state.exponent)
    state.captured += error.frobenius(Bh) ** 2
    state.Q = np.concatenate([Q, block], axis=1)
    state.Bh = np.concatenate([state.Bh, Bh], axis=1)
    # Appending copies: old and new basis are alive together.
    problem.hold(2 * (state.Q.nbytes + state.Bh.nbytes))


def _norm_below(state: QB, norm: str) -> float:
    """The norm of A, or a lower bound of it, in the units of the state."""
    if norm == "frobenius":
        return state.norm if state.norm is not None else math.sqrt(state.captured)
    # ||Q^H A||_2 <= ||A||_2; the first block holds the leading direction.
    lead = qr.small_eigh(widen(dense.gram(state.Bh[:, :BLOCK], wide=True)))[0]
    return math.sqrt(max(float(lead[-1]), 0.0)) if lead.size else 0.0


def _test(state: QB, residual: Array, goal: Goal, failure: float, inner: int) -> error.Certificate:
    # The basis does not depend on the probes, but the step at which it stops does: each of the at most
    # J tests may fail with probability failure / J.
    if goal.norm == "frobenius" and goal.certificate != "probe" and state.norm is not None:
        exact = error.exact_error(state.norm, state.captured, residual.dtype, inner)
        if exact is not None:
            return error.Certificate(exact, "exact", 0.0)
    bound, _ = error.probe_bound(residual, goal.norm, failure)
    bound += error.rounding_floor(math.sqrt(state.captured), residual.dtype, state.Q.shape[1])
    return error.Certificate(bound, "probe", goal.failure)

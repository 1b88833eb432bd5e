# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The basis grows block by block until its certified error meets a tolerance.

A blocked form of Halko, Martinsson and Tropp (2011), Algorithm 4.2, that keeps B = Q^H A as randQB_EI of
Yu, Gu and Li (2018) does, so that the stopping test is an identity where rounding allows it. Below, and
for operators whose norm is not known, probes that the basis never saw are deflated beside it (their
equation 4.3): ten columns that ride on the first product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla._backend.device import is_device
from randnla._backend.errors import InputError
from randnla._backend.kernels import dense, device_dense, qr

from . import error
from .basis import FILL_STREAM, basis_rows, first_sketch, gaussian_rows, orthonormalize
from .factor import widen
from .problem import Problem
from .scaling import Array, copied, in_units, normalize, scale_by_power, scale_columns, side_by_side

BLOCK = 32
"""Columns of the first block; later ones are a quarter of the basis, if that is more."""


@dataclass
class Goal:
    """What the basis is asked for: an error of at most `tol` times the norm of A, or `cap` columns."""

    tol: float  # 0: as many columns as the cap
    norm: str  # "frobenius" or "spectral"
    cap: int  # columns at most
    power_iters: int
    failure: float  # of the whole run
    share: float  # of the squared tolerance that the basis may use
    certificate: str = "auto"  # "probe" and "exact" ask for one kind
    block: int = BLOCK  # columns of the first block
    plain: bool = False  # power iterations without orthonormalization between the products

    def next_block(self, size: int) -> int:
        """Columns to append to a basis of `size`: a quarter of it, if that is more than a block."""
        return min(max(self.block, size // 4), self.cap - size)


@dataclass
class QB:
    """A ~ Q B in units of 2^exponent, with a certificate of the error."""

    Q: Array
    Bh: Array  # (n, l) = B^H
    exponent: int
    bound: error.Certificate
    norm: float | None  # ||A||_F, where known
    captured: float = 0.0  # ||B||_F^2
    exact: bool = True  # B = Q^H A to rounding; else the certificate is of A - Q B

    def beside(self, tail: Array | float) -> Any:
        """The error when rows of B of norm `tail` are left out: they are orthogonal to (I - Q Q^H) A."""
        outside = self.bound.estimate
        # Where the tail is all there is, the product of rounded factors is not the truncation.
        floor = error.rounding_floor(math.sqrt(self.captured), self.Q.dtype, self.Q.shape[1])
        return (np.hypot(outside, tail) if self.exact else outside + tail) + floor


def number_of_blocks(goal: Goal) -> int:
    """How many blocks are made at most before the basis has `goal.cap` columns."""
    count = size = 0
    while size < goal.cap:
        size += goal.next_block(size)
        count += 1
    return max(1, count)


def failure_of_a_test(goal: Goal, tests: int = 1) -> float:
    """The share of one of at most J tests, `tests` a block: failure / J; a fixed rank is tested once."""
    return goal.failure / (tests * number_of_blocks(goal) if goal.tol else 1)


def empty(problem: Problem, goal: Goal, exponent: int, *, exact: bool = True) -> QB:
    """No columns yet; knows ||A||_F where the operator does."""
    norm = problem.op.frobenius_norm()
    if norm is None and goal.certificate == "exact":
        raise InputError("certificate: 'exact' needs ||A||_F, which this operator does not know")
    if norm is not None:
        norm = in_units(norm, -exponent)
    return QB(
        problem.empty(problem.shape[0], 0, problem.dtype),
        problem.empty(problem.shape[1], 0, problem.dtype),
        exponent,
        error.Certificate(math.inf, "probe", goal.failure),
        norm if norm is not None and math.isfinite(norm) else None,
        exact=exact,
    )


def grow(problem: Problem, goal: Goal) -> QB:
    """Append blocks until the error test passes, the cap binds, or only rounding is left."""
    count = goal.next_block(0)
    Y, Z, _, exponent = first_sketch(problem, count, "gaussian")
    state = empty(problem, goal, exponent)
    per_test = failure_of_a_test(goal)
    residual = copied(Z)
    start_size = error.frobenius(residual)
    state.bound = _test(state, residual, goal, per_test, problem.inner)
    while count:
        if goal.plain:
            Y = _multiply(problem, state.Q, Y, goal.power_iters)
        _append(problem, state, Y, 0 if goal.plain else goal.power_iters)
        newest = state.Q[:, -count:]
        residual = error.minus_product(residual, newest, dense.gemm(newest.conj().T, residual))
        problem.report("block")
        state.bound = _test(state, residual, goal, per_test, problem.inner)
        size = state.Q.shape[1]
        if goal.tol and (reaches(state, goal) or is_rounding(residual, start_size, size)):
            break
        count = goal.next_block(size)
        if count:
            rows = basis_rows(problem, count, start=size)
            Y = to_units(problem, problem.forward(rows.T), exponent)
    return state


def reaches(state: QB, goal: Goal) -> bool:
    """Whether the certified error is below the part of the tolerance that the basis may use."""
    return state.bound.estimate <= math.sqrt(goal.share) * goal.tol * norm_below(state, goal.norm)


def is_rounding(residual: Array, start_size: float, size: int) -> bool:
    """Whether no more is left of the probes than rounding leaves of their `start_size`."""
    return error.frobenius(residual) <= error.rounding_floor(start_size, residual.dtype, size)


def to_units(problem: Problem, Y: Array, exponent: int) -> Array:
    """A product with A or its adjoint in units of 2^exponent, in place."""
    power = -exponent - problem.shift
    if is_device(Y):
        return scale_by_power(Y, power)
    Y *= Y.real.dtype.type(2.0**power)
    return Y


def deflate(Q: Array, Y: Array) -> Array:
    """(I - Q Q^H) Y."""
    return dense.gemm(Q, dense.gemm(Q.conj().T, Y), copied(Y), alpha=-1.0, beta=1.0) if Q.shape[1] else Y


def orthonormal_beside(problem: Problem, Q: Array, Y: Array) -> Array:
    """An orthonormal block that spans (I - Q Q^H) Y, orthogonal to Q to rounding."""
    return reorthogonalize(problem, Q, orthonormalize(problem, deflate(Q, Y))[0])


def reorthogonalize(problem: Problem, Q: Array, block: Array) -> Array:
    """An orthonormal block, deflated once, made orthogonal to Q to rounding."""
    # What is left after deflation may be rounding noise, which does not know Q: twice is enough only for
    # blocks that were not. Noise that stays in the range of Q, as that of diagonal A, gives way to new
    # directions, and these are deflated twice.
    for attempt in range(5 if Q.shape[1] else 0):
        block, R = orthonormalize(problem, deflate(Q, block))
        weak = np.abs(np.diagonal(R)) <= 0.5
        if not weak.any():
            break
        if attempt == 1:
            put_columns(block, strangers(problem, block.shape[1], Q.shape[1]), weak)
    return block


def strangers(problem: Problem, count: int, start: int) -> Array:
    """Gaussian directions of m numbers that have nothing to do with A, of about unit length."""
    m = problem.shape[0]
    rows = gaussian_rows(problem, count, stream=FILL_STREAM, start=start, length=m)
    if is_device(rows):
        return scale_columns(rows.T, np.full(count, 1 / math.sqrt(m)))
    rows *= rows.dtype.type(1 / math.sqrt(m))
    return rows.T.astype(problem.dtype, copy=False)


def put_columns(block: Array, others: Array, which: Array) -> None:
    """Overwrite some columns by those of other columns."""
    if not is_device(block):
        block[:, which] = others[:, which]
        return
    for j in np.flatnonzero(which):
        device_dense.combine(block[:, j : j + 1], others[:, j : j + 1])


def join(problem: Problem, state: QB, block: Array, Bh: Array) -> None:
    """Append columns to Q and B^H."""
    state.captured += error.frobenius(Bh) ** 2
    state.Q = side_by_side(state.Q, block)
    state.Bh = side_by_side(state.Bh, Bh)
    # Appending copies: old and new basis are alive together.
    problem.hold(2 * (state.Q.nbytes + state.Bh.nbytes))


def fill(problem: Problem, state: QB, size: int) -> None:
    """Columns with zero rows of B until there are `size`, where a method could resolve no more."""
    missing = size - state.Q.shape[1]
    if missing > 0:
        Y = strangers(problem, missing, state.Q.shape[1])
        zeros = np.zeros((problem.shape[1], missing), problem.dtype)
        join(problem, state, orthonormal_beside(problem, state.Q, Y), zeros)
        problem.path.append("filled up")


def _multiply(problem: Problem, Q: Array, Y: Array, power_iters: int) -> Array:
    """(A A^H)^q Y, deflated before every pair of products, as Algorithm 4.3 makes it."""
    for _ in range(power_iters):
        W = problem.adjoint(deflate(Q, Y))
        normalize(W)
        Y = problem.forward(W)
        normalize(Y)
    return Y


def _append(problem: Problem, state: QB, Y: Array, power_iters: int) -> None:
    """One block: orthonormal to the basis to rounding, with its rows of B."""
    for _ in range(power_iters):
        # Deflated twice: what a small remainder keeps of Q would be multiplied by the largest values.
        block = deflate(state.Q, orthonormalize(problem, deflate(state.Q, Y))[0])
        W, _ = orthonormalize(problem, problem.adjoint(block))
        Y = problem.forward(W)
    block = orthonormal_beside(problem, state.Q, Y)
    Bh = to_units(problem, problem.adjoint(block), state.exponent)
    join(problem, state, block, Bh)


def norm_below(state: QB, norm: str) -> float:
    """The norm of A, or a lower bound of it, in the units of the state."""
    if norm == "frobenius":
        if state.norm is not None:
            return state.norm
        size = math.sqrt(state.captured)
    else:
        # ||Q^H A||_2 <= ||A||_2; the first block holds the leading direction.
        lead = qr.small_eigh(widen(dense.gram(state.Bh[:, :BLOCK], wide=True)))[0]
        size = math.sqrt(max(float(lead[-1]), 0.0)) if lead.size else 0.0
    return size if state.exact else max(0.0, size - state.bound.estimate)


def _test(state: QB, residual: Array, goal: Goal, failure: float, inner: int) -> error.Certificate:
    # The basis does not depend on the probes, but the step at which it stops does.
    if goal.norm == "frobenius" and goal.certificate != "probe" and state.norm is not None:
        exact = error.exact_error(state.norm, state.captured, residual.dtype, inner)
        if exact is not None:
            return error.Certificate(exact, "exact", 0.0)
    return probe_test(state, residual, goal, failure)


def probe_test(state: QB, residual: Array, goal: Goal, failure: float) -> error.Certificate:
    """One of the tests of a run, with its share of the failure probability."""
    bound, _ = error.probe_bound(residual, goal.norm, failure)
    bound += error.rounding_floor(math.sqrt(state.captured), residual.dtype, state.Q.shape[1])
    return error.Certificate(bound, "probe", goal.failure)

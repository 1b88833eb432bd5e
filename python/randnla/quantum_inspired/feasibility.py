# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Semidefinite feasibility by matrix multiplicative weights, on the joint range of low-rank constraints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend import validate
from randnla._backend.errors import InputError, warn
from randnla._backend.results import Info
from randnla._backend.rng import STREAM_VERSION

from . import arguments
from .hamiltonian import require_hermitian
from .low_rank import row_blocks
from .results import SDPResult
from .sketch import scaled_rows, sketch_rows
from .source import Source
from .sq_matrix import SQMatrix, as_sq

Array = NDArray[Any]
_CHECK_EVERY = 16


@dataclass
class Compressed:
    """Constraints ``<A_j, X> <= b_j`` seen through an orthonormal Q: ``B_j = Q^H A_j Q``, and what it misses.

    All in units of the bound of the norms.
    """

    Q: Array  # (n, k)
    B: Array  # (m, k, k)
    traces: Array  # (m,), of A_j
    missed: Array  # (m,), bounds of ||A_j - Q B_j Q^H||_F
    b: Array  # (m,)


def solve_sdp(
    constraints: Sequence[Any],
    bounds: Any,
    *,
    tol: float = 0.05,
    bound: float | None = None,
    rows: int | None = None,
    maxiter: int | None = None,
    rng: Any = None,
) -> SDPResult:
    """Find a density matrix X with ``trace(A_j X) <= b_j + tol`` for all j, or prove that there is none.

    Parameters
    ----------
    constraints : sequence of SQMatrix, or arrays to make them of, of shape (n, n)
        Hermitian, of low rank together; checked to be so at sampled entries.
    bounds : array of shape (m,)
        The b.
    tol : float
        How much a constraint may be violated, in units of `bound`.
    bound : float, optional
        At least the largest 2-norm of the constraints. The largest Frobenius norm, if None; a smaller one
        makes the tolerance stricter and the answer better.
    rows : int, optional
        Rows drawn from all constraints for their joint range; 400. Constraints of no more rows than that have
        all of them read instead.
    maxiter : int, optional
        The ``16 log(n) / tol^2`` after which theory promises an answer, if None.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    SDPResult
        ``feasible`` True with a density matrix whose constraints were checked exactly, False with weights
        that prove there is none, None with a `ConvergenceWarning` after `maxiter` iterations.

    Raises
    ------
    InputError
        The matrices are not square, Hermitian and of one shape, or an argument is out of range.

    Notes
    -----
    *Algorithm*: matrix multiplicative weights (Arora and Kale, J. ACM 63, 2016) as by Chia, Gilyen, Li, Lin,
    Tang and Wang (STOC 2020), Section 6.8: the Gibbs state ``exp(-eta sum of violated A_j)`` is penalized
    where a constraint is violated, ``eta = tol / 4``. The exponential is an even transformation with shift
    1: ``Q (exp(-eta B) - 1) Q^H + I`` on the joint range of the constraints, found from sampled rows once,
    or from all where they are few. Unlike there, traces are exact: every A_j is read once for ``Q^H A_j Q``.

    *Cost*: m n^2 entries, 2 m n^2 k flops, or twice the entries and 2 m n^3 flops more where all rows are
    read; about 2 m k^3 flops an iteration.

    Examples
    --------
    >>> A = np.diag([1.0, -1.0, 0.0])
    >>> found = solve_sdp([A], [-0.5], tol=0.1, rng=0)
    >>> found.feasible, bool(np.trace(A @ found.to_dense()) <= -0.5 + 0.1 * 2**0.5)
    (True, True)
    >>> solve_sdp([A, -A], [-0.5, -0.5], tol=0.1, rng=0).feasible
    False
    """
    source = Source(rng)
    matrices = _checked(constraints, source)
    n = matrices[0].shape[0]
    b = arguments.vector(bounds, len(matrices), name="bounds", real=True)
    tol = validate.tolerance(tol)
    scale = max(A.norm() for A in matrices) if bound is None else validate.real(bound, name="bound", low=0.0)
    if not 0 < scale < math.inf:
        if bound is not None:
            raise InputError(f"bound: expected a positive number, got {bound}")
        scale = 1.0
    size = validate.integer(400 if rows is None else rows, name="rows", low=1)
    limit = math.ceil(16 * math.log(max(n, 2)) / tol**2)
    limit = limit if maxiter is None else validate.integer(maxiter, name="maxiter", low=0)
    before = sum(A.entries_read for A in matrices)
    Q = _whole_range(matrices) if n <= size else _sampled_range(matrices, size, source)
    problem = _compress(matrices, Q, b, scale)
    feasible, values, basis, floor, weights, violation, steps = _multiply_weights(problem, n, tol, limit)
    info = Info(
        rank=Q.shape[1],
        method="matrix multiplicative weights",
        iterations=steps,
        converged=feasible is not None,
        residual=violation,
        entries=sum(A.entries_read for A in matrices) - before,
        seed=source.seed,
        path={True: "feasible", False: "infeasible, certified", None: "iterations spent"}[feasible],
        stream_version=STREAM_VERSION,
    )
    if feasible is None:
        warn(f"neither feasible to tol={tol} nor proved infeasible after {steps} iterations")
    return SDPResult(feasible, Q @ basis, values, floor, weights, violation * scale, info=info)


def _checked(constraints: Any, source: Source) -> list[SQMatrix]:
    if not isinstance(constraints, (list, tuple)) or not constraints:
        raise InputError(f"constraints: expected a list of matrices, got {validate.shown(constraints)}")
    matrices = [as_sq(A, name=f"constraints[{j}]") for j, A in enumerate(constraints)]
    for j, A in enumerate(matrices):
        if A.shape != (matrices[0].shape[0],) * 2 or A.shape[0] == 0:
            raise InputError(f"constraints[{j}]: expected one square shape, got {A.shape}")
        require_hermitian(A, source, name=f"constraints[{j}]")
    return matrices


def _whole_range(matrices: list[SQMatrix]) -> Array:
    """An orthonormal basis of the rows of all constraints, each normalized, but for 3e-8 of their norms."""
    n = matrices[0].shape[0]
    gram = np.zeros((n, n), np.result_type(np.float64, *(A.dtype for A in matrices)))
    for A in matrices:
        if A.weight > 0:
            for _, block in row_blocks(A):
                gram += block.conj().T @ (block / A.weight)
    squares, vectors = np.linalg.eigh(gram)
    return np.ascontiguousarray(vectors[:, squares > 1e-15 * n * float(squares[-1])])


def _sampled_range(matrices: list[SQMatrix], size: int, source: Source) -> Array:
    """An orthonormal basis of the rows of all constraints, each normalized, from sampled rows."""
    parts = []
    for A in matrices:
        if A.weight > 0:
            each = max(1, size // len(matrices))
            parts.append(scaled_rows(sketch_rows(A, each, source)) / math.sqrt(A.weight))
    if not parts:
        return np.zeros((matrices[0].shape[0], 0))
    stacked = np.concatenate(parts)
    _, s, Vh = np.linalg.svd(stacked, full_matrices=False)
    return np.ascontiguousarray(Vh[s > 1e-10 * s[0]].conj().T)


def _compress(matrices: list[SQMatrix], Q: Array, b: Array, scale: float) -> Compressed:
    """One pass over every constraint."""
    k = Q.shape[1]
    B = np.zeros((len(matrices), k, k), np.result_type(Q.dtype, *(A.dtype for A in matrices)))
    traces, missed = np.zeros(len(matrices)), np.zeros(len(matrices))
    for j, A in enumerate(matrices):
        unit = math.ldexp(1.0, A.exponent) / scale
        for start, block in row_blocks(A):
            rows = slice(start, start + len(block))
            B[j] += Q[rows].conj().T @ (block @ Q)
            traces[j] += float(np.trace(block[:, rows]).real)
        B[j] = (B[j] + B[j].conj().T) / 2
        # Rounding of the difference of squares: 1e-15 of them, 3e-8 of the norm.
        lost = max(A.weight - float(np.linalg.norm(B[j])) ** 2, 1e-15 * A.weight)
        missed[j] = unit * math.sqrt(lost)
        B[j] *= unit
        traces[j] *= unit
    return Compressed(Q, B, traces, missed, b / scale)


def _multiply_weights(
    problem: Compressed, n: int, tol: float, limit: int
) -> tuple[bool | None, Array, Array, float, Array, float, int]:
    """Feasible or not, the Gibbs state by its eigenvalues and vectors in the range, weights, violation."""
    k = problem.Q.shape[1]
    counts = np.zeros(problem.b.size)
    penalty = np.zeros((k, k), problem.B.dtype)
    step = 0
    while True:
        energies, vectors = np.linalg.eigh(penalty) if k else (np.zeros(0), np.zeros((0, 0)))
        lowest = min(float(energies.min(initial=0.0)), 0.0) if n > k else float(energies.min(initial=np.inf))
        gibbs = np.exp(-(tol / 4) * (energies - lowest))
        rest = math.exp((tol / 4) * lowest) if n > k else 0.0
        total = float(gibbs.sum()) + rest * (n - k)
        floor = rest / total
        values = gibbs / total - floor
        # One at a time: products of matrices, and a signal is handled between two of them.
        inside = np.array([np.sum(vectors.conj() * (B @ vectors), axis=0).real for B in problem.B])
        excess = inside @ values + floor * problem.traces - problem.b
        worst = int(np.argmax(excess))
        violation = float(excess[worst])
        if violation <= tol:
            return True, values, vectors, floor, _shares(counts), violation, step
        if step == limit or (step % _CHECK_EVERY == 0 and step and _infeasible(problem, counts, n)):
            proved = step > 0 and _infeasible(problem, counts, n)
            verdict = False if proved else None
            return verdict, values, vectors, floor, _shares(counts), violation, step
        counts[worst] += 1
        penalty = penalty + problem.B[worst]
        step += 1


def _infeasible(problem: Compressed, counts: Array, n: int) -> bool:
    """``sum_j w_j (A_j - b_j I)`` is positive definite, whatever lies outside of Q."""
    w = counts / counts.sum()
    inside = np.tensordot(w, problem.B, axes=1)
    values = np.linalg.eigvalsh(inside) if inside.size else np.zeros(0)
    lowest = float(values.min(initial=np.inf))
    if n > inside.shape[0]:
        lowest = min(lowest, 0.0)
    return lowest - float(w @ problem.missed) - float(w @ problem.b) > 0


def _shares(counts: Array) -> Array:
    return counts / counts.sum() if counts.sum() else counts

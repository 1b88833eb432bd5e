# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""farPCA of Feng and Yu (2023): the basis grows by products and small eigenproblems alone.

Nothing tall is factored on the way: Y = A Omega and W = A^H Y are stored as they come, and
P = Y Z^-1 Y^H with Z = Y^H Y projects on their range, so A^H (I - P) A = A^H A - W Z^-1 W^H. Z squares the
condition of Y: directions below some sqrt(u) ||A|| are dropped.
"""

from __future__ import annotations

import numpy as np

from randnla._backend.kernels import dense, qr

from . import error
from .adaptive import QB, Goal, empty, failure_of_a_test, fill, is_rounding, join, probe_test, reaches
from .basis import basis_rows, orthonormalize, probe_rows
from .factor import widen
from .problem import Problem
from .scaling import Array, unit_roundoff


def grow(problem: Problem, goal: Goal) -> QB:
    """Append blocks until the probes are satisfied, the cap binds, or squares lose the rest.

    The probes meet A - Q B itself, so what rounding did to B is in the certificate.
    """
    probe_map = probe_rows(problem).T.astype(problem.dtype)
    count = goal.next_block(0)
    Omega = basis_rows(problem, count).T
    first, H, exponent = problem.pair(np.concatenate([Omega, probe_map.real], axis=1), count)
    probes, y = first[:, count:], first[:, :count]
    state = empty(problem, goal, exponent, exact=False)
    Y, W = (np.empty((rows, 0), problem.dtype) for rows in problem.shape)
    basis = np.empty((0, 0), problem.dtype)
    per_test, start_size = failure_of_a_test(goal, 2), error.frobenius(probes)  # and one for the finish
    while True:
        size = Y.shape[1] + count
        y, H = _iterate(problem, Omega, y, H, dense.gemm(W, basis), goal.power_iters, exponent)
        Y, W = np.concatenate([Y, y], axis=1), np.concatenate([W, H], axis=1)
        problem.hold(3 * (Y.nbytes + W.nbytes))
        basis = _whitening(Y).astype(problem.dtype)
        Bh = dense.gemm(W, basis)
        state.captured = error.frobenius(Bh) ** 2
        core = dense.gemm(basis, dense.gemm(Bh.conj().T, probe_map))
        residual = probes - dense.gemm(Y, core)
        state.bound = probe_test(state, residual, goal, per_test)
        problem.report("block")
        lost, count = basis.shape[1] < size, goal.next_block(size)
        if lost:
            problem.path.append("squares below resolution")
        done = goal.tol and (reaches(state, goal) or is_rounding(residual, start_size, size))
        if lost or done or not count:
            break
        Omega = basis_rows(problem, count, start=size).T
        y, H, _ = problem.pair(Omega, count, exponent)
    # The whitened Y is orthonormal to u times its squared condition: one factorization puts it right.
    Q, R = orthonormalize(problem, dense.gemm(Y, basis))
    state.captured = 0.0
    join(problem, state, Q, qr.triangular_solve_right(Bh, R))
    residual = probes - dense.gemm(Q, dense.gemm(state.Bh.conj().T, probe_map))
    state.bound = probe_test(state, residual, goal, per_test)
    if goal.tol == 0:
        fill(problem, state, goal.cap)
    return state


def _iterate(
    problem: Problem, w: Array, y: Array, H: Array, projected: Array, power_iters: int, exponent: int
) -> tuple[Array, Array]:
    """y = A w and H = A^H y after power iterations of w with A^H (I - P) A - alpha I.

    `projected` is W Z^-1/2. The shift alpha stays below half the smallest value wanted, which speeds the
    decay of the others up.
    """
    w = w.astype(y.dtype, copy=False)
    alpha = 0.0
    for step in range(power_iters):
        H = H - dense.gemm(projected, dense.gemm(projected.conj().T, w)) - H.real.dtype.type(alpha) * w
        w, s = _orthonormalize_by_gram(H)
        # The values say something once w was orthonormal.
        if step and s[-1] > alpha:
            alpha = (alpha + float(s[-1])) / 2
        y, H, _ = problem.pair(w, w.shape[1], exponent)
    return y, H


def _orthonormalize_by_gram(X: Array) -> tuple[Array, Array]:
    """An orthonormal basis of X and its singular values, descending, from Gram matrices."""
    s = np.ones(0)
    # Values below the root of the roundoff come out too large; the second round puts their vectors right.
    for _ in range(2):
        d, V = qr.small_eigh(widen(dense.gram(X, wide=True)))
        values = np.sqrt(np.maximum(d, 10 * unit_roundoff(np.float64) * float(d.max(initial=0.0))))[::-1]
        s = s if s.size else values
        X = dense.gemm(X, (V[:, ::-1] / np.where(values > 0, values, 1.0)).astype(X.dtype))
    return X, s


def _whitening(Y: Array) -> Array:
    """V D^-1/2 in float64 of Z = Y^H Y = V D V^H, D descending, without what lies below rounding."""
    d, V = qr.small_eigh(widen(dense.gram(Y, wide=True)))
    kept = np.flatnonzero(d > 10 * unit_roundoff(Y.dtype) * float(d.max(initial=0.0)))[::-1]
    whitened: Array = V[:, kept] / np.sqrt(d[kept])
    return whitened

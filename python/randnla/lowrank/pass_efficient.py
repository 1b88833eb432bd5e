# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The basis grows from one pair of products for many blocks: randQB_FP of Yu, Gu and Li (2018).

G = A Omega and H = A^H G are made for a batch of columns at once, in one pass where A is a stream of rows.
The blocks of the batch then need A no more, since B_i = Q_i^H A = R_i^-H Y_i^H A can be had from H. The
price: H holds squares of the singular values, so directions below some sqrt(u) ||A|| are lost.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from randnla._backend.kernels import dense, qr

from . import error
from .adaptive import (
    QB,
    Goal,
    empty,
    failure_of_a_test,
    fill,
    is_rounding,
    join,
    probe_test,
    reaches,
    reorthogonalize,
)
from .basis import basis_rows, orthonormalize, probe_rows
from .factor import narrow_product, widen
from .problem import Problem
from .scaling import Array, unit_roundoff

BATCH = 4
"""Blocks drawn at once; later batches are as wide as the basis, which doubles it."""

Products = tuple[Array, Array, Array]  # Omega (n, l), G = A Omega (m, l), H = A^H G (n, l)


def grow(problem: Problem, goal: Goal) -> QB:
    """Append blocks until the probes are satisfied, the cap binds, or squares lose the rest.

    The probes meet A - Q B itself, so what rounding did to B is in the certificate.
    """
    probe_map = probe_rows(problem).T.astype(problem.dtype)
    batch = goal.cap if goal.tol == 0 else min(goal.cap, BATCH * goal.block)
    Omega = basis_rows(problem, batch).T
    Y, H, exponent = problem.pair(np.concatenate([Omega, probe_map.real], axis=1), batch)
    residual = np.array(Y[:, batch:])
    state = empty(problem, goal, exponent, exact=False)
    first = _refine(problem, state, (Omega, Y[:, :batch], H), goal.power_iters)
    start_size = error.frobenius(residual)
    # Each batch may end in a block of its own.
    per_test = failure_of_a_test(goal, 2)
    floor = math.sqrt(10 * unit_roundoff(problem.dtype)) * float(
        error.column_norms(first[1]).max(initial=0.0)
    )
    for products in _blocks(problem, goal, state, first):
        count = append(problem, state, products, floor)
        newest = slice(state.Q.shape[1] - count, None)
        core = dense.gemm(state.Bh[:, newest].conj().T, probe_map)
        residual -= dense.gemm(state.Q[:, newest], core)
        state.bound = probe_test(state, residual, goal, per_test)
        if count < products[1].shape[1]:
            problem.path.append("squares below resolution")
            break
        if goal.tol and (reaches(state, goal) or is_rounding(residual, start_size, state.Q.shape[1])):
            break
    if goal.tol == 0:
        fill(problem, state, goal.cap)
    return state


def _refine(problem: Problem, state: QB, products: Products, power_iters: int) -> Products:
    """Power iteration of Omega by A^H (I - Q Q^H) A, with its own products."""
    Omega, G, H = products
    for _ in range(power_iters):
        known = dense.gemm(state.Bh.conj().T, Omega.astype(H.dtype, copy=False))
        Omega, _ = orthonormalize(problem, H - dense.gemm(state.Bh, known))
        G, H, _ = problem.pair(Omega, Omega.shape[1], state.exponent)
        problem.report("power iteration")
    return Omega, G, H


def _blocks(problem: Problem, goal: Goal, state: QB, products: Products) -> Iterator[Products]:
    """The columns of the products block by block; a new batch is drawn when one is used up."""
    taken, drawn = 0, products[1].shape[1]
    while count := goal.next_block(state.Q.shape[1]):
        if taken == products[1].shape[1]:
            size = state.Q.shape[1]
            batch = min(max(count, size), goal.cap - size)
            Omega = basis_rows(problem, batch, start=drawn).T
            G, H, _ = problem.pair(Omega, batch, state.exponent)
            products = _refine(problem, state, (Omega, G, H), goal.power_iters)
            problem.report("batch")
            taken, drawn = 0, drawn + batch
        Omega, G, H = (X[:, taken : taken + count] for X in products)
        taken += G.shape[1]
        yield Omega, G, H


def append(problem: Problem, state: QB, products: Products, floor: float) -> int:
    """One block without A; returns how many of its directions stand above `floor`."""
    Omega, G, H = products
    Q, Bh = state.Q, state.Bh
    # Y = (I - Q Q^H) G = G - Q K with K = B Omega to rounding, and what Q^H Y is not zero is put right.
    K = dense.gemm(Bh.conj().T, Omega.astype(G.dtype, copy=False))
    Y = G - dense.gemm(Q, K)
    K += (extra := dense.gemm(Q.conj().T, Y))
    Y -= dense.gemm(Q, extra)
    # Y = P X diag(s) V^H: rotated, the large directions are not spoiled by the small ones' errors.
    P, R = orthonormalize(problem, Y)
    X, s, Vh = qr.small_svd(widen(R))
    kept = s > floor
    block = narrow_product(P, X[:, kept])
    turn = (Vh[kept].conj().T / s[kept]).astype(G.dtype)
    # block^H A = diag(1/s) V^H (H^H - K^H B); once more deflated, it loses P2^H B.
    overlap = dense.gemm(Q.conj().T, block)
    block_h = dense.gemm(H - dense.gemm(Bh, K), turn) - dense.gemm(Bh, overlap)
    join(problem, state, reorthogonalize(problem, Q, block), block_h)
    return int(np.count_nonzero(kept))

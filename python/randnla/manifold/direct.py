# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The discrete problem solved as it stands: conjugate gradients where it is symmetric, else LU or GMRES."""

from __future__ import annotations

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from randnla._backend.results import Info
from randnla.solvers import gmres, solve

from .cloud import Array
from .precondition import make_preconditioner, sparsified
from .system import Elliptic

FACTORED = 2000
"""Unknowns up to which a matrix with ghost points is factored."""


def solve_directly(
    problem: Elliptic, preconditioner: str, tol: float, maxiter: int | None, seed: int
) -> tuple[Array, Info]:
    """Values (N, k) at all points and the account of the solver."""
    if problem.L.symmetric:
        return _symmetric(problem, preconditioner, tol, maxiter, seed)
    return _with_ghosts(problem, tol, maxiter, seed)


def _filled(problem: Elliptic, x: Array) -> Array:
    u = np.empty((len(problem.a), problem.f.shape[1]))
    u[problem.free] = x
    u[problem.fixed] = problem.values[:, None]
    if problem.mean_free:
        u -= problem.mean(u)
    return u


def _symmetric(
    problem: Elliptic, preconditioner: str, tol: float, maxiter: int | None, seed: int
) -> tuple[Array, Info]:
    """In the unknowns M^(1/2) u the matrix is M^(-1/2) K M^(-1/2) + diag(a)."""
    free, fixed, L = problem.free, problem.fixed, problem.L
    root = np.sqrt(L.mass)
    scaling = scipy.sparse.diags_array(1.0 / root)
    A = (scaling @ L.stiffness @ scaling).tocsr()
    right = root[:, None] * problem.f
    if fixed.size:
        right = right - (A[:, fixed] @ (root[fixed] * problem.values))[:, None]
        A, right = A[free][:, free], right[free]
    A = (A + scipy.sparse.diags_array(problem.a[free])).tocsr()
    M = make_preconditioner(problem, A, preconditioner, seed)
    found = solve(A, right, preconditioner=M, tol=tol, maxiter=maxiter, rng=seed)
    path = "symmetric, cg" if M is None else f"symmetric, {preconditioner} cg"
    return _filled(problem, found.x / root[free][:, None]), found.info.replace(path=path)


def _with_ghosts(problem: Elliptic, tol: float, maxiter: int | None, seed: int) -> tuple[Array, Info]:
    A = problem.rows()
    right = problem.right() - (A[:, problem.fixed] @ problem.values)[:, None]
    A = A[:, problem.free]
    mass = problem.L.mass[problem.free][:, None]
    if problem.mean_free:
        # A multiplier of the condition that the mean is zero takes up what f and the flux differ by.
        column = np.ones((A.shape[0], 1))
        A = scipy.sparse.block_array([[A, column], [mass.T / mass.sum(), None]], format="csr")
        right = np.concatenate([right, np.zeros((1, right.shape[1]))])
    if A.shape[0] <= FACTORED or problem.mean_free:
        x = scipy.sparse.linalg.splu(A.tocsc()).solve(right)
        return _filled(problem, x[: len(problem.free)]), Info(path="ghost points, lu")
    near = sparsified(problem)
    found = gmres(A, right, preconditioner=lambda R: near.solve(mass * R), tol=tol, maxiter=maxiter, rng=seed)
    return _filled(problem, found.x), found.info.replace(path="ghost points, gmres")

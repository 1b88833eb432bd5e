# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Preconditioners to keep: factored once, used for many right-hand sides and shifts."""

from __future__ import annotations

from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError, NonFiniteError
from randnla._backend.kernels import dense, qr
from randnla._backend.rng import seed_from
from randnla.lowrank.call import begin, kind_of_operator
from randnla.lowrank.problem import Problem
from randnla.lowrank.rpcholesky import factorize
from randnla.lowrank.scaling import Array
from randnla.operators import as_operator

from .growing import GrowingNystrom
from .spectral import SpectralPreconditioner


def nystrom_preconditioner(
    A: Any, rank: int, *, shift: float = 0.0, rng: Any = None, check_finite: bool = True
) -> SpectralPreconditioner:
    """The preconditioner of `solve` from a Nystrom approximation of a positive semidefinite matrix.

    Parameters
    ----------
    A : array, sparse matrix or operator of shape (n, n)
    rank : int
        Twice the effective dimension ``trace(A (A + shift I)^-1)`` makes the condition small.
    shift : float, default 0
        What is added to the diagonal; ``with_shift`` changes it.
    rng, check_finite
        As in `solve`.

    Returns
    -------
    SpectralPreconditioner
        An operator, for ``solve(A, b, preconditioner=...)`` with any b and shift.

    Raises
    ------
    InputError
        An argument does not fit, or A is not Hermitian.
    NonFiniteError
        A holds NaN or Inf.
    BreakdownError
        A is far from positive semidefinite.

    Notes
    -----
    *Algorithm*: Frangella, Tropp and Udell (2023), Algorithm 2.1 and equation (1.3). With
    ``rank = 2 * ceil(1.5 * d) + 1``, d the effective dimension, the expected condition of the preconditioned
    matrix is below 28 (Theorem 5.1). *Cost*: one product with `rank` columns, about 10 n rank^2 flops.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.diag(1.0 / np.arange(1, 101) ** 2)
    >>> M = nystrom_preconditioner(A, 40, shift=1e-2, rng=0)
    >>> C = (M @ (A + 1e-2 * np.eye(100)))
    >>> bool(np.ptp(np.linalg.eigvals(C).real) < 1e-2)
    True
    """
    op = as_operator(A, check_finite=validate.flag(check_finite, name="check_finite"))
    if op.shape[0] != op.shape[1]:
        raise InputError(f"A: expected a square matrix, got shape {op.shape}")
    wanted = validate.rank(rank, op.shape[0])
    if check_finite:
        op.require_finite(name="A")
    problem = Problem(op, kind_of_operator(op), seed_from(rng))
    exponents: list[int] = []

    def product(X: Array) -> Array:
        Y, exponent = problem.first(X)
        exponents.append(exponent)
        return Y

    made = GrowingNystrom(problem, product, op.shape[0]).grow(wanted)
    return SpectralPreconditioner(np.ldexp(made.w, exponents[-1]), made.V, shift=shift)


def rpcholesky_preconditioner(
    A: Any,
    rank: int | None = None,
    *,
    shift: float,
    tol: float | None = None,
    rng: Any = None,
    check_finite: bool = True,
) -> SpectralPreconditioner:
    """The same from a randomly pivoted Cholesky factor, which takes `rank` columns of A and no product.

    Parameters
    ----------
    A : array, sparse matrix or operator of shape (n, n)
        Positive semidefinite; of a `KernelMatrix` or `EntryOperator` only the entries needed are made.
    rank : int, optional
        Columns; with `tol`, the most.
    shift : float
        What is added to the diagonal, positive: the rest of A counts as zero beside it.
    tol : float, optional
        Trace of what is left, relative to that of A, at which no more columns are taken.
    rng, check_finite
        As in `solve`.

    Returns
    -------
    SpectralPreconditioner

    Raises
    ------
    InputError, NonFiniteError, BreakdownError
        As in `rpcholesky`.

    Notes
    -----
    *Algorithm*: Diaz, Epperly, Frangella, Tropp and Webber (2023). The condition of the preconditioned
    matrix is at most 1 + t / shift, t the trace that is left. *Cost*: (rank + 1) n entries, 4 n rank^2 flops.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> X = np.random.default_rng(0).standard_normal((200, 2))
    >>> K = randnla.KernelMatrix(X, bandwidth=2.0)
    >>> M = rpcholesky_preconditioner(K, 60, shift=1e-3, rng=0)
    >>> M.rank
    60
    """
    number = validate.real(shift, name="shift")
    if number <= 0:
        raise InputError(f"shift: expected a positive number, got {shift}")
    call = begin(A, rank, tol, rng=rng, check_finite=check_finite)
    F = factorize(call)[0]
    if not np.isfinite(F).all():
        raise NonFiniteError("A: expected finite entries, the factor holds NaN or Inf")
    w, V = eigenpairs_of_factor(call.problem.seed, F)
    return SpectralPreconditioner(w, V, shift=number, tail=0.0)


def eigenpairs_of_factor(seed: int, F: Array) -> tuple[Array, Array]:
    """Of ``F F^H``, largest first."""
    Q, R, _ = qr.cholesky_qr(F, seed=seed)
    U, s, _ = qr.small_svd(R.astype(np.result_type(R, np.float64)))
    return np.asarray(s.astype(np.float64) ** 2), dense.gemm(Q, U.astype(Q.dtype))

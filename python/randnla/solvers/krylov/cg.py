# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Conjugate gradients as a building block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from randnla._backend.errors import InputError
from randnla._backend.results import SolveResult

from ..solve import solve


def cg(
    A: Any,
    b: Any,
    *,
    preconditioner: Any = None,
    shift: float = 0.0,
    tol: float | None = None,
    maxiter: int | None = None,
    x0: Any = None,
    check_finite: bool = True,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> SolveResult:
    """Conjugate gradients for ``(A + shift I) x = b``, with the preconditioner that is handed in, or none.

    Parameters
    ----------
    A : array, sparse matrix or operator of shape (n, n)
        Hermitian positive definite after the shift.
    b : array of shape (n,) or (n, k)
        Columns share each product with A and leave as they converge.
    preconditioner : operator, array or callable, optional
        Applied to blocks of residuals (n, j); near the inverse, Hermitian and positive definite.
    shift, tol, maxiter, x0, check_finite, callback
        As in `solve`.

    Returns
    -------
    SolveResult

    Raises
    ------
    InputError, NonFiniteError, BreakdownError
        As in `solve`, which chooses a preconditioner.

    Warns
    -----
    ConvergenceWarning
        A residual exceeds `tol`.

    Notes
    -----
    *Algorithm*: Hestenes and Stiefel (1952), restarted from the true residual where the recurred one is
    off. *Cost*: one product with A and with the preconditioner and 12 n flops a column and step.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.solvers import cg
    >>> A = np.diag([1.0, 4.0, 9.0])
    >>> cg(A, np.ones(3)).x.round(6)
    array([1.      , 0.25    , 0.111111])
    """
    if isinstance(preconditioner, str):
        raise InputError(
            f"preconditioner: expected an operator, an array, a callable or None, got {preconditioner!r}; "
            "solve makes preconditioners by name"
        )
    return solve(
        A,
        b,
        shift=shift,
        preconditioner=preconditioner,
        tol=tol,
        maxiter=maxiter,
        x0=x0,
        rng=0,
        check_finite=check_finite,
        callback=callback,
    )

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The diagonal of a square matrix, and the norms of rows, from products."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.results import Estimate
from randnla.lowrank.scaling import Array, unit_roundoff

from .call import Call, account, begin, choose_probes, exact_diagonal, identity_blocks, spread_of_mean
from .hutchinson import HutchinsonDiagonal
from .trace import sample
from .xnystrom import XNysDiag
from .xtrace import RowSquares, XDiag

METHODS: dict[str, Any] = {"xdiag": XDiag, "xnysdiag": XNysDiag, "hutchinson": HutchinsonDiagonal}


def diag(
    A: Any,
    budget: int | None = None,
    *,
    method: str = "xdiag",
    tol: float | None = None,
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> Estimate:
    """Diagonal of a square matrix that is known by its products, with a standard error for every entry.

    Parameters
    ----------
    A : array, sparse matrix or operator of shape (n, n)
        "xdiag" applies A and its adjoint, "xnysdiag" takes positive semidefinite A.
    budget : int, optional
        Products with a vector, at most; 100 by default; with `tol`, as many as it takes. From n on the
        diagonal is computed from n products, exactly.
    method : {"xdiag", "xnysdiag", "hutchinson"}
    tol : float, optional
        2-norm of the standard errors over that of the diagonal.
    rng, check_finite, max_memory, callback
        As in `trace`.

    Returns
    -------
    Estimate
        `value` (n,) and `std_error` (n,), arrays of the kind of A; `info`, whose error is the 2-norm of
        the standard errors.

    Raises
    ------
    InputError, NonFiniteError, BreakdownError
        As in `trace`.

    Warns
    -----
    ConvergenceWarning
        The error exceeds `tol` when the budget is spent.

    Notes
    -----
    *Algorithm*: XDiag and XNysDiag (Epperly, Tropp and Webber, 2024), with vectors of signs; Bekas,
    Kokiopoulou and Saad (2007). All are unbiased for a fixed budget.

    *Error*: as for `trace`; 1.5 times that of independent samples for XDiag and XNysDiag.

    *Cost*: budget products; for XDiag another O(n budget^2) flops.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> d = 0.7 ** np.arange(1000)
    >>> Q = np.linalg.qr(np.random.default_rng(0).standard_normal((1000, 40)))[0]
    >>> A = (Q * d[:40]) @ Q.T
    >>> found = randnla.diag(A, 90, rng=0)
    >>> bool(np.allclose(found.value, np.diag(A), atol=1e-6))
    True
    """
    validate.choice(method, tuple(METHODS), name="method")
    call = begin(
        A,
        rng=rng,
        check_finite=check_finite,
        max_memory=max_memory,
        callback=callback,
        tol=tol,
        budget=budget,
    )
    choose_probes(call, "sign", False, "sign")
    estimator = METHODS[method](call)
    found = sample(call, estimator, lambda s, r: _summarize(s, r, estimator.caution), _relative)
    if found is None:
        d, call.exponent, lengths = exact_diagonal(call)
        return _finish(call, d, unit_roundoff(call.problem.dtype) * lengths, "exact", None)
    return _finish(call, found[0], found[1], method, estimator.size)


def squared_row_norms(
    A: Any,
    budget: int | None = None,
    *,
    tol: float | None = None,
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> Estimate:
    """Squared 2-norms of the rows of a matrix that is known by its products, with standard errors.

    Parameters
    ----------
    A : array, sparse matrix or operator of shape (m, n)
    budget : int, optional
        Products of A and of its adjoint with a vector, at most; 100 by default. From n on the norms are
        computed from n products, exactly.
    tol, rng, check_finite, max_memory, callback
        As in `diag`.

    Returns
    -------
    Estimate
        `value` (m,) and `std_error` (m,), arrays of the kind of A; `info`.

    Raises
    ------
    InputError, NonFiniteError
        As in `trace`.

    Warns
    -----
    ConvergenceWarning
        The error exceeds `tol` when the budget is spent.

    Notes
    -----
    *Algorithm*: the leave-one-out estimator of Epperly (2025): rows of A on a sampled range of A^H, and what
    the left-out vector sees beyond it. Unbiased.

    *Cost*: budget products, three a vector.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> from randnla.estimate import squared_row_norms
    >>> X = np.random.default_rng(0).standard_normal((300, 5)) @ np.ones((5, 200))
    >>> found = squared_row_norms(X, 30, rng=0)
    >>> bool(np.allclose(found.value, (X**2).sum(axis=1)))
    True
    """
    call = begin(
        A,
        rng=rng,
        check_finite=check_finite,
        max_memory=max_memory,
        callback=callback,
        tol=tol,
        budget=budget,
        square=False,
    )
    choose_probes(call, "gaussian", True, "gaussian")
    estimator = RowSquares(call)
    found = sample(call, estimator, lambda s, r: _summarize(s, r, estimator.caution), _relative)
    if found is None:
        squares = np.zeros(call.problem.shape[0])
        for _, block in identity_blocks(call.n, call.problem.dtype):
            Y = call.forward(block)
            squares += (np.abs(Y.astype(np.result_type(Y.dtype, np.float64))) ** 2).sum(axis=1)
        found = squares, 2 * unit_roundoff(call.problem.dtype) * squares
        method, size = "exact", None
    else:
        method, size = "xrownorm", estimator.size
    call.exponent = 2 * (call.exponent or 0)
    return _finish(call, found[0], found[1], method, size)


def _summarize(samples: Array, rounding: float, caution: float) -> tuple[Array, Array]:
    return samples.mean(axis=1), np.hypot(caution * spread_of_mean(samples, 1), rounding)


def _relative(value: Array, error: Array) -> float:
    size, spread = (float(np.linalg.norm(x)) for x in (value, error))
    return spread / size if size > 0 else float(spread > 0)


def _finish(call: Call, value: Array, error: Array, method: str, size: int | None) -> Estimate:
    e = call.exponent or 0
    spread, norm = (float(np.linalg.norm(x)) for x in (error, value))
    with np.errstate(over="ignore"):
        if np.iscomplexobj(value):
            value = np.ldexp(value.real, e) + 1j * np.ldexp(value.imag, e)
        else:
            value = np.ldexp(value, e)
        error = np.ldexp(error, e)
        absolute = float(np.ldexp(spread, e))
        info = account(call, method=method, samples=size, error=spread, size=norm)
    info = info.replace(error_estimate=absolute if math.isfinite(absolute) else math.inf)
    return Estimate(*namespace.restore_all(call.kind, value, error), info=info)

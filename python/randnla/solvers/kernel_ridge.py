# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Kernel ridge regression without the kernel matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla.operators import KernelMatrix

from .results import KernelRidgeResult
from .solve import solve


def kernel_ridge(
    points: Any,
    y: Any,
    *,
    alpha: float = 1.0,
    kernel: str = "gaussian",
    bandwidth: float = 1.0,
    preconditioner: Any = "rpcholesky",
    rank: int | str = "auto",
    tol: float | None = None,
    maxiter: int | None = None,
    rng: Any = None,
    check_finite: bool = True,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> KernelRidgeResult:
    """Fit ``f = sum_i c_i k(., x_i)`` with ``(K + alpha I) c = y``, K the kernel matrix of the points.

    Parameters
    ----------
    points : array of shape (n, dim)
    y : array of shape (n,) or (n, k)
    alpha : float, default 1
        Positive; what scikit-learn's ``KernelRidge`` calls so.
    kernel, bandwidth
        As of `KernelMatrix`; a Gaussian of ``gamma`` has the bandwidth ``(2 gamma)^(-1/2)``.
    preconditioner : {"rpcholesky", "nystrom"}, None or operator
        As in `solve`. "rpcholesky" evaluates `rank` columns of K, "nystrom" all of K with `rank` columns.
    rank, tol, maxiter, rng, check_finite, callback
        As in `solve`.

    Returns
    -------
    KernelRidgeResult
        `coefficients` of the shape of y, ``predict(points)``, `info` as of `solve`.

    Raises
    ------
    InputError
        An argument does not fit.
    NonFiniteError
        The points or y hold NaN or Inf.

    Warns
    -----
    ConvergenceWarning
        A residual exceeds `tol`.

    Notes
    -----
    *Algorithm*: conjugate gradients preconditioned by a randomly pivoted Cholesky factor F,
    ``(F F^H + alpha I)^-1`` (Diaz, Epperly, Frangella, Tropp and Webber, 2023); of automatic rank it grows
    until the condition is certain to be at most 11, or to 10 n^(1/2) columns. *Cost*: n `rank` entries of K
    and 4 n rank^2 flops, then n^2 entries a step; memory of some 4 n rank numbers, never n^2.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.solvers import kernel_ridge
    >>> x = np.linspace(0, 6, 200)[:, None]
    >>> fit = kernel_ridge(x, np.sin(x[:, 0]), alpha=1e-4, bandwidth=1.0, rng=0)
    >>> bool(abs(fit.predict([[1.0]])[0] - np.sin(1.0)) < 1e-3)
    True
    """
    number = validate.real(alpha, name="alpha")
    if number <= 0:
        raise InputError(f"alpha: expected a positive number, got {alpha}")
    K = KernelMatrix(points, kernel=kernel, bandwidth=bandwidth, check_finite=check_finite)
    target = validate.as_array(y, name="y", ndim=(1, 2))
    if target.shape[0] != K.shape[0]:
        raise InputError(f"y: expected {K.shape[0]} rows as points has, got shape {target.shape}")
    validate.require_finite(target, name="y")  # `solve` would call it b
    found = solve(
        K,
        y,
        shift=number,
        preconditioner=preconditioner,
        rank=rank,
        tol=tol,
        maxiter=maxiter,
        rng=rng,
        check_finite=check_finite,
        callback=callback,
    )
    return KernelRidgeResult(found.x, kernel=K, info=found.info)

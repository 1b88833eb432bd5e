# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Principal component analysis with implicit centering."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError, NonFiniteError
from randnla._backend.results import PCAResult
from randnla.operators import LinearOperator

from . import error, plan
from .basis import PROBE_STREAM, gaussian_rows
from .call import Call, begin
from .centered import Centered
from .scaling import Array, normalize, real_dtype
from .svd import decompose, undefined


def pca(
    A: Any,
    rank: int | None = None,
    *,
    tol: float | None = None,
    center: bool = True,
    whiten: bool = False,
    norm: str = "fro",
    oversample: int = 10,
    power_iters: int | str = "auto",
    method: str = "auto",
    sketch: Any = "auto",
    certificate: str = "auto",
    failure_probability: float | None = None,
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> PCAResult:
    """Principal components of the rows of a matrix, with a certificate of the error.

    Parameters
    ----------
    A : array, sparse matrix, memmap or operator of shape (m, n)
        m samples of n features; a sparse matrix stays sparse, a memmap is read in blocks.
    rank : int, optional
        Number of components k; with `tol`, the largest allowed.
    tol : float, optional
        Relative error, in `norm`, of the centered matrix to certify.
    center : bool, default True
        Subtract the column means (without forming the centered matrix).
    whiten : bool, default False
        Scale the scores to unit variance.
    norm, oversample, power_iters, method, sketch, certificate, failure_probability, rng, check_finite, \
max_memory, callback
        As in `svd`.

    Returns
    -------
    PCAResult
        components (k, n), explained_variance (k,) with the divisor m - 1, explained_variance_ratio (k,),
        mean (n,), scores (m, k), `info`. The entry of largest magnitude of every score column is
        positive.

    Raises
    ------
    InputError
        An argument does not fit, or A has fewer than two rows.
    NonFiniteError
        A holds NaN or Inf.

    Warns
    -----
    ConvergenceWarning
        The certified error exceeds `tol`.

    Notes
    -----
    *Algorithm*: `svd` of A - 1 mu^T. The total variance of an operator that does not know its norm is
    estimated with ten Gaussian probes.

    *Cost*: that of `svd` and a pass for the means.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> X = np.random.default_rng(0).standard_normal((500, 20)) * np.r_[9.0, 4.0, np.ones(18)] + 7
    >>> result = randnla.pca(X, 2, rng=0)
    >>> result.explained_variance.round(-1)
    array([80., 20.])
    """
    validate.choice(method, plan.SVD_METHODS, name="method")
    center, whiten = validate.flag(center, name="center"), validate.flag(whiten, name="whiten")
    call = begin(
        A,
        rank,
        tol,
        norm=norm,
        oversample=oversample,
        power_iters=power_iters,
        sketch=sketch,
        certificate=certificate,
        failure_probability=failure_probability,
        rng=rng,
        check_finite=check_finite,
        max_memory=max_memory,
        callback=callback,
    )
    m = call.problem.shape[0]
    if m < 2:
        raise InputError(f"A: expected at least two rows to have a variance, got shape {call.problem.shape}")
    mean = _center(call) if center else np.zeros(call.problem.shape[1], call.problem.dtype)
    try:
        if not np.isfinite(mean).all():
            call.problem.op.require_finite(name="A")
            raise NonFiniteError("A: expected finite entries, but its column means are not")
        U, s, V, info = decompose(call, method)
        total = _total_norm(call, s)
    except NonFiniteError:
        if call.check_finite:
            raise
        (U, s, V, info), total = undefined(call), np.nan
    real = real_dtype(call.problem.dtype)
    wide = s.astype(np.float64)
    with np.errstate(over="ignore"):  # a variance beyond the range of the dtype is inf
        variance = ((wide / math.sqrt(m - 1)) ** 2).astype(real)
    ratio = (wide / total) ** 2 if total else np.zeros_like(wide)
    scores = U * (np.asarray(np.sqrt(m - 1.0), real) if whiten else s)
    factors = (V.conj().T, variance, ratio.astype(real), mean, scores)
    return PCAResult(*namespace.restore_all(call.kind, *factors), info=info)


def _center(call: Call) -> Array:
    """Put the centered matrix in place of the matrix; its means in the dtype of A."""
    problem = call.problem
    shifted = Centered(problem.op)
    problem.op = shifted
    problem.passes += 1
    problem.path.append("centered")
    mean: Array = shifted.mean.astype(problem.dtype)
    return mean


def _total_norm(call: Call, s: Array) -> float:
    """||A - 1 mu^T||_F; not squared, which may leave the range."""
    total = call.spectrum_norm
    if total is None:
        total = _norm(call.problem.op, call)
    # Rounding must not let the part exceed the whole.
    return max(total, math.hypot(*s.tolist()))


def _norm(op: LinearOperator, call: Call) -> float:
    norm = op.frobenius_norm()
    if norm is not None:
        return norm
    rows = gaussian_rows(call.problem, error.PROBES, stream=PROBE_STREAM + 1)
    Y = call.problem.forward(rows.T)
    exponent = normalize(Y) - call.problem.shift
    return math.ldexp(error.frobenius(Y), exponent) / math.sqrt(error.PROBES)

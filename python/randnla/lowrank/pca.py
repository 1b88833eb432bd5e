# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Principal component analysis with implicit centering."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError, RangeError, warn
from randnla._backend.kernels import dense, qr
from randnla._backend.results import Info, PCAResult
from randnla.operators import Dense, LinearOperator

from . import error, gram, plan
from .basis import PROBE_STREAM, probe_rows
from .call import Call, begin, device_method, require_leave_one_out, unless_undefined
from .centered import centered
from .outcome import Factors, known_spectrum, undefined
from .scaling import Array, fix_signs, in_units, normalize, real_dtype, scale_columns, unit_roundoff
from .svd import decompose, refined, resolve, sketch_of
from .units import count_rounding, into_range, restore_units, scale_counted

SMALL = 1 << 16
"""Entries up to which a centered copy is made: it takes less time than corrections do."""


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
    method : str
        As in `svd`, without "single_pass".
    norm, oversample, power_iters, sketch, certificate, failure_probability, rng, check_finite, \
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
    RangeError
        A variance is finite but beyond the range of the dtype, as of deviations above 1.8e19 in float32
        and 1.3e154 in float64.

    Warns
    -----
    ConvergenceWarning
        The certified error exceeds `tol`.
    RuntimeWarning
        A variance is below the normal range (of deviations below 1.1e-19 or 1.5e-154), so that it has few
        digits left or is 0. The ratios, components, scores and mean are not touched by that.

    Notes
    -----
    The certificate is of A - 1 mean^T - scores @ components, rounding to multiples of the least number
    included.

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
    validate.choice(method, plan.PCA_METHODS, name="method")
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
        device=True,
    )
    m = call.problem.shape[0]
    if m < 2:
        raise InputError(f"A: expected at least two rows to have a variance, got shape {call.problem.shape}")
    method = device_method(call, method, plan.DEVICE_METHODS)
    require_leave_one_out(call, method)
    exponent = into_range(call.problem)
    with call.problem.place():
        return _components(call, method, exponent, center=center, whiten=whiten)


def _components(call: Call, method: str, exponent: int, *, center: bool, whiten: bool) -> PCAResult:
    """The components of 2^exponent times the matrix of the call."""
    method = resolve(call, method, centered=center)
    known = _center(call, method) if center else None
    call.in_units = True
    scores, s, V, info = unless_undefined(call, lambda: _factors(call, method), undefined)
    unit = exponent + call.exponent  # of s and the scores
    info = restore_units(info, exponent)
    s, total = s.astype(np.float64), _total_norm(call, s)
    dtype, m = call.problem.dtype, call.problem.shape[0]
    variance, ratio = _variances(s, total, m)
    variance, info = _rounded(variance, unit, real_dtype(dtype), info)
    mean = np.zeros(call.problem.shape[1], dtype) if known is None else known().astype(dtype)
    lost = in_units(math.sqrt(m) * scale_counted(mean[None, :], exponent), -call.exponent)
    if whiten:
        scale_columns(
            scores, np.where(s > 0, math.sqrt(m - 1) / np.where(s > 0, s, 1), 0).astype(variance.dtype)
        )
    else:
        lost = math.hypot(lost, scale_counted(scores, unit))
    info = count_rounding(info, lost, total, unit, dtype, call.tol)
    found = (V.conj().T, variance, ratio.astype(variance.dtype), mean, scores)
    return PCAResult(*namespace.restore_all(call.kind, *found), info=info)


def _variances(s: Array, total: float, m: int) -> tuple[Array, Array]:
    """Variances and their ratios to the total, of m observations with singular values s."""
    ratio = (s / total) ** 2 if total else np.zeros_like(s)
    return (s / math.sqrt(m - 1)) ** 2, ratio


def _rounded(variance: Array, exponent: int, dtype: np.dtype[Any], info: Info) -> tuple[Array, Info]:
    """The variances times 4^exponent in `dtype`.

    Raises
    ------
    RangeError
        A variance, the square of a deviation, leaves the range.
    """
    mantissa, power = np.frexp(variance)  # rounded to the dtype first: the same bits in all units
    with np.errstate(over="ignore"):
        out = np.ldexp(mantissa.astype(dtype), power + 2 * exponent)
    if np.isinf(out).any() and np.isfinite(variance).all():
        raise RangeError(f"A: its largest variance exceeds the range of {dtype}; scale A down")
    few = int(np.count_nonzero(np.abs(out[: info.rank]) < np.finfo(dtype).tiny))
    if few:
        warn(
            f"A: {few} of {out.size} variances are below the normal range of {dtype} and rounded "
            f"to multiples of {np.finfo(dtype).smallest_subnormal}, or 0; scale A up",
            RuntimeWarning,
        )
        info = info.replace(path=f"{info.path}, variances rounded")
    return out, info


def _center(call: Call, method: str) -> Callable[[], Array]:
    """Put the centered matrix in place of the matrix; returns what tells the means once it was read."""
    problem = call.problem
    shifted = centered(problem.op)
    small = isinstance(problem.op, Dense) and math.prod(problem.shape) <= SMALL
    if small or method != "gram":  # the moments of an array tell the means
        problem.passes += 1
        if not np.isfinite(shifted.mean).all() and call.check_finite:
            problem.refuse("column means")
    problem.op = Dense(shifted.to_dense(), check_finite=False) if small else shifted
    problem.path.append("centered")
    return lambda: shifted.mean


def _factors(call: Call, method: str) -> Factors:
    """Scores, singular values and components by the method asked for."""
    if method == "gram" and call.tol is None:
        return _by_gram(call)
    return _scores(decompose(call, method))


def _scores(factors: Factors) -> Factors:
    U, s, V, info = factors
    return scale_columns(U, s.astype(real_dtype(U.dtype), copy=False)), s, V, info


def _by_gram(call: Call) -> Factors:
    """Scores, singular values and components by the Gram matrix: one product gives the scores.

    The scores need not be divided by the singular values, so no orthonormalization is due: what the
    Gram matrix of the scores shows of correlations is turned away.
    """
    problem, k = call.problem, call.rank
    assert k is not None
    columns = sketch_of(call, k)[0]
    found = gram.leading_spectrum(problem, k, columns) if _is_tall_array(call) else None
    if found is None or not k:
        return _scores(decompose(call, "gram"))
    if not found.resolved:
        U, s, V, info = refined(call, k, found)
        fix_signs(U, V)
        return _scores((U, s, V, info))
    V = found.vectors[:, :k]
    Y = problem.forward(V)
    # The size of Y is known: a pass to bring it in range is made only if that is near the ends.
    near = found.exponent + problem.shift
    limit = np.finfo(real_dtype(problem.dtype)).maxexp // 4
    exponent = (0 if abs(near) < limit else normalize(Y)) - problem.shift
    if found.cosine(k) <= orthogonal_enough(Y):
        norms, turn = np.ldexp(np.sqrt(found.squares[:k]), found.exponent - exponent), None
    else:
        norms, turn = decorrelation(Y)
    if turn is not None:
        problem.path.append("turned")
        Y, V = dense.gemm(Y, turn), dense.gemm(V, turn)
        norms = decorrelation(Y)[0]
    order = np.argsort(-norms, kind="stable")
    if np.any(order != np.arange(k)):
        Y, V, norms = Y[:, order], V[:, order], norms[order]
    spectrum = found.spectrum(norms, exponent)
    _, s, V, info = known_spectrum(call, Y, norms, V, exponent, spectrum, "gram", found.slack)
    V = np.array(V)
    fix_signs(Y, V)
    return Y, s, V, info


def _is_tall_array(call: Call) -> bool:
    op: Any = call.problem.op
    return hasattr(getattr(op, "base", op), "array") and op.shape[0] >= op.shape[1]


def orthogonal_enough(Y: Array) -> float:
    """Cosines between columns that are let be, 2^-12 (float32) or 2^-26.

    They change the norms by less than themselves.
    """
    return math.sqrt(unit_roundoff(Y.dtype))


def decorrelation(Y: Array) -> tuple[Array, Array | None]:
    """The column norms of Y, and the rotation that makes its columns orthogonal unless they are so."""
    S = dense.moments(Y)[0]
    norms = np.sqrt(np.maximum(np.diagonal(S).real, 0.0))
    scale = np.where(norms > 0, norms, 1.0)
    cosines = np.abs(S / scale[:, None] / scale[None, :])
    np.fill_diagonal(cosines, 0.0)
    if float(cosines.max(initial=0.0)) <= orthogonal_enough(Y):
        return norms, None
    W = qr.small_eigh(S)[1][:, ::-1]
    return norms, np.ascontiguousarray(W.astype(Y.dtype))


def _total_norm(call: Call, s: Array) -> float:
    """||A - 1 mu^T||_F in the units of s; not squared, which may leave the range."""
    if np.isnan(s).any():
        return math.nan
    total = call.spectrum_norm
    total = _norm(call.problem.op, call) if total is None else in_units(total, -call.exponent)
    # Rounding must not let the part exceed the whole.
    return max(total, math.hypot(*s.tolist()))


def _norm(op: LinearOperator, call: Call) -> float:
    norm = op.frobenius_norm()
    if norm is not None:
        return in_units(norm, -call.exponent)
    rows = probe_rows(call.problem, stream=PROBE_STREAM + 1)
    Y = call.problem.forward(rows.T)
    exponent = normalize(Y) - call.problem.shift
    return in_units(error.frobenius(Y), exponent - call.exponent) / math.sqrt(error.PROBES)

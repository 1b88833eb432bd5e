# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Truncated eigenvalue decomposition of symmetric and Hermitian matrices."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import dense, qr
from randnla._backend.results import EighResult, Info

from . import adaptive, definite, error, factor, gram, plan
from .basis import Sample, basis_rows, first_sketch, iterate, orthonormalize
from .call import (
    Call,
    account,
    begin,
    certify_product,
    device_method,
    no_worse_than_zero,
    numerical_rank,
    smallest_rank,
    undefined_info,
    unless_undefined,
)
from .krylov import sample_krylov
from .scaling import Array, first_columns, fix_signs, in_units, real_dtype, vector_norm
from .units import restore_values

Pairs = tuple[Array, Array, Info]


def eigh(
    A: Any,
    rank: int | None = None,
    *,
    tol: float | None = None,
    norm: str = "fro",
    oversample: int = 10,
    power_iters: int | str = "auto",
    method: str = "auto",
    sketch: Any = "auto",
    certificate: str = "auto",
    failure_probability: float | None = None,
    block: int | str = "auto",
    warm_start: Any = None,
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> EighResult:
    """Eigenpairs of largest magnitude of a symmetric or Hermitian matrix, with a certificate.

    Parameters
    ----------
    A : array, sparse matrix, memmap or operator of shape (n, n)
        Symmetric, or Hermitian if complex, to the root of the unit roundoff. On a GPU (`/guide/gpu`) for a
        fixed rank by "subspace", with Gaussian sketches of at most 256 (float32) or 128 columns.
    rank : int, optional
        Number of pairs k; with `tol`, the largest allowed.
    tol : float, optional
        Relative error in `norm` to certify.
    norm : {"fro", "spectral"}
        Norm of `tol` and of the error estimate.
    oversample : int, default 10
        Columns of the sketch beyond the rank.
    power_iters : int or "auto"
        Multiplications of the sketch by A^2; "auto" is 2, or 0 with `warm_start`. With both `method`
        and `power_iters` at "auto" the sketch has at least 1.5 k columns, and the number of passes, two
        to four, depends on the data: where Q^H A Q is definite and the probes prefer its Nystrom
        approximation, passes end when the computed spectrum predicts an error within 2 % of the least;
        otherwise there are four. ``info.path`` says "definite core" or "indefinite core".
    method : str
        "subspace" (Rayleigh-Ritz on the basis), "krylov" (Rayleigh-Ritz on the products of all powers, 2q + 1
        times the memory), "nystrom" (positive semidefinite A only),
        "row_extraction" (no pass after the basis; the least accurate), "one_pass" (A is read once),
        "full" (LAPACK), or "auto": subspace, or full where that is cheaper by the cost model. `tol` is taken
        by "auto", "subspace" and "full"; the others make factors of a fixed rank.
    sketch, certificate, failure_probability, block, rng, check_finite, max_memory, callback
        As in `svd`; "leave_one_out" is not offered, "exact" only of "subspace", "krylov" and "full".
    warm_start : array of shape (n, j), optional
        A guess of the leading vectors, such as those of a matrix nearby; Gaussian columns fill it up to
        the sketch size. For a fixed rank only.

    Returns
    -------
    EighResult
        w (k,) by decreasing magnitude, V (n, k) with the entry of largest magnitude of each column
        positive, `info`.

    Raises
    ------
    InputError
        An argument does not fit, or A is not symmetric.
    NonFiniteError
        A holds NaN or Inf.
    RangeError
        A value is beyond the range of the dtype.

    Warns
    -----
    ConvergenceWarning
        The certified error exceeds `tol`.

    Notes
    -----
    *Algorithm*: Halko, Martinsson and Tropp (2011), Algorithm 4.4 followed by 5.3 (5.4, 5.5, 5.6 on
    request).

    *Cost*: 2q + 2 passes, (2q + 2) 2 n^2 (k + oversample) flops; by default two to four passes.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> V = np.linalg.qr(np.random.default_rng(0).standard_normal((200, 200)))[0]
    >>> w, _ = randnla.eigh((V * np.r_[4.0, -3.0, np.full(198, 1e-3)]) @ V.T, 2, rng=0)
    >>> bool(np.allclose(w, [4, -3]))
    True
    """
    validate.choice(method, plan.EIGH_METHODS, name="method")
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
        block=block,
        rng=rng,
        check_finite=check_finite,
        max_memory=max_memory,
        callback=callback,
        device=True,
    )
    require_square(call)
    method = device_method(call, method, plan.DEVICE_METHODS[:1])
    start = checked_start(call, warm_start)
    with call.problem.place():
        w, V, info = unless_undefined(call, lambda: _decompose(call, method, start), undefined)
        return EighResult(*namespace.restore_all(call.kind, w, V), info=info)


def require_square(call: Call) -> None:
    """Refuse what eigh and nystrom cannot take."""
    m, n = call.problem.shape
    if m != n:
        raise InputError(f"A: expected a square matrix, got shape {(m, n)}")
    if call.certificate == "leave_one_out":
        raise InputError("certificate: expected 'auto', 'probe' or 'exact' here, got 'leave_one_out'")


def checked_start(call: Call, warm_start: Any) -> Array | None:
    """The warm start as a finite block of n rows in the dtype of A."""
    if warm_start is None:
        return None
    if call.problem.kind == "device":
        raise InputError("warm_start: expected None for an array on a GPU")
    if call.tol is not None:
        raise InputError("warm_start: with tol the basis grows from nothing; expected None")
    if call.sketch != "gaussian":
        raise InputError("sketch: with warm_start, expected 'auto' or 'gaussian', which fills the block up")
    block = validate.as_matrix(warm_start, name="warm_start")
    n = call.problem.shape[1]
    if block.shape[0] != n or block.shape[1] > n:
        raise InputError(f"warm_start: expected shape ({n}, j) with j <= {n}, got {block.shape}")
    validate.require_finite(block, name="warm_start")
    if np.iscomplexobj(block) and call.problem.dtype.kind != "c":
        raise InputError("warm_start: expected a real block for a real matrix")
    return block.astype(call.problem.dtype)


def start_block(call: Call, start: Array | None, size: int) -> Array | None:
    """The warm start cut or filled up with Gaussian columns to the sketch size."""
    if start is None:
        return None
    extra = size - start.shape[1]
    if extra <= 0:
        return start[:, :size]
    rows = basis_rows(call.problem, extra)
    return np.concatenate([start, rows.T.astype(start.dtype)], axis=1)


def _decompose(call: Call, method: str, start: Array | None) -> Pairs:
    problem = call.problem
    n = problem.shape[0]
    if n == 0 and problem.kind != "device":
        method = "full"
    if call.tol is not None:
        return _to_tolerance(call, method)
    k = call.rank
    assert k is not None
    size = min(n, k + call.oversample)
    q = (plan.SVD_POWER_ITERS if start is None else 0) if call.power_iters is None else call.power_iters
    if method == "auto":
        default = start is None and call.power_iters is None
        columns = definite.sketch_size(k, call.oversample, n) if default else size
        method = plan.choose_eigh(problem.shape, problem.dtype, columns, None if default else q, problem.kind)
        if (
            start is not None
            or call.sketch != "gaussian"
            or (call.certificate == "exact" and method != "full")
        ):
            method = "subspace"
        elif method == "subspace" and call.power_iters is None:
            sample, w, V, e1 = definite.pairs(call, k)
            return finish(call, sample, w, V, e1, k, "subspace", candidates=definite.CANDIDATES)
    if method == "full":
        return _by_lapack(call, k)
    if call.certificate == "exact" and method not in ("subspace", "krylov"):
        raise InputError(f"certificate: 'exact' needs method='subspace', 'krylov' or 'full', got {method!r}")
    if method == "krylov":
        return _by_krylov(call, start, size, q)
    Y, Z, probe_map, exponent = first_sketch(problem, size, call.sketch, start_block(call, start, size))
    factor.require_hermitian(probe_map, Z)
    if method == "one_pass":
        return _one_pass(call, start_block(call, start, size), Sample(Y, exponent, probe_map, Z), k)
    sample = Sample(iterate(problem, Y, q, []), exponent, probe_map, Z)
    rule = {
        "subspace": factor.direct_eigh,
        "nystrom": factor.nystrom_eigh,
        "row_extraction": factor.row_extraction_eigh,
    }[method]
    w, V, e1 = rule(problem, sample.Q)
    return finish(call, sample, w, V, e1, k, method)


def _by_krylov(call: Call, start: Array | None, size: int, q: int) -> Pairs:
    problem, k = call.problem, call.rank
    assert k is not None
    block = min(call.block or size, size)
    first = start_block(call, start, block)
    sample, W = sample_krylov(
        problem,
        size,
        block,
        q,
        sketch=call.sketch,
        start=first,
        hermitian=True,
        check=factor.require_hermitian,
    )
    T = factor.hermitian_part(dense.gemm(sample.Q.conj().T, W))
    w, X = factor.by_magnitude(*qr.small_eigh(T))
    V = factor.narrow_product(sample.Q, X)
    return finish(call, sample, w, V, sample.exponent, k, "krylov")


def _one_pass(call: Call, start: Array | None, sample: Sample, k: int) -> Pairs:
    problem, Y = call.problem, sample.Q
    if start is None:
        if call.sketch != "gaussian":
            raise InputError("sketch: method='one_pass' needs sketch='gaussian'")
        start = basis_rows(problem, Y.shape[1]).T
    sample.Q, _ = orthonormalize(problem, Y)
    w, V = factor.one_pass_eigh(sample.Q, start, Y)
    return finish(call, sample, w, V, sample.exponent, k, "one_pass")


def finish(
    call: Call,
    sample: Sample,
    w: Array,
    V: Array,
    exponent: int,
    k: int,
    method: str,
    *,
    candidates: int = 1,
) -> Pairs:
    """Truncate to k pairs, certify, fix signs; the probes may have chosen among `candidates`."""
    problem, V = call.problem, first_columns(V, k)
    ritz = method == "krylov" or (method == "subspace" and "definite core" not in problem.path)
    known = _exact(call, w, exponent, k) if ritz else None
    if known is None:
        # Of Ritz pairs ||A - A_k||_F^2 = ||A||_F^2 - ||A_k||_F^2; Nystrom's A_k lies below semidefinite A.
        contained = method == "nystrom" or (ritz and call.norm == "frobenius")
        certificate, relative = certify_product(
            call, sample, V, w, V, exponent, candidates=candidates, contained=contained
        )
    else:
        certificate, relative = known
    found = numerical_rank(call, w, k)
    info = account(call, certificate, relative, method=method, rank=found, converged=True)
    fix_signs(V)
    w, info = restore_values(w[:k], exponent, real_dtype(problem.dtype), info, call.tol)
    return w, V, info


def _exact(call: Call, w: Array, exponent: int, k: int) -> tuple[error.Certificate, float] | None:
    """||A - V diag(w) V^H||_F^2 = ||A||_F^2 - sum w_i^2 for Ritz pairs, where it is cheap or asked for."""
    problem = call.problem
    cheap = problem.kind != "operator" and call.norm == "frobenius"
    if call.certificate != "exact" and not (call.certificate == "auto" and cheap):
        return None
    norm = problem.op.frobenius_norm()
    if norm is None:
        if call.certificate == "exact":
            raise InputError("certificate: 'exact' needs ||A||_F, which this operator does not know")
        return None
    scaled = in_units(norm, -exponent)
    values = np.asarray(w[:k], dtype=np.float64)
    if not math.isfinite(scaled):
        return None
    known = error.exact_error(scaled, float((values**2).sum()), problem.dtype, problem.inner)
    if known is None:
        problem.path.append("identity below resolution")
        return None
    size = scaled if call.norm == "frobenius" else float(np.abs(w[0])) if w.size else 0.0
    return error.Certificate(in_units(known, exponent), "exact", 0.0), known / size if size else 0.0


def _by_lapack(call: Call, k: int | None) -> Pairs:
    problem = call.problem
    w, V, exponent = gram.full_eigh(problem, k)
    whole = vector_norm(w)
    floor = error.rounding_floor(whole, problem.dtype, w.size)  # the values are known to rounding, too
    size = whole if call.norm == "frobenius" else float(np.abs(w).max(initial=0.0))
    converged = True
    if k is None:
        assert call.tol is not None
        cap = call.limit if call.rank is None else call.rank
        errors = error.truncation_errors(np.abs(w), call.norm) + floor
        k, converged = smallest_rank(errors, 0.0, call.tol * size, cap)
        converged = converged or size == 0.0
    estimate = error.truncation_error(np.abs(w), k, call.norm) + floor if size else 0.0
    certificate = error.Certificate(in_units(estimate, exponent), "exact", 0.0)
    found, V = numerical_rank(call, w, k), V[:, :k].copy()
    relative = estimate / size if size else 0.0
    info = account(call, certificate, relative, method="full", rank=found, converged=converged)
    fix_signs(V)
    w, info = restore_values(w[:k], exponent, real_dtype(problem.dtype), info, call.tol)
    return w, V, info


def _to_tolerance(call: Call, method: str) -> Pairs:
    problem = call.problem
    if method == "full" or (method == "auto" and plan.prefers_full(problem.shape, problem.kind)):
        return _by_lapack(call, None)
    if method not in ("auto", "subspace"):
        raise InputError(f"method: with tol, expected 'auto', 'subspace' or 'full', got {method!r}")
    state, cap = grow_basis(call)
    # With A = [T F^H; F G] in the basis (Q, Q_perp) and E = [F G] = (I - Q Q^H) A,
    # ||A - Q T_k Q^H||^2 <= ||T - T_k||^2 + ||F||^2 + ||E||^2 in both norms; F = A Q - Q T is at hand.
    T = dense.gemm(state.Q.conj().T, state.Bh)
    w, X = factor.by_magnitude(*qr.small_eigh(factor.hermitian_part(T)))
    outside = math.hypot(error.frobenius(error.minus_product(state.Bh, state.Q, T)), state.bound.estimate)
    size = float(np.abs(w[0])) if w.size else 0.0
    if call.norm == "frobenius":
        size = state.norm if state.norm is not None else math.sqrt(state.captured)
    assert call.tol is not None
    k, converged = smallest_rank(error.truncation_errors(np.abs(w), call.norm), outside, call.tol * size, cap)
    estimate = math.hypot(outside, float(error.truncation_errors(np.abs(w), call.norm)[k]))
    V = factor.narrow_product(state.Q, X[:, :k])
    return report_tolerance(call, state, w, V, estimate, size, k, "subspace", converged=converged)


def grow_basis(call: Call) -> tuple[adaptive.QB, int]:
    """A basis for Hermitian A whose error leaves a third of the squared tolerance to each of three parts."""
    problem = call.problem
    cap = call.limit if call.rank is None else call.rank
    assert call.tol is not None
    q = 1 if call.power_iters is None else call.power_iters
    failure = error.DEFAULT_FAILURE[call.norm] if call.failure is None else call.failure
    columns = min(problem.shape[0], cap + call.oversample)
    state = adaptive.grow(
        problem, adaptive.Goal(call.tol, call.norm, columns, q, failure, 1 / 3, call.certificate)
    )
    problem.path.append("adaptive")
    return state, cap


def report_tolerance(
    call: Call,
    state: adaptive.QB,
    w: Array,
    V: Array,
    estimate: float,
    size: float,
    k: int,
    method: str,
    *,
    converged: bool,
) -> Pairs:
    """Account and signs of a result in tolerance mode; `estimate` and `size` in the units of the state."""
    bound = state.bound
    relative = error.quotient(estimate, size)
    if method == "nystrom" or call.norm == "frobenius":
        estimate, relative = no_worse_than_zero(call, estimate, relative, state.norm, w.size)
    certificate = error.Certificate(
        in_units(estimate, state.exponent), bound.source, bound.failure_probability
    )
    found = numerical_rank(call, w, k)
    converged = converged or size == 0.0
    info = account(call, certificate, relative, method=method, rank=found, converged=converged)
    fix_signs(V)
    w, info = restore_values(w[:k], state.exponent, real_dtype(call.problem.dtype), info, call.tol)
    return w, V, info


def undefined(call: Call) -> Pairs:
    """Pairs of NaN: what check_finite=False gives for a matrix that is not finite."""
    n, k = call.problem.shape[0], 0 if call.rank is None else call.rank
    w = np.full(k, np.nan, real_dtype(call.problem.dtype))
    return w, np.full((n, k), np.nan, call.problem.dtype), undefined_info(call)

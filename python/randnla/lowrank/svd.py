# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Truncated singular value decomposition."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.results import SVDResult

from . import adaptive, error, factor, farpca, gram, plan, reconstruct
from .basis import Sample, iterate, probe_rows, sample_range
from .call import (
    Call,
    begin,
    certify_product,
    certify_projection,
    choose_precision,
    device_method,
    no_worse_than_zero,
    require_leave_one_out,
    require_tolerance_method,
    smallest_rank,
    unless_undefined,
)
from .krylov import sample_krylov
from .outcome import Factors, finish, known_spectrum, undefined
from .residual import require_exact, sharpen
from .scaling import Array, first_columns, fix_signs, in_units, vector_norm
from .units import into_range, restore_units, restore_values

TOL_METHODS = ("auto", "subspace", "power", "proto", "farpca", "full")
"""Methods that take a tolerance; the others make factors of a fixed rank."""


def svd(
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
    precision: str = "full",
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> SVDResult:
    """Leading singular triplets of a matrix, with a certificate of the error.

    Parameters
    ----------
    A : array, sparse matrix, memmap or operator of shape (m, n)
        Any layout; float32, float64, complex64, complex128; float16 is worked in float32, integers and
        bools in float64. On a GPU (`/guide/gpu`) for a fixed rank by "subspace", "power" or "proto", with
        Gaussian sketches of at most 256 (float32) or 128 columns.
    rank : int, optional
        Number of triplets k, 0 <= k <= min(m, n); with `tol`, the largest allowed.
    tol : float, optional
        Relative error in `norm` to certify; the smallest rank that meets it is returned.
    norm : {"fro", "spectral"}
        Norm of `tol` and of the error estimate.
    oversample : int, default 10
        Columns of the sketch beyond the rank.
    power_iters : int or "auto"
        Multiplications of the sketch by A A^H. "auto" is 2, which brings the Frobenius error within 2 % of
        the optimum where the spectrum decays (1 for each block in tolerance mode).
    method : str
        "subspace" (orthonormalized after every product), "power" (only at the end), "proto" (no power
        iteration), "krylov" (the same products, all of them kept: a far smaller error where singular
        values decay slowly, for q + 1 times the memory), "row_extraction" (no second pass after the
        basis), "single_pass" (A is read once, also from an iterator: sketches as in `StreamingSVD` of
        max(3 rank, rank + 10, rank + oversample) columns, up to twice the best error), "farpca" (products
        and Gram matrices alone), "gram" (eigenvectors of the Gram matrix of the short side), "full"
        (LAPACK), or "auto": the cheapest of subspace, gram and full by a cost model of shape, dtype and
        rank. `tol` is taken by "auto", "subspace", "power", "proto",
        "farpca" and "full"; the others are for a fixed rank.
    sketch : str or random map
        "gaussian" (what "auto" always means: theory and certificates are for it), "sign" (in float32 a
        product in fixed point, `/guide/fixed_point`), "sparse_sign", "countsketch", "srht", "srft", or a map
        of rank + oversample rows and n columns. In tolerance mode and by "farpca" only "gaussian" grows;
        "gram" and "full" draw no map.
    certificate : {"auto", "probe", "exact", "leave_one_out"}
        See `randnla.lowrank.error`. "auto" in the Frobenius norm takes the exact identity of arrays,
        sparse matrices and streams, at the price of reading A once more, where the error stands above
        rounding. Below that, for operators and in the spectral norm it takes ten Gaussian probes that
        ride on the first product. Methods "gram" and "full" know the whole spectrum and are exact
        whatever is asked. "leave_one_out" is for a fixed rank, the Frobenius norm, Gaussian sketches and
        methods "proto" and "subspace"; "row_extraction" has no "exact". Of "farpca" it is as in `qb`.
        Where A - U diag(s) Vh is certainly no larger than A, as of projections, no more is certified.
    failure_probability : float, optional
        Of a probe certificate; 1e-4 in the Frobenius norm and 1e-10 in the spectral unless given.
    block : int or "auto"
        Columns of a block of "krylov" and "farpca". "auto" is rank + oversample; smaller blocks of "krylov"
        take more products in sequence and less memory for the same rank, and find a repeated value no more
        often than they have columns. In tolerance mode "auto" is 32.
    precision : {"full", "three_slices", "two_slices"}
        Of the products of the power iterations, for float32 arrays in memory, a fixed rank, and methods
        "auto" (which is "subspace" then), "subspace" and "power". In slices they are exact in fixed point,
        of the upper three or two bytes of each entry (`/guide/fixed_point`). The sketch, the last product
        and the certificate stay in full, so that coarse iterations cost accuracy only in directions whose
        singular values are below about 5e-7 or 5e-5 times the largest.
    rng : int, SeedSequence, Generator or None
        ``info.seed`` given back replays the call.
    check_finite : bool, default True
        Raise on NaN and Inf. If False, factors of NaN are returned.
    max_memory : int, optional
        Bytes that a block read from a memmap may take, with its conversion and screening. The factors and
        their workspace come on top: ``info.memory`` estimates them, to a factor of three at most.
    callback : callable, optional
        Called with a dict of stage, passes and matvecs after every step.

    Returns
    -------
    SVDResult
        U (m, k), s (k,) descending, Vh (k, n), `info`. The entry of largest magnitude of each column of U
        is positive. ``info.rank`` counts the values above rounding.

    Raises
    ------
    InputError
        An argument does not fit.
    NonFiniteError
        A holds NaN or Inf.
    RangeError
        A value is beyond the range of the dtype.

    Warns
    -----
    ConvergenceWarning
        The certified error exceeds `tol`; ``info.converged`` is False.

    Notes
    -----
    *Algorithm*: Halko, Martinsson and Tropp (2011), Algorithm 4.4 (4.1, 4.3 on request) followed by 5.1
    (5.2 on request), certified by equation 4.3; block Krylov iteration of Musco and Musco (2015); farPCA of
    Feng and Yu (2023). In tolerance mode, blocks with the stopping rule of
    Algorithm 4.2 or the identity of Yu, Gu and Li (2018). Multiplying A by a power of two multiplies s by
    it and changes no bit of U and Vh, unless entries leave the normal range.

    *Cost*: 2q + 2 passes, (2q + 2) 2 m n (k + oversample) flops and O((m + n) k^2) more; memory
    O((m + n) (k + oversample)). "gram": one pass of m n min(m, n) flops and one of 2 m n k.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> A = np.random.default_rng(0).standard_normal((300, 5)) @ np.ones((5, 200))
    >>> U, s, Vh = randnla.svd(A, 3, rng=0)
    >>> U.shape, s.shape, Vh.shape
    ((300, 3), (3,), (3, 200))
    >>> randnla.svd(A, tol=1e-6, rng=0).info.rank
    1
    """
    validate.choice(method, plan.SVD_METHODS, name="method")
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
    method = device_method(call, method, plan.DEVICE_METHODS)
    require_leave_one_out(call, method)
    choose_precision(call, precision, method)
    exponent = into_range(call.problem)
    with call.problem.place():
        U, s, V, info = unless_undefined(call, lambda: decompose(call, method), undefined)
        info = restore_units(info, exponent)
        s, info = restore_values(s, exponent, s.dtype, info, call.tol) if exponent else (s, info)
        return SVDResult(*namespace.restore_all(call.kind, U, s, V.conj().T), info=info)


def decompose(call: Call, method: str) -> Factors:
    """U, s, V and info by the method asked for, signs fixed."""
    if min(call.problem.shape) == 0 and call.problem.kind != "device":
        method = "full"
    if call.tol is not None:
        U, s, V, info = _to_tolerance(call, method)
    else:
        U, s, V, info = _fixed_rank(call, method)
    fix_signs(U, V)
    return U, s, V, info


def sketch_of(call: Call, rank: int) -> tuple[int, int]:
    """Columns of the sketch and power iterations of a call of fixed rank."""
    q = plan.SVD_POWER_ITERS if call.power_iters is None else call.power_iters
    return plan.sketch_size(rank, call.oversample, call.problem.shape), q


def resolve(call: Call, method: str, *, centered: bool = False) -> str:
    """The method that "auto" stands for where the rank is fixed."""
    if method != "auto" or call.rank is None or call.tol is not None:
        return method
    if call.certificate == "leave_one_out" or call.sketch != "gaussian" or call.problem.slices:
        return "subspace"
    problem = call.problem
    size, q = sketch_of(call, call.rank)
    return plan.choose_svd(problem.shape, problem.dtype, call.rank, size, q, problem.kind, centered=centered)


def _fixed_rank(call: Call, method: str) -> Factors:
    problem, k = call.problem, call.rank
    assert k is not None
    size, q = sketch_of(call, k)
    method = resolve(call, method)
    if method == "gram":
        return _by_gram(call, k)
    if method == "full":
        return _by_lapack(call, k)
    if method == "single_pass":
        return _by_single_pass(call, k)
    if method == "farpca":
        return _by_farpca(call)
    if method == "krylov":
        sample, Bh = sample_krylov(problem, size, min(call.block or size, size), q, sketch=call.sketch)
        U, s, V = factor.svd_of_adjoint(problem, sample.Q, Bh, k)
        certificate, relative = certify_projection(call, sample, s, sample.exponent, k)
        return finish(call, U, s, V, sample.exponent, certificate, relative, method)
    sample = sample_range(
        problem, size, q, method="subspace" if method == "row_extraction" else method, sketch=call.sketch
    )
    if method == "row_extraction":
        if call.certificate == "exact":
            raise InputError("certificate: 'exact' is of projections; method='row_extraction' makes none")
        U, s, V, exponent = factor.row_extraction_svd(problem, sample.Q, k)
        certificate, relative = certify_product(call, sample, U, s, V, exponent)
    else:
        U, s, V, exponent = factor.direct_svd(problem, sample.Q, k)
        certificate, relative = certify_projection(call, sample, s, exponent, k)
    return finish(call, U, s, V, exponent, certificate, relative, method)


def _by_farpca(call: Call) -> Factors:
    problem = call.problem
    if call.sketch != "gaussian":
        raise InputError("sketch: method='farpca' needs sketch='gaussian'")
    require_exact(call, "farpca")
    cap = call.limit if call.rank is None else call.rank
    size, q = sketch_of(call, cap)
    failure = error.DEFAULT_FAILURE[call.norm] if call.failure is None else call.failure
    block = call.block or (size if call.tol is None else adaptive.BLOCK)
    # A - U_k diag(s_k) V_k^H = (A - Q B) + (Q B - (Q B)_k): half of the tolerance for each.
    goal = adaptive.Goal(call.tol or 0.0, call.norm, size, q, failure, 0.25, call.certificate, block)
    state = farpca.grow(problem, goal)
    sharpen(call, state)
    U, s, V = factor.svd_of_adjoint(problem, state.Q, state.Bh, None)
    errors = state.beside(error.truncation_errors(s, call.norm))
    scale = adaptive.norm_below(state, call.norm)
    k, converged = cap, True
    if call.tol is not None:
        k, converged = smallest_rank(errors, 0.0, call.tol * scale, cap)
    estimate = float(errors[k])
    certificate = error.Certificate(
        in_units(estimate, state.exponent), state.bound.source, state.bound.failure_probability
    )
    relative = estimate / scale if scale else float(estimate > 0)
    U, V = U[:, :k], V[:, :k]
    return finish(call, U, s, V, state.exponent, certificate, relative, "farpca", converged=converged)


def _by_lapack(call: Call, k: int | None) -> Factors:
    problem = call.problem
    U, s, V, exponent = gram.full_svd(problem, k)
    return known_spectrum(call, U, s, V, exponent, s, "full")


def _by_gram(call: Call, k: int) -> Factors:
    problem = call.problem
    found = gram.leading_spectrum(problem, k, sketch_of(call, k)[0])
    if found is None:
        problem.path.append("no gram matrix")
        return _fixed_rank(call, "subspace")
    if not found.resolved:
        return refined(call, k, found)
    U, s, V, exponent = gram.lift(problem, found, k)
    return known_spectrum(call, U, s, V, exponent, found.spectrum(s, exponent), "gram", found.slack)


def refined(call: Call, k: int, found: gram.Spectrum) -> Factors:
    """Subspace iteration from the vectors of a Gram matrix, for what it could not resolve."""
    problem = call.problem
    problem.path.append("refined")
    start = found.vectors[:, : sketch_of(call, k)[0]]
    probe_map = probe_rows(problem).T
    Z, exponent = problem.first(probe_map)
    Y = problem.forward(start) if problem.shape[0] >= problem.shape[1] else start
    Q = iterate(problem, Y, 1, [])
    sample = Sample(Q, exponent, probe_map, Z)
    U, s, V, e1 = factor.direct_svd(problem, Q, k)
    certificate, relative = certify_projection(call, sample, s, e1, k)
    return finish(call, U, s, V, e1, certificate, relative, "gram")


def _by_single_pass(call: Call, k: int) -> Factors:
    problem = call.problem
    for name, fits in (
        ("sketch", call.sketch == "gaussian"),
        ("power_iters", not call.power_iters),
        ("certificate", call.certificate in ("auto", "probe")),
    ):
        if not fits:
            raise InputError(f"{name}: method='single_pass' takes the default only; see also StreamingSVD")
    sketch = reconstruct.sketch_of_problem(problem, k, call.oversample)
    found = reconstruct.reconstruct(sketch, "tyuc17", k)
    problem.path += found.run.path
    bound, relative, failure = reconstruct.certify(sketch, found, call.norm, call.failure)
    # A stream gathers ||A||_F in the pass.
    norm = problem.op.frobenius_norm() if problem.kind == "stream" and call.norm == "frobenius" else None
    certificate = error.Certificate(in_units(bound, found.exponent), "probe", failure)
    if norm is not None and 0.0 < norm < math.inf:
        held = in_units(vector_norm(found.s[:k]), found.exponent)
        most = (norm + held) * (1.0 + error.rounding_floor(1.0, problem.dtype, k))
        certificate = dataclasses.replace(certificate, estimate=min(certificate.estimate, most))
        relative = certificate.estimate / norm
    return finish(call, found.U, found.s, found.V, found.exponent, certificate, relative, "single_pass")


def _to_tolerance(call: Call, method: str) -> Factors:
    problem = call.problem
    cap = call.limit if call.rank is None else call.rank
    require_tolerance_method(method, TOL_METHODS)
    if method in ("auto", "full") and (method == "full" or plan.prefers_full(problem.shape, problem.kind)):
        return _by_lapack(call, None)
    if method == "farpca":
        return _by_farpca(call)
    method = "subspace" if method == "auto" else method
    q = 0 if method == "proto" else (1 if call.power_iters is None else call.power_iters)
    U, s, V, state, k, converged = adaptive_svd(call, cap, q, plain=method == "power")
    estimate = float(state.beside(error.truncation_errors(s, call.norm)[k]))
    captured = float((s[:k] ** 2).sum())
    relative = error.relative(estimate, captured)
    if call.norm == "spectral":
        relative = estimate / float(s[0]) if s.size and s[0] > 0 else 0.0
    estimate, relative = no_worse_than_zero(call, estimate, relative, state.norm, s.size)
    certificate = error.Certificate(
        in_units(estimate, state.exponent), state.bound.source, state.bound.failure_probability
    )
    return finish(
        call,
        U,
        s,
        V,
        state.exponent,
        certificate,
        relative,
        "proto" if q == 0 else method,
        converged=converged,
    )


def adaptive_svd(
    call: Call, cap: int, q: int, *, plain: bool = False
) -> tuple[Array, Array, Array, adaptive.QB, int, bool]:
    """U, s, V of the smallest certified rank, the state of the basis, the rank, and whether tol is met."""
    problem = call.problem
    assert call.tol is not None
    failure = error.DEFAULT_FAILURE[call.norm] if call.failure is None else call.failure
    columns = plan.sketch_size(cap, call.oversample, problem.shape)
    state = adaptive.grow(
        problem, adaptive.Goal(call.tol, call.norm, columns, q, failure, 0.5, call.certificate, plain=plain)
    )
    problem.path.append("adaptive")
    U, s, V = factor.svd_of_adjoint(problem, state.Q, state.Bh, None)
    if call.norm == "spectral":
        scale = float(max(s, default=0.0))
    else:
        scale = state.norm if state.norm is not None else float(np.linalg.norm(s))
    errors = state.beside(error.truncation_errors(s, call.norm))
    k, converged = smallest_rank(errors, 0.0, call.tol * scale, cap)
    return first_columns(U, k), s, first_columns(V, k), state, k, converged

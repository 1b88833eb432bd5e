# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Orthonormal bases that capture the range of a matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import dense, qr
from randnla._backend.results import Info, RangeResult

from . import error, factor, plan
from .basis import Sample, sample_range
from .call import (
    Call,
    account,
    begin,
    certify_basis,
    certify_projection,
    certify_residual,
    choose_precision,
    device_method,
    no_worse_than_zero,
    numerical_rank,
    relative_error,
    require_leave_one_out,
    require_tolerance_method,
    undefined_info,
    unless_undefined,
)
from .krylov import sample_krylov
from .scaling import Array, fix_signs, in_units
from .svd import adaptive_svd

TOL_METHODS = ("auto", "adaptive", "subspace", "power", "proto")
"""Methods that take a tolerance."""


def range_finder(
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
) -> RangeResult:
    """An orthonormal Q with A close to Q Q^H A, with a certificate of the difference.

    Parameters
    ----------
    A : array, sparse matrix, memmap or operator of shape (m, n)
        On a GPU as `svd`.
    rank : int, optional
        Columns of Q; with `tol`, the most allowed.
    tol : float, optional
        Relative error in `norm` to certify, with as few columns as meet it.
    norm : {"fro", "spectral"}
        Norm of `tol` and of the error estimate.
    oversample : int, default 10
        Columns drawn beyond `rank`. They are cut again, to the leading directions of Q^H A, at the
        price of one pass; with 0, Q is the basis of the sketch itself (turned to the leading directions
        by the pass that ``certificate="exact"`` then needs).
    power_iters : int or "auto"
        Multiplications of the sketch by A A^H; "auto" is 2, or 1 for each block of "adaptive".
    method : str
        "proto", "power", "subspace" (Algorithms 4.1, 4.3, 4.4), "krylov" (the products of all powers),
        "adaptive" (blocked 4.2; needs `tol`), or "auto": subspace for a rank, adaptive for a tolerance.
        `tol` is taken by "auto", "adaptive", "subspace", "power" and "proto", all of which grow the basis by
        blocks, iterated as these do; "krylov" is for a fixed rank.
    sketch, certificate, failure_probability, block, precision, rng, check_finite, max_memory, callback
        As in `svd`.

    Returns
    -------
    RangeResult
        Q (m, k) with the entry of largest magnitude of each column positive, `info`.

    Raises
    ------
    InputError
        An argument does not fit.
    NonFiniteError
        A holds NaN or Inf.

    Warns
    -----
    ConvergenceWarning
        The certified error exceeds `tol`.

    Notes
    -----
    *Algorithm*: Halko, Martinsson and Tropp (2011), Algorithms 4.1 to 4.4; Musco and Musco (2015).

    *Cost*: 2q + 1 passes (2q + 2 with oversampling), each of 2 m n (k + oversample) flops.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> A = np.vander(np.linspace(0, 1, 200), 30)
    >>> Q, = randnla.range_finder(A, tol=1e-8, rng=0)
    >>> bool(np.linalg.norm(A - Q @ (Q.T @ A)) <= 1e-8 * np.linalg.norm(A))
    True
    """
    validate.choice(method, plan.RANGE_METHODS, name="method")
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
    grows = call.tol is not None and method == "auto"
    method = device_method(call, method, (*plan.DEVICE_METHODS, "adaptive"))
    method = "adaptive" if grows else method
    require_leave_one_out(call, method)
    choose_precision(call, precision, method)
    with call.problem.place():
        Q, info = unless_undefined(call, lambda: _find(call, method), _undefined)
    return RangeResult(namespace.restore(call.kind, Q), info=info)


def _undefined(call: Call) -> tuple[Array, Info]:
    info = undefined_info(call)
    return np.full((call.problem.shape[0], info.rank or 0), np.nan, call.problem.dtype), info


def _find(call: Call, method: str) -> tuple[Array, Info]:
    problem = call.problem
    if call.tol is not None:
        require_tolerance_method(method, TOL_METHODS)
        return _adaptive(call, method)
    if method == "adaptive":
        raise InputError("tol: method='adaptive' needs a tolerance, got None")
    k = call.rank
    assert k is not None
    q = plan.SVD_POWER_ITERS if call.power_iters is None else call.power_iters
    size = plan.sketch_size(k, call.oversample, problem.shape)
    method = "subspace" if method == "auto" else method
    if method == "krylov":
        sample, Bh = sample_krylov(problem, size, min(call.block or size, size), q, sketch=call.sketch)
        U, s, _ = factor.svd_of_adjoint(problem, sample.Q, Bh, k)
        certificate, relative = certify_projection(call, sample, s, sample.exponent, k)
        fix_signs(U)
        found = numerical_rank(call, s, k)
        return U, account(call, certificate, relative, method=method, rank=found, converged=True)
    sample = sample_range(problem, size, q, method=method, sketch=call.sketch)
    if size > k or call.certificate == "exact":
        U, s, _, exponent = factor.direct_svd(problem, sample.Q, k)
        certificate, relative = certify_projection(call, sample, s, exponent, k)
        found = numerical_rank(call, s, k)
    else:
        # Q^H A is not at hand, so the identity cannot speak: the probes do. Its rank is that of Q^H A Omega.
        assert sample.first is not None
        U = sample.Q
        core = factor.widen(dense.gemm(U.conj().T, sample.first))
        found = numerical_rank(call, qr.small_svd(core)[1], k)
        certificate, relative = _certify_sketch(call, sample)
    fix_signs(U)
    return U, account(call, certificate, relative, method=method, rank=found, converged=True)


def _certify_sketch(call: Call, sample: Sample) -> tuple[error.Certificate, float]:
    """Certificate and relative error of a basis whose Q^H A is not known."""
    Q = sample.Q
    # The defect of Q from orthogonality, as in the other certificates.
    seen = error.frobenius(sample.probes) / math.sqrt(error.PROBES)
    floor = error.rounding_floor(seen, call.problem.dtype, Q.shape[1])
    if call.certificate != "leave_one_out":
        residual = error.minus_product(sample.probes, Q, dense.gemm(Q.conj().T, sample.probes))
        return certify_residual(call, sample, residual, floor, 0.0, beyond=0.0)
    known = certify_basis(call, sample, None)
    absolute = known.estimate + floor
    certificate = error.Certificate(in_units(absolute, sample.exponent), known.source, None)
    return certificate, relative_error(call, sample, lambda _: absolute)


def _adaptive(call: Call, method: str) -> tuple[Array, Info]:
    cap = call.limit if call.rank is None else call.rank
    q = 0 if method == "proto" else (1 if call.power_iters is None else call.power_iters)
    U, s, _, state, k, converged = adaptive_svd(call, cap, q, plain=method == "power")
    estimate = float(state.beside(error.truncation_errors(s, call.norm)[k]))
    if call.norm == "spectral":
        size = float(np.max(s, initial=0.0))
    else:
        size = state.norm if state.norm is not None else float(np.linalg.norm(s))
    estimate, relative = no_worse_than_zero(
        call, estimate, error.quotient(estimate, size), state.norm, s.size
    )
    certificate = error.Certificate(
        in_units(estimate, state.exponent), state.bound.source, state.bound.failure_probability
    )
    fix_signs(U)
    found = numerical_rank(call, s, k)
    return U, account(call, certificate, relative, method=method, rank=found, converged=converged)

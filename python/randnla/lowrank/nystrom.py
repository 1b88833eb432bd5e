# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Nystrom approximation of positive semidefinite matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.results import EighResult

from . import error, factor, jackknife
from .basis import Sample, basis_rows, first_sketch, iterate, orthonormalize
from .call import Call, begin, device_method, smallest_rank, unless_undefined
from .eigh import (
    Pairs,
    checked_start,
    finish,
    grow_basis,
    report_tolerance,
    require_square,
    start_block,
    undefined,
)
from .jackknife import SpectralFunction
from .scaling import Array, first_columns, normalize


def nystrom(
    A: Any,
    rank: int | None = None,
    *,
    tol: float | None = None,
    norm: str = "fro",
    oversample: int | str = "auto",
    power_iters: int | str = "auto",
    sketch: Any = "auto",
    certificate: str = "auto",
    failure_probability: float | None = None,
    warm_start: Any = None,
    spectral_function: SpectralFunction | None = None,
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> EighResult:
    """Leading eigenpairs of a positive semidefinite matrix by the Nystrom approximation.

    Parameters
    ----------
    A : array, sparse matrix, memmap or operator of shape (n, n)
        Symmetric (Hermitian) positive semidefinite. On a GPU (`/guide/gpu`) for a fixed rank, with Gaussian
        sketches of at most 256 (float32) or 128 columns.
    rank : int, optional
        Number of pairs k; with `tol`, the largest allowed.
    tol : float, optional
        Relative error in `norm` to certify.
    norm : {"fro", "spectral"}
        Norm of `tol` and of the error estimate.
    oversample : int or "auto"
        Columns of the sketch beyond the rank; "auto" is max(10, k / 4).
    power_iters : int or "auto"
        Multiplications of the sketch by A before the last one. "auto" is 1 (two passes), 0 with
        `warm_start`. A single pass with little oversampling is 3.5 times off the optimum on slowly
        decaying spectra: it is never taken silently.
    sketch, certificate, failure_probability, rng, check_finite, max_memory, callback
        As in `svd`; "exact" and "leave_one_out" are not offered.
    warm_start : array of shape (n, j), optional
        A guess of the leading vectors, such as the V of a matrix nearby.
    spectral_function : callable, optional
        f of an array of eigenvalues, such as ``np.sqrt`` or ``lambda w: w``. ``info.deviation`` then tells
        how much f(A_k) varies from sketch to sketch: a jackknife estimate, on average too large, of its
        standard deviation in the Frobenius norm. A large one says that `rank` or `oversample` is too
        small. It takes no product with A and O((k + oversample)^4) flops. For a fixed rank and a Gaussian
        sketch.

    Returns
    -------
    EighResult
        w (k,) nonnegative and descending, V (n, k), `info`.

    Raises
    ------
    InputError
        An argument does not fit, or A is not symmetric.
    NonFiniteError
        A holds NaN or Inf.
    RangeError
        A value is beyond the range of the dtype.
    BreakdownError
        A is far from positive semidefinite.

    Warns
    -----
    ConvergenceWarning
        The certified error exceeds `tol`.

    Notes
    -----
    *Algorithm*: Halko, Martinsson and Tropp (2011), Algorithm 5.5, with the shift of Tropp, Yurtsever,
    Udell and Cevher (2017), Algorithm 3. Its error never exceeds that of Rayleigh-Ritz on the same basis,
    nor, since 0 <= A_k <= A, the norm of A: where probes say more, that is what is certified.

    *Cost*: q + 2 products without, q + 1 with a warm start taken as it is; 2 n^2 (k + oversample) flops
    each. With the defaults, 2 passes.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> X = np.random.default_rng(0).standard_normal((100, 4))
    >>> w, V = randnla.nystrom(X @ X.T, 4, rng=0)
    >>> bool(np.allclose((V * w) @ V.T, X @ X.T))
    True
    """
    if isinstance(oversample, str):
        validate.choice(oversample, ("auto",), name="oversample")
        wanted = 0 if rank is None else validate.integer(rank, name="rank", low=0)
        oversample = max(10, wanted // 4)
    validate.choice(certificate, ("auto", "probe"), name="certificate")
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
    require_square(call)
    device_method(call, "auto", ("nystrom",))
    start = checked_start(call, warm_start)
    _require_exchangeable(call, start, spectral_function)
    with call.problem.place():
        w, V, info = unless_undefined(call, lambda: _decompose(call, start, spectral_function), undefined)
        return EighResult(*namespace.restore_all(call.kind, w, V), info=info)


def _require_exchangeable(call: Call, start: Array | None, function: SpectralFunction | None) -> None:
    if function is None:
        return
    if not callable(function):
        raise InputError(f"spectral_function: expected a function of an array, got {type(function).__name__}")
    if call.problem.kind == "device":
        raise InputError("spectral_function: expected None for an array on a GPU")
    if call.tol is not None or start is not None or call.sketch != "gaussian":
        raise InputError("spectral_function: needs a fixed rank and a Gaussian sketch without warm_start")


def _decompose(call: Call, start: Array | None, function: SpectralFunction | None) -> Pairs:
    problem = call.problem
    if call.tol is not None:
        return _to_tolerance(call)
    k = call.rank
    assert k is not None
    n = problem.shape[0]
    size = min(n, k + call.oversample)
    q = (1 if start is None else 0) if call.power_iters is None else call.power_iters
    Omega = start_block(call, start, size)
    triangles: list[Array] = []
    if q == 0:
        # One pass: the core needs an orthonormal test matrix with Y = A Omega.
        Omega = _orthonormal_test_matrix(call, Omega, size, triangles)
    Y, Z, probe_map, exponent = first_sketch(problem, size, call.sketch, Omega)
    factor.require_hermitian(probe_map, Z)
    if q == 0:
        assert Omega is not None
        Q, e1 = Omega, exponent
    else:
        Q = iterate(problem, Y, 0, triangles)
        for _ in range(q - 1):
            Q, R = orthonormalize(problem, problem.forward(Q))
            triangles.append(R)
            problem.report("subspace iteration")
        Y = problem.forward(Q)
        e1 = normalize(Y) - problem.shift
    w, V = factor.nystrom_core(problem, Q, Y)
    w, V, info = finish(call, Sample(Q, exponent, probe_map, Z), w, V, e1, k, "nystrom")
    if function is not None:
        info = info.replace(deviation=jackknife.deviation(problem, Q, Y, triangles, k, function, e1))
    return w, V, info


def _orthonormal_test_matrix(call: Call, start: Array | None, size: int, triangles: list[Array]) -> Array:
    problem = call.problem
    if start is None:
        if call.sketch == "gaussian":
            start = basis_rows(problem, size).T.astype(problem.dtype, copy=False)
        else:
            if problem.kind == "device":
                raise InputError(
                    "sketch: expected 'gaussian' or 'auto' for an array on a GPU and power_iters=0"
                )
            S = call.sketch(size, problem.shape[1])
            problem.sketch = str(S.kind)
            start = S.to_dense().T.astype(problem.dtype)
    return iterate(problem, start, 0, triangles)


def _to_tolerance(call: Call) -> Pairs:
    # The error A - A_nys is the Schur complement G - F T^-1 F^H of [T F^H; F G], between 0 and G, so
    # ||A - A_nys|| <= ||G|| <= ||(I - Q Q^H) A|| in both norms; truncation adds its tail.
    state, cap = grow_basis(call)
    w, V = factor.nystrom_core(call.problem, state.Q, state.Bh)
    tails = error.truncation_errors(w, call.norm) + state.bound.estimate
    size = float(np.max(w, initial=0.0))
    if call.norm == "frobenius":
        size = state.norm if state.norm is not None else float(np.sqrt(state.captured))
    assert call.tol is not None
    k, converged = smallest_rank(tails, 0.0, call.tol * size, cap)
    V = first_columns(V, k)
    return report_tolerance(call, state, w, V, float(tails[k]), size, k, "nystrom", converged=converged)

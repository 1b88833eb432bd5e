# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Interpolative decompositions: a matrix through some of its own rows or columns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError, NonFiniteError
from randnla._backend.kernels import dense
from randnla._backend.results import IDResult, Info
from randnla.operators import as_operator

from . import error, skeleton
from .basis import Sample, basis_rows, first_sketch, iterate, orthonormalize
from .call import Call, account, begin, certify_residual, kind_of_operator, undefined_info
from .factor import rows_of
from .scaling import Array, in_units, unit_roundoff

KINDS = ("column", "row", "two_sided")
COEFFICIENTS = ("auto", "sketch", "projection")
FIRST = 42
"""Columns of the first sketch where the rank is unknown; they double."""


def interpolative(
    A: Any,
    rank: int | None = None,
    *,
    tol: float | None = None,
    kind: str = "column",
    norm: str = "fro",
    oversample: int | str = "auto",
    power_iters: int = 0,
    method: str = "auto",
    coefficients: str = "auto",
    sketch: Any = "auto",
    certificate: str = "auto",
    failure_probability: float | None = None,
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> IDResult:
    """A matrix rebuilt from some of its own columns, rows, or both, with a certificate of the error.

    Parameters
    ----------
    A : array, sparse matrix, memmap or operator of shape (m, n)
    rank : int, optional
        Number of columns (rows) k, 0 <= k <= min(m, n); with `tol`, the largest allowed.
    tol : float, optional
        Relative error in `norm` to certify, with as few columns as meet it.
    kind : {"column", "row", "two_sided"}
        ``A ~ A[:, J] @ X``, ``A ~ X @ A[I]`` or ``A ~ X @ A[np.ix_(I, J)] @ Vh``.
    norm : {"fro", "spectral"}
        Norm of `tol` and of the error estimate.
    oversample : int or "auto"
        Rows of the sketch beyond the rank. Least squares on them gives the coefficients,
        sqrt(1 + k / (p - 1)) off the best for the chosen columns. "auto" is max(10, 3 k): 1.15;
        for a sparse sketch, whose cost hardly grows, up to 7 k (1.07) while that is at most
        min(m, n) / 4; 10 with `tol`.
    power_iters : int, default 0
        Multiplications by A and A^H of the basis that the columns are chosen by.
    method : {"auto", "qrcp", "lupp", "rpqr", "leverage"}
        How columns are chosen from the sketch: column pivoted QR ("auto"), LU with partial pivoting, at
        random by residual norms, at random by leverage scores.
    coefficients : {"auto", "sketch", "projection"}
        "sketch": least squares on the sketch; "projection": the best for the chosen columns, at the price of
        another product with A. "auto" is "projection" with `tol` and for ``certificate="exact"``.
    sketch : str or random map
        As in `svd`, but "auto" is "sparse_sign" for arrays and sparse matrices, which it reads at memory
        speed; "gaussian" for operators, streams and with `tol`.
    certificate : {"auto", "probe", "exact"}
        "exact" is the identity ||A||_F^2 - ||A Q||_F^2 of coefficients by projection, where the error stands
        above rounding; "auto" takes it where these are made and A knows its norm, ten Gaussian probes else.
    failure_probability, rng, check_finite, max_memory, callback
        As in `svd`.

    Returns
    -------
    IDResult
        indices (k,), the most telling first; coefficients (k, n) or (m, k), the identity on the chosen ones
        exactly. For "two_sided" a pair each: (rows, columns) and (X, Vh). ``to_dense(A)`` puts them together.
        ``info.rank`` is the numerical rank of the chosen columns (rows), which may be less than k.

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
    *Algorithm*: column pivoting of a sketch (Voronin and Martinsson, 2017), LU pivoting and oversampled
    coefficients (Dong and Martinsson, 2023), random pivoting (Chen, Epperly, Tropp and Webber, 2023). A
    two-sided decomposition takes rows of the chosen columns, which loses nothing.

    *Cost*: one pass for a Gaussian sketch (two for others, with the probes) and O(k^2 (m + n)); a projection
    one product of 2 m n k flops more. Operators show no entries: where rows or columns are needed, a product
    finds them and ``info.path`` says so; streams read them in a pass.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> A = np.vander(np.linspace(0, 1, 200), 30)
    >>> J, X = randnla.interpolative(A, tol=1e-6, rng=0)
    >>> bool(np.linalg.norm(A - A[:, J] @ X) <= 1e-6 * np.linalg.norm(A))
    True
    """
    validate.choice(kind, KINDS, name="kind")
    validate.choice(method, skeleton.METHODS, name="method")
    validate.choice(coefficients, COEFFICIENTS, name="coefficients")
    validate.choice(certificate, ("auto", "probe", "exact"), name="certificate")
    if certificate == "exact" and coefficients == "sketch":
        raise InputError("certificate: 'exact' needs coefficients='auto' or 'projection', got 'sketch'")
    if certificate == "exact" and norm == "spectral":
        raise InputError("certificate: 'exact' is of the Frobenius norm, got norm='spectral'")
    op = as_operator(A, check_finite=check_finite, max_memory=max_memory)
    spare, word = sketch_of(op, rank, tol, oversample, sketch)
    call = begin(
        A,
        rank,
        tol,
        norm=norm,
        oversample=spare,
        power_iters=power_iters,
        sketch=word,
        certificate=certificate,
        failure_probability=failure_probability,
        rng=rng,
        check_finite=check_finite,
        max_memory=max_memory,
        callback=callback,
        transposed=kind != "row",
    )
    try:
        index, X, info = find_rows(call, method, coefficients)
        other = None
        if kind == "two_sided":
            other, info = _rows_of_columns(call, index, method, info)
    except NonFiniteError:
        if call.check_finite:
            op.require_finite(name="A")  # names the place in A, not in its transpose
            raise
        index, X, info = _undefined(call)
        other = (index, np.full((op.shape[0], index.size), np.nan, call.problem.dtype))
    return _result(call, kind, index, X, other, info)


def _result(
    call: Call, kind: str, index: Array, X: Array, other: tuple[Array, Array] | None, info: Info
) -> IDResult:
    def give(*arrays: Array) -> tuple[Any, ...]:
        return namespace.restore_all(call.kind, *arrays)

    if kind == "two_sided":
        assert other is not None
        return IDResult(give(other[0], index), give(other[1], X.T), kind=kind, info=info)
    return IDResult(*give(index, X if kind == "row" else X.T), kind=kind, info=info)


def sketch_of(op: Any, rank: Any, tol: Any, oversample: Any, sketch: Any) -> tuple[Any, Any]:
    """Columns beyond the rank and the map that "auto" stands for."""
    if isinstance(sketch, str) and sketch == "auto" and tol is None:
        sketch = "sparse_sign" if kind_of_operator(op) in ("dense", "sparse") else "gaussian"
    if isinstance(oversample, str):
        validate.choice(oversample, ("auto",), name="oversample")
        k = validate.integer(rank or 0, name="rank", low=0) if tol is None else 0
        more = min(7 * k, min(op.shape) // 4) if isinstance(sketch, str) and sketch == "sparse_sign" else 0
        oversample = max(10, 3 * k, more)
    return oversample, sketch


@dataclass
class Projection:
    """A ~ B W^H with B = A W and W orthonormal; the first j columns belong to the first j indices."""

    W: Array  # (n, k), of the chosen rows: rows^H = W R
    R: Array
    B: Array  # (m, k), in units of the sample


def project(call: Call, sample: Sample, index: Array) -> Projection:
    """The orthogonal projection of A on its rows `index`, by one product."""
    problem = call.problem
    rows = rows_of(problem, index)
    scale = rows.real.dtype.type(2.0 ** (-sample.exponent - problem.shift))
    W, R = orthonormalize(problem, (rows * scale).conj().T)
    B = problem.forward(W) * scale
    problem.report("projection")
    return Projection(W, R, B)


def find_rows(call: Call, method: str, coefficients: str) -> tuple[Array, Array, Info]:
    """Indices, coefficients X (m, k) and info of A ~ X A[indices]."""
    if min(call.problem.shape) == 0 or call.rank == 0:
        call.tol = None
        call.rank = 0
    if call.tol is not None:
        return _to_tolerance(call, method, coefficients)
    problem, k = call.problem, call.rank
    assert k is not None
    size = min(k + call.oversample, *problem.shape)
    Y, Z, probe_map, exponent = first_sketch(problem, size, call.sketch if size else "gaussian")
    problem.report("sketch")
    sample = Sample(Y, exponent, probe_map, Z)
    index = choose(call, sample, k, method)
    if coefficients == "projection" or (coefficients == "auto" and call.certificate == "exact"):
        found = project(call, sample, index)
        certificate, relative = certify_rows(call, sample, found, k)
        return finish(call, index, solve(call, found, index), certificate, relative, method)
    X, rank = skeleton.interpolate(Y, index)
    narrow = X.astype(problem.dtype, copy=False)
    residual = Z - dense.gemm(narrow, np.ascontiguousarray(Z[index])) if k else Z
    size_of = error.frobenius(Z) / math.sqrt(Z.shape[1])
    floor = error.rounding_floor(size_of, problem.dtype, k) * max(
        1.0, error.frobenius(X) / math.sqrt(max(1, k))
    )
    certificate, relative = certify_residual(call, sample, residual, floor if k else 0.0, 0.0)
    return finish(call, index, (narrow, rank), certificate, relative, method)


def choose(call: Call, sample: Sample, k: int, method: str) -> Array:
    """k rows, from the sketch or from a basis refined by power iterations."""
    Y = sample.Q
    if call.power_iters and k:
        triangles: list[Array] = []
        Q = iterate(call.problem, Y[:, : k + skeleton.SPARE], call.power_iters, triangles)
        Y = dense.gemm(Q, triangles[-1])  # the last product itself: in Q weak directions weigh as the strong
    return skeleton.choose_rows(Y, k, method, call.problem.seed)


def solve(call: Call, found: Projection, index: Array) -> tuple[Array, int]:
    """X = B R^-H with X[index] = I, in the dtype of A, and the rank of the chosen rows."""
    dtype = call.problem.dtype
    X, rank = skeleton.divide(found.B, found.R, unit_roundoff(dtype))
    return skeleton.identify(X, index).astype(dtype), rank


def certify_rows(
    call: Call, sample: Sample, found: Projection, k: int, share: int = 1
) -> tuple[error.Certificate, float]:
    """Certificate and relative error of the first k columns of a projection."""
    problem = call.problem
    B, W = found.B[:, :k], found.W[:, :k]
    captured = error.frobenius(B)
    if call.norm == "frobenius" and call.certificate != "probe":
        norm = problem.op.frobenius_norm()
        if norm is None and call.certificate == "exact":
            raise InputError("certificate: 'exact' needs ||A||_F, which this operator does not know")
        scaled = math.inf if norm is None else in_units(norm, -sample.exponent)
        known = None
        if math.isfinite(scaled):
            known = error.exact_error(scaled, captured**2, problem.dtype, problem.inner)
        if known is not None:
            relative = known / scaled if scaled else 0.0
            return error.Certificate(in_units(known, sample.exponent), "exact", 0.0), relative
        if norm is not None and "identity below resolution" not in problem.path:
            problem.path.append("identity below resolution")
    inside = dense.gemm(W.conj().T, sample.probe_map.astype(W.dtype))
    residual = sample.probes - dense.gemm(B, inside)
    size = captured if call.norm == "frobenius" else error.spectral(B)
    floor = error.rounding_floor(captured, problem.dtype, k)
    certificate, _ = certify_residual(call, sample, residual, floor, size, share=share)
    bound = in_units(certificate.estimate, -sample.exponent)
    return certificate, bound / size if size else float(bound > 0)  # ||A|| >= ||A W||


def smallest(test: Callable[[int], float], most: int, tol: float) -> int:
    """The smallest count whose relative error by `test` is at most tol, by bisection; `most` passed."""
    low, high = -1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if test(middle) <= tol else (middle, high)
    return high


def grow(call: Call, method: str, attempt: Callable[[Sample, Array, int], tuple[int, Any, bool]]) -> Any:
    """Sketches of doubling size until `attempt` with the chosen rows meets the tolerance.

    `attempt(sample, index, share)` returns the number of rows needed, what it found, and whether it met.
    """
    problem, tol = call.problem, call.tol
    assert tol is not None
    cap = call.limit if call.rank is None else call.rank
    most = min(call.limit, cap + call.oversample)
    size = min(most, FIRST)
    Y, Z, probe_map, exponent = first_sketch(problem, size, "gaussian")
    problem.path.append("adaptive")
    # Every attempt bisects on the same probes.
    share = (2 + math.ceil(math.log2(cap + 2))) * (2 + math.ceil(math.log2(max(1, most / size))))
    while True:
        sample = Sample(Y, exponent, probe_map, Z)
        count = min(cap, size if size == call.limit else max(1, size - call.oversample))
        index = choose(call, sample, count, method)
        final = size == most
        guess = skeleton.sketched_errors(Y, index)
        if final or guess[count] <= tol * guess[0]:
            found = attempt(sample, index, share)
            if final or found[2]:
                return found
        extra = min(size, most - size)
        rows = basis_rows(problem, extra, start=size)
        more = problem.forward(rows.T)
        more *= more.real.dtype.type(2.0 ** (-exponent - problem.shift))
        Y = np.concatenate([Y, more], axis=1)
        size += extra
        problem.hold(2 * Y.nbytes)


def _to_tolerance(call: Call, method: str, coefficients: str) -> tuple[Array, Array, Info]:
    if coefficients == "sketch":
        raise InputError("coefficients: with tol, expected 'auto' or 'projection', got 'sketch'")
    tol = call.tol
    assert tol is not None

    def attempt(sample: Sample, index: Array, share: int) -> tuple[int, Any, bool]:
        found = project(call, sample, index)
        k = index.size
        met = certify_rows(call, sample, found, k, share)[1] <= tol
        if met:
            k = smallest(lambda j: certify_rows(call, sample, found, j, share)[1], k, tol)
        certificate, relative = certify_rows(call, sample, found, k, share)
        part = Projection(found.W[:, :k], found.R[:k, :k], found.B[:, :k])
        return k, (index[:k], part, certificate, relative), met

    _, (index, found, certificate, relative), met = grow(call, method, attempt)
    return finish(call, index, solve(call, found, index), certificate, relative, method, converged=met)


def finish(
    call: Call,
    index: Array,
    found: tuple[Array, int],
    certificate: error.Certificate,
    relative: float,
    method: str,
    *,
    converged: bool = True,
) -> tuple[Array, Array, Info]:
    """Account for the rows found; `found` are the coefficients and the rank of the rows."""
    info = account(
        call,
        certificate,
        relative,
        method="qrcp" if method == "auto" else method,
        rank=found[1],
        converged=converged,
    )
    return index, found[0], info


def _rows_of_columns(call: Call, columns: Array, method: str, info: Info) -> tuple[tuple[Array, Array], Info]:
    """Rows I of the chosen columns C with C = X C[I] exactly, and the account with it; the call is of A^T."""
    problem = call.problem
    C = rows_of(problem, columns).T  # (m, k)
    index = skeleton.choose_rows(C, columns.size, method, problem.seed)
    X = skeleton.interpolate(C, index)[0].astype(problem.dtype)
    path = ", ".join(problem.path) or "direct"
    return (index, X), info.replace(passes=problem.passes, matvecs=problem.matvecs, path=path)


def _undefined(call: Call) -> tuple[Array, Array, Info]:
    """Coefficients of NaN: what check_finite=False gives for a matrix that is not finite."""
    info = undefined_info(call)
    k = info.rank or 0
    return np.arange(k), np.full((call.problem.shape[0], k), np.nan, call.problem.dtype), info

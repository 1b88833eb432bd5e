# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""CUR decompositions: a matrix through its own columns and rows, with a small core between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import dense, qr
from randnla._backend.results import CURResult, Info
from randnla.operators import as_operator

from . import error, skeleton
from .basis import Sample, first_sketch, orthonormalize
from .call import Call, begin, certify_residual, numerical_rank, undefined_info, unless_undefined
from .interpolative import Projection, certify_rows, choose, finish, grow, sketch_of, smallest
from .scaling import Array, in_units, normalize, scale_by_power, unit_roundoff

METHODS = ("auto", "projection", "intersection")


def cur(
    A: Any,
    rank: int | None = None,
    *,
    tol: float | None = None,
    norm: str = "fro",
    oversample: int | str = "auto",
    power_iters: int = 0,
    method: str = "auto",
    selection: str = "auto",
    sketch: Any = "auto",
    certificate: str = "auto",
    failure_probability: float | None = None,
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> CURResult:
    """``A ~ C @ U @ R`` with columns C and rows R of A itself, and a certificate of the error.

    Parameters
    ----------
    A : array, sparse matrix, memmap or operator of shape (m, n)
    rank : int, optional
        Number of columns and of rows k; with `tol`, the largest allowed.
    tol : float, optional
        Relative error in `norm` to certify, with as few columns and rows as meet it.
    norm : {"fro", "spectral"}
        Norm of `tol` and of the error estimate.
    oversample, power_iters, sketch
        As in `interpolative`.
    method : {"auto", "projection", "intersection"}
        "projection" ("auto"): the best core C^+ A R^+, one more product with A. "intersection": the
        pseudoinverse of A[rows][:, columns], cheap, exact on exactly low rank, less accurate
        elsewhere. `tol` is taken by "auto" and "projection", with every `selection`.
    selection : {"auto", "qrcp", "lupp", "rpqr", "leverage"}
        How rows and columns are chosen; the `method` of `interpolative`.
    certificate : {"auto", "probe", "exact"}
        "exact" is the identity ||A||_F^2 - ||Q_C^H A Q_R||_F^2 of "projection"; as in `interpolative`.
    failure_probability, rng, check_finite, max_memory, callback
        As in `svd`.

    Returns
    -------
    CURResult
        C (m, k), U (k, k), R (k, n), rows (k,), columns (k,), `info`. C and R hold the entries of A, sparse
        (CSC and CSR) where A is a sparse matrix. ``info.rank`` is the numerical rank of C U R.

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
    *Algorithm*: rows by pivoting of a sketch A Omega, columns by pivoting of these rows (Voronin and
    Martinsson, 2017); U = R_C^-1 Q_C^H A Q_R R_R^-H of the QR factorizations of C and R^H (Stewart, 1999).
    Directions of C and of R^H, and singular values of the intersection, below the root of the unit roundoff
    times the largest are left out: an explicit U loses ||C|| ||U|| ||R|| u to rounding, so that smaller ones
    would cost more than they carry. Errors below about 1e-8 ||A|| (3e-4 in single precision) are therefore
    out of reach; `interpolative` has no such floor.

    *Cost*: the sketch of `interpolative`, then a product of 2 m n k flops and O(k^2 (m + n)).

    Examples
    --------
    >>> import numpy as np, randnla
    >>> A = np.add.outer(np.arange(50.0), np.arange(40.0) ** 2)
    >>> C, U, R, rows, columns = randnla.cur(A, 2, rng=0)
    >>> bool(np.allclose(C @ U @ R, A)), bool(np.array_equal(C, A[:, columns]))
    (True, True)
    """
    validate.choice(method, METHODS, name="method")
    validate.choice(selection, skeleton.METHODS, name="selection")
    validate.choice(certificate, ("auto", "probe", "exact"), name="certificate")
    if method == "intersection" and certificate == "exact":
        raise InputError("certificate: 'exact' is of projections; method='intersection' makes none")
    if certificate == "exact" and norm == "spectral":
        raise InputError("certificate: 'exact' is of the Frobenius norm, got norm='spectral'")
    if method == "intersection" and tol is not None:
        raise InputError("method: with tol, expected 'auto' or 'projection', got 'intersection'")
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
    )
    *factors, info = unless_undefined(call, lambda: _decompose(call, method, selection), _undefined)
    return CURResult(*namespace.restore_all(call.kind, *factors), info=info)


Factors = tuple[Any, Array, Any, Array, Array, Info]


@dataclass
class Cross:
    """Chosen rows and columns, most telling first, with the core Q_C^H A Q_R between their bases."""

    rows: Array
    columns: Array
    C: Any
    R: Any
    left: tuple[Array, Array]  # Q_C, R_C with C = 2^exponents[0] Q_C R_C
    right: tuple[Array, Array]  # the same of R^H
    exponents: tuple[int, int]
    core: Array  # in units of the sample

    def leading(self, k: int) -> Projection:
        """The first k columns and rows as a projection: A ~ (Q_C M) Q_R^H."""
        M = self.core[:k, :k]
        B = dense.gemm(np.ascontiguousarray(self.left[0][:, :k]), np.ascontiguousarray(M))
        return Projection(self.right[0][:, :k], self.right[1][:k, :k], B)

    def keeps_all(self, k: int, cut: float) -> bool:
        """Whether no direction of C and R^H falls below the cut, so that C U R is the projection."""
        sizes = [qr.small_svd(skeleton.widen(T[1][:k, :k]))[1] for T in (self.left, self.right)]
        return all(s[-1] > cut * s[0] for s in sizes if s.size)


def _times(X: Any, Y: Array) -> Array:
    """X Y for an array or a sparse matrix X."""
    return np.array(X @ Y) if scipy.sparse.issparse(X) else dense.gemm(X, Y)


def _array(X: Any) -> Array:
    return np.asarray(X.toarray() if scipy.sparse.issparse(X) else X)


def _chosen(call: Call, sample: Sample, rows: Array, selection: str) -> tuple[Array, Any, Any]:
    """Columns by pivoting of the rows, and both as they stand in A."""
    R = skeleton.take(call.problem, rows, axis=0)
    scaled = np.array(_array(R))
    normalize(scaled)
    columns = skeleton.choose_rows(scaled.conj().T, rows.size, selection, call.problem.seed)
    return columns, skeleton.take(call.problem, columns, axis=1), R


def _cross(call: Call, sample: Sample, rows: Array, selection: str) -> Cross:
    problem = call.problem
    columns, C, R = _chosen(call, sample, rows, selection)
    tall, wide = np.array(_array(C)), np.array(_array(R).conj().T)
    exponents = (normalize(tall), normalize(wide))
    left, right = orthonormalize(problem, tall), orthonormalize(problem, wide)
    Y = problem.forward(right[0])
    Y *= Y.real.dtype.type(2.0 ** (-sample.exponent - problem.shift))
    problem.report("core")
    return Cross(rows, columns, C, R, left, right, exponents, dense.gemm(left[0].conj().T, Y))


def pseudoinverse(X: Array, cut: float) -> tuple[Array, int]:
    """X^+ in float64, without singular values below `cut` times the largest, and how many are kept."""
    U, s, Vh = qr.small_svd(skeleton.widen(X))
    kept = s > cut * float(max(s, default=0.0))
    return dense.gemm(Vh[kept].conj().T / s[kept], U[:, kept].conj().T), int(np.count_nonzero(kept))


def _cut(call: Call) -> float:
    return float(np.sqrt(unit_roundoff(call.problem.dtype)))


def _core(call: Call, sample: Sample, found: Cross, k: int) -> tuple[Array, int]:
    """U = C^+ A R^+ in units of A, and the numerical rank of C U R."""
    cut = _cut(call)
    (left, below), (right, beside) = (
        pseudoinverse(triangle[:k, :k], cut) for triangle in (found.left[1], found.right[1])
    )
    inner = skeleton.widen(found.core[:k, :k])
    U = dense.gemm(dense.gemm(left, inner), right.conj().T)
    rank = min(numerical_rank(call, qr.small_svd(inner)[1], k), below, beside)
    with np.errstate(over="ignore"):  # told by _report
        return scale_by_power(U, sample.exponent - sum(found.exponents)).astype(call.problem.dtype), rank


def _decompose(call: Call, method: str, selection: str) -> Factors:
    if min(call.problem.shape) == 0 or call.rank == 0:
        call.tol, call.rank = None, 0
    if call.tol is not None:
        return _to_tolerance(call, selection)
    problem, k = call.problem, call.rank
    assert k is not None
    size = min(k + call.oversample, *problem.shape)
    Y, Z, probe_map, exponent = first_sketch(problem, size, call.sketch if size else "gaussian")
    problem.report("sketch")
    sample = Sample(Y, exponent, probe_map, Z)
    rows = choose(call, sample, k, selection)
    if method == "intersection":
        columns, C, R = _chosen(call, sample, rows, selection)
        middle = np.array(_array(C[rows]))
        e = normalize(middle)
        with np.errstate(over="ignore"):
            inverse, rank = pseudoinverse(middle, _cut(call))
            U = scale_by_power(inverse, -e).astype(problem.dtype)
        return _report(call, sample, (C, U, R, rows, columns), "intersection", None, rank, converged=True)
    found = _cross(call, sample, rows, selection)
    U, rank = _core(call, sample, found, k)
    known = certify_rows(call, sample, found.leading(k), k) if found.keeps_all(k, _cut(call)) else None
    factors = (found.C, U, found.R, rows, found.columns)
    return _report(
        call, sample, factors, "projection", known, rank, converged=True, captured=error.frobenius(found.core)
    )


def _report(
    call: Call,
    sample: Sample,
    factors: tuple[Any, Array, Any, Array, Array],
    method: str,
    known: tuple[error.Certificate, float] | None,
    rank: int,
    *,
    converged: bool,
    share: int = 1,
    captured: float | None = None,
) -> Factors:
    """Certify the product C U R itself: an identity of projections holds only where U kept all directions."""
    problem = call.problem
    C, U, R = factors[:3]
    if not np.isfinite(U).all() and np.isfinite(sample.probes).all():
        raise InputError(f"A: the core U, of the size of 1 / A, leaves the range of {U.dtype}; scale A up")
    scale = sample.probes.real.dtype.type
    # In units of the sample, by a power of two on C and one on R.
    image = _times(R, (sample.probe_map * scale(2.0**problem.shift)).astype(problem.dtype))
    product = scale_by_power(_times(C, dense.gemm(U, image)), -sample.exponent - problem.shift)
    rounding = error.rounding_floor(1.0, problem.dtype, U.shape[0]) / max(_cut(call), 1e-300)
    if known is None or known[0].source != "exact" or known[1] <= rounding:
        size = error.frobenius(product) / np.sqrt(error.PROBES) if captured is None else captured
        floor = error.rounding_floor(size, problem.dtype, U.shape[0])
        known = certify_residual(call, sample, sample.probes - product, floor, 0.0, share=share)
        if captured and call.norm == "frobenius":  # ||A|| >= ||Q_C^H A Q_R||
            known = known[0], min(known[1], in_units(known[0].estimate, -sample.exponent) / captured)
    certificate, relative = known
    met = converged and (call.tol is None or relative <= call.tol)
    info = finish(call, factors[3], (U, rank), certificate, relative, method, converged=met)[2]
    return (*factors, info)


def _to_tolerance(call: Call, selection: str) -> Factors:
    tol = call.tol
    assert tol is not None

    def attempt(sample: Sample, index: Array, share: int) -> tuple[int, Any, bool]:
        found = _cross(call, sample, index, selection)

        def test(k: int) -> float:
            return certify_rows(call, sample, found.leading(k), k, share)[1]

        k = index.size
        met = test(k) <= tol
        k = smallest(test, k, tol) if met else k
        return k, (sample, found, test, share), met

    k, (sample, found, _, share), met = grow(call, selection, attempt)
    U, rank = _core(call, sample, found, k)
    factors = (found.C[:, :k], U, found.R[:k], found.rows[:k], found.columns[:k])
    whole = found.keeps_all(k, _cut(call))
    known = certify_rows(call, sample, found.leading(k), k, share) if whole else None
    captured = error.frobenius(found.core[:k, :k])
    return _report(
        call, sample, factors, "projection", known, rank, converged=met, share=share, captured=captured
    )


def _undefined(call: Call) -> Factors:
    """Factors of NaN: what check_finite=False gives for a matrix that is not finite."""
    (m, n), k = call.problem.shape, 0 if call.rank is None else call.rank
    C, U, R = (np.full(shape, np.nan, call.problem.dtype) for shape in ((m, k), (k, k), (k, n)))
    return C, U, R, np.arange(k), np.arange(k), undefined_info(call)

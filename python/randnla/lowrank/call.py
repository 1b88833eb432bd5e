# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the drivers share: arguments checked once, certificates turned into ``info``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.device import runtime
from randnla._backend.errors import InputError, NonFiniteError, warn
from randnla._backend.kernels import dense
from randnla._backend.results import Info
from randnla._backend.rng import STREAM_VERSION, seed_from
from randnla.operators import Dense, LinearOperator, RowStream, Sparse, as_operator
from randnla.operators.device import DeviceDense

from . import error
from .basis import Sample
from .problem import Problem
from .scaling import Array, in_units, vector_norm
from .skeleton import widen

CERTIFICATES = ("auto", "probe", "exact", "leave_one_out")
PRECISIONS = {"full": 4, "three_slices": 3, "two_slices": 2}
"""Bytes of an entry that the products of power iterations see."""
NORMS = {"fro": "frobenius", "spectral": "spectral"}

Outcome = TypeVar("Outcome")


@dataclass
class Call:
    """The arguments of one call, checked, with the matrix wrapped."""

    problem: Problem
    kind: namespace.Kind
    check_finite: bool
    rank: int | None
    tol: float | None
    norm: str  # "frobenius" or "spectral"
    oversample: int
    power_iters: int | None
    sketch: Any  # "gaussian", or a function (d, m) -> map
    certificate: str
    failure: float | None
    block: int | None = None  # columns of a block, where the caller named it
    spectrum_norm: float | None = None  # ||A||_F, where a route came to know all singular values
    in_units: bool = False  # whether singular values stay in units of 2^exponent, not rounded
    exponent: int = 0

    @property
    def limit(self) -> int:
        """min(m, n)."""
        return min(self.problem.shape)


def kind_of_operator(op: LinearOperator) -> str:
    """What the dispatch may know of the input."""
    base = getattr(op, "base", None)
    if isinstance(op, Dense):
        return "dense"
    if isinstance(op, DeviceDense):
        return "device"
    if isinstance(op, RowStream) or isinstance(base, RowStream):
        return "stream"
    return "sparse" if isinstance(op, Sparse) else "operator"


def begin(
    A: Any,
    rank: Any,
    tol: Any,
    *,
    norm: Any = "fro",
    oversample: Any = 10,
    power_iters: Any = "auto",
    sketch: Any = "auto",
    certificate: Any = "auto",
    failure_probability: Any = None,
    block: Any = "auto",
    rng: Any = None,
    check_finite: Any = True,
    max_memory: Any = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
    transposed: bool = False,
    device: bool = False,
) -> Call:
    """Check every argument that drivers share; a driver without one of them leaves it out.

    With `transposed` the matrix of the call is A^T; with `device` it may be on a GPU.
    """
    check_finite = validate.flag(check_finite, name="check_finite")
    op = as_operator(A, check_finite=check_finite, max_memory=max_memory, device=device)
    op = op.T if transposed else op
    wanted, tolerance = validate.rank_and_tol(rank, tol, min(op.shape))
    validate.choice(norm, tuple(NORMS), name="norm")
    validate.choice(certificate, CERTIFICATES, name="certificate")
    failure = failure_probability
    if failure is not None:
        failure = validate.tolerance(failure, name="failure_probability")
        if failure > 0.5:
            raise InputError(f"failure_probability: expected at most 0.5, got {failure}")
    seed = seed_from(rng)
    made = resolve_sketch(sketch, seed, op, wanted or 0)
    if tolerance is not None and made != "gaussian":
        raise InputError(
            "sketch: with tol the basis grows by Gaussian columns; expected 'gaussian' or 'auto'"
        )
    if tolerance is not None and certificate == "exact" and norm == "spectral":
        raise InputError("certificate: 'exact' with tol needs norm='fro', got norm='spectral'")
    problem = Problem(op, kind_of_operator(op), seed, callback=validate.callback(callback))
    return Call(
        problem,
        namespace.kind_of(A),
        check_finite,
        wanted,
        tolerance,
        NORMS[norm],
        validate.oversample(oversample),
        validate.power_iters(power_iters),
        made,
        certificate,
        failure,
        validate.block(block),
    )


def unless_undefined(
    call: Call, decompose: Callable[[], Outcome], undefined: Callable[[Call], Outcome]
) -> Outcome:
    """What `decompose` returns; what `undefined` does if A is not finite and check_finite=False."""
    try:
        return decompose()
    except NonFiniteError:
        if call.check_finite:
            raise
        return undefined(call)


def undefined_info(call: Call) -> Info:
    """What is said of factors of NaN, of as many columns as the caller named."""
    rank = 0 if call.rank is None else call.rank
    return Info(rank=rank, method="none", converged=False, seed=call.problem.seed, path="non-finite input")


SKETCHES = {
    "gaussian": "Gaussian",
    "sign": "Sign",
    "sparse_sign": "SparseSign",
    "countsketch": "CountSketch",
    "srht": "SRHT",
    "srft": "SRFT",
}


def resolve_sketch(sketch: Any, seed: int, op: LinearOperator, rank: int) -> Any:
    """A function (d, m) -> map, or "gaussian"."""
    if not isinstance(sketch, str):
        if not getattr(type(sketch), "is_random_map", False):
            raise InputError(f"sketch: expected a name or a random map, got {type(sketch).__name__}")
        if sketch.shape[1] != op.shape[1] or sketch.shape[0] < rank:
            raise InputError(
                f"sketch: expected a map of shape (at least {rank}, {op.shape[1]}), got {sketch.shape}"
            )
        return lambda d, m: sketch
    validate.choice(sketch, ("auto", *SKETCHES), name="sketch")
    if sketch in ("auto", "gaussian"):
        return "gaussian"
    from randnla import sketching

    kind = getattr(sketching, SKETCHES[sketch])
    real = np.float32 if np.dtype(op.dtype).type(0).real.itemsize == 4 else np.float64

    def make(d: int, m: int) -> Any:
        # In 4 k rows, four nonzeros a column embed k directions as well as eight do.
        options = {"nnz": 4} if sketch == "sparse_sign" and d >= 4 * rank > 0 else {}
        return kind(d, m, rng=seed, dtype=real, **options)

    return make


def certify_projection(
    call: Call, sample: Sample, values: Array, exponent: int, rank: int
) -> tuple[error.Certificate, float]:
    """Certificate and relative error of the rank-k truncation of Q Q^H A, in units of A.

    `values` are all singular values of Q^H A in units of 2^exponent.
    """
    # A - U_k U_k^H A = (I - Q Q^H) A + Q (B - B_k): the ranges are orthogonal, so squares add in the
    # Frobenius norm and bound in the spectral one. B is known; only (I - Q Q^H) A needs a certificate.
    e0 = sample.exponent
    s = np.ldexp(np.asarray(values, dtype=np.float64), exponent - e0)
    outside = certify_basis(call, sample, s)
    tail = error.truncation_error(s, rank, call.norm)
    estimate = math.hypot(outside.estimate, tail)
    if outside.failure_probability is not None:
        # Even where the tail is all there is, the product of rounded factors is not the truncation.
        magnitude = max(float(np.linalg.norm(s)), subtracted(call.problem, e0))
        estimate += error.rounding_floor(magnitude, call.problem.dtype, s.size)
    if call.norm == "spectral":
        fraction = estimate / float(s[0]) if s.size and s[0] > 0 else float(estimate > 0)
    else:
        fraction = error.relative(estimate, float((s[:rank] ** 2).sum()))
    known = call.problem.op.frobenius_norm() if estimate > float(np.linalg.norm(s)) else None
    norm = None if known is None else in_units(known, -e0)
    estimate, fraction = no_worse_than_zero(call, estimate, fraction, norm, s.size)
    absolute = in_units(estimate, e0)
    return error.Certificate(absolute, outside.source, outside.failure_probability), fraction


def no_worse_than_zero(
    call: Call, estimate: float, relative: float, norm: float | None, columns: int
) -> tuple[float, float]:
    """Error estimate and relative error of an approximation of which ||A - A_k|| <= ||A|| is certain.

    A projection is one, and for semidefinite A that of Nystrom, in both norms. Probes widen what they see by
    3.4 (Frobenius) or 8 to 80 times, which exceeds ||A|| where its values hardly decay. ``norm`` is ||A||_F,
    in the units of the estimate, if known; it bounds the spectral norm, too. The failure probability stays
    what it was. What the mean leaves of a sparse matrix may be rounding alone, larger than its true norm.
    """
    if subtracted(call.problem, 0):
        return estimate, relative
    slack = 1.0 + error.rounding_floor(1.0, call.problem.dtype, columns)
    if norm is not None and math.isfinite(norm):
        estimate = min(estimate, norm * slack)
    return estimate, min(relative, slack)


def certify_product(
    call: Call,
    sample: Sample,
    U: Array,
    s: Array,
    V: Array,
    exponent: int,
    *,
    candidates: int = 1,
    contained: bool = False,
) -> tuple[error.Certificate, float]:
    """Probes of A - U diag(s) V^H itself, for factors that are no projection of A.

    Where the same probes chose among several `candidates`, each may fail with its share of the
    probability. `contained` says that A less the product is no larger than A, as for semidefinite
    matrices 0 <= A_k <= A; otherwise it is no larger than both together.
    """
    e0 = sample.exponent
    values = np.ldexp(s[: U.shape[1]], exponent - e0)
    core = (values[:, None] * widen(dense.gemm(V.conj().T, sample.probe_map))).astype(U.dtype)
    magnitude = float(np.linalg.norm(values))
    whole = max(magnitude, subtracted(call.problem, e0))
    floor = error.rounding_floor(whole, call.problem.dtype, sample.Q.shape[1])
    largest = (float(values[0]) if values.size else 0.0) if call.norm == "spectral" else magnitude
    residual = error.minus_product(sample.probes, U, core)
    beyond = 0.0 if contained else abs(largest)
    return certify_residual(call, sample, residual, floor, abs(largest), share=candidates, beyond=beyond)


def subtracted(problem: Problem, exponent: int) -> float:
    """Norm of the matrix that products of A are differences with, in units of 2^exponent; 0 for most A."""
    whole = float(getattr(problem.op, "subtracted", 0.0))
    return in_units(whole, -exponent) if math.isfinite(whole) else 0.0


def certify_residual(
    call: Call,
    sample: Sample,
    residual: Array,
    floor: float,
    size: float,
    *,
    share: int = 1,
    beyond: float = math.inf,
) -> tuple[error.Certificate, float]:
    """Certificate and relative error from E times the probes, for any approximation A - E.

    `floor` is what rounding may add and `size` the norm of the approximation, in units of the sample; of
    `share` tests on the same probes, each may fail with its part of the probability. That
    ||E|| <= ||A|| + `beyond` is certain; where the probes say more, ||A||_F is asked for.
    """
    failure = error.DEFAULT_FAILURE[call.norm] if call.failure is None else call.failure

    def bound(part: float) -> float:
        return error.probe_bound(residual, call.norm, part * failure / share)[0] + floor

    estimate = bound(1.0)
    least, shared = norm_below(call, sample, bound, size)
    relative = error.quotient(shared, least)
    if estimate > least + beyond + floor:
        relative = min(relative, 1.0 + error.quotient(beyond + floor, least))
        norm = call.problem.op.frobenius_norm()
        if norm is not None and math.isfinite(norm):
            estimate = min(estimate, in_units(norm, -sample.exponent) + beyond + floor)
    return error.Certificate(in_units(estimate, sample.exponent), "probe", failure), relative


def relative_error(call: Call, sample: Sample, bound: Callable[[float], float]) -> float:
    """An error over the norm of A, where that is known, or a lower bound of it; see `norm_below`."""
    least, estimate = norm_below(call, sample, bound)
    return error.quotient(estimate, least)


def norm_below(
    call: Call, sample: Sample, bound: Callable[[float], float], magnitude: float = 0.0
) -> tuple[float, float]:
    """The norm of A, where that is known, or a lower bound of it, and the error to divide by it.

    ``bound(part)`` bounds the error, in the units of the sample, with that part of the failure probability;
    `magnitude` is the norm of the approximation. ||A||_F is taken where it costs no pass over all entries.
    Otherwise the probes tell: ||A w|| <= ||A||_2 ||w||, and sum_j ||A w_j||^2 <= ||A||_F^2 x but for a
    probability P(chi^2_r > x), rank one being the worst case of this tail, too. That and an error above its
    bound are two events: each gets half of the failure probability.
    """
    cheap = call.norm == "frobenius" and call.problem.kind in ("sparse", "stream")
    norm = call.problem.op.frobenius_norm() if cheap else None
    size = 0.0 if norm is None else in_units(norm, -sample.exponent)
    known = norm is not None and math.isfinite(size)
    estimate = bound(1.0 if known or call.norm == "spectral" else 0.5)
    if not known:
        lengths = error.column_norms(sample.probe_map)
        size = float(np.max(error.column_norms(sample.probes) / np.maximum(lengths, 1e-300), initial=0.0))
        if call.norm == "frobenius":
            failure = error.DEFAULT_FAILURE["frobenius"] if call.failure is None else call.failure
            size = max(size, error.frobenius_below(sample.probes, failure / 2))
        size = max(size, magnitude - estimate)  # ||A|| >= ||A - E|| - ||E||
    return size, estimate


def require_leave_one_out(call: Call, method: str) -> None:
    """Refuse certificate='leave_one_out' where no triangular factors of a Gaussian sketch are kept.

    Raises
    ------
    InputError
        The call has a tolerance, the spectral norm, another sketch or another method.
    """
    if call.certificate != "leave_one_out":
        return
    if call.tol is not None:
        raise InputError("certificate: 'leave_one_out' is no bound and certifies no tol; leave tol out")
    if call.norm != "frobenius":
        raise InputError("certificate: 'leave_one_out' estimates the Frobenius norm, got norm='spectral'")
    if call.sketch != "gaussian":
        raise InputError("certificate: 'leave_one_out' needs the exchangeable columns of sketch='gaussian'")
    if method not in ("auto", "proto", "subspace"):
        raise InputError(
            f"certificate: 'leave_one_out' needs method='auto', 'proto' or 'subspace', got {method!r}"
        )


def choose_precision(call: Call, precision: Any, method: str) -> None:
    """Let the power iterations of the call run in fixed point.

    Raises
    ------
    InputError
        No such precision; A is no float32 array in memory, or the method makes other products.
    """
    validate.choice(precision, tuple(PRECISIONS), name="precision")
    if precision == "full":
        return
    problem = call.problem
    if problem.kind == "device":
        raise InputError(f"precision: expected 'full' for an array on a GPU, got {precision!r}")
    if not (isinstance(problem.op, Dense) and problem.dtype == np.float32):
        raise InputError(
            f"precision: {precision!r} needs a float32 array in memory, "
            f"got {problem.kind} input of dtype {problem.dtype}"
        )
    if call.tol is not None or method not in ("auto", "subspace", "power"):
        raise InputError(
            f"precision: {precision!r} needs a fixed rank and method='auto', 'subspace' or 'power', "
            f"got method={method!r}, tol={call.tol}"
        )
    problem.slices = PRECISIONS[precision]
    problem.path.append(precision.replace("_", " "))


def device_method(call: Call, method: str, offered: tuple[str, ...]) -> str:
    """The method for an array on a GPU, the first of those `offered` for "auto"; as it is for all others.

    Raises
    ------
    InputError
        There are no kernels for what was asked.
    """
    if call.problem.kind != "device":
        return method
    where = "for an array on a GPU"
    if call.certificate == "leave_one_out":
        raise InputError(f"certificate: expected 'auto', 'probe' or 'exact' {where}, got 'leave_one_out'")
    if not call.check_finite:
        raise InputError(f"check_finite: expected True {where}, got False")
    if method not in ("auto", *offered):
        names = ", ".join(map(repr, ("auto", *offered)))
        raise InputError(f"method: expected one of {names} {where}, got {method!r}")
    most = int(runtime().extension.triangle_limit(call.problem.dtype.itemsize))
    if call.rank is None:
        call.rank = max(0, min(call.limit, most - call.oversample))  # of a tolerance: what fits
    columns = min(call.limit, call.rank + call.oversample)
    if columns > most:
        raise InputError(
            f"rank: with oversample at most {most} columns of {call.problem.dtype} {where}, got {columns}"
        )
    return offered[0] if method == "auto" else method


def require_tolerance_method(method: str, offered: tuple[str, ...]) -> None:
    """Refuse `tol` where a method is for a fixed rank, naming those that take it."""
    if method not in offered:
        names = ", ".join(repr(name) for name in offered)
        raise InputError(f"method: with tol, expected one of {names}, got {method!r}")


def certify_basis(call: Call, sample: Sample, s: Array | None) -> error.Certificate:
    """Certificate of (I - Q Q^H) A in the units of the sample.

    `s` are the singular values of Q^H A in these units, None where that was not computed.
    """
    problem, Q = call.problem, sample.Q
    if call.certificate == "leave_one_out":
        assert sample.first is not None
        return error.Certificate(
            error.leave_one_out(sample.first, Q, sample.triangles), "leave_one_out", None
        )
    cheap = problem.kind != "operator" and call.norm == "frobenius"
    if s is not None and (call.certificate == "exact" or (call.certificate == "auto" and cheap)):
        captured = float((s**2).sum())
        norm = problem.op.frobenius_norm()
        if norm is None and call.certificate == "exact":
            raise InputError("certificate: 'exact' needs ||A||_F, which this operator does not know")
        norm = math.inf if norm is None else in_units(norm, -sample.exponent)
        known = (
            error.exact_error(norm, captured, problem.dtype, problem.inner) if math.isfinite(norm) else None
        )
        if known is not None:
            return error.Certificate(known, "exact", 0.0)
        problem.path.append("identity below resolution")
    residual = error.minus_product(sample.probes, Q, dense.gemm(Q.conj().T, sample.probes))
    bound, failure = error.probe_bound(residual, call.norm, call.failure)
    return error.Certificate(bound, "probe", failure)


def numerical_rank(call: Call, values: Array, rank: int) -> int:
    """How many of the first `rank` values stand above rounding."""
    top = np.asarray(values, dtype=np.float64)
    magnitude = vector_norm(top)
    if magnitude == 0.0 and not top.any():
        return 0
    floor = error.rounding_floor(magnitude, call.problem.dtype, top.size)
    return int(np.count_nonzero(np.abs(top[:rank]) > floor))


def account(
    call: Call,
    certificate: error.Certificate,
    relative: float | None,
    *,
    method: str,
    rank: int,
    converged: bool,
) -> Info:
    """``info`` of a finished call; warns where the tolerance was not certified."""
    problem = call.problem
    if not converged:
        warn(
            f"the certified relative error {relative} exceeds tol={call.tol} ({call.norm} norm, rank {rank})"
        )
    return Info(
        rank=rank,
        method=method,
        sketch=problem.sketch,
        passes=problem.passes,
        matvecs=problem.matvecs,
        error_estimate=certificate.estimate,
        error_kind=call.norm,
        error_relative=relative,
        failure_probability=certificate.failure_probability,
        converged=converged,
        seed=problem.seed,
        path=", ".join(problem.path) or "direct",
        stream_version=STREAM_VERSION,
        memory=problem.peak_memory(),
        certificate=certificate.source,
    )


def smallest_rank(errors: Array, outside: float, target: float, cap: int) -> tuple[int, bool]:
    """The smallest rank whose error hypot(outside, errors[rank]) is at most `target`, and whether one is."""
    total = np.hypot(outside, errors[: cap + 1])
    good = np.nonzero(total <= target)[0]
    return (int(good[0]), True) if good.size else (min(cap, errors.size - 1), False)

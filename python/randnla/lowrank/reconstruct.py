# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Factors of a matrix from its linear sketches, and what the error sketch says of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from randnla._backend.kernels import dense
from randnla._backend.results import Info
from randnla._backend.rng import STREAM_VERSION

from . import error, single_pass
from .linear_sketch import LinearSketch, Sizes, pieces
from .problem import Problem
from .scaling import Array, in_units, scale_by_power
from .single_pass import SketchRun


@dataclass(frozen=True)
class Method:
    """A way from sketches to factors: how large the sketches are for l range columns, and the way."""

    sizes: Callable[[int], tuple[int, int, int]]  # range, corange, core
    factors: Callable[[LinearSketch, SketchRun, int | None], single_pass.Factors]


METHODS = {
    "tyuc17": Method(lambda size: (size, 2 * size + 1, 0), single_pass.tyuc17),
    "sketchy": Method(lambda size: (size, size, 2 * size + 1), single_pass.sketchy),
    "generalized_nystrom": Method(
        lambda size: (size, (3 * size + 1) // 2, 0), single_pass.generalized_nystrom
    ),
    "nystrom": Method(lambda size: (size, 0, 0), single_pass.nystrom),
    "hmt": Method(lambda size: (size, size, 0), single_pass.one_pass),
}


def sizes_for(method: str, rank: int, oversample: int, shape: tuple[int, int], probes: int) -> Sizes:
    """Sizes of the sketches: rank + oversample columns in the range sketch, at least one."""
    return Sizes(*METHODS[method].sizes(max(1, min(rank + oversample, *shape))), probes)


def default_oversample(rank: int) -> int:
    """Three times the rank in all: a single pass has no second chance to refine the basis."""
    return max(10, 2 * rank)


@dataclass(frozen=True)
class Reconstruction:
    """Factors of the matrix that a sketch has seen, in units of 2^exponent, and the probes of their error.

    `probes` is A^H Theta^T and `residual` E^H Theta^T (n, q) for the error E of the factors and standard
    Gaussian rows Theta that no factor has met.
    """

    U: Array
    s: Array  # all values, float64; those beyond the columns of U are cut off
    V: Array
    exponent: int
    probes: Array
    residual: Array
    run: SketchRun

    @property
    def rank(self) -> int:
        """Columns of the factors."""
        return int(self.U.shape[1])


def reconstruct(sketch: LinearSketch, method: str, rank: int | None) -> Reconstruction:
    """Factors from the sketches; all that they hold where `rank` is None."""
    run = SketchRun(sketch.shape, sketch.dtype, sketch.seed)
    U, s, V, exponent = METHODS[method].factors(sketch, run, rank)
    values = np.asarray(s, np.float64)
    # Theta (A - U diag(s) V^H), adjoint
    seen = sketch.maps["error"].apply(U).conj().T * values[: U.shape[1], None]
    probes = scale_by_power(sketch.arrays["error"].copy(), -exponent)
    probes *= probes.real.dtype.type(math.sqrt(sketch.sizes.probes))
    seen *= math.sqrt(sketch.sizes.probes)
    residual = probes - dense.gemm(V, seen.astype(V.dtype))
    return Reconstruction(U, values, V, exponent - sketch.shift, probes, residual, run)


def certify(
    sketch: LinearSketch, found: Reconstruction, norm: str, failure: float | None
) -> tuple[float, float, float]:
    """Bound on the error, bound on that over the norm of A, failure probability; units of `found`.

    Each of the two bounds alone fails with the probability that is returned, at most.
    """
    bound, failure = error.probe_bound(found.residual, norm, failure)
    kept = found.s[: found.rank]
    magnitude = float(np.linalg.norm(kept))
    floor = error.rounding_floor(magnitude, sketch.dtype, sketch.sizes.range)
    bound += floor
    # An error above its bound and a norm below its own are two events: each gets half of the probability.
    numerator = error.probe_bound(found.residual, norm, failure / 2)[0] + floor
    least = error.frobenius_below(found.probes, failure / 2)
    if norm == "spectral":
        magnitude = float(max(kept, default=0.0))
        least /= math.sqrt(max(1, min(sketch.shape)))  # ||A||_F <= sqrt(rank) ||A||_2
    size = max(least, magnitude - numerator)  # ||A|| >= ||A_k|| - ||A - A_k||
    # ||A - A_k|| <= ||A|| + ||A_k||, whatever the probes say.
    return bound, min(error.quotient(numerator, size), 1.0 + error.quotient(magnitude + floor, size)), failure


def account(sketch: LinearSketch, found: Reconstruction, method: str, failure: float | None) -> Info:
    """``info`` of factors made by `method`, with the bound of their error by the probes."""
    bound, relative, failure = certify(sketch, found, "frobenius", failure)
    kept = found.s[: found.rank]
    floor = error.rounding_floor(float(np.linalg.norm(found.s)), sketch.dtype, found.s.size)
    return Info(
        rank=int(np.count_nonzero(kept > floor)),
        method=method,
        sketch=sketch.kind,
        passes=1,
        error_estimate=in_units(bound, found.exponent),
        error_kind="frobenius",
        error_relative=relative,
        failure_probability=failure,
        converged=True,
        seed=sketch.seed,
        path=", ".join(found.run.path) or "direct",
        stream_version=STREAM_VERSION,
        memory=sum(array.nbytes for array in sketch.arrays.values()),
        certificate="probe",
    )


def error_with_spread(found: Reconstruction) -> tuple[float, float]:
    """The root of an unbiased estimate of the squared Frobenius error, and its standard deviation."""
    lengths = error.column_norms(found.residual)  # each an estimate of the error
    value = float(np.linalg.norm(lengths)) / math.sqrt(lengths.size)
    if not value:
        return 0.0, 0.0
    # d value = d value^2 / (2 value)
    squares = (lengths / value) ** 2
    deviation = float(squares.std(ddof=1)) if squares.size > 1 else math.sqrt(2.0)
    spread = value * deviation / (2 * math.sqrt(squares.size))
    return in_units(value, found.exponent), in_units(spread, found.exponent)


def sketch_of_problem(problem: Problem, rank: int, oversample: int) -> LinearSketch:
    """The sketches of "tyuc17" of all of A, read once; operators are multiplied once by every map."""
    sizes = sizes_for("tyuc17", rank, max(oversample, default_oversample(rank)), problem.shape, error.PROBES)
    sketch = LinearSketch(problem.shape, problem.dtype, problem.seed, "gaussian", sizes)
    problem.sketch = sketch.kind
    if problem.kind == "stream":
        # Blocks are added one by one: none comes a second time.
        for rows, columns, block in pieces(problem.op, problem.dtype):
            sketch.add(block, (rows, columns), name="A")
            problem.report("sketch")
    else:
        sketch.add(problem.op, sketch.whole, name="A")
        problem.report("sketch")
    problem.passes += len(sketch.maps) if problem.kind == "operator" else 1
    problem.matvecs += sum(map_.shape[0] for map_ in sketch.maps.values())
    problem.hold(2 * sum(array.nbytes for array in sketch.arrays.values()))
    return sketch

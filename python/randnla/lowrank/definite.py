# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Eigenpairs by as many passes as their spectrum needs: what `eigh` does unless it is told otherwise."""

from __future__ import annotations

import math

import numpy as np

from randnla._backend.kernels import dense, qr

from . import factor
from .basis import Sample, first_sketch, orthonormalize
from .call import Call
from .error import PROBES, frobenius
from .scaling import Array, normalize, unit_roundoff

EXCESS = 0.04
"""Of the squared error over the least possible: 2 % of the error."""

MOST_PASSES = 4
CANDIDATES = 4
"""Approximations that the same probes may choose among: Nystrom after 2, 3 and 4 passes, Rayleigh-Ritz."""

LANES = 16
"""Sketches are rounded up to so many columns: the product takes no longer."""

MARGIN = 1.25
"""On the predicted excess: where values near the rank are flat, those of the sketch are too small."""

STEPS = 48


def sketch_size(rank: int, oversample: int, n: int) -> int:
    """Columns of the sketch: at least 1.5 k, the least columns times passes on most spectra."""
    size = rank + max(oversample, rank // 2)
    return min(n, -(-size // LANES) * LANES)


def predicted_excess(w: Array, rank: int, squared_error: float, power: float) -> float:
    """What the squared error of rank k exceeds the least by, relative to it, as the law of the sketch has it.

    Parameters
    ----------
    w : array, shape (l,)
        Eigenvalues of the Nystrom approximation, largest first.
    rank : int
        Pairs kept, k.
    squared_error : float
        Squared Frobenius error of the k pairs, as the probes estimate it.
    power : float
        The basis is that of A^power times l Gaussian columns: passes less a half.
    """
    # Let P be the projection on the span of A^p Omega and d = lambda^(2 p). By Derezinski, Liang, Liao and
    # Mahoney (2020), E P is about diag(d_i t / (1 + d_i t)) in the eigenvectors of A, t such that its trace
    # is l. The Nystrom value w_i of A^(1/2) P A^(1/2) lacks lambda_i sin^2, sin^2 = 1 / (1 + d_i t); its
    # vector v lies in A^(p + 1/2) Omega, and r = v^H A v lacks as much at the power p + 1/2. The squared
    # error is the sum of lambda^2 - 2 w r + w^2 = (lambda^2 - r^2) + (r - w)^2, and, as r >= w, no more than
    # lambda^2 - w^2. Measured on 20 spectra (powers, exponentials, steps, lines) where the truth is between
    # 0.01 and 0.1, the prediction is 1.5 to 5 times as much, near it for low steps, 10 for flat steps cut.
    size = w.size
    if squared_error <= 0.0 or rank == 0 or rank >= size - 1 or w[rank - 1] <= 0.0:
        return 0.0
    top = float(w[0])
    values, least = w / top, squared_error / top**2
    squares = values[:rank] ** 2
    # What the sketch does not show has the mass that the error leaves, each value at most the last one. Ten
    # probes tell that mass poorly where most of the error is seen: it is at least that of a geometric tail.
    mass = max(least - float((values[rank:] ** 2).sum()), 0.0)
    decay = float(values[-1] / values[rank - 1]) ** (2 / (size - rank))
    last = float(values[-1] ** 2)
    mass = max(mass, min(least, last * decay / (1 - decay)) if decay < 1 else least)
    late = _sines(values, rank, mass, power + 0.5)
    early = _sines(values, rank, mass, power)
    lost = squares * np.minimum(late * (2 - late) + early**2, early * (2 - early))
    return MARGIN * float(lost.sum()) / least


def _sines(values: Array, rank: int, mass: float, power: float) -> Array:
    """Mean squared sines of the `rank` leading directions to the span of A^power times l Gaussian columns."""
    # log(1 / t) by Newton's method, by bisection where that leaves the bracket; columns less one: the law is
    # one of many columns. Values beyond the last one, of squares `mass` in all, take at most what a small t
    # gives them.
    weights = values ** (2 * power)
    unseen = mass * float(values[-1]) ** (2 * power - 2)
    # The last value for all of them, and what is beyond alone, give what 1 / t is at least.
    least = max(float(weights[-1]), unseen) / (values.size - 1)
    low, high = math.log(least) if least > 0 else -744.0, math.log(float(weights.sum()) + unseen)
    point = low
    for _ in range(STEPS):
        level = math.exp(point)
        shares = weights / (weights + level)
        taken = float(shares.sum()) + unseen / level
        excess, slope = taken - (values.size - 1), taken - float(shares @ shares)
        low, high = (point, high) if excess > 0 else (low, point)
        step = excess / slope if slope > 0 else math.inf
        following = point + step if low <= point + step <= high else (low + high) / 2
        if abs(following - point) <= 1e-9:
            break
        point = following
    return np.asarray(1 / (1 + weights[:rank] / level))


def pairs(call: Call, rank: int) -> tuple[Sample, Array, Array, int]:
    """The sample, eigenvalues (all), the leading vectors, and the exponent of the values.

    Where Q^H A Q is definite the Nystrom core gains on Rayleigh-Ritz what half a pass would, and after each
    pass the computed spectrum tells whether another one could pay. A definite core does not prove that A is,
    so the probes must agree that Nystrom is the better of the two. Otherwise Rayleigh-Ritz after four.
    """
    problem = call.problem
    size = sketch_size(rank, call.oversample, problem.shape[0])
    Y, Z, probe_map, exponent = first_sketch(problem, size, "gaussian")
    factor.require_hermitian(probe_map, Z)
    sample = Sample(orthonormalize(problem, Y)[0], exponent, probe_map, Z)
    for passes in range(2, MOST_PASSES + 1):
        Y = problem.forward(sample.Q)
        e1 = normalize(Y) - problem.shift
        core = factor.hermitian_part(dense.gemm(sample.Q.conj().T, Y))
        w, X = _ritz(core)
        floor = 8 * size * unit_roundoff(problem.dtype) * float(np.abs(w).max(initial=0.0))
        if float(w.min(initial=0.0)) >= -floor:
            values, P, U = factor.nystrom_factors(problem, sample.Q, Y, core)
            V = factor.narrow_product(P, U[:, :rank])
            left = residual_of_probes(sample, values, e1, V)
            if passes == 2 and left > residual_of_probes(sample, w, e1, sample.Q, X[:, :rank]):
                break
            settled = predicted_excess(values, rank, left, passes - 0.5) <= EXCESS
            if settled or passes == MOST_PASSES:
                problem.path.append("definite core")
                return sample, values, V, e1
            sample.Q = P
        else:
            break
        problem.report("subspace iteration")
    problem.path.append("indefinite core")
    for _ in range(passes, MOST_PASSES):
        sample.Q = orthonormalize(problem, Y)[0]
        Y = problem.forward(sample.Q)
    if passes < MOST_PASSES:  # else the last pass was the fourth, and its pairs are at hand
        e1 = normalize(Y) - problem.shift
        w, X = _ritz(factor.hermitian_part(dense.gemm(sample.Q.conj().T, Y)))
    return sample, w, factor.narrow_product(sample.Q, X[:, :rank]), e1


def _ritz(core: Array) -> tuple[Array, Array]:
    return factor.by_magnitude(*qr.small_eigh(core))


def residual_of_probes(sample: Sample, w: Array, exponent: int, V: Array, X: Array | None = None) -> float:
    """An unbiased estimate of ||A - V diag(w) V^H||_F^2 in units of 4^exponent; with X, for vectors V X."""
    rank = V.shape[1] if X is None else X.shape[1]
    values = np.ldexp(w[:rank], exponent - sample.exponent)
    inside = dense.gemm(V.conj().T, sample.probe_map)
    if X is None:
        inside = values[:, None] * inside
    else:
        inside = dense.gemm(X, values[:, None] * dense.gemm(X.conj().T, inside.astype(X.dtype)))
    error = frobenius(sample.probes - dense.gemm(V, inside.astype(V.dtype))) / np.sqrt(PROBES)
    return float(np.ldexp(error, sample.exponent - exponent)) ** 2

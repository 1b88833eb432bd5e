# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Eigenpairs by as many passes as their spectrum needs: what `eigh` does unless it is told otherwise."""

from __future__ import annotations

import numpy as np

from randnla._backend.kernels import dense, qr

from . import factor
from .basis import Sample, first_sketch, orthonormalize
from .call import Call, certify_product
from .error import PROBES, frobenius
from .scaling import Array, normalize, unit_roundoff

EXCESS = 0.04
"""Of the squared error over the least possible: 2 % of the error."""

MOST_PASSES = 4
CANDIDATES = 4
"""Approximations that the same probes may choose among: Nystrom after 2, 3 and 4 passes, Rayleigh-Ritz."""

LANES = 16
"""Sketches are rounded up to so many columns: the product takes no longer."""


def sketch_size(rank: int, oversample: int, n: int) -> int:
    """Columns of the sketch: at least 1.75 k, which two or three passes are enough for."""
    size = rank + max(oversample, 3 * rank // 4)
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
    # Halko, Martinsson and Tropp (2011), section 10: with A^p Omega in the eigenvectors of A, the tangents of
    # the k' leading directions to the basis are L_2^p Omega_2 Omega_1^+ L_1^-p, and E |Omega_1^+ e_i|^2 =
    # 1 / (l - k' - 1) for every k' < l - 1. Pair i then loses at most 2 w_i^2 tan^2 of its square. What the
    # sketch does not show beyond w_l has the mass that the error leaves, each value at most w_l. Measured on
    # 23 spectra (powers, exponentials, plateaus, kernels) the prediction is 1 to 20 times the truth.
    size = w.size
    if squared_error <= 0.0 or rank == 0 or rank >= size - 1 or w[rank - 1] <= 0.0:
        return 0.0
    top = float(w[0])
    values, least = w / top, squared_error / top**2
    squares = values**2
    unseen = max(least - float(squares[rank:].sum()), 0.0) * values[-1] ** (2 * power - 2)
    tails = np.cumsum((values ** (2 * power))[::-1])[::-1]  # tails[j] = sum over i >= j
    splits = np.arange(rank, size - 1)
    noise = float(((tails[rank : size - 1] + unseen) / (size - splits - 1)).min())
    leading = values[:rank]
    lost = np.minimum(2 * leading ** (2 - 2 * power) * noise, squares[:rank])
    return float(lost.sum()) / least


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
        w, X = _ritz(sample.Q, Y)
        floor = 8 * size * unit_roundoff(problem.dtype) * float(np.abs(w).max(initial=0.0))
        if float(w.min(initial=0.0)) >= -floor:
            values, P, U = factor.nystrom_factors(problem, sample.Q, Y)
            V = factor.narrow_product(P, U[:, :rank])
            if passes == 2 and not _nystrom_wins(call, sample, (values, V), (w, X), e1, rank):
                break
            error = residual_of_probes(sample, values, V, e1)
            settled = predicted_excess(values, rank, error, passes - 0.5) <= EXCESS
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
        w, X = _ritz(sample.Q, Y)
    return sample, w, factor.narrow_product(sample.Q, X[:, :rank]), e1


def _ritz(Q: Array, Y: Array) -> tuple[Array, Array]:
    return factor.by_magnitude(*qr.small_eigh(factor.hermitian_part(dense.gemm(Q.conj().T, Y))))


def residual_of_probes(sample: Sample, w: Array, V: Array, exponent: int) -> float:
    """An unbiased estimate of ||A - V diag(w) V^H||_F^2 in units of 4^exponent."""
    values = np.ldexp(w[: V.shape[1]], exponent - sample.exponent)
    core = (values[:, None] * dense.gemm(V.conj().T, sample.probe_map)).astype(V.dtype)
    error = frobenius(sample.probes - dense.gemm(V, core)) / np.sqrt(PROBES)
    return float(np.ldexp(error, sample.exponent - exponent)) ** 2


def _nystrom_wins(
    call: Call,
    sample: Sample,
    nystrom: tuple[Array, Array],
    ritz: tuple[Array, Array],
    exponent: int,
    rank: int,
) -> bool:
    values, V = nystrom
    w, X = ritz
    R = factor.narrow_product(sample.Q, X[:, :rank])
    ours, _ = certify_product(call, sample, V, values, V, exponent)
    theirs, _ = certify_product(call, sample, R, w, R, exponent)
    return ours.estimate <= theirs.estimate

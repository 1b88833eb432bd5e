# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Iterated robust CUR: gross errors are thresholded away in sampled rows and columns only."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla._backend.kernels import dense, qr
from randnla._backend.kernels.weighted_draws import uniforms

from .access import Access, Array, exceeding

# Singular values of the intersection below this, relative to the first, are those of lost directions.
CUT = 1e-10
PLAIN_STEPS = 4
"""Iterations that factor the intersection anew; later ones go on from its leading singular vectors."""


def draw(count: int, size: int, seed: int, stream: int) -> Array:
    """`count` draws from range(size), with replacement, without those repeated."""
    if count >= size:
        return np.arange(size)
    return np.unique((uniforms(count, seed=seed, stream=stream) * size).astype(np.int64))


@dataclass
class Sample:
    """Rows I and columns J of D."""

    I: Array  # noqa: E741 - the paper's name
    J: Array
    R: Array  # (|I|, n)
    C: Array  # (m, |J|)

    @classmethod
    def of(cls, D: Access, rank: int, oversample: float, seed: int, stream: int) -> Sample:
        m, n = D.shape
        counts = (math.ceil(oversample * max(1, rank) * math.log(max(2, size))) for size in (m, n))
        rows, columns = (
            draw(c, size, seed, 2 * stream + k)
            for k, (c, size) in enumerate(zip(counts, (m, n), strict=True))
        )
        return cls(rows, columns, D.rows(rows), D.columns(columns))


@dataclass
class Factors:
    """L = P Q, P (m, k), Q (k, n)."""

    P: Array
    Q: Array


def remove_errors(slab: Array, low_rank: Array, level: float) -> tuple[Array, float]:
    """The slab without gross errors, and the size of what is neither low rank nor a gross error.

    An entry further than `level` from the estimate is replaced by it.
    """
    rest = slab - low_rank
    gross = exceeding(rest, level)
    rest[gross] = 0
    size = dense.screen(rest).frobenius_norm
    rest += low_rank
    return rest, size


def leading(M: Array, rank: int, start: Array | None) -> tuple[Array, Array, Array]:
    """The leading singular triplets of the intersection, from those of the step before if there are any."""
    if start is None or min(M.shape) <= 3 * rank:
        U, s, Vh = qr.small_svd(M)
        return U[:, :rank], s[:rank], Vh[:rank]
    Q = start
    for _ in range(2):
        Q = qr.householder_qr(M @ Q)[0]
        Q = qr.householder_qr(M.conj().T @ Q)[0]
    U, s, Wh = qr.small_svd(M @ Q)
    return U[:, :rank], s[:rank], (Wh @ Q.conj().T)[:rank]


def joined(
    C: Array, R: Array, sample: Sample, rank: int, start: Array | None, least: float = 0.0
) -> tuple[Factors, Array, int]:
    """``C M_r^+ R`` for the intersection M, with its leading right vectors and its rank.

    Singular values below `least` are left out.
    """
    U, s, Vh = leading(C[sample.I], rank, start)
    kept = s > max(least, CUT * (s[0] if s.size else 0.0))
    P = dense.gemm(C, np.ascontiguousarray((Vh[kept].conj().T) / s[kept]))
    Q = dense.gemm(np.ascontiguousarray(U[:, kept].conj().T), R)
    return Factors(P, Q), np.ascontiguousarray(Vh.conj().T), int(kept.sum())


def projected(C: Array, R: Array, sample: Sample, rank: int, at: Factors) -> tuple[Factors, int]:
    """The same, with C and R first projected on the tangent space of L = P Q, kept as factors.

    C' = Qc (Qc^H C) + (C Vc - Qc Qc^H C Vc) Vc^H, of rank 2 k, for the bases Qc of P and Vc of Q[:, J]^H;
    R' likewise. The intersection is the mean of C'[I] and R'[:, J].
    """
    Qc, Vc = qr.householder_qr(at.P)[0], qr.householder_qr(at.Q[:, sample.J].conj().T)[0]
    Qr, Ur = qr.householder_qr(at.Q.conj().T)[0], qr.householder_qr(at.P[sample.I])[0]
    A = dense.gemm(Qc.conj().T, C)  # (k, |J|)
    X = dense.gemm(C, Vc) - dense.gemm(Qc, A @ Vc)  # (m, k)
    B = dense.gemm(R, Qr)  # (|I|, k)
    Y = dense.gemm(Ur.conj().T, R) - dense.gemm(Ur.conj().T @ B, Qr.conj().T)  # (k, n)
    left = np.hstack([Qc[sample.I], X[sample.I], B, Ur])
    right = np.vstack([A, Vc.conj().T, Qr.conj().T[:, sample.J], Y[:, sample.J]])
    (Ql, Tl), (Qt, Tt) = qr.householder_qr(left), qr.householder_qr(right.conj().T)
    U, s, Vh = qr.small_svd(Tl @ Tt.conj().T / 2)
    kept = (s > CUT * s[0])[:rank] if s.size else np.zeros(0, bool)
    k = int(kept.sum())
    V, U = Qt @ Vh[:k].conj().T / s[:k], Ql @ U[:, :k]
    P = dense.gemm(Qc, A @ V) + dense.gemm(X, Vc.conj().T @ V)
    Q = dense.gemm(U.conj().T @ B, Qr.conj().T) + dense.gemm(U.conj().T @ Ur, Y)
    return Factors(P, Q), k


@dataclass
class Run:
    """How a run ended."""

    factors: Factors
    sample: Sample
    level: float
    error: float
    steps: int
    redrawn: int


@dataclass(frozen=True)
class Plan:
    """What an iteration needs to know."""

    rank: int
    oversample: float
    fresh: bool
    tangent: bool
    tol: float
    noise: float
    max_iters: int
    seed: int
    # Size of what is left of gross errors over the threshold, where the rank is not given.
    growing: float = 0.0
    # Told the rank and the threshold of each step; ends the iteration by True.
    watch: Callable[[int, float], bool] | None = None

    def least(self, sample: Sample, level: float) -> float:
        """Singular values that errors of the size of the threshold can have; 0 where the rank is given."""
        # Independent entries of size x have a norm of about x (sqrt|I| + sqrt|J|).
        return self.growing * level * (math.sqrt(sample.I.size) + math.sqrt(sample.J.size))

    def settled(self, level: float, before: float, error: float) -> bool:
        """Whether only noise is left: the threshold is at its floor and the rest no longer falls."""
        return self.noise > 0 and level <= 3 * self.noise and error >= 0.999 * before

    def sample(self, D: Access, stream: int, more: float = 1.0) -> Sample:
        """Rows and columns from the streams of this number."""
        return Sample.of(D, self.rank, self.oversample * more, self.seed, stream)


Report = Callable[[dict[str, Any]], None]


def iterate(D: Access, plan: Plan, decay: float, report: Report) -> Run:
    """Thresholds zeta_t = decay^t zeta_0; L by CUR from the cleaned rows and columns."""
    sample = plan.sample(D, 0)
    top = max(float(np.abs(X).max(initial=0.0)) for X in (sample.C, sample.R))
    size = dense.screen(sample.R).frobenius_norm + dense.screen(sample.C).frobenius_norm
    at = Factors(np.zeros((D.shape[0], 0), D.wide), np.zeros((0, D.shape[1]), D.wide))
    start: Array | None = None
    level, error, redrawn, step = top, 0.0, 0, 0
    while size > 0:
        if step and plan.fresh:
            sample, start = plan.sample(D, step), None
        R, down = remove_errors(sample.R, dense.gemm(at.P[sample.I], at.Q), level)
        C, off = remove_errors(sample.C, dense.gemm(at.P, np.ascontiguousarray(at.Q[:, sample.J])), level)
        before, error = error, (down + off) / size if step else 1.0
        if step and (error <= plan.tol or plan.settled(level, before, error) or step >= plan.max_iters):
            break
        if plan.tangent and at.P.shape[1] == plan.rank:
            new, found = projected(C, R, sample, plan.rank, at)
        else:
            new, basis, found = joined(C, R, sample, plan.rank, start, plan.least(sample, level))
            start = basis if step >= PLAIN_STEPS and (found == plan.rank or plan.growing) else None
        if found < plan.rank and redrawn < 2 and step == 0 and not (plan.fresh or plan.growing):
            redrawn += 1  # perhaps an unlucky draw: the intersection misses directions
            sample = plan.sample(D, 1000 * redrawn, 2.0**redrawn)
            continue
        at, step = new, step + 1
        report({"iteration": step, "threshold": level, "error": error, "rank": found})
        if plan.watch is not None and plan.watch(found, level):
            break
        level = max(level * decay, 3 * plan.noise)
    return Run(at, sample, level, error, step, redrawn)

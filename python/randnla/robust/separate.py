# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Robust principal component analysis: the drivers and their choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse

from randnla._backend import validate
from randnla._backend.errors import InputError, NonFiniteError, warn
from randnla._backend.kernels import dense, qr
from randnla._backend.results import Info
from randnla._backend.rng import STREAM_VERSION, seed_from
from randnla.lowrank.scaling import real_dtype
from randnla.operators import LowRank

from . import cross, fresh, gradient, projections
from .access import Access, Array, EntriesNotFiniteError, assemble, exceeding, sparse_errors
from .passes import Triplet
from .results import RPCAResult

METHODS = ("riecur", "ircur", "accaltproj", "gd")
DECAYS = (0.7, 0.9, 0.95)
"""Decays of the threshold that "auto" goes through until fresh rows and columns are met."""
FIRST_RANK = 8
"""First bound of a rank to be found; doubled until the rank is below it."""
LEFT = (1.0, 0.3)
"""What is left of gross errors, over the threshold: at most, and as many errors of any size leave it."""
STAYED = 0.25
"""Share to which the threshold falls while a rank stays that is taken for that of L."""
BLUR = 1e3
"""Over `tol`: entries of D - L beyond this share of a typical entry are gross errors."""


def rpca(
    D: Any,
    rank: int | None = None,
    *,
    method: str = "riecur",
    tol: float = 1e-7,
    oversample: float = 4.0,
    decay: float | str = "auto",
    sampling: str = "auto",
    noise: float = 0.0,
    outlier_share: float = 0.25,
    max_iters: int = 400,
    rng: Any = None,
    check_finite: bool = True,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> RPCAResult:
    """``D ~ L + S`` with L of low rank and S sparse.

    Parameters
    ----------
    D : array, sparse matrix, memmap or operator of shape (m, n)
        "riecur" and "ircur" read rows and columns of it only, of an operator by products with unit vectors.
    rank : int, optional
        Rank of L. Without it, the number of singular values of the intersection of the sampled rows and
        columns that stand above what errors at the threshold, as it falls, can have; bounds of 8, 16, ... are
        tried. Only "riecur" and "ircur".
    method : {"riecur", "ircur", "accaltproj", "gd"}
        "ircur": iterated robust CUR. "riecur": the same with the sampled rows and columns projected on the
        tangent space of the last estimate. "accaltproj": accelerated alternating projections, which reads
        all of D at each iteration. "gd": gradient descent on factors, which holds all of D and needs
        `outlier_share`.
    tol : float
        Stop when what is neither low rank nor a gross error is below this share of what was sampled, in the
        Frobenius norm and gross errors included: errors of 1e4 left an L that is off by 1e-4.
    oversample : float
        Draws of rows, over ``rank log(m)``; of columns likewise. "riecur" and "ircur".
    decay : float or "auto"
        Factor of the threshold at each iteration, in (0, 1): closer to 1 stands more errors and takes longer.
        "auto": 0.7, and where fresh rows and columns are not met, 0.9 and 0.95. Not of "gd".
    sampling : {"auto", "fixed", "resampled"}
        Whether rows and columns are drawn once or at each iteration, which stands more errors. "auto": once
        for the first decay, at each iteration for others.
    noise : float
        Standard deviation of dense noise beside L and S, in units of D: thresholds stay at three times it.
    outlier_share : float
        For "gd": largest share of gross errors in a row or column.
    max_iters : int
        Iterations for each decay.
    rng : None, int, SeedSequence, Generator
    check_finite : bool
        Screen what is read.
    callback : callable, optional
        Called with a dictionary for each iteration.

    Returns
    -------
    RPCAResult
        L in factored form, S sparse, `threshold`, `outlier_share` and `info`; `info.error_estimate` is an
        estimate, no bound, of the Frobenius norm of the error of L.

    Raises
    ------
    InputError
        An argument does not fit, entries are so far above a typical one that products of them are no
        numbers, or the singular values of L are beyond the range of the dtype of D.
    NonFiniteError
        What was read of D holds NaN or Inf.

    Warns
    -----
    ConvergenceWarning
        Fresh rows and columns are not met, or `tol` was not reached, or a row or column carries a direction
        of L alone: with a rank that is too large, gross errors are taken for parts of L, which then is wrong
        there although it meets the rest.

    Notes
    -----
    *Algorithm*: Cai, Hamm, Huang, Li and Wang (2021), Algorithm 1, for "ircur"; for "riecur" its iteration
    with the tangent-space step of Riemannian CUR. "accaltproj": Cai, Cai and Wei (2019), without trimming.
    "gd": Yi, Park, Chen and Caramanis (2016). Afterwards 16 rows and 16 columns that no step has used are
    compared with L, and all others where they cross those sampled; by methods that read all of D all are,
    whole. Where no line has 95 % or more of its entries off by over 1000 `tol` of a typical entry, L is
    accepted. In our experiments the decay decides how many errors are stood, not the tangent-space step.

    *Cost*: "ircur", "riecur": O(r^2 (m + n) log(m + n)) an iteration, and as many entries of D, once if
    fixed; nothing of size m n is formed. "accaltproj": a pass over D and 6 m n r flops an iteration. "gd": a
    singular value decomposition of D, then as much, and D and two more arrays of its size in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.robust import rpca
    >>> rng = np.random.default_rng(0)
    >>> L = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 150))
    >>> S = np.where(rng.random((200, 150)) < 0.1, rng.uniform(-9, 9, (200, 150)), 0)
    >>> found = rpca(L + S, 3, rng=0)
    >>> bool(np.linalg.norm(found.L.to_dense() - L) < 1e-5 * np.linalg.norm(L)), found.info.converged
    (True, True)
    """
    call = _begin(
        D,
        rank,
        method,
        tol,
        oversample,
        decay,
        sampling,
        noise,
        outlier_share,
        max_iters,
        rng,
        check_finite,
        callback,
    )
    try:
        found = _detect(call) if call.rank is None else _separate(call, call.rank)
    except EntriesNotFiniteError:
        raise
    except NonFiniteError:
        raise InputError(
            "D: entries are so far above a typical one that products leave the range of float64"
        ) from None
    return _finish(call, found)


@dataclass(frozen=True)
class Call:
    """The checked arguments."""

    D: Access
    rank: int | None
    method: str
    tol: float
    oversample: float
    decays: tuple[float, ...]
    sampling: str
    noise: float
    share: float
    max_iters: int
    seed: int
    report: Callable[[dict[str, Any]], None]
    cut: float = 0.0
    scale: float = 0.0


@dataclass
class Outcome:
    """An estimate and what is known of it."""

    L: Triplet
    error: float
    steps: int
    verdict: fresh.Verdict
    sample: cross.Sample | None
    path: str


def _begin(
    D: Any,
    rank: Any,
    method: Any,
    tol: Any,
    oversample: Any,
    decay: Any,
    sampling: Any,
    noise: Any,
    share: Any,
    max_iters: Any,
    rng: Any,
    check_finite: Any,
    callback: Any,
) -> Call:
    validate.choice(method, METHODS, name="method")
    validate.choice(sampling, ("auto", "fixed", "resampled"), name="sampling")
    tol = validate.tolerance(tol)
    oversample = validate.real(oversample, name="oversample", low=1.0)
    decays: tuple[float, ...] = DECAYS
    if isinstance(decay, str):
        validate.choice(decay, ("auto",), name="decay")
    else:
        decays = (validate.tolerance(decay, name="decay"),)
    noise = validate.real(noise, name="noise", low=0.0)
    share = validate.tolerance(share, name="outlier_share")
    max_iters = validate.integer(max_iters, name="max_iters", low=1)
    callback = validate.callback(callback)
    access = Access(D, check_finite=validate.flag(check_finite, name="check_finite"))
    if rank is None and method in ("accaltproj", "gd"):
        raise InputError(f"rank: method={method!r} needs it; 'riecur' and 'ircur' find it")
    rank = None if rank is None else validate.rank(rank, min(access.shape))
    seed = seed_from(rng)
    scale = fresh.typical(access, seed)
    # All thresholds are relative: in units of a power of two, scaling D changes no bit of the rest.
    access.exponent = min(int(np.frexp(scale)[1]), 1023) if 0 < scale < np.inf else 0
    scale, noise = np.ldexp(scale, -access.exponent), float(np.ldexp(noise, -access.exponent))
    tol = max(tol, 8 * float(np.finfo(access.dtype).eps))
    cut = max(5 * noise, BLUR * tol * float(scale))
    report = callback if callback is not None else (lambda state: None)
    return Call(
        access,
        rank,
        method,
        tol,
        oversample,
        decays,
        sampling,
        noise,
        share,
        max_iters,
        seed,
        report,
        cut,
        float(scale),
    )


def _triplet(at: cross.Factors) -> Triplet:
    (Qp, Rp), (Qq, Rq) = qr.householder_qr(at.P), qr.householder_qr(at.Q.conj().T)
    X, s, Yh = qr.small_svd(Rp @ Rq.conj().T)
    return Triplet(dense.gemm(Qp, X), s, dense.gemm(Qq, np.ascontiguousarray(Yh.conj().T)))


def _once(call: Call, rank: int, decay: float) -> tuple[Triplet, float, int, cross.Sample | None, str]:
    options: dict[str, Any] = {"tol": call.tol, "max_iters": call.max_iters, "report": call.report}
    if call.method == "gd":
        L, _, error, steps = gradient.descend(call.D, rank, call.share, **options)
        return L, error, steps, None, f"outlier share {call.share:g}"
    if call.method == "accaltproj":
        L, _, error, steps = projections.alternate(
            call.D, rank, decay, noise=call.noise, seed=call.seed, **options
        )
        return L, error, steps, None, f"decay {decay:g}"
    resampled = call.sampling == "resampled" or (call.sampling == "auto" and decay != call.decays[0])
    plan = cross.Plan(
        rank,
        call.oversample,
        resampled,
        call.method == "riecur",
        call.tol,
        call.noise,
        call.max_iters,
        call.seed,
    )
    run = cross.iterate(call.D, plan, decay, call.report)
    words = f"decay {decay:g} {'resampled' if resampled else 'fixed'}" + (
        f", drawn {run.redrawn + 1} times" if run.redrawn else ""
    )
    return _triplet(run.factors), run.error, run.steps, run.sample, words


def _separate(call: Call, rank: int) -> Outcome:
    """With each decay in turn, until fresh rows and columns are met."""
    D, paths, total = call.D, [], 0
    if rank == 0 or min(D.shape) == 0:
        L = Triplet.zero(D)
        return Outcome(L, 0.0, 0, fresh.verify(D, L, call.cut, None, call.seed), None, "nothing")
    for decay in call.decays if call.method != "gd" else call.decays[:1]:
        L, error, steps, sample, words = _once(call, rank, decay)
        total += steps
        paths.append(words)
        used = (sample.I, sample.J) if sample is not None else None
        verdict = fresh.verify(D, L, call.cut, used, call.seed, whole=used is None)
        if verdict.passed:
            break
    return Outcome(L, error, total, verdict, sample, "; ".join(paths))


def _detect(call: Call) -> Outcome:
    """The rank is that of the intersection above what errors at the threshold can have, which falls."""
    limit, trials = min(call.D.shape), 0
    # A fast decay does for few errors; the next stands more, and smaller parts of L beside them.
    for count in range(1, min(2, len(call.decays)) + 1):
        decays, cap, tried = call.decays[:count], min(FIRST_RANK, limit), set[int]()
        while cap:
            last = cap >= limit // 4
            for share in LEFT[:count]:
                trials += 1
                search = _Search(replace(call, decays=decays), cap, last, tried)
                plan = cross.Plan(
                    cap,
                    call.oversample,
                    False,
                    False,
                    call.tol,
                    call.noise,
                    call.max_iters,
                    call.seed,
                    share,
                    search,
                )
                run = cross.iterate(call.D, plan, decays[-1], call.report)
                if search.found is None:
                    search.consider(run.factors.P.shape[1])
                if search.found is not None:
                    search.found.path += f"; rank found in {trials} trials"
                    return search.found
            if last:
                break
            cap *= 2
    found = _separate(call, cap)
    found.path += "; no rank found"
    return found


@dataclass
class _Search:
    """What a trial of a bound of the rank comes upon.

    It ends where it has the bound, unless that is the last one, where nothing stands out at a threshold below
    typical entries, or with a rank that stayed while the threshold fell and that fresh lines confirm.
    """

    call: Call
    cap: int
    last: bool
    tried: set[int]
    found: Outcome | None = None
    rank: int = -1
    first_level: float = 0.0

    def __call__(self, rank: int, level: float) -> bool:
        """Whether to end, after a step that has this rank at this threshold."""
        if rank != self.rank:
            self.rank, self.first_level = rank, level
        if rank == self.cap:
            return not self.last
        if rank == 0:
            return level < self.call.scale / 3
        if level <= STAYED * self.first_level:
            self.consider(rank)
        return self.found is not None

    def consider(self, rank: int) -> None:
        """Separate at this rank, once, and keep what holds."""
        if rank >= self.cap or rank in self.tried:
            return
        self.tried.add(rank)
        found = _separate(self.call, rank)
        if not found.verdict.passed or fresh.rests_on_one_line(found.L):
            return
        s = found.L.s
        least = int(np.count_nonzero(s > 100 * self.call.tol * s[0])) if s.size else 0
        self.found = found if least == rank else _separate(self.call, least)


def _sparse(call: Call, found: Outcome) -> scipy.sparse.csr_array:
    """The gross errors seen: in the last sample, or everywhere."""
    D, L = call.D, found.L
    left = L.U * L.s
    if found.sample is None:
        return sparse_errors(D, left, L.V, call.cut)
    sample = found.sample
    pieces: tuple[list[Array], list[Array], list[Array]] = ([], [], [])
    for rows, columns, slab in ((sample.I, None, sample.R), (None, sample.J, sample.C)):
        U = left if rows is None else left[rows]
        V = L.V if columns is None else L.V[columns]
        rest = slab - dense.gemm(np.ascontiguousarray(U), np.ascontiguousarray(V.conj().T))
        i, j = np.nonzero(exceeding(rest, call.cut))
        for kept, value in zip(
            pieces,
            (i if rows is None else rows[i], j if columns is None else columns[j], rest[i, j]),
            strict=True,
        ):
            kept.append(value)
    return assemble(*pieces, D)


def _finish(call: Call, found: Outcome) -> RPCAResult:
    D, L, verdict = call.D, found.L, found.verdict
    unit = 2.0**D.exponent
    with np.errstate(over="ignore"):
        values = (L.s * unit).astype(real_dtype(D.dtype))
    if np.isfinite(L.s).all() and not np.isfinite(values).all():
        raise InputError(f"D: the singular values of L are beyond the range of {values.dtype}")
    S = _sparse(call, found)
    settled = found.error <= call.tol or call.noise > 0
    alone = fresh.rests_on_one_line(L)
    converged = bool(verdict.passed and settled and not alone)
    if not converged:
        what = "a direction of L rests on one row or column, as where the rank is too large"
        if not settled:
            what = f"tol={call.tol:g} was not reached"
        if not verdict.passed:
            what = "fresh rows and columns are not met"
        warn(
            f"rpca: {what} (rest {found.error:.3g}, outlier share {verdict.share:.3g}); a slower decay, a "
            "larger oversample or another rank may help"
        )
    relative = verdict.error / verdict.size if verdict.size else (0.0 if verdict.error == 0 else np.inf)
    info = Info(
        rank=int(np.count_nonzero(L.s > 100 * call.tol * L.s[0])) if L.s.size else 0,
        method=call.method,
        entries=D.entries,
        error_estimate=verdict.error * unit,
        error_kind="frobenius",
        error_relative=relative,
        converged=converged,
        iterations=found.steps,
        residual=found.error,
        seed=call.seed,
        path=found.path,
        stream_version=STREAM_VERSION,
        certificate="fresh rows and columns",
    )
    low_rank = LowRank(
        L.U.astype(D.dtype),
        values,
        L.V.astype(D.dtype),
    )
    return RPCAResult(low_rank, S, threshold=call.cut * unit, outlier_share=verdict.share, info=info)

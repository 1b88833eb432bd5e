# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Randomly pivoted Cholesky: low-rank approximation of positive semidefinite matrices from few entries."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import BreakdownError, InputError, warn
from randnla._backend.kernels import dense, qr
from randnla._backend.results import CholeskyLowRank, Info
from randnla._backend.rng import STREAM_VERSION

from . import pivots
from .call import Call, begin
from .oracle import Oracle
from .scaling import Array, in_units, scale_by_power, unit_roundoff

METHODS = ("auto", "accelerated", "simple", "block")
_PROPOSALS = 200


def rpcholesky(
    A: Any,
    rank: int | None = None,
    *,
    tol: float | None = None,
    method: str = "auto",
    block: int | str = "auto",
    rng: Any = None,
    check_finite: bool = True,
    max_memory: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> CholeskyLowRank:
    """Partial Cholesky factor ``A ~ F @ F.conj().T`` with random pivots, read from few entries of A.

    Parameters
    ----------
    A : array, sparse matrix, memmap or operator of shape (n, n)
        Symmetric (Hermitian) positive semidefinite. Of an `EntryOperator` or `KernelMatrix` only the entries
        needed are evaluated. A row stream is read once a round; any other operator is asked for products
        with unit vectors, n of them for its diagonal.
    rank : int, optional
        Number of columns k of F; with `tol`, the largest allowed.
    tol : float, optional
        Relative error in the trace, ``trace(A - F F^H) <= tol * trace(A)``; F has no more columns than that
        takes.
    method : {"auto", "accelerated", "simple", "block"}
        "simple" draws one pivot after the other. "accelerated" proposes `block` at a time and rejects as
        many as it takes to give pivots of the very same distribution, at the speed of matrix products.
        "block" keeps all proposals that are not numerically dependent: its pivots crowd where the residual
        is large, and no theorem bounds its error. "auto" is "accelerated".
    block : int or "auto"
        Proposals a round; "auto" is half the rank, 200 at most. With `tol`, no more than pivots so far
        (or 10). "simple" takes none.
    rng, check_finite, max_memory, callback
        As in `svd`; the callback is told rank, error and entries after each round.

    Returns
    -------
    CholeskyLowRank
        F (n, k), pivots (k,) and `info`; ``F[pivots]`` is lower triangular with a positive diagonal.

    Raises
    ------
    InputError
        An argument does not fit, or A is seen not to be Hermitian.
    NonFiniteError
        An entry that was read is NaN or Inf.
    BreakdownError
        A is seen not to be positive semidefinite: a diagonal entry of the residual is negative.

    Warns
    -----
    ConvergenceWarning
        The error exceeds `tol`.

    Notes
    -----
    *Algorithm*: Chen, Epperly, Tropp and Webber (2023), Algorithm 2.1, and for "accelerated" Epperly, Tropp
    and Webber (2024). With ``k >= r / eps + r log(1 / (eps eta))`` columns the expected trace error is at
    most 1 + eps times that of the best rank r approximation, eta the latter's relative size (Theorem 5.1).
    The stabilizing shift of a block's factor is replaced by leaving out proposals that the others of their
    block determine to a third of the digits.

    *Error*: the residual's diagonal is known, so ``info.error_estimate`` is its trace, not an estimate (plus
    the rounding of float64, at most 1e-15 sqrt(k) of the trace of A); it bounds the trace norm, the Frobenius
    and the spectral norm of the residual up to the rounding of F. Only entries that are read can reveal an
    A that is not semidefinite or not finite. Where the diagonal has fallen to rounding the factorization
    ends with fewer columns than `rank`.

    *Cost*: (k + 1) n entries of A and k `block` more a round, ``info.entries`` in all; 2 n k^2 flops;
    memory n (k + 2 block) numbers.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> X = np.random.default_rng(0).standard_normal((2000, 2))
    >>> K = randnla.KernelMatrix(X, kernel="gaussian", bandwidth=2.0)
    >>> F, pivots = found = randnla.rpcholesky(K, tol=1e-4, rng=0)
    >>> found.info.converged, found.info.entries < 0.05 * K.shape[0] ** 2
    (True, True)
    >>> bool(np.abs(K.columns([7])[:, 0] - F @ F[7]).max() < 1e-2)
    True
    """
    call = begin(A, rank, tol, rng=rng, check_finite=check_finite, max_memory=max_memory, callback=callback)
    F, chosen, info = factorize(call, method, block)
    if call.tol is not None and not info.converged:
        warn(f"the relative trace error {info.error_relative} exceeds tol={call.tol} (rank {info.rank})")
    return CholeskyLowRank(*namespace.restore_all(call.kind, F, chosen), info=info)


def factorize(call: Call, method: str = "auto", block: int | str = "auto") -> tuple[Array, Array, Info]:
    """F, the pivots and the account of `rpcholesky` for a call that was checked; no warning is given."""
    validate.choice(method, METHODS, name="method")
    m, n = call.problem.shape
    if m != n:
        raise InputError(f"A: expected a square matrix, got shape {(m, n)}")
    method = "accelerated" if method == "auto" else method
    goal = n if call.rank is None else call.rank
    if isinstance(block, str):
        validate.choice(block, ("auto",), name="block")
        proposals = min(_PROPOSALS, max(1, goal // 2))
    else:
        proposals = validate.integer(block, name="block", low=1)
    run = _Run(call, Oracle(call.problem.op, check_finite=call.check_finite), method)
    finite = run.start(goal) and run.factor(goal, 1 if method == "simple" else proposals)
    return run.finish() if finite else _undefined(call)


@dataclass
class _Run:
    """A factorization under way, in the units of the oracle."""

    call: Call
    oracle: Oracle
    method: str

    def start(self, goal: int) -> bool:
        """Read the diagonal; False if it is not finite."""
        self.diagonal = self.oracle.diagonal()
        self.rest = self.diagonal.copy()  # diag(A - F F^H)
        self.dead = np.zeros(len(self.rest), bool)  # pivots, and what rounding hides
        self.trace = math.fsum(self.diagonal) if np.isfinite(self.rest).all() else math.nan
        self.pivots = np.zeros(0, np.int64)
        self.rounds = self.columns = 0
        self.F = np.empty((self.oracle.size, 0), self.oracle.dtype, order="F")
        self.capacity = goal if self.call.tol is None else min(goal, _PROPOSALS)
        if math.isnan(self.trace):
            return False
        self._require_semidefinite()
        norm = self.call.problem.op.frobenius_norm() if not self.diagonal.any() else 0.0
        if norm:
            raise BreakdownError(
                f"A: not positive semidefinite: its diagonal is zero, its Frobenius norm {norm}"
            )
        return True

    def factor(self, goal: int, proposals: int) -> bool:
        """Add pivots up to `goal` or the tolerance; False if an entry was not finite."""
        while len(self.pivots) < goal and not self._converged(self.rest):
            weights = self._weights()
            if not weights.any():
                self.call.problem.path.append("rank exhausted")
                break
            seed, draw, count = self.call.problem.seed, self.rounds, proposals
            if self.call.tol is not None:
                # Columns beyond the tolerance are read for nothing: at most about as many as are kept.
                count = min(proposals, max(10, len(self.pivots)))
            self.rounds += 1
            drawn = pivots.propose(weights, count, seed=seed, draw=draw)
            chances = np.zeros(count)
            if self.method == "accelerated":
                chances = pivots.uniforms(count, seed=seed, draw=draw)
            elif self.method == "block":
                drawn = drawn[np.sort(np.unique(drawn, return_index=True)[1])]
                # In place of a shift: what the block determines to a third of the digits adds rounding.
                chances = np.full(len(drawn), unit_roundoff(self.oracle.dtype) ** (1 / 3))
            H = self._residual(drawn)
            if not np.isfinite(H).all():
                return False
            kept, L = pivots.select(H, chances, self._floor()[drawn], goal - len(self.pivots))
            if len(kept) == 0:
                # The block disagrees with the diagonal by rounding: these have nothing left.
                self.dead[drawn] = True
                continue
            if not self._append(drawn[kept], L):
                return False
            self._report()
        return True

    def _residual(self, drawn: pivots.Indices) -> Array:
        H = self.oracle.block(drawn)
        rows = self.F[drawn, : len(self.pivots)].astype(H.dtype)
        return dense.gemm(rows, rows.conj().T, H, alpha=-1.0, beta=1.0)

    def _append(self, chosen: pivots.Indices, L: Array) -> bool:
        """The columns (A - F F^H)(:, chosen) L^-H; False if they are not finite."""
        known, count = len(self.pivots), len(chosen)
        self._reserve(known + count)
        F, new = self.F[:, :known], self.F[:, known : known + count]
        self.oracle.columns(chosen, new)
        self.columns = max(self.columns, self.F.shape[1] + count)  # as the oracle returned them
        if known:
            dense.gemm(F, F[chosen].conj().T, new, alpha=-1.0, beta=1.0)
        qr.triangular_solve_right(new, np.ascontiguousarray(L.conj().T, new.dtype), overwrite=True)
        # What is zero, or known better, in exact arithmetic.
        new[self.pivots] = 0
        new[chosen] = L
        squares, sums = _squares(new)
        if not np.isfinite(squares).all():
            return False
        trusted = self._trusted(new, squares, chosen)
        if trusted < count:
            self.dead[chosen[trusted]] = True
            count = trusted
            squares, sums = _squares(new[:, :count])
        if self.call.tol is not None:
            left = math.fsum(self.rest) - np.cumsum(sums) + self._slack(known + count)
            enough = np.flatnonzero(left <= self.call.tol * self.trace)
            if enough.size and enough[0] + 1 < count:
                count = int(enough[0]) + 1
                squares = _squares(new[:, :count])[0]
        self.rest -= squares
        self.pivots = np.append(self.pivots, chosen[:count])
        self.dead[chosen[:count]] = True
        self._require_semidefinite()
        return True

    def _reserve(self, columns: int) -> None:
        have = self.F.shape[1]
        if columns > have:
            # By columns: the next ones are made, multiplied and solved for in place.
            shape = self.oracle.size, max(columns, self.capacity, 2 * have)
            self.columns = max(self.columns, have + shape[1])
            wider = np.empty(shape, self.F.dtype, order="F")
            wider[:, :have] = self.F
            self.F = wider

    # -- what rounding hides ---------------------------------------------------------------------------

    def _floor(self) -> pivots.Real:
        """What counts as zero in the residual's diagonal: it is a difference of sums like A's."""
        u = unit_roundoff(self.oracle.dtype)
        return 8 * u * (1 + math.sqrt(len(self.pivots))) * np.abs(self.diagonal)

    def _weights(self) -> pivots.Real:
        return np.where(self.dead | (self.rest <= self._floor()), 0.0, self.rest)

    def _slack(self, columns: int) -> float:
        """How far rounding may have moved the sum of `rest`, kept in float64 for every dtype."""
        return 4 * unit_roundoff(np.float64) * math.sqrt(columns + 1) * abs(self.trace)

    def _error(self, rest: pivots.Real) -> float:
        return max(0.0, math.fsum(rest)) + (self._slack(len(self.pivots)) if len(self.pivots) else 0.0)

    def _converged(self, rest: pivots.Real) -> bool:
        return self.call.tol is not None and self._error(rest) <= self.call.tol * self.trace

    def _allowed(self) -> float:
        """How far below zero rounding may bring the residual's diagonal."""
        size = float(np.max(self.diagonal, initial=0.0))
        # A pivot of which its block left a share s adds rounding of u / s; u^(1/3) is the least of a block.
        u = unit_roundoff(self.oracle.dtype)
        return size * max(64 * u * math.sqrt(len(self.pivots) + 16), 4 * math.pow(u, 2 / 3))

    def _trusted(self, new: Array, squares: pivots.Real, chosen: pivots.Indices) -> int:
        """How many of the new columns come before one that is made of rounding.

        Pivots near the floor are rounding themselves, and elimination by a few of them lets it grow: a column
        of theirs with more in it than the diagonal has left (|r_ij|^2 > r_ii r_jj) says nothing of A.
        """
        allowed = self._allowed()
        if self.rest.size == 0 or not (self.rest - squares).min() < -allowed:
            return len(chosen)
        rest, floor = self.rest.copy(), self._floor()
        for j, pivot in enumerate(chosen):
            rest -= _squares(new[:, j : j + 1])[0]
            if rest.min() < -allowed:
                near = bool(abs(new[pivot, j]) ** 2 <= 1000 * floor[pivot])
                return j if near else len(chosen)
        return len(chosen)

    def _require_semidefinite(self) -> None:
        size = float(np.max(self.diagonal, initial=0.0))
        if self.rest.size and float(self.rest.min()) < -self._allowed():
            i = int(np.argmin(self.rest))
            # A matrix that is not even Hermitian is the likelier mistake: that raises here.
            self.oracle.block(np.array([i, int(np.argmax(self.diagonal))]))
            value = in_units(float(self.rest[i]), self.oracle.exponent)
            raise BreakdownError(
                f"A: not positive semidefinite: diagonal entry {i} of the residual is {value:.3g} after "
                f"{len(self.pivots)} pivots (the largest of A: {in_units(size, self.oracle.exponent):.3g})"
            )

    # -- the account -----------------------------------------------------------------------------------

    def _report(self) -> None:
        if self.call.problem.callback is not None:
            self.call.problem.callback(
                {
                    "stage": "round",
                    "rank": len(self.pivots),
                    "error_relative": self._error(self.rest) / self.trace,
                    "entries": self.oracle.entries,
                }
            )

    def finish(self) -> tuple[Array, Array, Info]:
        """F in the units of A, its pivots and the account."""
        k = len(self.pivots)
        F = self.F if self.F.shape[1] == k else np.array(self.F[:, :k], order="F")
        columns = max(self.columns, k if F is self.F else self.F.shape[1] + k)
        scale_by_power(F, self.oracle.exponent // 2)
        estimate = self._error(self.rest)
        relative = estimate / self.trace if self.trace else 0.0
        info = Info(
            rank=k,
            method=self.method,
            passes=self.oracle.passes or None,
            entries=self.oracle.entries,
            error_estimate=in_units(estimate, self.oracle.exponent),
            error_kind="trace",
            error_relative=relative,
            failure_probability=0.0,
            converged=self.call.tol is None or self._converged(self.rest) or not self.trace,
            iterations=self.rounds,
            seed=self.call.problem.seed,
            path=", ".join([self.oracle.route, *self.call.problem.path]),
            stream_version=STREAM_VERSION,
            memory=self.oracle.size * (columns * F.dtype.itemsize + 5 * 8),  # diagonals and weights
            certificate="exact",
        )
        return F, self.pivots, info


def _squares(X: Array) -> tuple[pivots.Real, pivots.Real]:
    """Sums of |x|^2 over the rows and over the columns, in float64."""
    rows, columns = np.empty(X.shape[0]), np.zeros(X.shape[1])
    step = max(1, (1 << 17) // max(1, X.shape[1]))
    for start in range(0, X.shape[0], step):
        part = X[start : start + step]
        squares = np.square(part.real, dtype=np.float64)
        if np.iscomplexobj(part):
            squares += np.square(part.imag, dtype=np.float64)
        rows[start : start + step] = squares.sum(axis=1)
        columns += squares.sum(axis=0)
    return rows, columns


def _undefined(call: Call) -> tuple[Array, Array, Info]:
    """NaN: what check_finite=False gives where an entry is not finite."""
    n, k = call.problem.shape[0], 0 if call.rank is None else call.rank
    info = Info(rank=k, method="none", converged=False, seed=call.problem.seed, path="non-finite input")
    return np.full((n, k), np.nan, call.problem.dtype), np.zeros(k, np.int64), info

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The damped inverse of an averaged factor through its leading eigenpairs, warm from refresh to refresh."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import InputError, StateError
from randnla._backend.kernels import qr, streams
from randnla._backend.kernels.dense import Array
from randnla._backend.results import Info
from randnla._backend.rng import STREAM_VERSION, seed_from

from ..factors.brand import BrandFactor
from ..factors.low_rank import LowRankFactor
from .eigen_inverse import semidefinite_pairs
from .pairs import normalize, nystrom_pairs, ritz_pairs, singular_pairs, turn_to_ritz
from .protocol import Factor
from .spectral import SpectralInverse

CONTINUATIONS = ("trace", "none", "min")
SOLVERS = ("nystrom", "rs", "sre")


class LowRankInverse(SpectralInverse):
    """``(X_r + damping I)^-1`` of a semidefinite factor X through r eigenpairs; X^-1 is never formed.

    Parameters
    ----------
    rank : int
        Largest number r of pairs kept; of factors of fewer rows, all.
    oversample : int, default 10
        Columns of the basis beyond the rank. They are carried along from refresh to refresh.
    power_iters : int, default 1
        Products with the factor before the last one in a cold start. A warm refresh takes one product.
    continuation : {"trace", "none", "min"}, default "trace"
        What stands for the discarded eigenvalues. trace: their mean, known from the trace. none: 0, which
        amplifies what lies off the basis by up to (tail + damping) / damping. min: the smallest pair kept.
    solver : {"nystrom", "rs", "sre"}, default "nystrom"
        What is made of X Q on an orthonormal Q: the Nystrom approximation; its singular values and left
        vectors (rs, the right ones of Q^H X); or the Ritz pairs in the range of Q (sre, which takes one more
        product where Q is not fresh). rs and sre are those of the randomized K-FAC of Puiu (2022).
    warm_start : bool, default True
        Begin from the basis of the refresh before.
    tol : float, optional
        Keep the fewest pairs that leave no more than `tol` of the trace, up to `rank`. The basis grows and
        shrinks with them, about twofold at most from one refresh to the next.
    rng : None, int, SeedSequence or Generator
        Of the cold start's test matrix.

    Attributes
    ----------
    U : (d, r) array
        Orthonormal.
    s : (r,) float64 array
        Descending, nonnegative.
    tail : float
        The value that continues `s`.
    damping : float
        May be set at any time: nothing has to be computed afresh.
    info : Info
        Of the last refresh. ``error_estimate`` is the trace of ``X - U diag(s) U^H``: its trace norm, exact
        up to rounding, where the pairs are those of Nystrom or Brand, for then it is semidefinite.
        "converged" says whether `tol` holds.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: a warm refresh is one Nystrom step on the basis before (Halko, Martinsson and Tropp, 2011,
    Algorithm 5.5, with the shift of Tropp and others, 2017), its core in float64; a cold one orthonormalizes
    X^q Omega first. Where X moves little between refreshes a warm step is as good as two passes from scratch;
    where the pairs suddenly leave a quarter more of the trace than before, the step is repeated.
    With rs and sre a product more or less moves the basis, else all is the same.
    Factors of fewer than 4/3 (r + oversample) rows are decomposed as a whole.

    *Cost*: 2 d^2 l flops of one product (q + 1 when cold) and O(d l^2 + l^3), l = r + oversample; 4 d r
    flops a column of ``apply``, 8 d r where the basis has to be projected out twice (damping below
    1 / 170 of the largest eigenvalue in float32). Memory (2 l + r) d numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import KroneckerFactor, LowRankInverse
    >>> X = np.random.default_rng(0).standard_normal((50, 3)) @ np.ones((3, 400))
    >>> factor = KroneckerFactor(400, dtype=np.float64)
    >>> factor.update(X)
    >>> inverse = LowRankInverse(5, rng=0)
    >>> inverse.refresh(factor, damping=0.1)
    >>> v = np.ones(400)
    >>> bool(np.allclose(factor.value @ inverse.apply(v) + 0.1 * inverse.apply(v), v))
    True
    """

    def __init__(
        self,
        rank: int,
        *,
        oversample: int = 10,
        power_iters: int = 1,
        continuation: str = "trace",
        solver: str = "nystrom",
        warm_start: bool = True,
        tol: float | None = None,
        rng: Any = None,
    ) -> None:
        self.rank = validate.integer(rank, name="rank", low=1)
        self.oversample = validate.oversample(oversample)
        self.power_iters = validate.integer(power_iters, name="power_iters", low=0)
        self.continuation = validate.choice(continuation, CONTINUATIONS, name="continuation")
        self.solver = validate.choice(solver, SOLVERS, name="solver")
        self.warm_start = validate.flag(warm_start, name="warm_start")
        self.tol = None if tol is None else validate.tolerance(tol)
        self.seed = seed_from(rng)
        super().__init__()
        self._basis: Array | None = None  # (d, l)
        self._pairs_s = np.zeros(0)  # of all pairs that the last refresh has kept; `U` and `s` may be fewer
        self._rest = 0.0  # what continues all of them
        self._left = 0.0  # the share of the trace that is not in them
        self._refreshes = 0

    def refresh(self, factor: Factor | BrandFactor | LowRankFactor, damping: float | None = None) -> None:
        """Take the eigenpairs of the factor as it is now.

        Parameters
        ----------
        factor : KroneckerFactor, BrandFactor or LowRankFactor
        damping : float, optional
            Nonnegative; as before unless given.

        Raises
        ------
        InputError
            `damping` does not fit.
        BreakdownError
            The factor is not finite or far from semidefinite. The inverse is what it was.
        """
        if not hasattr(factor, "sum_times") and not isinstance(factor, HELD_AS_PAIRS):
            raise InputError(
                "factor: expected a KroneckerFactor, a BrandFactor or a LowRankFactor, got "
                f"{type(factor).__name__}"
            )
        damping = self._damping if damping is None else validate.real(damping, name="damping", low=0.0)
        U, w, passes, path = self._pairs(factor)
        s = np.maximum(factor.scale * w + factor.ridge, 0.0)
        trace = factor.trace
        kept = self._kept(s, trace)
        residual = max(trace - float(s[:kept].sum()), 0.0)
        rest = factor.dim - kept
        mean = residual / rest if rest else 0.0
        self._basis = U[:, : min(U.shape[1], 2 * (kept + self.oversample))]
        self.U, self.s = U[:, :kept], s[:kept]
        smallest = float(s[kept - 1]) if rest and kept else 0.0
        self.tail = {"trace": mean, "none": 0.0, "min": smallest}[self.continuation]
        self._pairs_s, self._rest, self._left = self.s, self.tail, residual / trace if trace > 0 else 0.0
        self._damping = damping
        self._refreshes += 1
        floor = 4 * float(np.finfo(U.dtype).eps) * trace
        self.info = Info(
            rank=int(np.count_nonzero(self.s > floor)),
            method=self.solver if passes else path,
            sketch="gaussian" if path == "cold" else None,
            passes=passes or 1,
            matvecs=passes * U.shape[1],
            error_estimate=residual + floor,
            error_kind="trace",
            error_relative=(residual + floor) / trace if trace > 0 else 0.0,
            failure_probability=0.0 if self.solver == "nystrom" or not passes else None,
            converged=self.tol is None or residual <= self.tol * trace,
            iterations=self._refreshes,
            seed=self.seed,
            path=path,
            stream_version=STREAM_VERSION,
            certificate="exact" if self.solver == "nystrom" or not passes else "trace deficit",
            memory=2 * U.nbytes + self.U.nbytes,
        )

    @property
    def basis(self) -> Array | None:
        """(d, l) array whose leading columns are `U`: where a warm refresh begins. None before the first."""
        return self._basis

    def begin_from(self, basis: Array, s: Array, *, left: float, refreshes: int) -> None:
        """Let the next refresh begin as after one with this basis, these pairs, this share of the trace left.

        For adapters that keep the state of an inverse elsewhere; nothing is checked or copied.
        """
        self._basis, self.U, self.s, self._refreshes = basis, basis[:, : s.size], s, refreshes
        self._pairs_s, self._left = s, left
        self.info = Info(rank=s.size, method="none", error_relative=left, converged=True)

    @property
    def left(self) -> float:
        """The share of the trace that the last refresh has left out of its pairs."""
        return self._left

    def leave_to_tail(self, limit: float) -> None:
        """Let `U` and `s` be the pairs above a limit, one at least, and the tail stand for the others.

        Of the pairs of the last refresh: what a higher limit has left out, a lower one takes back. With
        a damping lambda and a limit of delta lambda the inverse changes by the share delta at most.
        """
        known, basis = self._pairs_s, self._basis
        kept = max(1, int(np.count_nonzero(known > limit)))
        if basis is None or kept >= known.size == self.s.size:
            return
        kept, self.tail = min(kept, known.size), self._rest
        self.U, self.s = basis[:, :kept], known[:kept]
        dropped = known[kept:]
        if self.continuation == "trace" and dropped.size:
            rest = basis.shape[0] - known.size
            self.tail = (rest * self._rest + float(dropped.sum())) / (rest + dropped.size)
        total = float(known.sum())
        share = self._left + 4 * float(np.finfo(basis.dtype).eps)
        share += (1.0 - self._left) * float(dropped.sum()) / total if total > 0 else 0.0
        trace = total / (1.0 - self._left) if self._left < 1.0 else 0.0
        self.info = replace(self.info, rank=kept, error_relative=share, error_estimate=share * trace)

    def cast(self, dtype: Any) -> Self:
        """Hold the vectors, and those that the next refresh begins from, in another dtype."""
        if self._basis is not None:
            self._basis = self._basis.astype(dtype, copy=False)
        return super().cast(dtype)

    _KIND: ClassVar[str] = "LowRankInverse"
    _SETTINGS: ClassVar[dict[str, type]] = {
        "rank": int,
        "oversample": int,
        "power_iters": int,
        "continuation": str,
        "solver": str,
        "warm_start": bool,
        "tol": float,
        "seed": int,
    }
    _PROGRESS: ClassVar[dict[str, type]] = {
        "basis": np.ndarray,
        "all_s": np.ndarray,
        "rest": float,
        "left": float,
        "refreshes": int,
    }

    def _settings(self) -> dict[str, Any]:
        given = {name: getattr(self, name) for name in self._SETTINGS}
        return {**given, "tol": -1.0 if self.tol is None else self.tol}

    def _progress(self) -> dict[str, Any]:
        basis = self.U[:, :0] if self._basis is None else self._basis
        return {
            "basis": np.array(basis, order="C"),
            "all_s": self._pairs_s.copy(),
            "rest": self._rest,
            "left": self._left,
            "refreshes": self._refreshes,
        }

    def _resume(self, fields: dict[str, Any]) -> None:
        basis = fields["basis"]
        shape = (self.dim, basis.shape[1] if basis.ndim == 2 else -1)
        self._basis = plain_state.array_of(fields, "basis", shape, self.U.dtype) if basis.size else None
        self._pairs_s = plain_state.array_of(fields, "all_s", (fields["all_s"].size,), np.float64)
        if not self.s.size <= self._pairs_s.size <= max(basis.shape[-1], self.s.size):
            raise StateError("all_s: expected as many values as `s` has, up to those of the basis")
        self._rest, self._left = (validate.real(fields[key], name=key) for key in ("rest", "left"))
        self._refreshes = fields["refreshes"]

    @classmethod
    def _like(cls, settings: dict[str, Any]) -> Self:
        settings = {name: plain_state.unwrap(value) for name, value in settings.items()}
        tol, seed = settings.pop("tol"), settings.pop("seed")
        return cls(**settings, tol=None if tol < 0 else tol, rng=seed)

    def _kept(self, s: Array, trace: float) -> int:
        most = min(self.rank, s.size)
        if self.tol is None:
            return most
        left = trace - np.concatenate([[0.0], np.cumsum(s[:most])])
        enough = np.flatnonzero(left <= self.tol * trace)
        return int(enough[0]) if enough.size else most

    def _pairs(self, factor: Factor | BrandFactor | LowRankFactor) -> tuple[Array, Array, int, str]:
        if isinstance(factor, HELD_AS_PAIRS):
            return factor.U, factor.sum_values, 0, "pairs"
        d = factor.dim
        size = min(d, self.rank + self.oversample)
        if 4 * size >= 3 * d:
            return *_all_pairs(factor), 0, "full"
        if self.tol is not None:
            size = min(size, self._adapted_size())
        known = self._basis
        warm = self.warm_start and known is not None and known.shape[0] == d and known.dtype == factor.dtype
        if warm and known is not None and known.shape[1] >= size:
            U, w, passes = self._step(factor, known[:, :size])
            if not self._has_jumped(factor, w):
                return U, w, passes, "warm"
            U, w, more = self._step(factor, U)
            return U, w, passes + more, "warm, repeated"
        fresh = size - known.shape[1] if warm and known is not None else size
        block = self._test_matrix(d, fresh, factor.dtype)
        for _ in range(self.power_iters):
            Y = factor.sum_times(block)
            normalize(Y, name="factor")
            block, _, _ = qr.cholesky_qr(Y, seed=self.seed)
        if warm:  # the basis grows: what is known, and new directions
            block = np.concatenate([known, block], axis=1)
        Q, _, _ = qr.cholesky_qr(block, seed=self.seed)
        Y = factor.sum_times(Q)
        if self.solver == "nystrom":
            Q, Y = turn_to_ritz(Q, Y)
        U, w = _CORES[self.solver](Q, Y)
        return U, w, self.power_iters + 1, "grown" if warm else "cold"

    def _step(self, factor: Factor, Q: Array) -> tuple[Array, Array, int]:
        """Pairs from the basis before, and the products that took."""
        Y = factor.sum_times(Q)
        if self.solver != "sre":
            return *_CORES[self.solver](Q, Y), 1
        normalize(Y, name="factor")
        Q, _, _ = qr.cholesky_qr(Y, seed=self.seed)  # Ritz pairs alone would stay in the range of Q
        return *ritz_pairs(Q, factor.sum_times(Q)), 2

    def _has_jumped(self, factor: Factor, w: Array) -> bool:
        """Whether the basis is far off: its pairs leave much more of the trace than before, or too little."""
        trace = factor.trace
        kept = np.maximum(factor.scale * w + factor.ridge, 0.0)[: self._pairs_s.size]
        left = trace - float(kept.sum())
        before, rounding = self._left, 16 * float(np.finfo(factor.dtype).eps) * trace
        return not -rounding <= left <= 1.25 * before * trace + rounding

    def _adapted_size(self) -> int:
        """Columns for the next refresh: as many as were needed, with room to find out that it takes more."""
        known = self._pairs_s.size
        if known == 0:
            return min(32, self.rank) + self.oversample
        grow = 2 if not self.info.converged else 1
        return grow * known + self.oversample

    def _test_matrix(self, d: int, columns: int, dtype: np.dtype[Any]) -> Array:
        rows = np.empty((columns, d), np.finfo(dtype).dtype)
        # A stream for every cold start: a second one does not repeat what the first has missed.
        stream = self._refreshes
        streams.fill_dense_map(rows, kind="gaussian", seed=self.seed, stream=stream)
        return rows.T.astype(dtype, copy=False)


HELD_AS_PAIRS = (BrandFactor, LowRankFactor)
_CORES = {"nystrom": nystrom_pairs, "rs": singular_pairs, "sre": ritz_pairs}


def _all_pairs(factor: Factor) -> tuple[Array, Array]:
    """Every eigenpair of the sum."""
    U, s = semidefinite_pairs(factor.value)
    return U, np.maximum((s - factor.ridge) / factor.scale, 0.0)

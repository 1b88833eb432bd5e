# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The damped inverse of an averaged factor through its leading eigenpairs, warm from refresh to refresh."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import BreakdownError, InputError, StateError
from randnla._backend.kernels import dense, qr, streams
from randnla._backend.kernels.dense import Array
from randnla._backend.results import Info
from randnla._backend.rng import STREAM_VERSION, seed_from
from randnla.lowrank.error import column_norms

from .brand import BrandFactor
from .pairs import normalize, nystrom_pairs, turn_to_ritz

CONTINUATIONS = ("trace", "none", "min")


class Factor(Protocol):
    """What a refresh needs of an averaged factor: it is ``scale * sum + ridge * I``."""

    dim: int
    dtype: np.dtype[Any]

    @property
    def trace(self) -> float:
        """Of the average."""

    @property
    def scale(self) -> float:
        """Of the sum."""

    @property
    def ridge(self) -> float:
        """Of the identity."""

    @property
    def value(self) -> Array:
        """The average as an array."""

    def sum_times(self, X: Array) -> Array:
        """The sum times a block of columns."""


class LowRankInverse:
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
        Of the last refresh. ``error_estimate`` is the trace norm of ``X - U diag(s) U^H``, exact up to
        rounding as X is semidefinite; "converged" says whether `tol` holds.

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
        warm_start: bool = True,
        tol: float | None = None,
        rng: Any = None,
    ) -> None:
        self.rank = validate.integer(rank, name="rank", low=1)
        self.oversample = validate.oversample(oversample)
        self.power_iters = validate.integer(power_iters, name="power_iters", low=0)
        self.continuation = validate.choice(continuation, CONTINUATIONS, name="continuation")
        self.warm_start = validate.flag(warm_start, name="warm_start")
        self.tol = None if tol is None else validate.tolerance(tol)
        self.seed = seed_from(rng)
        self._basis: Array | None = None  # (d, l)
        self._refreshes = 0
        self._damping = 0.0
        self.U = np.zeros((0, 0))
        self.s = np.zeros(0)
        self.tail = 0.0
        self.info = Info(method="none", rank=0)

    @property
    def damping(self) -> float:
        """What is added to every eigenvalue."""
        return self._damping

    @damping.setter
    def damping(self, value: float) -> None:
        self._damping = validate.real(value, name="damping", low=0.0)

    @property
    def dim(self) -> int:
        """Rows of the factor last seen, 0 before the first."""
        return self.U.shape[0]

    def refresh(self, factor: Factor | BrandFactor, damping: float | None = None) -> None:
        """Take the eigenpairs of the factor as it is now.

        Parameters
        ----------
        factor : KroneckerFactor, BrandFactor
        damping : float, optional
            Nonnegative; as before unless given.

        Raises
        ------
        InputError
            `damping` does not fit.
        BreakdownError
            The factor is not finite or far from semidefinite. The inverse is what it was.
        """
        if not hasattr(factor, "sum_times") and not isinstance(factor, BrandFactor):
            raise InputError(
                f"factor: expected a KroneckerFactor or a BrandFactor, got {type(factor).__name__}"
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
        self._damping = damping
        self._refreshes += 1
        floor = 4 * float(np.finfo(U.dtype).eps) * trace
        self.info = Info(
            rank=int(np.count_nonzero(self.s > floor)),
            method="nystrom" if passes else path,
            sketch="gaussian" if path == "cold" else None,
            passes=passes or 1,
            matvecs=passes * U.shape[1],
            error_estimate=residual + floor,
            error_kind="trace",
            error_relative=(residual + floor) / trace if trace > 0 else 0.0,
            failure_probability=0.0,
            converged=self.tol is None or residual <= self.tol * trace,
            iterations=self._refreshes,
            seed=self.seed,
            path=path,
            stream_version=STREAM_VERSION,
            certificate="exact",
            memory=2 * U.nbytes + self.U.nbytes,
        )

    def _kept(self, s: Array, trace: float) -> int:
        most = min(self.rank, s.size)
        if self.tol is None:
            return most
        left = trace - np.concatenate([[0.0], np.cumsum(s[:most])])
        enough = np.flatnonzero(left <= self.tol * trace)
        return int(enough[0]) if enough.size else most

    def _pairs(self, factor: Factor | BrandFactor) -> tuple[Array, Array, int, str]:
        if isinstance(factor, BrandFactor):
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
            Q = known[:, :size]
            U, w = nystrom_pairs(Q, factor.sum_times(Q))
            if not self._has_jumped(factor, w):
                return U, w, 1, "warm"
            return *nystrom_pairs(U, factor.sum_times(U)), 2, "warm, repeated"
        fresh = size - known.shape[1] if warm and known is not None else size
        block = self._test_matrix(d, fresh, factor.dtype)
        for _ in range(self.power_iters):
            Y = factor.sum_times(block)
            normalize(Y, name="factor")
            block, _, _ = qr.cholesky_qr(Y, seed=self.seed)
        if warm:  # the basis grows: what is known, and new directions
            block = np.concatenate([known, block], axis=1)
        Q, _, _ = qr.cholesky_qr(block, seed=self.seed)
        Q, Y = turn_to_ritz(Q, factor.sum_times(Q))
        return *nystrom_pairs(Q, Y), self.power_iters + 1, "grown" if warm else "cold"

    def _has_jumped(self, factor: Factor, w: Array) -> bool:
        """Whether the basis is far off: its pairs leave much more of the trace than before, or too little."""
        trace = factor.trace
        kept = np.maximum(factor.scale * w + factor.ridge, 0.0)[: self.s.size]
        left = trace - float(kept.sum())
        before, rounding = self.info.error_relative or 0.0, 16 * float(np.finfo(factor.dtype).eps) * trace
        return not -rounding <= left <= 1.25 * before * trace + rounding

    def _adapted_size(self) -> int:
        """Columns for the next refresh: as many as were needed, with room to find out that it takes more."""
        known = self.s.size
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

    def apply(self, V: Any) -> Any:
        """``(U diag(s) U^H + tail (I - U U^H) + damping I)^-1 V``.

        Parameters
        ----------
        V : array, shape (d,) or (d, k)

        Returns
        -------
        array of the shape and kind of V

        Raises
        ------
        InputError
            V does not fit, or the inverse does not exist: `damping` and an eigenvalue are 0 or next to it.
        NonFiniteError
            V holds NaN or Inf.
        StateError
            There has been no refresh.
        """
        block = self._block(V, "V")
        inner, outer = self._reciprocals()
        width = self.U.real.dtype
        core = dense.gemm(self.U.conj().T, block)
        if outer * float(np.finfo(width).eps) <= 2e-5 * inner.min(initial=outer):
            core *= (inner - outer).astype(width)[:, None]
            out = np.array(block, order="C")
            dense.gemm(self.U, core, out, beta=outer)
        else:
            # What the basis holds would cancel to rounding of the rest, 1 / damping times as large.
            out, core = self._split(block, core)
            out *= width.type(outer)
            core *= inner.astype(width)[:, None]
            dense.gemm(self.U, core, out, beta=1.0)
        return namespace.restore(namespace.kind_of(V), out.reshape(np.shape(V)))

    def _split(self, block: Array, core: Array) -> tuple[Array, Array]:
        """The part orthogonal to the basis, projected twice, and the coefficients in the basis."""
        rest = np.array(block, order="C")
        dense.gemm(self.U, core, rest, alpha=-1.0, beta=1.0)
        again = dense.gemm(self.U.conj().T, rest)
        dense.gemm(self.U, again, rest, alpha=-1.0, beta=1.0)
        return rest, core + again

    def quadform(self, v: Any) -> Any:
        """``v^H (...)^-1 v`` of v (d,), or of every column of v (d, k), in float64: never negative."""
        block = self._block(v, "v")
        inner, outer = self._reciprocals()
        rest, core = self._split(block, dense.gemm(self.U.conj().T, block))
        with np.errstate(over="ignore"):  # inf is what a square beyond the range is
            inside = inner @ np.abs(core.astype(np.result_type(core.dtype, np.float64))) ** 2
            values = inside + outer * column_norms(rest) ** 2
        return float(values[0]) if np.ndim(v) == 1 else values

    def logdet(self) -> float:
        """``log det (U diag(s) U^H + tail (I - U U^H) + damping I)``."""
        inner, outer = self._reciprocals()
        return float(-np.log(inner).sum() - (self.dim - inner.size) * math.log(outer))

    def _block(self, V: Any, name: str) -> Array:
        if self.dim == 0:
            raise StateError("inverse: expected a refresh before it is applied")
        array = validate.as_array(V, name=name, ndim=(1, 2))
        if array.shape[0] != self.dim:
            raise InputError(f"{name}: expected {self.dim} rows, got shape {array.shape}")
        block = validate.native(array, self.U.dtype, name=name).reshape(self.dim, -1)
        if not dense.screen(block).finite:
            count, first = dense.first_non_finite(block)
            raise validate.non_finite(name, count, first or (0, 0))
        return block

    def _reciprocals(self) -> tuple[Array, float]:
        if self.dim == 0:
            raise StateError("inverse: expected a refresh before it is applied")
        values, rest = self.s + self._damping, self.tail + self._damping
        if rest == 0.0 and self.s.size == self.dim:
            rest = 1.0  # there is nothing beyond the pairs
        if rest <= 0.0 or (values <= 0.0).any():
            raise InputError("damping: expected a positive number, for the factor is singular; got 0.0")
        if min(rest, values.min(initial=rest)) < 4 / float(np.finfo(self.U.dtype).max):
            raise InputError(
                f"damping: {self._damping} is too small for {self.U.dtype}: the inverse of a singular factor "
                "overflows"
            )
        return 1.0 / values, 1.0 / rest


def _all_pairs(factor: Factor) -> tuple[Array, Array]:
    """Every eigenpair of the sum, by LAPACK; in float64 where that is quick."""
    whole = factor.value
    ridge, scale = factor.ridge, factor.scale
    wide = np.result_type(whole.dtype, np.float64) if factor.dim <= 512 else whole.dtype
    w, V = qr.small_eigh(whole.astype(wide, copy=False))
    w = (w[::-1].astype(np.float64) - ridge) / scale
    if w[-1] < -(1e3 * float(np.finfo(whole.dtype).eps) + 1e-6) * np.abs(w).max():
        raise BreakdownError(f"X: expected a positive semidefinite matrix, got an eigenvalue of {w[-1]:.3g}")
    return V[:, ::-1].astype(whole.dtype), np.maximum(w, 0.0)

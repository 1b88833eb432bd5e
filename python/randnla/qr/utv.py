# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""UTV: a rank-revealing factorization between pivoted QR and the SVD, nearly all of it products."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError, warn
from randnla._backend.kernels import dense
from randnla._backend.kernels import qr as kernels
from randnla._backend.results import Info, UTVResult
from randnla._backend.rng import STREAM_VERSION, seed_from
from randnla.operators import dense_entries
from randnla.sketching import Gaussian

from .cqrrpt import noise
from .truncation import Array, Goal, in_units


def utv(
    A: Any,
    rank: int | None = None,
    *,
    tol: float | None = None,
    power_iters: int = 1,
    block: int = 64,
    rng: Any = None,
    check_finite: bool = True,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> UTVResult:
    """Factorization ``A = U @ T @ Vh`` whose triangular T is nearly diagonal, whole or truncated.

    Parameters
    ----------
    A : (m, n) dense array or memmap
        Any layout; float32, float64, complex64, complex128; float16 is worked in float32, integers and
        bools in float64.
    rank : int, optional
        Columns k of U to stop at, 0 <= k <= min(m, n); with `tol`, the most allowed. Unlike elsewhere
        `rank` and `tol` may both be None: the factorization is then whole.
    tol : float, optional
        The fewest columns are kept for which ||A - U T Vh||_F <= tol ||A||_F is certified.
    power_iters : int, default 1
        Times each block of Vh is multiplied by A^H A. The diagonal of T is within some per cent of the
        singular values with 1, nearer with more.
    block : int, default 64
        Columns taken at a time.
    rng : None, int, SeedSequence or Generator
    check_finite : bool, default True
        With False, an `A` that holds NaN or Inf gives factors full of NaN instead of an error.
    callback : callable, optional
        Called with a dict of the columns taken, block by block.

    Returns
    -------
    UTVResult
        ``U, T, Vh``: U (m, k) and Vh (k, n) orthonormal whatever the rank of A, T (k, k) upper triangular
        with a real nonnegative diagonal, which descends within each block and nearly so as a whole.
        ``info.rank`` counts its entries above rounding, ``info.error_estimate`` bounds ||A - U T Vh||_F.

    Raises
    ------
    InputError
        `A` is not a dense matrix of numbers, or an argument is out of range.
    NonFiniteError
        `A` holds NaN or Inf.

    Warns
    -----
    ConvergenceWarning
        `tol` could not be certified, because `rank` or rounding does not allow it.

    Notes
    -----
    *Algorithm*: randUTV (Martinsson, Quintana-Orti and Heavner, ACM TOMS 45, 2019). For each block of
    columns of what is left, B: Y = (B^H B)^q B^H Omega, orthonormalized after each product, spans about the
    leading right singular vectors; Householder's reflectors of Y from the right bring them to the front,
    those of the leading columns from the left make these triangular, and the SVD of the small triangle makes
    it diagonal. The last block takes the rows of B themselves.

    What is left out by stopping at k are the entries of T outside its leading block, and their norm is known.
    Powers of two are exact.

    *Cost*: of order (5 + 2 q) m n k flops, nearly all in products on the thread team; a copy of A in which T
    arises, and the reflectors, (m + n) k.

    Examples
    --------
    >>> import numpy as np
    >>> import randnla
    >>> A = np.vander(np.linspace(0, 1, 300), 40)
    >>> U, T, Vh = randnla.utv(A, power_iters=2, rng=0)
    >>> bool(np.allclose(U @ T @ Vh, A, atol=1e-13))
    True
    >>> s = np.linalg.svd(A, compute_uv=False)
    >>> bool(np.all(np.abs(np.diag(T)[:8] / s[:8] - 1) < 1e-3))
    True
    """
    validate.flag(check_finite, name="check_finite")
    validate.callback(callback)
    power_iters = validate.integer(power_iters, name="power_iters", low=0)
    block = validate.integer(block, name="block", low=1)
    kind = namespace.kind_of(A)
    A = dense_entries(A)
    matrix = validate.as_matrix(A)
    m, n = matrix.shape
    limit = min(m, n) if rank is None else validate.rank(rank, min(m, n))
    goal = Goal(
        limit, None if tol is None else validate.tolerance(tol), matrix.dtype, inner=max(m, n), sides=2
    )
    seed = seed_from(rng)
    seen = dense.screen(matrix)
    if not seen.finite:
        if check_finite:
            validate.require_finite(matrix)
        U, T, Vh = (np.full(s, np.nan, matrix.dtype) for s in ((m, limit), (limit, limit), (limit, n)))
        return UTVResult(
            *namespace.restore_all(kind, U, T, Vh), info=Info(method="randutv", path="non-finite")
        )
    exponent = math.frexp(seen.max_abs)[1] if seen.max_abs else 0
    norm = math.ldexp(math.sqrt(seen.sum_squares), seen.exponent - exponent)
    work = np.array(matrix, order="C", copy=True)
    kernels.scale_by_power(work, -exponent)
    run = _Run(work, seed, power_iters)
    while run.done < limit and not (goal.tol is not None and run.error() <= goal.target(norm)):
        run.step(min(block, limit - run.done))
        if callback is not None:
            callback({"method": "randutv", "columns": run.done})
    keep, error = run.trim(goal, norm)
    U, T, Vh = run.factors(keep)
    _fix_signs(U, T, Vh)
    info = _account(goal, keep, error, norm, exponent, T, run, seed)
    kernels.scale_by_power(T, exponent)
    if not np.isfinite(T).all():
        raise InputError(f"A: a singular value exceeds the range of {matrix.dtype}; scale A down")
    return UTVResult(*namespace.restore_all(kind, U, T, Vh), info=info)


@dataclass(frozen=True)
class _Turn:
    """An orthogonal factor of a block: reflectors that act from row `start` on, then a rotation of `size`."""

    start: int
    V: Array
    T: Array
    rotation: Array

    @property
    def size(self) -> int:
        return int(self.V.shape[1])


@dataclass
class _Run:
    """`work` becomes U^H A V block by block; the first `done` columns are finished."""

    work: Array
    seed: int
    power_iters: int
    done: int = 0
    left: list[_Turn] = field(default_factory=list)
    right: list[_Turn] = field(default_factory=list)

    def step(self, width: int) -> None:
        s = self.done
        e = s + width
        V, T, _ = kernels.householder_panel(self._leading_rows(width))
        _reflect_right(self.work[:, s:], V, T)
        W, X, R = kernels.householder_panel(self.work[s:, s:e])
        wide = np.complex128 if np.iscomplexobj(R) else np.float64
        P, sigma, Qh = kernels.small_svd(R.astype(wide))
        P, Q = P.astype(R.dtype), Qh.conj().T.astype(R.dtype)
        _reflect_left(self.work[s:, e:], W, X.conj().T)
        self.work[s:e, e:] = dense.gemm(np.ascontiguousarray(P.conj().T), self.work[s:e, e:])
        self.work[:s, s:e] = dense.gemm(self.work[:s, s:e], Q)
        self.work[s:, s:e] = 0
        self.work[range(s, e), range(s, e)] = sigma
        self.left.append(_Turn(s, W, X, P))
        self.right.append(_Turn(s, V, T, Q))
        self.done = e

    def _leading_rows(self, width: int) -> Array:
        """A basis of about the leading right singular vectors of what is left, (n - done, width)."""
        B = self.work[self.done :, self.done :]
        if width == B.shape[0]:
            return np.asarray(B.conj().T)
        omega = Gaussian(B.shape[0], width, rng=self.seed, stream=len(self.left), dtype=B.real.dtype)
        Y = dense.gemm(B.conj().T, omega.to_dense().astype(B.dtype))
        for _ in range(self.power_iters):
            Z = kernels.cholesky_qr(dense.gemm(B, Y), seed=self.seed)[0]
            Y = dense.gemm(B.conj().T, Z)
        return Y

    def error(self) -> float:
        """||A - U T V^H||_F, were it to end here."""
        rest = (
            dense.screen(self.work[: self.done, self.done :]),
            dense.screen(self.work[self.done :, self.done :]),
        )
        return math.hypot(*(part.frobenius_norm for part in rest))

    def trim(self, goal: Goal, norm: float) -> tuple[int, float]:
        """The columns to keep, and the error of that: what lies outside the leading block of T."""
        core = self.work[: self.done, : self.done]
        squares = np.einsum("ij,ij->j", core, core.conj()).real.astype(np.float64)
        outside = np.append(np.cumsum(squares[::-1])[::-1], 0.0)
        errors = np.hypot(np.sqrt(outside), self.error())
        keep = self.done
        if goal.tol is not None:
            good = np.nonzero(errors <= goal.target(norm))[0]
            keep = int(good[0]) if good.size else keep
        return keep, float(errors[keep])

    def factors(self, keep: int) -> tuple[Array, Array, Array]:
        m, n = self.work.shape
        V = _assemble(self.right, n, self.done, self.work.dtype)
        U = _assemble(self.left, m, self.done, self.work.dtype)
        return (
            np.ascontiguousarray(U[:, :keep]),
            np.triu(self.work[:keep, :keep]),
            np.ascontiguousarray(V[:, :keep].conj().T),
        )


def _reflect_left(C: Array, V: Array, T: Array) -> None:
    """C := (I - V T V^H) C."""
    dense.gemm(V, dense.gemm(T, dense.gemm(V.conj().T, C)), C, alpha=-1.0, beta=1.0)


def _reflect_right(C: Array, V: Array, T: Array) -> None:
    """C := C (I - V T V^H)."""
    dense.gemm(dense.gemm(dense.gemm(C, V), T), V.conj().T, C, alpha=-1.0, beta=1.0)


def _assemble(turns: list[_Turn], size: int, columns: int, dtype: Any) -> Array:
    """The leading columns of H_1 D_1 H_2 D_2 ..., from the last factor to the first.

    What the later factors have made of the identity is zero in the rows and columns of an earlier one but
    for its own rotation.
    """
    Q = np.zeros((size, columns), dtype)
    for turn in reversed(turns):
        s = turn.start
        Q[s : s + turn.size, s : s + turn.size] = turn.rotation
        _reflect_left(Q[s:, s:], turn.V, turn.T)
    return Q


def _fix_signs(U: Array, T: Array, Vh: Array) -> None:
    """The largest entry of every column of U positive; T keeps its diagonal, for Vh turns along."""
    for j in range(U.shape[1]):
        column = U[:, j]
        top = column[int(np.argmax(np.abs(column)))]
        phase = U.dtype.type(top / abs(top))
        if phase != 1:
            column *= phase.conj()
            T[:, j] *= phase.conj()
            T[j] *= phase
            Vh[j] *= phase


def _account(
    goal: Goal, keep: int, error: float, norm: float, exponent: int, T: Array, run: _Run, seed: int
) -> Info:
    estimate = error + goal.floor(norm, run.done)
    relative = estimate / norm if norm else 0.0
    converged = True if goal.tol is None else bool(relative <= goal.tol)
    if not converged:
        warn(f"the certified relative error {relative:.3g} exceeds tol={goal.tol} at rank {keep}")
    sigma = np.abs(np.diagonal(T))
    shape = run.work.shape
    level = noise((max(shape), max(1, min(shape))), T.dtype) * float(sigma.max(initial=0.0))
    return Info(
        rank=int(np.count_nonzero(sigma > level)),
        method="randutv",
        sketch="gaussian",
        passes=2,
        error_estimate=in_units(estimate, exponent),
        error_kind="frobenius",
        error_relative=relative,
        failure_probability=0.0,
        converged=converged,
        iterations=run.power_iters,
        seed=seed,
        path="blocks" if run.left else "nothing to do",
        stream_version=STREAM_VERSION,
        certificate="exact",
    )

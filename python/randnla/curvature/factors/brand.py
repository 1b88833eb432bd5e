# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""An averaged factor that is only ever held as eigenpairs: linear in its dimension."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import StateError
from randnla._backend.kernels import dense, qr, symmetric
from randnla._backend.kernels.dense import Array

from ..resumable import Resumable
from .average import Average, Averaged
from .batch import Batch, checked_rows, factor_dtype

_RENEW = 32  # updates after which the basis is orthonormalized afresh


def brand_update(U: Array, s: Array, A: Array, rank: int) -> tuple[Array, Array]:
    """Leading eigenpairs of ``U diag(s) U^H + A A^H``.

    Parameters
    ----------
    U : (d, k) array
        Orthonormal columns.
    s : (k,) float64 array
        Nonnegative.
    A : (d, n) array
    rank : int
        Pairs wanted.

    Returns
    -------
    (d, j) array, (j,) float64 array
        j = min(rank, k + n, d), largest eigenvalue first.

    Notes
    -----
    Brand (2006): with A = U P + Q R, Q orthonormal and orthogonal to U, the core
    [diag(s) + P P^H, P R^H; R P^H, R R^H] has the eigenvalues, and its vectors turn [U, Q]. The part outside
    is orthogonalized twice, which is enough. O(d (k + n)^2 + (k + n)^3) flops; where k + n reaches d, the
    d x d matrix itself is decomposed.
    """
    d, k = U.shape
    n = A.shape[1]
    if k + n >= d:
        stack = np.concatenate([U * np.sqrt(s).astype(U.real.dtype), A], axis=1)
        basis = None
        core = symmetric.unfold(dense.gram(stack.conj().T, wide=True))
    else:
        P = dense.gemm(U.conj().T, A)
        rest = np.array(A, order="C")
        dense.gemm(U, P, rest, alpha=-1.0, beta=1.0)
        again = dense.gemm(U.conj().T, rest)
        dense.gemm(U, again, rest, alpha=-1.0, beta=1.0)
        Q, R = _orthonormal_beside(U, rest)
        wide = np.result_type(A.dtype, np.float64)
        rows = np.concatenate([P + again, R]).astype(wide)
        core = dense.gemm(rows, rows.conj().T)
        core[np.arange(k), np.arange(k)] += s
        basis = np.concatenate([U, Q], axis=1)
    w, V = qr.small_eigh(core)
    kept = min(rank, w.size)
    values = np.maximum(w[::-1][:kept].astype(np.float64), 0.0)
    turn = np.ascontiguousarray(V[:, ::-1][:, :kept]).astype(A.dtype)
    return (turn if basis is None else dense.gemm(basis, turn)), values


def _orthonormal_beside(U: Array, rest: Array) -> tuple[Array, Array]:
    """Q, R of a block orthogonal to U up to rounding; Q is so too, whatever the rank of the block."""
    Q, R, _ = qr.cholesky_qr(rest)
    for _ in range(3):
        overlap = dense.gemm(U.conj().T, Q)
        if np.abs(overlap).max(initial=0.0) <= 8 * np.finfo(U.dtype).eps:
            break
        # Columns that add nothing new are rounding: the orthonormal directions they gave may lie in U, and
        # so may what this leaves of one that lies there altogether.
        dense.gemm(U, overlap, Q, alpha=-1.0, beta=1.0)
        Q, T, _ = qr.cholesky_qr(Q)
        R = dense.gemm(T, R)
    return Q, R


class BrandFactor(Averaged, Resumable):
    """Exponential average of ``X^H X / n`` as its r leading eigenpairs, never as a square array.

    Parameters
    ----------
    dim : int
        Columns of the batches, d.
    rank : int
        Pairs kept, r; of factors of fewer rows, all.
    ema : float in [0, 1), default 0.95
        Weight of the past.
    start : {"debias", "running", "first", "identity"}, default "debias"
        As of `KroneckerFactor`.
    dtype : float32, float64, complex64 or complex128
        Of the vectors; values and traces are float64.

    Attributes
    ----------
    dim, rank, ema, start, dtype
    count : int
        Batches so far.
    U : (d, j) array
        Orthonormal, j <= r.
    s : (j,) float64 array
        Eigenvalues of the average in the basis U, descending.
    trace : float
        Of the exact average: every batch adds its mean square, whatever is cut off.
    lost : float
        Bound of the trace norm of what all truncations so far have cut off, with their weights: the
        distance of ``U diag(s) U^H`` from the exact average. As all cuts are semidefinite it is the distance.
    value : (d, d) array
        ``U diag(s) U^H`` and the identity's share; for tests and small factors.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: the low-rank update of Brand (2006) on the weighted sum, truncated to r pairs after every
    batch. Truncation is not undone later: from time to time take the pairs of a dense factor instead.

    *Cost*: O(d (r + n)^2 + (r + n)^3) flops a batch of n rows, d (2 r + n) numbers of memory.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import BrandFactor
    >>> factor = BrandFactor(1000, rank=4)
    >>> for row in np.eye(4, 1000, dtype=np.float32):
    ...     factor.update(row[None])
    >>> round(factor.trace, 6), bool(factor.lost < 1e-6)
    (1.0, True)
    """

    _KIND = "BrandFactor"
    _TYPES: ClassVar[dict[str, type]] = {
        "dim": int,
        "rank": int,
        "ema": float,
        "start": str,
        "dtype": str,
        "count": int,
        "U": np.ndarray,
        "values": np.ndarray,
        "mass": float,
        "cut": float,
    }

    def __init__(
        self, dim: int, rank: int, *, ema: float = 0.95, start: str = "debias", dtype: Any = np.float32
    ) -> None:
        self.dim = validate.integer(dim, name="dim", low=1)
        self.rank = min(validate.integer(rank, name="rank", low=1), self.dim)
        self.dtype = factor_dtype(dtype)
        self._average = Average.checked(ema, start)
        self.U = np.zeros((self.dim, 0), self.dtype)
        self._values = np.zeros(0)  # of the sum, as are the next two
        self._mass = 0.0
        self._cut = 0.0

    @property
    def s(self) -> Array:
        """Eigenvalues of the average in the basis U."""
        return self.scale * self._values + self.ridge

    @property
    def trace(self) -> float:
        """Of the exact average."""
        return self.scale * self._mass + self.ridge * self.dim

    @property
    def lost(self) -> float:
        """Trace norm of what truncation has cut off."""
        return self.scale * self._cut

    @property
    def value(self) -> Array:
        """The low-rank average as a (d, d) array."""
        half = self.U * np.sqrt(self.scale * self._values).astype(self.U.real.dtype)
        whole = symmetric.unfold(dense.gemm(half, half.conj().T))
        whole[np.diag_indices(self.dim)] += self.dtype.type(self.ridge)
        return whole

    def update(self, X: Any, weight: Any = None) -> None:
        """Average in the batch X.

        Parameters
        ----------
        X : array, shape (n, d)
        weight : float or array of shape (n,), optional
            Nonnegative factors of the n outer products.

        Raises
        ------
        InputError, NonFiniteError
            The batch does not fit, or holds NaN or Inf; the state has not changed.
        """
        self.absorb(self.prepare(X, weight))

    def prepare(self, X: Any, weight: Any = None) -> Batch:
        """Check a batch as `update` does; nothing changes."""
        return checked_rows(X, self.dim, self.dtype, weight)

    def absorb(self, batch: Batch, scale: float = 1.0) -> None:
        """Average in what `prepare` checked, times `scale`."""
        rows, unit = batch.rows, 2 * batch.exponent
        average, keep = self._average.next()
        A = rows.conj().T * rows.real.dtype.type(math.sqrt(scale * (1.0 - keep) / len(rows)))
        U, values = brand_update(self.U, np.ldexp(keep * self._values, -unit), A, self.rank)
        values = np.ldexp(values, unit)
        if (self.count + 1) % _RENEW == 0:
            U, _, _ = qr.cholesky_qr(U)  # its triangle is the identity but for rounding
        before, mass = float(self._values.sum()), scale * (1.0 - keep) * batch.mean_square
        cut = max(keep * before + mass - float(values.sum()), 0.0)
        self.U, self._values = U, values
        self._mass = keep * self._mass + mass
        self._cut = keep * self._cut + cut
        self._average = average

    def copy(self) -> Self:
        """A factor of its own with the same pairs."""
        made = type(self)(self.dim, self.rank, ema=self.ema, start=self.start, dtype=self.dtype)
        made.U, made._values, made._mass, made._cut = self.U, self._values, self._mass, self._cut
        made._average = self._average
        return made

    @property
    def sum_values(self) -> Array:
        """Eigenvalues of the sum in the basis U, float64."""
        return self._values

    def _fields(self) -> dict[str, Any]:
        return {
            "dim": self.dim,
            "rank": self.rank,
            "ema": self.ema,
            "start": self.start,
            "dtype": self.dtype.name,
            "count": self.count,
            "U": np.array(self.U, order="C"),
            "values": self._values.copy(),
            "mass": self._mass,
            "cut": self._cut,
        }

    @classmethod
    def _restored(cls, fields: dict[str, Any]) -> Self:
        settings = {key: fields[key] for key in ("ema", "start", "dtype")}
        made = cls(fields["dim"], fields["rank"], **settings)
        pairs = fields["values"].size
        if pairs > made.rank or fields["count"] < 0 or (fields["count"] == 0 and pairs):
            raise StateError(f"values, count: expected at most {made.rank} values, none of no batch")
        made.U = plain_state.array_of(fields, "U", (made.dim, pairs), made.dtype)
        made._values = plain_state.array_of(fields, "values", (pairs,), np.float64)
        overlap = dense.gram(made.U, wide=True) - np.eye(pairs)
        if (made._values < 0).any() or np.abs(overlap).max(initial=0.0) > 1e-3:
            raise StateError("U, values: expected orthonormal columns and numbers >= 0")
        for key in ("mass", "cut"):
            if not (math.isfinite(fields[key]) and fields[key] >= 0):
                raise StateError(f"{key}: expected a number >= 0, got {fields[key]}")
        made._mass, made._cut = float(fields["mass"]), float(fields["cut"])
        made._average = Average(made.ema, made.start, fields["count"])
        return made

    def __repr__(self) -> str:
        return (
            f"BrandFactor({self.dim}, {self.rank}, ema={self.ema}, start={self.start!r}, "
            f"dtype={self.dtype.name}): {self.count} batches"
        )

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""An averaged factor that is held as its product with a fixed random block."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import StateError
from randnla._backend.kernels import dense, qr, streams, symmetric
from randnla._backend.kernels.dense import Array
from randnla._backend.rng import seed_from

from ..inverses.pairs import nystrom_pairs, turn_to_ritz
from ..resumable import Resumable
from .average import Average, Averaged
from .batch import Batch, checked_rows, factor_dtype


class LowRankFactor(Averaged, Resumable):
    """Exponential average of ``X^H X / n`` held as its product with a random block, a Nystrom sketch.

    Parameters
    ----------
    dim : int
        Columns of the batches, d.
    rank : int
        Eigenpairs that are given, r.
    oversample : int, optional
        Columns of the block beyond r; r by default. The sketch sees the average once, without power
        iteration: it takes more columns than a basis that is refined.
    ema : float in [0, 1), default 0.95
        Weight of the past.
    start : {"debias", "running", "first", "identity"}, default "debias"
        As of `KroneckerFactor`.
    dtype : float32, float64, complex64 or complex128
        Of the vectors; the sketch, values and traces are float64 (complex128).
    rng : None, int, SeedSequence or Generator
        Of the block.

    Attributes
    ----------
    dim, rank, oversample, ema, start, dtype, seed
    count : int
        Batches so far.
    U : (d, j) array
        Orthonormal, j <= r; found from the sketch when first asked for after an update.
    s : (j,) float64 array
        Eigenvalues of the average in the basis U, descending.
    trace : float
        Of the exact average.
    lost : float
        The trace norm of what the pairs leave of the exact average: what they leave is semidefinite.
    value : (d, d) array
        ``U diag(s) U^H`` and the identity's share; for tests and small factors.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: the average is linear in the batches, so ``Y = S Q`` of the sum S with a fixed orthonormal
    block Q follows it exactly; pairs are those of ``Y (Q^H Y)^-1 Y^H`` (Tropp, Yurtsever, Udell and Cevher,
    2017). Unlike a `BrandFactor`, which truncates after every batch, nothing is ever lost for later. With
    l = r + oversample columns the expected trace norm of what all l pairs leave is at most
    ``1 + k / (l - k - 1)`` times the least of rank k, for every k < l - 1 (their Theorem 4.1).

    *Cost*: 4 n d l flops a batch of n rows, O(d l^2 + l^3) for pairs; 2 d l numbers of memory.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import LowRankFactor
    >>> factor = LowRankFactor(1000, rank=4, rng=0)
    >>> for row in np.eye(4, 1000, dtype=np.float32):
    ...     factor.update(row[None])
    >>> round(factor.trace, 6), bool(factor.lost < 1e-6)
    (1.0, True)
    """

    _KIND = "LowRankFactor"
    _TYPES: ClassVar[dict[str, type]] = {
        "dim": int,
        "rank": int,
        "oversample": int,
        "ema": float,
        "start": str,
        "dtype": str,
        "seed": int,
        "count": int,
        "sketch": np.ndarray,
        "mass": float,
    }

    def __init__(
        self,
        dim: int,
        rank: int,
        *,
        oversample: int | None = None,
        ema: float = 0.95,
        start: str = "debias",
        dtype: Any = np.float32,
        rng: Any = None,
    ) -> None:
        self.dim = validate.integer(dim, name="dim", low=1)
        self.rank = min(validate.integer(rank, name="rank", low=1), self.dim)
        more = self.rank if oversample is None else validate.integer(oversample, name="oversample", low=0)
        self.oversample = min(more, self.dim - self.rank)
        self.dtype = factor_dtype(dtype)
        self._average = Average.checked(ema, start)
        self.seed = seed_from(rng)
        self._wide: np.dtype[Any] = np.result_type(self.dtype, np.float64)
        self._block = self._test_block()
        self._sketch = np.zeros(self._block.shape, self._wide)  # of the sum, as are the next two
        self._mass = 0.0
        self._pairs: tuple[Array, Array] | None = None

    def _test_block(self) -> Array:
        """Orthonormal, (d, l), float64; the identity where nothing is left out."""
        size = self.rank + self.oversample
        if size == self.dim:
            return np.eye(self.dim)
        rows = np.empty((size, self.dim))
        streams.fill_dense_map(rows, kind="gaussian", seed=self.seed, stream=0)
        return qr.cholesky_qr(rows.T, seed=self.seed)[0]

    @property
    def U(self) -> Array:
        """Orthonormal eigenvectors."""
        return self._found()[0]

    @property
    def sum_values(self) -> Array:
        """Eigenvalues of the sum in the basis U, float64."""
        return self._found()[1]

    def _found(self) -> tuple[Array, Array]:
        if self._pairs is None:
            if self.count == 0:
                self._pairs = np.zeros((self.dim, 0), self.dtype), np.zeros(0)
            else:
                U, w = nystrom_pairs(*turn_to_ritz(self._block.astype(self._wide), self._sketch.copy()))
                kept = np.ascontiguousarray(U[:, : self.rank]).astype(self.dtype)
                self._pairs = kept, w[: self.rank]
        return self._pairs

    @property
    def s(self) -> Array:
        """Eigenvalues of the average in the basis U."""
        return self.scale * self.sum_values + self.ridge

    @property
    def trace(self) -> float:
        """Of the exact average."""
        return self.scale * self._mass + self.ridge * self.dim

    @property
    def lost(self) -> float:
        """Trace norm of what the pairs leave."""
        return self.scale * max(self._mass - float(self.sum_values.sum()), 0.0)

    @property
    def value(self) -> Array:
        """The low-rank average as a (d, d) array."""
        half = self.U * np.sqrt(self.scale * self.sum_values).astype(self.U.real.dtype)
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
        average, keep = self._average.next()
        rows = batch.rows.astype(self._wide)
        share = math.ldexp(scale * (1.0 - keep) / len(rows), 2 * batch.exponent)
        sketch = keep * self._sketch
        dense.gemm(
            rows.conj().T, dense.gemm(rows, self._block.astype(self._wide)), sketch, alpha=share, beta=1.0
        )
        self._sketch, self._average, self._pairs = sketch, average, None
        self._mass = keep * self._mass + scale * (1.0 - keep) * batch.mean_square

    def copy(self) -> Self:
        """A factor of its own in the same state."""
        made = type(self).__new__(type(self))
        vars(made).update(vars(self))  # an update replaces arrays, it does not write into them
        return made

    def _fields(self) -> dict[str, Any]:
        return {
            "dim": self.dim,
            "rank": self.rank,
            "oversample": self.oversample,
            "ema": self.ema,
            "start": self.start,
            "dtype": self.dtype.name,
            "seed": self.seed,
            "count": self.count,
            "sketch": self._sketch.copy(),
            "mass": self._mass,
        }

    @classmethod
    def _restored(cls, fields: dict[str, Any]) -> Self:
        settings = {key: fields[key] for key in ("oversample", "ema", "start", "dtype")}
        made = cls(fields["dim"], fields["rank"], **settings, rng=fields["seed"])
        made._sketch = plain_state.array_of(fields, "sketch", made._block.shape, made._wide)
        if fields["count"] < 0 or (fields["count"] == 0 and made._sketch.any()):
            raise StateError(f"count: expected no sketch of no batch, got {fields['count']} batches")
        if not (math.isfinite(fields["mass"]) and fields["mass"] >= 0):
            raise StateError(f"mass: expected a number >= 0, got {fields['mass']}")
        made._mass = float(fields["mass"])
        made._average = Average(made.ema, made.start, fields["count"])
        return made

    def __repr__(self) -> str:
        return (
            f"LowRankFactor({self.dim}, {self.rank}, oversample={self.oversample}, ema={self.ema}, "
            f"start={self.start!r}, dtype={self.dtype.name}): {self.count} batches"
        )

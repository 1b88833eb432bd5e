# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Maps that keep some of the rows."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import scipy.sparse

from randnla._backend import validate
from randnla._backend.device import is_device
from randnla._backend.errors import InputError
from randnla._backend.kernels import device_maps, trig
from randnla.sketching.base import BLOCK_BYTES, Array, RandomMap


class SamplingMap(RandomMap):
    """Base of the maps with one entry a row: row i of ``S @ A`` is a multiple of a row of A."""

    @abstractmethod
    def _draw(self, count: int) -> npt.NDArray[np.int64]:
        """The first `count` sampled indices."""

    @abstractmethod
    def _factors(self, indices: npt.NDArray[np.int64]) -> Array:
        """The multiples that belong to sampled indices."""

    @property
    def indices(self) -> npt.NDArray[np.int64]:
        """The sampled row of the input for every row of this block of the map."""
        return self._draw(self._rows[1])[self._rows[0] :]

    def to_sparse(self) -> Any:
        """The map as a SciPy CSR array."""
        indices = self.indices
        inside = (indices >= self._cols[0]) & (indices < self._cols[1])
        indptr = np.concatenate([[0], np.cumsum(inside)])
        factors = self._factors(indices[inside])
        return scipy.sparse.csr_array((factors, indices[inside] - self._cols[0], indptr), shape=self.shape)

    def _apply(self, A: Array, out: Array) -> None:
        indices = self.indices
        if is_device(A):
            device_maps.gather_rows(A, out, indices, scale=float(self._factors(indices)[0]))
            return
        inside = (indices >= self._cols[0]) & (indices < self._cols[1])
        factors = self._factors(indices)[:, None]
        local = np.where(inside, indices - self._cols[0], 0)
        step = max(1, BLOCK_BYTES // (out.dtype.itemsize * out.shape[1]))
        for start in range(0, len(local), step):
            part = slice(start, start + step)
            np.multiply(A[local[part]], factors[part], out=out[part], dtype=out.dtype)
        if not inside.all():
            out[~inside] = 0

    def _converted(self, A: Array, out: Array, *, adjoint: bool) -> None:
        # Only the rows that are drawn need be read and converted.
        if adjoint or out.dtype.kind == "c":
            super()._converted(A, out, adjoint=adjoint)
        else:
            self._apply(A, out)

    def _widened(self, A: Array, out: Array, *, adjoint: bool) -> None:
        if adjoint:
            self._apply_adjoint(A, out)
        else:
            self._apply(A, out)

    def _apply_adjoint(self, B: Array, out: Array) -> None:
        out[...] = 0
        S = self.to_sparse().tocoo()
        # A row of the input may be drawn often: sum over its draws, in a matrix of the rows drawn.
        drawn, place = np.unique(S.col, return_inverse=True)
        gather = scipy.sparse.csr_array(
            (S.data.astype(out.dtype), (place, S.row)), shape=(len(drawn), self.shape[0])
        )
        step = max(1, BLOCK_BYTES // (out.dtype.itemsize * max(1, self.shape[0])))
        for start in range(0, out.shape[1], step):
            part = slice(start, start + step)
            out[drawn, part] = gather @ B[:, part]

    def _fill(self, out: Array) -> None:
        out[...] = 0
        entries = self.to_sparse().tocoo()
        out[entries.row, entries.col] = entries.data

    def _apply_compressed(self, A: Any, out: Array, *, adjoint: bool) -> None:
        S = self.to_sparse()
        product = ((S.T if adjoint else S) @ A).tocoo()
        out[product.row, product.col] = product.data


class RowSampling(SamplingMap):
    """d rows drawn uniformly with replacement, scaled by ``sqrt(m/d)``.

    Parameters
    ----------
    d, m, rng, dtype, stream
        As for `RandomMap`; m at least 1.

    Notes
    -----
    With replacement the rows are independent, as the theory of sampling assumes, and d may exceed m.
    Embeds a subspace only where no row carries much of it; `LeverageSampling` heeds that. Rows that are
    not drawn are not read, nor screened for NaN.

    *Cost*: reads d rows.

    Examples
    --------
    >>> S = RowSampling(4, 16, rng=0)
    >>> S.to_dense().max(axis=1)
    array([2., 2., 2., 2.])
    """

    kind: ClassVar[str] = "row_sampling"

    def __init__(self, d: int, m: int, *, rng: Any = None, dtype: Any = np.float64, stream: int = 0) -> None:
        super().__init__(d, validate.integer(m, name="m", low=1), rng=rng, dtype=dtype, stream=stream)

    def _draw(self, count: int) -> npt.NDArray[np.int64]:
        return trig.sample_with_replacement(
            kind="row_sampling", seed=self.seed, stream=self.stream, count=count, population=self.m
        )

    def _has_device_kernel(self, *, adjoint: bool) -> bool:
        return not adjoint and self._cols == (0, self.m)

    def _factors(self, indices: npt.NDArray[np.int64]) -> Array:
        return np.full(len(indices), math.sqrt(self.m / self.d), dtype=self.dtype)


class LeverageSampling(SamplingMap):
    """d rows drawn with replacement, row i with probability p_i, scaled by ``1/sqrt(d p_i)``.

    Parameters
    ----------
    d, m, rng, dtype, stream
        As for `RandomMap`; m at least 1.
    scores : array of shape (m,)
        Nonnegative, not all zero; p is their share of the sum. See `leverage_scores`.

    Notes
    -----
    With leverage scores of A, d of order k log k rows embed the range of A, k its dimension
    (Drineas, Mahoney, Muthukrishnan, 2006). Rows of score zero are never drawn, so E[S.T @ S] is the
    identity on the others only.

    *Cost*: reads d rows; holds the scores, the probabilities and their running sums, 24 m bytes.

    Examples
    --------
    >>> import numpy as np
    >>> S = LeverageSampling(4, 3, scores=np.array([1.0, 0.0, 3.0]), rng=0)
    >>> bool((S.indices != 1).all())
    True
    """

    kind: ClassVar[str] = "leverage"
    _state_fields: ClassVar[tuple[str, ...]] = ("scores",)

    def __init__(
        self,
        d: int,
        m: int,
        *,
        scores: Any,
        rng: Any = None,
        dtype: Any = np.float64,
        stream: int = 0,
    ) -> None:
        super().__init__(d, validate.integer(m, name="m", low=1), rng=rng, dtype=dtype, stream=stream)
        array = validate.as_array(scores, name="scores", ndim=1)
        if array.dtype.kind == "c" or array.shape != (self.m,):
            raise InputError(
                f"scores: expected {self.m} real numbers, got shape {array.shape}, {array.dtype}"
            )
        validate.require_finite(array, name="scores")
        largest = float(array.max())
        if array.min() < 0 or largest == 0:
            raise InputError("scores: expected nonnegative numbers, not all zero")
        self._scores = np.array(array, dtype=np.float64)
        # Dividing by the largest first keeps the sum in range.
        shares = self._scores / largest
        self.probabilities: Array = shares / shares.sum()
        self._cumulative = np.cumsum(self.probabilities)

    def _draw(self, count: int) -> npt.NDArray[np.int64]:
        return trig.sample_with_replacement(
            kind="leverage",
            seed=self.seed,
            stream=self.stream,
            count=count,
            population=self.m,
            cumulative=self._cumulative,
        )

    def _factors(self, indices: npt.NDArray[np.int64]) -> Array:
        return np.asarray(1.0 / np.sqrt(self.d * self.probabilities[indices]), dtype=self.dtype)

    def _extra_state(self) -> dict[str, Any]:
        return {"scores": self._scores.copy()}

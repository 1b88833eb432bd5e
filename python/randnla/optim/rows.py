# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Samples of a data set: at random from what lies in memory or in a mapped file, in passes from a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.kernels.dense import is_compiled
from randnla._backend.kernels.woodbury import gathered_combine, gathered_dots
from randnla.curvature.glm.model import features
from randnla.operators import RowStream

Index = npt.NDArray[np.int64]
Batch = tuple[Index, Any]
_BLOCK_BYTES = 32 << 20


class Gathered:
    """Chosen rows of a matrix where they lie: ``X @ w`` and ``X.T @ c`` of vectors copy nothing.

    Parameters
    ----------
    A : (n, p) array of float32 or float64
        Rows are contiguous.
    index : (b,) int64 array
    transposed : bool
    """

    def __init__(self, A: npt.NDArray[Any], index: Index, *, transposed: bool = False) -> None:
        self._A, self._index, self._transposed = A, index, transposed
        self.dtype = A.dtype
        self.shape = (A.shape[1], len(index)) if transposed else (len(index), A.shape[1])

    @property
    def T(self) -> Gathered:
        """The transpose."""
        return Gathered(self._A, self._index, transposed=not self._transposed)

    def __matmul__(self, v: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self._transposed:
            return gathered_combine(self._A, self._index, v.astype(np.float64, copy=False))
        return gathered_dots(self._A, self._index, v)


class Rows(Protocol):
    """n samples of p features."""

    n: int
    p: int

    def epoch(self, size: int, rng: np.random.Generator, *, in_place: bool = False) -> Iterator[Batch]:
        """Every sample once, in batches (indices, features) of at most `size`, each good until the next.

        With `in_place` features may be `Gathered`, of which nothing is to be had but products with vectors.
        """

    def take(self, index: Index) -> Any:
        """Features of some samples, in ascending order of their indices."""

    def blocks(self) -> Iterator[Batch]:
        """Every sample once, in order, some MB at a time."""


class ArrayRows:
    """Samples that can be had in any order: an array, a mapped file, a CSR matrix."""

    def __init__(self, X: Any) -> None:
        self.X = X
        self.n, self.p = X.shape
        # Of other layouts `take` would make a copy of the whole.
        self._plain = not namespace.is_sparse(X) and bool(X.flags.c_contiguous)
        self._compiled = self._plain and is_compiled(X)

    def epoch(self, size: int, rng: np.random.Generator, *, in_place: bool = False) -> Iterator[Batch]:
        """In random order."""
        order = rng.permutation(self.n)
        in_place = in_place and self._compiled
        # Fresh memory for every batch would take several times longer than what is copied into it.
        copied = self._plain and not in_place
        held = np.empty((min(size, self.n), self.p), self.X.dtype) if copied else None
        for start in range(0, self.n, size):
            # Within a batch the order is of no account, and memory is read forwards.
            index = np.sort(order[start : start + size])
            if in_place:
                yield index, Gathered(self.X, index)
            elif held is None:
                yield index, self.X[index]
            else:
                yield index, np.take(self.X, index, axis=0, out=held[: len(index)], mode="clip")

    def take(self, index: Index) -> Any:
        """By their indices."""
        return self.X[np.sort(index)]

    def blocks(self) -> Iterator[Batch]:
        """Slices."""
        step = max(1, _BLOCK_BYTES // (self.p * self.X.dtype.itemsize))
        for start in range(0, self.n, step):
            stop = min(start + step, self.n)
            yield np.arange(start, stop), self.X[start:stop]


class StreamRows:
    """Samples that come in passes: shuffled within the blocks of the stream, not among them."""

    def __init__(self, stream: RowStream) -> None:
        self.stream = stream
        self.n, self.p = stream.shape

    def epoch(self, size: int, rng: np.random.Generator, *, in_place: bool = False) -> Iterator[Batch]:
        """A pass; batches do not cross blocks."""
        for row, block in self.stream.blocks():
            order = rng.permutation(len(block))
            for start in range(0, len(block), size):
                index = np.sort(order[start : start + size])
                yield row + index, block[index]

    def take(self, index: Index) -> Any:
        """Picked in a pass."""
        wanted = np.sort(index)
        parts = []
        for row, block in self.stream.blocks():
            first, last = np.searchsorted(wanted, (row, row + len(block)))
            parts.append(block[wanted[first:last] - row])
        return np.concatenate(parts)

    def blocks(self) -> Iterator[Batch]:
        """A pass."""
        for row, block in self.stream.blocks():
            yield np.arange(row, row + len(block)), block


def rows_of(X: Any) -> Rows:
    """Samples of an array, memmap, CSR matrix or `RowStream`, screened for NaN and Inf.

    A stream is screened as it is read.

    Raises
    ------
    InputError, NonFiniteError
    """
    if isinstance(X, RowStream):
        if X.dtype.kind == "c" or 0 in X.shape:
            raise InputError(f"X: expected real numbers of shape (n, p), got {X.shape}, {X.dtype}")
        return StreamRows(X)
    made = features(X)
    held = made.data if namespace.is_sparse(made) else made
    if not validate.is_finite(held):
        validate.require_finite(held, name="X")
    return ArrayRows(made)

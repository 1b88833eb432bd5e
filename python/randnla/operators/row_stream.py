# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A matrix read in blocks of rows: a memory map, an HDF5 data set, or a source of blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import dense
from randnla.operators.base import Array, LinearOperator, on_columns

DEFAULT_MAX_MEMORY = 256 << 20
Job = Callable[[int, int, Array], None]


class RowStream(LinearOperator):
    """An (m, n) matrix that is never held whole; every product is one pass over its rows.

    Parameters
    ----------
    source : memmap, array-like with ``source[i0:i1]``, or callable
        A callable returns, at each call, an iterable of (r, n) blocks that follow one another. An
        iterator given directly can be read only once.
    shape : tuple of int
        Needed unless the source has one.
    dtype : dtype
        Taken from the source if it has one, else float64.
    max_memory : int, default 256 MiB
        Bytes that a block of rows read from a sliceable source may take, with its conversion and screening;
        at least one row is read. Operands, products and the scratch of the BLAS come on top, and so do
        pages of a mapped file, which the system takes back when it needs them.
    check_finite : bool, default True
        Screen each block as it is read.

    Attributes
    ----------
    passes : int
        Passes made so far.

    Raises
    ------
    InputError
        Blocks do not add up to `shape`, are complex where `dtype` is real, or leave its range; an
        iterator was to be read twice.
    NonFiniteError
        A block holds NaN or Inf (its place in the whole matrix is named; the count is that block's).

    Notes
    -----
    *Cost*: memory O(n r) for blocks of r rows besides the products. The Frobenius norm is gathered in the
    first pass that any product makes. `normal_matmat`, `matmat_both` and `sketch_both` make two products in
    one pass.

    Examples
    --------
    >>> import numpy as np
    >>> A = RowStream(lambda: (np.full((2, 3), i) for i in range(4)), shape=(8, 3))
    >>> A.matmat(np.ones(3))
    array([0., 0., 3., 3., 6., 6., 9., 9.])
    >>> A.passes
    1
    """

    def __init__(
        self,
        source: Any,
        shape: tuple[int, int] | None = None,
        *,
        dtype: Any = None,
        max_memory: int | None = None,
        name: str = "A",
        check_finite: bool = True,
    ) -> None:
        found = getattr(source, "shape", None) if shape is None else shape
        if not isinstance(found, (tuple, list)) or len(found) != 2:
            raise InputError(f"shape: expected two integers for {name}, got {found!r}")
        m = validate.integer(found[0], name="shape[0]", low=0)
        n = validate.integer(found[1], name="shape[1]", low=0)
        given = getattr(source, "dtype", np.float64) if dtype is None else dtype
        super().__init__((m, n), validate.working_dtype(given, name=name), check_finite=check_finite)
        self.source, self.name = source, name
        self.max_memory = validate.memory(max_memory) or DEFAULT_MAX_MEMORY
        self.passes = 0
        self._norm: float | None = None
        self._sliceable = hasattr(source, "__getitem__") and hasattr(source, "shape")
        if not (self._sliceable or callable(source) or isinstance(source, Iterable)):
            raise InputError(f"{name}: expected rows to read, got {type(source).__name__}")

    def blocks(self) -> Iterator[tuple[int, Array]]:
        """Pairs (first row, block) over all rows, each block converted to `dtype` and screened."""
        m, n = self.shape
        row = 0
        whole = dense.NOTHING
        for raw in self._raw_blocks():
            block = validate.as_matrix(raw, name=f"{self.name}[{row}:]")
            if block.shape[1] != n or row + block.shape[0] > m:
                raise InputError(
                    f"{self.name}: a block of shape {block.shape} at row {row} does not fit {self.shape}"
                )
            if block.dtype.kind == "c" and self.dtype.kind != "c":
                raise InputError(
                    f"{self.name}[{row}:]: expected real numbers ({self.dtype}), got {block.dtype}; "
                    "a stream of complex blocks needs dtype= when it is made"
                )
            block = validate.native(block, self.dtype, name=f"{self.name}[{row}:]")
            if self.check_finite or self._norm is None:
                seen = dense.screen(block)
                if self.check_finite and not seen.finite:
                    validate.require_finite(block, name=self.name, row_offset=row)
                whole = whole.join(seen)
            yield row, block
            row += block.shape[0]
        if row != m:
            raise InputError(f"{self.name}: the blocks hold {row} rows, expected {m}")
        if self._norm is None:
            self._norm = whole.frobenius_norm if whole.finite else math.nan
        self.passes += 1

    def _raw_blocks(self) -> Iterator[Any]:
        if self._sliceable:
            # What was read, its conversion, the conjugate that a complex product takes, and the mask of one
            # byte an entry by which NaN are counted; a quarter is left to the rest.
            raw = np.dtype(getattr(self.source, "dtype", self.dtype)).itemsize
            copies = 2 if self.dtype.kind == "c" else 1
            width = max(1, self.shape[1]) * (raw + copies * self.dtype.itemsize + 1)
            step = max(1, self.max_memory // 4 * 3 // width)
            for start in range(0, self.shape[0], step):
                yield self.source[start : min(start + step, self.shape[0])]
        elif callable(self.source):
            yield from self.source()
        else:
            if self.passes:
                raise InputError(
                    f"{self.name}: an iterator can be read once only; give a callable that returns one"
                )
            yield from self.source

    def _matmat(self, X: Array) -> Array:
        out = np.zeros((self.shape[0], X.shape[1]), dtype=np.result_type(self.dtype, X.dtype))
        for row, block in self.blocks():
            dense.matmul(block, X, out[row : row + block.shape[0]])
        return out

    def _rmatmat(self, Y: Array) -> Array:
        out = np.zeros((self.shape[1], Y.shape[1]), dtype=np.result_type(self.dtype, Y.dtype))
        for row, block in self.blocks():
            out += dense.matmul(block.conj().T, Y[row : row + block.shape[0]])
        return out

    def normal_matmat(self, X: Any) -> Array:
        """``A.conj().T @ (A @ X)`` in one pass."""
        return on_columns(self._normal_matmat, self._block(X, self.shape[1], "A @ X", "X"))

    def _normal_matmat(self, X: Array) -> Array:
        out = np.zeros(X.shape, dtype=np.result_type(self.dtype, X.dtype))
        for _, block in self.blocks():
            out += dense.matmul(block.conj().T, dense.matmul(block, X))
        return out

    def matmat_both(self, X: Any) -> tuple[Array, Array]:
        """``(A @ X, A.conj().T @ (A @ X))`` of a block X (n, k), in one pass."""
        X = self._block(X, self.shape[1], "A @ X", "X")
        if X.ndim != 2:
            raise InputError(f"X: expected a block of shape ({self.shape[1]}, k), got shape {X.shape}")
        dtype = np.result_type(self.dtype, X.dtype)
        Y, Z = np.empty((self.shape[0], X.shape[1]), dtype), np.zeros(X.shape, dtype)
        for row, block in self.blocks():
            rows = Y[row : row + block.shape[0]]
            np.matmul(block, X, out=rows)
            Z += block.conj().T @ rows
        return Y, Z

    def sketch(self, S: Any) -> Array:
        """``S @ A`` in one pass, a block of columns of S at a time."""
        return np.asarray(self.sketch_both(S, None)[0])

    def rsketch(self, S: Any) -> Array:
        """``A @ S.T`` in one pass."""
        return np.asarray(self.sketch_both(None, S)[1])

    def sketch_both(self, left: Any = None, right: Any = None) -> tuple[Any, Any]:
        """``(left @ A, A @ right.T)`` in one pass; None stands for a product not wanted."""
        m, n = self.shape
        above = beside = None
        if left is not None:
            self._match(left.shape[1], m, "S @ A", left.shape)
            above = np.zeros((left.shape[0], n), dtype=np.result_type(left.dtype, self.dtype))
        if right is not None:
            self._match(right.shape[1], n, "A @ S.T", right.shape)
            beside = np.zeros((m, right.shape[0]), dtype=np.result_type(right.dtype, self.dtype))
        for row, block in self.blocks():
            stop = row + block.shape[0]
            if above is not None:
                above += left[:, row:stop].apply(block)
            if beside is not None:
                right.apply(block.T, out=beside[row:stop].T)
        return above, beside

    def frobenius_norm(self) -> float:
        """The Frobenius norm; costs a pass only if none was made yet."""
        if self._norm is None:
            for _ in self.blocks():
                pass
        assert self._norm is not None
        return self._norm

    def require_finite(self, *, name: str = "A") -> None:
        """Nothing to do: blocks are screened as they are read."""

    def to_dense(self) -> Array:
        """The whole matrix as an array."""
        out = np.empty(self.shape, dtype=self.dtype)
        for row, block in self.blocks():
            out[row : row + block.shape[0]] = block
        return out

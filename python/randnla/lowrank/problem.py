# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The matrix as the drivers see it: products counted, kept in range, screened."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import numpy as np

from randnla._backend.device import is_device, runtime
from randnla._backend.errors import NonFiniteError, RangeError
from randnla._backend.kernels import device_dense, fixed_point
from randnla.operators import Dense, LinearOperator, Sparse
from randnla.operators.device import DeviceDense, place_of

from .scaling import Array, exponent_of, largest_magnitude, normalize, real_dtype, scale_by_power


class Run(Protocol):
    """What a step that looks at no matrix asks of a call: a `Problem` is one."""

    seed: int
    path: list[str]

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of A."""


@dataclass
class Problem:
    """One call's matrix with what the call did to it so far.

    Attributes
    ----------
    op : LinearOperator
        The matrix A, m x n.
    kind : str
        "dense", "sparse", "stream", "operator" or "device"; what the dispatch may know of it.
    seed : int
        Seed of every random map of the call.
    shift : int
        A power of two that multiplies every operand of a product with A, so that products of entries
        near the ends of the exponent range neither overflow nor vanish.
    passes, matvecs : int
        Products with A or A^H so far, and the columns they had.
    path : list of str
        Routes and fallbacks taken, for ``info.path``.
    sketch : str, optional
        The random map that the basis was drawn with, for ``info.sketch``.
    widest : int
        Columns of the widest block that A multiplied.
    memory : int
        Bytes of the largest workspace that `hold` was told of.
    callback : callable, optional
        Told the stage, passes and matvecs after every step.
    slices : int, optional
        Bytes of an entry that count in coarse products, which are exact in fixed point; A is a `Dense`
        matrix of float32 then.
    """

    op: LinearOperator
    kind: str
    seed: int
    shift: int = 0
    passes: int = 0
    matvecs: int = 0
    path: list[str] = field(default_factory=list)
    sketch: str | None = None
    widest: int = 0
    memory: int = 0
    callback: Callable[[dict[str, Any]], None] | None = None
    slices: int | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of A."""
        return self.op.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the factors."""
        return np.dtype(self.op.dtype)

    @property
    def inner(self) -> int:
        """Products that an entry of A^H X (or A X) adds up one after the other, at most.

        Dense products sum stretches of at most 512 and then the stretches; those on a GPU slabs, and these in
        float64; sparse ones and those of operators run over the whole column.
        """
        long = max(self.shape)
        if self.kind == "device":
            m, n = self.shape
            width, size = max(1, self.widest), self.dtype.itemsize
            long = max(device_dense.summed(r, width, c, size) for r, c in ((m, n), (n, m)))
        length = 1024 + (long // 512 if self.kind == "dense" else long)
        if self.dtype.kind == "c":
            length *= 2
        # Products of a centered matrix may be differences of larger ones.
        return math.ceil(length * min(float(getattr(self.op, "cancellation", 1.0)), 1e9))

    def place(self) -> contextlib.AbstractContextManager[Any]:
        """A context in which the device of A, if it is on one, is the current one."""
        return place_of(self.op)

    def empty(self, rows: int, columns: int, dtype: Any = None) -> Array:
        """New memory where A is, for real numbers unless a dtype is given."""
        dtype = real_dtype(self.dtype) if dtype is None else dtype
        if isinstance(self.op, DeviceDense):
            memory: Array = runtime().empty((rows, columns), dtype)
            return memory
        return np.empty((rows, columns), dtype)

    def _operand(self, X: Array) -> Array:
        self.passes += 1
        self.matvecs += X.shape[1]
        self.widest = max(self.widest, X.shape[1])
        X = X.astype(self.dtype, copy=False) if X.dtype.itemsize > self.dtype.itemsize else X
        return self._scaled(X)

    def _scaled(self, X: Array) -> Array:
        if not self.shift:
            return X
        if is_device(X):
            scaled: Array = device_dense.multiple(X, 2.0**self.shift)
        else:
            scaled = X * X.real.dtype.type(2.0**self.shift)
        return scaled

    def forward(self, X: Array, *, coarse: bool = False) -> Array:
        """2^shift A X; `coarse` products only make a basis better, and may be in fixed point."""
        X = self._operand(X)
        with np.errstate(over="ignore", invalid="ignore"):  # whoever takes the product looks at it
            return self._sliced(X, adjoint=False) if coarse and self.slices else self.op.matmat(X)

    def adjoint(self, X: Array, *, coarse: bool = False) -> Array:
        """2^shift A^H X, as `forward`."""
        X = self._operand(X)
        with np.errstate(over="ignore", invalid="ignore"):
            return self._sliced(X, adjoint=True) if coarse and self.slices else self.op.rmatmat(X)

    def _sliced(self, X: Array, *, adjoint: bool) -> Array:
        assert isinstance(self.op, Dense)
        assert self.slices is not None
        A = self.op.array.T if adjoint else self.op.array
        out = np.empty((A.shape[0], X.shape[1]), np.float32)
        return fixed_point.multiply(A, X, out, slices=self.slices)

    def first(self, X: Array) -> tuple[Array, int]:
        """The first product: (Y, e) with A X = 2^e Y and the largest entry of Y in [1/2, 1).

        Raises
        ------
        NonFiniteError
            If A is not finite: every entry of A meets a nonzero Gaussian number, so Y tells.
        RangeError
            A is finite and Y is not, whatever power of two multiplies X.
        """
        return self.ranged(self.forward, X)

    def ranged(self, product: Callable[[Array], Array], X: Array) -> tuple[Array, int]:
        """`first` for any product that is linear in `X` and shifts it by `shift`."""
        limits = np.finfo(real_dtype(self.dtype))
        try:
            Y = product(X)
        except NonFiniteError:  # a foreign operator's product is screened; it, too, may have overflowed
            if self.kind != "operator":
                raise
            Y = self._redo(product, X, -(limits.maxexp // 2))
        magnitude = largest_magnitude(Y)
        if not math.isfinite(magnitude):
            Y = self._redo(product, X, -(limits.maxexp // 2))
            if not math.isfinite(largest_magnitude(Y)):
                self.refuse("product with a random map")
        elif Y.size and magnitude < 2.0 ** (limits.minexp + limits.nmant + 20):
            Y = self._redo(product, X, limits.maxexp // 2)
        exponent = normalize(Y)
        return Y, exponent - self.shift

    def refuse(self, what: str) -> NoReturn:
        """Say why some function of A is not finite: an entry of A is not, or sums leave the range.

        Raises
        ------
        NonFiniteError
            A holds NaN or Inf, or it cannot be told.
        RangeError
            All entries are finite.
        """
        self.op.require_finite(name="A")
        if self.op.check_finite and self.kind in ("dense", "sparse", "stream"):
            raise RangeError(f"A: its {what} exceeds the range of {self.dtype}; scale A down")
        raise NonFiniteError(f"A: expected finite entries, but its {what} is not")

    def pair(self, X: Array, count: int, exponent: int | None = None) -> tuple[Array, Array, int]:
        """Y = A X and H = A^H Y for the first `count` columns of Y, A in units of 2^exponent.

        One pass over a stream of rows. The first call finds the exponent.
        """
        op: Any = self.op
        limits = np.finfo(real_dtype(self.dtype))
        both = hasattr(op, "matmat_both")
        width = X.shape[1] if both else count  # as in the one pass, for the same bits
        if both and not self.shift and abs(exponent or 0) < limits.maxexp // 3:
            with np.errstate(over="ignore", invalid="ignore"):
                Y, H = op.matmat_both(X)
            # Squares of what lies further out leave the range.
            if 2.0 ** (-limits.maxexp // 3) < largest_magnitude(Y) < 2.0 ** (limits.maxexp // 3):
                self.passes += 1
                self.matvecs += 2 * X.shape[1]
                self.widest = max(self.widest, X.shape[1])
                if exponent is None:
                    exponent = exponent_of(largest_magnitude(Y))
                return scale_by_power(Y, -exponent), scale_by_power(H[:, :count], -2 * exponent), exponent
            self.path.append("two products")
        if exponent is None:
            Y, exponent = self.first(X)
        else:
            Y = scale_by_power(self.forward(X), -exponent - self.shift)
        H = scale_by_power(self.adjoint(Y[:, :width]), -exponent - self.shift)
        return Y, H[:, :count], exponent

    def _redo(self, product: Callable[[Array], Array], X: Array, shift: int) -> Array:
        # Exact: the shifted operand gives A X times a power of two, free of over- and underflow.
        self.shift = shift
        self.path.append("rescaled")
        return product(X)

    def hold(self, size: int) -> None:
        """Note a workspace of `size` bytes, for `peak_memory`."""
        self.memory = max(self.memory, size)

    def peak_memory(self) -> int:
        """Bytes of workspace and factors at the peak: an estimate by formula.

        While a sketch of l columns is orthogonalized or multiplied, two blocks of m x l and two of n x l
        are alive, and a few cores l x l in float64; block reads and what A itself holds are not counted.
        """
        m, n = self.shape
        wide = 16 if self.dtype.kind == "c" else 8
        blocks = 2 * (m + n) * self.widest * self.dtype.itemsize + 4 * wide * self.widest**2
        return max(blocks, self.memory)

    def report(self, stage: str) -> None:
        """Tell the caller's callback how far the work is."""
        if self.callback is not None:
            self.callback({"stage": stage, "passes": self.passes, "matvecs": self.matvecs})

    def sketched(self, S: Any) -> Array:
        """2^shift A S^T for a random map S, rescaled by the shift that `first` found."""
        self.passes += 1
        self.matvecs += S.shape[0]
        # The map is never an array: the sketch, and what is made of it.
        self.hold(2 * self.shape[0] * S.shape[0] * self.dtype.itemsize)
        if isinstance(self.op, DeviceDense):
            op = scaled_copy(self.op, self.shift) if self.shift else self.op
            self.path += ["rescaled copy"] if self.shift else []
            sketch: Array = op.rsketch(S)  # type: ignore[union-attr]
            return sketch
        if not self.shift:
            # The caller's to overwrite: an array's or a sparse matrix's sketch is new memory.
            fresh = isinstance(self.op, Dense | Sparse)
            return np.array(self.op.rsketch(S), dtype=self.dtype, copy=None if fresh else True)
        # The map's own kernel on a scaled copy: the same route, hence the same bits, in all units.
        copy = scaled_copy(self.op, self.shift)
        if copy is not None:
            self.path.append("rescaled copy")
            return np.array(copy.rsketch(S), dtype=self.dtype)
        Y = scale_by_power(np.array(self.op.rsketch(S), dtype=self.dtype), self.shift)
        if math.isfinite(largest_magnitude(Y)):
            return Y
        # Sums that overflow before they can be scaled: the map is, as an array.
        self.path.append("dense map")
        return np.asarray(self.op.matmat(self._scaled(S.to_dense().T.astype(real_dtype(self.dtype)))))


def scaled_copy(op: LinearOperator, shift: int) -> LinearOperator | None:
    """2^shift times an array or sparse matrix in memory, or an array on a GPU; None for anything else."""
    if isinstance(op, DeviceDense):
        return DeviceDense(scale_by_power(device_dense.multiple(op.entries), shift))
    if isinstance(op, Dense):
        return Dense(scale_by_power(op.array.copy(order="K"), shift), check_finite=op.check_finite)
    if isinstance(op, Sparse):
        matrix = op.matrix.copy()
        scale_by_power(matrix.data, shift)
        return Sparse(matrix, check_finite=op.check_finite)
    return None

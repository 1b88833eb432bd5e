# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A matrix that is known by its linear sketches, and how it changes."""

from __future__ import annotations

from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla.operators import as_operator

from .linear_sketch import LinearSketch, Sizes


class SketchedMatrix:
    """The part of `StreamingSVD` that changes the matrix: every change is made whole or not at all."""

    _sketch: LinearSketch

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix."""
        return self._sketch.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the factors."""
        dtype: np.dtype[Any] = self._sketch.dtype
        return dtype

    @property
    def seed(self) -> int:
        """Of all random maps."""
        return self._sketch.seed

    @property
    def sizes(self) -> Sizes:
        """Of the sketches."""
        return self._sketch.sizes

    def update(
        self, block: Any, rows: slice | None = None, columns: slice | None = None, scale: complex = 1
    ) -> None:
        """``A[rows, columns] += scale * block``.

        Parameters
        ----------
        block : array, sparse matrix or operator of shape (r, c)
        rows, columns : slice, optional
            Where it belongs, with step 1 and within the shape; all of them unless given.
        scale : number, default 1

        Raises
        ------
        InputError
            The block does not fit its place, or is complex where the dtype is real.
        NonFiniteError
            The block holds NaN or Inf, or a sum leaves the range of the dtype.

        Examples
        --------
        >>> import numpy as np, randnla
        >>> stream = randnla.StreamingSVD((4, 3), 1, rng=0)
        >>> stream.update(np.ones((2, 3)), rows=slice(1, 3))
        >>> stream.update(np.ones((4, 1)), columns=slice(0, 1), scale=-1)
        >>> stream.result().to_dense().shape
        (4, 3)
        """
        op = as_operator(block, name="block")
        region = (
            _place(rows, self.shape[0], op.shape[0], "rows"),
            _place(columns, self.shape[1], op.shape[1], "columns"),
        )
        self._require_real(op.dtype, "block")
        self._sketch.add(op, region, self._number(scale, "scale"))

    def update_rank_one(self, u: Any, v: Any, scale: complex = 1) -> None:
        """``A += scale * u v^H`` for vectors u (m,) and v (n,), or the sum over their p columns.

        Parameters
        ----------
        u : array of shape (m,) or (m, p)
        v : array of shape (n,) or (n, p)
        scale : number, default 1

        Raises
        ------
        InputError, NonFiniteError
            As `update`.

        Examples
        --------
        >>> import numpy as np, randnla
        >>> stream = randnla.StreamingSVD((4, 3), 1, rng=0)
        >>> stream.update_rank_one(np.ones(4), np.array([3.0, 0.0, 4.0]), scale=2)
        >>> stream.result().s.round(6)
        array([20.])
        """
        left, right = (validate.as_array(x, name=name, ndim=(1, 2)) for x, name in ((u, "u"), (v, "v")))
        for x, name, size in ((left, "u", self.shape[0]), (right, "v", self.shape[1])):
            if x.shape[0] != size or x.ndim != left.ndim or x.shape[1:] != left.shape[1:]:
                raise InputError(f"{name}: expected shape {(size, *left.shape[1:])}, got {x.shape}")
            self._require_real(x.dtype, name)
            validate.require_finite(x, name=name)
        left, right = (x.reshape(len(x), -1) for x in (left, right))
        block = as_operator(left) @ as_operator(right.conj().T)
        self._sketch.add(block, self._sketch.whole, self._number(scale, "scale"), name="u, v")

    def scale(self, eta: complex) -> None:
        """``A *= eta``, as for a window that forgets.

        Raises
        ------
        InputError
            `eta` is no finite number, or complex where the dtype is real.
        NonFiniteError
            The product leaves the range of the dtype.

        Examples
        --------
        >>> import numpy as np, randnla
        >>> stream = randnla.StreamingSVD((4, 4), 1, rng=0)
        >>> stream.update(np.ones((4, 4)))
        >>> stream.scale(0.5)
        >>> stream.result().s.round(6)
        array([2.])
        """
        self._sketch.scale(self._number(eta, "eta"))

    def _number(self, value: Any, name: str) -> complex:
        if isinstance(value, (complex, np.complexfloating)):
            if self.dtype.kind != "c":
                raise InputError(f"{name}: expected a real number for dtype {self.dtype}, got {value}")
            return complex(
                validate.real(value.real, name=f"{name}.real"), validate.real(value.imag, name=f"{name}.imag")
            )
        return validate.real(value, name=name)

    def _require_real(self, dtype: np.dtype[Any], name: str) -> None:
        if dtype.kind == "c" and self.dtype.kind != "c":
            raise InputError(f"{name}: expected real numbers for dtype {self.dtype}, got {dtype}")


def _place(index: Any, size: int, length: int, name: str) -> slice:
    """A slice of `length` within `size`, with both ends written out."""
    if index is None:
        index = slice(0, size)
    if not isinstance(index, slice):
        raise InputError(f"{name}: expected a slice or None, got {validate.shown(index)}")
    start = validate.integer(
        0 if index.start is None else index.start, name=f"{name}.start", low=0, high=size
    )
    stop = validate.integer(
        size if index.stop is None else index.stop, name=f"{name}.stop", low=start, high=size
    )
    if index.step not in (None, 1):
        raise InputError(f"{name}: expected a step of 1, got {index.step}")
    if stop - start != length:
        raise InputError(f"block: expected {stop - start} {name} for {name}[{start}:{stop}], got {length}")
    return slice(start, stop)

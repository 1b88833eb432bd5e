# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Linear sketches of a matrix that arrives in pieces: Tropp, Yurtsever, Udell and Cevher (2017, 2019).

A sketch is linear in A, so the sketch of a sum is the sum of the sketches: pieces may come in any order,
overlap, cancel, and be gathered by different workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla import sketching
from randnla._backend import validate
from randnla._backend.errors import NonFiniteError
from randnla.operators import Dense, LinearOperator, RowStream, Sparse

from .problem import scaled_copy
from .scaling import Array, largest_magnitude, real_dtype, scale_by_power

# Streams of the maps. All differ from those of the other drivers, so that no map meets its own numbers.
RANGE, CORANGE, CORE_LEFT, CORE_RIGHT, ERROR = 10, 11, 12, 13, 14

KINDS = ("gaussian", "sign", "sparse_sign", "countsketch")
_PIECE_BYTES = 8 << 20  # of a dense piece that several maps read one after the other
_PIECE_ROWS = 256  # at least, so that making the maps costs little beside multiplying them
_PIECE_NONZEROS = 1 << 20
_HEADROOM = 30  # bits that sums of entries of a sketch may need on the way to the factors

Region = tuple[slice, slice]


@dataclass(frozen=True)
class Sizes:
    """Columns of the range and corange sketches, order of the core sketch, rows of the error sketch.

    0 where a method has no such sketch.
    """

    range: int
    corange: int
    core: int
    probes: int

    def arrays(self, shape: tuple[int, int]) -> dict[str, tuple[int, int]]:
        """The shapes of the sketches of a matrix of this shape."""
        m, n = shape
        found = {"range": (m, self.range)}
        if self.corange:
            found["corange"] = (n, self.corange)
        if self.core:
            found["core"] = (self.core, self.core)
        return {**found, "error": (n, self.probes)}


class LinearSketch:
    """Sketches of an m x n matrix A under random maps that are made anew from the seed when needed.

    Parameters
    ----------
    shape, dtype
        Of A.
    seed : int
    kind : str
        One of `KINDS`; the map of the error sketch is Gaussian always, for the sake of its law.
    sizes : Sizes

    Attributes
    ----------
    maps : dict
        "range" Omega, "corange" Psi, "core_left" Phi, "core_right" Xi, "error" Theta.
    arrays : dict of arrays
        "range" Y = A Omega^T (m, l); "corange" (Psi A)^H (n, l'); "core" Phi A Xi^T (s, s); "error"
        (Theta A)^H (n, q); all of 2^shift A.
    shift : int
        0, or half the range of exponents up or down for entries near its ends. Powers of two are exact, so
        the factors of 2^p A have the bits of those of A.
    empty : bool
        Whether only zeros came so far.
    """

    def __init__(self, shape: tuple[int, int], dtype: Any, seed: int, kind: str, sizes: Sizes) -> None:
        self.shape, self.dtype, self.seed, self.kind, self.sizes = shape, np.dtype(dtype), seed, kind, sizes
        self.maps = make_maps(shape, self.dtype, seed, kind, sizes)
        self.arrays = {name: np.zeros(size, dtype) for name, size in sizes.arrays(shape).items()}
        self.shift, self.empty = 0, True

    @property
    def whole(self) -> Region:
        """The region of all of A."""
        return slice(0, self.shape[0]), slice(0, self.shape[1])

    # -- changes: each is made whole or not at all -------------------------------------------------------

    def add(self, op: LinearOperator, region: Region, factor: complex = 1.0, *, name: str = "block") -> None:
        """A[region] += factor op.

        Raises
        ------
        NonFiniteError
            The block holds NaN or Inf, or a sum leaves the range of the dtype; nothing has changed.
        """
        up, _, down = self.shifts
        for shift in [0, up, down] if self.empty else [self.shift, *self._below(self.shift)]:
            change = self._image(op, region, shift, factor)
            largest = max(largest_magnitude(array) for array in change.values())
            if largest == 0.0:
                return
            if shift == 0 and self.empty and self._is_tiny(largest):
                continue
            if self._absorb(change, region, shift):
                return
        op.require_finite(name=name)
        raise NonFiniteError(
            f"{name}: expected finite entries and sums in the range of {self.dtype}; a sketch of them is not"
        )

    def scale(self, factor: complex, *, name: str = "eta") -> None:
        """A *= factor.

        Raises
        ------
        NonFiniteError
            The product leaves the range of the dtype; nothing has changed.
        """
        for shift in (self.shift, *self._below(self.shift)):
            with np.errstate(over="ignore", invalid="ignore"):
                scaled = {key: array * self._factor(key, factor) for key, array in self._at(shift).items()}
            if all(self._fits(array) for array in scaled.values()):
                self._commit(scaled, self.whole, shift)
                if factor == 0:
                    self.shift, self.empty = 0, True
                return
        raise NonFiniteError(f"{name}: the matrix times {factor} leaves the range of {self.dtype}")

    def merge(self, other: LinearSketch, *, name: str = "other") -> None:
        """A += the matrix that `other`, of the same maps, has seen.

        Raises
        ------
        NonFiniteError
            The sum leaves the range of the dtype; nothing has changed.
        """
        if other.empty:
            return
        start = other.shift if self.empty else min(self.shift, other.shift)
        for shift in (start, *self._below(start)):
            change = {key: np.array(array) for key, array in other._at(shift).items()}
            if self._absorb(change, self.whole, shift):
                return
        raise NonFiniteError(f"{name}: the sum of the matrices leaves the range of {self.dtype}")

    def _absorb(self, change: dict[str, Array], region: Region, shift: int) -> bool:
        """Add to the sketches and say True, or leave all as it is where a sum does not fit."""
        held = self._at(shift)
        with np.errstate(over="ignore", invalid="ignore"):
            for key, array in change.items():
                array += held[key][_part(key, region)]
        if not all(self._fits(array) for array in change.values()):
            return False
        self._commit(change, region, shift)
        self.empty = False
        return True

    def _commit(self, values: dict[str, Array], region: Region, shift: int) -> None:
        for key, array in self.arrays.items():
            if shift != self.shift:
                scale_by_power(array, shift - self.shift)
            array[_part(key, region)] = values[key]
        self.shift = shift

    # -- range of exponents ------------------------------------------------------------------------------

    @property
    def shifts(self) -> tuple[int, int, int]:
        """What `shift` may be, highest first."""
        half = int(np.finfo(real_dtype(self.dtype)).maxexp) // 2
        return half, 0, -half

    def _below(self, shift: int) -> list[int]:
        return [lower for lower in self.shifts if lower < shift]

    def _is_tiny(self, largest: float) -> bool:
        limits = np.finfo(real_dtype(self.dtype))
        return largest < 2.0 ** (int(limits.minexp) + int(limits.nmant) + 20)

    def _fits(self, array: Array) -> bool:
        limit = 2.0 ** (int(np.finfo(real_dtype(self.dtype)).maxexp) - _HEADROOM)
        return largest_magnitude(array) < limit  # False for NaN

    def _at(self, shift: int) -> dict[str, Array]:
        """The sketches of 2^shift A: those kept, or copies in other units."""
        if shift == self.shift or self.empty:
            return self.arrays
        return {key: scale_by_power(array.copy(), shift - self.shift) for key, array in self.arrays.items()}

    # -- products ----------------------------------------------------------------------------------------

    def _image(self, op: LinearOperator, region: Region, shift: int, factor: complex) -> dict[str, Array]:
        """The sketches of 2^shift factor op in its place."""
        change = {
            key: np.zeros_like(array[_part(key, region)], order="C") for key, array in self.arrays.items()
        }
        with np.errstate(over="ignore", invalid="ignore"):
            for i, j, piece in pieces(op, self.dtype):
                self._add_piece(change, in_units(piece, shift), (i, j), region)
            if factor != 1.0:
                for key, array in change.items():
                    array *= self._factor(key, factor)
        return change

    def _factor(self, key: str, factor: complex) -> Any:
        """What a sketch is multiplied by where A is multiplied by `factor`; two are kept as adjoints."""
        return self.dtype.type(np.conj(factor) if key in ("corange", "error") else factor)

    def _add_piece(self, change: dict[str, Array], piece: LinearOperator, at: Region, region: Region) -> None:
        rows, columns = (slice(a.start + r.start, a.stop + r.start) for a, r in zip(at, region, strict=True))
        change["range"][at[0]] += piece.rsketch(self.maps["range"][:, columns])
        for key in ("corange", "error"):
            if key in change:
                change[key][at[1]] += piece.sketch(self.maps[key][:, rows]).conj().T
        if "core" in change:
            right = piece.rsketch(self.maps["core_right"][:, columns])
            change["core"] += self.maps["core_left"][:, rows].apply(right)


def make_maps(
    shape: tuple[int, int], dtype: np.dtype[Any], seed: int, kind: str, sizes: Sizes
) -> dict[str, Any]:
    """The random maps of the sketches: names and streams are those above."""
    m, n = shape
    real = real_dtype(dtype)
    made: Any = {
        "gaussian": sketching.Gaussian,
        "sign": sketching.Sign,
        "sparse_sign": lambda d, length, **options: sketching.SparseSign(d, length, nnz=min(8, d), **options),
        "countsketch": sketching.CountSketch,
    }[kind]
    layout = {
        "range": (sizes.range, n, RANGE),
        "corange": (sizes.corange, m, CORANGE),
        "core_left": (sizes.core, m, CORE_LEFT),
        "core_right": (sizes.core, n, CORE_RIGHT),
    }
    maps: dict[str, Any] = {
        key: made(size, length, rng=seed, dtype=real, stream=stream)
        for key, (size, length, stream) in layout.items()
        if size
    }
    maps["error"] = sketching.Gaussian(sizes.probes, m, rng=seed, dtype=real, stream=ERROR)
    return maps


def _part(key: str, region: Region) -> slice:
    """The rows of a sketch that a region of A touches."""
    return {"range": region[0], "core": slice(None)}.get(key, region[1])


class _InUnits(LinearOperator):
    """2^shift times an operator that shows no entries: the operand is multiplied, before sums overflow."""

    def __init__(self, base: LinearOperator, shift: int) -> None:
        super().__init__(base.shape, base.dtype, check_finite=base.check_finite)
        self.base, self.shift = base, shift

    def _matmat(self, X: Array) -> Array:
        return self.base.matmat(scale_by_power(np.array(X), self.shift))

    def _rmatmat(self, Y: Array) -> Array:
        return self.base.rmatmat(scale_by_power(np.array(Y), self.shift))


def in_units(piece: LinearOperator, shift: int) -> LinearOperator:
    """2^shift piece."""
    if shift == 0:
        return piece
    return scaled_copy(piece, shift) or _InUnits(piece, shift)


def pieces(op: LinearOperator, dtype: np.dtype[Any]) -> Iterator[tuple[slice, slice, LinearOperator]]:
    """(rows, columns, part) of an operator, each part small enough to be read several times from a cache.

    Parts wider than `dtype` are narrowed; what shows no entries is one part.
    """
    base = getattr(op, "base", None)
    if isinstance(op, RowStream):
        for row, block in op.blocks():
            yield slice(row, row + block.shape[0]), slice(0, op.shape[1]), Dense(_narrow(block, dtype))
    elif isinstance(base, RowStream):  # a transposed one
        for row, block in base.blocks():
            turned = block.T if op.T is base else block.conj().T
            yield slice(0, op.shape[0]), slice(row, row + block.shape[0]), Dense(_narrow(turned, dtype))
    elif isinstance(op, (Dense, Sparse)):
        yield from _cut(op, dtype)
    else:
        yield slice(0, op.shape[0]), slice(0, op.shape[1]), op


def _cut(op: Dense | Sparse, dtype: np.dtype[Any]) -> Iterator[tuple[slice, slice, LinearOperator]]:
    m, n = op.shape
    if isinstance(op, Dense):
        across = abs(op.array.strides[0]) < abs(op.array.strides[1])
        step = max(_PIECE_ROWS, _PIECE_BYTES // max(1, (m if across else n) * op.array.itemsize))
    else:
        across = op.matrix.format == "csc"
        nonzeros = max(_PIECE_NONZEROS, 4 * (m + n))
        step = max(1, (n if across else m) * nonzeros // max(1, op.matrix.nnz))
    for start in range(0, n if across else m, step):
        part = slice(start, min(start + step, n if across else m))
        rows, columns = (slice(0, m), part) if across else (part, slice(0, n))
        if isinstance(op, Dense):
            yield rows, columns, Dense(_narrow(op.array[rows, columns], dtype))
        else:
            piece = op.matrix[:, columns] if across else op.matrix[rows]
            yield rows, columns, Sparse(piece.astype(_narrowed(piece.dtype, dtype), copy=False))


def _narrowed(given: np.dtype[Any], dtype: np.dtype[Any]) -> np.dtype[Any]:
    """`given` in the precision of `dtype` where it is wider, real or complex as before."""
    if real_dtype(given).itemsize <= real_dtype(dtype).itemsize:
        return given
    return np.dtype(np.complex64 if given.kind == "c" else np.float32)


def _narrow(block: Array, dtype: np.dtype[Any]) -> Array:
    return validate.native(block, _narrowed(block.dtype, dtype), name="block")

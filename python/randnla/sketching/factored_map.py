# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Maps whose columns belong to the entries of a tensor, made of one small map a mode."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla.sketching.base import BLOCK_BYTES, LARGEST, Array, RandomMap, Range

# As many as an array may have axes.
MOST_MODES = 64


class FactoredMap(RandomMap):
    """Base of the maps on tensors: columns are those of a Kronecker product, the last factor fastest."""

    _state_fields: ClassVar[tuple[str, ...]] = ("dims",)
    _largest_size: ClassVar[int] = LARGEST

    def __init__(
        self, d: int, m: int, *, dims: Any, rng: Any = None, dtype: Any = np.float64, stream: int = 0
    ) -> None:
        validate.integer(d, name="d", low=1, high=self._largest_size)
        super().__init__(d, m, rng=rng, dtype=dtype, stream=stream)
        self.dims = _checked_dims(dims, self.m)

    def _extra_state(self) -> dict[str, Any]:
        return {"dims": np.array(self.dims, dtype=np.int64)}

    # -- what a kind of map gives --------------------------------------------------------------------

    @abstractmethod
    def _sketch_factor(self, mode: int, F: Array) -> Array:
        """The map of one mode on all rows of F, unscaled."""

    @abstractmethod
    def _combined(self, sketches: Sequence[Array], *, outer: bool) -> Array:
        """The sketch of the column-wise (`outer`: full) product, from the sketches of the factors."""

    # -- structured input ----------------------------------------------------------------------------

    def apply_khatri_rao(self, factors: Sequence[Any]) -> Array:
        """``S @ khatri_rao(factors)`` without forming the product.

        Parameters
        ----------
        factors : sequence of real (dims[k], r) arrays
            The last one varies fastest, as in the rows of a tensor in C order.

        Returns
        -------
        (d, r) array

        Raises
        ------
        InputError
            Another number of factors, another shape, or a block of a map in the place of a whole one.

        Notes
        -----
        *Cost*: that of sketching the factors, and of d r numbers a factor to combine them.
        """
        return self._apply_factors(factors, outer=False)

    def apply_kronecker(self, factors: Sequence[Any]) -> Array:
        """``S @ kron(factors)`` without forming the product: (d, r_1 ... r_K) for (dims[k], r_k) factors.

        Parameters and errors are those of `apply_khatri_rao`, save that the widths may differ.
        """
        return self._apply_factors(factors, outer=True)

    def _apply_factors(self, factors: Sequence[Any], *, outer: bool) -> Array:
        if not self.is_whole:
            raise InputError(f"S: expected a whole map, got a block of shape {self.shape}")
        arrays = [validate.as_array(F, name=f"factors[{k}]") for k, F in enumerate(factors)]
        if len(arrays) != len(self.dims):
            raise InputError(f"factors: expected {len(self.dims)} arrays, got {len(arrays)}")
        for k, (F, n) in enumerate(zip(arrays, self.dims, strict=True)):
            width = F.shape[1] if outer else arrays[0].shape[1]
            if F.dtype.kind == "c" or F.shape != (n, width):
                raise InputError(
                    f"factors[{k}]: expected a real array of shape {(n, width)}, got {F.shape}, {F.dtype}"
                )
            validate.require_finite(F, name=f"factors[{k}]")
        dtype = np.result_type(self.dtype, *(validate.working_dtype(F.dtype) for F in arrays))
        native = [validate.native(F, dtype) for F in arrays]
        sketches = [self._sketch_factor(k, F) for k, F in enumerate(native)]
        return self._combined(sketches, outer=outer)

    # -- columns -------------------------------------------------------------------------------------

    def _index_blocks(self, width: int) -> Iterator[tuple[int, int, list[tuple[Range, Array]]]]:
        """Blocks (start, stop) of columns, with the range of every mode they need and the places in it.

        No block crosses the end of a mode that is longer than a block, so that no range is longer either.
        """
        spans = [math.prod(self.dims[k:]) for k in range(len(self.dims) + 1)]
        edge = min((span for span in spans if span >= width), default=max(1, self.m))
        start, end = self._cols
        while start < end:
            stop = min(start + width, end, (start // edge + 1) * edge)
            columns = np.arange(start, stop, dtype=np.int64)
            modes = []
            for k, n in enumerate(self.dims):
                index = columns // spans[k + 1] % n
                low, high = int(index.min()), int(index.max()) + 1
                modes.append(((low, high), index - low))
            yield start - self._cols[0], stop - self._cols[0], modes
            start = stop


def block_width(bytes_a_column: int) -> int:
    """Columns of a block that holds a share of `BLOCK_BYTES`."""
    return max(1, BLOCK_BYTES // (4 * bytes_a_column))


def _checked_dims(dims: Any, m: int) -> tuple[int, ...]:
    if isinstance(dims, np.ndarray):
        dims = dims.tolist()
    if not isinstance(dims, (list, tuple)) or not dims:
        raise InputError(f"dims: expected a sequence of sizes, got {validate.shown(dims)}")
    if len(dims) > MOST_MODES:
        raise InputError(f"dims: expected at most {MOST_MODES} sizes, got {len(dims)}")
    sizes = tuple(validate.integer(n, name="dims", low=0, high=LARGEST) for n in dims)
    if math.prod(sizes) != m:
        raise InputError(f"dims: expected sizes whose product is m = {m}, got {sizes}")
    return sizes

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The row-wise Khatri-Rao product of sign maps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from randnla._backend.kernels import dense, factored_maps
from randnla.sketching.base import Array, Range
from randnla.sketching.factored_map import FactoredMap, block_width


class KhatriRaoSketch(FactoredMap):
    """Rows are Kronecker products of independent sign vectors, over ``sqrt(d)``.

    Parameters
    ----------
    d, m, rng, dtype, stream
        As for `RandomMap`; d at most 2^56.
    dims : sequence of int
        Sizes of at most 64 modes, with product m; the last varies fastest along the columns.

    Raises
    ------
    InputError
        `dims` are no sizes, or their product is not m.

    Notes
    -----
    *Algorithm*: the tensor random projection of Sun, Guo, Tropp and Udell (2018) with signs. For K modes
    ``d E(|S x|^2 - |x|^2)^2 <= 3^K |x|^4``: every mode costs a factor of three in d in the worst case.
    `apply_khatri_rao` and `apply_kronecker` sketch products of factors without forming them. The signs are
    the same for both dtypes.

    *Cost*: 2 d m n flops for an (m, n) array; d sum(dims) random bits.

    Examples
    --------
    >>> import numpy as np
    >>> S = KhatriRaoSketch(4, 6, dims=(2, 3), rng=0)
    >>> A, B = np.arange(4.0).reshape(2, 2), np.arange(6.0).reshape(3, 2)
    >>> bool(np.allclose(S @ np.kron(A, B), S.apply_kronecker([A, B])))
    True
    """

    kind: ClassVar[str] = "khatri_rao"
    _largest_size: ClassVar[int] = 1 << 56

    def _signs(self, mode: int, rows: Range, cols: Range, dtype: Any) -> Array:
        modes = len(self.dims)
        return factored_maps.factor_signs(
            seed=self.seed, stream=self.stream, modes=modes, mode=mode, rows=rows, cols=cols, dtype=dtype
        )

    def _blocks(self) -> Iterator[tuple[int, int, Array]]:
        """Blocks (first column, last, entries)."""
        rows, height = self._rows, max(1, self.shape[0])
        scale = self.dtype.type(1.0 / math.sqrt(self.d))
        for start, stop, modes in self._index_blocks(block_width(self.dtype.itemsize * height)):
            block = np.full((self.shape[0], stop - start), scale)
            for k, (cols, places) in enumerate(modes):
                block *= np.take(self._signs(k, rows, cols, self.dtype), places, axis=1)
            yield start, stop, block

    def _fill(self, out: Array) -> None:
        for start, stop, block in self._blocks():
            out[:, start:stop] = block

    def _apply(self, A: Array, out: Array) -> None:
        for start, stop, block in self._blocks():
            dense.gemm(block, A[start:stop], out, beta=0.0 if start == 0 else 1.0)

    def _apply_adjoint(self, B: Array, out: Array) -> None:
        for start, stop, block in self._blocks():
            dense.gemm(block.T, B, out[start:stop])

    def _sketch_factor(self, mode: int, F: Array) -> Array:
        out = np.zeros((self.d, F.shape[1]), dtype=F.dtype)
        step = block_width(F.dtype.itemsize * self.d)
        for start in range(0, len(F), step):
            cols = (start, min(start + step, len(F)))
            signs = self._signs(mode, (0, self.d), cols, F.dtype)
            dense.gemm(signs, F[start : cols[1]], out, beta=1.0)
        return out

    def _combined(self, sketches: Sequence[Array], *, outer: bool) -> Array:
        total: Array = sketches[0] * sketches[0].dtype.type(self.dtype.type(1.0 / math.sqrt(self.d)))
        for other in sketches[1:]:
            total = (total[:, :, None] * other[:, None]).reshape(self.d, -1) if outer else total * other
        return total

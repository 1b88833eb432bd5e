# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The TensorSketch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import scipy.fft
import scipy.sparse

from randnla._backend.kernels import factored_maps
from randnla.sketching.base import Array, Range
from randnla.sketching.factored_map import FactoredMap, block_width


class TensorSketch(FactoredMap):
    """One entry ``+-1`` a column: the positions of its modes are summed modulo d, their signs multiplied.

    Parameters
    ----------
    d, m, dims, rng, dtype, stream
        As for `KhatriRaoSketch`; d at most 2^31.

    Raises
    ------
    InputError
        As for `KhatriRaoSketch`.

    Notes
    -----
    *Algorithm*: Pham and Pagh (2013). The sketch of a Kronecker product is the circular convolution of the
    CountSketches of its factors, so `apply_khatri_rao` and `apply_kronecker` multiply Fourier transforms of
    length d. For K modes ``d E |A^T S^T S B - A^T B|_F^2 <= (2 + 3^K) |A|_F^2 |B|_F^2`` (Avron, Nguyen and
    Woodruff, 2014). The entries are the same for both dtypes.

    *Cost*: m n additions for an (m, n) array; for factors of r columns r (sum(dims) + K d log d).

    Examples
    --------
    >>> import numpy as np
    >>> S, x, y = TensorSketch(5, 6, dims=(2, 3), rng=0), np.ones((2, 1)), np.arange(3.0)[:, None]
    >>> bool(np.allclose(S.apply_khatri_rao([x, y]), S @ np.kron(x, y)))
    True
    """

    kind: ClassVar[str] = "tensor_sketch"
    _largest_size: ClassVar[int] = 1 << 31

    def _columns(self, mode: int, cols: Range) -> tuple[Array, Array]:
        return factored_maps.factor_columns(
            seed=self.seed, stream=self.stream, mode=mode, d=self.d, cols=cols
        )

    def _blocks(self, width: int = 1) -> Iterator[tuple[int, int, Any]]:
        """Blocks (first column, last, CSC block); `width`: columns of what they are to meet."""
        for start, stop, modes in self._index_blocks(block_width(max(32, self.dtype.itemsize * width))):
            where = np.zeros(stop - start, dtype=np.int64)
            signs = np.ones(stop - start, dtype=np.int8)
            for k, (cols, places) in enumerate(modes):
                position, sign = self._columns(k, cols)
                where += position[places]
                where[where >= self.d] -= self.d
                signs *= sign[places]
            inside = (where >= self._rows[0]) & (where < self._rows[1])
            indptr = np.concatenate([[0], np.cumsum(inside)])
            entries = (signs[inside].astype(self.dtype), where[inside] - self._rows[0], indptr)
            yield start, stop, scipy.sparse.csc_array(entries, shape=(self.shape[0], stop - start))

    def to_sparse(self) -> Any:
        """The map as a SciPy CSC array."""
        blocks = [block for _, _, block in self._blocks()]
        if not blocks:
            return scipy.sparse.csc_array(self.shape, dtype=self.dtype)
        return scipy.sparse.hstack(blocks, format="csc")

    def _fill(self, out: Array) -> None:
        for start, stop, block in self._blocks():
            out[:, start:stop] = block.toarray()

    def _apply(self, A: Array, out: Array) -> None:
        out[...] = 0
        for start, stop, block in self._blocks(A.shape[1]):
            out += block @ A[start:stop]

    def _apply_adjoint(self, B: Array, out: Array) -> None:
        for start, stop, block in self._blocks(B.shape[1]):
            out[start:stop] = block.T @ B

    def _sketch_factor(self, mode: int, F: Array) -> Array:
        positions, signs = self._columns(mode, (0, len(F)))
        indptr = np.arange(len(F) + 1)
        C = scipy.sparse.csc_array((signs.astype(F.dtype), positions, indptr), shape=(self.d, len(F)))
        return np.asarray(C @ F)

    def _combined(self, sketches: Sequence[Array], *, outer: bool) -> Array:
        if len(sketches) == 1:
            return sketches[0]
        total, *rest = (scipy.fft.rfft(Y, axis=0) for Y in sketches)
        for other in rest:
            total = (total[:, :, None] * other[:, None]).reshape(len(total), -1) if outer else total * other
        return np.asarray(scipy.fft.irfft(total, n=self.d, axis=0))

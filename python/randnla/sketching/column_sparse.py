# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Maps with a few nonzeros in every column."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import scipy.sparse

from randnla._backend.kernels import sparse_maps
from randnla.sketching.base import BLOCK_BYTES, Array, RandomMap, sketch_compressed


class ColumnSparseMap(RandomMap):
    """Base of the maps with `nnz` entries ``+-1/sqrt(nnz)`` in distinct rows of every column."""

    kind: ClassVar[sparse_maps.SparseKind]
    nnz: int = 1

    @property
    def _scale(self) -> float:
        # Columns of unit length with independent signs give E[S^T S] = I.
        return 1.0 / math.sqrt(self.nnz)

    def _has_device_kernel(self, *, adjoint: bool) -> bool:
        return self.is_whole

    def _apply(self, A: Array, out: Array) -> None:
        self._run(A, out, adjoint=False)

    def _apply_adjoint(self, B: Array, out: Array) -> None:
        self._run(B, out, adjoint=True)

    def _run(self, A: Array, out: Array, *, adjoint: bool) -> None:
        sparse_maps.apply_sparse_map(
            A,
            out,
            kind=self.kind,
            seed=self.seed,
            stream=self.stream,
            d=self.d,
            nnz=self.nnz,
            row_start=self._rows[0],
            col_start=self._cols[0],
            scale=self._scale,
            adjoint=adjoint,
        )

    def _fill(self, out: Array) -> None:
        out[...] = 0
        for start, columns in self._column_blocks():
            # Distinct positions within a column: no two entries meet.
            entries = columns.tocoo()
            out[entries.row, entries.col + start] = entries.data

    def _column_blocks(self) -> Any:
        """Pairs (first column, CSC block of the map), a few MB at a time."""
        width = self.shape[1]
        step = max(1, BLOCK_BYTES // (24 * self.nnz))
        for start in range(0, width, step):
            stop = min(start + step, width)
            positions, signs = sparse_maps.sparse_map_columns(
                kind=self.kind,
                seed=self.seed,
                stream=self.stream,
                d=self.d,
                nnz=self.nnz,
                col_start=self._cols[0] + start,
                col_stop=self._cols[0] + stop,
                dtype=self.dtype,
            )
            values = signs.ravel().astype(self.dtype) * self.dtype.type(self._scale)
            indptr = np.arange(stop - start + 1, dtype=np.int64) * self.nnz
            block = scipy.sparse.csc_array((values, positions.ravel(), indptr), shape=(self.d, stop - start))
            whole = self._rows == (0, self.d)
            yield start, block if whole else block[self._rows[0] : self._rows[1]]

    def to_sparse(self) -> Any:
        """The map as a SciPy CSC array."""
        blocks = [block for _, block in self._column_blocks()]
        if not blocks:
            return scipy.sparse.csc_array(self.shape, dtype=self.dtype)
        return scipy.sparse.hstack(blocks, format="csc")

    def _apply_compressed(self, A: Any, out: Array, *, adjoint: bool) -> None:
        if not adjoint and out.dtype == self.dtype:
            sketch_compressed(self, A, out, nnz=self.nnz, scale=self._scale)
            return
        for start, block in self._column_blocks():
            part = slice(start, start + block.shape[1])
            product = (block.T @ A if adjoint else block @ A[part]).tocoo()
            rows = product.row + start if adjoint else product.row
            # A sparse product holds each place once.
            out[rows, product.col] += product.data

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Maps whose every entry is an independent random number."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from randnla._backend.kernels import streams
from randnla.sketching.base import Array, RandomMap, sketch_compressed


class DenseMap(RandomMap):
    """Base of the maps with independent entries; products generate the entries as they go."""

    kind: ClassVar[streams.DenseKind]

    @property
    def _scale(self) -> float:
        # Entries of variance 1/d give E[S^T S] = I.
        return 1.0 / math.sqrt(self.d)

    def _has_device_kernel(self, *, adjoint: bool) -> bool:
        return True

    def _apply(self, A: Array, out: Array) -> None:
        self._run(A, out, adjoint=False)

    def _apply_adjoint(self, B: Array, out: Array) -> None:
        self._run(B, out, adjoint=True)

    def _run(self, A: Array, out: Array, *, adjoint: bool) -> None:
        streams.apply_dense_map(
            A,
            out,
            kind=self.kind,
            seed=self.seed,
            stream=self.stream,
            row_start=self._rows[0],
            col_start=self._cols[0],
            scale=self._scale,
            adjoint=adjoint,
        )

    def _apply_compressed(self, A: Any, out: Array, *, adjoint: bool) -> None:
        if adjoint or out.dtype != self.dtype:
            super()._apply_compressed(A, out, adjoint=adjoint)
        else:
            sketch_compressed(self, A, out, nnz=1, scale=self._scale)

    def _fill(self, out: Array) -> None:
        streams.fill_dense_map(
            out,
            kind=self.kind,
            seed=self.seed,
            stream=self.stream,
            row_start=self._rows[0],
            col_start=self._cols[0],
            scale=self._scale,
        )

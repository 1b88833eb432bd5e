# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The sparse sign map."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from randnla._backend import validate
from randnla._backend.kernels import sparse_maps
from randnla.sketching.column_sparse import ColumnSparseMap


class SparseSign(ColumnSparseMap):
    """`nnz` entries ``+-1/sqrt(nnz)`` in distinct rows of every column.

    Parameters
    ----------
    d, m, rng, dtype, stream
        As for `RandomMap`.
    nnz : int, default 8
        Nonzeros a column; at most `d` are used.

    Notes
    -----
    *Algorithm*: rows by Floyd's sampling without replacement. With nnz = O(log k) and d = O(k log k) it
    embeds every k-dimensional subspace (Cohen, 2016); 8 suffices in practice.

    *Cost*: 2 nnz m n flops, one pass over the input at memory speed.

    References
    ----------
    Martinsson, Tropp, "Randomized numerical linear algebra", Acta Numerica 29 (2020), section 9.2.

    Examples
    --------
    >>> S = SparseSign(16, 50, nnz=4, rng=0)
    >>> (S.to_dense() != 0).sum(axis=0).tolist() == [4] * 50
    True
    """

    kind: ClassVar[sparse_maps.SparseKind] = "sparse_sign"
    _state_fields: ClassVar[tuple[str, ...]] = ("nnz",)

    def __init__(
        self, d: int, m: int, *, nnz: int = 8, rng: Any = None, dtype: Any = np.float64, stream: int = 0
    ) -> None:
        super().__init__(d, m, rng=rng, dtype=dtype, stream=stream)
        self.nnz = min(validate.integer(nnz, name="nnz", low=1), self.d)

    def _extra_state(self) -> dict[str, Any]:
        return {"nnz": self.nnz}

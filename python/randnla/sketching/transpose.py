# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The transpose of a random map."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from randnla._backend import namespace
from randnla.operators import LinearOperator
from randnla.sketching.base import RandomMap, axes_of, factor, factor_array, right_product

Array = npt.NDArray[Any]


class TransposedMap:
    """``S.T`` for a random map S: shape (m, d), nothing stored."""

    is_map_transpose = True
    __array_ufunc__ = None
    __array_priority__ = 2000.0
    ndim = 2

    def __init__(self, base: RandomMap) -> None:
        self.base = base

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.base.shape[::-1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the entries."""
        return self.base.dtype

    @property
    def T(self) -> RandomMap:
        """The map itself."""
        return self.base

    def __getitem__(self, index: Any) -> TransposedMap:
        rows, cols = axes_of(index)
        return TransposedMap(self.base[cols, rows])

    def to_dense(self) -> Array:
        """The transpose as an array."""
        return self.base.to_dense().T

    def __matmul__(self, B: Any) -> Any:
        B = factor(B, "B")
        if isinstance(B, LinearOperator):
            # S^T B = (B^H S)^H
            return self._adjoint_of_operator(B.H).conj().T
        if namespace.is_sparse(B):
            return self.base.apply_adjoint_sparse(B)
        return namespace.restore(namespace.kind_of(B), self.base.apply_adjoint(B))

    def __rmatmul__(self, A: Any) -> Any:
        # A S^T = (S A^T)^T
        A = factor(A, "A")
        if isinstance(A, LinearOperator):
            return A.rsketch(self.base)
        if namespace.is_sparse(A):
            return self.base.apply_sparse(A.T).T
        array = factor_array(A, "A")
        return namespace.restore(namespace.kind_of(A), right_product(self.base, array, adjoint=False))

    def _adjoint_of_operator(self, B: LinearOperator) -> Array:
        """``B @ S`` for an operator B (k, d): a block of columns of S at a time."""
        S = self.base
        B._match(S.shape[0], B.shape[1], "B @ S", S.shape)
        out = np.empty((B.shape[0], S.shape[1]), dtype=np.result_type(S.dtype, B.dtype))
        step = max(1, (8 << 20) // (S.dtype.itemsize * max(1, S.shape[0])))
        for start in range(0, S.shape[1], step):
            part = slice(start, min(start + step, S.shape[1]))
            out[:, part] = B.matmat(S[:, part].to_dense())
        return out

    def __repr__(self) -> str:
        return f"{self.base!r}.T"

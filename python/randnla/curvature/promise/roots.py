# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Roots of the Hessian of a sample, dense and sparse."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse

from randnla._backend import namespace, validate
from randnla._backend.kernels import dense
from randnla._backend.kernels.dense import Array
from randnla._backend.kernels.woodbury import window_combine, window_dots
from randnla.operators import Sparse

from .protocol import Root


class DenseRoot:
    """A root as an array of shape (rows, dim)."""

    def __init__(self, R: Array) -> None:
        self.array = R
        self.rows, self.dim = R.shape
        self.dtype = R.dtype
        self._seen: dense.Screen | None = None

    @cached_property
    def _rows(self) -> Array:
        return np.ascontiguousarray(self.array)

    @property
    def _screen(self) -> dense.Screen:
        if self._seen is None:
            self._seen = dense.screen(self.array)
        return self._seen

    @property
    def problem(self) -> str:
        """What NaN or Inf it holds, "" for none."""
        if self._screen.finite:
            return ""
        count, first = dense.first_non_finite(self.array)
        return str(validate.non_finite("hessian_root", count, first or (0, 0)))

    @property
    def trace(self) -> float:
        """Of H."""
        return self._screen.frobenius_norm**2

    def times(self, V: Array) -> Array:
        """``R^T R V``."""
        return dense.gemm(self.array.T, dense.gemm(self.array, V))

    def shifted(self, X: Array, alpha: float) -> Array:
        """``X (H + alpha I)``."""
        return self.combine(self.dots(X), alpha, X)

    def dots(self, X: Array) -> Array:
        """``R X^T`` in float64."""
        return window_dots(self._rows, X)

    def combine(self, C: Array, alpha: float, X: Array) -> Array:
        """``alpha X + C^T R``."""
        return window_combine(self._rows, C, alpha, X)

    def gram(self) -> Array:
        """``R R^T`` in float64."""
        return dense.gram(self.array.T, wide=True)

    def normal(self) -> Array:
        """``R^T R`` in float64."""
        return dense.gram(self.array, wide=True)

    def diagonal(self) -> Array:
        """Sums of squares of the columns, in float64."""
        return np.asarray(np.einsum("ij,ij->j", self.array, self.array, dtype=np.float64))

    def sketched(self, S: Any) -> Root:
        """The root ``S R``."""
        return DenseRoot(np.ascontiguousarray(S @ self.array, dtype=self.dtype))

    def owned(self) -> Root:
        """A contiguous copy."""
        return DenseRoot(np.array(self.array, order="C"))

    def state(self) -> dict[str, Any]:
        """Plain arrays."""
        return {"root": "dense", "array": np.array(self.array, order="C")}

    def widened(self) -> Root:
        """In float64."""
        return DenseRoot(self.array.astype(np.float64))


class SparseRoot:
    """A root in compressed rows, its numbers in float64; it never becomes dense."""

    def __init__(self, R: Any) -> None:
        self.matrix = scipy.sparse.csr_array(R)
        self.rows, self.dim = self.matrix.shape
        self.dtype = np.dtype(np.float64)
        self._operator = Sparse(self.matrix)

    @property
    def problem(self) -> str:
        """What NaN or Inf it holds, "" for none."""
        if validate.is_finite(self.matrix.data):
            return ""
        bad = int(np.count_nonzero(~np.isfinite(self.matrix.data)))
        return f"hessian_root: {bad} stored entries are NaN or Inf"

    @property
    def trace(self) -> float:
        """Of H."""
        return float(self._operator.frobenius_norm() ** 2)

    def times(self, V: Array) -> Array:
        """``R^T R V``."""
        return np.asarray(self._operator.rmatmat(self._operator.matmat(V)))

    def shifted(self, X: Array, alpha: float) -> Array:
        """``X (H + alpha I)``."""
        return self.combine(self.dots(X), alpha, X)

    def dots(self, X: Array) -> Array:
        """``R X^T``."""
        return np.asarray(self.matrix @ X.T)

    def combine(self, C: Array, alpha: float, X: Array) -> Array:
        """``alpha X + C^T R``."""
        return np.asarray(alpha * X + (self.matrix.T @ C).T)

    def gram(self) -> Array:
        """``R R^T``."""
        return np.asarray((self.matrix @ self.matrix.T).toarray())

    def normal(self) -> Array:
        """``R^T R``."""
        return np.asarray((self.matrix.T @ self.matrix).toarray())

    def diagonal(self) -> Array:
        """Sums of squares of the columns."""
        return np.asarray(self.matrix.multiply(self.matrix).sum(axis=0)).ravel()

    def sketched(self, S: Any) -> Root:
        """The root ``S R``: dense for a map, sparse for a sparse S."""
        made = S @ self.matrix
        return SparseRoot(made) if namespace.is_sparse(made) else DenseRoot(made)

    def owned(self) -> Root:
        """A copy."""
        return SparseRoot(self.matrix.copy())

    def state(self) -> dict[str, Any]:
        """Plain arrays."""
        held = self.matrix
        return {
            "root": "sparse",
            "data": held.data.copy(),
            "indices": held.indices.astype(np.int64),
            "indptr": held.indptr.astype(np.int64),
            "shape": np.array(held.shape, dtype=np.int64),
        }

    def widened(self) -> Root:
        """As it is."""
        return self

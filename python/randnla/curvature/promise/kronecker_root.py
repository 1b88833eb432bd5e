# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The root of the Hessian of a sample whose loss has several outputs: Kronecker products of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from randnla._backend import namespace, validate
from randnla._backend.kernels.dense import Array

from .protocol import Root
from .roots import DenseRoot, SparseRoot


class KroneckerRoot:
    """Rows ``a_i (x) S_i[:, r]`` of rows a_i (p,) of the data and columns of factors S_i (k, m).

    With ``S_i S_i^T`` the Hessian of the loss of sample i in its k outputs, ``H = sum_i (a_i a_i^T) (x)
    (S_i S_i^T)`` is that in weights (p, k), flattened row by row. Neither H nor the root is formed.

    Parameters
    ----------
    A : array or CSR array, shape (n, p)
    S : (n, k, m) array
    """

    def __init__(self, A: Any, S: Array) -> None:
        self.sparse = namespace.is_sparse(A)
        self.A = scipy.sparse.csr_array(A) if self.sparse else A
        self.S = S.astype(np.float64, copy=False)
        n, k, m = S.shape
        self.rows, self.dim = n * m, self.A.shape[1] * k
        self.dtype = np.dtype(np.float64) if self.sparse else A.dtype
        self._k = k

    @property
    def problem(self) -> str:
        """What NaN or Inf it holds, "" for none."""
        held = self.A.data if self.sparse else self.A
        if validate.is_finite(held) and validate.is_finite(self.S):
            return ""
        return "hessian_root: data or curvature of a sample are NaN or Inf"

    @property
    def trace(self) -> float:
        """Of H."""
        return float(self._squares() @ np.einsum("nkm,nkm->n", self.S, self.S))

    def _squares(self) -> Array:
        if self.sparse:
            return np.asarray(self.A.multiply(self.A).sum(axis=1)).ravel()
        return np.asarray(np.einsum("ij,ij->i", self.A, self.A, dtype=np.float64))

    def times(self, V: Array) -> Array:
        """``R^T R V``."""
        X = np.ascontiguousarray(V.T)
        return self.combine(self.dots(X), 0.0, X).T

    def shifted(self, X: Array, alpha: float) -> Array:
        """``X (H + alpha I)``."""
        return self.combine(self.dots(X), alpha, X)

    def dots(self, X: Array) -> Array:
        """``R X^T``."""
        count, k = len(X), self._k
        W = X.reshape(count, -1, k).transpose(1, 0, 2).reshape(self.A.shape[1], count * k)
        Z = np.asarray(self.A @ W, dtype=np.float64).reshape(-1, count, k)
        return np.asarray(np.einsum("ntk,nkm->nmt", Z, self.S).reshape(self.rows, count))

    def combine(self, C: Array, alpha: float, X: Array) -> Array:
        """``alpha X + C^T R``."""
        n, k, m = self.S.shape
        count = C.shape[1]
        Z = np.einsum("nmt,nkm->ntk", C.reshape(n, m, count), self.S).reshape(n, count * k)
        G = np.asarray(self.A.T @ Z.astype(self.A.dtype, copy=False)).reshape(-1, count, k)
        total = alpha * X + G.transpose(1, 0, 2).reshape(count, self.dim)
        return np.asarray(total.astype(X.dtype, copy=False))

    def gram(self) -> Array:
        """``R R^T`` in float64: inner products of rows times those of the columns of S."""
        n, _, m = self.S.shape
        inner = self.A @ self.A.T
        plain = inner.toarray() if self.sparse else np.asarray(inner, dtype=np.float64)
        return np.asarray(
            np.einsum("ij,ikr,jks->irjs", plain, self.S, self.S, optimize=True).reshape(n * m, n * m)
        )

    def normal(self) -> Array:
        """H in float64."""
        k, p = self._k, self.A.shape[1]
        H = np.empty((p, k, p, k))
        M = np.einsum("nkm,nlm->nkl", self.S, self.S)
        for i in range(k):
            for j in range(k):
                weighted = self.A.multiply(M[:, i, j, None]) if self.sparse else self.A * M[:, i, j, None]
                block = self.A.T @ weighted
                H[:, i, :, j] = block.toarray() if self.sparse else block
        return H.reshape(p * k, p * k)

    def diagonal(self) -> Array:
        """Of H, in float64."""
        squares = self.A.multiply(self.A) if self.sparse else self.A.astype(np.float64) ** 2
        return np.asarray(squares.T @ np.einsum("nkm,nkm->nk", self.S, self.S)).ravel()

    def sketched(self, S: Any) -> Root:
        """The root ``S R``, dense."""
        columns = S.toarray().T if namespace.is_sparse(S) else S.to_dense().T
        zeros = np.zeros((S.shape[0], self.dim), self.dtype)
        return DenseRoot(self.combine(columns.astype(np.float64), 0.0, zeros))

    def owned(self) -> Root:
        """A copy."""
        return KroneckerRoot(self.A.copy(), self.S.copy())

    def state(self) -> dict[str, Any]:
        """Plain arrays."""
        held = SparseRoot(self.A).state() if self.sparse else {"array": np.array(self.A, order="C")}
        return {**held, "root": "kronecker", "S": self.S.copy()}

    def widened(self) -> Root:
        """In float64."""
        return KroneckerRoot(self.A.astype(np.float64), self.S)

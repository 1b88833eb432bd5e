# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The Hessian of a sample, by a root (dense, sparse, or of Kronecker products of rows) or by its products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import scipy.sparse

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import dense
from randnla._backend.kernels.dense import Array
from randnla._backend.kernels.woodbury import window_combine, window_dots
from randnla.operators import Sparse

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class Source(Protocol):
    """A symmetric matrix H of order `dim`."""

    dim: int
    dtype: np.dtype[Any]

    @property
    def problem(self) -> str:
        """What NaN or Inf it is known to hold, "" for none."""

    def times(self, V: Array) -> Array:
        """``H V`` of V (dim, k)."""

    def widened(self) -> Source:
        """The same in float64."""


class Root(Source, Protocol):
    """``H = R^T R`` by its root R (rows, dim)."""

    rows: int

    @property
    def trace(self) -> float:
        """Of H."""

    def dots(self, X: Array) -> Array:
        """``R X^T`` (rows, k) in float64, of contiguous X (k, dim)."""

    def combine(self, C: Array, alpha: float, X: Array) -> Array:
        """``alpha X + C^T R`` (k, dim) in the dtype of X, of C (rows, k) in float64."""

    def gram(self) -> Array:
        """``R R^T`` in float64."""

    def normal(self) -> Array:
        """H in float64."""

    def diagonal(self) -> Array:
        """Of H, in float64."""

    def sketched(self, S: Any) -> Root:
        """The root ``S R``, of a random map or a sparse matrix S."""

    def owned(self) -> Root:
        """One that shares no memory with what it was made of."""

    def state(self) -> dict[str, Any]:
        """Plain arrays for `root_of`."""

    def widened(self) -> Root:
        """The same in float64."""


class DenseRoot:
    """A root as an array of shape (rows, dim)."""

    def __init__(self, R: Array) -> None:
        self.array = R
        self.rows, self.dim = R.shape
        self.dtype = R.dtype
        self._seen: dense.Screen | None = None

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

    def dots(self, X: Array) -> Array:
        """``R X^T`` in float64."""
        return window_dots(np.ascontiguousarray(self.array), X)

    def combine(self, C: Array, alpha: float, X: Array) -> Array:
        """``alpha X + C^T R``."""
        return window_combine(np.ascontiguousarray(self.array), C, alpha, X)

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


class Products:
    """A Hessian by its products: ``hvp(V)`` of V (dim, k)."""

    def __init__(self, hvp: Callable[[Array], Any], dim: int, dtype: np.dtype[Any], name: str) -> None:
        self.hvp, self.dim, self.dtype, self.name = hvp, dim, dtype, name
        self.problem = ""

    def times(self, V: Array) -> Array:
        """``H V``."""
        found = validate.as_array(self.hvp(V), name=self.name)
        if found.shape != V.shape:
            raise InputError(f"{self.name}: expected products of shape {V.shape}, got {found.shape}")
        if found.dtype.kind == "c":
            raise InputError(f"{self.name}: expected real products, got {found.dtype}")
        return np.array(found, dtype=V.dtype, order="C")

    def widened(self) -> Products:
        """Of float64 vectors."""
        return Products(self.hvp, self.dim, np.dtype(np.float64), self.name)


def source_of(
    hessian_root: Any = None,
    hvp: Callable[[Array], Any] | None = None,
    *,
    dim: int | None = None,
    dtype: Any = np.float64,
    name: str = "hessian_root",
) -> Source:
    """What an update is given, checked.

    Parameters
    ----------
    hessian_root : array or sparse matrix of shape (b, p), or a root of `randnla.curvature`
        Real.
    hvp : callable
        From V (p, k) to H V.
    dim, dtype : int, float32 or float64
        For `hvp`: p, and what V is given in.

    Raises
    ------
    InputError
    """
    if (hessian_root is None) == (hvp is None):
        raise InputError(f"{name}, hvp: expected one of them, got {'none' if hvp is None else 'both'}")
    if hvp is not None:
        return products_of(hvp, dim, dtype, name="hvp")
    if isinstance(hessian_root, (DenseRoot, SparseRoot, KroneckerRoot)):
        return hessian_root
    if namespace.is_sparse(hessian_root):
        if hessian_root.ndim != 2 or 0 in hessian_root.shape or hessian_root.dtype.kind not in "biuf":
            raise InputError(
                f"{name}: expected real numbers of shape (b, p), "
                f"got {hessian_root.shape}, {hessian_root.dtype}"
            )
        return SparseRoot(hessian_root.astype(np.float64))
    R = validate.as_array(hessian_root, name=name)
    if R.dtype not in _FLOATS or 0 in R.shape:
        raise InputError(f"{name}: expected real numbers of shape (b, p), got {R.shape}, {R.dtype}")
    return DenseRoot(R)


def products_of(hvp: Any, dim: Any, dtype: Any, *, name: str) -> Products:
    """Products, checked."""
    if not callable(hvp):
        raise InputError(f"{name}: expected a callable, got {type(hvp).__name__}")
    if dim is None:
        raise InputError(f"dim: expected the length of a vector with {name}, got None")
    return Products(hvp, validate.integer(dim, name="dim", low=1), validate.map_dtype(dtype), name)


def root_of(state: dict[str, Any]) -> Root:
    """The root that `Root.state` describes."""
    if state["root"] == "dense":
        return DenseRoot(np.array(state["array"], order="C"))
    if "data" in state:
        parts = (np.array(state[key]) for key in ("data", "indices", "indptr"))
        A: Any = scipy.sparse.csr_array(tuple(parts), shape=tuple(int(n) for n in state["shape"]))
        A.check_format(full_check=True)  # places outside of A would be read
    else:
        A = np.array(state["array"], order="C")
    return SparseRoot(A) if state["root"] == "sparse" else KroneckerRoot(A, np.array(state["S"]))

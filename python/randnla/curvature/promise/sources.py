# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The Hessian of a sample as an update is given it: by a root, or by its products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.kernels.dense import Array

from .kronecker_root import KroneckerRoot
from .protocol import Root, Source
from .roots import DenseRoot, SparseRoot

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


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

    def shifted(self, X: Array, alpha: float) -> Array:
        """``X (H + alpha I)``."""
        return np.ascontiguousarray(self.times(X.T).T + X.dtype.type(alpha) * X)

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

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""From whatever the user hands in to an operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse.linalg

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla.operators.base import LinearOperator, is_map
from randnla.operators.dense import Dense
from randnla.operators.device import DeviceDense
from randnla.operators.row_stream import RowStream
from randnla.operators.sparse import Sparse
from randnla.operators.wrapped import Wrapped


def as_operator(
    A: Any,
    *,
    name: str = "A",
    check_finite: bool = True,
    max_memory: int | None = None,
    device: bool = False,
) -> LinearOperator:
    """`A` as an operator: operators pass through, arrays and sparse matrices are wrapped without a copy.

    Parameters
    ----------
    A : array, sparse matrix, memmap, operator of ours or of SciPy
        A memmap becomes a `RowStream` (one in Fortran order, the transpose of one).
    name : str
        What errors call it.
    check_finite : bool, default True
        Whether drivers are to look for NaN and Inf; streams and foreign operators look themselves.
    max_memory : int, optional
        Bytes that blocks read from a memmap may take.
    device : bool, default False
        Whether the caller can work on a GPU: an array there becomes a `DeviceDense`. Else it is refused.

    Raises
    ------
    InputError
        `A` is not two-dimensional, holds no supported numbers, or is nothing of the kind.

    Examples
    --------
    >>> import numpy as np
    >>> as_operator(np.ones((3, 2), dtype=np.float32))
    <3 x 2 Dense of float32>
    """
    check_finite = validate.flag(check_finite, name="check_finite")
    max_memory = validate.memory(max_memory)
    if isinstance(A, LinearOperator):
        return A
    if is_map(A):
        raise InputError(f"{name}: a random map is no input; apply it with @ or take its .to_dense()")
    if device and namespace.kind_of(A).on_device:
        entries, _ = validate.native_array(A, name=name, ndim=2)
        return DeviceDense(entries)
    if namespace.is_sparse(A):
        return Sparse(A, name=name, check_finite=check_finite)
    if _is_memmap(A):
        if A.ndim != 2:
            raise InputError(f"{name}: expected 2 dimensions, got {A.ndim} (shape {A.shape})")
        if abs(A.strides[0]) < abs(A.strides[1]):
            return RowStream(A.T, max_memory=max_memory, name=name, check_finite=check_finite).T
        return RowStream(A, max_memory=max_memory, name=name, check_finite=check_finite)
    if is_foreign(A):
        return Wrapped(A, name=name, check_finite=check_finite)
    return Dense(A, name=name, check_finite=check_finite)


def _is_memmap(A: Any) -> bool:
    """A memmap, or a view of one: a slice or a plain-array view keeps the map alive as its base."""
    while isinstance(A, np.ndarray):
        if isinstance(A, np.memmap):
            # Arithmetic on a memmap gives a memmap type in plain memory, without a map.
            return getattr(A, "_mmap", None) is not None
        A = A.base
    return False


def is_foreign(A: Any) -> bool:
    """An operator of SciPy, or what acts like one, but none of ours and no map."""
    if isinstance(A, LinearOperator) or is_map(A) or getattr(A, "is_map_transpose", False):
        return False
    if isinstance(A, scipy.sparse.linalg.LinearOperator):
        return True
    if isinstance(A, np.ndarray) or hasattr(A, "__array__"):
        return False
    return hasattr(A, "shape") and (hasattr(A, "matmat") or hasattr(A, "matvec"))


def dense_entries(A: Any, *, name: str = "A") -> Any:
    """What algorithms that need all entries at once take: an array as it is, or that of a `Dense`.

    Raises
    ------
    InputError
        `A` is sparse, or known by its products or its rows only.
    """
    if isinstance(A, Dense):
        return A.array
    if namespace.is_sparse(A):
        raise InputError(f"{name}: expected a dense matrix, got a sparse one; densify it first")
    if isinstance(A, LinearOperator) or is_foreign(A):
        raise InputError(
            f"{name}: expected a matrix of entries, got a {type(A).__name__}; its to_dense() is one"
        )
    return A

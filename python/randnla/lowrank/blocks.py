# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Rows that arrive in blocks: checked whole before any is used, dense a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla.operators import Dense, LinearOperator, RowStream, Sparse
from randnla.operators.algebra import Transposed

from .scaling import Array


def stream_dtype(dtype: Any) -> np.dtype[Any]:
    """float32, float64, complex64 or complex128."""
    try:
        given = np.dtype(dtype)
    except TypeError as problem:
        raise InputError(f"dtype: expected a floating dtype, got {validate.shown(dtype)}") from problem
    if dtype is None or given.char not in "fdFD":
        raise InputError(f"dtype: expected float32/64 or complex64/128, got {validate.shown(dtype)}")
    native: np.dtype[Any] = given.newbyteorder("=")
    return native


def dense_blocks(
    op: LinearOperator, columns: int, dtype: np.dtype[Any], height: int, *, name: str = "rows"
) -> Iterator[Array]:
    """Blocks of at most `height` rows of an array, sparse matrix or row stream, in `dtype`.

    Arrays and sparse matrices are checked before the first block is given; streams block by block.

    Raises
    ------
    InputError, NonFiniteError
    """
    op = _read_by_rows(op)
    if not isinstance(op, (Dense, Sparse, RowStream)):
        raise InputError(
            f"{name}: expected an array, a sparse matrix or a row stream, got {type(op).__name__}"
        )
    if op.shape[1] != columns:
        raise InputError(f"{name}: expected {columns} columns, got shape {op.shape}")
    if op.dtype.kind == "c" and dtype.kind != "c":
        raise InputError(f"{name}: expected real numbers for dtype {dtype}, got {op.dtype}")
    op.require_finite(name=name)
    if isinstance(op, RowStream):
        held: Any = (block for _, block in op.blocks())
    elif isinstance(op, Dense):
        held = [validate.native(op.array, dtype, name=name)]
    else:
        held = [op.matrix.tocsr()]
    sparse_height = max(1, min(height, (8 << 20) // max(1, columns * dtype.itemsize)))
    for block in held:
        step = height if isinstance(block, np.ndarray) else sparse_height
        for start in range(0, block.shape[0], step):
            part = block[start : start + step]
            part = part if isinstance(part, np.ndarray) else part.toarray()
            yield validate.native(part, dtype, name=name)


def _read_by_rows(op: LinearOperator) -> LinearOperator:
    """What is the transpose of a stream because the mapped file lies in Fortran order, as a stream."""
    base = getattr(op, "base", None)
    if not (isinstance(op, Transposed) and isinstance(base, RowStream)):
        return op
    if not isinstance(base.source, np.ndarray):
        return op
    return RowStream(
        base.source.T,
        dtype=base.dtype,
        max_memory=base.max_memory,
        name=base.name,
        check_finite=base.check_finite,
    )

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Where a window keeps its gradients: in memory or in a file, as they are or in sixteen bits."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import CapacityError, InputError
from randnla._backend.kernels.woodbury import widened
from randnla.operators.base import Array

NARROW = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(np.uint16)}
_TOP = 14  # exponent that the largest entry of a row has in float16, one below the largest there is


def mapped(path: Any, dtype: Any, shape: tuple[int, int]) -> Array:
    """Zeros in a new file.

    Raises
    ------
    InputError
        There is such a file already, which stays as it is, or none can be made.
    CapacityError
        It does not fit; no file is left behind.
    """
    sizes = f"{shape[0]} x {shape[1]}"
    if math.prod(shape) * np.dtype(dtype).itemsize >= 1 << 62:
        raise CapacityError(f"path: {sizes} numbers do not fit in a file")
    try:
        with open(os.fspath(path), "xb"):
            pass
    except FileExistsError:
        raise InputError(f"path: expected a new file, {os.fspath(path)!r} exists") from None
    except (OSError, TypeError, ValueError) as error:
        raise InputError(f"path: expected where a new file can be made, got {path!r}: {error}") from error
    try:
        return np.memmap(path, dtype, "r+", shape=shape)
    except (OSError, ValueError, OverflowError, MemoryError) as error:
        os.unlink(path)
        raise CapacityError(f"path: {sizes} numbers do not fit: {error}") from error


class Storage:
    """Rows of numbers, (count, dim).

    Parameters
    ----------
    count, dim : int
    dtype : dtype
        Of what is written and read.
    storage : {"float16", "bfloat16"}, optional
        What is kept of it: bits of bfloat16, rounded to nearest even; or float16 with the largest entry of a
        row scaled into its uppermost binade, so that entries down to 2^-39 of it are more than zero.
    path : path, optional
        A new file, which is mapped.

    Attributes
    ----------
    rows : (count, dim) array
    scales : (count,) array
        Powers of two that rows are to be multiplied by.
    scaled : bool
    """

    def __init__(self, count: int, dim: int, dtype: Any, storage: str | None, path: Any = None) -> None:
        self.dtype = np.dtype(dtype)
        self.storage = "" if storage is None else validate.choice(storage, tuple(NARROW), name="storage")
        if storage and self.dtype != np.float32:
            raise InputError(f"storage: {storage} is for dtype float32, got {self.dtype}")
        kept = NARROW.get(self.storage, self.dtype)
        self.scaled = self.storage == "float16"
        self.scales = np.ones(count)
        if path is None:
            self.rows: Array = np.zeros((count, dim), kept)
        else:
            self.rows = mapped(path, kept, (count, dim))

    def write(self, i: int, g: Array) -> None:
        """Put (dim,) numbers of `dtype` in a row."""
        if self.storage == "bfloat16":
            bits = g.view(np.uint32) if g.flags.c_contiguous else np.ascontiguousarray(g).view(np.uint32)
            # Ties go to the even one; NaN must not be carried over into zero.
            rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
            self.rows[i] = np.where(np.isnan(g), 0x7FC0, rounded)
            return
        if self.scaled:
            top = float(np.abs(g).max(initial=0.0))
            exponent = math.frexp(top)[1] - 1 - _TOP if 0 < top < math.inf else 0
            self.scales[i] = math.ldexp(1.0, exponent)
            g = np.ldexp(g, -exponent)
        with np.errstate(over="ignore", invalid="ignore"):  # beside NaN or Inf: whoever reads it refuses it
            self.rows[i] = g

    def read(self, i: Any) -> Array:
        """What a row, or rows, hold, as numbers of `dtype`."""
        found = widened(self.rows[i])
        if self.scaled:
            found = found * self.scales[i].astype(self.dtype)[..., None]
        return np.asarray(found)

    def move(self, source: int, target: int) -> None:
        """Copy one row to another."""
        self.rows[target], self.scales[target] = self.rows[source], self.scales[source]

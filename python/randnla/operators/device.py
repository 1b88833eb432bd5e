# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""An array on a GPU as the operator of a driver."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np

from randnla._backend.device import place
from randnla._backend.errors import NonFiniteError
from randnla._backend.kernels import dense, device_dense
from randnla.operators.base import LinearOperator


class DeviceDense(LinearOperator):
    """A real matrix on a GPU, taken without a copy; its products are of blocks there and stay there.

    Made by the functions that take such arrays; it is no operator for others.

    Parameters
    ----------
    entries : cupy.ndarray of shape (m, n), float32 or float64
    """

    on_device = True

    def __init__(self, entries: Any) -> None:
        rows, cols = entries.shape
        super().__init__((rows, cols), entries.dtype)
        self.entries = entries

    def _matmat(self, X: Any) -> Any:
        return dense.gemm(self.entries, X)

    def _rmatmat(self, Y: Any) -> Any:
        return dense.gemm(self.entries.T, Y)

    def sketch(self, S: Any) -> Any:
        """``S @ A`` by the map's own kernel."""
        self._match(S.shape[1], self.shape[0], "S @ A", S.shape)
        return S.apply(self.entries)

    def rsketch(self, S: Any) -> Any:
        """``A @ S.T`` by the map's own kernel."""
        self._match(S.shape[1], self.shape[1], "A @ S.T", S.shape)
        return S.apply(self.entries.T).T

    @property
    def T(self) -> LinearOperator:
        """The transposed matrix, a view."""
        return DeviceDense(self.entries.T)

    def _block(self, X: Any, rows: int, product: str, name: str) -> Any:
        self._match(X.shape[0], rows, product, X.shape)
        return X

    def frobenius_norm(self) -> float | None:
        """The Frobenius norm, of squares in float64; one pass, or two where these leave its range."""
        with place(self.entries):
            return self._norm_of_entries()

    def _norm_of_entries(self) -> float | None:
        m, n = self.shape
        narrow = self.entries if m >= n else self.entries.T
        peaks, squares = device_dense.column_peaks(narrow)
        largest = float(np.abs(peaks).max(initial=0.0))
        if largest == 0.0 or 1e-130 < largest < 1e130:
            return math.sqrt(float(squares.sum()))
        power = max(-1000, min(1000, -math.frexp(largest)[1])) if math.isfinite(largest) else 0
        squares = device_dense.column_peaks(narrow, 2.0**power)[1]
        norm = math.ldexp(math.sqrt(float(squares.sum())), -power)
        return norm if norm > 1e-290 else None  # below, it is rounded

    def require_finite(self, *, name: str = "A") -> None:
        """Raise `NonFiniteError` where an entry is NaN or Inf."""
        with place(self.entries):
            peaks = device_dense.column_peaks(self.entries)[0]
        if not np.isfinite(peaks).all():
            raise NonFiniteError(f"{name}: it holds NaN or Inf")


def place_of(op: LinearOperator) -> contextlib.AbstractContextManager[Any]:
    """A context in which the device of `op`, if it is on one, is the current one."""
    return place(op.entries) if isinstance(op, DeviceDense) else contextlib.nullcontext()

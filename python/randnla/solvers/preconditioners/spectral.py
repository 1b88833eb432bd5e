# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The inverse of a few eigenpairs plus a multiple of the identity."""

from __future__ import annotations

from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import dense
from randnla.lowrank.scaling import Array, unit_roundoff
from randnla.operators import LinearOperator

ROUNDINGS = 32.0
"""Of the largest eigenvalue: smaller ones and smaller shifts count as that many."""


class SpectralPreconditioner(LinearOperator):
    """``M = V diag((t + s) / (w + s)) V^H + (I - V V^H)``, near ``(t + s) (A + s I)^-1``.

    Parameters
    ----------
    w : (r,) array
        Approximate eigenvalues of A, nonnegative.
    V : (n, r) array
        Their vectors, orthonormal.
    shift : float, default 0
        The shift s, nonnegative.
    tail : float, optional
        The number t >= 0 that stands for the eigenvalues outside of V; the least of w unless given.

    Raises
    ------
    InputError
        The shapes do not fit, or numbers are negative.

    Notes
    -----
    With t the least of w this is the preconditioner of Frangella, Tropp and Udell (2023), equation (1.3).
    Numbers t + s and w + s below 32 roundings of the largest w count as that.
    Another shift takes no factorization: ``with_shift``. *Cost*: 4 n r flops a column.

    Examples
    --------
    >>> import numpy as np
    >>> V = np.eye(3)[:, :2]
    >>> M = SpectralPreconditioner(np.array([8.0, 2.0]), V, shift=1.0)
    >>> M @ np.ones(3)
    array([0.33333333, 1.        , 1.        ])
    """

    def __init__(self, w: Any, V: Any, *, shift: float = 0.0, tail: float | None = None) -> None:
        self.V: Array = validate.as_matrix(V, name="V")
        self.w: Array = validate.as_array(w, name="w", ndim=1).astype(np.float64)
        if self.V.shape[1] != self.w.size:
            raise InputError(f"w: expected {self.V.shape[1]} numbers as V has columns, got {self.w.size}")
        if self.w.size and not float(self.w.min()) >= 0:
            raise InputError(f"w: expected nonnegative numbers, got {float(self.w.min())}")
        self.shift = validate.real(shift, name="shift")
        if self.shift < 0:
            raise InputError(f"shift: expected a nonnegative number, got {shift}")
        least = float(self.w.min(initial=np.inf)) if self.w.size else 0.0
        self.tail = least if tail is None else validate.real(tail, name="tail")
        if self.tail < 0:
            raise InputError(f"tail: expected a nonnegative number, got {tail}")
        n = self.V.shape[0]
        super().__init__((n, n), self.V.dtype)

    @property
    def rank(self) -> int:
        """Columns of V."""
        return int(self.w.size)

    def with_shift(self, shift: float) -> SpectralPreconditioner:
        """The same eigenpairs at another shift, without a copy."""
        return SpectralPreconditioner(self.w, self.V, shift=shift, tail=self.tail)

    def apply(self, R: Array, shifts: Array) -> Array:
        """``M R`` with a shift for each column."""
        if not self.rank:
            return R.copy(order="F")
        # Eigenvalues below what rounding makes of R - V V^H R count as that: M stays definite.
        top = float(self.w.max())
        floor = max(ROUNDINGS * unit_roundoff(self.V.dtype) * top, float(np.finfo(np.float64).tiny))
        rest = np.maximum(self.tail + shifts, floor)
        scale = rest / np.maximum(self.w[:, None] + shifts, floor) - 1.0
        Vh = self.V.conj().T
        inner = dense.gemm(Vh, R) * scale.astype(self.V.real.dtype)
        return np.asarray(R + dense.gemm(self.V, inner), order="F")

    def _matmat(self, X: Array) -> Array:
        return self.apply(X, np.full(X.shape[1], self.shift))

    def _rmatmat(self, Y: Array) -> Array:
        return self._matmat(Y)

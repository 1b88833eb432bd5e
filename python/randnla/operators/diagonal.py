# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A diagonal matrix as an operator."""

from __future__ import annotations

from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import BreakdownError
from randnla.operators.base import Array, LinearOperator
from randnla.operators.structured import Structured, magnitude_ratio, require_positive


class Diagonal(Structured):
    """The square matrix with the diagonal `d`.

    Parameters
    ----------
    d : array of shape (n,)
        Real or complex.

    Raises
    ------
    InputError
        `d` is not one-dimensional or holds no supported numbers.

    Notes
    -----
    *Cost*: O(n) for each column of a product and for everything else.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla import Diagonal
    >>> D = Diagonal([4.0, 9.0])
    >>> D.solve(np.ones(2)), D.sqrt().diag(), D.trace()
    (array([0.25      , 0.11111111]), array([2., 3.]), 13.0)
    """

    def __init__(self, d: Any, *, name: str = "d", check_finite: bool = True) -> None:
        self.values: Array = validate.as_array(d, name=name, ndim=1)
        n = self.values.size
        super().__init__((n, n), self.values.dtype, check_finite=check_finite)

    def _matmat(self, X: Array) -> Array:
        return self.values[:, None] * X

    def _rmatmat(self, Y: Array) -> Array:
        return self.values.conj()[:, None] * Y

    @property
    def T(self) -> LinearOperator:
        """The operator itself."""
        return self

    @property
    def H(self) -> LinearOperator:
        """The conjugate."""
        return Diagonal(self.values.conj(), check_finite=self.check_finite)

    def diag(self) -> Array:
        """The diagonal."""
        return self.values

    def inverse(self) -> Diagonal:
        """The diagonal of reciprocals."""
        if not self.values.all():
            raise BreakdownError(f"A: singular, entry {int(np.argmin(np.abs(self.values)))} of d is zero")
        return Diagonal(1 / self.values, check_finite=self.check_finite)

    def slogdet(self) -> tuple[Any, float]:
        """Sign and logarithm of the product of the entries."""
        size = np.abs(self.values).astype(np.float64)
        with np.errstate(divide="ignore"):
            logarithm = float(np.log(size).sum())
        if not self.values.all():
            return 0.0, logarithm
        return (self.values / size).prod().item(), logarithm

    def eigh(self) -> tuple[Array, Array]:
        """The entries and the identity."""
        return self._real(), np.eye(self.shape[0], dtype=self._real().dtype)

    def sqrt(self) -> Diagonal:
        """The roots of the entries."""
        require_positive(self._real(), "sqrt", semidefinite=True)
        return Diagonal(np.sqrt(self._real()).astype(self.dtype), check_finite=self.check_finite)

    def inverse_sqrt(self) -> Diagonal:
        """The reciprocal roots of the entries."""
        require_positive(self._real(), "inverse_sqrt")
        return Diagonal((1 / np.sqrt(self._real())).astype(self.dtype), check_finite=self.check_finite)

    def condition(self) -> float:
        """Largest over least magnitude."""
        return magnitude_ratio(self.values)

    def _real(self) -> Array:
        if np.iscomplexobj(self.values) and self.values.imag.any():
            raise BreakdownError("A: a root needs a Hermitian operator, got complex entries of d")
        return self.values.real

    def frobenius_norm(self) -> float:
        """The norm of the diagonal."""
        from randnla._backend.kernels import dense

        return dense.screen(self.values[:, None]).frobenius_norm

    def require_finite(self, *, name: str = "A") -> None:
        """Raise `NonFiniteError` naming count and first index of NaN and Inf."""
        validate.require_finite(self.values, name=f"{name} (diagonal)")

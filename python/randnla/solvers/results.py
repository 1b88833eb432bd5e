# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Solutions with more beside them than an account."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from randnla._backend.results import Info, Result, SolveResult
from randnla.operators import KernelMatrix


@dataclass(frozen=True, eq=False, repr=False)
class RidgeResult(SolveResult):
    """Coefficients of a ridge regression, an array of alphas first.

    Attributes
    ----------
    x : array of shape (n,), (n, k), (L, n) or (L, n, k)
    alpha : float or (L,) array
    errors : array of shape (), (k,), (L,) or (L, k)
        Relative errors of the columns in the energy norm, as certified.
    """

    _not_factors: ClassVar[tuple[str, ...]] = ("info", "alpha", "errors")

    alpha: Any = field(default=None, kw_only=True)
    errors: Any = field(default=None, kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class KernelRidgeResult(Result):
    """A function ``f(p) = sum_i k(p, points_i) coefficients_i``.

    Attributes
    ----------
    coefficients : array of shape (n,) or (n, k)
    kernel : KernelMatrix
        That of the points, which it holds.
    """

    _not_factors: ClassVar[tuple[str, ...]] = ("info", "kernel")

    coefficients: Any
    kernel: KernelMatrix = field(kw_only=True)
    info: Info = field(default_factory=Info, kw_only=True)

    def predict(self, points: Any) -> Any:
        """Values (p,) or (p, k) at points (p, dim); no kernel matrix is held.

        Raises
        ------
        InputError
            The points are no real matrix or of another dimension.
        NonFiniteError
            They hold NaN or Inf.
        """
        K = self.kernel
        cross = KernelMatrix(points, points2=K.points, kernel=K.kernel, bandwidth=K.bandwidth, dtype=K.dtype)
        return cross @ self.coefficients

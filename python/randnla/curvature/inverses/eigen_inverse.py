# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The damped inverse of an averaged factor in all of its eigenvectors."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import BreakdownError
from randnla._backend.kernels import qr
from randnla._backend.kernels.dense import Array
from randnla._backend.results import Info

from ..factors.brand import BrandFactor
from ..factors.low_rank import LowRankFactor
from .protocol import Factor
from .spectral import SpectralInverse


class EigenInverse(SpectralInverse):
    """``(X + damping I)^-1`` of a semidefinite factor X by its whole eigendecomposition.

    Attributes
    ----------
    U : (d, d) array
    s : (d,) float64 array
        Descending; what rounding left negative counts as zero.
    tail : float
        0: nothing is left out.
    damping : float
        May be set at any time: nothing has to be computed afresh.
    info : Info
        Of the last refresh; `error_estimate` is the rounding of an eigendecomposition.

    Notes
    -----
    *Algorithm*: the divide and conquer of LAPACK.

    *Cost*: about 9 d^3 flops a refresh, many of them slow; 4 d^2 flops a column of ``apply``; d^2 numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import EigenInverse, KroneckerFactor
    >>> factor = KroneckerFactor(2, dtype=np.float64)
    >>> factor.update(np.array([[2.0, 0.0], [0.0, 4.0]]))
    >>> inverse = EigenInverse()
    >>> inverse.refresh(factor, damping=2.0)
    >>> inverse.apply(np.array([4.0, 10.0]))
    array([1., 1.])
    >>> inverse.damping = 0.0
    >>> inverse.apply(np.array([2.0, 8.0]))
    array([1., 1.])
    """

    _KIND: ClassVar[str] = "EigenInverse"

    def refresh(self, factor: Factor | BrandFactor | LowRankFactor, damping: float | None = None) -> None:
        """Decompose the factor as it is now.

        Parameters
        ----------
        factor : KroneckerFactor or alike
        damping : float, optional
            Nonnegative; as before unless given.

        Raises
        ------
        InputError
            `damping` does not fit.
        NonFiniteError, BreakdownError
            The factor is not finite, or far from semidefinite. The inverse is what it was.
        """
        damping = self._damping if damping is None else validate.real(damping, name="damping", low=0.0)
        U, s = semidefinite_pairs(factor.value)
        self.U, self.s, self._damping = U, s, damping
        eps = float(np.finfo(U.dtype).eps)
        largest = float(s.max(initial=0.0))
        self.info = Info(
            rank=int(np.count_nonzero(s > factor.dim * eps * largest)),
            method="full",
            error_estimate=8 * eps * largest,
            error_kind="spectral",
            error_relative=8 * eps,
            converged=True,
            path="full",
            memory=U.nbytes,
        )


def semidefinite_pairs(X: Array) -> tuple[Array, Array]:
    """All eigenpairs of a semidefinite array, largest first, by LAPACK; in float64 where that is quick.

    Raises
    ------
    NonFiniteError, BreakdownError
        X is not finite, or an eigenvalue is more negative than rounding explains.
    """
    d = X.shape[0]
    wide = np.result_type(X.dtype, np.float64) if d <= 512 else X.dtype
    w, V = qr.small_eigh(X.astype(wide, copy=False))
    s = w[::-1].astype(np.float64)
    if s.size and s[-1] < -(1e3 * float(np.finfo(X.dtype).eps) + 1e-6) * np.abs(s).max():
        raise BreakdownError(f"X: expected a positive semidefinite matrix, got an eigenvalue of {s[-1]:.3g}")
    return np.array(V[:, ::-1], X.dtype, order="C"), np.maximum(s, 0.0)

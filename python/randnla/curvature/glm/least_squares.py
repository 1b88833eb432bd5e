# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Least squares."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from randnla._backend.kernels.dense import Array

from .model import LinearModel


class LeastSquares(LinearModel):
    """``(1/n) sum_i (a_i^T w - y_i)^2 / 2 + ridge / 2 |w|^2``.

    Parameters
    ----------
    ridge : float, default 0

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Cost*: two passes over X for a gradient; a scaled copy of X for a root.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import LeastSquares
    >>> X, y = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([1.0, 0.0])
    >>> model = LeastSquares()
    >>> model.loss(X, y, np.zeros(2)), model.gradient(X, y, np.zeros(2))
    (0.25, array([-0.5,  0. ]))
    """

    quadratic: ClassVar[bool] = True

    def targets(self, y: Array) -> Array:
        """Any finite numbers."""
        return y

    def losses(self, z: Array, y: Array) -> Array:
        """Half the squares of the residuals."""
        return np.asarray(0.5 * np.square(z - y))

    def slopes(self, z: Array, y: Array) -> Array:
        """The residuals."""
        return z - y

    def losses_and_slopes(self, z: Array, y: Array) -> tuple[Array, Array]:
        """From the residuals."""
        residuals = z - y
        return np.asarray(0.5 * np.square(residuals)), residuals

    def curvatures(self, z: Array) -> Array:
        """1."""
        return np.ones_like(z)

    def mean(self, z: Array) -> Array:
        """The predictors."""
        return z

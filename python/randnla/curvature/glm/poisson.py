# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Poisson regression."""

from __future__ import annotations

import numpy as np

from randnla._backend.errors import InputError
from randnla._backend.kernels.dense import Array

from .model import LinearModel


class Poisson(LinearModel):
    """``(1/n) sum_i (exp(a_i^T w) - y_i a_i^T w) + ridge / 2 |w|^2`` for counts y >= 0.

    Parameters
    ----------
    ridge : float, default 0

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    Its curvature has no bound: from a start far off, steps may be too long until the next update.

    *Cost*: two passes over X for a gradient; a scaled copy of X for a root.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import Poisson
    >>> X, y = np.array([[1.0], [1.0]]), np.array([2, 4])
    >>> bool(np.allclose(Poisson().gradient(X, y, np.array([np.log(3.0)])), 0))
    True
    """

    def targets(self, y: Array) -> Array:
        """Nonnegative."""
        if (y < 0).any():
            raise InputError(f"y: expected numbers >= 0, got {y.min()}")
        return y

    def losses(self, z: Array, y: Array) -> Array:
        """Without the logarithm of y!; inf where exp overflows."""
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(z) - y * z)

    def slopes(self, z: Array, y: Array) -> Array:
        """``exp(z) - y``."""
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(z) - y)

    def losses_and_slopes(self, z: Array, y: Array) -> tuple[Array, Array]:
        """From one exponential."""
        rates = self.curvatures(z)
        with np.errstate(invalid="ignore"):
            return rates - y * z, rates - y

    def curvatures(self, z: Array) -> Array:
        """``exp(z)``."""
        with np.errstate(over="ignore"):
            return np.exp(z)

    def mean(self, z: Array) -> Array:
        """``exp(z)``."""
        return self.curvatures(z)

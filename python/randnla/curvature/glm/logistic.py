# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Logistic regression with two classes."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from randnla._backend.errors import InputError
from randnla._backend.kernels.dense import Array

from .model import LinearModel


class Logistic(LinearModel):
    """``(1/n) sum_i log(1 + exp(-y_i a_i^T w)) + ridge / 2 |w|^2`` for labels -1 and 1, or 0 and 1.

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
    >>> from randnla.curvature import Logistic
    >>> X, y = np.array([[1.0], [2.0]]), np.array([0, 1])
    >>> w = np.zeros(1)
    >>> Logistic().gradient(X, y, w)
    array([-0.25])
    >>> R = Logistic().hessian_root(X, w)
    >>> R.T @ R
    array([[0.625]])
    """

    def targets(self, y: Array) -> Array:
        """-1 and 1."""
        if not np.isin(y, (-1.0, 0.0, 1.0)).all() or (np.any(y == 0) and np.any(y == -1)):
            raise InputError(f"y: expected labels -1 and 1 or 0 and 1, got {np.unique(y)[:5]}")
        return np.where(y > 0, 1.0, -1.0)

    def losses(self, z: Array, y: Array) -> Array:
        """Without overflow."""
        return np.asarray(np.logaddexp(0.0, -y * z))

    def slopes(self, z: Array, y: Array) -> Array:
        """``-y / (1 + exp(y z))``."""
        return np.asarray(-y * expit(-y * z))

    def losses_and_slopes(self, z: Array, y: Array) -> tuple[Array, Array]:
        """From the negated margins."""
        turned = -y
        margins = turned * z
        return np.asarray(np.logaddexp(0.0, margins)), np.asarray(turned * expit(margins))

    def curvatures(self, z: Array) -> Array:
        """``1 / ((1 + exp(z)) (1 + exp(-z)))``: 0 where a predictor is saturated."""
        return np.asarray(expit(z) * expit(-z))

    def mean(self, z: Array) -> Array:
        """Probability of the label 1."""
        return np.asarray(expit(z))

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Logistic regression with several classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import logsumexp, softmax

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.kernels.dense import Array

from ..promise.kronecker_root import KroneckerRoot
from .model import LinearModel


class Multinomial(LinearModel):
    """``(1/n) sum_i -log softmax(W^T a_i)[y_i] + ridge / 2 |W|^2`` for weights W (p, classes), labels from 0.

    Parameters
    ----------
    classes : int
        At least 2.
    ridge : float, default 0

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    The root of a sample is ``a_i (x) S_i``, ``S_i = diag(sqrt(q)) - q sqrt(q)^T`` of its probabilities q, for
    ``S S^T = diag(q) - q q^T``. It is not formed; engines see W flattened row by row.

    *Cost*: two passes over X for a gradient; n classes^2 numbers for a root.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import Multinomial
    >>> X, y = np.array([[1.0], [1.0]]), np.array([0, 2])
    >>> Multinomial(3).gradient(X, y, np.zeros((1, 3))).round(3)
    array([[-0.167,  0.333, -0.167]])
    """

    def __init__(self, classes: int, *, ridge: float = 0.0) -> None:
        super().__init__(ridge=ridge)
        self.outputs = validate.integer(classes, name="classes", low=2)

    def targets(self, y: Array) -> Array:
        """Integers."""
        with np.errstate(invalid="ignore"):  # numbers beyond int64 differ below
            labels = y.astype(np.int64)
        if (labels != y).any() or labels.min(initial=0) < 0 or labels.max(initial=0) >= self.outputs:
            raise InputError(f"y: expected integers in [0, {self.outputs}), got {np.unique(y)[:5]}")
        return labels

    def losses(self, z: Array, y: Array) -> Array:
        """Without overflow."""
        return np.asarray(logsumexp(z, axis=1) - z[np.arange(len(y)), y])

    def slopes(self, z: Array, y: Array) -> Array:
        """Probabilities less the label's unit vector."""
        out = softmax(z, axis=1)
        out[np.arange(len(y)), y] -= 1.0
        return np.asarray(out)

    def losses_and_slopes(self, z: Array, y: Array) -> tuple[Array, Array]:
        """From one exponential of every predictor less the largest of its sample."""
        own, top = np.arange(len(y)), z.max(axis=1, keepdims=True)
        out = np.exp(z - top)
        total = out.sum(axis=1, keepdims=True)
        losses = (np.log(total) + top)[:, 0] - z[own, y]
        out /= total
        out[own, y] -= 1.0
        return losses, out

    def curvatures(self, z: Array) -> Array:
        """Factors (n, k, k) of ``diag(q) - q q^T``."""
        q = softmax(z, axis=1)
        roots = np.sqrt(q)
        S = -q[:, :, None] * roots[:, None, :]
        S[:, np.arange(self.outputs), np.arange(self.outputs)] += roots
        return np.asarray(S)

    def mean(self, z: Array) -> Array:
        """Probabilities."""
        return np.asarray(softmax(z, axis=1))

    def root(self, X: Any, z: Array) -> Any:
        """Of Kronecker products."""
        return KroneckerRoot(X, self.curvatures(z) / X.shape[0] ** 0.5)

    def __repr__(self) -> str:
        return f"Multinomial({self.outputs}, ridge={self.ridge})"

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Control variates of quadratic forms: ``x^H A x`` and ``x^H A^2 x``, whose means are known from the entries.

Of ``x^H f(A) x`` only what a quadratic p leaves of f is left to chance: its variance is that of
``x^H (f - p)(A) x``. Both forms come with the first step of Lanczos, so that they cost nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from randnla._backend.errors import InputError
from randnla.lowrank.scaling import Array
from randnla.operators import Dense, RowStream, Sparse

from .call import Call

LEAST_SAMPLES = 8


class Controls:
    """The quadratic nearest to f under the spectral density, and the means of its terms.

    Attributes
    ----------
    means : float64 array (2,)
        tr A and tr A^2, in the units of the call.
    coefficients : float64 array (2,)
        Of the linear and the quadratic term; fitted anew until `frozen`: later samples do not depend on them.
    """

    def __init__(self, means: Array) -> None:
        self.means = means
        self.coefficients = np.zeros(2)
        self.frozen = False

    @property
    def size(self) -> float:
        """The magnitude of what is taken out and put back."""
        return float(np.abs(self.coefficients * self.means).sum())

    def fit(self, nodes: Array, weights: Array, values: Array) -> None:
        """Weighted least squares over the nodes of all samples."""
        if self.frozen:
            return
        scale = float(np.abs(nodes).max()) or 1.0
        x = (nodes / scale).ravel()
        root = np.sqrt(weights).ravel()
        terms = np.stack([root, root * x, root * x * x], axis=1)
        target = root * values.ravel()
        self.coefficients = np.zeros(2)
        if np.isfinite(target).all():
            found = np.linalg.lstsq(terms, target, rcond=1e-10)[0]
            self.coefficients = found[1:] / np.array([scale, scale**2])

    def correct(self, forms: Array, moments: Array) -> Array:
        """``x_j^H f(A) x_j`` less the deviations of both `moments` (2, k) from their means."""
        return np.asarray(forms - self.coefficients @ (moments - self.means[:, None]))


def controls_of(call: Call, samples: int) -> Controls | None:
    """Those of a matrix whose entries or structure tell both traces; to be called after a product.

    None for few samples: coefficients fitted to them would make their spread too small.
    """
    if samples < LEAST_SAMPLES or call.exponent is None:
        return None
    op: Any = call.problem.op
    norm = op.frobenius_norm()
    if norm is None:
        return None
    trace = _trace(call, op, call.exponent)
    if trace is None:
        return None
    means = np.array([trace, math.ldexp(norm, -call.exponent) ** 2])
    return Controls(means) if np.isfinite(means).all() else None


def _trace(call: Call, op: Any, exponent: int) -> float | None:
    """tr A / 2^exponent, real as A is Hermitian."""
    if isinstance(op, Dense | Sparse):
        entries = op.array if isinstance(op, Dense) else op.matrix
        return _sum(entries.diagonal(), exponent)
    base = getattr(op, "base", None)
    if isinstance(base, RowStream):  # the transpose of one
        op = base
    if isinstance(op, RowStream):
        call.problem.passes += 1
        return sum(_sum(np.diagonal(block, offset=row), exponent) for row, block in op.blocks())
    if not hasattr(op, "trace"):
        return None
    try:
        return math.ldexp(float(np.real(op.trace())), -exponent)
    except InputError:
        return None  # of its kind, but without a closed form


def _sum(diagonal: Array, exponent: int) -> float:
    return float(np.ldexp(np.real(diagonal).astype(np.float64), -exponent).sum())

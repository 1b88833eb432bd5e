# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The least squares support vector machine on sampled points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend import validate
from randnla._backend.errors import InputError, warn
from randnla._backend.results import Info
from randnla._backend.rng import STREAM_VERSION

from . import arguments
from .low_rank import adjoint_by_rows, product_by_rows, shifted
from .results import SVMResult
from .sketch import Frame, check_method, check_sizes, core, frame
from .source import Source
from .sq_matrix import as_sq

Array = NDArray[Any]
FITTED = 0.9
"""Mean leverage of sampled points beyond which what is left of them says nothing."""


def svm(
    X: Any,
    labels: Any,
    *,
    gamma: float = 1.0,
    rank: int | None = None,
    right: str = "sketch",
    method: str = "auto",
    rows: int | None = None,
    columns: int | None = None,
    rng: Any = None,
) -> SVMResult:
    """Least squares support vector machine: ``min |w|^2 / 2 + gamma / 2 sum (y_i - w^T x_i - bias)^2``.

    Parameters
    ----------
    X : SQMatrix, or an array to make one of, of shape (m, n)
        A row for each point.
    labels : array of shape (m,)
        1 and -1.
    gamma : float
        Positive weight of the errors.
    rank : int, optional
        Directions to keep at most.
    right : {"sketch", "exact"}
        "sketch" solves the problem of the sampled points, weighted by the inverse of their chances. "exact"
        takes the right-hand sides, and the variances along the vectors, from all points.
    method, rows, columns, rng
        As for `even_svt`; the vectors are orthonormal.

    Returns
    -------
    SVMResult
        weights (n,) and bias, with `decide` and `predict`. ``info.error_estimate`` is of the 2-norm of the
        weights: with "sketch" the jackknife's, what leaving out single points moves them by, truncation not
        counted, and None where the sampled points can be fitted whatever their labels; with "exact" a bound,
        gamma times the residual of the equations, for another pass over X; far too large where directions
        were dropped.

    Raises
    ------
    InputError
        Labels are not 1 and -1, or an argument is out of range.

    Warns
    -----
    ConvergenceWarning
        The mean leverage of the sampled points exceeds .9: take more `rows`, or a smaller `rank` or `gamma`.

    Notes
    -----
    *Algorithm*: Suykens and Vandewalle, Neural Process. Lett. 9 (1999); Chia, Gilyen, Li, Lin, Tang and Wang
    (STOC 2020), Section 6.6. The bordered system of theirs is eliminated: with
    ``G = (X^H X + I / gamma)^-1`` on the vectors that were kept, an even singular value transformation,
    ``w = G X^H (y - bias 1)``, and the bias follows from the sum of the equations. Points near the origin are
    seldom drawn and weigh much where they are: centre the data and, if need be, normalize them. The weights
    err the most, by more than their norm, from about as many rows as there are directions of use, as any
    least squares fit does. Residuals of few points are too small then; over one less the leverage
    (Efron, *The Jackknife, the Bootstrap and Other Resampling Plans*, SIAM 1982) they state the error, or up
    to twice of it where the fit is closest.

    *Cost*: r n entries, 2 r^2 n flops; "exact" reads all of X.

    Examples
    --------
    >>> from randnla.quantum_inspired import SQMatrix
    >>> rng = np.random.default_rng(0)
    >>> y = np.where(np.arange(400) % 2, 1.0, -1.0)
    >>> X = rng.standard_normal((400, 5)) + 2 * y[:, None]
    >>> float(np.mean(svm(SQMatrix(X), y, rng=0).predict(X) == y))
    1.0
    """
    A = as_sq(X, name="X")
    y, gamma = _checked(labels, gamma, A.shape[0])
    k = None if rank is None else validate.rank(rank, min(A.shape))
    validate.choice(right, ("sketch", "exact"), name="right")
    r, c = check_sizes(A, k, rows, columns)
    source, before = Source(rng), A.entries_read
    found = core(A, source, method=check_method(method), rows=r, columns=c, rank=k, threshold=0.0)
    turned = frame(found, "orthonormal")
    Q = turned.vectors(found)
    R = found.R
    if right == "sketch":
        points, chances, sampled = found.rows(), R.scales, y[R.rows]
        sides = points.conj().T @ (chances[:, None] * np.stack([sampled, np.ones(R.count)], axis=1))
        count, total = float(chances @ chances), float(chances**2 @ sampled)
    else:
        sides = adjoint_by_rows(A, np.stack([y, np.ones(y.size)], axis=1))
        count, total = float(y.size), float(y.sum())
        _, s, Zh = np.linalg.svd(product_by_rows(A, Q), full_matrices=False)
        Q, turned = Q @ Zh.conj().T, Frame(turned.T, s, None)
    # In units of 4^exponent, d = 1 / gamma.
    system = _Bordered(Q, turned.s, math.ldexp(1 / gamma, -2 * A.exponent), sides[:, 1], count)
    w, bias = system.solve(sides[:, :1], np.array([total]))
    if right == "sketch":
        off = chances * sampled - points @ w[:, 0] - chances * bias[0].real
        error = _jackknife(system, points, chances, off)
    else:
        off = adjoint_by_rows(A, product_by_rows(A, w)) + system.d * w + sides[:, 1:] * bias - sides[:, :1]
        error = float(np.linalg.norm(off)) / system.d
    info = Info(
        rank=turned.s.size,
        method="least squares",
        sketch=found.path,
        error_estimate=None if error is None else shifted(error, -A.exponent),
        error_kind=None if error is None else "frobenius",
        certificate=None if error is None else "jackknife" if right == "sketch" else "exact",
        entries=A.entries_read - before,
        seed=source.seed,
        path=f"{found.path}, {right} right-hand side",
        stream_version=STREAM_VERSION,
    )
    if error is None:
        warn(
            f"svm: {R.count} sampled rows of {turned.s.size} directions are fitted whatever their labels; "
            "the weights are not to be relied on"
        )
    return SVMResult(np.ldexp(1.0, -A.exponent) * w[:, 0], float(bias[0].real), info=info)


def _checked(labels: Any, gamma: Any, points: int) -> tuple[Array, float]:
    y = arguments.vector(labels, points, name="labels", real=True)
    if not np.all(np.abs(y) == 1):
        raise InputError(f"labels: expected 1 and -1, got {y[np.abs(y) != 1][0]}")
    value = validate.real(gamma, name="gamma")
    if not value > 0:
        raise InputError(f"gamma: expected a positive number, got {value}")
    return y, value


def _jackknife(system: _Bordered, points: Array, chances: Array, off: Array) -> float | None:
    """What leaving out each of the weighted points, whose residuals are `off`, moves the weights by."""
    moved, biases = system.solve(points.conj().T, chances)
    leverage = (points * moved.T).sum(axis=1).real + chances * biases.real
    if leverage.size and leverage.mean() > FITTED:
        return None
    return float(np.linalg.norm(moved * (off / np.maximum(1 - leverage, np.finfo(np.float64).eps))))


@dataclass
class _Bordered:
    """``[[Q (s^2 + d) Q^H, ones], [ones^H, count]]`` within the range of Q."""

    Q: Array  # (n, k)
    s: Array  # (k,)
    d: float
    ones: Array  # (n,), the sum of the points
    count: float

    def solve(self, sides: Array, totals: Array) -> tuple[Array, Array]:
        """For right-hand sides (n, l) and (l,)."""
        x, one = self._inverse(sides), self._inverse(self.ones[:, None])
        spread = self.count - float((self.ones.conj() @ one[:, 0]).real)
        bias = (totals - self.ones.conj() @ x) / spread if spread > 0 else np.zeros(totals.size)
        return x - one * bias, np.asarray(bias)

    def _inverse(self, sides: Array) -> Array:
        return np.asarray(self.Q @ ((self.Q.conj().T @ sides) / (self.s**2 + self.d)[:, None]))

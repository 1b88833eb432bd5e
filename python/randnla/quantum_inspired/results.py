# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the functions of this room return, beside the results the other rooms have, too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from randnla._backend.results import Info, Result


@dataclass(frozen=True, eq=False, repr=False)
class ProductResult(Result):
    """A product of matrices (p, q).

    Examples
    --------
    >>> ProductResult(3.0)
    ProductResult(product: 3.0)
    """

    product: Any
    info: Info = field(default_factory=Info, kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class Recommendation(Result):
    """Items drawn for a user (size,), and their entries in the user's row of the approximation.

    Scores of complex ratings are complex; items are drawn by their squared moduli.

    Examples
    --------
    >>> Recommendation([3, 5], [0.9, 0.8])
    Recommendation(items: [3, 5], scores: [0.9, 0.8])
    """

    items: Any
    scores: Any
    info: Info = field(default_factory=Info, kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class ClusterResult(Result):
    """The nearest centroid, squared distances to all (k,) and their standard errors (k,).

    Examples
    --------
    >>> ClusterResult(1, [2.0, 0.5], [0.1, 0.1])
    ClusterResult(label: 1, distances: [2.0, 0.5], std_errors: [0.1, 0.1])
    """

    label: int
    distances: Any
    std_errors: Any
    info: Info = field(default_factory=Info, kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class SVMResult(Result):
    """A linear classifier: the sign of ``points @ weights + bias``.

    Examples
    --------
    >>> import numpy as np
    >>> SVMResult(np.array([1.0, -1.0]), 0.5).predict([[1.0, 0.0], [0.0, 1.0]])
    array([ 1., -1.])
    """

    weights: Any
    bias: float
    info: Info = field(default_factory=Info, kw_only=True)

    def decide(self, points: Any) -> Any:
        """``points @ weights + bias``."""
        return (np.asarray(points) @ self.weights + self.bias).real

    def predict(self, points: Any) -> Any:
        """Labels, 1 or -1."""
        return np.where(self.decide(points) >= 0, 1.0, -1.0)


@dataclass(frozen=True, eq=False, repr=False)
class DiscriminantResult(Result):
    """Directions (n, k) and the ratios of the variance between classes to that within (k,).

    Examples
    --------
    >>> import numpy as np
    >>> DiscriminantResult(np.eye(3, 1), np.array([4.0]))
    DiscriminantResult(directions: (3, 1) float64, ratios: (1,) float64)
    """

    directions: Any
    ratios: Any
    info: Info = field(default_factory=Info, kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class SDPResult(Result):
    """``X = floor I + Q diag(values) Q^H``, a density matrix, or why there is none.

    `feasible` is True if X satisfies all constraints to the tolerance, which was checked exactly; False if
    `weights` prove that no density matrix does: ``sum_j weights[j] (A_j - b_j I)`` is positive definite; None
    if the iterations ended with neither.

    Examples
    --------
    >>> import numpy as np
    >>> found = SDPResult(True, np.eye(2, 1), np.array([0.5]), 0.25, np.ones(1), 0.0)
    >>> float(np.trace(found.to_dense()))
    1.0
    """

    feasible: bool | None
    Q: Any
    values: Any
    floor: float
    weights: Any
    violation: float
    info: Info = field(default_factory=Info, kw_only=True)

    def to_dense(self) -> Any:
        """X, (n, n)."""
        return (self.Q * self.values) @ self.Q.conj().T + self.floor * np.eye(self.Q.shape[0])

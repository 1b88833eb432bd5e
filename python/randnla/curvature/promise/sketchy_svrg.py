# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""SketchySVRG."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from randnla._backend import state as plain_state

from .variance_reduced import Anchored


class SketchySVRG(Anchored):
    """SketchySGD on gradients with the variance reduction of SVRG.

    Parameters
    ----------
    rank, rho, preconditioner, ridge, steps, rng
        As of `SketchySGD`.
    samples : int
        n, the samples that the objective averages over.

    Attributes
    ----------
    full_gradient : (p,) float64 array
        Of the last snapshot, empty before.
    learning_rate : float
        ``max(1 / (2 (mu n + lambda)), 1 / (3 lambda))``.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Frangella, Rathore, Zhao and Udell (2023, PROMISE), SketchySVRG.

    *Cost*: that of `SketchySGD`; whoever calls makes two gradients a batch and a full one a snapshot.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import SketchySVRG
    >>> A = np.random.default_rng(0).standard_normal((100, 5))
    >>> b, w = A @ np.ones(5), np.zeros(5)
    >>> gradient = lambda rows, w: A[rows].T @ (A[rows] @ w - b[rows]) / len(rows)
    >>> engine = SketchySVRG(samples=100, rng=0)
    >>> engine.update(A[:50] / 50**0.5, fresh=A[50:] / 50**0.5)
    >>> everything = np.arange(100)
    >>> for epoch in range(20):
    ...     anchor = w.copy()
    ...     engine.snapshot(gradient(everything, anchor))
    ...     for rows in everything.reshape(5, 20):
    ...         w -= engine.learning_rate * engine.direction(gradient(rows, w), gradient(rows, anchor))
    >>> bool(np.allclose(w, 1, atol=1e-6))
    True
    """

    _KIND: ClassVar[str] = "SketchySVRG"
    _FIELDS: ClassVar[dict[str, type]] = {"samples": int, "full_gradient": np.ndarray}

    def __init__(self, rank: int = 10, rho: float = 1e-3, *, samples: int, **settings: Any) -> None:
        super().__init__(rank, rho, samples=samples, **settings)
        self.full_gradient = np.zeros(0)

    def _take(self, fields: dict[str, Any]) -> None:
        shape = (self.dim,) if fields["full_gradient"].size else (0,)
        self.full_gradient = plain_state.array_of(fields, "full_gradient", shape, np.float64)

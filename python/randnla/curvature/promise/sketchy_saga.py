# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""SketchySAGA."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend import state as plain_state
from randnla._backend.errors import InputError
from randnla._backend.kernels.dense import Array

from ..glm.model import features
from .preconditioner import Preconditioner
from .variance_reduced import VarianceReduced


class SketchySAGA(VarianceReduced):
    """SketchySGD on gradients with the variance reduction of SAGA, for losses of linear predictors.

    The gradient of sample i is ``slope_i a_i``, so the table holds a number a sample (one an output).

    Parameters
    ----------
    rank, rho, preconditioner, ridge, steps, rng
        As of `SketchySGD`.
    samples : int
        n, rows of the table.
    outputs : int, default 1
        k, columns of the table: predictors of a sample.

    Attributes
    ----------
    table : (n, k) float64 array
        Slopes last seen, 0 at first.
    average : (p k,) float64 array
        Mean of the gradients that the table stands for.
    learning_rate : float
        ``max(1 / (2 (mu n + lambda)), 1 / (3 lambda))``.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Frangella, Rathore, Zhao and Udell (2023, PROMISE), SketchySAGA, with batches.

    *Cost*: that of `SketchySGD`; n k + p k numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import SketchySAGA
    >>> A = np.random.default_rng(0).standard_normal((100, 5))
    >>> b, w = A @ np.ones(5), np.zeros(5)
    >>> engine = SketchySAGA(samples=100, rng=0)
    >>> engine.update(A[:50] / 50**0.5, fresh=A[50:] / 50**0.5)
    >>> for epoch in range(40):
    ...     for rows in np.arange(100).reshape(5, 20):
    ...         w -= engine.learning_rate * engine.direction(rows, A[rows] @ w - b[rows], A[rows])
    >>> bool(np.allclose(w, 1, atol=1e-5))
    True
    """

    _KIND: ClassVar[str] = "SketchySAGA"
    _FIELDS: ClassVar[dict[str, type]] = {
        "samples": int,
        "outputs": int,
        "table": np.ndarray,
        "average": np.ndarray,
    }

    def __init__(
        self, rank: int = 10, rho: float = 1e-3, *, samples: int, outputs: int = 1, **settings: Any
    ) -> None:
        super().__init__(rank, rho, samples=samples, **settings)
        self.outputs = validate.integer(outputs, name="outputs", low=1)
        self.table = np.zeros((self.samples, self.outputs))
        self.average = np.zeros(0)

    def direction(self, rows: Any, slopes: Any, A: Any, penalty: Any = 0.0) -> Any:  # type: ignore[override]
        """``P^-1`` of the reduced gradient of a batch, which the table then remembers.

        Parameters
        ----------
        rows : (b,) int array
            Which samples, none twice.
        slopes : (b,) or (b, k) array
            Derivatives of their losses in their predictors.
        A : array or CSR matrix of shape (b, p)
            Their features.
        penalty : array of shape (p k,), default 0
            Gradient of the penalty.

        Returns
        -------
        (p k,) array
            Weights (p, k) are flattened row by row.

        Raises
        ------
        StateError
            There has been no update.
        InputError, NonFiniteError
            An argument does not fit, or holds NaN or Inf; nothing has changed.
        """
        index = validate.indices(rows, self.samples, name="rows")
        if len(np.unique(index)) != len(index):
            raise InputError("rows: expected every sample once at most in a batch")
        kind, A = namespace.kind_of(A), features(A, name="A")
        given = validate.as_array(slopes, name="slopes", ndim=(1, 2))
        validate.require_finite(given, name="slopes")  # a row of zeros would hide them
        new = validate.native(given, np.float64, name="slopes").reshape(len(given), -1)
        if new.shape != (len(index), self.outputs) or A.shape[0] != len(index):
            raise InputError(
                f"slopes, A: expected {len(index)} rows and {self.outputs} outputs, "
                f"got {new.shape}, {A.shape}"
            )
        change = (new - self.table[index]).astype(A.dtype, copy=False)
        push = np.asarray(A.T @ change, dtype=np.float64).ravel() / max(1, len(index))
        if np.shape(penalty) not in ((), push.shape):
            raise InputError(f"penalty: expected shape {push.shape}, got {np.shape(penalty)}")
        found = super().direction(self._reduced(push) + penalty)  # refuses what is not finite
        self._remember(index, new, push)
        return namespace.restore(kind, found)

    def along_reduced(self, index: Array, slopes: Array, push: Array, penalty: Array) -> Array | None:
        """`direction` of what a loop has made itself, unchecked; None, and nothing is remembered: no step.

        Parameters
        ----------
        index : (b,) int array
        slopes : (b, k) array
        push : (p k,) array
            Mean of the changes of the gradients, by the changes of the slopes.
        penalty : (p k,) array
        """
        found = self.along(self._reduced(push) + penalty)
        if found is not None:
            self._remember(index, slopes, push)
        return found

    def _reduced(self, push: Array) -> Array:
        return push + self.average if self.average.size else push

    def _remember(self, index: Array, slopes: Array, push: Array) -> None:
        self.table[index] = slopes
        old = self.average if self.average.size else np.zeros_like(push)
        self.average = old + push * (len(index) / self.samples)

    @classmethod
    def _blank(cls, fields: dict[str, Any], pre: Preconditioner) -> Self:
        settings = {name: fields[name] for name in ("samples", "outputs", "ridge", "steps")}
        return cls(preconditioner=pre, rng=fields["seed"], **settings)

    def _take(self, fields: dict[str, Any]) -> None:
        self.table = plain_state.array_of(fields, "table", (self.samples, self.outputs), np.float64)
        shape = (self.dim,) if fields["average"].size else (0,)
        self.average = plain_state.array_of(fields, "average", shape, np.float64)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""SketchySAGA: a table of slopes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from randnla import curvature as engines
from randnla._backend.errors import NonFiniteError
from randnla.curvature import LinearModel

from .protocols import Array
from .rows import Rows
from .sketchy import SketchyFit


class SketchySAGA(SketchyFit):
    """`SketchySGD` with gradients of vanishing noise: the slope of every sample is remembered.

    Parameters
    ----------
    loss, rank, rho, preconditioner, ridge, epochs, batch, hessian_batch, refresh_every, rng
        As of `SketchySGD`.

    Attributes
    ----------
    coef_, history, engine, model, health, seed
        As of `SketchySGD`.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Frangella, Rathore, Zhao and Udell (2023, PROMISE).

    *Cost*: an epoch of `SketchySGD`; a number a sample and output is kept.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.optim import SketchySAGA
    >>> X = np.random.default_rng(0).standard_normal((2000, 5))
    >>> fitted = SketchySAGA("least_squares", ridge=0.0, epochs=40, rng=0).fit(X, X @ np.ones(5))
    >>> bool(np.allclose(fitted.coef_, 1))
    True
    """

    _KIND: ClassVar[str] = "optim.SketchySAGA"

    def _engine(self, n: int, model: LinearModel) -> Any:
        more: dict[str, Any] = {"samples": n, "outputs": model.outputs, "ridge": model.ridge}
        return engines.SketchySAGA(**more, **self._settings(model.outputs))

    def _epoch(self, rows: Rows, y: Array) -> Iterator[tuple[int, float]]:
        model, engine, w = self.model, self.engine, self._w
        rate = engine.learning_rate
        for index, X in self._batches(rows):
            losses, slopes = model.losses_and_slopes(model.predictors(X, w), y[index])
            value = self._value(losses, w)
            push = model.pull(X, slopes - engine.table[index].reshape(slopes.shape)).ravel()
            slopes = slopes.reshape(len(index), -1)
            down = engine.along_reduced(index, slopes, push, model.ridge * w.ravel())
            if down is None:
                yield self._skip(len(index))
                continue
            w -= rate * down.reshape(w.shape)
            yield len(index), value

    def step(
        self,
        w: Any,
        slopes: Any,
        rows: Any,
        A: Any,
        *,
        samples: int | None = None,
        hessian_root: Any = None,
        fresh: Any = None,
    ) -> Array:
        """One step of a loop of one's own, for losses of linear predictors.

        Parameters
        ----------
        w : array of shape (p,), or (p, k) of several outputs
        slopes : array of shape (b,), or (b, k)
            Derivatives of the losses of a batch in their predictors ``A w``, in place of its gradient.
        rows : (b,) int array
            The samples of the batch, none twice.
        A : array or CSR matrix of shape (b, p)
            Their features.
        samples : int
            n, needed the first time.
        hessian_root, fresh : root, optional
            As of `SketchySGD.step`.

        Returns
        -------
        array of the shape of w
            The next w; the same numbers where slopes hold NaN or Inf.

        Raises
        ------
        InputError, StateError
            An argument does not fit, or there has been no curvature.
        """
        here = np.array(w, dtype=np.float64)
        outputs = 1 if here.ndim == 1 else here.shape[1]
        engine = self._stepping(samples, hessian_root, fresh, outputs=outputs)
        try:
            down = engine.direction(rows, slopes, A, engine.ridge * here.ravel())
        except NonFiniteError:
            self._skip()
            return here
        return np.asarray(here - engine.learning_rate * np.asarray(down).reshape(here.shape))

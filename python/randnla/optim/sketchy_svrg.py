# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""SketchySVRG: an anchor an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np

from randnla import curvature as engines
from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import NonFiniteError
from randnla.curvature import LinearModel

from .anchored import AnchoredFit
from .protocols import Array
from .rows import Rows


class SketchySVRG(AnchoredFit):
    """`SketchySGD` with gradients of vanishing noise: a full gradient an epoch, two gradients a step.

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
    *Algorithm*: Frangella, Rathore, Zhao and Udell (2023, PROMISE), the anchor moved every epoch.

    *Cost*: two passes over the samples an epoch, one of them with two gradients.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.optim import SketchySVRG
    >>> X = np.random.default_rng(0).standard_normal((2000, 5))
    >>> fitted = SketchySVRG("least_squares", ridge=0.0, rng=0).fit(X, X @ np.ones(5))
    >>> bool(np.allclose(fitted.coef_, 1))
    True
    """

    _KIND: ClassVar[str] = "optim.SketchySVRG"
    _anchor: Array | None = None  # of `step`, and samples seen since
    _seen = 0

    def _engine(self, n: int, model: LinearModel) -> Any:
        return engines.SketchySVRG(samples=n, ridge=model.ridge, **self._settings(model.outputs))

    def _epoch(self, rows: Rows, y: Array) -> Iterator[tuple[int, float]]:
        self._anchor = None  # the full gradient of the engine is going to be of another
        w, anchor = self._w, self._w.copy()
        if not self._snapshot(rows, y, anchor):
            yield self._skip(rows.n)
            return
        rate = self.engine.learning_rate
        for index, X in self._batches(rows):
            value, reduced = self._reduced(X, y[index], w, anchor)
            down = self.engine.along(reduced)
            if down is None:
                yield self._skip(len(index))
                continue
            w -= rate * down.reshape(w.shape)
            yield len(index), value

    def _loop_state(self) -> dict[str, Any]:
        return {"anchor": np.zeros(0) if self._anchor is None else self._anchor.copy(), "seen": self._seen}

    def _take_loop(self, fields: dict[str, Any]) -> None:
        shape = (self.engine.dim,) if fields["anchor"].size else (0,)
        anchor = plain_state.array_of(fields, "anchor", shape, np.float64)
        self._seen = validate.integer(fields["seen"], name="seen", low=0)
        self._anchor = anchor if anchor.size else None

    def step(
        self,
        w: Any,
        grad: Callable[[Array, Array], Any],
        rows: Any,
        *,
        samples: int | None = None,
        hessian_root: Any = None,
        fresh: Any = None,
    ) -> Array:
        """One step of a loop of one's own; the anchor moves to w whenever all samples have been seen once.

        Parameters
        ----------
        w : array of shape (p,)
        grad : callable
            From w (p,) and indices of samples to the mean gradient (p,) of these, the penalty included. It is
            called for a batch at w and at the anchor, and for all samples where the anchor moves.
        rows : (b,) int array
            The samples of the batch.
        samples : int
            n, needed the first time.
        hessian_root, fresh : root, optional
            As of `SketchySGD.step`.

        Returns
        -------
        array of shape (p,)
            The next w; the same numbers where a gradient holds NaN or Inf.

        Raises
        ------
        InputError, StateError
            An argument or a gradient does not fit, or there has been no curvature.
        """
        engine = self._stepping(samples, hessian_root, fresh)
        here = np.array(w, dtype=np.float64)
        index = validate.indices(rows, engine.samples, name="rows")
        try:
            if self._anchor is None or self._seen >= engine.samples:
                engine.snapshot(grad(here, np.arange(engine.samples)))
                self._anchor, self._seen = here.copy(), 0
            down = engine.direction(grad(here, index), grad(self._anchor, index))
        except NonFiniteError:
            self._skip()
            return here
        self._seen += len(index)
        return np.asarray(here - engine.learning_rate * down)

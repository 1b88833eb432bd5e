# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""SketchyKatyusha: an anchor at random, and momentum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np

from randnla import curvature as engines
from randnla._backend import validate
from randnla._backend.errors import InputError, NonFiniteError
from randnla.curvature import LinearModel

from .anchored import AnchoredFit
from .protocols import Array
from .rows import Rows


class SketchyKatyusha(AnchoredFit):
    """`SketchySGD` with gradients of vanishing noise and momentum; needs a ridge.

    Parameters
    ----------
    loss, rank, rho, preconditioner, ridge, epochs, batch, hessian_batch, refresh_every, rng
        As of `SketchySGD`; `ridge` is positive.

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
    *Algorithm*: Frangella, Rathore, Zhao and Udell (2023, PROMISE), loopless Katyusha.

    *Cost*: an epoch has two gradients a step, and on average one pass for a full gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.optim import SketchyKatyusha
    >>> X = np.random.default_rng(0).standard_normal((2000, 5))
    >>> fitted = SketchyKatyusha("least_squares", ridge=1e-6, rng=0).fit(X, X @ np.ones(5))
    >>> bool(np.allclose(fitted.coef_, 1, atol=1e-3))
    True
    """

    _KIND: ClassVar[str] = "optim.SketchyKatyusha"

    def _engine(self, n: int, model: LinearModel) -> Any:
        more: dict[str, Any] = {"samples": n, "ridge": model.ridge, "batch": self.batch}
        return engines.SketchyKatyusha(**more, **self._settings(model.outputs))

    def _begin(self) -> None:
        self.engine.start(self._w.ravel())

    def _epoch(self, rows: Rows, y: Array) -> Iterator[tuple[int, float]]:
        engine, shape = self.engine, self._w.shape
        for index, X in self._batches(rows):
            anchor = engine.anchor.reshape(shape)
            if engine.snapshot_due and not self._snapshot(rows, y, anchor):
                yield self._skip(rows.n)
                return
            value, reduced = self._reduced(X, y[index], engine.point.reshape(shape), anchor)
            w = engine.step_along(reduced)
            if w is None:
                yield self._skip(len(index))
                continue
            self._w = w.reshape(shape)
            yield len(index), value

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
        """One step of a loop of one's own; the anchor moves with probability `batch` / n.

        Parameters
        ----------
        w : array of shape (p,)
            Where to start, and then what the step before has returned.
        grad : callable
            From w (p,) and indices of samples to the mean gradient (p,) of these, the penalty included. It is
            called for a batch at two points, and for all samples where the anchor has moved.
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
            An argument or a gradient does not fit, w is another, or there has been no curvature.
        """
        engine = self._stepping(samples, hessian_root, fresh)
        here = np.array(w, dtype=np.float64)
        index = validate.indices(rows, engine.samples, name="rows")
        if not engine.w.size:
            engine.start(here)
        if not np.array_equal(here, engine.w):
            raise InputError("w: expected what the last step has returned: momentum is that of its path")
        try:
            if engine.snapshot_due:
                engine.snapshot(grad(engine.anchor, np.arange(engine.samples)))
            made = engine.step(grad(engine.point, index), grad(engine.anchor, index))
        except NonFiniteError:
            self._skip()
            return here
        return np.asarray(made)

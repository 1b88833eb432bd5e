# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""SketchySGD: the loop over the samples of a linear model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from randnla import curvature as engines
from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla.curvature import LinearModel

from .protocols import Array
from .rows import Rows
from .sketchy import SketchyFit


class SketchySGD(SketchyFit):
    """Linear models by stochastic gradients under a preconditioner that is itself a sketch: nothing to tune.

    Parameters
    ----------
    loss : {"least_squares", "logistic", "multinomial", "poisson"} or LinearModel, default "logistic"
        Labels: -1 and 1 or 0 and 1 for "logistic", integers from 0 for "multinomial", counts for "poisson".
        There is no intercept: append a column of ones.
    rank : int or "auto"
        Of the preconditioner; "auto" is 10, of k classes 10 (k - 1): a direction of the data has as many
        eigenvalues.
    rho, preconditioner
        As of `randnla.curvature.SketchySGD`: 1e-3 and "nystrom".
    ridge : float or "auto"
        mu of ``mu / 2 |w|^2``; "auto" is 1e-2 / n.
    epochs : int, default 20
        Passes of `fit`.
    batch : int, default 256
        Samples of a gradient.
    hessian_batch : int or "auto"
        Samples of a Hessian; "auto" is floor(sqrt(n)).
    refresh_every : int or "auto"
        Epochs from one Hessian to the next; "auto" takes them before the first epoch and after 1, 2, 4, 8 and
        so on, as weights move less and less, and of least squares, where they do not change, one ever.
    rng : None, int, SeedSequence or Generator

    Attributes
    ----------
    coef_ : (p,) array, (p, k) of several outputs
    history : list of dict
        One an epoch: "epoch", "loss" (mean over its batches, each before its step, with the ridge),
        "learning_rate", "top_eigenvalue", "skipped" (batches whose gradient was NaN or Inf: no step).
    engine : randnla.curvature.SketchySGD
    model : LinearModel
    health : Health
    seed : int

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Frangella, Rathore, Zhao and Udell (2022, SketchySGD) with its defaults, but for the Hessian,
    which is taken once an epoch there.

    *Cost*: an epoch is that of stochastic gradients and 4 p r flops a step; each time the Hessian is taken,
    products with two of sqrt(n) samples.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.optim import SketchySGD
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((2000, 30)) * 0.8 ** np.arange(30)
    >>> y = X @ np.ones(30) + 0.3 * rng.standard_normal(2000) > 0
    >>> fitted = SketchySGD("logistic", rng=0).fit(X, y)
    >>> bool(np.mean((fitted.predict_mean(X) > 0.5) == y) > 0.85)
    True
    """

    _KIND: ClassVar[str] = "optim.SketchySGD"

    def _engine(self, n: int, model: LinearModel) -> Any:
        return engines.SketchySGD(ridge=model.ridge, **self._settings(model.outputs))

    def _epoch(self, rows: Rows, y: Array) -> Iterator[tuple[int, float]]:
        model, rate, w = self.model, self.engine.learning_rate, self._w
        for index, X in self._batches(rows):
            losses, slopes = model.losses_and_slopes(model.predictors(X, w), y[index])
            value = self._value(losses, w)
            down = self.engine.along((model.pull(X, slopes) + model.ridge * w).ravel())
            if down is None:
                yield self._skip(len(index))
                continue
            w -= rate * down.reshape(w.shape)
            yield len(index), value

    def step(self, w: Any, grad: Any, *, hessian_root: Any = None, fresh: Any = None) -> Any:
        """One step of a loop of one's own.

        Parameters
        ----------
        w, grad : array of shape (p,)
        hessian_root, fresh : root, optional
            Where the curvature is to be estimated anew, and needed the first time: as of
            `randnla.curvature.SketchySGD.update`.

        Returns
        -------
        array of shape (p,), of the kind of w
            The next w; the same numbers where a gradient holds NaN or Inf.

        Raises
        ------
        InputError, StateError
            An argument does not fit, or there has been no curvature.
        """
        here, slope = (validate.as_array(x, name=name, ndim=1) for x, name in ((w, "w"), (grad, "grad")))
        if slope.shape != here.shape:
            raise InputError(f"grad: expected shape {here.shape} as of w, got {slope.shape}")
        if self.engine is None:
            given = self.loss.ridge if isinstance(self.loss, LinearModel) else self.ridge
            ridge = 0.0 if isinstance(given, str) else given  # "auto" is of a number of samples
            self.engine = engines.SketchySGD(ridge=ridge, **self._settings())
        if hessian_root is not None:
            self.engine.update(hessian_root, fresh=fresh)
        if not validate.is_finite(slope):
            self._skip()
            return namespace.restore(namespace.kind_of(w), here.copy())
        made = here - self.engine.learning_rate * self.engine.direction(slope)
        return namespace.restore(namespace.kind_of(w), made)

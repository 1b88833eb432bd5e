# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""SketchySGD, SketchySVRG, SketchySAGA and SketchyKatyusha: the loops over the samples of a linear model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from randnla import curvature as engines
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
    rank, rho, preconditioner
        As of `randnla.curvature.SketchySGD`: 10, 1e-3 and "nystrom".
    ridge : float or "auto"
        mu of ``mu / 2 |w|^2``; "auto" is 1e-2 / n.
    epochs : int, default 20
        Passes of `fit`.
    batch : int, default 256
        Samples of a gradient.
    hessian_batch : int or "auto"
        Samples of a Hessian; "auto" is floor(sqrt(n)).
    refresh_every : int or "auto"
        Epochs from one Hessian to the next; "auto" is 1, for least squares one Hessian ever.
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
    *Algorithm*: Frangella, Rathore, Zhao and Udell (2022, SketchySGD) with its defaults.

    *Cost*: an epoch is that of stochastic gradients, 4 p r flops a step and two Hessians of sqrt(n) samples.

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
        return engines.SketchySGD(ridge=model.ridge, **self._settings())

    def _epoch(self, rows: Rows, y: Array) -> Iterator[tuple[int, float]]:
        model, rate, w = self.model, self.engine.learning_rate, self._w
        for index, X in self._batches(rows):
            z = model.predictors(X, w)
            value = self._value(z, y[index])
            g = model.pull(X, model.slopes(z, y[index])) + model.ridge * w
            try:
                down = self.engine.direction(g.ravel())
            except InputError:  # NaN, Inf, or beyond the range of the preconditioner
                yield self._skip(len(index))
                continue
            w -= rate * down.reshape(w.shape)
            yield len(index), value

    def step(self, w: Any, grad: Any, *, hessian_root: Any = None, fresh: Any = None) -> Array:
        """One step of a loop of one's own.

        Parameters
        ----------
        w, grad : array of shape (p,)
        hessian_root, fresh : root, optional
            Where the curvature is to be estimated anew, and needed the first time: as of
            `randnla.curvature.SketchySGD.update`.

        Returns
        -------
        array of shape (p,)
            The next w; the same numbers where a gradient holds NaN or Inf.

        Raises
        ------
        InputError, StateError
            An argument does not fit, or there has been no curvature.
        """
        if self.engine is None:
            ridge = 0.0 if isinstance(self.ridge, str) else self.ridge
            self.engine = engines.SketchySGD(ridge=ridge, **self._settings())
        if hessian_root is not None:
            self.engine.update(hessian_root, fresh=fresh)
        here = np.asarray(w)
        if np.shape(grad) != here.shape:
            raise InputError(f"grad: expected shape {here.shape} as of w, got {np.shape(grad)}")
        if not np.isfinite(grad).all():
            self._skip()
            return here.copy()
        return np.asarray(here - self.engine.learning_rate * self.engine.direction(grad))


class SketchySVRG(SketchyFit):
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

    def _engine(self, n: int, model: LinearModel) -> Any:
        return engines.SketchySVRG(samples=n, ridge=model.ridge, **self._settings())

    def _epoch(self, rows: Rows, y: Array) -> Iterator[tuple[int, float]]:
        model, w, anchor = self.model, self._w, self._w.copy()
        try:
            self.engine.snapshot(self._full_gradient(rows, y, anchor))
        except InputError:  # NaN or Inf: there is nothing to step along
            yield self._skip(rows.n)
            return
        rate = self.engine.learning_rate
        for index, X in self._batches(rows):
            z, there = model.predictors(X, w), model.predictors(X, anchor)
            value = self._value(z, y[index])
            # One product with X^T: the difference of the slopes, and that of the penalties.
            change = model.slopes(z, y[index]) - model.slopes(there, y[index])
            g = model.pull(X, change) + model.ridge * (w - anchor)
            try:
                down = self.engine.direction(g.ravel() + self.engine.full_gradient)
            except InputError:  # NaN, Inf, or beyond the range of the preconditioner
                yield self._skip(len(index))
                continue
            w -= rate * down.reshape(w.shape)
            yield len(index), value


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
        return engines.SketchySAGA(**more, **self._settings())

    def _epoch(self, rows: Rows, y: Array) -> Iterator[tuple[int, float]]:
        model, rate, w = self.model, self.engine.learning_rate, self._w
        for index, X in self._batches(rows):
            z = model.predictors(X, w)
            value = self._value(z, y[index])
            try:
                slopes = model.slopes(z, y[index])
                down = self.engine.direction(index, slopes, X, model.ridge * w.ravel())
            except InputError:  # NaN, Inf, or beyond the range of the preconditioner
                yield self._skip(len(index))
                continue
            w -= rate * down.reshape(w.shape)
            yield len(index), value


class SketchyKatyusha(SketchyFit):
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
        return engines.SketchyKatyusha(**more, **self._settings())

    def _begin(self) -> None:
        self.engine.start(self._w.ravel())

    def _epoch(self, rows: Rows, y: Array) -> Iterator[tuple[int, float]]:
        model, engine, shape = self.model, self.engine, self._w.shape
        for index, X in self._batches(rows):
            if engine.snapshot_due:
                try:
                    engine.snapshot(self._full_gradient(rows, y, engine.anchor.reshape(shape)))
                except InputError:  # NaN or Inf: there is nothing to step along
                    yield self._skip(rows.n)
                    return
            point, anchor = engine.point.reshape(shape), engine.anchor.reshape(shape)
            z, there = model.predictors(X, point), model.predictors(X, anchor)
            pulls = [
                (model.pull(X, model.slopes(at, y[index])) + model.ridge * w).ravel()
                for at, w in ((z, point), (there, anchor))
            ]
            try:
                self._w = engine.step(*pulls).reshape(shape)
            except InputError:  # NaN, Inf, or beyond the range of the preconditioner
                yield self._skip(len(index))
                continue
            yield len(index), self._value(z, y[index])

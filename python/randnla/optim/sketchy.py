# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Linear models fitted by the sketchy optimizers: what their loops share."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np

from randnla import curvature as engines
from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import InputError, StateError
from randnla._backend.rng import seed_from
from randnla.curvature import Health, LeastSquares, LinearModel, Logistic, Multinomial, Poisson
from randnla.curvature.promise.sketchy_sgd import PRECONDITIONERS
from randnla.curvature.resumable import joined, parted

from .protocols import Array
from .rows import Rows, rows_of

_CLASSES = 1 << 31  # of "multinomial", fewer
_PAIRS = 10  # of an output
LOSSES = ("least_squares", "logistic", "multinomial", "poisson")


class SketchyFit:
    """Base of the optimizers: settings, curvature, epochs, history, state.

    Subclasses give `_engine`, and `_epoch`, one pass over the samples.
    """

    _KIND: ClassVar[str]

    def __init__(
        self,
        loss: str | LinearModel = "logistic",
        rank: int | str = "auto",
        rho: float = 1e-3,
        *,
        preconditioner: str = "nystrom",
        ridge: float | str = "auto",
        epochs: int = 20,
        batch: int = 256,
        hessian_batch: int | str = "auto",
        refresh_every: int | str = "auto",
        rng: Any = None,
    ) -> None:
        if not isinstance(loss, LinearModel):
            validate.choice(loss, LOSSES, name="loss")
        self.loss = loss
        self.rank = _auto(rank, name="rank")
        self.rho = engines.Nystrom(1, rho, rng=0).rho  # names it where it does not fit
        self.preconditioner = validate.choice(preconditioner, tuple(PRECONDITIONERS), name="preconditioner")
        self.ridge = ridge if ridge == "auto" else validate.real(ridge, name="ridge", low=0.0)
        self.epochs = validate.integer(epochs, name="epochs", low=1)
        self.batch = validate.integer(batch, name="batch", low=1)
        self.hessian_batch = _auto(hessian_batch, name="hessian_batch")
        self.refresh_every = _auto(refresh_every, name="refresh_every")
        self.seed = seed_from(rng)
        self.engine: Any = None
        self.model: Any = None
        self.history: list[dict[str, Any]] = []
        self._w = np.zeros(0)
        self._samples = 0  # of the fit

    # -- what subclasses give ------------------------------------------------------------------------------

    def _engine(self, n: int, model: LinearModel) -> Any:
        raise NotImplementedError

    def _epoch(self, rows: Rows, y: Array) -> Iterator[tuple[int, float]]:
        """A pass; yields size and loss of every batch, before its step: nan where that is skipped."""
        raise NotImplementedError

    def _stepping(self, samples: Any, hessian_root: Any, fresh: Any, *, outputs: int = 1) -> Any:
        """The engine of a loop of one's own, its curvature estimated anew where there is a root.

        Raises
        ------
        InputError
            Neither the first step nor a fit has told the number of samples.
        """
        if self.engine is None:
            if samples is None:
                raise InputError("samples: expected their number at the first step, got None")
            n = validate.integer(samples, name="samples", low=1)
            model = self.loss
            if not isinstance(model, LinearModel):
                model = LinearModel(ridge=1e-2 / n if self.ridge == "auto" else float(self.ridge))
                model.outputs = outputs
            self.engine = self._engine(n, model)
        if hessian_root is not None:
            self.engine.update(hessian_root, fresh=fresh)
        return self.engine

    def _settings(self, outputs: int = 1) -> dict[str, Any]:
        # A direction of the data counts once for every output but one, as the outputs add up to a constant.
        rank = _PAIRS * max(1, outputs - 1) if self.rank == "auto" else self.rank
        given = {"rank": rank, "rho": self.rho, "preconditioner": self.preconditioner}
        return {**given, "rng": self.seed}

    def _begin(self) -> None:
        """What is to be done once the curvature is first known."""

    # -- fitting -------------------------------------------------------------------------------------------

    @property
    def coef_(self) -> Array:
        """Weights, (p,), or (p, k) of several outputs; read-only."""
        view = self._w.view()
        view.flags.writeable = False
        return view

    @property
    def epoch(self) -> int:
        """Epochs made."""
        return len(self.history)

    @property
    def health(self) -> Health:
        """How the curvature is; ``skipped_gradients`` counts batches whose gradient was NaN or Inf."""
        if self.engine is None:
            raise StateError(f"{self._KIND}: expected a fit first")
        found: Health = self.engine.health
        return found

    def fit(self, X: Any, y: Any, *, callback: Callable[[Self], None] | None = None) -> Self:
        """Start at zero and make `epochs` passes.

        Parameters
        ----------
        X : array, memmap, CSR matrix or `RowStream` of shape (n, p)
            A stream is read in order, and shuffled within its blocks only; every sample of the Hessian is a
            pass.
        y : array of shape (n,)
        callback : callable, optional
            Called with the optimizer after every epoch.

        Returns
        -------
        the optimizer itself

        Raises
        ------
        InputError, NonFiniteError
            X or y do not fit; nothing has changed.
        """
        validate.callback(callback)
        rows = rows_of(X)
        model = self._model_for(y, rows.n)
        targets = model.checked_targets(y, rows.n)
        self.model, self.engine = model, self._engine(rows.n, model)
        self._w = np.zeros(model.shape(rows.p))
        self.history, self._samples = [], rows.n
        return self._run(rows, targets, self.epochs, callback)

    def resume(
        self, X: Any, y: Any, epochs: int = 1, *, callback: Callable[[Self], None] | None = None
    ) -> Self:
        """Go on for some epochs from a fit or a loaded state, bit for bit as without a stop.

        Raises
        ------
        StateError
            There has been no fit.
        InputError, NonFiniteError
            X or y do not fit, or have other shapes than before; nothing has changed.
        """
        validate.callback(callback)
        epochs = validate.integer(epochs, name="epochs", low=1)
        if self.model is None:
            raise StateError(f"{self._KIND}: expected a fit, or a loaded state, to go on from")
        rows = rows_of(X)
        if self.model.shape(rows.p) != self._w.shape:
            raise InputError(f"X: expected {self._w.shape[0]} columns as before, got {rows.p}")
        if rows.n != self._samples:
            raise InputError(f"X: expected {self._samples} rows as before, got {rows.n}")
        return self._run(rows, self.model.checked_targets(y, rows.n), epochs, callback)

    def _model_for(self, y: Any, n: int) -> LinearModel:
        if isinstance(self.loss, LinearModel):
            if self.ridge != "auto":
                raise InputError("ridge: expected 'auto' with a model, which has its own")
            return self.loss
        ridge = 1e-2 / n if self.ridge == "auto" else float(self.ridge)
        if self.loss == "multinomial":
            labels = validate.as_array(y, name="y", ndim=1)
            validate.require_finite(labels, name="y")
            top = labels.max(initial=0)
            if labels.dtype.kind == "c" or top >= _CLASSES:
                raise InputError(f"y: expected integers in [0, {_CLASSES}), got {top}")
            return Multinomial(max(2, int(top) + 1), ridge=ridge)
        return _MODELS[_word(self.loss)](ridge=ridge)

    def _run(self, rows: Rows, y: Array, epochs: int, callback: Callable[[Self], None] | None) -> Self:
        for _ in range(epochs):
            with np.errstate(over="ignore", invalid="ignore"):  # such steps are skipped, and counted
                if self._refresh_due:
                    self._refresh(rows)
                if self.epoch == 0:
                    self._begin()
                losses = list(self._epoch(rows, y))
            seen = [(count, value) for count, value in losses if math.isfinite(value)]
            total = sum(count for count, _ in seen)
            self.history.append(
                {
                    "epoch": self.epoch + 1,
                    "loss": math.fsum(count * value for count, value in seen) / total if seen else math.nan,
                    "learning_rate": self.engine.learning_rate,
                    "top_eigenvalue": self.engine.top_eigenvalue,
                    "skipped": len(losses) - len(seen),
                }
            )
            if callback is not None:
                callback(self)
        return self

    @property
    def _refresh_due(self) -> bool:
        if self.refresh_every == "auto":
            power_of_two = self.epoch & (self.epoch - 1) == 0
            return self.epoch == 0 or (power_of_two and not self.model.quadratic)
        return self.epoch % int(self.refresh_every) == 0

    def _refresh(self, rows: Rows) -> None:
        """The Hessian of one sample, and the learning rate by that of another."""
        size = math.isqrt(rows.n) if self.hessian_batch == "auto" else int(self.hessian_batch)
        size = max(1, min(size, rows.n))
        rng = np.random.default_rng([self.seed, self.epoch, 1])
        roots = []
        for _ in range(2):
            X = rows.take(rng.choice(rows.n, size, replace=False, shuffle=False))
            roots.append(self.model.root(X, self.model.predictors(X, self._w)))
        self.engine.update(roots[0], fresh=roots[1])

    def _batches(self, rows: Rows) -> Iterator[tuple[Any, Any]]:
        kind = type(self.model)
        usual = kind.predictors is LinearModel.predictors and kind.pull is LinearModel.pull
        rng = np.random.default_rng([self.seed, self.epoch, 0])
        return rows.epoch(self.batch, rng, in_place=usual and self.model.outputs == 1)

    def _value(self, losses: Array, w: Array) -> float:
        """The objective of a batch at w, by the losses of its samples there."""
        return float(losses.sum()) / len(losses) + float(self.model.penalty(w))

    def _full_gradient(self, rows: Rows, y: Array, w: Array) -> Array:
        """In a pass over the samples, flattened."""
        total = np.zeros(w.shape)
        for index, X in rows.blocks():
            slopes = self.model.slopes(self.model.predictors(X, w), y[index])
            total += self.model.pull(X, slopes) * (len(index) / rows.n)
        return np.asarray((total + self.model.ridge * w).ravel())

    # -- use -----------------------------------------------------------------------------------------------

    def _rows_to_predict(self, X: Any) -> Rows:
        if self.model is None:
            raise StateError(f"{self._KIND}: expected a fit first")
        rows = rows_of(X)
        if rows.p != self._w.shape[0]:
            raise InputError(f"X: expected {self._w.shape[0]} columns as in the fit, got {rows.p}")
        return rows

    def objective(self, X: Any, y: Any) -> float:
        """The objective over all samples, with the ridge, in a pass."""
        rows = self._rows_to_predict(X)
        targets = self.model.checked_targets(y, rows.n)
        total = 0.0
        for index, block in rows.blocks():
            total += float(np.sum(self.model.losses(self.model.predictors(block, self._w), targets[index])))
        return total / rows.n + float(self.model.penalty(self._w))

    def predict_mean(self, X: Any) -> Array:
        """Means of y: predictors, probabilities of the label 1 or of all labels, or rates."""
        rows = self._rows_to_predict(X)
        parts = [self.model.predictors(block, self._w) for _, block in rows.blocks()]
        return np.asarray(self.model.mean(np.concatenate(parts)))

    # -- state ---------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays from which `load_state_dict`, `resume` and `step` go on, bit for bit.

        Raises
        ------
        StateError
            There has been neither a fit nor a step.
        """
        if self.engine is None:
            raise StateError(f"{self._KIND}: expected a fit or a step before its state is taken")
        fitted = self.model is not None
        own = {
            "kind": self._KIND,
            "model": type(self.model).__name__ if fitted else _word(self.loss),
            "outputs": self.model.outputs if fitted else 0,
            "ridge": self.model.ridge if fitted else self.engine.ridge,
            "samples": self._samples,
            "batch": self.batch,
            "hessian_batch": str(self.hessian_batch),
            "refresh_every": str(self.refresh_every),
            "seed": self.seed,
            "history": json.dumps(self.history),
            "w": self._w.copy(),
        }
        parts = {"engine": self.engine.state_dict(), "loop": self._loop_state()}
        return plain_state.seal({**own, **joined(parts)})

    def _loop_state(self) -> dict[str, Any]:
        """What a loop of one's own has here beside the engine."""
        return {}

    def _take_loop(self, fields: dict[str, Any]) -> None:
        """Take `_loop_state` back; anything raised is a StateError."""

    def load_state_dict(self, state: Any) -> None:
        """Become what a state describes; the loss must be that of this optimizer.

        Raises
        ------
        StateError
            A field is missing, altered, or of another optimizer; nothing has changed.
        """
        types = {"model": str, "outputs": int, "ridge": float, "batch": int, "hessian_batch": str}
        types |= {"samples": int, "refresh_every": str, "seed": int, "history": str, "w": np.ndarray}
        fields = plain_state.opened(state, self._KIND, types, parts=True)
        inner = parted({key: value for key, value in fields.items() if "/" in str(key)})
        made = object.__new__(type(self))
        vars(made).update(vars(self))
        if fields["samples"] < 0:
            raise StateError(f"samples: expected a number >= 0, got {fields['samples']}")
        fitted = fields["samples"] > 0
        made.model = _model_of(fields) if fitted else None
        if _word(self.loss) != fields["model"]:
            raise StateError(f"model: expected {_word(self.loss)}, got {fields['model']}")
        made.engine = getattr(engines, self._KIND.removeprefix("optim.")).from_state_dict(
            inner.get("engine", {})
        )
        pre = made.engine.preconditioner
        made.rank, made.rho = getattr(pre, "rank", self.rank), made.engine.rho
        made.preconditioner = next(word for word, kind in PRECONDITIONERS.items() if type(pre) is kind)
        shape, dim = fields["w"].shape, made.engine.dim
        if fitted and (not shape or made.model.shape(shape[0]) != shape or math.prod(shape) != dim):
            raise StateError(f"w: expected {dim} weights, got shape {shape}")
        if not fitted and shape != (0,):
            raise StateError(f"w: expected none without a fit, got shape {shape}")
        made._samples = fields["samples"]
        made._w = plain_state.array_of(fields, "w", shape, np.float64)
        try:
            made.batch = validate.integer(fields["batch"], name="batch", low=1)
            made.hessian_batch = _auto(_number(fields["hessian_batch"]), name="hessian_batch")
            made.refresh_every = _auto(_number(fields["refresh_every"]), name="refresh_every")
            made.history = list(json.loads(fields["history"]))
            made.seed = validate.integer(fields["seed"], name="seed", low=0)
        except (InputError, ValueError, TypeError) as problem:
            raise StateError(f"state: {problem}") from problem
        with plain_state.reading():
            made._take_loop(inner.get("loop", {}))
        vars(self).update(vars(made))

    def __repr__(self) -> str:
        loss = self.loss if isinstance(self.loss, str) else repr(self.loss)
        rank = getattr(getattr(self.engine, "preconditioner", None), "rank", self.rank)
        return f"{type(self).__name__}({loss}, rank={rank}, rho={self.rho}, epoch={self.epoch})"

    def _skip(self, count: int = 0) -> tuple[int, float]:
        """Note that the gradient of a batch is not finite."""
        pre = self.engine.preconditioner
        health: Health = pre.health
        pre.health = replace(health, skipped_gradients=health.skipped_gradients + 1)
        return count, math.nan


_MODELS: dict[str, type[LinearModel]] = {
    "LeastSquares": LeastSquares,
    "Logistic": Logistic,
    "Multinomial": Multinomial,
    "Poisson": Poisson,
}


def _model_of(fields: dict[str, Any]) -> LinearModel:
    name, ridge = fields["model"], fields["ridge"]
    if name not in _MODELS or not (math.isfinite(ridge) and ridge >= 0) or fields["outputs"] < 1:
        raise StateError(f"model: expected one of {', '.join(_MODELS)}, got {name!r} with ridge {ridge}")
    if name == "Multinomial":
        return Multinomial(max(2, fields["outputs"]), ridge=ridge)
    return _MODELS[name](ridge=ridge)


def _word(loss: str | LinearModel) -> str:
    if isinstance(loss, LinearModel):
        return type(loss).__name__
    return "".join(part.capitalize() for part in loss.split("_"))


def _auto(value: Any, *, name: str) -> int | str:
    if isinstance(value, str):
        return validate.choice(value, ("auto",), name=name)
    return validate.integer(value, name=name, low=1)


def _number(text: str) -> int | str:
    return text if text == "auto" else int(text)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Training with Kronecker-factored curvature, in plain NumPy."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from randnla import curvature as engines
from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import InputError, StateError
from randnla._backend.rng import seed_from
from randnla.curvature import Exact, LevenbergMarquardt, Tikhonov, minimize_quadratic
from randnla.curvature.quadratic import QuadraticMinimum, combine, gram_of, inner
from randnla.curvature.resumable import joined, parted

from .fisher import FISHERS, fisher_form, statistics_of
from .protocols import Array, Loss, Network, Parameters
from .trees import leaves, rebuilt, require_alike

# What `curvature=` says -> the engine of `randnla.curvature`.
ENGINES = {
    "exact": "KFAC",
    "rs": "RSKFAC",
    "sre": "SREKFAC",
    "ekfac": "EKFAC",
    "brand": "BrandKFAC",
    "kld_wrm": "KLDWRM",
}


class KFAC:
    """Gradient descent with momentum along directions preconditioned by an engine of `randnla.curvature`.

    Parameters
    ----------
    network : Network or mapping {name: layer}
        A network for `train`; of layers alone only `step` and `accumulate` can be used.
    curvature : {"exact", "rs", "sre", "ekfac", "brand", "kld_wrm"}, default "rs"
        The engine: `randnla.curvature.KFAC`, `RSKFAC`, `SREKFAC`, `EKFAC`, `BrandKFAC` or `KLDWRM`.
    loss : Loss, optional
        For `train`.
    lr : float, callable (step) -> float, or "exact"; default 0.1
        The step size. exact: step size and momentum minimize the quadratic model with the exact Fisher
        matrix of the batch over the direction and the last update.
    momentum : float in [0, 1), default 0
        ``v = momentum v - lr direction; w = w + v``. Not with ``lr="exact"``, which chooses it.
    weight_decay : float, default 0
        eta of the penalty ``eta / 2 |w|^2``, which is part of the gradient that is preconditioned.
    fisher : {"mc", "empirical", "ggn"}, default "mc"
        Whose gradients `train` averages: of labels drawn from the model, of the data's, or exactly those that
        make up the Gauss-Newton matrix, at one backward pass for each output.
    damping : Damping, float, callable or LevenbergMarquardt
        As of the engine, and its default. With ``lr="exact"`` `Tikhonov`, `Exact` or, unless given, a
        `LevenbergMarquardt`, which `train` tells how well the model has foretold the loss: its number plus
        `weight_decay` is that of `Tikhonov`, for E-KFAC of `Exact`.
    rng : None, int, SeedSequence or Generator
        Of labels that are drawn, and of the engine.
    **settings
        Of the engine: ema, rank, stats_every, inv_every, clip and others.

    Attributes
    ----------
    engine : randnla.curvature.KFAC
    step_count : int
    minimum : QuadraticMinimum or None
        Of the last step with ``lr="exact"``.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Martens and Grosse (2015); sections 6.4 to 7 for ``lr="exact"`` and Levenberg-Marquardt.

    *Cost*: that of the engine, and some passes over the parameters; `train` adds a backward pass where
    statistics are due (one for each output with "ggn"), a forward derivative or two with ``lr="exact"``,
    and a forward pass where a Levenberg-Marquardt rule is due.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.optim import KFAC
    >>> from randnla.testing import MLP, SquaredError
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((64, 5))
    >>> y = np.tanh(x @ rng.standard_normal((5, 2)))
    >>> network = MLP([5, 8, 2], rng=0)
    >>> often = {"stats_every": 1, "inv_every": 1}
    >>> optimizer = KFAC(network, "exact", loss=SquaredError(), lr="exact", fisher="ggn", rng=0, **often)
    >>> losses = [optimizer.train(x, y) for _ in range(60)]
    >>> bool(losses[-1] < losses[0] / 2)
    True

    With gradients from elsewhere:

    >>> from randnla.curvature import Dense
    >>> optimizer = KFAC({"only": Dense(5, 2, bias=False)}, lr=1.0)
    >>> w, g = {"only": np.zeros((2, 5))}, {"only": np.ones((2, 5))}
    >>> if optimizer.statistics_due:
    ...     optimizer.accumulate({"only": (x, y)})
    >>> w = optimizer.step(w, g)
    >>> w["only"].shape
    (2, 5)
    """

    _KIND: ClassVar[str] = "optim.KFAC"

    def __init__(
        self,
        network: Network | Mapping[str, Any],
        curvature: str = "rs",
        *,
        loss: Loss | None = None,
        lr: float | str | Callable[[int], float] = 0.1,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        fisher: str = "mc",
        damping: Any = None,
        rng: Any = None,
        **settings: Any,
    ) -> None:
        self.network: Any = None if isinstance(network, Mapping) else network
        self.loss = loss
        self.curvature = validate.choice(curvature, tuple(ENGINES), name="curvature")
        self._lr = lr if callable(lr) else _step_size(lr)
        self.momentum = validate.real(momentum, name="momentum", low=0.0, high=1.0)
        if self.momentum == 1.0 or (self.momentum and lr == "exact"):
            wanted = "0, for lr='exact' chooses it" if lr == "exact" else "a number in [0, 1)"
            raise InputError(f"momentum: expected {wanted}, got {momentum}")
        self.weight_decay = validate.real(weight_decay, name="weight_decay", low=0.0)
        self.fisher = validate.choice(fisher, FISHERS, name="fisher")
        self.seed = seed_from(rng)
        self.rule, damped = self._rule(damping)
        layers = network if isinstance(network, Mapping) else network.layers
        given = {} if damped is None else {"damping": damped}
        self.engine = getattr(engines, ENGINES[self.curvature])(layers, rng=self.seed, **given, **settings)
        self._require_trustworthy()
        self.minimum: QuadraticMinimum | None = None
        self._velocity: dict[str, Array] | None = None

    def _rule(self, damping: Any) -> tuple[LevenbergMarquardt | None, Any]:
        """The rule that lambda follows, and what the engine is damped by."""
        if damping is None and self._lr == "exact":
            damping = LevenbergMarquardt()
        if not isinstance(damping, LevenbergMarquardt):
            return None, damping
        if self._lr != "exact":
            raise InputError("damping: LevenbergMarquardt takes lr='exact', whose model it judges")
        kind = Exact if self.curvature == "ekfac" else Tikhonov
        return damping, lambda step: kind(damping.value + self.weight_decay)

    def _require_trustworthy(self) -> None:
        if self._lr != "exact":
            return
        if self.curvature == "kld_wrm":
            raise InputError("lr: expected a number or a schedule, which is part of KLD-WRM, got 'exact'")
        if not isinstance(self.engine.damping, (Tikhonov, Exact)):
            raise InputError(
                "damping: lr='exact' takes Tikhonov, Exact or LevenbergMarquardt, whose lambda is that of "
                f"the quadratic model; got {self.engine.damping}"
            )
        if self.engine.clip is not None:
            raise InputError(
                f"clip: expected None, for lr='exact' chooses the length; got {self.engine.clip}"
            )

    # -- what the engine says ----------------------------------------------------------------------------

    @property
    def step_count(self) -> int:
        """Steps so far."""
        return int(self.engine.step_count)

    @property
    def statistics_due(self) -> bool:
        """Whether this step wants `accumulate`."""
        return bool(self.engine.statistics_due)

    @property
    def health(self) -> dict[str, engines.Health]:
        """How the curvature of each layer is."""
        return dict(self.engine.health)

    def report(self) -> engines.Report:
        """A printable table of the layers, and of how each is inverted."""
        made: engines.Report = self.engine.report()
        return made

    # -- steps -------------------------------------------------------------------------------------------

    def accumulate(self, statistics: Mapping[str, tuple[Any, Any]]) -> None:
        """Average in inputs and output gradients of layers.

        Parameters
        ----------
        statistics : mapping {name: (a, g)}
            As of `randnla.curvature.KFAC.accumulate`: g is the gradient of the summed loss.

        Raises
        ------
        InputError
            There is no such layer, or an array does not fit it; nothing has changed.
        """
        if not isinstance(statistics, Mapping):
            raise InputError(f"statistics: expected a mapping, got {type(statistics).__name__}")
        self.engine.accumulate(statistics)

    def step(self, w: Parameters, grad: Parameters) -> dict[str, Any]:
        """Parameters after one step.

        Parameters
        ----------
        w : mapping {name: (weight, bias) or weight}
            Not changed; tuples or lists. Layers that the engine does not know follow their plain gradient.
        grad : mapping
            Gradient of the mean loss without the penalty, in the structure of `w`.

        Returns
        -------
        dict
            In the structure of `w`; the same numbers where a gradient holds NaN or Inf: that is no step.

        Raises
        ------
        InputError
            The structures differ; or ``lr="exact"``, which needs `train`.
        """
        if self._lr == "exact":
            raise InputError("lr: expected a number or a schedule, for 'exact' needs a network and `train`")
        here = leaves(w)
        rate = _rate(self._lr, self.step_count)
        down = self._directions(w, here, grad, rate)
        if down is None:
            return dict(w)
        update = combine(-rate, down, self.momentum, self._velocity)
        self._velocity = update if self.momentum else None
        return rebuilt(w, combine(1.0, here, 1.0, update))

    def _directions(
        self, w: Parameters, here: dict[str, Array], grad: Parameters, rate: float
    ) -> dict[str, Array] | None:
        """Preconditioned gradients, penalty included; None where they are not finite."""
        whole = rebuilt(w, self._penalized(here, grad))
        known = {name: value for name, value in whole.items() if name in self.engine.health}
        plain = {name: value for name, value in whole.items() if name not in known}
        if not all(np.isfinite(slope).all() for slope in leaves(plain).values()):
            return None
        count = self.step_count
        # The exact divergences of KLD-WRM are taken from the network as it is.
        further = {"parameters": {n: w[n] for n in known}} if self._descends else {}
        down = self.engine.step(known, lr=rate, **further)
        return None if self.step_count == count else leaves({**whole, **down})

    @property
    def _descends(self) -> bool:
        return isinstance(self.engine, engines.KLDWRM) and self.engine.variant == "QE"

    def _penalized(self, here: dict[str, Array], grad: Parameters) -> dict[str, Array]:
        slopes = leaves(grad, "grad")
        require_alike(slopes, here, "grad")
        if self._velocity is not None:
            require_alike(self._velocity, here, "w")
        return combine(1.0, slopes, self.weight_decay, here)  # type: ignore[no-any-return]

    def train(self, x: Any, targets: Any) -> float:
        """One step of the network on a batch: statistics where due, gradient, step, damping.

        Parameters
        ----------
        x, targets
            As the network and the loss take them.

        Returns
        -------
        float
            The mean loss before the step, without the penalty.

        Raises
        ------
        InputError
            There is no network or no loss, or the batch does not fit.
        """
        network, loss = self.network, self.loss
        if network is None or loss is None:
            raise InputError("network, loss: expected both for `train`, got one or none")
        run = network.forward(x)
        before = loss.value(run.outputs, targets)
        back = network.backward(run, loss.slopes(run.outputs, targets))
        if self.statistics_due:
            rng = np.random.default_rng([self.seed, self.step_count])
            self.accumulate(statistics_of(network, loss, run, back, self.fisher, rng))
        if self._lr == "exact":

            def again() -> float:
                return loss.value(network.forward(x).outputs, targets)

            self._exact_step(loss, run, back.gradients, before, again)
        else:
            network.parameters = self.step(network.parameters, back.gradients)
        return before

    def _exact_step(
        self, loss: Loss, run: Any, grad: Parameters, before: float, value: Callable[[], float]
    ) -> None:
        """A step to the minimum of the quadratic model over the direction and the last update."""
        w = self.network.parameters
        here = leaves(w)
        slopes = self._penalized(here, grad)
        down = self._directions(w, here, grad, 1.0)
        if down is None:
            return
        ways = [combine(-1.0, down), *([] if self._velocity is None else [self._velocity])]
        form = fisher_form(self.network, loss, run, [rebuilt(w, way) for way in ways])
        if not np.isfinite(form).all():
            return
        # The engine's number is lambda + eta where a rule made it.
        damping = self.engine.damping.value + (self.weight_decay if self.rule is None else 0.0)
        made = minimize_quadratic(form, gram_of(*ways), [inner(slopes, way) for way in ways], damping)
        self.minimum = made
        self._velocity = combine(made.alpha, ways[0], made.mu, self._velocity)
        there = combine(1.0, here, 1.0, self._velocity)
        self.network.parameters = rebuilt(w, there)
        if self.rule is not None and math.isfinite(before):
            after = value() + self._penalty(there) if self.rule.due else before
            self.rule.update(before + self._penalty(here), after, made.value)

    def _penalty(self, here: dict[str, Array]) -> float:
        return 0.5 * self.weight_decay * inner(here, here)

    # -- state -------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays from which `load_state_dict` goes on; parameters are the network's."""
        velocity = self._velocity or {}
        own: dict[str, Any] = {
            "kind": self._KIND,
            "curvature": self.curvature,
            "seed": self.seed,
            "names": json.dumps(list(velocity)),
        }
        parts = {"engine": self.engine.state_dict()}
        parts["velocity"] = {str(i): value.copy() for i, value in enumerate(velocity.values())}
        if self.rule is not None:
            parts["rule"] = self.rule.state_dict()
        return plain_state.seal({**own, **joined(parts)})

    def load_state_dict(self, state: Any) -> None:
        """Go on from a state of an optimizer of the same layers and settings.

        Raises
        ------
        StateError
            A field is missing, altered, or of another optimizer; nothing has changed.
        """
        types = {"curvature": str, "seed": int, "names": str}
        fields = plain_state.opened(state, self._KIND, types, parts=True)
        if fields["curvature"] != self.curvature:
            raise StateError(f"curvature: expected {self.curvature!r}, got {fields['curvature']!r}")
        with plain_state.reading():
            parts = parted({key: value for key, value in fields.items() if "/" in str(key)})
            names, arrays = list(json.loads(fields["names"])), parts.get("velocity", {})
            if len(names) != len(arrays) or ("rule" in parts) != (self.rule is not None):
                raise StateError(
                    f"names, rule: expected those of this optimizer, got {sorted(parts)} and {names}"
                )
            velocity = {name: np.array(arrays[str(i)]) for i, name in enumerate(names)}
        if not all(value.dtype.kind == "f" and np.isfinite(value).all() for value in velocity.values()):
            raise StateError("velocity: expected finite numbers")
        rule = None if self.rule is None else self.rule.state_dict()
        try:
            if self.rule is not None:
                self.rule.load_state_dict(parts["rule"])
            self.engine.load_state_dict(parts.get("engine"))
        except StateError:
            if self.rule is not None:
                self.rule.load_state_dict(rule)
            raise
        self.seed, self._velocity = fields["seed"], velocity or None

    def __repr__(self) -> str:
        return f"KFAC({self.curvature!r}, lr={self._lr!r}, momentum={self.momentum}): {self.engine!r}"


def _step_size(lr: Any) -> float | str:
    if isinstance(lr, str):
        return validate.choice(lr, ("exact",), name="lr")
    rate = validate.real(lr, name="lr")
    if rate <= 0:
        raise InputError(f"lr: expected a positive number, a schedule or 'exact', got {lr}")
    return rate


def _rate(lr: Any, step: int) -> float:
    return validate.real(lr(step) if callable(lr) else lr, name="lr", low=0.0)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A wake of exact divergences to the last few networks, descended from the step a quadratic wake gives."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import InputError, StateError

from ..quadratic import combine, inner
from .wake import Layered, checked_layers, positive

Divergence = Callable[[Layered, Layered], tuple[float, Mapping[str, Any]]]


@dataclass(frozen=True)
class WakeObjective:
    """``<g, s> + <s, B s> / 2 + sum_j weight_j D(theta + s, net_j)`` as a function of the step s.

    Attributes
    ----------
    parameters, gradients : dict {layer: array}
        theta and g.
    terms : tuple of (float, dict)
        Weights and the networks they belong to.
    divergence : callable (parameters, net) -> (value, gradient with respect to parameters)
    curvature : callable (s) -> B s, or None for B = 0
    """

    parameters: Layered
    gradients: Layered
    terms: tuple[tuple[float, Layered], ...]
    divergence: Divergence
    curvature: Callable[[Layered], Mapping[str, Any]] | None = None

    def __call__(self, s: Layered) -> tuple[float, Layered]:
        """Value and gradient at a step.

        Raises
        ------
        InputError, NonFiniteError
            What `divergence` or `curvature` returns does not fit, or is not finite.
        """
        value, gradient = inner(self.gradients, s), dict(self.gradients)
        if self.curvature is not None:
            bent = checked_layers(self.curvature(s), "curvature", s)
            value, gradient = value + 0.5 * inner(s, bent), combine(1.0, gradient, 1.0, bent)
        here = combine(1.0, self.parameters, 1.0, s)
        for weight, net in self.terms:
            distance, slope = self.divergence(here, net)
            value += weight * float(distance)
            gradient = combine(1.0, gradient, weight, checked_layers(slope, "divergence", s))
        return value, gradient


class ExactWake:
    """The last networks of a trajectory, and a few steps of descent on exact divergences to them.

    Parameters
    ----------
    ema : float in [0, 1), default 0.5
        rho; the net i steps back weighs ``rho^i (1 - rho)`` (the first net of all: ``rho^i``).
    nets : int, default 3
        Networks that count, the present one among them; older ones are forgotten.
    steps : int, default 7
        Of descent.
    rate : float, default 0.1
        Times the step size of the outer step: the step size of the descent.
    momentum : float in [0, 1), default 0.5
    scale : float, default 1/330
        Times the divergences. 1 is the exact objective.
    clip : float, default 2
        Bound of the norm of every layer's gradient in the descent.

    Attributes
    ----------
    count : int
        Networks seen.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: the QE variant of KLD-WRM (Puiu, *Rethinking exponential averaging of the Fisher*, 2022).
    The divergence D is half the sum of both Kullback-Leibler divergences, ``<d, F d> / 2`` to second order,
    so that lambda D takes the place of the quadratic terms of `WakeRecursion`.

    *Cost*: `nets` copies of the parameters; ``steps * nets`` values and gradients of the divergence a step.

    Examples
    --------
    A Gaussian of unit variance, whose mean is the parameter:

    >>> import numpy as np
    >>> from randnla.curvature import ExactWake
    >>> def divergence(here, net):
    ...     d = here["mean"] - net["mean"]
    ...     return 0.5 * float(d @ d), {"mean": d}
    >>> wake, theta, g = ExactWake(scale=1.0), {"mean": np.zeros(2)}, {"mean": np.ones(2)}
    >>> objective = wake.objective(theta, g, lr=0.5, divergence=divergence)
    >>> start = {"mean": np.zeros(2)}
    >>> objective(wake.refine(objective, start, lr=0.5))[0] < objective(start)[0]
    True
    """

    _KIND: ClassVar[str] = "ExactWake"

    def __init__(
        self,
        *,
        ema: float = 0.5,
        nets: int = 3,
        steps: int = 7,
        rate: float = 0.1,
        momentum: float = 0.5,
        scale: float = 1 / 330,
        clip: float = 2.0,
    ) -> None:
        self.ema, self.momentum = _share(ema, "ema"), _share(momentum, "momentum")
        self.nets = validate.integer(nets, name="nets", low=1)
        self.steps = validate.integer(steps, name="steps", low=0)
        self.rate, self.scale = positive(rate, "rate"), positive(scale, "scale")
        self.clip = positive(clip, "clip")
        self.count = 0
        self._held: deque[Layered] = deque(maxlen=self.nets)

    def objective(
        self,
        parameters: Mapping[str, Any],
        gradients: Mapping[str, Any],
        lr: float,
        divergence: Divergence,
        curvature: Callable[[Layered], Mapping[str, Any]] | None = None,
    ) -> WakeObjective:
        """Take in the present network, and say what its step is to minimize.

        Parameters
        ----------
        parameters : mapping {layer: array}
            theta, before the step; copied.
        gradients : mapping {layer: array}
            Of the loss there.
        lr : float
            Step size 1 / lambda.
        divergence : callable (parameters, net) -> (value, gradient)
            Half the sum of the Kullback-Leibler divergences both ways between the outputs of two networks,
            mean over a batch, and its gradient with respect to the first.
        curvature : callable (s) -> B s, optional
            Of the quadratic model of the loss.

        Raises
        ------
        InputError, NonFiniteError
            An argument does not fit or is not finite; nothing has changed.
        """
        lr = positive(lr, "lr")
        like = self._held[-1] if self._held else {}
        theta = {name: x.copy() for name, x in checked_layers(parameters, "parameters", like).items()}
        g = checked_layers(gradients, "gradients", theta)
        for name, value in (("divergence", divergence), ("curvature", curvature or abs)):
            validate.callback(value, name=name)
        self._held.append(theta)
        self.count += 1
        first = self.count - 1  # steps since the first net, which no (1 - rho) makes lighter
        fresh = 1.0 - self.ema
        weights = [
            self.scale / lr * self.ema**i * (1.0 if i == first else fresh) for i in range(len(self._held))
        ]
        terms = tuple((w, net) for w, net in zip(weights, reversed(self._held), strict=True) if w > 0)
        return WakeObjective(theta, g, terms, divergence, curvature)

    def refine(self, objective: Callable[[Layered], tuple[float, Layered]], s: Layered, lr: float) -> Layered:
        """Descend from the step s; s itself where a gradient on the way is not finite.

        Parameters
        ----------
        objective : callable (s) -> (value, gradient)
            As `objective` makes it.
        s : dict {layer: array}
            The step of the quadratic wake.
        lr : float
            Of the outer step.
        """
        size, here = self.rate * positive(lr, "lr"), s
        velocity = {name: np.zeros_like(value) for name, value in s.items()}
        for _ in range(self.steps):
            try:
                gradient = objective(here)[1]
            except (ArithmeticError, ValueError):
                return s
            for name, slope in gradient.items():
                norm = math.sqrt(inner(slope, slope))
                if not math.isfinite(norm):
                    return s
                share = min(1.0, self.clip / norm) if norm > 0 else 1.0
                velocity[name] = self.momentum * velocity[name] + share * slope
            here = combine(1.0, here, -size, velocity)
        return here

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays from which `load_state_dict` goes on bit for bit; without the settings."""
        arrays = {
            f"net_{j}_{i}": value.copy()
            for j, net in enumerate(self._held)
            for i, value in enumerate(net.values())
        }
        names = list(self._held[-1]) if self._held else []
        own = {"kind": self._KIND, "count": self.count, "names": json.dumps(names)}
        return plain_state.seal({**own, **arrays})

    def load_state_dict(self, state: Any) -> None:
        """Take back the networks of a state; all fields are checked before anything changes.

        Raises
        ------
        StateError
            A field is missing, unknown, altered, or does not fit.
        """
        arrays = [key for key in state if str(key).startswith("net_")] if isinstance(state, dict) else []
        types = {"count": int, "names": str} | dict.fromkeys(arrays, np.ndarray)
        fields = plain_state.opened(state, self._KIND, types)
        with plain_state.reading():
            names, count = list(json.loads(fields["names"])), fields["count"]
        held = min(count, self.nets)
        expected = [f"net_{j}_{i}" for j in range(held) for i in range(len(names))]
        if count < 0 or sorted(expected) != sorted(arrays) or (count > 0 and not names):
            raise StateError(
                f"count, names: expected {held} nets of {len(names)} layers, got {len(arrays)} arrays"
            )
        nets = [
            {
                name: plain_state.array_of(
                    fields, key, fields[f"net_0_{i}"].shape, fields[f"net_0_{i}"].dtype
                )
                for i, name in enumerate(names)
                if (key := f"net_{j}_{i}")
            }
            for j in range(held)
        ]
        self.count, self._held = count, deque(nets, maxlen=self.nets)

    def __repr__(self) -> str:
        return f"ExactWake(ema={self.ema}, nets={self.nets}, steps={self.steps}): {self.count} nets seen"


def _share(value: Any, name: str) -> float:
    number = validate.real(value, name=name, low=0.0)
    if number >= 1.0:
        raise InputError(f"{name}: expected a number in [0, 1), got {number}")
    return number

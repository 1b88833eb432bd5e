# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The wake of a trajectory: quadratic models around all past iterates, carried along by a recursion."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import InputError, StateError
from randnla._backend.kernels.dense import Array

Layered = dict[str, Array]
VARIANTS = ("SO", "Q", "QE")
PUBLISHED_EMA = {"SO": 0.33, "Q": 0.5, "QE": 0.5}


class WakeRecursion:
    """The right-hand sides of KLD-WRM steps, one after the other.

    Parameters
    ----------
    variant : {"SO", "Q", "QE"}, default "SO"
        SO: no model of the loss beyond its gradient. Q: a quadratic one, of curvature B. QE: as Q; its step
        is then refined by an `ExactWake`.
    ema : float in [0, 1), optional
        rho, the weight of the past in the curvature; .33 for SO, .5 for Q and QE unless given.

    Attributes
    ----------
    variant, ema
    count : int
        Steps so far.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Puiu, *Rethinking exponential averaging of the Fisher* (2022). Step k minimizes

        <g_k, s> + <s, B_k s> / 2 + (lambda_k / 2) sum_(i <= k) rho^(k-i) kappa_i <t_i, F_i t_i>,

    with t_i = theta_k + s - theta_i, lambda_k = 1 / lr_k, kappa_0 = 1 and all other kappa = 1 - rho: the
    weights of an exponential average with ``start="first"``, ``F_k^ = sum rho^(k-i) kappa_i F_i``. A damping
    added to every F_i is added to the average, so that the recursion holds with it as well.

    With rho = 0 the step is the natural gradient's. As rho nears 1 a constant gradient leaves SO a step of
    (1 - rho) times that: SO differentiates gradients, it acts as a smaller step size and a high-pass filter.

    *Cost*: one copy of the gradients held, a few passes over them a step.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import WakeRecursion
    >>> wake = WakeRecursion("SO", ema=0.5)
    >>> gradients = {"layer": np.ones((1, 2))}
    >>> wake.step(gradients, lr=0.1)["layer"], wake.step(gradients, lr=0.1)["layer"]
    (array([[1., 1.]]), array([[0.5, 0.5]]))
    """

    _KIND: ClassVar[str] = "WakeRecursion"

    def __init__(self, variant: str = "SO", *, ema: float | None = None) -> None:
        self.variant = validate.choice(variant, VARIANTS, name="variant")
        self.ema = validate.real(PUBLISHED_EMA[variant] if ema is None else ema, name="ema", low=0.0)
        if self.ema >= 1.0:
            raise InputError(f"ema: expected a number in [0, 1), got {ema}")
        self.count = 0
        self._pull: Layered = {}
        self._lr = 1.0

    @property
    def layers(self) -> list[str]:
        """Names of the layers, none before the first step."""
        return list(self._pull)

    # Let w_k = sum_(i < k) rho^(k-i) kappa_i F_i (theta_k - theta_i). Step k is stationary where
    #     g_k + B_k s_k + lambda_k (F_k^ s_k + w_k) = 0,                                                  (1)
    # that is (lambda_k F_k^ + B_k) s_k = -g^_k with g^_k = g_k + lambda_k w_k. Since every theta_k - theta_i
    # grows by s_k, w_(k+1) = rho (w_k + F_k^ s_k), which is -(rho / lambda_k) (g_k + B_k s_k) by (1). So
    #     g^_(k+1) = g_(k+1) + rho (lambda_(k+1) / lambda_k) r_k,   r_k = -(g_k + B_k s_k).
    # SO: B = 0, r_k = -g_k. Q: with M = F^ (F^ + B / lambda)^-1 and s = -(lambda F^ + B)^-1 g^ there is
    # B s = -(g^ - lambda F^ (lambda F^ + B)^-1 g^) = M g^ - g^, so that r_k = g^_k - g_k - M_k g^_k.
    # `_pull` is r_k, and lambda_(k+1) / lambda_k the ratio of the step sizes upside down.

    def step(
        self,
        gradients: Mapping[str, Any],
        lr: float,
        *,
        retained: Callable[[Layered], Mapping[str, Any]] | None = None,
    ) -> Layered:
        """The right-hand side of this step.

        Parameters
        ----------
        gradients : mapping {layer: array}
            Of the loss, finite; the same layers and shapes at every step.
        lr : float
            The step size 1 / lambda, positive.
        retained : callable (layers) -> layers, optional
            For Q and QE: ``F^ (F^ + lr B)^-1`` of this step applied to what is returned. Unless given, B is
            taken to be F^, which makes it ``1 / (1 + lr)``.

        Returns
        -------
        dict {layer: array}
            g^: the step is ``-lr F^^-1 g^`` for SO and ``-lr (F^ + lr B)^-1 g^`` for Q.

        Raises
        ------
        InputError, NonFiniteError
            An argument does not fit, or holds NaN or Inf; nothing has changed.
        """
        lr = positive(lr, "lr")
        seen = checked_layers(gradients, "gradients", self._pull)
        share = self.ema * self._lr / lr
        made = {name: g + share * self._pull[name] if self.count else g.copy() for name, g in seen.items()}
        if self.variant == "SO":
            pull = {name: -g for name, g in seen.items()}
        else:
            pull = self._quadratic_pull(made, seen, lr, retained)
        self._pull, self._lr, self.count = pull, lr, self.count + 1
        return made

    def _quadratic_pull(
        self, made: Layered, seen: Layered, lr: float, retained: Callable[[Layered], Mapping[str, Any]] | None
    ) -> Layered:
        if retained is None:
            lost = lr / (1.0 + lr)
            return {name: lost * made[name] - g for name, g in seen.items()}
        kept = checked_layers(retained(made), "retained", made)
        return {name: made[name] - g - kept[name] for name, g in seen.items()}

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays from which `load_state_dict` goes on, bit for bit."""
        arrays = {f"pull_{i}": value.copy() for i, value in enumerate(self._pull.values())}
        return plain_state.seal({**self._scalars(), **arrays})

    def _scalars(self) -> dict[str, Any]:
        return {
            "kind": self._KIND,
            "variant": self.variant,
            "ema": self.ema,
            "count": self.count,
            "lr": self._lr,
            "names": json.dumps(list(self._pull)),
        }

    def load_state_dict(self, state: Any) -> None:
        """Become the recursion a state describes; all fields are checked before anything changes.

        Raises
        ------
        StateError
            A field is missing, unknown, altered, or does not fit.
        """
        own = {key: type(value) for key, value in self._scalars().items() if key != "kind"}
        arrays = [key for key in state if str(key).startswith("pull_")] if isinstance(state, dict) else []
        fields = plain_state.opened(state, self._KIND, own | dict.fromkeys(arrays, np.ndarray))
        with plain_state.reading():
            made = type(self)(fields["variant"], ema=fields["ema"])
            made._lr, names = positive(fields["lr"], "lr"), list(json.loads(fields["names"]))
        if len(names) != len(arrays) or fields["count"] < 0 or bool(names) != bool(fields["count"]):
            raise StateError(f"names, count: expected those of {len(arrays)} arrays, got {names}")
        for i, name in enumerate(names):
            given = fields.get(f"pull_{i}")
            if given is None or given.dtype.kind not in "fc":
                raise StateError(f"pull_{i}: expected an array of floats")
            made._pull[name] = plain_state.array_of(fields, f"pull_{i}", given.shape, given.dtype)
        made.count = fields["count"]
        vars(self).update(vars(made))

    @classmethod
    def from_state_dict(cls, state: Any) -> Self:
        """The recursion a state describes, as `load_state_dict`."""
        made = cls()
        made.load_state_dict(state)
        return made

    def __repr__(self) -> str:
        return f"WakeRecursion({self.variant!r}, ema={self.ema}): {self.count} steps"


def positive(value: Any, name: str) -> float:
    """A finite number > 0."""
    number = validate.real(value, name=name)
    if number <= 0:
        raise InputError(f"{name}: expected a positive number, got {number}")
    return number


def checked_layers(given: Any, name: str, like: Layered) -> Layered:
    """Finite arrays of the layers and shapes of `like`, if there is one."""
    if not isinstance(given, Mapping) or not given or (like and given.keys() != like.keys()):
        wanted = validate.shown(list(like)) if like else "a mapping {layer: array}"
        raise InputError(f"{name}: expected {wanted}, got {validate.shown(given)}")
    made = {}
    for layer, value in given.items():
        array = validate.as_array(value, name=f"{name}[{layer!r}]", ndim=tuple(range(9)))
        if like and array.shape != like[layer].shape:
            raise InputError(f"{name}[{layer!r}]: expected shape {like[layer].shape}, got {array.shape}")
        validate.require_finite(np.atleast_1d(array), name=f"{name}[{layer!r}]")
        made[layer] = array
    return made

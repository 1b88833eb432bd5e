# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What transformations have in common that see nothing but gradients: all leaves are one flat vector."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import zip_longest
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError

from .steps import require_concrete, shapes_of, to_jax


class FlatState(NamedTuple):
    """The state of a flat transformation: a plain pytree, to be saved and restored like parameters.

    Attributes
    ----------
    step : int32 scalar
        Steps so far.
    skipped : int32 scalar
        Gradients with NaN or Inf, which changed nothing else.
    velocity : (d,) array, or None without momentum
    engine : tree of arrays
        What the rule keeps.
    shapes : tuple of {str: None}
        Of the leaves of the parameters, as keys: they are part of the structure, and no leaves.
    """

    step: Any
    skipped: Any
    velocity: Any
    engine: Any
    shapes: Any


class Rule(Protocol):
    """How gradients become directions, as functions of a tree of arrays of fixed shapes."""

    def init(self, dim: int, dtype: Any) -> Any:
        """The tree before the first gradient."""

    def direction(self, engine: Any, g: Any, **extra: Any) -> tuple[Any, Any]:
        """The direction (dim,) of a finite gradient, and the tree after it."""


def flat_transformation(
    rule: Rule, *, learning_rate: Any, momentum: float = 0.0, weight_decay: float = 0.0
) -> optax.GradientTransformationExtraArgs:
    """``v = momentum v + direction(g + weight_decay w)``, with updates ``-learning_rate v``.

    Parameters
    ----------
    rule : Rule
    learning_rate : float or callable (step) -> float
    momentum : float in [0, 1), default 0
    weight_decay : float, default 0
        Asks for the parameters in ``update``.

    Raises
    ------
    InputError
        An argument does not fit.
    """
    if not callable(learning_rate):
        validate.real(learning_rate, name="learning_rate", low=0.0)
    if validate.real(momentum, name="momentum", low=0.0) >= 1:
        raise InputError(f"momentum: expected a number in [0, 1), got {momentum}")
    validate.real(weight_decay, name="weight_decay", low=0.0)
    settings = {"learning_rate": learning_rate, "momentum": momentum, "weight_decay": weight_decay}
    return optax.GradientTransformationExtraArgs(
        partial(_init, rule, momentum), partial(_update, rule, settings)
    )


def _init(rule: Rule, momentum: float, params: Any) -> FlatState:
    flat = flattened(params)
    zero = jnp.zeros((), jnp.int32)
    velocity = jnp.zeros_like(flat) if momentum else None
    return FlatState(zero, zero, velocity, rule.init(flat.size, flat.dtype), _shapes(params))


def _shapes(tree: Any) -> tuple[dict[str, None], ...]:
    return tuple({str(jnp.shape(leaf)): None} for leaf in jax.tree.leaves(tree))


def _require_shapes(tree: Any, shapes: Any, name: str) -> None:
    """Leaves have the shapes of those of `init`; raises InputError."""
    for given, known in zip_longest(_shapes(tree), shapes, fillvalue={"none": None}):
        if given.keys() != known.keys():
            raise InputError(
                f"{name}: expected a leaf of shape {', '.join(known)} as in init, got {', '.join(given)}"
            )


def _update(
    rule: Rule, settings: dict[str, Any], updates: Any, state: FlatState, params: Any = None, **extra: Any
) -> tuple[Any, FlatState]:
    """The updates are zero where a gradient holds NaN or Inf."""
    g = flattened(updates)
    _require_shapes(updates, state.shapes, "updates")
    if settings["weight_decay"]:
        if params is None:
            raise InputError("params: expected the parameters, which weight_decay asks for, got None")
        _require_shapes(params, state.shapes, "params")
        g = g + settings["weight_decay"] * flattened(params).astype(g.dtype)
    rate, momentum = settings["learning_rate"], settings["momentum"]
    rate = rate(state.step) if callable(rate) else rate

    def go(state: FlatState, g: Any) -> tuple[Any, FlatState]:
        d, engine = rule.direction(state.engine, g, **extra)
        v = momentum * state.velocity + d if momentum else d
        velocity = v if momentum else None
        return (-rate * v).astype(g.dtype), state._replace(
            step=state.step + 1, velocity=velocity, engine=engine
        )

    def stay(state: FlatState, g: Any) -> tuple[Any, FlatState]:
        return jnp.zeros_like(g), state._replace(skipped=state.skipped + 1)

    step, state = chosen(jnp.all(jnp.isfinite(g)), go, stay, state, g)
    return unflattened(step, updates), state


def chosen(wanted: Any, yes: Callable[..., Any], no: Callable[..., Any], *operands: Any) -> Any:
    """One of two functions: outside of jit the one alone, so that it may call the host."""
    if isinstance(wanted, jax.core.Tracer):
        return lax.cond(wanted, yes, no, *operands)
    return yes(*operands) if bool(wanted) else no(*operands)


def on_host(run: Callable[..., Any], like: Any, *operands: Any, callback: bool) -> Any:
    """A function of NumPy arrays, outside of compiled functions or, if allowed, by ``jax.pure_callback``.

    Parameters
    ----------
    run : callable
        Takes trees of read-only arrays, gives a tree of new ones; must not raise in a callback.
    like : tree of arrays
        Shapes and dtypes of what it gives.

    Raises
    ------
    InputError
        An operand is a tracer and callbacks are not allowed, or it is on another device.
    """
    if callback:
        return jax.pure_callback(
            lambda *given: run(*jax.tree.map(np.asarray, given)),
            shapes_of(like),
            *operands,
            vmap_method="sequential",
        )
    require_concrete(operands, "this update", "leave update out of jit, or allow callbacks")
    return jax.tree.map(to_jax, run(*jax.tree.map(partial(namespace.to_host, name="state"), operands)))


def flattened(tree: Any) -> Any:
    """All leaves as one vector of float32, or float64 where a leaf is."""
    parts = [jnp.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    for part in parts:
        if not jnp.issubdtype(part.dtype, jnp.floating):
            raise InputError(f"params: expected leaves of real numbers, got {part.dtype}")
    dtype = jnp.float64 if any(part.dtype == jnp.float64 for part in parts) else jnp.float32
    if not any(part.size for part in parts):
        raise InputError("params: expected at least one number, got none")
    return jnp.concatenate([part.ravel().astype(dtype) for part in parts])


def unflattened(flat: Any, like: Any) -> Any:
    """A vector in the structure, shapes and dtypes of a tree."""
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([np.size(leaf) for leaf in leaves])[:-1]
    parts = zip(leaves, jnp.split(flat, ends), strict=True)
    return structure.unflatten(
        part.reshape(jnp.shape(leaf)).astype(jnp.result_type(leaf)) for leaf, part in parts
    )

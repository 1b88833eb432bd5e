# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""SketchySGD for JAX: directions in native code, sketches of Hessians by the engine between steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.rng import seed_from
from randnla.curvature import Health, Nystrom, SketchySGD

from .flat import FlatState, flat_transformation, flattened, unflattened
from .steps import require_concrete, to_jax

T = TypeVar("T")
CURVATURES = ("hessian", "ggn")
_CHUNK = 8  # products at once


@dataclass(frozen=True)
class SketchyRule:
    """How gradients become directions: ``rate (U diag(s) U^T + rho I)^-1 g``."""

    rank: int
    rho: float

    def init(self, dim: int, dtype: Any) -> dict[str, Any]:
        """No curvature: half a gradient step."""
        r = min(self.rank, dim)
        return {
            "U": jnp.zeros((dim, r), dtype),
            "s": jnp.zeros(r, dtype),
            "rho": jnp.asarray(self.rho, dtype),
            "rate": jnp.asarray(self.rho / 2, dtype),
            "updates": jnp.zeros((), jnp.int32),
        }

    def direction(self, engine: Any, g: Any, **extra: Any) -> tuple[Any, Any]:
        """The step, and the same tree."""
        U, s, rho = engine["U"], engine["s"], engine["rho"]
        C = U.T @ g
        outer = 1 / rho
        whole = (U.shape[0] == U.shape[1]) & (engine["updates"] > 0)
        # A square U spans everything: 1 / rho would only cancel.
        d = U @ (C * (1 / (s + rho) - jnp.where(whole, 0, outer))) + jnp.where(whole, 0, outer) * g
        d = engine["rate"] * d
        return jnp.where(jnp.all(jnp.isfinite(d)), d, 0), engine  # no step where it overflows


class SketchyTransformation(optax.GradientTransformationExtraArgs):  # type: ignore[misc]
    """What `sketchy_sgd` returns: ``init`` and ``update`` of optax, and what a training loop calls besides.

    States given to the methods may be those of `sketchy_sgd` itself or trees that hold one, as those of
    ``optax.chain`` do.
    """

    settings: dict[str, Any]

    def refresh_due(self, step: int) -> bool:
        """Whether a step, counted from 0, wants a refresh before its update."""
        return bool(step % self.settings["update_every"] == 0)

    def refresh(
        self,
        state: T,
        loss: Callable[..., Any],
        params: Any,
        *batch: Any,
        outputs: Callable[..., Any] | None = None,
        fresh: tuple[Any, ...] | None = None,
    ) -> tuple[T, Health]:
        """Sketch the Hessian of a batch anew, outside of compiled functions.

        Parameters
        ----------
        state
        loss : callable
            ``loss(params, *batch)``; with `outputs`, ``loss(outputs(params, *batch), *batch)``. Products are
            compiled once for a function: give the same one every time.
        params : tree
        *batch : arrays
        outputs : callable, optional
            ``outputs(params, *batch)``, which the Gauss-Newton matrix needs.
        fresh : tuple, optional
            Another batch, for the step size. Unless given, the batch itself serves.

        Returns
        -------
        state, Health
            What the numbers are raises nothing: the last good sketch stays, and `Health` says so.

        Raises
        ------
        InputError
            The state is a tracer or not on the CPU, or there are no outputs for ``curvature="ggn"``.
        """
        if self.settings["curvature"] == "ggn" and outputs is None:
            raise InputError("outputs: expected a callable for curvature='ggn', got None")
        found: list[Health] = []

        def renewed(own: FlatState) -> FlatState:
            engine, health = _renewed(self.settings, own.engine, loss, params, batch, outputs, fresh)
            found.append(replace(health, skipped_gradients=int(own.skipped)))
            return own._replace(engine=engine)

        made = _mapped(renewed, state)
        return made, found[0]

    def with_rho(self, state: T, rho: float) -> T:
        """Another rho; steps get shorter by a bound where it is lower, until the next refresh.

        Raises
        ------
        InputError
            rho does not fit.
        """
        value = Nystrom(1, rho, rng=0).rho

        def changed(own: FlatState) -> FlatState:
            held = own.engine
            new = jnp.asarray(value, held["rho"].dtype)
            rate = held["rate"] * jnp.minimum(1, new / held["rho"])
            return own._replace(engine={**held, "rho": new, "rate": rate})

        return _mapped(changed, state)


def sketchy_sgd(
    learning_rate: Any = 1.0,
    *,
    rank: int = 10,
    rho: float = 0.1,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    curvature: str = "hessian",
    update_every: int = 100,
    rng: Any = None,
) -> SketchyTransformation:
    """Precondition gradients by a Nystrom sketch of the Hessian of a batch.

    Parameters
    ----------
    learning_rate : float or callable (step) -> float, default 1
        Multiple of the step size that the curvature gives.
    rank : int, default 10
    rho : float, default 0.1
        Added to the sketch.
    momentum : float, default 0
    weight_decay : float, default 0
        Of a penalty ``weight_decay / 2 |w|^2``; not part of the loss that is sketched.
    curvature : {"hessian", "ggn"}, default "hessian"
        What is sketched. Where a Hessian is indefinite the Gauss-Newton matrix takes its place if ``refresh``
        gets `outputs`, else the absolute values of its Ritz pairs do. The step size is bounded by the Hessian
        itself.
    update_every : int, default 100
        What ``refresh_due`` answers.
    rng : None, int, SeedSequence or Generator
        A sketch depends on nothing but the seed, the number of sketches before, and the data.

    Returns
    -------
    SketchyTransformation
        A ``GradientTransformationExtraArgs``.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Frangella, Rathore, Zhao and Udell (2022, SketchySGD), with the learning rate of
    `randnla.curvature.SketchySGD`. ``update`` is made of products of JAX arrays; its state, a `FlatState`
    whose engine has U, s, rho and rate, is a tree of arrays of fixed shapes: both go through jit and vmap.
    Products with the Hessian are compiled, the sketch is the engine's, in NumPy.

    *Cost*: 4 p r flops an update; rank + 10 products with the Hessian a refresh.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> import optax
    >>> from randnla.jax import sketchy_sgd
    >>> x = jax.random.normal(jax.random.key(0), (200, 8)) * 0.5 ** jnp.arange(8)
    >>> def loss(w, x):
    ...     return jnp.mean((x @ (w - 1)) ** 2)
    >>> opt, w = sketchy_sgd(rho=1e-3, update_every=50, rng=0), jnp.zeros(8)
    >>> state = opt.init(w)
    >>> for step in range(50):
    ...     if opt.refresh_due(step):
    ...         state, health = opt.refresh(state, loss, w, x)
    ...     updates, state = opt.update(jax.grad(loss)(w, x), state, w)
    ...     w = optax.apply_updates(w, updates)
    >>> bool(loss(w, x) < 1e-6)
    True
    """
    rule = SketchyRule(validate.integer(rank, name="rank", low=1), Nystrom(1, rho, rng=0).rho)
    settings = {
        "rank": rule.rank,
        "weight_decay": weight_decay,
        "curvature": validate.choice(curvature, CURVATURES, name="curvature"),
        "update_every": validate.integer(update_every, name="update_every", low=1),
        "seed": seed_from(rng),
    }
    plain = flat_transformation(
        rule, learning_rate=learning_rate, momentum=momentum, weight_decay=weight_decay
    )
    made = SketchyTransformation(plain.init, plain.update)
    made.settings = settings
    return made


def _mapped(function: Callable[[FlatState], FlatState], state: T) -> T:
    """A function applied to the states of this kind in a tree."""
    found = []

    def apply(node: Any) -> Any:
        if isinstance(node, FlatState) and isinstance(node.engine, dict) and "U" in node.engine:
            found.append(node)
            return function(node)
        return node

    made: T = jax.tree.map(apply, state, is_leaf=lambda node: isinstance(node, FlatState))
    if len(found) != 1:
        raise InputError(f"state: expected a tree that holds one of sketchy_sgd, got {len(found)}")
    return made


def _renewed(
    settings: dict[str, Any],
    held: dict[str, Any],
    loss: Any,
    params: Any,
    batch: tuple[Any, ...],
    outputs: Any,
    fresh: tuple[Any, ...] | None,
) -> tuple[dict[str, Any], Health]:
    require_concrete((held, params, batch, fresh), "a refresh", "leave it out of jit")
    rho, rate, count = (float(held[name]) for name in ("rho", "rate", "updates"))
    for name in ("U", "s"):
        namespace.to_host(held[name], name="state")  # names a device that is none of ours
    dim, dtype = held["U"].shape[0], np.dtype(held["U"].dtype)
    hessian, newton = (_products(loss, outputs, kind) for kind in ("hessian", "ggn"))

    def of(product: Any, data: tuple[Any, ...]) -> Callable[[Any], Any]:
        return lambda V: np.asarray(product(params, data, jnp.asarray(V.T))).T

    seed = np.random.SeedSequence([settings["seed"], int(count)])
    engine = SketchySGD(settings["rank"], rho, ridge=float(settings["weight_decay"]), rng=seed)
    other = None if fresh is None else of(hessian, fresh)
    if settings["curvature"] == "ggn":
        other = of(hessian, batch) if other is None else other
        engine.update(hvp=of(newton, batch), dim=dim, dtype=dtype, fresh=other)
    else:
        ggn = None if outputs is None else of(newton, batch)
        engine.update(hvp=of(hessian, batch), ggn=ggn, dim=dim, dtype=dtype, fresh=other)
    new = {**held, "updates": held["updates"] + 1}
    health = engine.health
    pairs = engine.preconditioner
    if not isinstance(pairs, Nystrom):
        raise InputError(f"preconditioner: expected Nystrom, got {type(pairs).__name__}")
    if health.fallback == "identity":
        return new, replace(health, fallback="last good inverse" if count else "identity")
    new["U"], new["s"] = (to_jax(np.array(value, dtype)) for value in (pairs.U, pairs.s))
    rate = rate if math.isnan(engine.top_eigenvalue) else engine.learning_rate
    new["rate"] = jnp.asarray(rate, dtype)
    return new, health


@lru_cache(maxsize=16)
def _products(loss: Any, outputs: Any, kind: str) -> Any:
    """Compiled: (params, batch, rows of tangents) -> rows of products."""

    def product(params: Any, batch: tuple[Any, ...], columns: Any) -> Any:
        point = flattened(params)

        def model(flat: Any) -> Any:
            return outputs(unflattened(flat, params), *batch)

        def value(flat: Any) -> Any:
            if outputs is None:
                return loss(unflattened(flat, params), *batch)
            return loss(model(flat), *batch)

        def hessian(v: Any) -> Any:
            return jax.jvp(jax.grad(value), (point,), (v,))[1]

        def newton(v: Any) -> Any:
            z, pushed = jax.jvp(model, (point,), (v,))
            bent = jax.jvp(jax.grad(lambda z: loss(z, *batch)), (z,), (pushed,))[1]
            return jax.vjp(model, point)[1](bent)[0]

        one = hessian if kind == "hessian" else newton
        return lax.map(one, columns.astype(point.dtype), batch_size=min(_CHUNK, len(columns)))

    return jax.jit(product)

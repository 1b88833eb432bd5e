# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The steps of K-FAC as functions of its state: average, refresh, precondition, clip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from randnla._backend import namespace
from randnla._backend.errors import InputError
from randnla.curvature import BrandFactor, KLClip, RMSClip
from randnla.curvature.damping import Damping, damping_of
from randnla.curvature.factors.average import Average
from randnla.curvature.kfac.blocks import Block
from randnla.curvature.kfac.engine import KFAC
from randnla.curvature.kfac.kld_wrm import KLDWRM

from . import wake
from .apply import precondition
from .bridge import brand_absorbed, renewed
from .sites import Factors, Site, leaves_of, path_of
from .state import SIDES, SKIPPED, KFACState, LayerState, Opened, blank, closed, initial, opened
from .statistics import all_finite, averaged, batch_of, eigenbasis_moments, keep_of

Damped = Damping | float | Callable[[int], Any]


@dataclass(frozen=True)
class Plan:
    """What is fixed of a transformation: layers, settings, a fresh engine that says how each is inverted."""

    sites: dict[str, Site]
    engine: KFAC
    average: Average
    damping: Damped
    clip: KLClip | RMSClip | None
    learning_rate: Any
    callback: bool
    axis_name: Any
    blocks: dict[str, Block] = field(init=False)
    reasons: dict[str, str] = field(default_factory=dict)  # of the last refresh in this process

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", self.engine.blocks)

    @property
    def dtype(self) -> Any:
        """Of factors and inverses."""
        return self.engine.dtype

    def damping_at(self, step: int) -> Damping:
        """The damping of a step."""
        value = self.damping
        return damping_of(value(step) if callable(value) else value)

    def rate_at(self, step: Any) -> Any:
        """What updates are going to be multiplied by."""
        return self.learning_rate(step) if callable(self.learning_rate) else self.learning_rate

    @property
    def variant(self) -> str:
        """Of KLD-WRM; empty for other curvatures."""
        return self.engine.variant if isinstance(self.engine, KLDWRM) else ""

    def brand_sides(self, name: str) -> tuple[str, ...]:
        """The sides of a layer whose pairs the engine updates."""
        block = self.blocks[name]
        return tuple(side for side in SIDES if isinstance(getattr(block, side, None), BrandFactor))


def init(plan: Plan, params: Any) -> KFACState:
    """The state before the first step.

    Raises
    ------
    InputError
        A parameter of a layer is missing or has another shape; float64 without 64-bit JAX.
    """
    if plan.dtype == np.float64 and not jax.config.jax_enable_x64:
        raise InputError("dtype: float64 needs jax_enable_x64, which is off")
    leaves = leaves_of(params)
    for name, site in plan.sites.items():
        site.check(leaves, name)
    return initial(_blanks(plan))


def _blanks(plan: Plan) -> dict[str, LayerState]:
    return {
        name: blank(block, plan.dtype, plan.sites[name].layer.shape if plan.variant else None)
        for name, block in plan.blocks.items()
    }


# -- statistics ------------------------------------------------------------------------------------------


def accumulate(plan: Plan, state: KFACState, factors: Mapping[str, Factors]) -> KFACState:
    """Average in a batch of the layers given; one with NaN or Inf changes nothing but a counter."""
    unknown = [name for name in factors if name not in plan.sites]
    if unknown:
        raise InputError(f"factors: expected layers among {', '.join(plan.sites)}; got {unknown[0]!r}")
    layers = state.layers
    for name, given in factors.items():
        layers[name] = _accumulate(plan, name, layers[name], given)
    return state.with_layers(layers)


def _accumulate(plan: Plan, name: str, layer: LayerState, factors: Factors) -> LayerState:
    site, brand = plan.sites[name], plan.brand_sides(name)
    batch, finite = batch_of(site.layer, factors, plan.dtype, as_rows=brand)
    if plan.axis_name is not None:
        batch = lax.pmean(batch, plan.axis_name)
        finite = lax.pmin(finite.astype(jnp.int32), plan.axis_name) > 0

    def absorb(given: LayerState) -> LayerState:
        layer = opened(given)
        count = layer.record["count"]
        keep = keep_of(plan.average, count, plan.dtype)
        new = dict(layer.statistics)
        for key, value in batch.items():
            if key in brand:
                new[key] = _absorb_pairs(plan, name, key, layer, value)
            else:
                new[key] = averaged(new[key], value, keep)
        for key in wake.NOW:
            if key in new:
                new[key] = batch[key.removesuffix("_now")]
        if "second" in new:
            P, Q = layer.inverse["left"]["U"], layer.inverse["right"]["U"]
            moments = eigenbasis_moments(site.layer, factors, P, Q)
            if plan.axis_name is not None:
                moments = lax.pmean(moments, plan.axis_name)
            later = averaged(new["second"], moments, plan.average.ema)
            new["second"] = jnp.where(layer.record["refreshes"] > 0, later, new["second"])
        return closed(Opened(new, layer.inverse, {**layer.record, "count": count + 1}), jnp)

    def skip(layer: LayerState) -> LayerState:
        return layer._replace(counts=layer.counts.at[SKIPPED].add(1))

    if brand and not plan.callback:  # the engine is asked here and now
        require_concrete(layer, "statistics of 'brand'", "accumulate outside of it")
        return absorb(layer) if bool(finite) else skip(layer)
    made: LayerState = lax.cond(finite, absorb, skip, layer)
    return made


def _absorb_pairs(plan: Plan, name: str, side: str, layer: Opened, batch: tuple[Any, int]) -> Any:
    proto, (rows, uses) = getattr(plan.blocks[name], side), batch

    def run(pairs: Any, count: Any, rows: Any) -> Any:
        held = jax.tree.map(np.asarray, pairs)
        return brand_absorbed(proto, held, int(count), np.asarray(rows), float(uses))

    pairs, count = layer.statistics[side], layer.record["count"]
    if plan.callback:
        return jax.pure_callback(run, shapes_of(pairs), pairs, count, rows, vmap_method="sequential")
    return jax.tree.map(to_jax, run(pairs, count, rows))


# -- refresh ---------------------------------------------------------------------------------------------


def refresh(plan: Plan, state: KFACState) -> KFACState:
    """New inverses from the averages, on the host; never fails on what the numbers are."""
    require_concrete(state, "refresh", "call it outside, or make kfac with refresh='callback'")
    wanted = jax.eval_shape(lambda: _blanks(plan))
    step = int(state.step) if jnp.ndim(state.step) == 0 else 0
    damping, rate, layers = plan.damping_at(step), float(plan.rate_at(step)), {}
    for name, layer in on_host(state).layers.items():
        if jax.tree.map(jnp.shape, layer) != jax.tree.map(lambda leaf: leaf.shape, wanted[name]):
            raise InputError(
                f"state: expected that of one model; the arrays of layer {name!r} have other shapes"
            )
        layers[name] = _refreshed(plan, name, layer, damping, step, rate)
    return state.with_layers(layers)


def on_host(state: KFACState) -> KFACState:
    """The state with its numbers as NumPy arrays."""
    return state._replace(counts=np.asarray(state.counts), numbers=np.asarray(state.numbers))


def _refreshed(
    plan: Plan, name: str, layer: LayerState, damping: Damping, step: int, rate: float
) -> LayerState:
    held = jax.tree.map(lambda leaf: namespace.to_host(leaf, name="state"), layer)
    made, plan.reasons[name] = renewed(plan.blocks[name], opened(held), damping, step, rate=rate)
    renewal = closed(made, np)
    statistics, inverse = jax.tree.map(
        lambda new, old, leaf: leaf if new is old else to_jax(new), renewal[:2], held[:2], layer[:2]
    )
    return renewal._replace(statistics=statistics, inverse=inverse)


def refresh_in_callback(plan: Plan, state: KFACState) -> KFACState:
    """As `refresh`, from inside of a compiled function."""
    layers, rate = {}, jnp.asarray(plan.rate_at(state.step), plan.dtype)
    for name, layer in state.layers.items():

        def run(layer: Any, step: Any, rate: Any, name: str = name) -> Any:
            held = jax.tree.map(np.asarray, layer)
            made, plan.reasons[name] = renewed(
                plan.blocks[name], opened(held), plan.damping_at(int(step)), int(step), rate=float(rate)
            )
            return _changing(closed(made, np))

        made = jax.pure_callback(
            run, shapes_of(_changing(layer)), layer, state.step, rate, vmap_method="sequential"
        )
        second, *others = made
        layers[name] = LayerState({**layer.statistics, **second}, *others)
    return state.with_layers(layers)


def _changing(layer: LayerState) -> tuple[Any, ...]:
    """What a refresh changes: not the sums."""
    second = {key: value for key, value in layer.statistics.items() if key == "second"}
    return second, layer.inverse, layer.counts, layer.numbers


def shapes_of(tree: Any) -> Any:
    """Shapes and dtypes of the leaves."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)


def to_jax(array: Any) -> Any:
    """A NumPy array that nobody else holds as one of JAX, without a copy where it is aligned."""
    if array.size < 1024:
        return jnp.asarray(array)
    return jnp.from_dlpack(array if array.flags.writeable else array.copy())


def require_concrete(tree: Any, what: str, instead: str) -> None:
    """Raise InputError where a leaf is a tracer."""
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree)):
        raise InputError(f"state: {what} runs on the host, and got a tracer of jit, vmap or grad; {instead}")


# -- steps -----------------------------------------------------------------------------------------------


def update(
    plan: Plan,
    updates: Any,
    state: KFACState,
    params: Any = None,
    *,
    factors: Mapping[str, Factors] | None = None,
    **extra: Any,
) -> tuple[Any, KFACState]:
    """Average `factors` in, refresh where that is due and callbacks are allowed, precondition gradients.

    Gradients of which one holds NaN or Inf pass as they are, and are counted, but are no step.
    """
    if factors is not None:
        state = accumulate(plan, state, factors)
    leaves = leaves_of(updates)
    matrices = {name: site.pack(leaves, plan.dtype) for name, site in plan.sites.items()}
    finite = all_finite(matrices.values())
    if plan.callback:
        every = plan.engine.inv_every
        due = ((state.step % every.interval == 0) | (state.step < every.first)) & finite
        state = lax.cond(due, lambda s: refresh_in_callback(plan, s), lambda s: s, state)
    if plan.variant:
        matrices, state = _in_the_wake(plan, matrices, state, finite)
    layers = state.layers
    directions = {name: _direction(plan, layers[name], V) for name, V in matrices.items()}
    for name, scale in _clip_scales(plan, directions, matrices, state.step).items():
        directions[name] = directions[name] * scale
    made: dict[str, Any] = {}
    for name, site in plan.sites.items():
        made |= site.unpack(directions[name], leaves)
    passed = {path: jnp.where(finite, new, leaves[path]) for path, new in made.items()}
    state = state._replace(
        step=state.step + finite.astype(jnp.int32), skipped=state.skipped + (~finite).astype(jnp.int32)
    )
    return jax.tree_util.tree_map_with_path(lambda keys, g: passed.get(path_of(keys), g), updates), state


def _in_the_wake(
    plan: Plan, matrices: dict[str, Any], state: KFACState, finite: Any
) -> tuple[dict[str, Any], KFACState]:
    """What KLD-WRM applies the inverse to; the state is as it was where a gradient is not finite."""
    made, layers, rate = {}, state.layers, plan.rate_at(state.step)
    for name, V in matrices.items():
        before, block = layers[name], plan.blocks[name]
        made[name], after = wake.step(
            block,
            plan.average,
            before,
            V,
            rate,
            state.step,
            quadratic=plan.variant == "Q",
            joint=plan.engine.damping.joint,
        )
        pull = jnp.where(finite, after.statistics["pull"], before.statistics["pull"])
        layers[name] = before._replace(
            statistics={**before.statistics, "pull": pull},
            numbers=jnp.where(finite, after.numbers, before.numbers),
        )
    return made, state.with_layers(layers)


def _direction(plan: Plan, layer: LayerState, V: Any) -> Any:
    seen = opened(layer)
    inverse = seen.inverse
    if "second" in layer.statistics:
        inverse["second"] = layer.statistics["second"]
    W = precondition(inverse, V, joint=plan.engine.damping.joint)
    return jnp.where(seen.record["refreshes"] > 0, W, V)


def _clip_scales(
    plan: Plan, directions: dict[str, Any], gradients: dict[str, Any], step: Any
) -> dict[str, Any]:
    if isinstance(plan.clip, KLClip):
        rate = plan.rate_at(step)
        total = sum(jnp.vdot(D, gradients[name]) for name, D in directions.items()) * rate**2
        safe = jnp.where(total > 0, total, 1)
        factor = jnp.where(total > 0, jnp.minimum(1, jnp.sqrt(plan.clip.kappa / safe)), 1)
        return dict.fromkeys(directions, factor.astype(plan.dtype))
    if isinstance(plan.clip, RMSClip):
        rms = {name: jnp.sqrt(jnp.mean(D * D)) for name, D in directions.items()}
        limit = plan.clip.limit
        return {name: jnp.where(v > limit, limit / jnp.where(v > 0, v, 1), 1) for name, v in rms.items()}
    return {}

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""K-FAC as a gradient transformation of optax."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import jax
import numpy as np
import optax

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla.curvature import (
    EKFAC,
    KFAC,
    KLDWRM,
    RSKFAC,
    SREKFAC,
    BrandKFAC,
    Health,
    KLClip,
    Moments,
    Relative,
    Report,
    RMSClip,
)
from randnla.curvature.damping import Damping, damping_of
from randnla.curvature.report import Line

from . import steps
from .sites import Factors, Site, leaves_of
from .state import FALLBACKS, SIDES, KFACState, LayerState, closed, opened
from .steps import Damped, Plan

T = TypeVar("T")
ENGINES: dict[str, type[KFAC]] = {
    "exact": KFAC,
    "rs": RSKFAC,
    "sre": SREKFAC,
    "ekfac": EKFAC,
    "brand": BrandKFAC,
    "kld_wrm": KLDWRM,
}


class KFACTransformation(optax.GradientTransformationExtraArgs):  # type: ignore[misc]
    """What `kfac` returns: ``init`` and ``update`` of optax, and what a training loop calls besides.

    States given to the methods may be those of `kfac` itself or trees that hold one, as those of
    ``optax.chain`` do.
    """

    plan: Plan
    compiled_accumulate: Callable[..., KFACState]

    def statistics_due(self, step: int) -> bool:
        """Whether a step, counted from 0, wants factors."""
        return self.plan.engine.stats_every.due(step)

    def refresh_due(self, step: int) -> bool:
        """Whether a step, counted from 0, wants a refresh before its update."""
        return self.plan.engine.inv_every.due(step)

    def accumulate(self, state: T, factors: Mapping[str, Factors]) -> T:
        """Average in a batch; as ``update`` does with ``factors=``, for a refresh between the two."""
        return self._mapped(lambda own: self.compiled_accumulate(own, factors), state)

    def refresh(self, state: T) -> T:
        """Renew all inverses on the host, outside of compiled functions.

        It does not raise on what the numbers are: it tries float64, then 10, 100 and 1000 times the damping,
        then keeps the last good inverse, and `health` says which and why. Layers without a batch stay as
        they are.

        Raises
        ------
        InputError
            The state is a tracer, that of several models at once, or not on the CPU.
        """
        return self._mapped(lambda own: steps.refresh(self.plan, own), state)

    def with_damping(self, state: T, damping: Damping | float) -> T:
        """Another damping until the next refresh; inverses held as arrays keep theirs.

        Raises
        ------
        InputError
            The damping is of another kind than that of the transformation.
        """
        wanted = damping_of(damping)
        if wanted.joint != self.plan.engine.damping.joint:
            raise InputError(f"damping: expected one as {self.plan.engine.damping}, got {wanted}")
        return self._mapped(
            lambda own: own.with_layers(
                {name: _damped(layer, wanted) for name, layer in steps.on_host(own).layers.items()}
            ),
            state,
        )

    def health(self, state: Any) -> dict[str, Health]:
        """How each layer is; `skipped_gradients` counts those of all layers, `reason` is of this process."""
        found: list[KFACState] = []

        def note(own: KFACState) -> KFACState:
            found.append(own)
            return own

        self._mapped(note, state)
        own = steps.on_host(found[0])
        return {name: _health(self.plan, name, layer, int(own.skipped)) for name, layer in own.layers.items()}

    def report(self, params: Any = None) -> Report:
        """A printable table of what is covered and how, and of leaves of ``params`` that pass as they are."""
        report = self.plan.engine.report()
        covered = {path for site in self.plan.sites.values() for path in site.paths}
        skipped = [
            Line(path, "parameter", tuple(leaf.shape), "", "not tapped: passed on as it is")
            for path, leaf in leaves_of(params).items()
            if path not in covered
        ]
        return Report(report.covered, tuple(skipped))

    def _mapped(self, function: Callable[[KFACState], KFACState], state: T) -> T:
        """A function applied to the states of this transformation in a tree."""
        names, found = set(self.plan.sites), []

        def apply(node: Any) -> Any:
            if isinstance(node, KFACState) and set(node.arrays) == names:
                found.append(node)
                return function(node)
            return node

        made: T = jax.tree.map(apply, state, is_leaf=lambda node: isinstance(node, KFACState))
        if not found:
            raise InputError("state: expected one of this transformation, or a tree that holds one")
        return made


def _damped(layer: LayerState, damping: Damping) -> LayerState:
    held = opened(layer)
    shifts, inverse = np.array(held.inverse["shifts"]), held.inverse
    if "second" in held.statistics or "values" in inverse:
        values = held.statistics["second"] if "second" in held.statistics else inverse["values"]
        largest = float(values.max()) or 1.0
        shifts[2] = damping.value * (largest if isinstance(damping, Relative) else 1.0)
    else:
        wanted = damping.shifts(*(Moments(*map(float, row)) for row in inverse["moments"]))
        for index, name in enumerate(SIDES):
            if "matrix" not in inverse[name]:
                shifts[index] = getattr(wanted, name)
        shifts[2] = wanted.whole
    made = closed(held._replace(inverse={**inverse, "shifts": shifts}), np)
    return layer._replace(numbers=made.numbers)


def _health(plan: Plan, name: str, layer: LayerState, skipped: int) -> Health:
    record = {key: value.item() for key, value in layer.record.items()}
    return Health(
        plan.blocks[name].kind,
        last_refresh=record["last_refresh"] if record["refreshes"] else None,
        condition=record["condition"] if record["refreshes"] else None,
        truncated=record["truncated"],
        fallback=FALLBACKS[record["fallback"]],
        reason=plan.reasons.get(name, ""),
        failed_refreshes=record["failed"],
        skipped_statistics=record["skipped"],
        skipped_gradients=skipped,
    )


def kfac(
    layers: Mapping[str, Site],
    curvature: str = "rs",
    *,
    damping: Damped | None = None,
    ema: float | None = None,
    start: str | None = None,
    rank: int = 220,
    stats_every: Any = None,
    inv_every: Any = None,
    clip: KLClip | RMSClip | None = None,
    learning_rate: Any = 1.0,
    refresh: str = "host",
    axis_name: Any = None,
    dtype: Any = np.float32,
    rng: Any = None,
    **settings: Any,
) -> KFACTransformation:
    """Precondition gradients by Kronecker-factored curvature.

    Parameters
    ----------
    layers : mapping {name: Site}
        As ``tap(...).layers(params, inputs)`` finds them. Other parameters are passed on as they are.
    curvature : {"rs", "sre", "exact", "ekfac", "brand", "kld_wrm"}, default "rs"
        The engine: `RSKFAC`, `SREKFAC`, `KFAC`, `EKFAC`, `BrandKFAC`, `KLDWRM` of `randnla.curvature`.
    damping : Damping, float or callable (step) -> either, default 0.1
        A number lambda is ``Relative(lambda)``. A callable is asked at refreshes.
    ema, start, rank, rng, dtype
        As of the engine. float64 needs 64-bit JAX.
    stats_every, inv_every : int or Every, default 10 and 30
        What ``statistics_due`` and ``refresh_due`` answer. Of "kld_wrm" these defaults, those of the damping,
        the average and the clip are its own.
    clip : KLClip, RMSClip or None
    learning_rate : float or callable (step) -> float, default 1
        What the updates are going to be multiplied by, which `KLClip` and "kld_wrm" ask for.
    refresh : {"host", "callback"}, default "host"
        host: when the loop calls ``refresh``, outside of compiled functions. callback: inside of ``update``
        when it is due, by ``jax.pure_callback``, which copies the factors to the host and inverses back.
    axis_name : str, optional
        The axis of pmap, vmap or shard_map over which statistics are averaged.
    **settings
        Of the engine: `oversample`, `power_iters`, `continuation`, `solver`, `warm_start`, `inverse`;
        `variant` of "kld_wrm", "SO" or "Q".

    Returns
    -------
    KFACTransformation
        A ``GradientTransformationExtraArgs``: ``update(gradients, state, params, factors=...)``.

    Raises
    ------
    InputError
        An argument does not fit, or the engine refuses its settings.

    Notes
    -----
    *Algorithm*: as of the engine. ``update`` is made of products of JAX arrays, with no call of the host, and
    its state is a tree of arrays of fixed shapes: both go through jit, vmap and pmap and onto devices. The
    engine is called at refreshes (with "brand", whose pairs it updates, at every batch too), and reads
    factors where they are. A refresh depends on nothing but the state and `rng`.

    "kld_wrm" must be told the step size that comes later in the chain of optax; its variant QE, which goes
    on from the step by descents of its own, is not offered. Neither are asynchronous refreshes, which would
    be a hidden state, nor the overwriting and correction of Brand pairs, for which the host would keep a
    square average besides.

    *Cost*: as of the engine, in XLA's products; on the host, refreshes read averages where they
    are; inverses held as arrays are taken over without a copy, eigenvectors are copied once.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> import optax
    >>> from randnla.jax import kfac, tap
    >>> net = tap(lambda params, x, tap: tap.dense("only", x, params["w"]), "squared_error", fisher="ggn")
    >>> x = jax.random.normal(jax.random.key(0), (64, 5))
    >>> params, y = {"w": jnp.zeros((5, 2))}, x[:, :2]
    >>> opt = kfac(net.layers(params, x), "exact", damping=1e-3, inv_every=1)
    >>> chain = optax.chain(opt, optax.sgd(1.0))
    >>> state = chain.init(params)
    >>> for step in range(3):
    ...     loss, gradients, factors = net(params, x, y, jax.random.key(step))
    ...     state = opt.refresh(opt.accumulate(state, factors))
    ...     updates, state = chain.update(gradients, state, params)
    ...     params = optax.apply_updates(params, updates)
    >>> bool(net(params, x, y, jax.random.key(9))[0] < 0.01 * loss)
    True
    """
    kind = ENGINES[validate.choice(curvature, tuple(ENGINES), name="curvature")]
    if not isinstance(layers, Mapping) or not all(isinstance(site, Site) for site in layers.values()):
        raise InputError(f"layers: expected a mapping from names to Sites, got {validate.shown(layers)}")
    for name in ("asynchronous", "lag", "overwrite_every", "correct", "divergence", "wake"):
        if name in settings:
            raise InputError(f"{name}: not offered here, see the notes of kfac; got {settings[name]!r}")
    validate.choice(refresh, ("host", "callback"), name="refresh")
    if clip is not None and not isinstance(clip, (KLClip, RMSClip)):
        raise InputError(f"clip: expected KLClip, RMSClip or None, got {validate.shown(clip)}")
    if axis_name is not None and curvature == "brand":
        raise InputError("axis_name: pairs of different devices cannot be averaged; take another curvature")
    if settings.get("variant") == "QE":
        raise InputError("variant: QE is not offered here, see the notes of kfac; expected 'SO' or 'Q'")
    given: dict[str, Any] = {"damping": damping, "ema": ema, "start": start, "clip": clip}
    given |= {"stats_every": stats_every, "inv_every": inv_every}
    given = {key: value for key, value in given.items() if value is not None}
    names = {name: site.layer for name, site in layers.items()}
    engine = kind(names, rank=rank, dtype=dtype, rng=rng, **given, **settings)
    if engine.dtype.kind == "c":
        raise InputError(f"dtype: expected float32 or float64, got {engine.dtype}")
    plan = Plan(
        dict(layers),
        engine,
        engine.average,
        engine.damping if damping is None else damping,
        engine.clip,
        learning_rate,
        refresh == "callback",
        axis_name,
    )
    made = KFACTransformation(partial(steps.init, plan), partial(steps.update, plan))
    made.plan = plan
    on_host = refresh == "host" and any(plan.brand_sides(name) for name in plan.sites)
    accumulate = partial(steps.accumulate, plan)
    made.compiled_accumulate = accumulate if on_host else jax.jit(accumulate)
    return made

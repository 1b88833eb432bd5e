# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Mini-block Fisher matrices as a gradient transformation of optax, in native code throughout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla.curvature import Absolute, Elementwise, Every, NeuronBlocks, Relative, RMSClip
from randnla.curvature.damping import Damping, damping_of
from randnla.curvature.mini_blocks.partition import Partition, default_partition
from randnla.curvature.schedule import every

from .sites import HIGHEST, leaves_of
from .statistics import all_finite

_WEIGHTS, _BIASES = ("kernel", "weight", "w"), ("bias", "b")
_EPS = 1e-8


class MiniBlockState(NamedTuple):
    """The state of `mini_block_fisher`: a plain pytree, to be saved and restored like parameters.

    Attributes
    ----------
    step : int32 scalar
        Steps so far.
    batches : int32 scalar
        Gradients averaged into blocks.
    skipped : int32 scalar
        Gradients with NaN or Inf, which changed nothing else.
    failed : int32 scalar
        Refreshes of a parameter that came to nothing; the last good inverse stays.
    sums, inverses, momenta : dict of arrays by the path of the weight
        Averages of outer products (of squares) before division by the sum of their weights, damped inverses
        and averages of gradients.
    """

    step: Any
    batches: Any
    skipped: Any
    failed: Any
    sums: dict[str, Any]
    inverses: dict[str, Any]
    momenta: dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What a transformation is made of."""

    learning_rate: Any
    other_lr: Any
    damping: Damping
    ema: float
    momentum: float
    stats_every: Every
    inv_every: Every
    clip: RMSClip | None
    last: bool
    shared: bool
    largest: int


@dataclass(frozen=True)
class Unit:
    """A weight, or a weight and its bias, and their blocks."""

    paths: tuple[str, ...]
    partition: Any

    @property
    def name(self) -> str:
        """Path of the weight."""
        return self.paths[0]

    @property
    def shared(self) -> bool:
        """Whether all rows have one matrix."""
        return isinstance(self.partition, NeuronBlocks) and self.partition.shared


def mini_block_fisher(
    learning_rate: Any = 3e-3,
    *,
    other_lr: Any = 1e-3,
    damping: Damping | float = 1.0,
    ema: float = 0.95,
    momentum: float = 0.9,
    stats_every: int | Every = Every(4, first=10),  # noqa: B008 (frozen)
    inv_every: int | Every = Every(20, first=10),  # noqa: B008 (frozen)
    clip: RMSClip | None = RMSClip(1.0),  # noqa: B008 (frozen)
    outputs: str = "last",
    shared: bool = True,
    largest: int = 2048,
) -> optax.GradientTransformation:
    """Natural gradients by small blocks of the averaged outer products of gradients.

    Parameters
    ----------
    learning_rate : float or callable (step) -> float, default 3e-3
        Of weights with blocks; updates are ``-learning_rate`` times the directions.
    other_lr : float or callable (step) -> float, default 1e-3
        Of the others, which follow Adam's rule.
    damping : Relative, Absolute or float, default 1.0
    ema, momentum, stats_every, inv_every
        As of `randnla.curvature.MiniBlockFisher`.
    clip : RMSClip or None, default RMSClip(1.0)
        Of the directions of weights with blocks: bounds steps by the learning rate, as Adam's are.
    outputs : {"last", "first"}, default "last"
        Where weights have their outputs: (inputs, outputs) and (height, width, inputs, outputs), or (outputs,
        inputs) and (outputs, inputs, height, width).
    shared : bool, default True
    largest : int, default 2048
        As of `randnla.torch.MiniBlockFisher`.

    Returns
    -------
    optax.GradientTransformation

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: as of the engine, with debiased averages. Everything is made of JAX arrays, with no call of
    the host, so that ``update`` goes through jit, vmap and pmap. A leaf "bias" or "b" goes with the "kernel",
    "weight" or "w" beside it where that is dense. An inverse that is not finite is tried again with 10, 100
    and 1000 times the damping, in the same precision, and then is the last good one. Unlike in the engine,
    squares of gradients have to be within the range of their dtype.

    *Cost*: as of the engine, but blocks and inverses are held as squares.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> import optax
    >>> from randnla.jax import mini_block_fisher
    >>> params = {"kernel": jnp.ones((3, 2)), "bias": jnp.zeros(2)}
    >>> loss = lambda p: jnp.sum((p["kernel"] - 0.5) ** 2) + jnp.sum(p["bias"] ** 2)
    >>> opt = mini_block_fisher(0.1)
    >>> state, before, update = opt.init(params), loss(params), jax.jit(opt.update)
    >>> for step in range(30):
    ...     updates, state = update(jax.grad(loss)(params), state, params)
    ...     params = optax.apply_updates(params, updates)
    >>> bool(loss(params) < before / 2)
    True
    """
    for name, rate in (("learning_rate", learning_rate), ("other_lr", other_lr)):
        if not callable(rate):
            validate.real(rate, name=name, low=0.0)
    wanted = damping_of(damping)
    if not isinstance(wanted, (Absolute, Relative)):
        raise InputError(f"damping: expected Absolute or Relative, got {type(wanted).__name__}")
    if clip is not None and not isinstance(clip, RMSClip):
        raise InputError(f"clip: expected RMSClip or None, got {validate.shown(clip)}")
    for name, value in (("ema", ema), ("momentum", momentum)):
        if validate.real(value, name=name, low=0.0) >= 1:
            raise InputError(f"{name}: expected a number in [0, 1), got {value}")
    settings = Settings(
        learning_rate,
        other_lr,
        wanted,
        float(ema),
        float(momentum),
        every(stats_every, name="stats_every"),
        every(inv_every, name="inv_every"),
        clip,
        validate.choice(outputs, ("last", "first"), name="outputs") == "last",
        validate.flag(shared, name="shared"),
        validate.integer(largest, name="largest", low=1),
    )

    def init(params: Any) -> MiniBlockState:
        return _init(settings, params)

    def update(updates: Any, state: MiniBlockState, params: Any = None) -> tuple[Any, MiniBlockState]:
        return _update(settings, updates, state)

    return optax.GradientTransformation(init, update)


# -- leaves as rows of blocks ----------------------------------------------------------------------------


def _units(settings: Settings, tree: Any) -> list[Unit]:
    """How the leaves of a tree are divided; a function of names and shapes."""
    leaves = leaves_of(tree)
    shapes = {path: _outputs_first(tuple(leaf.shape), last=settings.last) for path, leaf in leaves.items()}
    biases = {}
    for path in shapes:
        for weight, bias in ((w, b) for w in _WEIGHTS for b in _BIASES):
            stem = path.removesuffix(weight)
            if stem != path and f"{stem}{bias}" in shapes:
                biases[path] = f"{stem}{bias}"
    found: dict[tuple[str, ...], Partition] = default_partition(
        shapes, biases, largest=settings.largest, shared=settings.shared
    )
    return [Unit(paths, partition) for paths, partition in found.items()]


def _outputs_first(shape: tuple[int, ...], *, last: bool) -> tuple[int, ...]:
    if not last or len(shape) < 2:
        return shape
    return (shape[-1], shape[-2], *shape[:-2])


def _rows(unit: Unit, leaves: dict[str, Any], settings: Settings) -> Any:
    """A matrix with a block a row; of elementwise leaves one row."""
    arrays = [jnp.asarray(leaves[path]) for path in unit.paths]
    weight = arrays[0]
    dtype = jnp.promote_types(weight.dtype, jnp.float32)
    if isinstance(unit.partition, Elementwise):
        return weight.reshape(1, -1).astype(dtype)
    if settings.last:
        weight = jnp.moveaxis(weight, (-1, -2), (0, 1))
    (blocks,) = unit.partition.blocks
    if len(arrays) == 1:
        return weight.reshape(blocks.count, blocks.order).astype(dtype)
    flat = weight.reshape(blocks.count, -1).astype(dtype)
    return jnp.concatenate([flat, arrays[1].reshape(-1, 1).astype(dtype)], axis=1)


def _unrolled(unit: Unit, rows: Any, leaves: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The reverse of `_rows`."""
    weight = leaves[unit.paths[0]]
    if isinstance(unit.partition, Elementwise):
        return {unit.name: rows.reshape(weight.shape).astype(weight.dtype)}
    made = {}
    if len(unit.paths) == 2:
        bias = leaves[unit.paths[1]]
        made[unit.paths[1]] = rows[:, -1].reshape(bias.shape).astype(bias.dtype)
        rows = rows[:, :-1]
    back = rows.reshape(_outputs_first(tuple(weight.shape), last=settings.last))
    if settings.last:
        back = jnp.moveaxis(back, (0, 1), (-1, -2))
    return {**made, unit.name: back.astype(weight.dtype)}


# -- steps -----------------------------------------------------------------------------------------------


def _init(settings: Settings, params: Any) -> MiniBlockState:
    leaves = leaves_of(params)
    sums, inverses, momenta = {}, {}, {}
    for unit in _units(settings, params):
        rows = jnp.zeros_like(_rows(unit, leaves, settings))
        momenta[unit.name] = rows
        if isinstance(unit.partition, Elementwise):
            sums[unit.name] = rows
            continue
        b = rows.shape[1]
        shape = (b, b) if unit.shared else (rows.shape[0], b, b)
        sums[unit.name] = jnp.zeros(shape, rows.dtype)
        inverses[unit.name] = jnp.broadcast_to(jnp.eye(b, dtype=rows.dtype), shape)
    zero = jnp.zeros((), jnp.int32)
    return MiniBlockState(zero, zero, zero, zero, sums, inverses, momenta)


def _update(settings: Settings, updates: Any, state: MiniBlockState) -> tuple[Any, MiniBlockState]:
    leaves = leaves_of(updates)
    units = _units(settings, updates)
    gradients = {unit.name: _rows(unit, leaves, settings) for unit in units}
    finite = all_finite(gradients.values())

    def go(state: MiniBlockState) -> tuple[dict[str, Any], MiniBlockState]:
        return _step(settings, units, gradients, state)

    def stay(state: MiniBlockState) -> tuple[dict[str, Any], MiniBlockState]:
        zeros = {name: jnp.zeros_like(g) for name, g in gradients.items()}
        return zeros, state._replace(skipped=state.skipped + 1)

    moves, state = lax.cond(finite, go, stay, state)
    flat: dict[str, Any] = {}
    for unit in units:
        flat |= _unrolled(unit, moves[unit.name], leaves, settings)
    structure = jax.tree.structure(updates)
    return structure.unflatten([flat[path] for path in leaves]), state


def _step(
    settings: Settings, units: Sequence[Unit], gradients: dict[str, Any], state: MiniBlockState
) -> tuple[dict[str, Any], MiniBlockState]:
    """The updates of a finite gradient."""
    blocks = [unit for unit in units if not isinstance(unit.partition, Elementwise)]
    sums = {**state.sums}

    def averaged(old: dict[str, Any]) -> dict[str, Any]:
        return {u.name: _averaged(u, old[u.name], gradients[u.name], settings.ema) for u in blocks}

    own = {unit.name: state.sums[unit.name] for unit in blocks}
    stats = _due(settings.stats_every, state.step)
    sums |= lax.cond(stats, averaged, lambda old: old, own)
    batches = state.batches + stats
    for unit in units:
        if isinstance(unit.partition, Elementwise):
            rho = unit.partition.ema
            sums[unit.name] = rho * sums[unit.name] + (1 - rho) * gradients[unit.name] ** 2

    def renewed(old: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        made, failed = {}, jnp.zeros((), jnp.int32)
        for unit in blocks:
            average = sums[unit.name] / (1 - settings.ema**batches)
            made[unit.name], ok = _inverted(average, settings.damping, old[unit.name])
            failed += 1 - ok
        return made, failed

    refresh = _due(settings.inv_every, state.step) & (batches > 0)
    inverses, failed = lax.cond(refresh, renewed, lambda old: (old, jnp.zeros((), jnp.int32)), state.inverses)
    beta, count = settings.momentum, state.step + 1
    momenta, moves = {}, {}
    for unit in units:
        m = beta * state.momenta[unit.name] + (1 - beta) * gradients[unit.name]
        momenta[unit.name] = m
        m = m / (1 - beta**count)
        if isinstance(unit.partition, Elementwise):
            roots = jnp.sqrt(sums[unit.name] / (1 - unit.partition.ema**count))
            moves[unit.name] = -_rate(settings.other_lr, state.step) * m / (roots + unit.partition.eps)
            continue
        rule = "bj,jk->bk" if unit.shared else "bj,bjk->bk"
        direction = jnp.einsum(rule, m, inverses[unit.name], precision=HIGHEST)
        direction = jnp.where(jnp.all(jnp.isfinite(direction)), direction, m)
        if settings.clip is not None:
            rms = jnp.sqrt(jnp.mean(direction**2))
            direction = direction * jnp.where(rms > settings.clip.limit, settings.clip.limit / rms, 1.0)
        moves[unit.name] = -_rate(settings.learning_rate, state.step) * direction
    state = MiniBlockState(count, batches, state.skipped, state.failed + failed, sums, inverses, momenta)
    return moves, state


def _due(interval: Every, step: Any) -> Any:
    return (step % interval.interval == 0) | (step < interval.first)


def _rate(rate: float | Callable[[Any], Any], step: Any) -> Any:
    return rate(step) if callable(rate) else rate


def _averaged(unit: Unit, total: Any, G: Any, ema: float) -> Any:
    if unit.shared:
        fresh = jnp.matmul(G.T, G, precision=HIGHEST) / G.shape[0]
    else:
        fresh = G[:, :, None] * G[:, None, :]
    return ema * total + (1 - ema) * fresh


def _inverted(average: Any, damping: Damping, old: Any) -> tuple[Any, Any]:
    """Damped inverses, and whether there are any: 1 or 0."""
    identity = jnp.eye(average.shape[-1], dtype=average.dtype)
    if isinstance(damping, Relative):
        mean = jnp.mean(jnp.diagonal(average, axis1=-2, axis2=-1))
        unit = jnp.where(mean > 0, mean, 1)
    else:
        unit = jnp.ones((), average.dtype)
    first = damping.value
    ladder = jnp.asarray([first, *(max(first, _EPS) * 10**k for k in (1, 2, 3))], average.dtype)

    def tried(number: Any) -> Any:
        lower = jnp.linalg.cholesky(average + ladder[number] * unit * identity)
        half = lax.linalg.triangular_solve(
            lower, jnp.broadcast_to(identity, lower.shape), left_side=True, lower=True
        )
        return jnp.matmul(jnp.swapaxes(half, -1, -2), half, precision=HIGHEST)

    def again(held: tuple[Any, Any]) -> tuple[Any, Any]:
        return held[0] + 1, tried(held[0] + 1)

    def wanted(held: tuple[Any, Any]) -> Any:
        return (held[0] < ladder.size - 1) & ~jnp.all(jnp.isfinite(held[1]))

    _, made = lax.while_loop(wanted, again, (jnp.zeros((), jnp.int32), tried(0)))
    ok = jnp.all(jnp.isfinite(made)) & jnp.all(jnp.isfinite(average))
    return jnp.where(ok, made, old), ok.astype(jnp.int32)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What K-FAC keeps from step to step: a tree of arrays of fixed shapes."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from randnla.curvature import BrandFactor, DiagonalInverse, EigenInverse, LowRankInverse
from randnla.curvature.kfac.blocks import Block, KroneckerBlock
from randnla.curvature.kfac.eigenbasis import EigenbasisBlock
from randnla.curvature.kfac.kld_wrm import AugmentedBlock
from randnla.curvature.kfac.unitwise import UnitwiseBlock

# What a refresh came to, by the number kept in a state.
FALLBACKS = (
    "",
    "float64",
    "damping x 10",
    "damping x 100",
    "damping x 1000",
    "last good inverse",
    "identity",
)


SIDES = ("left", "right")
# What `LayerState.counts` and `LayerState.numbers` hold; those of a side once for each.
_COUNTS = ("count", "refreshes", "last_refresh", "fallback", "failed", "skipped")
SKIPPED = _COUNTS.index("skipped")
_QUALITY = ("condition", "truncated")
_SHIFTS, _MOMENTS = slice(2, 5), slice(5, 9)
_OF_SIDE = {"tail": 9, "left": 11, "mass": 13, "cut": 15}  # of the left side, and one behind of the right
_RATE = 17
_LENGTH = 18


class Opened(NamedTuple):
    """A `LayerState` with every number at its place and under its name."""

    statistics: dict[str, Any]
    inverse: dict[str, Any]
    record: dict[str, Any]


class LayerState(NamedTuple):
    """The curvature of a layer, as ``KFACState.layers`` shows it.

    Attributes
    ----------
    statistics : dict
        Sums of the averages.
    inverse : dict
        What `kfac` applies.
    counts : int32 array
        Batches averaged, refreshes, and how they went: see `record`.
    numbers : array
        Dampings, and what goes with the arrays.
    """

    statistics: dict[str, Any]
    inverse: dict[str, Any]
    counts: Any
    numbers: Any

    @property
    def record(self) -> dict[str, Any]:
        """Batches averaged (count), refreshes, how they went: scalars by name."""
        return opened(self).record


def opened(layer: LayerState) -> Opened:
    """The numbers of a state by name, views of it where it is of NumPy arrays."""
    counts, numbers = layer.counts, layer.numbers
    record = {name: counts[..., i] for i, name in enumerate(_COUNTS)}
    record |= {name: numbers[..., i] for i, name in enumerate(_QUALITY)} | {"rate": numbers[..., _RATE]}
    moments = numbers[..., _MOMENTS].reshape(*numbers.shape[:-1], 2, 2)
    inverse = {**layer.inverse, "shifts": numbers[..., _SHIFTS], "moments": moments}
    statistics = dict(layer.statistics)
    for i, side in enumerate(SIDES):
        own = {name: numbers[..., at + i] for name, at in _OF_SIDE.items()}
        if "leading" in inverse.get(side, ()):
            inverse[side] = {**inverse[side], "tail": own["tail"], "left": own["left"]}
        if isinstance(statistics.get(side), dict):
            pairs = {"mass": own["mass"], "cut": own["cut"], "pairs": counts[..., len(_COUNTS) + i]}
            statistics[side] = {**statistics[side], **pairs}
    return Opened(statistics, inverse, record)


def closed(layer: Opened, xp: Any) -> LayerState:
    """The reverse of `opened`, its arrays made by numpy or jax.numpy."""
    statistics, inverse, record = dict(layer.statistics), dict(layer.inverse), layer.record
    shifts, moments = inverse.pop("shifts"), inverse.pop("moments")
    counts = [record[name] for name in _COUNTS]
    sides: dict[str, list[Any]] = {name: [0.0, 0.0] for name in _OF_SIDE}
    for i, side in enumerate(SIDES):
        pairs = 0
        for tree in (inverse, statistics):
            if isinstance(tree.get(side), dict):
                arrays = dict(tree[side])
                pairs = arrays.pop("pairs", pairs)
                for name in sides.keys() & arrays.keys():
                    sides[name][i] = arrays.pop(name)
                tree[side] = arrays
        counts.append(pairs)
    single = [*(record[name] for name in _QUALITY), *(shifts[i] for i in range(3))]
    single += [moments[i, j] for i in range(2) for j in range(2)]
    single += [number for pair in sides.values() for number in pair] + [record["rate"]]
    return LayerState(
        statistics,
        inverse,
        xp.stack([xp.asarray(number, np.int32) for number in counts]),
        xp.stack([xp.asarray(number, shifts.dtype) for number in single]),
    )


class KFACState(NamedTuple):
    """The state of `kfac`: a plain pytree, to be saved and restored like parameters.

    Each array of a state costs time at each call: the numbers of all layers are two of them.

    Attributes
    ----------
    step : int32 scalar
        Steps so far.
    skipped : int32 scalar
        Gradients with NaN or Inf, which changed nothing else.
    arrays : dict {name: (statistics, inverse)}
        Of every layer, see `LayerState`.
    counts, numbers : arrays
        The rows of all layers, in the order of their sorted names, which is that of JAX.
    """

    step: Any
    skipped: Any
    arrays: dict[str, tuple[dict[str, Any], dict[str, Any]]]
    counts: Any
    numbers: Any

    @property
    def layers(self) -> dict[str, LayerState]:
        """The state of every layer by its name."""
        return {
            name: LayerState(*self.arrays[name], self.counts[..., i, :], self.numbers[..., i, :])
            for i, name in enumerate(sorted(self.arrays))
        }

    def with_layers(self, layers: dict[str, LayerState]) -> KFACState:
        """The same steps with the states of all layers as given."""
        rows = [layers[name] for name in sorted(layers)]
        return self._replace(
            arrays={name: (layer.statistics, layer.inverse) for name, layer in layers.items()},
            counts=_stacked([layer.counts for layer in rows]),
            numbers=_stacked([layer.numbers for layer in rows]),
        )


def initial(layers: dict[str, LayerState]) -> KFACState:
    """A state of no steps."""
    zero = jnp.zeros((), jnp.int32)
    return KFACState(zero, zero, {}, None, None).with_layers(layers)


def _stacked(rows: list[Any]) -> Any:
    if all(isinstance(row, np.ndarray) for row in rows):
        return jnp.asarray(np.stack(rows, axis=-2))
    return jnp.stack(rows, axis=-2)


def blank(block: Block, dtype: Any, pulled: tuple[int, int] | None = None) -> LayerState:
    """The state of a layer before its first batch; before its first refresh gradients pass as they are.

    With the shape of its gradients where KLD-WRM keeps some of the last step.
    """
    made = _blank(block, dtype)
    if pulled is None:
        return made
    more = {"pull": jnp.zeros(pulled, dtype)}
    if isinstance(block, AugmentedBlock):
        more |= {f"{name}_now": jnp.zeros_like(made.statistics[name]) for name in SIDES}
    return made._replace(statistics={**made.statistics, **more})


def _blank(block: Block, dtype: Any) -> LayerState:
    counts = jnp.zeros(len(_COUNTS) + 2, jnp.int32).at[_COUNTS.index("last_refresh")].set(-1)
    numbers = jnp.zeros(_LENGTH, dtype).at[_SHIFTS].set(1).at[_RATE].set(1)
    if isinstance(block, UnitwiseBlock):
        size, parts = block.size, block.parts
        inverse = {
            "values": jnp.ones((size, parts), dtype),
            "vectors": jnp.zeros((size, parts, parts), dtype),
        }
        return LayerState({"sum": jnp.zeros((parts, parts, size), dtype)}, inverse, counts, numbers)
    base = block.base if isinstance(block, EigenbasisBlock) else block
    assert isinstance(base, KroneckerBlock)
    statistics: dict[str, Any] = {}
    sides: dict[str, Any] = {}
    for name in SIDES:
        factor, side = getattr(base, name), getattr(base.inverse, name)
        statistics[name] = _blank_factor(factor, side, dtype)
        sides[name] = _blank_side(factor, side, dtype)
    if isinstance(block, EigenbasisBlock):
        statistics["second"] = jnp.zeros((base.left.dim, base.right.dim), dtype)
        sides = {name: {"U": side["U"]} for name, side in sides.items()}
    return LayerState(statistics, sides, counts, numbers)


def _blank_factor(factor: Any, side: Any, dtype: Any) -> Any:
    d = factor.dim
    if isinstance(factor, BrandFactor):
        return {"U": jnp.zeros((d, factor.rank), dtype), "values": jnp.zeros(factor.rank, dtype)}
    return jnp.zeros((d,) if isinstance(side, DiagonalInverse) else (d, d), dtype)


def _blank_side(factor: Any, side: Any, dtype: Any) -> dict[str, Any]:
    d = factor.dim
    if isinstance(side, DiagonalInverse):
        return {"s": jnp.zeros(d, dtype)}
    if isinstance(side, EigenInverse):
        return {"U": jnp.zeros((d, d), dtype), "s": jnp.zeros(d, dtype)}
    if not isinstance(side, LowRankInverse):
        return {"matrix": jnp.zeros((d, d), dtype)}
    width = factor.rank if isinstance(factor, BrandFactor) else min(d, side.rank + side.oversample)
    return {"U": jnp.zeros((d, width), dtype), "leading": jnp.zeros(width, dtype)}


def aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    """An array at a multiple of 64 bytes, which JAX takes over without a copy."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    out: np.ndarray[Any, Any] = raw[start : start + size].view(dtype).reshape(shape)
    return out

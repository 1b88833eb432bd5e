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


class LayerState(NamedTuple):
    """The curvature of a layer.

    Attributes
    ----------
    statistics : dict
        Sums of the averages.
    inverse : dict
        What `kfac` applies.
    record : dict of scalars
        Batches averaged (count), refreshes, how they went.
    """

    statistics: dict[str, Any]
    inverse: dict[str, Any]
    record: dict[str, Any]


class KFACState(NamedTuple):
    """The state of `kfac`: a plain pytree, to be saved and restored like parameters.

    Attributes
    ----------
    step : int32 scalar
        Steps so far.
    skipped : int32 scalar
        Gradients with NaN or Inf, which changed nothing else.
    layers : dict {name: LayerState}
    """

    step: Any
    skipped: Any
    layers: dict[str, LayerState]


def blank(block: Block, dtype: Any) -> LayerState:
    """The state of a layer before its first batch; before its first refresh gradients pass as they are."""
    record: dict[str, Any] = {
        key: jnp.zeros((), jnp.int32) for key in ("count", "refreshes", "fallback", "failed", "skipped")
    }
    record |= {"last_refresh": jnp.full((), -1, jnp.int32)}
    record |= {"condition": jnp.zeros((), dtype), "truncated": jnp.zeros((), dtype)}
    if isinstance(block, UnitwiseBlock):
        size, parts = block.size, block.parts
        inverse = {
            "values": jnp.ones((size, parts), dtype),
            "vectors": jnp.zeros((size, parts, parts), dtype),
            "shift": jnp.zeros((), dtype),
        }
        return LayerState({"sum": jnp.zeros((parts, parts, size), dtype)}, inverse, record)
    base = block.base if isinstance(block, EigenbasisBlock) else block
    assert isinstance(base, KroneckerBlock)
    statistics, sides = {}, {}
    for name in ("left", "right"):
        factor, side = getattr(base, name), getattr(base.inverse, name)
        statistics[name] = _blank_factor(factor, side, dtype)
        sides[name] = _blank_side(factor, side, dtype)
    if isinstance(block, EigenbasisBlock):
        statistics["second"] = jnp.zeros((base.left.dim, base.right.dim), dtype)
        sides = {name: {"U": side["U"]} for name, side in sides.items()}
        return LayerState(statistics, {**sides, "shift": jnp.ones((), dtype)}, record)
    inverse = {**sides, "shifts": jnp.ones(3, dtype), "moments": jnp.zeros((2, 2), dtype)}
    return LayerState(statistics, inverse, record)


def _blank_factor(factor: Any, side: Any, dtype: Any) -> Any:
    d = factor.dim
    if isinstance(factor, BrandFactor):
        pairs = {"U": jnp.zeros((d, factor.rank), dtype), "values": jnp.zeros(factor.rank, dtype)}
        scalars = {key: jnp.zeros((), dtype) for key in ("mass", "cut")}
        return {**pairs, **scalars, "pairs": jnp.zeros((), jnp.int32)}
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
    scalars = {key: jnp.zeros((), dtype) for key in ("tail", "left")}
    return {"U": jnp.zeros((d, width), dtype), "s": jnp.zeros(width, dtype), **scalars}


def aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    """An array at a multiple of 64 bytes, which JAX takes over without a copy."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    out: np.ndarray[Any, Any] = raw[start : start + size].view(dtype).reshape(shape)
    return out

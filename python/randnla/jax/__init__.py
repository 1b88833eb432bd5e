# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Curvature for JAX: models that tell their factors, and K-FAC as a gradient transformation of optax."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from randnla.jax.gradient_window import mfac as mfac
    from randnla.jax.losses import Loss as Loss
    from randnla.jax.mini_blocks import MiniBlockState as MiniBlockState
    from randnla.jax.mini_blocks import mini_block_fisher as mini_block_fisher
    from randnla.jax.pruning import prune as prune
    from randnla.jax.sites import Site as Site
    from randnla.jax.sketched_hessian import SketchyTransformation as SketchyTransformation
    from randnla.jax.sketched_hessian import sketchy_sgd as sketchy_sgd
    from randnla.jax.state import KFACState as KFACState
    from randnla.jax.state import LayerState as LayerState
    from randnla.jax.tapping import TappedModel as TappedModel
    from randnla.jax.tapping import tap as tap
    from randnla.jax.transformation import KFACTransformation as KFACTransformation
    from randnla.jax.transformation import kfac as kfac


# Public name -> module that defines it, loaded at first use.
_EXPORTS = {
    "KFACState": "randnla.jax.state",
    "KFACTransformation": "randnla.jax.transformation",
    "LayerState": "randnla.jax.state",
    "Loss": "randnla.jax.losses",
    "mini_block_fisher": "randnla.jax.mini_blocks",
    "MiniBlockState": "randnla.jax.mini_blocks",
    "Site": "randnla.jax.sites",
    "SketchyTransformation": "randnla.jax.sketched_hessian",
    "TappedModel": "randnla.jax.tapping",
    "kfac": "randnla.jax.transformation",
    "mfac": "randnla.jax.gradient_window",
    "sketchy_sgd": "randnla.jax.sketched_hessian",
    "prune": "randnla.jax.pruning",
    "tap": "randnla.jax.tapping",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'randnla.jax' has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Curvature for PyTorch: preconditions the gradients of any model, for any optimizer, and prunes weights."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from randnla.torch.elliptic import EllipticNetwork as EllipticNetwork
    from randnla.torch.kfac import KFAC as KFAC
    from randnla.torch.mfac import MFAC as MFAC
    from randnla.torch.mini_block_fisher import MiniBlockFisher as MiniBlockFisher
    from randnla.torch.pruning import prune as prune
    from randnla.torch.quadratic import fisher_form as fisher_form
    from randnla.torch.seng import SENG as SENG
    from randnla.torch.sketchy_sgd import SketchySGD as SketchySGD

# Public name -> module that defines it, loaded at first use.
_EXPORTS = {
    "EllipticNetwork": "randnla.torch.elliptic",
    "KFAC": "randnla.torch.kfac",
    "MiniBlockFisher": "randnla.torch.mini_block_fisher",
    "MFAC": "randnla.torch.mfac",
    "SENG": "randnla.torch.seng",
    "SketchySGD": "randnla.torch.sketchy_sgd",
    "fisher_form": "randnla.torch.quadratic",
    "prune": "randnla.torch.pruning",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'randnla.torch' has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

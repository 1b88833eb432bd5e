# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Curvature below the frameworks: averaged factors and the inverses made from them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from randnla.curvature.brand import BrandFactor as BrandFactor
    from randnla.curvature.factors import KroneckerFactor as KroneckerFactor
    from randnla.curvature.low_rank_inverse import LowRankInverse as LowRankInverse

_EXPORTS = {
    "BrandFactor": "randnla.curvature.brand",
    "KroneckerFactor": "randnla.curvature.factors",
    "LowRankInverse": "randnla.curvature.low_rank_inverse",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'randnla.curvature' has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

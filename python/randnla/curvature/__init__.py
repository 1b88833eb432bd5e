# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Curvature of models from gradients and activations: arrays in, arrays out, no framework."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from randnla.curvature.brand import BrandFactor as BrandFactor
    from randnla.curvature.factors import KroneckerFactor as KroneckerFactor
    from randnla.curvature.levenberg_marquardt import GammaRule as GammaRule
    from randnla.curvature.levenberg_marquardt import LevenbergMarquardt as LevenbergMarquardt
    from randnla.curvature.low_rank_inverse import LowRankInverse as LowRankInverse
    from randnla.curvature.quadratic import QuadraticMinimum as QuadraticMinimum
    from randnla.curvature.quadratic import minimize_quadratic as minimize_quadratic
    from randnla.curvature.window import GradientWindow as GradientWindow

# Public name -> module that defines it, loaded at first use.
_EXPORTS = {
    "BrandFactor": "randnla.curvature.brand",
    "GammaRule": "randnla.curvature.levenberg_marquardt",
    "GradientWindow": "randnla.curvature.window",
    "KroneckerFactor": "randnla.curvature.factors",
    "LevenbergMarquardt": "randnla.curvature.levenberg_marquardt",
    "LowRankInverse": "randnla.curvature.low_rank_inverse",
    "QuadraticMinimum": "randnla.curvature.quadratic",
    "minimize_quadratic": "randnla.curvature.quadratic",
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

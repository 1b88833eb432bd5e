# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Curvature of models from gradients and activations: arrays in, arrays out, no framework."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from randnla.curvature.brand import BrandFactor as BrandFactor
    from randnla.curvature.brand_kfac import BrandKFAC as BrandKFAC
    from randnla.curvature.cholesky_inverse import CholeskyInverse as CholeskyInverse
    from randnla.curvature.clipping import KLClip as KLClip
    from randnla.curvature.clipping import RMSClip as RMSClip
    from randnla.curvature.convolution import Conv1d as Conv1d
    from randnla.curvature.convolution import Conv2d as Conv2d
    from randnla.curvature.damping import Absolute as Absolute
    from randnla.curvature.damping import Damping as Damping
    from randnla.curvature.damping import Exact as Exact
    from randnla.curvature.damping import Moments as Moments
    from randnla.curvature.damping import Relative as Relative
    from randnla.curvature.damping import Shifts as Shifts
    from randnla.curvature.damping import Tikhonov as Tikhonov
    from randnla.curvature.diagonal import DiagonalFactor as DiagonalFactor
    from randnla.curvature.diagonal import DiagonalInverse as DiagonalInverse
    from randnla.curvature.eigen_inverse import EigenInverse as EigenInverse
    from randnla.curvature.exact_wake import ExactWake as ExactWake
    from randnla.curvature.factors import KroneckerFactor as KroneckerFactor
    from randnla.curvature.glm.least_squares import LeastSquares as LeastSquares
    from randnla.curvature.glm.logistic import Logistic as Logistic
    from randnla.curvature.glm.model import LinearModel as LinearModel
    from randnla.curvature.glm.multinomial import Multinomial as Multinomial
    from randnla.curvature.glm.poisson import Poisson as Poisson
    from randnla.curvature.health import Health as Health
    from randnla.curvature.kfac import KFAC as KFAC
    from randnla.curvature.kld_wrm import KLDWRM as KLDWRM
    from randnla.curvature.layers import Dense as Dense
    from randnla.curvature.layers import Embedding as Embedding
    from randnla.curvature.layers import ScaleShift as ScaleShift
    from randnla.curvature.levenberg_marquardt import GammaRule as GammaRule
    from randnla.curvature.levenberg_marquardt import LevenbergMarquardt as LevenbergMarquardt
    from randnla.curvature.low_rank_inverse import LowRankInverse as LowRankInverse
    from randnla.curvature.mfac import MFAC as MFAC
    from randnla.curvature.mini_block_fisher import MiniBlockFisher as MiniBlockFisher
    from randnla.curvature.partition import ConvBlocks as ConvBlocks
    from randnla.curvature.partition import Elementwise as Elementwise
    from randnla.curvature.partition import NeuronBlocks as NeuronBlocks
    from randnla.curvature.partition import RaggedBlocks as RaggedBlocks
    from randnla.curvature.promise.nystrom import Nystrom as Nystrom
    from randnla.curvature.promise.preconditioner import Preconditioner as Preconditioner
    from randnla.curvature.promise.subsampled import LESSN as LESSN
    from randnla.curvature.promise.subsampled import SASSN as SASSN
    from randnla.curvature.promise.subsampled import SSN as SSN
    from randnla.curvature.promise.subsampled import DiagonalPreconditioner as DiagonalPreconditioner
    from randnla.curvature.pruning.driver import prune as prune
    from randnla.curvature.pruning.result import PruneInfo as PruneInfo
    from randnla.curvature.pruning.result import PruneResult as PruneResult
    from randnla.curvature.quadratic import QuadraticMinimum as QuadraticMinimum
    from randnla.curvature.quadratic import minimize_quadratic as minimize_quadratic
    from randnla.curvature.report import Report as Report
    from randnla.curvature.schedule import Every as Every
    from randnla.curvature.schedule import Piecewise as Piecewise
    from randnla.curvature.seng import SENG as SENG
    from randnla.curvature.sketchy_sgd import SketchySGD as SketchySGD
    from randnla.curvature.sketchy_variants import SketchyKatyusha as SketchyKatyusha
    from randnla.curvature.sketchy_variants import SketchySAGA as SketchySAGA
    from randnla.curvature.sketchy_variants import SketchySVRG as SketchySVRG
    from randnla.curvature.tridiagonal import TridiagonalKFAC as TridiagonalKFAC
    from randnla.curvature.variants import EKFAC as EKFAC
    from randnla.curvature.variants import RSKFAC as RSKFAC
    from randnla.curvature.variants import SREKFAC as SREKFAC
    from randnla.curvature.wake import WakeRecursion as WakeRecursion
    from randnla.curvature.window import GradientWindow as GradientWindow

# Public name -> module that defines it, loaded at first use.
_EXPORTS = {
    "Absolute": "randnla.curvature.damping",
    "BrandFactor": "randnla.curvature.brand",
    "BrandKFAC": "randnla.curvature.brand_kfac",
    "CholeskyInverse": "randnla.curvature.cholesky_inverse",
    "Conv1d": "randnla.curvature.convolution",
    "Conv2d": "randnla.curvature.convolution",
    "ConvBlocks": "randnla.curvature.partition",
    "Damping": "randnla.curvature.damping",
    "Dense": "randnla.curvature.layers",
    "DiagonalFactor": "randnla.curvature.diagonal",
    "DiagonalInverse": "randnla.curvature.diagonal",
    "EKFAC": "randnla.curvature.variants",
    "EigenInverse": "randnla.curvature.eigen_inverse",
    "Elementwise": "randnla.curvature.partition",
    "Embedding": "randnla.curvature.layers",
    "Every": "randnla.curvature.schedule",
    "ExactWake": "randnla.curvature.exact_wake",
    "Exact": "randnla.curvature.damping",
    "GammaRule": "randnla.curvature.levenberg_marquardt",
    "GradientWindow": "randnla.curvature.window",
    "Health": "randnla.curvature.health",
    "KFAC": "randnla.curvature.kfac",
    "KLDWRM": "randnla.curvature.kld_wrm",
    "KLClip": "randnla.curvature.clipping",
    "KroneckerFactor": "randnla.curvature.factors",
    "LevenbergMarquardt": "randnla.curvature.levenberg_marquardt",
    "LowRankInverse": "randnla.curvature.low_rank_inverse",
    "MFAC": "randnla.curvature.mfac",
    "MiniBlockFisher": "randnla.curvature.mini_block_fisher",
    "Moments": "randnla.curvature.damping",
    "NeuronBlocks": "randnla.curvature.partition",
    "Piecewise": "randnla.curvature.schedule",
    "PruneInfo": "randnla.curvature.pruning.result",
    "PruneResult": "randnla.curvature.pruning.result",
    "QuadraticMinimum": "randnla.curvature.quadratic",
    "RaggedBlocks": "randnla.curvature.partition",
    "RMSClip": "randnla.curvature.clipping",
    "RSKFAC": "randnla.curvature.variants",
    "Relative": "randnla.curvature.damping",
    "Report": "randnla.curvature.report",
    "SENG": "randnla.curvature.seng",
    "SREKFAC": "randnla.curvature.variants",
    "ScaleShift": "randnla.curvature.layers",
    "Shifts": "randnla.curvature.damping",
    "Tikhonov": "randnla.curvature.damping",
    "TridiagonalKFAC": "randnla.curvature.tridiagonal",
    "WakeRecursion": "randnla.curvature.wake",
    "minimize_quadratic": "randnla.curvature.quadratic",
    "SketchySGD": "randnla.curvature.sketchy_sgd",
    "SketchySVRG": "randnla.curvature.sketchy_variants",
    "SketchySAGA": "randnla.curvature.sketchy_variants",
    "SketchyKatyusha": "randnla.curvature.sketchy_variants",
    "Nystrom": "randnla.curvature.promise.nystrom",
    "SSN": "randnla.curvature.promise.subsampled",
    "SASSN": "randnla.curvature.promise.subsampled",
    "LESSN": "randnla.curvature.promise.subsampled",
    "DiagonalPreconditioner": "randnla.curvature.promise.subsampled",
    "Preconditioner": "randnla.curvature.promise.preconditioner",
    "LeastSquares": "randnla.curvature.glm.least_squares",
    "Logistic": "randnla.curvature.glm.logistic",
    "Multinomial": "randnla.curvature.glm.multinomial",
    "Poisson": "randnla.curvature.glm.poisson",
    "LinearModel": "randnla.curvature.glm.model",
    "prune": "randnla.curvature.pruning.driver",
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

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Curvature of models from gradients and activations: arrays in, arrays out, no framework."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from randnla.curvature.clipping import KLClip as KLClip
    from randnla.curvature.clipping import RMSClip as RMSClip
    from randnla.curvature.damping import Absolute as Absolute
    from randnla.curvature.damping import Damping as Damping
    from randnla.curvature.damping import Exact as Exact
    from randnla.curvature.damping import Moments as Moments
    from randnla.curvature.damping import Relative as Relative
    from randnla.curvature.damping import Shifts as Shifts
    from randnla.curvature.damping import Tikhonov as Tikhonov
    from randnla.curvature.factors.brand import BrandFactor as BrandFactor
    from randnla.curvature.factors.diagonal import DiagonalFactor as DiagonalFactor
    from randnla.curvature.factors.diagonal import DiagonalInverse as DiagonalInverse
    from randnla.curvature.factors.kronecker import KroneckerFactor as KroneckerFactor
    from randnla.curvature.factors.low_rank import LowRankFactor as LowRankFactor
    from randnla.curvature.glm.least_squares import LeastSquares as LeastSquares
    from randnla.curvature.glm.logistic import Logistic as Logistic
    from randnla.curvature.glm.model import LinearModel as LinearModel
    from randnla.curvature.glm.multinomial import Multinomial as Multinomial
    from randnla.curvature.glm.poisson import Poisson as Poisson
    from randnla.curvature.health import Health as Health
    from randnla.curvature.inverses.cholesky_inverse import CholeskyInverse as CholeskyInverse
    from randnla.curvature.inverses.eigen_inverse import EigenInverse as EigenInverse
    from randnla.curvature.inverses.low_rank_inverse import LowRankInverse as LowRankInverse
    from randnla.curvature.kfac.brand_kfac import BrandKFAC as BrandKFAC
    from randnla.curvature.kfac.convolution import Conv1d as Conv1d
    from randnla.curvature.kfac.convolution import Conv2d as Conv2d
    from randnla.curvature.kfac.engine import KFAC as KFAC
    from randnla.curvature.kfac.exact_wake import ExactWake as ExactWake
    from randnla.curvature.kfac.kld_wrm import KLDWRM as KLDWRM
    from randnla.curvature.kfac.layers import Dense as Dense
    from randnla.curvature.kfac.layers import Embedding as Embedding
    from randnla.curvature.kfac.layers import ScaleShift as ScaleShift
    from randnla.curvature.kfac.tridiagonal import TridiagonalKFAC as TridiagonalKFAC
    from randnla.curvature.kfac.variants import EKFAC as EKFAC
    from randnla.curvature.kfac.variants import RSKFAC as RSKFAC
    from randnla.curvature.kfac.variants import SREKFAC as SREKFAC
    from randnla.curvature.kfac.wake import WakeRecursion as WakeRecursion
    from randnla.curvature.levenberg_marquardt import GammaRule as GammaRule
    from randnla.curvature.levenberg_marquardt import LevenbergMarquardt as LevenbergMarquardt
    from randnla.curvature.mini_blocks.mini_block_fisher import MiniBlockFisher as MiniBlockFisher
    from randnla.curvature.mini_blocks.partition import ConvBlocks as ConvBlocks
    from randnla.curvature.mini_blocks.partition import Elementwise as Elementwise
    from randnla.curvature.mini_blocks.partition import NeuronBlocks as NeuronBlocks
    from randnla.curvature.mini_blocks.partition import RaggedBlocks as RaggedBlocks
    from randnla.curvature.promise.nystrom import Nystrom as Nystrom
    from randnla.curvature.promise.preconditioner import Preconditioner as Preconditioner
    from randnla.curvature.promise.sketchy_katyusha import SketchyKatyusha as SketchyKatyusha
    from randnla.curvature.promise.sketchy_saga import SketchySAGA as SketchySAGA
    from randnla.curvature.promise.sketchy_sgd import SketchySGD as SketchySGD
    from randnla.curvature.promise.sketchy_svrg import SketchySVRG as SketchySVRG
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
    from randnla.curvature.sample_space.seng import SENG as SENG
    from randnla.curvature.schedule import Every as Every
    from randnla.curvature.schedule import Piecewise as Piecewise
    from randnla.curvature.windows.mfac import MFAC as MFAC
    from randnla.curvature.windows.window import GradientWindow as GradientWindow

# Public name -> module that defines it, loaded at first use.
_EXPORTS = {
    "Absolute": "randnla.curvature.damping",
    "BrandFactor": "randnla.curvature.factors.brand",
    "BrandKFAC": "randnla.curvature.kfac.brand_kfac",
    "CholeskyInverse": "randnla.curvature.inverses.cholesky_inverse",
    "Conv1d": "randnla.curvature.kfac.convolution",
    "Conv2d": "randnla.curvature.kfac.convolution",
    "ConvBlocks": "randnla.curvature.mini_blocks.partition",
    "Damping": "randnla.curvature.damping",
    "Dense": "randnla.curvature.kfac.layers",
    "DiagonalFactor": "randnla.curvature.factors.diagonal",
    "DiagonalInverse": "randnla.curvature.factors.diagonal",
    "EKFAC": "randnla.curvature.kfac.variants",
    "EigenInverse": "randnla.curvature.inverses.eigen_inverse",
    "Elementwise": "randnla.curvature.mini_blocks.partition",
    "Embedding": "randnla.curvature.kfac.layers",
    "Every": "randnla.curvature.schedule",
    "ExactWake": "randnla.curvature.kfac.exact_wake",
    "Exact": "randnla.curvature.damping",
    "GammaRule": "randnla.curvature.levenberg_marquardt",
    "GradientWindow": "randnla.curvature.windows.window",
    "Health": "randnla.curvature.health",
    "KFAC": "randnla.curvature.kfac.engine",
    "KLDWRM": "randnla.curvature.kfac.kld_wrm",
    "KLClip": "randnla.curvature.clipping",
    "KroneckerFactor": "randnla.curvature.factors.kronecker",
    "LowRankFactor": "randnla.curvature.factors.low_rank",
    "LevenbergMarquardt": "randnla.curvature.levenberg_marquardt",
    "LowRankInverse": "randnla.curvature.inverses.low_rank_inverse",
    "MFAC": "randnla.curvature.windows.mfac",
    "MiniBlockFisher": "randnla.curvature.mini_blocks.mini_block_fisher",
    "Moments": "randnla.curvature.damping",
    "NeuronBlocks": "randnla.curvature.mini_blocks.partition",
    "Piecewise": "randnla.curvature.schedule",
    "PruneInfo": "randnla.curvature.pruning.result",
    "PruneResult": "randnla.curvature.pruning.result",
    "QuadraticMinimum": "randnla.curvature.quadratic",
    "RaggedBlocks": "randnla.curvature.mini_blocks.partition",
    "RMSClip": "randnla.curvature.clipping",
    "RSKFAC": "randnla.curvature.kfac.variants",
    "Relative": "randnla.curvature.damping",
    "Report": "randnla.curvature.report",
    "SENG": "randnla.curvature.sample_space.seng",
    "SREKFAC": "randnla.curvature.kfac.variants",
    "ScaleShift": "randnla.curvature.kfac.layers",
    "Shifts": "randnla.curvature.damping",
    "Tikhonov": "randnla.curvature.damping",
    "TridiagonalKFAC": "randnla.curvature.kfac.tridiagonal",
    "WakeRecursion": "randnla.curvature.kfac.wake",
    "minimize_quadratic": "randnla.curvature.quadratic",
    "SketchySGD": "randnla.curvature.promise.sketchy_sgd",
    "SketchySVRG": "randnla.curvature.promise.sketchy_svrg",
    "SketchySAGA": "randnla.curvature.promise.sketchy_saga",
    "SketchyKatyusha": "randnla.curvature.promise.sketchy_katyusha",
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

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Randomized numerical linear algebra with certified results."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from randnla._backend.errors import BreakdownError as BreakdownError
    from randnla._backend.errors import CapacityError as CapacityError
    from randnla._backend.errors import ConvergenceWarning as ConvergenceWarning
    from randnla._backend.errors import InputError as InputError
    from randnla._backend.errors import NonFiniteError as NonFiniteError
    from randnla._backend.errors import RangeError as RangeError
    from randnla._backend.errors import StateError as StateError
    from randnla._backend.system import info as info
    from randnla._backend.threads import num_threads as num_threads
    from randnla._backend.threads import set_num_threads as set_num_threads
    from randnla.estimate.density import spectral_density as spectral_density
    from randnla.estimate.diag import diag as diag
    from randnla.estimate.logdet import logdet as logdet
    from randnla.estimate.norm import norm as norm
    from randnla.estimate.rank import cond as cond
    from randnla.estimate.rank import estimate_rank as estimate_rank
    from randnla.estimate.trace import trace as trace
    from randnla.lowrank.cur import cur as cur
    from randnla.lowrank.eigh import eigh as eigh
    from randnla.lowrank.frequent_directions import FrequentDirections as FrequentDirections
    from randnla.lowrank.interpolative import interpolative as interpolative
    from randnla.lowrank.nystrom import nystrom as nystrom
    from randnla.lowrank.pca import pca as pca
    from randnla.lowrank.qb import qb as qb
    from randnla.lowrank.range_finder import range_finder as range_finder
    from randnla.lowrank.rpcholesky import rpcholesky as rpcholesky
    from randnla.lowrank.streaming import StreamingSVD as StreamingSVD
    from randnla.lowrank.svd import svd as svd
    from randnla.lowrank.update import IncrementalSVD as IncrementalSVD
    from randnla.matrix_functions.apply import apply_function as apply_function
    from randnla.matrix_functions.update import sqrt_update as sqrt_update
    from randnla.operators import DampedKronecker as DampedKronecker
    from randnla.operators import Dense as Dense
    from randnla.operators import Diagonal as Diagonal
    from randnla.operators import DiagonalPlusLowRank as DiagonalPlusLowRank
    from randnla.operators import EntryOperator as EntryOperator
    from randnla.operators import KernelMatrix as KernelMatrix
    from randnla.operators import Kronecker as Kronecker
    from randnla.operators import KroneckerSum as KroneckerSum
    from randnla.operators import LinearOperator as LinearOperator
    from randnla.operators import LowRank as LowRank
    from randnla.operators import Masked as Masked
    from randnla.operators import RowStream as RowStream
    from randnla.operators import Sparse as Sparse
    from randnla.operators import TwoTermKronecker as TwoTermKronecker
    from randnla.operators import as_operator as as_operator
    from randnla.qr import qr as qr
    from randnla.qr.pivoted import pivoted_qr as pivoted_qr
    from randnla.qr.utv import utv as utv
    from randnla.sketching import SRFT as SRFT
    from randnla.sketching import SRHT as SRHT
    from randnla.sketching import CountSketch as CountSketch
    from randnla.sketching import Gaussian as Gaussian
    from randnla.sketching import KhatriRaoSketch as KhatriRaoSketch
    from randnla.sketching import LeverageSampling as LeverageSampling
    from randnla.sketching import RowSampling as RowSampling
    from randnla.sketching import Sign as Sign
    from randnla.sketching import SparseSign as SparseSign
    from randnla.sketching import TensorSketch as TensorSketch
    from randnla.sketching import leverage_scores as leverage_scores
    from randnla.sketching import sketch as sketch
    from randnla.solvers.gmres import gmres as gmres
    from randnla.solvers.least_squares.lstsq import lstsq as lstsq
    from randnla.solvers.ridge import ridge as ridge
    from randnla.solvers.solve import solve as solve

# Public name -> module that defines it; loaded at first use, so that `import randnla` stays fast.
_EXPORTS = {
    "BreakdownError": "randnla._backend.errors",
    "CapacityError": "randnla._backend.errors",
    "ConvergenceWarning": "randnla._backend.errors",
    "InputError": "randnla._backend.errors",
    "NonFiniteError": "randnla._backend.errors",
    "RangeError": "randnla._backend.errors",
    "StateError": "randnla._backend.errors",
    "info": "randnla._backend.system",
    "num_threads": "randnla._backend.threads",
    "set_num_threads": "randnla._backend.threads",
    "cond": "randnla.estimate.rank",
    "diag": "randnla.estimate.diag",
    "estimate_rank": "randnla.estimate.rank",
    "logdet": "randnla.estimate.logdet",
    "norm": "randnla.estimate.norm",
    "spectral_density": "randnla.estimate.density",
    "trace": "randnla.estimate.trace",
    "cur": "randnla.lowrank.cur",
    "eigh": "randnla.lowrank.eigh",
    "interpolative": "randnla.lowrank.interpolative",
    "nystrom": "randnla.lowrank.nystrom",
    "pca": "randnla.lowrank.pca",
    "qb": "randnla.lowrank.qb",
    "range_finder": "randnla.lowrank.range_finder",
    "rpcholesky": "randnla.lowrank.rpcholesky",
    "FrequentDirections": "randnla.lowrank.frequent_directions",
    "IncrementalSVD": "randnla.lowrank.update",
    "StreamingSVD": "randnla.lowrank.streaming",
    "svd": "randnla.lowrank.svd",
    "DampedKronecker": "randnla.operators",
    "apply_function": "randnla.matrix_functions.apply",
    "sqrt_update": "randnla.matrix_functions.update",
    "Dense": "randnla.operators",
    "Diagonal": "randnla.operators",
    "DiagonalPlusLowRank": "randnla.operators",
    "Kronecker": "randnla.operators",
    "KroneckerSum": "randnla.operators",
    "EntryOperator": "randnla.operators",
    "KernelMatrix": "randnla.operators",
    "LinearOperator": "randnla.operators",
    "LowRank": "randnla.operators",
    "Masked": "randnla.operators",
    "RowStream": "randnla.operators",
    "Sparse": "randnla.operators",
    "TwoTermKronecker": "randnla.operators",
    "as_operator": "randnla.operators",
    "CountSketch": "randnla.sketching",
    "Gaussian": "randnla.sketching",
    "KhatriRaoSketch": "randnla.sketching",
    "LeverageSampling": "randnla.sketching",
    "RowSampling": "randnla.sketching",
    "SRFT": "randnla.sketching",
    "SRHT": "randnla.sketching",
    "Sign": "randnla.sketching",
    "SparseSign": "randnla.sketching",
    "TensorSketch": "randnla.sketching",
    "leverage_scores": "randnla.sketching",
    "pivoted_qr": "randnla.qr.pivoted",
    "qr": "randnla.qr",
    "utv": "randnla.qr.utv",
    "sketch": "randnla.sketching",
    "gmres": "randnla.solvers.gmres",
    "ridge": "randnla.solvers.ridge",
    "solve": "randnla.solvers.solve",
    "lstsq": "randnla.solvers.least_squares.lstsq",
}

__all__ = sorted([*_EXPORTS, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("randnla._backend.system").version()
    if name not in _EXPORTS:
        raise AttributeError(f"module 'randnla' has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

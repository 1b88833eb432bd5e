# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Least squares and linear systems, solved to a backward error that is estimated and reported."""

from randnla._backend.results import SolveResult
from randnla.solvers.gmres import gmres
from randnla.solvers.kernel_ridge import kernel_ridge
from randnla.solvers.krylov.cg import cg
from randnla.solvers.krylov.least_squares import lsmr, lsqr
from randnla.solvers.least_squares.lstsq import lstsq
from randnla.solvers.preconditioners.make import nystrom_preconditioner, rpcholesky_preconditioner
from randnla.solvers.preconditioners.spectral import SpectralPreconditioner
from randnla.solvers.results import KernelRidgeResult, RidgeResult
from randnla.solvers.ridge import ridge
from randnla.solvers.solve import solve

__all__ = [
    "KernelRidgeResult",
    "RidgeResult",
    "SolveResult",
    "SpectralPreconditioner",
    "cg",
    "gmres",
    "kernel_ridge",
    "lsmr",
    "lsqr",
    "lstsq",
    "nystrom_preconditioner",
    "ridge",
    "rpcholesky_preconditioner",
    "solve",
]

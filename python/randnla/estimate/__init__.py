# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Traces, diagonals, norms, determinants and spectral densities of matrices known by their products."""

from randnla.estimate.density import SpectralDensity, spectral_density
from randnla.estimate.diag import diag, squared_row_norms
from randnla.estimate.logdet import logdet
from randnla.estimate.norm import norm
from randnla.estimate.rank import cond, estimate_rank
from randnla.estimate.spectral_sum import trace_function
from randnla.estimate.trace import trace

__all__ = [
    "SpectralDensity",
    "cond",
    "diag",
    "estimate_rank",
    "logdet",
    "norm",
    "spectral_density",
    "squared_row_norms",
    "trace",
    "trace_function",
]

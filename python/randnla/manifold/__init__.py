# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Functions and elliptic equations on manifolds that are known by points alone."""

from .boundary import Boundary
from .cloud import estimate_dimension
from .elliptic import EllipticResult, solve_elliptic
from .maps import DiffusionMapResult, diffusion_map
from .operators import LaplacianResult, laplacian

__all__ = [
    "Boundary",
    "DiffusionMapResult",
    "EllipticResult",
    "LaplacianResult",
    "diffusion_map",
    "estimate_dimension",
    "laplacian",
    "solve_elliptic",
]

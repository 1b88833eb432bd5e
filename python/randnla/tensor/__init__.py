# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Decompositions of dense tensors: CP by concurrent orthogonalization and least squares, and Tucker."""

from .composite import cpca
from .decompose import als, cp, ico
from .products import match_components, mttkrp
from .results import CPResult, TuckerResult
from .samples import cp_covariance
from .tucker import hosvd

__all__ = [
    "CPResult",
    "TuckerResult",
    "als",
    "cp",
    "cp_covariance",
    "cpca",
    "hosvd",
    "ico",
    "match_components",
    "mttkrp",
]

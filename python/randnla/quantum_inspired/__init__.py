# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Linear algebra by sampling: entries of a matrix are drawn by their squares, and that is enough for much."""

from __future__ import annotations

import importlib
from typing import Any

# Public name -> module that defines it; loaded at first use.
_EXPORTS = {
    "ClusterResult": "randnla.quantum_inspired.results",
    "DiscriminantResult": "randnla.quantum_inspired.results",
    "EvenSVT": "randnla.quantum_inspired.transform",
    "OddSVT": "randnla.quantum_inspired.transform",
    "ProductResult": "randnla.quantum_inspired.results",
    "Recommendation": "randnla.quantum_inspired.results",
    "Recommender": "randnla.quantum_inspired.recommendation",
    "SDPResult": "randnla.quantum_inspired.results",
    "SQCombination": "randnla.quantum_inspired.combination",
    "SQFactored": "randnla.quantum_inspired.factored",
    "SQMatrix": "randnla.quantum_inspired.sq_matrix",
    "SQVector": "randnla.quantum_inspired.sq_vector",
    "SVMResult": "randnla.quantum_inspired.results",
    "approximate_product": "randnla.quantum_inspired.primitives",
    "bilinear_form": "randnla.quantum_inspired.primitives",
    "combine": "randnla.quantum_inspired.factored",
    "discriminant": "randnla.quantum_inspired.discriminants",
    "even_svt": "randnla.quantum_inspired.transform",
    "inner_product": "randnla.quantum_inspired.primitives",
    "low_rank_svd": "randnla.quantum_inspired.low_rank",
    "odd_svt": "randnla.quantum_inspired.transform",
    "outer": "randnla.quantum_inspired.factored",
    "pca": "randnla.quantum_inspired.components",
    "product": "randnla.quantum_inspired.factored",
    "pseudo_inverse": "randnla.quantum_inspired.regression",
    "recommend": "randnla.quantum_inspired.recommendation",
    "regress": "randnla.quantum_inspired.regression",
    "simulate_hamiltonian": "randnla.quantum_inspired.hamiltonian",
    "solve_sdp": "randnla.quantum_inspired.feasibility",
    "supervised_cluster": "randnla.quantum_inspired.clustering",
    "svm": "randnla.quantum_inspired.margins",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'randnla.quantum_inspired' has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

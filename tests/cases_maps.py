# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The registry of random maps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from randnla import sketching


@dataclass(frozen=True)
class SketchCase:
    """A kind of map.

    make : (d, m, rng=, dtype=, stream=) -> map
    embedding : bound on ``d E ||U^T S^T S U - I||_F^2`` for orthonormal U, from U.
    rounding : multiple of eps that products may differ by from the dense ones, over sums of magnitudes.
    """

    make: Callable[..., sketching.RandomMap]
    embedding: Callable[[np.ndarray], float]
    any_length: bool = True
    sampling: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


def _pairs(U: np.ndarray) -> float:
    # (S^T S)_ij, i < j, are uncorrelated with variance 1/d at most, and the diagonal is 1 (variance 2/d for
    # Gaussian): E ||U^T S^T S U - I||_F^2 <= (k^2 + k) / d, with equality for Gaussian.
    k = U.shape[1]
    return float(k * k + k)


def _cosine(U: np.ndarray) -> float:
    # C_ij^2 <= 2/m doubles the variances; the diagonal, of variance 2/d, adds 2 k.
    k = U.shape[1]
    return float(2 * k * k + 4 * k)


def _sampled(U: np.ndarray) -> float:
    # E || sum_t u u^T m / d - I ||_F^2 <= (m / d) sum_j |u_j|^4
    return float(len(U) * ((U**2).sum(axis=1) ** 2).sum())


def scores_for(m: int) -> np.ndarray:
    """Uneven scores without zeros."""
    return 1.0 + np.arange(m) % 5


def _leverage(d, m, **options):
    return sketching.LeverageSampling(d, m, scores=scores_for(m), **options)


def _by_scores(U: np.ndarray) -> float:
    p = scores_for(len(U)) / scores_for(len(U)).sum()
    return float((((U**2).sum(axis=1) ** 2) / p).sum())


def divisors(m: int) -> tuple[int, int]:
    """m as a product of two, as even as can be."""
    small = next((n for n in range(math.isqrt(m), 0, -1) if m % n == 0), 1)
    return small, m // small


def _of_two_modes(cls):
    return lambda d, m, **options: cls(d, m, dims=divisors(m), **options)


def _khatri_rao(U: np.ndarray) -> float:
    # E (s.u)^2 (s.v)^2 <= 3^2 |u|^2 |v|^2 for products of two sign vectors: a factor of three a mode.
    k = U.shape[1]
    return float(9 * k * k - k)


def _tensor_sketch(U: np.ndarray) -> float:
    # Avron, Nguyen and Woodruff (2014), Lemma 2, for two modes.
    return float((2 + 3**2) * U.shape[1] ** 2)


SKETCHES: dict[str, SketchCase] = {
    "Gaussian": SketchCase(sketching.Gaussian, _pairs),
    "Sign": SketchCase(sketching.Sign, _pairs),
    "SparseSign": SketchCase(sketching.SparseSign, _pairs),
    "CountSketch": SketchCase(sketching.CountSketch, _pairs),
    "SRHT": SketchCase(sketching.SRHT, _pairs, any_length=False),
    "SRFT": SketchCase(sketching.SRFT, _cosine, any_length=False),
    "KhatriRaoSketch": SketchCase(_of_two_modes(sketching.KhatriRaoSketch), _khatri_rao),
    "TensorSketch": SketchCase(_of_two_modes(sketching.TensorSketch), _tensor_sketch),
    "RowSampling": SketchCase(sketching.RowSampling, _sampled, sampling=True),
    "LeverageSampling": SketchCase(_leverage, _by_scores, any_length=False, sampling=True),
}

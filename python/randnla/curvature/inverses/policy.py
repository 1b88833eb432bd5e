# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Which inverse a factor gets, by its size."""

from __future__ import annotations

from typing import Any

from .cholesky_inverse import CholeskyInverse
from .eigen_inverse import EigenInverse
from .low_rank_inverse import LowRankInverse

CHOICES = ("auto", "cholesky", "eigen", "low_rank")
# Rows over pairs from which low rank pays, refresh and products together, measured (float32, two threads).
CROSSOVER = 3.0


def kind_of_inverse(dim: int, columns: int, *, choice: str, joint: bool) -> str:
    """ "cholesky", "eigen" or "low_rank".

    Parameters
    ----------
    dim : int
        Rows of the factor.
    columns : int
        Rank and oversampling of a low-rank inverse.
    choice : str
        "auto", or what is asked for. A narrow factor is not truncated even where low rank is asked for.
    joint : bool
        The damping needs eigenvectors.

    Notes
    -----
    The one choice in this library that follows a measurement: low rank from 3.0 (rank + oversample) rows on.
    """
    dense = "eigen" if joint else "cholesky"
    if choice in ("auto", "low_rank"):
        return "low_rank" if dim >= CROSSOVER * columns else dense
    return dense if choice == "cholesky" else choice


def inverse_of(kind: str, **low_rank: Any) -> Any:
    """A new inverse of a kind; the arguments are those of `LowRankInverse`."""
    if kind == "cholesky":
        return CholeskyInverse()
    return EigenInverse() if kind == "eigen" else LowRankInverse(**low_rank)

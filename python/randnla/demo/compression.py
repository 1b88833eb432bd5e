# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Compress an image by a truncated SVD, with the certificate beside the true error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import randnla

if TYPE_CHECKING:
    from randnla.demo import Settings
    from randnla.demo.report import Progress

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Compressed:
    """An image at one rank.

    Attributes
    ----------
    rank : int
        Rank of the approximation.
    storage : float
        Numbers kept, as a fraction of those of the image.
    error, certified, optimal : float
        Relative Frobenius errors: measured, certified without looking at the difference, best possible.
    image : ndarray, shape (height, width, 3)
        The approximation, clipped to [0, 1].
    """

    rank: int
    storage: float
    error: float
    certified: float
    optimal: float
    image: Array


def as_matrix(image: Array) -> Array:
    """Lay the color channels side by side: (height, width, 3) -> (height, 3 * width)."""
    return np.ascontiguousarray(image.transpose(0, 2, 1)).reshape(image.shape[0], -1)


def as_image(matrix: Array) -> Array:
    """Undo `as_matrix`, clipping to what a screen can show."""
    height = matrix.shape[0]
    return np.clip(matrix.reshape(height, 3, -1).transpose(0, 2, 1), 0.0, 1.0)


def certified_error(result: Any) -> float:
    """The relative error that a result certifies."""
    return float(result.info.error_relative)


def compress(A: Array, singular_values: Array, **keywords: Any) -> Compressed:
    """Approximate the matrix of an image and compare with the truth."""
    result = randnla.svd(A, rng=0, **keywords)
    U, s, Vh = result
    approximation = (U * s) @ Vh
    rank = int(s.size)
    tail = float(np.sqrt(np.sum(singular_values[rank:] ** 2)) / np.linalg.norm(singular_values))
    difference = np.linalg.norm(A.astype(np.float64) - approximation)
    return Compressed(
        rank=rank,
        storage=rank * (sum(A.shape) + 1) / A.size,
        error=float(difference / np.linalg.norm(A.astype(np.float64))),
        certified=certified_error(result),
        optimal=tail,
        image=as_image(approximation),
    )


def run(image: Array, settings: Settings, progress: Progress) -> list[Compressed]:
    """Compress at every rank of the settings."""
    A = as_matrix(image)
    singular_values = np.linalg.svd(A.astype(np.float64), compute_uv=False)
    compressed = []
    for rank in settings.ranks:
        progress.step(f"compressing china.jpg at rank {rank}")
        compressed.append(compress(A, singular_values, rank=rank))
    return compressed


def to_tolerance(image: Array, settings: Settings, progress: Progress) -> list[Compressed]:
    """Compress to every tolerance of the settings."""
    A = as_matrix(image)
    singular_values = np.linalg.svd(A.astype(np.float64), compute_uv=False)
    compressed = []
    for tol in settings.tolerances:
        progress.step(f"compressing flower.jpg to {tol:.0%}")
        compressed.append(compress(A, singular_values, tol=tol))
    return compressed


def describe(name: str, compressed: Sequence[Compressed]) -> str:
    """Say what each rank keeps and how far it is off."""
    lines = [f"{name}: relative error at each rank"]
    lines += [
        f"  rank {item.rank:>4}  {item.storage:6.1%} of the numbers  error {item.error:.4f}"
        f"  certified {item.certified:.4f}  best possible {item.optimal:.4f}"
        for item in compressed
    ]
    return "\n".join(lines)

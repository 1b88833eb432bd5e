# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""PCA of handwritten digits, and a Nystrom approximation of their kernel matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import randnla
from randnla.datasets import gaussian_kernel
from randnla.demo.compression import certified_error

if TYPE_CHECKING:
    from randnla.demo import Settings
    from randnla.demo.report import Progress

Array = np.ndarray[Any, np.dtype[Any]]

# About the median distance of two digits: the kernel matrix is neither the identity nor all ones.
KERNEL_WIDTH = 24.0


@dataclass(frozen=True)
class Digits:
    """What the demo finds in the digits.

    Attributes
    ----------
    scores : ndarray, shape (n, components)
        Coordinates in the principal components.
    labels : ndarray of int, shape (n,)
        The digit of each row.
    components : ndarray, shape (components, 64)
        The principal components, as 8 x 8 images.
    explained : ndarray, shape (components,)
        Fraction of the variance explained by each.
    eigenvalues, exact : ndarray
        Eigenvalues of the kernel matrix: by Nystrom, and all of them by LAPACK.
    error, certified : float
        Relative Frobenius error of the Nystrom approximation, measured and certified.
    """

    scores: Array
    labels: Array
    components: Array
    explained: Array
    eigenvalues: Array
    exact: Array
    error: float
    certified: float


def run(images: Array, labels: Array, settings: Settings, progress: Progress) -> Digits:
    """Analyze the digits."""
    progress.step("principal components of the digits")
    found = randnla.pca(images, settings.components, rng=0)
    K = gaussian_kernel(images[: settings.points], KERNEL_WIDTH)
    progress.step(f"Nystrom approximation of a {K.shape[0]} x {K.shape[1]} kernel matrix")
    approximation = randnla.nystrom(K, settings.nystrom_rank, rng=0)
    w, V = approximation
    progress.step("its exact eigenvalues, for comparison")
    return Digits(
        scores=np.asarray(found.scores),
        labels=labels,
        components=np.asarray(found.components),
        explained=np.asarray(found.explained_variance_ratio),
        eigenvalues=np.sort(np.asarray(w))[::-1],
        exact=np.linalg.eigvalsh(K)[::-1],
        error=float(np.linalg.norm(K - (V * w) @ V.T) / np.linalg.norm(K)),
        certified=certified_error(approximation),
    )


def describe(found: Digits) -> str:
    """Say how much the components and the approximation keep."""
    n = found.exact.size
    return (
        f"digits: {found.explained.size} of {found.components.shape[1]} principal components explain "
        f"{found.explained.sum():.1%} of the variance\n"
        f"  Nystrom, rank {found.eigenvalues.size} of a {n} x {n} kernel matrix: "
        f"error {found.error:.2e}, certified {found.certified:.2e}"
    )

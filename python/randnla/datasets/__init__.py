# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Where matrices come from: files, real data, kernels and graphs of points, and test matrices by formula."""

from .fashion import load_fashion_mnist
from .files import load_matrix
from .kernels import gaussian_kernel, patch_laplacian
from .matrices import (
    exponential,
    hilbert,
    kahan,
    laplace_single_layer,
    low_rank_plus_noise,
    polynomial,
    spiked,
    staircase,
    step,
    with_singular_values,
)
from .samples import image_patches, load_digits, load_image, need

__all__ = [
    "exponential",
    "gaussian_kernel",
    "hilbert",
    "image_patches",
    "kahan",
    "laplace_single_layer",
    "load_digits",
    "load_fashion_mnist",
    "load_image",
    "load_matrix",
    "low_rank_plus_noise",
    "need",
    "patch_laplacian",
    "polynomial",
    "spiked",
    "staircase",
    "step",
    "with_singular_values",
]

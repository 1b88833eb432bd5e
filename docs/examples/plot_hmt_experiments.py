# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
The experiments of Halko, Martinsson and Tropp
==============================================

Section 7 of "Finding structure with randomness" (SIAM Review, 2011) on matrices of the same kind: an integral
operator, the graph of an image's patches, and images that play the part of the faces.
"""

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse.linalg

import randnla
from randnla import datasets

BLUE, ORANGE, GREEN, RED, GREY = "#1f5fa8", "#d9680f", "#2f8f5b", "#b3263c", "#c3c9d1"

# %%
# Section 7.1: a discretized integral operator
# --------------------------------------------
# Potentials on one curve of charges on another. Its singular values fall geometrically, and so does the error
# of the simplest method, Algorithm 4.1, five to ten times above them. The estimate that costs ten more
# columns, equation (4.3), lies above the error in every run. Mixing with a trigonometric transform instead of
# a Gaussian matrix makes no difference to the error.
A = datasets.laplace_single_layer()
s = np.linalg.svd(A, compute_uv=False)
sizes = np.arange(5, 101, 5)
runs = range(10)


def basis(size, seed, **options):
    return randnla.range_finder(
        A, size, oversample=0, method="proto", norm="spectral", certificate="probe", rng=seed, **options
    )


def spread(values):
    """Median, least and largest over the runs, one row a size."""
    values = np.array(values).reshape(len(sizes), len(runs))
    return np.median(values, axis=1), values.min(axis=1), values.max(axis=1)


figure, axes = plt.subplots(figsize=(7, 4.6), layout="constrained")
axes.semilogy(sizes, np.maximum(s[sizes], 1e-17), color=GREY, lw=6, label=r"least possible, $\sigma_{l+1}$")
for name, color, style, options in (
    ("Gaussian", BLUE, "-", lambda size, seed: {}),
    ("SRFT", ORANGE, "--", lambda size, seed: {"sketch": randnla.SRFT(size, 200, rng=seed)}),
):
    found = [basis(int(size), seed, **options(int(size), seed)) for size in sizes for seed in runs]
    middle, low, high = spread([np.linalg.norm(A - r.Q @ (r.Q.T @ A), 2) for r in found])
    axes.fill_between(sizes, low, high, color=color, alpha=0.2, lw=0)
    axes.semilogy(sizes, middle, style, color=color, label=f"error of {name} samples")
    estimate = spread([r.info.error_estimate for r in found])[0]
    axes.semilogy(sizes, estimate, color=color, ls=":", label=f"certificate of {name} samples")
axes.set(xlabel="samples $l$", ylabel="spectral error", ylim=(1e-16, 10))
axes.legend(frameon=False)

# %%
# Powers of A sharpen the decay, but where they are multiplied out (Algorithm 4.3) all that is smaller than
# :math:`u^{1/(2q+1)}` of the largest singular value drowns in rounding. Orthonormalizing after every product
# (Algorithm 4.4) keeps it.
B = datasets.exponential(200, 200, ratio=10 ** (-1 / 6), rng=1)
values = 10.0 ** (-np.arange(200) / 6)
figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
sizes_of_b = np.arange(6, 85, 6)
axes.semilogy(sizes_of_b, values[sizes_of_b], color=GREY, lw=6, label=r"least possible, $\sigma_{l+1}$")
for q, color in ((1, GREEN), (2, BLUE), (3, RED)):
    for method, style in (("power", "--"), ("subspace", "-")):
        errors = []
        for size in sizes_of_b:
            (Q,) = randnla.range_finder(B, int(size), oversample=0, method=method, power_iters=q, rng=0)
            errors.append(np.linalg.norm(B - Q @ (Q.T @ B), 2))
        axes.semilogy(sizes_of_b, errors, style, color=color, label=f"{method}, $q={q}$")
axes.set(xlabel="samples $l$", ylabel="spectral error")
axes.legend(frameon=False, ncols=2)

# %%
# Section 7.2: a graph Laplacian from an image
# --------------------------------------------
# All 9 x 9 patches of a 103 x 103 part of a photograph, each joined to its seven nearest: a sparse matrix of
# side 9025 whose eigenvalues hardly decay. Without power iterations the result is useless; each one brings it
# closer.
image = datasets.load_image("flower").mean(axis=2)[150:253, 250:353]
L = datasets.patch_laplacian(image)
exact = np.sort(scipy.sparse.linalg.eigsh(L, 100, which="LA", return_eigenvectors=False))[::-1]
figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.2), width_ratios=(1, 1.9), layout="constrained")
axes[0].imshow(image, cmap="gray")
axes[0].set_axis_off()
axes[0].set_title(f"{L.shape[0]} patches", fontsize=10)
axes[1].plot(np.arange(1, 101), exact, color=GREY, lw=6, label="exact")
for q, color in zip(range(4), (ORANGE, GREEN, BLUE, RED), strict=True):
    w, _ = randnla.eigh(L, 100, oversample=0, power_iters=q, method="subspace", rng=0)
    axes[1].plot(np.arange(1, 101), w, color=color, label=f"$q={q}$")
axes[1].set(xlabel="index", ylabel="eigenvalue", ylim=(0, 1.02))
axes[1].legend(frameon=False)

# %%
# Section 7.3: eigenfaces
# -----------------------
# No faces are shipped with the packages at hand; patches of a photograph have the same slow decay. The error
# of :math:`l` samples over the least possible: without power iterations a third above it and growing, with
# two within three percent.
patches = datasets.image_patches(datasets.load_image("china"), size=16, step=3)
patches = patches - patches.mean(axis=0)
s = np.linalg.svd(patches.T @ patches, compute_uv=False) ** 0.5
tails = np.sqrt(np.cumsum(s[::-1] ** 2)[::-1])
ranks = np.array([5, 10, 20, 40, 60, 80, 100])
figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
for q, color in zip(range(4), (ORANGE, GREEN, BLUE, RED), strict=True):
    ratios = []
    for k in ranks:
        (Q,) = randnla.range_finder(patches.T, int(k), oversample=0, method="subspace", power_iters=q, rng=0)
        ratios.append(np.linalg.norm(patches - (patches @ Q) @ Q.T) / tails[k])
    axes.plot(ranks, ratios, "o-", color=color, label=f"$q={q}$")
axes.axhline(1, color=GREY, lw=3)
axes.set(xlabel="samples $l$", ylabel="Frobenius error / least possible", ylim=(0.98, None))
axes.set_title(f"{patches.shape[0]} patches of {patches.shape[1]} numbers", fontsize=10)
axes.legend(frameon=False)
plt.show()

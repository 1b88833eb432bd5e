# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
Digits: principal components and what power iterations do
=========================================================

Principal components of 1797 handwritten digits, and the spectrum of their kernel matrix, whose slow
decay shows what passes over the matrix buy.
"""

import matplotlib.pyplot as plt
import numpy as np

import randnla
from randnla.datasets import gaussian_kernel, load_digits

images, labels = load_digits()
found = randnla.pca(images, 10, rng=0)
print(f"10 of 64 components explain {found.explained_variance_ratio.sum():.1%} of the variance")

# %%
# Two of them already separate several digits.
figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
points = axes.scatter(*found.scores[:, :2].T, c=labels, cmap="tab10", vmin=-0.5, vmax=9.5, s=8, alpha=0.6)
figure.colorbar(points, ticks=range(10), label="digit")
axes.set(xlabel="first component", ylabel="second component")

# %%
# A Gaussian kernel turns the digits into a 1797 x 1797 matrix whose eigenvalues decay slowly. Without power
# iterations the trailing eigenvalues come out too small, since the sketch mixes what lies beyond the rank
# into the basis; each iteration reads the matrix twice more and raises the leading part against the rest.
K = gaussian_kernel(images, 24.0)
rank = 60
exact = np.linalg.eigvalsh(K)[::-1]
index = np.arange(1, rank + 1)
best = np.linalg.norm(exact[rank:]) / np.linalg.norm(exact)
figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
axes.semilogy(index, exact[:rank], color="#d8dce1", lw=7, label="exact")
for q, color in ((0, "#d9680f"), (1, "#2f8f5b"), (2, "#1f5fa8")):
    U, s, Vh = randnla.svd(K, rank, power_iters=q, oversample=5, method="subspace", rng=0)
    error = np.linalg.norm(K - (U * s) @ Vh) / np.linalg.norm(K)
    axes.semilogy(index, s, color=color, label=f"{q} power iterations: error {error / best:.3f} x best")
axes.set(xlabel="index", ylabel="eigenvalue")
axes.legend(frameon=False)
plt.show()

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
Compress an image, and know the error
=====================================

A photograph is a matrix once its color channels are laid side by side. A truncated SVD keeps ``rank``
columns and rows of numbers, and the certificate says how far off that is without forming the difference.
"""

import matplotlib.pyplot as plt
import numpy as np

import randnla
from randnla.datasets import load_image

image = load_image("china")
height, width, channels = image.shape
A = image.transpose(0, 2, 1).reshape(height, -1)

# %%
# Five ranks, five calls. ``info.error_relative`` is the certificate; the true error needs the whole product,
# which is fine for an image and out of the question for a matrix that does not fit into memory.
ranks = [5, 15, 40, 80, 160]
results = [randnla.svd(A, rank, rng=0) for rank in ranks]
approximations = [(U * s) @ Vh for U, s, Vh in results]
true = np.array([np.linalg.norm(A - B) / np.linalg.norm(A) for B in approximations])
certified = np.array([result.info.error_relative for result in results])
for rank, error, bound in zip(ranks, true, certified, strict=True):
    print(f"rank {rank:3d}: error {error:.4f}, certified {bound:.4f}")

# %%
figure, cells = plt.subplots(2, 3, figsize=(10, 5), layout="constrained")
shown = [("original", image)]
shown += [
    (f"rank {rank}", B.reshape(height, channels, width).transpose(0, 2, 1).clip(0, 1))
    for rank, B in zip(ranks, approximations, strict=True)
]
for axes, (title, picture) in zip(cells.flat, shown, strict=True):
    axes.imshow(picture)
    axes.set_title(title)
    axes.axis("off")

# %%
# The certificate follows the truth, and the truth the best that the rank allows.
exact = np.linalg.svd(A, compute_uv=False)
best = [np.sqrt(np.sum(exact[rank:] ** 2)) / np.linalg.norm(exact) for rank in ranks]
figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
axes.loglog(ranks, best, color="#d8dce1", lw=7, label="best possible")
axes.loglog(ranks, true, color="#1f5fa8", marker="o", label="true error")
axes.loglog(ranks, certified, color="#d9680f", ls="none", marker="D", mfc="none", label="certified")
axes.set_xticks(ranks, [str(rank) for rank in ranks])
axes.minorticks_off()
axes.set(xlabel="rank", ylabel="relative Frobenius error")
axes.legend(frameon=False)
plt.show()

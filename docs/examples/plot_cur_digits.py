# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
Digits and pixels that stand for all others
===========================================

Singular vectors mix every digit with every other. CUR decompositions rebuild a matrix from some of its own
rows and columns instead: here from a few real digits and from the brightness of a few pixels.
"""

import matplotlib.pyplot as plt
import numpy as np

import randnla
from randnla.datasets import load_digits

BLUE, ORANGE, GREEN, RED = "#1f5fa8", "#d9680f", "#2f8f5b", "#b3263c"
images, labels = load_digits()
found = randnla.cur(images, 20, rng=0)
print(f"20 of {len(images)} digits and 20 of 64 pixels: error {found.info.error_relative:.3f}")

# %%
# The rows are digits of the data set, the most telling first. The singular vectors of the same data are the
# mean of all digits, roughly, and then patterns of both signs that are no digits.
Vh = randnla.svd(images, 10, rng=0).Vh
figure, cells = plt.subplots(3, 10, figsize=(10, 3.3), layout="constrained")
for axes, digit, index in zip(cells[:2].flat, found.R, found.rows, strict=True):
    axes.imshow(digit.reshape(8, 8), cmap="gray_r")
    axes.set_title(f"a {labels[index]}", fontsize=9)
for axes, v in zip(cells[2], Vh, strict=True):
    axes.imshow(v.reshape(8, 8), cmap="RdBu", vmin=-0.4, vmax=0.4)
for axes in cells.flat:
    axes.set(xticks=[], yticks=[])
cells[2, 0].set_ylabel("singular\nvectors", fontsize=9)

# %%
# The columns are pixels, numbered in the order in which they were chosen. Pixels at the margin, which are
# always white, tell nothing.
figure, axes = plt.subplots(figsize=(4, 4), layout="constrained")
axes.imshow(images.mean(axis=0).reshape(8, 8), cmap="gray_r", alpha=0.35)
for order, column in enumerate(found.columns):
    axes.text(column % 8, column // 8, str(order + 1), ha="center", va="center", color=RED)
axes.set(xticks=[], yticks=[], title="20 pixels on the mean of all digits")

# %%
# What it costs to be readable: the error beside that of the SVD, the least possible.
# Pixels alone (`interpolative`) lie between the two; power iterations take pixels that serve the leading
# directions.
ranks = np.arange(5, 46, 5)
size = np.linalg.norm(images)
curves = {"svd": [], "interpolative": [], "cur": []}
for rank in ranks:
    U, s, Vh = randnla.svd(images, rank, rng=0)
    curves["svd"].append((U * s) @ Vh)
    J, X = randnla.interpolative(images, rank, power_iters=1, coefficients="projection", rng=0)
    curves["interpolative"].append(images[:, J] @ X)
    C, core, R, *_ = randnla.cur(images, rank, power_iters=1, rng=0)
    curves["cur"].append(C @ core @ R)
figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for (name, products), color in zip(curves.items(), (BLUE, GREEN, ORANGE), strict=True):
    errors = [np.linalg.norm(images - B) / size for B in products]
    axes.semilogy(ranks, errors, color=color, marker="o", label=name)
axes.set_yticks([0.05, 0.1, 0.2, 0.4], ["0.05", "0.1", "0.2", "0.4"])
axes.minorticks_off()
axes.set(xlabel="rank", ylabel="relative Frobenius error")
axes.legend(frameon=False)
plt.show()

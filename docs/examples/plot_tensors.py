# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
Digits as a tensor
==================

Images as slices of a tensor: components that are one pattern of rows times one of columns each, beside
principal components that are any image. Then how the iterations converge, and components of a covariance.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import randnla
from randnla import tensor

images = load_digits().images / 16
print(images.shape)
mean = images.mean(axis=0)
T = images - mean
size = np.linalg.norm(T)
ranks = (2, 4, 8, 12, 16)
cp = [tensor.cp(T, r, method="als", init="random", max_iters=1000, tol=1e-2, rng=0) for r in ranks]
tucker = [tensor.hosvd(T, (min(r, 64), min(r, 8), min(r, 8)), rng=0) for r in ranks]
pca = [randnla.svd(T.reshape(len(T), 64), r, rng=0) for r in ranks]
figure, axes = plt.subplots(figsize=(5.5, 3.8), layout="constrained")
stored = (
    [r * (8 + 8) for r in ranks],
    [min(r, 8) * 16 + r * min(r, 8) ** 2 for r in ranks],
    [64 * r for r in ranks],
)
for name, results, numbers, color in zip(
    ("CP", "Tucker", "principal components"),
    (cp, tucker, pca),
    stored,
    ("#1f5fa8", "#d9680f", "#8a8f98"),
    strict=True,
):
    errors = [result.info.error_estimate / size for result in results]
    axes.plot(numbers, errors, "o-", color=color, label=name)
    for r, x, y in zip(ranks, numbers, errors, strict=True):
        axes.annotate(f" {r}", (x, y), fontsize=8)
axes.set(xscale="log", xlabel="numbers that describe the patterns", ylabel="relative error", title="by rank")
axes.legend(frameon=False)

# %%
# The patterns: those of CP are outer products of two vectors, whatever the sign.
figure, axes = plt.subplots(2, 8, figsize=(9, 2.6), layout="constrained")
_, rows, columns = cp[2].factors
for j in range(8):
    for ax, pattern in zip(
        axes[:, j], (np.outer(rows[:, j], columns[:, j]), pca[2].Vh[j].reshape(8, 8)), strict=True
    ):
        top = np.abs(pattern).max()
        ax.imshow(pattern, cmap="coolwarm", vmin=-top, vmax=top)
        ax.set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("CP")
axes[1, 0].set_ylabel("PCA")

# %%
# Concurrent orthogonalization against alternating least squares, on components that are known: errors of two
# modes multiply, so that digits double with each sweep, where least squares gains as many each time.
rng = np.random.default_rng(1)
truth = [rng.standard_normal((30, 4)) for _ in range(3)]
known = np.einsum("ir,jr,kr->ijk", *truth)
figure, axes = plt.subplots(figsize=(5, 3.6), layout="constrained")
for name, color in (("ico", "#1f5fa8"), ("als", "#8a8f98")):
    function, errors = getattr(tensor, name), []
    start = tensor.cpca(known, 4, rng=0).factors
    for _ in range(12):
        errors.append(tensor.match_components(start, truth)[1].max())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", randnla.ConvergenceWarning)
            start = function(known, 4, init=start, max_iters=1, rng=0).factors
    axes.semilogy(errors, "o-", color=color, label=name)
axes.set(xlabel="sweep", ylabel="largest sine to a component")
axes.legend(frameon=False)

# %%
# Random matrices that are sums of four rank-one ones with scores of equal variance, and noise: their
# covariance is a tensor of order 4. Principal components are an arbitrary rotation of the four, and cut to
# rank one some are found twice; those of the tensor are not. Dotted: one over the root of the samples.
truth = [np.linalg.qr(rng.standard_normal((d, 4)))[0] for d in (12, 9)]
counts, errors = (100, 300, 1000, 3000, 10000), {"components": [], "principal components": []}
for n in counts:
    X = np.einsum("nr,ir,jr->nij", rng.standard_normal((n, 4)), *truth)
    X += 0.1 * rng.standard_normal(X.shape)
    found = tensor.cp_covariance(X, 4, rng=0).factors
    errors["components"].append(tensor.match_components(found, truth)[1].max())
    U, _, Vh = np.linalg.svd(randnla.svd(X.reshape(n, -1), 4, rng=0).Vh.reshape(4, 12, 9))
    cut = [U[:, :, 0].T, Vh[:, 0].T]
    errors["principal components"].append(tensor.match_components(cut, truth)[1].max())
figure, axes = plt.subplots(figsize=(5, 3.6), layout="constrained")
for (name, row), color in zip(errors.items(), ("#1f5fa8", "#8a8f98"), strict=True):
    axes.loglog(counts, row, "o-", color=color, label=name)
axes.loglog(counts, errors["components"][0] * np.sqrt(100 / np.array(counts)), ":", color="#8a8f98")
axes.set(xlabel="samples", ylabel="largest sine to a component")
axes.legend(frameon=False)
plt.show()

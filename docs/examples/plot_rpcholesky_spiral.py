# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
A spiral: where random pivots go
================================

The kernel matrix of a spiral whose points lie ever farther apart. Uniform sampling returns to the dense core
again and again, greedy pivoting takes one point of the sparse arms after the other. Randomly pivoted Cholesky
draws pivots in proportion to what is still unexplained: of the three it comes closest to the best
approximation of rank 100.
"""

import matplotlib.pyplot as plt
import numpy as np

import randnla

t = np.linspace(0, 64, 1000)
X = np.exp(0.2 * t)[:, None] * np.c_[np.cos(t), np.sin(t)]
K = randnla.KernelMatrix(X, kernel="gaussian", bandwidth=1000.0)
rank = 100
found = randnla.rpcholesky(K, rank, rng=0)
print(f"rank {rank}: {found.info.error_relative:.1%} of the trace is left, known exactly")
print(f"{found.info.entries} entries read of {K.shape[0] ** 2}, {found.info.iterations} rounds")

# %%
# The rivals, by hand: the largest residual at each step, and pivots at random.
A = K.to_dense()


def cholesky(choose):
    """Relative trace error after each column, and the pivots."""
    rest, F, errors, pivots = np.ones(len(A)), np.zeros((len(A), rank)), [1.0], []
    for j in range(rank):
        s = choose(rest)
        F[:, j] = (A[:, s] - F[:, :j] @ F[s, :j]) / np.sqrt(rest[s])
        rest = np.maximum(rest - F[:, j] ** 2, 0)
        rest[s] = 0
        errors.append(rest.sum() / len(A))
        pivots.append(s)
    return errors, pivots


rng = np.random.default_rng(0)
greedy, greedy_pivots = cholesky(np.argmax)
uniform, uniform_pivots = cholesky(lambda rest: rng.choice(np.flatnonzero(rest > 1e-10)))
best = 1 - np.r_[0, np.cumsum(np.linalg.eigvalsh(A)[::-1][:rank])] / len(A)
left = 1 - np.r_[0, np.cumsum((found.F**2).sum(axis=0))] / len(A)

# %%
# Distances from the center are drawn on a logarithmic scale, for the arms to show beside the core.
colors = {"random pivots": "#1f5fa8", "greedy": "#d9680f", "uniform": "#2f8f5b"}
chosen = dict(zip(colors, (found.pivots, greedy_pivots, uniform_pivots), strict=True))
figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
for axis, (name, pivots) in zip(axes, chosen.items(), strict=True):
    axis.plot(t * np.cos(t), t * np.sin(t), ".", color="#d8dce1", ms=3)
    axis.plot(t[pivots] * np.cos(t[pivots]), t[pivots] * np.sin(t[pivots]), "o", color=colors[name], ms=4)
    axis.set(title=name, aspect="equal", xticks=[], yticks=[])
    axis.spines[:].set_visible(False)

# %%
# The error against the rank.
figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
axes.plot(best, color="#8a929b", lw=4, alpha=0.5, label="best of each rank")
for name, errors in zip(colors, (left, greedy, uniform), strict=True):
    axes.plot(errors, color=colors[name], label=name)
axes.set(xlabel="rank", ylabel="share of the trace left", yscale="log", xlim=(0, rank))
axes.set_yticks([0.2, 0.3, 0.5, 1.0], ["20 %", "30 %", "50 %", "100 %"])
axes.yaxis.set_minor_locator(plt.NullLocator())
axes.legend(frameon=False)
plt.show()

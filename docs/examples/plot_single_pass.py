# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
One pass, four ways, equal memory
=================================

A matrix that can be read only once is decomposed from sketches. Four ways to do so are compared at equal
memory, and the certificate that each carries with it is set beside the truth.
"""

import matplotlib.pyplot as plt
import numpy as np

import randnla
from randnla.datasets import polynomial, with_singular_values

n, rank = 400, 10
index = np.arange(n)
matrices = {
    "low rank and noise": with_singular_values(
        np.where(index < rank, 1.0, 0.01 * np.sqrt(1 - index / n)), n, n, rng=0
    ),
    "sigma = 1 / j": polynomial(n, n, power=1.0, rng=0),
}
colors = {"tyuc17": "#1f5fa8", "sketchy": "#2f8f5b", "generalized_nystrom": "#d9680f", "hmt": "#8a8f98"}


def columns(method: str, memory: float) -> int:
    """Columns l of the range sketch for so many numbers per row and column of the matrix."""
    if method == "sketchy":  # 2 l n + (2 l)^2 = 2 n memory
        return int((np.sqrt(n * n + 8 * n * memory) - n) / 4)
    return int(2 * memory / {"tyuc17": 3.0, "generalized_nystrom": 2.5, "hmt": 2.0}[method])


# %%
# The error over the best one of rank 10, the median of eleven seeds.
budgets = np.array([18, 24, 36, 54, 80])
figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained", sharey=True)
for axes, (title, A) in zip(panels, matrices.items(), strict=True):
    best = np.linalg.norm(np.linalg.svd(A, compute_uv=False)[rank:])
    for method, color in colors.items():
        medians = []
        for memory in budgets:
            errors = []
            for seed in range(11):
                stream = randnla.StreamingSVD(
                    A.shape, rank, method=method, oversample=max(0, columns(method, memory) - rank), rng=seed
                )
                stream.update(A)
                errors.append(np.linalg.norm(A - stream.result().to_dense()) / best)
            medians.append(np.median(errors))
        axes.loglog(budgets, medians, color=color, marker="o", label=method)
    axes.axhline(1.0, color="#d8dce1", lw=7, zorder=0)
    axes.set_xticks(budgets, [str(memory) for memory in budgets])
    axes.minorticks_off()
    axes.set(xlabel="numbers kept per row and column", title=title)
panels[0].set(
    ylabel="error over the best of rank 10", yticks=[1, 2, 5, 10, 20], yticklabels=[1, 2, 5, 10, 20]
)
panels[0].legend(frameon=False)

# %%
# What the stream knows of its own error while the matrix goes by, a tenth of the rows at a time.
A = matrices["sigma = 1 / j"]
stream = randnla.StreamingSVD(A.shape, rank, rng=0)
seen, estimates, spreads, bounds, truths = np.arange(40, n + 1, 40), [], [], [], []
for stop in seen:
    stream.update(A[stop - 40 : stop], rows=slice(stop - 40, stop))
    estimate = stream.error_estimate(failure_probability=0.01)
    estimates.append(estimate.value)
    spreads.append(estimate.std_error)
    bounds.append(estimate.info.error_estimate)
    truths.append(np.linalg.norm(A * (index < stop)[:, None] - stream.result().to_dense()))
figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
axes.plot(seen, truths, color="#d8dce1", lw=7, label="true error")
axes.errorbar(seen, estimates, spreads, color="#1f5fa8", marker="o", capsize=3, label="estimate")
axes.plot(seen, bounds, color="#d9680f", ls="none", marker="D", mfc="none", label="bound, fails 1 %")
axes.set(xlabel="rows seen", ylabel="Frobenius error", ylim=(0, None))
axes.legend(frameon=False)
plt.show()

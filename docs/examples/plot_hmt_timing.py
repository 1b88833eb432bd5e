# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
What a truncated SVD costs
==========================

After section 7.4 of Halko, Martinsson and Tropp (SIAM Review, 2011): the time of a full SVD over that of
a randomized one with Gaussian samples and with a subsampled trigonometric transform, for square matrices.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

import randnla

# %%
# The fast transform, here a Hadamard transform with signs and sampling in one pass, gains on the Gaussian
# samples as their number grows; what both share, the second product and the small factorizations, limits it.
sizes, ranks = (512, 1024, 2048), (10, 20, 50, 100, 200, 400)


def seconds(call, repeats=3):
    """The best of a few runs."""
    best = np.inf
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - begin)
    return best


figure, axes = plt.subplots(figsize=(7, 4.4), layout="constrained")
for n, color in zip(sizes, ("#2f8f5b", "#d9680f", "#1f5fa8"), strict=True):
    A = np.random.default_rng(n).standard_normal((n, n))
    full = seconds(lambda A=A: np.linalg.svd(A, full_matrices=False), repeats=1)
    for sketch, style in (("gaussian", "o-"), ("srht", "s--")):
        gains = []
        for k in ranks:
            options = {"oversample": 0, "power_iters": 0, "method": "proto", "sketch": sketch}
            gains.append(full / seconds(lambda A=A, k=k, o=options: randnla.svd(A, k, rng=0, **o)))
        axes.loglog(ranks, gains, style, color=color, label=f"$n={n}$, {sketch}")
axes.axhline(1, color="#c3c9d1", lw=3)
axes.set(xlabel="samples $l$", ylabel="time of the full SVD / ours")
axes.set_xticks(ranks, ranks)
axes.legend(frameon=False, ncols=2)
plt.show()

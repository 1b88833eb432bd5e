# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
A trace, a determinant and a spectrum from products
===================================================

Four trace estimators on four spectra at equal products, and the spectrum of a graph from forty products with
sixteen vectors.
"""

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse

import randnla

n = 1000
i = np.arange(n)
spectra = {
    "flat": 3 - 2 * i / (n - 1),
    "1 / i²": (i + 1.0) ** -2,
    "0.7^i": 0.7**i,
    "step at 50": np.where(i < 50, 1.0, 1e-3),
}
colors = {"hutchinson": "#8a8f98", "hutchpp": "#2f8f5b", "xtrace": "#1f5fa8", "xnystrace": "#d9680f"}
Q = np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0]

# %%
# The median error of seven seeds, relative to the trace.
budgets = np.array([12, 24, 48, 96, 192])
figure, panels = plt.subplots(1, 4, figsize=(13, 3.6), layout="constrained")
for axes, (title, d) in zip(panels, spectra.items(), strict=True):
    A = (Q * d) @ Q.T
    A = (A + A.T) / 2
    for method, color in colors.items():
        errors = [
            np.median(
                [abs(randnla.trace(A, int(s), method=method, rng=k).value / d.sum() - 1) for k in range(7)]
            )
            for s in budgets
        ]
        axes.loglog(budgets, errors, color=color, marker="o", label=method)
    axes.set_xticks(budgets, [str(s) for s in budgets])
    axes.minorticks_off()
    axes.set(xlabel="products", title=title)
panels[0].set_ylabel("relative error")
panels[0].legend(frameon=False)

# %%
# The eigenvalues of a grid's Laplacian: two estimates of their density over the histogram of all of them.
side = scipy.sparse.diags_array([-np.ones(39), 2 * np.ones(40), -np.ones(39)], offsets=[-1, 0, 1])
L = scipy.sparse.kronsum(side, side).tocsr()
figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
axes.hist(np.linalg.eigvalsh(L.toarray()), 60, density=True, color="#d8dce1", label="all eigenvalues")
for method, color in (("slq", "#1f5fa8"), ("kpm", "#d9680f")):
    seen = randnla.spectral_density(L, 300, method=method, degree=40, rng=0)
    axes.plot(seen.points, seen.density, color=color, label=f"{method}, {seen.info.matvecs} products")
axes.set(xlabel="eigenvalue", ylabel="density")
axes.legend(frameon=False)
plt.show()

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
Equations on a surface known by points
======================================

A torus, given as points without a grid: its smoothest functions, a diffusion equation on it, and what ghost
points do for an arc that ends.
"""

import matplotlib.pyplot as plt
import numpy as np

from randnla.manifold import Boundary, diffusion_map, solve_elliptic

t, p = (x.ravel() for x in np.meshgrid(*[2 * np.pi * np.arange(40) / 40] * 2, indexing="ij"))
X = np.c_[(2 + np.cos(t)) * np.cos(p), (2 + np.cos(t)) * np.sin(p), np.sin(t)]
modes = diffusion_map(X, 6, rng=0)
print("eigenvalues", modes.w.round(3))
figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), subplot_kw={"projection": "3d"}, layout="constrained")
for ax, k in zip(axes, (1, 3, 5), strict=True):
    ax.scatter(*X.T, c=modes.V[:, k], cmap="coolwarm", s=6)
    ax.set(title=f"w = {modes.w[k]:.2f}", box_aspect=(3, 3, 1))
    ax.set_axis_off()

# %%
# A source at one place and a sink at another: :math:`-\Delta u = f` with mean zero, by sums of random Fourier
# features, which are functions everywhere.
f = np.exp(-3 * ((X - X[0]) ** 2).sum(axis=1)) - np.exp(-3 * ((X - X[820]) ** 2).sum(axis=1))
found = solve_elliptic(X, f, method="features", rng=0)
print(found.info)
T, P = np.meshgrid(*[np.linspace(0, 2 * np.pi, 120)] * 2, indexing="ij")
surface = np.stack([(2 + np.cos(T)) * np.cos(P), (2 + np.cos(T)) * np.sin(P), np.sin(T)], axis=-1)
u = found.evaluate(surface.reshape(-1, 3)).reshape(T.shape)
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
image = axes.pcolormesh(P, T, u, cmap="coolwarm", shading="gouraud")
axes.set(xlabel="around the axis", ylabel="around the tube")
figure.colorbar(image)

# %%
# Half a circle, with u known at both ends. Kernels cut off there make errors of the order of the square root
# of the bandwidth; with ghost points beyond the ends these are gone.
counts, errors = (50, 100, 200, 400, 800), {0: [], 16: []}
for n in counts:
    s = np.linspace(0, np.pi, n)
    exact = np.sin(2 * s + 0.4) + s
    for ghosts, row in errors.items():
        edge = Boundary([0, n - 1], exact[[0, -1]], ghosts=ghosts)
        arc = solve_elliptic(
            np.c_[np.cos(s), np.sin(s)],
            5 * np.sin(2 * s + 0.4) + s,
            a=1.0,
            boundary=edge,
            neighbors=int(3 * n**0.5),
        )
        row.append(np.abs(arc.u - exact).max())
figure, axes = plt.subplots(figsize=(5, 3.6), layout="constrained")
axes.loglog(counts, errors[0], "o:", color="#8a8f98", label="no ghost points")
axes.loglog(counts, errors[16], "o-", color="#1f5fa8", label="16 at each end")
axes.set(xlabel="points", ylabel="largest error")
axes.set_xticks(counts, [str(n) for n in counts])
axes.set_xticks([], minor=True)
axes.legend(frameon=False)
plt.show()

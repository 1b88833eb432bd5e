# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
Systems with kernels: steps against rank
========================================

Kernel ridge regression without the kernel matrix: what a randomized preconditioner of each rank saves, and
what GMRES loses by looking at a sketch.
"""

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse
import scipy.sparse.linalg

import randnla
from randnla.solvers import nystrom_preconditioner, rpcholesky_preconditioner

n, alpha = 1500, 1e-2
X = np.random.default_rng(0).standard_normal((n, 2))
K = randnla.KernelMatrix(X, bandwidth=1.0)
b = np.sin(2 * X[:, 0]) * X[:, 1]
w = np.linalg.eigvalsh(K.to_dense()).clip(0)
dimension = int(np.ceil((w / (w + alpha)).sum()))
print(f"effective dimension {dimension}")

# %%
# The residual after each step: none, and Nystrom and Cholesky of once and twice the effective dimension.
runs = {"no preconditioner": (None, "#8a8f98")}
for times, style in ((1, "#9db8d9"), (2, "#1f5fa8")):
    runs[f"Nystrom, rank {times} d"] = (
        nystrom_preconditioner(K, times * dimension, shift=alpha, rng=0),
        style,
    )
for times, style in ((1, "#efb98d"), (2, "#d9680f")):
    runs[f"Cholesky, rank {times} d"] = (
        rpcholesky_preconditioner(K, times * dimension, shift=alpha, rng=0),
        style,
    )
figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for name, (M, color) in runs.items():
    residuals = [1.0]
    found = randnla.solve(
        K, b, shift=alpha, preconditioner=M, callback=lambda state, r=residuals: r.append(state["residual"])
    )
    print(f"{name}: {found.info.iterations} steps, condition {found.info.condition:.3g}")
    axes.semilogy(residuals, color=color, label=name)
axes.set(xlabel="step", ylabel="relative residual", xlim=(0, 120))
axes.legend(frameon=False)

# %%
# Convection and diffusion on a grid: sketched GMRES stays within the distortion of the sketch, and the basis
# by truncated orthogonalization loses its condition, so that cycles end early.
off = np.ones(39)
line = scipy.sparse.diags_array([-1.2 * off, 2 * np.ones(40), -0.8 * off], offsets=[-1, 0, 1])
A, rhs = scipy.sparse.kronsum(line, line).tocsr(), np.ones(1600)
history = []
scipy.sparse.linalg.gmres(A, rhs, rtol=1e-8, restart=200, callback=history.append, callback_type="pr_norm")
figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
axes.semilogy(history, color="#8a929b", lw=4, alpha=0.5, label="GMRES")
for method, color in (("rgs", "#1f5fa8"), ("truncated", "#d9680f")):
    seen = []
    found = randnla.gmres(
        A, rhs, method=method, restart=200, rng=0, callback=lambda state, s=seen: s.append(state["residual"])
    )
    axes.semilogy(seen, color=color, label=f"{method}, {found.info.path}")
axes.set(xlabel="step", ylabel="relative residual, as the sketch sees it")
axes.legend(frameon=False)
plt.show()

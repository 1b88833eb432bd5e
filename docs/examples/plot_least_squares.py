# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
Least squares: condition, residual and backward error
=====================================================

Backward errors of six methods on a grid of conditions and residuals, over that of Householder QR.
Sketch-and-precondition and iterative sketching lose digits where both are large; refinement keeps them.
"""

import matplotlib.pyplot as plt
import numpy as np

import randnla

m, n = 1000, 30
conditions, residuals = 10.0 ** np.arange(2, 15, 3), 10.0 ** np.arange(-12, -2, 3)
methods = ("cholesky_qr", "spir", "fossils", "precondition", "iterative", "sketch_and_solve")


def problem(condition, residual):
    """A, b and the singular values and right singular vectors of A."""
    rng = np.random.default_rng(0)
    U = np.linalg.qr(rng.standard_normal((m, n + 1)))[0]
    V = np.linalg.qr(rng.standard_normal((n, n)))[0]
    s = np.logspace(0, -np.log10(condition), n)
    A = (U[:, :n] * s) @ V.T
    x = rng.standard_normal(n)
    return A, A @ (x / np.linalg.norm(x)) + residual * U[:, n], s, V


def backward_error(A, b, s, V, x):
    """The estimate of Karlson and Walden, the residual in extended precision."""
    wide = np.longdouble
    r = b.astype(wide) - A.astype(wide) @ x.astype(wide)
    g = (A.T.astype(wide) @ r).astype(float)
    return np.linalg.norm((V.T @ g) / np.hypot(s * np.linalg.norm(x), np.linalg.norm(r.astype(float))))


# %%
# One cell a problem: the power of ten by which a method's backward error exceeds that of Householder QR.
grid = np.zeros((len(methods), len(residuals), len(conditions)))
for i, residual in enumerate(residuals):
    for j, condition in enumerate(conditions):
        A, b, s, V = problem(condition, residual)
        Q, R = np.linalg.qr(A)
        reference = max(backward_error(A, b, s, V, np.linalg.solve(R, Q.T @ b)), 1e-16)
        for k, method in enumerate(methods):
            x = randnla.lstsq(A, b, method=method, rng=0).x
            grid[k, i, j] = np.log10(max(backward_error(A, b, s, V, x) / reference, 1e-2))

figure, panels = plt.subplots(2, 3, figsize=(11, 6.4), sharex=True, sharey=True, layout="constrained")
for axes, method, cells in zip(panels.flat, methods, grid, strict=True):
    image = axes.imshow(cells, cmap="RdBu_r", vmin=-6, vmax=6, origin="lower", aspect="auto")
    for (i, j), value in np.ndenumerate(cells):
        axes.text(
            j,
            i,
            f"{value:.0f}",
            ha="center",
            va="center",
            color="white" if abs(value) > 3.5 else "#22252a",
            fontsize=8,
        )
    axes.set_title(method)
    axes.set_xticks(range(len(conditions)), [f"1e{np.log10(c):.0f}" for c in conditions])
    axes.set_yticks(range(len(residuals)), [f"1e{np.log10(r):.0f}" for r in residuals])
figure.supxlabel("condition")
figure.supylabel("residual")
figure.colorbar(image, ax=panels, label="digits lost to Householder QR")
plt.show()

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
Bures distance and whitening under low-rank change
==================================================

Two thousand sensors with noise of their own share a few common signals, and the mix of signals drifts. Two
questions are asked all the time: how far has the distribution moved, in the distance of Bures (that of
Wasserstein between Gaussians), and what whitens the present data? Both need square roots of covariances,
which nobody forms: each is a known root plus low rank.
"""

import matplotlib.pyplot as plt
import numpy as np

import randnla

rng = np.random.default_rng(0)
n, r, times = 2000, 3, 10
noise = rng.uniform(0.5, 8.0, n)
start, end = (rng.standard_normal((n, r)) * [0.6, 0.4, 0.2] for _ in range(2))
angles = np.linspace(0, np.pi / 2, times)
signals = [np.cos(t) * start + np.sin(t) * end for t in angles]

base = randnla.Diagonal(np.sqrt(noise))
first = randnla.sqrt_update(base, signals[0])
print(first.info)

# %%
# The distance of two covariances A and B is
# :math:`d^2 = \operatorname{tr} A + \operatorname{tr} B - 2 \operatorname{tr} (A^{1/2} B A^{1/2})^{1/2}`. For
# :math:`A = D + Z_0 Z_0^T` and :math:`B = D + Z Z^T` the matrix of the last term is
# :math:`A^2 + A^{1/2} Z Z^T A^{1/2} - A^{1/2} Z_0 Z_0^T A^{1/2}`: a matrix with the known root A, of which
# two updates make the one we want. Its trace is that of A plus the weights of the update.
A = randnla.DiagonalPlusLowRank(noise, signals[0])


def bures(Z):
    """Distance of D + Z Z^T to A."""
    grown = randnla.sqrt_update(A, first @ Z, tol=1e-11)
    cross = randnla.sqrt_update(grown, first @ signals[0], sign=-1)
    return np.sqrt(max(np.sum(Z**2) - np.sum(signals[0] ** 2) - 2 * cross.weights.sum(), 0.0))


def difference(one, other):
    """Frobenius norm of the difference of two updates of one root: an upper bound of the distance."""
    R = np.linalg.qr(np.concatenate([one.Y, other.Y], axis=1), mode="r")
    return np.linalg.norm((R * np.concatenate([one.weights, -other.weights])) @ R.T)


roots = [randnla.sqrt_update(base, Z) for Z in signals]
moved = [bures(Z) for Z in signals]
bound = [difference(first, root) for root in roots]
worst = max(root.info.residual for root in roots)
print(f"ranks {[root.rank for root in roots]}, worst residual {worst:.1e}")

# %%
# Whitened with the root of the past, data keep variance in the directions of the present signals; with the
# updated root all eigenvalues of their covariance are one.


def leftover(whitener, Z):
    """Largest eigenvalue of W (D + Z Z^T) W by power iteration."""
    x = whitener @ Z.sum(axis=1)
    for _ in range(30):
        y = whitener @ (x / np.linalg.norm(x))
        x = whitener @ (noise * y + Z @ (Z.T @ y))
    return np.linalg.norm(x)


whiteners = [randnla.sqrt_update(randnla.Diagonal(1 / np.sqrt(noise)), Z, inverse=True) for Z in signals]
stale = [leftover(whiteners[0], Z) for Z in signals]
fresh = [leftover(W, Z) for W, Z in zip(whiteners, signals, strict=True)]

# %%
# On the right, the singular values of the change of the root below the bound of theory, from which the work
# is planned, and the rank at which the certificate was met.
blue, orange, green, gray = "#1f5fa8", "#d9680f", "#2f8f5b", "#8a929b"
figure, axes = plt.subplots(1, 3, figsize=(11, 3.7), layout="constrained")
degrees = np.degrees(angles)
axes[0].plot(degrees, bound, color=gray, lw=4, alpha=0.6, label="difference of roots")
axes[0].plot(degrees, moved, "o-", color=blue, ms=4, label="Bures distance")
axes[0].set(
    xlabel="drift of the signals, degrees", ylabel="distance", title="how far it moved", ylim=(0, None)
)
axes[1].semilogy(degrees, stale, "o-", color=orange, ms=4, label="root of the past")
axes[1].semilogy(degrees, fresh, "o-", color=green, ms=4, label="updated root")
axes[1].set(xlabel="drift of the signals, degrees", ylabel="largest variance", title="whitened data")
tight = randnla.sqrt_update(base, signals[0], tol=1e-12)
low, high = np.sqrt(noise.min()), np.sqrt(noise.max() + np.linalg.norm(signals[0], 2) ** 2)
index = np.arange(tight.rank)
theory = 4 * np.exp(-(index // r) * np.pi**2 / np.log(4 * high / low))
axes[2].semilogy(index + 1, theory, color=gray, lw=4, alpha=0.6, label="bound")
axes[2].semilogy(index + 1, tight.weights / tight.weights[0], ".-", color=blue, label="change of the root")
axes[2].axvline(first.rank, color=orange, lw=1, label="rank returned")
axes[2].set(xlabel="index", ylabel="singular value, relative", title="why it works")
for axis in axes:
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
plt.show()

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
How good random pivots are
==========================

The diagonal of R over the singular values, :math:`|R_{kk}| / \\sigma_k`, for LAPACK's pivoted QR and for
ours, on matrices that pivoting is judged by. Near one is good; what matters is that no value is far below the
others.
"""

import matplotlib.pyplot as plt
import numpy as np
import scipy.linalg

import randnla
from randnla import datasets

matrices = {
    "staircase": datasets.staircase(2000, 200, stairs=5, cond=1e8, rng=0),
    "spiked": datasets.spiked(2000, 200, rng=0),
    "Kahan": np.vstack([datasets.kahan(90), np.zeros((1910, 90))]),
}

# %%
# On Kahan's matrix all columns of what is left have the same norm at every step: LAPACK exchanges none and
# overrates the last singular value a thousandfold and more. A sketch sees mixtures of columns, and exchanges
# the right ones.
figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained", sharey=True)
for ax, (name, A) in zip(axes, matrices.items(), strict=True):
    s = np.linalg.svd(A, compute_uv=False)
    lapack = np.abs(np.diagonal(scipy.linalg.qr(A, mode="r", pivoting=True)[0]))
    ax.semilogy(lapack / s, color="#c3c9d1", lw=4, label="geqp3")
    for method, color in (("cqrrpt", "#2f8f5b"), ("bqrrp", "#1f5fa8")):
        R = randnla.pivoted_qr(A, method=method, rng=0).R
        ax.semilogy(np.diagonal(R) / s, color=color, lw=1, label=method)
    ax.set(title=name, xlabel="$k$")
axes[0].set_ylabel(r"$|R_{kk}| / \sigma_k$")
axes[0].legend(frameon=False)
plt.show()

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
KLD-WRM: steps in the wake of past networks
===========================================

What the exponential average of K-FAC's curvature stands for can be written down: every step is held back
by the distances to all networks before. Taken seriously this gives KLD-WRM. Its variant SO takes
differences of gradients, Q has a quadratic model of the loss beside the wake. Both are slower than K-FAC
at equal small step sizes, so these must be tuned for each; K-FAC with the shorter average of SO is there
as a control. This page does it on one small network and one seed, which decides nothing:
``experiments/kld_wrm.py`` has several seeds, the variant QE and longer runs.

Of its cells these have run: all of ``--small`` (2 seeds, 4 epochs of 2048 images), where no variant is
ahead of K-FAC; of ``--medium`` (50 epochs of 2048 images) the tuning of all methods on one seed, 8 epochs of
1024 images, 3 seeds of K-FAC, 2 of K-FAC with the shorter average, of SO and of Q, and 1 of QE. In the tuning
the least training losses are .068 for K-FAC, .070 with the shorter average, .138 for SO, .136 for Q, at the
largest step size tried, and .209 for QE. What 50 epochs come to, seed by seed:

=======================  ================  ================
method                   training loss     test accuracy
=======================  ================  ================
K-FAC                    .007  .018  .008  .832  .822  .832
K-FAC, shorter average   .027  .012        .803  .809
KLD-WRM, SO              .030  .016        .819  .815
KLD-WRM, Q               .053  .104        .804  .776
KLD-WRM, QE              .075              .808
=======================  ================  ================

That KLD-WRM were better than K-FAC is not seen on any seed; at an equal average SO is ahead in accuracy. The
other seeds of five are open.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from randnla.curvature import Exact, KLClip
from randnla.optim import KFAC
from randnla.testing import CNN, SoftmaxCrossEntropy

digits = load_digits()
x, y = digits.images.astype(np.float32)[:, None] / 16, digits.target
loss, batch, epochs, rates = SoftmaxCrossEntropy(), 128, 6, (0.003, 0.01, 0.03, 0.1, 0.3)
methods = {
    "K-FAC": ("#d9680f", {"curvature": "exact", "ema": 0.95}),
    "K-FAC, shorter average": ("#e8b88a", {"curvature": "exact", "ema": 0.33}),
    "KLD-WRM, SO": ("#1f5fa8", {"curvature": "kld_wrm", "variant": "SO", "ema": 0.33}),
    "KLD-WRM, Q": ("#2f8f5b", {"curvature": "kld_wrm", "variant": "Q", "ema": 0.5}),
}

# %%
# Damping, clip and averages are the published ones.


def losses(lr, settings):
    """Training loss after every epoch."""
    net = CNN((1, 8, 8), 10, channels=(5, 7), hidden=(30,), dtype=np.float32, rng=0)
    same = {"damping": Exact(0.01), "clip": KLClip(0.1), "stats_every": 5, "inv_every": 5, "rng": 0}
    optimizer = KFAC(net, loss=loss, lr=lr, **same, **settings)
    rng, seen = np.random.default_rng(0), []
    for _ in range(epochs):
        for rows in rng.permutation(len(x))[: len(x) // batch * batch].reshape(-1, batch):
            optimizer.train(x[rows], y[rows])
        seen.append(loss.value(net.forward(x).outputs, y))
    return seen


runs = {name: {lr: losses(lr, settings) for lr in rates} for name, (_, settings) in methods.items()}
best = {name: min(rates, key=lambda lr, found=found: found[lr][-1]) for name, found in runs.items()}
for name, lr in best.items():
    print(f"{name:24} best step size {lr}, training loss {runs[name][lr][-1]:.4f}")

# %%
# Left, the loss at the end for every step size; right, the way there with the best one.
figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
for name, (color, _) in methods.items():
    axes[0].loglog(rates, [runs[name][lr][-1] for lr in rates], "o-", ms=4, color=color, label=name)
    axes[1].semilogy(np.arange(1, epochs + 1), runs[name][best[name]], "o-", ms=4, color=color)
axes[0].set(xlabel="step size", ylabel="training loss", title=f"after {epochs} epochs")
axes[0].set_xticks(rates, rates)
axes[0].xaxis.set_minor_locator(plt.NullLocator())
axes[0].legend(frameon=False)
axes[1].set(xlabel="epoch", title="best step size of each")
for axis in axes:
    axis.spines[["top", "right"]].set_visible(False)
plt.show()

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
Exact and randomized K-FAC on Fashion-MNIST
===========================================

A network 784-512-512-10 is trained for forty steps by K-FAC with its inverses made in five ways, and by
gradient descent with momentum and Adam. Under one damping, relative to the factors, truncation leaves
the losses as they are; what differs is the time. Eigenvectors allow for a damping of the product, which
behaves differently, and take longest. ``experiments/kfac_fashion_mnist.py`` does this at length: with
tuned step sizes, several seeds and wider networks, for which the differences in time grow.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

from randnla.curvature import Exact, KLClip, Relative
from randnla.datasets import load_fashion_mnist
from randnla.optim import KFAC
from randnla.testing import MLP, SoftmaxCrossEntropy

try:
    x, y = (part[:2560] for part in load_fashion_mnist())
    print("2560 images of Fashion-MNIST")
except FileNotFoundError:
    from sklearn.datasets import load_digits

    digits = load_digits()
    x, y = digits.data.astype(np.float32)[:1792] / 16, digits.target[:1792]
    print("Fashion-MNIST is not installed: 1792 digits of scikit-learn")
loss, width, batch, epochs = SoftmaxCrossEntropy(), 512, 256, 4


def network():
    """The same weights for everyone."""
    return MLP([x.shape[1], width, width, 10], "relu", dtype=np.float32, rng=0)


# %%
# What the experiment has measured so far, on one thread, in seconds of a shared processor: of ``--small`` all
# cells (5120 images, 3 epochs, 2 seeds, step sizes of .003, .03 and .3 tuned on one seed and half of the
# images). Time to a test accuracy of .8 is that of the steps up to the end of the first epoch that has it,
# where both seeds do.
#
# ===============  =========  ========  ==========  =======  =========  ========  ==========
# method           MLP: loss  accuracy  s an epoch  s to .8  VGG: loss  accuracy  s an epoch
# ===============  =========  ========  ==========  =======  =========  ========  ==========
# K-FAC, eigen     .526       .793      1.17        none     .80        .70       1.25
# K-FAC, Cholesky  .437       .831      .76         1.6      .73        .70       1.33
# RS-KFAC          .442       .828      .47         .9       .66        .74       1.35
# SRE-KFAC         .434       .834      .48         1.0      .71        .73       1.32
# B-KFAC           .438       .833      .65         1.3      .84        .69       1.39
# momentum         .660       .732      .28         none     2.31       .10       1.10
# Adam             .450       .827      .32         .8       .81        .68       1.11
# ===============  =========  ========  ==========  =======  =========  ========  ==========
#
# The layers of the small VGG are narrower than what low rank pays for, so that its four kinds of K-FAC differ
# by noise (.09 to .26 between two seeds); gradient descent takes the largest of three step sizes there and
# stays where it began.
#
# Of ``--bars`` these have run: the parts of a step at width 2048 (535, 284 and 147 ms for eigen, Cholesky and
# RS on one thread), three seeds of these methods (training losses .558, .573 and .573), and refreshes, in
# seconds of one shared processor, with the exponent of the width between 1024 and 2048:
#
# ===============  =====  =====  =====  =====  ========
# width            512    1024   2048   4096   exponent
# ===============  =====  =====  =====  =====  ========
# K-FAC, eigen     .17    .56    3.3    open   2.6
# K-FAC, Cholesky  .07    .20    1.0    open   2.3
# RS-KFAC          .06    .09    .21    .61    1.2
# SRE-KFAC         .07    .14    .36    1.25   1.3
# ===============  =====  =====  =====  =====  ========
#
# The training of SRE-KFAC and B-KFAC at width 2048 is open, and of ``--full`` no cell has run: training at
# widths 1024 and 4096, ten epochs and five seeds.

# %%
# The rivals of K-FAC, by hand.


def adam(lr):
    """A training step of Adam."""
    net, moments, step = network(), {}, 0

    def train(x, y):
        nonlocal step
        run = net.forward(x)
        step += 1
        for name, slopes in net.backward(run, loss.slopes(run.outputs, y)).gradients.items():
            for k, (w, g) in enumerate(zip(net.parameters[name], slopes, strict=True)):
                m, v = moments.get((name, k), (0.0, 0.0))
                moments[name, k] = m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
                w -= lr * m / (1 - 0.9**step) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        return loss.value(run.outputs, y)

    return net, train


def descent(lr):
    """A training step of gradient descent with momentum 0.9."""
    net, moved = network(), {}

    def train(x, y):
        run = net.forward(x)
        for name, slopes in net.backward(run, loss.slopes(run.outputs, y)).gradients.items():
            for k, (w, g) in enumerate(zip(net.parameters[name], slopes, strict=True)):
                moved[name, k] = 0.9 * moved.get((name, k), 0.0) - lr * g
                w += moved[name, k]
        return loss.value(run.outputs, y)

    return net, train


def kfac(curvature, damping):
    """A training step of K-FAC."""
    settings = {"stats_every": 5, "inv_every": 10, "rank": 100, "clip": KLClip(0.001)}
    optimizer = KFAC(
        network(), curvature, loss=loss, damping=damping, lr=0.03, momentum=0.9, rng=0, **settings
    )
    return optimizer.network, optimizer.train


methods = {
    "K-FAC, eigen": ("#d9680f", lambda: kfac("exact", Exact(0.1))),
    "K-FAC, Cholesky": ("#c8a400", lambda: kfac("exact", Relative(0.03))),
    "RS-KFAC": ("#1f5fa8", lambda: kfac("rs", Relative(0.03))),
    "SRE-KFAC": ("#5aa9e6", lambda: kfac("sre", Relative(0.03))),
    "B-KFAC": ("#2f8f5b", lambda: kfac("brand", Relative(0.03))),
    "momentum": ("#8a929b", lambda: descent(0.03)),
    "Adam": ("#4b4f55", lambda: adam(0.003)),
}

# %%
# Everyone sees the same batches. Seconds are those of the steps alone.
spent, losses = {}, {}
for name, (_, made) in methods.items():
    net, train = made()
    rng, seconds, seen = np.random.default_rng(0), 0.0, []
    for _ in range(epochs):
        for rows in rng.permutation(len(x)).reshape(-1, batch):
            begin = time.perf_counter()
            train(x[rows], y[rows])
            seconds += time.perf_counter() - begin
        seen.append(loss.value(net.forward(x).outputs, y))
    steps = epochs * len(x) // batch
    spent[name], losses[name] = 1e3 * seconds / steps, seen
    print(f"{name:16} {spent[name]:6.1f} ms a step, training loss {seen[-1]:.3f}")

# %%
# Losses by epoch, and what a step takes.
figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for name, (color, _) in methods.items():
    axes[0].semilogy(np.arange(1, epochs + 1), losses[name], "o-", ms=4, color=color, label=name)
axes[0].set(xlabel="epoch", ylabel="training loss", xticks=range(1, epochs + 1))
axes[0].legend(frameon=False)
axes[1].barh(list(spent), list(spent.values()), color=[color for color, _ in methods.values()])
axes[1].invert_yaxis()
axes[1].set(xlabel="milliseconds of a step")
for axis in axes:
    axis.spines[["top", "right"]].set_visible(False)
plt.show()

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
An autoencoder without a step size
==================================

K-FAC as its paper has it needs no step size: length and momentum of each step minimize a quadratic model
with the exact Fisher matrix of the batch, and a rule of Levenberg-Marquardt type lowers the damping
where the model has foretold the loss well. Here it squeezes handwritten digits through eight numbers.
Gradient descent with momentum gets the best of four step sizes.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from randnla.curvature import Every, LevenbergMarquardt
from randnla.optim import KFAC
from randnla.testing import MLP, SquaredError

x = load_digits().data.astype(np.float32) / 16
center = x.mean(axis=0)
x -= center
loss, batch, epochs = SquaredError(), 599, 60


def network():
    """The same weights for everyone."""
    return MLP([64, 48, 24, 8, 24, 48, 64], "tanh", dtype=np.float32, rng=0)


def descent(lr):
    """Gradient descent with momentum 0.9."""
    net, moved = network(), {}

    def train(x, y):
        run = net.forward(x)
        for name, slopes in net.backward(run, loss.slopes(run.outputs, y)).gradients.items():
            for k, (w, g) in enumerate(zip(net.parameters[name], slopes, strict=True)):
                moved[name, k] = 0.9 * moved.get((name, k), 0.0) - lr * g
                w += moved[name, k]

    return net, train


def trained(net, train):
    """Losses by epoch and seconds spent."""
    rng, seen, seconds = np.random.default_rng(0), [], []
    begin = time.perf_counter()
    for _ in range(epochs):
        for rows in rng.permutation(len(x)).reshape(-1, batch):
            train(x[rows], x[rows])
        seconds.append(time.perf_counter() - begin)
        seen.append(loss.value(net.forward(x).outputs, x))
    return seen, seconds


# %%
# The rule starts from a damping of one.
rule = LevenbergMarquardt(1.0)
settings = {"lr": "exact", "stats_every": 1, "inv_every": Every(10, first=3), "rng": 0}
optimizer = KFAC(network(), "exact", loss=loss, damping=rule, **settings)
dampings, train = [], optimizer.train


def noting(x, y):
    """A step of K-FAC; notes the damping."""
    train(x, y)
    dampings.append(rule.value)


curves = {"K-FAC": trained(optimizer.network, noting)}
tried = {lr: trained(*descent(lr)) for lr in (0.003, 0.01, 0.03, 0.1)}
lr = min(tried, key=lambda key: tried[key][0][-1])
curves[f"gradient descent, {lr}"] = tried[lr]
for name, (seen, seconds) in curves.items():
    print(f"{name:24} loss {seen[-1]:.3f} after {seconds[-1]:.2f} s")

# %%
# Losses by epoch and by time, and the damping that the rule has found.
blue, gray = "#1f5fa8", "#8a929b"
figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
for (name, (seen, seconds)), color in zip(curves.items(), (blue, gray), strict=True):
    axes[0].semilogy(seen, color=color, label=name)
    axes[1].loglog(seconds, seen, color=color)
axes[2].semilogy(dampings, color=blue)
axes[0].set(xlabel="epoch", ylabel="training loss")
axes[1].set(xlabel="seconds", ylabel="training loss")
axes[2].set(xlabel="step", ylabel="damping")
for axis in axes[:2]:
    axis.set_yticks([0.5, 1, 2], ["0.5", "1", "2"])
    axis.yaxis.set_minor_locator(plt.NullLocator())
axes[0].legend(frameon=False)
for axis in axes:
    axis.spines[["top", "right"]].set_visible(False)

# %%
# Digits, and what is left of them after the eight numbers.
restored = optimizer.network.forward(x[:10]).outputs
figure, axes = plt.subplots(2, 10, figsize=(10, 2.1), layout="constrained")
for row, images in zip(axes, (x[:10], restored), strict=True):
    for axis, image in zip(row, images, strict=True):
        axis.imshow((image + center).reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
plt.show()

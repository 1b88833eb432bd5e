# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
r"""
Why low rank: spectra of averaged factors
=========================================

K-FAC averages second moments of activations and of gradients. An average with weight :math:`\rho` of
batches of n rows has at most :math:`n \lceil \log(\alpha \varepsilon) / \log \rho \rceil` eigenvalues
above :math:`\varepsilon` times its largest one, whatever its dimension, :math:`\alpha` being the largest
eigenvalue over the largest that a batch has had. That promises little for usual :math:`\rho`: what is
seen in training is far better.
"""

import math

import matplotlib.pyplot as plt
import numpy as np

from randnla.curvature import KroneckerFactor, RMSClip
from randnla.datasets import load_fashion_mnist
from randnla.optim import KFAC
from randnla.testing import MLP, SoftmaxCrossEntropy

try:
    x, y = (part[:5000] for part in load_fashion_mnist())
    print("5000 images of Fashion-MNIST")
except FileNotFoundError:
    from sklearn.datasets import load_digits

    digits = load_digits()
    x, y = digits.data.astype(np.float32) / 16, digits.target
    print("Fashion-MNIST is not installed: the digits of scikit-learn")
loss, width, batch, rho, marks = SoftmaxCrossEntropy(), 300, 32, 0.6, (1, 10, 40, 120)
rng = np.random.default_rng(0)
net = MLP([x.shape[1], width, width, 10], "relu", dtype=np.float32, rng=0)
optimizer = KFAC(net, "rs", loss=loss, lr=0.03, rank=80, stats_every=1, inv_every=10, clip=RMSClip(), rng=0)
factors = {name: KroneckerFactor(width, ema=rho) for name in ("activations", "gradients")}
tops, spectra = dict.fromkeys(factors, 0.0), {name: {} for name in factors}

# %%
# One training loop feeds the optimizer and the two factors of the second layer that are looked at.
for step in range(1, max(marks) + 1):
    rows = rng.choice(len(x), batch, replace=False)
    run = net.forward(x[rows])
    drawn = loss.slopes(run.outputs, loss.sample_labels(run.outputs, rng))
    statistics = net.backward(run, drawn).statistics
    optimizer.accumulate(statistics)
    for (name, factor), part in zip(factors.items(), statistics["dense1"], strict=True):
        factor.update(part)
        tops[name] = max(tops[name], np.linalg.norm(part, 2) ** 2 / batch)
        if step in marks:
            spectra[name][step] = np.maximum(np.linalg.eigvalsh(factor.value.astype(float))[::-1], 0)
    slopes = net.backward(run, loss.slopes(run.outputs, y[rows])).gradients
    net.parameters = optimizer.step(net.parameters, slopes)

# %%
# The bound is a staircase of n eigenvalues a step. It is drawn for a small batch and a short memory, for with
# those of practice it would not come down within the picture.
figure, axes = plt.subplots(1, 2, figsize=(10, 3.9), layout="constrained", sharey=True)
for axis, (name, found) in zip(axes, spectra.items(), strict=True):
    for (step, values), shade in zip(
        found.items(), plt.get_cmap("Blues")(np.linspace(0.35, 1, 4)), strict=True
    ):
        relative = values / values[0]
        axis.loglog(np.arange(1, width + 1), np.maximum(relative, 1e-9), color=shade, label=f"step {step}")
    alpha, stairs = values[0] / tops[name], np.arange(width // batch + 1)
    axis.step(
        1 + batch * stairs, np.minimum(1, rho**stairs / alpha), where="post", color="#d9680f", label="bound"
    )
    for eps in (0.1, 0.01):
        promised = batch * math.ceil(math.log(alpha * eps) / math.log(rho))
        print(f"{name}, above {eps} of the largest: {np.sum(relative >= eps)} of {width}, bound {promised}")
        assert np.sum(relative >= eps) <= promised
    axis.set(xlabel="index", title=f"factor of {name}", xlim=(1, width), ylim=(1e-7, 2))
    axis.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("eigenvalue over the largest")
axes[0].legend(frameon=False)
plt.show()

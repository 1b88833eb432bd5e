# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
Pruning without fine-tuning
===========================

Which weights can a network do without? The smallest is the usual answer. With gradients of a few hundred
batches the loss itself can be asked: a weight is worth what its removal costs after all others have made up
for it, and these move accordingly. Here a network that reads handwritten digits loses ever more of its
18 000 weights and is never trained again. ``experiments/pruning.py`` does the same to larger networks on
Fashion-MNIST, with several seeds.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from randnla.curvature import prune
from randnla.optim import KFAC
from randnla.testing import MLP, SoftmaxCrossEntropy

digits = load_digits()
order = np.random.default_rng(0).permutation(len(digits.target))
x, y = digits.data[order].astype(np.float32) / 16, digits.target[order]
x, y, x_test, y_test = x[:1400], y[:1400], x[1400:], y[1400:]
loss, net = SoftmaxCrossEntropy(), MLP([64, 128, 64, 10], "relu", dtype=np.float32, rng=0)
optimizer = KFAC(net, loss=loss, lr=0.1, rng=0)
rng = np.random.default_rng(0)
for _ in range(12):
    for rows in rng.permutation(len(x)).reshape(-1, 100):
        optimizer.train(x[rows], y[rows])
weights = {name: weight for name, (weight, _) in net.parameters.items()}
biases = {name: bias for name, (_, bias) in net.parameters.items()}

# %%
# Pruning knows arrays only. It is told gradients by a function of the weights, which it asks before every
# step: here means over batches of four, one after the other.


def forward(weights, images):
    """The network with these weights."""
    return net.forward(images, {name: (w, biases[name]) for name, w in weights.items()})


def gradients(weights, mask):
    """Of 256 batches of four images, which are one stack for each layer."""
    stacks = {name: [] for name in weights}
    for rows in rng.integers(0, len(x), (256, 4)):
        run = forward(weights, x[rows])
        found = net.backward(run, loss.slopes(run.outputs, y[rows])).gradients
        for name in weights:
            stacks[name].append(found[name][0])
    return {name: np.stack(stack) for name, stack in stacks.items()}


def accuracy(weights):
    """On the digits that were left out."""
    return np.mean(forward(weights, x_test).outputs.argmax(axis=1) == y_test)


# %%
# Each method prunes the dense network in one go, and the last one in up to 16 steps.
sparsities = [0.5, 0.7, 0.8, 0.9, 0.95, 0.98]
methods = {
    "magnitude": ("#8a929b", {"method": "magnitude"}),
    "diagonal Fisher": ("#c8a400", {"method": "fisher", "steps": 1}),
    "M-FAC, one shot": ("#5aa9e6", {"steps": 1}),
    "M-FAC, 16 steps": ("#d9680f", {"steps": 16}),
}
found, masks = {}, {}
for name, (_, options) in methods.items():
    found[name] = []
    for sparsity in sparsities:
        result = prune(weights, gradients, sparsity, **options)
        found[name].append(accuracy({key: w + result.update[key] for key, w in weights.items()}))
        masks[name, sparsity] = result.mask
print("dense".ljust(18), f"{accuracy(weights):.3f}")
for name, values in found.items():
    print(name.ljust(18), "  ".join(f"{value:.3f}" for value in values))

# %%
# Accuracy over sparsity.
figure, axis = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
axis.axhline(accuracy(weights), color="black", lw=0.8, ls=":", label="dense")
for name, (color, _) in methods.items():
    axis.plot(range(len(sparsities)), found[name], "o-", ms=4, color=color, label=name)
axis.set_xticks(range(len(sparsities)), [f"{sparsity:.0%}" for sparsity in sparsities])
axis.set(xlabel="weights pruned", ylabel="test accuracy", ylim=(0, 1))
axis.legend(frameon=False, loc="lower left")
axis.spines[["top", "right"]].set_visible(False)

# %%
# What is left of the first layer at 90 %: weights by the pixel that they look at. The model keeps nothing
# where images are black.
figure, axes = plt.subplots(1, 3, figsize=(8, 2.8), layout="constrained")
axes[0].imshow(x.std(axis=0).reshape(8, 8), cmap="gray_r")
axes[0].set_title("deviation of pixels")
for axis, name in zip(axes[1:], ("magnitude", "M-FAC, 16 steps"), strict=True):
    kept = masks[name, 0.9]["dense0"].sum(axis=0).reshape(8, 8)
    image = axis.imshow(kept, cmap="gray_r", vmin=0, vmax=50)
    axis.set_title(name)
for axis in axes:
    axis.set(xticks=[], yticks=[])
figure.colorbar(image, ax=axes, label="weights kept, of 128")
plt.show()

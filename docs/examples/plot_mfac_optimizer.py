# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
The M-FAC optimizer beside SGD and Adam
=======================================

M-FAC steps along ``F^-1 g``, F the damped average of the outer products of the last gradients. Is a window of
64 of them worth its time on a small network? On this one it is not. The page shows what
``experiments/mfac_optimizer.py --small`` has measured and stored: 3072 images of Fashion-MNIST, two hidden
layers of 64, batches of 64, damping 1e-3, one thread of a shared processor; step sizes are tuned on one seed
and two epochs, and every method then trains five epochs on two seeds.
"""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

results = Path("experiments", "results", "mfac_optimizer-small.json")
here = Path.cwd()
stored = next(folder / results for folder in (here, *here.parents) if (folder / results).exists())
cells = json.loads(stored.read_text())["cells"]
colors = {"M-FAC": "#1f5fa8", "M-FAC, bfloat16": "#5aa9e6", "SGD": "#8a929b", "Adam": "#d9680f"}


def histories(method):
    """Of every seed, one record an epoch."""
    return [cell["history"] for key, cell in cells.items() if key.startswith(f"train {method} seed=")]


def curves(method, key):
    """(seeds, epochs) of a quantity."""
    return np.array([[record[key] for record in history] for history in histories(method)])


# %%
# Adam has the least loss, and both Adam and SGD take a fifth of the time: a step of M-FAC reads its window
# twice and factors a matrix of its order. "M-FAC" and "M-FAC, bfloat16" differ by their step sizes, .003 and
# .001, which a single seed has chosen, more than by what the rounding of the window does to a step.
print(f"{'method':16}  step size  training loss  test accuracy  seconds an epoch")
for method in colors:
    rate = next(cell["rate"] for key, cell in cells.items() if key.startswith(f"train {method} seed="))
    last, accuracy = curves(method, "loss")[:, -1], curves(method, "accuracy")[:, -1]
    seconds = curves(method, "seconds").mean()
    print(f"{method:16}  {rate:<9g}  {last.mean():<13.2f}  {accuracy.mean():<13.2f}  {seconds:.2f}")

# %%
# Loss by epoch and by time; thin lines are the seeds.
figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
for method, color in colors.items():
    losses, times = curves(method, "loss"), curves(method, "seconds").cumsum(axis=1)
    for axis, steps in zip(axes, (np.broadcast_to(np.arange(1, 6), losses.shape), times), strict=True):
        axis.semilogy(steps.T, losses.T, color=color, lw=0.6, alpha=0.6)
        axis.semilogy(steps.mean(axis=0), losses.mean(axis=0), "o-", ms=4, color=color, label=method)
axes[0].set(xlabel="epoch", ylabel="training loss")
axes[1].set(xlabel="seconds")
for axis in axes:
    axis.yaxis.set_minor_formatter(plt.NullFormatter())
    axis.spines[["top", "right"]].set_visible(False)
axes[0].legend(frameon=False)
plt.show()

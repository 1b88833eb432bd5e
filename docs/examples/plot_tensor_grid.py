# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
Which method finds the components of a tensor
=============================================

The simulations of Han and Zhang (2021): components whose vectors meet, weights that fall by a ratio, noise.
One of the four is changed at a time; the others are a side of 40, rank 3, a coherence of .1, a ratio of 1.25
and a least weight of ten times d^(3/4) for entries of noise of size one. `experiments/tensor.py` made the
figures: eight runs each.
"""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

results = Path("experiments", "results", "tensor-small.json")
here = Path.cwd()
stored = next(folder / results for folder in (here, *here.parents) if (folder / results).exists())
cells = json.loads(stored.read_text())["cells"]

# %%
# The largest sine between a component and what was found for it: medians and quartiles. Composite principal
# components alone are a start and no more; from there concurrent orthogonalization is nearly as good as least
# squares where vectors meet little, and inflates noise where they meet more, which `cp` takes back by a few
# sweeps of least squares. Power iteration with deflation takes components that meet for each other.
styles = {
    "cpca": ("#2c8a57", "s-"),
    "ico": ("#8a8f98", "o-"),
    "als": ("#67a9e0", "-"),
    "als, random": ("#8a5fb0", "^:"),
    "power iteration": ("#9bc53d", "v-"),
    "tensorly": ("#c0392b", "x:"),
    "cp": ("#d9680f", "o-"),
}
axis_names = {
    "coherence": "coherence",
    "gap": "ratio of weights",
    "signal": "least weight over d^(3/4)",
    "dimension": "side",
}
figure, axes = plt.subplots(1, 4, figsize=(14, 4), layout="constrained", sharey=True)
for ax, (part, label) in zip(axes, axis_names.items(), strict=True):
    values = list(dict.fromkeys(key.split()[1] for key in cells if key.startswith(part)))
    for method, (color, style) in styles.items():
        keys = [f"{part} {value} {method}" for value in values]
        if keys[0] in cells:
            errors = [np.maximum(cells[key]["errors"], 1e-16) for key in keys]
            low, middle, high = np.array([np.quantile(e, (0.25, 0.5, 0.75)) for e in errors]).T
            width = 5 if method == "als" else 1.5
            ax.semilogy(middle, style, color=color, label=method, lw=width, ms=4)
            ax.fill_between(range(len(values)), low, high, color=color, alpha=0.12, lw=0)
    ax.set_xticks(range(len(values)), values)
    ax.set(xlabel=label)
axes[0].set_ylabel("largest sine to a component")
axes[0].legend(frameon=False, fontsize=8)

# %%
# Seconds of one run, one thread, on the axis that tensorly ran on.
for method in styles:
    seconds = [
        cell["seconds"] for key, cell in cells.items() if key.split(" ", 2)[::2] == ["coherence", method]
    ]
    print(f"{method:16} {np.median(seconds):.3f} s")
plt.show()

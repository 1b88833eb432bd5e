# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
How many gross errors are stood
===============================

Robust principal components by rank and share of gross errors: which matrices come back to three digits. Then
what the time grows like where rows and columns are read, and where all of the matrix is.
`experiments/robust.py` made the figures, on one thread.
"""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np


def cells(setting):
    results = Path("experiments", "results", f"robust-{setting}.json")
    here = Path.cwd()
    stored = next(folder / results for folder in (here, *here.parents) if (folder / results).exists())
    return json.loads(stored.read_text())["cells"]


small, full = cells("small"), cells("full")

# %%
# Matrices of order 300, share of three runs. A threshold that falls by .7 at each iteration is fast; one that
# falls by .9, with rows and columns drawn anew, stands as many errors as alternating projections, which read
# everything each time. The tangent-space step of Riemannian CUR changes little.
phases = {
    tuple(key.removeprefix("phase ").rsplit(" ", 2)): c for key, c in small.items() if key[:5] == "phase"
}
methods = list(dict.fromkeys(method for method, _, _ in phases))
shares, ranks = (list(dict.fromkeys(key[k] for key in phases)) for k in (1, 2))
figure, axes = plt.subplots(1, len(methods), figsize=(11, 3.4), layout="constrained", sharey=True)
for ax, method in zip(axes, methods, strict=True):
    table = [[phases[method, share, rank]["share"] for rank in ranks] for share in shares]
    ax.imshow(table, origin="lower", vmin=0, vmax=1, cmap="Blues", aspect="auto")
    ax.set_xticks(range(len(ranks)), ranks)
    ax.set_yticks(range(len(shares)), shares)
    ax.set(title=method, xlabel="rank")
axes[0].set_ylabel("share of errors")

# %%
# Left: one rank, and more methods. "riecur" alone is the default, which begins with .7 and goes on to .9 and
# .95 where fresh rows and columns are not met. Gradient descent, told the share, stands a fifth. Right: rank
# 5, 30 % of errors, and the exponent from the upper half of the orders.
curves = {
    tuple(key.removeprefix("corruption ").rsplit(" ", 1)): c for key, c in small.items() if key[:5] == "corru"
}
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
colors = ("#8a8f98", "#1f5fa8", "#d9680f", "#2c8a57", "#9bc53d", "#8a5fb0", "#c0392b")
for method, color in zip(dict.fromkeys(name for name, _ in curves), colors, strict=True):
    row = [curves[method, share]["share"] for share in shares]
    left.plot([float(share) for share in shares], row, "o-", ms=3, color=color, label=method)
left.set(xlabel="share of errors", ylabel="share of runs that separate")
left.legend(frameon=False, fontsize=8)
for method, color in zip(("ircur", "riecur", "accaltproj"), ("#1f5fa8", "#d9680f", "#2c8a57"), strict=True):
    found = [
        (int(key.split()[2]), c["seconds"]) for key, c in full.items() if key.startswith(f"time {method} ")
    ]
    orders, seconds = np.array(found).T
    last = max(2, (len(orders) + 1) // 2)
    slope = np.polyfit(np.log(orders[-last:]), np.log(seconds[-last:]), 1)[0]
    right.loglog(orders, seconds, "o-", color=color, label=f"{method}: n^{slope:.2f}")
    print(f"{method}: n^{slope:.2f}, {seconds[-1]:.2f} s at order {orders[-1]:.0f}")
right.set(xlabel="order n", ylabel="seconds")
right.legend(frameon=False)

# %%
# Films like the one of the page on moving objects, with more and more boxes. From a tenth of all pixels on,
# the default does not find the background, and says so: errors that move lie in runs along rows and columns.
# The slowest decay with twice as many rows and columns finds it.
for key, cell in small.items():
    if key.startswith("video"):
        print(
            f"{key.removeprefix('video '):22} {cell['moving']:6.1%} moving: error of the background "
            f"{cell['error']:.1e}, F1 {cell['F1']:.4f}, converged {cell['converged']}"
        )
plt.show()

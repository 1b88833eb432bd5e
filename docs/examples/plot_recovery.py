# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
Diffusion on a graph from a few of its entries
==============================================

An operator moves something over the nodes of a graph, and what is seen of it are a few entries, some after
one step, some after more. Its powers share its rank, so that entries at later times stand in for entries that
are missing at the first. The figures below the first are by `experiments/recovery.py`, on one thread.
"""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from randnla.operators import LowRank
from randnla.recovery import draw_places, learn_transition

# Three communities; the leading eigenvalues of the normalized adjacency matrix.
rng = np.random.default_rng(0)
n, rank, horizon = 60, 3, 3
community = np.arange(n) * 3 // n
links = np.triu(rng.random((n, n)) < np.where(np.equal.outer(community, community), 0.6, 0.1), 1)
links = (links + links.T).astype(float)
degree = links.sum(axis=1)
w, Q = np.linalg.eigh(links / np.sqrt(np.outer(degree, degree)))
A = LowRank(Q[:, -rank:], w[-rank:], Q[:, -rank:])
dense = A.to_dense()


def entries(times, rows, columns):
    return np.einsum("kr,kr->k", A.U[rows] * A.C ** times[:, None], A.V[columns])


unknowns = rank * (2 * n - rank)
places = draw_places(horizon, n, 3 * unknowns, rng=1)
trace = []
found = learn_transition(
    (*places, entries(*places)),
    horizon,
    rank,
    shape=(n, n),
    rng=0,
    callback=lambda state: trace.append(state["relative"]),
)
print(found.info)
print(f"error {np.linalg.norm(found.A.to_dense() - dense) / np.linalg.norm(dense):.1e}")

# %%
# A tenth of the entries of the powers is seen. Right: the first singular value that the operator does not
# have, over iterations; digits double at the end.
figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
seen = np.full((n, n), np.nan)
first = places[0] == 1
seen[places[1][first], places[2][first]] = entries(*(part[first] for part in places))
for ax, (name, image) in zip(
    axes, {"seen after one step": seen, "found": found.A.to_dense()}.items(), strict=False
):
    ax.imshow(image, cmap="viridis", vmin=dense.min(), vmax=dense.max())
    ax.set(title=name, xticks=[], yticks=[])
axes[2].semilogy(trace, "o-", color="#1f5fa8")
axes[2].set(xlabel="iteration", ylabel="singular value 4 over the first")


# %%
# Samples at later times stand in for samples at the first: operators of order 30, of rank 3 with eigenvalues
# from 1 to .8, share of four runs, over the samples of all times together. One time asks for 1.5 for each
# unknown, up to ten of them for 2 to 3 in all, and so for few at each. Right, order 60, where few rows and
# columns carry most: uniform places need more samples; places by the leverage of a pilot, learned from the
# first half of the samples, do about as well as those by the truth.
def cells(setting):
    results = Path("experiments", "results", f"recovery-{setting}.json")
    here = Path.cwd()
    stored = next(folder / results for folder in (here, *here.parents) if (folder / results).exists())
    return json.loads(stored.read_text())["cells"]


small, full = cells("small"), cells("full")


def curve(prefix, suffix=""):
    """Oversampling and the share of runs that recover."""
    return np.array(
        [
            (float(key.removeprefix(prefix).split()[0]), cell["share"])
            for key, cell in small.items()
            if key.startswith(prefix) and key.endswith(suffix)
        ]
    ).T


figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
horizons = list(dict.fromkeys(key.split()[1] for key in small if key.startswith("phase")))
for T, color in zip(horizons, plt.get_cmap("viridis")(np.linspace(0, 0.9, len(horizons))), strict=True):
    left.plot(*curve(f"phase {T} "), "o-", color=color, label=f"T = {T}")
left.set(xlabel="samples of all times, over the unknowns", ylabel="share recovered", ylim=(-0.05, 1.05))
left.legend(frameon=False)
for T, style in (("1", "o-"), ("3", "s--")):
    for how, color in (("uniform", "#8a8f98"), ("by a pilot", "#1f5fa8"), ("by the truth", "#d9680f")):
        right.plot(*curve(f"adaptive {T} ", how), style, color=color, label=f"T = {T}, {how}")
right.set(xlabel="samples of all times, over the unknowns", title="few rows carry most")
right.legend(frameon=False, fontsize=8)

# %%
# Operators of graphs with weights, cut to rank 3, from 3.5 samples for each unknown: the normalized
# adjacency matrix, which has eigenvalues of both signs, and what heat does.
for key, cell in small.items():
    if key.startswith("graphs"):
        kind, T, name = key.split(" ", 3)[1:]
        print(f"{kind:10} T = {T}, {name:18} recovered {cell['share']:.2f}")

# %%
# Time, where samples grow like n log n: a product of the system of a step is linear in the order (dotted); an
# iteration grows a little faster, as conjugate gradients take more products the larger the operator is.
figure, axes = plt.subplots(figsize=(5, 3.4), layout="constrained")
for T, color in (("1", "#8a8f98"), ("4", "#1f5fa8")):
    found = {int(key.split()[2]): cell for key, cell in full.items() if key.startswith(f"time {T} ")}
    orders = np.array(list(found))
    for what, style in (("an iteration", "o-"), ("a product", "o:")):
        seconds = np.array([cell[what] for cell in found.values()])
        slope = np.polyfit(np.log(orders), np.log(seconds), 1)[0]
        axes.loglog(orders, seconds, style, color=color, ms=4, label=f"T = {T}, {what}: n^{slope:.2f}")
        print(f"T = {T}: n^{slope:.2f}, {seconds[-1]:.3f} s {what} at order {orders[-1]}")
axes.set(xlabel="order n", ylabel="seconds")
axes.legend(frameon=False, fontsize=8)
plt.show()

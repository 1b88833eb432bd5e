# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
A recommender whose ratings change while it is asked
====================================================

A user's taste moves from one group of items to another, a rating at a time. Queries see each rating at once.
"""

import matplotlib.pyplot as plt
import numpy as np

from randnla import quantum_inspired as qi

rng = np.random.default_rng(0)
users, items = rng.integers(0, 5, 300), rng.integers(0, 5, 2000)
ratings = (users[:, None] == items) * (rng.random((300, 2000)) < 0.3) + 1.0 * (rng.random((300, 2000)) < 0.01)
model = qi.Recommender(ratings, rank=5, rng=0)

# %%
# User 0 rates items of another group, and 200 items are drawn after every tenth rating.
old, new = users[0], (users[0] + 1) % 5
chosen = rng.permutation(np.flatnonzero(items == new))[:200]
shares = []
for k, item in enumerate(chosen):
    if k % 10 == 0:
        drawn = items[model.query(0, 200, rng=k).items]
        shares.append([k, np.mean(drawn == old), np.mean(drawn == new)])
    model.update(0, int(item), 1.0)
count, stays, moves = np.array(shares).T
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
left.plot(count, stays, "o-", color="#1f5fa8", label="of the old taste")
left.plot(count, moves, "o-", color="#d9680f", label="of the new taste")
left.set(xlabel="new ratings", ylabel="share of the items drawn")
left.legend(frameon=False)

# %%
# The frequencies of items are the squares of the user's row of the approximation.
drawn = np.bincount(model.query(1, 200_000, rng=0).items, minlength=2000) / 200_000
A, V = model.A.to_dense(), np.linalg.svd(ratings)[2][:5]
row = (A[1] @ V.T) @ V
right.loglog(row**2 / (row @ row), np.maximum(drawn, 1e-6), ".", color="#1f5fa8", markersize=3)
right.plot([1e-7, 1e-2], [1e-7, 1e-2], color="#d9680f")
right.set(xlabel="square of the SVD's row", ylabel="frequency", xlim=(1e-7, 1e-2), ylim=(5e-7, 1e-2))
plt.show()

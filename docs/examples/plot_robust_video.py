# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
Moving objects before a still background
========================================

The frames of a film are the columns of a matrix. A background under changing light is of low rank, and what
moves before it covers few pixels of each frame: gross errors of a matrix of low rank.
"""

import matplotlib.pyplot as plt
import numpy as np

from randnla.robust import rpca

rng = np.random.default_rng(0)
height, width, frames = 48, 64, 120
y, x = np.mgrid[:height, :width]
views = [0.5 + 0.3 * np.sin(x / 9.0), 0.2 * np.cos(y / 7.0) + 0.1, 0.15 * np.sin((x + y) / 11.0)]
time = np.arange(frames)
light = [1 + 0.2 * np.sin(time / 20.0), np.cos(time / 13.0), np.sin(time / 31.0)]
background = np.stack([v.ravel() for v in views], 1) @ np.stack(light)  # (pixels, frames)

film, moving = background.copy(), np.zeros(background.shape, bool)
for _ in range(4):
    top, speed, start, value = (
        rng.integers(0, 36),
        rng.uniform(1.0, 3.0),
        rng.integers(0, 64),
        rng.uniform(1.2, 2),
    )
    for t in time:
        left = int(start + speed * t) % (width - 10)
        patch = ((y >= top) & (y < top + 9) & (x >= left) & (x < left + 8)).ravel()
        film[patch, t], moving[patch, t] = value, True

found = rpca(film, 3, rng=0)
print(found.info)

# %%
# Rows and columns were sampled; one pass finds the objects in all frames.
errors = found.outliers(film).toarray() != 0
hits = (errors & moving).sum()
print(f"share moving {moving.mean():.3f}, F1 {2 * hits / (errors.sum() + moving.sum()):.4f}")
low_rank = found.L.to_dense()
error = np.linalg.norm(low_rank - background) / np.linalg.norm(background)
print(f"error of the background {error:.1e}")

# %%
# A frame, its background and its objects.
figure, axes = plt.subplots(1, 3, figsize=(9, 2.6), layout="constrained")
for axis, (name, image) in zip(
    axes, {"frame": film, "background": low_rank, "objects": errors}.items(), strict=True
):
    axis.imshow(image[:, 60].reshape(height, width), cmap="gray")
    axis.set(title=name, xticks=[], yticks=[])
plt.show()

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""
Exact fixed point: sign sketches without rounding
=================================================

A sign map is exact in one bit, and so are 24 bits of each entry of a float32 matrix in integers, the sums of
which do not round. Two things follow, and this page measures both on the machine it is built on: the sketch
is closer to the exact one than a float32 product, and on any instruction set, with any number of threads, it
is the same to the last bit.
"""

import os
import subprocess
import sys
import time

import matplotlib.pyplot as plt
import numpy as np
from threadpoolctl import threadpool_limits

import randnla

rows, columns, sizes = 8192, 512, (16, 32, 64, 128, 256, 512, 1024)
A = np.random.default_rng(0).standard_normal((rows, columns)).astype(np.float32)
colors = {"sign map, fixed point": "#1f5fa8", "float32, map at hand": "#4b4f55", "Gaussian map": "#d9680f"}

# %%
# Speed and error against the size of the sketch. The float32 product is given its map; the other two make
# theirs as they go. Errors are those of rounding: each product is set against its own map in float64.


def best(left, rounds=5):
    """Seconds of the fastest of some products, by the processor's clock."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        left @ A
        times.append(time.process_time() - start)
    return min(times)


def error(left, S):
    """Rounding error of a product, relative to its norm."""
    exact = S.to_dense().astype(np.float64) @ A.astype(np.float64)
    return np.linalg.norm(left @ A - exact) / np.linalg.norm(exact)


speed, errors = {name: [] for name in colors}, {name: [] for name in colors}
with threadpool_limits(1):
    for d in sizes:
        S = randnla.Sign(d, rows, rng=1, dtype=np.float32)
        G = randnla.Gaussian(d, rows, rng=1, dtype=np.float32)
        for name, left, which in zip(colors, (S, S.to_dense(), G), (S, S, G), strict=True):
            speed[name].append(2e-9 * d * rows * columns / best(left))
            errors[name].append(error(left, which))

fixed, product, _ = speed.values()
for d, ratio in zip(sizes, np.divide(fixed, product), strict=True):
    print(f"d = {d:4}: {ratio:.2f} times the speed of the float32 product")

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for name, color in colors.items():
    axes[0].plot(sizes, speed[name], "o-", ms=4, color=color, label=name)
    axes[1].plot(sizes, 1e7 * np.array(errors[name]), "o-", ms=4, color=color, label=name)
axes[0].set(ylabel=r"$2dmn$ over the time, $10^9$/s", title="speed, one thread", ylim=(0, None))
axes[1].set(ylabel=r"relative error, $10^{-7}$", title="rounding", ylim=(0, None))
for axis in axes:
    axis.set_xscale("log", base=2)
    axis.set_xticks(sizes, [str(d) for d in sizes])
    axis.set_xlabel("rows $d$ of the sketch")
    axis.spines[["top", "right"]].set_visible(False)
axes[1].legend(frameon=False, loc="lower left")
plt.show()

# %%
# The same product in processes held to the kernels of older processors, ours and those of NumPy's BLAS, with
# one thread and with three, in both orders of memory: how many results there are, and a digest of the first.

PRODUCT = """
import hashlib, numpy as np, randnla
from threadpoolctl import threadpool_limits
A = np.random.default_rng(0).standard_normal((3000, 200)).astype(np.float32)
S, seen = randnla.Sign(100, 3000, rng=1, dtype=np.float32), ([], [])
for threads in (1, 3):
    with threadpool_limits(threads):
        for X in (A, np.asfortranarray(A)):
            for digests, left in zip(seen, (S, S.to_dense())):
                digest = hashlib.sha256(np.ascontiguousarray(left @ X).tobytes()).hexdigest()[:8]
                digests += [digest] * (digest not in digests)
print(*(f"{len(digests)} {digests[0]}" for digests in seen))
"""
processors = {"v2": "Nehalem", "v3": "Haswell", "v4": "SkylakeX", "amx": "SkylakeX"}
most = randnla.info().instruction_set_best
levels = list(processors)[: list(processors).index(most) + 1] if most in processors else [most]
found = set()
print(f"{'ours':6} {'BLAS':9} {'fixed point':16} float32")
for level in levels:
    held = {"RANDNLA_ISA": level, "OPENBLAS_CORETYPE": processors.get(level, "")}
    command = [sys.executable, "-c", PRODUCT]
    run = subprocess.run(command, env=os.environ | held, capture_output=True, text=True, check=True)
    ours, our_first, theirs, their_first = run.stdout.split()
    found.add((ours, our_first))
    print(f"{level:6} {held['OPENBLAS_CORETYPE']:9} {ours} x {our_first:12} {theirs} x {their_first}")
assert len(found) == 1

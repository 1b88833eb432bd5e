# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""No copy of A: what a process grows by is c (m + n) l, measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

M, N, L = 40_000, 400, 40
UNIT_MB = (M + N) * L * 4 / 2**20  # one block of each side in float32: 6 MB; A takes 61

PROGRAM = """
import numpy as np, randnla
randnla.set_num_threads(1)
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
def make(m, n):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((m, 60), dtype=np.float32) @ rng.standard_normal((60, n), dtype=np.float32)
    A += rng.standard_normal(A.shape, dtype=np.float32)
    return A
call = lambda A: {call}
call(make(4000, {n}))  # what a process pays once
A = make({m}, {n})
with open("/proc/self/clear_refs", "w") as refs:
    refs.write("5")
before = peak()
info = call(A).info
print(peak() - before, info.memory / 2**20)
"""
# Multiples of (m + n) l that a call may take; a copy of A alone would be 10.
CALLS = {
    "svd": ("randnla.svd(A, 30, method='subspace', rng=0)", 5),
    "qb": ("randnla.qb(A, 40, method='ei', rng=0)", 7),
    "pass_efficient": ("randnla.qb(A, 40, method='pass_efficient', rng=0)", 8),
    "farpca": ("randnla.svd(A, 30, method='farpca', rng=0)", 8),
    "krylov": ("randnla.svd(A, 10, oversample=0, method='krylov', power_iters=3, rng=0)", 5),
}


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("name", CALLS)
def test_peak(name):
    call, most = CALLS[name]
    program = PROGRAM.format(call=call, m=M, n=N)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    grown, told = map(float, done.stdout.split())
    assert grown <= most * UNIT_MB
    # info.memory is an estimate of it, to a factor.
    assert grown / 3 <= told <= 3 * grown

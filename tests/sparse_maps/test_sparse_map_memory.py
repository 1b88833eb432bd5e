# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Applying a sparse map needs the output and a bounded scratch, whatever the size of the map."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys
import numpy as np
from randnla import _core
from randnla._backend.kernels import sparse_maps
_core.set_num_threads(2)
d, nnz, kind, order, n = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])
# 48 MB; a table of all codes would take 19 MB more where n is 20.
A = np.ones((12_000_000 // n, n), np.float32, order)
out = np.zeros((d, n), np.float32)
key = dict(kind=kind, seed=1, stream=0, d=d, nnz=nnz)
sparse_maps.apply_sparse_map(A[:64], out, **key)
def peak():
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM"))
out[...] = 1
before = peak()
sparse_maps.apply_sparse_map(A, out, **key)
print(peak() - before)
"""


@pytest.mark.parametrize(
    ("d", "nnz", "kind", "order", "n"),
    [(1000, 8, "sparse_sign", "C", 20), (1000, 8, "sparse_sign", "F", 20), (4000, 1, "countsketch", "C", 20),
     (200_000, 8, "sparse_sign", "C", 20), (50, 8, "sparse_sign", "C", 4000)],
)  # fmt: skip
def test_peak_memory_stays_bounded(d, nnz, kind, order, n):
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(d), str(nnz), kind, order, str(n)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert int(run.stdout) < 16 * 1024  # KB

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""No map is ever stored: the resident set of `S @ A`, each in a process of its own."""

import subprocess
import sys

import pytest
from cases import SKETCHES

LIMIT_MB = 32.0

PROGRAM = """
import numpy as np, scipy.sparse, scipy.fft
from cases import SKETCHES

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024

make = SKETCHES["{name}"].make
m, n, d = 1 << 19, 8, 64   # the map as float64 would take 256 MB
for dtype in (np.float32, np.float64):
    make(d, 64, rng=0, dtype=dtype) @ np.ones((64, n), dtype=dtype)
A = np.ones((m, n))
S = make(d, m, rng=0)
with open("/proc/self/clear_refs", "w") as refs:
    refs.write("5")
before = peak()
Y = S @ A
print(peak() - before - Y.nbytes / 2**20)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("name", SKETCHES)
def test_peak_memory_of_a_product(name):
    from pathlib import Path

    tests = Path(__file__).resolve().parents[1]
    program = f"import sys; sys.path.insert(0, {str(tests)!r})\n" + PROGRAM.format(name=name)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    # SRHT and SRFT may hold a few padded columns beside: 4 MB each here, and as much of signs.
    columns = 8.0 if name in ("SRHT", "SRFT") else 0.0
    assert float(done.stdout) <= LIMIT_MB + columns

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""No map and no converted input is stored: the peak of products with large matrices, each in its own process.

The input, or the map, takes five times what a product may take beside its result, so that a copy fails.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import SKETCHES

LIMIT_MB = 32.0
TESTS = Path(__file__).resolve().parents[1]

PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
import numpy as np, scipy.fft, scipy.sparse
from cases import SKETCHES

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024

make, d = SKETCHES[{name!r}].make, {d}

def product(m, n):
    S = make(d, m, rng=0, dtype={map_dtype!r})
    if {adjoint}:
        B = np.ones((d, n), dtype={dtype!r})
        return S.T, B
    if {sparse}:
        rows = np.arange(m + 1, dtype=np.int64)
        return S, scipy.sparse.csr_array((np.ones(m, {dtype!r}), rows[:-1] % n, rows), shape=(m, n))
    return S, np.ones((m, n), dtype={dtype!r}, order={order!r})

# What a process pays once (buffers of the BLAS, stacks of the team, pages of code) is not the product's.
S, A = product(max(20_000, d), {n})
S @ A
S, A = product({m}, {n})
with open("/proc/self/clear_refs", "w") as refs:
    refs.write("5")
before = peak()
Y = S @ A
assert np.isfinite(Y).all()
print(peak() - before - Y.nbytes / 2**20)
"""


def measured(name, m, n, dtype, *, map_dtype=None, order="C", adjoint=False, sparse=False, d=64):
    program = PROGRAM.format(
        tests=str(TESTS), name=name, m=m, n=n, dtype=dtype, order=order, adjoint=adjoint, sparse=sparse, d=d,
        map_dtype=map_dtype or (dtype if dtype in ("float32", "float64") else "float64"),
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def allowed(name, m, dtype):
    """SRHT may hold a few padded columns; SRFT its column, and what SciPy's transform needs beside it."""
    columns = {"SRHT": 3 * (1 << m.bit_length()), "SRFT": 5 * m}.get(name, 0)
    return LIMIT_MB + columns * (4 if dtype == "float32" else 8) / 2**20


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]


@pytest.mark.parametrize(("dtype", "order"), [("float32", "C"), ("float64", "F")])
@pytest.mark.parametrize("name", SKETCHES)
def test_peak_of_a_product(name, dtype, order):
    m, n = 1_000_000, 42 if dtype == "float32" else 21  # 160 MB
    assert measured(name, m, n, dtype, order=order) <= allowed(name, m, dtype)


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize(("m", "d"), [(500_000, 20_000), (1_000_000, 20_000), (1_000_000, 100_000)])
def test_peak_of_a_transform_with_many_rows(m, d, adjoint):
    """A panel of the whole transform, one cache line wide, takes 32 and 64 MB a thread."""
    assert measured("SRHT", m, 20, "float32", d=d, adjoint=adjoint) <= allowed("SRHT", m, "float32")


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize(
    ("m", "dtype"), [(500_009, "float64"), (1_000_003, "float32"), (2_000_003, "float64")]
)
def test_peak_of_cosine_transforms_of_prime_lengths(m, dtype, adjoint):
    """The library alone holds 22 columns: 84, 84 and 336 MB."""
    columns = 6 * m * np.dtype(dtype).itemsize / 2**20
    assert measured("SRFT", m, 1, dtype, adjoint=adjoint) <= LIMIT_MB + columns


@pytest.mark.parametrize("name", SKETCHES)
def test_peak_of_an_adjoint_product(name):
    m = 5_000_000  # the map as float32 would take 1.3 GB
    assert measured(name, m, 2, "float32", adjoint=True) <= allowed(name, m, "float32")


@pytest.mark.parametrize(
    ("dtype", "map_dtype"),
    [("int32", "float64"), ("float16", "float32"), ("float32", "float64"), ("float64", "float32")],
)
@pytest.mark.parametrize("name", SKETCHES)
def test_peak_of_a_product_that_converts(name, dtype, map_dtype):
    m, n = 500_000, 42  # 160 MB in float64
    assert measured(name, m, n, dtype, map_dtype=map_dtype) <= allowed(name, m, "float64")


@pytest.mark.parametrize("name", SKETCHES)
def test_peak_of_a_product_with_a_sparse_matrix(name):
    m = 4_000_000  # the map takes 256 MB
    assert measured(name, m, 5, "float64", sparse=True, d=8) <= allowed(name, 0, "float64")

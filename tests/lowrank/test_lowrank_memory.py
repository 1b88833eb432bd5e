# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""No copy of A: what a process grows by is c (m + n) l, measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
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
    X = rng.standard_normal((m, 60), dtype=np.float32)
    if m == n:
        return X @ X.T
    A = X @ rng.standard_normal((60, n), dtype=np.float32)
    A += rng.standard_normal(A.shape, dtype=np.float32)
    return A
call = lambda A: {call}
call(make({m} // 10, min({m} // 10, {n})))  # what a process pays once
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
    "row_extraction": ("randnla.svd(A, 30, method='row_extraction', rng=0)", 8),
    "single_pass": ("randnla.svd(A, 13, method='single_pass', rng=0)", 4),
    "svd tol": ("randnla.svd(A, 40, tol=0.5, rng=0)", 7),
    "pca": ("randnla.pca(A, 30, method='subspace', rng=0)", 5),
    "range_finder": ("randnla.range_finder(A, 30, rng=0)", 5),
    "interpolative": ("randnla.interpolative(A, 40, rng=0)", 3),
    "interpolative rows": ("randnla.interpolative(A, 40, kind='row', rng=0)", 9),
    "interpolative projection": ("randnla.interpolative(A, 40, coefficients='projection', rng=0)", 9),
    "cur": ("randnla.cur(A, 40, rng=0)", 9),
}
# Of semidefinite matrices of order 4000, in blocks of 40 columns of both sides; a copy would be 50.
SQUARE = {
    "eigh": ("randnla.eigh(A, 30, method='subspace', rng=0)", 5),
    "eigh auto": ("randnla.eigh(A, 30, rng=0)", 7),
    "eigh row_extraction": ("randnla.eigh(A, 30, method='row_extraction', rng=0)", 5),
    "eigh one_pass": ("randnla.eigh(A, 30, method='one_pass', rng=0)", 5),
    "eigh nystrom": ("randnla.eigh(A, 30, method='nystrom', rng=0)", 5),
    "rpcholesky": ("randnla.rpcholesky(A, 40, rng=0)", 2),
    "rpcholesky tol": ("randnla.rpcholesky(A, tol=0.1, rng=0)", 4),
    "rpcholesky simple": ("randnla.rpcholesky(A, 40, method='simple', rng=0)", 2),
    "nystrom": ("randnla.nystrom(A, 30, rng=0)", 5),
}


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("name", CALLS)
def test_peak(name):
    check(*CALLS[name], M, N, UNIT_MB)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("name", SQUARE)
def test_peak_of_eigenpairs(name):
    order = 4000
    check(*SQUARE[name], order, order, 2 * order * L * 4 / 2**20)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("driver", ["svd", "pca"])
def test_gram_routes_hold_sums_of_slabs(driver):
    # 32 totals of 200 x 200 in float64 and float32 are 15 MB, whatever the rows; A takes 61.
    call = f"randnla.{driver}(A, 20, method='gram', rng=0)"
    m, n = 80_000, 200
    check(call, 5, m, n, (m + n) * 20 * 4 / 2**20)


MAPPED = """
import threading, numpy as np, randnla
randnla.set_num_threads(1)
def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1024
call = lambda A: {call}
A = np.load({path!r}, mmap_mode="r"){turn}
call(np.array(A[: A.shape[0] // 10, : min(A.shape[0] // 10, A.shape[1])]))  # what a process pays once
peak, start, done = 0, anonymous(), threading.Event()
def watch():
    global peak
    while not done.wait(0.001):
        peak = max(peak, anonymous())
watcher = threading.Thread(target=watch)
watcher.start()
info = call(A).info
done.set(); watcher.join()
print(peak - start, info.memory / 2**20)
"""
BLOCKS = 8 << 20
SCRATCH_MB = 4  # of the BLAS and the allocator
READ_BY_BLOCKS = {
    **CALLS,
    "gram": ("randnla.svd(A, 30, method='gram', rng=0)", 5),
    "pca gram": ("randnla.pca(A, 30, method='gram', rng=0)", 5),
    "power": ("randnla.svd(A, 30, method='power', rng=0)", 5),
    "proto": ("randnla.svd(A, 30, method='proto', rng=0)", 5),
    "sparse sign": ("randnla.svd(A, 30, sketch='sparse_sign', rng=0)", 5),
    "srht": ("randnla.svd(A, 30, sketch='srht', rng=0)", 5),
    "pca tol": ("randnla.pca(A, 40, tol=0.5, rng=0)", 7),
    "range_finder tol": ("randnla.range_finder(A, 40, tol=0.5, rng=0)", 7),
    "interpolative": ("randnla.interpolative(A, 40, rng=0)", 9),
    **SQUARE,
    "eigh krylov": ("randnla.eigh(A, 10, oversample=0, method='krylov', power_iters=1, rng=0)", 6),
    "eigh tol": ("randnla.eigh(A, 40, tol=0.5, rng=0)", 9),
    "nystrom tol": ("randnla.nystrom(A, 40, tol=0.5, rng=0)", 9),
    "rpcholesky": ("randnla.rpcholesky(A, 40, rng=0)", 9),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A tall and a semidefinite matrix on disk, 61 MB each: ten blocks of 40 columns, fifty of both sides."""
    folder, rng = tmp_path_factory.mktemp("mapped"), np.random.default_rng(0)
    X = rng.standard_normal((M, 60), dtype=np.float32)
    noise = rng.standard_normal((M, N), dtype=np.float32)
    np.save(folder / "tall.npy", X @ rng.standard_normal((60, N), dtype=np.float32) + noise)
    np.save(folder / "square.npy", X[:4000] @ X[:4000].T)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    ("name", "turned"), [*((name, False) for name in READ_BY_BLOCKS), ("svd", True), ("pca", True)]
)
def test_peak_of_a_memmap(files, name, turned):
    """Blocks of max_memory come on top of what an array in memory takes, never A; its transpose likewise."""
    call, most = READ_BY_BLOCKS[name]
    square = name in SQUARE or name in ("eigh krylov", "eigh tol", "nystrom tol", "rpcholesky")
    path = str(files / ("square.npy" if square else "tall.npy"))
    call = call.replace("rng=0", f"rng=0, max_memory={BLOCKS}")
    program = MAPPED.format(call=call, path=path, turn=".T" if turned else "")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    grown, told = map(float, done.stdout.split())
    unit = 2 * 4000 * L * 4 / 2**20 if square else UNIT_MB
    beside = BLOCKS / 2**20 + SCRATCH_MB
    assert grown <= most * unit + beside
    assert grown <= 3 * told + beside


def check(call, most, m, n, unit):
    """The process grows by at most so many units of memory, and ``info.memory`` says so to a factor."""
    program = PROGRAM.format(call=call, m=m, n=n)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    grown, told = map(float, done.stdout.split())
    assert grown <= most * unit
    assert grown / 3 <= told <= 3 * grown

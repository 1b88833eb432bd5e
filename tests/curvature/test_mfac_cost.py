# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""How the cost of M-FAC grows with the parameters and the window, what it drifts by, what memory it takes."""

import subprocess
import sys
import time

import numpy as np
import pytest

from randnla import num_threads, set_num_threads
from randnla.curvature import MFAC
from randnla.curvature.windows.static_window import orthogonalize


def seconds(calls):
    """The least of five rounds of each, of the processor; every round has all of them."""
    rounds = []
    for _ in range(5):
        rounds.append([])
        for call in calls:
            start = time.process_time()
            call()
            rounds[-1].append(time.process_time() - start)
    return np.min(rounds, axis=0)


def slope(sizes, times):
    return np.polyfit(np.log(sizes), np.log(times), 1)[0]


@pytest.fixture(autouse=True)
def _one_thread():
    before = num_threads()
    set_num_threads(1)
    yield
    set_num_threads(before)


def product_of(d, m):
    rng = np.random.default_rng(0)
    made, x = MFAC(d, m, 0.1), np.ones(d, np.float32)
    for _ in range(m):
        made.add(rng.standard_normal(d, dtype=np.float32))
    made.inverse_hvp(x)
    return lambda: made.inverse_hvp(x)


@pytest.mark.serial
def test_products_are_linear_in_parameters_and_in_the_window():
    """Of sizes that leave the caches."""
    dims, windows = [1 << 17, 1 << 18, 1 << 19, 1 << 20], [16, 32, 64, 128]
    by_dim = seconds([product_of(d, 16) for d in dims])
    by_window = seconds([product_of(1 << 17, m) for m in windows])
    assert 0.8 <= slope(dims, by_dim) <= 1.2
    assert 0.7 <= slope(windows, by_window) <= 1.2  # what does not depend on the window is a pass, too


@pytest.mark.serial
def test_the_recursion_is_linear_in_parameters_and_quadratic_in_the_window():
    """Of sizes that leave the caches, where parameters alone vary."""
    rng = np.random.default_rng(0)

    def build(d, m):
        A = rng.standard_normal((d, m), dtype=np.float32) / np.float32(d**0.5)
        return lambda: orthogonalize(A.copy(), 0.1, np.eye(m), np.empty(m))

    dims, windows = [1 << 17, 1 << 18, 1 << 19, 1 << 20], [64, 128, 256, 512]
    by_dim, by_window = (
        seconds(calls) for calls in ([build(d, 64) for d in dims], [build(1 << 14, m) for m in windows])
    )
    assert 0.8 <= slope(dims, by_dim) <= 1.2
    # Products of few columns are slow, so that short windows pay more for them.
    assert 1.4 <= slope(windows, by_window) <= 2.2


def changing(d, m):
    """A full window that drops its oldest gradient and takes a new one, and factors."""
    made, g = filled(d, m), np.random.default_rng(1).standard_normal(d, dtype=np.float32)

    def change():
        made.remove()
        made.add(g)

    change()
    return change


def filled(d, m, **settings):
    rng, made = np.random.default_rng(0), MFAC(d, m, 0.1, **settings)
    for _ in range(m):
        made.add(rng.standard_normal(d, dtype=np.float32))
    return made


@pytest.mark.serial
def test_adding_and_removing_are_linear_in_parameters_and_in_the_window():
    """Of sizes that leave the caches."""
    dims, windows = [1 << 17, 1 << 18, 1 << 19, 1 << 20], [16, 32, 64, 128]
    by_dim = seconds([changing(d, 16) for d in dims])
    by_window = seconds([changing(1 << 17, m) for m in windows])
    assert 0.8 <= slope(dims, by_dim) <= 1.2
    assert 0.6 <= slope(windows, by_window) <= 1.2  # to check and to keep a gradient is passes, too


@pytest.mark.serial
def test_a_change_without_parameters_is_at_most_cubic_in_the_window():
    windows = [128, 256, 512, 1024]

    def changed(m):
        change, made = changing(8, m), filled(8, m, method="dynamic")
        g = np.ones(8, np.float32)
        return change, lambda: made.add(g)

    for times in zip(*(seconds(changed(m)) for m in windows), strict=True):
        assert slope(windows, times) <= 3.2


@pytest.mark.serial
@pytest.mark.parametrize("method", ["dual", "static"])
def test_elements_do_not_depend_on_parameters_and_are_linear_in_the_window(method):
    def elements(d, m):
        made = filled(d, m, method=method)
        made.inverse_element(0, 1)
        pairs = [tuple(map(int, pair)) for pair in np.random.default_rng(2).integers(0, d, (500, 2))]
        return lambda: [made.inverse_element(i, j) for i, j in pairs]

    dims, windows = [1 << 12, 1 << 13, 1 << 14, 1 << 15], [64, 256, 1024]
    assert slope(dims, seconds([elements(d, 32) for d in dims])) <= 0.3  # lines that are in no cache
    assert slope(windows, seconds([elements(1 << 11, m) for m in windows])) <= 1.2


@pytest.mark.parametrize("storage", [None, "bfloat16", "float16"])
def test_a_window_in_blocks_is_that_of_what_it_holds(storage):
    rng = np.random.default_rng(0)
    d, m, damping = 24, 6, 1e-3
    G = rng.standard_normal((500, d)).astype(np.float32)
    made = MFAC(d, m, damping, block=10, storage=storage)
    for g in G:
        made.add(g)
    held = made.gradients().astype(np.float64)
    np.testing.assert_allclose(held, G[-m:], rtol=2.0**-8 if storage else 0)
    x = rng.standard_normal(d).astype(np.float32)
    exact = np.empty(d)
    for part in (slice(0, 10), slice(10, 20), slice(20, 24)):
        F = held[:, part].T @ held[:, part] / m + damping * np.eye(part.stop - part.start)
        exact[part] = np.linalg.solve(F, x[part].astype(np.float64))
    # One rounding of the result; with narrow storage inner products have those of float32, over the
    # relative damping.
    limit = 1e-6 if storage is None else 1e-4
    assert np.linalg.norm(made.inverse_hvp(x) - exact) <= limit * np.linalg.norm(exact)


PAGED = """
import resource, sys
import numpy as np
from randnla.curvature import MFAC
d, m = 400_000, 100  # 160 MB in the file
one = np.ones(d, np.float32)
one[::3] = -2.0
one *= 1e-3
made = MFAC(d, m, 0.5, method=sys.argv[1], path=sys.argv[2])
made.add(one); made.inverse_hvp(one); made = None
import os; os.remove(sys.argv[2])
with open("/proc/self/status") as status:
    held = next(int(line.split()[1]) for line in status if line.startswith("VmData")) << 10
resource.setrlimit(resource.RLIMIT_DATA, (held + (128 << 20),) * 2)  # less than the window
made = MFAC(d, m, 0.5, method=sys.argv[1], path=sys.argv[2])
for k in range(m):
    one[k] += 0.1
    made.add(one)
y = made.inverse_hvp(one)
print(float(np.linalg.norm(made.hvp(y) - one) / np.linalg.norm(one)))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits what a process may allocate as Linux counts it")
@pytest.mark.parametrize("method", ["dual", "static"])
def test_a_window_in_a_file_takes_less_memory_than_it_is_long(method, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PAGED, method, str(tmp_path / "window")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Gradients are of length 1, F has a condition below 10.
    assert float(done.stdout) <= 1e-5

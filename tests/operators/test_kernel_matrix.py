# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Kernel matrices: entries to the last bits, products without the matrix."""

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import randnla
from randnla import InputError, KernelMatrix, NonFiniteError

KERNELS = {
    "gaussian": lambda r: np.exp(-r * r / 2),
    "laplace": lambda r: np.exp(-r),
    "matern32": lambda r: (1 + np.sqrt(np.longdouble(3)) * r) * np.exp(-np.sqrt(np.longdouble(3)) * r),
    "matern52": lambda r: (
        (1 + np.sqrt(np.longdouble(5)) * r + 5 * r * r / 3) * np.exp(-np.sqrt(np.longdouble(5)) * r)
    ),
}
# The exponent of an entry at distance r.
EXPONENT = {
    "gaussian": lambda r: r * r / 2,
    "laplace": lambda r: r,
    "matern32": lambda r: 3**0.5 * r,
    "matern52": lambda r: 5**0.5 * r,
}


def points(n, dim, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(dtype)


def distances(x, y):
    wide = np.longdouble
    return np.sqrt(((x[:, None].astype(wide) - y[None].astype(wide)) ** 2).sum(axis=2))


def worst_error(K, kernel, bandwidth, dtype):
    """Largest error of an entry over u (2 + (dim + 4) exponent), the promise of the docstring."""
    r = distances(K.points, K.points2) / np.longdouble(bandwidth)
    exact, exponent = KERNELS[kernel](r), EXPONENT[kernel](r)
    seen = exponent < (80 if dtype == np.float32 else 700)
    u = np.finfo(dtype).eps / 2
    allowed = u * (4 + (K.points.shape[1] + 4) * exponent)
    entries = K.to_dense()
    assert np.all(entries[exponent > (88 if dtype == np.float32 else 710)] == 0)
    return float(np.max(np.abs(entries - exact)[seen] / (exact * allowed)[seen]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dim", [1, 3, 37])
def test_entries_are_accurate_however_close_and_far_the_points(kernel, dtype, dim):
    near = points(20, dim, dtype)
    x = np.concatenate([near, near * dtype(1 + 1e-5), near + dtype(100.0), points(30, dim, dtype, 1) * 5])
    for bandwidth in (0.3, 2.0, 50.0):
        K = KernelMatrix(x, kernel=kernel, bandwidth=bandwidth)
        assert worst_error(K, kernel, bandwidth, dtype) <= 1
        # The test would see one of the usual formulas: |x|^2 + |y|^2 - 2 x.y loses close points.
    far = (points(10, dim) + 1000.0).astype(dtype)
    squares = (far.astype(dtype) ** 2).sum(axis=1, dtype=dtype)
    usual = np.sqrt(np.maximum(squares[:, None] + squares - 2 * far @ far.T, 0))
    K = KernelMatrix(far, kernel="laplace", bandwidth=1.0)
    assert worst_error(K, "laplace", 1.0, dtype) <= 1
    lost = np.abs(np.exp(-usual) - np.exp(-distances(far, far).astype(dtype))).max()
    assert lost > 1e3 * np.finfo(dtype).eps


def test_entries_depend_on_their_points_alone():
    x = points(150, 5)
    K = KernelMatrix(x, bandwidth=1.5, kernel="matern52")
    D = K.to_dense()
    assert np.array_equal(D, D.T)
    assert np.all(np.diagonal(D) == 1)
    assert np.array_equal(K.diagonal(), np.diagonal(D))
    rows, columns = [5, 149, 0], [7, 7, 3, 88]
    assert np.array_equal(K.entries(rows, columns), D[np.ix_(rows, columns)])
    for count in (1, 3, 40, 150):
        assert np.array_equal(K.columns(np.arange(count)), D[:, :count])
    for layout in (np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], x[::-1].copy()[::-1]):
        assert np.array_equal(KernelMatrix(layout, bandwidth=1.5, kernel="matern52").to_dense(), D)
    scaled = KernelMatrix(x * 2.0**300, bandwidth=1.5 * 2.0**300, kernel="matern52")
    assert np.array_equal(scaled.to_dense(), D)
    before = randnla.num_threads()
    randnla.set_num_threads(3)
    assert np.array_equal(K.to_dense(), D)
    randnla.set_num_threads(before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (300, 7), (530, 290)])
def test_products_are_those_of_the_dense_matrix(dtype, shape):
    m, n = shape
    real = np.dtype(dtype).type(0).real.dtype.type
    K = KernelMatrix(points(m, 4, real), points2=points(n, 4, real, 1), bandwidth=1.2)
    D = K.to_dense()
    rng = np.random.default_rng(2)
    for k in (1, 5, 40):
        X, Y = rng.standard_normal((n, k)).astype(dtype), rng.standard_normal((m, k)).astype(dtype)
        if np.dtype(dtype).kind == "c":
            X, Y = X * (1 + 2j), Y * (1 - 1j)
        room = 4 * np.finfo(dtype).eps * np.sqrt(max(m, n)) * np.sqrt(max(m, n) * k) * 3
        for got, expected in (
            (K @ X, D @ X),
            (K @ np.asfortranarray(X), D @ X),
            (K.rmatmat(Y), D.T @ Y),
            (K.T @ Y, D.T @ Y),
            (K.H @ Y, D.T @ Y),
        ):
            assert got.dtype == expected.dtype == dtype
            assert np.linalg.norm(got - expected) <= room
    assert (K @ np.zeros((n, 0), dtype)).shape == (m, 0)


def test_mixed_precision_takes_the_wider():
    K = KernelMatrix(points(30, 2, np.float32), bandwidth=1.0)
    X = points(30, 3)
    assert (K @ X).dtype == np.float64
    wide = KernelMatrix(points(30, 2, np.float32), bandwidth=1.0, dtype=np.float64)
    assert wide.dtype == np.float64
    assert np.allclose(K @ X, wide.to_dense() @ X, rtol=0, atol=1e-12)


def test_empty_point_sets():
    K = KernelMatrix(np.zeros((0, 3)), points2=points(5, 3), bandwidth=1.0)
    assert K.to_dense().shape == (0, 5)
    assert np.array_equal(K.T @ np.zeros((0, 2)), np.zeros((5, 2)))
    assert np.array_equal(KernelMatrix(np.zeros((4, 0)), bandwidth=1.0).to_dense(), np.ones((4, 4)))


def test_products_never_hold_the_matrix():
    n = 20_000  # 3.2 GB as an array
    K = KernelMatrix(points(n, 2, np.float32), bandwidth=1.0)
    X = np.ones((n, 1), np.float32)
    tracemalloc.start()
    product = K @ X
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * product.nbytes
    rows = [0, 777, n - 1]
    assert np.allclose(product[rows], K.entries(rows, np.arange(n)).sum(axis=1, keepdims=True), rtol=1e-4)


def test_decompositions_take_it_like_any_other():
    x = points(400, 2)
    K = KernelMatrix(x, bandwidth=3.0)
    D = K.to_dense()
    exact = np.linalg.eigvalsh(D)[::-1]
    w, V = found = randnla.nystrom(K, 12, rng=0)
    assert found.info.method == "nystrom"
    assert np.allclose(w, exact[:12], rtol=1e-3, atol=1e-6)
    assert np.linalg.norm(D - (V * w) @ V.T) <= found.info.error_estimate
    assert np.allclose(randnla.eigh(K, 5, rng=0).w, exact[:5], rtol=1e-6)
    rectangular = KernelMatrix(x, points2=points(90, 2, seed=3), bandwidth=3.0)
    s = randnla.svd(rectangular, 5, rng=0).s
    assert np.allclose(s, np.linalg.svd(rectangular.to_dense(), compute_uv=False)[:5], rtol=1e-6)


def test_instruction_sets_agree():
    """The levels differ by the rounding of a fused multiply-add."""
    code = (
        "import sys, numpy as np, randnla\n"
        "x = np.random.default_rng(0).standard_normal((90, 6))\n"
        "out = [randnla.KernelMatrix(x.astype(t), bandwidth=1.3, kernel=k).to_dense().astype(float)\n"
        "       for t in ('f4', 'f8') for k in ('gaussian', 'laplace', 'matern32', 'matern52')]\n"
        "sys.stdout.buffer.write(np.array(out).tobytes())"
    )
    tables = []
    for level in ("", "v2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "RANDNLA_ISA": level},
            capture_output=True,
            timeout=60,
            check=True,
        )
        tables.append(np.frombuffer(done.stdout).reshape(2, 4, 90, 90))
    for j, limit in enumerate((1e-4, 1e-12)):
        assert np.allclose(tables[0][j], tables[1][j], rtol=limit, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bandwidth": 0.0}, "bandwidth: expected a positive number, got 0"),
        ({"bandwidth": -1.0}, "bandwidth: expected a positive number, got -1"),
        ({"bandwidth": np.nan}, "bandwidth: expected a finite number"),
        ({"bandwidth": "median"}, "bandwidth: expected a real number"),
        ({"bandwidth": 1.0, "kernel": "cosine"}, "kernel: expected one of 'gaussian', 'laplace'"),
        ({"bandwidth": 1.0, "points2": np.ones((3, 5))}, r"points2: expected points of dimension 2, got"),
        ({"bandwidth": 1.0, "points2": np.ones(3)}, r"points2: expected 2 dimensions, got 1"),
        ({"bandwidth": 1.0, "dtype": np.int32}, "dtype: expected float32 or float64"),
    ],
)
def test_arguments_that_do_not_fit(options, message):
    with pytest.raises(InputError, match=message):
        KernelMatrix(np.ones((4, 2)), **options)


def test_points_that_do_not_fit():
    with pytest.raises(InputError, match="points: expected real points"):
        KernelMatrix(np.ones((4, 2), complex), bandwidth=1.0)
    bad = np.ones((4, 2))
    bad[2, 1] = np.inf
    with pytest.raises(NonFiniteError, match=r"points: 1 entry is NaN or Inf, the first at index \(2, 1\)"):
        KernelMatrix(bad, bandwidth=1.0)
    with pytest.raises(NonFiniteError, match="points2: 1 entry"):
        KernelMatrix(np.ones((4, 2)), points2=bad, bandwidth=1.0)
    K = KernelMatrix(np.where(bad == 1, 1.0, np.nan), bandwidth=1.0, check_finite=False)
    D = K.to_dense()
    assert np.isnan(D[2]).all()
    assert np.isfinite(np.delete(np.delete(D, 2, 0), 2, 1)).all()
    assert np.isnan(K.diagonal()[2])


@pytest.mark.parametrize("indices", [[4], [-1], [0.5], [[0]]])
def test_indices_that_do_not_fit(indices):
    with pytest.raises(InputError, match="indices: expected"):
        KernelMatrix(np.ones((4, 2)), bandwidth=1.0).columns(indices)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("columns", [1, 3, 8])
def test_symmetry_halves_the_entries_of_narrow_products(kernel, dtype, columns):
    """2 377 points are several panels and a part of one; another set of the same points has no symmetry."""
    x = points(2377, 3, dtype)
    V = np.random.default_rng(1).standard_normal((2377, 2 * columns)).astype(dtype)[::-1, ::2]
    other = KernelMatrix(x, points2=x.copy(), kernel=kernel, bandwidth=1.5)
    exact = other.to_dense().astype(np.float64) @ V.astype(np.float64)
    scale = np.abs(exact).max()
    results = []
    for layout in (x, np.asfortranarray(x)):
        K = KernelMatrix(layout, kernel=kernel, bandwidth=1.5)
        for threads in (1, 2, 3, 4):
            randnla.set_num_threads(threads)
            try:
                results.append(K @ V)
            finally:
                randnla.set_num_threads(0)
    assert np.abs(results[0] - exact).max() <= 200 * np.finfo(dtype).eps * scale
    for result in results[1:]:
        assert np.array_equal(result, results[0])
    assert not np.array_equal(results[0], other @ V)  # another order of sums: the way above was taken


def test_symmetric_products_of_complex_and_wider_vectors():
    x = points(2100, 2, np.float32)
    K = KernelMatrix(x, bandwidth=1.5)
    exact = KernelMatrix(x.astype(np.float64), bandwidth=1.5).to_dense()
    for V in (points(2100, 2), points(2100, 2) + 1j * points(2100, 2, seed=3)):
        assert np.abs(K @ V - exact @ V).max() <= 1e-10 * np.abs(exact @ V).max()

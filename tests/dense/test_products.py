# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Products of any shape and layout against float64, with the bound every summation order obeys."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from randnla._backend.kernels import dense, runtime

# Sizes on both sides of every block of the kernels: tile rows, vector lanes, panels, inner blocks, strips.
EXTENTS = (1, 3, 5, 8, 16, 17, 33, 63, 64, 65, 70, 97, 127, 129, 255, 257, 300, 385, 520)


def strided(rng, shape, dtype, layout):
    m, n = shape
    if layout == "C":
        return rng.standard_normal(shape).astype(dtype)
    if layout == "F":
        return np.asfortranarray(rng.standard_normal(shape).astype(dtype))
    if layout == "reversed":
        return rng.standard_normal(shape).astype(dtype)[::-1, ::-1]
    if layout == "sliced":
        return rng.standard_normal((m, 2 * n)).astype(dtype)[:, ::2]
    return np.broadcast_to(rng.standard_normal((1, n)).astype(dtype), shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_product_of_any_shape_and_layout(dtype, threads):
    rng = np.random.default_rng([threads, np.dtype(dtype).itemsize])
    layouts = ("C", "F", "reversed", "sliced", "broadcast")
    runtime.set_team_size(threads)
    try:
        for _ in range(60):
            m, k, n = (int(v) for v in rng.choice(EXTENTS, 3))
            A = strided(rng, (m, k), dtype, rng.choice(layouts))
            B = strided(rng, (k, n), dtype, rng.choice(layouts))
            C = strided(rng, (m, n), dtype, rng.choice(layouts[:4]))
            beta = float(rng.choice([0.0, 1.0, -0.5]))
            exact = 2.0 * (A.astype(np.float64) @ B.astype(np.float64)) + beta * C.astype(np.float64)
            # |fl(sum) - sum| <= gamma_{k+3} sum |a||b| for every order of summation (Higham, section 3.1)
            bound = (
                (k + 3)
                * np.finfo(dtype).eps
                * (
                    2.0 * (np.abs(A).astype(np.float64) @ np.abs(B).astype(np.float64))
                    + abs(beta) * np.abs(C)
                )
            )
            if beta == 0.0:
                C[...] = np.nan  # must be overwritten, not multiplied
            dense.gemm(A, B, C, alpha=2.0, beta=beta)
            assert np.all(np.abs(C - exact) <= bound), (m, k, n, beta, A.strides, B.strides, C.strides)
    finally:
        runtime.set_team_size(0)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (3000, 40), (1500, 300), (2600, 600)])
def test_moments_of_any_layout_and_the_same_bits_for_every_team(shape, dtype, wide):
    m, n = shape
    rng = np.random.default_rng(m)
    for layout in ("C", "F", "reversed", "sliced"):
        A = strided(rng, shape, dtype, layout) + dtype(3)
        point = (rng.standard_normal(n) + 3).astype(dtype) if layout != "F" else None
        D = A.astype(np.float64) - (0 if point is None else point.astype(np.float64))
        results = []
        for threads in (1, 2, 3):
            runtime.set_team_size(threads)
            try:
                results.append(dense.moments(A, point, wide=wide))
            finally:
                runtime.set_team_size(0)
        G, sums = results[0]
        assert G.dtype == sums.dtype == np.float64
        u = np.finfo(np.float64 if wide else dtype).eps / 2
        # The assumptions of gram.Spectrum.cosine; rounding of A - p adds 2 u on single entries.
        factor = 6.0 if n < 40 else 0.5 if point is None else 0.75
        bound = (factor * u + 1e-15) * np.trace(D.T @ D)
        assert np.linalg.norm(G - D.T @ D, 2) <= bound
        assert np.allclose(sums, D.sum(axis=0), rtol=0, atol=4 * u * np.abs(D).sum())
        assert np.array_equal(G, G.T)
        for other in results[1:]:
            assert np.array_equal(G, other[0])
            assert np.array_equal(sums, other[1])


STRIDED_MEMORY = """
import resource, numpy as np
from randnla._backend.kernels import dense
A = np.ones((2_000_000, 16))[:, ::2]
x, out = np.ones((8, 3)), np.ones((2_000_000, 3))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
dense.gemm(A, x, out)
assert (out == 8).all()
print((peak() - before) / 1024)
"""


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "shape",
    [
        (5000, 300, 60),
        (60, 5000, 60),
        (20, 30000, 100),
        (1025, 2300, 138),
        (200, 1500, 128),
        (150, 9000, 256),
    ],
)
def test_narrow_products_have_the_same_bits_for_every_team(shape, dtype):
    m, k, n = shape
    rng = np.random.default_rng([m, k, n])
    A, B = strided(rng, (m, k), dtype, "C"), strided(rng, (k, n), dtype, "C")
    for left in (A, np.asfortranarray(A)):
        for right in (B, np.asfortranarray(B)):
            results = []
            for threads in (1, 2, 3, 4):
                runtime.set_team_size(threads)
                try:
                    results.append(np.asarray(dense.gemm(left, right)))
                finally:
                    runtime.set_team_size(0)
            for other in results[1:]:
                np.testing.assert_array_equal(results[0], other)


def test_a_strided_operand_is_packed_panel_by_panel():
    """In a process of its own: A is 256 MB behind its strides, of which 128 MB are elements."""
    run = subprocess.run([sys.executable, "-c", STRIDED_MEMORY], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 16


@pytest.mark.parametrize("shape", [(900, 5, 700), (300, 2000, 310), (5, 3000, 1), (0, 4, 3), (4, 0, 3)])
def test_numpy_products_go_in_blocks(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int]) -> None:
    """Sums of small integers are exact in any order; no call multiplies more than was asked for."""
    monkeypatch.setattr(dense, "CALL_SIZE", 1 << 16)
    m, k, n = shape
    rng = np.random.default_rng(2)
    A, B = (
        rng.integers(-3, 4, size) + 1j * rng.integers(-3, 4, size) for size in ((m, k), (k, n))
    )  # fmt: skip
    np.testing.assert_array_equal(dense.matmul(A, B), A @ B)
    out = np.full((m, 2 * n), np.nan, complex)[:, ::2]
    assert dense.matmul(A, B, out) is out
    np.testing.assert_array_equal(out, A @ B)
    np.testing.assert_array_equal(dense.gram(A), A.conj().T @ A)
    np.testing.assert_array_equal(dense.moments(A)[0], A.conj().T @ A)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("trans", [False, True])
def test_one_column_is_a_product_too(dtype, trans):
    """By gemv: whatever C held with beta = 0, strided C, and every beta."""
    rng = np.random.default_rng(0)
    A = rng.integers(-3, 4, (700, 90)).astype(dtype)
    A = A.T if trans else A
    x = rng.integers(-3, 4, (A.shape[1], 1)).astype(dtype)
    expected = A @ x
    out = np.full((A.shape[0], 1), np.nan, dtype)
    assert np.array_equal(dense.gemm(A, x, out), expected)
    wide = np.full((A.shape[0], 3), 2, dtype)
    dense.gemm(A, x, wide[:, 1:2], alpha=-1.0, beta=1.0)
    assert np.array_equal(wide, np.column_stack([np.full(len(A), 2), 2 - expected[:, 0], np.full(len(A), 2)]))
    assert np.array_equal(dense.gemm(A[::-1, ::-2], x[::-2]), (A[::-1, ::-2] @ x[::-2]))

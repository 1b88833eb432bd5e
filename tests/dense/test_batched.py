# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Batched Cholesky factors, inverses and solves against LAPACK matrix by matrix."""

import numpy as np
import pytest
import scipy.linalg
from cases import LAYOUTS

import randnla
from randnla import InputError
from randnla._backend.kernels.batched import (
    batched_cholesky,
    batched_inverse,
    batched_solve,
    ragged_cholesky,
    ragged_inverse,
    ragged_solve,
)

# Sizes around the tile of 4, the lanes of every instruction set, and the border to LAPACK (160).
ORDERS = [1, 2, 3, 4, 5, 8, 10, 26, 63, 129, 160, 161, 200, 512, 1024]


def definite(count, n, dtype, seed=0):
    X = np.random.default_rng(seed).standard_normal((count, n, n + 3))
    return (X @ X.transpose(0, 2, 1) / n + 0.5 * np.eye(n)).astype(dtype)


def tolerance(A, shift, dtype):
    """Inverses are off by a few n u cond; cond <= (tr A + shift n) / (0.5 + shift) here."""
    n = A.shape[1]
    cond = (np.trace(A, axis1=1, axis2=2).max() + n * np.max(shift)) / 0.5
    return 2 * n * np.finfo(dtype).eps * cond


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", ORDERS)
def test_against_lapack(n, dtype, wide):
    count = 37 if n < 64 else 5 if n < 512 else 2
    A = definite(count, n, dtype)
    damping = np.linspace(0, 1, count)
    shifted = A.astype(np.float64) + damping[:, None, None] * np.eye(n)
    before = A.copy()
    eps = tolerance(A, damping, dtype)

    L, info = batched_cholesky(A, damping, wide=wide)
    assert L.dtype == dtype
    assert not info.any()
    np.testing.assert_allclose(L, np.linalg.cholesky(shifted), rtol=0, atol=eps)
    np.testing.assert_array_equal(L, np.tril(L))

    X, info = batched_inverse(A, damping, wide=wide)
    assert not info.any()
    np.testing.assert_array_equal(X, X.transpose(0, 2, 1))
    np.testing.assert_allclose(X, np.linalg.inv(shifted), rtol=0, atol=eps)

    B = np.random.default_rng(1).standard_normal((count, n, 3)).astype(dtype)
    Y, info = batched_solve(A, B, damping, wide=wide)
    assert not info.any()
    np.testing.assert_allclose(Y, np.linalg.solve(shifted, B), rtol=0, atol=10 * eps)
    np.testing.assert_array_equal(A, before)  # damping is never added in place


def test_only_the_lower_triangle_is_read_and_any_layout_is():
    A = definite(20, 6, np.float64)
    expected = batched_inverse(A)[0]
    np.testing.assert_array_equal(batched_inverse(np.tril(A))[0], expected)
    for name, make in LAYOUTS.items():
        stored = make(A.reshape(120, 6))
        if name in ("unaligned", "big_endian"):  # the generic path
            np.testing.assert_allclose(batched_inverse(stored.reshape(20, 6, 6))[0], expected, atol=1e-12)
    swapped = np.ascontiguousarray(A.transpose(2, 0, 1)).transpose(1, 2, 0)
    np.testing.assert_array_equal(batched_inverse(swapped)[0], expected)
    np.testing.assert_array_equal(batched_inverse(A[::-1])[0], expected[::-1])


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [4, 7, 8, 9, 15, 16, 17, 26])
def test_blocks_of_larger_matrices_have_the_bits_of_their_copies(n, dtype, wide):
    whole = np.full((49, n + 5, n + 9), np.nan, dtype)
    block = whole[:48, 2 : n + 2, 3 : n + 3]
    block[:] = definite(48, n, dtype)
    for run in (batched_inverse, batched_cholesky):
        expected, info = run(block.copy(), 0.5, wide=wide)
        assert not info.any()
        for stack in (block, block[::-1][::-1], block[::2]):
            step = 48 // len(stack)
            np.testing.assert_array_equal(run(stack, 0.5, wide=wide)[0], expected[::step])
        # Entry by entry, as columns are not without gaps.
        apart = np.empty((48, n, 2 * n), dtype)[:, :, ::2]
        apart[:] = block
        np.testing.assert_array_equal(run(apart, 0.5, wide=wide)[0], expected)


@pytest.mark.parametrize("n", [3, 9, 170])
def test_matrices_that_are_not_definite_are_named_and_the_others_are_right(n):
    A = definite(40, n, np.float64)
    A[3, 1, 1] = -1.0
    A[17, 0, 0] = np.nan
    A[18, n - 1, n - 1] = np.inf
    for dtype in (np.complex128, A.dtype.newbyteorder(">")):  # the generic path
        assert batched_inverse(A[[3, 17, 18]].astype(dtype))[1].tolist() == [2, 1, n]
    for result, info in (batched_inverse(A), batched_cholesky(A), batched_solve(A, A)):
        assert info[3] == 2
        assert info[17] == 1
        assert info[18] == n
        assert set(np.flatnonzero(info)) == {3, 17, 18}
        assert np.isnan(result[[3, 17, 18]]).all()
        good = np.setdiff1d(np.arange(40), [3, 17, 18])
        assert np.isfinite(result[good]).all()
    np.testing.assert_allclose(batched_inverse(A)[0][0], np.linalg.inv(A[0]), atol=1e-11)


def test_zero_matrix_with_damping_and_empty_batches():
    X, info = batched_inverse(np.zeros((5, 3, 3), np.float32), 4.0)
    np.testing.assert_array_equal(X, np.broadcast_to(0.25 * np.eye(3), X.shape))
    assert not info.any()
    assert (batched_inverse(np.zeros((2, 3, 3)))[1] == 1).all()
    for shape in ((0, 3, 3), (4, 0, 0)):
        X, info = batched_inverse(np.zeros(shape))
        assert X.shape == shape
        assert info.shape == (shape[0],)
        assert not info.any()
    assert batched_solve(np.eye(2)[None], np.zeros((1, 2, 0)))[0].shape == (1, 2, 0)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint16, bool])
def test_integers_are_computed_with_in_float64(dtype):
    A = np.array([[[1, 0], [0, 1]], [[0, 0], [0, 1]]], dtype)
    for result, info in (batched_inverse(A, 1), batched_cholesky(A, 1), batched_solve(A, A, 1)):
        assert result.dtype == np.float64
        assert not info.any()
    np.testing.assert_allclose(
        batched_inverse(A, 1)[0], [np.eye(2) / 2, np.diag([1.0, 0.5])], rtol=4 * np.finfo(float).eps
    )
    with pytest.raises(InputError, match="A: dtype object is not supported"):
        batched_inverse(A.astype(object))


@pytest.mark.parametrize("n", [1, 5, 170])
@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_results_beyond_the_range_are_told(dtype, n):
    A = (np.array([1.0, 1e-40])[:, None, None] * np.eye(n)).astype(dtype)
    sides = np.ones((2, n, 2), dtype)
    for result, info in (batched_inverse(A), batched_solve(A, sides)):
        assert info.tolist() == [0, n + 1]
        assert np.isfinite(result[0]).all()
        assert np.isnan(result[1]).all()
    assert not batched_cholesky(A)[1].any()
    sides[0] = np.nan  # not the matrix's fault
    result, info = batched_solve(A[:1], sides[:1])
    assert not info.any()
    assert np.isnan(result).all()


def test_wide_saves_what_float32_loses():
    # Condition 1e6: float32 pivots are lost, float64 ones are not.
    s = np.logspace(0, -6, 12)
    V = np.linalg.qr(np.random.default_rng(2).standard_normal((12, 12)))[0]
    A = ((V * s) @ V.T).astype(np.float32)[None]
    exact = np.linalg.inv(np.tril(A[0]).astype(np.float64) + np.tril(A[0], -1).T)
    narrow, wide = (np.linalg.norm(batched_inverse(A, wide=w)[0][0] - exact) for w in (False, True))
    assert wide <= 1e-6 * np.linalg.norm(exact)
    assert narrow > 10 * wide


def test_results_do_not_depend_on_neighbors_or_threads():
    A = definite(100, 7, np.float32)
    whole = batched_inverse(A)[0]
    before = randnla.num_threads()
    try:
        for threads in (1, 2, 3):
            randnla.set_num_threads(threads)
            np.testing.assert_array_equal(batched_inverse(A)[0], whole)
    finally:
        randnla.set_num_threads(before)
    for i in (0, 50, 99):
        np.testing.assert_array_equal(batched_inverse(A[i : i + 1])[0][0], whole[i])


def test_complex_matrices_take_the_generic_path():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((4, 5, 8)) + 1j * rng.standard_normal((4, 5, 8))
    A = X @ X.conj().transpose(0, 2, 1)
    inverse, info = batched_inverse(A, 0.5)
    assert not info.any()
    for i in range(4):
        np.testing.assert_allclose(inverse[i], np.linalg.inv(A[i] + 0.5 * np.eye(5)), atol=1e-12)
        L = batched_cholesky(A, 0.5)[0][i]
        np.testing.assert_allclose(L @ L.conj().T, A[i] + 0.5 * np.eye(5), atol=1e-12)
        x = batched_solve(A, A, 0.5)[0][i]
        expected = scipy.linalg.solve(A[i] + 0.5 * np.eye(5), A[i])
        np.testing.assert_allclose(x, expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_ragged_groups_come_back_in_their_order(dtype):
    rng = np.random.default_rng(3)
    orders = [5, 1, 26, 5, 161, 1, 26, 26, 3]
    matrices = [definite(1, n, dtype, seed=i)[0] for i, n in enumerate(orders)]
    sides = [rng.standard_normal((n, 1 + n % 2)).astype(dtype) for n in orders]
    damping = rng.random(len(orders))
    matrices[3] = -matrices[3]
    factors, info = ragged_cholesky(matrices, damping)
    inverses, again = ragged_inverse(matrices, damping)
    solutions, third = ragged_solve(matrices, sides, damping)
    assert (info > 0).tolist() == (again > 0).tolist() == (third > 0).tolist() == [i == 3 for i in range(9)]
    for i, (A, n) in enumerate(zip(matrices, orders, strict=True)):
        if i == 3:
            assert np.isnan(inverses[i]).all()
            continue
        eps = 10 * tolerance(A[None], damping[i], dtype)
        shifted = A + damping[i] * np.eye(n)
        np.testing.assert_allclose(factors[i] @ factors[i].conj().T, shifted, rtol=0, atol=eps)
        np.testing.assert_allclose(inverses[i], np.linalg.inv(shifted), rtol=0, atol=eps)
        np.testing.assert_allclose(solutions[i], np.linalg.solve(shifted, sides[i]), rtol=0, atol=eps)
    assert ragged_inverse([])[0] == []

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Products, Gram matrices, screening and small factorizations for every layout, against NumPy."""

import itertools
import math

import numpy as np
import pytest

import randnla
from randnla._backend.errors import NonFiniteError
from randnla._backend.kernels import dense
from randnla._backend.kernels import qr as kernels

REAL = (np.float32, np.float64)
LAYOUTS = {
    "C": lambda X: X.copy(),
    "F": lambda X: np.array(X, order="F"),
    "every second column": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "reversed": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
}


@pytest.fixture(params=[1, 2])
def threads(request):
    before = randnla.num_threads()
    randnla.set_num_threads(request.param)
    yield request.param
    randnla.set_num_threads(before)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, 1),
        (5, 3, 2),
        (150, 200, 60),
        (60, 700, 60),
        (7, 90, 300),
        (7, 550, 300),
        (150, 65, 110),
        (3, 0, 4),
    ],
)
def test_gemm_every_layout(shape, dtype, threads):
    m, k, n = shape
    rng = np.random.default_rng(sum(shape))
    A0, B0, C0 = (rng.standard_normal(s).astype(dtype) for s in ((m, k), (k, n), (m, n)))
    for index, (la, lb) in enumerate(itertools.product(LAYOUTS.values(), LAYOUTS.values())):
        A, B, C = la(A0), lb(B0), list(LAYOUTS.values())[index * 3 % 4](C0)
        dense.gemm(A, B, C, alpha=2.5, beta=-0.5)
        expected = 2.5 * (A0.astype(float) @ B0.astype(float)) - 0.5 * C0
        # |error| <= (k + 3) eps (|alpha| |A| |B| + |beta C|), entry by entry
        bound = 2.5 * (np.abs(A0).astype(float) @ np.abs(B0)) + np.abs(C0)
        assert np.all(np.abs(C - expected) <= (k + 3) * np.finfo(dtype).eps * bound)


@pytest.mark.parametrize("dtype", REAL)
def test_gemm_beta_zero_forgets_what_was_there(dtype):
    A, B = np.ones((200, 100), dtype), np.ones((100, 20), dtype)
    out = np.full((200, 20), np.nan, dtype)
    np.testing.assert_array_equal(dense.gemm(A, B, out), np.full((200, 20), 100, dtype))


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (2500, 60), (100, 110), (0, 3), (600, 500)])
def test_gram(shape, wide, dtype, threads):
    A = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    expected = A.astype(float).T @ A.astype(float)
    bound = np.abs(A).astype(float).T @ np.abs(A)
    eps = np.finfo(np.float64 if wide else dtype).eps
    for layout in LAYOUTS.values():
        G = dense.gram(layout(A), wide=wide)
        assert G.dtype == (np.float64 if wide else dtype)
        np.testing.assert_array_equal(G, G.T)
        assert np.all(np.abs(G - expected) <= 2 * (shape[0] + 3) * eps * bound)


@pytest.mark.parametrize("dtype", [*REAL, np.float16, np.int32, np.complex64, np.complex128])
def test_screen_measures(dtype):
    A = (np.random.default_rng(0).standard_normal((301, 203)) * 50).astype(dtype)
    if np.iscomplexobj(A):
        A = A * dtype(1 + 2j)
    for layout in LAYOUTS.values():
        seen = dense.screen(layout(A))
        assert seen.finite
        assert seen.exponent == 0
        expected = np.linalg.norm(A.astype(np.complex128))
        assert seen.frobenius_norm == pytest.approx(expected, rel=1e-12)
    assert dense.screen(np.zeros((0, 3), np.float64)) == dense.Screen(0.0, 0, 0.0, True)


@pytest.mark.parametrize("power", [-1074 + 60, -900, -401, 0, 399, 401, 900, 1015])
def test_screen_scales_exactly(power):
    A = np.ldexp(np.random.default_rng(0).integers(1, 2**20, (50, 70)).astype(float), -20)
    plain, scaled = dense.screen(A), dense.screen(np.ldexp(A, power))
    assert scaled.max_abs == math.ldexp(plain.max_abs, power)
    shift = 2 * (power - scaled.exponent)
    assert scaled.sum_squares == math.ldexp(plain.sum_squares, shift)


def test_screen_extremes():
    tiny = dense.screen(np.full((2, 2), 5e-324))
    assert math.ldexp(tiny.sum_squares, 2 * (tiny.exponent + 1074)) == 4.0
    assert dense.screen(np.full((2, 2), 1e308)).frobenius_norm == math.inf
    assert dense.screen(np.full((2, 2), 1e308)).finite


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (130, 77), (299, 199)])
def test_non_finite_is_found(value, place):
    A = np.zeros((300, 200))
    A[place] = value
    for layout in LAYOUTS.values():
        assert not dense.screen(layout(A)).finite
        assert dense.first_non_finite(layout(A)) == (1, place)
    for factor in (kernels.householder_qr, kernels.cholesky_qr, kernels.small_svd):
        with pytest.raises(NonFiniteError, match=rf"\({place[0]}, {place[1]}\)"):
            factor(A)


@pytest.mark.parametrize("dtype", [*REAL, np.complex64, np.complex128])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_small_svd_and_eigh(dtype, scale):
    rng = np.random.default_rng(0)
    eps = np.finfo(dtype).eps
    for m, n in ((30, 12), (12, 30), (1, 1), (0, 4)):
        A = (rng.standard_normal((m, n)) * scale).astype(dtype)
        if np.iscomplexobj(A):
            A = A * dtype(1 + 2j)
        U, s, Vh = kernels.small_svd(A)
        norm = max(s.max(initial=0), np.finfo(A.real.dtype).tiny)
        assert np.all(np.diff(s) <= 0)
        assert np.abs((U * s) @ Vh - A).max(initial=0) <= 30 * 30 * eps * norm
        H = A[: min(m, n), : min(m, n)]
        H = H + H.conj().T
        w, V = kernels.small_eigh(H)
        assert np.all(np.diff(w) >= 0)
        assert np.abs((V * w) @ V.conj().T - H).max(initial=0) <= 60 * 30 * eps * norm


@pytest.mark.parametrize("dtype", REAL)
def test_powers_of_two_scale_as_ldexp_does(dtype):
    limits = np.finfo(dtype)
    X = small((40, 7), dtype) * np.ldexp(dtype(1), np.arange(limits.minexp, limits.minexp + 40))[:, None]
    X[0, :4] = np.inf, -0.0, limits.max, limits.smallest_subnormal
    for exponent in (0, 1, -1, -7, 119, -120, 121, -121, 1000, -1001, 3000, -3000):
        with np.errstate(over="ignore", under="ignore"):
            expected = np.ldexp(X, exponent)
        assert expected.tobytes() == kernels.scale_by_power(X.copy(), exponent).tobytes()
        assert expected.tobytes("F") == kernels.scale_by_power(X.copy("F"), exponent).tobytes("F")


@pytest.mark.parametrize("n", [1, 12, 150])  # from 128 on the halves are decomposed apart
@pytest.mark.parametrize("dtype", [*REAL, np.complex64, np.complex128])
def test_leading_eigh_takes_both_ends_of_the_spectrum(n, dtype):
    H = small((n, n), dtype)
    H = H + H.conj().T
    eps, norm = np.finfo(dtype).eps, np.linalg.norm(H, 2)
    for count in {0, 1, n // 3, n}:
        w, V = kernels.leading_eigh(H, count)
        assert w.shape == (n,)
        assert V.shape == (n, count)
        assert V.dtype == dtype
        assert np.all(np.diff(np.abs(w)) <= 0)
        assert np.abs(np.sort(w) - np.linalg.eigvalsh(H)).max() <= 10 * n * eps * norm
        assert np.abs(H @ V - V * w[:count]).max(initial=0) <= 10 * n * eps * norm
        assert np.abs(V.conj().T @ V - np.eye(count)).max(initial=0) <= 10 * n * eps
    assert np.array_equal(kernels.leading_eigh(4 * H, 1)[0], 4 * w)


@pytest.mark.parametrize("dtype", [*REAL, np.complex128])
def test_triangular_solve_right(dtype):
    rng = np.random.default_rng(0)
    R = (np.triu(rng.standard_normal((40, 40))) + 10 * np.eye(40)).astype(dtype)
    for layout in LAYOUTS.values():
        B = layout(rng.standard_normal((500, 40)).astype(dtype))
        X = kernels.triangular_solve_right(B, R)
        assert np.abs(X @ R - B).max() <= 40 * np.finfo(dtype).eps * np.abs(X).max() * np.abs(R).max()


@pytest.mark.parametrize("dtype", [*REAL, np.complex64, np.complex128])
@pytest.mark.parametrize("shape", [(7, 3), (3, 7), (40, 40), (0, 3), (3, 0)])
def test_small_pivoted_qr(shape, dtype):
    A = small(shape, dtype)
    before = A.copy()
    Q, R, perm = kernels.small_pivoted_qr(A)
    k = min(shape)
    eps = np.finfo(dtype).eps
    np.testing.assert_array_equal(A, before)
    assert (Q.shape, R.shape) == ((shape[0], k), (k, shape[1]))
    np.testing.assert_array_equal(np.sort(perm), np.arange(shape[1]))
    assert not np.tril(R, -1).any()
    diagonal = np.diagonal(R)
    assert np.all(diagonal.imag == 0)
    assert np.all(diagonal.real >= 0)
    assert np.all(np.diff(diagonal.real) <= 0)
    assert np.linalg.norm(Q.conj().T @ Q - np.eye(k)) <= 50 * eps * max(k, 1) ** 0.5
    assert np.linalg.norm(Q @ R - A[:, perm]) <= 30 * max(shape) ** 0.5 * eps * np.linalg.norm(A)
    scaled = kernels.small_pivoted_qr(A * dtype(2.0**-31))
    np.testing.assert_array_equal(scaled[0], Q)
    np.testing.assert_array_equal(scaled[1], R * dtype(2.0**-31))


@pytest.mark.parametrize("dtype", [*REAL, np.complex64, np.complex128])
@pytest.mark.parametrize("shape", [(7, 3), (3, 7), (40, 40), (0, 3), (3, 0)])
def test_lu_pivots(shape, dtype):
    A = small(shape, dtype)
    order = kernels.lu_pivots(A)
    np.testing.assert_array_equal(np.sort(order), np.arange(shape[0]))
    if min(shape):
        assert np.argmax(np.abs(A.real[:, 0]) + np.abs(A.imag[:, 0])) == order[0]
        # Without further exchanges every multiplier is at most 1 (complex: 1-norm pivots, sqrt 2).
        work = A[order].astype(np.complex128)
        for j in range(min(shape)):
            multipliers = work[j + 1 :, j] / work[j, j]
            assert np.abs(multipliers).max(initial=0) <= (1.42 if np.iscomplexobj(A) else 1.0) + 1e-4
            work[j + 1 :] -= multipliers[:, None] * work[j]


@pytest.mark.parametrize("dtype", [*REAL, np.complex64, np.complex128])
@pytest.mark.parametrize("shape", [(7, 3), (3, 7), (40, 40), (0, 3), (3, 0)])
def test_qr_pivots_are_those_of_the_factorization(shape, dtype):
    A = small(shape, dtype)
    before = A.copy()
    np.testing.assert_array_equal(kernels.qr_pivots(A), kernels.small_pivoted_qr(A)[2])
    np.testing.assert_array_equal(A, before)


def small(shape, dtype):
    rng = np.random.default_rng(7)
    A = rng.standard_normal(shape)
    return (A + 1j * rng.standard_normal(shape) if np.issubdtype(dtype, np.complexfloating) else A).astype(
        dtype
    )


@pytest.mark.parametrize("kernel", [kernels.small_pivoted_qr, kernels.qr_pivots, kernels.lu_pivots])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pivots_refuse_non_finite(kernel, bad):
    A = np.ones((6, 4))
    A[3, 1] = bad
    with pytest.raises(NonFiniteError, match=r"A: .*\(3, 1\)"):
        kernel(A)

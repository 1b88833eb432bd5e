# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""TSQR: orthonormal to rounding whatever the condition, one pass over streams, bits that no cut changes."""

import numpy as np
import pytest
from pivoted_cases import ALL, REAL, gaussian, orthonormality, residual, with_spectrum

import randnla
from randnla._backend.errors import InputError, NonFiniteError


def check(A, result):
    Q, R = result
    m, n = A.shape
    k = min(m, n)
    eps = np.finfo(R.dtype).eps
    assert (Q.shape, R.shape) == ((m, k), (k, n))
    assert Q.dtype == R.dtype
    assert not np.tril(R, -1).any()
    assert np.all(np.diagonal(R).real >= 0)
    assert orthonormality(Q) <= 50 * eps * np.sqrt(max(n, 1))
    assert residual(A, np.arange(n), Q, R) <= 30 * eps * np.sqrt(max(n, 1))


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize(
    "shape", [(0, 0), (0, 3), (3, 0), (1, 1), (4, 9), (9, 4), (50, 50), (3000, 1), (9000, 40)]
)
def test_shapes(shape, dtype):
    A = gaussian(shape, dtype)
    result = randnla.qr(A, method="tsqr")
    check(A, result)
    assert result.info.method == "tsqr"
    tree = shape[0] >= shape[1] and not np.iscomplexobj(A)
    assert result.info.path == ("tree" if tree else "householder")
    alone = randnla.qr(A, method="tsqr", mode="r")
    assert alone.Q is None
    np.testing.assert_array_equal(alone.R, result.R)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("exponent", [0, 8, 16, 30])
def test_condition(exponent, dtype):
    A = with_spectrum(6000, np.logspace(0, -exponent, 50), dtype)
    check(A, randnla.qr(A, method="tsqr"))
    A[:, 9] = 0
    A[:, 10] = A[:, 3]
    A[:5000] = 0
    check(A, randnla.qr(A, method="tsqr"))
    check(np.zeros_like(A), randnla.qr(np.zeros_like(A), method="tsqr"))


@pytest.mark.parametrize("dtype", REAL)
def test_powers_of_two_are_exact(dtype):
    A = gaussian((4000, 30), dtype)
    Q, R = randnla.qr(A, method="tsqr")
    for shift in (-100, 61) if dtype == np.float32 else (-950, -301, 900):
        Qp, Rp = randnla.qr(np.ldexp(A, shift), method="tsqr")
        np.testing.assert_array_equal(Qp, Q)
        np.testing.assert_array_equal(Rp, np.ldexp(R, shift))


def test_layouts_and_threads_change_no_bit():
    A = gaussian((5000, 33))
    kept = A.copy()
    expected = randnla.qr(A, method="tsqr")
    np.testing.assert_array_equal(A, kept)
    before = randnla.num_threads()
    try:
        for count in (1, 2, 3):
            randnla.set_num_threads(count)
            for B in (A, np.asfortranarray(A), A[::-1].copy()[::-1], np.repeat(A, 2, 1)[:, ::2]):
                Q, R = randnla.qr(B, method="tsqr")
                np.testing.assert_array_equal(Q, expected.Q)
                np.testing.assert_array_equal(R, expected.R)
    finally:
        randnla.set_num_threads(before)


def ragged(A, sizes):
    def blocks():
        start = 0
        for size in sizes:
            yield A[start : start + size]
            start += size

    return randnla.RowStream(blocks, shape=A.shape, dtype=A.dtype)


@pytest.mark.parametrize("dtype", [*REAL, np.complex128])
def test_streams_are_read_once(dtype):
    A = gaussian((9000, 150), dtype)
    expected = randnla.qr(A, method="tsqr")
    for sizes in ([9000], [1, 4999, 3000, 1000], [100] * 90):
        stream = ragged(A, sizes)
        result = randnla.qr(stream)
        assert stream.passes == 1
        check(A, result)
        np.testing.assert_array_equal(result.Q, expected.Q)
        np.testing.assert_array_equal(result.R, expected.R)
        stream = ragged(A, sizes)
        alone = randnla.qr(stream, mode="r")
        assert stream.passes == 1
        assert alone.Q is None
        assert alone.info.path == ("householder" if dtype == np.complex128 else "fold")
        eps = np.finfo(dtype).eps
        assert np.linalg.norm(alone.R - expected.R) <= 30 * 150**0.5 * eps * np.linalg.norm(A)


def test_a_fold_is_the_same_for_every_cut_and_exact_in_powers_of_two():
    A = gaussian((9000, 150)) * np.logspace(0, 6, 9000)[:, None]
    R = randnla.qr(ragged(A, [9000]), mode="r").R
    np.testing.assert_array_equal(randnla.qr(ragged(A, [77] * 116 + [68]), mode="r").R, R)
    np.testing.assert_array_equal(randnla.qr(ragged(A * 2.0**-700, [9000]), mode="r").R, R * 2.0**-700)
    G = A.T @ A
    assert np.linalg.norm(R.T @ R - G) <= 1e-13 * np.linalg.norm(G)


def test_memmaps(tmp_path):
    A = gaussian((4000, 20))
    path = tmp_path / "a.npy"
    np.save(path, A)
    mapped = np.load(path, mmap_mode="r")
    check(A, randnla.qr(mapped, method="tsqr"))
    assert randnla.qr(mapped, method="tsqr", mode="r").info.path == "fold"
    np.save(path, np.asfortranarray(A))
    assert randnla.qr(np.load(path, mmap_mode="r"), method="tsqr").info.path == "tree"


def test_short_streams():
    for shape in ((0, 3), (3, 7), (7, 7), (5, 0)):
        A = gaussian(shape)
        for mode in ("reduced", "r"):
            result = randnla.qr(ragged(A, [shape[0]]), mode=mode)
            np.testing.assert_allclose(result.R, randnla.qr(A, method="householder").R, atol=1e-14)


def test_bad_streams():
    A = gaussian((100, 5))
    with pytest.raises(InputError, match="A: the blocks hold 60 rows, expected 100"):
        randnla.qr(ragged(A, [60]), mode="r")
    with pytest.raises(
        InputError, match="method: expected 'tsqr' or 'auto' for a stream of rows, got 'cholesky'"
    ):
        randnla.qr(ragged(A, [100]), method="cholesky")
    A[77, 2] = np.nan
    for mode in ("r", "reduced"):
        with pytest.raises(NonFiniteError, match=r"A: .*\(77, 2\)"):
            randnla.qr(ragged(A, [50, 50]), mode=mode)
    with pytest.raises(NonFiniteError, match=r"A: .*\(77, 2\)"):
        randnla.qr(A, method="tsqr")
    assert np.isnan(randnla.qr(A, method="tsqr", mode="r", check_finite=False).R).all()

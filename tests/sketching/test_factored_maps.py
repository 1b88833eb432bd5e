# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Maps on tensors: their entries, and products of factors that are never formed."""

import math
from functools import reduce

import numpy as np
import pytest

from randnla import InputError, KhatriRaoSketch, NonFiniteError, TensorSketch
from randnla._backend.generic import factored_maps as oracle
from randnla._backend.kernels import factored_maps as kernels

CLASSES = (KhatriRaoSketch, TensorSketch)
DIMS = [(7,), (5, 6), (3, 4, 5), (2, 1, 3, 4)]
SEED, STREAM = 2**64 - 3, 5


def data(rng, dims, width, dtype=np.float64):
    return [rng.standard_normal((n, width)).astype(dtype) for n in dims]


def khatri_rao(factors):
    return np.stack([reduce(np.kron, columns) for columns in zip(*(F.T for F in factors), strict=True)], 1)


def signs_of(S, k):
    return oracle.factor_signs(
        seed=S.seed, stream=S.stream, modes=len(S.dims), mode=k, rows=(0, S.d), cols=(0, S.dims[k]),
        dtype=np.float64,
    )  # fmt: skip


@pytest.mark.parametrize(("rows", "cols"), [((0, 3), (0, 70)), ((2, 5), (31, 33)), ((1, 2), (2100, 2300))])
def test_signs_are_those_of_the_oracle(rows, cols):
    for mode in (0, 2):
        options = {"seed": SEED, "stream": STREAM, "modes": 3, "mode": mode, "rows": rows, "cols": cols}
        expected = oracle.factor_signs(**options, dtype=np.float32)
        assert np.array_equal(kernels.factor_signs(**options, dtype=np.float32), expected)


@pytest.mark.parametrize("d", [1, 2, 1000, 2**16 + 1, 2**31 - 1, 2**31])
def test_columns_are_those_of_the_oracle(d):
    for cols in ((0, 130), (63, 65), (1000, 1300)):
        options = {"seed": SEED, "stream": STREAM, "mode": 1, "d": d, "cols": cols}
        for ours, expected in zip(
            kernels.factor_columns(**options), oracle.factor_columns(**options), strict=True
        ):
            assert ours.dtype == expected.dtype
            assert np.array_equal(ours, expected)


@pytest.mark.parametrize("dims", DIMS)
def test_entries_are_products_over_the_modes(dims):
    S = KhatriRaoSketch(6, math.prod(dims), dims=dims, rng=SEED, stream=STREAM)
    expected = [reduce(np.kron, [signs_of(S, k)[i] for k in range(len(dims))]) for i in range(6)]
    np.testing.assert_allclose(S.to_dense(), np.array(expected) / math.sqrt(6), rtol=1e-15)


@pytest.mark.parametrize("dims", DIMS)
def test_positions_add_up_modulo_the_size(dims):
    S = TensorSketch(6, math.prod(dims), dims=dims, rng=SEED, stream=STREAM)
    expected = np.zeros(S.shape)
    columns = [
        oracle.factor_columns(seed=SEED, stream=STREAM, mode=k, d=6, cols=(0, n)) for k, n in enumerate(dims)
    ]
    for j, index in enumerate(np.ndindex(*dims)):
        row = sum(int(columns[k][0][i]) for k, i in enumerate(index)) % 6
        expected[row, j] = math.prod(int(columns[k][1][i]) for k, i in enumerate(index))
    assert np.array_equal(S.to_dense(), expected)
    assert np.array_equal(S.to_sparse().toarray(), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize("cls", CLASSES)
def test_products_of_factors_are_those_of_the_formed_products(cls, dims, dtype):
    rng = np.random.default_rng(0)
    S = cls(9, math.prod(dims), dims=dims, rng=1, dtype=dtype)
    dense = S.to_dense().astype(np.float64)
    factors = data(rng, dims, 3, dtype)
    wide = [F.astype(np.float64) for F in factors]
    size = math.prod(np.linalg.norm(F) for F in wide) * np.linalg.norm(dense)
    for got, formed in (
        (S.apply_khatri_rao(factors), khatri_rao(wide)),
        (S.apply_kronecker(factors), reduce(np.kron, wide)),
    ):
        assert got.dtype == dtype
        assert got.shape == (9, formed.shape[1])
        assert np.linalg.norm(got - dense @ formed) <= 8 * np.finfo(dtype).eps * size


@pytest.mark.parametrize("cls", CLASSES)
def test_long_modes_cross_blocks(cls):
    # Blocks of the map are shorter than the last mode and than the two last together.
    dims, d = (3, 5, 200_003), 12
    S = cls(d, math.prod(dims), dims=dims, rng=2)
    factors = data(np.random.default_rng(1), dims, 2)
    formed = khatri_rao(factors)
    expected = S.apply_khatri_rao(factors)
    np.testing.assert_allclose(S @ formed, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    part = S[:, 200_000:600_050]
    assert np.array_equal(part[2:, 300_000:].to_dense(), S[2:, 500_000:600_050].to_dense())


@pytest.mark.parametrize("cls", CLASSES)
def test_blocks_far_out(cls):
    S = cls(16, 2**42, dims=(2**11, 2**31), rng=1)
    far, near = S[:, 2**40 - 8 : 2**40 + 8].to_dense(), S[:, :16].to_dense()
    assert not np.array_equal(far, near)
    assert np.array_equal(far[:, 8:12], S[:, 2**40 : 2**40 + 4].to_dense())


@pytest.mark.parametrize("cls", CLASSES)
def test_second_moments_of_three_modes_keep_to_their_bounds(cls):
    # Markov: a share of at most 1/4 of the seeds may exceed four times the bound on the mean.
    dims, d, trials = (4, 4, 4), 32, 300
    U = np.linalg.qr(np.random.default_rng(3).standard_normal((64, 3)))[0]
    bound = (3**3 if cls is KhatriRaoSketch else 2 + 3**3) * 9 / d
    squares = []
    for seed in range(trials):
        Y = cls(d, 64, dims=dims, rng=seed) @ U
        squares.append(np.linalg.norm(Y.T @ Y - np.eye(3)) ** 2)
    # Binomial(300, 1/4) passes 135 with probability below 1e-12.
    assert np.count_nonzero(np.array(squares) > 4 * bound) <= 135


def test_sketched_least_squares_of_an_exact_unfolding_find_its_factor():
    rng = np.random.default_rng(4)
    factors = data(rng, (4, 5, 6), 2)
    T = np.einsum("ir,jr,kr->ijk", *factors)
    S = KhatriRaoSketch(40, 30, dims=(5, 6), rng=0)
    left = S @ T.reshape(4, 30).T
    right = S.apply_khatri_rao(factors[1:])
    # T_(1)^T lies in the range of the product: the sketched least squares problem has its solution.
    solved = np.linalg.lstsq(right, left, rcond=None)[0].T
    np.testing.assert_allclose(solved, factors[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("cls", CLASSES)
def test_refused(cls):
    for dims, message in (
        ((2, 4), "dims: expected sizes whose product is m = 6"),
        ((), "dims: expected a sequence"),
        (6, "dims: expected a sequence"),
        ((1,) * 64 + (6,), "dims: expected at most 64 sizes, got 65"),
        ((2, 3.0), "dims: expected an integer"),
        ((-2, -3), "dims: expected an integer"),
    ):
        with pytest.raises(InputError, match=message):
            cls(4, 6, dims=dims)
    S = cls(4, 6, dims=(2, 3))
    good = [np.ones((2, 2)), np.ones((3, 2))]
    for apply in (S.apply_khatri_rao, S.apply_kronecker):
        with pytest.raises(InputError, match="factors: expected 2 arrays, got 1"):
            apply(good[:1])
        with pytest.raises(InputError, match=r"factors\[1\]: expected a real array of shape \(3, 2\)"):
            apply([good[0], np.ones((4, 2))])
        with pytest.raises(InputError, match=r"factors\[0\]: expected a real array"):
            apply([1j * good[0], good[1]])
        with pytest.raises(NonFiniteError, match=r"factors\[1\]"):
            apply([good[0], np.full((3, 2), np.nan)])
    with pytest.raises(InputError, match=r"factors\[1\]: expected a real array of shape \(3, 2\)"):
        S.apply_khatri_rao([good[0], np.ones((3, 1))])
    with pytest.raises(InputError, match="S: expected a whole map"):
        S[1:].apply_khatri_rao(good)
    with pytest.raises(InputError, match="d: expected"):
        TensorSketch(2**31 + 1, 6, dims=(2, 3))
    with pytest.raises(InputError, match="d: expected"):
        KhatriRaoSketch(2**56 + 1, 6, dims=(2, 3))

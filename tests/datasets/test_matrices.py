# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Test matrices have the spectra they promise, replay with their seed, and refuse what does not fit."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import scipy.sparse.csgraph

from randnla import InputError, datasets

EPS = 2.0**-53

# name -> (call of (m, n, rng, dtype), singular values of a 12 x 9 matrix)
J = np.arange(9)
SPECTRA = {
    "polynomial": (lambda m, n, **o: datasets.polynomial(m, n, power=1.5, **o), (1.0 + J) ** -1.5),
    "exponential": (lambda m, n, **o: datasets.exponential(m, n, ratio=0.7, **o), 0.7**J),
    "step": (lambda m, n, **o: datasets.step(m, n, rank=4, low=1e-2, **o), np.where(J < 4, 1, 1e-2)),
    "staircase": (
        lambda m, n, **o: datasets.staircase(m, n, stairs=3, cond=1e4, **o),
        np.repeat([1, 1e-2, 1e-4], 3),
    ),
    "with_singular_values": (
        lambda m, n, **o: datasets.with_singular_values([1, 5, 3], m, n, **o),
        np.r_[5, 3, 1, np.zeros(6)],
    ),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SPECTRA)
def test_singular_values_are_those_promised(name, dtype):
    call, s = SPECTRA[name]
    for m, n in ((12, 9), (9, 12)):
        A = call(m, n, rng=3, dtype=dtype)
        assert A.shape == (m, n)
        assert A.dtype == dtype
        found = np.linalg.svd(A.astype(np.float64), compute_uv=False)
        # Weyl: as far off as the rounding of the entries, and of the factors, in Frobenius norm.
        np.testing.assert_allclose(found, s, rtol=0, atol=40 * np.finfo(dtype).eps * np.linalg.norm(s))
        np.testing.assert_array_equal(A, call(m, n, rng=3, dtype=dtype))
        assert not np.array_equal(A, call(m, n, rng=4, dtype=dtype))


def test_left_and_right_vectors_are_uniform():
    # U^T e_1 of a Haar basis of columns: mean square 1/m; 400 draws of 9 entries, chi-square at 1e-12
    # within 6 standard deviations sqrt(2 / 3600).
    squares = [
        datasets.with_singular_values(np.ones(9), 12, 9, rng=seed)[0] @ np.eye(9) for seed in range(400)
    ]
    assert abs(np.mean(np.square(squares)) * 12 - 1) < 7 * np.sqrt(2 / 3600)


def test_spiked_rows_carry_the_leverage():
    A = datasets.spiked(200, 10, spikes=4, scale=1e4, rng=0)
    heavy = np.flatnonzero(np.linalg.norm(A, axis=1) > 100)
    assert heavy.size == 4
    scores = (np.linalg.qr(A)[0] ** 2).sum(axis=1)
    np.testing.assert_allclose(scores[heavy], 1.0, atol=1e-5)
    s = np.linalg.svd(datasets.spiked(200, 10, spikes=0, rng=0), compute_uv=False)
    np.testing.assert_allclose(s, 1.0, atol=1e-14)
    with pytest.raises(InputError, match="m: expected at least n = 10"):
        datasets.spiked(5, 10)


def test_low_rank_plus_noise_has_the_noise_asked_for():
    m, n, k, noise = 300, 200, 5, 0.1
    A = datasets.low_rank_plus_noise(m, n, k, noise=noise, rng=1)
    E = A - datasets.low_rank_plus_noise(m, n, k, noise=0.0, rng=1)
    # ||E||_F^2 is noise^2 k chi^2_mn / mn.
    assert abs(np.linalg.norm(E) ** 2 / (noise**2 * k) - 1) < 7 * np.sqrt(2 / (m * n))
    np.testing.assert_allclose(
        np.linalg.svd(A - E, compute_uv=False), np.r_[np.ones(k), np.zeros(n - k)], atol=1e-13
    )


def test_kahan_fools_column_pivoting():
    n = 90
    A = datasets.kahan(n)
    _, R, order = scipy.linalg.qr(A, pivoting=True)
    np.testing.assert_array_equal(order, np.arange(n))  # no interchange
    s = np.linalg.svd(A, compute_uv=False)
    assert abs(R[-1, -1]) > 1e3 * s[-1]
    np.testing.assert_allclose(np.linalg.norm(A[:, 1:], axis=0)[:3], 1.0, atol=0.5)


def test_hilbert_is_scipys():
    np.testing.assert_array_equal(datasets.hilbert(7, 7), scipy.linalg.hilbert(7))


def test_laplace_single_layer_decays_as_published():
    s = np.linalg.svd(datasets.laplace_single_layer(), compute_uv=False)
    assert abs(s[0] - 1) < 20 * EPS
    for index, order in ((25, 1e-5), (50, 1e-9), (75, 1e-13)):
        assert order < s[index] < 10 * order
    star = np.linalg.svd(datasets.laplace_single_layer(target="star"), compute_uv=False)
    assert [int((star > eps).sum()) for eps in (1e-2, 1e-4, 1e-6, 1e-8)] == [19, 45, 75, 105]


def test_patch_laplacian_is_that_of_the_neighbor_graph():
    image = np.random.default_rng(0).random((16, 15, 2))
    points = datasets.image_patches(image, 3, 2)
    L = datasets.patch_laplacian(image, size=3, step=2, width=1.3, neighbors=4)
    squares = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    np.fill_diagonal(squares, np.inf)
    keep = squares <= np.sort(squares, axis=1)[:, 3:4]
    W = np.where(keep | keep.T, np.exp(-squares / 1.3**2), 0.0)
    d = W.sum(axis=1)
    np.testing.assert_allclose(L.toarray(), W / np.sqrt(np.outer(d, d)), atol=1e-12)
    default = datasets.patch_laplacian(image[:, :, 0], size=3, step=1)
    assert abs(default - default.T).max() == 0
    assert abs(np.linalg.eigvalsh(default.toarray())[-1] - 1) < 1e-12
    constant = datasets.patch_laplacian(np.ones((8, 8)), size=3, neighbors=2)
    assert np.isfinite(constant.data).all()


@pytest.mark.parametrize(
    ("call", "pattern"),
    [
        (lambda: datasets.with_singular_values(np.ones(4), 3, 5), r"s: expected at most min\(m, n\) = 3"),
        (lambda: datasets.with_singular_values([1, -1], 3, 5), "s: expected nonnegative finite"),
        (lambda: datasets.with_singular_values([np.nan], 3, 5), "s: expected nonnegative finite"),
        (lambda: datasets.with_singular_values([1], 0, 5), "m: expected an integer >= 1"),
        (lambda: datasets.polynomial(3, 3, power=-1), "power: expected"),
        (lambda: datasets.exponential(3, 3, ratio=1.5), "ratio: expected"),
        (lambda: datasets.step(3, 3, rank=4), "rank: expected"),
        (lambda: datasets.staircase(3, 3, stairs=4), "stairs: expected"),
        (lambda: datasets.kahan(3, theta=4.0), "theta: expected"),
        (lambda: datasets.hilbert(3, True), "n: expected an integer"),
        (lambda: datasets.laplace_single_layer(target="circle"), "target: expected"),
        (lambda: datasets.polynomial(3, 3, dtype=np.int32), "dtype: expected"),
        (lambda: datasets.patch_laplacian(np.ones(3)), "image: expected 2 or 3 dimensions"),
        (lambda: datasets.patch_laplacian(np.ones((4, 4)), size=3), "neighbors: expected fewer than the 4"),
        (lambda: datasets.patch_laplacian(np.ones((9, 9)), size=3, width=0.0), "width: expected a positive"),
    ],
)
def test_what_does_not_fit_is_refused(call, pattern):
    with pytest.raises(InputError, match=pattern):
        call()

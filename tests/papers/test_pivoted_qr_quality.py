# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Melnichenko et al., CQRRPT (2023) and BQRRP (2025): pivots as good as LAPACK's on classic hard matrices."""

import numpy as np
import pytest
import scipy.linalg

import randnla
from randnla import datasets


@pytest.fixture(autouse=True)
def one_thread():
    """Small problems: a team would only wait for itself."""
    before = randnla.num_threads()
    randnla.set_num_threads(1)
    yield
    randnla.set_num_threads(before)


MATRICES = {
    "staircase": lambda: datasets.staircase(1000, 100, stairs=5, cond=1e8, rng=0),
    "spiked": lambda: datasets.spiked(1000, 100, rng=0),
    "polynomial": lambda: datasets.polynomial(1000, 100, rng=0),
}


def diagonals(A, method, seed):
    result = randnla.pivoted_qr(A, method=method, rng=seed)
    assert result.info.path.startswith("sketch+cholesky" if method == "cqrrpt" else "panels")
    return np.diagonal(result.R), result


@pytest.mark.parametrize("method", ["cqrrpt", "bqrrp"])
@pytest.mark.parametrize("name", sorted(MATRICES))
def test_the_diagonal_is_that_of_geqp3_and_near_the_singular_values(name, method):
    """|R_kk| against geqp3's and sigma_k, and the errors of truncation behind every k, for ten sketches."""
    A = MATRICES[name]()
    s = np.linalg.svd(A, compute_uv=False)
    R = scipy.linalg.qr(A, mode="r", pivoting=True)[0][:100]
    best = np.abs(np.diagonal(R))
    tails = [np.linalg.norm(R[k:]) for k in range(100)]
    for seed in range(10):
        d, result = diagonals(A, method, seed)
        ratio = d / best
        assert 1 / 3 <= ratio.min() <= ratio.max() <= 3
        # As near to sigma_k as geqp3 comes, but for the same factor.
        assert d.min() > 0
        assert np.all(np.abs(np.log(d / s)) <= np.abs(np.log(best / s)).max() + np.log(2))
        ours = [np.linalg.norm(result.R[k:]) for k in range(100)]
        assert np.all(np.array(ours) <= 1.5 * np.array(tails))


def test_kahan_fools_norms_of_columns_but_not_the_sketch():
    A = datasets.kahan(90, theta=1.2)
    s = np.linalg.svd(A, compute_uv=False)
    greedy = np.abs(np.diagonal(scipy.linalg.qr(A, mode="r", pivoting=True)[0]))
    assert greedy[-1] > 1e3 * s[-1]
    tall = np.vstack([A, np.zeros((900, 90))])
    for seed in range(10):
        for B, method in ((A, "bqrrp"), (tall, "cqrrpt")):
            d, _ = diagonals(B, method, seed)
            assert np.all((d <= 8 * s) & (d >= s / 16))


def test_the_condition_after_preconditioning_is_that_of_a_gaussian_embedding():
    """At d = 2 n about (1 + 1 / sqrt 2) / (1 - 1 / sqrt 2) = 5.8, whatever the condition of A."""
    limit = (1 + 0.5**0.5) / (1 - 0.5**0.5)
    for cond in (1e2, 1e6, 1e10):
        A = datasets.staircase(3000, 60, cond=cond, rng=1)
        info = randnla.pivoted_qr(A, method="cqrrpt", rng=0).info
        # The bound itself is above the condition by n^(1/8) = 1.7 at most.
        assert 0.7 * limit <= info.condition <= 2 * limit

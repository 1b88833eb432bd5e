# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What makes a random map one: laws in probability, thresholds from exact laws or proved bounds at 1e-12."""

import math

import numpy as np
import pytest
import scipy.stats
from cases import ALPHA, REAL_DTYPES, SKETCHES, hoeffding, scores_for

import randnla
from randnla.sketching import CountSketch, Gaussian, Sign, SparseSign

SEEDS = 400
D, M = 12, 24
SYMMETRIC = [name for name, case in SKETCHES.items() if not case.sampling]
SAMPLING = [name for name, case in SKETCHES.items() if case.sampling]


@pytest.fixture(autouse=True)
def one_thread():
    """Thousands of tiny maps: a team costs more than it gives."""
    randnla.set_num_threads(1)
    yield
    randnla.set_num_threads(0)


def gram_sums(name, dtype=np.float64):
    """Sum and sum of squares of S^T S over seeds."""
    total, squares = np.zeros((M, M)), np.zeros((M, M))
    for seed in range(SEEDS):
        S = SKETCHES[name].make(D, M, rng=seed, dtype=dtype).to_dense().astype(np.float64)
        gram = S.T @ S
        total += gram
        squares += gram**2
    return total, squares


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("name", SYMMETRIC)
def test_expectation_is_identity_off_the_diagonal(name, dtype):
    # Given their magnitudes, the entries of S^T S of independent seeds are symmetric: Hoeffding's bound.
    total, squares = gram_sums(name, dtype)
    off = ~np.eye(M, dtype=bool)
    assert np.all(np.abs(total[off]) <= hoeffding(squares[off], M * M))
    assert np.any(total[off] != 0)


@pytest.mark.parametrize("name", SYMMETRIC)
def test_expectation_is_identity_on_the_diagonal(name):
    total, _ = gram_sums(name)
    diagonal = np.diag(total)
    if name == "Gaussian":
        # d times each is chi-square with d * SEEDS degrees of freedom.
        law = scipy.stats.chi2(D * SEEDS)
        assert np.all(diagonal * D > law.ppf(ALPHA / M / 2))
        assert np.all(diagonal * D < law.isf(ALPHA / M / 2))
    elif name == "SRFT":
        # Each lies in [0, 2] and has mean 1: Hoeffding.
        slack = 2 * math.sqrt(math.log(2 * M / ALPHA) * SEEDS / 2)
        assert np.all(np.abs(diagonal - SEEDS) <= slack)
    else:
        # Columns of length one, whatever the seed.
        np.testing.assert_allclose(diagonal, SEEDS, rtol=1e-12)


@pytest.mark.parametrize("name", SAMPLING)
def test_sampling_counts_are_binomial(name):
    counts = np.zeros(M)
    for seed in range(SEEDS):
        S = SKETCHES[name].make(D, M, rng=seed)
        dense = S.to_dense()
        counts += np.bincount(S.indices, minlength=M)
        assert np.count_nonzero(dense) == D
        np.testing.assert_allclose(np.count_nonzero(dense, axis=0), np.bincount(S.indices, minlength=M))
    p = np.full(M, 1 / M) if name == "RowSampling" else scores_for(M) / scores_for(M).sum()
    law = scipy.stats.binom(D * SEEDS, p)
    assert np.all(counts >= law.ppf(ALPHA / M / 2))
    assert np.all(counts <= law.isf(ALPHA / M / 2))
    # With these counts the mean of S^T S is the identity: entry j is 1 / (d p_j) a draw.
    chosen = dense[np.arange(D), S.indices]
    np.testing.assert_allclose(chosen**2, 1 / (D * p[S.indices]))


@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_gaussian_norms_have_the_chi_square_law(dtype):
    d, trials, m = 5, 4000, 37
    x = np.linspace(-1, 2, m).astype(dtype)
    # Groups of d rows of one tall map are independent maps.
    y = Gaussian(d * trials, m, rng=11, dtype=dtype) @ x
    norms = (y.astype(np.float64).reshape(trials, d) ** 2).sum(axis=1) * d * trials / float(x @ x)
    assert scipy.stats.kstest(norms, scipy.stats.chi2(d).cdf).pvalue > ALPHA
    assert scipy.stats.kstest(y * math.sqrt(d * trials / float(x @ x)), scipy.stats.norm.cdf).pvalue > ALPHA
    total = scipy.stats.chi2(d * trials)
    assert total.ppf(ALPHA / 2) < norms.sum() < total.isf(ALPHA / 2)


@pytest.mark.parametrize("nnz", [1, 4, 8])
def test_columns_of_sparse_sign_meet_as_often_as_they_should(nnz):
    # Two columns share a hypergeometric number of rows; over seeds and disjoint pairs of columns the total
    # has the convolution of these laws.
    d, trials = 16, 100
    shared = 0
    for seed in range(trials):
        S = SparseSign(d, 32, nnz=nnz, rng=seed).to_dense() != 0
        assert np.all(S.sum(axis=0) == nnz)
        shared += int((S[:, ::2] & S[:, 1::2]).sum())
    one = scipy.stats.hypergeom(d, nnz, nnz).pmf(np.arange(nnz + 1))
    law = np.ones(1)
    for _ in range(trials * 16):
        law = np.convolve(law, one)
    below, above = law[: shared + 1].sum(), law[shared:].sum()
    assert min(below, above) > ALPHA


@pytest.mark.parametrize("cls", [Sign, CountSketch])
def test_signs_are_fair(cls):
    entries = cls(64, 4000, rng=5).to_dense()
    positive, negative = int((entries > 0).sum()), int((entries < 0).sum())
    assert scipy.stats.binomtest(positive, positive + negative, 0.5).pvalue > ALPHA


@pytest.mark.parametrize("name", SKETCHES)
def test_subspace_distortion_keeps_its_failure_probability(name):
    # Markov: ||U^T S^T S U - I||_F^2 exceeds its mean's bound over delta with probability at most delta, so
    # the violations over independent seeds are below a binomial number.
    m, k, d, delta, trials = 256, 4, 64, 0.05, 200
    U = np.linalg.qr(np.random.default_rng(3).standard_normal((m, k)))[0]
    limit = SKETCHES[name].embedding(U) / (d * delta)
    squares = []
    for seed in range(trials):
        Y = SKETCHES[name].make(d, m, rng=seed) @ U
        squares.append(np.linalg.norm(Y.T @ Y - np.eye(k)) ** 2)
    violations = int((np.array(squares) > limit).sum())
    assert violations <= scipy.stats.binom(trials, delta).isf(ALPHA)
    # The bound is no idle one: the mean comes within a factor of ten of it.
    assert np.mean(squares) > 0.1 * limit * delta


@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_gaussian_subspace_distortion_is_that_of_davidson_and_szarek(dtype):
    m, k, d = 500, 10, 600
    U = np.linalg.qr(np.random.default_rng(4).standard_normal((m, k)))[0].astype(dtype)
    values = np.linalg.svd(Gaussian(d, m, rng=0, dtype=dtype) @ U, compute_uv=False)
    slack = math.sqrt(k / d) + math.sqrt(2 * math.log(2 / ALPHA) / d)
    assert 1 - slack <= values.min() <= values.max() <= 1 + slack


@pytest.mark.parametrize("name", SKETCHES)
def test_streams_seeds_and_dtypes_are_independent(name):
    make = SKETCHES[name].make
    base = make(16, 64, rng=1).to_dense()
    others = [make(16, 64, rng=2), make(16, 64, rng=1, stream=1)]
    if not SKETCHES[name].sampling and name not in (
        "SRHT",
        "SRFT",
        "KhatriRaoSketch",
        "TensorSketch",
    ):
        others.append(make(16, 64, rng=1, dtype=np.float32))
    for other in others:
        assert not np.array_equal(np.abs(base) > 0, np.abs(other.to_dense()) > 0) or not np.allclose(
            base, other.to_dense(), rtol=1e-3
        )
    assert np.array_equal(base, make(16, 64, rng=1).to_dense())

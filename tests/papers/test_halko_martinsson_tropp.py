# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Halko, Martinsson and Tropp (2011), Finding structure with randomness: Theorems 10.5 to 10.8, section 5.

The bounds are 1.5 to 10 times loose, so each is paired with a law that is exact.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import randnla
from randnla.sketching import Gaussian

DRAWS = 200
M, N, K, P = 60, 50, 8, 6
SPECTRA = {
    "poly": 1 / np.arange(1.0, N + 1),
    "geometric": 0.8 ** np.arange(N),
    "step": np.where(np.arange(N) < K, 1.0, 0.05),
}


@pytest.fixture(autouse=True)
def one_thread():
    """Many tiny problems: a team would only wait for itself."""
    before = randnla.num_threads()
    randnla.set_num_threads(1)
    yield
    randnla.set_num_threads(before)


def matrix(s):
    rng = np.random.default_rng(0)
    return (np.linalg.qr(rng.standard_normal((M, N)))[0] * s) @ np.linalg.qr(rng.standard_normal((N, N)))[0].T


def residuals(s, q=0):
    """Frobenius and spectral norms of (I - Q Q^T) A over the draws, for l = K + P columns."""
    A = matrix(s)
    out = []
    for seed in range(DRAWS):
        (Q,) = randnla.range_finder(A, K + P, oversample=0, method="subspace", power_iters=q, rng=seed)
        E = A - Q @ (Q.T @ A)
        out.append((np.linalg.norm(E), np.linalg.norm(E, 2)))
    return np.array(out).T


def splits(size):
    """Every (k, p) with k + p = size and p >= 4: each gives a bound, the least one counts."""
    return [(k, size - k) for k in range(1, size - 3)]


def tail(s, k):
    return np.sqrt((s[k:] ** 2).sum())


@pytest.mark.parametrize("name", SPECTRA)
def test_theorems_10_5_and_10_6_average_errors(name):
    s = SPECTRA[name]
    frobenius, spectral = residuals(s)
    bound_f = min(np.sqrt(1 + k / (p - 1)) * tail(s, k) for k, p in splits(K + P))
    bound_2 = min(
        (1 + np.sqrt(k / (p - 1))) * s[k] + np.e * np.sqrt(k + p) / p * tail(s, k) for k, p in splits(K + P)
    )
    assert frobenius.mean() <= bound_f
    assert spectral.mean() <= bound_2
    # Tight from below: no basis of l columns beats Eckart and Young, in any draw.
    assert np.all(frobenius >= tail(s, K + P) * (1 - 1e-12))
    assert np.all(spectral >= s[K + P] * (1 - 1e-12))


HEAD = np.arange(N) < K
CLIFFS = {
    "step": np.where(HEAD, 1e3, 1.0),
    "geometric": np.where(HEAD, 1e2, 1.0) * 0.97 ** np.arange(N),
    "harmonic": np.where(HEAD, 50.0, 1.0) / np.sqrt(1 + np.arange(N)),
}


@pytest.mark.parametrize("name", CLIFFS)
@pytest.mark.parametrize("t", [1.5, 2.0, 3.0])
def test_theorems_10_7_and_10_8_deviations(name, t):
    # Failure at most 2 t^-p + e^(-u^2/2), for k = K and p = P.
    s, u, k, p = CLIFFS[name], 2.0, K, P
    frobenius, spectral = residuals(s)
    root, slope = t * np.sqrt(3 * k / (p + 1)), t * np.e * np.sqrt(k + p) / (p + 1)
    bound_f = (1 + root) * tail(s, k) + u * slope * s[k]
    bound_2 = (1 + root) * s[k] + slope * tail(s, k) + u * slope * s[k]
    failure = 2 * t**-p + np.exp(-(u**2) / 2)
    most = stats.binom.isf(1e-9, DRAWS, min(1.0, failure))
    assert np.count_nonzero(frobenius > bound_f) <= most
    assert np.count_nonzero(spectral > bound_2) <= most
    # Bounds that say something: Q = 0 would break them, and the errors are not far below.
    assert bound_f < 0.5 * np.linalg.norm(s)
    assert bound_2 < 0.5 * s[0]
    assert bound_f <= 2.5 * t * frobenius.mean()
    assert bound_2 <= 4 * t * spectral.mean()
    # Missing one direction of the head in every draw would be seen.
    assert s[k - 1] > max(bound_f, bound_2)


def test_proposition_10_2_is_an_equality():
    # E ||pinv(Omega_1)||_F^2 = k/(p-1) for a k x (k+p) Gaussian: what makes 10.5 tight, tested on our map.
    k, p, draws = 6, 20, 2000
    values = np.empty(draws)
    for seed in range(draws):
        Omega = Gaussian(k, k + p, rng=seed).to_dense() * np.sqrt(k)
        values[seed] = np.linalg.norm(np.linalg.pinv(Omega)) ** 2
    # z = 7.13 is the two-sided 1e-12 point; p - 1 = 19 leaves the mean of 2000 draws close to normal.
    assert abs(values.mean() - k / (p - 1)) <= 7.13 * values.std() / np.sqrt(draws)
    # A wrong exponent would be k/p or k/(p-2): both are rejected.
    assert abs(values.mean() - k / p) > abs(values.mean() - k / (p - 1))


def test_theorem_10_5_is_nearly_tight_for_a_step():
    # With sigma_1..k = infinity relative to the tail, E ||E||_F^2 -> (1 + k/(p-1)) tau^2 less what the
    # basis catches of a flat tail: at most l of N - K directions.
    s = np.where(np.arange(N) < K, 1e3, 1.0)
    frobenius, _ = residuals(s)
    bound = np.sqrt(1 + K / (P - 1)) * tail(s, K)
    assert 0.5 * bound <= frobenius.mean() <= bound


@pytest.mark.parametrize("q", [1, 2])
def test_corollary_10_10_power_iteration(q):
    s = SPECTRA["poly"]
    _, spectral = residuals(s, q)
    powered = s ** (2 * q + 1)
    bound = min(
        ((1 + np.sqrt(k / (p - 1))) * powered[k] + np.e * np.sqrt(k + p) / p * tail(powered, k))
        ** (1 / (2 * q + 1))
        for k, p in splits(K + P)
    )
    assert spectral.mean() <= bound
    assert spectral.mean() <= 1.5 * s[K + P]


def test_row_extraction_obeys_its_bound():
    # ||A - X A[J]|| <= (1 + ||X||) eps with ||X|| <= sqrt(1 + 4 l (m - l)); in practice below 3 eps.
    A = matrix(SPECTRA["geometric"])
    for seed in range(50):
        direct = randnla.svd(A, 12, oversample=0, method="subspace", power_iters=0, rng=seed)
        rows = randnla.svd(A, 12, oversample=0, method="row_extraction", power_iters=0, rng=seed)
        eps = np.linalg.norm(A - direct.to_dense(), 2)
        lost = np.linalg.norm(A - rows.to_dense(), 2)
        assert lost <= (1 + np.sqrt(1 + 4 * 12 * (M - 12))) * eps
        assert lost <= 6 * eps


def test_nystrom_is_never_worse_than_the_projection():
    rng = np.random.default_rng(2)
    V = np.linalg.qr(rng.standard_normal((N, N)))[0]
    for w in (1 / np.arange(1.0, N + 1) ** 2, 0.8 ** np.arange(N)):
        A = (V * w) @ V.T
        for seed in range(50):
            options = {"oversample": 0, "power_iters": 0, "rng": seed}
            nystrom = randnla.eigh(A, 12, method="nystrom", **options)
            ritz = randnla.eigh(A, 12, method="subspace", **options)
            for order in (2, "fro"):
                lost = np.linalg.norm(A - nystrom.to_dense(), order)
                assert lost <= np.linalg.norm(A - ritz.to_dense(), order) * (1 + 1e-10)

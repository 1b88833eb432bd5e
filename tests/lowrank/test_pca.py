# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""PCA beside scikit-learn's full decomposition."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from sklearn.decomposition import PCA

import randnla

RNG = np.random.default_rng(3)
DATA = RNG.standard_normal((300, 40)) @ np.diag(0.7 ** np.arange(40)) @ RNG.standard_normal((40, 40)) + 50


@pytest.mark.parametrize("method", ["auto", "subspace", "gram", "full"])
@pytest.mark.parametrize("layout", ["tall", "wide", "stream", "float32"])
def test_agrees_with_sklearn(method, layout):
    X = DATA.T.copy() if layout == "wide" else DATA
    given = {
        "stream": lambda: randnla.RowStream(X, max_memory=1 << 14),
        "float32": lambda: X.astype(np.float32),
    }
    Z = given.get(layout, lambda: X)()
    result = randnla.pca(Z, 6, method=method, rng=0)
    full = PCA(6, svd_solver="full").fit(X)
    # float32 data of mean 50 carry 50 * 6e-8 a rounding; the values are known to about 1e-5.
    rtol = 1e-4 if layout == "float32" else 1e-6
    assert np.allclose(result.explained_variance, full.explained_variance_, rtol=rtol)
    assert np.allclose(result.explained_variance_ratio, full.explained_variance_ratio_, rtol=rtol)
    assert np.allclose(result.mean, full.mean_, rtol=1e-6)
    assert np.allclose(np.abs((result.components * full.components_).sum(axis=1)), 1, atol=1e-3)
    centered = X - X.mean(axis=0)
    assert np.allclose(
        centered @ result.components.T, result.scores, atol=1e-2 if layout == "float32" else 1e-4
    )


def test_sparse_and_operators_are_centered_implicitly():
    S = scipy.sparse.random(300, 60, 0.1, random_state=0, format="csr")
    full = PCA(8, svd_solver="full").fit(S.toarray())
    for Z in (S, scipy.sparse.linalg.aslinearoperator(S)):
        result = randnla.pca(Z, 8, power_iters=12, rng=0)
        assert np.allclose(result.explained_variance, full.explained_variance_, rtol=1e-3)
    exact = randnla.pca(S, 8, power_iters=12, rng=0)
    assert np.allclose(exact.explained_variance_ratio, full.explained_variance_ratio_, rtol=1e-3)


def test_whitening_and_no_centering():
    result = randnla.pca(DATA, 5, whiten=True, rng=0)
    assert np.allclose(np.cov(result.scores.T), np.eye(5), atol=1e-8)
    plain = randnla.pca(DATA, 5, center=False, rng=0)
    assert np.allclose(plain.explained_variance * 299, np.linalg.svd(DATA, compute_uv=False)[:5] ** 2)
    assert not plain.mean.any()


def test_a_large_mean_costs_no_digits():
    shifted = DATA + 1e8
    result = randnla.pca(shifted, 4, rng=0)
    reference = PCA(4, svd_solver="full").fit(shifted - 1e8)
    assert np.allclose(result.explained_variance, reference.explained_variance_, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 1.0, 30.0])
@pytest.mark.parametrize(("decay", "route"), [(3, "widened"), (10, "centered"), (40, "centered")])
def test_gram_route_is_resolved_whatever_mean_and_decay(dtype, offset, decay, route):
    rng = np.random.default_rng(4)
    X = (rng.standard_normal((3000, 80)) * np.exp(-np.arange(80) / decay)) @ np.linalg.qr(
        rng.standard_normal((80, 80))
    )[0]
    X = (X + offset * rng.standard_normal(80)).astype(dtype)
    W = X - X.mean(axis=0, dtype=np.float64)
    s = np.linalg.svd(W, compute_uv=False)
    result = randnla.pca(X, 30, method="gram", rng=0)
    if dtype == np.float32:
        assert result.info.path.split(", ")[-1] == route
    eps = np.finfo(dtype).eps
    assert np.allclose(result.explained_variance * 2999, s[:30] ** 2, rtol=100 * eps)
    best = np.linalg.norm(s[30:])
    kept = result.components.astype(np.float64)
    error = np.linalg.norm(W - (W @ kept.T) @ kept)
    assert error <= 1.001 * best
    assert 0.99 * error <= result.info.error_estimate <= 1.02 * error
    assert np.linalg.norm(W - result.scores @ kept) <= 1.001 * best + 100 * eps * offset
    cosines = np.corrcoef(result.scores.T.astype(np.float64)) - np.eye(30)
    assert np.abs(cosines).max() <= np.sqrt(eps)


def test_rows_that_mislead_the_pilot():
    # The sampled rows have mean zero and spread; all others sit far away, close together.
    X = np.random.default_rng(5).standard_normal((25_600, 12)).astype(np.float32)
    X[np.arange(25_600) % 100 != 0] += 2000
    W = X - X.mean(axis=0, dtype=np.float64)
    for order in (X, X[np.argsort(X[:, 0])]):
        result = randnla.pca(order, 5, method="gram", rng=0)
        s = np.linalg.svd(W, compute_uv=False)
        assert np.allclose(result.explained_variance * 25_599, s[:5] ** 2, rtol=2e-2)
        assert np.allclose(result.explained_variance[0] * 25_599, s[0] ** 2, rtol=1e-5)


def test_refusals():
    with pytest.raises(randnla.InputError, match="two rows"):
        randnla.pca(np.ones((1, 4)), 1)
    with pytest.raises(randnla.NonFiniteError):
        randnla.pca(np.full((5, 4), np.nan), 1)


@pytest.mark.parametrize("method", ["row_extraction", "subspace"])
def test_a_complex_mean_keeps_its_imaginary_part(method):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((40, 20)) + 1j * rng.standard_normal((40, 20))
    A[:, 5:] *= 1e-3
    A += 0.3j  # small enough for the products to be corrected, not the blocks
    result = randnla.pca(A, 6, method=method, rng=0)
    centered = A - A.mean(0)
    error = np.linalg.norm(centered - result.scores @ result.components)
    best = np.linalg.norm(np.linalg.svd(centered, compute_uv=False)[6:])
    assert result.info.method == method
    assert error <= 1.2 * best
    assert error <= result.info.error_estimate


@pytest.mark.parametrize("wrap", [scipy.sparse.csr_array, scipy.sparse.linalg.aslinearoperator])
@pytest.mark.parametrize("size", [{"rank": 4}, {"tol": 0.1}])
def test_farpca_takes_what_cannot_be_read_in_blocks(wrap, size):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((80, 20)) * 0.5 ** np.arange(20) + 0.1
    result = randnla.pca(wrap(A), method="farpca", rng=0, **size)
    error = np.linalg.norm(A - A.mean(0) - result.scores @ result.components)
    assert result.info.method == "farpca"
    assert error <= result.info.error_estimate <= 10 * error

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Halko, Martinsson and Tropp (2011), sections 4 and 5: every algorithm, its theorem and a tight law."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import randnla
from randnla import datasets
from randnla.lowrank.factor import pivoted_rows


@pytest.fixture(autouse=True)
def one_thread():
    """Many small problems: a team would only wait for itself."""
    before = randnla.num_threads()
    randnla.set_num_threads(1)
    yield
    randnla.set_num_threads(before)


@pytest.fixture(scope="module")
def laplace():
    A = datasets.laplace_single_layer()
    return A, np.linalg.svd(A, compute_uv=False)


def spectral(X):
    return float(np.linalg.norm(X, 2))


@pytest.mark.parametrize("eps", [1e-1, 1e-2, 1e-4, 1e-6, 1e-8])
def test_4_2_the_adaptive_error_is_below_eps_always(laplace, eps):
    # The (4.3) guarantee at its default of 1e-10 a run: in 20 runs, never above.
    A, s = laplace
    sizes = []
    for seed in range(20):
        found = randnla.range_finder(A, tol=eps, norm="spectral", method="adaptive", power_iters=0, rng=seed)
        true = spectral(A - found.Q @ (found.Q.T @ A))
        assert true <= found.info.error_estimate <= eps * s[0] * (1 + 1e-12)
        assert found.info.converged
        assert found.info.failure_probability == 1e-10
        sizes.append(found.Q.shape[1])
    # Tight: a basis of fewer than `least` columns cannot do, and (4.3) over-estimates by ten or so, which is
    # worth this many columns of a spectrum that falls like this one.
    least = int(np.count_nonzero(s > eps * s[0]))
    enough = int(np.count_nonzero(s > eps * s[0] / 40))
    assert least <= min(sizes)
    assert max(sizes) <= enough + 2


def test_4_2_coverage_of_the_guarantee_at_a_weak_setting():
    # One run may fail with probability 10 %, shared by its tests; blocks of 1 make many of them.
    rng = np.random.default_rng(0)
    A = (np.linalg.qr(rng.standard_normal((40, 30)))[0] / np.arange(1, 31)) @ np.linalg.qr(
        rng.standard_normal((30, 30))
    )[0]
    runs, misses = 400, 0
    for seed in range(runs):
        found = randnla.qb(
            A, tol=0.15, norm="spectral", block=1, power_iters=0, failure_probability=0.1, rng=seed
        )
        misses += spectral(A - found.to_dense()) > found.info.error_estimate
    assert misses <= stats.binom.isf(1e-12, runs, 0.1)


METHODS = {
    "range_finder": ("proto", "power", "subspace", "krylov"),
    "svd": ("proto", "power", "subspace", "krylov", "row_extraction"),
    "pca": ("proto", "power", "subspace", "krylov", "row_extraction"),
    "eigh": ("subspace", "krylov", "nystrom", "row_extraction"),
}


@pytest.mark.parametrize("sketch", ["srft", "srht"])
@pytest.mark.parametrize(("driver", "method"), [(d, m) for d, ms in METHODS.items() for m in ms])
def test_4_5_structured_sketches_are_as_good_as_gaussian_in_every_driver(driver, method, sketch):
    rng = np.random.default_rng(0)
    V = np.linalg.qr(rng.standard_normal((120, 120)))[0]
    A = (V * 0.8 ** np.arange(120)) @ V.T
    solve = getattr(randnla, driver)

    def lost(kind, seed):
        found = solve(A, 12, method=method, sketch=kind, power_iters=0, rng=seed)
        assert found.info.method == method
        assert found.info.sketch == kind
        X, B = A, found
        if driver == "range_finder":
            return np.linalg.norm(A - B.Q @ (B.Q.T @ A))
        if driver == "pca":
            X = A - A.mean(axis=0)
            return np.linalg.norm(X - B.scores @ B.components)
        return np.linalg.norm(X - B.to_dense())

    gaussian = np.median([lost("gaussian", seed) for seed in range(10)])
    ours = np.median([lost(sketch, seed) for seed in range(10)])
    assert 1 / 1.5 < ours / gaussian < 1.5


@pytest.mark.parametrize("size", [25, 50, 75])
def test_5_2_row_extraction_on_the_integral_operator(laplace, size):
    A, s = laplace
    ratios = []
    for seed in range(15):
        call = {"oversample": 0, "power_iters": 0, "rng": seed}
        (Q,) = randnla.range_finder(A, size, method="proto", **call)
        eps = spectral(A - Q @ (Q.T @ A))
        found = randnla.svd(A, size, method="row_extraction", **call)
        lost = spectral(A - found.to_dense())
        # (1 + ||X||) eps with X = Q Q[J]^-1, computed: the rows J are those that A and U diag(s) Vh share.
        X, J = pivoted_rows(Q)
        assert np.allclose(X[J], np.eye(size), atol=1e-12)
        assert np.allclose(X @ Q[J], Q, atol=1e-10)
        rounding = 1e-14 * s[0]
        assert lost <= (1 + spectral(X)) * eps + rounding
        # Lemma of section 5.2 for strong pivoting; plain pivoting obeys it here.
        assert spectral(X) <= np.sqrt(1 + 4 * size * (200 - size))
        ratios.append((lost + rounding) / (eps + rounding))
    # In practice a factor of two or so, far from the bound.
    assert np.max(ratios) <= 3
    assert np.median(ratios) >= 0.9


def test_9_3_truncation_adds_the_next_singular_value(laplace):
    # Theorem 9.3: ||A - (Q Q^H A)_k|| <= sigma_{k+1} + ||(I - Q Q^H) A||, and Frobenius squares add exactly.
    A, s = laplace
    for seed in range(20):
        (Q,) = randnla.range_finder(A, 20, oversample=0, method="proto", rng=seed)
        found = randnla.svd(A, 10, oversample=10, method="proto", rng=seed)
        E = A - Q @ (Q.T @ A)
        lost = A - found.to_dense()
        assert spectral(lost) <= s[10] + spectral(E)
        B = np.linalg.svd(Q.T @ A, compute_uv=False)
        exact = np.hypot(np.linalg.norm(E), np.linalg.norm(B[10:]))
        assert abs(np.linalg.norm(lost) - exact) <= 1e-12 * s[0]
        assert found.info.error_estimate >= np.linalg.norm(lost) * (1 - 1e-9)


@pytest.mark.parametrize("method", ["subspace", "row_extraction", "nystrom", "one_pass"])
def test_5_3_to_5_6_obey_their_bounds_and_keep_their_order(method):
    rng = np.random.default_rng(3)
    V = np.linalg.qr(rng.standard_normal((120, 120)))[0]
    A = (V / np.arange(1.0, 121) ** 2) @ V.T
    # In units of eps = ||(I - Q Q^T) A||: 5.3 at most 2, 5.5 below 5.3, 5.4 at most (1 + ||X||)(1 + ...) and
    # in practice 6; 5.6 solves a square system of the sketch and is the weakest.
    most = {"subspace": 2.0, "nystrom": 2.0, "row_extraction": 12.0, "one_pass": 60.0}[method]
    ratios = []
    for seed in range(30):
        call = {"oversample": 0, "power_iters": 0, "rng": seed}
        (Q,) = randnla.range_finder(A, 15, method="proto", **call)
        eps = spectral(A - Q @ (Q.T @ A))
        found = randnla.eigh(A, 15, method=method, **call)
        assert found.info.method == method
        lost = spectral(A - found.to_dense())
        # Tight from below: Eckart and Young.
        assert lost >= (1 - 1e-9) / 16**2
        ratios.append(lost / eps)
    assert np.median(ratios) <= most
    if method in ("subspace", "nystrom"):
        assert np.max(ratios) <= most * (1 + 1e-9)
    if method == "one_pass":
        assert found.info.passes == 1


@pytest.mark.parametrize("kind", ["srft", "srht"])
@pytest.mark.parametrize("space", ["coordinates", "smooth", "any"])
def test_theorem_11_1_structured_maps_embed_every_space(kind, space):
    # l >= 4 (sqrt k + sqrt(8 log(k n)))^2 log k rows: .40 <= sigma(S V) <= 1.48 but for O(1 / k).
    n, k = 4096, 3
    rows = structured_rows(n, k)
    i = np.arange(n)[:, None]
    V = {
        "coordinates": np.eye(n, k),
        "smooth": np.linalg.qr(np.cos(np.pi * (i + 0.5) * np.arange(k) / n))[0],
        "any": np.linalg.qr(np.random.default_rng(0).standard_normal((n, k)))[0],
    }[space]
    make = {"srft": randnla.SRFT, "srht": randnla.SRHT}[kind]
    runs = 400
    found = np.array([np.linalg.svd(make(rows, n, rng=j).apply(V), compute_uv=False) for j in range(runs)])
    assert found.min() >= 0.40
    assert found.max() <= 1.48
    # Tight: the mean of S^T S is the identity, and its spread no more than that of as many Gaussian rows.
    squares = (found**2).sum(axis=1)
    assert abs(squares.mean() - k) <= 5 * squares.std() / np.sqrt(runs) + 1e-12
    assert squares.var() <= 1.3 * 2 * k / rows
    assert np.abs(found - 1).mean() <= np.sqrt(k / rows)


@pytest.mark.parametrize("sketch", ["srft", "srht"])
def test_theorem_11_2_structured_range_finders_on_a_flat_tail(sketch):
    # ||A - Q Q^H A|| <= sqrt(1 + 7 n / l) sigma_{k+1} but for O(1 / k); flat tails are the worst of spectra.
    n, k = 2048, 3
    rows = structured_rows(n, k)
    rng = np.random.default_rng(0)
    W = np.linalg.qr(rng.standard_normal((n, 700)))[0]
    s = np.r_[[100.0] * k, np.full(697, 1.0)]
    A = (np.linalg.qr(rng.standard_normal((700, 700)))[0] * s) @ W.T
    lost = []
    for seed in range(5):
        found = randnla.range_finder(
            A, rows, oversample=0, method="proto", sketch=sketch, power_iters=0, rng=seed
        )
        lost.append(spectral(A - found.Q @ (found.Q.T @ A)))
    assert max(lost) <= np.sqrt(1 + 7 * n / rows)
    # Tight: no basis of l < rank(A) columns does better than sigma_{l+1}, and Gaussian ones do as well.
    assert min(lost) >= 1 - 1e-12
    (Q,) = randnla.range_finder(A, rows, oversample=0, method="proto", power_iters=0, rng=0)
    assert 1 / 1.2 < np.median(lost) / spectral(A - Q @ (Q.T @ A)) < 1.2


def structured_rows(n, k):
    """The sketch size that Theorems 11.1 and 11.2 ask for."""
    return int(np.ceil(4 * (np.sqrt(k) + np.sqrt(8 * np.log(k * n))) ** 2 * np.log(k)))

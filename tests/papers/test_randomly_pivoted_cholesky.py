# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Chen, Epperly, Tropp and Webber (2023), Randomly pivoted Cholesky: Theorem 5.1 and the spiral."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.optimize
from cases import ALPHA

import randnla


def spiral(n=1000):
    t = np.linspace(0, 64, n)
    return np.exp(0.2 * t)[:, None] * np.c_[np.cos(t), np.sin(t)]


def greedy(A, k):
    """Relative trace error of Cholesky with complete pivoting."""
    rest, F = np.diagonal(A).copy(), np.zeros((len(A), k))
    for j in range(k):
        s = int(np.argmax(rest))
        F[:, j] = (A[:, s] - F[:, :j] @ F[s, :j]) / math.sqrt(rest[s])
        rest -= F[:, j] ** 2
        rest[s] = 0
    return float(rest.sum() / np.trace(A))


def uniform(A, k, rng):
    S = rng.choice(len(A), k, replace=False)
    core = np.linalg.pinv(A[np.ix_(S, S)], hermitian=True, rcond=1e-12)
    return 1 - float(np.sum((A[:, S] @ core) * A[:, S]) / np.trace(A))


@pytest.mark.parametrize(
    ("k", "best", "random", "by_size", "at_random"),
    [(60, 0.2346, 0.30, 0.407, 0.34), (100, 0.1916, 0.237, 0.367, 0.30)],
)
def test_the_spiral(k, best, random, by_size, at_random):
    """Greedy pivots waste themselves on the sparse arms, uniform ones on the dense core."""
    K = randnla.KernelMatrix(spiral(), bandwidth=1000.0)
    A = K.to_dense()
    w = np.linalg.eigvalsh(A)[::-1]
    found = [randnla.rpcholesky(K, k, rng=seed).info for seed in range(20)]
    mean = np.mean([info.error_relative for info in found])
    blind = np.mean([uniform(A, k, np.random.default_rng(seed)) for seed in range(10)])
    assert w[k:].sum() / 1000 == pytest.approx(best, abs=1e-4)
    assert mean == pytest.approx(random, abs=0.01)
    assert greedy(A, k) == pytest.approx(by_size, abs=1e-3)
    assert blind == pytest.approx(at_random, abs=0.015)
    assert mean < blind < greedy(A, k)
    assert all(info.method == "accelerated" and info.iterations <= 5 for info in found)


def highest_mean(expected, top, runs):
    """A mean of `runs` numbers in [0, top] of expectation `expected` exceeds this with probability <= ALPHA.

    Hoeffding (1963), Theorem 1: P(mean >= t) <= exp(-runs KL(t / top || expected / top)).
    """
    p = expected / top

    def excess(t):
        return runs * (t * math.log(t / p) + (1 - t) * math.log((1 - t) / (1 - p))) + math.log(ALPHA)

    return top * scipy.optimize.brentq(excess, p, 1 - 1e-12)


@pytest.mark.parametrize("method", ["accelerated", "simple"])
def test_theorem_5_1(method):
    """k >= r / eps + r log(1 / (eps eta)) columns: E trace <= (1 + eps) times the best of rank r."""
    n, r, eps, runs = 60, 4, 0.5, 1000
    w = np.r_[np.ones(r), np.full(n - r, 5e-3)]
    V = np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0]
    A = (V * w) @ V.T
    A = (A + A.T) / 2
    best = w[r:].sum()
    k = math.ceil(r / eps + r * math.log(1 / (eps * best / w.sum())))

    def mean(columns):
        found = (randnla.rpcholesky(A, columns, method=method, rng=seed).info for seed in range(runs))
        return np.mean([info.error_estimate for info in found])

    limit = highest_mean((1 + eps) * best, np.trace(A), runs)
    assert mean(k) <= limit
    # The tight companion: r columns are too few, by more than chance can explain.
    assert mean(r) > limit

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Standard errors are honest: of ten thousand runs each, two of them hold the truth nine times in ten."""

import numpy as np
import pytest
from cases import ALPHA
from estimate_cases import matrix
from scipy import stats
from scipy.sparse.linalg import aslinearoperator

import randnla
from randnla.estimate import squared_row_norms, trace_function
from randnla.estimate.call import spread_of_mean

RUNS = 10_000


def decay(x):
    return np.exp(-x)


# A spectrum that is hard for it, the estimate of a seed, and the truth. (Of two eigenvalues quadrature is
# exact after two steps, which leaves sampling alone, and time for ten thousand runs; but where traces of A
# and of its square are known, five have to be there to leave anything to chance.)
ESTIMATORS = {
    "trace xtrace": ("exp", lambda A, s: randnla.trace(A, 24, rng=s), np.trace),
    "trace xnystrace": ("poly", lambda A, s: randnla.trace(A, 12, method="xnystrace", rng=s), np.trace),
    "trace hutchpp": ("step", lambda A, s: randnla.trace(A, 36, method="hutchpp", rng=s), np.trace),
    "trace hutchinson": ("poly", lambda A, s: randnla.trace(A, 12, method="hutchinson", rng=s), np.trace),
    "diag xdiag": ("flat", lambda A, s: randnla.diag(A, 24, rng=s), np.diag),
    "diag xnysdiag": ("flat", lambda A, s: randnla.diag(A, 12, method="xnysdiag", rng=s), np.diag),
    "diag hutchinson": ("poly", lambda A, s: randnla.diag(A, 12, method="hutchinson", rng=s), np.diag),
    "row norms": ("flat", lambda A, s: squared_row_norms(A, 36, rng=s), lambda A: (A**2).sum(axis=1)),
    "norm fro": (
        "poly",
        lambda A, s: randnla.norm(aslinearoperator(A), "fro", budget=24, rng=s),
        np.linalg.norm,
    ),
    "logdet slq with outliers": (
        "outliers",
        lambda A, s: randnla.logdet(A, method="slq", samples=12, rng=s),
        lambda A: np.linalg.slogdet(A)[1],
    ),
    "logdet slq of products": (
        "step",
        lambda A, s: randnla.logdet(aslinearoperator(A), method="slq", samples=12, rng=s),
        lambda A: np.linalg.slogdet(A)[1],
    ),
    "logdet nystrom": (
        "poly",
        lambda A, s: randnla.logdet(A, method="nystrom", samples=12, rank=4, rng=s),
        lambda A: np.linalg.slogdet(A)[1],
    ),
    "trace of a function": (
        "outliers",
        lambda A, s: trace_function(decay, A, samples=8, rng=s),
        lambda A: decay(np.linalg.eigvalsh(A)).sum(),
    ),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_two_standard_errors_hold_the_truth(name):
    """Of arrays, of every entry: their mean rate has at most the variance of one's."""
    spectrum, estimate, truth = ESTIMATORS[name]
    A = matrix(spectrum, 24)
    true, inside = truth(A), 0.0
    for seed in range(RUNS):
        found = estimate(A, seed)
        inside += float(np.mean(np.abs(found.value - true) <= 2 * found.std_error))
    assert inside >= stats.binom.ppf(ALPHA, RUNS, 0.9)


@pytest.mark.parametrize("count", [2, 3, 12])
def test_few_normal_samples_cover_as_a_normal_law_does(count):
    X = np.random.default_rng(count).standard_normal((RUNS, count))
    inside = int((np.abs(X.mean(axis=1)) <= 2 * spread_of_mean(X)).sum())
    low, high = stats.binom.ppf([ALPHA / 2, 1 - ALPHA / 2], RUNS, stats.norm.cdf(2) - stats.norm.cdf(-2))
    assert low <= inside <= high

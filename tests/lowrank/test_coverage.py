# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Ten thousand trials of every estimator: violations within the binomial law of the nominal probability.

The bases and residuals of all trials are made by stacked NumPy calls; the estimators are the functions that
the drivers call, trial by trial.
"""

from __future__ import annotations

import numpy as np
import pytest
from lowrank_cases import SPECTRA, hermitian, orthonormal
from scipy import stats

import randnla
from randnla.lowrank import error as certificates
from randnla.lowrank import jackknife, reconstruct
from randnla.lowrank.linear_sketch import LinearSketch, Sizes
from randnla.lowrank.problem import Problem
from randnla.lowrank.single_pass import SketchRun
from randnla.operators import Dense

TRIALS = 10_000
ALARM = 1e-12
M, N, SIZE = 14, 12, 4


def allowed(failure):
    """Violations that a true probability of at most `failure` exceeds with probability 1e-12."""
    return int(stats.binom.isf(ALARM, TRIALS, failure))


def trials(spectrum, *, complex_input, size=SIZE, seed=0):
    """A, bases Q of A Omega, and probes A w that they never saw, for all trials."""
    rng = np.random.default_rng(seed)
    dtype = np.complex128 if complex_input else np.float64
    s = SPECTRA[spectrum](N) if spectrum != "low_rank" else np.where(np.arange(N) < 6, 0.7 ** np.arange(N), 0)
    A = (orthonormal(M, N, rng, dtype) * s) @ orthonormal(N, N, rng, dtype).conj().T
    Z = A @ rng.standard_normal((TRIALS, N, size))
    Q, R = np.linalg.qr(Z)
    W = A @ rng.standard_normal((TRIALS, N, certificates.PROBES))
    return A, Z, Q, R, W


def adjoint(X):
    return np.swapaxes(X.conj(), 1, 2)


@pytest.mark.parametrize(
    ("spectrum", "complex_input"),
    [
        ("poly", False),
        ("geometric", False),
        ("step", False),
        ("flat", False),
        ("low_rank", False),
        ("poly", True),
    ],
)
def test_probes(spectrum, complex_input):
    A, _, Q, _, W = trials(spectrum, complex_input=complex_input)
    residual = W - Q @ (adjoint(Q) @ W)
    E = A - Q @ (adjoint(Q) @ A)
    true = {"frobenius": np.linalg.norm(E, axis=(1, 2)), "spectral": np.linalg.norm(E, 2, axis=(1, 2))}
    # Weak settings, so that a bound that lies is caught: at 1e-4 ten thousand trials would say little.
    for norm, failure in (("frobenius", 0.01), ("frobenius", 0.1), ("spectral", 0.05)):
        bounds = np.array([certificates.probe_bound(X, norm, failure)[0] for X in residual])
        misses = np.count_nonzero(bounds < true[norm])
        assert misses <= allowed(failure), (norm, failure, misses)
    if spectrum != "poly":
        return
    # The defaults: 1e-4 and 1e-10.
    for norm, failure in certificates.DEFAULT_FAILURE.items():
        bounds = np.array([certificates.probe_bound(X, norm, None)[0] for X in residual])
        assert np.count_nonzero(bounds < true[norm]) <= allowed(failure)


def test_the_frobenius_bound_is_tight_at_rank_one():
    # Its worst case: there the misses are as many as they may be, and not fewer.
    rng = np.random.default_rng(1)
    u = rng.standard_normal((M, 1))
    residual = u @ rng.standard_normal((TRIALS, 1, certificates.PROBES))
    for failure in (0.01, 0.1):
        bounds = np.array([certificates.frobenius_bound(X, failure) for X in residual])
        below = np.array([certificates.frobenius_below(X, failure) for X in residual])
        for misses in (
            np.count_nonzero(bounds < np.linalg.norm(u)),
            np.count_nonzero(below > np.linalg.norm(u)),
        ):
            assert stats.binom.ppf(ALARM, TRIALS, failure) <= misses <= allowed(failure)


@pytest.mark.parametrize("spectrum", ["poly", "geometric", "step", "flat", "low_rank"])
def test_lower_bounds_of_the_norm(spectrum):
    A, _, _, _, W = trials(spectrum, complex_input=False)
    below = np.array([certificates.frobenius_below(X, 0.05) for X in W])
    assert np.count_nonzero(below > np.linalg.norm(A)) <= allowed(0.05)
    assert below.mean() >= 0.5 * np.linalg.norm(A)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spectrum", ["poly", "geometric", "step", "flat"])
def test_the_identity_never_fails(spectrum, dtype):
    A, _, Q, _, _ = trials(spectrum, complex_input=False)
    A32, Q = A.astype(dtype), Q.astype(dtype)
    B = adjoint(Q) @ A32
    wide, Qw = A32.astype(np.float64), Q.astype(np.float64)
    true = np.linalg.norm(wide - Qw @ (adjoint(Qw) @ wide), axis=(1, 2))
    norm = float(np.linalg.norm(wide))
    captured = (B.astype(np.float64) ** 2).sum(axis=(1, 2))
    told = [certificates.exact_error(norm, float(c), dtype, M) for c in captured]
    seen = np.array([x is not None for x in told])
    bounds = np.array([x for x in told if x is not None])
    assert seen.mean() > 0.9
    assert np.all(bounds >= true[seen] * (1 - 1e-9))
    assert np.all(bounds <= 1.06 * true[seen])


@pytest.mark.parametrize(
    ("spectrum", "low", "high"), [("poly", 0.5, 2), ("step", 0.5, 2), ("flat", 0.9, 1.1)]
)
def test_leave_one_out_is_unbiased_for_one_column_less(spectrum, low, high):
    _, Z, Q, R, _ = trials(spectrum, complex_input=False)
    estimates = np.array([certificates.leave_one_out(z, q, [r]) for z, q, r in zip(Z, Q, R, strict=True)])
    A, _, Qs, _, _ = trials(spectrum, complex_input=False, size=SIZE - 1, seed=0)
    true = np.linalg.norm(A - Qs @ (adjoint(Qs) @ A), axis=(1, 2))
    # Means of squares agree within 7.13 standard errors, the two-sided 1e-12 point.
    gap = (estimates**2).mean() - (true**2).mean()
    spread = np.sqrt(((estimates**2).var() + (true**2).var()) / TRIALS)
    assert abs(gap) <= 7.13 * spread
    ratio = np.median(estimates) / np.median(true)
    assert low <= ratio <= high


def streamed(A, k, theta):
    """The reconstruction of rank k of A with the probes `theta` (q, m), which its factors have not met."""
    U, s, Vh = np.linalg.svd(A, full_matrices=False)
    # Factors somewhat off: those of a matrix nearby.
    s = s[:k] * (1 + 0.1 * np.arange(k))
    U, V = U[:, :k], Vh[:k].T
    rest = theta @ (A - (U * s) @ V.T)
    run = SketchRun(A.shape, A.dtype, 0)
    return [
        reconstruct.Reconstruction(U, s, V, 0, image.T, residual.T, run)
        for image, residual in zip(theta @ A, rest, strict=True)
    ], np.linalg.norm(A - (U * s) @ V.T)


@pytest.mark.parametrize(
    ("weights", "k"),
    # The error is a part of the norm, most of it, all of it, and one direction.
    [((1.0, 0.5, 0.4, 0.3, 0.2), 2), ((1.0, 0.9, 0.9, 0.9), 1), ((1.0, 0.5), 0), ((1.0, 0.7), 1)],
)
@pytest.mark.parametrize("failure", [0.1, 0.01])
def test_both_bounds_of_a_stream(weights, k, failure):
    """The error, and apart from it the relative error, exceed their bounds as seldom as they may."""
    rng = np.random.default_rng(3)
    size = len(weights)
    A = (orthonormal(M, size, rng) * np.array(weights)) @ orthonormal(N, size, rng).T
    found, true = streamed(A, k, rng.standard_normal((TRIALS, certificates.PROBES, M)))
    sketch = LinearSketch((M, N), A.dtype, 0, "gaussian", Sizes(k + 2, 2 * k + 5, 0, certificates.PROBES))
    told = np.array([reconstruct.certify(sketch, one, "frobenius", failure) for one in found])
    assert np.all(told[:, 2] == failure)
    assert np.count_nonzero(told[:, 0] < true) <= allowed(failure)
    assert np.count_nonzero(told[:, 1] < true / np.linalg.norm(A)) <= allowed(failure)
    assert np.median(told[:, 0]) <= 3 * true
    spectral = np.array([reconstruct.certify(sketch, one, "spectral", failure) for one in found])
    E = A - (found[0].U * found[0].s) @ found[0].V.T
    for column, value in ((0, np.linalg.norm(E, 2)), (1, np.linalg.norm(E, 2) / np.linalg.norm(A, 2))):
        assert np.count_nonzero(spectral[:, column] < value) <= allowed(failure)


def test_the_relative_bound_of_a_stream_spends_half_on_each_of_two_events(monkeypatch):
    """The union bound is all that is known of the two: a full share for each would promise too much."""
    shares = []

    def recorded(image, failure, f=certificates.frobenius_below):
        shares.append(failure)
        return f(image, failure)

    monkeypatch.setattr(certificates, "frobenius_below", recorded)
    rng = np.random.default_rng(4)
    A = rng.standard_normal((M, N))
    found, _ = streamed(A, 3, rng.standard_normal((1, certificates.PROBES, M)))
    sketch = LinearSketch((M, N), A.dtype, 0, "gaussian", Sizes(5, 11, 0, certificates.PROBES))
    bound, relative, failure = reconstruct.certify(sketch, found[0], "frobenius", 0.1)
    assert (shares, failure) == ([0.05], 0.1)
    assert relative > bound / certificates.frobenius_below(found[0].probes, 0.1)


@pytest.mark.parametrize("name", ["identity", "sqrt"])
def test_the_jackknife_is_above_the_variance_in_mean_square(name):
    """Efron, Stein and Steele: E jack^2 >= E ||f(A_nys) - E f(A_nys)||^2 for a sketch of one column less."""
    n, size, k = 7, 3, 2
    f = {"identity": lambda w: w, "sqrt": np.sqrt}[name]
    A = hermitian(n, "poly")[0]
    rng = np.random.default_rng(6)
    problem = Problem(Dense(A), "dense", 0)
    before = randnla.num_threads()
    randnla.set_num_threads(1)
    try:
        Q, R = np.linalg.qr(rng.standard_normal((TRIALS, n, size)))
        squares = np.array(
            [
                jackknife.deviation(problem, q, y, [r], k, f, 0) ** 2
                for q, y, r in zip(Q, A @ Q, R, strict=True)
            ]
        )
    finally:
        randnla.set_num_threads(before)
    Omega = rng.standard_normal((TRIALS, n, size - 1))
    Y = A @ Omega
    core = np.swapaxes(Omega, 1, 2) @ Y
    w, V = np.linalg.eigh(Y @ np.linalg.solve(core, np.swapaxes(Y, 1, 2)))
    w, V = np.maximum(w[:, -k:], 0.0), V[:, :, -k:]
    values = (V * f(w)[:, None, :]) @ np.swapaxes(V, 1, 2)
    deviations = ((values - values.mean(axis=0)) ** 2).sum(axis=(1, 2))
    gap = squares.mean() - deviations.mean()
    spread = np.sqrt((squares.var() + deviations.var()) / TRIALS)
    assert gap >= -7.04 * spread  # the one-sided 1e-12 point
    assert squares.mean() <= 10 * deviations.mean()

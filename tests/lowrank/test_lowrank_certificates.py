# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Certificates keep their promise: violations over many seeds against the binomial law."""

from __future__ import annotations

import math

import numpy as np
import pytest
from lowrank_cases import SPECTRA, error, hermitian, matrix
from scipy import stats

import randnla
from randnla.lowrank import error as certificates


@pytest.fixture(autouse=True)
def one_thread():
    """Thousands of tiny problems: a team would only wait for itself."""
    before = randnla.num_threads()
    randnla.set_num_threads(1)
    yield
    randnla.set_num_threads(before)


TRIALS = 1000
ALARM = 1e-9


def allowed(failure, trials=TRIALS):
    """Violations that a true probability of at most `failure` exceeds with probability 1e-9."""
    return int(stats.binom.isf(ALARM, trials, failure))


@pytest.mark.parametrize("norm", ["frobenius", "spectral"])
@pytest.mark.parametrize("failure", [0.01, 0.1])
def test_probe_bounds_cover_and_are_tight_at_rank_one(norm, failure):
    # Rank one is the extremal case of both laws; for Frobenius the failure is then exactly nominal.
    bound = certificates.frobenius_bound if norm == "frobenius" else certificates.spectral_bound
    rng = np.random.default_rng(5)
    for name, s in {"one": np.r_[1.0, np.zeros(29)], **{k: f(30) for k, f in SPECTRA.items()}}.items():
        size = np.linalg.norm(s) if norm == "frobenius" else s[0]
        misses = sum(bound(s[:, None] * rng.standard_normal((30, 10)), failure) < size for _ in range(TRIALS))
        assert misses <= allowed(failure), name
        if name == "one" and norm == "frobenius":
            assert misses >= int(stats.binom.ppf(ALARM, TRIALS, failure))


def spectral_error(A, result):
    return float(np.linalg.norm(A - (result.U * result.s) @ result.Vh, 2))


@pytest.mark.parametrize("method", ["proto", "power", "subspace", "row_extraction"])
@pytest.mark.parametrize("spectrum", ["poly", "geometric", "step", "flat", "low_rank"])
def test_svd_coverage(method, spectrum):
    # Five spectra share the thousand seeds of a method.
    A, s = matrix(32, 28, spectrum)
    misses, seeds = 0, TRIALS // 5
    for seed in range(seeds):
        result = randnla.svd(
            A, 5, oversample=4, power_iters=1, method=method, rng=seed, failure_probability=0.05
        )
        assert result.info.failure_probability == 0.05
        assert result.info.certificate == "probe"
        misses += error(A, result) > result.info.error_estimate
        # Never below the optimum: no certificate may claim what Eckart and Young forbid.
        assert error(A, result) >= np.sqrt((s[5:] ** 2).sum()) * (1 - 1e-10) - 1e-13
    assert misses <= allowed(0.05, seeds)


@pytest.mark.parametrize("method", ["subspace", "nystrom", "one_pass", "row_extraction"])
def test_eigh_coverage(method):
    A, _ = hermitian(30, "poly")
    misses = 0
    for seed in range(TRIALS):
        result = randnla.eigh(
            A, 5, oversample=4, power_iters=0, method=method, rng=seed, failure_probability=0.1
        )
        misses += error(A, result) > result.info.error_estimate
    assert misses <= allowed(0.1)


def test_spectral_coverage():
    A, _ = matrix(32, 28, "harmonic")
    misses = 0
    for seed in range(TRIALS):
        result = randnla.svd(A, 5, norm="spectral", method="proto", rng=seed, failure_probability=0.1)
        misses += spectral_error(A, result) > result.info.error_estimate
    assert misses <= allowed(0.1)


def test_exact_identity_agrees_with_the_error():
    A, _ = matrix(60, 50, "harmonic")
    result = randnla.svd(A, 8, certificate="exact", method="subspace", rng=0)
    assert result.info.failure_probability == 0
    assert result.info.error_estimate == pytest.approx(error(A, result), rel=1e-2)


def test_identity_below_its_resolution_falls_back_to_probes():
    rng = np.random.default_rng(0)
    s = 10.0 ** (-np.arange(50) / 2)
    A = (np.linalg.qr(rng.standard_normal((60, 50)))[0] * s) @ np.linalg.qr(rng.standard_normal((50, 50)))[
        0
    ].T
    result = randnla.svd(A, 20, oversample=4, certificate="exact", method="subspace", rng=0)
    assert result.info.certificate == "probe"
    assert "identity below resolution" in result.info.path
    assert 0 < error(A, result) <= result.info.error_estimate <= 40 * error(A, result)


def leave_one_out_ratio(spectrum, q, last_only):
    """Estimate over the mean error of sketches of one column less."""
    A, _ = matrix(80, 60, spectrum)
    size, estimates, errors = 16, [], []
    rng = np.random.default_rng(8)
    for _ in range(20):
        Z = A @ rng.standard_normal((60, size))
        for columns, out in ((size, estimates), (size - 1, errors)):
            Q, R = np.linalg.qr(Z[:, :columns])
            triangles = [R]
            for _ in range(q):
                W, R = np.linalg.qr(A.T @ Q)
                triangles.append(R)
                Q, R = np.linalg.qr(A @ W)
                triangles.append(R)
            if out is estimates:
                kept = triangles[-1:] if last_only else triangles
                out.append(certificates.leave_one_out(Z, Q, kept))
            else:
                out.append(np.linalg.norm(A - Q @ (Q.T @ A)))
    return math.sqrt(np.mean(np.square(estimates)) / np.mean(np.square(errors)))


@pytest.mark.parametrize("spectrum", ["harmonic", "poly", "geometric", "flat"])
@pytest.mark.parametrize("q", [0, 1])
def test_leave_one_out_estimates_the_error(spectrum, q):
    # "Order of magnitude": within a factor of 2 where it is used, measured .9 to 1.5.
    assert 0.5 <= leave_one_out_ratio(spectrum, q, last_only=False) <= 2


def test_leave_one_out_with_the_last_triangle_only_is_wrong():
    # The mutant: after a power step the last R is nearly diagonal and says nothing of the sketch.
    assert leave_one_out_ratio("geometric", 1, last_only=True) > 5


def test_leave_one_out_of_svd():
    A, _ = matrix(80, 60, "harmonic")
    ratios = []
    for seed in range(40):
        result = randnla.svd(A, 14, certificate="leave_one_out", method="subspace", power_iters=1, rng=seed)
        assert result.info.certificate == "leave_one_out"
        assert result.info.failure_probability is None
        ratios.append(result.info.error_estimate / error(A, result))
    assert 0.8 <= np.median(ratios) <= 1.3


def test_refusals():
    A = np.eye(30)
    with pytest.raises(randnla.InputError, match="certificate"):
        randnla.svd(A, 3, certificate="hope")
    with pytest.raises(randnla.InputError, match="certificate"):
        randnla.svd(A, 3, certificate="leave_one_out", sketch="sign")
    with pytest.raises(randnla.InputError, match="certificate"):
        randnla.eigh(A, 3, certificate="leave_one_out")
    with pytest.raises(randnla.InputError, match="method"):
        randnla.svd(A, 3, method="krylov")
    with pytest.raises(randnla.InputError, match="method"):
        randnla.eigh(A, 3, method="krylov")
    with pytest.raises(randnla.InputError, match="method"):
        randnla.range_finder(A, 3, method="krylov")

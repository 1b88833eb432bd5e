# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Certificates keep their promise: violations over many seeds against the binomial law."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse.linalg
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
            A,
            5,
            oversample=4,
            power_iters=1,
            method=method,
            certificate="probe",
            rng=seed,
            failure_probability=0.05,
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
            A,
            5,
            oversample=4,
            power_iters=0,
            method=method,
            certificate="probe",
            rng=seed,
            failure_probability=0.1,
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


def projection_error(A, result, order):
    Q = result.Q if hasattr(result, "Q") else result.U
    return float(np.linalg.norm(A - Q @ (Q.conj().T @ A), order))


# One row a code path; ten matrices' worth of seeds each: a nominal failure of 10 %, 1000 seeds.
COVERED = {
    "nystrom": lambda A, H, r: (H, randnla.nystrom(H, 4, oversample=3, power_iters=0, **r), "fro"),
    "eigh default": lambda A, H, r: (
        H,
        randnla.eigh(scipy.sparse.linalg.aslinearoperator(H), 4, oversample=0, **r),
        "fro",
    ),
    "spectral subspace": lambda A, H, r: (
        A,
        randnla.svd(A, 4, norm="spectral", method="subspace", power_iters=1, **r),
        2,
    ),
    "range, no oversampling": lambda A, H, r: (
        A,
        randnla.range_finder(A, 4, oversample=0, method="proto", certificate="probe", **r),
        "fro",
    ),
    **{
        f"svd {name}": lambda A, H, r, name=name: (
            A,
            randnla.svd(A, 4, sketch=name, method="proto", certificate="probe", **r),
            "fro",
        )
        for name in ("sign", "sparse_sign", "countsketch", "srht")
    },
}


@pytest.mark.parametrize("path", COVERED)
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_coverage_of_every_path(path, dtype):
    if path == "nystrom" and dtype == np.complex128:
        dtype = np.float32
    A, _ = matrix(22, 18, "harmonic", dtype)
    H, _ = hermitian(18, "harmonic", dtype)
    misses, trials = 0, TRIALS // (4 if path.startswith("svd") else 2)
    for seed in range(trials):
        B, result, order = COVERED[path](A, H, {"rng": seed, "failure_probability": 0.1})
        assert result.info.certificate == "probe"
        assert result.info.failure_probability == 0.1
        if hasattr(result, "w"):
            found = error(B, result)
        elif hasattr(result, "Q"):
            found = projection_error(B, result, order)
        else:
            found = float(np.linalg.norm(B - (result.U * result.s) @ result.Vh, order))
        misses += found > result.info.error_estimate
    assert misses <= allowed(0.1, trials)


@pytest.mark.parametrize("norm", ["fro", "spectral"])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_tolerance_mode_coverage(norm, dtype):
    # An operator knows no Frobenius norm: every test is made with probes.
    A, _ = matrix(70, 60, "poly", dtype)
    operator = scipy.sparse.linalg.aslinearoperator(A)
    misses, trials = 0, TRIALS // 4
    for seed in range(trials):
        result = randnla.svd(operator, tol=0.2, norm=norm, rng=seed, failure_probability=0.1)
        assert result.info.certificate == "probe"
        found = np.linalg.norm(A - (result.U * result.s) @ result.Vh, 2 if norm == "spectral" else "fro")
        misses += found > result.info.error_estimate
    assert misses <= allowed(0.1, trials)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("solve", [randnla.svd, randnla.range_finder, randnla.eigh])
def test_exact_identity_is_the_default_of_arrays_and_agrees_with_the_error(solve, dtype):
    A, _ = matrix(60, 50, "harmonic", dtype)
    if solve is randnla.eigh:
        A, _ = hermitian(60, "harmonic", dtype, signs=True)
    for seed in range(20):
        result = solve(A, 8, method="subspace", rng=seed)
        assert result.info.certificate == "exact"
        assert result.info.failure_probability == 0
        found = projection_error(A, result, "fro") if solve is randnla.range_finder else error(A, result)
        assert found <= result.info.error_estimate * (1 + 1e-9)
        assert result.info.error_estimate <= 1.01 * found


def test_candidates_of_eigh_share_the_failure_probability(monkeypatch):
    H, _ = hermitian(40, "harmonic")
    failures = []

    def recorded(residual, norm, failure, bound=certificates.probe_bound):
        failures.append(failure)
        return bound(residual, norm, failure)

    monkeypatch.setattr(certificates, "probe_bound", recorded)
    result = randnla.eigh(scipy.sparse.linalg.aslinearoperator(H), 5, rng=0, failure_probability=0.1)
    assert "definite core" in result.info.path
    assert result.info.failure_probability == 0.1
    assert failures[-1] == 0.1 / 4


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

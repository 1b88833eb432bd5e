# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Certificates keep their promise: violations over many seeds against the binomial law."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.sparse.linalg
from cases import ALPHA
from lowrank_cases import SPECTRA, error, hermitian, matrix
from scipy import stats

import randnla
from randnla._backend.results import RangeResult
from randnla.lowrank import adaptive, definite
from randnla.lowrank import error as certificates


@pytest.fixture(autouse=True)
def one_thread():
    """Thousands of tiny problems: a team would only wait for itself."""
    before = randnla.num_threads()
    randnla.set_num_threads(1)
    yield
    randnla.set_num_threads(before)


TRIALS = 1000
MATRICES = ("geometric", "poly", "step", "flat", "low_rank")  # they share the seeds of a path
K, M, N = 4, 16, 14


def allowed(failure):
    """Violations that a true probability of at most `failure` exceeds with probability ALPHA."""
    return int(stats.binom.isf(ALPHA, TRIALS, failure))


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
            assert misses >= int(stats.binom.ppf(ALPHA, TRIALS, failure))


@dataclass(frozen=True)
class Path:
    """A certificate's way through a driver: what the matrix is, and words that `info.path` must hold.

    `opaque` matrices are operators that know no norm: every test of theirs is made with probes.
    """

    driver: Callable[..., Any]
    options: dict[str, Any]
    opaque: bool = False
    signs: bool = False  # eigenvalues of both signs
    words: str = ""
    often: int = TRIALS  # how often the words are there, at least


# Widths that leave a random error: a sketch of the whole range would have none.
NARROW = {"rank": K, "oversample": 2}
TOL = {"tol": 0.25, "power_iters": 0}
svd, qb, eigh, nystrom, pca, range_finder = (
    randnla.svd,
    randnla.qb,
    randnla.eigh,
    randnla.nystrom,
    randnla.pca,
    randnla.range_finder,
)
PATHS = {
    "svd proto": Path(svd, {**NARROW, "method": "proto"}),
    "svd power": Path(svd, {**NARROW, "method": "power", "power_iters": 1}),
    "svd subspace": Path(svd, {**NARROW, "method": "subspace", "power_iters": 1}),
    "svd row_extraction": Path(svd, {**NARROW, "method": "row_extraction", "power_iters": 1}),
    "svd spectral": Path(svd, {**NARROW, "method": "proto", "norm": "spectral"}),
    "svd tol": Path(svd, TOL, opaque=True, words="adaptive"),
    "svd tol spectral": Path(svd, {**TOL, "norm": "spectral"}, words="adaptive", opaque=True),
    **{
        f"svd {kind}": Path(svd, {**NARROW, "method": "proto", "sketch": kind})
        for kind in ("sign", "sparse_sign", "countsketch", "srht", "srft")
    },
    "svd krylov": Path(svd, {**NARROW, "method": "krylov", "power_iters": 1}),
    "svd farpca": Path(svd, {**NARROW, "method": "farpca", "power_iters": 1}),
    **{
        f"qb {name}": Path(qb, {"rank": K, "method": name, "power_iters": 0})
        for name in ("ei", "pass_efficient", "farpca")
    },
    "eigh krylov": Path(eigh, {**NARROW, "method": "krylov", "power_iters": 0}, signs=True),
    "eigh subspace": Path(eigh, {**NARROW, "method": "subspace", "power_iters": 0}, signs=True),
    "eigh nystrom": Path(eigh, {**NARROW, "method": "nystrom", "power_iters": 0}),
    "eigh one_pass": Path(eigh, {**NARROW, "method": "one_pass"}, signs=True),
    "eigh row_extraction": Path(eigh, {**NARROW, "method": "row_extraction", "power_iters": 0}, signs=True),
    "eigh definite": Path(eigh, {"rank": K, "oversample": 0}, words="definite core", opaque=True, often=900),
    "eigh indefinite": Path(
        eigh, {"rank": K, "oversample": 0}, words="indefinite core", opaque=True, signs=True, often=900
    ),
    "eigh tol": Path(eigh, TOL, opaque=True, signs=True, words="adaptive"),
    "eigh tol spectral": Path(eigh, {**TOL, "norm": "spectral"}, words="adaptive", opaque=True, signs=True),
    "nystrom one pass": Path(nystrom, {**NARROW, "power_iters": 0}),
    "nystrom two passes": Path(nystrom, {**NARROW, "power_iters": 1, "norm": "spectral"}),
    "nystrom tol": Path(nystrom, TOL, opaque=True, words="adaptive"),
    "pca": Path(pca, {**NARROW, "power_iters": 0}, opaque=True, words="centered"),
    "pca spectral": Path(pca, {**NARROW, "method": "proto", "norm": "spectral"}, words="centered"),
    "pca tol": Path(pca, TOL, opaque=True, words="adaptive"),
    "range_finder basis": Path(range_finder, {"rank": K, "oversample": 0, "method": "proto"}),
    "range_finder": Path(range_finder, {**NARROW, "power_iters": 0, "norm": "spectral"}),
    "range_finder tol": Path(range_finder, TOL, opaque=True, words="adaptive"),
}
COMPLEX = (
    "svd subspace",
    "svd spectral",
    "svd tol",
    "svd countsketch",
    "eigh one_pass",
    "eigh definite",
    "eigh indefinite",
    "eigh tol",
    "nystrom one pass",
    "nystrom tol",
    "pca",
    "pca tol",
    "range_finder basis",
    "range_finder tol",
)


def arguments(path, dtype):
    """The matrix of each spectrum, with what the driver is given of it."""
    hermitian_input = path.driver in (eigh, nystrom)
    for spectrum in MATRICES:
        A = (
            hermitian(M, spectrum, dtype, signs=path.signs)
            if hermitian_input
            else matrix(M, N, spectrum, dtype)
        )[0]
        yield A, randnla.as_operator(scipy.sparse.linalg.aslinearoperator(A)) if path.opaque else A


def true_error(A, result, norm):
    """Of the approximation that a result stands for."""
    if isinstance(result, RangeResult):
        rest = A - result.Q @ (result.Q.conj().T @ A)
    elif hasattr(result, "B"):
        rest = A - result.Q @ result.B
    elif hasattr(result, "components"):
        rest = A - A.mean(axis=0) - result.scores @ result.components
    elif hasattr(result, "w"):
        rest = A - (result.V * result.w) @ result.V.conj().T
    else:
        rest = A - (result.U * result.s) @ result.Vh
    return float(np.linalg.norm(rest, 2 if norm == "spectral" else "fro"))


def norm_of(A, path, options):
    """Of what the driver approximates, in the norm of the certificate."""
    A = A - A.mean(axis=0) if path.driver is pca else A
    return float(np.linalg.norm(A, 2 if options.get("norm") == "spectral" else "fro"))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, np.float64) for name in PATHS] + [(name, np.complex128) for name in COMPLEX],
)
def test_coverage_of_every_path(monkeypatch, name, dtype):
    """A thousand seeds at a nominal failure of 10 % (5 % where Frobenius bounds are sharpest)."""
    monkeypatch.setattr(adaptive, "BLOCK", 4)  # several tests of a tolerance, not one
    monkeypatch.setattr(definite, "LANES", 1)  # sketches that do not see everything
    path = PATHS[name]
    inputs = list(arguments(path, dtype))
    failure = 0.05 if name.startswith("svd") else 0.1
    options = {**path.options, "failure_probability": failure, "certificate": "probe"}
    misses = relative_misses = taken = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", randnla.ConvergenceWarning)  # a flat spectrum has no low rank
        for seed in range(TRIALS):
            A, given = inputs[seed % len(inputs)]
            result = path.driver(given, rng=seed, **options)
            assert result.info.certificate == "probe"
            assert result.info.failure_probability == failure
            taken += path.words in result.info.path
            # What is left of a flat spectrum is exact to rounding: so is the measurement of it.
            bound = result.info.error_estimate * (1 + 1e-12)
            true = true_error(A, result, options.get("norm"))
            misses += true > bound
            relative_misses += true > result.info.error_relative * norm_of(A, path, options) * (1 + 1e-12)
    assert misses <= allowed(failure)
    assert relative_misses <= allowed(failure)
    assert taken >= path.often


@pytest.mark.parametrize("driver", [svd, eigh, range_finder])
def test_exact_certificates_never_fail(driver):
    """Nor claim less than Eckart and Young allow."""
    for spectrum in MATRICES:
        A, s = matrix(M, N, spectrum) if driver is not eigh else hermitian(M, spectrum, signs=True)
        optimum = np.sqrt((np.sort(np.abs(s))[::-1][K:] ** 2).sum())
        for seed in range(TRIALS // len(MATRICES)):
            result = driver(
                A, K, oversample=2, power_iters=1, method="subspace", certificate="exact", rng=seed
            )
            assert (result.info.certificate, result.info.failure_probability) == ("exact", 0)
            found = true_error(A, result, "frobenius")
            assert optimum * (1 - 1e-12) <= found <= result.info.error_estimate * (1 + 1e-12)


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
        found = true_error(A, result, "frobenius")
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
    # The error, and half of that for the relative one beside the norm.
    assert set(failures[-2:]) == {0.1 / 4, 0.1 / 8}


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


@pytest.mark.parametrize("solve", [randnla.svd, randnla.pca])
def test_exact_certificate_of_a_gram_matrix_covers_its_rounding(solve):
    rng = np.random.default_rng(0)
    U, V = (np.linalg.qr(rng.standard_normal((m, 110)))[0] for m in (150, 110))
    A = (U * np.where(np.arange(110) < 7, 1.0, 2e-6)) @ V.T  # a tail near the rounding of squares
    result = solve(A, 10, method="gram", rng=1)
    assert result.info.method == "gram"
    assert result.info.failure_probability == 0.0
    assert result.info.certificate == "exact"
    if solve is randnla.svd:
        truth = np.linalg.norm(A - (result.U * result.s) @ result.Vh)
    else:
        truth = np.linalg.norm(A - A.mean(0) - result.scores @ result.components)
    assert truth <= result.info.error_estimate <= 1.001 * truth


def test_refusals():
    A = np.eye(30)
    with pytest.raises(randnla.InputError, match="certificate"):
        randnla.svd(A, 3, certificate="hope")
    with pytest.raises(randnla.InputError, match="certificate"):
        randnla.svd(A, 3, certificate="leave_one_out", sketch="sign")
    with pytest.raises(randnla.InputError, match="certificate"):
        randnla.eigh(A, 3, certificate="leave_one_out")
    with pytest.raises(randnla.InputError, match="method"):
        randnla.svd(A, 3, method="no_such")
    with pytest.raises(randnla.InputError, match="method"):
        randnla.eigh(A, 3, method="no_such")
    with pytest.raises(randnla.InputError, match="method"):
        randnla.range_finder(A, 3, method="no_such")


@pytest.mark.parametrize("norm", ["frobenius", "spectral"])
@pytest.mark.parametrize("values", [[], [0.0, 0.0], [3.0, 2.0, 1.0, 0.0], [1e200, 1e190, 1e-200]])
def test_the_error_of_one_rank_is_that_of_all_ranks(values, norm):
    s = np.array(values)
    every = certificates.truncation_errors(s, norm)
    single = [certificates.truncation_error(s, k, norm) for k in range(s.size + 1)]
    np.testing.assert_allclose(single, every, rtol=1e-14, atol=0)


@pytest.mark.parametrize("solver", [randnla.svd, randnla.pca])
@pytest.mark.parametrize(("m", "n"), [(320, 300), (640, 130)])
def test_gram_route_under_one_dominant_value(solver, m, n):
    """Equal squares are spread by the rounding of the Gram matrix, and the lesser half of them left out."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        U, V = (np.linalg.qr(rng.standard_normal((size, n)))[0] for size in (m, n))
        A = (U * np.r_[1e6, np.ones(n - 1)]) @ V.T
        found = solver(A, n // 2, method="gram", rng=seed)
        assert found.info.method == "gram"
        if solver is randnla.svd:
            left, right = found.U * found.s, found.Vh
        else:
            left, right, A = found.scores, found.components, A - A.mean(axis=0)
        error = np.linalg.norm(A - left @ right)
        assert error <= found.info.error_estimate <= 1.001 * error

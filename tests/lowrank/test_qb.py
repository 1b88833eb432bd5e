# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Q B to a fixed precision: the certificate beside the error, the fewest columns, passes, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from lowrank_cases import DTYPES, SPECTRA, assert_orthonormal, matrix, orthonormal, tail

import randnla

METHODS = ("ei", "pass_efficient", "farpca")


@pytest.fixture(autouse=True)
def one_thread():
    before = randnla.num_threads()
    randnla.set_num_threads(1)
    yield
    randnla.set_num_threads(before)


def graded(m=400, n=300, rate=20, seed=0):
    """sigma_j = 10^(-j / rate)."""
    rng = np.random.default_rng(seed)
    s = 10.0 ** (-np.arange(n) / rate)
    return (orthonormal(m, n, rng) * s) @ orthonormal(n, n, rng).T, s


def error(A, result, order="fro"):
    wide = np.complex128 if np.iscomplexobj(A) else np.float64
    return float(np.linalg.norm(A.astype(wide) - result.Q.astype(wide) @ result.B.astype(wide), order))


@pytest.mark.parametrize("k", [10, 40, 60, 80, 100, 118])
def test_the_estimate_is_within_a_per_cent_down_to_1e_6(k):
    A, s = graded()
    result = randnla.qb(A, k, method="ei", rng=0)
    true = error(A, result)
    assert true >= 1e-6 * np.linalg.norm(s)
    assert true <= result.info.error_estimate * (1 + 1e-9) <= 1.01 * true
    assert result.info.certificate == "exact"
    assert result.info.failure_probability == 0
    # Squares speak where they are good to 1 %; A - Q B is read below.
    assert ("explicit residual" in result.info.path) == (k >= 100)


def test_squares_alone_would_be_wrong_below_the_floor():
    # The mutant: sqrt(||A||^2 - ||B||^2) is 0 or anything once the error is below sqrt(u).
    A, _ = graded()
    result = randnla.qb(A, 170, method="ei", rng=0)
    naive = np.sqrt(max(0.0, np.linalg.norm(A) ** 2 - np.linalg.norm(result.B) ** 2))
    true = error(A, result)
    assert not 0.5 * true <= naive <= 2 * true
    assert result.info.certificate == "probe"


@pytest.mark.parametrize("k", [155, 170, 200, 240])
@pytest.mark.parametrize("norm", ["fro", "spectral"])
def test_below_the_floor_probes_bound_the_error_within_40(k, norm):
    A, _ = graded()
    order = 2 if norm == "spectral" else "fro"
    for seed in range(3):
        result = randnla.qb(A, k, norm=norm, method="ei", rng=seed)
        true = error(A, result, order)
        assert result.info.certificate == "probe"
        assert 0 < true <= result.info.error_estimate <= 40 * true


@pytest.mark.parametrize("k", [60, 120, 160, 200])
@pytest.mark.parametrize("method", METHODS)
def test_exact_reads_the_residual_itself_at_any_size(k, method):
    A, _ = graded()
    result = randnla.qb(A, k, method=method, certificate="exact", rng=0)
    true = error(A, result)
    assert result.info.certificate == "exact"
    assert true <= result.info.error_estimate <= 1.01 * true


@pytest.mark.parametrize("norm", ["fro", "spectral"])
@pytest.mark.parametrize("tol", [0.3, 1e-2, 1e-4, 1e-7, 1e-12])
def test_ei_meets_every_tolerance_with_nearly_the_fewest_columns(tol, norm):
    A, s = graded()
    order, size = (2, s[0]) if norm == "spectral" else ("fro", np.linalg.norm(s))
    best = sum((s[k] if norm == "spectral" else tail(s, k)) > tol * size for k in range(s.size))
    result = randnla.qb(A, tol=tol, norm=norm, rng=0)
    assert result.info.method == "ei"
    assert result.info.converged
    assert error(A, result, order) <= result.info.error_estimate <= tol * size * (1 + 1e-12)
    # A probe bound of 1e-10 failure is some 12 times the error: 20 columns of this decay.
    assert best <= result.Q.shape[1] <= best + (24 if norm == "spectral" else 4)
    assert_orthonormal(result.Q)
    # One column less would not do, by the same certificate: rows of B are orthogonal to what is left.
    last = np.linalg.norm(result.B[-1])
    if norm == "fro":
        assert np.hypot(result.info.error_estimate, last) > tol * size * (1 - 1e-9)


@pytest.mark.parametrize("method", ["pass_efficient", "farpca"])
@pytest.mark.parametrize("tol", [0.3, 1e-2, 1e-4, 1e-6])
def test_squaring_methods_meet_tolerances_above_their_floor(method, tol):
    A, s = graded()
    result = randnla.qb(A, tol=tol, method=method, rng=0)
    best = sum(tail(s, k) > tol * np.linalg.norm(s) for k in range(s.size))
    assert result.info.method == method
    assert error(A, result) <= result.info.error_estimate <= tol * np.linalg.norm(s) * (1 + 1e-12)
    # Without power iteration a sketch of l columns loses a few: Theorem 10.5.
    assert result.Q.shape[1] <= best + (16 if method == "pass_efficient" else 4)


@pytest.mark.parametrize("method", ["pass_efficient", "farpca"])
def test_squaring_methods_say_where_they_stop(method):
    A, s = graded()
    with pytest.warns(randnla.ConvergenceWarning, match="tol"):
        result = randnla.qb(A, tol=1e-10, method=method, rng=0)
    assert not result.info.converged
    assert "squares below resolution" in result.info.path
    assert error(A, result) <= result.info.error_estimate
    # What is left is of the size of sqrt(u), not worse.
    assert error(A, result) <= 30 * 2.0**-26.5 * np.linalg.norm(s)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("dtype", DTYPES)
def test_fixed_rank(method, spectrum, dtype):
    A, s = matrix(120, 90, spectrum, dtype)
    result = randnla.qb(A, 20, method=method, rng=1)
    assert result.Q.shape == (120, 20)
    assert result.B.shape == (20, 90)
    assert result.Q.dtype == result.B.dtype == A.dtype
    assert_orthonormal(result.Q)
    # sqrt(1 + k/(p-1)) of Theorem 10.5 at the best split of 20 columns, and squares' floor in float32.
    floor = 50 * np.finfo(dtype).eps if method == "ei" else 8 * np.sqrt(np.finfo(dtype).eps)
    bound = min(np.sqrt(1 + k / (19 - k)) * tail(s, k) for k in range(18))
    assert error(A, result) <= 1.5 * bound + floor * np.linalg.norm(s)
    assert error(A, result) <= result.info.error_estimate * (1 + 1e-6)
    assert result.info.rank == (7 if spectrum == "low_rank" else result.info.rank)
    rows = np.argmax(np.abs(result.Q), axis=0)
    assert np.all(result.Q[rows, np.arange(20)].real > 0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "form", [np.asarray, scipy.sparse.csr_array, randnla.RowStream, scipy.sparse.linalg.aslinearoperator]
)
def test_kinds_of_input(method, form):
    A, s = matrix(90, 70, "geometric")
    base = randnla.qb(A, 12, method=method, rng=0)
    result = randnla.qb(form(A), 12, method=method, rng=0)
    assert np.allclose(result.Q, base.Q, atol=1e-8)
    assert np.allclose(result.B, base.B, atol=1e-9)
    met = randnla.qb(form(A), tol=0.05, method=method, rng=0)
    assert error(A, met) <= met.info.error_estimate <= 0.05 * np.linalg.norm(s) * (1 + 1e-12)
    operator = form is scipy.sparse.linalg.aslinearoperator
    assert met.info.certificate == ("probe" if operator or (form is not np.asarray and
        form is not randnla.RowStream and method != "ei") else "exact")  # fmt: skip


def test_passes():
    A, _ = matrix(200, 150, "poly")
    stream = randnla.RowStream(A, max_memory=40_000)
    probe = {"certificate": "probe", "rng": 0}
    assert randnla.qb(A, 60, method="pass_efficient", **probe).info.passes == 2
    before = stream.passes
    info = randnla.qb(stream, 60, **probe).info
    assert info.method == "pass_efficient"  # what "auto" is for streams
    assert info.passes == stream.passes - before == 1
    # "ei": 2q + 2 for each of the blocks of 32 and 28.
    assert randnla.qb(A, 60, method="ei", **probe).info.passes == 8
    assert randnla.qb(A, 60, method="ei", power_iters=0, **probe).info.passes == 4
    # "farpca": the first product and one a power iteration, of two passes or of one over a stream.
    assert randnla.qb(A, 30, method="farpca", power_iters=2, **probe).info.passes == 6
    assert randnla.qb(stream, 30, method="farpca", power_iters=2, **probe).info.passes == 3
    assert randnla.qb(stream, tol=1e-7, rng=0).info.method == "ei"


def test_blocks_of_any_size():
    A, s = matrix(120, 90, "geometric")
    for method in METHODS:
        for block in (1, 3, 7, 500):
            result = randnla.qb(A, tol=1e-3, block=block, method=method, rng=0)
            assert result.info.converged
            assert error(A, result) <= 1e-3 * np.linalg.norm(s)
    with pytest.raises(randnla.InputError, match="block"):
        randnla.qb(A, 5, block=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("call", [{"rank": 0}, {"rank": 5}, {"rank": 40}, {"tol": 0.1}])
def test_zero_and_exact_low_rank(method, call):
    zero = randnla.qb(np.zeros((80, 60)), method=method, rng=0, **call)
    assert not zero.B.any()
    assert zero.info.error_estimate == 0
    assert zero.info.converged
    assert zero.Q.shape[1] == call.get("rank", 0)
    assert_orthonormal(zero.Q)
    A = np.zeros((80, 60))
    A[range(7), range(7)] = np.arange(7, 0, -1)
    exact = randnla.qb(A, method=method, rng=0, **call)
    assert_orthonormal(exact.Q)
    if call.get("rank", 0) == 40:
        assert exact.info.rank == 7
        assert error(A, exact) <= exact.info.error_estimate <= 1e-12


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (1, 1), (1, 7), (7, 1)])
def test_small_shapes(shape):
    for method in METHODS:
        for call in ({"rank": min(shape)}, {"tol": 0.1}):
            result = randnla.qb(np.ones(shape), method=method, rng=0, **call)
            assert result.Q.shape == (shape[0], min(shape))
            assert np.allclose(result.Q @ result.B, 1)


def test_a_cap_that_binds_warns():
    A, _ = matrix(120, 90, "harmonic")
    for method in METHODS:
        with pytest.warns(randnla.ConvergenceWarning, match="tol"):
            result = randnla.qb(A, 6, tol=1e-3, method=method, rng=0)
        assert result.Q.shape == (120, 6)
        assert not result.info.converged
        assert error(A, result) <= result.info.error_estimate * (1 + 1e-9)


def test_what_is_refused():
    A = np.random.default_rng(0).standard_normal((30, 20))
    operator = scipy.sparse.linalg.aslinearoperator(A)
    with pytest.raises(randnla.InputError, match="method"):
        randnla.qb(A, 3, method="proto")
    with pytest.raises(randnla.InputError, match="certificate"):
        randnla.qb(A, 3, certificate="leave_one_out")
    with pytest.raises(randnla.InputError, match=r"certificate.*norm"):
        randnla.qb(A, 3, certificate="exact", norm="spectral")
    for method in METHODS:
        with pytest.raises(randnla.InputError, match=r"certificate.*exact"):
            randnla.qb(operator, 3, certificate="exact", method=method)
    A[3, 4] = np.nan
    for method in METHODS:
        with pytest.raises(randnla.NonFiniteError, match=r"\(3, 4\)"):
            randnla.qb(A, 3, method=method)
        assert np.isnan(randnla.qb(A, 3, method=method, check_finite=False).B).all()


def test_farpca_of_svd():
    A, s = graded()
    for tol in (1e-2, 1e-5):
        result = randnla.svd(A, tol=tol, method="farpca", rng=0)
        assert result.info.method == "farpca"
        true = np.linalg.norm(A - result.to_dense())
        assert true <= result.info.error_estimate <= tol * np.linalg.norm(s) * (1 + 1e-12)
        best = sum(tail(s, k) > tol * np.linalg.norm(s) for k in range(s.size))
        assert result.s.size <= best + 8
    result = randnla.svd(A, 30, method="farpca", certificate="exact", rng=0)
    true = np.linalg.norm(A - result.to_dense())
    assert true <= result.info.error_estimate <= 1.5 * true
    assert true <= 1.001 * tail(s, 30)
    with pytest.raises(randnla.InputError, match="sketch"):
        randnla.svd(A, 5, method="farpca", sketch="srht")
    with pytest.raises(randnla.InputError, match=r"certificate.*farpca"):
        randnla.svd(scipy.sparse.csr_array(A), 5, method="farpca", certificate="exact")
    with pytest.raises(randnla.InputError, match=r"method.*tol"):
        randnla.svd(A, tol=0.1, method="krylov")


def test_the_shift_of_farpca_speeds_it_up(monkeypatch):
    # Feng and Yu's dynamic shift: with it the same products come closer to the best.
    from randnla.lowrank import farpca

    rng = np.random.default_rng(0)
    s = np.arange(1.0, 301) ** -0.5
    A = (orthonormal(300, 300, rng) * s) @ orthonormal(300, 300, rng).T
    best = tail(s, 20)

    def excess():
        runs = [randnla.qb(A, 20, power_iters=4, method="farpca", rng=seed) for seed in range(5)]
        return np.median([error(A, r) for r in runs]) / best - 1

    shifted = excess()
    plain = farpca._orthonormalize_by_gram
    monkeypatch.setattr(farpca, "_orthonormalize_by_gram", lambda X: (plain(X)[0], np.zeros(X.shape[1])))
    assert shifted < 0.8 * excess()

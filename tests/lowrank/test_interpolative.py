# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Interpolative and CUR decompositions against deterministic ones, their bounds and their certificates."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.linalg.interpolative as peer
import scipy.sparse
import scipy.sparse.linalg
from lowrank_cases import DTYPES, matrix, tail
from scipy import stats

import randnla

FORMS = {
    "dense": np.asarray,
    "sparse": scipy.sparse.csr_array,
    "csc": scipy.sparse.csc_array,
    "operator": scipy.sparse.linalg.aslinearoperator,
    "stream": randnla.RowStream,
    "stream transposed": lambda A: randnla.RowStream(A.T.copy()).T,
}
METHODS = ("qrcp", "lupp", "rpqr", "leverage")
RANK = 15


def best_of_qrcp(A, k):
    """Error of the columns that LAPACK's pivoted QR of A takes, with the best coefficients."""
    J = scipy.linalg.qr(A, mode="r", pivoting=True)[1][:k]
    Q = np.linalg.qr(A[:, J])[0]
    return np.linalg.norm(A - Q @ (Q.conj().T @ A))


@pytest.mark.parametrize("spectrum", ["poly", "harmonic", "geometric"])
@pytest.mark.parametrize("method", METHODS)
def test_error_near_exact_pivoting_and_below_the_rrqr_bound(spectrum, method):
    A, s = matrix(160, 120, spectrum)
    reference, n = best_of_qrcp(A, RANK), A.shape[1]
    errors = []
    for seed in range(9):
        result = randnla.interpolative(A, RANK, method=method, rng=seed)
        assert result.info.method == method
        E = A - result.to_dense(A)
        assert np.linalg.norm(E, 2) <= np.sqrt(1 + RANK * (n - RANK)) * s[RANK]
        assert np.linalg.norm(E) >= tail(s, RANK)
        assert np.abs(result.coefficients).max() <= (4 if method == "qrcp" else 40)
        errors.append(np.linalg.norm(E))
    # The companion: the bound above is far from attained.
    assert np.median(errors) <= (1.6 if method in ("qrcp", "lupp") else 2.5) * reference


def test_as_accurate_as_scipy():
    A, _ = matrix(160, 120, "poly")
    J, P = peer.interp_decomp(A, RANK, rand=False)
    theirs = np.linalg.norm(A - peer.reconstruct_matrix_from_id(A[:, J[:RANK]], J, P))
    ours = [np.linalg.norm(A - randnla.interpolative(A, RANK, rng=i).to_dense(A)) for i in range(9)]
    assert np.median(ours) <= 1.2 * theirs


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["column", "row", "two_sided"])
def test_every_input(form, dtype, kind):
    A, s = matrix(70, 50, "poly", dtype)
    result = randnla.interpolative(FORMS[form](A), 8, kind=kind, rng=1)
    indices, X = result
    error = np.linalg.norm(A - result.to_dense(A))
    assert error <= 3 * tail(s, 8)
    assert error <= result.info.error_estimate <= 8 * error
    assert result.info.certificate == "probe"
    assert result.info.sketch == ("sparse_sign" if form in ("dense", "sparse", "csc") else "gaussian")
    by_product = form == "operator" and kind == "two_sided"
    assert ("rows by product" in result.info.path) == by_product
    if kind == "column":
        assert X.dtype == A.dtype
        assert np.array_equal(X[:, indices], np.eye(8))
    elif kind == "row":
        assert np.array_equal(X[indices], np.eye(8))
    else:
        assert np.array_equal(X[0][indices[0]], np.eye(8))
        assert np.array_equal(X[1][:, indices[1]], np.eye(8))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("solve", [randnla.interpolative, randnla.cur])
@pytest.mark.parametrize("tol", [0.1, 1e-3])
def test_tolerance_is_certified(form, solve, tol):
    A, s = matrix(160, 120, "geometric")
    result = solve(FORMS[form](A), tol=tol, rng=0)
    B = result.to_dense(A) if solve is randnla.interpolative else result.to_dense()
    assert result.info.converged
    assert np.linalg.norm(A - B) <= tol * np.linalg.norm(A)
    assert result.info.error_relative <= tol
    # Exact where the norm is known: then few more than the best rank that meets it.
    fewest = int(np.argmax([tail(s, k) <= tol * np.linalg.norm(s) for k in range(121)]))
    exact = form != "operator"
    assert (result.info.certificate == "exact") == exact
    assert fewest <= result.info.rank <= fewest + (8 if exact else 18)


def test_tolerance_below_the_resolution_of_the_identity():
    A, _ = matrix(160, 120, "geometric")
    result = randnla.interpolative(A, tol=1e-9, rng=0)
    assert result.info.converged
    assert "identity below resolution" in result.info.path
    assert np.linalg.norm(A - result.to_dense(A)) <= 1e-9 * np.linalg.norm(A)


@pytest.mark.parametrize("solve", [randnla.interpolative, randnla.cur])
def test_cap_that_binds(solve):
    A, _ = matrix(60, 50, "harmonic")
    with pytest.warns(randnla.ConvergenceWarning, match="rank 5"):
        result = solve(A, 5, tol=1e-3, rng=0)
    assert result.info.converged is False


@pytest.mark.parametrize("certificate", ["probe", "exact"])
def test_projection_is_the_best_for_its_columns(certificate):
    A, _ = matrix(80, 60, "poly")
    found = randnla.interpolative(A, 9, coefficients="projection", certificate=certificate, rng=3)
    Q = np.linalg.qr(A[:, found.indices])[0]
    error = np.linalg.norm(A - found.to_dense(A))
    assert error == pytest.approx(np.linalg.norm(A - Q @ (Q.T @ A)), rel=1e-10)
    assert found.info.certificate == certificate
    assert error <= found.info.error_estimate
    if certificate == "exact":
        assert found.info.error_estimate <= 1.05 * error


@pytest.mark.parametrize("kind", ["sketch", "intersection"])
def test_coverage_of_probes(kind):
    A, _ = matrix(32, 28, "harmonic")
    misses, trials = 0, 400
    for seed in range(trials):
        if kind == "sketch":
            found = randnla.interpolative(A, 5, rng=seed, failure_probability=0.1)
            error = np.linalg.norm(A - found.to_dense(A))
        else:
            found = randnla.cur(A, 5, method="intersection", rng=seed, failure_probability=0.1)
            error = np.linalg.norm(A - found.to_dense())
        assert found.info.certificate == "probe"
        misses += error > found.info.error_estimate
    assert misses <= stats.binom.isf(1e-9, trials, 0.1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_cur_of_every_input(form, dtype):
    A, s = matrix(70, 50, "poly", dtype)
    found = randnla.cur(FORMS[form](A), 8, rng=1)
    C, U, R, rows, columns = found
    sparse = form in ("sparse", "csc")
    assert scipy.sparse.issparse(C) == scipy.sparse.issparse(R) == sparse
    C, R = (C.toarray(), R.toarray()) if sparse else (C, R)
    assert np.array_equal(C, A[:, columns])
    assert np.array_equal(R, A[rows])
    assert U.dtype == A.dtype
    error = np.linalg.norm(A - C @ U @ R)
    best = np.linalg.pinv(C) @ A @ np.linalg.pinv(R)
    optimum = np.linalg.norm(A - C @ best @ R)
    assert error == pytest.approx(optimum, rel=1e-3 if A.real.dtype == np.float32 else 1e-8)
    assert error <= 3 * tail(s, 8)
    assert error <= found.info.error_estimate * (1 + 1e-9)
    assert found.info.method == "projection"
    assert found.info.certificate == ("probe" if form == "operator" else "exact")


def test_no_exact_certificate_where_the_core_left_a_direction_out():
    A, _ = matrix(160, 120, "geometric")
    found = randnla.cur(A, 110, rng=0)
    assert found.info.certificate == "probe"
    assert np.linalg.norm(A - found.to_dense()) <= found.info.error_estimate


@pytest.mark.parametrize("selection", METHODS)
@pytest.mark.parametrize("method", ["projection", "intersection"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exact_low_rank_is_recovered_with_more_columns_than_the_rank(selection, method, dtype):
    A, _ = matrix(60, 50, "low_rank", dtype)
    found = randnla.cur(A, 12, method=method, selection=selection, rng=0)
    # An explicit core costs up to u / cut = sqrt(u), and here, where no kept direction is small, far less.
    assert np.linalg.norm(A - found.to_dense()) <= 1e4 * np.finfo(dtype).eps
    column = randnla.interpolative(A, 12, method=selection, rng=0)
    assert np.linalg.norm(A - column.to_dense(A)) <= 1e3 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", DTYPES)
def test_rank_is_that_of_what_is_returned(dtype):
    """Not the number of columns asked for."""
    rng = np.random.default_rng(0)
    A = (rng.standard_normal((60, 4)) @ rng.standard_normal((4, 50))).astype(dtype)
    for coefficients in ("sketch", "projection"):
        for kind in ("column", "row", "two_sided"):
            found = randnla.interpolative(A, 9, kind=kind, coefficients=coefficients, rng=0)
            assert found.info.rank == 4
            assert np.linalg.matrix_rank(found.to_dense(A), 1e-4) == 4
    for method in ("projection", "intersection"):
        assert randnla.cur(A, 9, method=method, rng=0).info.rank == 4
    full = (A + np.eye(60, 50)).astype(dtype)
    assert randnla.interpolative(full, 9, rng=0).info.rank == 9
    assert randnla.cur(full, 9, rng=0).info.rank == 9


@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_and_empty(dtype):
    for kind in ("column", "row", "two_sided"):
        zero = randnla.interpolative(np.zeros((9, 7), dtype), 3, kind=kind, rng=0)
        assert not zero.to_dense(np.zeros((9, 7))).any()
        assert zero.info.error_estimate == 0
        assert zero.info.rank == 0
    J, X = randnla.interpolative(np.ones((9, 7), dtype), 0, rng=0)
    assert (J.shape, X.shape) == ((0,), (0, 7))
    found = randnla.cur(np.zeros((9, 7), dtype), 3, rng=0)
    assert found.info.rank == 0
    assert not found.to_dense().any()
    C, U, R, _, _ = randnla.cur(np.ones((9, 7), dtype), 0, rng=0)
    assert (C.shape, U.shape, R.shape) == ((9, 0), (0, 0), (0, 7))
    assert randnla.interpolative(np.zeros((9, 7), dtype), tol=0.1, rng=0).info.converged


@pytest.mark.parametrize("p", [-900, -41, -1, 1, 333, 960])
@pytest.mark.parametrize("method", METHODS)
def test_powers_of_two_change_no_bit(p, method):
    A, _ = matrix(40, 30, "harmonic")
    for keywords in ({}, {"certificate": "exact"}):
        base = randnla.interpolative(A, 5, method=method, rng=0, **keywords)
        scaled = randnla.interpolative(np.ldexp(A, p), 5, method=method, rng=0, **keywords)
        assert np.array_equal(base.indices, scaled.indices)
        assert np.array_equal(base.coefficients, scaled.coefficients)
    for how in ("projection", "intersection"):
        base = randnla.cur(A, 5, method=how, selection=method, rng=0)
        scaled = randnla.cur(np.ldexp(A, p), 5, method=how, selection=method, rng=0)
        assert np.array_equal(np.ldexp(base.U, -p), scaled.U)
        assert np.array_equal(base.rows, scaled.rows)


@pytest.mark.parametrize(
    ("rank", "keywords", "size"),
    [
        (6, {}, 6 + 7 * 6),
        (20, {}, 20 + 300 // 4),
        (30, {}, 30 + 3 * 30),
        (6, {"sketch": "sparse_sign"}, 6 + 7 * 6),
        (6, {"sketch": "gaussian"}, 6 + 3 * 6),
        (2, {"sketch": "gaussian"}, 2 + 10),
        (6, {"oversample": 5}, 6 + 5),
    ],
)
def test_size_of_the_sketch(rank, keywords, size):
    A = np.random.default_rng(0).standard_normal((400, 300))
    found = randnla.interpolative(A, rank, rng=0, **keywords)
    assert found.info.matvecs == size + 10  # with the probes


@pytest.mark.parametrize("method", ["qrcp", "lupp"])
def test_power_iterations_find_the_columns_that_long_ones_of_noise_hide(method):
    # Five directions, each shared by a hundred columns of length 2.5: singular values 25. Beside them four
    # hundred columns of noise of length 3: singular values below 6.
    rng = np.random.default_rng(0)
    shared = 2.5 * np.repeat(np.linalg.qr(rng.standard_normal((400, 5)))[0], 100, axis=1)
    noise = rng.standard_normal((400, 400))
    A = np.concatenate([shared, 3 * noise / np.linalg.norm(noise, axis=0)], axis=1)
    s = np.linalg.svd(A, compute_uv=False)
    best = np.linalg.norm(s[5:]) / np.linalg.norm(s)
    for seed in range(5):
        errors = []
        for q in (0, 2):
            J, X = found = randnla.interpolative(
                A, 5, power_iters=q, method=method, certificate="exact", rng=seed
            )
            assert found.info.passes == 3 + 2 * q
            errors.append(np.linalg.norm(A - A[:, J] @ X) / np.linalg.norm(A))
        assert sorted(np.asarray(J) // 100) == [0, 1, 2, 3, 4]
        assert errors[0] > 1.3 * best
        assert errors[1] < 1.01 * best


@pytest.mark.parametrize("solve", [randnla.interpolative, randnla.cur])
def test_refusals(solve):
    A = np.eye(30)
    for keywords, name in (
        ({"rank": 31}, "rank"),
        ({"rank": True}, "rank"),
        ({}, "rank, tol"),
        ({"rank": 3, "method": "krylov"}, "method"),
        ({"rank": 3, "certificate": "leave_one_out"}, "certificate"),
        ({"rank": 3, "certificate": "exact", "norm": "spectral"}, "certificate"),
        ({"rank": 3, "oversample": "many"}, "oversample"),
        ({"tol": 0.1, "sketch": "sign"}, "sketch"),
    ):
        with pytest.raises(randnla.InputError, match=name):
            solve(A, **keywords)
    A[4, 7] = np.nan
    for kind in ({"kind": "column"}, {"kind": "row"}) if solve is randnla.interpolative else ({},):
        with pytest.raises(randnla.NonFiniteError, match=r"A: 1 entry .*\(4, 7\)"):
            solve(A, 3, **kind)
    result = solve(A, 3, check_finite=False, rng=0)
    assert not result.info.converged
    assert np.isnan(result[1]).all()
    with pytest.raises(randnla.InputError, match="kind"):
        randnla.interpolative(A, 3, kind="diagonal")
    with pytest.raises(randnla.InputError, match="certificate"):
        randnla.interpolative(A, 3, coefficients="sketch", certificate="exact")
    with pytest.raises(randnla.InputError, match="selection"):
        randnla.cur(A, 3, selection="best")
    with pytest.raises(randnla.InputError, match="intersection"):
        randnla.cur(A, tol=0.1, method="intersection")


@pytest.mark.parametrize("method", ["projection", "intersection"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_the_rank_of_cur_is_that_of_its_product(method, dtype):
    A, _ = matrix(60, 50, "low_rank", dtype)
    for k in (3, 7, 12):
        result = randnla.cur(A, k, method=method, rng=0)
        assert result.columns.size == k
        assert result.info.rank == min(k, 7)
    assert randnla.cur(np.zeros((9, 8), dtype), 4, method=method, rng=0).info.rank == 0


@pytest.mark.parametrize("method", ["proto", "power", "subspace", "krylov"])
@pytest.mark.parametrize("oversample", [0, 5])
def test_the_rank_of_a_basis_is_that_of_the_projection(method, oversample):
    A, _ = matrix(60, 50, "low_rank")
    result = randnla.range_finder(A, 12, method=method, oversample=oversample, rng=0)
    assert (result.Q.shape[1], result.info.rank) == (12, 7)
    zero = randnla.range_finder(np.zeros((9, 8)), 4, method=method, oversample=oversample, rng=0)
    assert (zero.Q.shape[1], zero.info.rank) == (4, 0)

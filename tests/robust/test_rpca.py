# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Low rank and gross errors told apart: exactly, by every method, from rows and columns alone."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg as spla

import randnla
from randnla import robust
from randnla._backend.errors import ConvergenceWarning
from randnla.robust import RPCAResult, cross, fresh, projections, rpca
from randnla.robust.access import Access
from randnla.robust.passes import Triplet

CUR = ("riecur", "ircur")
ALL = (*CUR, "accaltproj", "gd")


def mixture(m, n, r, share, seed, size=5.0):
    """The paper's: Gaussian factors, errors of uniform support and values up to `size` mean entries."""
    rng = np.random.default_rng(seed)
    L = rng.standard_normal((m, r)) @ rng.standard_normal((r, n))
    top = size * np.abs(L).mean()
    return L, np.where(rng.random((m, n)) < share, rng.uniform(-top, top, (m, n)), 0)


def error(found, L):
    return np.linalg.norm(found.L.to_dense() - L) / np.linalg.norm(L)


@pytest.mark.parametrize("method", ALL)
def test_every_method_separates_exactly(method):
    L, S = mixture(300, 200, 4, 0.1, 0)
    found = rpca(L + S, 4, method=method, outlier_share=0.2, rng=0)
    assert error(found, L) <= 1e-6
    assert found.info.converged
    assert found.info.method == method
    assert abs(found.outlier_share - 0.1) <= 0.02
    whole = found.outliers(L + S)
    # Errors too small to see are below the threshold, which is 1e-4 of a typical entry.
    assert np.abs(whole.toarray() - S).max() <= 1.01 * found.threshold
    assert found.info.error_relative <= 1e-6
    np.testing.assert_allclose(found.L.U.T @ found.L.U, np.eye(4), atol=1e-13)


@pytest.mark.parametrize("method", CUR)
@pytest.mark.parametrize("share", [0.3, 0.5, 0.6])
def test_many_errors_are_stood_by_a_slower_decay(method, share):
    for seed in range(2):
        L, S = mixture(500, 500, 5, share, seed)
        found = rpca(L + S, 5, method=method, rng=seed)
        # Where a fast decay just does, small gross errors stay below the threshold.
        assert error(found, L) <= 1e-5
        assert found.info.converged
        assert found.info.path.startswith("decay 0.7 fixed")
        assert share < 0.5 or "decay 0.9 resampled" in found.info.path


@pytest.mark.parametrize("share", [0.3, 0.4, 0.5])
def test_iterated_cur_stands_half_of_errors_with_a_decay_of_nine_tenths(share):
    for seed in range(3):
        L, S = mixture(500, 500, 5, share, seed)
        found = rpca(L + S, 5, method="ircur", decay=0.9, sampling="resampled", oversample=4.0, rng=seed)
        assert error(found, L) <= 1e-5
        assert found.info.converged


def test_gradient_descent_stands_fewer_errors_and_says_so():
    """Its theory asks for a share of about 1 / (mu r kappa^1.5): a fifth is stood, three tenths are not."""
    for share, stood in ((0.2, True), (0.3, False)):
        L, S = mixture(300, 300, 5, share, 0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = rpca(L + S, 5, method="gd", outlier_share=share, rng=0)
        assert found.info.converged == stood
        assert (error(found, L) <= 1e-5) == stood


def test_a_few_wrong_rows_are_seen_by_methods_that_read_all():
    """Alternating projections, beyond what they stand, are off in few rows, which fresh lines may miss."""
    L, S = mixture(300, 300, 10, 0.6, 0)
    with pytest.warns(randnla.ConvergenceWarning, match="are not met"):
        found = rpca(L + S, 10, method="accaltproj", decay=0.9, rng=0)
    assert not found.info.converged
    assert 1e-2 < error(found, L) < 0.2
    assert fresh.verify(Access(L + S), Triplet(found.L.U, found.L.C, found.L.V), 1e-3, None, 0).passed


def test_a_wrong_estimate_is_not_called_right():
    L, S = mixture(300, 300, 5, 0.3, 1)
    with pytest.warns(randnla.ConvergenceWarning, match="fresh rows and columns are not met"):
        found = rpca(L + S, 3, rng=0)
    assert not found.info.converged
    with pytest.warns(randnla.ConvergenceWarning, match="tol=1e-07 was not reached|are not met"):
        rpca(L + S, 5, max_iters=5, decay=0.9, rng=0)


def test_one_wrong_row_is_seen_by_the_columns_that_cross_it():
    L, _ = mixture(200, 150, 2, 0.0, 2)
    U, s, Vh = np.linalg.svd(L, full_matrices=False)
    U = U[:, :2].copy()
    U[77] += 1
    used = np.arange(20), np.arange(20)
    estimate = Triplet(U, s[:2], Vh[:2].T)
    assert not fresh.verify(Access(L), estimate, 1e-6, used, 0).passed
    U[77] -= 1
    assert fresh.verify(Access(L), estimate, 1e-6, used, 0).passed


def test_iterations_contract_by_the_decay():
    L, S = mixture(400, 400, 4, 0.2, 3)
    for method in CUR:
        errors = []
        rpca(L + S, 4, method=method, decay=0.7, rng=0, callback=lambda s, e=errors: e.append(s["error"]))
        tail = np.array(errors[-10:])
        # At least as fast as the threshold falls: errors between two thresholds leave one by one.
        assert np.polyfit(np.arange(10), np.log(tail), 1)[0] <= np.log(0.7)


@pytest.mark.parametrize("r", [1, 6, 12])
def test_the_rank_is_found(r):
    L, S = mixture(400, 320, r, 0.15, 4)
    found = rpca(L + S, rng=0)
    assert found.L.rank == found.info.rank == r
    assert error(found, L) <= 1e-6
    assert "rank found in" in found.info.path


def test_cur_reads_rows_and_columns_only():
    n, r = 1500, 3
    L, S = mixture(n, n, r, 0.2, 5)
    D = L + S
    read = randnla.EntryOperator((n, n), entries=lambda i, j: D[np.ix_(i, j)])
    found = rpca(read, r, rng=0)
    assert error(found, L) <= 1e-6
    assert found.info.entries == read.entries_read
    # 2 ceil(4 r log n) lines, 64 fresh ones, and the sampled ones once more at the end.
    assert found.info.entries <= n * (4 * np.ceil(4 * r * np.log(n)) + 64)
    rows = found.S.nonzero()[0]
    assert len(np.unique(rows)) == n  # by the sampled columns
    assert found.S.nnz < 0.2 * np.count_nonzero(S)


def test_same_answer_from_every_kind_of_matrix(tmp_path):
    L, S = mixture(150, 120, 3, 0.1, 6)
    D = L + S
    np.save(tmp_path / "d.npy", D)
    kinds = [
        D,
        np.asfortranarray(D),
        np.load(tmp_path / "d.npy", mmap_mode="r"),
        scipy.sparse.csr_array(D),
        scipy.sparse.coo_matrix(D),
        spla.aslinearoperator(D),
        randnla.EntryOperator(D.shape, columns=lambda j: D[:, j]),
    ]
    first = rpca(kinds[0], 3, rng=0)
    for kind in kinds[1:]:
        found = rpca(kind, 3, rng=0)
        np.testing.assert_allclose(found.L.to_dense(), first.L.to_dense(), atol=1e-9)
        np.testing.assert_allclose(found.S.toarray(), first.S.toarray(), atol=1e-9)


def test_powers_of_two_change_no_bit():
    L, S = mixture(150, 120, 3, 0.1, 7)
    first = rpca(L + S, 3, rng=0)
    for p in (-300, 301):
        found = rpca((L + S) * 2.0**p, 3, rng=0)
        assert np.array_equal(found.L.U, first.L.U)
        assert np.array_equal(found.L.C, first.L.C * 2.0**p)
        assert np.array_equal(found.S.data, first.S.data * 2.0**p)


def test_same_bits_for_any_number_of_threads():
    L, S = mixture(400, 300, 4, 0.4, 8)
    before = randnla.num_threads()
    answers = []
    try:
        for threads in (1, 2):
            randnla.set_num_threads(threads)
            answers.append(rpca(L + S, 4, rng=3))
    finally:
        randnla.set_num_threads(before)
    assert np.array_equal(answers[0].L.V, answers[1].L.V)
    assert answers[0].info == answers[1].info


@pytest.mark.parametrize(
    ("dtype", "bound"), [(np.float32, 2e-5), (np.complex128, 1e-6), (np.complex64, 2e-5)]
)
def test_dtypes(dtype, bound):
    rng = np.random.default_rng(9)
    L, S = mixture(200, 150, 2, 0.1, 9)
    if np.dtype(dtype).kind == "c":
        L = L + 1j * np.outer(rng.standard_normal(200), rng.standard_normal(150))
        S = S * np.exp(2j * np.pi * rng.random(S.shape))
    for method in ("riecur", "accaltproj"):
        found = rpca((L + S).astype(dtype), 3 if L.dtype.kind == "c" else 2, method=method, rng=0)
        assert found.L.U.dtype == found.S.dtype == dtype
        assert found.info.converged
        assert error(found, L) <= bound


def test_noise_stays_out_of_the_errors():
    L, S = mixture(400, 400, 5, 0.2, 10)
    noise = 0.01 * np.random.default_rng(0).standard_normal(L.shape)
    for method in ("riecur", "accaltproj"):
        found = rpca(L + S + noise, 5, method=method, noise=0.01, rng=0)
        assert found.info.converged
        # An oracle that knows S errs by about sqrt(r (m + n)) noise.
        assert error(found, L) <= 4 * 0.01 * np.sqrt(5 * 800) / np.linalg.norm(L)
        assert found.outlier_share <= 0.2 + 0.01


def test_the_projection_is_that_on_the_tangent_space():
    rng = np.random.default_rng(11)
    Z = rng.standard_normal((30, 20))
    U, V = np.linalg.qr(rng.standard_normal((30, 3)))[0], np.linalg.qr(rng.standard_normal((20, 3)))[0]
    new, s = projections.project(Triplet(U, np.ones(3), V), Z @ V, Z.T @ U)
    PU, PV = U @ U.T, V @ V.T
    T = PU @ Z + Z @ PV - PU @ Z @ PV
    np.testing.assert_allclose(s, np.linalg.svd(T, compute_uv=False)[:6], atol=1e-12)
    X, d, Yh = np.linalg.svd(T)
    np.testing.assert_allclose((new.U * new.s) @ new.V.T, (X[:, :3] * d[:3]) @ Yh[:3], atol=1e-12)


def test_the_tangent_step_in_factors_is_that_of_dense_slabs():
    rng = np.random.default_rng(12)
    P, Q = rng.standard_normal((40, 3)), rng.standard_normal((3, 30))
    D = P @ Q + 0.01 * rng.standard_normal((40, 30))
    I, J = np.arange(0, 40, 2), np.arange(0, 30, 2)  # noqa: E741
    sample = cross.Sample(I, J, D[I], D[:, J])
    new, k = cross.projected(sample.C, sample.R, sample, 3, cross.Factors(P, Q))

    def tangent(Z, left, right):
        A, B = scipy.linalg.orth(left), scipy.linalg.orth(right)
        return A @ A.T @ Z + Z @ B @ B.T - A @ A.T @ Z @ B @ B.T

    C, R = tangent(sample.C, P, Q[:, J].T), tangent(sample.R, P[I], Q.T)
    U, s, Vh = np.linalg.svd((C[I] + R[:, J]) / 2)
    np.testing.assert_allclose(new.P @ new.Q, C @ Vh[:3].T / s[:3] @ U[:, :3].T @ R, atol=1e-10)
    assert k == 3


def test_degenerate_matrices():
    found = rpca(np.zeros((30, 20)), 2, rng=0)
    assert found.info.converged
    assert not found.L.to_dense().any()
    assert found.S.nnz == 0
    for shape in ((0, 5), (5, 0), (0, 0)):
        assert rpca(np.zeros(shape), 0, rng=0).L.shape == shape
    alone = np.zeros((50, 40))
    alone[3, 4] = 7
    found = rpca(alone, 0, method="accaltproj", rng=0)
    assert found.S.toarray()[3, 4] == 7
    D = np.zeros((200, 200))  # most rows are zero, so that most samples miss the others
    D[:60] = np.outer(np.arange(1.0, 61), np.ones(200))
    found = rpca(D, 1, rng=0)
    assert error(found, D) <= 1e-6


@pytest.mark.parametrize("method", ALL)
def test_entries_near_the_end_of_the_range(method):
    for value in (5e306, 5e306 + 5e306j):
        D = np.full((30, 20), value)
        found = rpca(D, 1, method=method, rng=0)
        assert found.info.converged
        np.testing.assert_allclose(found.L.to_dense(), D, rtol=1e-10)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for value in (1e308, 1.5e308 + 1.5e308j, np.float32(1e38)):
            with pytest.raises(randnla.InputError, match=r"^D: the singular values of L are beyond"):
                rpca(np.full((30, 20), value), 1, method=method, rng=0)


def test_entries_too_far_above_typical_ones_are_refused_by_name():
    """Or not called right, where no product leaves the range."""
    for seed in (2, 3, 4):
        rng = np.random.default_rng(seed)
        D = rng.standard_normal((70, 2)) @ rng.standard_normal((2, 60))
        D[:, 5] *= 1e300
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = rpca(D, 2, method="accaltproj", rng=0)
            except randnla.InputError as problem:
                assert str(problem).startswith("D: entries are so far above a typical one")  # noqa: PT017
            else:
                assert not found.info.converged


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_entries_that_are_not_finite(value):
    D = np.outer(np.arange(1.0, 31), np.ones(20))
    D[4, :] = value
    for method in ALL:
        with pytest.raises(randnla.NonFiniteError, match=r"^D: .*(NaN|finite|Inf)"):
            rpca(D, 1, method=method, rng=0)


@pytest.mark.parametrize(
    ("keywords", "pattern"),
    [
        ({"rank": -1}, r"^rank: expected an integer >= 0, got -1"),
        ({"rank": 21}, r"^rank: expected at most min\(m, n\) = 20, got 21"),
        ({"rank": 2.0}, r"^rank: expected an integer, got float"),
        ({"method": "pcp"}, r"^method: expected one of 'riecur'"),
        ({"tol": 0.0}, r"^tol: expected a number strictly between 0 and 1"),
        ({"decay": 1.0}, r"^decay: expected a number strictly between 0 and 1"),
        ({"decay": "slow"}, r"^decay: expected one of 'auto'"),
        ({"oversample": 0.5}, r"^oversample: expected"),
        ({"sampling": "once"}, r"^sampling: expected one of"),
        ({"noise": -1.0}, r"^noise: expected"),
        ({"outlier_share": 1.5}, r"^outlier_share: expected"),
        ({"max_iters": 0}, r"^max_iters: expected"),
        ({"callback": 3}, r"^callback: expected a callable"),
        ({"check_finite": 1}, r"^check_finite: expected True or False"),
        ({"rng": -1}, r"^rng: expected a non-negative integer"),
        ({"rank": None, "method": "gd"}, r"^rank: method='gd' needs it"),
    ],
)
def test_misuse(keywords, pattern):
    D = np.outer(np.arange(1.0, 31), np.ones(20))
    with pytest.raises(randnla.InputError, match=pattern):
        rpca(D, **{"rank": 1, **keywords})


@pytest.mark.parametrize("D", [np.ones(3), np.ones((2, 2, 2)), "abc", None, np.array([["a"]])])
def test_what_is_no_matrix(D):
    with pytest.raises(randnla.InputError, match=r"^D"):
        rpca(D, 1)


def test_results_check_their_matrix():
    found = rpca(np.outer(np.arange(1.0, 31), np.ones(20)), 1, rng=0)
    assert isinstance(found, RPCAResult)
    with pytest.raises(randnla.InputError, match=r"^D: expected shape \(30, 20\), got \(3, 3\)"):
        found.outliers(np.eye(3))
    with pytest.raises(AttributeError, match="nothing_like_this"):
        _ = robust.nothing_like_this


@pytest.mark.parametrize("method", ["ircur", "riecur", "accaltproj"])
@pytest.mark.parametrize("excess", [1, 2])
def test_errors_taken_for_rank_are_not_called_right(method: str, excess: int) -> None:
    """With a rank too large L takes gross errors over, its error is large, and it must not be certified."""
    for seed in range(3):
        rng = np.random.default_rng([seed, excess])
        L = rng.standard_normal((150, 2)) @ rng.standard_normal((2, 150))
        D = np.where(rng.random(L.shape) < 0.1, L + rng.uniform(-5, 5, L.shape), L)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            over, right = (rpca(D, rank, method=method, rng=seed) for rank in (2 + excess, 2))
        wrong = np.linalg.norm(over.L.to_dense() - L) / np.linalg.norm(L)
        assert not (over.info.converged and wrong > 1e-5)
        assert right.info.converged
        assert np.linalg.norm(right.L.to_dense() - L) <= 1e-5 * np.linalg.norm(L)

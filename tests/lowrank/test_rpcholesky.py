# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Randomly pivoted Cholesky: its error is exact, its pivots have the law that they should."""

import math

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from cases import ALPHA
from lowrank_cases import DTYPES, hermitian
from scipy import stats

import randnla
from randnla import BreakdownError, ConvergenceWarning, InputError, NonFiniteError
from randnla.lowrank import pivots

METHODS = ("accelerated", "simple", "block")


@pytest.fixture(autouse=True)
def one_thread():
    before = randnla.num_threads()
    randnla.set_num_threads(1)
    yield
    randnla.set_num_threads(before)


def points(n=300, dim=3, seed=0):
    return np.random.default_rng(seed).standard_normal((n, dim))


def kernel(n=300, bandwidth=1.5, **options):
    return randnla.KernelMatrix(points(n), bandwidth=bandwidth, **options)


def residual(A, F):
    wide = np.complex128 if np.iscomplexobj(A) else np.float64
    F = F.astype(wide)
    return A.astype(wide) - F @ F.conj().T


def true_trace(A, F):
    """The trace of A - F F^H without the rounding of a running sum."""
    parts = [float(x) for x in np.diagonal(A).real]
    for row in F:
        for x in row:
            parts += (
                [-(float(x.real) ** 2), -(float(x.imag) ** 2)] if np.iscomplexobj(F) else [-(float(x) ** 2)]
            )
    return math.fsum(parts)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spectrum", ["poly", "geometric"])
def test_the_reported_trace_is_that_of_the_residual(method, dtype, spectrum):
    A = hermitian(80, spectrum, dtype)[0]
    F, chosen = found = randnla.rpcholesky(A, 20, method=method, block=7, rng=3)
    info = found.info
    trace = float(np.trace(A).real)
    true = true_trace(A, F)
    assert (info.rank, info.method, info.path) == (20, method, "entries")
    assert (info.error_kind, info.failure_probability, info.certificate) == ("trace", 0.0, "exact")
    assert F.dtype == dtype
    # 4 sqrt(k + 1) roundings of float64 are added, and as many may have been made.
    assert 0 <= info.error_estimate - true + 1e-15 * trace <= 1e-14 * trace
    assert info.error_relative == pytest.approx(info.error_estimate / trace, rel=1e-6)
    block = F[chosen]
    assert not np.triu(block, 1).any()
    assert np.all(np.diagonal(block).real > 0)
    # The residual is semidefinite to rounding: its trace bounds every norm of it.
    w = np.linalg.eigvalsh(residual(A, F))
    room = 100 * np.finfo(dtype).eps * trace
    assert w.min() >= -room
    assert np.abs(residual(A, F)[chosen]).max() <= room


def test_near_convergence_the_error_stays_an_upper_bound_and_is_told_to_rounding():
    A = hermitian(60, "geometric")[0]
    for k in (40, 50, 60):
        F, _ = found = randnla.rpcholesky(A, k, rng=0)
        true = true_trace(A, F)
        assert 0 <= found.info.error_estimate - true <= 1e-14 * np.trace(A)


def two_samples(statistic, runs=300):
    """`statistic` of accelerated and of simple results of disjoint seeds on a clustered problem."""
    X = np.concatenate([0.05 * points(40, 2), points(20, 2, seed=1) + 3.0])
    A = randnla.KernelMatrix(X, bandwidth=0.6).to_dense() * (1.0 + np.arange(60) % 3)[:, None] ** 0.5
    A *= (1.0 + np.arange(60) % 3) ** 0.5
    return {
        method: np.array(
            [statistic(randnla.rpcholesky(A, 6, method=method, block=6, rng=start + i)) for i in range(runs)]
        )
        for method, start in (("accelerated", 0), ("simple", 10_000), ("block", 20_000))
    }


def test_accelerated_and_simple_have_one_law_and_block_another():
    samples = two_samples(lambda r: (r.info.error_relative, *r.pivots[:4]))
    for column in range(5):
        accelerated, simple = samples["accelerated"][:, column], samples["simple"][:, column]
        # Exact for continuous statistics, conservative for the pivots.
        assert stats.ks_2samp(accelerated, simple, method="exact").pvalue > ALPHA / 5
    # The same test tells the block method apart, whose proposals ignore one another.
    assert stats.ks_2samp(samples["block"][:, 0], samples["simple"][:, 0], method="exact").pvalue < ALPHA


def test_the_first_pivots_have_the_exact_law():
    """P(s1 = i) = a_ii / tr A, and given it P(s2 = j) in proportion to the residual's diagonal."""
    A = np.array([[4.0, 1.0, 0.5], [1.0, 2.0, 0.2], [0.5, 0.2, 1.0]])
    runs, pairs = 4000, np.zeros((3, 3))
    for seed in range(runs):
        i, j = randnla.rpcholesky(A, 2, method="accelerated", block=3, rng=seed).pivots
        pairs[i, j] += 1
    for i in range(3):
        left = np.diagonal(A) - A[:, i] ** 2 / A[i, i]
        for j in range(3):
            p = A[i, i] / np.trace(A) * left[j] / left.sum() if i != j else 0.0
            assert stats.binomtest(int(pairs[i, j]), runs, p).pvalue > ALPHA / 9


def test_seeds_replay_for_every_thread_count_and_differ():
    A = kernel(200).to_dense()
    first = randnla.rpcholesky(A, 20, rng=5)
    randnla.set_num_threads(2)
    again = randnla.rpcholesky(A, 20, rng=first.info.seed)
    assert np.array_equal(first.pivots, again.pivots)
    assert np.allclose(first.F, again.F, atol=1e-12)
    assert not np.array_equal(first.pivots, randnla.rpcholesky(A, 20, rng=6).pivots)
    drawn = randnla.rpcholesky(A, 20)
    assert np.array_equal(randnla.rpcholesky(A, 20, rng=drawn.info.seed).F, drawn.F)


def test_powers_of_four_change_no_bit():
    A = kernel(100).to_dense()
    base = randnla.rpcholesky(A, 20, rng=0)
    for p in (-500, -2, 2, 480):
        found = randnla.rpcholesky(A * 4.0**p, 20, rng=0)
        assert np.array_equal(found.F, base.F * 2.0**p)
        assert found.info.error_estimate == base.info.error_estimate * 4.0**p
    odd = randnla.rpcholesky(A * 2.0, 20, rng=0)
    assert np.array_equal(odd.pivots, base.pivots)
    assert np.allclose(odd.F, base.F * math.sqrt(2.0), rtol=1e-10)


# -- kinds of input ----------------------------------------------------------------------------------


def stream(A, calls):
    def blocks():
        calls.append(1)
        return (A[i : i + 32] for i in range(0, len(A), 32))

    return randnla.RowStream(blocks, shape=A.shape)


def test_every_kind_of_input_takes_the_same_course():
    A = kernel(120).to_dense()
    A[np.abs(A) < 0.2] = 0.0
    A += 60 * np.eye(120)
    calls = []
    inputs = {
        "entries": [
            np.asfortranarray(A),
            scipy.sparse.csr_array(A),
            scipy.sparse.csc_array(A),
            scipy.sparse.coo_array(A),
            randnla.EntryOperator(A.shape, entries=lambda i, j: A[np.ix_(i, j)]),
            randnla.EntryOperator(A.shape, columns=lambda j: A[:, j], diagonal=lambda: np.diagonal(A)),
        ],
        "stream": [stream(A, calls)],
        "products": [scipy.sparse.linalg.aslinearoperator(A), 2.0 * randnla.Dense(A / 2)],
    }
    base = randnla.rpcholesky(A, 12, rng=1)
    for route, members in inputs.items():
        for member in members:
            found = randnla.rpcholesky(member, 12, rng=1)
            assert found.info.path == route
            assert np.array_equal(found.pivots, base.pivots)
            assert np.allclose(found.F, base.F, atol=1e-10)
    # A stream is read once for the diagonal and once a round.
    assert len(calls) == 1 + base.info.iterations


def test_only_the_entries_that_are_needed_are_read():
    A = kernel(200)
    seen = []

    def entries(i, j):
        seen.append(len(i) * len(j))
        return A.entries(i, j)

    B = randnla.EntryOperator(A.shape, entries=entries, diagonal=A.diagonal)
    found = randnla.rpcholesky(B, 20, block=10, rng=0)
    assert found.info.entries == B.entries_read == sum(seen) + 200
    assert found.info.entries == 200 * 21 + 100 * found.info.iterations
    simple = randnla.rpcholesky(A, 20, method="simple", rng=0)
    assert simple.info.entries == 200 * 21 + 20
    assert simple.info.iterations == 20


def test_callback_is_told_of_every_round():
    told = []
    found = randnla.rpcholesky(kernel(100), 12, method="simple", rng=0, callback=told.append)
    assert [state["rank"] for state in told] == list(range(1, 13))
    assert told[-1]["error_relative"] == found.info.error_relative
    errors = [state["error_relative"] for state in told]
    assert errors == sorted(errors, reverse=True)


# -- rank and tolerance ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("tol", [0.2, 1e-3, 1e-8])
def test_tolerance_is_met_with_no_column_to_spare(method, tol):
    A = kernel(150).to_dense()
    found = randnla.rpcholesky(A, tol=tol, method=method, rng=2)
    assert found.info.converged
    assert true_trace(A, found.F) <= tol * np.trace(A)
    assert true_trace(A, found.F[:, :-1]) > tol * np.trace(A)


def test_a_cap_that_binds_is_reported():
    with pytest.warns(ConvergenceWarning, match=r"exceeds tol=1e-06"):
        found = randnla.rpcholesky(kernel(150), 10, tol=1e-6, rng=0)
    assert not found.info.converged
    assert found.info.rank == 10
    with pytest.warns(ConvergenceWarning, match="exceeds tol=1e-17"):
        found = randnla.rpcholesky(kernel(50), tol=1e-17, rng=0)
    assert 0 < found.info.error_relative < 1e-12


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_exact_low_rank_ends_early(method, dtype):
    A = hermitian(60, "low_rank", dtype)[0]
    found = randnla.rpcholesky(A, 30, method=method, rng=0)
    assert found.info.rank == found.F.shape[1] == len(found.pivots)
    assert 7 <= found.info.rank <= 8
    assert found.info.path == "entries, rank exhausted"
    assert found.info.error_relative <= 60 * np.finfo(dtype).eps
    assert np.linalg.norm(residual(A, found.F)) <= 100 * np.finfo(dtype).eps * np.linalg.norm(A)


@pytest.mark.parametrize("method", METHODS)
def test_duplicates_are_taken_once(method):
    X = np.repeat(points(12), 10, axis=0)
    found = randnla.rpcholesky(randnla.KernelMatrix(X, bandwidth=1.0), 40, method=method, rng=0)
    assert found.info.rank == 12
    assert len(set((found.pivots // 10).tolist())) == 12


def test_degenerate_sizes():
    zero = randnla.rpcholesky(np.zeros((5, 5)), 3, rng=0)
    assert zero.F.shape == (5, 0)
    assert (zero.info.error_estimate, zero.info.error_relative, zero.info.converged) == (0.0, 0.0, True)
    assert randnla.rpcholesky(np.zeros((5, 5)), tol=0.1, rng=0).info.converged
    none = randnla.rpcholesky(kernel(20), 0, rng=0)
    assert none.F.shape == (20, 0)
    assert none.info.error_relative == 1.0
    assert randnla.rpcholesky(np.zeros((0, 0)), 0, rng=0).F.shape == (0, 0)
    one = randnla.rpcholesky(np.array([[9.0]]), 1, rng=0)
    assert one.F.tolist() == [[3.0]]
    assert np.allclose(one.to_dense(), 9.0)


def test_hard_semidefinite_matrices_are_not_taken_for_indefinite():
    i = np.arange(1.0, 121)
    for dtype in (np.float32, np.float64):
        hilbert = (1.0 / (i[:, None] + i - 1)).astype(dtype)
        for A in (hilbert, kernel(120, bandwidth=30.0, dtype=dtype)):
            for method in METHODS:
                for seed in range(5):
                    info = randnla.rpcholesky(A, 120, method=method, rng=seed).info
                    assert info.error_relative <= 1e3 * np.finfo(dtype).eps


@pytest.mark.parametrize(
    ("dtype", "method", "seed"),
    [
        (np.float32, "simple", 132),
        (np.float32, "simple", 291),
        (np.float32, "block", 167),
        (np.float64, "block", 0),
        (np.float64, "block", 183),
    ],
)
def test_pivots_of_rounding_are_left_out(dtype, method, seed):
    """Elimination by pivots near the floor let rounding grow beyond what an indefinite matrix shows."""
    A = kernel(120, bandwidth=30.0, dtype=dtype)
    F, chosen = found = randnla.rpcholesky(A, 120, method=method, rng=seed)
    assert found.info.rank == len(chosen) < 120
    assert "rank exhausted" in found.info.path
    assert found.info.error_relative <= 100 * np.finfo(dtype).eps
    # What a block of proposals that determine one another to a third of the digits may add.
    assert np.abs(residual(A.to_dense(), F)).max() <= 4 * np.finfo(dtype).eps ** (2 / 3)
    assert found.info.error_estimate >= true_trace(A.to_dense(), F) - 1e-14 * 120


# -- what is refused ---------------------------------------------------------------------------------


def test_indefinite_matrices_are_named():
    A = kernel(50).to_dense()
    with pytest.raises(BreakdownError, match=r"A: not positive semidefinite: diagonal entry 3 .* -1\b"):
        randnla.rpcholesky(A - 2 * np.diag(np.arange(50) == 3), 5, rng=0)
    hidden = np.array([[1.0, 2.0], [2.0, 1.0]])
    for method in METHODS:
        with pytest.raises(BreakdownError, match=r"A: not positive semidefinite: .* after 1 pivots"):
            randnla.rpcholesky(hidden, 2, method=method, rng=0)
    with pytest.raises(BreakdownError, match="its diagonal is zero"):
        randnla.rpcholesky(np.array([[0.0, 1.0], [1.0, 0.0]]), 1, rng=0)


def test_what_is_not_hermitian_is_named():
    A = kernel(30).to_dense()
    with pytest.raises(InputError, match=r"A: expected a Hermitian matrix, entries"):
        randnla.rpcholesky(A + np.triu(np.full((30, 30), 0.1), 1), 20, rng=0)
    with pytest.raises(InputError, match=r"A: expected a Hermitian matrix, its diagonal"):
        randnla.rpcholesky(A + 1j * np.eye(30), 3, rng=0)
    with pytest.raises(InputError, match=r"A: expected a square matrix, got shape \(30, 20\)"):
        randnla.rpcholesky(A[:, :20], 3, rng=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 31}, r"rank: expected at most min\(m, n\) = 30, got 31"),
        ({"rank": True}, "rank: expected an integer"),
        ({"rank": None}, "rank, tol: give at least one"),
        ({"rank": 2, "method": "greedy"}, "method: expected one of"),
        ({"rank": 2, "block": 0}, "block: expected an integer >= 1, got 0"),
        ({"rank": 2, "block": "half"}, "block: expected one of 'auto'"),
    ],
)
def test_arguments_that_do_not_fit(options, message):
    with pytest.raises(InputError, match=message):
        randnla.rpcholesky(kernel(30), rng=0, **options)


def test_oracles_that_lie():
    A = kernel(40).to_dense()

    def made(**functions):
        return randnla.EntryOperator(
            A.shape, **{"entries": lambda i, j: A[np.ix_(i, j)], "diagonal": lambda: np.diag(A), **functions}
        )

    with pytest.raises(InputError, match=r"A.entries\(rows, columns\): expected shape \(5, 5\), got \(5,\)"):
        randnla.rpcholesky(made(entries=lambda i, j: A[i, j]), 10, rng=0)
    with pytest.raises(NonFiniteError, match=r"A.entries\(rows, columns\): .* NaN or Inf"):
        randnla.rpcholesky(made(entries=lambda i, j: A[np.ix_(i, j)] * np.nan), 10, rng=0)
    with pytest.raises(NonFiniteError, match=r"A.diagonal\(\): 40 entries are NaN"):
        randnla.rpcholesky(made(diagonal=lambda: np.diag(A) * np.inf), 10, rng=0)
    with pytest.raises(InputError, match=r"A: its diagonal has 2 at index \d+, its entries 1"):
        randnla.rpcholesky(made(diagonal=lambda: 2 * np.diag(A)), 10, rng=0)

    class FailureError(Exception):
        pass

    def failing(i, j):
        raise FailureError("disk")

    with pytest.raises(FailureError, match="disk"):
        randnla.rpcholesky(made(entries=failing), 10, rng=0)


def test_unscreened_non_finite_entries_give_nan():
    A = kernel(40).to_dense()
    A[:, 7] = A[7] = np.nan
    with pytest.raises(NonFiniteError, match="A: 79 entries are NaN or Inf"):
        randnla.rpcholesky(A, 10, rng=0)
    found = randnla.rpcholesky(A, 10, rng=0, check_finite=False)
    assert np.isnan(found.F).all()
    assert found.info.path == "non-finite input"
    assert found.info.converged is False


# -- components --------------------------------------------------------------------------------------


def test_rounds_that_accept_none_come_to_an_end(monkeypatch):
    """Proposals of a round that keeps none are struck off."""

    def none(H, chances, floor, limit):
        return np.zeros(0, np.int64), np.zeros((0, 0))

    monkeypatch.setattr(pivots, "select", none)
    found = randnla.rpcholesky(kernel(30), 10, block=4, rng=0)
    assert found.info.rank == 0
    assert found.info.iterations <= 30
    assert "rank exhausted" in found.info.path


def test_selection_is_a_cholesky_factor_in_the_order_of_proposals():
    A = hermitian(12, "poly", np.complex128)[0]
    A[5] = A[2]
    A[:, 5] = A[:, 2]  # a proposal made twice
    A[5, 5] = A[2, 2]
    kept, L = pivots.select(A, np.zeros(12), np.full(12, 1e-12), 9)
    assert kept.tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert np.allclose(L @ L.conj().T, A[np.ix_(kept, kept)], atol=1e-14)
    assert not np.triu(L, 1).any()
    # A chance of u keeps a proposal of which the earlier ones left more than the share u.
    H = np.array([[1.0, 0.6], [0.6, 1.0]])
    for u, count in ((0.63, 2), (0.65, 1)):
        assert len(pivots.select(H, np.array([0.0, u]), np.zeros(2), 2)[0]) == count


def test_proposals_follow_the_weights_and_skip_zeros():
    weights = np.array([0.0, 1.0, 0.0, 3.0])
    drawn = pivots.propose(weights, 2000, seed=1, draw=0)
    assert set(drawn.tolist()) == {1, 3}
    assert stats.binomtest(int(np.sum(drawn == 3)), 2000, 0.75).pvalue > ALPHA
    numbers = pivots.uniforms(2000, seed=1, draw=0)
    assert stats.kstest(numbers, "uniform").pvalue > ALPHA
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert not np.array_equal(numbers, pivots.uniforms(2000, seed=1, draw=1))

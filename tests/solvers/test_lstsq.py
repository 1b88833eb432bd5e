# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Laws of `lstsq`: every method, kind of input, shape and rank against dense pseudoinverses."""

import json
import tracemalloc

import cases
import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from lstsq_cases import METHODS, STABLE, householder, karlson_walden, optimal, problem

import randnla
from randnla import lstsq

M, N = 300, 6


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    A = rng.standard_normal((M, N))
    return A, rng.standard_normal((M, 3)), rng.uniform(0, 2, M)


def close(found, exact, bound=1e-12):
    assert found.shape == exact.shape
    assert np.linalg.norm(found - exact) <= bound * np.linalg.norm(exact)


def complexified(A):
    return A + 1j * A[::-1]


@pytest.mark.parametrize("method", METHODS)
class TestMethods:
    def test_shapes_ranks_and_numbers(self, data, method):
        A, B, _ = data
        deficient = A.copy()
        deficient[:, 5] = deficient[:, 3] - 2 * deficient[:, 2]
        deficient[:, 1] = 0
        for matrix in (A, complexified(A), deficient, complexified(deficient)):
            for right in (B, complexified(B), B[:, 0]):
                found = lstsq(matrix, right, method=method, rng=2)
                close(found.x, np.linalg.pinv(matrix) @ right)
                assert found.info.rank == np.linalg.matrix_rank(matrix)
                wide = matrix.conj().T
                found = lstsq(wide, right[:N], method=method, rng=2)
                close(found.x, np.linalg.pinv(wide) @ right[:N])
                assert found.info.method == method
                unasked = method in ("sketch_and_solve", "iterative", "precondition")
                assert found.info.converged is (None if unasked else True)

    def test_damping_and_weights(self, data, method):
        A, B, w = data
        root = np.sqrt(w)[:, None]
        exact = np.linalg.solve(A.T @ (w[:, None] * A) + 4 * np.eye(N), A.T @ (w[:, None] * B))
        close(lstsq(A, B, damp=2, weights=w, method=method, rng=0).x, exact)
        wide, right = A.T, B[:N]
        exact = np.linalg.pinv(np.vstack([root[:N] * wide, 2 * np.eye(M)])) @ np.vstack(
            [root[:N] * right, np.zeros((M, 3))]
        )
        close(lstsq(wide, right, damp=2, weights=w[:N], method=method, rng=0).x, exact)

    @pytest.mark.parametrize(
        "kind", ["Sparse_csr", "Sparse_csc", "RowStream", "as_operator_scipy", "product"]
    )
    def test_kinds_of_input(self, data, method, kind):
        A, B, w = data
        exact = np.linalg.pinv(np.sqrt(w)[:, None] * A) @ (np.sqrt(w)[:, None] * B)
        close(lstsq(cases.OPERATORS[kind](A), B, weights=w, method=method, rng=0).x, exact)
        close(lstsq(cases.OPERATORS[kind](A.T), B[:N], method=method, rng=0).x, np.linalg.pinv(A.T) @ B[:N])

    def test_narrow_numbers(self, data, method):
        A, B = (X.astype(np.float32) for X in data[:2])
        found = lstsq(A, B, method=method, rng=0)
        assert found.x.dtype == np.float32
        close(found.x, np.linalg.pinv(A.astype(float)) @ B, 1e-6)
        # What is certified is the rounded answer.
        assert found.info.backward_error >= 1e-9
        assert lstsq(A, B.astype(float), method=method, rng=0).x.dtype == np.float64

    @pytest.mark.parametrize("power", [-900, -31, 7, 900])
    def test_powers_of_two_are_exact(self, data, method, power):
        A, b = data[0], data[1][:, 0]
        for matrix, right in ((A, b), (A.T, b[:N])):
            one = lstsq(matrix, right, method=method, rng=1)
            two = lstsq(np.ldexp(matrix, power), right, method=method, rng=1)
            three = lstsq(matrix, np.ldexp(right, power), method=method, rng=1)
            assert np.array_equal(np.ldexp(two.x, power), one.x)
            assert np.array_equal(np.ldexp(three.x, -power), one.x)
            assert one.info.backward_error == two.info.backward_error == three.info.backward_error

    def test_same_bits_on_any_number_of_threads(self, method):
        A, b, _ = problem(9000, 20, 1e9, 1e-3)
        found = []
        for threads in (1, 2, 3):
            randnla.set_num_threads(threads)
            wide = lstsq(A.T, b[:20], method=method, rng=0).x
            found.append(np.concatenate([lstsq(A, b, method=method, rng=0).x, wide]))
        randnla.set_num_threads(0)
        assert np.array_equal(found[0], found[1])
        assert np.array_equal(found[0], found[2])

    def test_seed_replays(self, data, method):
        A, b = data[0], data[1][:, 0]
        first = lstsq(A, b, method=method)
        again = lstsq(A, b, method=method, rng=first.info.seed)
        assert np.array_equal(first.x, again.x)
        assert json.loads(json.dumps(first.info.to_dict()))["backward_error"] == first.info.backward_error


# -- accuracy --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("residual", [1e-12, 1e-6, 1e-3])
@pytest.mark.parametrize("condition", [1e1, 1e5, 1e9, 1e13, 1e14])
def test_backward_error_is_that_of_householder(condition, residual):
    """The grid of the FOSSILS study: at most Householder's up to 1e13, within ten times beyond."""
    A, b, _ = problem(1500, 40, condition, residual)
    # Rounding is luck: the largest of three of Householder's, and no less than half a rounding.
    reference = max(
        5e-17,
        *(
            karlson_walden(X, y, householder(X, y))
            for X, y in (problem(1500, 40, condition, residual, seed=seed)[:2] for seed in range(3))
        ),
    )
    for method in STABLE:
        found = lstsq(A, b, method=method, rng=0)
        error = karlson_walden(A, b, found.x)
        assert error <= reference * (1 if condition <= 1e13 else 10), method
        assert found.info.method == method
        # The estimate that is reported: twice too large for a sketch's triangle, never far too small.
        assert error / 1.5 - 1e-18 <= found.info.backward_error <= 4 * error + 1e-17


@pytest.mark.parametrize(
    ("method", "m", "n", "condition", "seed"),
    [
        ("cholesky_qr", 40000, 100, 1e13, 1),
        ("spir", 6000, 20, 1e13, 0),
        ("spir", 6000, 40, 1e11, 0),
        ("fossils", 1500, 40, 1e13, 1),
    ],
)
def test_refinement_goes_on_while_a_solution_that_is_far_too_long_gets_shorter(method, m, n, condition, seed):
    """The first correction divides x by 1e4 and its residual with it: the backward error stays."""
    A, b, _ = problem(m, n, condition, 1e-3, seed=seed)
    found = lstsq(A, b, method=method, rng=0)
    assert found.info.method == method
    assert found.info.converged
    assert karlson_walden(A, b, found.x) <= 1e-15


def test_plain_preconditioning_fails_where_the_residual_is_large():
    """What refinement is for: Meier, Nakatsukasa, Townsend and Webb (2024)."""
    A, b, _ = problem(1500, 40, 1e10, 1e-3)
    reference = karlson_walden(A, b, householder(A, b))
    for method in ("precondition", "iterative"):
        found = lstsq(A, b, method=method, rng=0)
        assert karlson_walden(A, b, found.x) > 10 * reference
        # The shortfall is reported.
        assert found.info.backward_error > 5 * reference
    assert karlson_walden(A, b, lstsq(A, b, method="spir", rng=0).x) <= 3 * reference


@pytest.mark.parametrize("method", ["cholesky_qr", "spir", "fossils"])
def test_forward_error_of_hilbert_like_systems_in_exact_arithmetic(method):
    """Against mpmath at 60 digits: |x - x*| <= 10 (cond + cond^2 ||r|| / (||A|| ||x||)) u ||x||."""
    mpmath = pytest.importorskip("mpmath")
    m, n = 400, 8
    A = np.vander(np.linspace(0, 1, m), n)
    b = np.exp(np.linspace(0, 1, m))
    with mpmath.workdps(60):
        Ae, be = mpmath.matrix(A.tolist()), mpmath.matrix(b.tolist())
        exact = mpmath.lu_solve(Ae.T * Ae, Ae.T * be)
        exact = np.array([float(v) for v in exact])
    found = lstsq(A, b, method=method, rng=0)
    s = np.linalg.svd(A, compute_uv=False)
    condition, r = s[0] / s[-1], np.linalg.norm(b - A @ exact)
    bound = condition + condition**2 * r / (s[0] * np.linalg.norm(exact))
    assert np.linalg.norm(found.x - exact) <= 10 * bound * 1.2e-16 * np.linalg.norm(exact)


def test_estimate_of_karlson_and_walden_against_the_optimal_backward_error():
    """Between its square root of two-th part and the truth, for iterates far and near."""
    rng = np.random.default_rng(3)
    for scale in (1e-1, 1e-3, 1e-6):
        for residual in (1e-4, 1e-1, 10.0):
            A, b, x = problem(40, 6, 1e3, residual, seed=int(1 / scale))
            y = x + scale * rng.standard_normal(6)
            estimate = karlson_walden(A, b, y) * np.linalg.norm(A)
            assert 0.7 <= estimate / optimal(A, b, y) <= 1.01


@pytest.mark.parametrize("driver", ["gelsd", "gelsy"])
def test_lapack_agrees(driver):
    A, b, _ = problem(900, 30, 1e4, 1e-2)
    A[:, 3] = A[:, 4] + A[:, 9]
    exact = scipy.linalg.lstsq(A, b, cond=1e-12, lapack_driver=driver)[0]
    found = lstsq(A, b, rng=0)
    assert (found.info.method, found.info.rank) == ("cholesky_qr", 29)
    close(found.x, exact, 1e-9)
    close(
        lstsq(A.T, b[:30], rng=0).x,
        scipy.linalg.lstsq(A.T, b[:30], cond=1e-12, lapack_driver=driver)[0],
        1e-9,
    )


def test_rows_and_columns_graded_beyond_rounding_lend_no_solution_any_length():
    """Columns below the rounding of the largest count as zeros once the rank is not full."""
    rng = np.random.default_rng(0)
    A = (
        10.0 ** -np.linspace(0, 75, 60)[:, None]
        * rng.standard_normal((60, 24))
        * 10.0 ** -np.linspace(0, 75, 24)
    )
    b = np.cos(np.arange(60)) + 2
    found = randnla.lstsq(A, b, rng=0)
    assert found.info.converged
    assert found.info.rank < 24
    least = np.linalg.norm(b - A @ np.linalg.lstsq(A, b, rcond=None)[0])
    assert np.linalg.norm(b - A @ found.x) <= least * (1 + 1e-12)


@pytest.mark.parametrize("method", STABLE)
@pytest.mark.parametrize(("m", "n", "rank"), [(88, 59, 29), (157, 51, 25), (46, 62, 23), (260, 30, 12)])
def test_zeros_that_divide_and_conquer_enlarges(method, m, n, rank):
    """LAPACK's SVD returns zero singular values of such matrices as 32 roundings."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        A = (
            np.linalg.qr(rng.standard_normal((m, rank)))[0]
            @ np.linalg.qr(rng.standard_normal((n, rank)))[0].T
        )
        b = rng.standard_normal(m)
        found = lstsq(A, b, method=method, rng=seed)
        assert found.info.rank == rank
        close(found.x, np.linalg.lstsq(A, b, rcond=1e-12)[0])


def test_graded_columns_are_no_rank_deficiency():
    A, _, _ = problem(900, 10, 10, 0)
    D = 10.0 ** -np.arange(0, 60, 6.0)
    found = lstsq(A * D, A @ np.ones(10), rng=0)
    close(found.x * D, np.ones(10))
    assert found.info.rank == 10


@settings(max_examples=25, deadline=None)
@given(
    m=st.integers(1, 300), n=st.integers(1, 12), rank=st.integers(0, 12), k=st.integers(1, 3),
    seed=st.integers(0, 2**32), method=st.sampled_from(STABLE),
)  # fmt: skip
def test_any_shape_and_rank(m, n, rank, k, seed, method):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, rank)) @ rng.standard_normal((rank, n))
    B = rng.standard_normal((m, k))
    found = lstsq(A, B, method=method, rng=seed)
    exact = np.linalg.pinv(A, rcond=1e-11) @ B
    assert np.linalg.norm(found.x - exact) <= 1e-7 * np.linalg.norm(exact) + 1e-12
    assert found.info.backward_error <= 1e-14


# -- routes ----------------------------------------------------------------------------------------------


def test_routes_are_told():
    well, ill = problem(2000, 20, 1e3, 1e-3), problem(2000, 20, 1e11, 1e-3)
    assert lstsq(*well[:2], rng=0).info.path == "gram"
    assert lstsq(*ill[:2], rng=0).info.path == "preconditioned gram"
    assert lstsq(well[0][:100], well[1][:100], rng=0).info.method == "householder"
    assert lstsq(scipy.sparse.csr_array(well[0]), well[1], rng=0).info.method == "spir"
    assert lstsq(well[0] * 2.0**-800, well[1], rng=0).info.path == "rescaled, gram"


def test_a_sketch_that_is_no_embedding_is_replaced():
    """A map that does not see the rows that matter."""
    A, b, _ = problem(2000, 20, 1e3, 1e-3)
    A[1997:] *= 1e6

    class Blind(randnla.SparseSign):
        def apply(self, X, *, out=None):
            rows = np.arange(2000).reshape(-1, *[1] * (X.ndim - 1))
            return super().apply(np.where(rows < 1997, X, 0.0), out=out)

    found = lstsq(A, b, sketch=Blind(80, 2000, rng=0), rng=0)
    assert found.info.path == "gram, sketch redone, preconditioned gram"
    assert karlson_walden(A, b, found.x) <= 1e-16
    assert found.info.converged


def test_heavy_ball_falls_back():
    A, b, _ = problem(2000, 20, 1e3, 1e-3)
    A[:3] *= 1e4  # three rows that carry all, and a sketch too small for its coefficients
    small = randnla.CountSketch(22, 2000, rng=0)
    found = lstsq(A, b, sketch=small, method="fossils", rng=0)
    assert karlson_walden(A, b, found.x) <= 1e-15


def test_tolerance_is_certified_or_warned_of():
    A, b, _ = problem(2000, 20, 1e4, 1e-2)
    loose = lstsq(A, b, tol=1e-6, method="spir", rng=0)
    tight = lstsq(A, b, method="spir", rng=0)
    assert loose.info.converged
    assert karlson_walden(A, b, loose.x) <= 1e-6
    assert loose.info.iterations < tight.info.iterations
    with pytest.warns(randnla.ConvergenceWarning, match="backward error .* exceeds tol=1e-09"):
        rough = lstsq(A, b, tol=1e-9, method="sketch_and_solve", rng=0)
    assert not rough.info.converged
    assert rough.info.backward_error > 1e-9


@pytest.mark.parametrize("method", METHODS)
def test_the_callback_hears_of_every_measured_iterate(method):
    A, b, _ = problem(2000, 20, 1e6, 1e-3)
    states = []
    found = lstsq(A, b, method=method, rng=0, callback=states.append)
    assert {tuple(state) for state in states} == {
        ("stage", "backward_error", "iterations", "passes", "matvecs")
    }
    counts = [state["iterations"] for state in states]
    assert counts[0] == 0
    assert counts == sorted(set(counts))
    assert counts[-1] == found.info.iterations
    # The iterate that is returned is the best one; the rounding of x is counted in.
    best = min(state["backward_error"] for state in states)
    assert best <= found.info.backward_error <= best + 1e-16
    assert states[-1]["passes"] == found.info.passes
    assert states[-1]["matvecs"] == found.info.matvecs


@pytest.mark.parametrize("kind", ["tall", "wide", "float32", "columns", "damped", "as_operator_scipy"])
@pytest.mark.parametrize("method", METHODS)
def test_memory_is_estimated_to_a_factor(method, kind):
    A, b, _ = problem(6000, 30, 1e3, 1e-3)
    given = {
        "wide": (A.T, b[:30]),
        "float32": (A.astype(np.float32), b),
        "columns": (A, np.outer(b, np.arange(1, 9))),
        "as_operator_scipy": (cases.OPERATORS["as_operator_scipy"](A), b),
    }.get(kind, (A, b))
    tracemalloc.start()
    try:
        found = lstsq(*given, method=method, damp=0.1 if kind == "damped" else 0.0, rng=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak / 4 <= found.info.memory <= 4 * peak


def test_sketch_and_solve_is_within_the_distortion():
    """||A x - b|| <= (1 + e) / (1 - e) of the least, e = 1 / sqrt(12) the expected distortion, doubled."""
    A, b, x = problem(5000, 20, 1e6, 1.0)
    found = lstsq(A, b, method="sketch_and_solve", rng=0)
    ratio = np.linalg.norm(b - A @ found.x) / np.linalg.norm(b - A @ x)
    assert 1 < ratio < 1.5
    assert found.info.passes == 2


def test_mapped_file_is_read_block_by_block(tmp_path):
    A, b, _ = problem(4000, 15, 1e9, 1e-3)
    np.save(tmp_path / "A.npy", A)
    mapped = np.load(tmp_path / "A.npy", mmap_mode="r")
    found = lstsq(mapped, b, rng=0, max_memory=1 << 17)
    assert found.info.method == "cholesky_qr"
    assert karlson_walden(A, b, found.x) <= 5e-17
    # One pass for the sketch, one for the Gram matrix and one for each refined iterate.
    assert found.info.passes == 2 + found.info.iterations


def test_torch_in_torch_out():
    torch = pytest.importorskip("torch")
    A, b, x = problem(500, 6, 10, 0)
    found = lstsq(torch.from_numpy(A), torch.from_numpy(b), rng=0).x
    assert isinstance(found, torch.Tensor)
    close(found.numpy(), x)


def test_nothing_to_solve():
    for m, n in ((0, 3), (3, 0), (5, 2)):
        found = lstsq(np.zeros((m, n)), np.zeros(m))
        assert found.x.shape == (n,)
        assert not found.x.any()
    assert not lstsq(np.zeros((50, 4)), np.ones(50), rng=0).x.any()
    assert lstsq(np.ones((5, 2)), np.ones((5, 0))).x.shape == (2, 0)


# -- misuse ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"b": np.ones(7)}, r"b: expected 30 rows"),
        ({"b": np.ones((30, 1, 1))}, r"b: expected 1 or 2 dimensions"),
        ({"b": np.full(30, np.nan)}, r"b: 30 entries are NaN or Inf"),
        ({"method": "qr"}, r"method: expected one of"),
        ({"damp": -1.0}, r"damp: expected a number >= 0"),
        ({"tol": 2.0}, r"tol: expected a number strictly between 0 and 1"),
        ({"rank_tol": 0}, r"rank_tol: expected a number strictly"),
        ({"weights": np.ones(4)}, r"weights: expected 30 real numbers"),
        ({"weights": -np.ones(30)}, r"weights: expected nonnegative numbers"),
        ({"sketch": "none"}, r"sketch: expected one of"),
        ({"sketch": 3}, r"sketch: expected a name or a random map"),
        ({"sketch": randnla.Gaussian(2, 30, rng=0)}, r"sketch: expected shape \(at least 4, 30\)"),
        ({"A": np.full((30, 4), np.inf)}, r"A: 120 entries are NaN or Inf"),
    ],
)
def test_misuse_is_named(options, pattern):
    given = {"A": np.ones((30, 4)), "b": np.ones(30), "rng": 0, **options}
    with pytest.raises(randnla.InputError, match=pattern):
        lstsq(given.pop("A"), given.pop("b"), **given)


def test_solution_beyond_the_range_is_refused():
    with pytest.raises(randnla.InputError, match="A: the solution exceeds the range of float64"):
        lstsq(np.eye(4)[:, :2] * 1e-300, np.full(4, 1e200), rng=0)

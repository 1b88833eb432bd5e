# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Positive definite systems: what the paper promises, what the certificate says, what is refused."""

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from krylov_cases import hermitian, relative_residual, vectors

import randnla
from randnla import BreakdownError, ConvergenceWarning, InputError, NonFiniteError
from randnla.solvers import SpectralPreconditioner, cg, nystrom_preconditioner, rpcholesky_preconditioner

N = 300
SHIFT = 1e-2
W = 30.0 / np.arange(1, N + 1) ** 2


def effective_dimension(w, shift):
    return int(np.ceil((w / (w + shift)).sum()))


@pytest.fixture(scope="module")
def decaying():
    return hermitian(W)


class TestPaper:
    """Frangella, Tropp and Udell (2023), on the spectrum 1 / j^2."""

    @pytest.mark.parametrize(("times", "most"), [(1, 25), (2, 15)])
    def test_few_steps_at_the_effective_dimension(self, times, most):
        n, shift = 1000, 1e-2
        w = 100.0 / np.arange(1, n + 1) ** 2
        rank = times * effective_dimension(w, shift)
        b = vectors(n, 3)
        for seed in range(5):
            found = randnla.solve(randnla.Diagonal(w), b, shift=shift, rank=rank, tol=1e-10, rng=seed)
            assert found.info.iterations <= most
            assert found.info.rank == rank
            assert found.info.method == "nystrom cg"
        plain = randnla.solve(randnla.Diagonal(w), b, shift=shift, preconditioner=None, tol=1e-10)
        assert plain.info.iterations > 4 * most
        assert plain.info.method == "cg"

    def test_the_condition_is_below_28(self, decaying):
        rank = 2 * int(np.ceil(1.5 * (W / (W + SHIFT)).sum())) + 1
        conditions = []
        for seed in range(10):
            M = nystrom_preconditioner(decaying, rank, shift=SHIFT, rng=seed)
            spectrum = np.linalg.eigvals(M @ (decaying + SHIFT * np.eye(N))).real
            conditions.append(spectrum.max() / spectrum.min())
            # Proposition 5.3 before expectations: from the error of the approximation itself.
            error = np.linalg.norm(decaying - (M.V * M.w) @ M.V.T, 2)
            assert conditions[-1] <= (M.w[-1] + SHIFT + error) / SHIFT * (1 + 1e-8)
        assert np.mean(conditions) < 28

    def test_the_condition_of_rpcholesky_is_bounded_by_the_trace_left(self):
        X = np.random.default_rng(0).standard_normal((N, 2))
        K = randnla.KernelMatrix(X, bandwidth=1.0)
        shift = 1e-2
        M = rpcholesky_preconditioner(K, 60, shift=shift, rng=0)
        dense = K.to_dense()
        left = np.trace(dense) - M.w.sum()
        spectrum = np.linalg.eigvals(M @ (dense + shift * np.eye(N))).real / shift
        assert spectrum.min() >= 1 - 1e-8
        assert spectrum.max() / spectrum.min() <= 1 + left / shift

    def test_ritz_values_tell_the_condition_from_inside(self, decaying):
        M = nystrom_preconditioner(decaying, 20, shift=SHIFT, rng=0)
        spectrum = np.linalg.eigvals(M @ (decaying + SHIFT * np.eye(N))).real
        found = randnla.solve(decaying, vectors(N), shift=SHIFT, rank=20, tol=1e-12, rng=0)
        true = spectrum.max() / spectrum.min()
        assert 0.9 * true <= found.info.condition <= true * (1 + 1e-6)


@pytest.mark.parametrize("preconditioner", ["nystrom", "rpcholesky", None])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_against_lapack(preconditioner, dtype):
    A, b = hermitian(W, dtype=dtype), vectors(N, 3, dtype=dtype)
    found = randnla.solve(A, b, shift=0.1, preconditioner=preconditioner, rng=0)
    wide = A.astype(np.complex128 if np.dtype(dtype).kind == "c" else np.float64) + 0.1 * np.eye(N)
    truth = np.linalg.solve(wide, b)
    assert found.x.dtype == dtype
    assert found.info.converged
    # |x - x*| / |x*| <= cond |r| / |b|
    assert np.linalg.norm(found.x - truth) <= 300 * found.info.residual * np.linalg.norm(truth)
    assert found.info.residual <= (1e-8 if np.finfo(dtype).eps < 1e-10 else 1e-4)
    true = relative_residual(wide, found.x, b)
    assert found.info.residual == pytest.approx(true, rel=1e-3, abs=float(300 * np.finfo(dtype).eps))


def test_the_error_is_that_of_a_change_of_the_matrix(decaying):
    b = vectors(N, 2)
    found = randnla.solve(decaying, b, shift=SHIFT, tol=1e-5, rng=0)
    r = b - decaying @ found.x - SHIFT * found.x
    size = np.max(np.linalg.norm(r, axis=0) / np.linalg.norm(found.x, axis=0))
    assert found.info.error_estimate == pytest.approx(size, rel=1e-6)
    assert found.info.error_kind == "backward"
    norm = W[0] + SHIFT
    assert size / norm <= found.info.error_relative <= 1.1 * size / norm


@pytest.mark.parametrize(
    "wrap",
    [
        scipy.sparse.csr_array,
        scipy.sparse.csc_array,
        scipy.sparse.linalg.aslinearoperator,
        np.asfortranarray,
        randnla.as_operator,
        lambda A: randnla.EntryOperator(A.shape, columns=lambda j: A[:, j]),
    ],
)
def test_kinds_of_matrices_agree(wrap, decaying):
    b = vectors(N)
    plain = randnla.solve(decaying, b, shift=SHIFT, rng=3)
    other = randnla.solve(wrap(decaying), b, shift=SHIFT, rng=3)
    np.testing.assert_allclose(other.x, plain.x, atol=1e-9 * np.abs(plain.x).max())
    assert other.info.iterations == plain.info.iterations


def test_columns_leave_when_they_are_done(decaying):
    w, V = np.linalg.eigh(decaying)
    b = np.stack([V[:, -1], vectors(N)], axis=1)  # an eigenvector takes one step
    widths = []
    op = scipy.sparse.linalg.LinearOperator(
        (N, N),
        matvec=lambda x: decaying @ x,
        matmat=lambda X: widths.append(X.shape[1]) or decaying @ X,
        dtype=np.float64,
    )
    found = randnla.solve(op, b, shift=SHIFT, preconditioner=None)
    assert widths.count(2) <= 5
    assert widths.count(1) > 20
    assert found.info.converged
    np.testing.assert_allclose(found.x[:, 0], V[:, -1] / (w[-1] + SHIFT), atol=1e-9)


def test_real_matrix_with_complex_right_hand_sides(decaying):
    b = vectors(N, dtype=np.complex128)
    found = randnla.solve(decaying, b, shift=SHIFT, tol=1e-10, rng=0)
    assert found.x.dtype == np.complex128
    assert relative_residual(decaying + SHIFT * np.eye(N), found.x, b) <= 1e-10


@pytest.mark.parametrize("power", [-900, -31, 32, 900])
def test_powers_of_two_scale_bit_for_bit(decaying, power):
    b = vectors(N, 2)
    one = randnla.solve(decaying, b, shift=SHIFT, rng=1)
    two = randnla.solve(np.ldexp(decaying, power), np.ldexp(b, 7), shift=np.ldexp(SHIFT, power), rng=1)
    assert np.array_equal(np.ldexp(one.x, 7 - power), two.x)
    assert one.info.iterations == two.info.iterations
    assert one.info.residual == two.info.residual


def test_bits_do_not_depend_on_threads():
    X = np.random.default_rng(0).standard_normal((200, 3))
    K, b = randnla.KernelMatrix(X, bandwidth=1.0), vectors(200, 2)
    before = randnla.num_threads()
    found = []
    try:
        for threads in (1, 2):
            randnla.set_num_threads(threads)
            found.append(randnla.solve(K, b, shift=1.0, preconditioner=None).x)
    finally:
        randnla.set_num_threads(before)
    assert np.array_equal(*found)


@pytest.mark.parametrize("preconditioner", ["nystrom", "rpcholesky"])
def test_the_seed_replays(decaying, preconditioner):
    first = randnla.solve(decaying, vectors(N), shift=SHIFT, preconditioner=preconditioner)
    again = randnla.solve(
        decaying, vectors(N), shift=SHIFT, preconditioner=preconditioner, rng=first.info.seed
    )
    other = randnla.solve(decaying, vectors(N), shift=SHIFT, preconditioner=preconditioner)
    assert np.array_equal(first.x, again.x)
    assert not np.array_equal(first.x, other.x)
    first.info.to_dict()


class TestRank:
    def test_grows_while_it_pays(self):
        # Products of an array of order 1500 are dear beside 128 columns of a preconditioner.
        w = 1e3 / np.arange(1, 1501) ** 2.0
        A = randnla.Diagonal(w)
        small = randnla.solve(A, vectors(1500), shift=1e-4, rank=32, rng=0)
        found = randnla.solve(A, vectors(1500), shift=1e-4, rng=0)
        assert found.info.rank > 32
        assert found.info.iterations < small.info.iterations / 2
        assert found.info.converged

    def test_grows_without_a_shift_by_the_rate_that_is_seen(self):
        w = 1e3 / np.arange(1, 1501) ** 2.0
        ranks = []
        found = randnla.solve(
            randnla.Diagonal(w), vectors(1500), rng=0, callback=lambda state: ranks.append(state["rank"])
        )
        assert ranks[0] == 32
        assert ranks == sorted(ranks)
        assert found.info.rank == ranks[-1] > 32
        assert found.info.converged

    def test_stays_where_nothing_is_gained(self):
        A = hermitian(np.linspace(1, 2, 400))
        assert randnla.solve(A, vectors(400), rng=0).info.rank == 32

    def test_memory_caps_it(self):
        w = 1e3 / np.arange(1, 1501) ** 2.0
        found = randnla.solve(randnla.Diagonal(w), vectors(1500), shift=1e-4, rng=0, max_memory=2_000_000)
        assert found.info.rank == 32


class TestHonesty:
    def test_steps_that_do_not_suffice(self, decaying):
        with pytest.warns(
            ConvergenceWarning, match=r"solve: relative residual .* after 3 iterations: .*maxiter"
        ):
            found = randnla.solve(decaying, vectors(N), shift=SHIFT, preconditioner=None, maxiter=3)
        assert not found.info.converged
        true = relative_residual(decaying + SHIFT * np.eye(N), found.x, vectors(N))
        assert found.info.residual == pytest.approx(true, rel=1e-10)

    def test_what_rounding_forbids(self):
        A = hermitian(np.geomspace(1, 1e-4, 100)).astype(np.float32)
        with pytest.warns(ConvergenceWarning, match="stagnation at the rounding of products"):
            found = randnla.solve(A, vectors(100, dtype=np.float32), tol=1e-6, rng=0)
        assert not found.info.converged
        # The change of A that it amounts to is one of rounding.
        assert found.info.error_relative < 1e-5

    def test_singular_and_inconsistent(self):
        with pytest.warns(ConvergenceWarning, match="singular"):
            found = randnla.solve(np.diag([2.0, 1.0, 0.0]), np.ones(3), preconditioner=None)
        assert not found.info.converged

    def test_singular_but_consistent(self):
        found = randnla.solve(np.diag([2.0, 1.0, 0.0]), np.array([2.0, 1.0, 0.0]), preconditioner=None)
        np.testing.assert_allclose(found.x, [1, 1, 0], atol=1e-12)

    @pytest.mark.parametrize("preconditioner", ["nystrom", None])
    def test_an_indefinite_matrix(self, preconditioner):
        A = hermitian(np.linspace(-1, 1, 50))
        with pytest.raises(BreakdownError, match=r"^A: expected a positive (semi)?definite .*eigenvalue"):
            randnla.solve(A, vectors(50), preconditioner=preconditioner, rng=0)

    def test_a_zero_matrix(self):
        with pytest.raises(BreakdownError, match="every eigenvalue that was seen is zero"):
            randnla.solve(np.zeros((4, 4)), np.ones(4))
        assert not randnla.solve(np.zeros((4, 4)), np.zeros(4)).x.any()
        np.testing.assert_allclose(randnla.solve(np.zeros((4, 4)), np.ones(4), shift=2.0).x, 0.5)

    def test_a_preconditioner_that_is_not_definite(self, decaying):
        with pytest.raises(BreakdownError, match=r"^preconditioner: expected a positive definite operator"):
            randnla.solve(decaying, vectors(N), shift=SHIFT, preconditioner=-np.eye(N))


class TestPreconditionersOfTheCaller:
    def test_all_kinds(self, decaying):
        b = vectors(N)
        inverse = np.linalg.inv(decaying + SHIFT * np.eye(N))
        for M in (
            inverse,
            scipy.sparse.linalg.aslinearoperator(inverse),
            randnla.as_operator(inverse),
            lambda R: inverse @ R,
        ):
            for solver in (randnla.solve, cg):
                found = solver(decaying, b, shift=SHIFT, preconditioner=M)
                assert found.info.iterations <= 3
                assert found.info.method == "given cg"

    def test_one_factorization_serves_every_shift(self, decaying):
        M = nystrom_preconditioner(decaying, 100, rng=0)
        for shift in (1e-3, 1e-1, 10.0):
            found = randnla.solve(decaying, vectors(N), shift=shift, preconditioner=M)
            assert found.info.iterations <= 30
            assert relative_residual(decaying + shift * np.eye(N), found.x, vectors(N)) <= 1e-8

    def test_a_first_guess(self, decaying):
        b = vectors(N, 2)
        found = randnla.solve(decaying, b, shift=SHIFT, rng=0)
        again = randnla.solve(decaying, b, shift=SHIFT, x0=found.x, rng=0)
        assert again.info.iterations == 0
        assert np.array_equal(again.x, found.x)


BAD = [
    ({"shift": -1.0}, r"^shift: expected a nonnegative number, got -1.0"),
    ({"shift": np.nan}, r"^shift"),
    ({"preconditioner": "jacobi"}, r"^preconditioner: expected one of 'nystrom', 'rpcholesky'"),
    ({"preconditioner": np.eye(3)}, r"^preconditioner: expected shape \(300, 300\)"),
    ({"preconditioner": 1j * np.eye(N)}, r"^preconditioner: expected real"),
    ({"preconditioner": lambda R: R[:2]}, r"^preconditioner\(R\): expected shape"),
    ({"preconditioner": "rpcholesky"}, r"^shift: expected a positive number for 'rpcholesky'"),
    ({"rank": 301}, r"^rank"),
    ({"rank": "many"}, r"^rank"),
    ({"maxiter": -1}, r"^maxiter"),
    ({"x0": np.ones(3)}, r"^x0: expected the shape of b"),
    ({"callback": 3}, r"^callback"),
]


@pytest.mark.parametrize(("keywords", "pattern"), BAD)
def test_bad_arguments_are_named(decaying, keywords, pattern):
    with pytest.raises(InputError, match=pattern):
        randnla.solve(decaying, vectors(N), **keywords)


def test_bad_data_is_named(decaying):
    with pytest.raises(InputError, match=r"^A: expected a square matrix"):
        randnla.solve(np.ones((3, 2)), np.ones(3))
    with pytest.raises(InputError, match=r"^b: expected 300 rows"):
        randnla.solve(decaying, np.ones(3))
    with pytest.raises(NonFiniteError, match=r"^b: 1 entry is NaN or Inf"):
        randnla.solve(np.eye(2), np.array([1.0, np.nan]))
    with pytest.raises(InputError, match=r"^A: expected a Hermitian matrix"):
        randnla.solve(decaying + np.triu(decaying), vectors(N))
    for preconditioner in ("nystrom", None):
        with pytest.raises(InputError, match=r"^A: expected a symmetric \(Hermitian\)"):
            randnla.solve(
                scipy.sparse.csr_array(decaying + np.triu(decaying)),
                vectors(N),
                preconditioner=preconditioner,
                rng=0,
            )
    with pytest.raises(InputError, match="solve makes preconditioners by name"):
        cg(decaying, vectors(N), preconditioner="nystrom")
    with pytest.raises(InputError, match=r"^w: expected 2 numbers"):
        SpectralPreconditioner(np.ones(3), np.eye(2))


def test_empty_systems_and_zero_right_hand_sides(decaying):
    assert randnla.solve(np.zeros((0, 0)), np.zeros(0)).x.shape == (0,)
    assert randnla.solve(decaying, np.zeros((N, 0))).x.shape == (N, 0)
    found = randnla.solve(decaying, np.zeros(N), shift=SHIFT)
    assert not found.x.any()
    assert found.info.iterations == 0
    assert found.info.converged


def test_an_exception_of_the_callback_passes(decaying):
    def stop(state):
        if state["iteration"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        randnla.solve(decaying, vectors(N), shift=SHIFT, preconditioner=None, callback=stop)

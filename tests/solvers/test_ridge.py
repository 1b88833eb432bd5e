# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Ridge paths and kernel ridge regression against closed forms, and their certificates against the truth."""

import pickle

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from krylov_cases import general, vectors

import randnla
from randnla import ConvergenceWarning, InputError, NonFiniteError
from randnla.solvers import kernel_ridge

ALPHAS = np.array([1e-8, 1e-4, 1e-2, 1.0])


def closed_form(A, b, alpha):
    """Through the singular values: as accurate as the problem allows."""
    U, s, Vh = np.linalg.svd(A, full_matrices=False)
    return Vh.conj().T @ ((s / (s**2 + alpha))[:, None] * (U.conj().T @ b))


def energy_error(A, x, truth, alpha):
    """Relative, in the norm of A^H A + alpha of a tall A; of a wide one the error of x itself."""
    e = x - truth
    if A.shape[0] < A.shape[1]:
        return np.linalg.norm(e, axis=0) / np.linalg.norm(truth, axis=0)
    norm = lambda v: np.hypot(np.linalg.norm(A @ v, axis=0), np.sqrt(alpha) * np.linalg.norm(v, axis=0))  # noqa: E731
    return norm(e) / norm(truth)


@pytest.mark.parametrize("condition", [10.0, 1e6])
@pytest.mark.parametrize("shape", [(600, 30), (30, 600), (70, 50)])
@pytest.mark.parametrize("method", ["auto", "direct", "sketch", "nystrom"])
def test_a_path_is_as_accurate_as_it_says(method, shape, condition):
    A, b = general(*shape, condition), vectors(shape[0], 2)
    found = randnla.ridge(A, b, ALPHAS, method=method, rng=0)
    assert found.x.shape == (4, shape[1], 2)
    assert found.errors.shape == (4, 2)
    assert found.info.converged
    assert found.info.error_relative == found.errors.max() <= 1e-8
    for x, error, alpha in zip(found.x, found.errors, ALPHAS, strict=True):
        true = energy_error(A, x, closed_form(A, b, alpha), alpha)
        # The closed form itself is off by rounding times the condition.
        assert np.all(true <= error + 100 * condition * np.finfo(float).eps)


def test_the_certificate_is_a_bound_and_no_more_than_ten_times_the_error():
    A, b = general(800, 40, 100.0), vectors(800, 2)
    for seed in range(5):
        found = randnla.ridge(A, b, ALPHAS, method="sketch", tol=1e-5, rng=seed)
        assert found.info.method == "sketch"
        assert found.info.certificate == "sketch"
        for x, error, alpha in zip(found.x, found.errors, ALPHAS, strict=True):
            true = energy_error(A, x, closed_form(A, b, alpha), alpha)
            assert np.all(true <= error)
            assert np.all(error <= 10 * true)


@pytest.mark.parametrize("condition", [10.0, 1e4, 1e8])
def test_one_sketch_preconditions_every_alpha(condition):
    A, b = general(2000, 40, condition), vectors(2000)
    found = randnla.ridge(A, b, ALPHAS, method="sketch", rng=0)
    # Singular values within 1/2 and 3/2: condition 9, and a factor of 2 a step.
    assert found.info.condition <= 9
    assert found.info.iterations <= 35
    assert found.info.rank == 40


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("method", ["direct", "sketch", "nystrom"])
@pytest.mark.parametrize("shape", [(300, 20), (20, 300)])
def test_dtypes(shape, method, dtype):
    A, b = general(*shape, 10.0, dtype=dtype), vectors(shape[0], dtype=dtype)
    found = randnla.ridge(A, b, 0.1, method=method, rng=0)
    assert found.x.dtype == dtype
    assert found.x.shape == (shape[1],)
    truth = closed_form(A.astype(np.complex128), b[:, None], 0.1)[:, 0]
    tol = 1e-7 if np.finfo(dtype).eps < 1e-10 else 1e-3
    assert np.linalg.norm(found.x - truth) <= tol * np.linalg.norm(truth)


@pytest.mark.parametrize("shape", [(400, 25), (25, 400)])
def test_sparse_operators_and_mapped_files(shape, tmp_path):
    A = scipy.sparse.random_array(shape, density=0.2, rng=0).tocsr()
    b = vectors(shape[0])
    truth = closed_form(A.toarray(), b[:, None], 0.5)[:, 0]
    np.save(tmp_path / "A.npy", A.toarray())
    for kind in (A, A.tocsc(), scipy.sparse.linalg.aslinearoperator(A), np.load(tmp_path / "A.npy", "r")):
        found = randnla.ridge(kind, b, 0.5, rng=0)
        assert found.info.method == "sketch"
        np.testing.assert_allclose(found.x, truth, rtol=1e-6, atol=1e-9)
    with pytest.raises(InputError, match=r"^method: 'direct' needs an array"):
        randnla.ridge(A, b, 0.5, method="direct")


def test_real_matrix_complex_right_hand_side_and_scales():
    A, b = general(200, 15, 5.0), vectors(200, dtype=np.complex128)
    found = randnla.ridge(A, b, [0.1, 1.0], rng=0)
    assert found.errors.shape == (2,)
    np.testing.assert_allclose(found.x[1], closed_form(A, b[:, None], 1.0)[:, 0], rtol=1e-7)
    moved = randnla.ridge(
        np.ldexp(A, 200), np.ldexp(b.real, 5) + 1j * np.ldexp(b.imag, 5), np.ldexp([0.1, 1.0], 400), rng=0
    )
    assert np.array_equal(np.ldexp(found.x.real, -195), moved.x.real)


def test_alpha_tends_to_the_least_norm_solution():
    A, b = general(20, 200, 5.0), vectors(20)
    np.testing.assert_allclose(
        randnla.ridge(A, b, 1e-14, rng=0).x, np.linalg.lstsq(A, b, rcond=None)[0], rtol=1e-7
    )


def test_a_rank_deficient_matrix():
    A = general(300, 10, 3.0) @ general(10, 30, 3.0)
    b = vectors(300)
    found = randnla.ridge(A, b, [1e-10, 1e-3], rng=0, method="sketch")
    for x, alpha in zip(found.x, (1e-10, 1e-3), strict=True):
        np.testing.assert_allclose(A @ x, A @ closed_form(A, b[:, None], alpha)[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("alpha", "pattern"),
    [
        (0.0, r"^alpha: expected positive numbers, got 0.0; lstsq takes none"),
        ([1.0, -1.0], r"^alpha: expected positive"),
        ([], r"^alpha: expected at least one"),
        ("1", r"^alpha"),
        (1j, r"^alpha: expected real"),
        ([[1.0]], r"^alpha"),
    ],
)
def test_alphas_that_do_not_fit(alpha, pattern):
    with pytest.raises(InputError, match=pattern):
        randnla.ridge(np.eye(3), np.ones(3), alpha)


def test_too_few_steps_are_said():
    with pytest.warns(ConvergenceWarning, match=r"ridge: relative error .* after 2 iterations"):
        found = randnla.ridge(general(400, 20, 10.0), vectors(400), 0.1, method="sketch", maxiter=2, rng=0)
    assert not found.info.converged


class TestKernelRidge:
    def points(self, n=400):
        X = np.random.default_rng(0).uniform(-2, 2, (n, 2))
        return X, np.sin(X[:, 0]) * X[:, 1]

    @pytest.mark.parametrize("kernel", ["gaussian", "laplace", "matern32", "matern52"])
    def test_against_the_closed_form(self, kernel):
        X, y = self.points()
        fit = kernel_ridge(X, y, alpha=1e-3, kernel=kernel, bandwidth=1.5, tol=1e-10, rng=0)
        K = fit.kernel.to_dense()
        np.testing.assert_allclose(K @ fit.coefficients + 1e-3 * fit.coefficients, y, atol=1e-8)
        assert fit.info.method == "rpcholesky cg"
        assert fit.info.iterations < 60  # of 400, at a rank of at most 200
        np.testing.assert_allclose(fit.predict(X), y - 1e-3 * fit.coefficients, atol=1e-8)

    def test_against_scikit_learn(self):
        reference = pytest.importorskip("sklearn.kernel_ridge")
        X, y = self.points()
        new = np.random.default_rng(1).uniform(-2, 2, (50, 2))
        theirs = reference.KernelRidge(alpha=0.1, kernel="rbf", gamma=1 / (2 * 1.5**2)).fit(X, y)
        ours = kernel_ridge(X, y, alpha=0.1, bandwidth=1.5, rng=0)
        np.testing.assert_allclose(ours.predict(new), theirs.predict(new), atol=1e-7)

    def test_several_targets_float32_and_pickles(self):
        X, y = self.points()
        Y = np.stack([y, y**2], axis=1)
        fit = kernel_ridge(X.astype(np.float32), Y.astype(np.float32), alpha=0.1, rng=0)
        assert fit.coefficients.dtype == np.float32
        assert fit.predict(X[:7].astype(np.float32)).shape == (7, 2)
        again = pickle.loads(pickle.dumps(fit))
        assert np.array_equal(again.predict(X[:7]), fit.predict(X[:7]))

    def test_fewer_entries_than_the_matrix_has(self):
        X, y = self.points(1500)
        fit = kernel_ridge(X, y, alpha=1e-2, bandwidth=2.0, rng=0)
        assert int(fit.info.path.split()[0]) < 0.2 * 1500**2
        assert fit.info.iterations <= 15
        assert fit.info.condition <= 11

    def test_bad_input_is_named(self):
        X, y = self.points(20)
        for keywords, pattern in (
            ({"alpha": 0.0}, r"^alpha: expected a positive number"),
            ({"bandwidth": -1.0}, r"^bandwidth"),
            ({"kernel": "cubic"}, r"^kernel"),
        ):
            with pytest.raises(InputError, match=pattern):
                kernel_ridge(X, y, **keywords)
        with pytest.raises(InputError, match=r"^y: expected 20 rows"):
            kernel_ridge(X, y[:3])
        with pytest.raises(NonFiniteError, match=r"^y: 1 entry"):
            kernel_ridge(X, np.r_[np.nan, y[1:]])
        with pytest.raises(NonFiniteError, match=r"^y: 1 entry"):
            kernel_ridge(X, np.r_[np.nan, y[1:]], check_finite=False)
        with pytest.raises(NonFiniteError, match=r"^points: 1 entry"):
            kernel_ridge(np.where(np.arange(20)[:, None] == 3, [[np.inf, 0.0]], X), y)
        with pytest.raises(InputError, match=r"dimension"):
            kernel_ridge(X, y).predict(np.ones((2, 5)))

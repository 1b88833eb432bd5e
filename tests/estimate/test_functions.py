# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Spectral sums, determinants, densities, norms, ranks and condition numbers against all eigenvalues."""

import math

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from cases import ALPHA
from estimate_cases import SPECTRA, low_rank, matrix, spectrum

import randnla
from randnla.estimate import chebyshev, trace_function
from randnla.estimate.norm import krylov_depth, krylov_gap
from randnla.estimate.quadrature import Quadrature

FUNCTIONS = {"sqrt": np.sqrt, "exp": np.exp, "log": np.log, "inverse": lambda x: 1 / x}


def operator(A):
    return scipy.sparse.linalg.aslinearoperator(A)


def shifted(name, n, **options):
    """Definite enough for the logarithm."""
    return matrix(name, n, **options) + 0.1 * np.eye(n), spectrum(name, n) + 0.1


# -- quadrature -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("complex_", [False, True])
def test_quadrature_is_exact_for_polynomials_of_twice_the_steps(complex_):
    """m nodes integrate degree 2 m - 1 (Golub and Welsch), and weights add up to one."""
    A = matrix("poly", 30, complex_=complex_)
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((30, 3)))[0].astype(A.dtype)
    run = Quadrature(lambda X: A @ X, q)
    for _ in range(4):
        run.step()
    nodes, weights = run.rule()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-13)
    power = q
    for degree in range(1, 8):
        power = A @ power
        exact = np.einsum("ij,ij->j", q.conj(), power).real
        np.testing.assert_allclose((weights * nodes**degree).sum(axis=1), exact, rtol=1e-10)


def test_quadrature_without_reorthogonalization_converges():
    """Ghost copies of Ritz values share their weight: 80 steps on a spectrum of 60 give f to rounding."""
    A, _ = shifted("exp", 60)
    q = np.ones((60, 1)) / math.sqrt(60)
    run = Quadrature(lambda X: A @ X, q)
    w, V = np.linalg.eigh(A)
    while run.steps < 60:
        run.step()
    nodes, weights = run.rule()
    exact = float((V.T @ q)[:, 0] ** 2 @ np.log(w))
    assert float((weights * np.log(nodes)).sum()) == pytest.approx(exact, rel=1e-12)
    invariant = Quadrature(lambda X: 2 * X, q)
    invariant.step()
    assert invariant.done.all()
    assert invariant.rule()[0][0] == pytest.approx([2.0])


def test_chebyshev_moments_and_jackson_kernel():
    A, rng = matrix("flat", 40) / 4, np.random.default_rng(1)
    q = np.linalg.qr(rng.standard_normal((40, 2)))[0]
    found = chebyshev.moments(lambda X: A @ X, q, 9)
    w, V = np.linalg.eigh(A)
    exact = np.cos(np.outer(np.arange(10), np.arccos(w))) @ (V.T @ q) ** 2
    np.testing.assert_allclose(found, exact, atol=1e-13)
    g = chebyshev.jackson(20)
    assert g[0] == 1.0
    # The damped series of a point mass is positive (Weisse et al., section II.C.3).
    x = np.linspace(-0.999, 0.999, 301)
    point = np.cos(np.arange(21) * np.arccos(0.3))[:, None]
    assert chebyshev.density(g[:, None] * point, x).min() > 0


# -- spectral sums --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [0, 8])
@pytest.mark.parametrize("f", FUNCTIONS)
@pytest.mark.parametrize("name", SPECTRA)
def test_spectral_sums(name, f, rank):
    A, d = shifted(name, 100, complex_=name == "poly")
    exact = FUNCTIONS[f](d).sum()
    found = trace_function(f, operator(A), rank=rank, samples=20, rng=1)
    # Twenty samples of a fixed seed: 6 standard errors of a Student law with 19 degrees fail 1 in 10^5.
    assert abs(found.value - exact) <= 6 * found.std_error + 1e-9 * abs(exact)
    finer = trace_function(
        f, operator(A), tol=max(1e-4, 0.3 * found.info.error_relative), rank=rank, samples=20, rng=1
    )
    assert finer.info.converged
    assert finer.std_error <= found.std_error
    assert abs(finer.value - exact) <= 6 * finer.std_error + 1e-9 * abs(exact)


def test_a_sampled_range_takes_what_dominates():
    A = matrix("exp", 200)
    plain, deflated = (trace_function("exp", operator(A), rank=rank, rng=0) for rank in (0, 30))
    assert deflated.std_error <= 1e-3 * plain.std_error
    whole = trace_function(lambda x: x**2, A[:20, :20], rank=20)
    assert whole.value == pytest.approx(np.sum(A[:20, :20] ** 2), rel=1e-10)


def test_spectral_sums_refuse():
    A = matrix("poly", 30)
    with pytest.raises(randnla.InputError, match="A: expected a symmetric"):
        trace_function("exp", A + np.triu(A))
    with pytest.raises(randnla.InputError, match="f: expected real values"):
        trace_function(lambda x: 1j * x, A)
    with pytest.raises(randnla.BreakdownError, match="f: log is not finite"):
        trace_function("log", -A)
    with pytest.raises(randnla.InputError, match="rank: expected at most"):
        trace_function("exp", A, rank=31)
    with pytest.warns(randnla.ConvergenceWarning, match="exceeds tol"):
        trace_function("exp", A, tol=1e-9, budget=40)


# -- determinants ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("method", ["cholesky", "slq", "nystrom"])
def test_logdet(method, dtype):
    A, d = shifted("poly", 120, complex_=np.dtype(dtype).kind == "c")
    A = A.astype(dtype)
    found = randnla.logdet(A, method=method, rng=0)
    exact = np.log(d).sum()
    room = 120 * np.finfo(dtype).eps * 11
    assert abs(found.value - exact) <= 6 * found.std_error + room
    if method != "cholesky":
        assert found.std_error < 0.05 * abs(exact)
    scaled = randnla.logdet(
        np.ldexp(A.real, 9) if dtype != np.complex128 else A * 512.0, method=method, rng=0
    )
    assert scaled.value == pytest.approx(
        found.value + 120 * 9 * math.log(2), abs=1e-4 if room > 1e-6 else 1e-9
    )


def test_nystrom_takes_the_decay_out_of_logdet():
    """A kernel matrix and noise: most of the variance is of the leading eigenvalues."""
    n = 200
    d = 100 * 0.6 ** np.arange(n) + 1.0
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0]
    A = operator((Q * d) @ Q.T)
    plain, better = (randnla.logdet(A, method=m, rng=0) for m in ("slq", "nystrom"))
    assert better.std_error <= 0.1 * plain.std_error
    assert abs(better.value - np.log(d).sum()) <= 6 * better.std_error + 1e-9
    assert better.info.iterations == plain.info.iterations


def test_logdet_says_its_route():
    A, d = shifted("flat", 60)
    exact = np.log(d).sum()
    found = randnla.logdet(A)
    assert found.info.path == "cholesky: an array, n <= 8000"
    assert found.value == pytest.approx(exact, rel=1e-13)
    kron = randnla.Kronecker(A, A[:3, :3] + np.eye(3))
    closed = randnla.logdet(kron)
    assert closed.info.path == "closed form"
    assert closed.value == pytest.approx(np.linalg.slogdet(kron.to_dense())[1], rel=1e-12)
    assert randnla.logdet(operator(A), rng=0).info.path == "nystrom: Wrapped"
    written = randnla.logdet(scipy.sparse.csr_array(A))
    assert written.info.path == "cholesky: a sparse matrix, n <= 2000"
    assert written.value == found.value
    n = 2001
    large = randnla.logdet(scipy.sparse.diags_array(np.linspace(1, 2, n)).tocsr(), rng=0)
    assert large.info.path == "slq: Sparse"
    assert abs(large.value - np.log(np.linspace(1, 2, n)).sum()) <= 5 * large.std_error
    with pytest.raises(randnla.InputError, match="method: 'cholesky' needs an array"):
        randnla.logdet(operator(A), method="cholesky")


@pytest.mark.parametrize("method", ["cholesky", "slq", "nystrom"])
def test_logdet_refuses_what_is_not_definite(method):
    A = matrix("flat", 40)
    with pytest.raises(randnla.BreakdownError, match="A: expected a positive"):
        randnla.logdet(A - 2 * np.eye(40), method=method, rng=0)
    with pytest.raises(randnla.InputError, match="A: expected a symmetric"):
        randnla.logdet(A + np.triu(A), method=method, rng=0)


# -- densities ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["slq", "kpm"])
def test_density_of_a_known_spectrum(method):
    """Wigner's semicircle of radius 2: the density within its own errors and the smoothing of the kernel."""
    n = 600
    X = np.random.default_rng(0).standard_normal((n, n))
    A = (X + X.T) / math.sqrt(2 * n)
    x = np.linspace(-1.5, 1.5, 31)
    found = randnla.spectral_density(A, x, method=method, degree=40, samples=20, rng=0)
    exact = np.sqrt(4 - x**2) / (2 * np.pi)
    # Smoothing with sigma = .16 moves it by sigma^2 / 2 |f''| <= .0128 * .35; eigenvalues fluctuate as 1 / n.
    assert np.all(np.abs(found.density - exact) <= 0.006 + 0.01 + 6 * found.std_error)
    whole = randnla.spectral_density(A, 400, method=method, degree=40, rng=0)
    mass = float(np.sum(np.diff(whole.points) * (whole.density[1:] + whole.density[:-1]) / 2))
    assert mass == pytest.approx(1.0, abs=0.02)
    assert np.all(whole.density >= 0)


def test_density_scales_and_refuses():
    A = matrix("flat", 50)
    one, two = (randnla.spectral_density(B, 50, rng=0) for B in (A, 8 * A))
    assert np.array_equal(8 * one.points, two.points)
    assert np.array_equal(one.density, 8 * two.density)
    with pytest.raises(randnla.InputError, match="width: of method='slq' only"):
        randnla.spectral_density(A, width=0.1, method="kpm")
    with pytest.raises(randnla.InputError, match="points: expected an integer >= 1"):
        randnla.spectral_density(A, 0)
    with pytest.raises(randnla.InputError, match="order 1 at least"):
        randnla.spectral_density(np.zeros((0, 0)))


# -- norms ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("name", SPECTRA)
def test_spectral_norm_lies_in_its_interval(name, complex_):
    A = matrix(name, 300, complex_=complex_)[:200]
    exact = np.linalg.norm(A, 2)
    for seed in range(3):
        found = randnla.norm(operator(A), tol=0.03, rng=seed)
        assert found.value <= exact * (1 + 1e-12)
        assert exact <= found.value + found.std_error
        assert found.std_error <= 0.03 * found.value
        assert found.info.converged
        assert found.info.failure_probability == 1e-10


def test_krylov_depth_and_gap_are_inverse():
    for tol in (0.3, 0.03, 1e-3):
        q = krylov_depth(1000, 8, tol, ALPHA)
        assert krylov_gap(1000, 8, q, ALPHA) <= tol
        assert krylov_gap(1000, 8, q - 1, ALPHA) > tol
    assert krylov_gap(1000, 1, 0, ALPHA) == math.inf


@pytest.mark.parametrize("shape", [(80, 60), (60, 80)])
def test_norms_of_operators_within_their_errors(shape):
    A = low_rank(80, 12, seed=2)[: shape[0], : shape[1]] + 0.05 * np.random.default_rng(0).standard_normal(
        shape
    )
    s = np.linalg.svd(A, compute_uv=False)
    for options, exact in (
        ({"ord": "fro", "budget": 40}, np.linalg.norm(s)),
        ({"ord": "nuc"}, s.sum()),
        ({"ord": "schatten", "p": 3.0}, (s**3).sum() ** (1 / 3)),
    ):
        dense, found = randnla.norm(A, **options), randnla.norm(operator(A), rng=0, **options)
        assert dense.value == pytest.approx(exact, rel=1e-12)
        assert dense.info.matvecs == 0
        assert abs(found.value - exact) <= 6 * found.std_error
        assert found.std_error <= 0.1 * exact
    assert randnla.norm(operator(A), "fro", budget=200).value == pytest.approx(np.linalg.norm(s), rel=1e-12)
    tight = randnla.norm(operator(A), "nuc", tol=0.02, rank=0, rng=0)
    assert abs(tight.value - s.sum()) <= 5 * tight.std_error <= 5 * 0.021 * s.sum()


def test_norm_refuses():
    A = np.eye(4)
    for options, pattern in (
        ({"ord": 1}, "ord: expected 2, 'fro', 'nuc' or 'schatten', got 1"),
        ({"ord": "schatten"}, "p: expected a number >= 1"),
        ({"ord": "schatten", "p": 0.5}, "p: expected a number >= 1"),
        ({"p": 2.0}, "p: belongs to ord='schatten'"),
        ({"failure_probability": 0.0}, "failure_probability: expected a number strictly between"),
    ):
        with pytest.raises(randnla.InputError, match=pattern):
            randnla.norm(A, **options)


# -- ranks and conditions -------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_array, operator])
def test_rank_of_low_rank_is_certain(make):
    A = low_rank(150, 40)
    found = randnla.estimate_rank(make(A), 1e-9, rng=0)
    assert (found.value, found.std_error, found.info.converged) == (40, 0.0, True)
    assert randnla.estimate_rank(make(np.zeros((5, 3))), 0.1).value == 0


def test_rank_and_its_bound_hold_on_decaying_spectra():
    for name in SPECTRA:
        d = spectrum(name, 200)
        for tol in (0.3, 0.01):
            found = randnla.estimate_rank(operator(matrix(name, 200)), tol, rng=1)
            exact = int(np.sum(d > tol * d[0]))
            assert found.value <= exact <= found.value + found.std_error


def test_condition():
    A = matrix("flat", 90)
    for given, method in (
        (A, "svd"),
        (operator(A), "krylov"),
        (A[:, :50], "svd"),
        (operator(A[:40]), "krylov"),
    ):
        found = randnla.cond(given)
        whole = given if isinstance(given, np.ndarray) else given @ np.eye(given.shape[1])
        assert found.info.method == method
        assert found.value == pytest.approx(np.linalg.cond(whole), rel=1e-9)
    below = randnla.cond(operator(A), size=32, rng=0)
    assert below.value <= np.linalg.cond(A) * (1 + 1e-12)
    assert randnla.cond(randnla.Diagonal([4.0, 1.0])).info.path == "closed form"
    assert randnla.cond(low_rank(20, 3)).value == math.inf
    with pytest.raises(randnla.InputError, match="A: expected at least one row"):
        randnla.cond(np.zeros((0, 3)))
    with pytest.raises(randnla.InputError, match="method: 'svd' needs an array"):
        randnla.cond(operator(A), method="svd")

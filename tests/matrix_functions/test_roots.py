# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Roots of dense matrices: both routes against each other, mpmath, and what they refuse."""

import mpmath
import numpy as np
import pytest

from randnla import BreakdownError, ConvergenceWarning, Dense, InputError, NonFiniteError
from randnla.matrix_functions import inverse_root, sqrt
from randnla.matrix_functions.newton import coupled_newton, power

EPS = np.finfo(np.float64).eps


def definite(w, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((len(w), len(w)))
    if np.dtype(dtype).kind == "c":
        X = X + 1j * rng.standard_normal(X.shape)
    Q = np.linalg.qr(X)[0]
    A = (Q * w) @ Q.conj().T
    return ((A + A.conj().T) / 2).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("method", ["eigen", "newton"])
@pytest.mark.parametrize("p", [1, 2, 3, 4, 7])
def test_inverse_roots(p, method, dtype):
    cond = 1e3
    A = definite(np.geomspace(1, cond, 60), dtype)
    found = inverse_root(A, p, method=method)
    wide = A.astype(np.result_type(dtype, np.float64))
    w, V = np.linalg.eigh(wide)
    truth = (V * w ** (-1 / p)) @ V.conj().T
    assert (found.info.method, found.info.path) == (method, method)
    assert found.X.dtype == dtype
    # Worked in float64: float32 input loses what the cast of the result loses.
    assert np.linalg.norm(found.X - truth) <= (100 * EPS * cond + np.finfo(dtype).eps) * np.linalg.norm(truth)
    assert found.info.residual <= 1e3 * EPS * cond
    assert found.info.condition == pytest.approx(cond, rel=1e-3 if method == "eigen" else 0.5)
    np.testing.assert_array_equal(found.X, found.X.conj().T)


@pytest.mark.parametrize("method", ["eigen", "newton"])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128, np.float32])
def test_square_roots(method, dtype):
    A = definite(np.geomspace(1e-2, 1e2, 50), dtype)
    found = sqrt(A, method=method)
    assert found.info.method == method
    X = found.X.astype(np.result_type(dtype, np.float64))
    # Eigenvectors are backward stable; A times the inverse root is off by the condition, 1e4.
    slack = 1e2 * np.finfo(dtype).eps + (10 * EPS * 1e4 if method == "newton" else 0)
    assert np.linalg.norm(X @ X - A) <= slack * np.linalg.norm(A)
    assert found.info.residual <= 1e-11
    assert np.linalg.eigvalsh(X)[0] > 0


def test_against_mpmath():
    A = definite(np.geomspace(1e-4, 1, 7))
    with mpmath.workdps(50):
        M = mpmath.matrix(A.tolist())
        root = mpmath.sqrtm(mpmath.sqrtm(M))
        exact, square = (
            np.array(X.apply(mpmath.re).tolist(), dtype=float) for X in (root**-1, mpmath.sqrtm(M))
        )
    for method in ("eigen", "newton"):
        # An eigenvalue l is off by u |A|, its power by u |A| / l of itself.
        assert np.linalg.norm(inverse_root(A, 4, method=method).X - exact) <= 50 * EPS * 1e4 * np.linalg.norm(
            exact
        )
        assert np.linalg.norm(sqrt(A, method=method).X - square) <= 50 * EPS * 1e2 * np.linalg.norm(square)


def test_newton_falls_back_to_eigenvectors_and_says_so():
    A = definite(np.geomspace(1, 3e9, 60))
    w, V = np.linalg.eigh(A)
    found = inverse_root(A, 4, method="newton", damping=1.0)
    assert (found.info.method, found.info.path) == ("eigen", "newton, eigen")
    assert found.info.iterations > 0
    np.testing.assert_allclose(found.X, (V * (w + 1) ** -0.25) @ V.T, atol=1e-4)
    # A singular matrix has a root, which products do not find.
    singular = np.diag([0.0, 1.0, 4.0])
    found = sqrt(singular, method="newton")
    assert found.info.path == "newton, eigen"
    np.testing.assert_allclose(found.X, np.diag([0.0, 1.0, 2.0]), atol=1e-15)


def test_the_scaled_iteration_takes_few_steps():
    # Unscaled, the least eigenvalue grows by at most e a step (9/4 for p = 2): 17 steps before convergence is
    # quadratic. Stretched, by nearly three times that: 7, and 4 or 5 more.
    A = definite(np.geomspace(1e-6, 1, 50))
    run = coupled_newton(A, 2, 1e-6, 1.0)
    assert run.converged
    assert run.steps <= 13
    # A wrong lower end costs steps, not the result.
    late = coupled_newton(A, 2, 1e-2, 1.0)
    assert late.converged
    assert run.steps < late.steps <= 25
    np.testing.assert_allclose(run.X, late.X, rtol=0, atol=1e-6 * np.abs(run.X).max())
    np.testing.assert_allclose(power(A, 5), np.linalg.matrix_power(A, 5), atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("damping", [1e-8, 1e-5, 1e-1, 10.0])
def test_rank_deficient_factors_give_definite_inverses(damping, dtype):
    """F-09: 32 samples of a factor of order 256; positive definite for every damping, and accurate."""
    X = np.random.default_rng(1).standard_normal((32, 256)).astype(dtype)
    F = (X.T @ X / dtype(32)).astype(dtype)
    before = F.copy()
    found = inverse_root(F, 2, damping=damping)
    np.testing.assert_array_equal(F, before)
    w, V = np.linalg.eigh(F.astype(np.float64))
    values = (np.maximum(w, 0) + damping) ** -0.5
    exact = (V * values) @ V.T
    assert np.linalg.eigvalsh(found.X.astype(np.float64))[0] > 0
    slack = 30 * EPS * (w[-1] + damping) / damping + np.finfo(dtype).eps
    assert np.linalg.norm(found.X - exact) <= slack * np.linalg.norm(exact)
    again = inverse_root(F, 2, damping=damping)
    np.testing.assert_array_equal(again.X, found.X)


@pytest.mark.parametrize("p", [-400, -4, 12, 300])
@pytest.mark.parametrize("method", ["eigen", "newton"])
def test_powers_of_two_go_through_bit_for_bit(p, method):
    A = definite(np.geomspace(1, 50, 30))
    found = inverse_root(A, 4, method=method).X
    np.testing.assert_array_equal(np.ldexp(inverse_root(np.ldexp(A, p), 4, method=method).X, p // 4), found)
    found = sqrt(A, method=method).X
    np.testing.assert_array_equal(np.ldexp(sqrt(np.ldexp(A, p), method=method).X, -p // 2), found)


def test_empty_and_tiny():
    assert sqrt(np.zeros((0, 0))).X.shape == (0, 0)
    assert inverse_root(np.zeros((0, 0)), 3).X.shape == (0, 0)
    assert pytest.approx(3.0, rel=1e-15) == sqrt([[9.0]]).X
    assert not sqrt(np.zeros((3, 3))).X.any()


def test_ill_conditioned_results_are_called_so():
    A = definite(np.geomspace(1e-13, 1, 30))
    with pytest.warns(ConvergenceWarning, match="the root leaves a relative residual of"):
        found = inverse_root(A, 2)
    assert found.info.converged is False
    assert found.info.residual > 1e-6


@pytest.mark.parametrize(
    ("call", "error", "pattern"),
    [
        (lambda: sqrt(np.diag([1.0, -0.5])), BreakdownError, r"A: .*semidefinite.* got the eigenvalue -0\.5"),
        (lambda: sqrt(np.diag([1.0, -0.5]), method="newton"), BreakdownError, r"eigenvalue -0\.5"),
        (lambda: inverse_root(np.diag([1.0, 0.0]), 2), BreakdownError, "A: singular to rounding"),
        (lambda: inverse_root(np.diag([1.0, -4.0]), 2, damping=1.0), BreakdownError, "the eigenvalue -4"),
        (lambda: sqrt(np.ones((2, 3))), InputError, "A: expected a square matrix"),
        (lambda: sqrt(np.array([[1.0, 2.0], [0.0, 1.0]])), InputError, "A: expected a Hermitian matrix"),
        (lambda: sqrt(np.eye(2), method="schur"), InputError, "method: "),
        (lambda: inverse_root(np.eye(2), 0), InputError, "p: "),
        (lambda: inverse_root(np.eye(2), 2.0), InputError, "p: "),
        (lambda: inverse_root(np.eye(2), 2, damping=-1.0), InputError, "damping: "),
        (lambda: sqrt(np.diag([1.0, np.inf])), NonFiniteError, "A: 1 entry"),
        (lambda: sqrt(np.diag([1.0, np.nan]), check_finite=False), NonFiniteError, "A: 1 entry"),
    ],
)
def test_refusals_name_the_argument(call, error, pattern):
    with pytest.raises(error, match=pattern):
        call()


def test_operators_of_arrays_are_taken():
    np.testing.assert_allclose(sqrt(Dense(np.diag([4.0, 9.0]))).X, np.diag([2.0, 3.0]), atol=1e-15)


@pytest.mark.parametrize("method", ["eigen", "newton"])
def test_damping_far_beyond_the_matrix_is_the_matrix(method):
    found = inverse_root(np.eye(2) * 1e-300, 2, damping=1e10, method=method)
    np.testing.assert_allclose(found.X, 1e-5 * np.eye(2), rtol=1e-14)
    assert found.info.converged


@pytest.mark.parametrize(
    ("A", "p", "damping", "power"),
    [
        (np.diag([1.0, 0.0]).astype(np.float32), 1, 1e-39, r"1e\+39, outside the range of float32"),
        (np.eye(2) * 1e-310, 1, 0.0, r"1e\+310, outside the range of float64"),
        (np.eye(2, dtype=np.complex128) * 1e-310, 1, 0.0, r"1e\+310, outside the range of complex128"),
        (np.eye(2, dtype=np.float32), 1, 1e60, "1e-60, outside the range of float32"),
    ],
)
def test_results_beyond_the_range_are_refused(A, p, damping, power, recwarn):
    with pytest.raises(InputError, match=rf"damping: the root of A \+ damping I has entries of {power}"):
        inverse_root(A, p, damping=damping)
    assert not recwarn.list
    # Within the range up to its end.
    np.testing.assert_allclose(inverse_root(np.eye(2) * 2.0**-1023, 1).X, np.eye(2) * 2.0**1023, rtol=4 * EPS)


@pytest.mark.filterwarnings("ignore::randnla.ConvergenceWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
@pytest.mark.parametrize("p", [1, 2, 4])
def test_what_is_called_converged_is_definite_after_rounding(p, dtype):
    X = np.random.default_rng(1).standard_normal((32, 256)).astype(dtype)
    F = X.T @ X / dtype(32)
    F = (F + F.conj().T) / 2
    verdicts = []
    for damping in 10.0 ** np.arange(-9, 2):
        found = inverse_root(F, p, damping=damping)
        verdicts.append(found.info.converged)
        wide = found.X.astype(np.result_type(dtype, np.float64))
        if found.info.converged:
            assert np.linalg.eigvalsh(wide)[0] > 0
    assert verdicts[-1] is True
    assert verdicts == sorted(verdicts)
    if p == 1 and dtype == np.float32:
        assert False in verdicts
        # The claim is not idle: at 1e-8 rounding does make it indefinite.
        with pytest.warns(ConvergenceWarning, match="rounded to float32 it need not be positive definite"):
            found = inverse_root(F, 1, damping=1e-8)
        assert np.linalg.eigvalsh(found.X.astype(np.float64))[0] < 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("check_finite", [True, False])
def test_non_finite_entries_never_reach_the_eigenvalues(bad, check_finite):
    with pytest.raises(NonFiniteError, match="A: 1 entry"):
        inverse_root(np.diag([1.0, bad]), 2, check_finite=check_finite)

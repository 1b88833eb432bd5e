# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Systems in extreme units, and arguments that a solver is to refuse or to survive."""

from __future__ import annotations

import numpy as np
import pytest

import randnla
from randnla import solvers
from randnla._backend.errors import ConvergenceWarning, InputError, NonFiniteError

RNG = np.random.default_rng(7)
TALL, B = RNG.standard_normal((400, 6)), RNG.standard_normal(400)
SQUARE = TALL.T @ TALL
SQUARE = (SQUARE + SQUARE.T) / 2


@pytest.mark.parametrize("method", ["cholesky_qr", "spir", "fossils", "precondition", "householder"])
@pytest.mark.parametrize("factor", [1.0, 1j])
def test_lstsq_solves_columns_of_any_size_side_by_side(method, factor):
    scales = np.array([1.0, 0.0, 1e-200, 1e200])
    found = randnla.lstsq(TALL * factor, B[:, None] * scales, method=method, rng=0)
    expected = np.linalg.lstsq(TALL * factor, B, rcond=None)[0]
    assert found.info.method == method
    assert found.info.converged is (
        None if method == "precondition" else True
    )  # None: no error was asked for
    assert not found.x[:, 1].any()
    for j in (0, 2, 3):
        assert np.linalg.norm(found.x[:, j] / scales[j] - expected) < 1e-13 * np.linalg.norm(expected)


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e170, 1e300])
def test_lstsq_takes_damping_in_the_units_of_A(size):
    found = randnla.lstsq(size * TALL, B, damp=3 * size, rng=0)
    expected = np.linalg.solve(SQUARE + 9 * np.eye(6), TALL.T @ B)
    assert found.info.converged
    assert found.info.path == "rescaled, gram"
    assert np.linalg.norm(found.x * size - expected) < 1e-13 * np.linalg.norm(expected)


@pytest.mark.parametrize(("size", "damp"), [(1.0, 1e200), (1e-300, 1e100)])
def test_lstsq_takes_damping_that_leaves_nothing(size, damp):
    found = randnla.lstsq(size * TALL, B, damp=damp, rng=0)
    assert found.info.converged
    assert found.info.path == "rescaled, gram"
    # Some 1e-400, below the range.
    assert not found.x.any()


def _solvers():
    return {
        "lstsq": lambda b: randnla.lstsq(TALL, b, check_finite=False),
        "lsqr": lambda b: solvers.lsqr(TALL, b, check_finite=False),
        "ridge": lambda b: randnla.ridge(TALL, b, 1.0, check_finite=False),
        "solve": lambda b: randnla.solve(SQUARE, b[:6], check_finite=False),
        "gmres": lambda b: randnla.gmres(SQUARE, b[:6], check_finite=False),
    }


@pytest.mark.parametrize("name", ["lstsq", "lsqr", "ridge", "solve", "gmres"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_right_hand_sides_are_never_silently_not_finite(name, value):
    b = B.copy()
    b[2] = value
    with pytest.raises(NonFiniteError, match=r"^b: 1 entry is NaN or Inf, the first at index 2"):
        _solvers()[name](b)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("alpha", [1e-3, 1.0, 100.0])
def test_ridge_without_eigenpairs_knows_the_units_of_A(wide, alpha):
    A, b = (TALL.T, B[:6]) if wide else (TALL, B)
    found = randnla.ridge(A, b, alpha, method="nystrom", rank=0, tol=1e-10, rng=0)
    expected = A.T @ np.linalg.solve(A @ A.T + alpha * np.eye(6), b) if wide else None
    if expected is None:
        expected = np.linalg.solve(A.T @ A + alpha * np.eye(6), A.T @ b)
    assert found.info.rank == 0
    assert found.info.converged
    assert np.linalg.norm(found.x - expected) < 1e-9 * np.linalg.norm(expected)


@pytest.mark.parametrize("method", ["direct", "sketch"])
@pytest.mark.parametrize("alpha", [1e-8, 1e-12, 1e-16, 1e-20, 1e-60])
def test_ridge_certifies_the_error_of_a_singular_matrix_with_little_added(method, alpha):
    A = np.concatenate([TALL, TALL], axis=1)
    half = np.linalg.solve(2 * TALL.T @ TALL + alpha * np.eye(6), TALL.T @ B)
    exact = np.concatenate([half, half])

    def energy(v):
        return np.hypot(np.linalg.norm(A @ v), alpha**0.5 * np.linalg.norm(v))

    certain = alpha > 1e-40
    if certain:
        found = randnla.ridge(A, B, alpha, method=method, rng=0)
    else:  # rounding of A is above alpha: what x lacks cannot be told
        with pytest.warns(ConvergenceWarning, match=r"^ridge: relative error 1 exceeds"):
            found = randnla.ridge(A, B, alpha, method=method, rng=0)
    assert found.info.method == method
    assert found.info.converged == certain
    # The oracle is exact to a few roundings.
    assert energy(found.x - exact) / energy(exact) <= found.errors + 4e-15


def test_ridge_of_a_matrix_far_above_alpha_divides_by_nothing():
    with np.errstate(all="raise"), pytest.warns(ConvergenceWarning, match=r"^ridge: relative error"):
        found = randnla.ridge(1e300 * TALL, B, 1.0, method="nystrom", rng=0)
    assert not found.info.converged
    assert found.info.error_relative == 1.0


@pytest.mark.parametrize("alpha", [1e-14, 1e-320])
def test_kernel_ridge_with_alpha_below_rounding_ends_with_an_honest_residual(alpha):
    points = RNG.standard_normal((100, 2))
    with pytest.warns(ConvergenceWarning, match=r"^solve: relative residual"):
        found = solvers.kernel_ridge(points, B[:100], alpha=alpha, rng=0)
    K = np.exp(-((points[:, None] - points[None]) ** 2).sum(axis=2) / 2)
    residual = np.linalg.norm(B[:100] - K @ found.coefficients - alpha * found.coefficients)
    assert found.info.method == "rpcholesky cg"
    assert residual / np.linalg.norm(B[:100]) == pytest.approx(found.info.residual, rel=0.5)


def test_a_spectral_preconditioner_stays_definite_below_rounding():
    V = np.linalg.qr(RNG.standard_normal((60, 40)))[0]
    M = solvers.SpectralPreconditioner(np.logspace(0, -40, 40), V, shift=1e-50, tail=0.0)
    X = np.concatenate([V, RNG.standard_normal((60, 20))], axis=1)
    assert (np.einsum("ij,ij->j", X, M @ X) > 0).all()


@pytest.mark.parametrize("solver", [randnla.solve, randnla.gmres])
def test_zero_right_hand_sides_are_solved_by_zero_whatever_the_guess(solver):
    b = np.column_stack([np.zeros(6), B[:6]])
    found = solver(SQUARE, b, x0=np.ones((6, 2)))
    assert found.info.converged
    assert not found.x[:, 0].any()
    assert np.linalg.norm(SQUARE @ found.x[:, 1] - B[:6]) <= 1e-8 * np.linalg.norm(B[:6])


@pytest.mark.parametrize("solver", [randnla.solve, randnla.gmres])
def test_guesses_out_of_range_are_refused(solver):
    with pytest.raises(InputError, match=r"^x0: expected a guess of the size of a solution"):
        solver(SQUARE, B[:6], x0=np.full(6, 1e200))


@pytest.mark.parametrize("solver", [randnla.solve, randnla.gmres])
def test_preconditioners_that_are_not_finite_are_named(solver):
    with pytest.raises(NonFiniteError, match=r"^preconditioner\(R\): 6 entries"):
        solver(SQUARE, B[:6], preconditioner=lambda R: R * np.nan)
    with pytest.raises(NonFiniteError, match=r"^preconditioner: 36 entries"):
        solver(SQUARE, B[:6], preconditioner=np.full((6, 6), np.nan))


def _doubled(R):
    R *= 2
    return R


@pytest.mark.parametrize("solver", [randnla.solve, randnla.gmres])
def test_preconditioners_may_write_into_what_they_are_given(solver):
    found = solver(SQUARE, B[:6], preconditioner=_doubled)
    assert found.info.converged
    assert np.linalg.norm(SQUARE @ found.x - B[:6]) < 2e-8 * np.linalg.norm(B[:6])

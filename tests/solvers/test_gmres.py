# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sketched GMRES against GMRES, LAPACK and its own certificate."""

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from krylov_cases import convection, general, relative_residual, vectors

import randnla
from randnla import BreakdownError, ConvergenceWarning, InputError
from randnla.solvers.krylov.arnoldi import SketchedArnoldi

METHODS = pytest.mark.parametrize("method", ["rgs", "truncated"])


def gmres_residuals(A, b, steps):
    """What GMRES reaches, by SciPy."""
    history = []
    scipy.sparse.linalg.gmres(
        A, b, rtol=1e-14, restart=steps, maxiter=1, callback=history.append, callback_type="pr_norm"
    )
    return np.array(history)


@METHODS
@pytest.mark.parametrize("steps", [10, 40, 80])
def test_residuals_are_within_the_distortion_of_those_of_gmres(method, steps):
    A, b = convection(40), vectors(1600)
    best = gmres_residuals(A, b, steps)[steps - 1]
    for seed in range(4):
        with pytest.warns(ConvergenceWarning):
            found = randnla.gmres(A, b, method=method, restart=steps, maxiter=steps, tol=1e-14, rng=seed)
        if method == "rgs":
            assert found.info.iterations == steps
            # Nakatsukasa and Tropp (2024), equation (3.3), with eps = 1/2; GMRES is the least there is.
            assert best * (1 - 1e-6) <= found.info.residual <= 3 * best
        assert found.info.sketch == "sparse_sign"


@METHODS
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_against_lapack(method, dtype):
    n = 300
    A = (general(n, n, 3.0, dtype=dtype) * 0.3 + 2 * np.eye(n)).astype(dtype)
    b = vectors(n, 2, dtype=dtype)
    found = randnla.gmres(A, b, method=method, rng=0)
    tol = 1e-8 if np.finfo(dtype).eps < 1e-10 else 1e-4
    truth = np.linalg.solve(A, b)
    assert found.x.dtype == dtype
    assert found.info.converged
    assert found.info.method == method
    assert found.info.residual <= tol
    assert relative_residual(A, found.x, b) <= tol + 100 * np.finfo(dtype).eps
    assert np.linalg.norm(found.x - truth) <= 10 * tol * np.linalg.norm(truth)


def test_randomized_gram_schmidt_keeps_the_condition_and_truncation_restarts_before_it_is_lost():
    A, b = convection(40), vectors(1600)
    rgs = randnla.gmres(A, b, restart=150, rng=0)
    assert rgs.info.condition <= 1 + 1e-6
    assert rgs.info.path == "1 cycle"
    truncated = randnla.gmres(A, b, method="truncated", restart=150, rng=0)
    assert truncated.info.converged
    assert truncated.info.condition > 1e6
    assert int(truncated.info.path.split()[0]) > 1


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_the_condition_of_an_orthonormal_sketch_is_bounded_and_any_other_computed(dtype):
    rng = np.random.default_rng(0)
    A, S = rng.standard_normal((60, 60)).astype(dtype), rng.standard_normal((40, 60)).astype(dtype)
    space = SketchedArnoldi(lambda X: A @ X, lambda X: S @ X, vectors(60, 1, dtype=dtype), 20, None)
    for _ in range(12):
        space.step()
    held = space.sketches[:, :13]
    off = np.linalg.norm(held.conj().T @ held - np.eye(13))
    assert 0.3 * off < space.skew**0.5 < 1e-3
    assert np.linalg.cond(held.astype(np.complex128)) <= space.condition() < 1 + 4 * space.skew**0.5
    space.sketches[:, 3] += space.sketches[:, 5]
    space.skew = 2.0
    assert space.condition() == pytest.approx(np.linalg.cond(held.astype(np.complex128)), rel=1e-5)


@METHODS
def test_preconditioned_from_the_right(method):
    A, b = convection(30), vectors(900, 2)
    lu = scipy.sparse.linalg.spilu(A.tocsc(), drop_tol=1e-2)
    M = scipy.sparse.linalg.LinearOperator(A.shape, lu.solve)
    plain = randnla.gmres(A, b, method=method, rng=0)
    found = randnla.gmres(A, b, method=method, preconditioner=M, rng=0)
    assert found.info.iterations < plain.info.iterations / 4
    # The residual that counts is that of A itself.
    assert relative_residual(A.toarray(), found.x, b) <= 1e-8
    called = randnla.gmres(A, b, preconditioner=lambda R: np.stack([lu.solve(r) for r in R.T], 1), rng=0)
    assert called.info.iterations < plain.info.iterations / 4


def test_kinds_scales_and_seeds():
    A, b = convection(15), vectors(225)
    one = randnla.gmres(A, b, rng=1)
    for other in (A.toarray(), scipy.sparse.linalg.aslinearoperator(A), A.tocsc()):
        np.testing.assert_allclose(randnla.gmres(other, b, rng=1).x, one.x, atol=1e-6)
    two = randnla.gmres(A * 2.0**900, b * 2.0**-20, rng=1)
    assert np.array_equal(np.ldexp(one.x, -920), two.x)
    again = randnla.gmres(A, b, rng=one.info.seed)
    assert np.array_equal(one.x, again.x)
    mixed = randnla.gmres(A, b + 1j * b[::-1], rng=1)
    assert relative_residual(A.toarray(), mixed.x, b + 1j * b[::-1]) <= 1e-8
    guess = randnla.gmres(A, b, x0=one.x)
    assert guess.info.iterations == 0


def test_restarts_reach_the_tolerance():
    A, b = convection(25, wind=0.5), vectors(625)
    found = randnla.gmres(A, b, restart=12, rng=0)
    assert found.info.converged
    assert int(found.info.path.split()[0]) > 1


class TestHonesty:
    def test_a_cyclic_shift_makes_no_progress_until_the_last_step(self):
        A, b = np.roll(np.eye(60), 1, axis=0), np.eye(60)[0]
        with pytest.warns(ConvergenceWarning, match=r"gmres: relative residual 1 .*stagnation"):
            found = randnla.gmres(A, b, restart=20, rng=0)
        assert not found.info.converged
        assert randnla.gmres(A, b, restart=60, rng=0).info.residual <= 1e-8

    def test_singular(self):
        A = np.diag([1.0, 2.0, 0.0])
        consistent = randnla.gmres(A, np.array([1.0, 1.0, 0.0]))
        np.testing.assert_allclose(consistent.x, [1, 0.5, 0], atol=1e-12)
        with pytest.warns(ConvergenceWarning, match="relative residual 0.577"):
            randnla.gmres(A, np.ones(3))
        with pytest.raises(BreakdownError, match="it is zero as far as products tell"):
            randnla.gmres(np.zeros((3, 3)), np.ones(3))

    def test_too_few_steps(self):
        with pytest.warns(ConvergenceWarning, match=r"after 5 iterations: more steps are needed \(maxiter\)"):
            found = randnla.gmres(convection(20), vectors(400), maxiter=5, rng=0)
        assert found.info.iterations == 5

    def test_the_callback_hears_every_step(self):
        states = []
        found = randnla.gmres(convection(20), vectors(400, 2), rng=0, callback=states.append)
        assert {s["column"] for s in states} == {0, 1}
        assert max(sum(s["column"] == j for s in states) for j in (0, 1)) == found.info.iterations


@pytest.mark.parametrize(
    ("keywords", "pattern"),
    [
        ({"method": "full"}, r"^method: expected one of 'rgs', 'truncated'"),
        ({"restart": 0}, r"^restart"),
        ({"preconditioner": "ilu"}, r"^preconditioner: expected an operator"),
        ({"preconditioner": np.eye(3)}, r"^preconditioner: expected shape"),
        ({"x0": np.ones(2)}, r"^x0"),
        ({"tol": 2.0}, r"^tol"),
    ],
)
def test_bad_arguments_are_named(keywords, pattern):
    with pytest.raises(InputError, match=pattern):
        randnla.gmres(np.eye(4), np.ones(4), **keywords)


def test_empty_and_zero():
    assert randnla.gmres(np.zeros((0, 0)), np.zeros(0)).x.shape == (0,)
    assert not randnla.gmres(np.eye(3), np.zeros(3)).x.any()
    with pytest.raises(InputError, match=r"^A: expected a square matrix"):
        randnla.gmres(np.ones((2, 3)), np.ones(2))

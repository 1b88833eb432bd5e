# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The building blocks: recurrences against their definitions, solvers against LAPACK and SciPy."""

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from krylov_cases import general, hermitian, vectors

import randnla
from randnla import BreakdownError, ConvergenceWarning, InputError
from randnla.solvers import cg, lsmr, lsqr
from randnla.solvers.krylov.arnoldi import SketchedArnoldi
from randnla.solvers.krylov.conjugate_gradients import ConjugateGradients
from randnla.solvers.krylov.golub_kahan import LSMR, LSQR, GolubKahan

SHAPES = [(60, 25), (25, 60), (40, 40)]
BOTH = pytest.mark.parametrize("method", [lsqr, lsmr])


def krylov_space(A, v, m):
    columns = [v]
    for _ in range(m - 1):
        columns.append(A @ columns[-1])
        columns[-1] /= np.linalg.norm(columns[-1])
    return np.linalg.qr(np.stack(columns, axis=1))[0]


class TestConjugateGradients:
    def test_iterates_are_the_best_of_the_krylov_space(self):
        A, b = hermitian(np.linspace(1, 50, 60)), vectors(60, 2)
        run = ConjugateGradients(lambda X: A @ X, b, targets=np.zeros(2), shifts=np.zeros(2))
        for m in range(1, 7):
            run.step()
            for j in range(2):
                V = krylov_space(A, b[:, j], m)
                best = V @ np.linalg.solve(V.T @ A @ V, V.T @ b[:, j])
                np.testing.assert_allclose(run.iterate()[:, j], best, atol=1e-10)

    def test_every_column_has_its_own_shift(self):
        A, b, shifts = hermitian(np.linspace(1, 50, 60)), vectors(60, 3), np.array([0.0, 1.0, 100.0])
        run = ConjugateGradients(lambda X: A @ X, b, targets=np.full(3, 1e-9), shifts=shifts)
        while run.live.size:
            run.step()
        for j, shift in enumerate(shifts):
            truth = np.linalg.solve(A + shift * np.eye(60), b[:, j])
            np.testing.assert_allclose(run.iterate()[:, j], truth, atol=1e-8)

    def test_ritz_values_are_those_of_the_projection(self):
        A, b = hermitian(np.linspace(1, 50, 60)), vectors(60, 1)
        run = ConjugateGradients(lambda X: A @ X, b, targets=np.zeros(1), shifts=np.zeros(1))
        for _ in range(6):
            run.step()
        V = krylov_space(A, b[:, 0], 6)
        np.testing.assert_allclose(run.ritz_values(0), np.linalg.eigvalsh(V.T @ A @ V), rtol=1e-9)

    def test_products_that_are_not_finite(self):
        run = ConjugateGradients(
            lambda X: X * np.nan, np.ones((3, 1)), targets=np.zeros(1), shifts=np.zeros(1)
        )
        with pytest.raises(BreakdownError, match="a product with it is not finite"):
            run.step()

    def test_cg_counts_one_product_a_step(self):
        A, states = hermitian(np.linspace(1, 9, 80)), []
        found = cg(A, vectors(80), tol=1e-10, callback=states.append)
        assert [s["iteration"] for s in states] == list(range(1, found.info.iterations + 1))
        assert states[-1]["residual"] <= 1e-10 < states[0]["residual"]
        # Chebyshev's bound for condition 9: a factor of 2 a step.
        assert found.info.iterations <= 36


class TestGolubKahan:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_bidiagonal(self, shape):
        A = general(*shape, 5.0)
        run = GolubKahan(lambda X: A @ X, lambda Y: A.T @ Y, vectors(shape[0], 1))
        U, V, B = [run.u], [run.v], np.zeros((6, 5))
        B[0, 0] = run.alpha[0]
        for i in range(1, 6):
            run.step()
            B[i, i - 1] = run.beta[0]
            U.append(run.u)
            if i < 5:
                B[i, i] = run.alpha[0]
                V.append(run.v)
        U, V = np.hstack(U), np.hstack(V)
        np.testing.assert_allclose(A @ V, U @ B, atol=1e-13)
        np.testing.assert_allclose(U.T @ U, np.eye(6), atol=1e-12)

    @pytest.mark.parametrize("damp", [0.0, 0.7])
    @pytest.mark.parametrize("recurrence", [LSQR, LSMR])
    @pytest.mark.parametrize("shape", SHAPES)
    def test_recurred_norms_are_true(self, recurrence, damp, shape):
        A, b = general(*shape, 20.0), vectors(shape[0], 2)
        run = recurrence(lambda X: A @ X, lambda Y: A.T @ Y, b, damp)
        gradients = [run.gradient]
        for _ in range(8):
            run.step()
            R = b - A @ run.X
            size = np.hypot(np.linalg.norm(R, axis=0), damp * np.linalg.norm(run.X, axis=0))
            np.testing.assert_allclose(run.residual, size, rtol=1e-9)
            gradient = np.linalg.norm(A.T @ R - damp**2 * run.X, axis=0)
            np.testing.assert_allclose(run.gradient, gradient, rtol=1e-6, atol=1e-13)
            gradients.append(run.gradient)
        if recurrence is LSMR:
            assert np.all(np.diff(gradients, axis=0) <= 1e-14)

    def test_lsqr_minimizes_the_residual_and_lsmr_its_gradient(self):
        A, b = general(60, 25, 20.0), vectors(60, 1)
        for recurrence, left in ((LSQR, A), (LSMR, A.T @ A)):
            run = recurrence(lambda X: A @ X, lambda Y: A.T @ Y, b)
            for m in range(1, 6):
                run.step()
                V = krylov_space(A.T @ A, A.T @ b[:, 0], m)
                goal = b if recurrence is LSQR else A.T @ b
                best = V @ np.linalg.lstsq(left @ V, goal, rcond=None)[0]
                np.testing.assert_allclose(run.X, best, atol=1e-10)


@BOTH
class TestLeastSquares:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
    @pytest.mark.parametrize("shape", SHAPES)
    def test_against_lapack(self, method, shape, dtype):
        A, b = general(*shape, 10.0, dtype=dtype), vectors(shape[0], 2, dtype=dtype)
        found = method(A, b)
        truth = np.linalg.lstsq(A, b, rcond=None)[0]
        assert found.info.method == method.__name__
        assert found.x.dtype == dtype
        tol = 1e-8 if np.finfo(dtype).eps < 1e-10 else 1e-4
        assert np.linalg.norm(found.x - truth) <= 300 * tol * np.linalg.norm(truth)

    def test_damped_is_ridge(self, method):
        A, b = general(50, 20, 1e3), vectors(50)
        truth = np.linalg.solve(A.T @ A + 0.04 * np.eye(20), A.T @ b)
        np.testing.assert_allclose(method(A, b, damp=0.2, tol=1e-12).x, truth, rtol=1e-8)

    def test_sparse_and_operators(self, method):
        A = scipy.sparse.random_array((80, 30), density=0.3, rng=0).tocsr()
        b = vectors(80)
        one = method(A, b, tol=1e-12).x
        np.testing.assert_allclose(one, np.linalg.lstsq(A.toarray(), b, rcond=None)[0], atol=1e-9)
        np.testing.assert_allclose(method(scipy.sparse.linalg.aslinearoperator(A), b, tol=1e-12).x, one)

    def test_a_preconditioner_is_a_product(self, method):
        A, b = general(200, 30, 1e8), vectors(200)
        R = np.linalg.qr(A)[1]
        N = np.linalg.inv(R)
        found = method(randnla.as_operator(A) @ randnla.as_operator(N), b)
        assert found.info.iterations <= 3
        assert np.linalg.norm(A @ (N @ found.x) - b) <= 1.0001 * np.linalg.norm(
            A @ np.linalg.lstsq(A, b, rcond=None)[0] - b
        )

    def test_scales(self, method):
        A, b = general(40, 15, 5.0), vectors(40)
        one = method(A, b).x
        assert np.array_equal(np.ldexp(one, 950), method(np.ldexp(A, -900), np.ldexp(b, 50)).x)

    def test_zeros_and_refusals(self, method):
        assert not method(np.zeros((4, 3)), np.ones(4)).x.any()
        assert not method(np.ones((4, 3)), np.zeros(4)).x.any()
        assert method(np.zeros((0, 3)), np.zeros(0)).x.shape == (3,)
        with pytest.raises(InputError, match=r"^damp: expected a nonnegative number"):
            method(np.eye(2), np.ones(2), damp=-1.0)
        with pytest.raises(InputError, match=r"^b: expected 2 rows"):
            method(np.eye(2), np.ones(3))
        with pytest.warns(ConvergenceWarning, match=rf"{method.__name__}: relative residual .* 2 iterations"):
            found = method(general(50, 20, 1e3), vectors(50), maxiter=2)
        assert not found.info.converged


class TestSketchedArnoldi:
    def run(self, truncate, steps=20, *, sketch=None):
        A = np.diag(np.linspace(1, 3, 400)) + np.diag(np.full(399, 0.5), 1)
        S = sketch if sketch is not None else randnla.SparseSign(100, 400, rng=0)
        b = vectors(400, 1)
        space = SketchedArnoldi(lambda X: A @ X, lambda X: S @ X, b, steps + 2, truncate)
        for _ in range(steps):
            space.step()
        return A, S, b, space

    def test_sketches_are_orthonormal_and_the_basis_nearly(self):
        _, S, _, space = self.run(None)
        Q = space.sketches[:, :21]
        np.testing.assert_allclose(Q.T @ Q, np.eye(21), atol=1e-13)
        np.testing.assert_allclose(S @ space.basis[:, :21], Q, atol=1e-12)
        assert space.condition() <= 1 + 1e-10
        # Balabanov and Grigori (2022), Corollary 2.2: the distortion of the sketch bounds the condition.
        assert np.linalg.cond(space.basis[:, :21]) <= 3

    @pytest.mark.parametrize("truncate", [None, 3])
    def test_the_sketched_residual_is_least(self, truncate):
        A, S, b, space = self.run(truncate)
        B = space.basis[:, :20]
        y = np.linalg.lstsq(S @ (A @ B), S @ b, rcond=None)[0]
        assert space.residual == pytest.approx(np.linalg.norm(S @ (b - A @ (B @ y))), rel=1e-8)
        np.testing.assert_allclose(A @ space.solution(), A @ (B @ y), atol=1e-8)

    def test_spans_the_krylov_space(self):
        A, _, b, space = self.run(None, steps=6)
        V = krylov_space(A, b[:, 0], 6)
        B = space.basis[:, :6]
        np.testing.assert_allclose(B, V @ (V.T @ B), atol=1e-12)

    def test_truncated_bases_decay(self):
        assert self.run(2, steps=60)[3].condition() > 1e3 > 1.1 > self.run(None, steps=60)[3].condition()

    def test_an_invariant_space_is_seen(self):
        A = np.diag(np.r_[1.0, 2.0, 3.0, np.ones(97)])
        b = np.zeros((100, 1))
        b[:3] = 1
        space = SketchedArnoldi(lambda X: A @ X, lambda X: X.copy(), b, 10, None)
        while not space.closed:
            space.step()
        assert space.columns == 3
        np.testing.assert_allclose(A @ space.solution(), b, atol=1e-12)

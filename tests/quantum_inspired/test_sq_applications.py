# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What is built on sampling access, each against its exact answer."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from interrupts import interrupt_at_line
from test_sq_access import random

from randnla._backend.errors import ConvergenceWarning, InputError
from randnla.quantum_inspired import (
    Recommender,
    SQMatrix,
    SQVector,
    discriminant,
    low_rank,
    pca,
    recommend,
    recommendation,
    regress,
    simulate_hamiltonian,
    sketch,
    solve_sdp,
    sq_matrix,
    supervised_cluster,
    svm,
)

KINDS = [np.float64, np.complex128]


# -- recommendation ------------------------------------------------------------------------------------


def planted(users=300, items=800, groups=5, seed=0):
    rng = np.random.default_rng(seed)
    u, i = rng.integers(0, groups, users), rng.integers(0, groups, items)
    likes = (u[:, None] == i) * (rng.random((users, items)) < 0.3)
    return likes + 1.0 * (rng.random((users, items)) < 0.01), u, i


def test_items_are_as_good_as_those_of_the_svd():
    A, u, i = planted()
    model = Recommender(SQMatrix(scipy.sparse.csr_array(A)), 5, rng=0)
    hits = np.mean([i[model.query(k, 20, rng=k).items] == u[k] for k in range(300)])
    U, s, Vh = np.linalg.svd(A, full_matrices=False)
    P = ((U[:, :5] * s[:5]) @ Vh[:5]) ** 2
    best = np.mean([(P[k] * (i == u[k])).sum() / P[k].sum() for k in range(300)])
    assert hits > 0.98 * best
    assert model.info.path == "rows, orthonormal"
    V = model._tastes.frame.orthonormal
    exact = np.linalg.norm(A - A @ V @ V.T)
    assert model.info.error_estimate == pytest.approx(exact, rel=0.2)


@pytest.mark.parametrize("form", ["orthonormal", "sampled"])
def test_an_interrupt_at_any_line_of_a_refresh_leaves_the_old_directions_or_the_new(form):
    A = planted(60, 40, 2)[0]
    files = {m.__file__ for m in (recommendation, sketch, low_rank, sq_matrix)}
    seen = []
    for turn in range(1, 1000):
        model = Recommender(SQMatrix(A), 2, form=form, threshold=0.1, rng=0)
        user = int(np.argmax(A.sum(axis=1)))
        answers = {model.info.seed: model.query(user, 5, rng=1)}
        after = Recommender(SQMatrix(A), 2, form=form, threshold=0.1, rng=7)
        answers[after.info.seed] = after.query(user, 5, rng=1)
        stopped = interrupt_at_line(turn, files, lambda m=model: m.refresh(rng=7))
        held = model.query(user, 5, rng=1)
        np.testing.assert_array_equal(held.items, answers[model.info.seed].items)
        np.testing.assert_array_equal(held.scores, answers[model.info.seed].scores)
        seen.append(model.info.seed)
        model.refresh(rng=7)
        np.testing.assert_array_equal(model.query(user, 5, rng=1).scores, answers[7].scores)
        if not stopped:
            break
    assert not stopped
    assert turn > 20
    assert seen[0] == 0
    assert seen[-1] == 7


def test_without_whole_rows_items_are_nearly_as_good():
    A, u, i = planted()
    model = Recommender(SQMatrix(A), 5, method="double", form="sampled", rows=200, columns=200, rng=0)
    hits = np.mean([i[model.query(k, 10, rng=k).items] == u[k] for k in range(0, 300, 10)])
    assert hits > 0.8
    assert model.info.path == "double, sampled"


def test_ratings_change_while_items_are_asked_for():
    A, u, i = planted()
    model = Recommender(SQMatrix(A), 5, rng=0)
    rng = np.random.default_rng(5)
    wanted = (u[0] + 1) % 5
    before = np.mean(i[model.query(0, 200, rng=1).items] == wanted)
    chosen = rng.choice(np.flatnonzero(i == wanted), 60, replace=False)
    model.update(np.zeros(60, np.int64), chosen, 3.0)
    after = np.mean(i[model.query(0, 200, rng=1).items] == wanted)
    assert before < 0.1
    assert after > 0.8
    model.refresh(rng=2)
    assert np.mean(i[model.query(0, 200, rng=1).items] == wanted) > 0.8


def test_recommend_at_once_and_what_is_refused():
    A, u, i = planted()
    found = recommend(A, 7, rank=5, size=40, threshold=0.5, rng=0)
    assert np.mean(i[found.items] == u[7]) > 0.8
    assert found.scores.shape == (40,)
    assert np.array_equal(found.items, recommend(A, 7, rank=5, size=40, threshold=0.5, rng=0).items)
    with pytest.raises(InputError, match=r"user: expected an integer in \[0, 299\], got 300"):
        recommend(A, 300, rank=5)
    A[3] = 0
    with pytest.raises(InputError, match=r"user: expected one with tastes"):
        recommend(A, 3, rank=5, rng=0)
    with pytest.raises(InputError, match=r"A: expected ratings that are not all zero"):
        recommend(np.zeros((4, 4)), 0, rank=1)


# -- PCA, regression, classification ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", KINDS)
def test_principal_components_of_an_exact_rank_are_exact(dtype):
    rng = np.random.default_rng(0)
    A = random(rng, dtype, 500, 3) @ random(rng, dtype, 3, 60)
    found = pca(SQMatrix(A), 3, rows=500, rng=0)
    V = np.linalg.svd(A)[2][:3]
    np.testing.assert_allclose(found.components.conj().T @ found.components, V.conj().T @ V, atol=1e-12)
    exact = np.linalg.svd(A, compute_uv=False)[:3] ** 2 / 500
    np.testing.assert_allclose(found.explained_variance, exact, rtol=0.2)
    assert found.explained_variance_ratio.sum() == pytest.approx(1, rel=1e-2)
    assert found.info.entries < A.size


@pytest.mark.parametrize("dtype", KINDS)
def test_consistent_systems_are_solved_from_few_rows(dtype):
    rng = np.random.default_rng(1)
    A = random(rng, dtype, 2000, 4) @ random(rng, dtype, 4, 50)
    b = A @ random(rng, dtype, 50)
    exact = np.linalg.pinv(A, rcond=1e-10) @ b
    for right in ("sketch", "exact"):
        (x,) = found = regress(SQMatrix(A), b, rank=4, rows=40, right=right, rng=0)
        np.testing.assert_allclose(x, exact, rtol=1e-9, atol=1e-10)
        assert found.info.residual < 1e-10
        assert found.info.path == f"rows, {right} right-hand side"
    assert regress(SQMatrix(A), b, rank=4, rows=40, rng=0).info.entries <= 40 * 50
    (x,) = found = regress(SQMatrix(A), b, rank=4, rows=400, right="sampled", samples=40_000, rng=0)
    assert np.linalg.norm(x - exact) < 0.3 * np.linalg.norm(exact)


def test_ridge_within_the_whole_range_is_ridge():
    rng = np.random.default_rng(2)
    A, b = rng.standard_normal((300, 8)), rng.standard_normal(300)
    exact = np.linalg.solve(A.T @ A + 20 * np.eye(8), A.T @ b)
    np.testing.assert_allclose(regress(A, b, alpha=20.0, right="exact", rng=0).x, exact, rtol=1e-10)
    errors = [
        np.mean([np.linalg.norm(regress(A, b, alpha=20.0, rows=r, rng=k).x - exact) for k in range(12)])
        for r in (100, 1600)
    ]
    assert 0.15 < errors[1] / errors[0] < 0.4  # 1 / sqrt 16
    estimate = regress(A, b, rng=0).info.residual
    assert estimate == pytest.approx(
        np.linalg.norm(A @ regress(A, b, rng=0).x - b) / np.linalg.norm(b), rel=0.4
    )
    assert np.all(regress(np.zeros((5, 3)), np.ones(5), rng=0).x == 0)
    with pytest.raises(InputError, match=r"b: expected 300 entries, got 8"):
        regress(A, np.ones(8))
    with pytest.raises(InputError, match=r"alpha: expected a number >= 0"):
        regress(A, b, alpha=-1.0)
    with pytest.raises(InputError, match=r"right: expected one of"):
        regress(A, b, right="none")


def test_svm_is_the_least_squares_svm():
    rng = np.random.default_rng(3)
    y = np.where(np.arange(800) % 3 == 0, 1.0, -1.0)
    X = rng.standard_normal((800, 12)) + 0.7 * y[:, None]
    Z = np.c_[X, np.ones(800)]
    G = Z.T @ Z
    G[:12, :12] += np.eye(12) / 2.0
    exact = np.linalg.solve(G, Z.T @ y)
    found = svm(SQMatrix(X), y, gamma=2.0, right="exact", rng=0)
    np.testing.assert_allclose(found.weights, exact[:12], rtol=1e-9)
    assert found.bias == pytest.approx(exact[12], rel=1e-9)
    sampled = svm(SQMatrix(X), y, gamma=2.0, rng=0)
    accuracy = [np.mean(one.predict(X) == y) for one in (found, sampled)]
    assert accuracy[0] > 0.95
    assert accuracy[1] > accuracy[0] - 0.02
    np.testing.assert_array_equal(np.sign(found.decide(X)), found.predict(X))
    cut = svm(SQMatrix(X), y, gamma=2.0, rank=9, right="exact", rng=0)  # nothing blows up what is left out
    Q = np.linalg.svd(X)[2][:9].T
    assert np.linalg.norm(cut.weights) < 1.2 * np.linalg.norm(exact[:12])
    assert np.linalg.norm(cut.weights - exact[:12]) < cut.info.error_estimate
    assert np.linalg.norm(cut.weights - Q @ (Q.T @ exact[:12])) < 0.4 * np.linalg.norm(exact[:12])
    with pytest.raises(InputError, match=r"labels: expected 1 and -1, got 0\.0"):
        svm(X, np.zeros(800))
    with pytest.raises(InputError, match=r"gamma: expected a positive number"):
        svm(X, y, gamma=0.0)


@pytest.mark.parametrize("dtype", KINDS)
def test_the_stated_error_of_an_svm_is_that_against_the_exact_one(dtype):
    rng = np.random.default_rng(3)
    y = np.where(np.arange(800) % 3 == 0, 1.0, -1.0)
    X = random(rng, dtype, 800, 12) + 0.7 * y[:, None]
    Z = np.c_[X, np.ones(800)]
    G = Z.conj().T @ Z + np.diag(np.r_[np.full(12, 0.5), 0])
    exact = np.linalg.solve(G, Z.conj().T @ y)[:12]
    close = svm(X, y, gamma=2.0, right="exact", rng=0)
    assert np.linalg.norm(close.weights - exact) < max(close.info.error_estimate, 1e-11) < 1e-6
    for rows in (200, 1600):
        found = [svm(SQMatrix(X), y, gamma=2.0, rows=rows, rng=seed) for seed in range(40)]
        error = np.mean([np.linalg.norm(one.weights - exact) ** 2 for one in found]) ** 0.5
        stated = np.mean([one.info.error_estimate**2 for one in found]) ** 0.5
        assert 0.7 < error / stated < 1.4
        assert 0.8 < error * rows**0.5 < 2.4
        assert found[0].info.certificate == "jackknife"


def test_an_svm_of_as_many_points_as_directions_states_its_error_or_that_it_knows_none():
    rng = np.random.default_rng(5)
    y = np.where(np.arange(2000) % 2, 1.0, -1.0)
    X = rng.standard_normal((2000, 120)) / np.sqrt(np.arange(1, 121)) + np.outer(y, np.exp(-np.arange(120)))
    Z = np.c_[X, np.ones(2000)]
    exact = np.linalg.solve(Z.T @ Z + np.diag(np.r_[np.ones(120), 0]), Z.T @ y)[:120]
    S = SQMatrix(X)
    for rows in (150, 250, 1000):
        found = [svm(S, y, rows=rows, rng=seed) for seed in range(20)]
        error = np.mean([np.linalg.norm(one.weights - exact) ** 2 for one in found]) ** 0.5
        stated = np.mean([one.info.error_estimate**2 for one in found]) ** 0.5
        assert 1.0 < stated / error < 2.0  # the jackknife errs upwards, the more the closer the fit
    assert error > 0.5 * np.linalg.norm(exact)  # which is why it has to be stated
    with pytest.warns(ConvergenceWarning, match=r"svm: 60 sampled rows of .* whatever their labels"):
        found = svm(S, y, rows=60, rng=0)
    assert found.info.error_estimate is None
    assert found.info.certificate is None


@pytest.mark.parametrize("dtype", KINDS)
def test_distances_to_centroids_are_without_bias(dtype):
    rng = np.random.default_rng(4)
    clusters = [random(rng, dtype, 60, 20) + c for c in (0.0, 1.0, 3.0)]
    clusters[1][5] = 0
    point = random(rng, dtype, 20) + 2.5
    exact = [np.linalg.norm(point - c.mean(axis=0)) ** 2 for c in clusters]
    models = [SQMatrix(c) for c in clusters]
    found = supervised_cluster(SQVector(point), models, samples=100_000, rng=0)
    assert found.label == int(np.argmin(exact))
    assert np.all(np.abs(found.distances - exact) < 7.13 * found.std_errors)
    size = [np.linalg.norm(point) ** 2 + np.mean(np.linalg.norm(c, axis=1) ** 2) for c in clusters]
    assert np.all(found.std_errors < 2 * np.array(size) / 100_000**0.5)
    zero = supervised_cluster(SQVector(np.zeros(20)), [SQMatrix(np.zeros((3, 20)))], rng=0)
    assert zero.distances.tolist() == [0.0]
    with pytest.raises(InputError, match=r"clusters: expected 20 columns, got 3 at 0"):
        supervised_cluster(SQVector(point), [SQMatrix(np.eye(3))])
    with pytest.raises(InputError, match=r"clusters: expected a list of SQMatrix"):
        supervised_cluster(SQVector(point), [])
    with pytest.raises(InputError, match=r"point: expected an SQVector"):
        supervised_cluster(point, models)


def test_discriminant_directions_are_those_of_the_pencil():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 3, 3000)
    X = 2 * rng.standard_normal((3, 6))[labels] + rng.standard_normal((3000, 6)) @ rng.standard_normal((6, 6))
    means = np.array([X[labels == c].mean(axis=0) for c in range(3)])
    W = X - means[labels]
    B = (means - X.mean(axis=0)) * np.sqrt(np.bincount(labels))[:, None]
    exact = scipy.linalg.eigh(B.T @ B, W.T @ W, eigvals_only=True)[::-1][:2]
    found = discriminant(SQMatrix(X), labels, rows=1500, rng=0)
    np.testing.assert_allclose(found.ratios, exact, rtol=0.2)
    ratio = np.diag(found.directions.T @ B.T @ B @ found.directions) / np.diag(
        found.directions.T @ W.T @ W @ found.directions
    )
    np.testing.assert_allclose(ratio, exact, rtol=0.05)  # second order in the error of the directions
    np.testing.assert_allclose(np.diag(found.directions.T @ W.T @ W @ found.directions) / 3000, 1, rtol=0.2)
    for size in (400, 3200):
        many = [discriminant(SQMatrix(X), labels, rows=size, rng=seed) for seed in range(30)]
        error = np.mean([(one.ratios / exact - 1) ** 2 for one in many], axis=0).max() ** 0.5
        assert 0.7 < error / np.mean([one.info.error_relative for one in many]) < 1.4
        assert many[0].info.certificate == "held-out rows"
    with pytest.raises(InputError, match=r"labels: expected at least two classes"):
        discriminant(X, np.zeros(3000, np.int64))
    with pytest.raises(InputError, match=r"labels: expected 3000 integers"):
        discriminant(X, np.zeros(3000))


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("rows", [50, 200, 800])
def test_a_stated_ratio_is_that_of_its_direction_however_few_the_points(rows, dtype):
    # Of 120 directions, from fewer points and from more: in the sample the ratio is far too high, or low.
    rng = np.random.default_rng(5)
    labels = np.arange(2000) % 2
    X = random(rng, dtype, 2000, 120) + np.outer(labels, np.exp(-np.arange(120)))
    means = np.array([X[labels == c].mean(axis=0) for c in range(2)])
    W, gap = X - means[labels], means[1] - means[0]
    for seed in range(5):
        found = discriminant(SQMatrix(X), labels, rows=rows, rng=seed)
        w = found.directions[:, 0]
        own = 500 * abs(gap @ w) ** 2 / np.linalg.norm(W @ w) ** 2
        assert abs(found.ratios[0] / own - 1) < 4 * found.info.error_relative < 1.2


# -- Hamiltonians and semidefinite programs ----------------------------------------------------------------


@pytest.mark.parametrize("form", ["unitary", "svt"])
@pytest.mark.parametrize("dtype", KINDS)
def test_evolution_under_a_low_rank_hamiltonian_is_exact(dtype, form):
    rng = np.random.default_rng(6)
    X = random(rng, dtype, 80, 3)
    H, b = X @ np.diag([1.0, -0.5, 2.0]) @ X.conj().T / 80, random(rng, dtype, 80)
    for t in (0.0, 1.3, -7.0):
        exact = scipy.linalg.expm(1j * t * H) @ b
        (x,) = found = simulate_hamiltonian(SQMatrix(H), b, t, rank=3, form=form, rng=0)
        assert np.linalg.norm(x - exact) < 1e-12 * np.linalg.norm(b)
        assert found.info.path == f"rows, {form}"


def test_evolution_with_a_tail_keeps_the_norm_and_its_bound():
    rng = np.random.default_rng(7)
    X, N = random(rng, np.complex128, 80, 3), random(rng, np.complex128, 80, 80) / 400
    H, b = X @ X.conj().T / 80 + N + N.conj().T, random(rng, np.complex128, 80)
    exact = scipy.linalg.expm(2j * H) @ b
    (x,) = found = simulate_hamiltonian(SQMatrix(H), b, 2.0, rank=3, rows=300, rng=0)
    assert np.linalg.norm(x) == pytest.approx(np.linalg.norm(b), rel=1e-13)
    error = np.linalg.norm(x - exact)
    assert 0.01 < error < found.info.error_estimate
    with pytest.raises(InputError, match=r"H: expected a Hermitian matrix"):
        simulate_hamiltonian(X @ X.T, b, rng=0)
    with pytest.raises(InputError, match=r"H: expected a square matrix"):
        simulate_hamiltonian(X, b)
    with pytest.raises(InputError, match=r"t: expected a finite number"):
        simulate_hamiltonian(H, b, np.inf)


@pytest.mark.parametrize("dtype", KINDS)
def test_feasible_states_satisfy_and_certificates_prove(dtype):
    rng = np.random.default_rng(8)
    n, matrices = 30, []
    for _ in range(4):
        X = random(rng, dtype, n, 2)
        S = X @ np.diag([1.0, -1.0]) @ X.conj().T
        matrices.append(S / np.linalg.norm(S, 2))
    seen = set()
    for level in (-0.1, -0.2, -0.9):
        b = np.full(4, level)
        found = solve_sdp(matrices, b, tol=0.1, bound=1.0, rng=0)
        seen.add(found.feasible)
        if found.feasible:
            X = found.to_dense()
            excess = max(np.trace(A @ X).real - level for A in matrices)
            assert excess == pytest.approx(found.violation, abs=1e-12)
            assert excess <= 0.1
            assert np.trace(X).real == pytest.approx(1, rel=1e-12)
            assert np.linalg.eigvalsh(X).min() > -1e-14
            assert found.info.path == "feasible"
        else:
            proof = sum(w * (A - level * np.eye(n)) for w, A in zip(found.weights, matrices, strict=True))
            assert np.linalg.eigvalsh(proof).min() > 0
            assert found.info.path == "infeasible, certified"
    assert seen == {True, False}


@pytest.mark.parametrize("seed", range(4))
def test_small_constraints_are_seen_whole(seed):
    """A draw of two of two rows may miss one; a joint range of all of them cannot."""
    Y = np.array([[0, 1j], [-1j, 0]])
    found = solve_sdp([Y], [-0.5], tol=0.1, rng=seed)
    assert found.feasible is True
    assert np.trace(Y @ found.to_dense()).real <= -0.5 + 0.1 * 2**0.5
    assert solve_sdp([Y, -Y], [-0.5, -0.5], tol=0.1, rng=seed).feasible is False
    # One constraint alone holds a direction that the others, of equal norm, do not.
    E = np.diag(np.eye(12)[3])
    matrices = [np.diag(np.eye(12)[k]) for k in (0, 1, 2)] + [E - np.diag(np.eye(12)[11])]
    assert solve_sdp(matrices, [0.0, 0.0, 0.0, -0.9], tol=0.05, rng=seed).feasible is True


def test_iterations_that_end_with_neither_say_so():
    A = np.diag([1.0, -1.0, 0.0, 0.0])
    with pytest.warns(
        ConvergenceWarning, match=r"neither feasible to tol=0\.01 nor proved infeasible after 2"
    ):
        found = solve_sdp([A], [-0.9], tol=0.01, maxiter=2, rng=0)
    assert found.feasible is None
    assert found.info.converged is False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert solve_sdp([np.zeros((3, 3))], [0.0], rng=0).feasible is True
        assert solve_sdp([np.zeros((3, 3))], [-1.0], rng=0).feasible is False
    for keywords, pattern in (
        ({"constraints": [], "bounds": []}, r"constraints: expected a list of matrices"),
        ({"constraints": [A, np.eye(3)], "bounds": [0, 0]}, r"constraints\[1\]: expected one square shape"),
        (
            {"constraints": [np.triu(np.ones((3, 3)))], "bounds": [0]},
            r"constraints\[0\]: expected a Hermitian",
        ),
        ({"constraints": [A], "bounds": [0, 0]}, r"bounds: expected 1 entries, got 2"),
        ({"constraints": [A], "bounds": [0], "tol": 2.0}, r"tol: expected a number strictly between"),
        ({"constraints": [A], "bounds": [0], "bound": 0.0}, r"bound: expected a positive number"),
        ({"constraints": [[1.0]], "bounds": [0]}, r"constraints\[0\]: expected 2 dimensions"),
    ):
        with pytest.raises(InputError, match=pattern):
            solve_sdp(**keywords)


@pytest.mark.parametrize("n", [20, 60, 200])
def test_a_direction_at_the_edge_of_rounding_is_within_the_bound_of_an_evolution(n):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        G = np.linalg.qr(rng.standard_normal((n, 6)))[0]
        for eps in (0.0, 1e-15, 1e-10, 1e-9, 3e-9, 1e-8, 3e-8, 1e-7, 3e-7):
            H = (G[:, :3] * [1, 0.9, 0.8]) @ G[:, :3].T + eps * np.outer(G[:, 5], G[:, 5])
            H = (H + H.T) / 2
            for t in (1.0, -3.0):
                found = simulate_hamiltonian(H, G[:, 5], t, rank=3, rng=seed)
                exact = G[:, 5] * np.exp(1j * eps * t)
                assert np.linalg.norm(found.x - exact) <= found.info.error_estimate
                assert eps > 1e-8 or found.info.error_estimate < abs(t) * 1.5e-7 * n**0.25


def test_complex_labels_and_bounds_are_refused():
    X = np.random.default_rng(0).standard_normal((4, 3))
    with pytest.raises(InputError, match=r"labels: expected real numbers, got complex128"):
        svm(X, np.array([1, -1, 1, -1]) + 0j)
    with pytest.raises(InputError, match=r"bounds: expected real numbers, got complex128"):
        solve_sdp([np.diag([1.0, -1.0])], [-0.5 + 3j], tol=0.1)

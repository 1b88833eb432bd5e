# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What is derived from vectors and matrices, drawn from after those were updated."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from cases import ALPHA
from test_sq_access import p_value, random

from randnla._backend.errors import InputError
from randnla.quantum_inspired import (
    Recommender,
    SQCombination,
    SQMatrix,
    SQVector,
    combine,
    even_svt,
    odd_svt,
    outer,
    product,
)

KINDS = [np.float64, np.complex128]
DRAWS = 8000


def check_vector(v, exact):
    np.testing.assert_allclose(v.to_dense(), exact, rtol=1e-12, atol=1e-12)
    tries, draws = v.tries, v.draws
    counts = np.bincount(v.sample(DRAWS, rng=0), minlength=exact.size)
    assert p_value(counts, np.abs(exact) ** 2) > ALPHA
    phi = v.bound / np.linalg.norm(exact) ** 2
    assert (v.tries - tries) / (v.draws - draws) == pytest.approx(phi, rel=7.13 / DRAWS**0.5)
    value, error = v.norm(4000, rng=1)
    assert abs(value - np.linalg.norm(exact)) <= 7.13 * error + 1e-12 * value


def check_matrix(B, exact):
    np.testing.assert_allclose(B.to_dense(), exact, rtol=1e-12, atol=1e-12)
    counts = np.zeros(B.shape)
    np.add.at(counts, B.sample(DRAWS, rng=0), 1)
    assert p_value(counts.ravel(), (np.abs(exact) ** 2).ravel()) > ALPHA


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("method", ["tree", "alias"])
def test_a_combination_of_vectors_is_drawn_as_they_are(method, dtype):
    rng = np.random.default_rng(0)
    V, w = random(rng, dtype, 4, 9), random(rng, dtype, 4)
    V[2] = 0  # which no draw could come from before the update
    vectors = [SQVector(v, method=method) for v in V]
    c = SQCombination(vectors, w)
    check_vector(c, w @ V)
    V[0, 3], V[2, [1, 5]] = 10.0, -6.0
    vectors[0].update(3, 10.0)
    vectors[2].update([1, 5], -6.0)
    check_vector(c, w @ V)
    V[1], V[0, 3] = 0, 1e-3
    vectors[1].update(np.arange(9), 0.0)
    vectors[0].update(3, 1e-3)
    check_vector(c, w @ V)


def test_a_combination_keeps_its_coefficients():
    w = np.ones(2)
    c = SQCombination([SQVector([1.0, 0.0]), SQVector([0.0, 1.0])], w)
    w[0] = 5.0
    assert c.to_dense().tolist() == [1.0, 1.0]


@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_array])
def test_a_combination_of_rows_is_drawn_as_they_are(make):
    A = np.random.default_rng(1).standard_normal((5, 8)) * (np.arange(5) != 2)[:, None]
    w, M = np.arange(1.0, 6.0), SQMatrix(make(A))
    c = SQCombination(M, w)
    check_vector(c, w @ A)
    for i, j, value in ((2, 4, 9.0), (0, 0, 1e3), (0, 0, 0.25), (1, 7, 2.0**150), (1, 7, 0.0)):
        A[i, j] = value
        M.update(i, j, value)
        check_vector(c, w @ A)


@pytest.mark.parametrize("dtype", KINDS)
def test_products_sums_rows_and_columns_are_drawn_as_they_are(dtype):
    rng = np.random.default_rng(2)
    X, Y = random(rng, dtype, 12, 5), random(rng, dtype, 12, 4)
    u, v = random(rng, dtype, 5), random(rng, dtype, 4)
    P, Q = SQMatrix(X), SQMatrix(Y)
    XY = product(P, Q, 12, rng=0)
    S = np.zeros((12, 12))
    S[np.arange(12), XY.left.rows] = XY.left.scales
    B, b = combine([outer(SQVector(u), SQVector(v)), XY], [2.0, -0.5]), random(rng, dtype, 4)
    row, column, applied, adjoint = B.row(1), B.column(2), B.apply(b), B.H
    for i, j, value in ((3, 1, 30.0), (3, 1, 0.5)):
        X[i, j], Y[i + 1, j + 1] = value, -value
        P.update(i, j, value)
        Q.update(i + 1, j + 1, -value)
        exact = 2 * np.outer(u, v.conj()) - 0.5 * (S @ X).conj().T @ (S @ Y)
        check_matrix(XY, (S @ X).conj().T @ (S @ Y))
        check_matrix(B, exact)
        check_matrix(adjoint, exact.conj().T)
        check_vector(row, exact[1])
        check_vector(column, exact[:, 2])
        check_vector(applied, exact @ b)


@pytest.mark.parametrize("form", ["orthonormal", "sampled"])
def test_a_transformation_of_a_matrix_that_changed_is_refused_in_every_way(form):
    rng = np.random.default_rng(3)
    A = SQMatrix(rng.standard_normal((60, 3)) @ rng.standard_normal((3, 20)))
    P, S = (make(A, np.sqrt, rank=3, form=form, rng=0) for make in (even_svt, odd_svt))
    even, odd = P.apply(np.ones(20)), S.apply(np.ones(20))
    odd_exact = odd.to_dense()
    A.update(0, 0, 5.0)
    for use in (
        lambda: P @ np.ones(20),
        lambda: P.apply(np.ones(20)),
        lambda: P.query(0, 0),
        lambda: P.to_dense(),
        lambda: P.factored.sample(1, rng=0),
        lambda: P.factored.row(0),
        lambda: even.sample(1, rng=0),
        lambda: even.to_dense(),
        lambda: S @ np.ones(20),
        lambda: S.H @ np.ones(60),
        lambda: S.query(0, 0),
        lambda: S.sample(1, rng=0),
        lambda: S.to_dense(),
        lambda: odd.to_dense(),
    ):
        with pytest.raises(InputError, match=r"A: expected the matrix as it was sampled, at version 0, got"):
            use()
    again = odd_svt(A, np.sqrt, rank=3, form=form, rng=0).apply(np.ones(20)).to_dense()
    assert np.linalg.norm(again - odd_exact) > 0


@pytest.mark.parametrize("form", ["orthonormal", "sampled"])
def test_directions_are_those_of_the_last_refresh_or_of_the_ratings_as_they_are(form):
    rng = np.random.default_rng(4)
    A = np.kron(np.eye(4), np.ones((25, 50))) * (rng.random((100, 200)) < 0.5)
    model = Recommender(A, 4, form=form, rng=0)
    users = np.repeat(np.arange(1, 25), 20)
    items = rng.integers(150, 200, users.size)
    model.update(users, items, 3.0)
    held = model.info
    shares = np.bincount(model.query(0, 4000, rng=1).items // 50, minlength=4) / 4000
    if form == "orthonormal":  # the directions of before
        assert model.info is held
        assert shares[0] > 0.95
    else:  # those of the ratings as they are, by which user 0 is one of those who like the last group
        now = model.A.to_dense()
        V = np.linalg.svd(now, full_matrices=False)[2][:4]
        exact = ((now[0] @ V.T) @ V).reshape(4, 50) ** 2
        np.testing.assert_allclose(shares, exact.sum(axis=1) / exact.sum(), atol=0.05)
    fresh = Recommender(model.A, 4, form=form, rng=7)
    model.refresh(rng=7)
    exact = fresh.query(0, 4000, rng=1)
    found = model.query(0, 4000, rng=1)
    np.testing.assert_array_equal(found.items, exact.items)
    np.testing.assert_array_equal(found.scores, exact.scores)


@pytest.mark.parametrize("power", [-900, -500, 500, 900])
def test_draws_do_not_depend_on_the_unit(power):
    rng = np.random.default_rng(5)
    V, w = rng.standard_normal((3, 6)), np.array([1.0, -2.0, 0.5])

    def vectors(scale):
        return [SQVector(np.ldexp(v, scale)) for v in V]

    one, other = SQCombination(vectors(0), w), SQCombination(vectors(power), w)
    np.testing.assert_array_equal(one.sample(500, rng=0), other.sample(500, rng=0))
    value, error = one.norm(rng=1)
    assert tuple(other.norm(rng=1)) == (np.ldexp(value, power), np.ldexp(error, power))
    # The weights make up for what the lengths lack.
    mixed = SQCombination([vectors(0)[0], *vectors(power)[1:]], w * np.ldexp(1.0, [0, -power, -power]))
    np.testing.assert_array_equal(one.sample(500, rng=0), mixed.sample(500, rng=0))
    half = power // 2
    B, C = (combine([outer(v[0], v[1]), outer(v[2], v[0])], [1.0, 3.0]) for v in (vectors(0), vectors(half)))
    np.testing.assert_array_equal(B.sample(500, rng=0), C.sample(500, rng=0))
    A = rng.standard_normal((30, 3)) @ rng.standard_normal((3, 20))
    S, T = (odd_svt(np.ldexp(A, scale), lambda x: x, rank=3, rng=0) for scale in (0, power))
    np.testing.assert_array_equal(S.sample(100, rng=0), T.sample(100, rng=0))


@pytest.mark.parametrize("form", ["orthonormal", "sampled"])
def test_complex_ratings_have_complex_scores(form):
    rng = np.random.default_rng(6)
    A = random(rng, np.complex128, 40, 2) @ random(rng, np.complex128, 2, 30)
    items, scores = Recommender(A, 2, form=form, rng=0).query(3, DRAWS, rng=1)
    np.testing.assert_allclose(scores, A[3, items], rtol=1e-6)
    assert p_value(np.bincount(items, minlength=30), np.abs(A[3]) ** 2) > ALPHA
    assert Recommender(A.real, 4, form=form, rng=0).query(3, 2, rng=1).scores.dtype == np.float64

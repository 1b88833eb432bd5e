# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Traces of A and of its square, where they are known, leave less of a trace of a function to chance."""

import numpy as np
import pytest
import scipy.sparse
from estimate_cases import matrix
from scipy.sparse.linalg import aslinearoperator

import randnla
from randnla.estimate import trace_function
from randnla.estimate.controls import Controls


def grid(rows, columns):
    """The Laplacian of a grid and a tenth of the identity."""
    sides = [
        scipy.sparse.diags_array([-np.ones(k - 1), 2 * np.ones(k), -np.ones(k - 1)], offsets=[-1, 0, 1])
        for k in (rows, columns)
    ]
    return (scipy.sparse.kronsum(*sides) + 0.1 * scipy.sparse.eye_array(rows * columns)).tocsr()


@pytest.mark.parametrize("kind", [lambda A: A, lambda A: A.toarray(), lambda A: A.astype(np.float32)])
def test_entries_take_most_of_the_variance_of_a_logarithm(kind):
    A = grid(20, 30)
    exact = np.linalg.slogdet(A.toarray())[1]
    known = randnla.logdet(kind(A), method="slq", samples=64, rng=0)
    unknown = randnla.logdet(aslinearoperator(A), method="slq", samples=64, rng=0)
    assert known.std_error <= unknown.std_error / 4
    assert abs(known.value - exact) <= 6 * known.std_error
    assert known.info.matvecs <= unknown.info.matvecs * 2


def test_structure_tells_traces_too():
    K = randnla.Kronecker(matrix("flat", 20), matrix("flat", 30, seed=1))
    exact = np.sqrt(np.linalg.eigvalsh(K.to_dense())).sum()
    known = trace_function("sqrt", K, samples=16, rng=0)
    unknown = trace_function("sqrt", aslinearoperator(K.to_dense()), samples=16, rng=0)
    assert known.std_error < unknown.std_error / 4
    assert abs(known.value - exact) <= 6 * known.std_error + 1e-9 * exact


@pytest.mark.parametrize("complex_", [False, True])
def test_a_quadratic_leaves_nothing_to_chance(complex_):
    A = matrix("poly", 40, complex_=complex_)
    exact = 7 * 40 - 3 * np.trace(A).real + 2 * np.linalg.norm(A) ** 2
    found = trace_function(lambda x: 7 - 3 * x + 2 * x**2, A, samples=8, rng=3)
    assert found.value == pytest.approx(exact, rel=1e-12)
    assert found.std_error <= 1e-10 * exact


def test_few_samples_are_not_fitted():
    A = matrix("poly", 40)
    exact = 7 * 40 - 3 * np.trace(A) + 2 * np.linalg.norm(A) ** 2
    found = trace_function(lambda x: 7 - 3 * x + 2 * x**2, A, samples=7, rng=3)
    assert abs(found.value - exact) > 1e-8 * exact
    assert found.std_error > 1e-8 * exact


def test_frozen_coefficients_stay():
    controls = Controls(np.array([1.0, 2.0]))
    nodes, weights = np.array([[1.0, 2.0, 3.0]]), np.full((1, 3), 1 / 3)
    controls.fit(nodes, weights, nodes**2)
    np.testing.assert_allclose(controls.coefficients, [0, 1], atol=1e-12)
    controls.frozen = True
    controls.fit(nodes, weights, nodes)
    np.testing.assert_allclose(controls.coefficients, [0, 1], atol=1e-12)
    controls.frozen = False
    controls.fit(nodes, weights, np.array([[1.0, np.inf, 3.0]]))
    assert controls.coefficients.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_mapped_matrix_has_the_controls_of_an_array(tmp_path, order):
    A = matrix("poly", 60)
    np.save(tmp_path / "A.npy", np.asarray(A, order=order))
    mapped = np.load(tmp_path / "A.npy", mmap_mode="r")
    held, read = (trace_function("exp", X, samples=16, rng=0) for X in (A, mapped))
    assert read.value == pytest.approx(held.value, rel=1e-12)
    assert read.std_error == pytest.approx(held.std_error, rel=1e-6)

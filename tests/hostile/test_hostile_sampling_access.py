# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What is made of sampling access under attack: each matrix or vector that is none is refused by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from randnla import InputError, NonFiniteError
from randnla import quantum_inspired as qi

A = np.random.default_rng(3).standard_normal((30, 20))
TARGET = np.arange(30.0)
LABELS = np.arange(30) % 2

# What takes a matrix, with everything else in order; and the name that messages give it.
OF_MATRICES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "Recommender": (lambda X: qi.Recommender(X, 2, rng=0), "A"),
    "discriminant": (lambda X: qi.discriminant(X, LABELS, rank=1, rng=0), "X"),
    "even_svt": (lambda X: qi.even_svt(X, np.sqrt, rank=2, rng=0), "A"),
    "odd_svt": (lambda X: qi.odd_svt(X, np.sign, rank=2, rng=0), "A"),
    "pca": (lambda X: qi.pca(X, 2, rng=0), "A"),
    "pseudo_inverse": (lambda X: qi.pseudo_inverse(X, rank=2, rng=0), "A"),
    "recommend": (lambda X: qi.recommend(X, 0, rank=2, rng=0), "A"),
    "regress": (lambda X: qi.regress(X, TARGET, rank=2, rng=0), "A"),
    "simulate_hamiltonian": (lambda X: qi.simulate_hamiltonian(X, np.ones(20), 1.0, rank=2, rng=0), "H"),
    "solve_sdp": (lambda X: qi.solve_sdp([X], [1.0], rng=0), r"constraints\[0\]"),
    "svm": (lambda X: qi.svm(X, 2.0 * LABELS - 1, rank=2, rng=0), "X"),
}

# What takes a vector or a list where one is meant, and the name that messages give it.
OF_VECTORS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "SQCombination": (lambda v: qi.SQCombination(qi.SQMatrix(A), v), "coefficients"),
    "SQVector": (qi.SQVector, "v"),
    "bilinear_form": (lambda v: qi.bilinear_form(v, qi.SQMatrix(A), np.ones(20), rng=0), "x"),
    "combine": (
        lambda v: qi.combine([qi.outer(qi.SQVector(TARGET), qi.SQVector(TARGET))], v),
        "coefficients",
    ),
    "inner_product": (lambda v: qi.inner_product(qi.SQVector(TARGET), v, rng=0), "y"),
    "regress": (lambda v: qi.regress(A, v, rank=2, rng=0), "b"),
    "simulate_hamiltonian": (lambda v: qi.simulate_hamiltonian(A.T @ A, v, 1.0, rank=2, rng=0), "b"),
    "solve_sdp": (lambda v: qi.solve_sdp([A.T @ A], v, rng=0), "bounds"),
    "svm": (lambda v: qi.svm(A, v, rank=2, rng=0), "labels"),
}

# What takes the structures only: an array is a mistake there, not a slow way.
OF_STRUCTURES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "approximate_product": (lambda x: qi.approximate_product(x, qi.SQMatrix(A), 5), "X"),
    "inner_product": (lambda x: qi.inner_product(x, TARGET), "x"),
    "outer": (lambda x: qi.outer(x, qi.SQVector(TARGET)), "u"),
    "product": (lambda x: qi.product(x, qi.SQMatrix(A), 5), "X"),
    "supervised_cluster": (lambda x: qi.supervised_cluster(x, [qi.SQMatrix(A)]), "point"),
}


def rows(table: dict[str, tuple[Callable[[Any], Any], str]]) -> list[Any]:
    return [pytest.param(call, name, id=which) for which, (call, name) in table.items()]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("call", "name"), rows(OF_MATRICES))
def test_matrix_that_is_not_finite(call: Callable[[Any], Any], name: str, bad: float) -> None:
    X = A.T @ A if name in {"H", r"constraints\[0\]"} else A.copy()
    X[3, 4] = X[4, 3] = bad
    with pytest.raises(NonFiniteError, match=rf"^{name}[:.\[ ]"):
        call(X)


@pytest.mark.parametrize("bad", [np.ones(3), np.ones((2, 3, 4)), "text", None, np.array([["a", "b"]])])
@pytest.mark.parametrize(("call", "name"), rows(OF_MATRICES))
def test_what_is_no_matrix(call: Callable[[Any], Any], name: str, bad: Any) -> None:
    with pytest.raises(InputError, match=rf"^{name}[:.\[ ]"):
        call(bad)


@pytest.mark.parametrize("bad", [np.ones((3, 3)), np.full(30, np.nan), "text", None, np.ones(7, object)])
@pytest.mark.parametrize(("call", "name"), rows(OF_VECTORS))
def test_what_is_no_vector(call: Callable[[Any], Any], name: str, bad: Any) -> None:
    with pytest.raises(InputError, match=rf"^{name}\b"):
        call(bad)


@pytest.mark.parametrize("bad", [TARGET, A, "text", None])
@pytest.mark.parametrize(("call", "name"), rows(OF_STRUCTURES))
def test_what_is_no_structure(call: Callable[[Any], Any], name: str, bad: Any) -> None:
    with pytest.raises(InputError, match=rf"^{name}\b"):
        call(bad)


@pytest.mark.parametrize("scale", [0.0, 1e-300, 1e150])
def test_vectors_of_any_size_are_sampled(scale: float) -> None:
    v = qi.SQVector(scale * TARGET)
    assert v.norm() == pytest.approx(scale * np.linalg.norm(TARGET), rel=1e-14)
    if scale:
        assert 0 not in v.sample(1000, rng=0)
    found = qi.inner_product(v, TARGET, samples=100, rng=0)
    assert np.isfinite(found.value)


def test_every_public_name_is_attacked() -> None:
    here = OF_MATRICES.keys() | OF_VECTORS.keys() | OF_STRUCTURES.keys()
    rows_of_the_table = {"SQMatrix", "low_rank_svd"}
    results = {name for name in qi.__all__ if name.endswith("Result")} | {"Recommendation"}
    made_by_others = {"EvenSVT", "OddSVT", "SQFactored"}  # of what was checked when it was made
    assert set(qi.__all__) - here - rows_of_the_table - results - made_by_others == set()

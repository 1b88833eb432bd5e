# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""An operator made of functions that return entries; its products are tested with all others."""

import numpy as np
import pytest

import randnla
from randnla import EntryOperator, InputError, NonFiniteError

A = np.random.default_rng(0).standard_normal((40, 30))


def by_entries(**options):
    return EntryOperator(A.shape, entries=lambda i, j: A[np.ix_(i, j)], **options)


def by_columns(**options):
    return EntryOperator(A.shape, columns=lambda j: A[:, j], **options)


@pytest.mark.parametrize("make", [by_entries, by_columns])
def test_entries_columns_and_diagonal(make):
    op = make()
    rows, columns = [3, 3, 0], np.array([29, 1])
    assert np.array_equal(op.entries(rows, columns), A[np.ix_(rows, columns)])
    assert np.array_equal(op.columns(columns), A[:, columns])
    assert np.array_equal(op.diagonal(), np.diagonal(A))
    assert np.array_equal(op.to_dense(), A)
    assert op.entries([], [1]).shape == (0, 1)
    assert op.columns([]).shape == (40, 0)
    assert "EntryOperator of float64" in repr(op)


def test_what_is_read_is_counted():
    op = by_entries(diagonal=lambda: np.diagonal(A))
    op.entries([1, 2], [3])
    op.columns([0])
    op.diagonal()
    assert op.entries_read == 2 + 40 + 30
    op = by_entries()
    op.diagonal()
    assert op.entries_read == 16 * 16 + 14 * 14


def test_what_a_function_returns_is_copied_and_what_it_is_given_too():
    kept = A.copy()
    op = EntryOperator(A.shape, columns=lambda j: kept if len(j) == 30 else kept[:, j])
    block = op.columns(np.arange(30))
    block[:] = 0
    assert np.array_equal(kept, A)

    def spoil(i, j):
        found = A[np.ix_(i, j)]
        i[:] = 0
        return found

    indices = np.array([2, 1])
    EntryOperator(A.shape, entries=spoil).entries(indices, indices)
    assert indices.tolist() == [2, 1]


def test_decompositions_take_it_like_any_other():
    op = by_entries()
    U, s, Vh = found = randnla.svd(op, 30, rng=0)
    assert np.allclose((U * s) @ Vh, A)
    assert found.info.rank == 30
    S = A.T @ A
    w, V = randnla.nystrom(EntryOperator(S.shape, columns=lambda j: S[:, j]), 30, rng=0)
    assert np.allclose((V * w) @ V.T, S)


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        (
            {"entries": lambda i, j: A[i[0]]},
            r"A.entries\(rows, columns\): expected shape \(2, 2\), got \(30,\)",
        ),
        (
            {"entries": lambda i, j: 1j * A[np.ix_(i, j)]},
            r"A.entries\(rows, columns\): expected real numbers",
        ),
        ({"entries": lambda i, j: None}, r"A.entries\(rows, columns\): expected an array"),
        ({"columns": lambda j: A[:, j].T}, r"A.columns\(indices\): expected shape \(40, 2\), got \(2, 40\)"),
    ],
)
def test_blocks_that_do_not_fit(functions, message):
    with pytest.raises(InputError, match=message):
        EntryOperator(A.shape, **functions).entries([0, 1], [0, 1])


def test_non_finite_blocks_and_errors_of_the_functions():
    bad = A.copy()
    bad[3, 4] = np.nan
    make = {"columns": lambda j: bad[:, j]}
    with pytest.raises(NonFiniteError, match=r"G.columns\(indices\): 1 entry is NaN or Inf, .* \(3, 1\)"):
        EntryOperator(A.shape, name="G", **make).columns([0, 4])
    assert np.isnan(EntryOperator(A.shape, check_finite=False, **make).columns([4])).any()
    with pytest.raises(NonFiniteError, match=r"A.diagonal\(\)"):
        by_entries(diagonal=lambda: np.full(30, np.inf)).diagonal()
    with pytest.raises(InputError, match=r"A.diagonal\(\): expected shape \(30,\), got \(40,\)"):
        by_entries(diagonal=lambda: np.ones(40)).diagonal()

    def failing(j):
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        EntryOperator(A.shape, columns=failing) @ np.ones(30)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (4, 4)}, "entries, columns: give at least one"),
        ({"shape": (4, 4), "entries": 3}, "entries: expected a callable"),
        ({"shape": 4, "entries": len}, "shape: expected two integers"),
        ({"shape": (4, -1), "entries": len}, r"shape\[1\]: expected an integer >= 0, got -1"),
        ({"shape": (4, 4), "entries": len, "dtype": "O"}, "dtype object is not supported"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(InputError, match=message):
        EntryOperator(arguments.pop("shape"), **arguments)


@pytest.mark.parametrize("indices", [[40], [-1], [0.5], [[0]], [True]])
def test_indices_that_do_not_fit(indices):
    with pytest.raises(InputError, match="rows: expected"):
        by_entries().entries(indices, [0])

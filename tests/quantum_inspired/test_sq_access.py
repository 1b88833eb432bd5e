# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""SQVector and SQMatrix: distributions, norms and updates, whatever the store."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from cases import ALPHA
from interrupts import interrupt_at_line
from scipy import stats

from randnla._backend.errors import InputError, NonFiniteError
from randnla.quantum_inspired import SQMatrix, SQVector, sparse_store, sq_matrix, sq_vector, stores


def random(rng, dtype, *shape):
    X = rng.standard_normal(shape)
    return (X + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else X).astype(dtype)


def matrix(dtype=np.float64, shape=(40, 30), seed=0):
    rng = np.random.default_rng(seed)
    A = random(rng, dtype, *shape) * rng.exponential(size=shape[0])[:, None].astype(dtype).real
    A[rng.random(shape) < 0.5] = 0
    A[3] = 0
    return A


def memmap(A, path):
    out = np.memmap(path / "A.bin", dtype=A.dtype, mode="w+", shape=A.shape)
    out[:] = A
    return out


STORES = {
    "dense": lambda A, path: SQMatrix(A),
    "fortran": lambda A, path: SQMatrix(np.asfortranarray(A)),
    "csr": lambda A, path: SQMatrix(scipy.sparse.csr_array(A)),
    "coo": lambda A, path: SQMatrix(scipy.sparse.coo_array(A)),
    "memmap": lambda A, path: SQMatrix(memmap(A, path)),
    "rows": lambda A, path: SQMatrix.from_rows(A.shape, lambda i: A[i], dtype=A.dtype),
    "entries": lambda A, path: SQMatrix.from_rows(
        A.shape,
        entries=lambda i, j: A[i, j],
        row_norms=np.linalg.norm(A, axis=1),
        row_bounds=np.abs(A).max(axis=1),
        dtype=A.dtype,
    ),
}


def p_value(counts, weights):
    expected = weights / weights.sum() * counts.sum()
    assert np.all(counts[weights == 0] == 0)
    kept = expected > 8
    rest = [[counts[~kept].sum()], [expected[~kept].sum()]]
    seen, expected = np.r_[counts[kept], rest[0]], np.r_[expected[kept], rest[1]]
    seen, expected = seen[expected > 0], expected[expected > 0]
    return stats.chi2.sf(((seen - expected) ** 2 / expected).sum(), seen.size - 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("method", ["tree", "alias"])
def test_vector_samples_by_squares(method, dtype):
    x = random(np.random.default_rng(3), dtype, 300)
    x[::3] = 0
    v = SQVector(x, method=method)
    assert v.dtype == dtype
    assert v.norm() == pytest.approx(np.linalg.norm(x.astype(np.complex128)), rel=1e-14)
    counts = np.bincount(v.sample(100_000, rng=1), minlength=300)
    assert p_value(counts, np.abs(x.astype(np.complex128)) ** 2) > ALPHA
    assert np.array_equal(v.query([4, 5]), x[[4, 5]])
    assert v.query(4) == x[4]
    assert v.entries_read == 3


@pytest.mark.parametrize("method", ["tree", "alias"])
def test_vector_is_that_of_its_updates(method):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(1000)
    v = SQVector(x, method=method)
    for _ in range(100):
        i, values = rng.integers(0, 1000, 50), rng.standard_normal(50)
        v.update(i, values)
        for k, value in zip(i, values, strict=True):
            x[k] = value
    assert np.array_equal(v.to_dense(), x)
    again = SQVector(x, method=method)
    assert v.norm() == pytest.approx(again.norm(), rel=1e-15)
    counts = np.bincount(v.sample(200_000, rng=2), minlength=1000)
    assert p_value(counts, x**2) > ALPHA


def test_updates_over_the_whole_range_of_float64():
    v = SQVector([1.0, 2.0, 3.0])
    v.update(1, 1e300)
    assert v.norm() == 1e300
    assert set(v.sample(50, rng=0)) == {1}
    v.update([0, 1, 2], [3e-300, 0.0, 4e-300])
    assert v.norm() == pytest.approx(5e-300, rel=1e-14)
    assert set(v.sample(50, rng=0)) == {0, 2}
    v.update([0, 1, 2], 0.0)
    assert v.norm() == 0
    v.update(0, 1e-200)
    assert v.norm() == pytest.approx(1e-200, rel=1e-15)
    with pytest.raises(InputError, match=r"value: 1 entry is NaN or Inf"):
        v.update(0, np.inf)
    with pytest.raises(InputError, match=r"i: expected an integer in \[0, 2\], got 3"):
        v.update(3, 1.0)
    with pytest.raises(InputError, match=r"value: expected real numbers"):
        v.update(0, 1j)
    with pytest.raises(InputError, match=r"value: expected one number or 2, got 3"):
        v.update([0, 1], [1.0, 2.0, 3.0])
    assert v.norm() == pytest.approx(1e-200, rel=1e-15)


@pytest.mark.parametrize("p", [-900, -3, 1, 800])
def test_scaling_by_a_power_of_two_changes_no_draw(p):
    x = np.random.default_rng(0).standard_normal(200)
    assert np.array_equal(SQVector(x).sample(500, rng=1), SQVector(np.ldexp(x, p)).sample(500, rng=1))
    A = matrix()
    for one, other in zip(
        SQMatrix(A).sample(500, rng=1), SQMatrix(np.ldexp(A, p)).sample(500, rng=1), strict=True
    ):
        assert np.array_equal(one, other)


def test_vectors_that_hold_nothing():
    with pytest.raises(InputError, match=r"v: expected a nonzero entry to draw"):
        SQVector(np.zeros(4)).sample(1, rng=0)
    assert SQVector(np.zeros(0)).norm() == 0
    with pytest.raises(NonFiniteError, match=r"v: 1 entry is NaN or Inf, the first at index 1"):
        SQVector([1.0, np.nan])
    with pytest.raises(InputError, match=r"v: expected 1 dimensions"):
        SQVector(np.ones((2, 2)))
    with pytest.raises(InputError, match=r"method: expected one of 'tree', 'alias'"):
        SQVector([1.0], method="list")
    with pytest.raises(InputError, match=r"size: expected an integer >= 0"):
        SQVector([1.0]).sample(-1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("store", STORES)
def test_matrix_samples_by_squares(store, dtype, tmp_path):
    A = matrix(dtype)
    M = STORES[store](A, tmp_path)
    wide = A.astype(np.complex128)
    assert M.shape == A.shape
    assert M.dtype == dtype
    single = np.dtype(dtype).char in "fF"
    close = 1e-6 if single and store == "entries" else 1e-14  # the norms given are of float32
    assert M.norm() == pytest.approx(np.linalg.norm(wide), rel=close)
    np.testing.assert_allclose(M.row_norms(), np.linalg.norm(wide, axis=1), rtol=close)
    rows, columns = M.sample(60_000, rng=2)
    counts = np.zeros(A.shape)
    np.add.at(counts, (rows, columns), 1)
    assert p_value(counts.ravel(), (np.abs(wide) ** 2).ravel()) > ALPHA
    assert np.array_equal(M.query(rows[:50], columns[:50]), A[rows[:50], columns[:50]])
    assert np.array_equal(M.block([5, 3, 5], [0, 29]), A[np.ix_([5, 3, 5], [0, 29])])
    assert np.array_equal(M.rows([7, 2]), A[[7, 2]])
    assert M.query(0, 1) == A[0, 1]
    assert np.array_equal(M.to_dense(), A)


def test_what_is_read_is_counted():
    M = SQMatrix(matrix())
    M.sample(100, rng=0)
    assert M.entries_read == 0
    M.query([1, 2], [3, 4])
    M.rows([0])
    M.block([0, 1], [0, 1, 2])
    assert M.entries_read == 2 + 30 + 6


@pytest.mark.parametrize("store", ["dense", "csr"])
def test_matrix_is_that_of_its_updates(store, tmp_path):
    rng, A = np.random.default_rng(4), matrix()
    M = STORES[store](A, tmp_path)
    for _ in range(60):
        i, j, x = rng.integers(0, 40, 20), rng.integers(0, 30, 20), rng.standard_normal(20)
        x[rng.random(20) < 0.2] = 0
        M.update(i, j, x)
        for a, b, c in zip(i, j, x, strict=True):
            A[a, b] = c
        assert np.array_equal(M.to_dense(), A)
    np.testing.assert_allclose(M.row_norms(), np.linalg.norm(A, axis=1), rtol=1e-14)
    assert M.norm() == pytest.approx(np.linalg.norm(A), rel=1e-14)
    rows, columns = M.sample(60_000, rng=2)
    counts = np.zeros(A.shape)
    np.add.at(counts, (rows, columns), 1)
    assert p_value(counts.ravel(), (A**2).ravel()) > ALPHA
    M.update(0, 0, 1e250)
    assert M.norm() == 1e250
    M.update(0, 0, 0.0)
    A[0, 0] = 0
    assert M.norm() == pytest.approx(np.linalg.norm(A), rel=1e-14)


def test_a_generated_matrix_reads_what_it_draws():
    M = SQMatrix.from_rows(
        (10**5, 10**5),
        entries=lambda i, j: np.cos(0.1 * i) * np.sin(1.0 + 0.3 * j),
        row_norms=np.abs(np.cos(0.1 * np.arange(10**5))),
        row_bounds=np.abs(np.cos(0.1 * np.arange(10**5))) * 10**2.5 / 10**2.5,
    )
    rows, columns = M.sample(200, rng=0)
    assert rows.size == columns.size == 200
    assert M.entries_read < 2000


def test_functions_that_do_not_keep_their_word():
    with pytest.raises(InputError, match=r"A\.rows\(i\): expected shape"):
        SQMatrix.from_rows((4, 3), lambda i: np.ones((1, 3)), row_norms=np.ones(4)).rows([0, 1])
    with pytest.raises(NonFiniteError, match=r"A\.rows\(i\): 12 entries are NaN"):
        SQMatrix.from_rows((4, 3), lambda i: np.full((i.size, 3), np.nan))
    with pytest.raises(InputError, match=r"rows, entries: give at least one"):
        SQMatrix.from_rows((4, 3))
    with pytest.raises(InputError, match=r"row_bounds: expected entries="):
        SQMatrix.from_rows((4, 3), lambda i: np.ones((i.size, 3)), row_bounds=np.ones(4))
    with pytest.raises(InputError, match=r"row_norms: expected nonnegative numbers"):
        SQMatrix.from_rows((2, 3), lambda i: np.ones((i.size, 3)), row_norms=[-1.0, 1.0])
    with pytest.raises(InputError, match=r"row_norms: expected 2 real numbers"):
        SQMatrix.from_rows((2, 3), lambda i: np.ones((i.size, 3)), row_norms=[1.0])


def test_what_a_matrix_refuses(tmp_path):
    M = SQMatrix(matrix())
    with pytest.raises(InputError, match=r"rows: expected rows that are not zero, got 3"):
        M.sample_columns([2, 3], rng=0)
    with pytest.raises(InputError, match=r"A: expected a nonzero entry to draw"):
        SQMatrix(np.zeros((3, 3))).sample(1, rng=0)
    with pytest.raises(InputError, match=r"j: expected as many columns as rows"):
        M.query([0, 1], [0])
    with pytest.raises(InputError, match=r"A: the entries of a matrix given by its rows cannot be set"):
        STORES["memmap"](matrix(), tmp_path).update(0, 0, 1.0)
    spoiled = matrix()
    spoiled[5, 6] = np.nan
    for bad in (spoiled, scipy.sparse.csr_array(spoiled)):
        with pytest.raises(NonFiniteError, match=r"A: 1 entry is NaN or Inf, the first at index \(5, 6\)"):
            SQMatrix(bad)
    before = M.to_dense()
    with pytest.raises(InputError, match=r"value: 1 entry is NaN"):
        M.update([0, 1], [0, 1], [1.0, np.nan])
    assert np.array_equal(M.to_dense(), before)


@pytest.mark.parametrize("value", [1.0, 1e150, 0.0])
@pytest.mark.parametrize("method", ["tree", "alias"])
def test_an_interrupt_at_any_line_of_an_update_of_a_vector_leaves_one_or_the_other(method, value):
    x, i = np.random.default_rng(0).standard_normal(20) + 2j, np.arange(0, 20, 3)
    y = x.copy()
    y[i] = value
    seen = []
    for turn in range(1, 1000):
        v = SQVector(x, method=method)
        stopped = interrupt_at_line(turn, {sq_vector.__file__}, lambda v=v: v.update(i, value))
        held = v.to_dense()
        assert np.array_equal(held, x) or np.array_equal(held, y)
        seen.append(bool(np.array_equal(held, y)))
        for entry in (None, 5):  # what comes next is of the vector as it is, and so is an update after that
            if entry is not None:
                v.update(entry, 3.0)
            again = SQVector(v.to_dense(), method=method)
            assert v.norm() == pytest.approx(again.norm(), rel=1e-15)
            assert np.array_equal(v.sample(40, rng=1), again.sample(40, rng=1))
        if not stopped:
            break
    assert not stopped
    assert set(seen) == {True, False}


@pytest.mark.parametrize("value", [1.0, 1e150])
@pytest.mark.parametrize("store", ["dense", "csr"])
def test_an_interrupt_at_any_line_of_an_update_of_a_matrix_leaves_one_that_holds(store, value, tmp_path):
    """Rows of the sparse one fill up, move and have the arrays grow."""
    A, files = matrix(np.complex128, (6, 12)), {m.__file__ for m in (sq_matrix, stores, sparse_store)}
    i, j = np.repeat([1, 4], 10), np.tile(np.arange(10), 2)
    B = A.copy()
    B[i, j] = value
    for turn in range(1, 3000):
        M = STORES[store](A, tmp_path)
        stopped = interrupt_at_line(turn, files, lambda M=M: M.update(i, j, value))
        for entry in (None, (2, 7), (1, 11)):
            if entry is not None:
                M.update(*entry, 3.0 - 1j)
            held = M.to_dense()
            assert entry is not None or np.array_equal(held, A) or np.array_equal(held, B)
            assert M.norm() == pytest.approx(np.linalg.norm(held), rel=1e-14)
            np.testing.assert_allclose(M.row_norms(), np.linalg.norm(held, axis=1), rtol=1e-14)
            rows, columns = M.sample(60, rng=1)
            assert np.all(held[rows, columns] != 0)
            assert np.array_equal(M.query(rows, columns), held[rows, columns])
            assert set(held[1].nonzero()[0]) >= set(M.sample_columns([1] * 40, rng=2))
        assert held[2, 7] == held[1, 11] == 3 - 1j
        if not stopped:
            break
    assert not stopped
    assert turn > 20


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_entry_beyond_its_bound_is_refused_where_a_draw_comes_by_it(dtype):
    def entries(i, j):
        return np.where(j == 0, 10.0, 0.1).astype(dtype)

    def matrix(bound):
        norms, bounds = np.full(3, np.sqrt(100 + 0.01 * 99)), np.full(3, bound)
        return SQMatrix.from_rows((3, 100), entries=entries, row_norms=norms, row_bounds=bounds, dtype=dtype)

    counts = np.bincount(matrix(10.0).sample_columns(np.zeros(500, int), rng=0), minlength=100)
    assert counts[0] > 450
    for bound, stated in ((9.99, "9.99"), (0.2, "0.2")):
        pattern = rf"row_bounds: expected upper bounds .* got {stated} for row 1, whose entry 0 has 10"
        with pytest.raises(InputError, match=pattern):
            matrix(bound).sample_columns(np.ones(500, int), rng=0)

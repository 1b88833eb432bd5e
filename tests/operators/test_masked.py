# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The entries of a matrix within a mask: read once, and nothing else of it."""

import numpy as np
import pytest
import scipy.sparse

import randnla
from randnla import EntryOperator, InputError, KernelMatrix, LowRank, Masked, NonFiniteError

RNG = np.random.default_rng(0)
MASK = RNG.random((30, 20)) < 0.3
MASK[4] = False  # a row without any, and a column
MASK[:, 7] = False


def array(dtype=np.float64):
    A = RNG.standard_normal((30, 20))
    return (A + 1j * RNG.standard_normal((30, 20)) if np.dtype(dtype).kind == "c" else A).astype(dtype)


MASKS = {
    "bool": lambda mask: mask,
    "fortran": np.asfortranarray,
    "csr": scipy.sparse.csr_array,
    "coo of numbers": lambda mask: scipy.sparse.coo_array(mask.astype(float) * 3),
    "positions": np.nonzero,
    "positions twice, in disorder": lambda mask: tuple(
        np.concatenate([part[::-1], part]).astype(np.int32) for part in np.nonzero(mask)
    ),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("kind", MASKS)
def test_products_are_those_of_the_masked_array(kind, dtype):
    A, X, Y = array(dtype), RNG.standard_normal((20, 3)), RNG.standard_normal((30, 2))
    P, expected = Masked(A, MASKS[kind](MASK)), np.where(MASK, A, 0)
    np.testing.assert_array_equal(P.to_dense(), expected)
    assert P.dtype == A.dtype
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(P @ X.astype(dtype), expected @ X, rtol=0, atol=100 * eps)
    np.testing.assert_allclose(P.H @ Y.astype(dtype), expected.conj().T @ Y, rtol=0, atol=100 * eps)
    np.testing.assert_allclose(P.T.to_dense(), expected.T)
    np.testing.assert_array_equal(P.rows, np.nonzero(MASK)[0])
    np.testing.assert_array_equal(P.columns, np.nonzero(MASK)[1])
    np.testing.assert_array_equal(P.values, A[MASK])
    assert P.frobenius_norm() == pytest.approx(float(np.linalg.norm(expected)), rel=1e-5)


def test_every_kind_of_matrix_that_tells_its_entries():
    A = array()
    U, c, V = RNG.standard_normal((30, 4)), RNG.standard_normal(4), RNG.standard_normal((20, 4))
    x = RNG.standard_normal((30, 2))
    for held, dense in (
        (scipy.sparse.csc_array(np.where(A > 0, A, 0)), np.where(A > 0, A, 0)),
        (LowRank(U, c, V), (U * c) @ V.T),
        (LowRank(U + 1j, np.diag(c), V - 2j), ((U + 1j) * c) @ (V - 2j).conj().T),
        (EntryOperator(A.shape, entries=lambda i, j: A[np.ix_(i, j)]), A),
        (KernelMatrix(x, points2=x[:20], bandwidth=1.0), None),
        (randnla.Dense(A[::-1, ::-1]), A[::-1, ::-1]),
    ):
        dense = held.to_dense() if dense is None else dense
        np.testing.assert_allclose(Masked(held, MASK).to_dense(), np.where(MASK, dense, 0), atol=1e-13)


def test_stored_zeros_of_the_matrix_stay_positions():
    P = Masked(np.zeros((30, 20)), MASK)
    assert len(P.values) == MASK.sum()
    changed = P.with_values(np.arange(1.0, 1 + MASK.sum()))
    assert np.shares_memory(changed.matrix.indices, P.matrix.indices)
    np.testing.assert_array_equal(changed.to_dense()[MASK], np.arange(1.0, 1 + MASK.sum()))
    assert not P.to_dense().any()


def test_entries_outside_of_the_mask_are_not_read():
    A = np.where(MASK, array(), np.nan)
    P = Masked(A, MASK)
    assert np.isfinite(randnla.svd(P, 3, rng=0).s).all()
    read = []
    Masked(EntryOperator(A.shape, entries=lambda i, j: (read.append((i, j)), A[np.ix_(i, j)])[1]), MASK)
    assert sum(len(i) * len(j) for i, j in read) == MASK.sum()
    A[np.nonzero(MASK)[0][5], np.nonzero(MASK)[1][5]] = np.inf
    with pytest.raises(NonFiniteError, match="A: 1 "):
        randnla.svd(Masked(A, MASK), 3, rng=0)


def test_a_mapped_array_is_read_at_the_positions(tmp_path):
    A = array()
    np.save(tmp_path / "A.npy", A)
    P = Masked(np.load(tmp_path / "A.npy", mmap_mode="r"), MASK)
    np.testing.assert_array_equal(P.values, A[MASK])


def test_decompositions_take_it_as_the_sparse_matrix_it_is():
    A = array()
    P, S = Masked(A, MASK), scipy.sparse.csr_array(np.where(MASK, A, 0))
    np.testing.assert_allclose(randnla.svd(P, 4, rng=1).s, randnla.svd(S, 4, rng=1).s, rtol=1e-12)
    sketch = randnla.SparseSign(10, 30, rng=2)
    np.testing.assert_allclose(sketch @ P, sketch @ S, atol=1e-14)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((30, 20)), "mask: expected a bool array"),
        (np.ones((20, 30), bool), r"mask: expected shape \(30, 20\)"),
        (np.ones(30, bool), r"mask: expected shape \(30, 20\)"),
        (([1], [2], [3]), "mask: expected .rows, columns., got 3 parts"),
        (([1, 2], [3]), "as many rows as columns, got 2 and 1"),
        (([30], [0]), r"mask\[0\]: expected integers in \[0, 30\), got 30"),
        (([0], [-1]), r"mask\[1\]: expected integers in \[0, 20\), got -1"),
        (([0.5], [1]), r"mask\[0\]: expected a vector of integers"),
        ("no", "mask: expected a bool array"),
    ],
)
def test_masks_that_do_not_fit(mask, message):
    with pytest.raises(InputError, match=message):
        Masked(array(), mask)


def test_matrices_that_tell_no_entries():
    A = scipy.sparse.linalg.aslinearoperator(array())
    with pytest.raises(
        InputError, match="A: expected an array or a matrix that tells its entries, got a Wrapped"
    ):
        Masked(A, MASK)
    with pytest.raises(InputError, match="values: expected 3 numbers"):
        Masked(array(), ([1, 2, 3], [0, 0, 0])).with_values([1.0])

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""CSR products: the oracle's bits, SciPy's values, any layout and team, hostile indices."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from randnla import _core
from randnla._backend.errors import InputError
from randnla._backend.generic import sparse as generic
from randnla._backend.kernels import sparse


def random_csr(m, n, density, dtype, index, seed=0):
    A = scipy.sparse.random(m, n, density, format="csr", rng=seed, dtype=np.float64)
    A.data -= 0.5
    return A.indptr.astype(index), A.indices.astype(index), A.data.astype(dtype)


def layouts(M):
    """The same values in C, Fortran, sliced, reversed and transposed storage."""
    m, n = M.shape
    wide = np.zeros((2 * m, 3 * n), M.dtype)
    wide[::2, ::3] = M
    return {
        "C": M.copy(),
        "F": np.asfortranarray(M),
        "sliced": wide[::2, ::3],
        "reversed": M[::-1, ::-1].copy()[::-1, ::-1],
        "padded": np.pad(M, ((0, 0), (2, 3)))[:, 2 : 2 + n],
    }


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("n", [1, 3, 16, 17, 110, 150])
def test_bits_equal_the_oracle_in_every_layout(index, dtype, adjoint, n):
    A = random_csr(57, 43, 0.15, dtype, index)
    rows, cols = (57, 43) if adjoint else (43, 57)
    X = np.random.default_rng(1).standard_normal((rows, n)).astype(dtype)
    expected = generic.csr_matmul(*A, X, np.empty((cols, n), dtype), adjoint=adjoint)
    for x in layouts(X).values():
        for out in layouts(np.full((cols, n), np.nan, dtype)).values():
            sparse.csr_matmul(*A, x, out, adjoint=adjoint)
            np.testing.assert_array_equal(out, expected, strict=True)


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("n", [2, 40])
def test_bits_do_not_depend_on_the_team(adjoint, n):
    A = random_csr(3000, 700, 0.01, np.float32, np.int32)
    X = np.random.default_rng(2).standard_normal((3000 if adjoint else 700, n)).astype(np.float32)
    results = []
    try:
        for threads in (1, 2, 3, 4):
            _core.set_num_threads(threads)
            out = np.empty((700 if adjoint else 3000, n), np.float32)
            results.append(sparse.csr_matmul(*A, X, out, adjoint=adjoint))
    finally:
        _core.set_num_threads(0)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize("adjoint", [False, True])
def test_repeated_and_unsorted_columns_add_up(adjoint):
    indptr, indices = np.array([0, 3, 3, 5]), np.array([2, 0, 2, 1, 1])
    data = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    dense = np.array([[2.0, 0, 5], [0, 0, 0], [0, 24, 0]])
    X = np.arange(6.0).reshape(3, 2)
    out = sparse.csr_matmul(indptr, indices, data, X, np.empty((3, 2)), adjoint=adjoint)
    np.testing.assert_array_equal(out, (dense.T if adjoint else dense) @ X)


def test_empty_operands():
    empty = np.zeros(0)
    for adjoint in (False, True):
        out = sparse.csr_matmul(
            np.zeros(4, np.int32),
            empty.astype(np.int32),
            empty,
            np.ones((3, 2)),
            np.ones((3, 2)),
            adjoint=adjoint,
        )
        np.testing.assert_array_equal(out, 0)
    sparse.csr_matmul(np.zeros(1, np.int32), empty.astype(np.int32), empty, np.ones((3, 2)), np.ones((0, 2)))


GOOD = {"indptr": [0, 1, 3], "indices": [0, 2, 1]}


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize(
    "bad",
    [
        {"indices": [0, 3, 1]},
        {"indices": [0, -1, 1]},
        {"indices": [0, 2**31 - 1, 1]},
        {"indices": [-(2**31), 2, 1]},
        {"indptr": [1, 1, 3]},
        {"indptr": [0, 4, 3]},
        {"indptr": [0, 1, 4]},
        {"indptr": [0, -1, 3]},
        {"indptr": [0, 3, 2**31 - 1]},
    ],
)
def test_hostile_indices_are_refused(index, adjoint, bad):
    arrays = {k: np.array(v, index) for k, v in (GOOD | bad).items()}
    rows, cols = (2, 3) if adjoint else (3, 2)
    with pytest.raises(InputError, match="ind"):
        sparse.csr_matmul(
            arrays["indptr"],
            arrays["indices"],
            np.ones(3),
            np.ones((rows, 2)),
            np.ones((cols, 2)),
            adjoint=adjoint,
        )


@pytest.mark.parametrize(
    ("data", "X", "out"),
    [
        (np.ones(3, np.float32), np.ones((3, 2)), np.ones((2, 2))),
        (np.ones(2), np.ones((3, 2)), np.ones((2, 2))),
        (np.ones(3), np.ones((3, 2)), np.ones((3, 2))),
        (np.ones(3), np.ones((3, 2)), np.ones((2, 3))),
        (np.ones(3), np.ones(3), np.ones((2, 1))),
        (np.ones(3, np.int64), np.ones((3, 2)), np.ones((2, 2))),
    ],
)
def test_operands_that_do_not_fit_are_refused(data, X, out):
    with pytest.raises(InputError):
        sparse.csr_matmul(np.array(GOOD["indptr"]), np.array(GOOD["indices"]), data, X, out)


def test_agrees_with_scipy():
    A = scipy.sparse.random(400, 300, 0.05, format="csr", rng=3)
    X = np.random.default_rng(4).standard_normal((300, 33))
    out = sparse.csr_matmul(A.indptr, A.indices, A.data, X, np.empty((400, 33)))
    # Both sum about 15 products an entry, in some order.
    bound = 64 * np.finfo(float).eps * (abs(A) @ abs(X))
    assert np.all(abs(out - A @ X) <= bound)

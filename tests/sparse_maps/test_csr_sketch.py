# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Random maps times CSR matrices equal the map times the dense matrix; hostile input is refused."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from randnla import _core
from randnla._backend.errors import InputError
from randnla._backend.generic import sparse_maps as generic_maps
from randnla._backend.generic import streams as generic_streams
from randnla._backend.kernels import sparse

KINDS = ["gaussian", "sign", "sparse_sign", "countsketch"]


def integer_csr(m, n, density, dtype, index, seed=0, *, shuffled=False):
    """Entries are small integers, so that signs sum exactly in any order."""
    A = scipy.sparse.random(m, n, density, format="csr", rng=seed)
    A.data = np.random.default_rng(seed).integers(1, 9, A.nnz).astype(dtype)
    if shuffled:
        for i in range(m):
            row = slice(A.indptr[i], A.indptr[i + 1])
            A.indices[row], A.data[row] = A.indices[row][::-1].copy(), A.data[row][::-1].copy()
    return A.indptr.astype(index), A.indices.astype(index), A.data, A.toarray().astype(dtype)


def block_of_map(rows, columns, dtype, *, kind, d, nnz, row_start, col_start, **key):
    if kind in ("gaussian", "sign"):
        S = np.empty((rows, columns), dtype)
        return generic_streams.fill_dense_map(S, kind=kind, row_start=row_start, col_start=col_start, **key)
    eye = np.eye(columns, dtype=dtype)
    return generic_maps.apply_sparse_map(
        eye, np.empty((rows, columns), dtype), kind=kind, d=d, nnz=nnz, row_start=row_start,
        col_start=col_start, **key,
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize(("dtype", "index"), [(np.float32, np.int32), (np.float64, np.int64)])
def test_equals_the_dense_product(kind, axis, shuffled, dtype, index):
    indptr, indices, data, A = integer_csr(170, 95, 0.1, dtype, index, shuffled=shuffled)
    key = {"seed": 7, "stream": 2, "d": 60, "nnz": 6, "row_start": 11, "col_start": 2**32 + 2011}
    B = A if axis == 0 else A.T
    S = block_of_map(41, len(B), dtype, kind=kind, **key).astype(np.float64)
    expected = S @ B
    for order in "CF":
        out = np.full((41, B.shape[1]), np.nan, dtype, order=order)
        sparse.csr_sketch(indptr, indices, data, A.shape, out, kind=kind, axis=axis, **key)
        if kind == "gaussian":
            # At most 30 products an entry, entries below 6.7.
            assert np.all(abs(out - expected) <= 64 * np.finfo(dtype).eps * (abs(S) @ B))
        else:
            np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axis", [0, 1])
def test_bits_do_not_depend_on_team_or_layout(kind, axis):
    A = scipy.sparse.random(3000, 2500, 0.005, format="csr", rng=1, dtype=np.float32)
    n = A.shape[1 - axis]
    results = []
    try:
        for threads in (1, 2, 3):
            for order in "CF":
                _core.set_num_threads(threads)
                out = np.empty((70, n), np.float32, order=order)
                sparse.csr_sketch(
                    A.indptr, A.indices, A.data, A.shape, out, kind=kind, seed=1, stream=0, d=70, nnz=8,
                    scale=0.3, axis=axis,
                )  # fmt: skip
                results.append(out)
    finally:
        _core.set_num_threads(0)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_more_columns_than_one_block_of_sums():
    n = 70_000
    A = scipy.sparse.random(50, n, 0.002, format="csr", rng=2)
    A.data = np.ones(A.nnz)
    key = {"seed": 3, "stream": 0, "d": 5, "nnz": 1, "row_start": 0, "col_start": 0}
    S = block_of_map(5, 50, np.float64, kind="sign", **key)
    out = sparse.csr_sketch(A.indptr, A.indices, A.data, A.shape, np.empty((5, n)), kind="sign", **key)
    np.testing.assert_array_equal(out, S @ A)
    # The transposed storage of the same matrix.
    C = A.T.tocsr()
    out = sparse.csr_sketch(
        C.indptr, C.indices, C.data, C.shape, np.empty((5, n)), kind="sign", axis=1, **key
    )
    np.testing.assert_array_equal(out, S @ A)


GOOD = {"indptr": [0, 1, 3], "indices": [0, 2, 1]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(
    "bad", [{"indices": [0, 3, 1]}, {"indices": [0, -1, 1]}, {"indptr": [0, 4, 3]}, {"indptr": [0, 1, 4]}]
)
def test_hostile_indices_are_refused(kind, axis, bad):
    arrays = {k: np.array(v, np.int64) for k, v in (GOOD | bad).items()}
    out = np.zeros((4, 3 if axis == 0 else 2))
    with pytest.raises(InputError, match="ind"):
        sparse.csr_sketch(
            arrays["indptr"], arrays["indices"], np.ones(3), (2, 3), out, kind=kind, seed=0, stream=0,
            d=4, nnz=2, axis=axis,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "columns"),
    [
        ({}, 2),
        ({"axis": 2}, 3),
        ({"kind": "other"}, 3),
        ({"row_start": 1}, 3),
        ({"row_start": -1}, 3),
        ({"col_start": -1}, 3),
        ({"nnz": 5}, 3),
        ({"shape": (2, -3)}, 3),
        ({"shape": (3, 3)}, 3),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change, columns):
    options = {"shape": (2, 3), "kind": "sparse_sign", "seed": 0, "stream": 0, "d": 4, "nnz": 2} | change
    shape = options.pop("shape")
    with pytest.raises(InputError):
        sparse.csr_sketch(
            np.array(GOOD["indptr"]),
            np.array(GOOD["indices"]),
            np.ones(3),
            shape,
            np.zeros((4, columns)),
            **options,
        )

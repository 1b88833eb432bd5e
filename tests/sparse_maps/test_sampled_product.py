# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Entries of a product of thin factors at the places of a sparse pattern."""

import numpy as np
import pytest
import scipy.sparse

from randnla import InputError
from randnla._backend.kernels import runtime
from randnla._backend.kernels.sparse import sampled_product


def pattern(m, n, density, index, seed=0):
    made = scipy.sparse.random_array((m, n), density=density, rng=np.random.default_rng(seed), format="csr")
    return made.indptr.astype(index), made.indices.astype(index)


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("k", [0, 1, 7, 8, 21, 64])
def test_entries_are_those_of_the_product(dtype, index, k):
    m, n = 57, 43
    rng = np.random.default_rng(k)
    L, R = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((n, k)).astype(dtype)
    if np.dtype(dtype).kind == "c":
        L, R = L + dtype(1j), R - dtype(0.5j)
    starts, columns = pattern(m, n, 0.2, index)
    rows = np.repeat(np.arange(m), np.diff(starts))
    exact = (L.astype(np.complex128) @ R.astype(np.complex128).T)[rows, columns]
    for left, right in ((L, R), (np.asfortranarray(L), R[::-1].copy()[::-1])):
        found = sampled_product(starts, columns, left, right)
        assert found.dtype == np.dtype(dtype)
        np.testing.assert_allclose(found, exact, rtol=0, atol=20 * (k + 1) * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_do_not_depend_on_the_team(dtype):
    rng = np.random.default_rng(1)
    L, R = rng.standard_normal((900, 33)).astype(dtype), rng.standard_normal((700, 33)).astype(dtype)
    starts, columns = pattern(900, 700, 0.1, np.int32)
    results = []
    for threads in (1, 2, 3, 4):
        runtime.set_team_size(threads)
        try:
            results.append(sampled_product(starts, columns, L, R))
        finally:
            runtime.set_team_size(0)
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


@pytest.mark.parametrize(
    ("starts", "columns"),
    [([0, 1, 5], [0, 1]), ([0, 2, 1], [0, 1]), ([0, 1, 2], [0, 9]), ([0, 1, 2], [0, -1]), ([0, 1], [0])],
)
def test_patterns_that_do_not_fit_are_not_followed(starts, columns):
    with pytest.raises(InputError, match=r"ind|shapes"):
        sampled_product(np.array(starts), np.array(columns), np.ones((2, 3)), np.ones((4, 3)))

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The sign rule of factors, and the map behind a sketch's name."""

from __future__ import annotations

import numpy as np
import pytest

from randnla.lowrank.call import resolve_sketch
from randnla.lowrank.scaling import fix_signs
from randnla.operators import as_operator


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("rows", [5, 900, 90000])  # one chunk of the team, and several
def test_the_largest_entry_is_positive_and_ties_go_to_the_first_row(rows, order, dtype):
    U = np.random.default_rng(rows).uniform(-1, 1, (rows, 8)).astype(dtype, order=order)
    U[:, 1] = 0
    U[1, 2], U[3, 2] = -2, 2
    U[1, 3], U[3, 3] = 2, -2
    U[1, 4], U[-1, 4] = -2, 2  # rows of two threads
    before, V = U.copy(), np.ones((3, 8), dtype)
    fix_signs(U, V)
    flipped = before[np.argmax(np.abs(before), axis=0), np.arange(8)] < 0
    assert flipped[2]
    assert not flipped[3]
    np.testing.assert_array_equal(U, np.where(flipped, -before, before))
    np.testing.assert_array_equal(V, np.where(flipped, -1, 1) * np.ones((3, 8)))


@pytest.mark.parametrize(("rank", "rows", "nnz"), [(5, 20, 4), (5, 19, 8), (0, 20, 8)])
def test_four_nonzeros_where_the_sketch_has_four_rows_a_rank(rank, rows, nnz):
    op = as_operator(np.ones((30, 40)))
    assert resolve_sketch("sparse_sign", 0, op, rank)(rows, 40).nnz == nnz

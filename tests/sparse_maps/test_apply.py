# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sparse maps times dense matrices: the oracle's bits in every layout, block, team and level."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

from randnla import _core
from randnla._backend.errors import InputError
from randnla._backend.generic import sparse_maps as generic
from randnla._backend.kernels import sparse_maps


def layouts(M):
    """The same values in C, Fortran, sliced, reversed and padded storage."""
    m, n = M.shape
    wide = np.zeros((2 * m, 3 * n), M.dtype)
    wide[::2, ::3] = M
    return {
        "C": M.copy(),
        "F": np.asfortranarray(M),
        "sliced": wide[::2, ::3],
        "reversed": M[::-1, ::-1].copy()[::-1, ::-1],
        "padded": np.pad(M, ((0, 0), (2, 3)))[:, 2 : 2 + n],
        "padded F": np.pad(M, ((1, 2), (0, 0))).T.copy().T[1 : 1 + m],
    }


def dense(rows, columns, dtype, **map_):
    """The block of the map as a matrix."""
    row_start, col_start = map_.pop("row_start", 0), map_.pop("col_start", 0)
    positions, signs = sparse_maps.sparse_map_columns(
        col_start=col_start, col_stop=col_start + columns, dtype=dtype, **map_
    )
    S = np.zeros((rows, columns), dtype)
    j, z = np.nonzero((positions >= row_start) & (positions < row_start + rows))
    S[positions[j, z] - row_start, j] = signs[j, z]
    return S


MAPS = [
    {"kind": "sparse_sign", "seed": 1, "stream": 0, "d": 40, "nnz": 8},
    {"kind": "sparse_sign", "seed": 1, "stream": 3, "d": 33, "nnz": 5},
    {"kind": "sparse_sign", "seed": 9, "stream": 3, "d": 2**17, "nnz": 4},
    {"kind": "countsketch", "seed": 2, "stream": 0, "d": 29, "nnz": 1},
    {"kind": "countsketch", "seed": 2, "stream": 0, "d": 2**17, "nnz": 1},
]
IDS = [f"{m['kind']}-{m['d']}" for m in MAPS]


@pytest.mark.parametrize("map_", MAPS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("m", "n"), [(70, 37), (300, 5), (33, 150)])
@pytest.mark.parametrize("adjoint", [False, True])
def test_bits_equal_the_oracle_in_every_layout(map_, dtype, m, n, adjoint):
    # A window of the rows of the large maps, and of the columns of all.
    rows = min(map_["d"], 60)
    block = {"row_start": map_["d"] - rows, "col_start": 2**33 + 7}
    shape, result = ((rows, n), (m, n)) if adjoint else ((m, n), (rows, n))
    A = np.random.default_rng(3).standard_normal(shape).astype(dtype)
    options = {**map_, **block, "scale": 0.37, "adjoint": adjoint}
    expected = generic.apply_sparse_map(A, np.empty(result, dtype), **options)
    targets = layouts(np.full(result, np.nan, dtype))
    for layout, a in layouts(A).items():
        for out in (targets["C"], targets["F"], targets[layout]):
            out[...] = np.nan
            sparse_maps.apply_sparse_map(a, out, **options)
            np.testing.assert_array_equal(out, expected, strict=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("map_", MAPS[:4:3], ids=IDS[:4:3])
def test_whole_map_on_integers_is_the_exact_product(map_, dtype):
    # More rows than a chunk and, with 2^16 rows a table, than one table of codes.
    m, n = 140_000, 19
    A = np.random.default_rng(4).integers(-50, 50, (m, n)).astype(dtype)
    S = dense(map_["d"], m, dtype, **map_)
    expected = S.astype(np.float64) @ A  # integers below 2^24: exact in any order
    for a in (A, np.asfortranarray(A)):
        for out in (np.empty(expected.shape, dtype), np.empty(expected.shape[::-1], dtype).T):
            sparse_maps.apply_sparse_map(a, out, **map_)
            np.testing.assert_array_equal(out, expected)


WIDE = [
    {"kind": "sparse_sign", "seed": 1, "stream": 0, "d": 40, "nnz": 8},  # 100 nonzeros a row
    {"kind": "sparse_sign", "seed": 2, "stream": 3, "d": 700, "nnz": 5},
    {"kind": "sparse_sign", "seed": 3, "stream": 3, "d": 1500, "nnz": 8},
    {"kind": "countsketch", "seed": 4, "stream": 0, "d": 29, "nnz": 1},
]


@pytest.mark.parametrize("map_", WIDE, ids=lambda m: f"{m['kind']}-{m['d']}")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_of_wide_matrices_equal_the_oracle(map_, dtype):
    # Wide enough for sums sorted by row, and more inputs than a chunk of them.
    n = 12_400 // np.dtype(dtype).itemsize + 3
    A = np.random.default_rng(3).standard_normal((600, n)).astype(dtype)
    for row_start in (0, 7):
        shape = (map_["d"] - 2 * row_start, n)
        options = {**map_, "row_start": row_start, "col_start": 2**33 + 7, "scale": 0.37}
        expected = generic.apply_sparse_map(A, np.empty(shape, dtype), **options)
        for a in (A, np.asfortranarray(A), np.pad(A, ((0, 0), (2, 3)))[:, 2 : 2 + n]):
            for order in "CF":
                out = np.full(shape, np.nan, dtype, order=order)
                sparse_maps.apply_sparse_map(a, out, **options)
                np.testing.assert_array_equal(out, expected, strict=True)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    ("m", "n", "d", "nnz"), [(9000, 800, 3000, 64), (9000, 790, 50, 50), (700, 3300, 1500, 8)]
)
def test_sorted_sums_in_several_tables_and_groups(order, m, n, d, nnz):
    map_ = {"kind": "sparse_sign", "seed": 5, "stream": 2, "d": d, "nnz": nnz}
    A = np.asarray(np.random.default_rng(4).integers(-50, 50, (m, n)), np.float32, order)
    positions, signs = sparse_maps.sparse_map_columns(col_start=0, col_stop=m, dtype=np.float32, **map_)
    indptr = np.arange(0, nnz * m + 1, nnz)
    S = sp.csc_array((signs.ravel().astype(np.float32), positions.ravel(), indptr), shape=(d, m))
    expected = S @ A  # integers below 2^24: exact in any order
    try:
        for threads in (1, 2, 3):
            _core.set_num_threads(threads)
            out = sparse_maps.apply_sparse_map(A, np.full((d, n), np.nan, np.float32), **map_)
            np.testing.assert_array_equal(out, expected)
    finally:
        _core.set_num_threads(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("m", "n", "d"), [(550_000, 97, 100), (9000, 200, 4000), (700, 65, 1), (900, 1003, 70)]
)
def test_row_sums_of_countsketch_are_exact_for_every_team(m, n, d, dtype):
    # More inputs than a table of codes holds; a window of the rows, so that some nonzeros miss it.
    map_ = {"kind": "countsketch", "seed": 5, "stream": 2, "d": d + 3, "nnz": 1}
    A = np.random.default_rng(4).integers(-50, 50, (m, n)).astype(dtype)
    positions, signs = sparse_maps.sparse_map_columns(col_start=0, col_stop=m, dtype=dtype, **map_)
    S = sp.csc_array((signs.ravel().astype(dtype), positions.ravel(), np.arange(m + 1)), shape=(d + 3, m))
    expected = (S @ A)[2 : 2 + d] * 2  # integers below 2^24: exact in any order
    try:
        for threads in (1, 2, 3):
            _core.set_num_threads(threads)
            for a in (A, np.pad(A, ((0, 0), (2, 3)))[:, 2 : 2 + n]):
                for order in "CF":
                    out = np.full((d, n), np.nan, dtype, order)
                    sparse_maps.apply_sparse_map(a, out, row_start=2, scale=2.0, **map_)
                    np.testing.assert_array_equal(out, expected)
    finally:
        _core.set_num_threads(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_row_sums_of_countsketch_fill_every_width(dtype):
    # Rows are summed in strips of some vectors, the last of which may hold one number alone.
    m, d, widest = 90, 70, 900
    map_ = {"kind": "countsketch", "seed": 5, "stream": 2, "d": d, "nnz": 1}
    A = np.random.default_rng(4).integers(-50, 50, (m, widest)).astype(dtype)
    expected = dense(d, m, dtype, **map_) @ A  # integers below 2^24: exact in any order
    try:
        _core.set_num_threads(2)
        for n in range(65, widest + 1, 4):
            out = np.full((d, n), np.nan, dtype)
            sparse_maps.apply_sparse_map(A[:, :n], out, **map_)
            np.testing.assert_array_equal(out, expected[:, :n])
    finally:
        _core.set_num_threads(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("m", "n", "d"), [(8200, 70, 200), (34_000, 5, 50), (33_000, 67, 600)])
def test_stretches_of_countsketch_have_the_oracles_bits_for_every_team(m, n, d, dtype):
    # 2, 8 and 2 stretches; contiguous rows in turn, by rows where there are more members than stretches
    # (by panels where rows are short), other layouts by panels.
    map_ = {"kind": "countsketch", "seed": 5, "stream": 2, "d": d, "nnz": 1}
    A = np.random.default_rng(4).standard_normal((m, n)).astype(dtype)
    options = {**map_, "scale": 0.37, "col_start": 2**33 + 7}
    expected = generic.apply_sparse_map(A, np.empty((d, n), dtype), **options)
    assert generic.stretch_of_rows(d, 1, m) < m
    try:
        for threads in (1, 2, 3):
            _core.set_num_threads(threads)
            for layout, a in layouts(A).items():
                for order in "CF":
                    out = np.full((d, n), np.nan, dtype, order)
                    sparse_maps.apply_sparse_map(a, out, **options)
                    np.testing.assert_array_equal(out, expected, err_msg=layout)
            part = np.full((d - 9, n), np.nan, dtype)
            sparse_maps.apply_sparse_map(A, part, row_start=5, **options)
            np.testing.assert_array_equal(part, expected[5:-4])
    finally:
        _core.set_num_threads(0)


@pytest.mark.parametrize("out_order", ["C", "F"])
@pytest.mark.parametrize("n", [3, 40])
def test_sums_too_large_for_panels_go_to_the_output(out_order, n):
    d, m = 70_000, 3000
    map_ = {"kind": "sparse_sign", "seed": 8, "stream": 0, "d": d, "nnz": 8}
    A = np.random.default_rng(4).integers(-50, 50, (m, n)).astype(np.float32)
    expected = np.zeros((d, n), np.float32)
    positions, signs = sparse_maps.sparse_map_columns(col_start=0, col_stop=m, dtype=np.float32, **map_)
    np.add.at(expected, positions, signs[..., None] * A[:, None])
    out = np.full((d, n), np.nan, np.float32, order=out_order)
    sparse_maps.apply_sparse_map(A, out, scale=2.0, **map_)
    np.testing.assert_array_equal(out, 2 * expected)
    back = sparse_maps.apply_sparse_map(expected, np.empty_like(A), adjoint=True, **map_)
    np.testing.assert_array_equal(back, (signs[..., None] * expected[positions]).sum(axis=1))


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize(("d", "n"), [(300, 1), (300, 50), (300, 801), (70_000, 1), (70_000, 50)])
def test_bits_do_not_depend_on_the_team(adjoint, d, n):
    m = 3000
    rng = np.random.default_rng(5)
    A = rng.standard_normal((d if adjoint else m, n)).astype(np.float32)
    results = []
    try:
        for threads in (1, 2, 3, 4):
            _core.set_num_threads(threads)
            out = np.empty((m if adjoint else d, n), np.float32)
            sparse_maps.apply_sparse_map(
                A, out, kind="sparse_sign", seed=1, stream=0, d=d, nnz=8, scale=8**-0.5, adjoint=adjoint
            )
            results.append(out)
    finally:
        _core.set_num_threads(0)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_blocks_of_the_map_add_up():
    map_ = {"kind": "sparse_sign", "seed": 6, "stream": 1, "d": 90, "nnz": 8}
    A = np.random.default_rng(6).integers(-9, 9, (500, 21)).astype(np.float64)
    whole = sparse_maps.apply_sparse_map(A, np.empty((90, 21)), **map_)
    top = sparse_maps.apply_sparse_map(A, np.empty((31, 21)), **map_)
    low = sparse_maps.apply_sparse_map(A, np.empty((59, 21)), row_start=31, **map_)
    np.testing.assert_array_equal(np.vstack([top, low]), whole)
    left = sparse_maps.apply_sparse_map(A[:123], np.empty((90, 21)), **map_)
    right = sparse_maps.apply_sparse_map(A[123:], np.empty((90, 21)), col_start=123, **map_)
    np.testing.assert_array_equal(left + right, whole)


def test_empty_operands():
    map_ = {"kind": "sparse_sign", "seed": 6, "stream": 1, "d": 9, "nnz": 8}
    np.testing.assert_array_equal(sparse_maps.apply_sparse_map(np.ones((0, 3)), np.ones((9, 3)), **map_), 0)
    out = sparse_maps.apply_sparse_map(np.ones((0, 3)), np.ones((4, 3)), adjoint=True, **map_)
    np.testing.assert_array_equal(out, 0)
    assert sparse_maps.apply_sparse_map(np.ones((5, 0)), np.ones((9, 0)), **map_).size == 0


@pytest.mark.parametrize(
    ("A", "out", "change"),
    [
        (np.ones((5, 3)), np.ones((9, 4)), {}),
        (np.ones((5, 3)), np.ones((10, 3)), {}),
        (np.ones((5, 3)), np.ones((9, 3)), {"row_start": 1}),
        (np.ones((5, 3)), np.ones((4, 3)), {"row_start": -1}),
        (np.ones((5, 3)), np.ones((4, 3)), {"row_start": 2**63 - 1}),
        (np.ones((5, 3)), np.ones((9, 3)), {"col_start": -1}),
        (np.ones((5, 3)), np.ones((9, 3)), {"col_start": 2**63 - 2}),
        (np.ones((5, 3)), np.ones((9, 3), np.float32), {}),
        (np.ones((5, 3), np.int64), np.ones((9, 3), np.int64), {}),
        (np.ones(5), np.ones((9, 1)), {}),
        (np.ones((12, 3)), np.ones((5, 3)), {"adjoint": True}),
    ],
)
def test_operands_that_do_not_fit_are_refused(A, out, change):
    map_ = {"kind": "sparse_sign", "seed": 6, "stream": 1, "d": 9, "nnz": 8}
    with pytest.raises(InputError):
        sparse_maps.apply_sparse_map(A, out, **(map_ | change))


LEVELS = """
import hashlib, json, sys
import numpy as np
from randnla import _core
from randnla._backend.kernels import sparse_maps
h = hashlib.sha256()
for dtype in (np.float32, np.float64):
    for d, nnz, kind in ((100, 8, "sparse_sign"), (100, 3, "sparse_sign"), (2**17, 4, "sparse_sign"),
                         (50, 1, "countsketch")):
        for order in "CF":
            A = np.asarray(np.linspace(-3, 7, 700 * 37).reshape(700, 37) ** 3, dtype, order)
            map_ = dict(kind=kind, seed=4, stream=5, d=d, nnz=nnz)
            out, back = np.empty((d, 37), dtype), np.empty((700, 37), dtype)
            sparse_maps.apply_sparse_map(A, out, scale=0.3, **map_)
            sparse_maps.apply_sparse_map(out, back, scale=0.3, adjoint=True, **map_)
            h.update(out.tobytes() + back.tobytes())
    wide = np.tile(np.asarray(np.linspace(-3, 7, 700 * 37).reshape(700, 37) ** 3, dtype), 22)
    out = np.empty((90, wide.shape[1]), dtype)
    sparse_maps.apply_sparse_map(wide, out, kind="sparse_sign", seed=4, stream=5, d=90, nnz=8, scale=0.3)
    h.update(out.tobytes())
    tall = np.asarray(np.linspace(-3, 7, 9000 * 67).reshape(9000, 67) ** 3, dtype)
    out = np.empty((90, 67), dtype)
    sparse_maps.apply_sparse_map(tall, out, kind="countsketch", seed=4, stream=5, d=90, nnz=1)
    h.update(out.tobytes())
print(json.dumps([_core.build_info()["instruction_set"], h.hexdigest()]))
"""


def test_every_instruction_set_has_the_same_bits():
    best = _core.build_info()["instruction_set_best"]
    order = ["v2", "v3", "v4", "amx"]
    levels = order[: order.index(best) + 1] if best in order else [best]
    seen = {}
    for level in levels:
        run = subprocess.run(
            [sys.executable, "-c", LEVELS], env=os.environ | {"RANDNLA_ISA": level},
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        used, seen[level] = json.loads(run.stdout)
        assert used == level
    assert len(set(seen.values())) == 1

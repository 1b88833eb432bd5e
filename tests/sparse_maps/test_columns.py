# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Positions and signs of the sparse maps: golden digests, the oracle's bits, their distribution."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import scipy.stats

from randnla._backend.errors import InputError
from randnla._backend.generic import sparse_maps as generic
from randnla._backend.kernels import sparse_maps

GOLDEN = Path(__file__).parents[1] / "golden" / "sparse_maps.json"
ALPHA = 1e-12

CASES = [
    {"kind": kind, "seed": seed, "stream": stream, "d": d, "nnz": nnz, "start": start, "dtype": dtype}
    for dtype in ("float32", "float64")
    for kind, d, nnz in [
        ("sparse_sign", 1000, 8),
        ("sparse_sign", 2**16, 5),
        ("sparse_sign", 2**16 + 1, 5),
        ("sparse_sign", 2**40, 9),
        ("sparse_sign", 7, 7),
        ("countsketch", 1, 1),
        ("countsketch", 4000, 1),
        ("countsketch", 2**62, 1),
    ]
    for seed, stream, start in [(0, 0, 0), (2**64 - 1, 2**64 - 1, 2**35 + 5)]
]


def columns(module, case, count=150):
    return module.sparse_map_columns(
        kind=case["kind"], seed=case["seed"], stream=case["stream"], d=case["d"], nnz=case["nnz"],
        col_start=case["start"], col_stop=case["start"] + count, dtype=np.dtype(case["dtype"]),
    )  # fmt: skip


def digest(positions, signs):
    return hashlib.sha256(positions.astype("<i8").tobytes() + signs.tobytes()).hexdigest()


def name(case):
    return "-".join(str(v) for v in case.values())


@pytest.mark.parametrize("case", CASES, ids=name)
def test_golden_digest(case):
    assert digest(*columns(sparse_maps, case)) == json.loads(GOLDEN.read_text())[name(case)]


@pytest.mark.parametrize("case", CASES, ids=name)
def test_equals_the_oracle(case):
    for ours, expected in zip(columns(sparse_maps, case), columns(generic, case), strict=True):
        np.testing.assert_array_equal(ours, expected, strict=True)


@pytest.mark.parametrize(("d", "nnz"), [(1, 1), (3, 3), (50, 8), (70000, 8), (40, 40)])
def test_positions_are_distinct_and_in_range(d, nnz):
    positions, signs = sparse_maps.sparse_map_columns(
        kind="sparse_sign", seed=3, stream=1, d=d, nnz=nnz, col_start=0, col_stop=5000, dtype=np.float32
    )
    assert positions.min() >= 0
    assert positions.max() < d
    assert np.all(np.diff(np.sort(positions, axis=1), axis=1) > 0)
    assert np.array_equal(np.unique(signs), [-1, 1])


@pytest.mark.parametrize("start", [1, 15, 16, 63, 100])
@pytest.mark.parametrize(("kind", "d", "nnz"), [("sparse_sign", 100, 6), ("countsketch", 2**20, 1)])
def test_a_range_of_columns_is_the_slice(kind, d, nnz, start):
    whole = {"kind": kind, "seed": 5, "stream": 2, "d": d, "nnz": nnz, "dtype": np.float64}
    positions, signs = sparse_maps.sparse_map_columns(col_start=0, col_stop=400, **whole)
    p, s = sparse_maps.sparse_map_columns(col_start=start, col_stop=300, **whole)
    np.testing.assert_array_equal(p, positions[start:300])
    np.testing.assert_array_equal(s, signs[start:300])


def assert_uniform(counts, expected):
    """Chi-square of counts whose cells all have the same expectation."""
    counts = np.asarray(counts, float).reshape(-1)
    statistic = np.sum((counts - expected) ** 2) / expected
    assert scipy.stats.chi2.sf(statistic, counts.size - 1) > ALPHA
    assert scipy.stats.chi2.cdf(statistic, counts.size - 1) > ALPHA


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("kind", "d", "nnz"), [("sparse_sign", 100, 8), ("countsketch", 100, 1)])
def test_positions_and_signs_are_uniform(kind, d, nnz, dtype):
    count = 400_000
    positions, signs = sparse_maps.sparse_map_columns(
        kind=kind, seed=11, stream=0, d=d, nnz=nnz, col_start=0, col_stop=count, dtype=dtype
    )
    # A column's positions are distinct: counts vary by 1 - (nnz - 1) / (d - 1) of the multinomial's.
    slots = np.bincount(positions.reshape(-1), minlength=d)
    expected = count * nnz / d
    statistic = np.sum((slots - expected) ** 2) / (expected * (1 - (nnz - 1) / (d - 1)))
    assert ALPHA < scipy.stats.chi2.sf(statistic, d - 1) < 1 - ALPHA
    for z in range(nnz):
        assert_uniform(np.bincount(signs[:, z] + 1, minlength=3)[[0, 2]], count / 2)
    # The first nonzero is uniform on 0..d-nnz: against its sign, and against the next column's.
    first, cells = positions[:, 0], d - nnz + 1
    assert_uniform(np.bincount(2 * first + (signs[:, 0] < 0), minlength=2 * cells), count / (2 * cells))
    pairs = np.bincount(first[::2] * cells + first[1::2], minlength=cells**2)
    assert_uniform(pairs, count / 2 / cells**2)


@pytest.mark.parametrize(("d", "nnz"), [(6, 3), (5, 4), (7, 2)])
def test_subsets_are_uniform(d, nnz):
    count = 600_000
    positions, signs = sparse_maps.sparse_map_columns(
        kind="sparse_sign", seed=13, stream=4, d=d, nnz=nnz, col_start=0, col_stop=count, dtype=np.float32
    )
    subsets, counts = np.unique(np.bitwise_or.reduce(1 << positions, axis=1), return_counts=True)
    total = scipy.special.comb(d, nnz, exact=True)
    assert len(subsets) == total
    assert_uniform(counts, count / total)
    patterns = ((signs < 0) << np.arange(nnz)).sum(axis=1)
    assert_uniform(np.bincount(patterns, minlength=2**nnz), count / 2**nnz)


def test_streams_differ():
    base = {"kind": "sparse_sign", "seed": 1, "stream": 0, "d": 2**30, "nnz": 8, "col_start": 0,
            "col_stop": 64, "dtype": np.float32}  # fmt: skip
    positions, _ = sparse_maps.sparse_map_columns(**base)
    for change in ({"seed": 2}, {"stream": 1}, {"dtype": np.float64}, {"col_start": 16, "col_stop": 80}):
        other, _ = sparse_maps.sparse_map_columns(**(base | change))
        assert np.mean(other == positions) < 0.01


@pytest.mark.parametrize(
    "change",
    [
        {"nnz": 0},
        {"nnz": 11},
        {"d": 0},
        {"kind": "other"},
        {"col_start": -1},
        {"col_stop": 2**63 - 1, "col_start": 2**63 - 2},
    ],
)
def test_wrong_arguments_are_refused(change):
    base = {"kind": "sparse_sign", "seed": 1, "stream": 0, "d": 10, "nnz": 2, "col_start": 0,
            "col_stop": 4, "dtype": np.float32}  # fmt: skip
    with pytest.raises(InputError):
        sparse_maps.sparse_map_columns(**(base | change))

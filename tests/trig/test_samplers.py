# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Samplers of coordinates and the sign stream of the trigonometric maps."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy import stats

from randnla._backend.errors import InputError
from randnla._backend.generic import trig as oracle
from randnla._backend.kernels import streams, trig

KINDS = ["trig_rows", "row_sampling", "leverage"]
ALPHA = 1e-12


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("population", [1, 2, 3, 17, 64, 1000, 4096])
def test_coordinates_equal_the_oracle(kind: str, population: int) -> None:
    # Counts on both sides of population / 4, where the representation of the shuffle changes.
    for count in {0, 1, population // 4, min(population, population // 4 + 1), population}:
        where = {"kind": kind, "seed": 2**64 - 1 - count, "stream": population, "population": population}
        got = trig.sample_coordinates(**where, count=count)
        np.testing.assert_array_equal(got, oracle.sample_coordinates(**where, count=count))
        assert got.dtype == np.int64


@pytest.mark.parametrize("population", [100, 2**40, 2**62])
def test_coordinates_are_distinct_and_prefix_consistent(population: int) -> None:
    where = {"kind": "trig_rows", "seed": 5, "stream": 1, "population": population}
    longest = trig.sample_coordinates(**where, count=100)
    assert len(set(longest.tolist())) == 100
    assert longest.min() >= 0
    assert longest.max() < population
    for count in (0, 1, 24, 25, 26, 99):
        np.testing.assert_array_equal(trig.sample_coordinates(**where, count=count), longest[:count])


def test_a_long_hashed_sample_equals_the_array() -> None:
    """Displaced entries chain through the hash map; 50000 of 200001 meets many of them."""
    where = {"kind": "trig_rows", "seed": 3, "stream": 0, "population": 200_001}
    whole = trig.sample_coordinates(**where, count=200_001)
    np.testing.assert_array_equal(np.sort(whole), np.arange(200_001))
    np.testing.assert_array_equal(trig.sample_coordinates(**where, count=50_000), whole[:50_000])


@pytest.mark.parametrize("position", [0, 7, 15])
def test_every_coordinate_is_uniform(position: int) -> None:
    """Chi-square of the index at one place of the sample, over seeds."""
    population, n = 16, 20_000
    where = {"kind": "trig_rows", "stream": 0, "population": population, "count": population}
    drawn = [trig.sample_coordinates(seed=s, **where)[position] for s in range(n)]
    statistic = stats.chisquare(np.bincount(drawn, minlength=population))
    assert statistic.pvalue > ALPHA


def test_uniform_with_replacement_equals_the_oracle_and_is_uniform() -> None:
    where = {"kind": "row_sampling", "seed": 9, "stream": 4, "population": 37}
    got = trig.sample_with_replacement(**where, count=100_000)
    np.testing.assert_array_equal(got[:500], oracle.sample_with_replacement(**where, count=500))
    assert stats.chisquare(np.bincount(got, minlength=37)).pvalue > ALPHA


def test_weighted_with_replacement_follows_the_probabilities() -> None:
    p = np.array([0.0, 0.5, 0.0, 1e-3, 0.25, 0.249, 0.0])
    cumulative = np.cumsum(p)
    where = {"kind": "leverage", "seed": 1, "stream": 2, "population": p.size, "cumulative": cumulative}
    got = trig.sample_with_replacement(**where, count=200_000)
    np.testing.assert_array_equal(got[:400], oracle.sample_with_replacement(**where, count=400))
    counts = np.bincount(got, minlength=p.size)
    assert (counts[p == 0] == 0).all()
    assert stats.chisquare(counts[p > 0], got.size * p[p > 0] / p.sum()).pvalue > ALPHA


def test_cumulative_short_of_one_draws_the_last_possible_index() -> None:
    cumulative = np.array([1e-300, 2e-300, 2e-300])
    got = trig.sample_with_replacement(
        kind="leverage", seed=0, stream=0, count=50, population=3, cumulative=cumulative
    )
    np.testing.assert_array_equal(got, 1)


def test_bad_samples_are_refused() -> None:
    where = {"kind": "trig_rows", "seed": 0, "stream": 0}
    with pytest.raises(InputError, match="count"):
        trig.sample_coordinates(**where, population=3, count=4)
    with pytest.raises(InputError, match="population"):
        trig.sample_with_replacement(**where, population=0, count=1)
    with pytest.raises(InputError, match="cumulative"):
        trig.sample_with_replacement(**where, population=3, count=1, cumulative=np.ones(2))


@pytest.mark.parametrize("m", [0, 1, 31, 32, 33, 2047, 2048, 2049, 10_000])
def test_signs_are_row_zero_of_the_sign_stream(m: int) -> None:
    """Column j is bit j % 32 of word j // 32 of the stream of kind trig_signs; bit 1 is -1."""
    words = np.empty(m // 32 + 1, np.uint32)
    streams.random_words(words, kind="trig_signs", seed=11, stream=3, row=0, start=0)
    expected = [-1 if int(words[j // 32]) >> (j % 32) & 1 else 1 for j in range(m)]
    for dtype in (np.float32, np.float64):
        got = trig.trig_signs(m, seed=11, stream=3, dtype=dtype)
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(got, oracle.trig_signs(m, seed=11, stream=3, dtype=dtype))


def test_golden_digests() -> None:
    """The stream contract of csrc/DevNotes.md, frozen."""
    distinct = trig.sample_coordinates(kind="trig_rows", seed=42, stream=7, population=10**6, count=1000)
    again = trig.sample_with_replacement(kind="row_sampling", seed=42, stream=7, population=10**6, count=1000)
    digests = [hashlib.sha256(x.astype("<i8").tobytes()).hexdigest()[:16] for x in (distinct, again)]
    assert digests == GOLDEN


GOLDEN = ["a5307fe5eaf6c45d", "fb49796c0396beae"]

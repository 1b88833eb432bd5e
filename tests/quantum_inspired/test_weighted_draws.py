# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sum trees and alias tables: the contract of the stream, the laws of the draws."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from cases import ALPHA
from scipy import stats

import randnla
from randnla import _core
from randnla._backend.errors import InputError
from randnla._backend.generic import weighted_draws as oracle
from randnla._backend.kernels import weighted_draws
from randnla._backend.kernels.weighted_draws import Forest

FIRST = np.zeros(1, np.int64)
LENGTHS = (1, 2, 7, 8, 9, 63, 64, 65, 511, 513, 5000)
DIGESTS = ["34250af434d280da", "00f536b2c316068b"]  # of the tree and of the alias table


def tree_of(weights):
    forest = Forest.equal(1, len(weights))
    forest.arena[: len(weights)] = weights
    forest.build()
    return forest


def weights_of(n, seed=0):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(n) < 0.3, 0.0, rng.exponential(size=n) ** 4) + (np.arange(n) == n // 2)


def chi_square(found, weights):
    """The p-value, cells of small expectation joined."""
    expected = weights / weights.sum() * found.size
    seen = np.bincount(found, minlength=weights.size)
    assert np.all(seen[weights == 0] == 0)
    order = np.argsort(expected)
    cell = np.maximum(np.cumsum(expected[order]) // 20, 0).astype(int)
    sums = [np.bincount(cell, weights=x[order]) for x in (seen, expected)]
    kept = sums[1] > 5
    seen, expected = sums[0][kept], sums[1][kept]
    if kept.sum() < 2:
        return 1.0
    return stats.chi2.sf(((seen - expected) ** 2 / expected).sum(), kept.sum() - 1)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("first", [0, 7, 2**40 + 5])
def test_draws_of_a_tree_are_those_of_the_contract(n, first):
    weights = weights_of(n)
    place = {"seed": 3, "stream": 2**33, "row": 1, "first": first}
    exact = oracle.draw(weights, 300, **place)
    assert np.array_equal(tree_of(weights).draw(FIRST, 300, **place), exact)
    assert np.array_equal(tree_of(weights).draw(np.zeros(300, np.int64), 300, **place), exact)


def test_digest_of_the_stream():
    # A change of this digest is a change of the contract and needs a new version of the streams.
    found = tree_of(np.arange(1000.0)).draw(FIRST, 4096, seed=1, stream=2, first=3)
    table = weighted_draws.alias_table(np.arange(1000.0))
    other = weighted_draws.draw_alias(table, 4096, seed=1, stream=2, first=3)
    digests = [hashlib.sha256(x.astype("<i8").tobytes()).hexdigest()[:16] for x in (found, other)]
    assert digests == DIGESTS


@pytest.mark.parametrize("n", [9, 300, 5000])
def test_frequencies_pass_chi_square(n):
    weights = weights_of(n)
    table = weighted_draws.alias_table(weights)
    for found in (
        tree_of(weights).draw(FIRST, 200_000, seed=5, stream=0),
        weighted_draws.draw_alias(table, 200_000, seed=5, stream=0),
    ):
        assert chi_square(found, weights) > ALPHA


def test_chi_square_holds_after_many_updates():
    n, rng = 3000, np.random.default_rng(1)
    weights = weights_of(n)
    forest = tree_of(weights)
    for _ in range(10):
        leaves, values = rng.integers(0, n, 10_000), rng.exponential(size=10_000) ** 3
        values[rng.random(10_000) < 0.2] = 0
        forest.update(np.zeros(10_000, np.int64), leaves, values)
        for leaf, value in zip(leaves, values, strict=True):
            weights[leaf] = value
    assert np.array_equal(forest.arena, tree_of(weights).arena)  # nothing drifted, to the last bit
    assert chi_square(forest.draw(FIRST, 200_000, seed=9, stream=0), weights) > ALPHA
    table = weighted_draws.alias_table(weights)
    assert chi_square(weighted_draws.draw_alias(table, 200_000, seed=9, stream=0), weights) > ALPHA


def test_weights_far_below_the_precision_of_the_sum_come_out_as_often_as_they_should():
    # One weight of 1, and a hundred of 1e-19 that a single number of 53 bits could not tell apart.
    weights = np.concatenate([np.full(8**4, 1e-19), [1.0]])
    forest = tree_of(weights[:-1])
    assert chi_square(forest.draw(FIRST, 400_000, seed=1, stream=0), weights[:-1]) > ALPHA


def test_draws_of_one_position_do_not_depend_on_the_team_or_the_cut():
    weights = weights_of(4000)
    forest, table = tree_of(weights), weighted_draws.alias_table(weights)
    before = randnla.num_threads()
    whole = []
    try:
        for threads in (1, 2, 3):
            randnla.set_num_threads(threads)
            whole.append(
                np.concatenate(
                    [
                        forest.draw(FIRST, 50_000, seed=4, stream=1),
                        weighted_draws.draw_alias(table, 50_000, seed=4, stream=1),
                    ]
                )
            )
    finally:
        randnla.set_num_threads(before)
    assert np.array_equal(whole[0], whole[1])
    assert np.array_equal(whole[0], whole[2])
    part = forest.draw(FIRST, 777, seed=4, stream=1, first=12_345)
    assert np.array_equal(part, whole[0][12_345 : 12_345 + 777])


def test_every_instruction_set_gives_the_same_bits():
    code = (
        "import numpy as np, hashlib\n"
        "from randnla._backend.kernels import weighted_draws as w\n"
        "f = w.Forest.equal(1, 5000); f.arena[:5000] = np.arange(5000.0) ** 3; f.build()\n"
        "a = f.draw(np.zeros(1, np.int64), 20000, seed=4, stream=1)\n"
        "b = w.draw_alias(w.alias_table(np.arange(5000.0)), 20000, seed=4, stream=1)\n"
        "print(hashlib.sha256(a.tobytes() + b.tobytes()).hexdigest())"
    )
    levels, best = ["v2", "v3", "v4", "amx"], _core.build_info()["instruction_set_best"]
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "RANDNLA_ISA": level},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for level in levels[: levels.index(best) + 1]
    }
    assert len(found) == 1


def test_uniforms_are_those_of_the_first_two_words():
    whole = weighted_draws.uniforms(1000, seed=3, stream=4)
    assert np.array_equal(whole[37:937], weighted_draws.uniforms(900, seed=3, stream=4, first=37))
    assert stats.kstest(whole, "uniform").pvalue > ALPHA
    assert whole.min() >= 0
    assert whole.max() < 1


def test_zeros_and_nothing():
    assert tree_of(np.zeros(20)).draw(FIRST, 3, seed=0, stream=0).tolist() == [-1, -1, -1]
    assert tree_of(np.zeros(20)).draw(np.zeros(3, np.int64), 3, seed=0, stream=0).tolist() == [-1] * 3
    assert tree_of(np.ones(3)).draw(FIRST, 0, seed=0, stream=0).size == 0
    with pytest.raises(InputError, match=r"weights: expected a positive sum"):
        weighted_draws.alias_table(np.zeros(4))
    with pytest.raises(InputError, match=r"weights: expected a positive sum"):
        weighted_draws.alias_table(np.array([1.0, np.nan]))


def test_the_binding_refuses_what_would_read_elsewhere():
    forest = tree_of(np.ones(20))
    with pytest.raises(InputError, match=r"trees: index out of range"):
        forest.draw(np.array([1], np.int64), 1, seed=0, stream=0)
    with pytest.raises(InputError, match=r"leaves: index out of range"):
        forest.update(FIRST, np.array([20], np.int64), np.ones(1))
    with pytest.raises(InputError, match=r"arena: a tree lies outside"):
        Forest(forest.arena[:10], forest.offsets, forest.lengths).build()
    with pytest.raises(InputError, match=r"arena: a tree lies outside"):
        Forest(forest.arena, np.array([-1], np.int64), forest.lengths).totals()
    with pytest.raises(InputError, match=r"trees: expected one, or one for each draw"):
        forest.draw(np.zeros(2, np.int64), 3, seed=0, stream=0)
    with pytest.raises(InputError, match=r"length: out of range"):
        weighted_draws.tree_size(-1)
    with pytest.raises(InputError, match=r"first: positions must stay below"):
        forest.draw(FIRST, 3, seed=0, stream=0, first=2**63 - 2)
    with pytest.raises(InputError, match=r"cells: expected at least one"):
        weighted_draws.draw_alias(np.empty((0, 2), np.uint64), 3, seed=0, stream=0)

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Places at which powers are seen: no two equal, by their weights, and where a pilot says they tell most."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.stats

import randnla
from randnla.operators import LowRank
from randnla.recovery import draw_places, learn_transition, places


def coherent(n, r, seed):
    """Rows that fall: few of them carry most."""
    X = np.random.default_rng(seed).standard_normal((n, r)) / np.arange(1, n + 1)[:, None] ** 0.75
    Q = np.linalg.qr(X)[0]
    return LowRank(Q, np.linspace(1, 0.8, r), Q)


def entries(A, at):
    t, i, j = at
    return np.einsum("kr,kr->k", A.U[i] * A.C ** t[:, None], A.V[j])


@pytest.mark.parametrize("dense", [0, 1 << 20])
@pytest.mark.parametrize("with_pilot", [False, True])
def test_places_are_distinct_and_replay(monkeypatch, dense, with_pilot):
    monkeypatch.setattr(places, "DENSE", dense)
    pilot = coherent(30, 3, 0) if with_pilot else None
    for count in (0, 1, 600, 3 * 900):
        t, i, j = draw_places(3, 30, count, pilot=pilot, rng=1)
        assert t.dtype == i.dtype == j.dtype == np.int64
        assert len({*zip(t, i, j, strict=True)}) == t.size == i.size == j.size == count
        if count:
            assert (t.min(), t.max()) >= (1, 1)
            assert max(t.max() - 3, i.max() - 29, j.max() - 29) <= 0
            assert min(i.min(), j.min()) >= 0
        again = draw_places(3, 30, count, pilot=pilot, rng=1)
        assert all(np.array_equal(x, y) for x, y in zip((t, i, j), again, strict=True))
    assert not np.array_equal(draw_places(3, 30, 600, rng=2)[1], draw_places(3, 30, 600, rng=3)[1])


@pytest.mark.parametrize("dense", [0, 1 << 20])
def test_first_places_follow_the_weights(monkeypatch, dense):
    """Nine of ten by leverage scores of the dense block Hankel matrix, the others uniformly."""
    monkeypatch.setattr(places, "DENSE", dense)
    n, r, T, draws = 5, 2, 3, 2000
    rng = np.random.default_rng(0)
    U, V = (np.linalg.qr(rng.standard_normal((n, r)))[0] for _ in range(2))
    pilot = LowRank(U, np.array([1.0, 0.5]), V)
    A = (U * pilot.C) @ V.T
    A = A / np.abs(np.linalg.eigvals(A)).max()
    powers = [np.linalg.matrix_power(A, t) for t in range(1, T + 1)]
    H = np.block([[powers[a + b] for b in range(2)] for a in range(2)])
    X, _, Yh = np.linalg.svd(H)
    left, right = ((B[:, :r] ** 2).sum(axis=1).reshape(2, n) for B in (X, Yh.T))
    truth = np.zeros((T, n, n))
    for t in range(T):
        pairs = [(a, t - a) for a in range(2) if 0 <= t - a < 2]
        truth[t] = np.mean([np.add.outer(left[a], right[b]) for a, b in pairs], axis=0)
    truth = 0.9 * truth / truth.sum() + 0.1 / truth.size
    counts = np.zeros((T, n, n))
    for seed in range(draws):
        t, i, j = draw_places(T, n, 1, pilot=pilot, rng=seed)
        counts[t - 1, i, j] += 1
    assert scipy.stats.chisquare(counts.ravel(), draws * truth.ravel()).pvalue > 1e-4


@pytest.mark.parametrize("horizon", [1, 3])
def test_places_by_a_pilot_recover_what_uniform_ones_do_not(horizon):
    n, r, found = 40, 3, {"uniform": 0, "by leverage": 0}
    for seed in range(5):
        A = coherent(n, r, seed)
        for name, pilot in (("uniform", None), ("by leverage", A)):
            at = draw_places(horizon, n, int(2.5 * r * (2 * n - r)), pilot=pilot, rng=seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", randnla.ConvergenceWarning)
                samples = (*at, entries(A, at))
                guess = learn_transition(samples, horizon, r, shape=(n, n), max_iters=40, rng=seed).A
            truth = A.to_dense()
            found[name] += np.linalg.norm(guess.to_dense() - truth) < 1e-3 * np.linalg.norm(truth)
    assert found["by leverage"] > found["uniform"]
    assert found["by leverage"] >= 4


def test_a_pilot_of_no_power_is_as_none():
    nothing = LowRank(np.zeros((8, 2)), np.zeros(2), np.zeros((8, 2)))
    t, i, j = draw_places(2, 8, 128, pilot=nothing, rng=0)
    assert len({*zip(t, i, j, strict=True)}) == 128


@pytest.mark.parametrize("scale", [1e-300, 2.0**-1060, 1e300])
def test_the_scale_of_a_pilot_does_not_matter(scale):
    A = coherent(20, 3, 0)
    first, scaled = (draw_places(3, 20, 200, pilot=LowRank(A.U, c, A.V), rng=0) for c in (A.C, A.C * scale))
    assert all(np.array_equal(x, y) for x, y in zip(first, scaled, strict=True))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_pilot_that_is_not_finite_is_named(part, value):
    A = coherent(20, 3, 0)
    parts = [A.U.copy(), A.C.copy(), A.V.copy()]
    parts[part].flat[-1] = value
    with pytest.raises(randnla.NonFiniteError, match=r"^pilot: "):
        draw_places(3, 20, 200, pilot=LowRank(*parts), rng=0)


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        ({"horizon": 0}, r"^horizon: expected an integer >= 1, got 0"),
        ({"n": 0}, r"^n: expected an integer >= 1, got 0"),
        ({"count": 33}, r"^count: expected an integer in \[0, 32\], got 33"),
        ({"count": -1}, r"^count: "),
        ({"pilot": np.eye(4)}, r"^pilot: expected a LowRank or None"),
        ({"pilot": coherent(5, 2, 0)}, r"^pilot: expected shape \(4, 4\), got \(5, 5\)"),
        ({"rng": -1}, r"^rng: "),
    ],
)
def test_misuse(change, pattern):
    given = {"horizon": 2, "n": 4, "count": 5, **change}
    with pytest.raises(randnla.InputError, match=pattern):
        draw_places(given.pop("horizon"), given.pop("n"), given.pop("count"), **given)

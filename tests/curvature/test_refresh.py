# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What keeps training alive: refreshes that fail, numbers that are not finite, the worker thread."""

import copy
import threading
import tracemalloc

import numpy as np
import pytest

from randnla._backend.errors import BreakdownError, InputError
from randnla.curvature import (
    EKFAC,
    KFAC,
    RSKFAC,
    BrandKFAC,
    Dense,
    Exact,
    KLClip,
    LowRankInverse,
    Relative,
    RMSClip,
    ScaleShift,
    Tikhonov,
    TridiagonalKFAC,
)
from randnla.curvature.damping import Damping
from randnla.curvature.health import attempt
from randnla.curvature.inverses.cholesky_inverse import CholeskyInverse

LAYERS = {"first": Dense(6, 4), "norm": ScaleShift(4, channel_axis=-1), "last": Dense(4, 3)}


def batch(seed, n=8):
    rng = np.random.default_rng(seed)
    shapes = {"first": (6, 4), "norm": (4, 4), "last": (4, 3)}
    return {
        name: (rng.standard_normal((n, p)).astype(np.float32), rng.standard_normal((n, q)).astype(np.float32))
        for name, (p, q) in shapes.items()
    }


def gradients(seed):
    data = batch(seed)
    sums = {name: (g.T @ a, g.sum(axis=0)) for name, (a, g) in data.items()}
    return {**sums, "norm": (np.ones(4, np.float32), np.ones(4, np.float32))}


def feed(made, seed):
    return [made.accumulate(name, a, g) for name, (a, g) in batch(seed).items()]


@pytest.mark.parametrize("kind", [KFAC, EKFAC, RSKFAC, BrandKFAC])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["a", "g"])
def test_statistics_that_are_not_finite_change_nothing(kind, bad, where):
    made = kind(LAYERS)
    feed(made, 0)
    made.step(gradients(0))
    before = {key: value for key, value in made.state_dict().items() if key not in ("health", "digest")}
    for name, (a, g) in batch(1).items():
        (a if where == "a" else g)[-1, -1] = bad
        assert made.accumulate(name, a, g) is False
        assert made.health[name].skipped_statistics == 1
        assert made.health[name].reason
    after = made.state_dict()
    for key, value in before.items():
        np.testing.assert_array_equal(after[key], value)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_returned_and_changes_nothing(bad):
    made = KFAC(LAYERS)
    feed(made, 0)
    made.step(gradients(0))
    before = {key: value for key, value in made.state_dict().items() if key not in ("health", "digest")}
    given = gradients(1)
    given["last"][1][0] = bad
    returned = made.step(given)
    assert returned["last"] is given["last"]
    assert returned["first"] is given["first"]
    assert made.health["last"].skipped_gradients == 1
    assert made.health["first"].skipped_gradients == 0
    after = made.state_dict()
    for key, value in before.items():
        np.testing.assert_array_equal(after[key], value)


def test_the_ladder_goes_to_float64_then_to_more_damping_and_then_gives_up():
    tried = []

    def fails(times):
        def make(damping, wide):
            tried.append((damping.value, wide))
            if len(tried) <= times:
                raise BreakdownError("X: indefinite")
            return "made"

        return make

    names = {0: "", 1: "float64", 2: "damping x 10", 3: "damping x 100", 4: "damping x 1000"}
    for times, name in names.items():
        tried.clear()
        outcome = attempt(fails(times), Relative(0.1))
        assert (outcome.made, outcome.fallback) == ("made", name)
        assert ("indefinite" in outcome.reason) == (times > 0)
    assert tried == [(0.1, False), (0.1, True)] + [(pytest.approx(10.0**k), True) for k in (0, 1, 2)]
    tried.clear()
    outcome = attempt(fails(9), Relative(0.1))
    assert outcome.made is None
    assert len(tried) == 5
    assert "indefinite" in outcome.reason


@pytest.mark.parametrize(
    "error", [BreakdownError("X: indefinite"), MemoryError(), np.linalg.LinAlgError("no")]
)
def test_a_refresh_that_fails_keeps_the_last_good_inverse_and_says_so(monkeypatch, error):
    made = KFAC(LAYERS, inv_every=1)
    feed(made, 0)
    made.step(gradients(0))
    good = made.precondition(gradients(1))

    def broken(self, factor, damping=None):
        raise error

    monkeypatch.setattr(CholeskyInverse, "refresh", broken)
    feed(made, 1)
    directions = made.step(gradients(1))
    for name in ("first", "last"):
        health = made.health[name]
        assert (health.fallback, health.failed_refreshes, health.last_refresh) == ("last good inverse", 1, 0)
        assert type(error).__name__ in health.reason
        np.testing.assert_array_equal(directions[name][0], good[name][0])
    monkeypatch.undo()
    made.step(gradients(1))
    assert made.health["first"].fallback == ""
    assert made.health["first"].last_refresh == 2


def test_before_there_is_a_good_inverse_gradients_pass_through(monkeypatch):
    def broken(self, factor, damping=None):
        raise BreakdownError("X: indefinite")

    monkeypatch.setattr(CholeskyInverse, "refresh", broken)
    made = KFAC({"only": Dense(3, 2)})
    a, g = np.ones((4, 3), np.float32), np.ones((4, 2), np.float32)
    made.accumulate("only", a, g)
    given = {"only": (np.full((2, 3), 2.0, np.float32), np.full(2, 3.0, np.float32))}
    direction = made.step(given)["only"]
    np.testing.assert_array_equal(direction[0], given["only"][0])
    made.step({"only": (np.zeros((2, 3), np.float32), np.zeros(2, np.float32))})
    assert direction[0].min() == 2.0  # what was returned is not a buffer of the engine
    assert made.health["only"].fallback == "identity"
    assert "left factor" in made.health["only"].reason


@pytest.mark.parametrize("kind", [KFAC, EKFAC, RSKFAC, BrandKFAC])
def test_layers_without_statistics_are_left_alone(kind):
    made = kind(LAYERS, damping=0.01)
    made.accumulate("first", *batch(0)["first"])
    given = gradients(0)
    directions = made.step(given)
    for name in ("norm", "last"):
        for part, before in zip(directions[name], given[name], strict=True):
            np.testing.assert_array_equal(part, before)
        assert made.health[name].last_refresh is None
        assert "no statistics" in made.health[name].reason
    assert made.health["first"].last_refresh == 0


def test_no_damping_at_all_on_a_singular_factor_is_raised_and_reported():
    made = KFAC({"only": Dense(5, 4)}, damping=Exact(0.0), inverse="eigen")
    ((a, g),) = ((np.ones((1, 5), np.float32), np.ones((1, 4), np.float32)),)
    made.accumulate("only", a, g)
    direction = made.step({"only": (np.ones((4, 5)), np.ones(4))})["only"]
    assert np.isfinite(direction[0]).all()
    health = made.health["only"]
    assert health.fallback.startswith("damping x")
    assert "singular" in health.reason


def test_a_failing_damping_of_a_schedule_keeps_the_one_before():
    made = KFAC({"only": Dense(5, 4)}, damping=lambda step: Exact(0.1 if step == 0 else 0.0), inverse="eigen")
    made.accumulate("only", np.ones((1, 5), np.float32), np.ones((1, 4), np.float32))
    given = {"only": (np.ones((4, 5), np.float32), np.ones(4, np.float32))}
    first = made.step(given)["only"][0]
    np.testing.assert_array_equal(made.step(given)["only"][0], first)
    assert "singular" in made.health["only"].reason


@pytest.mark.parametrize("lag", [1, 3])
def test_a_worker_gives_what_was_there_when_it_started_lag_steps_later(lag):
    settings = {"rank": 2, "oversample": 1, "inv_every": 4, "stats_every": 1, "rng": 0}
    made = RSKFAC(LAYERS, asynchronous=True, lag=lag, **settings)
    plain = RSKFAC(LAYERS, **settings)
    inverses = []
    for k in range(12):
        feed(plain, k)
        plain.step(gradients(k))
        inverses.append(plain.precondition(gradients(99))["first"][0])
    seen = []
    for k in range(12):
        feed(made, k)
        made.step(gradients(k))
        seen.append(made.precondition(gradients(99))["first"][0])
    # The first refresh is waited for; later ones, at steps 4 and 8, are taken lag steps on.
    for k in range(12):
        source = k if k < 4 else k - lag if (k % 4) < lag else k
        np.testing.assert_array_equal(seen[k], inverses[max(0, source)])
    assert threading.active_count() >= 2


@pytest.mark.parametrize("kind", [KFAC, RSKFAC, EKFAC])
def test_nothing_of_the_size_of_a_batch_or_factor_is_allocated_after_the_first_batch(kind):
    made = kind({"only": Dense(300, 200)})
    rng = np.random.default_rng(0)
    a, g = (rng.standard_normal((500, d)).astype(np.float32) for d in (300, 200))
    made.accumulate("only", a, g)
    made.refresh()
    made.accumulate("only", a, g)  # the first with a basis, which E-KFAC has more work with
    tracemalloc.start()
    made.accumulate("only", a, g)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000  # a row of the batch alone is 1200 bytes, the batch 600 000


def test_a_damping_without_a_kind_is_refused():
    with pytest.raises(Exception, match="expected Tikhonov, Exact, Relative or Absolute"):
        KFAC(LAYERS, damping=Damping(0.1))


@pytest.mark.parametrize("kind", [KFAC, TridiagonalKFAC])
def test_a_damping_that_is_a_numpy_scalar_keeps_its_kind(kind):
    made = kind({"first": Dense(6, 4), "last": Dense(4, 3)}, damping=Tikhonov(0.1))
    made.damping = np.float32(0.25)
    assert made.damping == Tikhonov(0.25)


def test_moments_in_the_eigenbasis_refuse_a_damping_that_a_refresh_could_not_add():
    made = EKFAC(LAYERS)
    with pytest.raises(InputError, match="damping: E-KFAC takes Exact or Relative, got Tikhonov"):
        made.damping = Tikhonov(0.1)
    assert made.damping == Relative(0.1)
    made.refresh()


def test_a_damping_set_while_the_worker_is_at_it_reaches_what_it_makes():
    made = KFAC(LAYERS, inverse="eigen", inv_every=2, asynchronous=True)
    feed(made, 0)
    for step in range(3):
        made.step(gradients(step))  # the last one starts the worker
    made.damping = 10.0
    made.step(gradients(3))
    same = KFAC(LAYERS, inverse="eigen", damping=10.0)
    feed(same, 0)
    same.refresh()
    given = gradients(4)
    for name, parts in same.precondition(given).items():
        for wanted, got in zip(parts, made.precondition(given)[name], strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)


def test_a_state_after_a_refresh_in_float64_can_be_loaded(monkeypatch):
    settings = {"rank": 4, "oversample": 2}
    made, other = (RSKFAC({"wide": Dense(60, 3)}, **settings) for _ in range(2))
    rng = np.random.default_rng(0)
    made.accumulate("wide", *(rng.standard_normal((8, d)).astype(np.float32) for d in (60, 3)))
    pairs = LowRankInverse._pairs

    def wide_only(self, factor):
        if factor.dtype == np.float32:
            raise BreakdownError("X: indefinite")
        return pairs(self, factor)

    monkeypatch.setattr(LowRankInverse, "_pairs", wide_only)
    made.refresh()
    monkeypatch.undo()
    assert made.health["wide"].fallback == "float64"
    other.load_state_dict(made.state_dict())
    for engine in (made, other):
        engine.refresh()
    given = {"wide": (np.ones((3, 60), np.float32), np.ones(3, np.float32))}
    for one, two in zip(made.precondition(given)["wide"], other.precondition(given)["wide"], strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("scale", [1e18, 1e25, 1e37])
def test_a_clip_measures_what_has_squares_beyond_float32(scale):
    D = {"only": np.full((3, 4), scale, np.float32)}
    rms = RMSClip(0.07).scales(D, D, 1.0)["only"]
    kl = KLClip(1e-3).scales(D, D, 1.0)["only"]
    np.testing.assert_allclose([rms * scale, kl * scale * 12**0.5], [0.07, 1e-3**0.5], rtol=1e-6)


def test_directions_beyond_the_dtype_are_gradients_where_the_inverse_is_not():
    made = KFAC({"only": Dense(5, 4, bias=False)}, stats_every=1, inv_every=1)
    rng = np.random.default_rng(0)
    a, g = (rng.standard_normal((8, d)).astype(np.float32) for d in (5, 4))
    made.accumulate("only", a, g * np.float32(1e-22))
    np.testing.assert_array_equal(made.step({"only": g.T @ a})["only"], g.T @ a)
    assert made.health["only"].fallback == ""
    assert "overflows" in made.health["only"].reason
    assert np.isfinite(made.step({"only": g.T @ a * np.float32(1e-22)})["only"]).all()


def test_squares_beyond_the_dtype_are_averaged_in_the_eigenbasis():
    made = EKFAC({"only": Dense(3, 2, bias=False)}, stats_every=1, inv_every=1)
    rng = np.random.default_rng(0)
    a, g = rng.standard_normal((4, 3)).astype(np.float32), rng.standard_normal((4, 2)).astype(np.float32)
    made.accumulate("only", a, g)
    made.step({"only": np.ones((2, 3))})
    block = made.blocks["only"]
    P, Q = (side.U.astype(np.float64) for side in (block.base.inverse.left, block.base.inverse.right))
    assert made.accumulate("only", a * np.float32(1e10), g * np.float32(1e10)) is True
    S = ((g @ P) ** 2).T @ ((a @ Q) ** 2) / 4 * 0.05 * 1e40  # the first batch is rounding of it
    np.testing.assert_allclose(np.ldexp(block.moments.astype(np.float64), block.unit), S, rtol=1e-4)


def test_a_direction_that_overflows_is_the_gradient_and_said_to_be():
    made = KFAC({"only": Dense(3, 2, bias=False)}, damping=0.1, inverse="eigen")
    a, g = np.full((4, 3), 1e-3, np.float32), np.full((4, 2), 1e-3, np.float32)
    made.accumulate("only", a, g)
    given = np.full((2, 3), 3e38, np.float32)
    given[0, 0] = 0.0
    np.testing.assert_array_equal(made.step({"only": given})["only"], given)
    assert made.health["only"].skipped_gradients == 1
    assert "overflows" in made.health["only"].reason


@pytest.mark.parametrize("lr", [np.nan, np.inf, -1.0, None])
def test_a_step_size_that_is_none_is_refused(lr):
    made = KFAC(LAYERS)
    with pytest.raises(ValueError, match="lr"):
        made.step(gradients(0), lr=lr)
    assert made.step_count == 0


@pytest.mark.parametrize("error", [TypeError("oh"), RuntimeError("no"), KeyError("x")])
def test_nothing_a_refresh_meets_reaches_the_training_loop(monkeypatch, error):
    def broken(self, factor, damping=None):
        raise error

    monkeypatch.setattr(CholeskyInverse, "refresh", broken)
    made = KFAC({"only": Dense(3, 2)}, asynchronous=True)
    made.accumulate("only", np.ones((4, 3), np.float32), np.ones((4, 2), np.float32))
    made.refresh()
    assert type(error).__name__ in made.health["only"].reason


def test_a_basis_that_rounding_has_spoilt_is_renewed_like_any_other():
    # Inverses are copied on the way to new ones: what a checkpoint is refused for must not end training.
    made = RSKFAC({"only": Dense(59, 40)}, rank=5, oversample=2, inv_every=1, stats_every=1, rng=0)
    rng = np.random.default_rng(0)
    for step in range(3):
        a, g = (rng.standard_normal((20, d)).astype(np.float32) for d in (59, 40))
        assert made.accumulate("only", a, g)
        made.step({"only": (g.T @ a, g.sum(axis=0))})
        assert made.health["only"].last_refresh == step
        for side in (made._blocks["only"].inverse.left, made._blocks["only"].inverse.right):
            side.U = side.U * np.float32(1.01)
            twin = copy.copy(side)
            assert twin is not side
            assert np.shares_memory(twin.U, side.U)
            assert twin.state_dict().keys() == side.state_dict().keys()

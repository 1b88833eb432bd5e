# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Relative damping is free of scales, bit for bit by powers of two; pairs far below it do not count."""

import copy

import numpy as np
import pytest

from randnla import InputError
from randnla.curvature import (
    EKFAC,
    KFAC,
    RSKFAC,
    Absolute,
    BrandKFAC,
    Dense,
    Exact,
    KroneckerFactor,
    LowRankInverse,
    Relative,
    ScaleShift,
    TridiagonalKFAC,
)

ENGINES = {
    "cholesky": (KFAC, {}),
    "eigen": (KFAC, {"inverse": "eigen"}),
    "low rank": (RSKFAC, {"rank": 6, "oversample": 2}),
    "brand": (BrandKFAC, {"rank": 6, "oversample": 2}),
    "eigenbasis": (EKFAC, {}),
}


def refreshed(name, layer, power, damping):
    kind, settings = ENGINES[name]
    made = kind({"only": layer}, damping=damping, rng=0, **settings)
    rng = np.random.default_rng(0)
    a, g = (rng.standard_normal((30, d)).astype(np.float32) for d in (60, 50))
    unit = np.float32(2.0**power)
    made.accumulate("only", g if isinstance(layer, ScaleShift) else a, g[::-1] * unit)
    made.refresh()
    return made


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("damping", [Relative(0.1), Relative(1e-3)])
@pytest.mark.parametrize("power", [-90, -75, -62, -59, -31, -20, 40, 50])
def test_directions_of_scaled_gradients_are_scaled_upside_down(name, damping, power):
    # The curvature is 4^power times as large, the gradient 2^power times: 2^-90 squared is no float32.
    V = np.random.default_rng(1).standard_normal((50, 60)).astype(np.float32)
    plain, scaled = (refreshed(name, Dense(60, 50, bias=False), p, damping) for p in (0, power))
    unit = np.float32(2.0**power)
    made = scaled.precondition({"only": V * unit})["only"]
    np.testing.assert_array_equal(made * unit, plain.precondition({"only": V})["only"])
    shift = 3000 * 2 * power * np.log(2.0)
    assert scaled.logdet() == pytest.approx(plain.logdet() + shift, rel=1e-9)
    assert scaled.health["only"].fallback == ""
    assert scaled.health["only"].condition == pytest.approx(plain.health["only"].condition, rel=1e-6)
    # What is scaled inside is part of the state.
    kind, settings = ENGINES[name]
    other = kind({"only": Dense(60, 50, bias=False)}, damping=damping, rng=0, **settings)
    other.load_state_dict(scaled.state_dict())
    np.testing.assert_array_equal(other.precondition({"only": V * unit})["only"], made)


@pytest.mark.parametrize("powers", [(0, p) for p in (-90, -62, 20, 50)] + [(-90, 0), (50, 0), (-90, 10)])
def test_moments_in_the_eigenbasis_are_averaged_free_of_scales(powers):
    """Batches after the refresh, of another size than those before it."""
    V = np.random.default_rng(1).standard_normal((50, 60)).astype(np.float32)

    def steps(power):
        made = EKFAC({"only": Dense(60, 50, bias=False)}, damping=Relative(0.1), ema=0.5)
        for seed, change in enumerate(powers):
            rng = np.random.default_rng(seed)
            a, g = (rng.standard_normal((30, d)).astype(np.float32) for d in (60, 50))
            made.accumulate("only", a, g * np.float32(2.0 ** (change + power)))
            if seed == 0:
                made.refresh()
        made.damping = Relative(0.1)  # of the moments as they are now
        return made

    small, large = steps(0), steps(-10)
    unit = np.float32(2.0 ** max(powers))
    one, two = (made.precondition({"only": V * unit})["only"] for made in (small, large))
    np.testing.assert_array_equal(one * np.float32(2.0**20), two)
    assert large.logdet() == pytest.approx(small.logdet() - 3000 * 20 * np.log(2.0), rel=1e-9)
    # In float64, from what was averaged.
    block = small.blocks["only"]
    S = np.ldexp(block.moments.astype(np.float64), block.unit)
    P, Q = (side.U.astype(np.float64) for side in (block.base.inverse.left, block.base.inverse.right))
    damped = S + 0.1 * S.max()
    expected = P @ ((P.T @ (V * float(unit)) @ Q) / damped) @ Q.T
    np.testing.assert_allclose(one, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())
    other = EKFAC({"only": Dense(60, 50, bias=False)}, damping=Relative(0.1), ema=0.5)
    other.load_state_dict(small.state_dict())
    np.testing.assert_array_equal(other.precondition({"only": V * unit})["only"], one)


@pytest.mark.parametrize("power", [-90, -62, -31, 40, 50])
@pytest.mark.parametrize("damping", [Relative(0.1), Relative(1e-3)])
def test_a_chain_is_free_of_scales(power, damping):
    layers = {"first": Dense(20, 15, bias=False), "second": Dense(15, 10)}
    rng = np.random.default_rng(0)
    rows = [rng.standard_normal((200, d)).astype(np.float32) for d in (20, 15, 15, 10)]
    V = {"first": rng.standard_normal((15, 20)).astype(np.float32)}
    V["second"] = rng.standard_normal((10, 15)).astype(np.float32), np.ones(10, np.float32)

    def scaled(tree, unit):
        return {k: tuple(x * unit for x in v) if isinstance(v, tuple) else v * unit for k, v in tree.items()}

    def made(power):
        chain, unit = TridiagonalKFAC(layers, damping=damping), np.float32(2.0**power)
        a, g, b, h = rows
        chain.accumulate({"first": (a, g * unit), "second": (b, h * unit)})
        chain.refresh()
        return chain, chain.precondition(scaled(V, unit))

    (plain, wanted), (chain, got) = made(0), made(power)
    assert chain.health["first"].fallback == chain.health["second"].fallback == ""
    back = scaled(got, np.float32(2.0**power))
    np.testing.assert_allclose(back["first"], wanted["first"], rtol=1e-5, atol=1e-6)
    for one, two in zip(back["second"], wanted["second"], strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    shift = (300 + 160) * 2 * power * np.log(2.0)
    assert chain.logdet() == pytest.approx(plain.logdet() + shift, rel=1e-8)


@pytest.mark.parametrize("power", [-90, -62, 50])
def test_normalizations_are_free_of_scales(power):
    layer, unit = ScaleShift(50, channel_axis=-1), np.float32(2.0**power)
    V = np.random.default_rng(1).standard_normal((2, 50)).astype(np.float32)
    plain, scaled = (refreshed("cholesky", layer, p, Relative(0.1)) for p in (0, power))
    made = np.stack(scaled.precondition({"only": tuple(V * unit)})["only"])
    np.testing.assert_array_equal(made * unit, np.stack(plain.precondition({"only": tuple(V)})["only"]))


@pytest.mark.parametrize("name", ["cholesky", "eigen"])
def test_a_damping_that_is_not_free_of_scales_takes_over_from_tiny_curvature(name):
    made = refreshed(name, Dense(60, 50, bias=False), -90, Absolute(0.25))
    A = np.random.default_rng(0).standard_normal((30, 60)).astype(np.float32).astype(float)
    V = np.random.default_rng(1).standard_normal((50, 60))
    expected = V @ np.linalg.inv(A.T @ A / 30 + 0.25 * np.eye(60)) / 0.25
    direction = made.precondition({"only": V.astype(np.float32)})["only"]
    # eps times the condition of the damped A, some 50, and a sum of 60 terms.
    np.testing.assert_allclose(direction, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["eigen", "low rank", "brand", "eigenbasis"])
def test_an_exact_damping_takes_over_from_tiny_curvature(name):
    made = refreshed(name, Dense(60, 50, bias=False), -90, Exact(0.125))
    V = np.random.default_rng(1).standard_normal((50, 60)).astype(np.float32)
    np.testing.assert_allclose(made.precondition({"only": V})["only"], 8 * V, rtol=1e-4, atol=1e-4)


# -- pairs that the damping hides ------------------------------------------------------------------------


def decaying(d=300, n=200):
    factor = KroneckerFactor(d, dtype=np.float64)
    rng = np.random.default_rng(0)
    factor.update(rng.standard_normal((n, d)) / (np.arange(d) + 1.0))
    return factor


@pytest.mark.parametrize("continuation", ["trace", "none", "min"])
@pytest.mark.parametrize("delta", [0.3, 0.03, 0.01])
def test_what_is_left_to_the_tail_changes_the_inverse_by_its_share_of_the_damping(continuation, delta):
    factor, damping = decaying(), 0.05
    inverse = LowRankInverse(60, continuation=continuation, rng=0)
    inverse.refresh(factor, damping)
    whole = copy.copy(inverse)
    inverse.leave_to_tail(delta * damping)
    assert inverse.s.size == np.count_nonzero(whole.s > delta * damping) < 60
    # Dropped eigenvalues and both tails lie in [0, delta damping]: so do their differences, and
    # 1 / (s + lambda) changes by a share of at most delta.
    eye = np.eye(300)
    root = np.linalg.cholesky(np.linalg.inv(whole.apply(eye)))
    relative = root.T @ inverse.apply(eye) @ root - eye
    assert np.linalg.norm(relative, 2) <= delta * (1 + 1e-9)
    assert inverse.info.error_relative > whole.info.error_relative
    if continuation == "trace":
        total = inverse.s.sum() + inverse.tail * (300 - inverse.s.size)
        assert total == pytest.approx(factor.trace, rel=1e-12)
    inverse.leave_to_tail(0.0)
    np.testing.assert_array_equal(inverse.s, whole.s)
    np.testing.assert_array_equal(inverse.apply(eye), whole.apply(eye))


def test_refreshes_begin_from_all_pairs_and_states_hold_them():
    one, two = (LowRankInverse(20, rng=0) for _ in range(2))
    for inverse in (one, two):
        inverse.refresh(decaying(), 0.05)
    one.leave_to_tail(0.01)
    other = LowRankInverse.from_state_dict(one.state_dict())
    for inverse in (one, two, other):
        inverse.refresh(decaying(n=150), 0.05)
    np.testing.assert_array_equal(one.U, two.U)
    np.testing.assert_array_equal(one.s, other.s)
    assert one.info.path == two.info.path == other.info.path == "warm"


def test_engines_apply_the_pairs_that_the_damping_shows():
    def engine(**settings):
        made = RSKFAC({"only": Dense(299, 200)}, rank=40, damping=0.1, rng=0, **settings)
        rng = np.random.default_rng(0)
        a = rng.standard_normal((64, 299)) / (np.arange(299) + 1.0)
        made.accumulate("only", a, rng.standard_normal((64, 200)) / (np.arange(200) + 1.0))
        made.refresh()
        return made

    V = np.random.default_rng(1).standard_normal((200, 299)), np.ones(200)
    made, whole = engine(), engine(negligible=0.0)
    pairs = [made.blocks["only"].inverse.left.s.size, whole.blocks["only"].inverse.left.s.size]
    assert pairs[0] < pairs[1] == 40
    one, two = (np.column_stack(each.precondition({"only": V})["only"]) for each in (made, whole))
    assert np.linalg.norm(one - two) <= 0.02 * np.linalg.norm(two)  # a hundredth a side
    assert made.health["only"].truncated > whole.health["only"].truncated
    for each in (made, whole):
        each.damping = 1e-3  # what the larger damping has hidden is there
    sizes = [each.blocks["only"].inverse.left.s.size for each in (made, whole)]
    assert sizes == [40, 40]
    with pytest.raises(InputError, match="negligible"):
        engine(negligible=1.5)

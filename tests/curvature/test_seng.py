# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Empirical Fisher matrices inverted in the space of the samples: against dense ones, and sketches."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from randnla._backend import state as plain_state
from randnla._backend.errors import InputError, StateError
from randnla.curvature import (
    SENG,
    Absolute,
    Conv2d,
    Dense,
    Embedding,
    Exact,
    Relative,
    ScaleShift,
    Tikhonov,
)
from randnla.curvature.sample_space.sample_gradients import (
    CoordinateSketch,
    FormedGradients,
    SampleGradients,
    concatenated,
    sample_gradients,
)

N = 12


def dense_batch(rng, n=N, inputs=5, outputs=4, uses=()):
    return rng.standard_normal((n, *uses, inputs)), rng.standard_normal((n, *uses, outputs))


def dense_rows(a, g, *, bias=True):
    """vec(g_i a_i^T) / sqrt(n), summed over the uses of every sample."""
    n = len(a)
    a, g = a.reshape(n, -1, a.shape[-1]), g.reshape(n, -1, g.shape[-1])
    if bias:
        a = np.concatenate([a, np.ones((*a.shape[:2], 1))], axis=2)
    return np.einsum("nur,nuc->nrc", g, a).reshape(n, -1) / np.sqrt(n)


def conv_rows(a, g, kernel, padding):
    """The gradient of a convolution with respect to its weight and bias, sample by sample, by definition."""
    n, channels = a.shape[:2]
    padded = np.pad(a, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    weight = np.zeros((n, g.shape[1], channels, kernel, kernel))
    for i in range(kernel):
        for j in range(kernel):
            seen = padded[:, :, i : i + g.shape[2], j : j + g.shape[3]]
            weight[:, :, :, i, j] = np.einsum("nohw,nchw->noc", g, seen)
    bias = g.sum(axis=(2, 3))
    rows = np.concatenate([weight.reshape(n, g.shape[1], -1), bias[..., None]], axis=2)
    return rows.reshape(n, -1) / np.sqrt(n)


def applied(U, V, shift):
    return np.linalg.solve(U.T @ U + shift * np.eye(U.shape[1]), V.ravel()).reshape(V.shape)


def gradient(rng, rows=4, columns=6):
    V = rng.standard_normal((rows, columns))
    return V, (V[:, :-1].copy(), V[:, -1].copy())


DAMPING = Absolute(0.3)


def engine_of(layer, damping=DAMPING, **settings):
    return SENG({"w": layer}, damping=damping, dtype=np.float64, rng=0, **settings)


def together(pair):
    weight, bias = pair
    return np.concatenate([weight.reshape(len(bias), -1), bias[:, None]], axis=1)


@pytest.mark.parametrize("damping", [Absolute(0.3), Relative(0.2), Exact(0.3)], ids=str)
def test_the_direction_is_that_of_the_dense_fisher_matrix(damping) -> None:
    rng = np.random.default_rng(0)
    a, g = dense_batch(rng)
    U = dense_rows(a, g)
    shift = damping.value * (np.linalg.norm(U, 2) ** 2 if isinstance(damping, Relative) else 1.0)
    engine = engine_of(Dense(5, 4), damping)
    assert engine.accumulate("w", a, g)
    V, pair = gradient(rng)
    direction = together(engine.step({"w": pair})["w"])
    np.testing.assert_allclose(direction, applied(U, V, shift), rtol=1e-10, atol=1e-12)
    F = U.T @ U + shift * np.eye(24)
    assert engine.logdet() == pytest.approx(np.linalg.slogdet(F)[1], rel=1e-11)
    assert engine.quadform({"w": pair}) == pytest.approx(V.ravel() @ direction.ravel(), rel=1e-10)
    assert engine.health["w"].condition == pytest.approx(np.linalg.cond(F), rel=1e-9)


@pytest.mark.parametrize("rank", [None, 3, 16])
@pytest.mark.parametrize("uses", [(3,), (2, 20)])
def test_several_uses_of_a_sample_are_added_up(uses, rank) -> None:
    rng = np.random.default_rng(0)
    a, g = dense_batch(rng, uses=uses)
    engine = engine_of(Dense(5, 4), rank=rank)
    engine.accumulate("w", a, g)
    V, pair = gradient(rng)
    # rank 3 of 4 outputs is more than the gradient itself takes: nothing is left out.
    wanted = applied(dense_rows(a, g), V, 0.3)
    np.testing.assert_allclose(together(engine.step({"w": pair})["w"]), wanted, rtol=1e-10, atol=1e-12)
    assert engine.health["w"].truncated == 0.0


@pytest.mark.parametrize("rank", [None, 16])
def test_convolutions_are_exact_where_all_terms_are_kept(rank) -> None:
    rng = np.random.default_rng(0)
    a, g = rng.standard_normal((6, 3, 7, 7)), rng.standard_normal((6, 5, 7, 7))
    U = conv_rows(a, g, 3, 1)
    engine = engine_of(Conv2d(3, 5, kernel=3, padding=1), rank=rank)
    engine.accumulate("w", a, g)
    V, _ = gradient(rng, 5, 28)
    pair = V[:, :-1].reshape(5, 3, 3, 3).copy(), V[:, -1].copy()
    found = together(engine.step({"w": pair})["w"])
    np.testing.assert_allclose(found, applied(U, V, 0.3), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("uses", "outputs"), [(30, 12), (12, 30)])
def test_terms_left_out_are_the_smallest_singular_ones(uses, outputs) -> None:
    rng = np.random.default_rng(0)
    a, g = rng.standard_normal((7, uses, 25)), rng.standard_normal((7, uses, outputs))
    made, left_out = sample_gradients(a, g, 4)
    assert isinstance(made, SampleGradients)
    assert made.a.shape == (7, 4, 25)
    squares = kept = 0.0
    rows = []
    for A, G in zip(a, g, strict=True):
        P, s, Qt = np.linalg.svd(G, full_matrices=False)
        squares, kept = squares + (s**2).sum(), kept + (s[:4] ** 2).sum()
        rows.append((((P[:, :4] * s[:4]) @ Qt[:4]).T @ A).ravel() / np.sqrt(7))
    np.testing.assert_allclose(made.to_dense(), rows, rtol=1e-9, atol=1e-11)
    assert left_out == pytest.approx(1 - kept / squares, rel=1e-9)


def test_a_gradient_of_low_rank_loses_nothing() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((5, 40, 30))
    g = rng.standard_normal((5, 40, 2)) @ rng.standard_normal((5, 2, 30))
    made, left_out = sample_gradients(a, g, 3)
    assert isinstance(made, SampleGradients)
    # eigenvalues of the squares are rounded by eps.
    assert left_out <= 1e-12
    np.testing.assert_allclose(made.to_dense(), dense_rows(a, g, bias=False), rtol=1e-7, atol=1e-7)


def made_gradients(kind, rng):
    if kind == "formed":
        return FormedGradients(rng.standard_normal((6, 4, 5)), rng.random(6))
    terms = 1 if kind == "one term" else 3
    a, g = rng.standard_normal((6, terms, 5)), rng.standard_normal((6, terms, 4))
    return SampleGradients(a, g, rng.random(6))


@pytest.mark.parametrize("kind", ["one term", "several terms", "formed"])
def test_products_are_adjoint_and_agree_with_the_matrix(kind) -> None:
    rng = np.random.default_rng(0)
    gradients = made_gradients(kind, rng)
    U, V, c = gradients.to_dense(), rng.standard_normal((4, 5)), rng.standard_normal(6)
    np.testing.assert_allclose(gradients.gram(), U @ U.T, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(gradients.dot(V), U @ V.ravel(), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(gradients.combine(c).ravel(), U.T @ c, rtol=1e-12, atol=1e-13)
    assert gradients.dot(V) @ c == pytest.approx(np.sum(V * gradients.combine(c)), rel=1e-12)


def every_sketch(dim, size):
    return [CoordinateSketch(dim, np.array(chosen)) for chosen in combinations(range(dim), size)]


@pytest.mark.parametrize("kind", ["one term", "several terms"])
def test_sketched_gram_matrices_and_products_are_unbiased(kind) -> None:
    """The mean over all choices of coordinates, which are equally likely, is the exact value."""
    rng = np.random.default_rng(0)
    plain = made_gradients(kind, rng)
    V, c = rng.standard_normal((4, 5)), rng.standard_normal(6)
    grams, products, adjoints = [], [], []
    for rows in every_sketch(4, 2):
        for columns in every_sketch(5, 3):
            sketched = SampleGradients(plain.a, plain.g, plain.weights, (rows, columns))
            grams.append(sketched.gram())
            products.append(sketched.dot(V))
            adjoints.append(sketched.combine(c))
    np.testing.assert_allclose(np.mean(grams, axis=0), plain.gram(), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(np.mean(products, axis=0), plain.dot(V), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(adjoints, [plain.combine(c)] * len(adjoints), rtol=1e-14)
    assert max(np.abs(gram - plain.gram()).max() for gram in grams) > 0.1 * np.abs(plain.gram()).max()


@pytest.mark.parametrize("size", [1, 3, 7])
def test_a_coordinate_sketch_is_adjoint_and_has_the_identity_for_mean(size) -> None:
    rng = np.random.default_rng(0)
    sketches = every_sketch(7, size)
    dense = [sketch.apply(np.eye(7)) for sketch in sketches]
    np.testing.assert_allclose(np.mean([S @ S.T for S in dense], axis=0), np.eye(7), atol=1e-13)
    x, y = rng.standard_normal(7), rng.standard_normal(size)
    for sketch, S in zip(sketches, dense, strict=True):
        assert (sketch.apply(x) @ y) == pytest.approx(x @ (S @ y), rel=1e-12)
    drawn = CoordinateSketch.drawn(7, size, np.random.default_rng(0))
    assert len(np.unique(drawn.indices)) == size


def test_a_sketch_of_all_coordinates_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    a, g = dense_batch(rng)
    plain, whole, part = (
        engine_of(Dense(5, 4)),
        engine_of(Dense(5, 4), sketch=6),
        engine_of(Dense(5, 4), sketch=2),
    )
    _, pair = gradient(rng)
    found = []
    for engine in (plain, whole, part):
        engine.accumulate("w", a, g)
        found.append(together(engine.step({"w": pair})["w"]))
    assert np.array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2])
    again = engine_of(Dense(5, 4), sketch=2)
    again.accumulate("w", a, g)
    assert np.array_equal(together(again.step({"w": pair})["w"]), found[2])


@pytest.mark.parametrize("sketch", [None, 8])
def test_the_quadratic_form_is_that_of_the_direction(sketch) -> None:
    rng = np.random.default_rng(0)
    a, g = dense_batch(rng, 20, 25, 30)
    V = rng.standard_normal((30, 25))
    for seed in range(40):
        layers = {"w": Dense(25, 30, bias=False)}
        engine = SENG(layers, damping=Relative(0.1), sketch=sketch, dtype=np.float64, rng=seed)
        engine.accumulate("w", a, g)
        engine.refresh()
        direction = np.asarray(engine.precondition({"w": V})["w"])
        scale = np.linalg.norm(V) * np.linalg.norm(direction)
        assert abs(engine.quadform({"w": V}) - float((V * direction).sum())) <= 1e-13 * scale


def test_a_window_averages_batches_with_falling_weights() -> None:
    rng = np.random.default_rng(0)
    batches = [dense_batch(rng, n) for n in (5, 8, 6, 7)]
    engine = engine_of(Dense(5, 4), window=3, ema=0.5)
    for a, g in batches:
        engine.accumulate("w", a, g)
    weights = np.array([0.25, 0.5, 1.0]) / 1.75
    U = np.concatenate(
        [np.sqrt(w) * dense_rows(a, g) for w, (a, g) in zip(weights, batches[1:], strict=True)]
    )
    V, pair = gradient(rng)
    np.testing.assert_allclose(
        together(engine.step({"w": pair})["w"]), applied(U, V, 0.3), rtol=1e-10, atol=1e-12
    )
    some = made_gradients("formed", rng)
    assert concatenated([(some, 1.0)]) is some
    twice = concatenated([(some, 0.5), (some, 0.5)])
    np.testing.assert_allclose(twice.combine(twice.dot(some.u[0])), some.combine(some.dot(some.u[0])))


def test_another_damping_needs_no_refresh() -> None:
    rng = np.random.default_rng(0)
    a, g = dense_batch(rng)
    engine = engine_of(Dense(5, 4))
    engine.accumulate("w", a, g)
    V, pair = gradient(rng)
    engine.step({"w": pair})
    engine.damping = 2.0
    assert engine.damping == Absolute(2.0)
    wanted = applied(dense_rows(a, g), V, 2.0)
    np.testing.assert_allclose(
        together(engine.precondition({"w": pair})["w"]), wanted, rtol=1e-11, atol=1e-13
    )


def test_a_small_damping_keeps_its_digits_in_float32() -> None:
    """V in the range of U is divided by s + lambda: what cancels must be computed in float64."""
    rng = np.random.default_rng(0)
    a, g = (x.astype(np.float32) for x in dense_batch(rng, 3))
    engine = SENG({"w": Dense(5, 4)}, damping=Absolute(1e-6))
    engine.accumulate("w", a, g)
    U = dense_rows(a.astype(float), g.astype(float))
    V = (U.T @ np.ones(3)).reshape(4, 6).astype(np.float32)
    pair = V[:, :-1].copy(), V[:, -1].copy()
    wanted = applied(U, V.astype(float), 1e-6)
    # Only what comes out is rounded to float32.
    error = np.abs(together(engine.step({"w": pair})["w"]) - wanted).max()
    assert error <= 1e-6 * np.abs(wanted).max()


def test_without_damping_the_ladder_adds_some() -> None:
    rng = np.random.default_rng(0)
    a, g = dense_batch(rng)
    engine = engine_of(Dense(5, 4), Absolute(0.0))
    engine.accumulate("w", a, g)
    _, pair = gradient(rng)
    assert np.isfinite(together(engine.step({"w": pair})["w"])).all()
    assert engine.health["w"].fallback == "damping x 10"
    assert engine.health["w"].reason.startswith("BreakdownError: damping: expected a positive number")


def test_batches_with_nan_change_nothing() -> None:
    rng = np.random.default_rng(0)
    a, g = dense_batch(rng)
    engine = engine_of(Dense(5, 4))
    engine.accumulate("w", a, g)
    before = engine.state_dict()
    g[3, 2] = np.nan
    assert not engine.accumulate("w", a, g)
    after = engine.state_dict()
    assert all(np.array_equal(before[k], after[k]) for k in before.keys() - {"digest", "health"})
    assert engine.health["w"].skipped_statistics == 1


@pytest.mark.parametrize("sketch", [None, 3])
def test_a_state_goes_on_bit_for_bit(sketch) -> None:
    rng = np.random.default_rng(0)
    layers = {
        "dense": Dense(5, 4),
        "conv": Conv2d(2, 9, kernel=3),
        "formed": Conv2d(1, 2, kernel=3),
        "table": Embedding(8, 3),
        "norm": ScaleShift(4),
    }

    def made():
        return SENG(layers, damping=0.2, rank=2, sketch=sketch, window=2, stats_every=1, inv_every=2, rng=3)

    def batch():
        return {
            "dense": dense_batch(rng),
            "conv": (rng.standard_normal((N, 2, 6, 6)), rng.standard_normal((N, 9, 4, 4))),
            "formed": (rng.standard_normal((N, 1, 6, 6)), rng.standard_normal((N, 2, 4, 4))),
            "table": (rng.integers(0, 8, N), rng.standard_normal((N, 3))),
            "norm": (rng.standard_normal((N, 4)), rng.standard_normal((N, 4))),
        }

    grads = {
        "dense": gradient(rng)[1],
        "conv": (rng.standard_normal((9, 2, 3, 3)), rng.standard_normal(9)),
        "formed": (rng.standard_normal((2, 1, 3, 3)), rng.standard_normal(2)),
        "table": rng.standard_normal((8, 3)),
        "norm": (rng.standard_normal(4), rng.standard_normal(4)),
    }

    def advance(engines, batches):
        for one in batches:
            directions = []
            for engine in engines:
                for name, (a, g) in one.items():
                    assert engine.accumulate(name, a, g)
                directions.append(engine.step(grads))
        return directions

    batches = [batch() for _ in range(5)]
    whole, half = made(), made()
    advance((whole, half), batches[:3])
    resumed = made()
    resumed.load_state_dict(half.state_dict())
    wanted, found = advance((whole, resumed), batches[3:])
    for name in layers:
        for x, y in zip(wanted[name], found[name], strict=True):
            assert np.array_equal(x, y), name
    other = SENG(layers, damping=0.2, rank=3, sketch=sketch, window=2)
    with pytest.raises(StateError, match="rank: expected 3, got 2"):
        other.load_state_dict(half.state_dict())
    state = half.state_dict()
    cut = {key: value for key, value in state.items() if not key.endswith("solved/values")}
    with pytest.raises(StateError, match="values: missing field"):
        made().load_state_dict(plain_state.seal(cut))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: engine_of(Dense(2, 2), Tikhonov(0.1)), "damping: expected Absolute, Exact or Relative"),
        (lambda: engine_of(Dense(2, 2), rank=0), "rank: expected an integer >= 1"),
        (lambda: engine_of(Dense(2, 2), sketch=0), "sketch: expected an integer >= 1"),
        (lambda: engine_of(Dense(2, 2), window=0), "window: expected an integer >= 1"),
    ],
)
def test_arguments_that_do_not_fit_are_named(call, message) -> None:
    with pytest.raises(InputError, match=message):
        call()

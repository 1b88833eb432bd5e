# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The curvature engine against dense inverses, and what K-FAC is known to be exact or invariant for."""

import io

import numpy as np
import pytest

from randnla._backend.errors import InputError, StateError
from randnla.curvature import (
    EKFAC,
    KFAC,
    RSKFAC,
    SREKFAC,
    Absolute,
    BrandKFAC,
    Conv2d,
    Dense,
    Embedding,
    Every,
    Exact,
    KLClip,
    Piecewise,
    Relative,
    RMSClip,
    ScaleShift,
    Tikhonov,
)

FORMS = (Exact, Tikhonov, Relative, Absolute)
ENGINES = (KFAC, RSKFAC, SREKFAC, BrandKFAC)


def damped(L, R, form, value):
    """The dense product of two factors with one of the dampings, by its definition."""
    m, n = len(L), len(R)
    if form is Exact:
        return np.kron(L, R) + value * np.eye(m * n)
    if form is Tikhonov:
        pi = np.sqrt((np.trace(L) / m) / (np.trace(R) / n))
        shifts = np.sqrt(value) * pi, np.sqrt(value) / pi
    elif form is Relative:
        shifts = value * np.linalg.norm(L, 2), value * np.linalg.norm(R, 2)
    else:
        shifts = value, value
    return np.kron(L + shifts[0] * np.eye(m), R + shifts[1] * np.eye(n))


def batches(count, inputs, outputs, n=9, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return [
        (rng.standard_normal((n, inputs)).astype(dtype), rng.standard_normal((n, outputs)).astype(dtype))
        for _ in range(count)
    ]


def averaged(pairs, ema):
    """Factors with the bias's 1, debiased, from their definition."""
    total, L, R = 0.0, 0.0, 0.0
    for a, g in pairs:
        a = np.column_stack([a, np.ones(len(a))])
        total, L, R = (
            ema * total + 1 - ema,
            ema * L + (1 - ema) * g.T @ g / len(g),
            ema * R + (1 - ema) * a.T @ a / len(a),
        )
    return L / total, R / total


def joined(direction):
    return np.column_stack(direction)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("inverse", ["cholesky", "eigen"])
def test_a_small_layer_is_inverted_as_the_dense_product_is(engine, form, inverse):
    made = engine({"only": Dense(7, 5)}, damping=form(0.03), inverse=inverse, dtype=np.float64, ema=0.8)
    pairs = batches(3, 7, 5)
    for a, g in pairs:
        assert made.accumulate("only", a, g)
    rng = np.random.default_rng(1)
    gradient = rng.standard_normal((5, 7)), rng.standard_normal(5)
    direction = joined(made.step({"only": gradient})["only"])
    F = damped(*averaged(pairs, 0.8), form, 0.03)
    V = joined(gradient)
    expected = np.linalg.solve(F, V.ravel()).reshape(V.shape)
    np.testing.assert_allclose(direction, expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())
    assert made.logdet() == pytest.approx(np.linalg.slogdet(F)[1], rel=1e-10)
    assert made.quadform({"only": gradient}) == pytest.approx(V.ravel() @ expected.ravel(), rel=1e-10)
    health = made.health["only"]
    assert (health.fallback, health.last_refresh) == ("", 0)


@pytest.mark.parametrize("value", [1e-4, 0.5])
def test_all_dampings_coincide_for_multiples_of_the_identity(value):
    # L = alpha I, R = beta I: (alpha + s)(beta + t) = alpha beta + lambda once the scales are matched.
    alpha, beta = 4.0, 0.25
    a, g = np.sqrt(6 * beta) * np.eye(6), np.sqrt(6 * alpha) * np.eye(6)
    results = []
    for form in (Relative, Tikhonov, Absolute, Exact):
        lam = value
        if form is Tikhonov:
            lam = (value * np.sqrt(alpha * beta)) ** 2
        elif form is Exact:
            lam = alpha * beta * ((1 + value) ** 2 - 1)
        elif form is Absolute:
            continue
        made = KFAC({"only": Dense(6, 6, bias=False)}, damping=form(lam), dtype=np.float64)
        made.accumulate("only", a, g)
        results.append(made.step({"only": np.ones((6, 6))})["only"])
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], rtol=1e-12)


@pytest.mark.parametrize("engine", [*ENGINES, EKFAC])
def test_independent_inputs_and_gradients_make_the_product_the_exact_fisher_matrix(engine):
    # As in deep linear networks with Gaussian data: here all pairs of p inputs and q gradients.
    rng = np.random.default_rng(0)
    a, g = rng.standard_normal((8, 3)), rng.standard_normal((6, 4))
    pairs = [(x, y) for x in a for y in g]
    A, G = np.array([x for x, _ in pairs]), np.array([y for _, y in pairs])
    per_sample = np.array([np.outer(y, x).ravel() for x, y in pairs])
    F = per_sample.T @ per_sample / len(pairs)
    made = engine({"only": Dense(3, 4, bias=False)}, damping=Exact(1e-3), dtype=np.float64)
    made.accumulate("only", A, G)
    V = rng.standard_normal((4, 3))
    expected = np.linalg.solve(F + 1e-3 * np.eye(12), V.ravel()).reshape(4, 3)
    np.testing.assert_allclose(made.step({"only": V})["only"], expected, rtol=1e-9)


def test_the_undamped_direction_does_not_depend_on_affine_coordinates_of_the_inputs():
    # x' = x T: weights W' = W T^-T, gradients V' = V T; the step in function space is the same.
    rng = np.random.default_rng(0)
    a, g = rng.standard_normal((40, 5)), rng.standard_normal((40, 3))
    T, shift = rng.standard_normal((5, 5)), rng.standard_normal(5)
    steps = []
    for x in (a, a @ T + shift):
        made = KFAC({"only": Dense(5, 3)}, damping=Exact(0.0), inverse="eigen", dtype=np.float64)
        made.accumulate("only", x, g)
        W, b = made.step({"only": (g.T @ x, g.sum(axis=0))})["only"]
        steps.append(x @ W.T + b)
    np.testing.assert_allclose(steps[1], steps[0], rtol=1e-9)


@pytest.mark.parametrize("engine", [*ENGINES, EKFAC])
@pytest.mark.parametrize(
    ("inputs", "outputs", "n", "zero"),
    [
        (1, 1, 1, ""),
        (1, 4, 1, ""),
        (4, 1, 1, ""),
        (4, 3, 1, ""),
        (4, 3, 5, "a"),
        (4, 3, 5, "g"),
        (4, 3, 5, "ag"),
    ],
)
def test_degenerate_factors_give_finite_directions(engine, inputs, outputs, n, zero):
    made = engine({"only": Dense(inputs, outputs)}, damping=Relative(0.1))
    ((a, g),) = batches(1, inputs, outputs, n, dtype=np.float32)
    a, g = (0 * a if "a" in zero else a), (0 * g if "g" in zero else g)
    assert made.accumulate("only", a, g)
    direction = made.step({"only": (np.ones((outputs, inputs)), np.ones(outputs))})["only"]
    assert all(np.isfinite(part).all() for part in direction)
    assert made.health["only"].fallback == ""


LAYERS = {
    "conv": Conv2d(2, 3, 3, padding=1),
    "norm": ScaleShift(3),
    "table": Embedding(11, 4),
    "dense": Dense(30, 6),
}


def network_batch(seed, n=5, dtype=np.float32):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    data = {
        "conv": (draw(n, 2, 4, 4), draw(n, 3, 4, 4)),
        "norm": (draw(n, 3, 4, 4), draw(n, 3, 4, 4)),
        "table": (rng.integers(0, 11, (n, 7)), draw(n, 7, 4)),
        "dense": (draw(n, 30), draw(n, 6)),
    }
    gradients = {
        "conv": (draw(3, 2, 3, 3), draw(3)),
        "norm": (draw(3), draw(3)),
        "table": draw(11, 4),
        "dense": (draw(6, 30), draw(6)),
    }
    return data, gradients


def run(made, steps, start=0):
    results = []
    for k in range(start, start + steps):
        data, gradients = network_batch(k)
        if made.statistics_due:
            for name, (a, g) in data.items():
                made.accumulate(name, a, g)
        results.append(made.step(gradients, lr=0.1))
    return results


def flat(results):
    return np.concatenate(
        [
            np.concatenate([p.ravel() for p in (v if isinstance(v, tuple) else (v,))])
            for r in results
            for v in r.values()
        ]
    )


SETTINGS = {
    "cholesky": (KFAC, {}),
    "eigen": (KFAC, {"damping": Exact(0.01)}),
    "low rank": (RSKFAC, {"rank": 4, "oversample": 2}),
    "published": (RSKFAC, {"rank": 4, "oversample": 2, **RSKFAC.PUBLISHED}),
    "ritz": (SREKFAC, {"rank": 4, "oversample": 2, "clip": KLClip()}),
    "eigenbasis": (EKFAC, {}),
    "brand": (BrandKFAC, {"rank": 4, "oversample": 2}),
    "corrected": (BrandKFAC, {"rank": 4, "oversample": 2, "overwrite_every": 2, "correct": 0.5}),
    "worker": (RSKFAC, {"rank": 4, "oversample": 2, "asynchronous": True, "lag": 2}),
    "scheduled": (KFAC, {"damping": Piecewise({0: 0.1, 5: 0.01}), "clip": RMSClip()}),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_saved_engine_resumes_bit_for_bit(name):
    kind, settings = SETTINGS[name]
    made = kind(LAYERS, stats_every=2, inv_every=3, **settings)
    run(made, 7)
    file = io.BytesIO()
    np.savez(file, **made.state_dict())
    file.seek(0)
    other = kind(LAYERS, stats_every=2, inv_every=3, **settings)
    with np.load(file) as state:
        other.load_state_dict(dict(state))
    assert other.step_count == 7
    np.testing.assert_array_equal(flat(run(other, 6, 7)), flat(run(made, 6, 7)))
    assert other.health == made.health


def test_states_of_other_engines_are_refused_and_change_nothing():
    made = KFAC(LAYERS)
    run(made, 2)
    before = made.state_dict()["digest"]
    state = made.state_dict()
    other = KFAC({"dense": Dense(30, 6)})
    with pytest.raises(StateError, match="names"):
        other.load_state_dict(state)
    with pytest.raises(StateError, match="kind"):
        EKFAC(LAYERS).load_state_dict(state)
    for key in ("step_count", "0/left/count", "3/inverse/right/matrix"):
        with pytest.raises(StateError, match="digest"):
            made.load_state_dict({**state, key: state[key] + 1})
        missing = {name: value for name, value in state.items() if name != key}
        with pytest.raises(StateError, match=r"digest|missing"):
            made.load_state_dict(missing)
    assert made.state_dict()["digest"] == before


@pytest.mark.parametrize("settings", [{"damping": Exact(0.1)}, {"damping": 0.1, "inverse": "eigen"}])
def test_a_damping_set_later_is_the_one_of_a_fresh_engine(settings):
    made = KFAC(LAYERS, **settings)
    run(made, 1)
    made.damping = 0.003
    fresh = KFAC(LAYERS, **{**settings, "damping": made.damping})
    run(fresh, 1)
    _, gradients = network_batch(9)
    np.testing.assert_array_equal(flat([made.precondition(gradients)]), flat([fresh.precondition(gradients)]))


def test_arrays_take_another_damping_at_the_next_refresh():
    made = KFAC({"dense": Dense(30, 6)}, inv_every=2)
    data, gradients = network_batch(0)
    made.accumulate("dense", *data["dense"])
    only = {"dense": gradients["dense"]}
    before = made.step(only)["dense"][0]
    made.damping = 10.0
    np.testing.assert_array_equal(made.step(only)["dense"][0], before)
    assert np.linalg.norm(made.step(only)["dense"][0]) < 0.1 * np.linalg.norm(before)


def test_schedules_say_when():
    made = KFAC(LAYERS, stats_every=3, inv_every=Every(4, first=2))
    due = []
    for k in range(9):
        due.append((made.statistics_due, made.refresh_due))
        run(made, 1, k)
    assert [k for k, (s, _) in enumerate(due) if s] == [0, 3, 6]
    assert [k for k, (_, r) in enumerate(due) if r] == [0, 1, 4, 8]


def test_the_two_clips_bound_what_they_say():
    _, gradients = network_batch(0)
    free = KFAC(LAYERS)
    directions = run(free, 1)[0]
    inner = flat([directions]) @ flat([gradients])
    kl = KFAC(LAYERS, clip=KLClip(1e-3))
    clipped = run(kl, 1)[0]
    assert 0.1**2 * flat([clipped]) @ flat([gradients]) * np.sqrt(0.1**2 * inner / 1e-3) == pytest.approx(
        0.1**2 * inner, rel=1e-4
    )
    rms = run(KFAC(LAYERS, clip=RMSClip(0.07)), 1)[0]
    for name, part in rms.items():
        values = flat([{name: part}])
        before = flat([{name: directions[name]}])
        bound = min(0.07, np.sqrt(np.mean(before**2)))
        assert np.sqrt(np.mean(values**2)) == pytest.approx(bound, rel=1e-5)


def test_wide_layers_are_low_rank_and_narrow_ones_are_not():
    made = RSKFAC({"wide": Dense(800, 700), "narrow": Dense(20, 10)}, rank=50)
    report = made.report()
    assert [line.inverse for line in report.covered] == ["low_rank x low_rank", "cholesky x cholesky"]
    assert "narrower than the crossover" in report.covered[1].why
    assert "narrow" in str(report)
    assert KFAC({"wide": Dense(800, 700)}).report().covered[0].inverse == "cholesky x cholesky"


@pytest.mark.parametrize("engine", [RSKFAC, SREKFAC, BrandKFAC])
@pytest.mark.parametrize("start", ["debias", "identity"])
@pytest.mark.parametrize("form", [Exact, Tikhonov, Relative])
def test_low_rank_directions_stay_near_the_exact_ones_under_both_starts(engine, start, form):
    # Spectra i^-2 cut at 60 of 400 and 300: the rest is at most 1/3600 of the largest eigenvalue each, far
    # below the damping, so that the trace stands for it to a few percent of that.
    rng = np.random.default_rng(0)
    layers = {"only": Dense(399, 300)}
    settings = {"damping": form(0.03), "start": start, "inv_every": 1, "stats_every": 1}
    made, exact = engine(layers, rank=60, **settings), KFAC(layers, inverse="eigen", **settings)
    a = rng.standard_normal((5, 64, 399)) / (np.arange(399) + 1.0)
    g = rng.standard_normal((5, 64, 300)) / (np.arange(300) + 1.0)
    for x, y in zip(a, g, strict=True):
        gradient = y.T @ x, y.sum(axis=0)
        directions = []
        for one in (made, exact):
            one.accumulate("only", x, y)
            directions.append(joined(one.step({"only": gradient})["only"]))
    error = np.linalg.norm(directions[0] - directions[1]) / np.linalg.norm(directions[1])
    assert error < 0.02
    assert made.health["only"].inverse == "low_rank x low_rank"


def test_what_is_asked_wrongly_is_refused_by_name():
    made = KFAC({"dense": Dense(3, 2)})
    with pytest.raises(InputError, match="name: expected one of dense; got 'other'"):
        made.accumulate("other", np.ones((1, 3)), np.ones((1, 2)))
    with pytest.raises(InputError, match=r"a: expected numbers of shape \(samples, ..., 3\)"):
        made.accumulate("dense", np.ones((1, 4)), np.ones((1, 2)))
    with pytest.raises(InputError, match="gradient: expected a pair"):
        made.step({"dense": np.ones((2, 3))})
    with pytest.raises(InputError, match="layers"):
        KFAC({})
    with pytest.raises(InputError, match="clip"):
        KFAC({"dense": Dense(3, 2)}, clip=0.1)
    with pytest.raises(InputError, match="damping: E-KFAC"):
        EKFAC({"dense": Dense(3, 2)}, damping=Tikhonov(0.1))
    with pytest.raises(InputError, match="damping: Exact needs"):
        made.damping = Exact(0.1)
    with pytest.raises(InputError, match="damping"):
        KFAC({"dense": Dense(3, 2)}, damping=-1.0)
    assert made.step_count == 0


@pytest.mark.parametrize("other", [{"ema": 0.5}, {"start": "identity"}, {"dtype": np.float64}])
def test_states_of_engines_with_other_settings_are_refused(other):
    made = KFAC({"dense": Dense(30, 6)})
    before = made.state_dict()["digest"]
    with pytest.raises(StateError, match=f"left: expected a factor of .*{next(iter(other))}"):
        made.load_state_dict(KFAC({"dense": Dense(30, 6)}, **other).state_dict())
    assert made.state_dict()["digest"] == before


def test_statistics_of_a_step_are_those_accumulated_before_it():
    one, two = (KFAC(LAYERS, stats_every=1, inv_every=1) for _ in range(2))
    for k in range(3):
        data, gradients = network_batch(k)
        one.accumulate({name: (*pair, 5) for name, pair in data.items()})
        np.testing.assert_array_equal(
            flat([one.step(gradients)]), flat([two.step(gradients, statistics=data)])
        )
    bad = {**gradients, "table": np.full((11, 4), np.nan)}
    before = two.blocks["dense"].count
    two.step(bad, statistics=data)
    assert two.blocks["dense"].count == before

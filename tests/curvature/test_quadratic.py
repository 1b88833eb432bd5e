# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The minimum of the exact-Fisher quadratic over two directions, and the dampings that follow it."""

import itertools
import math

import numpy as np
import pytest

from randnla._backend.errors import InputError, NonFiniteError, StateError
from randnla.curvature import GammaRule, LevenbergMarquardt, minimize_quadratic
from randnla.curvature.quadratic import combine, gram_of, inner

DAMPING = 0.3


def problem(seed, dim=9, samples=7, outputs=3):
    """Fisher matrix from a Jacobian and an output metric, gradient and two directions."""
    rng = np.random.default_rng(seed)
    J = rng.standard_normal((samples, outputs, dim))
    root = rng.standard_normal((outputs, outputs))
    F = np.einsum("soi,op,spj->ij", J, root @ root.T, J) / samples
    return F, rng.standard_normal(dim), rng.standard_normal(dim), rng.standard_normal(dim)


def numbers(F, gradient, *directions):
    D = np.stack(directions)
    return D @ F @ D.T, D @ D.T, D @ gradient


def model(F, gradient, d):
    return gradient @ d + 0.5 * d @ F @ d + 0.5 * DAMPING * d @ d


@pytest.mark.parametrize("seed", range(5))
def test_minimum_is_that_of_least_squares_and_of_a_search(seed):
    F, gradient, Delta, before = problem(seed)
    found = minimize_quadratic(*numbers(F, gradient, Delta, before), DAMPING)
    assert found.path == "both"
    # The same minimum without the 2 by 2 system: least squares in a root of the metric.
    root = np.linalg.cholesky(F + DAMPING * np.eye(9)).T
    target = -np.linalg.solve(root.T, gradient)
    expected, *_ = np.linalg.lstsq(root @ np.column_stack([Delta, before]), target, rcond=None)
    np.testing.assert_allclose([found.alpha, found.mu], expected, rtol=1e-10)
    here = model(F, gradient, found.alpha * Delta + found.mu * before)
    assert found.value == pytest.approx(here, rel=1e-10)
    steps = np.linspace(-1, 1, 21)
    around = [
        model(F, gradient, (found.alpha + x) * Delta + (found.mu + y) * before)
        for x, y in itertools.product(steps, steps)
    ]
    assert here <= min(around) + 1e-12 * abs(here)


def test_first_step_takes_alpha_alone():
    F, gradient, Delta, _ = problem(1)
    found = minimize_quadratic(*numbers(F, gradient, Delta), DAMPING)
    alpha = -(gradient @ Delta) / (Delta @ F @ Delta + DAMPING * Delta @ Delta)
    assert (found.path, found.mu) == ("alpha", 0.0)
    assert found.alpha == pytest.approx(alpha, rel=1e-13)
    assert found.value == pytest.approx(model(F, gradient, alpha * Delta), rel=1e-12)
    one = minimize_quadratic(Delta @ F @ Delta, Delta @ Delta, gradient @ Delta, DAMPING)
    assert one == found


@pytest.mark.parametrize("factor", [0.0, 1.0, -2.5, 1e-160])
def test_parallel_or_absent_previous_update_leaves_alpha_alone(factor):
    F, gradient, Delta, _ = problem(2)
    found = minimize_quadratic(*numbers(F, gradient, Delta, factor * Delta), DAMPING)
    alone = minimize_quadratic(*numbers(F, gradient, Delta), DAMPING)
    assert found.path == "parallel"
    assert (found.alpha, found.mu, found.value) == pytest.approx((alone.alpha, 0.0, alone.value), rel=1e-13)


def test_nearly_parallel_is_told_by_rcond():
    F, gradient, Delta, other = problem(3)
    given = numbers(F, gradient, Delta, Delta + 1e-4 * other)
    assert minimize_quadratic(*given, DAMPING).path == "parallel"
    fine = minimize_quadratic(*given, DAMPING, rcond=1e-12)
    assert fine.path == "both"
    # The plane is that of Delta and `other`, and so is the minimum over it.
    wide = minimize_quadratic(*numbers(F, gradient, Delta, other), DAMPING)
    assert fine.value == pytest.approx(wide.value, rel=1e-6)


def test_direction_without_curvature_has_no_minimum():
    F = np.diag([0.0, 1.0])
    gradient, flat, bent = np.ones(2), np.array([1.0, 0.0]), np.array([0.0, 1.0])
    found = minimize_quadratic(*numbers(F, gradient, flat, bent), 0.0)
    assert found == minimize_quadratic(0.0, 1.0, 1.0, 0.0)
    assert (found.alpha, found.mu, found.value, found.path) == (0.0, 0.0, 0.0, "flat")
    assert minimize_quadratic(*numbers(F, gradient, bent, flat), 0.0).path == "parallel"


@pytest.mark.parametrize("power", [-500, -100, 100, 500])
def test_sizes_of_the_directions_do_not_matter(power):
    F, gradient, Delta, before = problem(4)
    scale = 2.0**power
    plain = minimize_quadratic(*numbers(F, gradient, Delta, before), DAMPING)
    scaled = minimize_quadratic(*numbers(F, gradient, scale * Delta, before), DAMPING)
    assert scaled.alpha * scale == pytest.approx(plain.alpha, rel=1e-12)
    assert (scaled.mu, scaled.value) == pytest.approx((plain.mu, plain.value), rel=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("place", ["fisher", "gram", "slopes"])
def test_non_finite_numbers_are_refused(place, bad):
    F, gradient, Delta, before = problem(0)
    given = dict(zip(("fisher", "gram", "slopes"), numbers(F, gradient, Delta, before), strict=True))
    given[place] = given[place].copy()
    given[place][(-1,) * given[place].ndim] = bad
    with pytest.raises(NonFiniteError, match=f"{place}: 1 entry is NaN or Inf"):
        minimize_quadratic(**given, damping=DAMPING)


def test_numbers_that_do_not_fit_are_refused():
    two, one = np.eye(2), np.ones(2)
    with pytest.raises(InputError, match=r"slopes: expected one or two numbers, got shape \(3,\)"):
        minimize_quadratic(two, two, np.ones(3), 0.0)
    with pytest.raises(InputError, match=r"gram: expected shape \(2, 2\) as slopes has 2, got \(1, 1\)"):
        minimize_quadratic(two, 1.0, one, 0.0)
    with pytest.raises(InputError, match="fisher: expected a nonnegative diagonal"):
        minimize_quadratic(-two, two, one, 0.0)
    with pytest.raises(InputError, match=r"damping: expected a number >= 0\.0, got -1\.0"):
        minimize_quadratic(two, two, one, -1.0)
    with pytest.raises(InputError, match="fisher, gram: their damped sum is beyond the range"):
        minimize_quadratic(two, two * 1e300, one, 1e300)


def test_sums_over_layers_are_those_of_flat_vectors():
    rng = np.random.default_rng(0)
    U, V = ({"a": rng.standard_normal((3, 4)), "b": rng.standard_normal(5)} for _ in range(2))
    flat_u, flat_v = (np.concatenate([x.ravel() for x in W.values()]) for W in (U, V))
    assert inner(U, V) == pytest.approx(flat_u @ flat_v, rel=1e-14)
    np.testing.assert_allclose(gram_of(U, V), np.stack([flat_u, flat_v]) @ np.stack([flat_u, flat_v]).T)
    assert gram_of(flat_u).shape == (1, 1)
    made = combine(2.0, U, -3.0, V)
    np.testing.assert_allclose(made["b"], 2 * U["b"] - 3 * V["b"])
    np.testing.assert_array_equal(combine(2.0, flat_u), 2 * flat_u)
    with pytest.raises(InputError, match="V: expected the layers"):
        inner(U, {"a": U["a"]})
    with pytest.raises(InputError, match=r"V: expected shape \(5,\) for layer 'b', got \(4,\)"):
        inner(U, {"a": U["a"], "b": np.ones(4)})


def test_inner_products_of_float32_are_summed_in_float64():
    U = np.full(3, 1e30, np.float32)
    assert inner(U, U) == pytest.approx(3e60, rel=1e-6)


# -- Levenberg and Marquardt -------------------------------------------------------------------------------


def test_ratio_of_a_quadratic_is_known():
    # h = 2 x^2 from x = 1 with a model of curvature c along -h': ratio = (h(1 + d) - h(1)) / M(d).
    for curvature, falls in ((4.0, True), (1.2, False), (2.0, None)):
        d = -4.0 / curvature
        after, predicted = 2 * (1 + d) ** 2, -8.0 / curvature
        ratio = 2 - 4 / curvature  # from the two lines above
        assert (after - 2.0) / predicted == pytest.approx(ratio)
        rule = LevenbergMarquardt(10.0, interval=1, low=-0.5)
        value = rule.update(2.0, after, predicted)
        expected = 10.0 * {True: 0.95, False: 1 / 0.95, None: 1.0}[falls]
        assert value == pytest.approx(expected)


def test_only_the_end_of_an_interval_counts():
    rule = LevenbergMarquardt()
    assert (rule.value, rule.interval, rule.decay) == (150.0, 5, 0.95)
    seen = []
    for _ in range(11):
        seen.append(rule.due)
        rule.observe(1.0)
    assert [i for i, due in enumerate(seen) if due] == [4, 9]
    assert rule.value == pytest.approx(150 * 0.95**10)
    for _ in range(4):
        rule.observe(0.0)
    assert rule.value == pytest.approx(150 * 0.95**5)
    assert rule(12345) == rule.value


def test_bounds_hold_and_equal_thresholds_stay():
    rule = LevenbergMarquardt(1.0, interval=1, decay=0.5, minimum=0.4, maximum=3.0)
    assert [rule.observe(1.0) for _ in range(3)] == [0.5, 0.4, 0.4]
    assert rule.observe(0.25) == rule.observe(0.75) == 0.4
    assert [rule.observe(-1.0) for _ in range(4)] == [0.8, 1.6, 3.0, 3.0]


def test_diverged_loss_raises_the_damping_and_nan_is_refused():
    rule = LevenbergMarquardt(1.0, interval=1, decay=0.5)
    assert rule.update(1.0, math.nan, -1.0) == 2.0
    assert rule.update(1.0, math.inf, -1.0) == 4.0
    assert rule.update(1.0, 1.0, 0.0) == 4.0
    before = rule.state_dict()
    for bad in (math.nan, math.inf):
        with pytest.raises(NonFiniteError, match="ratio: expected a finite number"):
            rule.observe(bad)
        with pytest.raises(NonFiniteError, match="before: expected a finite number"):
            rule.update(bad, 1.0, -1.0)
        with pytest.raises(NonFiniteError, match="predicted: expected a finite number"):
            rule.update(1.0, 1.0, bad)
    assert rule.state_dict() == before


def test_rules_resume_from_their_state():
    for make in (LevenbergMarquardt, lambda: GammaRule(150.0, interval=5)):
        rule, other = make(), make()
        act = (
            (lambda r: r.observe(1.0)) if isinstance(rule, LevenbergMarquardt) else (lambda r: r.choose(abs))
        )
        for _ in range(7):
            act(rule)
        other.load_state_dict(rule.state_dict())
        for _ in range(9):
            assert act(rule) == act(other)
        assert repr(rule) == repr(other)
        with pytest.raises(StateError, match="value: missing"):
            other.load_state_dict({k: v for k, v in rule.state_dict().items() if k != "value"})
    narrow = LevenbergMarquardt(1.0, maximum=2.0)
    with pytest.raises(StateError, match=r"value, count: expected a value in \[1e-08, 2.0\]"):
        narrow.load_state_dict(LevenbergMarquardt().state_dict())


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"value": 0.0}, "value: expected a positive number"),
        ({"value": 1.0, "minimum": 2.0}, r"value: expected a number in \[2.0, inf\], got 1.0"),
        ({"interval": 0}, "interval: expected an integer >= 1, got 0"),
        ({"decay": 1.0}, "decay: expected a number strictly between 0 and 1"),
        ({"low": 0.8}, "low: expected at most high = 0.75, got 0.8"),
        ({"maximum": -1.0}, "maximum: expected a positive number"),
    ],
)
def test_settings_that_do_not_fit_are_refused(keywords, message):
    with pytest.raises(InputError, match=message):
        LevenbergMarquardt(**keywords)


def test_gamma_goes_where_the_model_is_lowest():
    rule = GammaRule(1.0, interval=20)
    target = 0.2
    for _ in range(400):
        rule.choose(lambda gamma: (math.log(gamma) - math.log(target)) ** 2)
    step = math.sqrt(0.95) ** 20
    assert abs(math.log(rule.value / target)) <= abs(math.log(step)) / 2 + 1e-12


def test_gamma_asks_only_at_the_end_of_an_interval():
    rule, asked = GammaRule(2.0, interval=4, decay=0.25), []

    def evaluate(gamma):
        asked.append(gamma)
        return 1.0

    for _ in range(4):
        rule.choose(evaluate)
    assert asked == [2.0, 2.0 / 16, 2.0 * 16]
    assert rule.value == 2.0  # of equal values gamma itself wins
    assert rule.candidates == (2.0,)


def test_gamma_never_takes_a_value_that_is_not_finite():
    rule = GammaRule(1.0, interval=1, decay=0.25)
    assert rule.choose(lambda gamma: math.nan) == 1.0
    assert rule.choose(lambda gamma: -math.inf if gamma < 1 else 1.0 / gamma) == 2.0
    with pytest.raises(InputError, match=r"evaluate: expected a callable, got 3\.0"):
        rule.choose(3.0)

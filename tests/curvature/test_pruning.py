# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Pruning against the quadratic model written out with dense matrices."""

import itertools
import warnings

import numpy as np
import pytest
from cases import BACKENDS

from randnla import ConvergenceWarning, InputError, NonFiniteError
from randnla.curvature import MFAC, PruneInfo, PruneResult, prune
from randnla.curvature.pruning.units import lowest, schedule_of

UPDATES = ("separate", "joint", "none")


def problem(d=24, m=9, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    # Correlated columns, so that weights can make up for each other.
    mix = np.eye(d) + rng.standard_normal((d, d)) / np.sqrt(d)
    return rng.standard_normal(d).astype(dtype), (rng.standard_normal((m, d)) @ mix).astype(dtype)


def fisher(G, damping, block=None):
    d = G.shape[1]
    F = damping * np.eye(d) + G.T.astype(np.float64) @ G / len(G)
    if block is not None:
        F = np.where(np.arange(d)[:, None] // block == np.arange(d) // block, F, 0)
    return F


def one_shot(w, F, count, update):
    """Mask and new weights by explicit inverses."""
    inverse = np.linalg.inv(F)
    gone = np.argsort(w**2 / (2 * np.diag(inverse)), kind="stable")[:count]
    keep = np.ones(w.size, bool)
    keep[gone] = False
    new = w.copy()
    if update == "separate":
        for i in gone:
            new -= w[i] * inverse[:, i] / inverse[i, i]
    elif update == "joint":
        new -= inverse[:, gone] @ np.linalg.solve(inverse[np.ix_(gone, gone)], w[gone])
    return keep, np.where(keep, new, 0.0)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("block", [None, 1, 5, 8, 24, 100])
@pytest.mark.parametrize("m", [1, 4, 9, 60])
def test_one_shot_is_the_formula_with_the_dense_inverse(m, block, update):
    (w, G), damping = problem(m=m), 0.1
    F = fisher(G, damping, block)
    for count in (1, 7, 20):
        options = {"steps": 1, "damping": damping, "block": block, "update": update}
        mask, change = result = prune(w, G, count / 24, **options)
        keep, new = one_shot(w, F, count, update)
        np.testing.assert_array_equal(mask, keep)
        # The condition of F is below 1e4, all is computed in float64.
        np.testing.assert_allclose(w + change, new, rtol=0, atol=1e-10)
        assert not (w + change)[~mask].any()
        delta = new - w
        assert result.info.predicted_increase == pytest.approx(delta @ F @ delta / 2, rel=1e-9)
        assert (result.info.steps, result.info.pruned, result.info.gradients) == (1, count, m)


def test_pruning_one_weight_is_the_best_that_can_be_done():
    w, G = problem(d=10, m=6)
    F = fisher(G, 0.05)
    costs = []
    for i in range(10):
        rest = np.delete(np.arange(10), i)
        # min delta^T F delta with delta_i = -w_i
        delta = np.zeros(10)
        delta[i] = -w[i]
        delta[rest] = np.linalg.solve(F[np.ix_(rest, rest)], F[rest, i] * w[i])
        costs.append((delta @ F @ delta / 2, i, delta))
    cost, i, delta = min(costs, key=lambda item: item[0])
    for update in ("separate", "joint"):
        mask, change = result = prune(w, G, 0.1, damping=0.05, update=update)
        assert np.flatnonzero(~mask) == [i]
        np.testing.assert_allclose(change, delta, atol=1e-12)
        assert result.info.predicted_increase == pytest.approx(cost, rel=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_the_joint_update_is_the_minimum_for_its_mask(seed):
    w, G = problem(d=20, m=8, seed=seed)
    F = fisher(G, 0.01, 10)
    found = {
        update: prune(w, G, 0.6, steps=1, damping=0.01, block=10, update=update).info.predicted_increase
        for update in UPDATES
    }
    assert found["joint"] <= min(found.values()) * (1 + 1e-12)
    mask, change = prune(w, G, 0.6, steps=1, damping=0.01, block=10, update="joint")
    # Nothing is gained by moving the weights that stay.
    np.testing.assert_allclose((F @ change)[mask], 0, atol=1e-10)


@pytest.mark.parametrize("update", ["separate", "joint"])
@pytest.mark.parametrize("m", [1, 6, 30])
def test_one_weight_a_step_is_the_surgeon_on_what_is_left(m, update):
    w, G = problem(d=16, m=m)
    F, left, new = fisher(G, 0.1), list(range(16)), w.copy()
    for _ in range(10):
        inverse = np.linalg.inv(F[np.ix_(left, left)])
        k = int(np.argmin(new[left] ** 2 / np.diag(inverse)))
        new[left] -= new[left[k]] * inverse[:, k] / inverse[k, k]
        new[left.pop(k)] = 0.0
    result = prune(w, G, 10 / 16, steps=10, schedule="linear", damping=0.1, update=update)
    np.testing.assert_array_equal(np.flatnonzero(result.mask), left)
    np.testing.assert_allclose(w + result.update, new, atol=1e-10)
    assert result.info.steps == 10
    # Steps of a quadratic add up: each goes out from the minimum over what was left.
    delta = new - w
    assert sum(result.info.increases) == pytest.approx(delta @ F @ delta / 2, rel=1e-9)


def test_both_ways_to_invert_a_block_agree():
    w, G = problem(d=30, m=10)
    # With zeros added the same matrix has more gradients than rows.
    padded = np.concatenate([np.sqrt(4) * G, np.zeros((30, 30))])
    for update, block in itertools.product(UPDATES, (30, 13)):
        options = {"steps": 3, "update": update, "damping": 1e-3, "block": block}
        a, b = prune(w, G, 0.7, **options), prune(w, padded, 0.7, **options)
        np.testing.assert_array_equal(a.mask, b.mask)
        np.testing.assert_allclose(a.update, b.update, atol=1e-9)
    full, whole = prune(w, G, 0.7, block=30), prune(w, G, 0.7, block=None)
    np.testing.assert_array_equal(full.update, whole.update)


@pytest.mark.parametrize("d", [300, 1000])
def test_many_blocks_and_a_short_last_one(d):
    rng = np.random.default_rng(d)
    w, G = rng.standard_normal(d), rng.standard_normal((20, d)) * np.linspace(0.1, 3, d)
    for block in (7, 128):
        result = prune(w, G, 0.5, steps=1, damping=0.01, block=block)
        keep, new = one_shot(w, fisher(G, 0.01, block), d // 2, "separate")
        np.testing.assert_array_equal(result.mask, keep)
        np.testing.assert_allclose(w + result.update, new, atol=1e-10)


@pytest.mark.parametrize("block", [7, 30, None])
def test_one_shot_takes_the_inverse_of_mfac(block):
    w, G = problem(d=50, m=20)
    window = MFAC(50, 20, 0.01, block=block, dtype=np.float64)
    for g in G:
        window.add(g)
    diagonal = window.inverse_diag()
    gone = np.argsort(w**2 / diagonal, kind="stable")[:30]
    x = np.zeros(50)
    x[gone] = w[gone] / diagonal[gone]
    result = prune(w, G, 0.6, steps=1, damping=0.01, block=block)
    np.testing.assert_array_equal(np.flatnonzero(~result.mask), np.sort(gone))
    expected = np.where(result.mask, -window.inverse_hvp(x), -w)
    np.testing.assert_allclose(result.update, expected, atol=1e-10)


def test_gradual_pruning_foretells_less_than_one_shot():
    # With update "joint" on one fixed quadratic, choosing again is a greedy search that looks closer.
    gains = []
    for seed in range(8):
        w, G = problem(d=60, m=40, seed=seed)
        cost = [prune(w, G, 0.8, steps=n, damping=1e-3, update="joint", block=None) for n in (1, 16)]
        F = fisher(G, 1e-3)
        ends = [result.update @ F @ result.update for result in cost]
        gains.append(ends[1] / ends[0])
    assert np.mean(gains) < 0.95


# -- the other methods -------------------------------------------------------------------------------------


def test_magnitude_and_the_diagonal():
    w, G = problem(d=50, m=7)
    for sparsity in (0.1, 0.5, 0.9):
        count = round(50 * sparsity)
        by_size = prune(w, None, sparsity, method="magnitude")
        assert set(np.flatnonzero(~by_size.mask)) == set(np.argsort(abs(w))[:count])
        assert by_size.info.predicted_increase is None
        diagonal = np.mean(G**2, axis=0) + 0.2
        by_fisher = prune(w, G, sparsity, method="fisher", damping=0.2)
        gone = np.argsort(w**2 * diagonal)[:count]
        assert set(np.flatnonzero(~by_fisher.mask)) == set(gone)
        assert by_fisher.info.predicted_increase == pytest.approx(np.sum((w**2 * diagonal)[gone]) / 2)
        # Blocks of one are the diagonal, and move nothing.
        alone = prune(w, G, sparsity, block=1, damping=0.2)
        np.testing.assert_array_equal(alone.mask, by_fisher.mask)
        for result in (by_size, by_fisher, alone):
            np.testing.assert_array_equal(w + result.update, np.where(result.mask, w, 0))


@pytest.mark.parametrize("method", ["mfac", "fisher"])
def test_without_gradients_to_speak_of_the_smallest_go(method):
    w, _ = problem()
    result = prune(w, np.zeros((3, 24)), 0.5, method=method)
    np.testing.assert_array_equal(result.mask, prune(w, None, 0.5, method="magnitude").mask)
    np.testing.assert_array_equal(w + result.update, np.where(result.mask, w, 0))


# -- how many ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["mfac", "fisher", "magnitude"])
def test_the_sparsity_is_reached_exactly(method):
    w, G = problem(d=37, m=5)
    for sparsity in [*np.linspace(0, 1, 23), 0.5 / 37, 1.5 / 37]:
        count = int(np.floor(sparsity * 37 + 0.5))
        result = prune(w, G, float(sparsity), method=method, steps=4, block=10)
        assert np.count_nonzero(~result.mask) == result.info.pruned == count
        assert result.info.sparsity == count / 37
    nothing, everything = prune(w, G, 0.0, method=method), prune(w, G, 1, method=method)
    assert nothing.mask.all()
    assert not nothing.update.any()
    assert nothing.info.steps == 0
    assert not everything.mask.any()
    np.testing.assert_array_equal(w + everything.update, 0)


def test_counts_of_layers():
    w, G = problem(d=30, m=6)
    weights = {"a": w[:12].reshape(3, 4), "b": w[12:12], "c": w[12:]}
    whole = prune(weights, G, 0.5)
    assert sum(np.count_nonzero(~part) for part in whole.mask.values()) == 15
    np.testing.assert_array_equal(
        np.concatenate([part.reshape(-1) for part in whole.mask.values()]), prune(w, G, 0.5).mask
    )
    each = prune(weights, G, 0.5, scope="layer")
    assert [np.count_nonzero(~part) for part in each.mask.values()] == [6, 0, 9]
    assert each.info.sparsities == {"a": 0.5, "c": 0.5}
    apart = prune(weights, G, {"a": 0.25, "b": 0.0, "c": 1.0}, scope="layer")
    assert [np.count_nonzero(~part) for part in apart.mask.values()] == [3, 0, 18]
    assert {key: part.shape for key, part in apart.update.items()} == {"a": (3, 4), "b": (0,), "c": (18,)}


@pytest.mark.parametrize("schedule", ["geometric", "linear", "cubic"])
def test_schedules_go_up_to_the_target(schedule):
    for steps, (old, new, size) in itertools.product(
        (1, 3, 16), ((0, 90, 100), (10, 10, 12), (3, 7, 7), (0, 0, 5))
    ):
        counts = schedule_of(steps, schedule, old, new, size)
        assert len(counts) == steps
        assert counts[-1] == new
        assert old <= counts[0]
        assert counts == sorted(counts)
    assert schedule_of(4, "linear", 0, 8, 10) == [2, 4, 6, 8]
    assert schedule_of(3, "geometric", 0, 875, 1000) == [500, 750, 875]
    assert schedule_of(2, "cubic", 0, 80, 100) == [70, 80]


def test_of_equal_weights_the_first_go():
    w = np.ones(9)
    for method, gradients in (("magnitude", None), ("fisher", np.ones((2, 9))), ("mfac", np.zeros((2, 9)))):
        mask = prune(w, gradients, 1 / 3, method=method).mask
        np.testing.assert_array_equal(mask, np.arange(9) >= 3)
    np.testing.assert_array_equal(lowest(np.array([2.0, 1.0, 2.0, 0.0, 2.0]), 3), [1, 3, 0])


# -- what is pruned stays so -------------------------------------------------------------------------------


@pytest.mark.parametrize("update", UPDATES)
def test_weights_pruned_before_stay_pruned(update):
    w, G = problem()
    mask = np.ones(24, bool)
    mask[[2, 3, 11]] = False
    result = prune(w, G, 0.5, mask=mask, update=update, damping=0.1)
    assert not result.mask[~mask].any()
    assert not (w + result.update)[~mask].any()
    assert np.count_nonzero(~result.mask) == 12
    # It is as if they had never been there.
    rest = prune(w[mask], G[:, mask], 9 / 21, update=update, damping=0.1)
    np.testing.assert_array_equal(result.mask[mask], rest.mask)
    np.testing.assert_allclose(result.update[mask], rest.update, atol=1e-12)
    for flags in (mask.astype(np.float32), mask.astype(int)):
        np.testing.assert_array_equal(
            prune(w, G, 0.5, mask=flags, update=update, damping=0.1).mask, result.mask
        )
    with pytest.raises(InputError, match=r"sparsity: 0\.1 is less than 3 of 24, which mask has pruned"):
        prune(w, G, 0.1, mask=mask)


def test_inputs_are_left_alone():
    w, G = problem()
    before = w.copy(), G.copy()
    for array in (w, G):
        array.flags.writeable = False
    prune(w, G, 0.8, update="joint")
    np.testing.assert_array_equal(w, before[0])
    np.testing.assert_array_equal(G, before[1])


# -- gradients ---------------------------------------------------------------------------------------------


def test_gradients_in_every_form():
    w, G = problem(d=20, m=5)
    expected = prune(w, G, 0.6)
    for given in (list(G), iter(G), (g for g in G), G.tolist()):
        np.testing.assert_array_equal(prune(w, given, 0.6).update, expected.update)
    np.testing.assert_array_equal(
        prune(w.reshape(4, 5), G.reshape(5, 4, 5), 0.6).update, expected.update.reshape(4, 5)
    )
    parts = {"a": w[:8].reshape(2, 4), "b": w[8:]}
    stack = {"b": G[:, 8:], "a": G[:, :8].reshape(5, 2, 4)}
    singles = [{"a": g[:8].reshape(2, 4), "b": g[8:]} for g in G]
    for given in (G, stack, singles, iter(singles), list(G)):
        found = prune(parts, given, 0.6)
        np.testing.assert_array_equal(found.update["a"], expected.update[:8].reshape(2, 4))
        np.testing.assert_array_equal(found.update["b"], expected.update[8:])
    for kind in (list, tuple):
        weights = kind(parts.values())
        for given in (kind([stack["a"], stack["b"]]), [kind(one.values()) for one in singles]):
            found = prune(weights, given, 0.6)
            assert type(found.mask) is type(found.update) is kind
            np.testing.assert_array_equal(found.update[1], expected.update[8:])


def test_a_callable_sees_the_weights_of_every_step():
    rng = np.random.default_rng(0)
    A, seen = rng.standard_normal((40, 12)), []
    w = {"w": rng.standard_normal((3, 4))}

    def gradients(weights, mask):
        seen.append((weights["w"].copy(), mask["w"].copy()))
        weights["w"][...] = np.nan  # a copy
        return {"w": rng.permutation(A)[:8].reshape(8, 3, 4)}

    result = prune(w, gradients, 0.75, steps=3, schedule="linear", update="joint")
    assert [int(np.count_nonzero(~mask)) for _, mask in seen] == [0, 3, 6]
    for weights, mask in seen:
        np.testing.assert_array_equal(weights == 0, ~mask)
    np.testing.assert_array_equal(seen[0][0], w["w"])
    assert result.info.gradients == 24
    assert result.info.steps == 3
    assert prune(w, lambda _, __: {"w": A.reshape(40, 3, 4)}, 0.75, method="fisher", steps=5).info.steps == 5


def test_a_real_quadratic_rises_as_foretold():
    # Squared residuals X w - y with y = X w*: at w* the Hessian is the second moment of X.
    rng = np.random.default_rng(0)
    X, w = rng.standard_normal((200, 30)), rng.standard_normal(30)
    for update, steps in itertools.product(UPDATES, (1, 5)):
        result = prune(w, X, 0.5, damping=1e-12, update=update, steps=steps)
        rise = np.mean((X @ result.update) ** 2) / 2
        if steps == 1:
            assert rise == pytest.approx(result.info.predicted_increase, rel=1e-8)
        if update == "joint":  # from one minimum to the next
            assert rise == pytest.approx(result.info.predicted_increase, rel=1e-8)


# -- groups ------------------------------------------------------------------------------------------------


def marginal(w, F, group):
    """The least that removing a group costs."""
    inverse = np.linalg.inv(F)
    return w[group] @ np.linalg.solve(inverse[np.ix_(group, group)], w[group]) / 2


@pytest.mark.parametrize("m", [3, 8, 50])
@pytest.mark.parametrize("block", [None, 24, 10, 3])
def test_groups_go_by_what_they_cost_together(block, m):
    w, G = problem(m=m)
    F, groups = fisher(G, 0.1, block), np.arange(24) % 6
    costs = [marginal(w, F, np.flatnonzero(groups == k)) for k in range(6)]
    for update in ("joint", "none"):
        result = prune(w, G, 0.5, steps=1, damping=0.1, block=block, groups=groups, update=update)
        np.testing.assert_array_equal(result.mask, ~np.isin(groups, np.argsort(costs)[:3]))
        assert (result.info.groups, result.info.groups_pruned, result.info.pruned) == (6, 3, 12)
    one = prune(w, G, 1 / 6, damping=0.1, block=block, groups=groups, update="joint")
    assert one.info.predicted_increase == pytest.approx(min(costs), rel=1e-9)
    inverse = np.diag(np.linalg.inv(F))
    sums = np.bincount(groups, weights=w**2 / inverse)
    summed = prune(w, G, 0.5, steps=1, damping=0.1, block=block, groups=groups, group_saliency="sum")
    np.testing.assert_array_equal(summed.mask, ~np.isin(groups, np.argsort(sums)[:3]))


def test_rows_and_coupled_groups():
    rng = np.random.default_rng(0)
    weights = {
        "in": rng.standard_normal((5, 3)),
        "out": rng.standard_normal((2, 5)),
        "bias": rng.standard_normal(5),
    }
    G = rng.standard_normal((6, 30))
    rows = prune(weights, G, 0.5, groups="rows")
    assert rows.info.groups == 12
    for part in rows.mask.values():
        flat = part.reshape(len(part), -1)
        np.testing.assert_array_equal(flat.all(axis=1), flat.any(axis=1))
    # A hidden unit: its row, its bias and its column in the next layer.
    unit = np.arange(5)
    labels = {
        "in": np.repeat(unit, 3).reshape(5, 3),
        "out": np.tile(unit, (2, 1)),
        "bias": np.where(unit == 4, -1, unit),
    }
    for method in ("mfac", "fisher", "magnitude"):
        mask = prune(weights, G, 0.4, groups=labels, method=method).mask
        assert np.count_nonzero(~mask["in"].any(axis=1)) == 2
        np.testing.assert_array_equal(mask["in"].any(axis=1), mask["out"].any(axis=0))
        np.testing.assert_array_equal(mask["bias"][:4], mask["in"].any(axis=1)[:4])
        assert mask["bias"][4]
    with pytest.raises(InputError, match="groups: expected each within one array"):
        prune(weights, G, 0.4, groups=labels, scope="layer")
    layers = prune(weights, G, 0.4, groups="rows", scope="layer")
    assert layers.info.groups_pruned == 2 + 1 + 2


# -- kinds, precisions, scales -----------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_are_of_the_kind_of_the_weights(backend):
    w, G = problem(dtype=np.float32)
    make = BACKENDS[backend]
    expected = prune(w, G, 0.5)
    for gradients in (G, make(G), lambda weights, mask: (type(weights), G)[1]):
        result = prune(make(w), gradients, 0.5)
        assert type(result.mask) is type(result.update) is type(make(w))
        np.testing.assert_array_equal(np.asarray(result.mask), expected.mask)
        np.testing.assert_array_equal(np.asarray(result.update), expected.update)
        assert np.asarray(result.update).dtype == np.float32


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("block", [8, 24])
def test_single_precision_is_double_rounded(update, block):
    w, G = problem(m=12, dtype=np.float32)
    options = {"update": update, "block": block, "damping": 1e-2}
    single, double = prune(w, G, 0.5, **options), prune(w.astype(float), G.astype(float), 0.5, **options)
    np.testing.assert_array_equal(single.mask, double.mask)
    # Inverses of short blocks are kept in float32: their rounding is worth eps ||F|| / damping.
    norm = np.linalg.norm(fisher(G, 1e-2), 2)
    np.testing.assert_allclose(single.update, double.update, atol=np.finfo(np.float32).eps * norm / 1e-2)
    half = prune(w.astype(np.float16), G, 0.5, **options)
    assert half.update.dtype == np.float32


@pytest.mark.parametrize("method", ["mfac", "fisher", "magnitude"])
def test_powers_of_two_change_no_bit(method):
    w, G = problem()
    plain = prune(w, G, 0.6, method=method, update="joint")
    for p in (-900, -3, 900):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            scaled = prune(np.ldexp(w, p), G, 0.6, method=method, update="joint")
        np.testing.assert_array_equal(scaled.mask, plain.mask)
        np.testing.assert_array_equal(scaled.update, np.ldexp(plain.update, p))


def test_order_does_not_matter():
    w, G = problem()
    order = np.random.default_rng(1).permutation(24)
    plain, moved = prune(w, G, 0.5, damping=0.1), prune(w[order], G[::-1, order], 0.5, damping=0.1)
    np.testing.assert_array_equal(moved.mask, plain.mask[order])
    np.testing.assert_allclose(moved.update, plain.update[order], atol=1e-12)


@pytest.mark.parametrize("block", [4, None])
def test_singular_blocks_are_told_of(block):
    rng = np.random.default_rng(0)
    w, g = rng.standard_normal(8), rng.standard_normal(8)
    G = np.tile(g, (5, 1)) * 1e10
    with pytest.warns(ConvergenceWarning, match="prune: .* blocks of the Fisher matrix were singular"):
        result = prune(w, G, 0.5, damping=1e-5, block=block, steps=1)
    assert "singular to rounding" in result.info.health
    assert np.isfinite(result.update).all()
    assert np.count_nonzero(result.mask) == 4


# -- accounts and messages ---------------------------------------------------------------------------------


def test_the_account():
    w, G = problem()
    result = prune({"a": w[:10], "b": w[10:]}, G, 0.5, steps=2, block=6, damping=0.1)
    info = result.info
    assert isinstance(result, PruneResult)
    assert isinstance(info, PruneInfo)
    assert (info.method, info.update, info.steps, info.block, info.damping) == ("mfac", "separate", 2, 6, 0.1)
    assert info.health == ""
    assert len(info.increases) == 2
    assert info.predicted_increase == sum(info.increases)
    assert info.to_dict()["sparsities"] == info.sparsities
    assert "predicted_increase" in str(result)
    with pytest.raises(AttributeError):
        info.steps = 3


@pytest.mark.parametrize(
    ("arguments", "error", "pattern"),
    [
        ({"weights": [np.nan, 1.0]}, NonFiniteError, "weights: 1 entry is NaN or Inf, the first at index 0"),
        ({"weights": {"a": np.array([np.inf])}}, NonFiniteError, r"weights\['a'\]: 1 entry"),
        ({"weights": []}, InputError, "weights: expected at least one weight"),
        ({"weights": {}}, InputError, "weights: expected at least one weight"),
        ({"weights": 1j * np.ones(2)}, InputError, "weights: expected real numbers"),
        ({"gradients": np.full((2, 2), np.nan)}, NonFiniteError, "gradients: 4 entries are NaN or Inf"),
        ({"gradients": np.full((2, 2), 1e200)}, InputError, "gradients: expected magnitudes of at most"),
        ({"gradients": np.ones((2, 3))}, InputError, r"gradients: expected shape \(m, 2\), got \(2, 3\)"),
        ({"gradients": np.ones((0, 2))}, InputError, "gradients: expected at least one gradient"),
        ({"gradients": []}, InputError, "gradients: expected at least one gradient"),
        ({"gradients": 3}, InputError, "gradients: expected an array, an iterable or a callable, got int"),
        (
            {"gradients": None},
            InputError,
            'gradients: expected an array, an iterable or a callable for "mfac"',
        ),
        ({"gradients": [np.ones(3)]}, InputError, r"gradients: expected shape \(2,\)"),
        ({"sparsity": 1.5}, InputError, r"sparsity: expected a number in \[0.0, 1.0\], got 1.5"),
        ({"sparsity": "much"}, InputError, "sparsity: expected a real number"),
        ({"sparsity": True}, InputError, "sparsity: expected a real number"),
        ({"sparsity": [0.5]}, InputError, 'sparsity: expected one number for scope="global", got several'),
        ({"method": "random"}, InputError, "method: expected one of 'mfac', 'fisher', 'magnitude'"),
        ({"steps": 0}, InputError, "steps: expected an integer >= 1"),
        ({"schedule": "fast"}, InputError, "schedule: expected one of"),
        ({"damping": 0.0}, InputError, 'damping: expected a positive number for "mfac", in float64 in'),
        ({"damping": 1e-293}, InputError, 'damping: expected a positive number for "mfac", in float64 in'),
        ({"damping": -1.0}, InputError, "damping: expected a number >= 0"),
        ({"block": 0}, InputError, "block: expected an integer >= 1"),
        ({"update": "all"}, InputError, "update: expected one of"),
        ({"scope": "row"}, InputError, "scope: expected one of"),
        ({"mask": [True]}, InputError, r"mask: expected shape \(2,\) as weights, got \(1,\)"),
        ({"mask": [0.5, 1.0]}, InputError, "mask: expected bools, or the numbers 0 and 1"),
        ({"groups": [0.5, 1.0]}, InputError, "groups: expected integers, or 'rows', got float64"),
        ({"groups": "columns"}, InputError, "groups: expected 'rows' or integers, got 'columns'"),
        ({"groups": [-1, -1]}, InputError, "groups: expected a label >= 0 somewhere"),
        ({"group_saliency": "max"}, InputError, "group_saliency: expected one of"),
    ],
)
def test_messages(arguments, error, pattern):
    given = {"weights": np.ones(2), "gradients": np.ones((3, 2)), "sparsity": 0.5, **arguments}
    with pytest.raises(error, match=pattern):
        prune(**given)


def test_structures_that_differ_are_refused():
    w = {"a": np.ones(2), "b": np.ones(3)}
    with pytest.raises(InputError, match=r"gradients: expected a mapping with the keys \['a', 'b'\]"):
        prune(w, {"a": np.ones((2, 2))}, 0.5)
    with pytest.raises(InputError, match=r"gradients: expected shape \(2, \*\(3,\)\) for weights\['b'\]"):
        prune(w, {"a": np.ones((2, 2)), "b": np.ones((1, 3))}, 0.5)
    with pytest.raises(InputError, match="mask: expected 2 arrays as in weights, got 1"):
        prune(list(w.values()), np.ones((1, 5)), 0.5, mask=[np.ones(2, bool)])


def test_what_goes_wrong_on_the_way_leaves_nothing_behind():
    w, G = problem()
    before, calls = w.copy(), []

    def gradients(weights, mask):
        calls.append(None)
        return np.where(len(calls) == 2, np.nan, G)

    with pytest.raises(NonFiniteError, match="gradients of step 2: 216 entries are NaN or Inf"):
        prune(w, gradients, 0.9, steps=4)
    np.testing.assert_array_equal(w, before)


@pytest.mark.parametrize("block", [5, 12])  # shorter and longer than what is given
@pytest.mark.parametrize("damping", [1e-46, 1e-45, 1e-39, 1e-32, 1e33])
def test_damping_out_of_the_range_of_float32_is_refused(damping, block):
    w, G = (x.astype(np.float32) for x in problem(m=8))
    with pytest.raises(InputError, match='damping: expected a positive number for "mfac", in float32 in'):
        prune(w, G, 0.5, damping=damping, block=block)
    prune(w, G, 0.5, method="fisher", damping=damping)


@pytest.mark.filterwarnings("ignore::randnla.ConvergenceWarning")
@pytest.mark.parametrize("block", [5, 12])
@pytest.mark.parametrize("damping", [2e-31, 1e-20])
def test_the_least_damping_leaves_finite_numbers(damping, block):
    w, G = (x.astype(np.float32) for x in problem(m=8))
    G[:, 3] = 0  # the inverse has 1 / damping there
    mask, change = prune(w, G, 0.5, damping=damping, block=block)
    assert np.isfinite(change).all()
    assert not mask[3]
    np.testing.assert_array_equal((w + change)[~mask], 0)

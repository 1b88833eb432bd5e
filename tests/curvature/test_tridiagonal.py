# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Block-tridiagonal K-FAC against the Gaussian chain it is defined by, built densely."""

import io
import math
from itertools import pairwise

import numpy as np
import pytest

from randnla._backend.errors import InputError, NonFiniteError, StateError
from randnla.curvature import (
    KFAC,
    Absolute,
    Conv2d,
    Dense,
    Exact,
    KLClip,
    Relative,
    Tikhonov,
    TridiagonalKFAC,
)

WIDTHS = (3, 4, 2, 3)
RHO = 0.7


def layers_of(widths=WIDTHS, bias=True):
    return {f"layer{i}": Dense(x, y, bias=bias) for i, (x, y) in enumerate(pairwise(widths))}


def network_batch(rng, widths=WIDTHS, n=30, linear=False):
    """Inputs and output gradients of the layers of a network, correlated as those of networks are."""
    bend = (lambda z: z) if linear else np.tanh
    weights = [rng.standard_normal((y, x)) for x, y in pairwise(widths)]
    a, inputs, outputs = rng.standard_normal((n, widths[0])), [], []
    for W in weights:
        inputs.append(a)
        outputs.append(a @ W.T)
        a = bend(outputs[-1])
    g, gradients = rng.standard_normal((n, widths[-1])), []
    for W, z in zip(reversed(weights), reversed(outputs), strict=True):
        g = g if linear else g * (1 - np.tanh(z) ** 2)
        gradients.append(g)
        g = g @ W
    return inputs, gradients[::-1]


def batches(count, seed=0, **keywords):
    rng = np.random.default_rng(seed)
    return [network_batch(rng, **keywords) for _ in range(count)]


def give(engine, batch, dtype=np.float64):
    names = list(engine._layers)
    given = {k: (a.astype(dtype), g.astype(dtype)) for k, a, g in zip(names, *batch, strict=True)}
    assert engine.accumulate(given)


def moments(story, rho, bias=True):
    """Averages E[a_i a_j^T] and E[g_i g_j^T] of all pairs of layers, debiased."""
    total, sums = 0.0, None
    for inputs, gradients in story:
        rows = [np.column_stack([a, np.ones(len(a))]) if bias else a for a in inputs]
        now = [
            {(i, j): x.T @ y / len(x) for i, x in enumerate(X) for j, y in enumerate(X)}
            for X in (rows, gradients)
        ]
        sums = sums or [dict.fromkeys(X, 0.0) for X in now]
        total = rho * total + 1 - rho
        sums = [{key: rho * S[key] + (1 - rho) * X[key] for key in X} for S, X in zip(sums, now, strict=True)]
    return [{key: value / total for key, value in S.items()} for S in sums]


def damped(A, G, form, value):
    """The damping added to the factors of every layer, by its definition."""
    for i in range(1 + max(A)[0]):
        x, y = A[i, i], G[i, i]
        if form is Tikhonov:
            pi = math.sqrt(np.trace(x) / len(x) / (np.trace(y) / len(y)))
            shifts = math.sqrt(value) * pi, math.sqrt(value) / pi
        elif form is Relative:
            shifts = value * np.linalg.norm(x, 2), value * np.linalg.norm(y, 2)
        else:
            shifts = value, value
        A[i, i], G[i, i] = x + shifts[0] * np.eye(len(x)), y + shifts[1] * np.eye(len(y))
    return A, G


def gaussian_chain(A, G):
    """Covariance of w_last ~ N(0, F), w_i | w_(i+1) ~ N(Psi_i w_(i+1), Sigma_i), by dense products."""
    count = 1 + max(A)[0]
    F = [[np.kron(G[i, j], A[i, j]) for j in range(count)] for i in range(count)]
    cov = [[None] * count for _ in range(count)]
    cov[-1][-1] = F[-1][-1]
    for i in range(count - 2, -1, -1):
        psi = F[i][i + 1] @ np.linalg.inv(F[i + 1][i + 1])
        sigma = F[i][i] - psi @ F[i + 1][i + 1] @ psi.T
        for j in range(i + 1, count):
            cov[i][j] = psi @ cov[i + 1][j]
            cov[j][i] = cov[i][j].T
        cov[i][i] = psi @ cov[i + 1][i + 1] @ psi.T + sigma
    return np.block(cov), F


def flat(directions):
    parts = (np.column_stack(d) if isinstance(d, tuple) else d for d in directions.values())
    return np.concatenate([part.ravel() for part in parts])


def gradients_of(engine, rng, dtype=np.float64):
    made = {}
    for name, layer in engine._layers.items():
        m, n = layer.shape
        V = rng.standard_normal((m, n)).astype(dtype)
        made[name] = (V[:, :-1].copy(), V[:, -1].copy()) if layer.bias else V
    return made


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("form", "value"), [(Tikhonov, 0.05), (Relative, 0.02), (Absolute, 0.1)])
@pytest.mark.parametrize("widths", [(3, 2), (3, 2, 4), WIDTHS, (1, 1, 1, 1)])
def test_inverse_is_that_of_the_gaussian_chain(widths, form, value, bias):
    story = batches(3, widths=widths)
    engine = TridiagonalKFAC(layers_of(widths, bias), damping=form(value), ema=RHO, dtype=np.float64)
    for batch in story:
        give(engine, batch)
    gradients = gradients_of(engine, np.random.default_rng(1))
    direction = flat(engine.step(gradients))
    F_hat, F = gaussian_chain(*damped(*moments(story, RHO, bias), form, value))
    expected = np.linalg.solve(F_hat, flat(gradients))
    np.testing.assert_allclose(direction, expected, rtol=0, atol=1e-9 * np.abs(expected).max())
    assert engine.logdet() == pytest.approx(np.linalg.slogdet(F_hat)[1], rel=1e-9, abs=1e-9)
    assert engine.quadform(gradients) == pytest.approx(flat(gradients) @ expected, rel=1e-9)
    # What makes it the model of the paper: F is met on three diagonals of blocks, the inverse has no others.
    ends = np.cumsum([0, *(len(row[i]) for i, row in enumerate(F))])
    inverse = np.linalg.inv(F_hat)
    for i in range(len(F)):
        for j in range(len(F)):
            part = np.s_[ends[i] : ends[i + 1], ends[j] : ends[j + 1]]
            if abs(i - j) <= 1:
                np.testing.assert_allclose(F_hat[part], F[i][j], atol=1e-9 * np.abs(F_hat).max())
            else:
                assert np.abs(inverse[part]).max() < 1e-8 * np.abs(inverse).max()


def dense_inverse(engine):
    """The inverse as the engine applies it, column by column."""
    shapes = [layer.shape for layer in engine._layers.values()]
    size = sum(m * n for m, n in shapes)
    columns = []
    for e in np.eye(size):
        parts = np.split(e, np.cumsum([m * n for m, n in shapes])[:-1])
        given = {k: p.reshape(s) for k, p, s in zip(engine._layers, parts, shapes, strict=True)}
        matrices = {k: np.ascontiguousarray(V, engine.dtype) for k, V in given.items()}
        columns.append(flat(engine._preconditioned(matrices)))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [1e-12, 1e-8, 1e-4, 1.0, 1e4])
def test_inverse_is_positive_definite_for_every_damping(value, dtype, linear):
    # A linear network: neighbors determine each other, 1 - s t is the damping's alone.
    engine = TridiagonalKFAC(layers_of(), damping=Tikhonov(value), dtype=dtype)
    for batch in batches(2, linear=linear, n=40):
        give(engine, batch, dtype)
    engine.refresh()
    assert engine.health["layer0"].fallback == ""
    P = dense_inverse(engine)
    np.testing.assert_allclose(P, P.T, atol=1e3 * np.finfo(dtype).eps * np.abs(P).max())
    if dtype == np.float64:
        # Rounding of applying it: relative to the largest eigenvalue.
        assert np.linalg.eigvalsh((P + P.T) / 2).min() > -1e-12 * np.abs(P).max()
    for each in engine._links:
        limit = 1 - math.sqrt(np.finfo(dtype).eps)
        assert each.sigma.clearance >= 0.99 * (1 - limit)


def test_what_the_next_layer_explains_entirely_is_cut():
    # One linear unit after the other without a bias: s = t = 1 to the damping.
    rng = np.random.default_rng(0)
    a, g = rng.standard_normal((20, 1)), rng.standard_normal((20, 1))
    for value, cut in ((1e-3, False), (1e-20, True)):
        engine = TridiagonalKFAC(layers_of((1, 1, 1), bias=False), damping=Tikhonov(value), dtype=np.float64)
        assert engine.accumulate({"layer0": (a, 2 * g), "layer1": (3 * a, g)})
        engine.refresh()
        first = engine._links[0].sigma
        limit = 1 - math.sqrt(np.finfo(np.float64).eps)
        assert (abs(float(first.s[0]) - limit) < 1e-12) is cut
        assert first.clearance > 0
        direction = engine.step({"layer0": np.ones((1, 1)), "layer1": np.ones((1, 1))})
        assert np.isfinite(flat(direction)).all()


def test_layers_that_do_not_correlate_are_those_of_kfac():
    rng = np.random.default_rng(2)
    n = 16
    basis = np.linalg.qr(rng.standard_normal((n, n)))[0]
    layers = layers_of((3, 4, 2), bias=False)
    batch = {"layer0": (basis[:, :3], basis[:, 3:7]), "layer1": (basis[:, 7:11], basis[:, 11:13])}
    chain = TridiagonalKFAC(layers, damping=Tikhonov(0.01), dtype=np.float64)
    block = KFAC(layers, damping=Tikhonov(0.01), dtype=np.float64)
    assert chain.accumulate(batch)
    for name, pair in batch.items():
        assert block.accumulate(name, *pair)
    gradients = gradients_of(chain, rng)
    np.testing.assert_allclose(flat(chain.step(gradients)), flat(block.step(gradients)), rtol=1e-10)


def test_one_layer_at_a_time_is_the_same():
    together, single = (TridiagonalKFAC(layers_of(), dtype=np.float64) for _ in range(2))
    for batch in batches(3):
        give(together, batch)
        for name, a, g in reversed(list(zip(single._layers, *batch, strict=True))):
            assert single.accumulate(name, a, g)
    gradients = gradients_of(single, np.random.default_rng(0))
    assert np.array_equal(flat(together.step(gradients)), flat(single.step(gradients)))


def test_positions_of_a_sequence_are_rows_that_count_as_uses():
    ((inputs, gradients),) = batches(1, n=24)
    flat_engine, sequence = (
        TridiagonalKFAC(layers_of(), damping=Absolute(0.1), dtype=np.float64) for _ in range(2)
    )
    give(flat_engine, (inputs, gradients))
    cut = [[x.reshape(6, 4, -1) for x in X] for X in (inputs, gradients)]
    give(sequence, cut)
    # Four uses a sample: factors of inputs, and the cross factors among them, are four times as large.
    for pair, other in zip(flat_engine._cross, sequence._cross, strict=True):
        np.testing.assert_allclose(other[0].value, pair[0].value, rtol=1e-12)
        np.testing.assert_allclose(other[1].value, 4 * pair[1].value, rtol=1e-12)
    np.testing.assert_allclose(
        sequence._blocks["layer1"].right.value, 4 * flat_engine._blocks["layer1"].right.value, rtol=1e-12
    )
    with pytest.raises(InputError, match=r"rows and uses \(24, 1\) as the other layers have, got \(24, 4\)"):
        give(sequence, ([inputs[0], *cut[0][1:]], [gradients[0], *cut[1][1:]]))


def test_batch_with_nan_in_one_layer_is_dropped_in_all():
    story = batches(2)
    clean, engine = (TridiagonalKFAC(layers_of(), dtype=np.float64) for _ in range(2))
    for x in (clean, engine):
        give(x, story[0])
    bad = [a.copy() for a in story[1][0]]
    bad[1][3, 0] = math.nan
    taken = [engine.accumulate(k, a, g) for k, a, g in zip(engine._layers, bad, story[1][1], strict=True)]
    assert taken == [True, False, True]
    assert engine.health["layer1"].skipped_statistics == 1
    gradients = gradients_of(engine, np.random.default_rng(0))
    assert np.array_equal(flat(engine.step(gradients)), flat(clean.step(gradients)))


def test_gradients_with_nan_come_back_and_change_nothing():
    engine = TridiagonalKFAC(layers_of(), dtype=np.float64)
    give(engine, batches(1)[0])
    gradients = gradients_of(engine, np.random.default_rng(0))
    gradients["layer2"][0][0, 0] = math.inf
    assert engine.step(gradients)["layer2"] is gradients["layer2"]
    assert engine.step_count == 0
    engine.refresh()
    with pytest.raises(NonFiniteError, match="gradients: expected finite numbers"):
        engine.quadform(gradients)


def test_refresh_that_cannot_work_keeps_the_identity_and_then_the_last_inverse():
    engine = TridiagonalKFAC(layers_of(), damping=Tikhonov(0.0), dtype=np.float64)
    gradients = gradients_of(engine, np.random.default_rng(0))
    engine._chain = lambda damping: (_ for _ in ()).throw(ArithmeticError("no"))
    np.testing.assert_array_equal(flat(engine.step(gradients)), flat(gradients))
    assert engine.health["layer0"].fallback == "identity"
    del engine._chain
    give(engine, batches(1, n=3)[0])  # three rows: factors of rank three at most, no damping
    engine.refresh()
    assert engine.health["layer0"].fallback.startswith("damping x")
    assert engine.health["layer0"].reason.startswith("BreakdownError")


def test_a_saved_engine_resumes_bit_for_bit():
    def made():
        return TridiagonalKFAC(layers_of(), stats_every=2, inv_every=3, clip=KLClip())

    def run(engine, story, seed):
        rng, out = np.random.default_rng(seed), []
        for batch in story:
            if engine.statistics_due:
                give(engine, batch, np.float32)
            out.append(flat(engine.step(gradients_of(engine, rng, np.float32), lr=0.1)))
        return np.array(out)

    engine, other = made(), made()
    run(engine, batches(5), 0)
    file = io.BytesIO()
    np.savez(file, **engine.state_dict())
    file.seek(0)
    with np.load(file) as saved:
        other.load_state_dict(dict(saved))
    assert np.array_equal(run(engine, batches(5, seed=1), 1), run(other, batches(5, seed=1), 1))
    assert "block tridiagonal" in str(other.report())
    with pytest.raises(StateError, match="names: expected the layers"):
        TridiagonalKFAC(layers_of((3, 2))).load_state_dict(engine.state_dict())


def test_arguments_that_do_not_fit_are_refused():
    layers = layers_of()
    with pytest.raises(InputError, match="layers: expected Dense layers only, 'conv' is Conv2d"):
        TridiagonalKFAC({"conv": Conv2d(2, 3, 3)})
    with pytest.raises(InputError, match="damping: Exact is not for a block-tridiagonal inverse"):
        TridiagonalKFAC(layers, damping=Exact(0.1))
    with pytest.raises(InputError, match="asynchronous, inverse: not for a block-tridiagonal inverse"):
        TridiagonalKFAC(layers, asynchronous=True)
    engine = TridiagonalKFAC(layers, dtype=np.float64)
    with pytest.raises(InputError, match="damping: Exact is not for"):
        engine.damping = Exact(1.0)
    with pytest.raises(InputError, match="name: expected all of layer0, layer1, layer2; got layer0"):
        engine.accumulate({"layer0": (np.ones((2, 3)), np.ones((2, 4)))})
    engine.accumulate("layer0", np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(
        InputError, match=r"a: expected rows and uses \(2, 1\) as the other layers have, got \(5, 1\)"
    ):
        engine.accumulate("layer1", np.ones((5, 4)), np.ones((5, 2)))
    with pytest.raises(StateError, match="inverse: expected a refresh before it is applied"):
        engine.logdet()
    gradients = gradients_of(engine, np.random.default_rng(0))
    del gradients["layer1"]
    with pytest.raises(InputError, match="gradients: expected all of"):
        engine.step(gradients)


def test_gradients_that_pass_through_before_a_refresh_are_copies():
    made = TridiagonalKFAC(layers_of())

    def gradients(value):
        return {
            name: (np.full((d.outputs, d.inputs), value, np.float32), np.full(d.outputs, value, np.float32))
            for name, d in layers_of().items()
        }

    first = made.precondition(gradients(1.0))
    made.precondition(gradients(2.0))
    assert all((part == 1.0).all() for pair in first.values() for part in pair)


def test_batches_given_one_by_one_are_those_at_the_time_of_giving():
    one, two = (TridiagonalKFAC(layers_of(), dtype=np.float64, rng=0) for _ in range(2))
    ((inputs, gradients),) = batches(1)
    give(one, (inputs, gradients))
    for name, a, g in zip(layers_of(), inputs, gradients, strict=True):
        a, g = a.copy(), g.copy()
        assert two.accumulate(name, a, g)
        a[:], g[:] = np.nan, np.nan  # the arrays are the caller's to use again
    assert two.state_dict()["digest"] == one.state_dict()["digest"]


@pytest.mark.parametrize("whole", [True, False])
def test_an_error_drops_the_batches_given_before_it(whole):
    made, fresh = (TridiagonalKFAC(layers_of(), dtype=np.float64, rng=0) for _ in range(2))
    early, late = batches(2)
    names = list(layers_of())
    pairs = dict(zip(names, zip(*early, strict=True), strict=True))
    pairs[names[-1]] = early[0][-1][:, :1], early[1][-1]
    if whole:
        with pytest.raises(InputError, match="a: expected"):
            made.accumulate(pairs)
    else:
        for name in names[:-1]:
            made.accumulate(name, *pairs[name])
        with pytest.raises(InputError, match="a: expected"):
            made.accumulate(names[-1], *pairs[names[-1]])
    for name, a, g in reversed(list(zip(names, *late, strict=True))):  # the last one first
        made.accumulate(name, a, g)
    give(fresh, late)
    assert made.state_dict()["digest"] == fresh.state_dict()["digest"]

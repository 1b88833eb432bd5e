# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""SketchySGD for JAX: steps against the engine, under jit and vmap, states that are trees."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
optax = pytest.importorskip("optax")

from randnla import InputError, curvature  # noqa: E402
from randnla.jax import sketchy_sgd  # noqa: E402

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.standard_normal((40, 6)) * 0.7 ** np.arange(6), jnp.float32)
Y = jnp.sin(X @ jnp.ones((6, 2)))
NET = {
    "w": jnp.asarray(RNG.standard_normal((6, 4)) / 2, jnp.float32),
    "v": jnp.asarray(RNG.standard_normal((4, 2)) / 2, jnp.float32),
}


def quadratic(w, x):
    return jnp.mean((x @ (w - 1)) ** 2) / 2


def outputs(params, x, y):
    return jnp.tanh(x @ params["w"]) @ params["v"]


def misfit(z, x, y):
    return jnp.mean((z - y) ** 2)


def loss(params, x, y):
    return misfit(outputs(params, x, y), x, y)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def dense(kind):
    leaves, structure = jax.tree.flatten(NET)
    shapes = [leaf.shape for leaf in leaves]

    def tree(x):
        parts, start = [], 0
        for shape in shapes:
            size = int(np.prod(shape))
            parts.append(x[start : start + size].reshape(shape))
            start += size
        return structure.unflatten(parts)

    point = jnp.asarray(flat(NET))
    if kind == "hessian":
        return np.asarray(jax.hessian(lambda x: loss(tree(x), X, Y))(point), float)
    J = np.asarray(jax.jacobian(lambda x: outputs(tree(x), X, Y).ravel())(point), float)
    return J.T @ J * 2 / 80


@pytest.mark.parametrize("compiled", [False, True])
def test_a_step_is_that_of_the_engine(compiled):
    w = jnp.zeros(6)
    opt = sketchy_sgd(0.5, rank=3, rho=1e-2, weight_decay=1e-3, rng=7)
    state, health = opt.refresh(opt.init(w), quadratic, w, X[:20], fresh=(X[20:],))
    H, F = (np.asarray(part, float).T @ np.asarray(part, float) / 20 for part in (X[:20], X[20:]))
    engine = curvature.SketchySGD(3, 1e-2, ridge=1e-3, rng=np.random.SeedSequence([7, 0]))
    engine.update(hvp=lambda V: H @ V, dim=6, dtype=np.float32, fresh=lambda V: F @ V)
    assert health.fallback == engine.health.fallback == ""
    g = jax.grad(quadratic)(w, X)
    update = jax.jit(opt.update) if compiled else opt.update
    updates, state = update(g, state, w)
    exact = -0.5 * engine.learning_rate * engine.direction(np.asarray(g))
    np.testing.assert_allclose(updates, exact, rtol=1e-3, atol=1e-6)
    assert float(state.engine["rate"]) == pytest.approx(engine.learning_rate, rel=1e-4)


def test_before_a_sketch_steps_are_half_the_gradient():
    opt = sketchy_sgd(rho=0.25)
    updates, _ = opt.update(jnp.ones(3), opt.init(jnp.zeros(3)), jnp.zeros(3))
    np.testing.assert_allclose(updates, -0.5 * np.ones(3))


def test_every_pair_and_rho_small_is_newton():
    w = jnp.zeros(6)
    opt = sketchy_sgd(2.0, rank=6, rho=1e-6, rng=0)
    state, _ = opt.refresh(opt.init(w), quadratic, w, X)
    updates, _ = opt.update(jax.grad(quadratic)(w, X), state, w)
    # rate 1/2, twice: the step of Newton's method reaches the minimum at 1, to float32 and rho / least value.
    np.testing.assert_allclose(w + updates, np.ones(6), atol=2e-3)


@pytest.mark.parametrize("kind", ["hessian", "ggn"])
def test_networks(kind):
    H, G = dense("hessian"), dense("ggn")
    opt = sketchy_sgd(rank=32, rho=0.1, curvature=kind, rng=0)
    state, health = opt.refresh(opt.init(NET), misfit, NET, X, Y, outputs=outputs)
    assert np.linalg.eigvalsh(H)[0] < -1e-3
    assert health.fallback == ("" if kind == "ggn" else "Gauss-Newton")
    U, s = np.asarray(state.engine["U"], float), np.asarray(state.engine["s"], float)
    np.testing.assert_allclose((U * s) @ U.T, G, atol=1e-5)
    values, V = np.linalg.eigh(G + 0.1 * np.eye(32))
    half = V / np.sqrt(values) @ V.T
    top = np.linalg.eigvalsh(half @ H @ half)[-1]
    # A Ritz value of ten Lanczos steps is below the truth, hardly, and rounded to float32.
    assert (1 - 1e-4) * 0.5 / top <= float(state.engine["rate"]) <= 1.1 * 0.5 / top
    if kind == "hessian":
        state, health = opt.refresh(opt.init(NET), loss, NET, X, Y)
        assert health.fallback == "absolute values"
        U, s = np.asarray(state.engine["U"], float), np.asarray(state.engine["s"], float)
        values, V = np.linalg.eigh(H)
        np.testing.assert_allclose((U * s) @ U.T, (V * np.abs(values)) @ V.T, atol=1e-5)


def test_training_in_a_chain_under_jit():
    opt = sketchy_sgd(update_every=10, momentum=0.5, rng=0)
    chain = optax.chain(opt, optax.clip_by_global_norm(10.0))
    state, params = chain.init(NET), NET

    @jax.jit
    def step(params, state):
        value, g = jax.value_and_grad(loss)(params, X, Y)
        updates, state = chain.update(g, state, params)
        return optax.apply_updates(params, updates), state, value

    values = []
    for k in range(40):
        if opt.refresh_due(k):
            state, health = opt.refresh(state, misfit, params, X, Y, outputs=outputs)
        params, state, value = step(params, state)
        values.append(float(value))
    assert values[-1] < 0.3 * values[0]
    assert health.last_refresh == 1
    # A state is a tree: gone through NumPy, it goes on with the same bits.
    twin = jax.tree.map(lambda leaf: jnp.asarray(np.array(leaf)), state)
    first, second = (opt.refresh(s, misfit, params, X, Y, outputs=outputs)[0] for s in (state, twin))
    np.testing.assert_array_equal(flat(step(params, first)[0]), flat(step(params, second)[0]))


def test_several_models_under_vmap():
    opt = sketchy_sgd(rng=0)
    states = [opt.refresh(opt.init(w), quadratic, w, X)[0] for w in (jnp.zeros(6), jnp.ones(6) / 2)]
    points = jnp.stack([jnp.zeros(6), jnp.ones(6) / 2])
    slopes = jax.vmap(jax.grad(quadratic), (0, None))(points, X)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    together, _ = jax.vmap(opt.update)(slopes, stacked, points)
    for k, state in enumerate(states):
        np.testing.assert_allclose(
            together[k], opt.update(slopes[k], state, points[k])[0], rtol=1e-5, atol=1e-7
        )


def test_what_is_not_finite_changes_nothing_else():
    w = jnp.zeros(6)
    opt = sketchy_sgd(rng=0)
    state, _ = opt.refresh(opt.init(w), quadratic, w, X)
    updates, after = opt.update(jnp.full(6, jnp.nan), state, w)
    np.testing.assert_array_equal(updates, np.zeros(6))
    assert int(after.skipped) == 1
    worse, health = opt.refresh(after, quadratic, w, X * jnp.nan)
    assert (health.fallback, health.skipped_gradients) == ("last good inverse", 1)
    for name in ("U", "s", "rate"):
        np.testing.assert_array_equal(worse.engine[name], state.engine[name])
    first, health = opt.refresh(opt.init(w), quadratic, w, X * jnp.nan)
    assert health.fallback == "identity"
    assert not first.engine["s"].any()


def test_another_rho():
    w = jnp.zeros(6)
    opt = sketchy_sgd(rank=2, rho=0.1, rng=0)
    state, _ = opt.refresh(opt.init(w), quadratic, w, X)
    lower = opt.with_rho(state, 0.01)
    np.testing.assert_allclose(lower.engine["rate"], state.engine["rate"] / 10, rtol=1e-6)
    assert float(opt.with_rho(state, 1.0).engine["rate"]) == float(state.engine["rate"])
    with pytest.raises(InputError, match="rho: expected a positive number"):
        opt.with_rho(state, 0.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sketchy_sgd(rank=0), "rank: expected an integer >= 1"),
        (lambda: sketchy_sgd(rho=-1.0), "rho: expected a number >= 0"),
        (lambda: sketchy_sgd(curvature="fisher"), "curvature: expected one of 'hessian', 'ggn'"),
        (lambda: sketchy_sgd(update_every=0), "update_every: expected an integer >= 1"),
        (lambda: sketchy_sgd(momentum=1.0), "momentum: expected a number in"),
        (
            lambda: sketchy_sgd(curvature="ggn").refresh(None, loss, NET, X, Y),
            "outputs: expected a callable for curvature='ggn'",
        ),
        (lambda: sketchy_sgd().refresh((), loss, NET, X, Y), "state: expected a tree that holds one"),
        (
            lambda: jax.jit(lambda s: sketchy_sgd().refresh(s, loss, NET, X, Y)[0])(sketchy_sgd().init(NET)),
            "state: a refresh runs on the host",
        ),
    ],
)
def test_misuse_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What a tapped model tells: inputs of layers, gradients in their outputs, the layers themselves."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
pytest.importorskip("optax")

from jax_nets import convnet, convnet_problem, feed, mlp, mlp_problem, tapped  # noqa: E402

from randnla.curvature import KFAC, Conv1d, Conv2d, Dense, Embedding, ScaleShift  # noqa: E402
from randnla.jax import Loss, Site, kfac, tap  # noqa: E402
from randnla.jax.losses import LOSSES  # noqa: E402
from randnla.jax.sites import leaves_of, rows_of  # noqa: E402

KEY = jax.random.key(5)


def gram(g):
    rows = np.asarray(g, np.float64).reshape(-1, g.shape[-1])
    return rows.T @ rows / len(rows)


def test_gradients_are_those_by_hand():
    """Backward passes of the network written out in NumPy, at the labels of the data."""
    with jax.enable_x64(True):
        net, _, params, x, y = tapped(mlp, mlp_problem(np.float64), fisher="empirical")
        told = jax.jit(net)(params, x, y)
        (loss, gradients, factors), params, x, y = jax.tree.map(np.asarray, (told, params, x, y))
    W, b, V = params["hidden"]["kernel"], params["hidden"]["bias"], params["out"]["kernel"]
    h = np.tanh(x @ W + b)
    z = h @ V
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    d = p - np.eye(4)[y]  # of the summed loss
    below = (d @ V.T) * (1 - h**2)
    np.testing.assert_allclose(loss, -np.mean(np.log(p[np.arange(len(y)), y])), rtol=1e-12)
    for name, a, g in (("hidden", x, below), ("out", h, d)):
        (got_a,), (got_g,) = factors[name]
        np.testing.assert_allclose(got_a, a, rtol=1e-12)
        np.testing.assert_allclose(got_g[0], g, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(gradients["hidden"]["kernel"], x.T @ below / len(x), rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(gradients["out"]["kernel"], h.T @ d / len(x), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_drawn_labels_come_to_the_gauss_newton_matrix(loss):
    """The second moments of output gradients, by drawn labels and by a root of the Hessian."""
    params, x, y = mlp_problem(n=8)
    y = y if loss == "cross_entropy" else jnp.zeros((8, 4))
    draws, exact = 4000, tap(mlp, loss, fisher="ggn")
    drawn = tap(mlp, loss, fisher="mc", draws=draws)
    (g,), (h,) = (f(params, x, y, KEY)[2]["out"][1] for f in (exact, drawn))
    assert g.shape == (4, 8, 4)
    assert h.shape == (draws, 8, 4)
    # The entries of g are at most 1 (about 1 normal), so that a mean over 8 * 4000 rows is this close.
    np.testing.assert_allclose(gram(h), gram(g), atol=8 * np.sqrt(2 / (8 * draws)))
    hessian = jax.vmap(jax.hessian(lambda z, t: LOSSES[loss].value(z[None], t[None]).sum()))
    z = mlp(params, x, _Plain())
    np.testing.assert_allclose(gram(g), np.mean(hessian(z, y), axis=0), atol=1e-6)


class _Plain:
    """A tap that only computes."""

    def dense(self, name, x, kernel, bias=0.0):
        return x @ kernel + bias


def test_gradients_of_parameters_are_those_without_a_tap():
    net, _, params, x, y = tapped(mlp, mlp_problem())
    value, gradients, _ = net(params, x, y, KEY)
    wanted = jax.value_and_grad(lambda p: LOSSES["cross_entropy"].value(mlp(p, x, _Plain()), y).mean())(
        params
    )
    np.testing.assert_allclose(value, wanted[0], rtol=1e-6)
    for ours, theirs in zip(jax.tree.leaves(gradients), jax.tree.leaves(wanted[1]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_layers_and_paths_are_found():
    _, sites, *_ = tapped(convnet, convnet_problem())
    assert sites == {
        "conv": Site(Conv2d(2, 5, 3, stride=2), "conv/w", "conv/b"),
        "norm": Site(ScaleShift(5, -1), "scale", "shift"),
        "out": Site(Dense(20, 3, bias=False), "out"),
    }


@pytest.mark.parametrize(
    ("shape", "kernel", "settings"),
    [
        ((4, 9, 3), (3, 3, 5), {"stride": 2}),
        ((4, 9, 3), (3, 3, 5), {"padding": "VALID", "dilation": 2}),
        ((4, 6, 7, 2), (3, 2, 2, 4), {"padding": [(0, 1), (2, 0)]}),
        ((4, 6, 7, 2), (2, 3, 2, 4), {"stride": (1, 2), "dilation": (2, 1)}),
    ],
)
def test_patches_times_the_kernel_are_the_convolution(shape, kernel, settings):
    rng = np.random.default_rng(0)
    x, w = (jnp.asarray(rng.standard_normal(s), jnp.float32) for s in (shape, kernel))
    b = jnp.arange(kernel[-1], dtype=jnp.float32)
    outputs = []

    def model(params, x, tap):
        outputs.append(tap.conv("c", x, params[0], params[1], **settings))
        return outputs[-1].reshape(len(x), -1)

    net = tap(model, "squared_error", fisher="empirical")
    site = net.layers((w, b), x)["c"]
    assert isinstance(site.layer, Conv1d if len(shape) == 3 else Conv2d)
    assert site.paths == ("0", "1")
    zero = jnp.zeros((4, outputs[-1].size // 4))
    _, gradients, factors = net((w, b), x, zero)
    a, g = rows_of(site.layer, factors["c"], jnp.float32)
    V = site.pack(leaves_of((w, b)), jnp.float32)
    # With this loss the gradient in the outputs is the output.
    np.testing.assert_allclose(a @ V.T, g[0], rtol=1e-4, atol=1e-4)
    packed = site.pack(leaves_of(gradients), jnp.float32)
    np.testing.assert_allclose(jnp.einsum("sto,stc->oc", g[0], a) / 4, packed, rtol=1e-4, atol=1e-3)
    back = site.unpack(packed, leaves_of(gradients))
    np.testing.assert_array_equal(back["0"], gradients[0])
    np.testing.assert_array_equal(back["1"], gradients[1])


def test_shared_layers_embeddings_and_sequences_are_those_of_the_engine():
    """One dense layer used at five positions and once more, behind an embedding; expand and reduce."""
    rng = np.random.default_rng(0)
    params = {"table": rng.standard_normal((7, 4)), "w": rng.standard_normal((4, 4))}
    params = jax.tree.map(lambda p: jnp.asarray(p, jnp.float32), params)
    indices, y = jnp.asarray(rng.integers(0, 7, (6, 5))), jnp.asarray(rng.integers(0, 4, 6))
    for sharing in ("expand", "reduce"):

        def model(params, indices, tap, sharing=sharing):
            x = tap.embedding("table", indices, params["table"])
            x = jnp.tanh(tap.dense("twice", x, params["w"], sharing=sharing))
            return tap.dense("twice", x.mean(axis=1), params["w"], sharing=sharing)

        net = tap(model, "cross_entropy")
        sites = net.layers(params, indices)
        _, gradients, factors = net(params, indices, y, KEY)
        opt = kfac(sites, "exact", damping=0.1)
        state = opt.refresh(opt.accumulate(opt.init(params), factors))
        made, state = opt.update(gradients, state)
        engine = KFAC({name: site.layer for name, site in sites.items()}, damping=0.1)
        feed(engine, sites, {"table": factors["table"]})
        (a, last), (g, g_last) = factors["twice"]
        # Uses along one axis, as the engine wants as many of them in every array.
        a = np.concatenate([a, last[:, None]], axis=1)
        g = np.concatenate([g[0], g_last[0][:, None]], axis=1)
        assert engine.accumulate("twice", a, g)
        wanted = engine.step({"table": np.asarray(gradients["table"]), "twice": np.asarray(gradients["w"]).T})
        np.testing.assert_allclose(made["table"], wanted["table"], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(made["w"].T, wanted["twice"], rtol=1e-4, atol=1e-6)


def test_layers_of_a_framework_are_recorded_by_paths():
    def model(params, x, tap):
        z = x @ params["params"]["Dense_0"]["kernel"]
        path = "params/Dense_0/kernel"
        return tap.record("Dense_0", Dense(3, 2, bias=False), x, z, weight=path)

    params = {"params": {"Dense_0": {"kernel": jnp.ones((3, 2))}}, "other": jnp.ones(4)}
    net = tap(model, "squared_error", has_aux=False)
    sites = net.layers(params, jnp.ones((5, 3)))
    opt = kfac(sites)
    assert opt.init(params).layers["Dense_0"].statistics["right"].shape == (3, 3)
    report = opt.report(params)
    assert [line.name for line in report.skipped] == ["other"]
    assert "not tapped" in str(report)


def test_a_model_may_return_more():
    def model(params, x, tap):
        return tap.dense("d", x, params), {"seen": x.sum()}

    net = tap(model, "squared_error", has_aux=True)
    (loss, aux), _, factors = net(jnp.ones((3, 2)), jnp.ones((5, 3)), jnp.zeros((5, 2)), KEY)
    assert (float(loss), float(aux["seen"])) == (9.0, 15.0)
    assert factors["d"][1][0].shape == (1, 5, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net, p, x, y: net(p, x, y), "key: expected a random key"),
        (lambda net, p, x, y: tap(3, "cross_entropy"), "model: expected a callable"),
        (lambda net, p, x, y: tap(mlp, "hinge"), "loss: expected one of 'cross_entropy', 'squared_error'"),
        (lambda net, p, x, y: tap(mlp, 3), "loss: expected a Loss or one of"),
        (lambda net, p, x, y: tap(mlp, "squared_error", fisher="none"), "fisher: expected one of 'mc'"),
        (lambda net, p, x, y: tap(mlp, Loss(lambda z, y: z)), "fisher: 'mc' needs a loss with sample"),
        (
            lambda net, p, x, y: tap(lambda p, x, t: x, "squared_error").layers(p, x),
            "model: expected at least",
        ),
        (
            lambda net, p, x, y: tap(
                lambda p, x, t: t.dense("a", x, 2 * p["hidden"]["kernel"]), "squared_error"
            ).layers(p, x),
            "a: expected arrays that are leaves of params",
        ),
        (
            lambda net, p, x, y: tap(
                lambda p, x, t: t.dense("a", t.dense("a", x, p["hidden"]["kernel"]), p["out"]["kernel"]),
                "squared_error",
            ).layers(p, x),
            "name: 'a' was used for",
        ),
        (
            lambda net, p, x, y: tap(
                lambda p, x, t: t.dense("a", x[:, None], p["hidden"]["kernel"]), "squared_error", fisher="ggn"
            )(p, x, jnp.zeros((32, 1, 9))),
            "fisher: 'ggn' takes outputs",
        ),
        (lambda net, p, x, y: Site(Dense(3, 2), "w"), "weight, bias: expected a path and a path"),
        (lambda net, p, x, y: Site("dense", "w"), "layer: expected a layer of randnla.curvature, got str"),
    ],
)
def test_misuse_is_told(call, message):
    net, _, params, x, y = tapped(mlp, mlp_problem())
    with pytest.raises(ValueError, match=message):
        call(net, params, x, y)


def test_embedding_outside_of_its_table_is_no_batch():
    def model(params, indices, tap):
        return tap.embedding("e", indices, params)

    assert Embedding(3, 2).shape == (3, 2)
    net = tap(model, "squared_error")
    params, indices = jnp.ones((3, 2)), jnp.asarray([0, 2, 5])
    opt = kfac(net.layers(params, indices))
    _, _, factors = net(params, indices, jnp.zeros((3, 2)), KEY)
    record = opt.accumulate(opt.init(params), factors).layers["e"].record
    assert (int(record["count"]), int(record["skipped"])) == (0, 1)

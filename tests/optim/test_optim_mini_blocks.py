# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Mini-block Fisher matrices in plain NumPy: the engine's numbers, states, training."""

from __future__ import annotations

import numpy as np
import pytest

from randnla._backend import state as plain_state
from randnla._backend.errors import InputError, StateError
from randnla.curvature import ConvBlocks, Elementwise, NeuronBlocks, RaggedBlocks, RMSClip
from randnla.curvature import MiniBlockFisher as Engine
from randnla.optim import MiniBlockFisher
from randnla.testing import CNN, MLP, SoftmaxCrossEntropy


def parameters(rng, dtype=np.float64):
    shapes = {"conv": ((4, 2, 3, 3), (4,)), "dense": ((5, 6), (5,)), "bare": ((3, 5),), "scale": ((7,),)}
    made = {
        name: tuple(rng.standard_normal(shape).astype(dtype) for shape in parts)
        for name, parts in shapes.items()
    }
    return {name: parts if len(parts) > 1 else parts[0] for name, parts in made.items()}


def everything(tree):
    parts = (part for value in tree.values() for part in (value if isinstance(value, tuple) else (value,)))
    return np.concatenate([part.ravel() for part in parts])


def test_steps_are_those_of_the_engine() -> None:
    rng = np.random.default_rng(0)
    w = parameters(rng)
    optimizer = MiniBlockFisher(
        w,
        lr=lambda step: 0.1 / (1 + step),
        other_lr=0.01,
        weight_decay=0.5,
        damping=0.7,
        clip=RMSClip(0.3),
        dtype=np.float64,
    )
    engine = Engine(
        {
            "conv": ConvBlocks(4, 2, (3, 3)),
            "bias": Elementwise(4),
            "dense": NeuronBlocks(5, 6),
            "bare": NeuronBlocks(3, 5, bias=False),
            "scale": Elementwise(7),
        },
        damping=0.7,
        clip=RMSClip(0.3),
        dtype=np.float64,
    )
    for step in range(3):
        g = parameters(rng)
        moved = optimizer.step(w, g)
        given = {"conv": g["conv"][0], "bias": g["conv"][1], **{k: g[k] for k in ("dense", "bare", "scale")}}
        d = engine.step(given)
        big, small = 0.1 / (1 + step), 0.01
        wanted = {
            "conv": (
                (1 - big / 2) * w["conv"][0] - big * d["conv"],
                (1 - small / 2) * w["conv"][1] - small * d["bias"],
            ),
            "dense": tuple((1 - big / 2) * x - big * y for x, y in zip(w["dense"], d["dense"], strict=True)),
            "bare": (1 - big / 2) * w["bare"] - big * d["bare"],
            "scale": (1 - small / 2) * w["scale"] - small * d["scale"],
        }
        np.testing.assert_allclose(everything(moved), everything(wanted), rtol=1e-12, atol=1e-14)
        w = moved


def test_a_state_goes_on_bit_for_bit_and_nan_is_no_step() -> None:
    rng = np.random.default_rng(0)
    start = parameters(rng, np.float32)
    gradients = [parameters(rng, np.float32) for _ in range(5)]
    whole, half, resumed = (MiniBlockFisher(start, inv_every=2) for _ in range(3))
    w = v = start
    for gradient in gradients[:3]:
        w, v = whole.step(w, gradient), half.step(v, gradient)
    bad = {**gradients[0], "scale": np.full(7, np.nan, np.float32)}
    same = half.step(v, bad)
    assert half.skipped == 1
    assert np.array_equal(everything(same), everything(v))
    resumed.load_state_dict(half.state_dict())
    assert (resumed.skipped, resumed.step_count) == (1, 3)
    for gradient in gradients[3:]:
        w, v = whole.step(w, gradient), resumed.step(v, gradient)
    assert np.array_equal(everything(w), everything(v))
    with pytest.raises(StateError, match="state: expected the part engine"):
        half.load_state_dict(plain_state.seal({"kind": "optim.MiniBlockFisher", "skipped": 0}))


def test_a_partition_of_ones_own_is_taken() -> None:
    w = parameters(np.random.default_rng(0))
    optimizer = MiniBlockFisher(w, partition={"dense": RaggedBlocks([15, 15])}, dtype=np.float64)
    assert optimizer.health["dense.0"].inverse == "2 of 15"
    assert optimizer.health["dense.1"].inverse == "elementwise"
    assert optimizer.step(w, w)["dense"][0].shape == (5, 6)


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_networks_learn(kind) -> None:
    rng = np.random.default_rng(0)
    if kind == "mlp":
        network, x = MLP([10, 16, 3], rng=0), rng.standard_normal((90, 10))
    else:
        network, x = CNN((1, 6, 6), 3, rng=0), rng.standard_normal((90, 1, 6, 6))
    y = np.abs(x.reshape(90, -1)[:, :3]).argmax(axis=1)
    loss = SoftmaxCrossEntropy()
    optimizer = MiniBlockFisher(network.parameters, lr=0.05, other_lr=0.02)
    losses = []
    for _ in range(150):
        run = network.forward(x)
        losses.append(loss.value(run.outputs, y))
        back = network.backward(run, loss.slopes(run.outputs, y))
        network.parameters = optimizer.step(network.parameters, back.gradients)
    assert losses[-1] < 0.6 * losses[0]


def test_arguments_that_do_not_fit_are_named() -> None:
    w = parameters(np.random.default_rng(0))
    for call, message in (
        (lambda: MiniBlockFisher(w, lr=-1.0), "lr: expected a number >= 0"),
        (lambda: MiniBlockFisher(w, momentum=2.0), r"momentum: expected a number"),
        (lambda: MiniBlockFisher(w).step(w, {"conv": w["conv"]}), "grad: expected the arrays"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_other_shapes_than_those_it_was_made_for_are_refused() -> None:
    w, turned = {"a": np.ones((2, 3))}, {"a": np.ones((3, 2))}
    optimizer = MiniBlockFisher(w)
    before = optimizer.state_dict()["digest"]
    for other in (turned, {"a": np.ones(6)}, {"b": np.ones((2, 3))}, {"a": (np.ones((2, 3)), np.ones(2))}):
        with pytest.raises(InputError, match=r"w: expected (shape|the arrays)"):
            optimizer.step(other, other)
    assert optimizer.state_dict()["digest"] == before
    optimizer.step(w, w)

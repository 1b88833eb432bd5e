# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Networks in NumPy: every derivative against finite differences, losses against their models."""

import numpy as np
import pytest

from randnla import InputError, testing
from randnla.curvature.workspace import Workspace
from randnla.testing import CNN, MLP, SoftmaxCrossEntropy, SquaredError

NETWORKS = {
    "tanh": lambda **o: MLP([4, 6, 3], rng=0, **o),
    "sigmoid_without_bias": lambda **o: MLP([4, 5, 5, 3], "sigmoid", bias=False, rng=1, **o),
    "relu": lambda **o: MLP([4, 6, 3], "relu", rng=2, **o),
    "linear": lambda **o: MLP([4, 3], "linear", rng=3, **o),
    "cnn": lambda **o: CNN((2, 5, 6), 3, channels=(3, 4), hidden=(5,), activation="tanh", rng=4, **o),
    "cnn_stride_3": lambda **o: CNN((1, 7, 5), 3, channels=(3,), kernel=5, stride=3, bias=False, rng=5, **o),
}
LOSSES = {"cross_entropy": SoftmaxCrossEntropy(), "squared_error": SquaredError()}


def batch(network, n=7, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, *network._shape))
    return x, rng


def targets_of(loss, outputs, rng):
    return (
        rng.integers(0, outputs.shape[1], len(outputs))
        if isinstance(loss, SoftmaxCrossEntropy)
        else (rng.standard_normal(outputs.shape))
    )


def direction(network, rng):
    def like(value):
        return rng.standard_normal(value.shape)

    return {
        name: tuple(map(like, value)) if isinstance(value, tuple) else like(value)
        for name, value in network.parameters.items()
    }


def arrays(value):
    return value if isinstance(value, tuple) else (value,)


def shifted(parameters, tangents, step):
    moved = {}
    for name, value in parameters.items():
        parts = tuple(p + step * t for p, t in zip(arrays(value), arrays(tangents[name]), strict=True))
        moved[name] = parts if isinstance(value, tuple) else parts[0]
    return moved


def test_names_are_listed():
    assert set(testing.__all__) <= set(dir(testing))


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS.keys())
def test_gradients_are_those_of_finite_differences(make, loss):
    network = make()
    x, rng = batch(network)
    run = network.forward(x)
    targets = targets_of(loss, run.outputs, rng)
    back = network.backward(run, loss.slopes(run.outputs, targets))
    assert list(back.gradients) == list(back.statistics) == list(network.layers)
    for _ in range(5):
        tangents = direction(network, rng)
        h = 1e-5
        plus, minus = (
            loss.value(network.forward(x, shifted(network.parameters, tangents, s)).outputs, targets)
            for s in (h, -h)
        )
        slope = sum(
            float((g * t).sum())
            for name in network.layers
            for g, t in zip(arrays(back.gradients[name]), arrays(tangents[name]), strict=True)
        )
        # A central difference is within h^2 of the third derivative, and of rounding over h.
        assert slope == pytest.approx((plus - minus) / (2 * h), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS.keys())
def test_directional_derivatives_are_those_of_finite_differences(make):
    network = make()
    x, rng = batch(network)
    run, tangents = network.forward(x), direction(network, rng)
    plus, minus = (
        network.forward(x, shifted(network.parameters, tangents, s)).outputs for s in (1e-5, -1e-5)
    )
    np.testing.assert_allclose(network.jvp(run, tangents), (plus - minus) / 2e-5, rtol=1e-6, atol=1e-7)
    name = list(network.layers)[-1]
    only = network.jvp(run, {name: tangents[name]})
    rest = network.jvp(run, {key: value for key, value in tangents.items() if key != name})
    np.testing.assert_allclose(only + rest, network.jvp(run, tangents), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS.keys())
def test_statistics_make_up_the_gradients(make):
    network = make()
    x, rng = batch(network)
    run = network.forward(x)
    back = network.backward(run, rng.standard_normal(run.outputs.shape))
    for name, layer in network.layers.items():
        a, g = back.statistics[name]
        rows = layer.rows(a, g, Workspace(), dtype=np.float64)
        matrix = layer.pack(back.gradients[name], Workspace(), dtype=np.float64)
        np.testing.assert_allclose(rows.g.T @ rows.a / len(x), matrix, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS.keys())
def test_backward_is_the_adjoint_of_the_derivative(make):
    network = make()
    x, rng = batch(network)
    run, tangents = network.forward(x), direction(network, rng)
    slopes = rng.standard_normal(run.outputs.shape)
    gradients = network.backward(run, slopes).gradients
    inner = sum(
        float((g * t).sum())
        for name in network.layers
        for g, t in zip(arrays(gradients[name]), arrays(tangents[name]), strict=True)
    )
    assert inner * len(x) == pytest.approx(float((network.jvp(run, tangents) * slopes).sum()), rel=1e-11)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
def test_hessian_factors_are_those_of_the_loss(loss):
    rng = np.random.default_rng(1)
    z = 2 * rng.standard_normal((4, 3))
    y = targets_of(loss, z, rng)
    S = loss.hessian_factors(z)
    for i in range(3):
        step = np.zeros((4, 3))
        step[:, i] = 1e-5
        column = (loss.slopes(z + step, y) - loss.slopes(z - step, y)) / 2e-5
        np.testing.assert_allclose((S @ S.transpose(0, 2, 1))[:, :, i], column, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
def test_slopes_of_drawn_labels_have_the_hessian_as_second_moment(loss):
    z = np.array([[0.5, -1.0, 0.2]])
    many = np.repeat(z, 40000, axis=0)
    slopes = loss.slopes(many, loss.sample_labels(many, np.random.default_rng(2)))
    S = loss.hessian_factors(z)[0]
    # Entries have a variance below 3: five deviations of a mean of 4e4.
    np.testing.assert_allclose(slopes.T @ slopes / len(many), S @ S.T, atol=5 * np.sqrt(3 / 4e4))
    np.testing.assert_allclose(slopes.mean(axis=0), 0, atol=5 / 200)


def test_extreme_outputs_have_finite_losses():
    loss = SoftmaxCrossEntropy()
    z = np.array([[1e4, -1e4], [-1e4, 1e4]])
    assert loss.value(z, [0, 0]) == 1e4
    np.testing.assert_array_equal(loss.slopes(z, [0, 0]), [[0, 0], [-1, 1]])
    np.testing.assert_array_equal(loss.sample_labels(z, np.random.default_rng(0)), [0, 1])


def test_float32_networks_stay_in_float32():
    network = NETWORKS["cnn"](dtype=np.float32)
    x, _ = batch(network)
    run = network.forward(x)
    back = network.backward(run, SoftmaxCrossEntropy().slopes(run.outputs, np.zeros(7, int)))
    assert run.outputs.dtype == np.float32
    assert {p.dtype for value in back.gradients.values() for p in value} == {np.dtype(np.float32)}
    assert {p.dtype for value in back.statistics.values() for p in value} == {np.dtype(np.float32)}
    assert network.jvp(run, network.parameters).dtype == np.float32


REFUSED = {
    "sizes": (lambda: MLP([3]), r"sizes: expected at least two, of input and output, got \[3\]"),
    "size": (lambda: MLP([3, 0]), r"sizes: expected an integer >= 1, got 0"),
    "activation": (lambda: MLP([3, 2, 1], "gelu"), r"activation: expected one of 'tanh', .* got 'gelu'"),
    "dtype": (lambda: MLP([3, 2], dtype=np.float16), r"dtype: expected float32 or float64"),
    "shape": (lambda: CNN((3, 2), 1), r"shape: expected \(channels, height, width\), got \(3, 2\)"),
    "kernel": (lambda: CNN((1, 4, 4), 1, kernel=2), r"kernel: expected an odd number, got 2"),
    "x": (lambda: MLP([3, 2]).forward(np.ones((4, 2))), r"x: expected shape \(n, 3\), got \(4, 2\)"),
    "slopes": (
        lambda: (n := MLP([3, 2])).backward(n.forward(np.ones((4, 3))), np.ones((4, 3))),
        r"slopes: expected shape \(4, 2\) as outputs have, got \(4, 3\)",
    ),
    "tangents": (
        lambda: (n := MLP([3, 2])).jvp(n.forward(np.ones((4, 3))), {"conv0": np.ones(2)}),
        r"tangents: expected names among \['dense0'\], got \['conv0'\]",
    ),
    "labels": (
        lambda: SoftmaxCrossEntropy().value(np.ones((2, 3)), [0, 3]),
        r"targets: expected integers in \[0, 3\), got 3",
    ),
    "count": (
        lambda: SoftmaxCrossEntropy().slopes(np.ones((2, 3)), [0]),
        r"targets: expected 2 labels, .* got 1",
    ),
    "targets": (
        lambda: SquaredError().value(np.ones((2, 3)), np.ones((2, 1))),
        r"targets: expected shape \(2, 3\) as outputs have, got \(2, 1\)",
    ),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_fit_is_refused_by_name(call, message):
    with pytest.raises(InputError, match=message):
        call()

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Layers as rows: their products are the gradients that automatic differentiation finds, in kept buffers."""

import itertools
import tracemalloc

import numpy as np
import pytest

from randnla import InputError
from randnla.curvature import Conv1d, Conv2d, Dense, Embedding, ScaleShift
from randnla.curvature.workspace import Workspace

RNG = np.random.default_rng(0)


def normal(*shape, dtype=np.float64):
    return RNG.standard_normal(shape).astype(dtype)


def rows_of(layer, a, g, *, dtype=np.float64, **options):
    return layer.rows(a, g, Workspace(), dtype=dtype, **options)


def gradient(rows):
    return rows.g.T @ rows.a


def samples_of(rows):
    """The rows of a and of g, (samples, uses, width)."""
    return rows.a.reshape(rows.samples, rows.uses, -1), rows.g.reshape(rows.samples, rows.uses, -1)


def autograd(module, x):
    """Gradients of the parameters and of the output, for a loss with random slopes."""
    torch = pytest.importorskip("torch")
    z = module(x)
    g = torch.from_numpy(normal(*z.shape))
    (z * g).sum().backward()
    return [p.grad.numpy() for p in module.parameters()], g


CONVOLUTIONS_2D = {
    "plain": {"kernel": 3},
    "rectangle": {"kernel": (3, 2), "padding": (1, 0)},
    "strided": {"kernel": 3, "stride": (2, 3), "padding": 1},
    "dilated": {"kernel": (2, 3), "dilation": (3, 2), "padding": (2, 3)},
    "everything": {"kernel": (3, 2), "stride": (3, 2), "dilation": (2, 3), "padding": (3, 2)},
    "stride_beyond_kernel": {"kernel": 1, "stride": 3},
    "one_by_one": {"kernel": 1},
    "valid": {"kernel": 2, "padding": "valid"},
    "same": {"kernel": 3, "padding": "same"},
    "same_even": {"kernel": (4, 2), "padding": "same", "dilation": (1, 3)},
    "padding_beyond_kernel": {"kernel": 2, "padding": 4},
    "whole": {"kernel": (9, 8)},
}


@pytest.mark.parametrize("options", CONVOLUTIONS_2D.values(), ids=CONVOLUTIONS_2D.keys())
def test_patches_are_the_same_entry_by_entry_and_window_by_window(options, monkeypatch):
    layer, x = Conv2d(3, 4, **options), normal(5, 3, 9, 8)
    g = normal(5, 4, *layer._positions((9, 8)))
    found = []
    for entries in (0, 1000):
        monkeypatch.setattr("randnla.curvature.kfac.convolution._ENTRIES", entries)
        found.append(rows_of(layer, x, g).a)
    np.testing.assert_array_equal(*found)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")  # torch's
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("options", CONVOLUTIONS_2D.values(), ids=CONVOLUTIONS_2D.keys())
def test_products_of_rows_are_the_gradient_of_a_convolution(options, bias):
    torch = pytest.importorskip("torch")
    arguments = {"kernel_size" if key == "kernel" else key: value for key, value in options.items()}
    module = torch.nn.Conv2d(3, 4, bias=bias, **arguments).double()
    x = torch.from_numpy(normal(5, 3, 9, 8))
    grads, g = autograd(module, x)
    layer = Conv2d(3, 4, bias=bias, **options)
    rows = rows_of(layer, x, g)
    workspace = Workspace()
    expected = layer.pack(tuple(grads) if bias else grads[0], workspace, dtype=np.float64)
    assert expected.shape == layer.shape
    np.testing.assert_allclose(gradient(rows), expected, rtol=1e-12, atol=1e-12)
    assert rows.samples == 5
    assert rows.samples * rows.uses == len(rows.a) == len(rows.g) == g.numel() // 4


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {"kernel": 3},
        {"kernel": (4,), "stride": 3, "padding": 2, "dilation": 2},
        {"kernel": 4, "padding": "same"},
    ],
)
def test_products_of_rows_are_the_gradient_in_one_dimension(options, bias):
    torch = pytest.importorskip("torch")
    arguments = {"kernel_size" if key == "kernel" else key: value for key, value in options.items()}
    module = torch.nn.Conv1d(2, 3, bias=bias, **arguments).double()
    x = torch.from_numpy(normal(4, 2, 17))
    grads, g = autograd(module, x)
    layer = Conv1d(2, 3, bias=bias, **options)
    expected = layer.pack(tuple(grads) if bias else grads[0], Workspace(), dtype=np.float64)
    np.testing.assert_allclose(gradient(rows_of(layer, x, g)), expected, rtol=1e-12, atol=1e-12)


def test_patches_are_written_in_pieces_of_the_batch(monkeypatch):
    layer, x, g = Conv2d(2, 3, 3, padding=1), normal(11, 2, 6, 5), normal(11, 3, 6, 5)
    whole = rows_of(layer, x, g).a.copy()
    monkeypatch.setattr("randnla.curvature.kfac.convolution._CACHE", 1 << 13)
    np.testing.assert_array_equal(rows_of(layer, x, g).a, whole)


LAYOUTS = {
    "channels_last": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "reversed": lambda x: x[:, ::-1, ::-1, ::-1].copy()[:, ::-1, ::-1, ::-1],
    "sliced": lambda x: np.repeat(np.repeat(x, 2, axis=3), 2, axis=0)[::2, :, :, ::2],
    "fortran": np.asfortranarray,
    "big_endian": lambda x: x.astype(">f8"),
    "read_only": lambda x: np.broadcast_to(x, x.shape),
}


@pytest.mark.parametrize("sharing", ["expand", "reduce"])
@pytest.mark.parametrize("lay", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_layout_of_memory_changes_no_bit_of_a_convolution(lay, sharing):
    layer = Conv2d(3, 4, 3, padding=1, stride=2, sharing=sharing)
    x, g = normal(5, 3, 7, 6), normal(5, 4, 4, 3)
    plain, other = rows_of(layer, x, g), rows_of(layer, lay(x), lay(g))
    if sharing == "expand":
        np.testing.assert_array_equal(other.a, plain.a)
        np.testing.assert_array_equal(other.g, plain.g)
    else:  # sums run along memory
        np.testing.assert_allclose(other.a, plain.a, rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(other.g, plain.g, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("shape", [(6,), (6, 4), (6, 2, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_products_of_rows_are_the_gradient_of_a_dense_layer(bias, shape):
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(5, 3, bias=bias).double()
    x = torch.from_numpy(normal(*shape, 5))
    grads, g = autograd(module, x)
    layer = Dense(5, 3, bias=bias)
    rows = rows_of(layer, x, g)
    expected = layer.pack(tuple(grads) if bias else grads[0], Workspace(), dtype=np.float64)
    np.testing.assert_allclose(gradient(rows), expected, rtol=1e-13, atol=1e-13)
    assert (rows.samples, rows.uses) == (6, int(np.prod(shape[1:])))


def test_products_of_rows_are_the_gradient_of_an_embedding():
    torch = pytest.importorskip("torch")
    module = torch.nn.Embedding(7, 3).double()
    tokens = torch.from_numpy(RNG.integers(0, 7, (4, 5)))
    (expected,), g = autograd(module, tokens)
    rows = rows_of(Embedding(7, 3), tokens, g)
    table = np.zeros((7, 3))
    np.add.at(table, rows.a, rows.g)
    np.testing.assert_allclose(table, expected, rtol=1e-13, atol=1e-14)
    assert (rows.samples, rows.uses) == (4, 5)


def per_sample_gradients(module, x, g):
    """Gradients of the parameters of a module, sample by sample."""
    found = []
    for one, slope in zip(x, g, strict=True):
        module.zero_grad()
        (module(one[None]) * slope[None]).sum().backward()
        found.append([p.grad.numpy().copy() for p in module.parameters()])
    return [np.stack(part) for part in zip(*found, strict=True)]


def test_rows_of_a_layer_norm_are_the_gradients_of_its_samples():
    torch = pytest.importorskip("torch")
    module = torch.nn.LayerNorm(6).double()
    x, g = torch.from_numpy(normal(4, 3, 6)), torch.from_numpy(normal(4, 3, 6))
    normalized = torch.nn.functional.layer_norm(x, (6,))
    rows = rows_of(ScaleShift(6, channel_axis=-1), normalized, g)
    scale, shift = per_sample_gradients(module, x, g)
    np.testing.assert_allclose(rows.a, scale, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(rows.g, shift, rtol=1e-12, atol=1e-13)
    assert (rows.samples, rows.uses) == (4, 1)


@pytest.mark.parametrize("axes", [(), (5,), (5, 3)])
def test_rows_of_a_batch_norm_are_the_gradients_of_its_samples(axes):
    torch = pytest.importorskip("torch")
    module = (torch.nn.BatchNorm1d, torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)[len(axes)](4).double().eval()
    module.running_mean.uniform_(-1, 1)
    module.running_var.uniform_(0.5, 2)
    x, g = torch.from_numpy(normal(6, 4, *axes)), torch.from_numpy(normal(6, 4, *axes))
    normalized = torch.nn.functional.batch_norm(x, module.running_mean, module.running_var)
    scale, shift = per_sample_gradients(module, x, g)
    rows = rows_of(ScaleShift(4), normalized, g)
    np.testing.assert_allclose(rows.a, scale, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(rows.g, shift, rtol=1e-12, atol=1e-13)
    only_scale = rows_of(ScaleShift(4, shift=False), normalized, g)
    assert only_scale.g.shape == (6, 0)
    np.testing.assert_array_equal(only_scale.a, rows.a)
    assert rows_of(ScaleShift(4, scale=False), normalized, g).a.shape == (6, 0)


# -- sharing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
def test_expand_and_reduce_are_what_loops_over_uses_give(bias):
    n, T = 4, 5
    a, g = normal(n, T, 3), normal(n, T, 2)
    ones = np.concatenate([a, np.ones((n, T, 1))], axis=2) if bias else a
    expanded = rows_of(Dense(3, 2, bias=bias), a, g)
    A = sum(np.outer(ones[i, t], ones[i, t]) for i, t in itertools.product(range(n), range(T))) / n
    G = sum(np.outer(g[i, t], g[i, t]) for i, t in itertools.product(range(n), range(T))) / (n * T)
    count = len(expanded.a)
    np.testing.assert_allclose(expanded.uses * expanded.a.T @ expanded.a / count, A, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(expanded.g.T @ expanded.g / count, G, rtol=1e-13, atol=1e-14)
    reduced = rows_of(Dense(3, 2, bias=bias, sharing="reduce"), a, g)
    assert (reduced.samples, reduced.uses) == (n, 1)
    np.testing.assert_allclose(reduced.a, [sum(ones[i]) / T for i in range(n)], rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(reduced.g, [sum(g[i]) for i in range(n)], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("options", CONVOLUTIONS_2D.values(), ids=CONVOLUTIONS_2D.keys())
def test_reduced_convolution_is_the_mean_of_its_patches(options):
    expand = Conv2d(3, 4, **options)
    x = normal(5, 3, 9, 8)
    positions = expand._positions((9, 8))
    g = normal(5, 4, *positions)
    a, slopes = samples_of(rows_of(expand, x, g))
    reduced = rows_of(Conv2d(3, 4, sharing="reduce", **options), x, g)
    assert reduced.uses == 1
    np.testing.assert_allclose(reduced.a, a.mean(axis=1), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(reduced.g, slopes.sum(axis=1), rtol=1e-12, atol=1e-13)


# Layers, with the shapes of a and g of one sample.
SHARED = {
    "dense": (Dense(3, 2), (3,), (2,)),
    "dense_in_time": (Dense(3, 2, bias=False), (4, 3), (4, 2)),
    "dense_reduced": (Dense(3, 2, sharing="reduce"), (4, 3), (4, 2)),
    "convolution": (Conv2d(2, 3, 2), (2, 4, 5), (3, 3, 4)),
    "wide_convolution": (Conv2d(2, 3, 5, padding=2), (2, 4, 5), (3, 4, 5)),
    "convolution_reduced": (Conv2d(2, 3, 2, sharing="reduce"), (2, 4, 5), (3, 3, 4)),
    "embedding": (Embedding(5, 2), (4,), (4, 2)),
    "scale_shift": (ScaleShift(3), (3, 4), (3, 4)),
}


def inputs(layer, *shape):
    return RNG.integers(0, layer.size, shape) if isinstance(layer, Embedding) else normal(*shape)


@pytest.mark.parametrize(("layer", "a_shape", "g_shape"), SHARED.values(), ids=SHARED.keys())
def test_parts_of_a_batch_are_the_batch(layer, a_shape, g_shape):
    a, g = inputs(layer, 7, *a_shape), normal(7, *g_shape)
    whole = rows_of(layer, a, g)
    for samples in (None, 7):
        parts = rows_of(layer, [a[:3], a[3:5], a[5:]], [g[:3], g[3:5], g[5:]], samples=samples)
        np.testing.assert_array_equal(parts.a, whole.a)
        np.testing.assert_array_equal(parts.g, whole.g)
        assert (parts.samples, parts.uses) == (7, whole.uses)


@pytest.mark.parametrize(("layer", "a_shape", "g_shape"), SHARED.values(), ids=SHARED.keys())
def test_uses_of_the_same_samples_stand_beside_each_other(layer, a_shape, g_shape):
    a, g = inputs(layer, 3, 4, *a_shape), normal(3, 4, *g_shape)
    shared = rows_of(layer, list(a), tuple(g), samples=4)
    each = [rows_of(layer, x, y) for x, y in zip(a, g, strict=True)]
    reduced = getattr(layer, "sharing", "") == "reduce" or isinstance(layer, ScaleShift)
    many = [np.stack([samples_of(one)[k] for one in each], axis=1) for k in (0, 1)]
    if not reduced:
        assert (shared.samples, shared.uses) == (4, 3 * each[0].uses)
        np.testing.assert_array_equal(shared.a.reshape(many[0].shape), many[0])
        np.testing.assert_array_equal(shared.g.reshape(many[1].shape), many[1])
        return
    assert (shared.samples, shared.uses) == (4, 1)
    whole = many[0].sum(axis=(1, 2)) / (1 if isinstance(layer, ScaleShift) else 3)
    np.testing.assert_allclose(shared.a, whole, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(shared.g, many[1].sum(axis=(1, 2)), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("sharing", ["expand", "reduce"])
def test_uses_of_unlike_lengths_weigh_by_their_positions(sharing):
    layer = Dense(3, 2, sharing=sharing)
    a, g = [normal(4, 2, 3), normal(4, 5, 3), normal(4, 3)], [normal(4, 2, 2), normal(4, 5, 2), normal(4, 2)]
    a[2], g[2] = a[2][:, None], g[2][:, None]
    apart, joined = rows_of(layer, a, g, samples=4), rows_of(layer, np.hstack(a), np.hstack(g))
    np.testing.assert_allclose(apart.a, joined.a, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(apart.g, joined.g, rtol=1e-13, atol=1e-14)
    assert apart.uses == joined.uses


# -- memory and dtypes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("layer", "a_shape", "g_shape"), SHARED.values(), ids=SHARED.keys())
@pytest.mark.parametrize("kind", ["one", "parts", "uses"])
def test_no_rows_are_allocated_after_the_first_batch(layer, a_shape, g_shape, kind, dtype):
    workspace = Workspace()
    # So many samples that the buffers in which NumPy casts, 8192 numbers each, do not count.
    a, g = inputs(layer, 40000, *a_shape), normal(40000, *g_shape).astype(np.float16)
    options = {"dtype": dtype}
    if kind != "one":
        a, g = [a, a], [g, g]
    if kind == "uses":
        options["samples"] = 40000
    first = layer.rows(a, g, workspace, **options)
    held = workspace.nbytes
    tracemalloc.start()
    try:
        again = layer.rows(a, g, workspace, **options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < min(first.g.nbytes, 40000 * 8)
    assert workspace.nbytes == held
    assert again.g.ctypes.data == first.g.ctypes.data
    assert again.a.ctypes.data == first.a.ctypes.data


def test_rows_that_are_there_stay_where_they_are():
    a, g = normal(6, 2, 3, dtype=np.float32), normal(6, 2, 4, dtype=np.float32)
    rows = rows_of(Dense(3, 4, bias=False), a, g, dtype=np.float32)
    assert rows.a.ctypes.data == a.ctypes.data
    assert rows.g.ctypes.data == g.ctypes.data
    strided = normal(6, 6)[:, ::2]
    assert rows_of(Dense(3, 4, bias=False), strided, normal(6, 4)).a.ctypes.data == strided.ctypes.data


def test_workspace_grows_and_keeps():
    workspace = Workspace()
    first = workspace.take("x", (3, 4), np.float32)
    assert workspace.take("x", (2, 5), np.float32).ctypes.data == first.ctypes.data
    assert workspace.take("x", (5, 5), np.float32).shape == (5, 5)
    assert workspace.nbytes == 100
    assert workspace.take("x", (2, 2), np.float64).dtype == np.float64


def test_half_precision_is_widened_before_anything_is_summed():
    torch = pytest.importorskip("torch")
    g = np.full((2, 3000, 1), 0.25)
    for dtype in (torch.float16, torch.bfloat16):
        a = torch.ones(2, 3000, 1, dtype=dtype)
        rows = rows_of(Dense(1, 1, sharing="reduce"), a, torch.from_numpy(g).to(dtype), dtype=np.float32)
        assert rows.a.dtype == rows.g.dtype == np.float32
        np.testing.assert_array_equal(rows.g, [[750.0], [750.0]])  # the largest sum of ones in half is 2048
        np.testing.assert_array_equal(rows.a, np.ones((2, 2)))


def test_numbers_beyond_the_dtype_become_infinite_without_a_warning():
    rows = rows_of(Dense(1, 1), np.array([[1e300]]), np.array([[1.0]]), dtype=np.float32)
    assert np.isinf(rows.a[0, 0])


@pytest.mark.parametrize("kind", ["torch", "jax"])
def test_arrays_of_frameworks_give_the_rows_of_numpy(kind):
    framework = pytest.importorskip(kind)
    make = framework.from_numpy if kind == "torch" else framework.numpy.asarray
    for layer, a_shape, g_shape in SHARED.values():
        a = inputs(layer, 3, *a_shape)
        a, g = (
            a.astype(np.int32 if a.dtype.kind == "i" else np.float32),
            normal(3, *g_shape, dtype=np.float32),
        )
        ours, theirs = (rows_of(layer, x, y, dtype=np.float32) for x, y in ((a, g), (make(a), make(g))))
        np.testing.assert_array_equal(ours.a, theirs.a)
        np.testing.assert_array_equal(ours.g, theirs.g)


# -- gradients of parameters ---------------------------------------------------------------------------


def gradients_of(layer, dtype):
    """A gradient in the shapes that frameworks use."""
    rows, columns = layer.shape
    if isinstance(layer, ScaleShift):
        return (
            tuple(normal(columns, dtype=dtype) for _ in range(rows))
            if rows == 2
            else normal(columns, dtype=dtype)
        )
    if isinstance(layer, Embedding):
        return normal(rows, columns, dtype=dtype)
    kernel = getattr(layer, "kernel", ())
    weight = (
        normal(rows, layer.channels, *kernel, dtype=dtype)
        if kernel
        else normal(rows, layer.inputs, dtype=dtype)
    )
    return (weight, normal(rows, dtype=dtype)) if layer.bias else weight


PACKED = [
    Dense(4, 3),
    Dense(4, 3, bias=False),
    Conv1d(2, 3, 4),
    Conv2d(2, 3, (2, 3)),
    Conv2d(2, 3, (2, 3), bias=False),
    Embedding(6, 2),
    ScaleShift(5),
    ScaleShift(5, shift=False),
]


@pytest.mark.parametrize("given", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("layer", PACKED, ids=str)
def test_gradients_come_back_as_they_were(layer, given):
    gradient = gradients_of(layer, given)
    matrix = layer.pack(gradient, Workspace(), dtype=np.float64)
    assert matrix.shape == layer.shape
    assert matrix.dtype == np.float64
    back = layer.unpack(matrix, gradient)
    pairs = zip(back, gradient, strict=True) if isinstance(gradient, tuple) else [(back, gradient)]
    for ours, theirs in pairs:
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("layer", PACKED, ids=str)
def test_gradients_of_torch_come_back_in_their_dtype(layer, dtype):
    torch = pytest.importorskip("torch")
    gradient = gradients_of(layer, np.float32)
    many = isinstance(gradient, tuple)
    tensors = tuple(
        torch.from_numpy(x).to(getattr(torch, dtype)) for x in (gradient if many else (gradient,))
    )
    given = tensors if many else tensors[0]
    back = layer.unpack(layer.pack(given, Workspace(), dtype=np.float32), given)
    for ours, theirs in zip(back if many else (back,), tensors, strict=True):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)


def test_weights_without_bias_are_not_copied():
    for layer in (Dense(4, 3, bias=False), Conv2d(2, 3, (2, 3), bias=False), Embedding(6, 2)):
        gradient = gradients_of(layer, np.float32)
        assert layer.pack(gradient, Workspace(), dtype=np.float32).ctypes.data == gradient.ctypes.data


def test_channels_last_weights_are_packed_by_value():
    layer = Conv2d(2, 3, (2, 3))
    weight, bias = gradients_of(layer, np.float64)
    last = LAYOUTS["channels_last"](weight)
    ours = layer.pack((last, bias), Workspace(), dtype=np.float64)
    np.testing.assert_array_equal(ours, np.column_stack([weight.reshape(3, -1), bias]))


# -- refusals ------------------------------------------------------------------------------------------

X = np.ones
REFUSED = {
    "groups": (lambda: Conv2d(4, 4, 3, groups=2), r"groups: expected 1, .* got 2"),
    "kernel_length": (
        lambda: Conv2d(4, 4, (3, 3, 3)),
        r"kernel: expected an integer or 2 of them, got \(3, 3, 3\)",
    ),
    "kernel_zero": (lambda: Conv1d(4, 4, 0), r"kernel: expected an integer >= 1, got 0"),
    "padding_word": (
        lambda: Conv1d(4, 4, 1, padding="full"),
        r"padding: expected one of 'valid', 'same', got 'full'",
    ),
    "same_strided": (
        lambda: Conv1d(4, 4, 3, 2, "same"),
        r"padding: .*'same' takes a stride of 1; got \(2,\)",
    ),
    "sharing": (
        lambda: Dense(4, 4, sharing="sum"),
        r"sharing: expected one of 'expand', 'reduce', got 'sum'",
    ),
    "inputs": (lambda: Dense(0, 4), r"inputs: expected an integer >= 1, got 0"),
    "nothing_to_scale": (
        lambda: ScaleShift(4, scale=False, shift=False),
        r"scale, shift: expected one of the two",
    ),
    "sample_axis": (lambda: ScaleShift(4, channel_axis=0), r"channel_axis: .* got 0"),
    "width": (
        lambda: rows_of(Dense(3, 2), X((5, 4)), X((5, 2))),
        r"a: .*\(samples, \.\.\., 3\), got float64 \(5, 4\)",
    ),
    "samples": (
        lambda: rows_of(Dense(3, 2), X((5, 3)), X((4, 2))),
        r"g: expected samples and positions \(5,\) .* \(4,\)",
    ),
    "positions": (
        lambda: rows_of(Conv2d(1, 1, 2), X((2, 1, 4, 4)), X((2, 1, 4, 4))),
        r"g: expected samples and positions \(2, 3, 3\) as a has, got \(2, 4, 4\)",
    ),
    "channels": (
        lambda: rows_of(Conv2d(3, 1, 2), X((2, 1, 4, 4)), X((2, 1, 3, 3))),
        r"a: expected real numbers of shape \(samples, 3, 2 more axes\), got float64 \(2, 1, 4, 4\)",
    ),
    "small_image": (
        lambda: rows_of(Conv2d(1, 1, 5), X((2, 1, 4, 9)), X((2, 1, 1, 5))),
        r"a: expected axes that hold the kernel \(5, 5\), got \(4, 9\)",
    ),
    "empty": (
        lambda: rows_of(Dense(3, 2), X((0, 3)), X((0, 2))),
        r"a: expected at least one sample .* \(0,\)",
    ),
    "lists": (
        lambda: rows_of(Dense(3, 2), [X((5, 3))], [X((5, 2))] * 2),
        r"g: expected as many arrays as a has, 1",
    ),
    "scale_lists": (
        lambda: rows_of(ScaleShift(3), [X((5, 3))], [X((5, 3))] * 2),
        r"g: expected as many arrays",
    ),
    "no_list": (
        lambda: rows_of(Dense(3, 2), [], []),
        r"g: expected as many arrays as a has, 0, at least 1; got 0",
    ),
    "not_a_batch": (
        lambda: rows_of(Dense(3, 2), [X((5, 3)), X((4, 3))], [X((5, 2)), X((4, 2))], samples=5),
        r"samples: expected 9, or the length of every array, \[5, 4\]; got 5",
    ),
    "complex": (
        lambda: rows_of(Dense(3, 2), X((5, 3)) * 1j, X((5, 2))),
        r"a: expected real numbers, got complex128",
    ),
    "float_index": (
        lambda: rows_of(Embedding(3, 2), X(5), X((5, 2))),
        r"a: expected integer indices .* float64",
    ),
    "index": (
        lambda: rows_of(Embedding(3, 2), np.array([0, 3]), X((2, 2))),
        r"a: expected indices in \[0, 3\), got 3",
    ),
    "negative_index": (
        lambda: rows_of(Embedding(3, 2), np.array([0, -1]), X((2, 2))),
        r"a: expected indices in \[0, 3\), got -1",
    ),
    "units": (
        lambda: rows_of(ScaleShift(3), X((5, 4)), X((5, 4))),
        r"a: expected real numbers, 3 units along axis 1",
    ),
    "no_such_axis": (lambda: rows_of(ScaleShift(3, 2), X((5, 3)), X((5, 3))), r"a: .* 3 units along axis 2"),
    "axis_before": (lambda: rows_of(ScaleShift(3, -2), X((3, 3)), X((3, 3))), r"a: .* 3 units along axis -2"),
    "pair": (
        lambda: Dense(3, 2).pack(X((2, 3)), Workspace(), dtype=np.float64),
        r"gradient: expected a pair \(weight, bias\), got ndarray",
    ),
    "no_pair": (
        lambda: Dense(3, 2, bias=False).pack((X((2, 3)), X(2)), Workspace(), dtype=np.float64),
        r"gradient: expected one array, for there is no bias, got tuple",
    ),
    "weight": (
        lambda: Conv1d(3, 2, 2).pack((X((3, 2, 2)), X(2)), Workspace(), dtype=np.float64),
        r"gradient: expected shape \(2, 6\) or a refinement of it, got \(3, 2, 2\)",
    ),
    "scale_parts": (
        lambda: ScaleShift(3).pack(X(3), Workspace(), dtype=np.float64),
        r"gradient: expected 2 arrays, got 1",
    ),
}


@pytest.mark.parametrize("sharing", ["expand", "reduce"])
@pytest.mark.parametrize("layer", [Dense, Embedding, ScaleShift])
def test_parts_of_a_batch_with_other_positions_have_the_rows_of_each(layer, sharing):
    made = {
        Dense: Dense(3, 2, sharing=sharing),
        Embedding: Embedding(7, 2),
        ScaleShift: ScaleShift(2, channel_axis=-1),
    }[layer]
    shapes = [(5, 4), (2, 1), (3, 6)]
    inputs = [normal(*s, {Dense: 3, ScaleShift: 2}.get(layer, 1)) for s in shapes]
    if layer is Embedding:
        inputs = [(np.abs(x[..., 0]) * 3).astype(int) % 7 for x in inputs]
    outputs = [normal(*s, 2) for s in shapes]
    whole = rows_of(made, inputs, outputs)
    parts = [rows_of(made, x, y) for x, y in zip(inputs, outputs, strict=True)]
    np.testing.assert_array_equal(whole.a, np.concatenate([part.a for part in parts]))
    np.testing.assert_array_equal(whole.g, np.concatenate([part.g for part in parts]))
    assert whole.samples == 10
    assert whole.uses * whole.samples == len(whole.g)
    assert [n for n, _ in whole.groups] in ([5, 2, 3], [10])
    if layer is Dense:  # the gradient of every sample, with zeros for the uses it does not have
        products = [np.einsum("nti,ntj->nij", *part.by_sample()) for part in (whole, *parts)]
        np.testing.assert_allclose(products[0], np.concatenate(products[1:]), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_fit_is_refused_by_name(call, message):
    with pytest.raises(InputError, match=message):
        call()

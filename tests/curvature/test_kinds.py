# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Kinds of numbers and of arrays: what comes back for integers, halves, lists and tensors."""

import numpy as np
import pytest

from randnla import InputError
from randnla.curvature import (
    KFAC,
    Absolute,
    CholeskyInverse,
    Dense,
    DiagonalFactor,
    DiagonalInverse,
    EigenInverse,
    Embedding,
    KroneckerFactor,
    LowRankInverse,
    ScaleShift,
)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.bool_, np.float16, np.float64])
@pytest.mark.parametrize("layer", [Dense(3, 2), Dense(3, 2, bias=False), ScaleShift(3), Embedding(2, 3)])
def test_directions_of_integers_are_of_the_dtype_of_the_engine(layer, dtype):
    engine = KFAC({"only": layer}, damping=Absolute(0.5))
    shapes = {Dense: [(2, 3), (2,)], ScaleShift: [(3,), (3,)], Embedding: [(2, 3)]}[type(layer)]
    shapes = shapes[: 1 + getattr(layer, "bias", True)]
    floats = [np.arange(1, 1 + int(np.prod(shape)), dtype=np.float32).reshape(shape) % 2 for shape in shapes]
    a = np.array([0, 1, 1, 0]) if isinstance(layer, Embedding) else np.eye(4, 3, dtype=np.float32)
    width = 2 if isinstance(layer, Dense) else 3
    engine.accumulate("only", a, np.eye(4, width, dtype=np.float32) * 3)
    engine.refresh()

    def parts(arrays):
        made = engine.precondition({"only": tuple(arrays) if len(arrays) > 1 else arrays[0]})["only"]
        return made if isinstance(made, tuple) else (made,)

    wanted = np.dtype(dtype) if np.dtype(dtype).kind == "f" else np.float32
    for one, two in zip(parts(floats), parts([x.astype(dtype) for x in floats]), strict=True):
        assert two.dtype == wanted
        np.testing.assert_allclose(two, one, rtol=2e-3)  # half precision rounds to 2^-11


@pytest.mark.parametrize("bad", [np.ones((2, 3), complex), np.full((2, 3), "x"), np.full((2, 3), None)])
@pytest.mark.parametrize("bias", [True, False])
def test_gradients_that_the_engine_cannot_hold_are_refused(bad, bias):
    engine = KFAC({"only": Dense(3, 2, bias=bias)})
    with pytest.raises(InputError, match=r"gradient: expected (numbers|an array)"):
        engine.step({"only": (bad, np.ones(2)) if bias else bad})
    assert engine.step_count == 0


def test_gradients_given_as_lists_come_back_as_arrays():
    engine = KFAC({"only": Dense(3, 2)})
    weight, bias = engine.step({"only": ([[1, 2, 3], [4, 5, 6]], [7, 8])})["only"]
    np.testing.assert_array_equal(weight, [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(bias, [7, 8])


def test_integers_of_torch_have_directions_of_floats():
    torch = pytest.importorskip("torch")
    engine = KFAC({"only": Dense(3, 2, bias=False)})
    made = engine.step({"only": torch.ones(2, 3, dtype=torch.int32)})["only"]
    assert made.dtype == torch.float32


@pytest.mark.parametrize(
    "inverse", [CholeskyInverse(), EigenInverse(), LowRankInverse(2, oversample=1, rng=0), DiagonalInverse()]
)
def test_quadratic_forms_of_tensors_are_tensors(inverse):
    torch = pytest.importorskip("torch")
    if isinstance(inverse, DiagonalInverse):
        factor = DiagonalFactor(9)
        factor.update([0, 4, 8])
    else:
        factor = KroneckerFactor(9, dtype=np.float64)
        factor.update(np.random.default_rng(0).standard_normal((5, 9)))
    inverse.refresh(factor, 0.1)
    v = np.random.default_rng(1).standard_normal((9, 4)).astype(np.float32)
    made = inverse.quadform(torch.from_numpy(v))
    assert isinstance(made, torch.Tensor)
    np.testing.assert_array_equal(made.numpy(), inverse.quadform(v))
    assert isinstance(inverse.quadform(torch.from_numpy(v[:, 0])), float)

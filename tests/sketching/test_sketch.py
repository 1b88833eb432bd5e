# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The one-line sketch, the choice of a map, constructors and side effects."""

import random

import numpy as np
import pytest
import scipy.sparse
from cases import SKETCHES

import randnla
from randnla import InputError, NonFiniteError
from randnla.operators import as_operator
from randnla.sketching import MAPS, choose_map, make_map, sketch, source_of

KINDS = ("auto", *MAPS)


@pytest.mark.parametrize("kind", [*KINDS, "leverage"])
def test_both_axes(kind):
    A = np.random.default_rng(0).standard_normal((80, 6)).astype(np.float32)
    Y = sketch(A, 40, kind=kind, rng=3)
    assert Y.shape == (40, 6)
    assert Y.dtype == np.float32
    assert np.array_equal(Y, sketch(A, 40, kind=kind, rng=3))
    W = sketch(A.T, 40, axis=1, kind=kind, rng=3)
    np.testing.assert_allclose(W, Y.T, rtol=0, atol=1e-4)


def test_a_map_and_containers():
    A = np.random.default_rng(0).standard_normal((80, 6))
    S = randnla.Sign(10, 80, rng=1)
    np.testing.assert_allclose(sketch(A, 10, kind=S), S.to_dense() @ A, atol=1e-12)
    np.testing.assert_allclose(sketch(scipy.sparse.coo_array(A), 10, kind=S), S.to_dense() @ A, atol=1e-12)
    np.testing.assert_allclose(sketch(as_operator(A), 10, kind=S), S.to_dense() @ A, atol=1e-12)
    with pytest.raises(InputError, match=r"\(10, 79\)"):
        sketch(A[:79], 10, kind=S)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"size": 0}, "size"),
        ({"size": True}, "size"),
        ({"size": 2.0}, "size"),
        ({"axis": 2}, "axis"),
        ({"kind": "nothing"}, "kind"),
        ({"kind": 3}, "kind"),
        ({"kind": None}, "kind"),
        ({"rng": -1}, "rng"),
        ({"A": np.ones(3)}, "A"),
        ({"A": None}, "A"),
    ],
)
def test_hostile_arguments(options, name):
    arguments = {"A": np.ones((8, 2)), "size": 4, **options}
    with pytest.raises(InputError, match=rf"^{name}: "):
        sketch(arguments.pop("A"), arguments.pop("size"), **arguments)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "row_sampling"])
def test_non_finite_input_is_located(kind, value):
    A = np.ones((50, 4), dtype=np.float32)
    A[13, 2] = value
    with np.errstate(invalid="ignore"), pytest.raises(NonFiniteError, match=r"\(13, 2\)"):
        sketch(A, 40, kind=kind, rng=0)


@pytest.mark.parametrize(
    ("args", "options"),
    [
        ((0, 4), {}),
        ((-1, 4), {}),
        ((2, -1), {}),
        ((True, 4), {}),
        ((2.0, 4), {}),
        (("2", 4), {}),
        ((2, 4), {"rng": -1}),
        ((2, 4), {"rng": "a"}),
        ((2, 4), {"dtype": np.float16}),
        ((2, 4), {"dtype": int}),
        ((2, 4), {"dtype": None}),
        ((2, 4), {"dtype": "nothing"}),
        ((2, 4), {"stream": -1}),
        ((2, 4), {"stream": 1.0}),
        ((2, 2**63), {}),
    ],
)
@pytest.mark.parametrize(
    "name", ["Gaussian", "Sign", "SparseSign", "CountSketch", "SRHT", "SRFT", "RowSampling"]
)
def test_hostile_constructors(name, args, options):
    with pytest.raises(InputError):
        SKETCHES[name].make(*args, **options)


def test_more_hostile_constructors():
    for bad in (0, -1, True, 1.0):
        with pytest.raises(InputError, match="nnz"):
            randnla.SparseSign(4, 8, nnz=bad)
    with pytest.raises(InputError, match="at most 8"):
        randnla.SRHT(9, 7)
    with pytest.raises(InputError, match="at most 7"):
        randnla.SRFT(8, 7)
    with pytest.raises(InputError, match="m"):
        randnla.RowSampling(2, 0)
    for bad in (
        np.ones(3),
        -np.ones(4),
        np.zeros(4),
        np.array([1, np.nan, 1, 1]),
        np.ones((4, 1)),
        1j * np.ones(4),
    ):
        with pytest.raises(InputError, match="scores"):
            randnla.LeverageSampling(2, 4, scores=bad)
    S = randnla.Sign(4, 8)
    for bad in (0, (0, 1), slice(None, None, 2), slice(None, None, -1), "a", slice(0.5, 2)):
        with pytest.raises(InputError):
            S[bad]


def test_choice_is_pure_and_known():
    for source in ("dense", "sparse", "stream", "operator"):
        for d in (1, 31, 32, 1000):
            assert choose_map(d, 10**6, source=source) in MAPS
    assert source_of(as_operator(np.eye(2))) == "dense"
    assert source_of(as_operator(scipy.sparse.eye_array(2))) == "sparse"
    with pytest.raises(InputError, match="sketch"):
        make_map("nothing", 2, 4)


@pytest.mark.parametrize("name", SKETCHES)
def test_global_generators_are_left_alone(name):
    torch = pytest.importorskip("torch")
    before = (np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state())  # noqa: NPY002
    S = SKETCHES[name].make(4, 32)
    _ = S @ np.ones((32, 2)), S.to_dense()
    after = (np.random.get_state()[1], random.getstate(), torch.get_rng_state())  # noqa: NPY002
    assert np.array_equal(before[0], after[0])
    assert before[1] == after[1]
    assert torch.equal(before[2], after[2])


def test_unseeded_maps_differ_and_replay():
    S, R = randnla.Gaussian(4, 8), randnla.Gaussian(4, 8)
    assert S.seed != R.seed
    assert np.array_equal(S.to_dense(), randnla.Gaussian(4, 8, rng=S.seed).to_dense())

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What a product with a map takes beside arrays, and what it refuses with a clear error."""

import numpy as np
import pytest
import scipy.sparse.linalg
from cases import SKETCHES

import randnla
from randnla import InputError
from randnla._backend.kernels import dense


@pytest.mark.parametrize("name", SKETCHES)
def test_scipys_operators(name):
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((32, 5)), rng.standard_normal((4, 6))
    S = SKETCHES[name].make(4, 32, rng=1)
    D = S.to_dense()
    wrap = scipy.sparse.linalg.aslinearoperator
    np.testing.assert_allclose(S @ wrap(A), D @ A, atol=1e-12)
    np.testing.assert_allclose(S.T @ wrap(B), D.T @ B, atol=1e-12)
    # SciPy's own @ asks for an array first and never gets here; wrapped, it works.
    np.testing.assert_allclose(randnla.as_operator(wrap(A.T)) @ S.T, A.T @ D.T, atol=1e-12)
    np.testing.assert_allclose(randnla.as_operator(wrap(B.T)) @ S, B.T @ D, atol=1e-12)
    for product in (lambda: wrap(A.T) @ S.T, lambda: wrap(B.T) @ S):
        with pytest.raises(ValueError, match=rf"expected .* array .*{name}\("):
            product()


@pytest.mark.parametrize("name", SKETCHES)
def test_a_map_is_no_array_and_no_factor(name):
    S = SKETCHES[name].make(4, 32, rng=1)
    for thing in (S, S.T):
        assert np.asarray(thing).shape == ()
        with pytest.raises(InputError, match="random map"):
            _ = S @ thing
        with pytest.raises(InputError, match="random map"):
            _ = S.T @ thing
        for index in ((slice(0, 2), slice(0, 2), 0), (slice(None),) * 3):
            with pytest.raises(InputError, match="2 axes, got 3"):
                thing[index]
    assert S[()].shape == S.shape


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("name", SKETCHES)
def test_out_must_not_share_memory(name, dtype):
    S = SKETCHES[name].make(16, 16, rng=1, dtype=np.float64)
    room = np.ones((17, 8), np.result_type(dtype, np.float64))
    before = room.copy()
    X = room[:16]
    for method in (S.apply, S.apply_adjoint):
        for out in (X, room[1:], X[::-1]):
            with pytest.raises(InputError, match=r"^out: shares memory"):
                method(X, out=out)
        with pytest.raises(InputError, match=r"^out: shares memory"):
            method(X[:, 0], out=X[:, 0])
        assert np.array_equal(room, before)
    # Columns of one array, interleaved: the bounds overlap, the entries do not.
    even, odd = room[:16, ::2], room[:16, 1::2]
    expected = S @ even
    assert np.array_equal(S.apply(even, out=odd), expected)


def test_out_that_cannot_receive():
    S = randnla.Sign(4, 8, rng=0)
    X = np.ones((8, 2))
    frozen = np.empty((4, 2))
    frozen.flags.writeable = False
    raw = np.zeros(65, np.uint8)[1:].view(np.float64).reshape(4, 2)
    for out in (frozen, raw, [[0, 0]], np.empty((4, 3)), np.empty((4, 2), ">f8"), np.empty((4, 2), "f4")):
        with pytest.raises(InputError, match=r"^out: expected"):
            S.apply(X, out=out)


def test_gemm_refuses_to_overwrite_its_factors():
    A = np.ones((6, 6))
    for factors in ((A, np.eye(6)), (np.eye(6), A)):
        with pytest.raises(InputError, match=r"^out: shares memory"):
            dense.gemm(*factors, A)
        with pytest.raises(InputError, match=r"^out: shares memory"):
            dense.gemm(factors[0], factors[1], A.T)
    assert np.array_equal(A, np.ones((6, 6)))

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Products of two matrices in fixed point: the contract of csrc/DevNotes.md, its bits and its error."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from instruction_sets import on_every_instruction_set

from randnla import _core
from randnla._backend.errors import InputError
from randnla._backend.generic import fixed_point as oracle
from randnla._backend.kernels import fixed_point

Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True)
def _team() -> Iterator[None]:
    yield
    _core.set_num_threads(0)


def empty(*shape: int) -> Array:
    return np.full(shape, np.nan, np.float32)


def same_bits(got: Array, want: Array) -> None:
    np.testing.assert_array_equal(got.view(np.uint32), want.view(np.uint32))


def draw(m: int, n: int, seed: int) -> Array:
    """Uniform numbers times powers of two that differ from row to row and column to column."""
    rng = np.random.default_rng(seed)
    spread = rng.integers(-20, 20, (m, 1)) + rng.integers(-20, 20, (1, n))
    return np.ldexp(rng.uniform(-1, 1, (m, n)), spread).astype(np.float32)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 60), st.integers(0, 700), st.integers(1, 60)),
    orders=st.tuples(*[st.sampled_from("CF")] * 3),
    threads=st.integers(1, 4),
    slices=st.sampled_from([2, 3]),
)
def test_products_have_the_bits_of_the_oracle(
    shape: tuple[int, int, int], orders: tuple[Any, Any, Any], threads: int, slices: int
) -> None:
    m, k, n = shape
    _core.set_num_threads(threads)
    A, B = np.asarray(draw(m, k, 1), order=orders[0]), np.asarray(draw(k, n, 2), order=orders[1])
    out = np.asarray(empty(m, n), order=orders[2])
    assert fixed_point.multiply(A, B, out, slices=slices) is out
    same_bits(np.ascontiguousarray(out), oracle.multiply(A, B, empty(m, n), slices=slices))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("slices", [2, 3])
@pytest.mark.parametrize("shape", [(1, 1), (700, 45), (256, 16), (65, 1100)])
def test_gram_is_symmetric_with_the_bits_of_the_product(
    shape: tuple[int, int], slices: int, threads: int
) -> None:
    _core.set_num_threads(threads)
    A = draw(*shape, seed=3)
    n = shape[1]
    want = oracle.gram(A, empty(n, n), slices=slices)
    same_bits(want, np.ascontiguousarray(want.T))
    for X in (A, np.asfortranarray(A), np.repeat(A, 2, axis=1)[:, ::2], A[::-1][::-1]):
        for out in (empty(n, n), empty(2 * n, 3 * n)[::2, ::3], np.asfortranarray(empty(n, n))):
            assert fixed_point.gram(X, out, slices=slices) is out
            same_bits(np.ascontiguousarray(out), want)
    same_bits(fixed_point.multiply(A.T, A, empty(n, n), slices=slices), want)


@pytest.mark.parametrize("shape", [(1050, 300, 20), (20, 300, 1050), (1030, 40, 1040)])
def test_large_results_are_cut_into_squares_of_the_same_bits(shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    A, B = draw(m, k, 4), draw(k, n, 5)
    same_bits(fixed_point.multiply(A, B, empty(m, n)), oracle.multiply(A, B, empty(m, n)))


def extremes() -> Array:
    """Columns of zeros, subnormals, tiny, huge, wide ranges, the largest mantissas, NaN and Inf."""
    rng = np.random.default_rng(6)
    A = rng.uniform(-1, 1, (300, 20)).astype(np.float32)
    A[:, 0] = 0
    A[:, 1] = np.ldexp(rng.integers(-50, 50, 300).astype(np.float32), -149)
    A[:, 2] *= np.float32(1e-38)
    A[:, 3] *= np.float32(1e37)
    A[:, 4] = np.ldexp(rng.uniform(1, 2, 300).astype(np.float32), rng.integers(-126, 127, 300))
    for j, bits in enumerate((0x3F7F7F7E, 0x3F7EFEFE, 0x3F7EFEFF, 0x3FFFFFFF, 0x7F7EFEFE, 0x7F7EFEFF)):
        A[:, 5 + j] = np.array(bits, np.uint32).view(np.float32)
    A[:, 11] = -A[:, 6]
    A[280, 12], A[0, 13], A[299, 14] = np.nan, np.inf, -np.inf
    A[:, 15] = -0.0
    return A


@pytest.mark.parametrize("slices", [2, 3])
def test_extreme_columns_have_the_bits_of_the_oracle(slices: int) -> None:
    A = extremes()
    want = oracle.gram(A, empty(20, 20), slices=slices)
    for X in (A, np.asfortranarray(A)):
        same_bits(fixed_point.gram(X, empty(20, 20), slices=slices), want)
        same_bits(fixed_point.multiply(X.T, X, empty(20, 20), slices=slices), want)
    bad = ~np.isfinite(A).all(axis=0)
    assert np.isnan(want[bad]).all()
    assert np.isnan(want[:, bad]).all()
    assert not np.isnan(want[np.ix_(~bad, ~bad)]).any()
    assert (want[0, ~bad] == 0).all()


def error_bound(A: Array, B: Array, slices: int) -> Array:
    """What `multiply` may be off by, entrywise: DevNotes.md, "Error"."""
    bound = np.zeros((A.shape[0], B.shape[1]))
    for k0, k1 in oracle.blocks(0, B.shape[0]):
        x, y = abs(A[:, k0:k1].astype(np.float64)), abs(B[k0:k1].astype(np.float64))
        p, q = x.max(axis=1, keepdims=True), y.max(axis=0, keepdims=True)
        half = 1.004 * 2.0**-23 if slices == 3 else 1.008 * 2.0**-15
        moved = half * (p * y.sum(axis=0) + x.sum(axis=1, keepdims=True) * q + (k1 - k0) * half * p * q)
        # s1 t2 + s2 t1 and s2 t2, of at most 2^14 each, in units of 2^-22 times at most 1.0001 p q.
        dropped = (2.0**23 + 2.0**14) * 2.0**-44 * 1.01 if slices == 3 else 0.0
        bound += moved + (k1 - k0) * dropped * p * q
    exact = abs(A.astype(np.float64) @ B.astype(np.float64))
    return bound + 2.0**-24 * (exact + bound)


@pytest.mark.parametrize("slices", [2, 3])
@pytest.mark.parametrize("kind", ["uniform", "gaussian", "graded"])
def test_error_stays_below_its_bound(kind: str, slices: int) -> None:
    rng = np.random.default_rng(7)
    A, B = rng.standard_normal((40, 3000)), rng.standard_normal((3000, 30))
    if kind == "uniform":
        A, B = rng.uniform(size=A.shape), rng.uniform(size=B.shape)
    elif kind == "graded":
        B *= 10.0 ** rng.uniform(-9, 9, (3000, 1))
    A, B = A.astype(np.float32), B.astype(np.float32)
    exact = A.astype(np.float64) @ B.astype(np.float64)
    out = fixed_point.multiply(A, B, empty(40, 30), slices=slices)
    assert (abs(out - exact) <= error_bound(A, B, slices)).all()


def test_errors_of_gram_matrices_are_those_of_their_slices() -> None:
    A = np.random.default_rng(8).standard_normal((20000, 64)).astype(np.float32)
    exact = A.T.astype(np.float64) @ A.astype(np.float64)
    size = np.linalg.norm(exact)
    three, two = (fixed_point.gram(A, empty(64, 64), slices=s) for s in (3, 2))
    assert np.linalg.norm(three - exact) <= 1e-7 * size
    assert np.linalg.norm(three - exact) <= np.linalg.norm(A.T @ A - exact)
    assert 1e-6 * size < np.linalg.norm(two - exact) <= 1e-5 * size


def test_sixteen_bits_are_exact() -> None:
    rng = np.random.default_rng(9)
    A, B = (rng.integers(-1000, 1001, shape).astype(np.float32) for shape in ((20, 90), (90, 30)))
    A[:, 0], B[0] = 1000, 1000
    for slices in (2, 3):
        out = fixed_point.multiply(A, B, empty(20, 30), slices=slices)
        np.testing.assert_array_equal(out, (A.astype(np.int64) @ B.astype(np.int64)).astype(np.float32))


def digest() -> str:
    sha = hashlib.sha256()
    for A in (extremes(), draw(900, 70, 10)):
        for X in (A, np.asfortranarray(A)):
            for slices in (2, 3):
                n = A.shape[1]
                sha.update(fixed_point.gram(X, empty(n, n), slices=slices).astype("<f4").tobytes())
                out = fixed_point.multiply(X.T, A[:, 3:20], empty(n, 17), slices=slices)
                sha.update(out.astype("<f4").tobytes())
    return sha.hexdigest()[:16]


GOLDEN = "0febedd61a96f0fb"


def test_golden_digest() -> None:
    """The contract, frozen."""
    assert digest() == GOLDEN


def test_every_instruction_set_has_the_same_bits() -> None:
    assert set(on_every_instruction_set(__file__, "digest()").values()) == {GOLDEN}


def test_empty_operands() -> None:
    out = fixed_point.multiply(np.empty((3, 0), np.float32), np.empty((0, 4), np.float32), empty(3, 4))
    assert (out == 0).all()
    assert (
        fixed_point.multiply(np.ones((0, 5), np.float32), np.ones((5, 4), np.float32), empty(0, 4)).size == 0
    )
    assert (fixed_point.gram(np.empty((0, 4), np.float32), empty(4, 4)) == 0).all()
    assert fixed_point.gram(np.empty((4, 0), np.float32), empty(0, 0)).size == 0


def test_misuse_is_refused() -> None:
    A, B, out = np.ones((4, 2), np.float32), np.ones((2, 5), np.float32), empty(4, 5)
    with pytest.raises(InputError, match="A: expected dtype float32, got float64"):
        fixed_point.multiply(A.astype(np.float64), B, out)
    with pytest.raises(InputError, match="B: expected dtype float32, got float64"):
        fixed_point.multiply(A, B.astype(np.float64), out)
    with pytest.raises(InputError, match="out: expected dtype float32, got float64"):
        fixed_point.multiply(A, B, out.astype(np.float64))
    with pytest.raises(InputError, match="A must have as many columns as B has rows"):
        fixed_point.multiply(A, A, out)
    with pytest.raises(InputError, match="out must have the shape of A B"):
        fixed_point.multiply(A, B, empty(4, 4))
    with pytest.raises(InputError, match=r"out must have the shape of A\^T A"):
        fixed_point.gram(A, empty(4, 4))
    for slices in (1, 4):
        with pytest.raises(InputError, match=f"slices: expected 2 or 3, got {slices}"):
            fixed_point.multiply(A, B, out, slices=slices)
        with pytest.raises(InputError, match=f"slices: expected 2 or 3, got {slices}"):
            fixed_point.gram(A, empty(2, 2), slices=slices)
    assert np.isnan(out).all()

# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sign maps in fixed point: the contract of csrc/DevNotes.md, its bits and its error."""

from __future__ import annotations

import hashlib
import signal
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
from randnla._backend.kernels import fixed_point, streams
from randnla.sketching import Sign

Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True)
def _team() -> Iterator[None]:
    yield
    _core.set_num_threads(0)


def signs(shape: tuple[int, int], **which: int) -> Array:
    return streams.fill_dense_map(np.empty(shape, np.float32), kind="sign", **which)


def both(A: Array, rows: int, **which: Any) -> tuple[Array, Array]:
    got, want = (np.full((rows, A.shape[1]), 7, np.float32) for _ in range(2))
    assert fixed_point.apply_sign_map(A, got, **which) is got
    oracle.apply_sign_map(A, want, **which)
    return got, want


def same_bits(got: Array, want: Array) -> None:
    np.testing.assert_array_equal(got.view(np.uint32), want.view(np.uint32))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 90), st.integers(1, 900), st.integers(1, 70)),
    corner=st.tuples(st.integers(0, 5000), st.integers(0, 5000)),
    last=st.booleans(),
    threads=st.integers(1, 4),
    order=st.sampled_from("CF"),
    scale=st.sampled_from([1.0, 0.3, -2.5e-3, 1e-30]),
    adjoint=st.booleans(),
)
def test_any_block_has_the_bits_of_the_oracle(
    shape: Any, corner: Any, last: bool, threads: int, order: Any, scale: float, adjoint: bool
) -> None:
    rows, inner, cols = shape
    _core.set_num_threads(threads)
    rng = np.random.default_rng(rows)
    spread = 2.0 ** rng.integers(-60, 60, (1, cols))
    A = np.asarray(rng.standard_normal((inner, cols)) * spread, np.float32, order=order)
    row, col = (2**63 - 9000 + c if last else c for c in corner)
    same_bits(*both(A, rows, seed=9, stream=1, row_start=row, col_start=col, scale=scale, adjoint=adjoint))


LAYOUTS = {
    "c": np.ascontiguousarray,
    "fortran": np.asfortranarray,
    "reversed": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "strided": lambda x: np.repeat(np.repeat(x, 2, axis=0), 3, axis=1)[::2, ::3],
    "column_slice": lambda x: np.hstack([x, x])[:, : x.shape[1]],
    "row_slice": lambda x: np.asfortranarray(np.vstack([x, x]))[: x.shape[0]],
}


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_bits_depend_on_no_layout_and_no_team(layout: str, adjoint: bool) -> None:
    A = np.random.default_rng(1).standard_normal((700, 150)).astype(np.float32)
    which = {"seed": 1, "stream": 0, "scale": 0.1, "row_start": 3, "col_start": 61, "adjoint": adjoint}
    want = oracle.apply_sign_map(A, np.empty((290, 150), np.float32), **which)
    for into in ("c", "fortran", "strided"):
        for threads in (1, 2, 3):
            _core.set_num_threads(threads)
            out = LAYOUTS[into](np.full((290, 150), np.nan, np.float32))
            fixed_point.apply_sign_map(LAYOUTS[layout](A), out, **which)
            same_bits(np.ascontiguousarray(out), want)


@pytest.mark.parametrize("shape", [(1100, 300, 40), (3, 5000, 1), (2100, 70, 3), (64, 4000, 700)])
@pytest.mark.parametrize("adjoint", [False, True])
def test_large_maps_are_cut_into_rectangles_of_the_same_bits(
    shape: tuple[int, int, int], adjoint: bool
) -> None:
    rows, inner, cols = shape
    A = np.random.default_rng(2).standard_normal((inner, cols)).astype(np.float32)
    for X in (A, np.asfortranarray(A)):
        same_bits(*both(X, rows, seed=2, stream=3, row_start=1000, col_start=1100, adjoint=adjoint))


def extremes() -> Array:
    """Columns of zeros, subnormals, tiny, huge, wide ranges, the largest mantissas, NaN and Inf."""
    rng = np.random.default_rng(3)
    A = rng.standard_normal((600, 40)).astype(np.float32)
    A[:, 0] = 0
    A[:, 1] = np.ldexp(rng.integers(-50, 50, 600).astype(np.float32), -149)
    A[:, 2] *= np.float32(1e-38)
    A[:, 3] *= np.float32(2.0**-104)
    A[:, 4] *= np.float32(1e36)
    # Not a power of floats: NumPy's has other bits on other processors.
    A[:, 5] = np.ldexp(rng.uniform(1, 2, 600).astype(np.float32), rng.integers(-126, 127, 600))
    A[::2, 6] = np.finfo(np.float32).max
    A[1::2, 6] = -np.finfo(np.float32).max
    for j, bits in enumerate((0x3F7F7F7E, 0x3F7EFEFE, 0x3F7EFEFF, 0x3FFFFFFF, 0x7F7EFEFE, 0x7F7EFEFF)):
        A[:, 7 + j] = np.array(bits, np.uint32).view(np.float32)
    A[300, 20], A[0, 21], A[599, 22] = np.nan, np.inf, -np.inf
    A[5, 23] = np.array(0xFFFFFFFF, np.uint32).view(np.float32)
    A[:300, 24] = 0
    A[:, 25] = -0.0
    return A


@pytest.mark.parametrize("scale", [1.0, 2.0**-20, 3e20])
@pytest.mark.parametrize("adjoint", [False, True])
def test_extreme_columns_have_the_bits_of_the_oracle(scale: float, adjoint: bool) -> None:
    A = extremes()
    for X in (A, np.asfortranarray(A)):
        got, want = both(X, 50, seed=0, stream=0, scale=scale, adjoint=adjoint)
        same_bits(got, want)
        bad = ~np.isfinite(A).all(axis=0)
        assert np.isnan(got[:, bad]).all()
        assert not np.isnan(got[:, ~bad & (abs(A).max(axis=0) < 1e36)]).any()
        assert (got[:, [0, 25]] == 0).all()


def test_units_that_change_from_block_to_block_have_the_bits_of_the_oracle() -> None:
    """The units of one block are no guess for the next: up, down, to zero, to NaN and back."""
    rng = np.random.default_rng(12)
    A = rng.standard_normal((1500, 70))
    A *= 2.0 ** rng.integers(-130, 100, (6, 70)).repeat(256, axis=0)[:1500]
    A[256:512, ::3], A[800, 5], A[512:768, 7] = 0, np.nan, 0
    A = A.astype(np.float32)
    for X in (A, np.asfortranarray(A)):
        same_bits(*both(X, 40, seed=2, stream=0))


def test_slices_are_balanced_and_exact() -> None:
    A = extremes()
    finite = np.isfinite(A).all(axis=0)
    q, e, found = oracle.quantize(A)
    np.testing.assert_array_equal(found, finite)
    assert abs(q).max() <= 0x7F7F7F
    s = oracle.cut(q).astype(np.int64)
    np.testing.assert_array_equal(65536 * s[0] + 256 * s[1] + s[2], q)
    # Half a unit, 2^(e-23), is at most 2^-23 max / 0.99608: max times 2^(22-e) rounds to no more than
    # 0x7F7F7F, and e was raised only where without it would not. Below 2^-126 the unit is 2^-148.
    top = abs(A[:, finite].astype(np.float64)).max(axis=0)
    error = abs(np.ldexp(q.astype(np.float64), e - 22)[:, finite] - A[:, finite].astype(np.float64))
    assert (error <= np.maximum(2.0**-23 * top * 1.004, 2.0**-149)).all()


def error_bound(S: Array, A: Array, start: int) -> Array:
    """What `sign_product` may be off by, entrywise.

    In each block the entries of A move by at most ``1.004 2^-23`` of the column's maximum mu there, the sum
    of integers is rounded to float32 once, and so is each addition of a block: with b blocks the relative
    error of sums is at most (b + 1) u of the sum of magnitudes of the blocks' sums (Higham, Th. 3.1).
    """
    u = 2.0**-24
    cuts = oracle.blocks(start, A.shape[0])
    wide = A.astype(np.float64)
    moved = np.zeros(A.shape[1])
    sums = np.zeros((S.shape[0], A.shape[1]))
    for k0, k1 in cuts:
        unit = np.maximum(1.004 * 2.0**-23 * abs(wide[k0:k1]).max(axis=0), 2.0**-149)
        moved += (k1 - k0) * unit
        sums += abs(S[:, k0:k1].astype(np.float64) @ wide[k0:k1]) + (k1 - k0) * unit
    gamma = (len(cuts) + 2) * u / (1 - (len(cuts) + 2) * u)
    return moved + gamma * sums


@pytest.mark.parametrize("kind", ["gaussian", "graded", "heavy"])
@pytest.mark.parametrize("adjoint", [False, True])
def test_error_stays_below_its_bound(kind: str, adjoint: bool) -> None:
    rng = np.random.default_rng(4)
    A = rng.standard_normal((3000, 30))
    if kind == "graded":
        A *= 10.0 ** rng.uniform(-12, 12, (3000, 1))
    elif kind == "heavy":
        A = rng.standard_cauchy(A.shape)
    A = A.astype(np.float32)
    S = signs((3000, 90) if adjoint else (90, 3000), seed=5, stream=0, row_start=7, col_start=500)
    P = S.T if adjoint else S
    out = np.empty((90, 30), np.float32)
    fixed_point.apply_sign_map(A, out, seed=5, stream=0, row_start=7, col_start=500, adjoint=adjoint)
    exact = P.astype(np.float64) @ A.astype(np.float64)
    assert (abs(out - exact) <= error_bound(P, A, 7 if adjoint else 500)).all()


@pytest.mark.parametrize("draw", ["uniform", "standard_normal"])
def test_error_is_below_that_of_float32(draw: str) -> None:
    A = getattr(np.random.default_rng(6), draw)(size=(8000, 64)).astype(np.float32)
    S = signs((128, 8000), seed=6, stream=0)
    out = fixed_point.apply_sign_map(A, np.empty((128, 64), np.float32), seed=6, stream=0)
    exact = S.astype(np.float64) @ A.astype(np.float64)
    size = np.linalg.norm(exact)
    assert np.linalg.norm(out - exact) <= 2.5e-7 * size
    assert np.linalg.norm(out - exact) <= np.linalg.norm(S @ A - exact)


def test_integers_are_exact() -> None:
    """Integers up to 0x7F7F7F keep all their bits where sums stay below 2^24."""
    A = np.random.default_rng(7).integers(-500, 500, (3000, 50)).astype(np.float32)
    out = fixed_point.apply_sign_map(A, np.empty((70, 50), np.float32), seed=1, stream=0)
    np.testing.assert_array_equal(out, signs((70, 3000), seed=1, stream=0).astype(np.int64) @ A)


def test_powers_of_two_change_no_bit() -> None:
    A = np.random.default_rng(8).standard_normal((500, 20)).astype(np.float32)
    out = fixed_point.apply_sign_map(A, np.empty((30, 20), np.float32), seed=1, stream=0)
    for p in (-60, -1, 1, 80):
        scaled = np.empty_like(out)
        fixed_point.apply_sign_map(np.ldexp(A, p), scaled, seed=1, stream=0)
        same_bits(scaled, np.ldexp(out, p))


def test_the_map_uses_it_for_float32_from_both_sides() -> None:
    A = np.random.default_rng(9).standard_normal((900, 40)).astype(np.float32)
    S = Sign(200, 900, rng=5, dtype=np.float32)
    want = np.empty((200, 40), np.float32)
    oracle.apply_sign_map(A, want, seed=5, stream=0, scale=200**-0.5)
    for got in (S @ A, S.apply(np.asfortranarray(A)), (A.T @ S.T).T, S[:, :] @ A):
        same_bits(np.ascontiguousarray(got), want)
    same_bits(S[30:80] @ A, want[30:80])
    back = np.empty((900, 40), np.float32)
    oracle.apply_sign_map(want, back, seed=5, stream=0, scale=200**-0.5, adjoint=True)
    for got in (S.T @ want, (want.T @ S).T):
        same_bits(np.ascontiguousarray(got), back)
    same_bits(S @ A[:, 0], np.ascontiguousarray(want[:, 0]))


@pytest.mark.parametrize("adjoint", [False, True])
def test_half_precision_has_the_bits_of_the_converted_array(adjoint: bool) -> None:
    A = np.random.default_rng(11).standard_normal((900, 40)).astype(np.float16)
    S = Sign(*((900, 70) if adjoint else (70, 900)), rng=5, dtype=np.float32)
    P = S.T if adjoint else S
    got = P @ A
    assert got.dtype == np.float32
    same_bits(got, P @ A.astype(np.float32))


def digest() -> str:
    sha = hashlib.sha256()
    for A in (extremes(), np.random.default_rng(10).standard_normal((900, 70)).astype(np.float32)):
        for X in (A, np.asfortranarray(A)):
            for adjoint in (False, True):
                out = np.empty((130, A.shape[1]), np.float32)
                fixed_point.apply_sign_map(
                    X, out, seed=3, stream=4, row_start=9, col_start=99, adjoint=adjoint
                )
                sha.update(out.astype("<f4").tobytes())
    return sha.hexdigest()[:16]


GOLDEN = "d557ffd0d338706d"


def test_golden_digest() -> None:
    """The contract, frozen."""
    assert digest() == GOLDEN


def test_every_instruction_set_has_the_same_bits() -> None:
    assert set(on_every_instruction_set(__file__, "digest()").values()) == {GOLDEN}


@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_stops_a_long_product(threads: int) -> None:
    """The handler's exception comes out while the call (half a trillion signs) is far from its end."""

    class AlarmError(Exception):
        pass

    def ring(*_: object) -> None:
        raise AlarmError

    A = np.ones((20000, 100), np.float32)
    out = np.full((250_000, 100), np.nan, np.float32)
    _core.set_num_threads(threads)
    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(AlarmError, match=r"^$"):
            fixed_point.apply_sign_map(A, out, seed=0, stream=0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert np.isnan(out[-1]).all()
    fixed_point.apply_sign_map(A, out[:50], seed=0, stream=0)
    same_bits(
        out[:50],
        oracle.apply_sign_map(A[:, :1], np.empty((50, 1), np.float32), seed=0, stream=0).repeat(100, 1),
    )


def test_empty_operands() -> None:
    which = {"seed": 0, "stream": 0}
    out = np.full((4, 3), np.nan, np.float32)
    assert (fixed_point.apply_sign_map(np.empty((0, 3), np.float32), out, **which) == 0).all()
    assert fixed_point.apply_sign_map(np.ones((4, 0), np.float32), out[:, :0], **which).shape == (4, 0)


def test_misuse_is_refused() -> None:
    which = {"seed": 0, "stream": 0}
    A, out = np.ones((4, 2), np.float32), np.empty((3, 2), np.float32)
    with pytest.raises(InputError, match="A: expected dtype float32, got float64"):
        fixed_point.apply_sign_map(A.astype(np.float64), out, **which)
    with pytest.raises(InputError, match="out: expected dtype float32, got float64"):
        fixed_point.apply_sign_map(A, out.astype(np.float64), **which)
    with pytest.raises(InputError, match="A and out must have as many columns"):
        fixed_point.apply_sign_map(A, np.empty((3, 3), np.float32), **which)
    with pytest.raises(InputError, match=r"col_start: indices must stay below 2\*\*63"):
        fixed_point.apply_sign_map(A, out, **which, col_start=2**63 - 4)
